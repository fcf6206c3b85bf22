# The command line, and the life of a mount.

help_and_usage() {
	exits 0 "$magnetfs" --help
	contains "$said" "magnetfs mount ~/t"
	exits 0 "$magnetfs" version
	contains "$said" "magnetfs "
	exits 0 "$magnetfs" completion bash
	bash -n <<<"$said"
	exits 2 "$magnetfs" mount
	exits 2 "$magnetfs" mount --no-such-flag "$tmp/x"
	exits 2 "$magnetfs" mount --ram much "$tmp/x"
	exits 2 "$magnetfs" mount --ram 1KiB "$tmp/x"
	exits 2 "$magnetfs" mount --dht-bootstrap nowhere "$tmp/x"
	exits 2 "$magnetfs" mount --port 70000 "$tmp/x"
	exits 2 "$magnetfs" nonsense
	exits 7 "$magnetfs" umount "$tmp"
	exits 7 "$magnetfs" status "$tmp"
	absent "$tmp/x"
}

# The mount that most other checks use: peers by DHT only.
mount_in_background() {
	local pid out
	out=$(mount_fs main --no-lpd --dht-bootstrap "$(dht_addrs 3)" --port 7001)
	contains "$out" "mkdir"
	same "$(wc -l <<<"$out")" 1
	mounted "$tmp/mnt/main"
	grep -q "^magnetfs:[^ ]* $tmp/mnt/main fuse.magnetfs " /proc/mounts
	ls "$tmp/mnt/main"
	stat "$tmp/mnt/main" >/dev/null
	pid=$(pid_of main)
	same "$(ps -o sid= -p "$pid" | tr -d ' ')" "$pid" # a session of its own, no terminal
	same "$(readlink "/proc/$pid/cwd")" /
	same "$(cat "$tmp/state/main/magnetfs/port" 2>/dev/null)" "" # it was asked for, not chosen
}

mount_refusals() {
	mkdir -p "$tmp/full/file"
	touch "$tmp/plain"
	exits 4 mount_fs main
	contains "$said" "already"
	exits 4 env XDG_STATE_HOME="$tmp/state/other" "$magnetfs" mount "$tmp/full"
	contains "$said" "not empty"
	exits 4 env XDG_STATE_HOME="$tmp/state/other" "$magnetfs" mount "$tmp/plain"
	exits 4 env XDG_STATE_HOME="$tmp/state/other" "$magnetfs" mount /proc
	exits 5 env XDG_STATE_HOME="$tmp/state/other" "$magnetfs" mount "$tmp/mnt/second" --state-dir "$tmp/state/main/magnetfs"
	contains "$said" "--state-dir"
	exits 6 env XDG_STATE_HOME="$tmp/state/other" "$magnetfs" mount "$tmp/mnt/second" --port 7001
}

# A second mount at the same time has torrents of its own, and both have theirs in whatever order they are mounted again. The
# state and the cache are at one place here, as some people have them.
second_mount() {
	local home=$tmp/state/both one=$tmp/mnt/one two=$tmp/mnt/two flags=(--no-dht --no-lpd) dir
	both() { XDG_STATE_HOME=$home XDG_CACHE_HOME=$home timeout 20 "$magnetfs" "$@"; }
	both mount "$one" "${flags[@]}"
	same "$(both mount "$two" "${flags[@]}" | tail -n 1)" \
		"Its torrents are its own, and kept in $(echo "$home"/magnetfs/mounts/two-*): those in $home/magnetfs are of $one."
	mkdir "$one/$(hash_of dead.bin)" "$two/$(hash_of dead-two.bin)"
	cp "$(torrent_of hurt.bin)" "$two/"
	contains "$(both cache show "$two")" "used"
	both umount "$one"
	both umount "$two"
	same "$(both mount "$two" "${flags[@]}" | wc -l)" 1
	same "$(ls "$two")" "$(hash_of dead-two.bin)"$'\n'hurt.bin
	both mount "$one" "${flags[@]}"
	same "$(ls "$one")" "$(hash_of dead.bin)"
	for dir in "$one" "$two"; do both umount "$dir"; done
	both mount "$tmp/mnt/three" "${flags[@]}" # alone, it has the usual ones
	same "$(ls "$tmp/mnt/three")" "$(hash_of dead.bin)"
	both umount "$tmp/mnt/three"
}

port_is_kept() {
	local port
	mount_fs port --no-dht --no-lpd
	port=$(cat "$tmp/state/port/magnetfs/port")
	ss -ltn | grep -q ":$port "
	umount_fs port
	mount_fs port --no-dht --no-lpd
	ss -ltn | grep -q ":$port "
	umount_fs port
}

# Bootstrap names that cannot be resolved must not hold up the mount.
unresolvable_names() {
	quick 3000 mount_fs unresolvable --no-lpd --dht-bootstrap "no-such-host.example:6881,$(dht_addrs 1)"
	quick 1000 ls "$tmp/mnt/unresolvable"
	umount_fs unresolvable
}

foreground_and_signals() {
	local s out
	for s in INT TERM HUP; do
		out=$(XDG_STATE_HOME=$tmp/state/front blocked --signal $s --after 1 --within 3 -- \
			"$magnetfs" mount -f --no-dht --no-lpd "$tmp/mnt/front" 2>"$tmp/log/front") || fail "$s: $out; $(cat "$tmp/log/front")"
		contains "$out" "is mounted"
		contains "$out" "status 0"
		free "$tmp/mnt/front"
	done
}

# A program that stays in the mount holds the first signal up for 5 s; the second one ends it at once.
second_signal_forces() {
	local pid sitter
	mount_fs busy --no-dht --no-lpd
	pid=$(pid_of busy)
	(cd "$tmp/mnt/busy" && exec sleep 60) &
	sitter=$!
	sleep 0.2
	kill -TERM "$pid"
	sleep 0.5
	kill -0 "$pid" || fail "did not wait for the program in the mount"
	kill -TERM "$pid"
	soon 1 gone "$pid"
	free "$tmp/mnt/busy"
	kill "$sitter"
}

busy_mount_is_detached() {
	local pid sitter
	mount_fs busy --no-dht --no-lpd
	pid=$(pid_of busy)
	(cd "$tmp/mnt/busy" && exec sleep 60) &
	sitter=$!
	sleep 0.2
	quick 8000 umount_fs busy
	free "$tmp/mnt/busy"
	gone "$pid"
	kill "$sitter"
}

unmounted_by_others() {
	local pid
	mount_fs others --no-dht --no-lpd
	pid=$(pid_of others)
	umount "$tmp/mnt/others"
	soon 3 gone "$pid"
}

killed_mount_is_repaired() {
	local pid
	mount_fs killed --no-dht --no-lpd
	pid=$(pid_of killed)
	kill -KILL "$pid"
	soon 2 gone "$pid"
	refuses "not connected" ls "$tmp/mnt/killed"
	mount_fs killed --no-dht --no-lpd
	ls "$tmp/mnt/killed"
	kill -KILL "$(pid_of killed)"
	sleep 0.2
	umount_fs killed # a dead mount too
	free "$tmp/mnt/killed"
}

# A process that is stopped cannot answer; nobody may hang with it.
stopped_process() {
	local pid
	mount_fs stopped --no-dht --no-lpd
	pid=$(pid_of stopped)
	kill -STOP "$pid"
	exits 4 mount_fs stopped
	quick 10000 umount_fs stopped
	free "$tmp/mnt/stopped"
	kill -KILL "$pid"
}

no_fuse_device() {
	said=$(unshare -m bash -c '
		touch "$1/null" && mount --bind /dev/null "$1/null" && mount -t tmpfs none /dev && touch /dev/null &&
		mount --bind "$1/null" /dev/null && XDG_STATE_HOME=$1/state/other timeout 10 "$2" mount "$1/mnt/nodev"
	' - "$tmp" "$magnetfs" 2>&1) && fail "mounted without /dev/fuse: $said"
	contains "$said" "/dev/fuse"
	contains "$said" "modprobe fuse"
}

# as_user COMMAND…: as an ordinary user, with a HOME that is his.
as_user() { setpriv --reuid 65534 --regid 65534 --clear-groups -- env HOME="$tmp/user" XDG_STATE_HOME="$tmp/user/state" "$@"; }

# For ordinary users fusermount3 mounts.
ordinary_user() {
	install -d -o 65534 -g 65534 "$tmp/user"
	as_user timeout 20 "$magnetfs" mount "$tmp/user/t" --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	as_user mkdir "$tmp/user/t/$(hash_of user.bin)"
	as_user timeout 12 ls "$tmp/user/t/$(hash_of user.bin)" # waits for the metadata
	as_user timeout 20 cmp "$tmp/user/t/$(hash_of user.bin)/user.bin" "$tmp/data/user.bin"
	same "$(as_user stat -c '%u %a' "$tmp/user/t/user.bin/user.bin")" "65534 444"
	as_user timeout 20 "$magnetfs" umount "$tmp/user/t"
	free "$tmp/user/t"
}

# Root cannot look into a user's mount, so it cannot ask for the process; it unmounts all the same.
root_unmounts_a_users_mount() {
	as_user timeout 20 "$magnetfs" mount "$tmp/user/by-root" --no-lpd --no-dht
	timeout 20 "$magnetfs" umount "$tmp/user/by-root"
	free "$tmp/user/by-root"
}

allow_other_is_checked() {
	exits 3 as_user "$magnetfs" mount "$tmp/user/other" --no-dht --no-lpd --allow-other
	contains "$said" "user_allow_other"
	echo user_allow_other >"$tmp/fuse.conf"
	said=$(unshare -m bash -c 'mount --bind "$1/fuse.conf" /etc/fuse.conf && shift && exec "$@"' - "$tmp" \
		setpriv --reuid 65534 --regid 65534 --clear-groups -- env XDG_STATE_HOME="$tmp/user/state" HOME="$tmp/user" bash -c '
		"$0" mount "$1" --no-dht --no-lpd --allow-other && grep -q "$1.*allow_other" /proc/mounts && "$0" umount "$1"
	' "$magnetfs" "$tmp/user/other" 2>&1) || fail "with user_allow_other: $said"
}

no_fusermount() {
	said=$(unshare -m bash -c 'mount --bind /dev/null "$(readlink -f "$(command -v fusermount3)")" && exec "$@"' - \
		setpriv --reuid 65534 --regid 65534 --clear-groups -- env XDG_STATE_HOME="$tmp/user/state" HOME="$tmp/user" \
		"$magnetfs" mount "$tmp/user/none" --no-dht --no-lpd 2>&1) && fail "mounted without fusermount3: $said"
	contains "$said" "apt install fuse3"
}

no_right_to_fuse() {
	said=$(unshare -m bash -c 'mknod -m 600 "$1/closed" c 10 229 && mount --bind "$1/closed" /dev/fuse && shift && exec "$@"' - "$tmp" \
		setpriv --reuid 65534 --regid 65534 --clear-groups -- env XDG_STATE_HOME="$tmp/user/state" HOME="$tmp/user" \
		"$magnetfs" mount "$tmp/user/closed" --no-dht --no-lpd 2>&1) && fail "mounted without the right to: $said"
	contains "$said" "/dev/fuse"
}

restart_keeps_torrents() {
	local before after
	before=$(cd "$tmp/mnt/main" && stat -c '%i %Y %n' -- * */*)
	umount_fs main
	mount_fs main --no-lpd --dht-bootstrap "$(dht_addrs 3)" --port 7001
	after=$(cd "$tmp/mnt/main" && stat -c '%i %Y %n' -- * */*)
	same "$after" "$before"
	equal main tree
}

nothing_left() {
	local name
	for name in "$tmp"/mnt/* "$tmp"/user/*; do
		if mounted "$name"; then timeout 25 "$magnetfs" umount "$name"; fi
	done
	same "$(grep " $tmp/.* fuse.magnetfs" /proc/mounts || true)" "" # of others the table may have a copy
	soon 2 none_runs
	same "$(grep -l -e '^panic' -e '^fatal error' -e '^goroutine [0-9]* \[' "$tmp"/state/*/magnetfs/*.log || true)" ""
}

none_runs() { [ -z "$(pgrep -x magnetfs)" ]; }
