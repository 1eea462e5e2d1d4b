#!/usr/bin/env bash
# Called by `make bench-operator`, which has built the bench and the servers; takes the operator out of the image that is shipped, and
# builds the peer. Arguments go to the bench.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$TEMPER_CACHE/bench
mkdir -p "$folder"
command -v go >/dev/null || { echo "bench-operator: Go is missing; 1.26 or newer builds the peer: https://go.dev/dl" >&2; exit 1; }
(cd bench/operator/peer && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$folder/operator-peer" .)
scripts/images.sh operator
archive=$TEMPER_CACHE/images/temper-operator.tar
# An older one must not be measured in its place.
rm -f "$folder/temper-operator"
for layer in $(tar -xOf "$archive" manifest.json | grep -oE '[0-9a-f]{64}\.tar'); do
  tar -xOf "$archive" "$layer" | tar -xO usr/local/bin/temper-operator > "$folder/temper-operator.part" 2>/dev/null || continue
  chmod +x "$folder/temper-operator.part"
  mv "$folder/temper-operator.part" "$folder/temper-operator"
done
exec "$CARGO_TARGET_DIR/release/temper-bench-operator" --operator "$folder/temper-operator" --peer "$folder/operator-peer" "$@"
