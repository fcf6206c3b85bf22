# What the checks use, for sourcing. A check runs under "set -e", which does not see what "!" negates, nor anything in a
# function called with "&&", "||" or "if": say it with free, absent, refuses or fail.

# fail WHY: ends the check.
fail() {
	echo "$*" >&2
	trap - ERR
	exit 1
}

# same A B: two values are equal.
same() { [ "$1" = "$2" ] || fail "got '$1', not '$2'"; }

# contains TEXT PART
contains() { [[ $1 == *"$2"* ]] || fail "'$2' is not in: $1"; }

# exits CODE COMMAND…: it ends with this status; what it said is in $said.
exits() {
	local want=$1 got=0
	shift
	said=$("$@" 2>&1) || got=$?
	[ "$got" = "$want" ] || fail "$* ended with $got, not $want: $said"
}

# refuses PART COMMAND…: it fails and says so.
refuses() {
	local part=$1
	shift
	said=$("$@" 2>&1) && fail "$* succeeded: $said"
	contains "$said" "$part"
}

# now: milliseconds.
now() { echo $((${EPOCHREALTIME/./} / 1000)); }

# soon SECONDS COMMAND…: waits until it succeeds.
soon() {
	local end=$(($(now) + $1 * 1000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now)" -lt "$end" ] || fail "not in time: $*"
		sleep 0.05
	done
}

# quick MILLISECONDS COMMAND…: it succeeds, and as fast as that.
quick() {
	local limit=$1 start
	shift
	start=$(now)
	"$@" || fail "$* failed"
	start=$(($(now) - start))
	[ "$start" -le "$limit" ] || fail "$* took $start ms, more than $limit"
}

# mounted DIR
mounted() { grep -q " $1 fuse.magnetfs " /proc/mounts; }

free() { mounted "$1" && fail "$1 is still mounted" || true; }

absent() { [ ! -e "$1" ] || fail "$1 is there"; }

# mount_fs NAME FLAG…: mounts on $tmp/mnt/NAME with a state of its own; the port is kept in it as always.
mount_fs() {
	local name=$1
	shift
	XDG_STATE_HOME=$tmp/state/$name XDG_CACHE_HOME=${tmp%/run}/cache/$name timeout 20 "$magnetfs" mount "$tmp/mnt/$name" --log-level debug "$@"
}

log_of() { cat "$tmp/state/$1/magnetfs/magnetfs.log"; }

# pid_of NAME: the process that serves this mount.
pid_of() { cat "$tmp/mnt/$1/.magnetfs/pid"; }

umount_fs() { timeout 25 "$magnetfs" umount "$tmp/mnt/$1"; }

gone() { ! kill -0 "$1" 2>/dev/null; }

# add MOUNT NAME [X.PE…]: adds a torrent by its hash, or with the addresses of peers.
add() {
	local mnt=$tmp/mnt/$1 text peer
	text=$(hash_of "$2")
	[ $# -eq 2 ] || text="magnet:?xt=urn:btih:$text&dn=$2"
	for peer in "${@:3}"; do text+="&x.pe=$peer"; done
	mkdir "$mnt/$text"
}

# base32 HASH
base32_of() { printf '%s' "$1" | "$python" -c 'import base64,sys; print(base64.b32encode(bytes.fromhex(sys.stdin.read())).decode())'; }

# equal MOUNT NAME [SECONDS]: the torrent has its payload, file by file.
equal() {
	soon 10 test -e "$tmp/mnt/$1/$2"
	timeout "${3:-30}" diff -r --no-dereference "$tmp/mnt/$1/$2" "$(payload_of "$2")" || fail "$2 differs, or took too long"
}

# payload_of NAME: a folder that looks as the torrent's does: a single file is in one too.
payload_of() {
	if [ -d "$tmp/data/$1" ]; then
		echo "$tmp/data/$1"
	else
		mkdir -p "$tmp/payload/$1"
		[ -e "$tmp/payload/$1/$1" ] || ln "$tmp/data/$1" "$tmp/payload/$1/$1"
		echo "$tmp/payload/$1"
	fi
}

# drop MOUNT NAME…: removes torrents.
drop() {
	local name
	for name in "${@:2}"; do rmdir "$tmp/mnt/$1/$name"; done
}

# fake MODE NAME PORT: a misbehaving peer on $fake:PORT for the torrent, or for a file; it lives as long as the test.
fake=$fake_net.1
fake() {
	local file=$2
	[ -e "$file" ] || file=$(torrent_of "$2")
	in_peers "$python" "$here/fakepeer.py" "$fake:$3=$1=$file" >"$tmp/log/fake-$3" 2>&1 &
	soon 5 grep -q ready "$tmp/log/fake-$3"
}

blocked() { "$python" "$here/blocked.py" "$@"; }
reader() { "$python" "$here/reader.py" "$@"; }
