# Where peers come from, what they are, and what they do.

# Each kind of seed alone, found by DHT.
alone() {
	announced "$1" "$2" || fail "the seed is not in the DHT"
	add main "$1"
	equal main "$1"
	drop main "$1"
}

libtorrent_alone() { alone from-libtorrent.bin "$libtorrent_ip"; }
aria2_alone() { alone from-aria2.bin "$aria2_ip"; }
transmission_alone() { alone from-transmission.bin "$transmission_ip"; }

lpd_only() {
	mount_fs lpd --no-dht
	add lpd lpd.bin
	equal lpd lpd.bin
	umount_fs lpd
}

xpe_only() {
	mount_fs xpe --no-dht --no-lpd
	add xpe xpe.bin "$libtorrent_ip:6881"
	equal xpe xpe.bin
	umount_fs xpe
}

# The routers' names that are built in, through the hosts file.
routers_by_name() {
	mount_fs routers --no-lpd
	add routers routers.bin
	equal routers routers.bin
	umount_fs routers
}

# What was read is served to others: to one that has only a magnet and our address,
serves_libtorrent() {
	add main shared.bin
	equal main shared.bin
	farm "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$(hash_of shared.bin)\"}"
	mkdir -p "$tmp/leech"
	farm "{\"op\":\"session\",\"id\":\"leech\",\"listen\":\"$leech_ip:6883\",\"dht\":false}"
	farm "{\"op\":\"leech\",\"id\":\"leech\",\"magnet\":\"magnet:?xt=urn:btih:$(hash_of shared.bin)\",\"save\":\"$tmp/leech\",\"peer\":[\"$self_ip\",7001]}"
	farm "{\"op\":\"wait\",\"id\":\"leech\",\"hash\":\"$(hash_of shared.bin)\",\"timeout\":30}"
	cmp "$tmp/leech/shared.bin" "$tmp/data/shared.bin"
}

# and to one that has to find us by our announce.
serves_aria2() {
	add main shared-two.bin
	soon 10 test -e "$tmp/mnt/main/shared.bin"
	timeout 30 cat "$tmp/mnt/main/$(hash_of shared-two.bin)"/* | cmp - "$tmp/data/shared.bin"
	farm "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$(hash_of shared-two.bin)\"}"
	announced shared-two.bin "$self_ip" || fail "we did not announce ourselves"
	mkdir -p "$tmp/leech2"
	in_peers "$python" "$here/aria2.py" "$(torrent_of shared-two.bin)" "$tmp/leech2"
	soon 40 cmp "$tmp/leech2/shared.bin" "$tmp/data/shared.bin"
}

# A torrent of version 2, of which only the hash is known: peers send its piece layers on request, and so do we.
version_2() {
	local magnet hash
	hash=$(hash_of v2)
	magnet="magnet:?xt=urn:btmh:1220$hash&dn=v2"
	seed_libtorrent seed v2
	mount_fs v2 --no-dht --no-lpd
	mkdir "$tmp/mnt/v2/$magnet&x.pe=$libtorrent_ip:6881"
	equal v2 v2
	farm "{\"op\":\"remove\",\"id\":\"seed\",\"hash\":\"$hash\"}"
	farm "{\"op\":\"session\",\"id\":\"v2-leech\",\"listen\":\"$leech_ip:6884\",\"dht\":false}"
	farm "{\"op\":\"leech\",\"id\":\"v2-leech\",\"magnet\":\"$magnet\",\"save\":\"$tmp/v2-leech\",\"peer\":[\"$self_ip\",$(port_of v2)]}"
	farm "{\"op\":\"wait\",\"id\":\"v2-leech\",\"hash\":\"$hash\",\"timeout\":30}"
	diff -r "$tmp/v2-leech/v2" "$tmp/data/v2"
	# What was learnt is kept.
	umount_fs v2
	mount_fs v2 --no-dht --no-lpd
	equal v2 v2
	umount_fs v2
}

# One honest seed among peers that send wrong data, garbage or nothing.
bad_peers_do_not_harm() {
	local mode port=7100 peers=()
	for mode in silent corrupt drop reject garbage longmsg mute noinfo dead; do
		port=$((port + 1))
		fake "$mode" hurt.bin "$port"
		peers+=("$fake:$port")
	done
	mount_fs hurt --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	add hurt hurt.bin "${peers[@]}"
	equal hurt hurt.bin 60
	umount_fs hurt
}

# flooded COUNTER: the packets that left to these addresses, during pex_flood.
flooded() { nft -j list counter ip flood "$1" | jq '.nftables[1].counter.packets'; }

rss_of() { awk '/^VmRSS/ {print int($2 / 1024)}' "/proc/$(pid_of "$1")/status"; }

# Two peers that tell of thousands, too often. A read waits, so whoever is told of is dialled.
pex_flood() {
	local hash before port status
	hash=$(hash_of flood.bin)
	seed_libtorrent seed flood.bin
	mount_fs flood --no-lpd --no-dht
	port=$(port_of flood)
	OWN_PORT=$port fake pex flood.bin 7400
	OWN_PORT=$port fake pex flood.bin 7401
	nft add table ip flood
	nft add chain ip flood out '{ type filter hook output priority 0; }'
	nft add counter ip flood strangers
	nft add counter ip flood victim
	nft add counter ip flood martians
	nft add rule ip flood out ip daddr 198.19.0.0/16 tcp flags syn counter name strangers
	nft add rule ip flood out ip daddr 198.18.222.222 tcp flags syn counter name victim
	nft add rule ip flood out ip daddr '{ 10.0.0.0/8, 192.168.0.0/16, 169.254.0.0/16, 0.0.0.0/8, 224.0.0.0/3, 198.18.250.250 }' meta l4proto '{ tcp, udp }' counter name martians
	nft add rule ip flood out ip daddr 127.0.0.1 tcp dport 6881 counter name martians
	add flood flood.bin "$self_ip:$port" "$fake:7400" "$fake:7401" # one is ourselves, of whom they tell as well
	soon 10 test -e "$tmp/mnt/flood/flood.bin"
	before=$(rss_of flood)
	timeout 60 cmp "$tmp/mnt/flood/flood.bin/flood.bin" "$tmp/data/flood.bin" &
	soon 10 grep -q told "$tmp/log/fake-7400"
	soon 10 grep -q told "$tmp/log/fake-7401"
	sleep 3
	status=$(cat "$tmp/mnt/flood/.magnetfs/by-hash/$hash/status.json")
	echo "$(flooded strangers) packets to strangers, $(flooded victim) to the victim, $(flooded martians) where none may go; $before and $(rss_of flood) MiB; $(cat "$tmp"/log/fake-740?)"
	jq -e '.candidates <= 410 and ([.connected[].addr] | length <= 2)' <<<"$status"
	jq -e '.sources[] | select(.name | contains("Peer Exch")) | .seeds + .peers <= 400' <<<"$status"
	[ "$(flooded strangers)" -gt 10 ] # they are dialled,
	[ "$(flooded strangers)" -le 600 ] # a few at a time
	[ "$(flooded victim)" -le 50 ]
	same "$(flooded martians)" 0
	grep -h told "$tmp"/log/fake-740? | while read -r _ n; do [ "$n" -le 8 ]; done
	[ "$(rss_of flood)" -le $((before + 40)) ]
	same "$(log_of flood | grep -c "connected to ourselves")" 1
	mkdir "$tmp/mnt/flood/magnet:?xt=urn:btih:$hash&x.pe=$libtorrent_ip:6881"
	wait "$!"
	nft delete table ip flood
	umount_fs flood
}

# What we dial has its limit, and a place is left for somebody who dials us. All have everything, and give nothing.
room_for_others() {
	local hash i args=() peers=()
	hash=$(hash_of dead.bin)
	for i in {7300..7375}; do
		args+=("$fake:$i=dead=$(torrent_of dead.bin)")
		peers+=("$fake:$i")
	done
	in_peers "$python" "$here/fakepeer.py" "${args[@]}" >"$tmp/log/fake-room" 2>&1 &
	soon 10 grep -q ready "$tmp/log/fake-room"
	mount_fs room --no-lpd --no-dht
	mkdir "$tmp/mnt/room/magnet:?xt=urn:btih:$hash$(printf '&x.pe=%s' "${peers[@]:0:38}")"
	mkdir "$tmp/mnt/room/magnet:?xt=urn:btih:$hash$(printf '&x.pe=%s' "${peers[@]:38}")"
	soon 10 test -e "$tmp/mnt/room/dead.bin"
	timeout 60 cat "$tmp/mnt/room/dead.bin/dead.bin" >"$tmp/room" &
	soon 20 peers_are room "$hash" '. == true' 60
	farm "{\"op\":\"session\",\"id\":\"room\",\"listen\":\"$leech_ip:6893\",\"dht\":false}"
	farm "{\"op\":\"leech\",\"id\":\"room\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/leech-room\",\"peer\":[\"$self_ip\",$(port_of room)]}"
	soon 20 peers_are room "$hash" '. == false' 1
	peers_are room "$hash" '. == true' 60
	umount_fs room
	wait "$!" || true
	farm "{\"op\":\"remove\",\"id\":\"room\",\"hash\":\"$hash\"}"
}

# peers_are MOUNT HASH JQ N: so many connected peers were dialled by us, or were not.
peers_are() { jq -e "[.connected[].outgoing == true | select($3)] | length == $4" "$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"; }

wrong_metadata() {
	fake wrongmeta wrongmeta.bin 7121
	fake hugemeta wrongmeta.bin 7122
	mount_fs wrongmeta --no-lpd --no-dht
	add wrongmeta wrongmeta.bin "$fake:7121" "$fake:7122"
	sleep 1
	absent "$tmp/mnt/wrongmeta/wrongmeta.bin/wrongmeta.bin"
	mkdir "$tmp/mnt/wrongmeta/magnet:?xt=urn:btih:$(hash_of wrongmeta.bin)&x.pe=$libtorrent_ip:6881" # now an honest one
	equal wrongmeta wrongmeta.bin
	umount_fs wrongmeta
}

# Metadata with the right hash and a hostile shape, from peers.
hostile_metadata() {
	local f port=7130 hash name m=$tmp/mnt/hostilemeta pid
	mount_fs hostilemeta --no-lpd --no-dht
	pid=$(pid_of hostilemeta)
	for f in "$tmp"/hostile/*.torrent; do
		grep -q 4:info "$f" || continue
		[ "$(stat -c %s "$f")" -lt 1000000 ] || continue
		port=$((port + 1))
		fake dead "$f" "$port"
		hash=$("$python" -c 'import hashlib,sys; b=open(sys.argv[1],"rb").read(); print(hashlib.sha1(b[b.index(b"4:info")+6:-1]).hexdigest())' "$f")
		mkdir "$m/magnet:?xt=urn:btih:$hash&x.pe=$fake:$port"
	done
	sleep 1.5
	"$magnetfs" status "$m" --json | jq -r '.[] | select(.size > 0) | .name' >"$tmp/accepted"
	[ "$(wc -l <"$tmp/accepted")" -ge 5 ]
	while read -r name; do stays_inside "$m/$name"; done <"$tmp/accepted"
	ls "$m"
	same "$(pid_of hostilemeta)" "$pid"
	add hostilemeta xpe.bin "$libtorrent_ip:6881"
	equal hostilemeta xpe.bin # and all is well
	umount_fs hostilemeta
}
