# How soon reads are answered, beside other torrents and other readers.

# A seed that serves one at a time, and torrents that are read one after the other: those that nobody reads any more give
# way. They kept the slot for a minute, so that a read took as long as libtorrent's optimistic unchokes.
idle_torrents_give_way() {
	local names=(big.bin kept.bin video.mkv xpe.bin) name f parts=0
	farm "{\"op\":\"session\",\"id\":\"few\",\"listen\":\"$leech_ip:6890\",\"dht\":false,\"settings\":{\"unchoke_slots_limit\":1}}"
	seed_libtorrent few "${names[@]}"
	mount_fs slots --no-dht --no-lpd
	for name in "${names[@]}" "${names[@]}"; do
		f=$tmp/mnt/slots/$name/$name
		[ -d "$tmp/mnt/slots/$name" ] || add slots "$name" "$leech_ip:6890"
		soon 10 test -e "$f"
		parts=$((parts + 1))
		# Parts of their own in the second round. One took up to 30 s.
		quick 10000 timeout 30 cmp -n 65536 -i $((parts > ${#names[@]} ? 1 << 20 : 0)) "$f" "$tmp/data/$name"
	done
	umount_fs slots
	for name in "${names[@]}"; do farm "{\"op\":\"remove\",\"id\":\"few\",\"hash\":\"$(hash_of "$name")\"}"; done
}
