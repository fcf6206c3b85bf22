# Peers found in each way alone, in both directions, and what the status table says of it.

# row MOUNT HASH NAME: this row of the torrent's table, as JSON.
row() { jq -c ".sources[] | select(.name | contains(\"$3\"))" "$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"; }

# says MOUNT HASH NAME JQ…: the row fulfils these conditions.
says() {
	local condition
	for condition in "${@:4}"; do
		row "$1" "$2" "$3" | jq -e "$condition" >/dev/null || fail "$3: not $condition: $(row "$1" "$2" "$3")"
	done
}

# dht_rests MOUNT HASH: the DHT is asked again at a time that is told.
dht_rests() { row "$1" "$2" DHT | jq -e '.next > 0' >/dev/null; }

# source_of MOUNT HASH ADDR: who told the mount of this connected peer.
source_of() { jq -r ".connected[] | select(.addr == \"$3\") | .source" "$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"; }

told_by() { [ "$(source_of "$2" "$3" "$4")" = "$1" ]; }

# texts MOUNT HASH: by-hash/HASH/sources and peers say what status.json says, where that does not change by itself.
texts() {
	local dir=$tmp/mnt/$1/.magnetfs/by-hash/$2
	same "$(head -1 "$dir/sources" | tr -s ' ')" "Name Status Update In Seeds Peers"
	same "$(head -1 "$dir/peers" | tr -s ' ')" "Address Client Source Via Dir Pieces Down/s Downloaded Uploaded RTT Flags"
	same_meanwhile sources_json sources_text "$dir"
	same_meanwhile peers_json peers_text "$dir"
}

# same_meanwhile JSON TEXT DIR: both say the same. They are files read one after the other, and peers come and go in
# between: what counts is a reading of the text during which the other did not change.
same_meanwhile() {
	local before text i
	for i in {1..50}; do
		before=$("$1" "$3")
		text=$("$2" "$3")
		[ "$before" = "$("$1" "$3")" ] && break
	done
	same "$text" "$before"
}

sources_text() { sed -E '1d; s/ {2,}/|/g' "$1/sources" | cut -d'|' -f1,4,5; }
sources_json() { jq -r '.sources[] | [.name, .seeds // "-", .peers // "-"] | join("|")' "$1/status.json"; }
peers_text() { sed -E '1d; s/ {2,}/|/g' "$1/peers" | cut -d'|' -f1-6 | sort; }
peers_json() {
	jq -r '.connected[] | [.addr, .client, .source, .transport, (if .outgoing then "out" else "in" end), .pieces] | join("|")' \
		"$1/status.json" | sort
}

port_of() { log_of "$1" | grep -o ' port=[0-9]*' | tail -1 | cut -d= -f2; }

# no_longer_seeds SESSION NAME
no_longer_seeds() { farm "{\"op\":\"remove\",\"id\":\"$1\",\"hash\":\"$(hash_of "$2")\"}"; }

# found_somebody: seeds or downloaders: who has finished is no longer among the peers of that row.
found_somebody() { row found "$(hash_of found-two.bin)" DHT | jq -e '(.seeds // 0) + .peers >= 1'; }

# Two clients that have only the hash and the DHT get all of it from us.
found_by_dht() {
	local name i known=
	mount_fs found --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	for name in found-one.bin found-two.bin; do
		add found $name
		equal found $name
		no_longer_seeds seed $name
	done
	mkdir "$tmp/found-one" "$tmp/found-two"
	in_peers transmission-remote --download-dir "$tmp/found-one" --add "magnet:?xt=urn:btih:$(hash_of found-one.bin)"
	farm "{\"op\":\"session\",\"id\":\"finder\",\"listen\":\"$pex_net.5:6881\",\"bootstrap\":\"$leech_ip:6880\"}"
	for ((i = 0; i < dht_count; i++)); do known+=",[\"$(dht_ip "$i")\",$(dht_port "$i")]"; done
	sleep 1 # for its node ID, see peers.py
	farm "{\"op\":\"nodes\",\"id\":\"finder\",\"nodes\":[${known#,}]}"
	announced found-two.bin "$self_ip" || fail "we did not announce ourselves"
	farm "{\"op\":\"leech\",\"id\":\"finder\",\"magnet\":\"magnet:?xt=urn:btih:$(hash_of found-two.bin)\",\"save\":\"$tmp/found-two\"}"
	farm "{\"op\":\"wait\",\"id\":\"finder\",\"hash\":\"$(hash_of found-two.bin)\",\"timeout\":40}"
	cmp "$tmp/found-two/found-two.bin" "$tmp/data/found-two.bin"
	texts found "$(hash_of found-two.bin)"
	says found "$(hash_of found-two.bin)" DHT '.status | test("^working .[0-9]+ nodes")'
	soon 20 dht_rests found "$(hash_of found-two.bin)" # no time is told while it looks
	soon 10 found_somebody
}

# What transmission 3.00 began above. Its own timers: it asks the DHT for a new torrent after a random time of up to 20 s,
# connects within a second, begins anew when it has the metadata, and decides every 10 s whether it is interested.
found_by_transmission() {
	soon 60 cmp "$tmp/found-one/found-one.bin" "$tmp/data/found-one.bin"
	umount_fs found
}

# The hub has everything and unchokes nobody; who knows only it can get the data only from those of whom it tells.
#
# Peer exchange tells both sides at a time, so they dial each other. Those that are to be found by it dial nobody. Otherwise
# lone is often connected to us before we dial it, and is then no find of ours; and of two crossing connections libtorrent
# closes the incoming one when it hears the listening port, while transmission closes the other, as it has one to that
# address. When both are lost twice, transmission's next try is two minutes away.
pex_both_ways() {
	local hash quiet='"dht":false,"settings":{"close_redundant_connections":false,"allowed_fast_set_size":0'
	local silent="$quiet,\"enable_outgoing_tcp\":false,\"enable_outgoing_utp\":false"
	hash=$(hash_of pex.bin)
	farm "{\"op\":\"session\",\"id\":\"hub\",\"listen\":\"$pex_net.1:6881\",$quiet,\"unchoke_slots_limit\":0}}"
	farm "{\"op\":\"session\",\"id\":\"lone\",\"listen\":\"$pex_net.2:6881\",$silent}}"
	seed_libtorrent hub pex.bin
	seed_libtorrent lone pex.bin
	farm "{\"op\":\"connect\",\"id\":\"hub\",\"hash\":\"$hash\",\"peer\":[\"$pex_net.2\",6881]}"
	mount_fs pex --no-dht --no-lpd
	pex_to_transmission "$silent"
	add pex pex.bin "$pex_net.1:6881"
	equal pex pex.bin 90
	texts pex "$hash"
	told_by PEX pex "$hash" "$pex_net.2:6881" || fail "$(source_of pex "$hash" "$pex_net.2:6881")"
	says pex "$hash" "Peer Exchange" '.status | test("^working .[0-9]+ senders")' '.seeds + .peers >= 1'
	says pex "$hash" "[DHT]" '.status == "disabled"' '.next == null'
	says pex "$hash" "Local Peer" '.status == "disabled"'
	# A client that knows only the hub gets it from us.
	no_longer_seeds lone pex.bin
	farm "{\"op\":\"session\",\"id\":\"learner\",\"listen\":\"$pex_net.3:6881\",$quiet}}"
	farm "{\"op\":\"leech\",\"id\":\"learner\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/learner\",\"peer\":[\"$pex_net.1\",6881]}"
	farm "{\"op\":\"wait\",\"id\":\"learner\",\"hash\":\"$hash\",\"timeout\":90}"
	cmp "$tmp/learner/pex.bin" "$tmp/data/pex.bin"
	# One that knows only us hears of the others from us.
	farm "{\"op\":\"session\",\"id\":\"listener\",\"listen\":\"$pex_net.4:6881\",$quiet,\"download_rate_limit\":50000}}"
	farm "{\"op\":\"leech\",\"id\":\"listener\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/listener\",\"peer\":[\"$self_ip\",$(port_of pex)]}"
	soon 70 heard_of listener "$hash" PEX "$pex_net.1:6881"
	# and transmission did, meanwhile.
	soon 40 cmp "$tmp/pex-two/pex-two.bin" "$tmp/data/pex-two.bin"
	contains "$(awk '{print $2}' "$tmp/pex-two/seen")" X
	umount_fs pex
}

# pex_to_transmission SETTINGS: transmission gets a torrent of which it knows only us, who have nothing of it but the metadata.
# The flag X of a peer means that peer exchange told of it.
pex_to_transmission() {
	local hash
	hash=$(hash_of pex-two.bin)
	farm "{\"op\":\"session\",\"id\":\"behind\",\"listen\":\"$pex_net.6:6881\",$1,\"upload_rate_limit\":300000}}"
	seed_libtorrent behind pex-two.bin
	mkdir "$tmp/pex-two"
	in_peers transmission-remote --download-dir "$tmp/pex-two" --add "magnet:?xt=urn:btih:$hash"
	add pex pex-two.bin "$pex_net.6:6881" "$transmission_ip:6881"
	until in_peers transmission-remote --torrent "$hash" --info-peers | grep "^$pex_net.6 " >"$tmp/pex-two/seen"; do sleep 0.2; done &
}

# heard_of SESSION HASH SOURCE ADDR
heard_of() { farm "{\"op\":\"peers\",\"id\":\"$1\",\"hash\":\"$2\"}" | jq -e ".peers[\"$4\"] | index(\"$3\")"; }

# transmission in the home, without DHT. It hears nobody of its own host, as it switches the loop of its multicasts off.
home_transmission() {
	local dir=$tmp/home-transmission
	mkdir "$dir"
	cat >"$dir/settings.json" <<-END
		{"peer-port": 6881, "download-dir": "$tmp/data", "rpc-bind-address": "127.0.0.1", "rpc-port": 9091, "lpd-enabled": true,
		 "dht-enabled": false, "utp-enabled": false, "port-forwarding-enabled": false, "cache-size-mb": 1}
	END
	in_space home4 transmission-daemon --foreground --config-dir "$dir" --logfile "$tmp/log/home-transmission" >/dev/null 2>&1 &
	soon 10 in_space home4 transmission-remote --add "$(torrent_of home-lpd.bin)"
}

# Multicasts alone: we find the others, and they find us whoever came first.
lpd_both_ways() {
	local lpd for
	home_up 100mbit
	home_transmission
	mkdir "$tmp/lsd" "$tmp/for-home"
	lpd=$(hash_of home-lpd.bin) for=$(hash_of for-home.bin)
	mount_home 1 --no-dht
	add home1 home-lpd.bin
	mount_home 2 --no-dht
	add home2 for-home.bin "$libtorrent_ip:6881"
	equal home2 for-home.bin
	in_space home4 transmission-remote --download-dir "$tmp/for-home" --add "magnet:?xt=urn:btih:$for"

	mount_fs lsd --no-dht
	add lsd lsd.bin
	equal lsd lsd.bin
	no_longer_seeds lpd lsd.bin
	farm "{\"op\":\"session\",\"id\":\"lsdleech\",\"listen\":\"$leech_ip:6885\",\"dht\":false,\"lsd\":true}"
	farm "{\"op\":\"leech\",\"id\":\"lsdleech\",\"magnet\":\"magnet:?xt=urn:btih:$(hash_of lsd.bin)\",\"save\":\"$tmp/lsd\"}"
	farm "{\"op\":\"wait\",\"id\":\"lsdleech\",\"hash\":\"$(hash_of lsd.bin)\",\"timeout\":20}"
	cmp "$tmp/lsd/lsd.bin" "$tmp/data/lsd.bin"
	umount_fs lsd

	equal home1 home-lpd.bin 40
	same "$(source_of home1 "$lpd" "$(home_ip 4):6881")" LPD
	says home1 "$lpd" "Local Peer" '.status == "working"' '.peers == 1' '.next > 0 and .next <= 300'
	umount_fs home1
	soon 40 cmp "$tmp/for-home/for-home.bin" "$tmp/data/for-home.bin"

	# Who knows only transmission hears of the second mount from it.
	mount_home 3 --no-dht --no-lpd
	add home3 for-home.bin "$(home_ip 4):6881"
	soon 100 told_by PEX home3 "$for" "$(home_ip 2):$(port_of home2)"
	umount_fs home2
	umount_fs home3
}

# scrape NAME: what the tracker knows, as "complete incomplete".
scrape() {
	in_peers "$python" - "$(hash_of "$1")" "http://$tracker_ip:6969/scrape" <<-'END'
		import os, sys, urllib.parse, urllib.request
		sys.path.insert(0, os.environ['here'])
		import bencode
		h = bytes.fromhex(sys.argv[1])
		with urllib.request.urlopen(sys.argv[2] + '?info_hash=' + urllib.parse.quote(h, ''), timeout=5) as r:
		    f = bencode.decode(r.read())[b'files'].get(h, {})
		print(f.get(b'complete', 0), f.get(b'incomplete', 0))
	END
}

scrapes() { [ "$(scrape "$1")" = "$2" ]; }

# Trackers alone, one named in a magnet and one in a file, by HTTP and by UDP; it knows of us as long as we are there.
trackers() {
	local http udp
	export here
	http=$(hash_of http.bin) udp=$(hash_of udp.bin)
	farm "{\"op\":\"session\",\"id\":\"tracked\",\"listen\":\"$libtorrent_ip:6890\",\"dht\":false}"
	seed_libtorrent tracked http.bin udp.bin private.bin
	soon 10 scrapes http.bin "1 0"
	soon 10 scrapes udp.bin "1 0"
	mount_fs tracked --no-dht --no-lpd
	mkdir "$tmp/mnt/tracked/magnet:?xt=urn:btih:$http&tr=http%3A%2F%2F$tracker_ip%3A6969%2Fannounce"
	cp "$(torrent_of udp.bin)" "$tmp/mnt/tracked/"
	equal tracked http.bin
	equal tracked udp.bin
	says tracked "$http" "http://$tracker_ip:6969" '.status == "working"' '.seeds == 1' '.next > 30'
	says tracked "$udp" "udp://$tracker_ip:6969" '.status == "working"' '.seeds == 1' '.next > 30'
	same "$(source_of tracked "$udp" "$libtorrent_ip:6890")" tracker
	contains "$("$magnetfs" status "$tmp/mnt/tracked")" "udp://$tracker_ip:6969"
	scrapes http.bin "1 1" || scrapes http.bin "2 0" || fail "the tracker knows $(scrape http.bin)"
	umount_fs tracked
	soon 5 scrapes http.bin "1 0"
	soon 5 scrapes udp.bin "1 0"
}

# private=1: nobody but the tracker hears of it.
private_torrent() {
	local hash row
	hash=$(hash_of private.bin)
	"$python" "$here/sniff.py" mfs0 "$hash" >"$tmp/log/sniff" &
	soon 5 grep -q ready "$tmp/log/sniff"
	mount_fs private --dht-bootstrap "$(dht_addrs 3)"
	cp "$(torrent_of private.bin)" "$tmp/mnt/private/"
	equal private private.bin
	for row in "[DHT]" "Local Peer" "Peer Exchange"; do
		says private "$hash" "$row" '.status == "not allowed (private)"' '.next == null' '.peers == null'
	done
	says private "$hash" "udp://$tracker_ip:6969" '.status == "working"' '.seeds == 1'
	sleep 1
	umount_fs private
	grep -q "$tracker_ip:6969" "$tmp/log/sniff" # it does see them
	same "$(grep -v -e ready -e "UDP .*$tracker_ip:6969" -e '^TCP handshake' "$tmp/log/sniff" || true)" ""
}

# cut_off ADDR…: no packet gets to these hosts until "back".
cut_off() { local i; for i in "$@"; do ip route add blackhole "$i"; done; }
back() { local i; for i in "$@"; do ip route del blackhole "$i"; done; }

# No node is known. A peer tells of its own (BEP 5, PORT), and the table is filled from there.
node_of_a_peer() {
	mount_fs ported --no-lpd --dht-bootstrap "$fake:7990" # nobody is there
	add ported xpe.bin "$libtorrent_ip:6881"
	equal ported xpe.bin
	soon 20 knows_all_nodes ported "$(hash_of xpe.bin)"
	add ported later.bin
	equal ported later.bin
	umount_fs ported
}

# knows_all_nodes MOUNT HASH
knows_all_nodes() { row "$1" "$2" DHT | jq -e ".status | capture(\"working .(?<n>[0-9]+) nodes\").n | tonumber >= $dht_count"; }

bootstrap_node_dies() {
	local router
	router=$(dht_ip 8)
	mount_fs orphan --no-lpd --dht-bootstrap "$(dht_ip 8):6881"
	add orphan spelled.bin
	equal orphan spelled.bin
	soon 5 knows_all_nodes orphan "$(hash_of spelled.bin)"
	cut_off "$router"
	add orphan later.bin
	equal orphan later.bin
	back "$router"
	umount_fs orphan
}

# The saved table is enough when none of the built-in routers can be reached.
restart_without_routers() {
	local i routers_ip=()
	for i in "${!routers[@]}"; do routers_ip+=("$(dht_ip "$i")"); done
	mount_fs offline --no-lpd
	add offline later.bin
	equal offline later.bin
	umount_fs offline
	cut_off "${routers_ip[@]}"
	mount_fs offline --no-lpd
	add offline offline.bin
	equal offline offline.bin
	back "${routers_ip[@]}"
	umount_fs offline
}
