# Trouble: a process that is killed, a disk that is full or broken.

# stuck_mount NAME: there is a mount whose process was killed and cannot end, since the kernel has it wait for a program that
# waits for it.
stuck_mount() {
	local dir=$tmp/mnt/$1
	mkdir -p "$dir"
	"$python" "$here/stuck.py" "$dir" &
	stuck=$!
	soon 5 mounted "$dir"
	mkdir "$dir/name" 2>"$tmp/log/stuck" &
	waiting=$!
	soon 5 grep -q '^State:.*Z' "/proc/$stuck/status"
}

# Nothing but an end of the connection ends such a process: whoever mounts there again, or unmounts, does that.
killed_process_that_hangs() {
	local stuck waiting
	stuck_mount stuck
	mount_fs stuck --no-dht --no-lpd
	wait "$waiting" && fail "mkdir succeeded"
	contains "$(log_of stuck)" "hangs in the kernel"
	mkdir "$tmp/mnt/stuck/$(hash_of dead.bin)"
	umount_fs stuck

	stuck_mount stuck
	quick 4000 umount_fs stuck
	wait "$waiting" && fail "mkdir succeeded"
	free "$tmp/mnt/stuck"
	soon 2 gone "$stuck"
}

# The process is killed again and again while it is worked hard, and nothing is lost that mattered. MAGNETFS_KILLS=100 for
# the long run, MAGNETFS_SEED for another one.
killed_again_and_again() {
	mkdir -p "$tmp/mnt/crash"
	XDG_STATE_HOME=$tmp/state/crash XDG_CACHE_HOME=${tmp%/run}/cache/crash "$python" "$here/crash.py" \
		"${MAGNETFS_KILLS:-5}" "${MAGNETFS_SEED:-1}" "$magnetfs" "$tmp/mnt/crash" "$libtorrent_ip:6881" "$tmp/data" "$tmp/torrents" \
		big.bin hurt.bin from-libtorrent.bin
}

# warned MOUNT PART: status warns, and the log did once.
warned() {
	soon 10 status_warns "$1"
	contains "$("$magnetfs" status "$tmp/mnt/$1" | head -n 1)" "$2"
	same "$(log_of "$1" | grep -c -e 'level=WARN.*the disk cache is off' -e 'level=WARN.*nothing is kept on disk')" 1
}

status_warns() { "$magnetfs" status "$tmp/mnt/$1" | head -n 1 | grep -q '^Warning: .*memory only'; }

# on_disk MOUNT NAME: all of it is in the cache of the disk.
on_disk() { [ "$(du -k "$(cache_of "$1")/$(hash_of "$2")/data/$2" | cut -f1)" -ge $(($(stat -c %s "$tmp/data/$2") >> 10)) ]; }

# A file system with room, on which no file can be made, and one that is read-only.
disk_refuses() {
	mkdir -p "$(cache_of refusing)"
	mount -t tmpfs -o size=20g,nr_inodes=4 magnetfs-refusing "$(cache_of refusing)"
	mount_fs refusing --no-dht --no-lpd --ram 32MiB
	add refusing hurt.bin "$libtorrent_ip:6881"
	equal refusing hurt.bin
	warned refusing "no space left on device"
	umount_fs refusing
	rm "$tmp/state/refusing/magnetfs/magnetfs.log"
	mount -o remount,ro "$(cache_of refusing)"
	mount_fs refusing --no-dht --no-lpd --ram 32MiB
	equal refusing hurt.bin
	warned refusing "read-only file system"
	umount_fs refusing
	umount "$(cache_of refusing)"
}

# A disk that loses what it said it had taken, and then fails altogether.
disk_breaks() {
	local dir=$tmp/broken cache
	cache=$(cache_of broken)
	mkdir -p "$dir" "$cache"
	mount -t tmpfs -o size=24m magnetfs-broken "$dir" # less than the file system on it believes
	truncate -s 8G "$dir/image"
	mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=1,nodiscard "$dir/image"
	mount -o loop "$dir/image" "$cache"
	mount_fs broken --no-dht --no-lpd --ram 32MiB
	add broken hurt.bin "$libtorrent_ip:6881"
	equal broken hurt.bin
	soon 10 on_disk broken hurt.bin
	add broken big.bin "$libtorrent_ip:6881"
	equal broken big.bin 60
	warned broken "no space left on device"
	"$python" "$here/disk.py" forget "$cache" # what was not written is gone
	equal broken big.bin 60
	equal broken hurt.bin
	exec 3<"$tmp/mnt/broken/hurt.bin/hurt.bin"
	"$python" "$here/disk.py" shutdown "$cache"
	cat <&3 >"$tmp/read" || contains "$(cat "$tmp/mnt/broken/.magnetfs/by-hash/$(hash_of hurt.bin)/reads")" "passed through"
	cmp -n "$(stat -c %s "$tmp/read")" "$tmp/read" "$tmp/data/hurt.bin"
	exec 3<&-
	equal broken hurt.bin
	equal broken big.bin 60
	warned broken "no space left on device"
	umount_fs broken
	umount "$cache" "$dir"
}
