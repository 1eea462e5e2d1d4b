#!/usr/bin/env bash
# Makes what the Dockerfiles start from, without a registry, in the image store that CONTAINERS_STORAGE_CONF names, and prints its name.
#   image_bases.sh builder   Debian's C++ compiler and this machine's Rust toolchain: stands in for rust:1-bookworm
#   image_bases.sh base      Debian's C++ runtime, without a shell: stands in for distroless/cc-debian12
# Does nothing when it is there already. Its key holds what it is made from, but not Debian's updates: delete the cache's folder
# `images` to take those in.
set -euo pipefail

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
stop() { printf 'images: %s\n' "$*" >&2; exit 1; }

part=${1:?say which: builder or base}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
key() { { sha256sum < "$0"; echo "$@"; } | sha256sum | cut -c1-12; }
present() { buildah images --quiet "$1" >/dev/null 2>&1; }

# debian VARIANT PACKAGE,... [OPTION...]: a root folder of Debian 12 as a tar archive
debian() {
  local variant=$1 packages=$2
  shift 2
  SOURCE_DATE_EPOCH=0 mmdebstrap --quiet --variant="$variant" --include="$packages" "$@" bookworm "$scratch/root.tar" >&2 ||
    stop "mmdebstrap could not fetch Debian's packages; its reason stands above. Try again when the mirror can be reached"
}

# commit NAME [CONFIG...]: the archive as an image
commit() {
  local name=$1 container
  shift
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$scratch/root.tar" / >/dev/null
  [ $# -eq 0 ] || buildah config "$@" "$container"
  buildah commit --quiet --rm --format oci --identity-label=false --timestamp 0 "$container" "$name" >/dev/null
}

case $part in
  builder)
    sysroot=$(rustc --print sysroot) host=$(rustc -vV | sed -n 's/^host: //p')
    name=localhost/temper-builder:$(key "$(rustc -vV; cargo -V)")
    if ! present "$name"; then
      say "making the builder: Debian 12's compiler and $(rustc -V); a minute the first time"
      export sysroot host
      # The hook runs outside the new root, which is its $1. Only what compiles is taken: no documentation, no Clippy.
      # shellcheck disable=SC2016
      debian essential g++,libc6-dev,ca-certificates --customize-hook='
        mkdir -p "$1/usr/local/rust/bin" "$1/usr/local/rust/lib/rustlib" "$1/usr/local/cargo"
        cp -a "$sysroot"/bin/rustc "$sysroot"/bin/cargo "$1/usr/local/rust/bin/"
        cp -a "$sysroot"/lib/*.so* "$1/usr/local/rust/lib/"
        cp -a "$sysroot/lib/rustlib/$host" "$1/usr/local/rust/lib/rustlib/"'
      # Offline: crates come from the host's registry cache, which is mounted.
      commit "$name" --env PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin --env CARGO_NET_OFFLINE=true
    fi
    ;;
  base)
    name=localhost/temper-base:$(key)
    if ! present "$name"; then
      say "making the base: Debian 12's C++ runtime"
      # Unpacked only: nothing in it runs, so nothing must be configured.
      # shellcheck disable=SC2016
      debian extract libc6,libgcc-s1,libstdc++6 --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --skip=output/dev --customize-hook='rm -rf "$1"/var/cache/* "$1"/var/log/*'
      commit "$name"
    fi
    ;;
  *) stop "there is no base \`$part\`: builder and base are the two" ;;
esac
# Those of other keys are of no use any more, and large.
buildah images --format '{{.Name}}:{{.Tag}}' | { grep "^${name%:*}:" || :; } | { grep -vxF "$name" || :; } | xargs -r buildah rmi >/dev/null
echo "$name"
