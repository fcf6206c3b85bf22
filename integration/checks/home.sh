# Several mounts in one home.

# mount_home N FLAG…: a mount on the host home$N; its name is the host's.
mount_home() {
	local name=home$1
	shift
	XDG_STATE_HOME=$tmp/state/$name XDG_CACHE_HOME=${tmp%/run}/cache/$name in_space "$name" timeout 20 "$magnetfs" mount "$tmp/mnt/$name" --log-level debug "$@"
}

# Who reads the same at the same time draws about one copy through the line, the rest comes from each other.
home_draws_one_copy() {
	local i before size readers=()
	home_up 40mbit
	size=$(stat -c %s "$tmp/data/home.bin")
	for i in 1 2 3; do mount_home "$i" --dht-bootstrap "$(dht_addrs 3)"; done
	for i in 1 2 3; do
		add "home$i" home.bin
		soon 15 test -e "$tmp/mnt/home$i/home.bin/home.bin"
	done
	before=$(drawn)
	for i in 1 2 3; do
		timeout 90 cmp "$tmp/mnt/home$i/home.bin/home.bin" "$tmp/data/home.bin" &
		readers+=($!)
	done
	for i in "${readers[@]}"; do wait "$i"; done
	before=$((($(drawn) - before) * 100 / size))
	echo "three mounts drew $before % of the file"
	for i in 1 2 3; do umount_fs "home$i"; done
	[ "$before" -le 150 ] || fail "three mounts drew $before % of the file"
}
