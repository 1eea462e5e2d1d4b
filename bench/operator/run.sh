#!/usr/bin/env bash
# Called by `make bench-operator`, which has built the binaries and the servers; builds the peer. Arguments go to the bench.
set -euo pipefail
cd "$(dirname "$0")/../.."
peer=$TEMPER_CACHE/bench/operator-peer
mkdir -p "$(dirname "$peer")"
command -v go >/dev/null || { echo "bench-operator: Go is missing; 1.26 or newer builds the peer: https://go.dev/dl" >&2; exit 1; }
(cd bench/operator/peer && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$peer" .)
exec "$CARGO_TARGET_DIR/release/temper-bench-operator" --peer "$peer" "$@"
