#!/usr/bin/env bash
# Every check and test that one machine can run; `make test` calls it with the environment set. The first failure ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
began=$SECONDS
stage() { printf '\n\033[1m==> %s\033[0m (after %d s)\n' "$*" $((SECONDS - began)); }

# What the tests talk to is downloaded and built while cargo checks and compiles: neither keeps all processors busy by itself.
set -m
(scripts/setup.sh reference stores charts && scripts/kubernetes.sh apiserver helm) < /dev/null 2>&1 | sed -u 's/^/   beside: /' &
beside=$! group=$(jobs -p)
set +m
trap 'kill -- -"$group" 2>/dev/null || :' EXIT

stage "format"
cargo fmt --all --check

stage "layout"
python3 scripts/check_layout.py

stage "lints"
cargo clippy --release --locked --workspace --all-targets -- -D warnings

stage "build"
cargo build --release --locked --workspace --bins

stage "what the tests talk to"
wait "$beside"

stage "dependencies"
"$TEMPER_CACHE/reference/bin/cargo-deny" --log-level error check bans licenses sources

stage "tests"
scripts/run_tests.py

stage "quickstart"
TEMPER_HOME=$(mktemp -d)
export TEMPER_HOME
trap 'rm -rf "$TEMPER_HOME"' EXIT
scripts/quickstart.sh
scripts/quickstart.sh | tee "$TEMPER_HOME/second.log"
grep -qi 'already complete' "$TEMPER_HOME/second.log"

stage "done"
