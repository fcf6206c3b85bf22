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
	soon 10 status_starts "$1" '^Warning: .*memory only'
	contains "$("$magnetfs" status "$tmp/mnt/$1" | head -n 1)" "$2"
	contains "$(cat "$tmp/mnt/$1/.magnetfs/warnings")" "$2"
	same "$(log_of "$1" | grep -c -e 'level=WARN.*the disk cache is off' -e 'level=WARN.*nothing is kept on disk')" 1
}

status_starts() { "$magnetfs" status "$tmp/mnt/$1" | head -n 1 | grep -q "$2"; }

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
	mount -o remount,bind,ro "$(cache_of refusing)"
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
	cmp <(tail -c 9999999 "$tmp/mnt/broken/big.bin/big.bin") <(tail -c 9999999 "$tmp/data/big.bin")
	warned broken "no space left on device"
	umount_fs broken
	umount "$cache" "$dir"
}

# Where the list of torrents is kept there is no room. Adding goes on, with a warning, and it is saved when there is.
state_is_full() {
	local state=$tmp/state/unsaved/magnetfs mnt=$tmp/mnt/unsaved
	mkdir -p "$state"
	mount -t tmpfs -o size=2m magnetfs-unsaved "$state"
	mount_fs unsaved --no-dht --no-lpd --disk 0 --log-file "$tmp/state/unsaved/log"
	mkdir "$mnt/$(hash_of dead.bin)"
	dd if=/dev/zero of="$state/filling" bs=4k 2>/dev/null || true
	cp "$(torrent_of big.bin)" "$mnt/" # its metadata is larger than what the database has to spare
	mkdir "$mnt"/{1,2,3,4,5,6,7,8,9}"$(head -c 39 /dev/zero | tr '\0' a)"
	soon 10 status_starts unsaved "Warning: .*no space left on device: what is added"
	same "$(ls "$mnt" | wc -l)" 11
	same "$(grep -c 'level=ERROR' "$tmp/state/unsaved/log")" 1
	rm "$state/filling"
	umount_fs unsaved
	mount_fs unsaved --no-dht --no-lpd --disk 0
	same "$(ls "$mnt" | wc -l)" 11
	umount_fs unsaved
	umount "$state"
}

# The folder of the cache is removed while it is used.
cache_is_removed() {
	mount_fs vanished --no-dht --no-lpd
	add vanished hurt.bin "$libtorrent_ip:6881"
	equal vanished hurt.bin
	soon 10 on_disk vanished hurt.bin
	rm -rf "$(cache_of vanished)"
	equal vanished hurt.bin
	umount_fs vanished
	mount_fs vanished --no-dht --no-lpd
	equal vanished hurt.bin
	soon 10 on_disk vanished hurt.bin
	umount_fs vanished
}
