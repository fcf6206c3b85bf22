# Hybrid torrents (BEP 52) are one torrent with two info-hashes: we are found by either.

# leech_hybrid ID HOST:PORT MAGNET: a client that knows the torrent by this only finds us in the DHT and gets all of it.
leech_hybrid() {
	farm "{\"op\":\"session\",\"id\":\"$1\",\"listen\":\"$2\",\"bootstrap\":\"$leech_ip:6880\"}"
	sleep 1 # for its node ID, see peers.py
	farm "{\"op\":\"nodes\",\"id\":\"$1\",\"nodes\":$(dht_json)}"
	leech_by "$1" "$3"
}

# leech_by ID MAGNET: the session gets all of it, and ends.
leech_by() {
	local hash=${2##*:}
	farm "{\"op\":\"leech\",\"id\":\"$1\",\"magnet\":\"$2\",\"save\":\"$tmp/$1\"}"
	farm "{\"op\":\"wait\",\"id\":\"$1\",\"hash\":\"${hash#1220}\",\"timeout\":60}"
	diff -r "$tmp/$1/hybrid" "$tmp/data/hybrid"
	farm "{\"op\":\"close\",\"id\":\"$1\"}"
}

# We are given one hash only. The tracker, the DHT and the neighbours hear both as soon as there is metadata, and whoever knows
# only one of them gets all of it from us.
hybrids() {
	local id v2 url="http%3A%2F%2F$tracker_ip%3A6969%2Fannounce"
	export here # for scrape
	v2=$(cat "$tmp/torrents/hybrid.hash2")
	farm "{\"op\":\"session\",\"id\":\"hybrid\",\"listen\":\"$pex_net.1:6893\",\"dht\":false}"
	seed_libtorrent hybrid hybrid
	mount_fs hybrid --dht-bootstrap "$(dht_addrs 3)"
	mkdir "$tmp/mnt/hybrid/magnet:?xt=urn:btmh:1220$v2&x.pe=$pex_net.1:6893&tr=$url"
	equal hybrid hybrid
	farm '{"op":"close","id":"hybrid"}'
	announced hybrid "$self_ip"
	announced hybrid-v2 "$self_ip"
	soon 10 at_tracker hybrid
	soon 10 at_tracker hybrid-v2
	leech_hybrid by-v1 "$pex_net.2:6893" "magnet:?xt=urn:btih:$(hash_of hybrid)"
	leech_hybrid by-v2 "$pex_net.3:6893" "magnet:?xt=urn:btmh:1220$v2"
	for id in v1 v2; do
		farm "{\"op\":\"session\",\"id\":\"lpd-$id\",\"listen\":\"$pex_net.5:69${id#v}3\",\"dht\":false,\"lsd\":true}"
	done
	leech_by lpd-v1 "magnet:?xt=urn:btih:$(hash_of hybrid)"
	leech_by lpd-v2 "magnet:?xt=urn:btmh:1220$v2"
	umount_fs hybrid
}

# A link with both: whom we dial is called by the hash that it knows.
hybrid_by_either() {
	local v1 v2
	v1=$(hash_of hybrid-two) v2=$(cat "$tmp/torrents/hybrid-two.hash2")
	farm "{\"op\":\"session\",\"id\":\"hybrid\",\"listen\":\"$pex_net.1:6893\",\"dht\":false}"
	seed_libtorrent hybrid hybrid-two
	farm "{\"op\":\"session\",\"id\":\"dialled\",\"listen\":\"$pex_net.4:6893\",\"dht\":false,\"settings\":{\"close_redundant_connections\":false}}"
	farm "{\"op\":\"leech\",\"id\":\"dialled\",\"magnet\":\"magnet:?xt=urn:btmh:1220$v2\",\"save\":\"$tmp/dialled\"}"
	mount_fs hybrid --no-lpd --no-dht
	mkdir "$tmp/mnt/hybrid/magnet:?xt=urn:btih:$v1&xt=urn:btmh:1220$v2&x.pe=$pex_net.4:6893&x.pe=$pex_net.1:6893"
	equal hybrid hybrid-two
	farm "{\"op\":\"wait\",\"id\":\"dialled\",\"hash\":\"$v2\",\"timeout\":60}"
	diff -r "$tmp/dialled/hybrid-two" "$tmp/data/hybrid-two"
	farm '{"op":"close","id":"dialled"}'
	farm '{"op":"close","id":"hybrid"}'
	umount_fs hybrid
}

at_tracker() { [ "$(scrape "$1")" != "0 0" ]; }
