# A mount whose network interfaces come and go.
#
#   roam     eth0, eth1     the mount, which begins with nothing but lo
#   peers    lan7, lan8     a peer at the other end of each

# roam_link N: the host gets an interface eth$N, the peers one that is called lan$N; it is up when roam_plug was called.
roam_link() {
	ip link add "eth$1" netns "$(cat "$tmp/space/roam")" type veth peer name "lan$1" netns "$peers_pid"
	in_space roam ip addr add "192.168.7$1.1/24" dev "eth$1"
	in_peers ip addr add "192.168.7$1.2/24" dev "lan$1"
	in_peers ip link set "lan$1" up
}

roam_plug() { in_space roam ip link set "eth$1" up; }

# roam_seed N NAME: a peer at the end of eth$N. Its own multicasts get lost, as the link is not up yet, so it has to hear ours.
roam_seed() {
	farm "{\"op\":\"session\",\"id\":\"roam$1\",\"listen\":\"192.168.7$1.2:6881\",\"dht\":false,\"lsd\":true}"
	seed_libtorrent "roam$1" "$2"
}

lpd_follows_interfaces() {
	local pid
	space roam
	XDG_STATE_HOME=$tmp/state/roam XDG_CACHE_HOME=${tmp%/run}/cache/roam in_space roam timeout 20 "$magnetfs" mount "$tmp/mnt/roam" \
		--log-level debug --no-dht
	pid=$(pid_of roam)
	add roam roam-one.bin
	roam_link 1
	roam_seed 1 roam-one.bin
	roam_plug 1
	equal roam roam-one.bin
	# The interface goes, another one comes.
	in_space roam ip link del eth1
	add roam roam-two.bin
	roam_link 2
	roam_seed 2 roam-two.bin
	roam_plug 2
	equal roam roam-two.bin
	same "$(pid_of roam)" "$pid"
	row roam "$(hash_of roam-two.bin)" "Local Peer" | jq -e '.status | test("^working")'
	farm '{"op":"close","id":"roam1"}'
	farm '{"op":"close","id":"roam2"}'
	umount_fs roam
}
