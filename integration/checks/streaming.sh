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

# Forty readers at random places of pieces of which the memory holds one: all of them get what they read, and the memory
# is bounded.
forty_readers_of_large_pieces() {
	local f=$tmp/mnt/forty/large.bin/large.bin peak
	seed_libtorrent seed large.bin
	mount_fs forty --no-dht --no-lpd --ram 32MiB --disk 0
	add forty large.bin "$libtorrent_ip:6881"
	soon 10 test -e "$f"
	READS=6 timeout 100 "$python" "$here/reader.py" parallel "$f" "$tmp/data/big.bin" 40
	peak=$(awk '/VmHWM/ {print $2}' "/proc/$(pid_of forty)/status")
	echo "peak of resident memory with --ram 32MiB: $((peak / 1024)) MiB"
	[ "$peak" -lt $((200 << 10)) ] || fail "peak $((peak / 1024)) MiB"
	umount_fs forty
}

# A torrent that was idle for $IDLE seconds (3) is read again, its peers being known. The time it took is in the log.
wakes_up_soon() {
	local f=$tmp/mnt/wake/big.bin/big.bin start
	mount_fs wake --no-dht --no-lpd --disk 0
	add wake big.bin "$libtorrent_ip:6881"
	soon 10 test -e "$f"
	timeout 10 cmp -n 65536 "$f" "$tmp/data/big.bin"
	sleep "${IDLE:-3}"
	start=$(now)
	timeout 10 cmp -n 65536 -i $((32 << 20)) "$f" "$tmp/data/big.bin"
	start=$(($(now) - start))
	echo "read after ${IDLE:-3} s in $start ms"
	[ "$start" -lt 5000 ] || fail "took $start ms"
	umount_fs wake
}
