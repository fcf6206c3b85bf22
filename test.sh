#!/usr/bin/env bash
# test.sh: everything that must pass before a change lands, as CI runs it. Installs the Debian packages that are missing
# (integration/packages), as root or with sudo.
#
#   FUZZTIME=2s   how long each fuzz target runs
set -euo pipefail
cd "$(dirname "$0")"

staticcheck_version=v0.8.2

step() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

install_packages() {
	local missing=() p root=()
	while read -r p; do
		[[ $p == '#'* || -z $p ]] && continue
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
	done <integration/packages
	[ ${#missing[@]} -gt 0 ] || return 0
	step "installing ${missing[*]}"
	[ "$(id -u)" = 0 ] || root=(sudo)
	"${root[@]}" apt-get update -q
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
}

static() {
	local unformatted
	step "gofmt, vet, staticcheck"
	unformatted=$(gofmt -l .)
	[ -z "$unformatted" ] || { printf 'gofmt would change:\n%s\n' "$unformatted" && exit 1; }
	go vet ./...
	if [[ $(staticcheck -version 2>/dev/null) == *"(${staticcheck_version#v})"* ]]; then
		staticcheck ./...
	else
		go run "honnef.co/go/tools/cmd/staticcheck@$staticcheck_version" ./...
	fi
}

unit() {
	step "go test -race"
	go test -race ./...
	step "a DHT of 1,000 nodes, without the race detector"
	go test -count 1 -run Simulate ./swarm/dht/
	step "once more on one processor, where deadlocks of file systems show"
	go test -count 1 -cpu 1 ./fs/... ./fetch/...
}

# fuzz_one PACKAGE TARGET: no input of a moment fails. The fuzzer itself fails with "context deadline exceeded" now and then,
# when the time is over while a worker is busy; then it tells nothing, and has to be run again.
fuzz_one() {
	local try
	for try in 1 2 3; do
		go test -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-2s}" "$1" >"$log" 2>&1 && return
		grep -q '^    context deadline exceeded$' "$log" || break
	done
	cat "$log"
	exit 1
}

# fuzz runs every fuzz target for a moment: crashers come back at once, new ones are found sometimes.
fuzz() {
	local package targets target
	step "fuzz"
	for package in $(go list ./...); do
		targets=$(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
		for target in $targets; do
			echo "$package $target"
			fuzz_one "$package" "$target"
		done
	done
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_packages
static
unit
fuzz
step "integration_test.sh"
./integration_test.sh
step "all passed"
