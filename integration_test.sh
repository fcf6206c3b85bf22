#!/usr/bin/env bash
# integration_test.sh [NAME…]: the program against real clients, on real mounts.
#
# Builds magnetfs and checks it against a DHT of libtorrent nodes and seeds of three kinds (libtorrent, transmission-daemon,
# aria2c) with the programs that people use: cp, cat, dd, cmp, python, ffprobe, mpv. With names, only these checks run.
# Each check prints "ok name (seconds)" or "FAIL name: why"; the last line is "N passed, N failed". Exit status 1 if any
# failed. MAGNETFS_LOGS=DIR keeps all logs there.
#
# Everything runs in namespaces of its own (mounts, processes, network; for ordinary users also user): the host's network
# is not touched, and when the script ends, however it does, the kernel ends every process and mount of it.
#
# Needs: go, and the Debian packages named in .ci/run.
set -u
cd "$(dirname "$0")" || exit 1
here=$PWD/integration
python=/usr/bin/python3 # Debian's, which has libtorrent

if [ "${MAGNETFS_INTEGRATION:-}" != inside ]; then
	for tool in go "$python" fusermount3 transmission-daemon aria2c opentracker danted microsocks miniupnpd mpv ffmpeg ffprobe ffmpegthumbnailer file ip tc ss nft openssl nsenter unshare setpriv jq ps diff setfattr tmux mandoc zsh fish rsync fio man tar systemctl; do
		command -v "$tool" >/dev/null || missing="${missing:-} $tool"
	done
	"$python" -c 'import libtorrent' || missing="${missing:-} python3-libtorrent"
	if [ -n "${missing:-}" ]; then
		echo "missing:$missing (.ci/run installs all that is needed)" >&2
		exit 1
	fi
	twice=$(grep -ohE '^[a-z_0-9]+\(\)' "$here"/*.sh "$here"/checks/*.sh | sort | uniq -d)
	[ -z "$twice" ] || { echo "two files define: $twice" >&2 && exit 1; } # all are sourced into one shell
	tmp=$(mktemp -d /tmp/magnetfs.XXXXXX) || exit 1
	trap 'rm -rf --one-file-system "$tmp"' EXIT
	go build -o "$tmp/magnetfs" ./cmd/magnetfs || exit 1
	if [ "$(id -u)" = 0 ] && { [ $# = 0 ] || [[ " $*" == *" package_"* ]]; }; then
		SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-0} packaging/build.sh "$(dpkg --print-architecture)" "$tmp/package" || exit 1
	fi
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	MAGNETFS_INTEGRATION=inside MAGNETFS_ROOT=$([ "$(id -u)" = 0 ] && echo yes) \
		setpriv --pdeathsig KILL -- unshare "${user[@]}" --mount --net --pid --fork --kill-child --mount-proc --propagation private \
		bash "$PWD/integration_test.sh" "$tmp" "$@" &
	inside=$!
	trap 'kill -KILL $inside 2>/dev/null' INT TERM HUP # with it goes the first process of the namespace, and so all others
	wait "$inside"
	exit
fi

# From here on we are the first process of the namespaces.
tmp=$1
shift
mkdir "$tmp/run"
mount -t tmpfs -o mode=755 magnetfs-test "$tmp/run" || exit 1
cp "$tmp/magnetfs" "$tmp/run/magnetfs"
chmod 755 "$tmp"
tmp=$tmp/run
magnetfs=$tmp/magnetfs
mkdir -p "$tmp"/{log,mnt,state,home,tmp}
export HOME=$tmp/home TMPDIR=$tmp/tmp XDG_STATE_HOME=$tmp/state/default LC_ALL=C.UTF-8
unset XDG_CACHE_HOME XDG_CONFIG_HOME GOMEMLIMIT
trap 'exit 130' INT TERM HUP

for part in net spaces seeds lib checks/discovery checks/dht checks/hybrid checks/six checks/roam checks/home checks/life checks/adding checks/reading checks/scanner checks/streaming checks/matrix checks/disk checks/trouble checks/scale checks/peers checks/utp checks/nat checks/lines checks/trackers checks/limits checks/reach checks/blocking checks/control checks/talking checks/cli checks/packaging checks/services; do
	# shellcheck source=/dev/null
	. "$here/$part.sh"
done

# In this order: some checks use what an earlier one has set up, so a single one may need others named before it.
checks=(
	help_and_usage mount_in_background mount_refusals
	bad_magnets spellings raw_slashes same_torrent_again labels removed_files add_and_rm
	folders_and_names padding_links_and_modes nothing_can_be_changed calls_as_elsewhere status_of_a_mount
	core_matrix big_file parallel_readers mapped_readers on_demand_only little_memory
	disk_survives_restart disk_survives_kill_9 whole_files_pass_through disk_is_locked disk_show_and_clear without_disk disk_is_full disk_refuses cache_is_removed state_is_full killed_again_and_again
	thousands_of_files many_torrents fio_verifies
	ffprobe_reads_both mpv_plays_mp4 mpv_plays_mkv scanners_cost_little
	idle_torrents_give_way forty_readers_of_large_pieces wakes_up_soon
	pin_a_file pin_is_kept pin_too_large pin_by_magnet wait_for_metadata status_goes_on status_view status_view_of_waiting
	json_everywhere progress_in_a_terminal waiting_is_told_truly
	home_draws_one_copy
	found_by_dht pex_both_ways lpd_both_ways trackers private_torrent node_of_a_peer bootstrap_node_dies restart_without_routers found_by_transmission
	tracker_events
	dht_serves dht_serves_libtorrent dht_stops_floods dht_believes_little dht_row_counts dials_in_canonical_order
	hybrids hybrid_by_either six_dht six_pex six_lpd lpd_follows_interfaces six_pex_told
	libtorrent_alone aria2_alone xpe_only lpd_only routers_by_name
	serves_libtorrent serves_aria2 version_2 utp_only_seed serves_utp utp_off down_limit up_limit
	utp_over_bad_lines
	tracker_is_back holepunch holepunch_relay lan_first room_for_others
	one_interface_only proxy_only block_list port_mapping
	hostile_metainfo hostile_metadata wrong_metadata bad_peers_do_not_harm pex_flood
	ctrl_c_in_cat ctrl_c_in_dd ctrl_c_in_python ctrl_c_in_mpv kill_9 kill_9_of_a_mapped_reader harmless_signals
	waiting_reads
	dead_torrent_slows_nobody read_times_out removing_ends_reads nothing_accumulates umount_ends_reads
	transmission_alone restart_keeps_torrents
	second_mount port_is_kept unresolvable_names foreground_and_signals second_signal_forces busy_mount_is_detached unmounted_by_others
	killed_mount_is_repaired killed_process_that_hangs stopped_process no_fuse_device
	doctor_finds_faults manual_pages completion_in_shells settings_of_a_mount tells_systemd log_for_everybody mount_by_mount mount_by_fstab
)
if [ -n "$MAGNETFS_ROOT" ]; then # only root can become somebody else
	checks+=(disk_breaks mount_for_a_user mount_by_a_user ordinary_user root_unmounts_a_users_mount allow_other_is_checked no_fusermount no_right_to_fuse)
	checks+=(package_is_static package_installs package_mounts units_of_a_user package_is_removed)
fi
checks+=(nothing_left)

# set_up makes the payloads and starts the network.
set_up() {
	net_up
	names_up "$tmp"
	if [ -n "$MAGNETFS_ROOT" ]; then # everybody may mount here, as on a desktop
		mknod -m 666 "$tmp/fuse" c 10 229
		mount --bind "$tmp/fuse" /dev/fuse
	fi
	bash "$here/video.sh" "$tmp/film.mp4" "$tmp/film.mkv"
	"$python" "$here/make.py" "$tmp" "$tmp/film.mp4" "$tmp/film.mkv"
	dht_up
	transmission_up from-transmission.bin
	aria2_up
	local seeded=(big.bin kept.bin video.mp4 video.mkv tree padded from-libtorrent.bin shared.bin shared-two.bin xpe.bin routers.bin
		user.bin hurt.bin wrongmeta.bin spelled.bin
		home.bin for-home.bin found-one.bin found-two.bin later.bin offline.bin) name
	seed_libtorrent seed "${seeded[@]}"
	lpd_up lpd.bin lsd.bin
	tracker_up
	aria2_seed from-aria2.bin
	for name in "${seeded[@]}"; do
		# An announce to a table that is still filling reaches nobody, and libtorrent's next is a quarter of an hour away.
		PATIENCE=3 announced "$name" "$libtorrent_ip" || { farm '{"op":"announce","id":"seed"}' && announced "$name" "$libtorrent_ip"; }
	done
}

passed=0 failed=0
# run NAME: in a shell of its own, which ends at the first command that fails.
run() {
	local start status why
	start=$(now)
	(
		set -eE -o pipefail
		trap 'echo "status $? at line $LINENO of $(basename "${BASH_SOURCE[0]}"): $BASH_COMMAND" >&2' ERR
		"$1"
	) </dev/null >"$tmp/log/check-$1" 2>&1
	status=$?
	start=$(($(now) - start))
	if [ "$status" = 0 ]; then
		printf 'ok %s (%d.%01d)\n' "$1" $((start / 1000)) $((start % 1000 / 100))
		passed=$((passed + 1))
	else
		why=$(tail -n 3 "$tmp/log/check-$1" | tr '\n' ' ')
		printf 'FAIL %s: %s(%d.%01d)\n' "$1" "${why:-status $status }" $((start / 1000)) $((start % 1000 / 100))
		failed=$((failed + 1))
	fi
}

start=$(now)
trap 'echo "FAIL set_up: $(tail -n 3 "$tmp/log/set_up" | tr "\n" " ")"; echo "0 passed, 1 failed"; exit 1' EXIT
set -e # in this shell, whose children the peers are to be
set_up >"$tmp/log/set_up" 2>&1
set +e
trap - EXIT
echo "network of $dht_count DHT nodes, 4 seeds ($((($(now) - start) / 1000)) s)"

for check in "${checks[@]}"; do
	[ $# = 0 ] || [[ " $* " == *" $check "* ]] || continue
	run "$check"
done

if [ -n "${MAGNETFS_LOGS:-}" ]; then
	mkdir -p "$MAGNETFS_LOGS"
	cp -r "$tmp/log" "$MAGNETFS_LOGS/"
	for name in "$tmp"/state/*; do cp "$name/magnetfs/magnetfs.log" "$MAGNETFS_LOGS/$(basename "$name").log" 2>/dev/null; done
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
