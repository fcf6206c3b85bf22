# The command line beside mounting: mount(8) and fstab, systemd, the log, settings, doctor, pages and completion.

# in_sbin COMMAND…: with our helper where mount(8) looks for it, and an fstab of our own. The mounts it makes go with it.
in_sbin() {
	mkdir -p "$tmp"/sbin/{lower,upper,work} "$tmp"/mnt/{helper,fstab}
	cat >"$tmp/fstab" <<-END
		none $tmp/mnt/fstab magnetfs ro,noauto,_netdev,nofail,x-systemd.automount,comment=hello,allow_other,no-dht,no_lpd,disk=0 0 0
	END
	unshare --mount --propagation private bash -euc '
		mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$1/sbin/upper,workdir=$1/sbin/work" sbin /usr/sbin
		ln -sf "$1/magnetfs" /usr/sbin/mount.magnetfs
		mkdir -p "$1/var"
		for d in lib cache; do mkdir -p "$1/var/$d" && mount --bind "$1/var/$d" "/var/$d"; done
		touch /etc/fstab && mount --bind "$1/fstab" /etc/fstab
		tmp=$1
		cd /
		'"$1" - "$tmp" "${@:2}"
}

mount_by_mount() {
	said=$(env -u HOME -u XDG_STATE_HOME bash -c "$(declare -f in_sbin); tmp=$tmp; in_sbin \"\$@\"" - '
		mount -t magnetfs none "$tmp/mnt/helper" -o no-dht,no-lpd
		grep " $tmp/mnt/helper fuse.magnetfs " /proc/mounts
		mkdir "$tmp/mnt/helper/0123456789abcdef0123456789abcdef01234567"
		umount "$tmp/mnt/helper"
		ls /var/lib/magnetfs/ # its own folder of root
	' 2>&1) || fail "$said"
	contains "$said" "rw,nosuid,nodev"
	contains "$said" "-mnt-helper"
	said=$(in_sbin 'mount -t magnetfs none "$tmp/mnt/helper" -o no-dht,colour=red' 2>&1) && fail "took an unknown option: $said"
	contains "$said" '"colour" is unknown'
	said=$(in_sbin 'mount -t magnetfs none "$tmp/mnt/helper" -o noexec,allow_othre' 2>&1) && fail "took an unknown option: $said"
	contains "$said" "did you mean allow_other?"
}

mount_by_fstab() {
	said=$(in_sbin '
		mount "$tmp/mnt/fstab"
		grep " $tmp/mnt/fstab fuse.magnetfs " /proc/mounts
		mkdir "$tmp/mnt/fstab/0123456789abcdef0123456789abcdef01234567" || true
		umount "$tmp/mnt/fstab"
	' 2>&1) || fail "$said"
	contains "$said" "ro,nosuid,nodev"
	contains "$said" "allow_other"
	contains "$said" "Read-only file system"
}

# As another user: root mounts, a process of his serves, with his files.
mount_for_a_user() {
	install -d -o 65534 -g 65534 "$tmp/user" "$tmp/user/helper-home"
	sed "s#^nobody:.*#nobody:x:65534:65534:nobody:$tmp/user/helper-home:/bin/sh#" /etc/passwd >"$tmp/passwd"
	said=$(in_sbin '
		mount --bind "$tmp/passwd" /etc/passwd
		mount -t magnetfs none "$tmp/mnt/helper" -o uid=nobody,no-dht,no-lpd,disk=0
		grep " $tmp/mnt/helper fuse.magnetfs " /proc/mounts
		as="setpriv --reuid 65534 --regid 65534 --clear-groups --"
		$as mkdir "$tmp/mnt/helper/0123456789abcdef0123456789abcdef01234567"
		$as stat -c "%U owns it" "$tmp/mnt/helper"
		$as stat -c "process of %U" /proc/$($as cat "$tmp/mnt/helper/.magnetfs/pid")
		stat -c "state of %U" "$tmp/user/helper-home/.local/state/magnetfs"
		cat "$tmp/mnt/helper/.magnetfs/pid" || true
		umount "$tmp/mnt/helper"
	' 2>&1) || fail "$said"
	contains "$said" "magnetfs:nobody"
	contains "$said" "user_id=65534"
	contains "$said" "nobody owns it"
	contains "$said" "process of nobody"
	contains "$said" "state of nobody"
	contains "$said" "Permission denied" # root is nobody's friend
	exits 1 bash -c "exec -a mount.magnetfs '$magnetfs' none '$tmp/mnt/helper' -o uid=no-such-user"
}

# told TEXT: systemd, which is us, has been told.
told() { grep -qx -e "$1" "$tmp/told"; }

tells_systemd() {
	local listener pid
	: >"$tmp/told"
	"$python" -u -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True: print(s.recv(4096).decode(), flush=True)' "$tmp/notify" >"$tmp/told" &
	listener=$!
	soon 5 test -S "$tmp/notify"
	XDG_STATE_HOME=$tmp/state/systemd NOTIFY_SOCKET=$tmp/notify WATCHDOG_USEC=900000 "$magnetfs" mount -f --no-dht --no-lpd --disk 0 "$tmp/mnt/systemd" >"$tmp/log/systemd" 2>&1 &
	pid=$!
	soon 10 told "READY=1"
	mounted "$tmp/mnt/systemd"
	soon 5 told "STATUS=$tmp/mnt/systemd: 0 torrents, 0 B/s down, 0 B/s up"
	: >"$tmp/told"
	soon 3 told "WATCHDOG=1"
	kill -TERM "$pid"
	soon 10 told "STOPPING=1"
	wait "$pid"
	kill "$listener"
}

# Under systemd the journal has time and level; the log has them otherwise. SIGHUP opens a log file again.
log_for_everybody() {
	local pid log=$tmp/rotated.log
	XDG_STATE_HOME=$tmp/state/log "$magnetfs" mount --no-dht --no-lpd --disk 0 --log-file "$log" --log-format json "$tmp/mnt/log"
	pid=$(pid_of log)
	same "$(jq -r 'select(.msg == "mounted") | .target' "$log")" "$tmp/mnt/log"
	mv "$log" "$log.1"
	kill -HUP "$pid"
	soon 5 test -s "$log"
	same "$(jq -r .msg "$log")" "the log is opened again"
	ls "$tmp/mnt/log"
	umount_fs log
	grep -q unmounting "$log"

	# A journal is where JOURNAL_STREAM points; here to a file.
	: >"$tmp/journal"
	XDG_STATE_HOME=$tmp/state/log JOURNAL_STREAM=$(stat -c %d:%i "$tmp/journal") "$magnetfs" mount -f --no-dht --no-lpd --disk 0 "$tmp/mnt/log" 2>>"$tmp/journal" >"$tmp/log/journal" &
	pid=$!
	soon 10 mounted "$tmp/mnt/log"
	soon 5 grep -q "^<6>msg=mounted target=$tmp/mnt/log" "$tmp/journal"
	kill -TERM "$pid"
	wait "$pid"
}

# A flag goes before the environment, that before the file, that before the default; and the mount says the same.
settings_of_a_mount() {
	local m=$tmp/mnt/settings conf=$tmp/config/magnetfs/config.toml
	mkdir -p "$tmp/config/magnetfs"
	cat >"$conf" <<-END
		ram = "128MiB"
		disk = 0
		no-dht = true
		log-level = "warn"
		[mounts."$m"]
		no-lpd = true
		read-timeout = "7s"
	END
	said=$(XDG_CONFIG_HOME=$tmp/config MAGNETFS_LOG_LEVEL=debug MAGNETFS_RAM=1TB "$magnetfs" config "$m")
	contains "$said" "# MAGNETFS_RAM"
	XDG_STATE_HOME=$tmp/state/settings XDG_CONFIG_HOME=$tmp/config MAGNETFS_LOG_LEVEL=debug MAGNETFS_RAM=1TB \
		"$magnetfs" mount --ram 64MiB "$m"
	said=$("$magnetfs" config --json "$m")
	same "$(jq -c '.settings[] | select(.origin != "default") | [.key, .value, .origin]' <<<"$said" | sort | tr '\n' ' ')" \
		'["disk","0","file"] ["log-level","debug","environment"] ["no-dht",true,"file"] ["no-lpd",true,"file"] ["ram","64MiB","flag"] ["read-timeout","7s","file"] '
	same "$("$magnetfs" config "$m")" "$(cat "$m/.magnetfs/config")"
	same "$said" "$(cat "$m/.magnetfs/config.json")"
	contains "$(cat "$m/.magnetfs/status.json")" "[]"
	umount_fs settings
	"$magnetfs" config --config "$conf" >"$tmp/config/again.toml" # what is written can be read
	same "$("$magnetfs" config --config "$tmp/config/again.toml" | sed 1d | cut -d'#' -f1)" "$(sed 1d "$tmp/config/again.toml" | cut -d'#' -f1)"

	echo 'prot = 7001' >>"$conf"
	exits 2 env XDG_CONFIG_HOME="$tmp/config" "$magnetfs" mount "$tmp/x"
	contains "$said" 'there is no setting "prot", did you mean port?'
	contains "$said" "$conf"
	exits 2 env MAGNETFS_PORT=77777 "$magnetfs" mount "$tmp/x"
	contains "$said" "MAGNETFS_PORT: 77777"
	exits 2 "$magnetfs" mount --config "$tmp/nothing.toml" "$tmp/x"
	absent "$tmp/x"
}

# The pages are written as manual pages should be.
manual_pages() {
	local f
	"$magnetfs" man "$tmp/man" >"$tmp/man.list"
	grep -q mount.magnetfs.8 "$tmp/man.list"
	grep -q magnetfs-config.5 "$tmp/man.list"
	for f in "$tmp"/man/*; do
		said=$(mandoc -T lint "$f" 2>&1) || fail "$said"
		same "$said" ""
	done
	said=$(mandoc -T utf8 "$tmp/man/magnetfs.1" | col -b)
	contains "$said" "12 no-room"
	contains "$(mandoc -T utf8 "$tmp/man/magnetfs-config.5" | col -b)" "MAGNETFS_STALL_TIMEOUT"
	same "$("$magnetfs" --help | grep -c "magnetfs man")" 0
}

# What the tab key does, in the shells themselves. The mount has one torrent.
completion_in_shells() {
	local m=$tmp/mnt/complete shell
	mount_fs complete --no-dht --no-lpd --disk 0
	mkdir "$m/magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=one-film"
	# No other mount is to be proposed.
	cat >"$tmp/shell" <<-'END'
		for m in $(grep -o "$tmp/[^ ]* fuse.magnetfs" /proc/mounts | cut -d' ' -f1); do [ "$m" = "$m0" ] || umount -l "$m" || exit; done
		PATH=${magnetfs%/*}:$PATH
		case $1 in
		bash) exec bash --rcfile <(echo '. /usr/share/bash-completion/bash_completion'; magnetfs completion bash; echo 'PS1="ready> "') -i ;;
		zsh) mkdir -p "$tmp/zsh"; { echo 'autoload -Uz compinit; compinit -u -D; PROMPT="ready> "; unsetopt AUTO_MENU LIST_BEEP'; echo 'source <(magnetfs completion zsh)'; } >"$tmp/zsh/.zshrc"
			ZDOTDIR=$tmp/zsh exec zsh -i ;;
		fish) XDG_CONFIG_HOME=$tmp/fish exec fish -C 'magnetfs completion fish | source; function fish_prompt; echo "ready> "; end; set fish_greeting; set -g fish_autosuggestion_enabled 0' ;;
		esac
	END
	for shell in bash zsh fish; do
		view kill-server 2>/dev/null || true
		soon 5 view new-session -d -s watch -x 200 -y 30 \
			"env tmp='$tmp' m0='$m' magnetfs='$magnetfs' unshare --mount --propagation private bash '$tmp/shell' $shell; echo ended; sleep 60"
		soon 15 shows_now "ready>"
		view send-keys -t watch "magnetfs umo" Tab
		shows "magnetfs umount"
		view send-keys -t watch Tab
		shows "magnetfs umount $m"
		view send-keys -t watch C-u "magnetfs rm $m " Tab
		shows "magnetfs rm $m one-film"
		view send-keys -t watch C-u "magnetfs pin " Tab
		shows "magnetfs pin $m/one-film"
		view send-keys -t watch C-u "magnetfs mount --log-format j" Tab
		shows "magnetfs mount --log-format json"
		view kill-server || true
	done
	umount_fs complete
}

doctor_finds_faults() {
	local m=$tmp/mnt/ill pid
	mkdir -p "$tmp/mnt/filled/x"
	quick 4000 "$magnetfs" doctor --offline "$tmp/mnt/well"
	said=$("$magnetfs" doctor --offline --json "$tmp/mnt/well")
	same "$(jq -r '[.[] | select(.status == "fail")] | length' <<<"$said")" 0
	same "$(jq -r '.[] | select(.check == "fuse device") | .status' <<<"$said")" ok
	exits 1 "$magnetfs" doctor --offline "$tmp/mnt/filled"
	contains "$said" "fail  folder"
	contains "$said" "is not empty"
	contains "$said" "-> choose an empty folder"
	[[ $said != *$'\e'* ]] || fail "colours for no terminal: $said"
	exits 1 env MAGNETFS_PORT=x "$magnetfs" doctor --offline
	contains "$said" "fail  settings"
	contains "$said" "MAGNETFS_PORT"
	exits 1 unshare --mount bash -c 'mount --bind /dev/null /dev/fuse && exec "$0" doctor --offline' "$magnetfs"
	contains "$said" "modprobe fuse"
	mount_fs ill --no-dht --no-lpd --disk 0
	pid=$(pid_of ill)
	kill -KILL "$pid"
	soon 2 gone "$pid"
	said=$("$magnetfs" doctor --offline || true)
	contains "$said" "$m was left behind"
	contains "$said" "-> magnetfs umount $m"
	umount_fs ill
	# In a terminal, with colours, unless they are not wanted.
	script -qec "'$magnetfs' doctor --offline" "$tmp/typed" </dev/null >/dev/null || true
	grep -q $'\e\[32mok' "$tmp/typed"
	NO_COLOR=1 script -qec "'$magnetfs' doctor --offline" "$tmp/typed" </dev/null >/dev/null || true
	same "$(grep -c $'\e\[' "$tmp/typed" || true)" 0
}
