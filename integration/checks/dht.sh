# The DHT node of a mount as others see it: libtorrent's nodes, and packets that no client would send.
#
#   MAGNETFS_DHT=700        seconds for which tokens are tried, and in which a node that nobody asks becomes read-only

# The key of the examples in BEP 44, expanded as libtorrent wants it.
dht_key=77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548
dht_private=e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74db7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d

# dht_only_us ID HOST:PORT: a libtorrent session whose only node is the mount "serve".
dht_only_us() {
	farm "{\"op\":\"session\",\"id\":\"$1\",\"listen\":\"$2\",\"settings\":{\"alert_mask\":1024}}"
	farm "{\"op\":\"nodes\",\"id\":\"$1\",\"nodes\":[[\"$self_ip\",$(port_of serve)]]}"
}

dht_put() { farm "{\"op\":\"put\",\"id\":\"putter\",$1}" | jq -e '.nodes >= 1'; }
dht_value() { farm "{\"op\":\"get\",\"id\":\"$1\",$2}" | jq -r .value; }

# dht_probe WHAT ADDR…: raw packets to the mount "serve".
dht_probe() { in_peers "$python" "$here/dhtprobe.py" "$1" "$self_ip:$(port_of serve)" "${@:2}"; }

# Asked by hand: peers, tokens, items, info-hashes, garbage.
dht_serves() {
	mount_fs serve --no-lpd --dht-bootstrap "$fake:7990" # nobody is there
	dht_probe items "$fake_net.2"
	dht_probe tokens "$fake_net".{3..9} "$pex_net".{1..6}
	dht_probe strange "$leech_ip"
	dht_probe rotation "$lpd_ip" "${MAGNETFS_DHT:-0}"
}

# The same mount: what one libtorrent session has stored, another one gets. Neither has ever heard of another node than ours,
# and the first is gone when the second one asks.
dht_serves_libtorrent() {
	local key="\"key\":\"$dht_key\",\"private\":\"$dht_private\"" known
	dht_only_us putter "$pex_net.1:6891"
	soon 20 dht_put '"value":"Hello World!"'
	dht_put "\"value\":\"next\",$key"
	dht_put "\"value\":\"last\",$key"
	dht_put "\"value\":\"salted\",\"salt\":\"foobar\",$key"
	farm '{"op":"close","id":"putter"}'
	dht_only_us getter "$pex_net.2:6891"
	same "$(dht_value getter '"target":"e5f96f6f38320f0f33959cb4d3d656452117aadb"')" "Hello World!"
	same "$(dht_value getter "$key")" last
	same "$(dht_value getter "$key,\"salt\":\"foobar\"")" salted
	known=$(farm "{\"op\":\"sample\",\"id\":\"getter\",\"node\":[\"$self_ip\",$(port_of serve)]}")
	same "$(jq -c '[.all, (.samples | length)]' <<<"$known")" "[3,3]"
	farm '{"op":"close","id":"getter"}'
}

# Who asks too much is not answered for a while, and nobody else suffers.
dht_stops_floods() {
	dht_probe flood "$fake_net.1" "$tracker_ip"
	umount_fs serve
}

# python_nodes WHERE NAME ADDR,… WHAT…: nodes that say this, see dhtprobe.py; what they are asked is in $tmp/log/NAME. WHERE is
# in_peers, or env for here.
python_nodes() {
	"$1" "$python" "$here/dhtprobe.py" nodes "$tmp/log/$2" "${@:3}" 2>"$tmp/log/$2.err" &
	soon 5 test -e "$tmp/log/$2"
}

# dht_json: all nodes of the DHT, for farm.
dht_json() {
	local i out=
	for ((i = 0; i < dht_count; i++)); do out+=",[\"$(dht_ip "$i")\",$(dht_port "$i")]"; done
	echo "[${out#,}]"
}

# dht_row MOUNT HASH JQ: the row [DHT] is so.
dht_row() { row "$1" "$2" DHT | jq -e "$3"; }

read_only() { tail -n 1 "$tmp/log/strangers" | jq -e '.ro == 1'; }

# Forty nodes that answer and never ask. They estimate a swarm as in the example of BEP 33 (1,224.9 seeds, less us, whom such
# a filter names as well), and name one good peer beside those that nobody may name: port 0, multicast, private networks.
dht_believes_little() {
	local hash=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa nodes
	nodes=$(printf ",$fake_net.9:%d" {7901..7940})
	in_peers ip addr add 10.99.0.1/32 dev mfs1
	ip route add 10.99.0.1 dev mfs0
	python_nodes in_peers strangers "${nodes#,}" filters strange "$fake_net.8:7999"
	python_nodes in_peers private 10.99.0.1:7999
	python_nodes env own-loopback 127.0.0.1:7999
	mount_fs row --no-lpd --dht-bootstrap "$fake_net.9:7901"
	mkdir "$tmp/mnt/row/$hash"
	soon 20 dht_row row "$hash" '.seeds == 1224 and .peers == 258'
	same "$(log_of row | grep -o 'new=.* source=DHT' | sort -u)" "new=1 of=1 source=DHT"
	same "$(jq .ro "$tmp/log/strangers" | sort -u)" 0
	same "$(cat "$tmp/log/private" "$tmp/log/own-loopback")" ""
	# Nobody who was not asked asks: so others are not to ask us.
	[ "${MAGNETFS_DHT:-0}" -lt 660 ] || soon "$MAGNETFS_DHT" read_only
	umount_fs row
}

# How many there are is what libtorrent's nodes say.
dht_row_counts() {
	local hash
	hash=$(hash_of big.bin)
	farm "{\"op\":\"session\",\"id\":\"slow\",\"listen\":\"$pex_net.6:6891\",\"bootstrap\":\"$leech_ip:6880\",\"settings\":{\"download_rate_limit\":1000}}"
	sleep 1 # for its node ID, see peers.py
	farm "{\"op\":\"nodes\",\"id\":\"slow\",\"nodes\":$(dht_json)}"
	farm "{\"op\":\"leech\",\"id\":\"slow\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/slow\"}"
	announced big.bin "$libtorrent_ip" "$pex_net.6"
	mount_fs counted --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	add counted big.bin
	soon 20 dht_row counted "$hash" '.seeds == 1 and .peers == 1'
	umount_fs counted
	farm '{"op":"close","id":"slow"}'
}

# dialled: the hosts that are being dialled now, silent as they are.
dialled() { ss -Htn state syn-sent dst 198.19.0.0/16 | awk '{sub(":[0-9]*$", "", $4); print $4}' | sort; }

dials_the_first() {
	local now
	now=$(dialled)
	[ -n "$now" ] && [ "$now" = "$(head -n "$(wc -l <<<"$now")" "$tmp/canonical" | sort)" ] && [ "$(wc -l <<<"$now")" -ge 8 ]
}

# Of 64 peers that do not answer those are dialled first that BEP 40 puts first. Our address is what 25 of 60 nodes say it is.
dials_in_canonical_order() {
	local a b nodes mac peers=()
	printf 'addr add 198.18.%d.1/15 dev mfs1\n' {40..99} | in_peers ip -batch -
	nodes=$(printf ",198.18.%d.1:7801" {40..99})
	mac=$(in_peers ip -j link show mfs1 | jq -r ".[0].address") # it drops what is not for it
	for a in 0 1 4 5 16 17 20 21; do
		for b in 1 4 5 16 17 20 21 64; do peers+=("198.19.$a.$b"); done # no two of them are alike to BEP 40
	done
	printf "neigh add %s lladdr $mac dev mfs0\n" "${peers[@]}" | ip -batch -
	"$python" "$here/dhtprobe.py" canonical "$self_ip" "${peers[@]}" >"$tmp/canonical"
	python_nodes in_peers voters "${nodes#,}" "${peers[@]/%/:6881}"
	mount_fs dials --no-lpd --utp off --dht-bootstrap "${nodes#,}"
	soon 20 told_its_address dials
	mkdir "$tmp/mnt/dials/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	soon 8 dials_the_first
	umount_fs dials
	printf "neigh del %s dev mfs0\n" "${peers[@]}" | ip -batch -
	printf 'addr del 198.18.%d.1/15 dev mfs1\n' {40..99} | in_peers ip -batch -
}

told_its_address() { log_of "$1" | grep "external address" >"$tmp/told"; }
