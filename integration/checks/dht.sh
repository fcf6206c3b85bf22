# The DHT node of a mount as others see it: libtorrent's nodes, and packets that no client would send.

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
	same "$(jq -c '[.all, (.samples | length)]' <<<"$known")" "[2,2]"
	farm '{"op":"close","id":"getter"}'
}

# Who asks too much is not answered for a while, and nobody else suffers.
dht_stops_floods() {
	dht_probe flood "$fake_net.1" "$tracker_ip"
	umount_fs serve
}
