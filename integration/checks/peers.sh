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
