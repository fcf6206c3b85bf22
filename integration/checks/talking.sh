# What commands say to programs (--json), and to people who watch them wait.

# says_error NAME CODE COMMAND…: it ends with that code, and tells so in one object on standard error.
says_error() {
	local name=$1 code=$2 got=0
	shift 2
	said=$("$@" 2>&1 >/dev/null) || got=$?
	same "$got" "$code"
	same "$(jq -c '[.code, .name, (.error | length > 0)]' <<<"$said")" "[$code,\"$name\",true]"
}

json_everywhere() {
	local m=$tmp/mnt/talk hash nobody=0123456789abcdef0123456789abcdef01234567 magnet
	hash=$(hash_of spelled.bin)
	magnet="magnet:?xt=urn:btih:$hash&x.pe=$libtorrent_ip:6881"
	same "$(mount_fs talk --no-dht --no-lpd --json | jq -r .mount)" "$m"
	same "$("$magnetfs" version --json | jq -r .platform)" "linux/$(go env GOARCH)"
	same "$("$magnetfs" add --json "$m" "$magnet" | jq -c '[.info_hash, .new]')" "[\"$hash\",true]"
	same "$("$magnetfs" add --wait --timeout 20s --json "$m" "$magnet" "$hash" | jq -c '[.name, .path, .new]' | sort -u)" \
		"[\"spelled.bin\",\"$m/spelled.bin\",false]"
	same "$("$magnetfs" add --wait "$m" "$hash")" "$m/spelled.bin"
	same "$("$magnetfs" wait --json "$m/$hash/spelled.bin" | jq -r .path)" "$m/spelled.bin/spelled.bin"
	same "$("$magnetfs" pin --wait --timeout 20s --json "$m/spelled.bin/spelled.bin" | jq -c '[.path, .pinned]')" "[\"$m/spelled.bin/spelled.bin\",true]"
	complete "$m/spelled.bin/spelled.bin"
	cmp "$m/spelled.bin/spelled.bin" "$tmp/data/spelled.bin"
	same "$("$magnetfs" unpin --json "$m/spelled.bin" | jq .pinned)" false
	same "$("$magnetfs" status --json "$m" | jq -r '.[].info_hash')" "$hash"
	same "$("$magnetfs" config --json "$m" up=1M | jq -r '.settings[] | select(.key == "up").value')" 1MB
	same "$("$magnetfs" cache show --json "$m" | jq '.ram.used > 1000000')" true
	same "$("$magnetfs" cache clear --json "$m" spelled.bin | jq -r '"\(.info_hash) \(.freed >= 0)"')" "$hash true"

	says_error invalid 9 "$magnetfs" add --json "$m" hello
	says_error timeout 11 "$magnetfs" add --json --wait --timeout 100ms "$m" "$nobody"
	says_error not-found 10 "$magnetfs" pin "$m/$nobody/film.mkv" --json
	says_error not-mounted 7 "$magnetfs" status --json "$tmp"
	says_error usage 2 "$magnetfs" rm --json
	says_error usage 2 "$magnetfs" config --json "$m" port=1
	# One of several fails, the others are done.
	exits 10 "$magnetfs" rm --json --purge "$m" no-such-torrent spelled.bin
	contains "$said" "\"info_hash\":\"$hash\",\"removed\":\"spelled.bin\",\"purged\":true"
	contains "$said" '"code":10,"name":"not-found"'
	absent "$m/spelled.bin"
	exits 9 "$magnetfs" add "$m" hello "$hash"
	"$magnetfs" rm "$m" "$hash" "$nobody"
	same "$("$magnetfs" umount --json "$m" | jq -r .unmounted)" "$m"
}

# typed WIDTH COMMAND: runs it in a terminal so wide, and has its exit status behind it.
typed() {
	view kill-server 2>/dev/null || true
	soon 5 view new-session -d -s watch -x "$1" -y 10 "$2; echo ended with \$?; sleep 60"
}

# A line that tells how far a command is, which goes when it ends; not in a pipe.
progress_in_a_terminal() {
	local m=$tmp/mnt/talk nobody=0123456789abcdef0123456789abcdef01234567 holder
	mount_fs talk --no-dht --no-lpd --down 2M
	typed 120 "$magnetfs add --wait $m $nobody"
	shows "$nobody: looking for peers; 0 seeds and 0 peers connected, 0 more known"
	same "$(screen | grep -c "looking for")" 1
	[[ $(view capture-pane -p -e -t watch) == *$'\e['* ]] || fail "no colours in a terminal"
	view resize-window -t watch -x 50 -y 10
	soon 5 narrow 50
	view send-keys -t watch C-c
	shows "ended with 130"
	same "$(screen | grep -c "looking for peers; 0 seeds and 0" || true)" 0
	contains "$(screen | tr -d "\n")" "magnetfs: $nobody: interrupted"

	typed 120 "NO_COLOR=1 $magnetfs wait --timeout 1500ms $m/$nobody"
	shows "looking for peers"
	[[ $(view capture-pane -p -e -t watch) != *$'\e['* ]] || fail "colours although NO_COLOR"
	shows "ended with 11"
	exits 11 "$magnetfs" wait --timeout 600ms "$m/$nobody"
	[[ $said != *$'\r'* ]] || fail "progress in a pipe: $said"

	"$magnetfs" add --wait "$m" "magnet:?xt=urn:btih:$(hash_of big.bin)&x.pe=$libtorrent_ip:6881"
	typed 120 "$magnetfs pin --wait $m/big.bin"
	soon 5 pin_moves
	same "$(screen | grep -c "big.bin")" 1
	view send-keys -t watch C-c
	shows "big.bin: interrupted"
	shows "ended with 130"
	exits 11 "$magnetfs" pin --wait --timeout 500ms "$m/big.bin"
	[[ $said != *$'\r'* ]] || fail "progress in a pipe: $said"
	contains "$said" "not all of it is here within 500ms"

	sleep 60 <"$m/big.bin/big.bin" &
	holder=$!
	typed 120 "$magnetfs umount $m"
	shows "$m: waiting for programs that have files of it open"
	kill "$holder"
	shows "ended with 0"
	free "$m"
	view kill-server || true
}

# narrow WIDTH: no line is wider, and the progress takes one.
narrow() { [ "$(screen | wc -L)" -lt "$1" ] && [ "$(screen | grep -c "0123456789abcdef01234567")" = 1 ]; }

# pin_moves: the line about the pin, with all its parts.
pin_moves() { screen | grep -q 'big.bin █*░* [0-9.]* MiB of 64 MiB  .* [KM]iB/s .* left,  [0-9]*s$'; }

# A read that waits for one block, which its only peer keeps: the control files and the view tell where, since when, and
# whom it waits for; and that it is over.
waiting_is_told_truly() {
	local m=$tmp/mnt/held hash dir reader i
	hash=$(hash_of held.bin)
	dir=$m/.magnetfs/by-hash/$hash
	rm -f "$(torrent_of held.bin).release"
	fake hold held.bin 7205
	mount_fs held --no-dht --no-lpd --disk 0
	for i in $(seq 10 16); do mkdir "$m/magnet:?xt=urn:btih:${hash:0:38}$i&dn=nobody has number $i"; done
	"$magnetfs" add --wait "$m" "magnet:?xt=urn:btih:$hash&x.pe=$fake:7205" >/dev/null
	dd if="$m/dead.bin/dead.bin" of="$tmp/held" bs=64k 2>/dev/null &
	reader=$!
	soon 10 waits_for_block "$dir"
	# Piece 20 begins at 2.5 MiB; 7 of its 8 blocks are here, and the first 64 KiB of it are read.
	same "$(jq -c '.readers[] | [.owner, .path, .mode, .offset] + (.waiting[] | [.offset, .length] + (.pieces[] | [.piece, .blocks, .received, .from[]]))' "$dir/status.json")" \
		"[\"dd ($reader)\",\"dead.bin\",\"player\",2686976,2621440,65536,20,8,7,\"$fake:7205\"]"
	contains "$(cat "$dir/reads")" "dd ($reader) waits for 64 KiB at 2.5 MiB of dead.bin since "
	contains "$(cat "$dir/reads")" ": piece 20, 7 of 8 blocks here, the rest expected from $fake:7205"
	same "$(sed -n 's/^ *0  //p' "$dir/pieces" | cut -c 1-21)" "####################!"
	watched 80 24 "$m"
	shows "Torrent"
	"$python" "$here/watched.py" "$m/.magnetfs" "$hash" 80x24 200x50 60x14 >&2
	touch "$(torrent_of held.bin).release"
	soon 10 gone "$reader"
	cmp "$tmp/held" "$tmp/data/dead.bin"
	soon 2 test ! -s "$dir/reads"
	same "$(jq -c '[.readers, .waiting]' "$dir/status.json")" "[[],[]]"
	shows "nobody reads"
	view send-keys -t watch q
	shows "ended with 0"
	view kill-server || true
	rm "$tmp/held" "$(torrent_of held.bin).release"
	umount_fs held
}

# waits_for_block DIR: the read waits for the last block, since more than a second.
waits_for_block() { jq -e '.readers[0].waiting[0].pieces[0] | .received == 7 and .seconds > 1.5' "$1/status.json"; }
