# What is asked of a mount and told to it beside reading: pins, waiting for metadata, status. The torrents are the main
# mount's, or come by x.pe from the libtorrent seed.

pin_of() { getfattr --only-values -n user.magnetfs.pin "$1"; }

# complete PATH: all of it is here.
complete() { [ "$(getfattr --only-values -n user.magnetfs.have "$1")" = "$(stat -c %s "$1")" ]; }

pin_mount() {
	if mounted "$tmp/mnt/pin"; then return; fi
	mount_fs pin --no-lpd --no-dht --ram 96MiB # of which 72 MiB can be pinned
}

# A pinned file comes although nobody reads it, and nothing else does.
pin_a_file() {
	local m=$tmp/mnt/pin
	pin_mount
	add pin big.bin "$libtorrent_ip:6881"
	add pin tree "$libtorrent_ip:6881"
	same "$("$magnetfs" wait "$m/$(hash_of big.bin)")" "$m/big.bin"
	same "$(pin_of "$m/big.bin/big.bin")" 0
	"$magnetfs" pin "$m/big.bin/big.bin"
	same "$(pin_of "$m/big.bin/big.bin")" 1
	same "$(pin_of "$m/big.bin")" 1
	soon 30 complete "$m/big.bin/big.bin"
	contains "$("$magnetfs" status "$m" big.bin)" "1 file pinned, 64 MiB of 64 MiB here"
	quick 2000 cmp "$m/big.bin/big.bin" "$tmp/data/big.bin"
	same "$("$magnetfs" status "$m" tree --json | jq .have)" 0
}

# What is read elsewhere does not push out what is pinned; unpinned, it does.
pin_is_kept() {
	local m=$tmp/mnt/pin f
	pin_mount
	for f in from-libtorrent.bin video.mp4 video.mkv xpe.bin; do
		add pin $f "$libtorrent_ip:6881"
		"$magnetfs" wait --timeout 10s "$m/$(hash_of $f)"
		timeout 30 cat "$m/$f/$f" | cmp - "$tmp/data/$f"
		timeout 30 cat "$m/$f/$f" >/dev/null
	done
	complete "$m/big.bin/big.bin"
	"$magnetfs" unpin "$m/big.bin"
	same "$(pin_of "$m/big.bin/big.bin")" 0
}

# What does not fit is refused, and is said why.
pin_too_large() {
	local m=$tmp/mnt/pinsmall
	mount_fs pinsmall --no-lpd --no-dht --ram 32MiB --disk 0
	add pinsmall big.bin "$libtorrent_ip:6881"
	add pinsmall xpe.bin "$libtorrent_ip:6881"
	"$magnetfs" wait --timeout 10s "$m/$(hash_of big.bin)"
	"$magnetfs" wait --timeout 10s "$m/$(hash_of xpe.bin)"
	exits 12 "$magnetfs" pin "$m/big.bin"
	contains "$said" "64 MiB do not fit: 24 MiB can be pinned in all, 0 B of it are taken"
	contains "$said" "--ram"
	refuses "No space left on device" setfattr -n user.magnetfs.pin -v 1 "$m/big.bin/big.bin"
	contains "$(log_of pinsmall)" "64 MiB are more than the 24 MiB that can be pinned"
	"$magnetfs" pin "$m/xpe.bin" # the small one does
	soon 20 complete "$m/xpe.bin/xpe.bin"
	refuses "Invalid argument" setfattr -n user.magnetfs.pin -v perhaps "$m/xpe.bin"
	refuses "Read-only" setfattr -n user.magnetfs.have -v 1 "$m/xpe.bin"
	setfattr -x user.magnetfs.pin "$m/xpe.bin"
	same "$(pin_of "$m/xpe.bin")" 0
	exits 10 "$magnetfs" pin "$m/nothing"
	exits 10 "$magnetfs" pin "$m/xpe.bin/nothing"
	exits 7 "$magnetfs" pin "$tmp"
	exits 2 "$magnetfs" pin "$m"
	umount_fs pinsmall
}

# so= of a magnet pins these files; pins survive the mount.
pin_by_magnet() {
	local m=$tmp/mnt/pinso n
	mount_fs pinso --no-lpd --no-dht
	n=$(cd "$tmp/data" && "$python" -c 'import sys, libtorrent as lt
fs = lt.torrent_info(sys.argv[1]).files()
print(next(i for i in range(fs.num_files()) if fs.file_path(i) == "tree/README"))' "$(torrent_of tree)")
	mkdir "$m/magnet:?xt=urn:btih:$(hash_of tree)&x.pe=$libtorrent_ip:6881&so=$n"
	"$magnetfs" wait --timeout 10s "$m/magnet:?xt=urn:btih:$(hash_of tree)&x.pe=$libtorrent_ip:6881&so=$n"
	soon 10 complete "$m/tree/README"
	same "$(pin_of "$m/tree/README")" 1
	same "$(pin_of "$m/tree")" 0
	contains "$("$magnetfs" status "$m" tree)" "1 file pinned"
	umount_fs pinso
	mount_fs pinso --no-lpd --no-dht
	same "$(pin_of "$m/tree/README")" 1
	soon 10 complete "$m/tree/README"
	umount_fs pinso
}

wait_for_metadata() {
	local m=$tmp/mnt/main hash f
	hash=$(hash_of spelled.bin)
	"$magnetfs" add "$m" "$hash"
	same "$("$magnetfs" wait --timeout 20s "$m/$hash")" "$m/spelled.bin"
	same "$("$magnetfs" wait "$m/magnet:?xt=urn:btih:$hash&tr=udp://t.example:1/announce")" "$m/spelled.bin"
	f=$("$magnetfs" wait "$m/magnet:?xt=urn:btih:$hash/spelled.bin")
	same "$f" "$m/spelled.bin/spelled.bin"
	same "$(cd "$m" && "$magnetfs" wait spelled.bin)" "$m/spelled.bin"
	quick 200 "$magnetfs" wait "$m/spelled.bin"
	exits 10 "$magnetfs" wait "$m/spelled.bin/nothing"
	exits 10 "$magnetfs" wait "$m/nothing"
	exits 7 "$magnetfs" wait "$tmp"
	exits 2 "$magnetfs" wait "$m"
	rmdir "$m/spelled.bin"

	mkdir "$m/${hash:0:38}00" # nobody has it
	exits 11 "$magnetfs" wait --timeout 300ms "$m/${hash:0:38}00"
	contains "$said" "no metadata within 300ms"
	exits 10 "$magnetfs" pin "$m/${hash:0:38}00/file"
	contains "$said" "metadata is not there yet"
	"$magnetfs" pin "$m/${hash:0:38}00" # the whole can be pinned beforehand
	contains "$("$magnetfs" status "$m/${hash:0:38}00")" "to be pinned when the metadata is there"
	(sleep 0.5; rmdir "$m/${hash:0:38}00") &
	exits 10 "$magnetfs" wait --timeout 20s "$m/${hash:0:38}00"
	contains "$said" "removed"
}

# What a blocked read waits for: its peer has all and sends nothing.
waiting_reads() {
	local m=$tmp/mnt/dead dir reader
	dead_mount
	dir=$m/.magnetfs/by-hash/$(hash_of dead.bin)
	dd if="$(dead_file)" of=/dev/null bs=64k skip=16 count=1 2>/dev/null &
	reader=$!
	soon 5 grep -q "dead.bin: dd ($reader), probe at 1.1 MiB of 8.0 MiB" "$dir/reads"
	said=$(cat "$dir/reads")
	contains "$said" "dd ($reader) waits for 64 KiB at 1.0 MiB of dead.bin since "
	contains "$said" " of 8 blocks here, nobody asked for the rest yet"
	contains "$("$magnetfs" status "$(dirname "$(dead_file)")")" "dd ($reader) waits for 64 KiB at 1.0 MiB"
	same "$(jq -r '.readers[] | select(.owner == "dd ('$reader')") | .waiting[0].offset' "$dir/status.json")" $((1 << 20))
	contains "$(cat "$dir/pieces")" "!"
	kill "$reader"
	wait "$reader" || true
	soon 2 test ! -s "$dir/reads"
}

# Not in a terminal: a text every two seconds.
status_goes_on() {
	local m=$tmp/mnt/main out=$tmp/watched
	[ -d "$m/tree" ] || add main tree
	(timeout --signal INT 3.5 "$magnetfs" status "$m" tree --watch >"$out") || true
	same "$(grep -c '^tree$' "$out")" 2
	grep -q "Update In" "$out"
	(timeout --signal INT 3 "$magnetfs" status "$m" tree --watch --json >"$out") || true
	same "$(jq -r .name "$out" | sort -u)" tree
	exits 10 "$magnetfs" status "$m" no-such-torrent
	exits 7 "$magnetfs" status "$tmp"
	same "$("$magnetfs" status "$m" "$(hash_of tree)" --json | jq -r .name)" tree
	same "$("$magnetfs" status "$m/tree/README" --json | jq -r .name)" tree
}

# The view, in a terminal of tmux: sections, keys, sizes, and the end.
view() { tmux -L magnetfs -f /dev/null "$@"; }
# watched WIDTH HEIGHT PATH: the view of it, and of nothing else.
watched() {
	view kill-server 2>/dev/null || true
	soon 5 view new-session -d -s watch -x "$1" -y "$2" "$magnetfs status '$3' --watch; echo ended with \$?; sleep 60"
}
screen() { view capture-pane -p -t watch; }
# shows TEXT: on the screen, soon.
shows() { soon 5 shows_now "$1"; }
hides() { [[ $(screen) != *"$1"* ]]; }
shows_now() { [[ $(screen) == *"$1"* ]]; }

# selects NAME: goes down the list to a torrent.
selects() {
	local i
	view send-keys -t watch Home
	for ((i = 0; i < 20; i++)); do
		sleep 0.3 # the screen follows the key
		if shows_now "$1 ───"; then return; fi
		view send-keys -t watch Down
	done
	fail "$1 cannot be selected: $(screen)"
}

status_view() {
	local m=$tmp/mnt/main width
	[ -d "$m/tree" ] || add main tree
	[ -d "$m/big.bin" ] || add main big.bin
	timeout 20 cat "$m/tree/README" >/dev/null
	timeout 20 head -c 20000000 "$m/big.bin/big.bin" >/dev/null
	watched 120 45 "$m"
	shows "$m"
	shows "[DHT]"
	shows "Update In"
	shows "$libtorrent_ip:6881"
	selects big.bin
	shows "Readers"
	view send-keys -t watch 4
	shows "█ here"
	shows "████"
	selects tree
	view send-keys -t watch Enter # the torrent alone
	soon 5 hides "Waiting"
	view send-keys -t watch Escape
	shows "Waiting"
	for width in 40 200 100; do # it follows the window
		view resize-window -t watch -x $width -y $((width / 5 + 4))
		soon 5 fits $width
	done
	view send-keys -t watch q
	shows "ended with 0"
	view kill-server || true
}

# fits WIDTH: the view's last line is at the bottom, and nothing wraps.
fits() {
	local lines
	lines=$(screen)
	[[ $(tail -n 1 <<<"$lines") == *quit* ]] && [ "$(grep -c "State" <<<"$lines")" = 1 ] && [ "$(wc -L <<<"$lines")" -le "$1" ]
}

# A read that waits shows in the view, and so does the end of the mount.
status_view_of_waiting() {
	local m=$tmp/mnt/pin reader
	pin_mount
	fake dead dead.bin 7203
	add pin dead.bin "$fake:7203"
	"$magnetfs" wait --timeout 10s "$m/dead.bin"
	dd if="$m/dead.bin/dead.bin" of=/dev/null bs=64k count=1 2>/dev/null &
	reader=$!
	watched 110 40 "$m/dead.bin"
	shows "dd ($reader)"
	shows "for 64 KiB at 0 B"
	shows "of 8 blocks here"
	kill "$reader"
	shows "nobody reads"
	umount_fs pin
	shows "it is gone"
	view send-keys -t watch q
	shows "ended with 0"
	view kill-server || true
}
