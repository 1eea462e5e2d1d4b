#!/usr/bin/env bash
# Checks the images that scripts/images.sh built: what they hold, and that their programs start confined.
#   check_images.sh [--twice] [operator] [trainer]
#   --twice   also builds them a second time from nothing, which takes minutes: the digests must be the same
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}/images

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
stop() { printf 'check-images: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "runc starts the images' programs, which needs root here; run this as root"
twice=
[ "${1:-}" != --twice ] || { twice=yes; shift; }
[ $# -gt 0 ] || set -- operator trainer
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

for part in "$@"; do
  say "looking through temper-$part"
  python3 scripts/check_image.py "$CACHE/temper-$part.tar" "$version"
done

[ -n "$twice" ] || exit 0
say "building a second time, from nothing"
second=$(mktemp -d "$CACHE/second.XXXXXX")
trap 'rm -rf "$second"' EXIT
TEMPER_IMAGES_COLD=$second scripts/images.sh "$@" > "$second/log" 2>&1 || { cat "$second/log" >&2; stop "the second build failed; its output stands above"; }

# digests ARCHIVE: of the configuration, which names the image, and of each layer
digests() { tar -xOf "$1" manifest.json | grep -oE '[0-9a-f]{64}'; }
for part in "$@"; do
  first=$(digests "$CACHE/temper-$part.tar") again=$(digests "$second/temper-$part.tar")
  if [ "$first" != "$again" ]; then
    diff <(echo "$first") <(echo "$again") >&2 || :
    trap - EXIT
    stop "two builds of temper-$part differ (configuration first, then layers); compare the archives in $CACHE and $second"
  fi
  echo "  temper-$part: the same digest twice, sha256:$(head -n 1 <<<"$first")"
done
