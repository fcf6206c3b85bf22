# The cache on disk. Its folder is on a real file system, not on the tmpfs of the rest.

cache_of() { echo "${tmp%/run}/cache/$1/magnetfs/pieces"; }

cache_json() { "$magnetfs" cache show "$tmp/mnt/$1" --json; }

# What was read is there after a restart, when nobody is left who has it.
disk_survives_restart() {
	local flags=(--no-dht --no-lpd)
	mount_fs disk "${flags[@]}"
	add disk kept.bin "$libtorrent_ip:6881"
	equal disk kept.bin
	umount_fs disk
	[ -s "$(cache_of disk)/$(hash_of kept.bin)/data/kept.bin" ] || fail "no file that another client could take over"
	farm "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$(hash_of kept.bin)\"}"
	mount_fs disk "${flags[@]}"
	equal disk kept.bin 5
	same "$(du -k --apparent-size "$tmp/mnt/disk/kept.bin/kept.bin" | cut -f1)" "$(du -k "$tmp/mnt/disk/kept.bin/kept.bin" | cut -f1)"
	same "$("$magnetfs" status "$tmp/mnt/disk" --json | jq '.[] | select(.name == "kept.bin") | .downloaded')" 0
}

# After a kill, whatever was written is served, and is right.
disk_survives_kill_9() {
	local i pid
	for i in 1 2 3; do
		[ "$i" = 1 ] || mount_fs disk --no-dht --no-lpd
		[ -d "$tmp/mnt/disk/big.bin" ] || add disk big.bin "$libtorrent_ip:6881"
		soon 10 test -e "$tmp/mnt/disk/big.bin/big.bin"
		cat "$tmp/mnt/disk/big.bin/big.bin" >/dev/null 2>&1 &
		sleep "0.$((i * 2))"
		pid=$(pid_of disk)
		kill -KILL "$pid"
		soon 5 gone "$pid"
		wait $! || true
	done
	mount_fs disk --no-dht --no-lpd
	equal disk kept.bin 10 # nobody else has it
	equal disk big.bin 60
}

# The kernel reads what is whole on the disk by itself, if root mounted; what is open outlives its torrent.
whole_files_pass_through() {
	local file=$tmp/mnt/disk/kept.bin/kept.bin
	equal disk kept.bin
	exec 3<"$file"
	if [ -z "$MAGNETFS_ROOT" ]; then
		contains "$(log_of disk)" "the kernel passes no reads through"
	else
		contains "$(cat "$tmp/mnt/disk/.magnetfs/by-hash/$(hash_of kept.bin)/reads")" "passed through"
		rmdir "$tmp/mnt/disk/kept.bin"
		cmp "$tmp/data/kept.bin" - <&3
	fi
	exec 3<&-
	[ -d "$tmp/mnt/disk/kept.bin" ] || cp "$(torrent_of kept.bin)" "$tmp/mnt/disk/"
	equal disk kept.bin
}

disk_is_locked() {
	exits 5 env XDG_STATE_HOME="$tmp/state/other" XDG_CACHE_HOME="${tmp%/run}/cache/disk" \
		"$magnetfs" mount "$tmp/mnt/second" --no-dht --no-lpd
	contains "$said" "--cache-dir"
	exits 5 "$magnetfs" cache show --cache-dir "$(cache_of disk)"
}

disk_show_and_clear() {
	local hash
	hash=$(hash_of big.bin)
	contains "$("$magnetfs" cache show "$tmp/mnt/disk")" big.bin
	same "$(cache_json disk | jq -r ".torrents[] | select(.hash == \"$hash\") | .name")" big.bin
	rmdir "$tmp/mnt/disk/big.bin" # it stays on disk
	[ -d "$(cache_of disk)/$hash/data" ] || fail "a removed torrent is gone from disk"
	add disk big.bin "$libtorrent_ip:6881"
	soon 10 test -e "$tmp/mnt/disk/big.bin/big.bin"
	"$magnetfs" rm --purge "$tmp/mnt/disk" big.bin
	soon 5 test ! -e "$(cache_of disk)/$hash"
	"$magnetfs" cache clear "$tmp/mnt/disk"
	same "$(cache_json disk | jq .disk.used)" 0
	exits 10 "$magnetfs" cache clear "$tmp/mnt/disk" nonsense
	umount_fs disk
	contains "$("$magnetfs" cache show --cache-dir "$(cache_of disk)")" "used"
	"$magnetfs" cache clear --cache-dir "$(cache_of disk)"
}

without_disk() {
	mount_fs nodisk --disk 0 --no-dht --no-lpd
	add nodisk big.bin "$libtorrent_ip:6881"
	equal nodisk big.bin 60
	absent "$(cache_of nodisk)"
	same "$(cache_json nodisk | jq .disk)" null
	umount_fs nodisk
}

# A disk without room, and a folder that cannot be used, cost the cache and no read.
disk_is_full() {
	mkdir -p "$(cache_of full)"
	mount -t tmpfs -o size=16m magnetfs-full "$(cache_of full)"
	mount_fs full --no-dht --no-lpd --ram 32MiB
	add full big.bin "$libtorrent_ip:6881"
	equal full big.bin 60
	contains "$(log_of full)" "no room"
	contains "$("$magnetfs" cache show "$tmp/mnt/full")" "no room"
	umount_fs full
	umount "$(cache_of full)"
	rmdir "$(cache_of full)"
	touch "$(cache_of full)"
	mount_fs full --no-dht --no-lpd
	equal full big.bin 60
	contains "$(log_of full)" "nothing is kept on disk"
	umount_fs full
}
