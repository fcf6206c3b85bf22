# The Debian package, installed into a copy of this system that is thrown away: what is written goes to a layer on top of it.
# The package is made outside of the namespaces, where modules can be fetched, see integration_test.sh.

package=${tmp%/run}/package # the folder that packaging/build.sh filled
system=$tmp/system/root

# in_system COMMAND…: runs it in the copy, as on a fresh login.
in_system() {
	env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$system" "$@"
}

# system_up: the copy, with the package's own name unknown to it.
system_up() {
	local dir
	mkdir -p "$tmp/system"/{upper,work,root}
	mount -t overlay -o "lowerdir=/,upperdir=$tmp/system/upper,workdir=$tmp/system/work" system "$system"
	for dir in proc sys dev; do mount --rbind "/$dir" "$system/$dir"; done
	mount -t tmpfs none "$system/tmp"
	rm -f "$system"/etc/dpkg/dpkg.cfg.d/* # images of containers leave out manuals
	cp /etc/hosts "$system/etc/hosts"
	absent "$system/usr/bin/magnetfs"
}

package_is_static() {
	mkdir "$tmp/archive"
	tar -C "$tmp/archive" --strip-components 1 -xzf "$package"/magnetfs-*.tar.gz
	refuses "not a dynamic executable" ldd "$tmp/archive/bin/magnetfs"
	contains "$("$tmp/archive/bin/magnetfs" version)" "magnetfs $(dpkg-deb -f "$package"/*.deb Version | cut -d- -f1) ("
	"$tmp/archive/sbin/mount.magnetfs" none "$tmp/archive" -f -o ram=64MiB
}

# Triggers are left out: that of man-db reads all pages of the system anew.
package_installs() {
	local page list
	system_up
	cp "$package"/*.deb "$system/tmp/"
	in_system sh -c 'dpkg --no-triggers -i /tmp/*.deb'
	list=$(in_system dpkg -L magnetfs)
	for page in $(grep -o 'man[1-8]/.*' <<<"$list"); do
		page=${page##*/}
		contains "$(in_system man -w "${page%.?.gz}")" "/usr/share/man/"
	done
	contains "$(in_system man magnetfs)" "magnetfs mount"
	contains "$(in_system man mount.magnetfs)" fstab
	contains "$(in_system bash -c '. /usr/share/bash-completion/completions/magnetfs && complete -p magnetfs')" magnetfs
	same "$(in_system sh -c 'dpkg -V magnetfs && gzip -t /usr/share/man/man*/magnetfs* /usr/share/doc/magnetfs/*.gz')" ""
}

package_mounts() {
	local dir=$system/mnt/t
	in_system magnetfs mount /mnt/t --no-lpd --dht-bootstrap "$(dht_addrs 3)"
	mounted "$dir"
	mkdir "$dir/$(hash_of from-libtorrent.bin)"
	timeout 12 ls "$dir/$(hash_of from-libtorrent.bin)"
	timeout 20 cmp "$dir/from-libtorrent.bin/from-libtorrent.bin" "$tmp/data/from-libtorrent.bin"
	contains "$(in_system magnetfs status)" "from-libtorrent.bin"
	in_system magnetfs umount /mnt/t
	free "$dir"
	in_system mount -t magnetfs magnetfs /mnt/t -o no-dht,no-lpd # by mount.magnetfs
	mounted "$dir"
	in_system umount /mnt/t
	free "$dir"
}

package_is_removed() {
	local path left
	in_system dpkg -L magnetfs >"$tmp/list"
	in_system dpkg --no-triggers -r magnetfs
	while read -r path; do
		[ -d "$system/$path" ] || absent "$system$path"
	done <"$tmp/list"
	[ -d "$tmp/system/upper/var/lib/magnetfs" ] || fail "what root's mount kept did not survive the removal"
	in_system dpkg --no-triggers -P magnetfs
	left=$(find "$tmp/system/upper" -name '*magnetfs*' -not -path '*/var/lib/dpkg/*' -not -path '*/var/cache/man/*' -not -path '*/root/*')
	same "$left" ""
	umount -R "$system"
}
