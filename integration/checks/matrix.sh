# The same few steps with each kind of mount.

# core STORE WHO ENCRYPTION: what everybody does with a mount. STORE is ram, disk, or cached, which is a disk that the kernel
# must not read by itself; WHO is root or user.
core() {
	local home=${tmp%/run}/cache/core-$1-$2-$3 want=$tmp/data/hurt.bin who=() flags=(--disk 0) dir file log pid
	[ "$2" = root ] || who=(setpriv --reuid 65534 --regid 65534 --clear-groups --)
	case $1 in
	disk) flags=() ;;
	cached) flags=(--no-passthrough) ;;
	esac
	as() { "${who[@]}" env HOME="$home" XDG_STATE_HOME="$home/state" XDG_CACHE_HOME="$home/cache" timeout 30 "$@"; }
	dir=$home/mnt file=$home/mnt/hurt.bin/hurt.bin log=$home/state/magnetfs/magnetfs.log
	mkdir -p "$home"
	[ "$2" = root ] || chown 65534:65534 "$home"
	flags+=(--no-dht --no-lpd --log-level debug --encryption "$3")
	as "$magnetfs" mount "$dir" "${flags[@]}"
	as mkdir "$dir/magnet:?xt=urn:btih:$(hash_of hurt.bin)&dn=hurt.bin&x.pe=$libtorrent_ip:6881"
	soon 20 as test -e "$file"
	same "$(as stat -c %s "$file")" "$(stat -c %s "$want")"
	as dd if="$file" bs=1000 skip=4000 count=300 status=none | cmp - <(dd if="$want" bs=1000 skip=4000 count=300 status=none)
	as cat "$file" | cmp - "$want"
	as tail -c 100001 "$file" | cmp - <(tail -c 100001 "$want")
	as cat "$file" | cmp - "$want"
	pid=$(as cat "$dir/.magnetfs/pid")
	kill -KILL "$pid"
	soon 5 gone "$pid"
	as "$magnetfs" mount "$dir" "${flags[@]}"
	as cat "$file" | cmp - "$want"
	as rmdir "$dir/hurt.bin"
	same "$(as ls "$dir")" ""
	as "$magnetfs" umount "$dir"
	free "$dir"
	if [ "$1" = ram ]; then
		absent "$home/cache/magnetfs/pieces"
	else
		[ -s "$home/cache/magnetfs/pieces/$(hash_of hurt.bin)/data/hurt.bin" ]
	fi
	[ "$3" = allow ] || same "$(grep -o 'msg=connected .* encryption=[a-z0-9]*' "$log" | sed 's/.*=//' | sort -u)" rc4
}

# All at a time.
core_matrix() {
	local store who encryption users=(root) jobs=() job failed=
	if [ -n "$MAGNETFS_ROOT" ]; then users+=(user); fi
	mkdir -p "${tmp%/run}/cache"
	chmod 755 "${tmp%/run}/cache"
	for store in ram disk cached; do
		for who in "${users[@]}"; do
			for encryption in allow require; do
				(core $store "$who" $encryption) >"$tmp/log/core-$store-$who-$encryption" 2>&1 &
				jobs+=("$!=core-$store-$who-$encryption")
			done
		done
	done
	for job in "${jobs[@]}"; do
		wait "${job%%=*}" || failed+=" ${job#*=}: $(tail -n 2 "$tmp/log/${job#*=}" | tr '\n' ' ')"
	done
	[ -z "$failed" ] || fail "$failed"
}
