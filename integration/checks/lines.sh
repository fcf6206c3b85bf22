# uTP over lines that are long, lossy or narrow, with programs that others wrote.
#
#   here   line0 198.18.230.1 ── link.py ── line1 198.18.230.2   far

far=198.18.230.2

# line_up MTU OPTION…: the line between here and far, as link.py has it.
line_up() {
	local mtu=$1
	shift
	if [ ! -e "$tmp/space/far" ]; then
		space far
		in_space far "$python" "$here/peers.py" serve "$tmp/far.sock" >"$tmp/log/far" 2>&1 &
		until [ -S "$tmp/far.sock" ]; do sleep 0.02; done
	fi
	line_down
	rm -f "$tmp/log/line"
	if [ ! -e /dev/net/tun ] && [ ! -e "$tmp/tun" ]; then mknod "$tmp/tun" c 10 200; fi
	[ ! -e "$tmp/tun" ] || export TUN=$tmp/tun
	"$python" "$here/link.py" line0 "$$" line1 "$(cat "$tmp/space/far")" "$@" >"$tmp/log/line" 2>&1 &
	echo $! >"$tmp/line"
	soon 5 grep ready "$tmp/log/line"
	ip addr add 198.18.230.1/30 dev line0
	ip link set line0 mtu "$mtu" up
	in_space far ip addr add "$far/30" dev line1
	in_space far ip link set line1 mtu "$mtu" up
}

line_down() {
	[ -e "$tmp/line" ] || return 0
	kill "$(cat "$tmp/line")"
	soon 5 gone "$(cat "$tmp/line")"
	soon 5 absent_link line0
	rm "$tmp/line"
}

absent_link() { ! ip link show "$1" >/dev/null 2>&1; }

# at_far JSON: a request to the libtorrent at the far end.
at_far() { "$python" "$here/peers.py" ask "$tmp/far.sock" "$1"; }

# rate_over MOUNT NAME VIA: reads all of it, and says how fast in kB/s.
rate_over() {
	local start size
	size=$(stat -c %s "$tmp/data/$2")
	start=$(now)
	equal "$1" "$2" 120
	echo "$2 by $3: $((size / ($(now) - start))) kB/s"
	jq -e "[.connected[] | select(.addr | startswith(\"$far:\")) | .transport] | all(. == \"$3\")" "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/status.json"
}

# far_transmission PORT-OF-OURS: transmission at the far end, by uTP alone when we dial it; a tracker there names us to it.
far_transmission() {
	local dir=$tmp/far-transmission
	mkdir "$dir" "$tmp/far-got"
	cat >"$dir/settings.json" <<-CONFIG
		{"bind-address-ipv4": "$far", "peer-port": 6889, "download-dir": "$tmp/data", "rpc-bind-address": "127.0.0.1", "rpc-port": 9092,
		 "lpd-enabled": false, "dht-enabled": false, "pex-enabled": false, "utp-enabled": true, "port-forwarding-enabled": false,
		 "ratio-limit-enabled": false, "cache-size-mb": 1, "encryption": 0}
	CONFIG
	in_space far nft add table ip only
	in_space far nft add chain ip only in '{ type filter hook input priority 0; }'
	in_space far nft add rule ip only in tcp dport 6889 reject with tcp reset
	in_space far "$python" "$here/tracker.py" "$far" 7020 "198.18.230.1:$1" >"$tmp/log/tracker-far" 2>&1 &
	in_space far transmission-daemon --foreground --config-dir "$dir" --logfile "$tmp/log/far-transmission" >/dev/null 2>&1 &
	soon 10 far_remote --session-info
}

far_remote() { in_space far transmission-remote 9092 "$@"; }

far_done() { far_remote --torrent "$1" --info | grep -q "Percent Done: 100%"; }

# far_session ID PORT TRANSPORT: a libtorrent at the far end that speaks only this one.
far_session() {
	local other=tcp
	[ "$3" = utp ] || other=utp
	at_far "{\"op\":\"session\",\"id\":\"$1\",\"listen\":\"$far:$2\",\"dht\":false,\"settings\":{\"close_redundant_connections\":false,\"enable_incoming_$other\":false,\"enable_outgoing_$other\":false}}"
}

# serve_far MOUNT NAME ID: the libtorrent session ID gets it from the mount, which has it; and says how fast in kB/s.
serve_far() {
	local hash start
	hash=$(hash_of "$2")
	mkdir "$tmp/far-$3"
	start=$(now)
	at_far "{\"op\":\"leech\",\"id\":\"$3\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/far-$3\",\"peer\":[\"198.18.230.1\",$(port_of "$1")]}"
	at_far "{\"op\":\"wait\",\"id\":\"$3\",\"hash\":\"$hash\",\"timeout\":120}"
	echo "$2 to $3: $(($(stat -c %s "$tmp/data/$2") / ($(now) - start))) kB/s"
	cmp "$tmp/far-$3/$2" "$tmp/data/$2"
}

# A seed that speaks only uTP, 40 ms away, and one packet of a hundred is lost; then we serve it through a line in which
# packets of more than 1280 bytes vanish, fragments or not; and then both speak through interfaces of 1280 bytes.
utp_over_bad_lines() {
	line_up 1500 delay=20 loss=1
	far_session seed 6881 utp
	at_far "{\"op\":\"seed\",\"id\":\"seed\",\"torrent\":\"$(torrent_of spelled.bin)\",\"save\":\"$tmp/data\"}"
	mount_fs lines --no-dht --no-lpd
	add lines spelled.bin "$far:6881"
	rate_over lines spelled.bin utp
	at_far "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$(hash_of spelled.bin)\"}"
	line_up 1500 delay=20 hole=1280
	far_session hole 6882 utp
	serve_far lines spelled.bin hole
	kill -USR1 "$(cat "$tmp/line")"
	soon 5 grep "vanished=[1-9]" "$tmp/log/line" # it was tried
	line_up 1280 delay=20
	far_session narrow 6883 utp
	at_far "{\"op\":\"seed\",\"id\":\"narrow\",\"torrent\":\"$(torrent_of home-lpd.bin)\",\"save\":\"$tmp/data\"}"
	add lines home-lpd.bin "$far:6883"
	rate_over lines home-lpd.bin utp
	umount_fs lines
	[ "${MAGNETFS_LINES:-}" = "" ] || lines_series
	line_down
}

# What docs/utp.md has: MAGNETFS_LINES="20 50" is a list of delays.
lines_series() {
	local delay via n=0 name=from-libtorrent.bin
	for delay in $MAGNETFS_LINES; do
		line_up 1500 "delay=$delay" loss=1
		for via in utp tcp; do
			n=$((n + 1))
			far_session "$via$delay" $((6890 + n)) $via
			at_far "{\"op\":\"seed\",\"id\":\"$via$delay\",\"torrent\":\"$(torrent_of $name)\",\"save\":\"$tmp/data\"}"
			mount_fs "line$n" --no-dht --no-lpd
			add "line$n" $name "$far:$((6890 + n))"
			rate_over "line$n" $name $via
			at_far "{\"op\":\"remove\",\"id\":\"$via$delay\",\"hash\":\"$(hash_of $name)\"}"
			serve_far "line$n" $name "$via$delay"
			umount_fs "line$n"
		done
	done
	line_up 1500 delay=20 loss=1
	lines_transmission
}

# transmission by uTP, both ways. It unchokes every 10 s, and answers once a second.
lines_transmission() {
	local name=from-libtorrent.bin hash start
	hash=$(hash_of $name)
	mount_fs linetr --no-dht --no-lpd
	far_transmission "$(port_of linetr)"
	far_remote --add "$(torrent_of $name)"
	soon 10 far_done "$hash"
	add linetr $name "$far:6889"
	rate_over linetr $name utp
	far_remote --torrent "$hash" --remove
	start=$(now)
	far_remote --download-dir "$tmp/far-got" --add "magnet:?xt=urn:btih:$hash&tr=http%3A%2F%2F$far%3A7020%2Fannounce"
	soon 120 far_done "$hash"
	echo "$name to transmission: $(($(stat -c %s "$tmp/data/$name") / ($(now) - start))) kB/s"
	cmp "$tmp/far-got/$name" "$tmp/data/$name"
	umount_fs linetr
}
