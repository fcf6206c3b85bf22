# Further networks, for sourcing after net.sh: a home behind a router, whose line to the rest is slow.
#
#   home1 … home3   198.18.200.11 …   a mount each
#   home4           198.18.200.14     another client
#   router          198.18.200.1      a bridge between them; routes, without NAT
#     └─ wan0 ── wan1 of the first    the line, limited at both ends; from there on to "peers"
#
# libtorrent answers nobody who is outside of the network of its interface, or comes by another one: so these addresses are
# of 198.18.0.0/15 as well, and the peers see all of them behind mfs1.

home_ip() { echo "198.18.200.1$1"; }

# space NAME: makes a network namespace that lasts as long as the test.
space() {
	mkdir -p "$tmp/space"
	unshare -n sleep infinity &
	echo $! >"$tmp/space/$1"
	until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	in_space "$1" ip link set lo up
}

# in_space NAME COMMAND…: runs it in that namespace.
in_space() { nsenter --net="/proc/$(cat "$tmp/space/$1")/ns/net" -- "${@:2}"; }

# home_up RATE: the home with a line of this rate, as tc writes it, in each direction.
home_up() {
	local i
	if [ ! -e "$tmp/space/router" ]; then
		space router
		in_space router ip link add lan type bridge
		in_space router ip addr add 198.18.200.1/24 dev lan
		in_space router ip link set lan up
		in_space router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
		ip link add wan0 netns "$(cat "$tmp/space/router")" type veth peer name wan1
		in_space router ip addr add 203.0.113.2/30 dev wan0
		in_space router ip link set wan0 up
		in_space router ip route add default via 203.0.113.1
		ip addr add 203.0.113.1/30 dev wan1
		ip link set wan1 up
		ip route add 198.18.200.0/24 via 203.0.113.2
		echo 1 >/proc/sys/net/ipv4/ip_forward
		in_peers ip route add 198.18.200.0/24 via "$self_ip"
		for i in 1 2 3 4; do
			space "home$i"
			ip link add eth0 netns "$(cat "$tmp/space/home$i")" type veth peer name "home$i" netns "$(cat "$tmp/space/router")"
			in_space router ip link set "home$i" master lan
			in_space router ip link set "home$i" up
			in_space "home$i" ip addr add "$(home_ip "$i")/24" dev eth0
			in_space "home$i" ip link set eth0 up
			in_space "home$i" ip route add default via 198.18.200.1
		done
	fi
	tc qdisc replace dev wan1 root tbf rate "$1" burst 64k latency 100ms
	in_space router tc qdisc replace dev wan0 root tbf rate "$1" burst 64k latency 100ms
}

# drawn: bytes that came through the line so far.
drawn() { in_space router ip -s -j link show wan0 | jq ".[0].stats64.rx.bytes"; }
