# Reads that wait: on a mount with two torrents whose only peer has everything and sends nothing.

dead_mount() {
	if mounted "$tmp/mnt/dead"; then return; fi
	fake dead dead.bin 7201
	fake dead dead-two.bin 7202
	mount_fs dead --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	add dead dead.bin "$fake:7201"
	add dead dead-two.bin "$fake:7202"
	soon 10 test -e "$tmp/mnt/dead/dead.bin/dead.bin"
}

# Both torrents have the same name, so one has its hash behind it.
dead_file() { echo "$tmp/mnt/dead/$(hash_of dead.bin)/dead.bin"; }

interrupts() {
	dead_mount
	blocked --signal "$1" --within "${within:-0.5}" -- "${@:2}"
	blocked --signal "$1" --within "${within:-0.5}" -- "${@:2}" # the file is none the worse for it
}

ctrl_c_in_cat() {
	dead_mount
	interrupts INT cat "$(dead_file)"
}

ctrl_c_in_dd() {
	dead_mount
	interrupts INT dd if="$(dead_file)" of=/dev/null bs=1M
}

ctrl_c_in_python() {
	dead_mount
	interrupts INT "$python" "$here/reader.py" hang "$(dead_file)"
}

ctrl_c_in_mpv() {
	dead_mount
	within=1 interrupts INT mpv --no-config --vo=null --ao=null "$(dead_file)"
}

kill_9() {
	dead_mount
	within=1 interrupts KILL dd if="$(dead_file)" of=/dev/null bs=1M
}


kill_9_of_a_mapped_reader() {
	dead_mount
	within=1 interrupts KILL "$python" -c 'import mmap,sys; f=open(sys.argv[1],"rb"); print(mmap.mmap(f.fileno(),0,prot=1)[5000000])' "$(dead_file)"
}

# A signal that a program neither ends by nor handles disturbs no read.
harmless_signals() {
	dead_mount
	"$python" - "$(dead_file)" <<-'END'
		import os, signal, subprocess, sys, time
		p = subprocess.Popen(['cat', sys.argv[1]], stderr=subprocess.PIPE)
		for s in (signal.SIGURG, signal.SIGWINCH, signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGCONT, signal.SIGURG):
		    time.sleep(0.3)
		    p.send_signal(s)
		time.sleep(0.5)
		assert p.poll() is None, 'cat ended: %s' % p.stderr.read()
		p.kill()
		assert p.wait(1) == -9
	END
}

# Neither a great many blocked readers nor a stalled player slow another torrent.
dead_torrent_slows_nobody() {
	local readers=() i n=60
	dead_mount
	for ((i = 0; i < n; i++)); do
		dd if="$(dead_file)" of=/dev/null bs=256k skip=$((i % 30)) status=none 2>/dev/null &
		readers+=($!)
	done
	sleep 1
	for i in "${readers[@]}"; do kill -0 "$i" || fail "a read of a dead torrent ended"; done
	quick 200 ls "$tmp/mnt/dead"
	quick 500 stat "$(dead_file)"
	add dead from-libtorrent.bin
	soon 5 test -e "$tmp/mnt/dead/from-libtorrent.bin/from-libtorrent.bin"
	quick 3000 cmp "$tmp/mnt/dead/from-libtorrent.bin/from-libtorrent.bin" "$tmp/data/from-libtorrent.bin"
	kill -KILL "${readers[@]}"
	for i in "${readers[@]}"; do soon 1 gone "$i"; done
	drop dead from-libtorrent.bin
}

# A read ends with an error, not with a short count, when its data does not come.
read_times_out() {
	local start err
	fake dead dead.bin 7203
	mount_fs patience --no-lpd --no-dht --read-timeout 2s --stall-timeout 2s
	add patience dead.bin "$fake:7203"
	soon 5 test -e "$tmp/mnt/patience/dead.bin/dead.bin"
	start=$(now)
	refuses "timed out" timeout 30 dd if="$tmp/mnt/patience/dead.bin/dead.bin" of=/dev/null bs=1M count=1
	start=$(($(now) - start))
	[ "$start" -ge 1500 ] && [ "$start" -le 8000 ] || fail "after $start ms"
	umount_fs patience
}

removing_ends_reads() {
	local reader
	dead_mount
	cat "$tmp/mnt/dead/$(hash_of dead-two.bin)/dead.bin" >/dev/null 2>"$tmp/log/removed" &
	reader=$!
	sleep 0.5
	kill -0 "$reader"
	quick 1000 rmdir "$tmp/mnt/dead/$(hash_of dead-two.bin)"
	soon 1 gone "$reader"
	contains "$(cat "$tmp/log/removed")" "Stale file handle"
}

# After readers were killed and torrents removed, the process is as it was.
nothing_accumulates() {
	local pid before i readers=()
	fake dead dead.bin 7204
	mount_fs leak --no-dht --no-lpd
	pid=$(pid_of leak)
	add leak xpe.bin "$libtorrent_ip:6881" # once, for what is made at the first use
	equal leak xpe.bin
	drop leak xpe.bin
	sleep 1
	before=$(ls "/proc/$pid/fd" | wc -l)
	add leak dead.bin "$fake:7204"
	add leak xpe.bin "$libtorrent_ip:6881"
	equal leak xpe.bin
	soon 5 test -e "$tmp/mnt/leak/dead.bin/dead.bin"
	for i in {1..50}; do
		cat "$tmp/mnt/leak/dead.bin/dead.bin" >/dev/null 2>&1 &
		readers+=($!)
		head -c 100 "$tmp/mnt/leak/xpe.bin/xpe.bin" >/dev/null
	done
	sleep 0.5
	kill -KILL "${readers[@]}"
	for i in "${readers[@]}"; do soon 1 gone "$i"; done
	drop leak xpe.bin dead.bin
	soon 10 few_descriptors "$pid" "$before"
	umount_fs leak
}

few_descriptors() { [ "$(ls "/proc/$1/fd" | wc -l)" -le "$2" ]; }

umount_ends_reads() {
	local reader pid
	dead_mount
	pid=$(pid_of dead)
	cat "$(dead_file)" >/dev/null 2>"$tmp/log/ended" &
	reader=$!
	sleep 0.5
	kill -0 "$reader"
	quick 3000 umount_fs dead
	soon 1 gone "$reader"
	gone "$pid" || fail "the process is still there"
	[ -s "$tmp/log/ended" ] || fail "cat ended without an error"
}
