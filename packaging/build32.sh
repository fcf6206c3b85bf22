#!/usr/bin/env bash
# packaging/build32.sh arm|386 FILE: a static magnetfs for Linux with 32 bits, which releases do not have.
#
# go-fuse v2.12.1 does not compile there: splice/pair_linux.go assigns what syscall.Splice returns to an int64, and that is an
# int on such machines. Build tags cannot leave the file out. So this builds with a copy of go-fuse in which the four calls
# convert it, and nothing else is changed.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 2 ] || { echo "usage: $0 arm|386 FILE" >&2 && exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fuse=github.com/hanwen/go-fuse/v2
go mod download
cp -r "$(go list -m -f '{{.Dir}}' $fuse)" "$work/go-fuse"
chmod -R u+w "$work/go-fuse"
file=$work/go-fuse/splice/pair_linux.go
sed -i 's/syscall\.Splice(/splice64(/' "$file"
cat >>"$file" <<'END'

func splice64(rfd int, roff *int64, wfd int, woff *int64, n, flags int) (int64, error) {
	sent, err := syscall.Splice(rfd, roff, wfd, woff, n, flags)
	return int64(sent), err
}
END
cp go.mod go.sum "$work/"
go mod edit -replace "$fuse=$work/go-fuse" "$work/go.mod"
CGO_ENABLED=0 GOOS=linux GOARCH=$1 GOARM=${GOARM:-6} go build -modfile "$work/go.mod" -trimpath -ldflags '-s -w' -o "$2" ./cmd/magnetfs
ls -l "$2"
