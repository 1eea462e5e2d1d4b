#!/usr/bin/env bash
# Called by `make bench-train`; arguments go to run.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
scripts/setup.sh model
cargo build --release --locked --workspace --bins
exec "$TEMPER_REFERENCE_PYTHON" bench/train/run.py --bin "$CARGO_TARGET_DIR/release" --smollm2 "$TEMPER_SMOLLM2" --cache "$TEMPER_CACHE" "$@"
