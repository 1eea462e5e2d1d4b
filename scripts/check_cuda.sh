#!/usr/bin/env bash
# Compiles and links the CUDA half of temper-c10d (ProcessGroupNCCL) and a temper-trainer with it against the pinned CUDA wheels, and runs
# the NCCL test where a GPU is.
# Its downloads (1.3 GB, with a GPU 2.7 GB) and its build go to the cache folder, apart from those of the CPU build.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}
PYTHON=$CACHE/pip/bin/python
[ -x "$PYTHON" ] || { echo "check-cuda: $PYTHON is missing; run: make setup" >&2; exit 1; }

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }

if gpu=$(nvidia-smi --list-gpus 2>/dev/null | head -1) && [ -n "$gpu" ]; then
  libtorch=$CACHE/libtorch-cuda-runtime-2.11.0 mode=--cuda-runtime
else
  gpu='' libtorch=$CACHE/libtorch-cuda-2.11.0 mode=--cuda
fi
"$PYTHON" scripts/libtorch.py $mode "$CACHE/wheels" "$libtorch"

export LIBTORCH=$libtorch CARGO_TARGET_DIR=$CACHE/target-cuda
test=(--release --locked -p temper-c10d --features cuda --test nccl)
say "compiling and linking temper-c10d with NCCL against libtorch 2.11.0 for CUDA 13"
cargo test "${test[@]}" --no-run
say "compiling and linking temper-trainer with it"
cargo build --release --locked -p temper-trainer --features cuda

if [ -n "$gpu" ]; then
  say "running on $gpu"
  cargo test "${test[@]}"
  say "CUDA: compiled, linked, and passed its NCCL test"
else
  say "CUDA: compiled and linked. It did NOT run: nvidia-smi shows no GPU on this machine"
fi
