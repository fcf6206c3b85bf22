# Limits of the rates, with libtorrent at the other end, by TCP and by uTP.

# libtorrent settings, as only_utp.
only_tcp='"settings":{"enable_incoming_utp":false,"enable_outgoing_utp":false}'

# by MOUNT NAME TRANSPORT: a peer is connected by it.
by() { grep -q " $3 " "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/peers"; }

# of_torrent MOUNT NAME KEY: a number of its status.json.
of_torrent() { jq ".$3" "$tmp/mnt/$1/.magnetfs/by-hash/$(hash_of "$2")/status.json"; }

# rate_of MOUNT NAME KEY SECONDS: bytes per second, of a counter of its status.
rate_of() {
	local from start
	from=$(of_torrent "$1" "$2" "$3")
	start=$(now)
	sleep "$4"
	echo $((($(of_torrent "$1" "$2" "$3") - from) * 1000 / ($(now) - start)))
}

# near_limit RATE LIMIT: not more than 15 % above, and on a busy machine not less than half.
near_limit() {
	echo "$1 bytes per second, at a limit of $2"
	[ "$1" -le $(($2 * 115 / 100)) ] && [ "$1" -ge $(($2 / 2)) ] || fail "$1 bytes per second at a limit of $2"
}

down_limit() {
	local m=$tmp/mnt/limits copy
	farm "{\"op\":\"session\",\"id\":\"by-utp\",\"listen\":\"$leech_ip:6887\",\"dht\":false,$only_utp}"
	farm "{\"op\":\"session\",\"id\":\"by-tcp\",\"listen\":\"$leech_ip:6888\",\"dht\":false,$only_tcp}"
	seed_libtorrent by-utp limits.bin
	seed_libtorrent by-tcp limits.bin
	mount_fs limits --no-dht --no-lpd --disk 0 --down 3MB/s
	add limits limits.bin "$leech_ip:6887" "$leech_ip:6888"
	"$magnetfs" wait --timeout 20s "$m/$(hash_of limits.bin)" >/dev/null # it has another name until then
	cat "$m/big.bin/big.bin" >"$tmp/limited" &
	copy=$!
	soon 15 by limits limits.bin utp
	soon 15 by limits limits.bin tcp
	sleep 0.5 # what was saved up
	near_limit "$(rate_of limits limits.bin downloaded 2)" 3000000
	contains "$("$magnetfs" status "$m")" "Limits: down at most 2.9 MiB/s"
	# A read of another place goes before what the copy will want.
	quick 10000 dd if="$m/big.bin/big.bin" of=/dev/null bs=16k skip=3800 count=1 2>/dev/null
	# Changed while mounted, both ways.
	"$magnetfs" config "$m" down=1M
	sleep 0.5
	near_limit "$(rate_of limits limits.bin downloaded 2)" 1000000
	exits 2 "$magnetfs" config "$m" down=5
	exits 2 "$magnetfs" config "$m" port=7001
	refuses "Invalid argument" bash -c "echo down=fast >'$m/.magnetfs/set'"
	contains "$("$magnetfs" config "$m" | grep ^down)" 'down = "1MB"'
	contains "$("$magnetfs" config "$m" | grep ^down)" 'set while mounted'
	echo down=unlimited >"$m/.magnetfs/set"
	soon 30 gone "$copy"
	cmp "$tmp/limited" "$tmp/data/big.bin"
	rm "$tmp/limited"
	same "$("$magnetfs" status "$m" | grep -c Limits || true)" 0
	farm "{\"op\":\"remove\",\"id\":\"by-utp\",\"hash\":\"$(hash_of limits.bin)\"}"
	farm "{\"op\":\"remove\",\"id\":\"by-tcp\",\"hash\":\"$(hash_of limits.bin)\"}"
}

# After down_limit, whose mount has all of it: two libtorrents take it from us, one by uTP and one by TCP.
up_limit() {
	local m=$tmp/mnt/limits hash via before
	hash=$(hash_of limits.bin)
	"$magnetfs" config "$m" up=3M
	before=$(of_torrent limits limits.bin uploaded)
	for via in by-utp by-tcp; do
		mkdir -p "$tmp/leech-$via"
		farm "{\"op\":\"leech\",\"id\":\"$via\",\"magnet\":\"magnet:?xt=urn:btih:$hash\",\"save\":\"$tmp/leech-$via\",\"peer\":[\"$self_ip\",$(port_of limits)]}"
		soon 20 takes "$via" "$hash"
	done
	soon 20 gives_more limits limits.bin $((before + 1000000)) # more than what was saved up
	near_limit "$(rate_of limits limits.bin uploaded 2)" 3000000
	"$magnetfs" config "$m" no-upload=true up=0 # and none at all
	contains "$("$magnetfs" status "$m")" "Limits: nothing is uploaded"
	sleep 0.5
	same "$(rate_of limits limits.bin uploaded 1)" 0
	before=$(of_torrent limits limits.bin uploaded)
	"$magnetfs" config "$m" no-upload=false
	soon 20 gives_more limits limits.bin "$before"
	for via in by-utp by-tcp; do
		farm "{\"op\":\"remove\",\"id\":\"$via\",\"hash\":\"$hash\"}"
		rm -r "$tmp/leech-$via"
	done
	umount_fs limits
}

# takes SESSION HASH: it has got something.
takes() { [ "$(farm "{\"op\":\"done\",\"id\":\"$1\",\"hash\":\"$2\"}" | jq .bytes)" -gt 0 ]; }

# gives_more MOUNT NAME BYTES: peers were given more than that.
gives_more() { [ "$(of_torrent "$1" "$2" uploaded)" -gt "$3" ]; }
