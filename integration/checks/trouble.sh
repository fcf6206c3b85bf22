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
