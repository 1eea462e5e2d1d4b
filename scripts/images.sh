#!/usr/bin/env bash
# Builds Temper's images with buildah, without a registry and without the network, into docker archives that `ctr images import` and
# `docker load` take, and fails when one is larger than its limit.
#   images.sh [operator] [trainer] [trainer-cuda] [pause]     the first two without arguments
# They lie in $TEMPER_CACHE/images as temper-operator.tar, temper-trainer.tar, temper-trainer-cuda.tar and pause.tar, and hold
# localhost/temper-operator:test and so on. What has not changed is not built again. The CUDA trainer takes 25 GB of disk to build.
#   TEMPER_IMAGES_COLD=FOLDER    builds anew whatever is there, compiles everything, and leaves the archives in FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
TEMPER_CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}
CACHE=$TEMPER_CACHE/images
OUT=${TEMPER_IMAGES_COLD:-$CACHE}
LIBTORCH=${LIBTORCH:-$TEMPER_CACHE/libtorch-cpu-2.11.0}
REGISTRY=${CARGO_HOME:-$HOME/.cargo}/registry
KEPT=2 # archives of one image that stay, the newest included
mkdir -p "$CACHE" "$OUT"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
stop() { printf 'images: %s\n' "$*" >&2; exit 1; }

# In MB of 10^6 bytes, unpacked.
limit() { case $1 in temper-operator) echo 40 ;; temper-trainer) echo 650 ;; temper-trainer-cuda) echo 8000 ;; pause) echo 5 ;; esac; }

# A store of its own, so that the user's images stay as they are; what is mounted is counted in a folder that no other store may share.
store() {
  local run=${XDG_RUNTIME_DIR:-/run}
  [ -w "$run" ] || run=/tmp
  export CONTAINERS_STORAGE_CONF=$CACHE/storage.conf
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$CACHE/storage" \
    "$run/temper-images-$(id -u)-$(sha256sum <<<"$CACHE" | cut -c1-8)" > "$CONTAINERS_STORAGE_CONF"
}

# Every file that the packages named are compiled from, and what decides how. Tests are not among them.
sources() {
  local packages=("$@") folders
  mapfile -t folders < <(cargo tree --locked --edges normal,build --prefix none "${packages[@]/#/--package=}" |
    sed -nE "s|^.* \($PWD/([^)]*)\).*|\1|p" | sort -u)
  [ ${#folders[@]} -gt 0 ] || stop "cargo tree names no package of ours among those of ${packages[*]}; run it to see why"
  git ls-files --cached --others --exclude-standard -- "${folders[@]}" Cargo.toml Cargo.lock scripts/mirror.sh scripts/images.sh ':(exclude)*/tests/*' | sort -u
}

# digest FILE...: of names and contents; a file that is listed but deleted counts by its name
digest() { for file in "$@"; do echo "$file"; [ ! -f "$file" ] || sha256sum < "$file"; done | sha256sum | cut -c1-12; }

# build NAME DOCKERFILE CONTEXT [OPTION...]: the image, as an archive
build() {
  local name=$1 dockerfile=$2 context=$3 image=localhost/$1:test
  shift 3
  # Buildah keeps cache mounts, and so what cargo compiled, in TMPDIR.
  mkdir -p "$OUT/build"
  # Who runs this at idle priority means the containers, too: their control groups have weights of their own.
  [[ $(chrt --pid $$) != *SCHED_IDLE* ]] || set -- --cpu-shares 2 "$@"
  TMPDIR=$OUT/build buildah bud --pull-never --no-cache --network none --runtime "$(command -v runc || echo runc)" --format oci --identity-label=false \
    --timestamp "${SOURCE_DATE_EPOCH:-0}" "$@" -f "$dockerfile" -t "$image" "$context"
  rm -f "$OUT/$name.part"
  buildah push --quiet "$image" "docker-archive:$OUT/$name.part:$image"
  # Only the archive is kept: the store would grow by each build.
  buildah rmi --force "$image" >/dev/null
}

# keep NAME KEY: the archive just built under its key, and a name that does not change
keep() {
  mv "$OUT/$1.part" "$OUT/$1-$2.tar"
  find "$OUT" -maxdepth 1 -name "$1-????????????.tar" -printf '%T@ %p\n' | sort -rn | tail -n +$((KEPT + 1)) | cut -d' ' -f2- | xargs -r rm --
}

# fresh NAME KEY: whether the archive with this key is there
fresh() {
  [ -z "${TEMPER_IMAGES_COLD:-}" ] && [ -f "$OUT/$1-$2.tar" ] || return 1
  touch "$OUT/$1-$2.tar"
}

rust_image() {
  local name=$1 dockerfile=$2 key base=() builder files
  shift 2
  builder=$(scripts/image_bases.sh builder)
  if [ "$dockerfile" = Dockerfile.trainer ]; then
    [ -d "$LIBTORCH/lib" ] || stop "libtorch is not in $LIBTORCH; run: make setup"
    base=(--build-arg BASE_IMAGE="$(scripts/image_bases.sh base)" --build-arg VARIANT="${VARIANT:-cpu}" --volume "$LIBTORCH:/opt/libtorch:ro")
  fi
  files=$(sources "$@")
  # shellcheck disable=SC2086
  key=$(echo "$(digest $files "$dockerfile")" "$builder" "${base[@]}" "${SOURCE_DATE_EPOCH:-0}" | sha256sum | cut -c1-12)
  if ! fresh "$name" "$key"; then
    say "building $name; minutes the first time, since everything is compiled for the image"
    cargo fetch --locked --quiet
    build "$name" "$dockerfile" . --build-arg BUILDER_IMAGE="$builder" --build-arg VERSION="$VERSION" "${base[@]}" \
      --volume "$REGISTRY:/cache/cargo/registry:ro"
    keep "$name" "$key"
  fi
  ln -sfn "$name-$key.tar" "$OUT/$name.tar"
}

operator() { rust_image temper-operator Dockerfile.operator temper-operator temper-cli; }
trainer() { rust_image temper-trainer Dockerfile.trainer temper-trainer; }

trainer-cuda() {
  local LIBTORCH=$TEMPER_CACHE/libtorch-cuda-runtime-2.11.0
  "$TEMPER_CACHE/pip/bin/python" scripts/libtorch.py --cuda-runtime "$TEMPER_CACHE/wheels" "$LIBTORCH"
  VARIANT=cuda rust_image temper-trainer-cuda Dockerfile.trainer temper-trainer
}

pause() {
  local folder=tests/cluster/images key
  key=$(digest $folder/pause.go $folder/Dockerfile.pause)
  if ! fresh pause "$key"; then
    say "building pause"
    mkdir -p "$OUT/build/pause"
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$OUT/build/pause/pause" $folder/pause.go
    build pause $folder/Dockerfile.pause "$OUT/build/pause"
    keep pause "$key"
  fi
  ln -sfn "pause-$key.tar" "$OUT/pause.tar"
}

# row NAME: its line of the table; false when it is over its limit
row() {
  local archive=$OUT/$1.tar bytes verdict=yes
  bytes=$(stat -Lc %s "$archive")
  [ "$bytes" -le $(($(limit "$1") * 1000000)) ] || verdict=NO
  printf '%-36s %8s %8s  %-7s %s\n' "localhost/$1:test" "$(awk -v b="$bytes" 'BEGIN { printf "%.1f MB", b / 1e6 }')" "$(limit "$1") MB" $verdict \
    "$(tar -xOf "$archive" manifest.json | sed -E 's/.*"Config":"([0-9a-f]+)\.json".*/sha256:\1/')"
  [ $verdict = yes ]
}

VERSION=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
scripts/setup.sh images
store
# Two runs at once would build everything twice.
exec 9> "$CACHE/lock"
flock 9
# What builds that were killed left behind.
buildah rm --all >/dev/null
buildah rmi --prune >/dev/null
[ $# -gt 0 ] || set -- operator trainer
names=()
for part in "$@"; do
  case $part in
    operator | trainer | trainer-cuda) "$part"; names+=("temper-$part") ;;
    pause) pause; names+=(pause) ;;
    *) stop "there is no image \`$part\`: operator, trainer, trainer-cuda and pause are the images" ;;
  esac
done
printf '%-36s %8s %8s  %-7s %s\n' IMAGE SIZE LIMIT WITHIN DIGEST
over=0
for name in "${names[@]}"; do row "$name" || over=1; done
[ $over = 0 ] || stop "an image is larger than its limit; see what it holds: tar -tvf $OUT/NAME.tar"
