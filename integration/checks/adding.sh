# Adding and removing torrents on the main mount; all of them are seeded by libtorrent.

# Each spelling of the hash is taken at once, is a path to the torrent from then on, and can be removed.
spellings() {
	local hex text
	hex=$(hash_of spelled.bin)
	for text in "$hex" "${hex^^}" "$(base32_of "$hex")" "magnet:?xt=urn:btih:$hex" "magnet:?xt=urn:btih:${hex^^}&dn=Some+Name" \
		"magnet:?dn=x&xt=urn:btih:$(base32_of "$hex")" "magnet:?xt.1=urn:btih:$hex&tr=udp%3A%2F%2Ft.example%3A80%2Fannounce"; do
		quick 500 mkdir "$tmp/mnt/main/$text"
		timeout 12 ls "$tmp/mnt/main/$text" # waits for the metadata
		timeout 10 cmp "$tmp/mnt/main/$text/spelled.bin" "$tmp/data/spelled.bin"
		test -d "$tmp/mnt/main/spelled.bin"
		rmdir "$tmp/mnt/main/$text"
		same "$(ls "$tmp/mnt/main")" ""
		absent "$tmp/mnt/main/$text"
	done
}

# A magnet as it stands on a web page: the slashes of its trackers look like folders to the kernel.
raw_slashes() {
	local hex tail text
	hex=$(hash_of spelled.bin)
	for tail in 'tr=udp://t.example:1337/announce' 'tr=udp://t.example:1337' 'tr=udp://a.example:1/announce&tr=http://b.example/announce' \
		'tr=http://t.example/a/b/c/announce' 'tr=https://t.example/announce?key=1/2&dn=x' 'tr=udp://t.example:80/announce&dn=a/b' \
		'tr=http://t.example/announce&tr=udp://t.example:1' 'dn=x&tr=wss://t.example&ws=http://w.example/files/'; do
		for text in "magnet:?xt=urn:btih:$hex&$tail" "magnet:?$tail&xt=urn:btih:$hex"; do
			quick 500 mkdir "$tmp/mnt/main/$text" || fail "$text"
			test -d "$tmp/mnt/main/$hex" || fail "$text: torrent is not there"
			timeout 12 ls "$tmp/mnt/main/$hex"
			timeout 10 cmp "$tmp/mnt/main/$hex/spelled.bin" "$tmp/data/spelled.bin"
			refuses "File exists" mkdir "$tmp/mnt/main/$text"
			rmdir "$tmp/mnt/main/$hex"
		done
	done
	text="magnet:?xt=urn:btih:$hex&tr=udp://one.example:1/announce&tr=http://two.example/x/announce"
	mkdir "$tmp/mnt/main/$text"
	said=$("$magnetfs" status "$tmp/mnt/main")
	contains "$said" "udp://one.example:1/announce"
	contains "$said" "http://two.example/x/announce"
	rmdir "$tmp/mnt/main/$hex"
	mkdir -p "$tmp/mnt/main/$text" || fail "mkdir -p"
	rmdir "$tmp/mnt/main/$hex"
	"$python" -c 'import os,sys; os.mkdir(sys.argv[1])' "$tmp/mnt/main/$text" || fail "os.mkdir"
	rmdir "$tmp/mnt/main/$hex"
}

same_torrent_again() {
	local hex
	hex=$(hash_of spelled.bin)
	mkdir "$tmp/mnt/main/$hex"
	refuses "File exists" mkdir "$tmp/mnt/main/$hex"
	mkdir "$tmp/mnt/main/magnet:?xt=urn:btih:$hex&tr=udp://merged.example:1/announce" # another magnet merges
	contains "$("$magnetfs" status "$tmp/mnt/main")" merged.example
	"$magnetfs" wait --timeout 20s "$tmp/mnt/main/$hex" # then it has its own name
	same "$(ls "$tmp/mnt/main" | grep -c spelled)" 1
	rmdir "$tmp/mnt/main/spelled.bin"
}

bad_magnets() {
	local hex text
	hex=$(hash_of spelled.bin)
	for text in hello "${hex:1}" "${hex}0" "${hex:0:39}g" 'magnet:' 'magnet:?' 'magnet:?dn=x' "magnet:?xt=urn:btih:${hex:1}" \
		'magnet:?xt=urn:btih:zzzz' "magnet:?xt=urn:sha1:$hex" "magnet:?xt=urn:btih:$hex&xt=urn:btih:${hex:0:39}$((0x${hex:39} ^ 1))" \
		"http://example.com/x.torrent" "magnet:?xt=urn:btih:&tr=udp://t.example:1/announce" $'\x01\xff' "$(printf '%01000d' 7)"; do
		said=$(mkdir "$tmp/mnt/main/$text" 2>&1) && fail "mkdir took: $text"
		[[ $said == *"Invalid argument"* || $text == http:* ]] || fail "$text: $said"
	done
	contains "$(log_of main | tail -100)" "err="
	same "$(ls "$tmp/mnt/main" | wc -l)" 0
}

nothing_can_be_changed() {
	local d=$tmp/mnt/main/tree c
	[ -d "$d" ] || add main tree
	equal main tree
	for c in 'mkdir "$d/x"' 'mkdir "$d/dir/x"' 'touch "$d/new"' 'touch "$d/README"' 'echo >"$d/README"' 'chmod 777 "$d/README"' \
		'mv "$d/README" "$d/x"' 'ln -s x "$d/l"' 'ln "$d/README" "$d/l"' 'truncate -s 0 "$d/README"' \
		'touch "$tmp/mnt/main/file"' 'ln -s x "$tmp/mnt/main/l"' 'mknod "$d/p" p'; do
		said=$(eval "$c" 2>&1) && fail "$c succeeded"
		[[ $said == *"Read-only file system"* ]] || fail "$c: $said"
	done
	refuses "" rmdir "$d/dir"
	equal main tree
}

# Every system call does to a torrent what it does to a file system that is mounted read-only.
calls_as_elsewhere() {
	mkdir -p "$tmp/reference" "$tmp/outside"
	mount --bind "$tmp/data/padded" "$tmp/reference"
	mount -o remount,bind,ro "$tmp/reference"
	if [ -d "$tmp/mnt/main/padded" ]; then "$magnetfs" rm --purge "$tmp/mnt/main" padded; fi
	add main padded # nothing of it is here
	"$magnetfs" wait "$tmp/mnt/main/$(hash_of padded)"
	timeout 30 "$python" "$here/posix.py" torrent "$tmp/mnt/main/padded" "$tmp/reference" "$tmp/outside"
	equal main padded # whole, and read in another way
	timeout 30 "$python" "$here/posix.py" torrent "$tmp/mnt/main/$(hash_of padded)" "$tmp/reference" "$tmp/outside"
	timeout 30 "$python" "$here/posix.py" root "$tmp/mnt/main" "$tmp/mnt/main/padded"
	equal main padded
	umount "$tmp/reference"
}

# mv gives a torrent another name, which stays; its own name and its hash lead to it as before.
labels() {
	local m=$tmp/mnt/named name
	mount_fs named --no-dht --no-lpd
	cp "$(torrent_of tree)" "$(torrent_of spelled.bin)" "$m/"
	mv "$m/tree" "$m/My name, ☃"
	refuses "Read-only" mv "$m/My name, ☃" "$m/spelled.bin"
	refuses "" mv -T "$m/spelled.bin" "$m/$(hash_of tree)"
	umount_fs named
	mount_fs named --no-dht --no-lpd
	same "$(ls "$m")" "$(printf '%s\n' 'My name, ☃' spelled.bin)"
	for name in tree "$(hash_of tree)"; do
		same "$(stat -c %i "$m/$name")" "$(stat -c %i "$m/My name, ☃")"
	done
	mv "$m/My name, ☃" "$m/tree"
	same "$(ls "$m")" "$(printf '%s\n' spelled.bin tree)"
	umount_fs named
}

# rm of a file hides it and frees its part of the cache, for good; the same magnet again brings it back.
removed_files() {
	local m=$tmp/mnt/named magnet before
	magnet="magnet:?xt=urn:btih:$(hash_of tree)&x.pe=$libtorrent_ip:6881"
	mount_fs named --no-dht --no-lpd
	mkdir "$m/$magnet"
	equal named tree
	before=$(find "$m/tree" | sort)
	rm "$m/tree/README"
	rm -r "$m/tree/dir"
	umount_fs named
	mount_fs named --no-dht --no-lpd
	absent "$m/tree/README"
	absent "$m/tree/dir"
	contains "$(ls "$m")" tree
	mkdir "$m/$magnet"
	same "$(find "$m/tree" | sort)" "$before"
	equal named tree
	refuses "File exists" mkdir "$m/$magnet"
	rm -r "$m/tree"
	same "$(ls "$m")" spelled.bin
	umount_fs named
}

# The commands beside mkdir and rmdir.
add_and_rm() {
	local m=$tmp/mnt/main hex
	hex=$(hash_of spelled.bin)
	"$magnetfs" add "$m" "magnet:?xt=urn:btih:$hex&tr=udp://x.example:1/announce"
	test -d "$m/$hex"
	"$magnetfs" rm "$m" "magnet:?tr=udp://x.example:1/announce&xt=urn:btih:$hex"
	absent "$m/$hex"
	exits 10 "$magnetfs" rm "$m" "$hex"
	"$magnetfs" add "$m" "$(torrent_of spelled.bin)"
	test -e "$m/spelled.bin/spelled.bin" # no metadata to wait for
	"$magnetfs" rm "$m" spelled.bin
	"$magnetfs" add "$m" - <"$(torrent_of spelled.bin)"
	"$magnetfs" rm "$m" spelled.bin
	printf '%s\n\n%s\n' "$hex" "$(hash_of hurt.bin)" | "$magnetfs" add "$m" -
	"$magnetfs" rm "$m" "$hex" "$(hash_of hurt.bin)"
	cp "$(torrent_of spelled.bin)" "$m/"
	timeout 10 cmp "$m/spelled.bin/spelled.bin" "$tmp/data/spelled.bin"
	[ ! -e "$m/spelled.bin.torrent" ] || soon 10 test ! -e "$m/spelled.bin.torrent"
	cmp "$m/.magnetfs/torrents/$hex.torrent" <(cat "$m/.magnetfs/torrents/$hex.torrent")
	rmdir "$m/spelled.bin"
	exits 9 "$magnetfs" add "$m" hello
	exits 9 "$magnetfs" add "$m" "magnet:?xt=urn:btih:123"
	exits 9 "$magnetfs" add "$m" "$tmp/hostile/bad-text.torrent"
	exits 9 "$magnetfs" add "$m" "$tmp/no-such.torrent"
}

status_of_a_mount() {
	local m=$tmp/mnt/main
	contains "$(cat "$m/.magnetfs/metrics")" "magnetfs_torrent_size_bytes{infohash=\"$(hash_of tree)\",name=\"tree\"} "
	contains "$(getfattr --only-values -n user.magnetfs.ranges "$m/tree/README")" "0-"
	said=$("$magnetfs" status "$m")
	contains "$said" "tree"
	contains "$said" "[DHT]"
	contains "$said" "working"
	same "$("$magnetfs" status "$m" --json | jq -r '.[] | select(.name == "tree") | .info_hash')" "$(hash_of tree)"
}

# Metainfo of hostile shape: refused, or nothing gets out of its folder.
hostile_metainfo() {
	local f m=$tmp/mnt/hostile pid
	mount_fs hostile --no-dht --no-lpd
	pid=$(pid_of hostile)
	for f in "$tmp"/hostile/bad-*; do
		said=$(timeout 10 cp "$f" "$m/" 2>&1) && fail "took $f"
		[[ $said == *"Invalid argument"* ]] || fail "$f: $said"
		exits 9 timeout 10 "$magnetfs" add "$m" "$f"
	done
	same "$(ls -A "$m" | grep -vc '\.torrent$')" 0
	for f in "$tmp"/hostile/odd-*; do
		timeout 10 cp "$f" "$m/" || echo "refused: $f"
	done
	stays_inside "$m"
	ls -lR "$m"
	head -c 20000000 /dev/zero >"$tmp/large.torrent"
	refuses "File too large" cp "$tmp/large.torrent" "$m/"
	same "$(pid_of hostile)" "$pid"
	umount_fs hostile
}

# stays_inside DIR: no name climbs, no link leads out.
stays_inside() {
	local bad
	bad=$(timeout 20 find "$1" -mindepth 1 \( -name '..' -o -name $'*\n*' -o -name $'*\x1b*' \))
	[ -z "$bad" ] || fail "names: $bad"
	timeout 20 find "$1" -type l | while read -r link; do
		[[ $(readlink -m "$link") == "$tmp"/mnt/*/*/* ]] || fail "leads out: $link -> $(readlink "$link")"
	done
	absent /etc/escaped
	absent "$tmp/escaped"
}
