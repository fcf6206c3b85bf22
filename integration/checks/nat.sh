# Peers behind NATs that let no strangers in: holes are punched (BEP 55).
#
#   behind_a  192.168.7.2   a mount          behind_b  192.168.8.2   libtorrent
#     └─ gate_a  198.18.210.1                  └─ gate_b  198.18.211.1     Linux's masquerade, and nothing that was not asked for
#          └─ nat_a … of the first namespace        └─ nat_b …             comes in; from there on to "peers"

# gate SIDE PUBLIC PRIVATE: a network behind a NAT. PUBLIC and PRIVATE are the first three bytes of addresses.
gate() {
	space "gate_$1"
	space "behind_$1"
	ip link add wan netns "$(cat "$tmp/space/gate_$1")" type veth peer name "nat_$1"
	ip addr add "$2.2/30" dev "nat_$1"
	ip link set "nat_$1" up
	ip route replace "$2.0/30" dev "nat_$1" src "$self_ip" # the address that they dial is the one that answers
	in_peers ip route add "$2.0/30" via "$self_ip"
	ip link add eth0 netns "$(cat "$tmp/space/behind_$1")" type veth peer name lan netns "$(cat "$tmp/space/gate_$1")"
	in_space "behind_$1" ip addr add "$3.2/24" dev eth0
	in_space "behind_$1" ip link set eth0 up
	in_space "behind_$1" ip route add default via "$3.1"
	in_space "gate_$1" sh -e <<-END
		ip addr add $2.1/30 dev wan
		ip addr add $3.1/24 dev lan
		ip link set wan up
		ip link set lan up
		ip route add default via $2.2
		echo 1 >/proc/sys/net/ipv4/ip_forward
		nft add table ip nat
		nft add chain ip nat out '{ type nat hook postrouting priority 100; }'
		nft add rule ip nat out oifname wan masquerade
		nft add table ip filter
		nft add chain ip filter input '{ type filter hook input priority 0; }'
		nft add rule ip filter input iifname wan ct state new drop
		nft add chain ip filter forward '{ type filter hook forward priority 0; }'
		nft add rule ip filter forward iifname wan ct state new drop
	END
}

# behind SIDE JSON: a request to the libtorrent there.
behind() { "$python" "$here/peers.py" ask "$tmp/behind_$1.sock" "$2"; }

nats_up() {
	local side
	[ ! -e "$tmp/space/gate_a" ] || return 0
	echo 1 >/proc/sys/net/ipv4/ip_forward
	gate a 198.18.210 192.168.7
	gate b 198.18.211 192.168.8
	for side in a b; do
		in_space behind_$side "$python" "$here/peers.py" serve "$tmp/behind_$side.sock" >"$tmp/log/behind_$side" 2>&1 &
		until [ -S "$tmp/behind_$side.sock" ]; do sleep 0.02; done
	done
}

# of_peer MOUNT NAME IP JQ: a value of the peer with this address.
of_peer() { jq -r ".connected[] | select(.addr | startswith(\"$3:\")) | $4" "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/status.json"; }

# connected SESSION HASH IP: the session of the farm has this peer.
connected() { farm "{\"op\":\"peers\",\"id\":\"$1\",\"hash\":\"$2\"}" | jq -e ".peers | keys[] | select(startswith(\"$3:\"))"; }

# libtorrent tries uTP and then TCP before it asks for an introduction; this one only uTP, and for a second.
impatient='"dht":false,"settings":{"close_redundant_connections":false,"enable_outgoing_tcp":false,"peer_connect_timeout":1'

# We and a libtorrent are behind NATs. The only one who can be reached has all of it, unchokes nobody, and introduces us. First
# we look for the other, then it looks for us.
holepunch() {
	local hash hub=$pex_net.6
	hash=$(hash_of punch.bin)
	nats_up
	farm "{\"op\":\"session\",\"id\":\"relay\",\"listen\":\"$hub:6887\",$impatient,\"allowed_fast_set_size\":0,\"unchoke_slots_limit\":0}}"
	seed_libtorrent relay punch.bin
	behind b "{\"op\":\"session\",\"id\":\"seed\",\"listen\":\"192.168.8.2:6881\",$impatient}}"
	behind b "{\"op\":\"seed\",\"id\":\"seed\",\"torrent\":\"$(torrent_of punch.bin)\",\"save\":\"$tmp/data\",\"pex\":false}"
	behind b "{\"op\":\"connect\",\"id\":\"seed\",\"hash\":\"$hash\",\"peer\":[\"$hub\",6887]}"
	soon 10 connected relay "$hash" 198.18.211.1
	mount_behind punch
	add punch punch.bin "$hub:6887"
	equal punch punch.bin 60
	same "$(of_peer punch punch.bin 198.18.211.1 '.transport + " " + .addr')" "utp 198.18.211.1:6881"

	behind b "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$hash\"}"
	mkdir "$tmp/punch"
	behind b "{\"op\":\"session\",\"id\":\"leech\",\"listen\":\"192.168.8.2:6882\",$impatient}}"
	behind b "{\"op\":\"leech\",\"id\":\"leech\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/punch\",\"peer\":[\"$hub\",6887]}"
	behind b "{\"op\":\"wait\",\"id\":\"leech\",\"hash\":\"$hash\",\"timeout\":60}"
	cmp "$tmp/punch/punch.bin" "$tmp/data/punch.bin"
	umount_fs punch
}

# We introduce two libtorrents, and have nothing of it but the metadata. They have different ports: with equal ones each of
# them drops the connection that it began, when both succeed.
holepunch_relay() {
	local hash peer
	hash=$(hash_of punch-two.bin)
	nats_up
	mount_fs relay --no-dht --no-lpd
	mkdir "$tmp/mnt/relay/$hash" "$tmp/punch-two"
	peer="[\"$self_ip\",$(port_of relay)]"
	behind b "{\"op\":\"session\",\"id\":\"two\",\"listen\":\"192.168.8.2:6883\",$impatient}}"
	behind b "{\"op\":\"seed\",\"id\":\"two\",\"torrent\":\"$(torrent_of punch-two.bin)\",\"save\":\"$tmp/data\",\"pex\":false}"
	behind b "{\"op\":\"connect\",\"id\":\"two\",\"hash\":\"$hash\",\"peer\":$peer}"
	soon 10 test -e "$tmp/mnt/relay/punch-two.bin"
	behind a "{\"op\":\"session\",\"id\":\"two\",\"listen\":\"192.168.7.2:6884\",$impatient}}"
	behind a "{\"op\":\"leech\",\"id\":\"two\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/punch-two\",\"peer\":$peer}"
	behind a "{\"op\":\"wait\",\"id\":\"two\",\"hash\":\"$hash\",\"timeout\":60}"
	cmp "$tmp/punch-two/punch-two.bin" "$tmp/data/punch-two.bin"
	same "$(jq .downloaded "$tmp/mnt/relay/.magnetfs/by-hash/$hash/status.json")" 0
	grep 'msg="holepunch relayed"' "$tmp/state/relay/magnetfs/magnetfs.log"
	umount_fs relay
}

# mount_behind NAME: a mount on the host behind_a.
mount_behind() {
	XDG_STATE_HOME=$tmp/state/$1 XDG_CACHE_HOME=${tmp%/run}/cache/$1 in_space behind_a timeout 20 "$magnetfs" mount "$tmp/mnt/$1" --log-level debug --no-dht --no-lpd
}

# Of fifty addresses, most of which nobody answers at, the one of the own network is dialled before the others.
lan_first() {
	local name i far=
	nats_up
	for i in {1..49}; do far+="&x.pe=198.19.$i.1:6881"; done
	behind a "{\"op\":\"session\",\"id\":\"lan\",\"listen\":\"192.168.7.2:6885\",\"dht\":false}"
	mount_behind lan
	for name in spelled.bin xpe.bin home-lpd.bin; do
		behind a "{\"op\":\"seed\",\"id\":\"lan\",\"torrent\":\"$(torrent_of $name)\",\"save\":\"$tmp/data\"}"
		mkdir "$tmp/mnt/lan/magnet:?xt=urn:btih:$(hash_of $name)$far&x.pe=192.168.7.2:6885"
		soon 20 test -e "$tmp/mnt/lan/$name"
	done
	for name in spelled.bin xpe.bin home-lpd.bin; do
		contains "$(log_of lan | grep "torrent=$(hash_of $name | cut -c1-8)" | grep -E 'msg=(dial|connected)' | head -n 1)" "msg=connected torrent=$(hash_of $name | cut -c1-8) peer=192.168.7.2:6885"
	done
	umount_fs lan
}
