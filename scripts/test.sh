#!/usr/bin/env bash
# Every check and test that one machine can run; `make test` calls it with the environment set. The first failure ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
stage() { printf '\n\033[1m==> %s\033[0m (after %d s)\n' "$*" $((SECONDS - began)); }

stage "format"
cargo fmt --all --check

stage "layout"
python3 scripts/check_layout.py

stage "lints"
cargo clippy --release --locked --workspace --all-targets -- -D warnings

stage "dependencies"
"$TEMPER_CACHE/reference/bin/cargo-deny" --log-level error check bans licenses sources

stage "build"
cargo build --release --locked --workspace --bins

stage "tests"
cargo test --release --locked --workspace

stage "quickstart"
TEMPER_HOME=$(mktemp -d)
export TEMPER_HOME
trap 'rm -rf "$TEMPER_HOME"' EXIT
scripts/quickstart.sh
scripts/quickstart.sh | tee "$TEMPER_HOME/second.log"
grep -qi 'already complete' "$TEMPER_HOME/second.log"

stage "done"
