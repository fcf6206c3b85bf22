# The network of the integration test, for sourcing. The script runs in namespaces of its own (user if need be, network,
# mount, PID: see ../integration_test.sh), and this makes a second network namespace beside them:
#
#   here     mfs0 198.18.1.1    the mounts and the programs that read from them
#   peers    mfs1 198.18.2.1 …  DHT nodes, seeds, misbehaving peers; one address each
#
# joined by a veth pair, in 198.18.0.0/15 (RFC 2544, benchmarks): public enough for address policies, never routed. The
# DHT nodes are in a /24 each, since clients want distance between the nodes of a bucket.

self_ip=198.18.1.1
libtorrent_ip=198.18.2.1 transmission_ip=198.18.3.1 aria2_ip=198.18.4.1 lpd_ip=198.18.5.1 leech_ip=198.18.6.1
tracker_ip=198.18.8.1 pex_net=198.18.9 # .1 to .6
fake_net=198.18.7 # .1 to .9: misbehaving peers
dht_count=10
# Routers that clients have built in, one node each; magnetfs must find the DHT through these names alone.
routers=(dht.libtorrent.org:25401 router.bittorrent.com:6881 router.utorrent.com:6881 dht.transmissionbt.com:6881)

dht_ip() { echo "198.18.$((20 + $1)).1"; }
dht_port() { [ "$1" -lt ${#routers[@]} ] && echo "${routers[$1]##*:}" || echo 6881; }

# dht_addrs [N]: host:port of the first N nodes, separated by commas.
dht_addrs() {
	local i out=
	for ((i = 0; i < ${1:-3}; i++)); do out+=",$(dht_ip "$i"):$(dht_port "$i")"; done
	echo "${out#,}"
}

# in_peers COMMAND…: runs it in the namespace of the peers.
in_peers() { nsenter --net="/proc/$peers_pid/ns/net" -- "$@"; }

net_up() {
	local i
	ip link set lo up
	unshare -n sleep infinity &
	peers_pid=$!
	until [ "$(readlink "/proc/$peers_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
	ip link add mfs0 type veth peer name mfs1 netns "$peers_pid"
	ip addr add "$self_ip/15" dev mfs0
	ip link set mfs0 up
	in_peers ip link set lo up
	in_peers ip link set mfs1 up
	for i in "$libtorrent_ip" "$transmission_ip" "$aria2_ip" "$lpd_ip" "$leech_ip" "$tracker_ip" "$fake_net".{1..9} \
		"$pex_net".{1..6}; do
		in_peers ip addr add "$i/15" dev mfs1
	done
	for ((i = 0; i < dht_count; i++)); do in_peers ip addr add "$(dht_ip "$i")/15" dev mfs1; done
	ip route add 224.0.0.0/4 dev mfs0
	in_peers ip route add 224.0.0.0/4 dev mfs1
}

# names_up DIR: a hosts file with the routers' names, and no other DNS, seen only in this mount namespace.
names_up() {
	local i
	{
		echo "127.0.0.1 localhost"
		echo "127.0.0.1 $(uname -n)"
		echo "$tracker_ip tracker.example"
		for i in "${!routers[@]}"; do echo "$(dht_ip "$i") ${routers[$i]%%:*}"; done
	} >"$1/hosts"
	printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$1/resolv.conf"
	mount --bind "$1/hosts" /etc/hosts
	mount --bind "$1/resolv.conf" /etc/resolv.conf
}
