# The peers of the integration test, for sourcing after net.sh: a DHT of libtorrent nodes, and seeds that nobody here wrote.
# Expects $tmp with data/ and torrents/ (make.py), $here (this folder) and $python (the one that has libtorrent).

# farm JSON: a request to the process with the libtorrent sessions; prints its answer.
farm() { "$python" "$here/peers.py" ask "$tmp/farm.sock" "$1"; }

hash_of() { cat "$tmp/torrents/$1.hash"; }
torrent_of() { echo "$tmp/torrents/$1.torrent"; }

# dht_up: the nodes, and the libtorrent seed that takes part as well. They know one another at once; in a routing table
# newcomers would be pinged one by one.
dht_up() {
	local i j known ask
	in_peers "$python" "$here/peers.py" serve "$tmp/farm.sock" >"$tmp/log/farm" 2>&1 &
	until [ -S "$tmp/farm.sock" ]; do sleep 0.02; done
	farm "{\"op\":\"mirror\",\"listen\":\"$leech_ip:6880\"}"
	ask="\"op\":\"session\",\"bootstrap\":\"$leech_ip:6880\""
	for ((i = 0; i < dht_count; i++)); do
		farm "{$ask,\"id\":\"dht$i\",\"listen\":\"$(dht_ip "$i"):$(dht_port "$i")\"}"
	done
	farm "{$ask,\"id\":\"seed\",\"listen\":\"$libtorrent_ip:6881\"}"
	sleep 1 # for their node IDs, see peers.py
	for ((i = 0; i < dht_count; i++)); do
		known=
		for ((j = 0; j < dht_count; j++)); do
			[ "$i" = "$j" ] || known+=",[\"$(dht_ip "$j")\",$(dht_port "$j")]"
		done
		farm "{\"op\":\"nodes\",\"id\":\"dht$i\",\"nodes\":[${known#,}]}"
	done
	farm "{\"op\":\"nodes\",\"id\":\"seed\",\"nodes\":[${known#,}]}"
} >/dev/null

# seed_libtorrent ID NAME…: the session ID of the farm seeds these torrents.
seed_libtorrent() {
	local id=$1 name
	for name in "${@:2}"; do
		farm "{\"op\":\"seed\",\"id\":\"$id\",\"torrent\":\"$(torrent_of "$name")\",\"save\":\"$tmp/data\"}" >/dev/null
	done
}

# lpd_up NAME…: a seed without DHT, heard of only by its multicasts.
lpd_up() {
	farm "{\"op\":\"session\",\"id\":\"lpd\",\"listen\":\"$lpd_ip:6881\",\"dht\":false,\"lsd\":true}" >/dev/null
	seed_libtorrent lpd "$@"
}

# tracker_up: opentracker, by HTTP and UDP. Debian's serves only the torrents of a list, and nobody who is root.
tracker_up() {
	mkdir "$tmp/tracker"
	cat "$tmp"/torrents/{http.bin,udp.bin,private.bin,tiers.bin,hybrid,hybrid-v2}.hash >"$tmp/tracker/list"
	in_peers unshare --user --map-user=1000 opentracker -i "$tracker_ip" -p 6969 -P 6969 -d "$tmp/tracker" -w "$tmp/tracker/list" \
		>"$tmp/log/tracker" 2>&1 &
}

transmission_up() {
	local dir=$tmp/transmission i name
	mkdir "$dir"
	cat >"$dir/settings.json" <<-END
		{"bind-address-ipv4": "$transmission_ip", "bind-address-ipv6": "::1", "peer-port": 6881, "download-dir": "$tmp/data",
		 "rpc-enabled": true, "rpc-bind-address": "127.0.0.1", "rpc-port": 9091, "lpd-enabled": false, "dht-enabled": true,
		 "utp-enabled": false, "port-forwarding-enabled": false, "ratio-limit-enabled": false, "start-added-torrents": true,
		 "blocklist-enabled": false, "incomplete-dir-enabled": false, "cache-size-mb": 1}
	END
	# without it the first announce takes minutes
	for ((i = 0; i < dht_count; i++)); do echo "$(dht_ip "$i") $(dht_port "$i")"; done >"$dir/dht.bootstrap"
	in_peers transmission-daemon --foreground --config-dir "$dir" --logfile "$tmp/log/transmission" >/dev/null 2>&1 &
	# files put into its folder would be seeded, but not as metadata
	for name in "$@"; do soon 10 in_peers transmission-remote --add "$(torrent_of "$name")"; done
}

# aria2_up: torrents are handed to it when its routing table is filled (aria2_seed); with an empty one its announce fails, and
# the next try comes a minute later.
aria2_up() {
	in_peers aria2c --no-conf --dir="$tmp/data" --seed-ratio=0.0 --check-integrity=true --listen-port=6881 \
		--interface="$aria2_ip" --enable-dht=true --dht-listen-port=6882 --dht-entry-point="$(dht_ip 4):6881" \
		--dht-file-path="$tmp/aria2.dht" --bt-enable-lpd=false --enable-dht6=false --allow-overwrite=true \
		--file-allocation=none --bt-max-peers=0 --enable-rpc --rpc-listen-port=6800 >"$tmp/log/aria2" 2>&1 &
}

aria2_seed() { in_peers "$python" "$here/aria2.py" "$(torrent_of "$1")" "$tmp/data"; }

# announced NAME IP…: waits until the DHT names these hosts as peers of the torrent.
announced() {
	in_peers "$python" "$here/dht.py" "$(hash_of "$1")" "$(dht_addrs "$dht_count")" "${@:2}"
}
