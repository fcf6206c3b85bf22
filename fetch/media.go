package fetch

import (
	"path"
	"strings"
)

const (
	// largeMedia is the size from which on a media file's tail is fetched with
	// its head. Below, the tail is near anyway.
	largeMedia = 16 << 20

	// tailBytes is how much of a media file's end its index begins in. ffprobe
	// reads the last 250 000 bytes of a transport stream, the cues of a
	// Matroska file and the moov atom of an hour of MP4 take 0.1 to 1 MB
	// (measured with ffprobe, ffmpegthumbnailer and mpv 0.40).
	tailBytes = 256 << 10

	// A first read of realRead bytes, or as many in several, is the beginning of
	// playing: ffmpeg reads 32 KiB first, mpv 64 or 128 KiB, while those that
	// only want to know the type (desktop file managers) read 4 to 16 KiB.
	realRead = 32 << 10

	// companionMax is the largest file that is fetched whole when touched.
	companionMax = 1 << 20
)

var mediaExt = extSet(`3g2 3gp aac ac3 aif aiff alac ape asf avi divx dts dv f4v flac flv
	m2t m2ts m2v m4a m4b m4v mka mkv mov mp2 mp3 mp4 mpc mpe mpeg mpg mts mxf oga ogg ogm ogv
	opus qt ra rm rmvb tak tp ts tta vob wav webm wma wmv wv`)

var companionExt = extSet(`ass bmp cue gif idx jpeg jpg json log lrc m3u m3u8 md5 nfo pls png sfv
	sha1 sha256 smi srt ssa sub sup txt vtt webp xml`)

func extSet(list string) map[string]bool {
	set := make(map[string]bool)
	for _, ext := range strings.Fields(list) {
		set["."+ext] = true
	}
	return set
}

func isMedia(name string) bool     { return mediaExt[strings.ToLower(path.Ext(name))] }
func isCompanion(name string) bool { return companionExt[strings.ToLower(path.Ext(name))] }
