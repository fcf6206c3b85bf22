# uTP, with peers that speak nothing else.

# only_utp: libtorrent settings. It listens on TCP all the same, and hangs up.
only_utp='"settings":{"enable_incoming_tcp":false,"enable_outgoing_tcp":false}'

# by_utp MOUNT NAME CLIENT: such a peer is connected, by uTP.
by_utp() { grep "$3" "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/peers" | grep -q ' utp '; }

utp_only_seed() {
	farm "{\"op\":\"session\",\"id\":\"utp\",\"listen\":\"$leech_ip:6886\",\"dht\":false,$only_utp}"
	seed_libtorrent utp xpe.bin
	mount_fs utp --no-dht --no-lpd
	add utp xpe.bin "$leech_ip:6886"
	equal utp xpe.bin
	by_utp utp xpe.bin libtorrent
}

# After utp_only_seed, whose mount has the pieces.
serves_utp() {
	local hash
	hash=$(hash_of xpe.bin)
	farm "{\"op\":\"remove\",\"id\":\"utp\",\"hash\":\"$hash\"}"
	mkdir -p "$tmp/leech-utp"
	farm "{\"op\":\"leech\",\"id\":\"utp\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/leech-utp\",\"peer\":[\"$self_ip\",$(cat "$tmp/state/utp/magnetfs/port")]}"
	farm "{\"op\":\"wait\",\"id\":\"utp\",\"hash\":\"$hash\",\"timeout\":30}"
	cmp "$tmp/leech-utp/xpe.bin" "$tmp/data/xpe.bin"
	farm "{\"op\":\"remove\",\"id\":\"utp\",\"hash\":\"$hash\"}"
	umount_fs utp
}

# With uTP off nobody is reached who speaks nothing else.
utp_off() {
	seed_libtorrent utp xpe.bin
	mount_fs noutp --no-dht --no-lpd --utp off
	add noutp xpe.bin "$leech_ip:6886"
	sleep 1
	same "$(tail -n +2 "$tmp/mnt/noutp/.magnetfs/by-hash/$(hash_of xpe.bin)/peers")" ""
	umount_fs noutp
	farm "{\"op\":\"remove\",\"id\":\"utp\",\"hash\":\"$(hash_of xpe.bin)\"}"
}
