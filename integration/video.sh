#!/usr/bin/env bash
# video.sh FILE.mp4 FILE.mkv: makes two films of 100 s, about 25 MB each: H.264 at 2 Mbit/s, noisy so that it does not
# compress, with AAC. The mp4 has its index (moov) at the end, where ffmpeg writes it; the mkv has its cues there.
set -eu
mp4=$1 mkv=$2
clip=$(mktemp --suffix=.mkv)
trap 'rm -f "$clip"' EXIT
ffmpeg=(ffmpeg -hide_banner -loglevel error -nostdin -y)
"${ffmpeg[@]}" \
	-f lavfi -i 'testsrc2=size=640x360:rate=24,noise=alls=20:allf=t' \
	-f lavfi -i 'anoisesrc=color=pink:sample_rate=48000:seed=1' \
	-t 10 -c:v libx264 -preset ultrafast -b:v 2000k -minrate 2000k -maxrate 2000k -bufsize 1000k -g 48 -pix_fmt yuv420p \
	-c:a aac -b:a 96k -ac 2 "$clip"
for out in "$mp4" "$mkv"; do
	"${ffmpeg[@]}" -stream_loop 9 -i "$clip" -c copy "$out"
done
