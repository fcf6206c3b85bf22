# Programs that look at many files and read few: what they cost.

# library: a folder as people have them, pieces of 1 MiB. The two films have 100 MB.
library() {
	local d=$tmp/data/library i ffmpeg=(ffmpeg -hide_banner -loglevel error -nostdin -y)
	mkdir -p "$d"/{films,season,music,photos}
	"${ffmpeg[@]}" -stream_loop 3 -i "$tmp/film.mkv" -c copy "$d/films/film.mkv"
	"${ffmpeg[@]}" -stream_loop 3 -i "$tmp/film.mkv" -c copy "$d/films/end.mp4"
	"${ffmpeg[@]}" -i "$tmp/film.mkv" -c copy -movflags +faststart "$d/films/fast.mp4"
	cp "$tmp/film.mp4" "$d/season/e1.mp4"
	cp "$tmp/film.mkv" "$d/season/e2.mkv"
	"${ffmpeg[@]}" -i "$tmp/film.mkv" -t 60 -vn -b:a 192k "$d/music/1.mp3"
	"${ffmpeg[@]}" -i "$tmp/film.mkv" -t 20 -vn "$d/music/2.flac"
	"${ffmpeg[@]}" -i "$tmp/film.mkv" -frames:v 8 "$d/photos/%d.jpg"
	for i in 1 2; do
		seq -f "%g"$'\n00:00:00,000 --> 00:00:01,000\nline\n' 300 >"$d/season/e$i.en.srt"
		echo "episode $i" >"$d/season/e$i.nfo"
	done
	"$python" "$here/folder.py" "$tmp" library $((1 << 20))
	seed_libtorrent seed library
}

fetched() { jq '.[] | select(.name == "library") | .downloaded' "$tmp/mnt/scan/.magnetfs/status.json"; }

# cost COMMAND…: what it had fetched, in bytes, until nothing more came: $cost.
cost() {
	local before last
	before=$(fetched)
	[ "$(type -t "$1")" = function ] || set -- timeout 30 "$@"
	"$@" >"$tmp/tmp/cost" 2>&1 || fail "$*: $(tail -n 3 "$tmp/tmp/cost")"
	cost=$(fetched)
	for ((last = -1; cost != last; )); do
		sleep 0.2
		last=$cost
		cost=$(fetched)
	done
	cost=$((cost - before))
}

# within MIB WHAT: the last cost is within the budget.
within() {
	printf '%6d KiB  %s\n' $((cost >> 10)) "$2"
	[ "$cost" -le $(($1 << 20)) ] || fail "$2 cost $((cost >> 10)) KiB, more than $1 MiB"
}

# unread: the torrent again, nothing of it here.
unread() {
	[ ! -d "$tmp/mnt/scan/library" ] || "$magnetfs" rm --purge "$tmp/mnt/scan" library
	add scan library "$libtorrent_ip:6881"
	soon 10 test -e "$tmp/mnt/scan/library/films/film.mkv"
}

probe_all() {
	local f
	find "$1" -type f | sort | while read -r f; do
		case $f in
		*.nfo | *.srt) file "$f" ;;
		*) timeout 30 ffprobe -v error -show_format -show_streams "$f" ;;
		esac
	done
}

scanners_cost_little() {
	local d=$tmp/mnt/scan/library f
	library
	mount_fs scan --no-dht --no-lpd
	unread
	cost ls -lR "$d"
	within 0 "ls -lR"
	cost find "$d" -size +1M
	within 0 find
	cost du -s "$d"
	within 0 "du"

	# The pieces that are read, one or two ahead at the most, and the end of the file.
	cost head -c 4096 "$d/films/end.mp4"
	within 1 "a file manager's look at end.mp4"
	for f in film.mkv end.mp4; do
		unread
		cost ffprobe -v error -analyzeduration 200M -probesize 1G -show_format -show_streams -show_chapters "$d/films/$f"
		within 5 "ffprobe $f, as thorough as Jellyfin"
		cost ffmpegthumbnailer -i "$d/films/$f" -o "$tmp/tmp/t.png"
		within 4 "ffmpegthumbnailer $f"
		cost ffmpeg -v error -nostdin -y -ss 200 -i "$d/films/$f" -frames:v 1 "$tmp/tmp/t.jpg"
		within 6 "a frame of $f"
	done
	unread
	cost probe_all "$d"
	within 18 "ffprobe and file of all 22 files"
	umount_fs scan
}
