# The units of the package, started by a systemd: a user's own one (systemd --user), which needs no machine that was booted
# with it. It runs in the copy of the system that the package was installed into, see packaging.sh.

service_user=65534
service_home=/home/served

cgroup=$(basename "${tmp%/run}") # of the manager and its services; cgroups are the kernel's, so it has a name of its own

# as_served COMMAND…: in the copy, as the user whose manager runs.
as_served() {
	env -i HOME=$service_home TERM=dumb LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin XDG_RUNTIME_DIR=/run/user/$service_user \
		chroot --userspec=$service_user:$service_user "$system" "$@"
}

# ctl COMMAND…: systemctl of that user.
ctl() { as_served timeout 40 systemctl --user --no-pager "$@"; }

# property UNIT NAME: as systemd has it.
property() { ctl show --value -p "$2" "$1"; }
has_property() { [ "$(property "$1" "$2")" = "$3" ]; }

manager_up() {
	mount -t tmpfs none "$system/run"
	mkdir -p "$system/run/systemd/system" # by which systemd knows that it is there
	install -d -m 700 -o $service_user -g $service_user "$system/run/user/$service_user" "$system$service_home"
	mount -t tmpfs none "$system/sys/fs/cgroup"
	mkdir "$system/sys/fs/cgroup/unified"
	mount -t cgroup2 none "$system/sys/fs/cgroup"
	mkdir "$system/sys/fs/cgroup/$cgroup"
	(
		sh -c 'echo $PPID' >"$system/sys/fs/cgroup/$cgroup/cgroup.procs"
		chown -R $service_user:$service_user "$system/sys/fs/cgroup/$cgroup"
		as_served /usr/lib/systemd/systemd --user
	) >"$tmp/log/systemd-user" 2>&1 &
	manager=$!
	trap manager_down EXIT
	soon 20 ctl is-system-running
}

units_of_a_user() {
	local manager m=$system$service_home/magnetfs unit=magnetfs.service pid
	manager_up
	install -d -o $service_user "$system$service_home/.config" "$system$service_home/.config/magnetfs" "$system$service_home/.config/systemd/user/$unit.d"
	printf 'no-dht = true\nno-lpd = true\ndisk = 0\n' >"$system$service_home/.config/magnetfs/config.toml"
	printf '[Service]\nRestartSec=200ms\n' >"$system$service_home/.config/systemd/user/$unit.d/soon.conf"
	chown -R $service_user:$service_user "$system$service_home/.config"
	ctl daemon-reload
	ctl enable --now $unit # which returns when it is ready
	mounted "$m"
	same "$(property $unit ActiveState)" active
	[ -e "$system$service_home/.config/systemd/user/default.target.wants/$unit" ] || [ -L "$system$service_home/.config/systemd/user/default.target.wants/$unit" ] || fail "not enabled"
	contains "$(ctl status $unit)" "Status: \"$service_home/magnetfs: 0 torrents, 0 B/s down, 0 B/s up\""
	as_served mkdir "$service_home/magnetfs/0123456789abcdef0123456789abcdef01234567"
	ctl reload $unit
	sleep 0.5
	same "$(property $unit ActiveState)" active
	ctl restart $unit
	as_served test -d "$service_home/magnetfs/0123456789abcdef0123456789abcdef01234567"
	# It crashes: the next one mends the mount that is left.
	pid=$(property $unit MainPID)
	kill -KILL "$pid"
	soon 20 has_property $unit NRestarts 1
	soon 20 has_property $unit ActiveState active
	as_served test -d "$service_home/magnetfs/0123456789abcdef0123456789abcdef01234567"
	ctl stop $unit
	free "$m"
	same "$(property $unit Result)" success
	same "$(property $unit ExecMainStatus)" 0
	# What trying again does not mend is not tried again.
	echo 'port = 77777' >>"$system$service_home/.config/magnetfs/config.toml"
	exits 1 ctl start $unit
	same "$(property $unit ExecMainStatus) $(property $unit ActiveState)" "2 failed"
	sed -i '/port/d' "$system$service_home/.config/magnetfs/config.toml"
	ctl disable $unit

	unit="magnetfs@$(as_served systemd-escape --path "$service_home/films here").service"
	ctl start "$unit"
	as_served mountpoint -q "$service_home/films here"
	ctl stop "$unit"
	same "$(property "$unit" Result)" success
	manager_down
}

# manager_down ends it and what it started, and takes its cgroup away, which would outlive us.
manager_down() {
	trap - EXIT
	ctl exit && wait "$manager" || true
	if [ -e "$system/sys/fs/cgroup/$cgroup/cgroup.kill" ]; then echo 1 >"$system/sys/fs/cgroup/$cgroup/cgroup.kill"; fi
	soon 5 find "$system/sys/fs/cgroup/$cgroup" -depth -type d -exec rmdir {} +
	umount "$system/sys/fs/cgroup"
	umount "$system/sys/fs/cgroup"
	umount "$system/run"
	rm -r "${system:?}$service_home"
}

# A line of fstab with "user": mount(8), which is root's by its set-uid bit, lets an ordinary user mount it, as himself.
mount_by_a_user() {
	install -d -o 65534 -g 65534 "$tmp/user" "$tmp/user/helper-home" "$tmp/user/mine"
	sed "s#^nobody:.*#nobody:x:65534:65534:nobody:$tmp/user/helper-home:/bin/sh#" /etc/passwd >"$tmp/passwd"
	said=$(in_sbin '
		mount --bind "$tmp/passwd" /etc/passwd
		m=$tmp/user/mine
		echo "none $m magnetfs noauto,user,no-dht,no-lpd,disk=0 0 0" >/etc/fstab
		as="setpriv --reuid 65534 --regid 65534 --clear-groups -- env -i HOME=$tmp/user/helper-home PATH=$PATH"
		$as mount "$m"
		grep " $m fuse.magnetfs " /proc/mounts
		$as mkdir "$m/0123456789abcdef0123456789abcdef0123456a"
		$as stat -c "process of %U" /proc/$($as cat "$m/.magnetfs/pid")
		stat -c "state of %U" "$tmp/user/helper-home/.local/state/magnetfs"
		$as umount "$m"
		grep -q " $m fuse.magnetfs " /proc/mounts || echo "unmounted by him"
	' 2>&1) || fail "$said"
	contains "$said" "magnetfs:nobody $tmp/user/mine fuse.magnetfs rw,nosuid,nodev,noexec"
	contains "$said" "user_id=65534"
	contains "$said" "process of nobody"
	contains "$said" "state of nobody"
	contains "$said" "unmounted by him"
}
