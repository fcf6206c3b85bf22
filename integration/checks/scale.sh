# A mount with much in it, and much done to it. Figures are in the log of each check. Longer runs:
#
#   MAGNETFS_FILES=2000     files of the torrent that find, tar, rsync and md5sum go over
#   MAGNETFS_TORRENTS=500   torrents in one mount
#   MAGNETFS_IDLE=30        seconds over which their idle processor time is measured
#   MAGNETFS_FIO=20         seconds that fio reads

# made WHAT NAME ARGUMENT: a torrent of scale.py, seeded by libtorrent.
made() {
	[ -e "$(torrent_of "$2")" ] || "$python" "$here/scale.py" "$1" "$tmp" "$2" "$3"
	seed_libtorrent seed "$2"
}

# field MOUNT NAME FIELD: of its status.
field() { "$magnetfs" status "$tmp/mnt/$1" --json | jq ".[] | select(.name == \"$2\") | .$3"; }

# ticks PID: processor time used so far, in hundredths of a second.
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }

# The programs that go over a whole tree, each with nothing here, then with all of it here, then on the plain folder.
walk_find() { find "$1" -type f -printf '%P %s\n' | sort | cmp - "$tmp/files.list"; }
walk_tar() { tar -C "$1" -cf - . | tar -C "$tmp/copy" -xf -; }
walk_rsync() { rsync -a "$1/" "$tmp/copy/"; }
walk_md5sum() { (cd "$1" && md5sum --quiet -c "$tmp/files.md5"); }

thousands_of_files() {
	local dir=$tmp/mnt/wide/files size what how start fetched
	mkdir -p "$tmp/mnt/wide"
	made files files "${MAGNETFS_FILES:-500}"
	find "$tmp/data/files" -type f -printf '%P %s\n' | sort >"$tmp/files.list"
	size=$(awk '{n += $NF} END {print n}' "$tmp/files.list")
	echo "$(wc -l <"$tmp/files.list") files, $size bytes; milliseconds, and bytes fetched:"
	mount_fs wide --no-dht --no-lpd
	for what in find tar rsync md5sum; do
		if [ -d "$dir" ]; then "$magnetfs" rm --purge "$tmp/mnt/wide" files; fi
		add wide files "$libtorrent_ip:6881"
		"$magnetfs" wait --timeout 10s "$dir" # a folder that fills while tar is in it has changed, it says
		for how in cold warm plain; do
			mkdir "$tmp/copy"
			start=$(now)
			if [ $how = plain ]; then "walk_$what" "$tmp/data/files"; else "walk_$what" "$dir"; fi
			start=$(($(now) - start))
			fetched=$(field wide files downloaded)
			echo "$what $how: $start ms, $fetched bytes"
			case $what in tar | rsync) diff -r "$tmp/copy" "$tmp/data/files" ;; esac
			chmod -R u+w "$tmp/copy"
			rm -rf "$tmp/copy"
		done
		if [ $what = find ]; then
			same "$fetched" 0
		elif [ "$fetched" -gt $((size + size / 20)) ]; then
			fail "$what fetched $fetched bytes of $size"
		fi
	done
	umount_fs wide
}

# A mount of many torrents: it is there soon, with all of them, and costs next to nothing while nobody reads.
many_torrents() {
	local n=${MAGNETFS_TORRENTS:-150} idle=${MAGNETFS_IDLE:-2} dir=$tmp/mnt/many start pid before used
	"$python" "$here/scale.py" many "$tmp/many" "$n"
	mount_fs many --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	start=$(now)
	cp "$tmp"/many/*.torrent "$dir"
	echo "$n torrents: added one after the other in $(($(now) - start)) ms"
	same "$(ls "$dir" | wc -l)" "$n"
	start=$(now)
	umount_fs many
	echo "unmounted in $(($(now) - start)) ms"

	start=$(now)
	mount_fs many --no-lpd --dht-bootstrap "$(dht_addrs 3)" &
	until mounted "$dir"; do :; done
	same "$(ls "$dir" | wc -l)" "$n" # all of them as soon as there is a mount
	wait $!
	echo "mounted again in $(($(now) - start)) ms"
	pid=$(pid_of many)
	start=$(now)
	same "$(ls -l "$dir" | tail -n +2 | wc -l)" "$n"
	echo "ls -l: $(($(now) - start)) ms"
	start=$(now)
	"$magnetfs" status "$dir" >/dev/null
	echo "status: $(($(now) - start)) ms"
	start=$(now)
	same "$(find "$dir" -type f | wc -l)" $((20 * n))
	echo "find: $(($(now) - start)) ms"
	sleep 1
	before=$(ticks "$pid")
	sleep "$idle"
	used=$(($(ticks "$pid") - before))
	echo "idle: $used hundredths of a second of processor time in $idle s"
	awk '/VmRSS|VmHWM/' "/proc/$pid/status"
	umount_fs many
	rm -rf "$tmp/many"
}

# fio reads what it wrote, many at a time, while memory and disk are too small for it.
fio_verifies() {
	local args=(--group_reporting --size=80m --bs=16k --verify=crc32c --verify_fatal=1 --verify_state_save=0)
	[ -e "$tmp/data/fio.bin" ] ||
		fio --name=write --filename="$tmp/data/fio.bin" --rw=write --do_verify=0 "${args[@]}"
	made single fio.bin 256
	mount_fs fio --no-dht --no-lpd --ram 32MiB --disk 40MiB
	add fio fio.bin "$libtorrent_ip:6881"
	soon 10 test -e "$tmp/mnt/fio/fio.bin/fio.bin"
	args+=(--filename="$tmp/mnt/fio/fio.bin/fio.bin" --time_based --runtime="${MAGNETFS_FIO:-2}")
	timeout $((${MAGNETFS_FIO:-2} + 40)) fio "${args[@]}" \
		--name=random --rw=randread --norandommap --numjobs=4 --ioengine=psync \
		--name=sequential --rw=read --numjobs=2 --ioengine=psync \
		--name=mapped --rw=randread --norandommap --ioengine=mmap \
		--name=deep --rw=randread --norandommap --ioengine=libaio --iodepth=16 |
		grep -E 'err=|READ:|BW='
	field fio fio.bin downloaded
	cache_json fio | jq -c .disk
	umount_fs fio
}
