# Reading what is there, on the main mount.

folders_and_names() {
	local d=$tmp/mnt/main/tree
	[ -d "$d" ] || add main tree
	equal main tree
	same "$(cd "$d" && find . | sort)" "$(cd "$tmp/data/tree" && find . | sort)"
	same "$(stat -c %s "$d/empty" "$d/dir/empty too" "$d/tiny2" "$d/README" | tr '\n' ' ')" "0 0 1 1234 "
	same "$(stat -c '%a %U %F' "$d" "$d/README" | tr '\n' ,)" "555 $(id -un) directory,444 $(id -un) regular file,"
	cat "$d/empty" | cmp - /dev/null
	cmp "$d/Ünïcödé/日本語/Привет 🎬.bin" "$tmp/data/tree/Ünïcödé/日本語/Привет 🎬.bin"
	refuses "No such file" cat "$d/missing"
	refuses "Not a directory" ls "$d/README/x"
	refuses "Is a directory" cat "$d/dir"
}

padding_links_and_modes() {
	local d=$tmp/mnt/main/padded
	add main padded
	equal main padded
	[ ! -e "$d/.pad" ] || fail "padding is shown"
	same "$(ls "$d")" "$(ls "$tmp/data/padded")"
	same "$(stat -c %a "$d/run.sh" "$d/one.bin" | tr '\n' ' ')" "555 444 "
	same "$(readlink "$d/link")" "sub/three.bin"
	same "$(field main padded size)" "$(field main padded have)" # padding and links count in neither
}

# A big file: parts of it first, from anywhere, then all of it.
big_file() {
	local f=$tmp/mnt/main/big.bin/big.bin o=$tmp/data/big.bin size
	add main big.bin
	size=$(stat -c %s "$o")
	soon 10 test -e "$f"
	same "$(stat -c %s "$f")" "$size"
	cmp <(timeout 10 tail -c 12345 "$f") <(tail -c 12345 "$o")
	cmp <(timeout 10 dd if="$f" bs=1M skip=30 count=2 status=none) <(dd if="$o" bs=1M skip=30 count=2 status=none)
	cmp <(timeout 10 dd if="$f" bs=333 skip=100000 count=9 status=none) <(dd if="$o" bs=333 skip=100000 count=9 status=none)
	same "$(timeout 10 dd if="$f" bs=1 skip="$size" count=1 status=none | wc -c)" 0
	timeout 60 cmp "$f" "$o"
	timeout 60 cmp <(cat "$f") "$o" # once more, from the cache
}

# afresh MOUNT NAME: nothing of it is here.
afresh() {
	if [ -d "$tmp/mnt/$1/$2" ]; then "$magnetfs" rm --purge "$tmp/mnt/$1" "$2"; fi
	add "$1" "$2"
	soon 10 test -e "$tmp/mnt/$1/$2/$2"
}

parallel_readers() {
	afresh main big.bin
	timeout 60 "$python" "$here/reader.py" parallel "$tmp/mnt/main/big.bin/big.bin" "$tmp/data/big.bin" 8
}

mapped_readers() {
	afresh main big.bin
	timeout 60 "$python" "$here/reader.py" mmap "$tmp/mnt/main/big.bin/big.bin" "$tmp/data/big.bin"
}

# Only what is read is fetched: a few bytes of a big file cost a few pieces.
on_demand_only() {
	local have
	afresh main big.bin
	cmp <(timeout 10 dd if="$tmp/mnt/main/big.bin/big.bin" bs=64k skip=300 count=1 status=none) \
		<(dd if="$tmp/data/big.bin" bs=64k skip=300 count=1 status=none)
	sleep 1
	have=$("$magnetfs" status "$tmp/mnt/main" --json | jq '.[] | select(.name == "big.bin") | .downloaded')
	[ "$have" -le $((4 << 20)) ] || fail "one read of 64 KiB fetched $have bytes"
}

# The memory for pieces is bounded, the rest with it.
little_memory() {
	local peak
	mount_fs small --no-lpd --dht-bootstrap "$(dht_addrs 3)" --ram 32MiB
	add small big.bin
	equal small big.bin 60
	peak=$(awk '/VmHWM/ {print $2}' "/proc/$(pid_of small)/status")
	echo "peak of resident memory with --ram 32MiB: $((peak / 1024)) MiB"
	[ "$peak" -lt $((160 << 10)) ] || fail "peak $((peak / 1024)) MiB"
	umount_fs small
}

ffprobe_reads_both() {
	local v
	for v in video.mp4 video.mkv; do
		[ -d "$tmp/mnt/main/$v" ] || add main $v
		soon 10 test -e "$tmp/mnt/main/$v/$v"
		same "$(timeout 20 ffprobe -v error -show_entries format=duration:stream=codec_name -of csv "$tmp/mnt/main/$v/$v")" \
			"$(ffprobe -v error -show_entries format=duration:stream=codec_name -of csv "$tmp/data/$v")"
	done
}

# plays NAME: from nothing, so that the player waits for the swarm.
plays() {
	afresh main "$1"
	timeout 60 "$python" "$here/player.py" "$tmp/mnt/main/$1/$1"
}

mpv_plays_mp4() { plays video.mp4; }
mpv_plays_mkv() { plays video.mkv; }
