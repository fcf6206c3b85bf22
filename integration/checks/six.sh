# IPv6 alone: a mount on a host that has no IPv4, joined to the peers by a link of its own.
#
#   six      eth0 2a0e:beef:0:ff::1      the mounts
#   peers    mfs6 2a0e:beef:0:1::1 …     a /64 each, since clients want distance between the nodes of a bucket

six_net=2a0e:beef:0
six_ip=$six_net:ff::1
six_nodes=4 # nodes 1 to 4; the others are peers

six_up() {
	local i
	space six
	ip link add eth0 netns "$(cat "$tmp/space/six")" type veth peer name mfs6 netns "$peers_pid"
	in_space six ip addr add "$six_ip/48" dev eth0 nodad
	in_space six ip link set eth0 up
	for i in {1..12}; do in_peers ip addr add "$six_net:$i::1/48" dev mfs6 nodad; done
	in_peers ip link set mfs6 up
	in_peers ip -6 route add ff15::efc0:988f dev mfs6 table local # libtorrent sends to whichever interface comes first
	farm "{\"op\":\"mirror\",\"listen\":\"[$six_net:12::1]:6880\"}"
	for i in 1 2 3 4 5; do six_session "six$i" "$i" true; done
	sleep 1 # for their node IDs, see peers.py
	for i in 1 2 3 4 5; do farm "{\"op\":\"nodes\",\"id\":\"six$i\",\"nodes\":$(six_json)}"; done
	seed_libtorrent six5 six-dht.bin
	six_announced six-dht.bin "$six_net:5::1"
}

# six_session ID N DHT [LSD]
six_session() {
	farm "{\"op\":\"session\",\"id\":\"$1\",\"listen\":\"[$six_net:$2::1]:6881\",\"dht\":$3,\"lsd\":${4:-false},\"bootstrap\":\"[$six_net:12::1]:6880\"}"
}

six_json() { printf ",[\"$six_net:%d::1\",6881]" 1 2 3 4 | sed 's/^,\(.*\)/[\1]/'; }
six_announced() { in_peers "$python" "$here/dht.py" "$(hash_of "$1")" "$(printf ",[$six_net:%d::1]:6881" 1 2 3 4 | cut -c2-)" "$2"; }

mount_six() {
	local name=$1
	shift
	XDG_STATE_HOME=$tmp/state/$name XDG_CACHE_HOME=${tmp%/run}/cache/$name in_space six timeout 20 "$magnetfs" mount "$tmp/mnt/$name" --log-level debug "$@"
}

# six_leech ID MOUNT NAME [host,port]: a session gets the torrent.
six_leech() {
	local peer=${4:+,\"peer\":[$4]}
	farm "{\"op\":\"leech\",\"id\":\"$1\",\"magnet\":\"magnet:?xt=urn:btih:$(hash_of "$2")\",\"save\":\"$tmp/$1\"$peer}"
	farm "{\"op\":\"wait\",\"id\":\"$1\",\"hash\":\"$(hash_of "$2")\",\"timeout\":${3:-40}}"
	cmp "$tmp/$1/$2" "$tmp/data/$2"
}

# The DHT alone: we find a seed, and somebody who has only the hash finds us.
six_dht() {
	local hash
	six_up
	hash=$(hash_of six-dht.bin)
	mount_six six-dht --no-lpd --dht-bootstrap "[$six_net:1::1]:6881"
	add six-dht six-dht.bin
	equal six-dht six-dht.bin
	told_by DHT six-dht "$hash" "[$six_net:5::1]:6881"
	six_announced six-dht.bin "$six_ip"
	no_longer_seeds six5 six-dht.bin
	six_session six6 6 true
	sleep 1
	farm "{\"op\":\"nodes\",\"id\":\"six6\",\"nodes\":$(six_json)}"
	six_leech six6 six-dht.bin
	soon 20 dht_row six-dht "$hash" '.seeds == 1 and (.status | test("^working .[0-9]+ nodes"))'
	umount_fs six-dht
}

# Multicasts alone, heard by both sides, whoever connects then. libtorrent sends them from any
# of its addresses, so it listens on all.
six_lpd() {
	local hash id
	hash=$(hash_of six-lpd.bin)
	for id in six7 six8; do
		farm "{\"op\":\"session\",\"id\":\"$id\",\"listen\":\"[::]:688${id#six}\",\"dht\":false,\"lsd\":true}"
	done
	seed_libtorrent six7 six-lpd.bin
	mount_six six-lpd --no-dht
	add six-lpd six-lpd.bin
	equal six-lpd six-lpd.bin
	soon 20 six_hears "$hash"
	no_longer_seeds six7 six-lpd.bin
	six_leech six8 six-lpd.bin
	umount_fs six-lpd
}

six_hears() { row six-lpd "$1" "Local Peer" | jq -e '.status == "working" and .peers >= 1'; }

# Peer exchange alone.
six_pex() {
	local hash quiet='"dht":false,"settings":{"close_redundant_connections":false,"allowed_fast_set_size":0'
	hash=$(hash_of six-pex.bin)
	farm "{\"op\":\"session\",\"id\":\"sixhub\",\"listen\":\"[$six_net:9::1]:6881\",$quiet,\"unchoke_slots_limit\":0}}"
	farm "{\"op\":\"session\",\"id\":\"sixlone\",\"listen\":\"[$six_net:10::1]:6881\",$quiet,\"enable_outgoing_tcp\":false,\"enable_outgoing_utp\":false}}"
	seed_libtorrent sixhub six-pex.bin
	seed_libtorrent sixlone six-pex.bin
	farm "{\"op\":\"connect\",\"id\":\"sixhub\",\"hash\":\"$hash\",\"peer\":[\"$six_net:10::1\",6881]}"
	mount_six six-pex --no-dht --no-lpd
	add six-pex six-pex.bin "[$six_net:9::1]:6881"
	equal six-pex six-pex.bin 90
	told_by PEX six-pex "$hash" "[$six_net:10::1]:6881"
	no_longer_seeds sixlone six-pex.bin
	farm "{\"op\":\"session\",\"id\":\"sixnew\",\"listen\":\"[$six_net:11::1]:6881\",$quiet,\"download_rate_limit\":50000}}"
	farm "{\"op\":\"leech\",\"id\":\"sixnew\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/sixnew\",\"peer\":[\"$six_ip\",$(port_of six-pex)]}"
}

# Some time later; that takes a while.
six_pex_told() {
	soon 70 heard_of sixnew "$(hash_of six-pex.bin)" PEX "$six_net:9::1:6881"
	umount_fs six-pex
}
