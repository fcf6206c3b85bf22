# The ways to the network: one interface and no other.

# tunnel_up: a host with two ways to all others: lan0, by which its routes lead, and tun0.
tunnel_up() {
	if [ ! -e "$tmp/space/vpn" ]; then
		space vpn
		in_space vpn sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		echo 1 >/proc/sys/net/ipv4/ip_forward
		link_up lan 211 10
		# The kernel's own resets, for connections that are gone, take the host's routes; no one else need be asked for.
		in_space vpn ip neigh replace 198.18.211.1 lladdr "$(ip -j link show lan1 | jq -r '.[0].address')" dev lan0 nud permanent
		in_peers ip route add 198.18.210.0/23 via "$self_ip"
	fi
	link_up tun 210 20
}

# link_up NAME NET METRIC: NAME0 of that host, 198.18.NET.2; here it is NAME1.
link_up() {
	ip link add "$1"0 netns "$(cat "$tmp/space/vpn")" type veth peer name "$1"1
	ip addr add "198.18.$2.1/24" dev "$1"1
	ip link set "$1"1 up
	in_space vpn ip addr add "198.18.$2.2/24" dev "$1"0
	in_space vpn ip link set "$1"0 up
	in_space vpn ip route add default via "198.18.$2.1" metric "$3"
}

# sent INTERFACE: packets that left that host by it so far.
sent() { in_space vpn ip -s -j link show "$1" | jq ".[0].stats64.tx.packets"; }

# mount_vpn NAME FLAG…: a mount on that host.
mount_vpn() {
	XDG_STATE_HOME=$tmp/state/$1 XDG_CACHE_HOME=${tmp%/run}/cache/$1 in_space vpn timeout 20 "$magnetfs" mount "$tmp/mnt/$1" \
		--log-level debug "${@:2}"
}

# network_says MOUNT JQ: network.json fulfils the condition.
network_says() { jq -e "$2" "$tmp/mnt/$1/.magnetfs/network.json"; }

row_is_working() { row "$1" "$(hash_of "$2")" "$3" | grep -q '"status":"working'; }

# Nothing leaves by another interface, whatever becomes of the one that is named, and it works again when that is back.
one_interface_only() {
	local m=$tmp/mnt/tunnelled waiting row
	tunnel_up
	in_space vpn "$python" "$here/sniff.py" lan0 >"$tmp/log/sniff-lan0" &
	soon 5 grep -q ready "$tmp/log/sniff-lan0"
	in_space vpn ip link del tun0
	said=$(mount_vpn tunnelled --interface tun0 --dht-bootstrap "$(dht_addrs 3),router.example:6881")
	contains "$said" "there is no network interface tun0"
	contains "$("$magnetfs" status "$m")" "tun0 does not exist"
	mkdir "$m/magnet:?xt=urn:btih:$(hash_of http.bin)&tr=http:%2F%2F$tracker_ip:6969%2Fannounce&tr=udp:%2F%2F$tracker_ip:6969&x.pe=$libtorrent_ip:6881"
	tunnel_up
	soon 15 network_says tunnelled '.error == null and .addresses == ["198.18.210.2"]'
	add tunnelled shared.bin
	equal tunnelled shared.bin
	for row in "http://$tracker_ip" "udp://$tracker_ip"; do soon 15 row_is_working tunnelled http.bin "$row"; done
	# Down and up again while a read waits.
	add tunnelled home.bin
	"$magnetfs" wait --timeout 20s "$m/home.bin" >/dev/null
	in_space vpn ip link set tun0 down
	soon 5 network_says tunnelled '.error | contains("is down")'
	row tunnelled "$(hash_of home.bin)" DHT | grep -q "error: nothing is sent"
	cmp "$m/home.bin/home.bin" "$tmp/data/home.bin" &
	waiting=$!
	sleep 1 # while which it may try what it likes
	in_space vpn ip link set tun0 up
	in_space vpn ip route add default via 198.18.210.1 metric 20
	soon 30 gone "$waiting"
	wait "$waiting"
	# Another one of the same name, as a tunnel that is opened anew.
	in_space vpn ip link del tun0
	add tunnelled from-libtorrent.bin "$libtorrent_ip:6881"
	sleep 0.5
	tunnel_up
	equal tunnelled from-libtorrent.bin
	umount_fs tunnelled
	echo "$(sent tun0) packets by the last tun0"
	cat "$tmp/log/sniff-lan0"
	same "$(grep -v -e ready -e reset "$tmp/log/sniff-lan0" || true)" ""
	exits 2 mount_vpn tunnelled --interface "no such name"
	exits 2 mount_vpn tunnelled --interface tun0 --dns nowhere
}
