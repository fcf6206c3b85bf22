# What trackers are told and asked, and what is done while they are down.

# recorder PORT [CERT KEY]: a tracker that writes down what it hears, in $tmp/log/tracker-PORT.
recorder() {
	in_peers "$python" "$here/tracker.py" "$tracker_ip" "$1" "$libtorrent_ip:6881" "${@:2}" >"$tmp/log/tracker-$1" 2>&1 &
	soon 10 grep -q ready "$tmp/log/tracker-$1"
}

# heard PORT: what it was told, without what may differ.
heard() { grep -E '^(http|udp)' "$tmp/log/tracker-$1"; }

# tier MOUNT HASH: the rows of trackers whose name has this part, as "status seeds peers".
tier() { jq -r ".sources[] | select(.name | contains(\"$3\")) | \"\(.status | split(\":\")[0]) \(.seeds) \(.peers)\"" "$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"; }

# tier_is MOUNT HASH PART ROW: they are all like that.
tier_is() { [ "$(tier "$1" "$2" "$3" | sort -u)" = "$4" ]; }

# counted MOUNT HASH: the four rows of the opentracker count the same, us among them.
counted() {
	jq -e '[.sources[] | select(.name | contains(":6969")) | select(.status | startswith("working")) | .seeds + .peers] |
		length == 4 and all(. > 0) and (unique | length) == 1' \
		"$tmp/mnt/$1/.magnetfs/by-hash/$2/status.json"
}

tracker_events() {
	local hash magnet size tiers mnt=$tmp/mnt/events
	hash=$(hash_of xpe.bin) tiers=$(hash_of tiers.bin) size=$(stat -c %s "$tmp/data/tiers.bin")
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tracker -addext "subjectAltName=IP:$tracker_ip" \
		-keyout "$tmp/tracker.key" -out "$tmp/tracker.crt"
	seed_libtorrent seed tiers.bin
	# This one is down, until tracker_is_back.
	SSL_CERT_FILE=$tmp/tracker.crt mount_fs events --no-dht --no-lpd
	mkdir "$mnt/magnet:?xt=urn:btih:$(hash_of spelled.bin)&tr=http%3A%2F%2F$tracker_ip%3A7012%2Fannounce"
	recorder 7010
	recorder 7011 "$tmp/tracker.crt" "$tmp/tracker.key"
	# A magnet with trackers of each kind: their rows, and a scrape of the one that gives no counts.
	magnet="magnet:?xt=urn:btih:$hash&tr=https%3A%2F%2F$tracker_ip%3A7011%2Fannounce&tr=http%3A%2F%2F$tracker_ip%3A7010%2Fplain%2Fannounce"
	mkdir "$mnt/$magnet&tr=udp%3A%2F%2F$tracker_ip%3A7010%2Fdir%3Fa%3Db%26c%3Dd"
	equal events xpe.bin
	soon 5 tier_is events "$hash" /plain/ "working 3 4"
	soon 5 tier_is events "$hash" https: "working 1 1"
	soon 5 tier_is events "$hash" udp: "working 1 1"
	# A file with tiers: in one, three are dead and the one that works goes to the front; in the other one hears of us, and
	# the others, that stand by, are asked how many there are. They are all the same opentracker, which knows of us.
	cp "$(torrent_of tiers.bin)" "$mnt/"
	equal events tiers.bin
	soon 10 counted events "$tiers"
	says events "$tiers" "$(jq -r '.sources[3].name' "$mnt/.magnetfs/by-hash/$tiers/status.json")" '.name | contains(":7010/announce")' '.status == "working"'
	says events "$(hash_of spelled.bin)" "$tracker_ip:7012" '.status | contains("refused")' '.next > 0' '.peers == null'
	drop events tiers.bin xpe.bin
	# Only whoever had nothing left says that it is complete; the ID of the tracker comes with all but the first.
	soon 10 grep "event=stopped" "$tmp/log/tracker-7011"
	same "$(heard 7010 | grep 'http /announce')" "http /announce event=started left=$size numwant=200 trackerid=-
http /announce event=completed left=0 numwant=0 trackerid=one two&three
http /announce event=stopped left=0 numwant=0 trackerid=one two&three"
	same "$(heard 7010 | grep udp | cut -d' ' -f3,5)" "event=2 data=/dir?a=b&c=d
event=1 data=/dir?a=b&c=d
event=3 data=/dir?a=b&c=d"
	same "$(heard 7011 | cut -d' ' -f2,3)" "/announce event=started
/announce event=completed
/announce event=stopped"
	recorder 7012
}

# After tracker_events: it has been started since.
tracker_is_back() {
	soon 40 test -e "$tmp/mnt/events/spelled.bin" # its metadata
	equal events spelled.bin
	says events "$(hash_of spelled.bin)" "$tracker_ip:7012" '.status == "working"' '.next != null and .next <= 1800' '.seeds == 1' '.peers == 1'
	umount_fs events
	soon 5 grep -q event=stopped "$tmp/log/tracker-7012"
	# What was left became known, and nothing was left, in between.
	same "$(heard 7012 | cut -d' ' -f3 | grep -v event=- | tr '\n' ' ')" "event=started event=completed event=stopped "
}
