#!/usr/bin/env bash
# The main job on one machine: tunes SmolLM2 on synthetic listings from the same manifest that `kubectl apply` takes.
# Arguments go to `temper run` (try --fresh).
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=$CARGO_TARGET_DIR/release
DATA=$TEMPER_CACHE/datasets/listings
# Made each time, since the generator may have changed. What comes out as it was stays as it is: its digest is known by the file's times.
mkdir -p "$DATA"
made=$(mktemp -d "$DATA.XXXXXX")
trap 'rm -rf "$made"' EXIT
"$BIN/temper-sample-listings" "$made"
for file in listings.jsonl prompts.jsonl; do
  cmp -s "$made/$file" "$DATA/$file" || mv "$made/$file" "$DATA/$file"
done
rm -rf "$made"
exec "$BIN/temper" run -f deploy/samples/quickstart/finetunejob.yaml \
  --volume models="$(dirname "$TEMPER_SMOLLM2")" --volume datasets="$DATA" \
  --compare-prompts "$DATA/prompts.jsonl" \
  --expect '^.+ in .+\nPrice: \$[0-9,]+ \| Bedrooms: [0-9]+ \| Bathrooms: [0-9]+ \| Area: [0-9,]+ sq ft\nHighlights: .+\nLocation: .+\nViewings by appointment: .+$' \
  --require 'perplexityDrop>=0.4' --require 'matchesAfter>=8' --require 'matchesBefore<=2' "$@"
