#!/usr/bin/env bash
# packaging/build.sh ARCH DIR: a static magnetfs for Linux on ARCH (amd64, arm64, riscv64; Go and Debian call
# them the same), packed into DIR as magnetfs-VERSION-linux-ARCH.tar.gz and magnetfs_VERSION-1_ARCH.deb.
#
# The same commit gives the same bytes, in whatever folder, with the same version of Go. VERSION is the newest one of
# CHANGELOG.md; the date is that of the commit (or SOURCE_DATE_EPOCH, where there is no git). Needs go, tar and gzip.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

[ $# = 2 ] || { echo "usage: $0 ARCH DIR" >&2 && exit 2; }
arch=$1
mkdir -p "$2"
out=$(realpath "$2")
version=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
[ -n "$version" ] || { echo "CHANGELOG.md names no version" >&2 && exit 1; }

commit=
if commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
	[ -z "$(git status --porcelain)" ] || commit+=" modified"
	: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
fi
: "${SOURCE_DATE_EPOCH:?there is no git here: set it to the seconds since 1970}"
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
day=$(date -d "@$SOURCE_DATE_EPOCH" +%F)
: "${MAINTAINER:=The magnetfs authors <magnetfs@localhost>}" # whoever hands packages out sets his own
export MAINTAINER
text="$version (${commit:+$commit, }$day)"

# compile GOARCH FILE
compile() {
	GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOAMD64=v1 \
		go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X 'main.version=$text'" -o "$2" ./cmd/magnetfs
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=magnetfs-$version-linux-$arch
tree=$work/$name
mkdir -p "$tree"/{bin,sbin,share/man,share/bash-completion/completions,share/zsh/site-functions,share/fish/vendor_completions.d} \
	"$tree"/{lib/systemd,share/doc/magnetfs/users}

case $arch in
amd64 | arm64 | riscv64) ;;
*) echo "$0: $arch is none of amd64, arm64, riscv64; go-fuse does not compile for 32 bits, see packaging/build32.sh" >&2 && exit 2 ;;
esac
compile "$arch" "$tree/bin/magnetfs"
ln -s ../bin/magnetfs "$tree/sbin/mount.magnetfs"

# What the program writes about itself, by one that runs here.
native=$tree/bin/magnetfs
host=$(go env GOHOSTARCH)
if [ "$arch" != "$host" ]; then
	native=$work/native
	compile "$host" "$native"
fi
mkdir "$work/man"
"$native" man "$work/man" >"$work/pages"
for page in "$work"/man/*; do
	section=${page##*.}
	mkdir -p "$tree/share/man/man$section"
	gzip -9nc "$page" >"$tree/share/man/man$section/$(basename "$page").gz"
done
"$native" completion bash >"$tree/share/bash-completion/completions/magnetfs"
"$native" completion zsh >"$tree/share/zsh/site-functions/_magnetfs"
"$native" completion fish >"$tree/share/fish/vendor_completions.d/magnetfs.fish"

cp -r packaging/systemd/{system,user} "$tree/lib/systemd/"
sed -i 's|/usr/bin/|/usr/local/bin/|' "$tree"/lib/systemd/*/*.service
install -m 644 README.md CHANGELOG.md LICENSE "$tree/share/doc/magnetfs/"
install -m 644 docs/users/*.md "$tree/share/doc/magnetfs/users/"
install -m 644 packaging/INSTALL.md "$tree/"
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --format=gnu -c "$name" | gzip -9n >"$out/$name.tar.gz"

# For the .deb, the same tree with what Debian wants to be elsewhere, or added.
doc=$tree/share/doc/magnetfs
{
	printf 'magnetfs (%s-1) unstable; urgency=medium\n\n' "$version"
	printf '  * Release %s; changelog.gz says what is new.\n\n' "$version"
	printf ' -- %s  %s\n' "$MAINTAINER" "$(date -d "@$SOURCE_DATE_EPOCH" -R)"
} | gzip -9n >"$doc/changelog.Debian.gz"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
{
	printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: magnetfs\n\nFiles: *\n'
	sed -n 's/^Copyright (c) /Copyright: /p' LICENSE
	printf 'License: Expat\n'
	sed -n '/^Permission/,$ { s/^$/./; s/^/ /; p; }' LICENSE
} >"$doc/copyright"
rm "$doc/LICENSE" "$doc/CHANGELOG.md"
cp packaging/systemd/system/* "$tree/lib/systemd/system/"
cp packaging/systemd/user/* "$tree/lib/systemd/user/"
mv "$tree/share/zsh/site-functions" "$tree/share/zsh/vendor-completions"
mkdir -p "$tree/share/lintian/overrides"
install -m 644 packaging/lintian-overrides "$tree/share/lintian/overrides/magnetfs"
install packaging/postrm "$work/"
find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
nfpm=$(GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 go -C packaging/tools tool -n nfpm)
config=$PWD/packaging/nfpm.yaml
(cd "$tree" && VERSION=$version ARCH=$arch "$nfpm" package --config "$config" --packager deb --target "$out/magnetfs_$version-1_$arch.deb" >"$work/nfpm.log") ||
	{ cat "$work/nfpm.log" >&2 && exit 1; }
cd "$out"
ls -l "$name.tar.gz" "magnetfs_$version-1_$arch.deb"
