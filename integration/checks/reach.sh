# The ways to the network: one interface and no other.

# tunnel_up: a host with two ways to all others: lan0, by which its routes lead, and tun0.
tunnel_up() {
	if [ ! -e "$tmp/space/vpn" ]; then
		space vpn
		in_space vpn sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
		echo 1 >/proc/sys/net/ipv4/ip_forward
		link_up lan 221 10
		# What the kernel answers by itself, for sockets that are gone, takes the host's routes; nobody need be asked the way.
		in_space vpn ip neigh replace 198.18.221.1 lladdr "$(ip -j link show lan1 | jq -r '.[0].address')" dev lan0 nud permanent
		in_peers ip route add 198.18.220.0/23 via "$self_ip"
	fi
	ip link show tun1 >/dev/null 2>&1 || link_up tun 220 20
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
	soon 15 network_says tunnelled '.error == null and .addresses == ["198.18.220.2"]'
	add tunnelled shared.bin
	equal tunnelled shared.bin
	for row in "http://$tracker_ip" "udp://$tracker_ip"; do soon 15 row_is_working tunnelled http.bin "$row"; done
	# Down and up again while a read waits.
	add tunnelled home.bin
	"$magnetfs" wait --timeout 20s "$m/$(hash_of home.bin)" >/dev/null
	in_space vpn ip link set tun0 down
	soon 5 network_says tunnelled '.error | contains("is down")'
	row tunnelled "$(hash_of home.bin)" DHT | grep -q "error: nothing is sent"
	cmp "$m/home.bin/home.bin" "$tmp/data/home.bin" &
	waiting=$!
	sleep 1 # while which it may try what it likes
	in_space vpn ip link set tun0 up
	in_space vpn ip route add default via 198.18.220.1 metric 20
	soon 30 gone "$waiting"
	wait "$waiting"
	# Another one of the same name, as a tunnel that is opened anew.
	in_space vpn ip link del tun0
	add tunnelled from-libtorrent.bin "$libtorrent_ip:6881"
	sleep 0.5
	tunnel_up
	equal tunnelled from-libtorrent.bin
	umount_fs tunnelled
	[ -z "$MAGNETFS_ROOT" ] || one_interface_for_a_user
	echo "$(sent tun0) packets by the last tun0"
	cat "$tmp/log/sniff-lan0"
	same "$(grep -v -e ready -e reset -e unreachable "$tmp/log/sniff-lan0" || true)" ""
	exits 2 mount_vpn tunnelled --interface "no such name"
	exits 2 mount_vpn tunnelled --interface tun0 --dns nowhere
}

# The same for somebody who may not bind anew what is bound: sockets are opened anew.
one_interface_for_a_user() {
	local m=$tmp/tunnelled/t
	install -d -o 65534 -g 65534 "$tmp/tunnelled"
	in_space vpn setpriv --reuid 65534 --regid 65534 --clear-groups -- env XDG_STATE_HOME="$tmp/tunnelled/state" HOME="$tmp/tunnelled" \
		timeout 20 "$magnetfs" mount "$m" --interface tun0 --no-dht --disk 0
	in_space vpn ip link del tun0
	tunnel_up
	as_user mkdir "$m/magnet:?xt=urn:btih:$(hash_of spelled.bin)&x.pe=$libtorrent_ip:6881"
	soon 15 as_user test -e "$m/spelled.bin"
	as_user timeout 20 cmp "$m/spelled.bin/spelled.bin" "$tmp/data/spelled.bin"
	as_user timeout 20 "$magnetfs" umount "$m"
}

# dante_up: a SOCKS5 proxy with UDP at 198.18.221.1:1080.
dante_up() {
	cat >"$tmp/danted.conf" <<-END
		logoutput: stderr
		internal: 198.18.221.1 port = 1080
		external: mfs0
		clientmethod: none
		socksmethod: none
		user.privileged: root
		user.unprivileged: root
		client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
		socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 protocol: tcp udp }
	END
	setsid danted -f "$tmp/danted.conf" >"$tmp/log/danted" 2>&1 &
	dante=$!
}

# dante_down: it and its processes, which are a group.
dante_down() {
	kill -KILL -- "-$dante"
	wait "$dante" || true
}

connected_by() { jq -e ".connected[] | select(.transport == \"$3\")" "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/status.json"; }

# Through a proxy, names too, and in no other way; with one that has UDP (Dante), and one that has not (microsocks).
proxy_only() {
	local m=$tmp/mnt/proxied waiting row
	tunnel_up
	ip link del tun1
	in_space vpn "$python" "$here/sniff.py" lan0 >"$tmp/log/sniff-proxy" &
	soon 5 grep -q ready "$tmp/log/sniff-proxy"
	mount_vpn proxied --proxy socks5://198.18.221.1
	contains "$("$magnetfs" status "$m")" "the proxy does not answer"
	dante_up
	soon 30 network_says proxied '.error == null and .udp_error == null'
	# The DHT, whose first nodes only the proxy knows the addresses of.
	add proxied routers.bin
	equal proxied routers.bin
	row proxied "$(hash_of routers.bin)" DHT | grep -q '"status":"working'
	row proxied "$(hash_of routers.bin)" Local | grep -q '"status":"disabled'
	mkdir "$m/magnet:?xt=urn:btih:$(hash_of http.bin)&tr=http:%2F%2Ftracker.example:6969%2Fannounce&tr=udp:%2F%2Ftracker.example:6969"
	for row in http udp; do soon 15 row_is_working proxied http.bin "$row://tracker.example"; done
	# By uTP, from one who speaks nothing else.
	farm "{\"op\":\"session\",\"id\":\"utp-proxied\",\"listen\":\"$leech_ip:6889\",\"dht\":false,$only_utp}"
	seed_libtorrent utp-proxied found-two.bin
	add proxied found-two.bin "$leech_ip:6889"
	equal proxied found-two.bin
	connected_by proxied found-two.bin utp
	no_longer_seeds utp-proxied found-two.bin
	# The proxy ends, and comes back.
	add proxied home.bin
	"$magnetfs" wait --timeout 20s "$m/$(hash_of home.bin)" >/dev/null
	dante_down
	soon 10 network_says proxied '.error + .udp_error | contains("proxy")'
	cmp "$m/home.bin/home.bin" "$tmp/data/home.bin" &
	waiting=$!
	sleep 1
	dante_up
	soon 60 gone "$waiting"
	wait "$waiting"
	umount_fs proxied
	dante_down

	microsocks -i 198.18.221.1 -p 1081 -u ann -P secret >/dev/null 2>&1 &
	said=$(MAGNETFS_PROXY=socks5://ann:wrong@198.18.221.1:1081 in_space vpn "$magnetfs" doctor --offline=false 2>&1 || true)
	contains "$said" "refuses the user or password"
	MAGNETFS_PROXY=socks5://ann:secret@198.18.221.1:1081 mount_vpn proxied
	soon 15 network_says proxied '.udp_error | contains("no UDP")'
	contains "$("$magnetfs" config "$m")" "ann:xxxxx@"
	same "$(grep -c secret "$m/.magnetfs/config" || true)" 0
	add proxied from-libtorrent.bin "$libtorrent_ip:6881"
	equal proxied from-libtorrent.bin
	row proxied "$(hash_of from-libtorrent.bin)" DHT | grep -q "passes on no UDP"
	umount_fs proxied
	kill $!

	same "$(grep -v -e ready -e unreachable -e ' 198.18.221.1:' -e 'other 0806' "$tmp/log/sniff-proxy" || true)" ""
	exits 2 mount_vpn proxied --proxy http://198.18.221.1:80
}

# Who is on the block list is neither dialled nor let in, and is left when the list is read again.
block_list() {
	local m=$tmp/mnt/picky hash
	hash=$(hash_of from-libtorrent.bin)
	{
		echo "# all of them"
		echo "Somebody, Inc: 10.0.0.0-10.255.255.255"
		echo "198.018.002.000 - 198.018.002.255 , 000 , the seed"
		echo "what is this"
		echo "198.18.6.0/24"
	} | gzip >"$tmp/list.gz"
	mount_fs picky --no-lpd --dht-bootstrap "$(dht_addrs 3)" --blocklist "$tmp/list.gz"
	contains "$("$magnetfs" status "$m")" "3 ranges of addresses are blocked"
	contains "$(log_of picky)" "line 4: no range of addresses"
	add picky from-libtorrent.bin "$libtorrent_ip:6881"
	soon 15 dht_finds picky "$hash"
	# One who is blocked dials us.
	farm "{\"op\":\"session\",\"id\":\"blocked\",\"listen\":\"$leech_ip:6890\",\"dht\":false,$only_tcp}"
	seed_libtorrent blocked from-libtorrent.bin
	farm "{\"op\":\"connect\",\"id\":\"blocked\",\"hash\":\"$hash\",\"peer\":[\"$self_ip\",$(port_of picky)]}"
	soon 15 network_says picky '.refused > 0'
	same "$(jq '.connected | length' "$m/.magnetfs/by-hash/$hash/status.json")" 0
	# The seed is let in, then shut out again.
	echo 198.18.6.0-198.18.6.255 >"$tmp/list.gz"
	kill -HUP "$(pid_of picky)"
	soon 5 network_says picky '.blocked == 1'
	mkdir "$m/magnet:?xt=urn:btih:$hash&x.pe=$libtorrent_ip:6881"
	equal picky from-libtorrent.bin
	echo 198.18.0.0/15 >"$tmp/list.gz"
	kill -HUP "$(pid_of picky)"
	soon 5 network_says picky '.blocked == 1 and .refused >= 0'
	soon 5 nobody_connected picky "$hash"
	rm "$tmp/list.gz"
	kill -HUP "$(pid_of picky)"
	soon 5 grep -q "the old one stays" "$tmp/state/picky/magnetfs/magnetfs.log"
	network_says picky '.blocked == 1'
	umount_fs picky
	exits 1 mount_fs picky --blocklist "$tmp/list.gz"
}

dht_finds() { row "$1" "$2" DHT | jq -e '(.seeds // 0) + (.peers // 0) > 0'; }
nobody_connected() { jq -e '.connected | length == 0' "$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"; }

# upnpd OPTION…: miniupnpd on the router of behind_c, with these of enable_upnp and enable_natpmp.
upnpd() {
	cat >"$tmp/miniupnpd.conf" <<-END
		ext_ifname=wan
		ext_ip=5.5.5.5
		listening_ip=lan
		port=5000
		$1
		$2
		uuid=b0b5c8a0-0000-4000-8000-0123456789ab
		upnp_table_name=mapping
		upnp_nat_table_name=mapping
		upnp_forward_chain=forwarding
		upnp_nat_chain=incoming
		upnp_nat_postrouting_chain=outgoing
		allow 1024-65535 0.0.0.0/0 1024-65535
	END
	nsenter --net="/proc/$(cat "$tmp/space/gate_c")/ns/net" -- miniupnpd -d -f "$tmp/miniupnpd.conf" -P "$tmp/miniupnpd.pid" >"$tmp/log/miniupnpd" 2>&1 &
	upnpd=$!
}

# mappings: what the router sends on to a port of behind_c.
mappings() { in_space gate_c nft list table inet mapping | grep -c "dnat" || true; }
no_mappings() { [ "$(mappings)" = 0 ]; }

# The router lets others in as long as a mount is there, asked by PCP and, where that is not spoken, by UPnP.
port_mapping() {
	local by option port n=0 hash
	hash=$(hash_of spelled.bin)
	echo 1 >/proc/sys/net/ipv4/ip_forward
	gate c 198.18.212 192.168.9
	in_space gate_c sh -e <<-END
		nft flush chain ip filter forward
		nft add table inet mapping
		nft add chain inet mapping forwarding
		nft add chain inet mapping incoming
		nft add chain inet mapping outgoing
		nft add chain inet mapping pre '{ type nat hook prerouting priority -100; }'
		nft add rule inet mapping pre jump incoming
		nft add chain inet mapping post '{ type nat hook postrouting priority 99; }'
		nft add rule inet mapping post jump outgoing
	END
	for by in PCP UPnP; do
		option=("enable_upnp=no" "enable_natpmp=yes")
		[ $by = PCP ] || option=("enable_upnp=yes" "enable_natpmp=no")
		upnpd "${option[@]}"
		soon 5 in_space gate_c sh -c 'ss -Hlun | grep -q ":5351 \|:1900 "'
		XDG_STATE_HOME=$tmp/state/mapped XDG_CACHE_HOME=${tmp%/run}/cache/mapped in_space behind_c timeout 20 "$magnetfs" mount "$tmp/mnt/mapped" \
			--log-level debug --no-dht
		soon 20 network_says mapped ".mapping.method == \"$by\""
		port=$(jq -r .port "$tmp/mnt/mapped/.magnetfs/network.json")
		network_says mapped ".mapping.external == \"5.5.5.5:$port\""
		contains "$("$magnetfs" status "$tmp/mnt/mapped")" "reached at 5.5.5.5:$port ($by)"
		[ "$(mappings)" -ge 2 ] || fail "the router has $(mappings) mappings"
		# Somebody outside connects to us, by the router's address, and is served.
		[ -e "$tmp/mnt/mapped/spelled.bin" ] || add mapped spelled.bin "$libtorrent_ip:6881"
		equal mapped spelled.bin
		mkdir "$tmp/comer-$by"
		farm "{\"op\":\"session\",\"id\":\"comer-$by\",\"listen\":\"$leech_ip:689$((++n))\",\"dht\":false}"
		farm "{\"op\":\"leech\",\"id\":\"comer-$by\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/comer-$by\"}"
		farm "{\"op\":\"connect\",\"id\":\"comer-$by\",\"hash\":\"$hash\",\"peer\":[\"198.18.212.1\",$port]}"
		farm "{\"op\":\"wait\",\"id\":\"comer-$by\",\"hash\":\"$hash\",\"timeout\":30}"
		cmp "$tmp/comer-$by/spelled.bin" "$tmp/data/spelled.bin"
		umount_fs mapped
		soon 5 no_mappings
		kill "$upnpd"
		wait "$upnpd" || true
	done
}
