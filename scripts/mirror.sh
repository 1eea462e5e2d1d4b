#!/bin/sh
# mirror.sh FROM TO PATH...: makes folder TO hold the files at PATH... in folder FROM and nothing else, and writes only those whose content
# differs. Cargo compiles again what has a newer modification time than its last build; times in a build context tell when a file was
# checked out or copied, times in TO tell when its content changed.
set -eu
from=$1 to=$2
shift 2
mkdir -p "$to"
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
export LC_ALL=C
(cd "$from" && find "$@" -type f) | sort > "$lists/wanted"
(cd "$to" && find . -type f) | sed 's|^\./||' | sort > "$lists/have"
comm -13 "$lists/wanted" "$lists/have" | while IFS= read -r path; do rm "$to/$path"; done
while IFS= read -r path; do
  cmp -s "$from/$path" "$to/$path" && continue
  mkdir -p "$(dirname "$to/$path")"
  cp "$from/$path" "$to/$path"
done < "$lists/wanted"
