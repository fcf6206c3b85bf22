#!/usr/bin/env bash
# packaging/release.sh DIR [ARCH…]: all that is handed out of a release, in DIR: for each architecture (amd64, arm64,
# riscv64 if none are named) an archive and a .deb, and SHA256SUMS over all.
#
# Made from the commit that is checked out, never from anything else: it refuses a tree with changes, a version that is
# tagged on another commit, and a folder that is not empty. Everything is built twice, the second time from a clone in
# another folder, and has to be the same to the last bit.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 1 ] || { echo "usage: $0 DIR [ARCH…]" >&2 && exit 2; }
refuse() {
	echo "$0: $*" >&2
	exit 1
}
[ -z "$(git status --porcelain)" ] || refuse "the tree has changes: commit them, or take them away"
version=$(sed -n 's/^## \([0-9][0-9.]*\).*/\1/p' CHANGELOG.md | head -n 1)
! tagged=$(git rev-parse -q --verify "v$version^{commit}") || [ "$tagged" = "$(git rev-parse HEAD)" ] ||
	refuse "v$version is another commit: begin a new version in CHANGELOG.md"
mkdir -p "$1"
out=$(realpath "$1")
[ -z "$(ls -A "$out")" ] || refuse "$out is not empty"
shift
[ $# -gt 0 ] || set -- amd64 arm64 riscv64

again=$(mktemp -d)
trap 'rm -rf "$again"' EXIT
git clone -q . "$again/a clone"
for arch; do
	packaging/build.sh "$arch" "$out"
	"$again/a clone/packaging/build.sh" "$arch" "$again/out" >"$again/log"
	for file in "$again/out"/*; do
		cmp "$file" "$out/$(basename "$file")" || refuse "the second build differs"
		rm "$file"
	done
done
cd "$out"
sha256sum ./*.tar.gz ./*.deb | sed 's| \./| |' >SHA256SUMS
sha256sum --quiet -c SHA256SUMS
echo "$version, built twice with $(go env GOVERSION), the same each time. To hand it out: git tag -s v$version"
