#!/bin/sh
# Speaks the trainer's contract without training: events, reports, exit codes, termination messages.
# Files beside it, each used once, make it misbehave:
#   fail-STAGE               a line an attempt: the exit code to end with
#   kill-parent-in-STAGE     SIGKILL to temper before the stage has done anything
#   kill-parent-after-STAGE  SIGKILL to temper when the report is written
#   linger-in-STAGE          as kill-parent-in-STAGE, but stay for a while and note that in `calls`
#   hang-in-train            wait for SIGTERM
#   deaf-in-train            SIGINT to temper, and another one instead of ending on SIGTERM
#   interrupt-in-train       SIGINT to temper, then a checkpoint on SIGTERM
#   hold-in-train            say "held" and wait until used-hold-in-train is removed, or for SIGTERM and then a checkpoint
#   second-in-train          a shell command to run in mid-training; its output goes to second-output
# Every call is noted in `calls`, and the last request of each kind in request-STAGE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stage=$1
echo "$*" >> "$here/calls"

used() { [ -f "$here/$1" ] && mv "$here/$1" "$here/used-$1"; }
event() { printf '%s\n' "$1"; }
commit() { cat > "$1.aside"; mv "$1.aside" "$1"; }
fail() { # CODE REASON
  printf '{"reason": "%s", "message": "made to fail in %s", "nextStep": "look at the test"}' "$2" "$stage" > "$TEMPER_TERMINATION_MESSAGE_PATH"
  exit "$1"
}
fail_if_told() {
  [ -s "$here/fail-$stage" ] || return 0
  code=$(head -n 1 "$here/fail-$stage")
  sed -i 1d "$here/fail-$stage"
  case $code in
    10) fail 10 InvalidInput ;;
    12) fail 12 Storage ;;
    13) fail 13 PeerLost ;;
    KILL) kill -KILL $$ ;;
    *) exit "$code" ;;
  esac
}

case $stage in
  --version) echo "temper-trainer 9.9.9"; exit 0 ;;
  inspect) echo '{"problems": []}'; exit 0 ;;
  evaluate)
    fail_if_told
    cp "$3" "$here/request-$stage"
    echo '{"loss": 0.5, "perplexity": 1.6487212707, "targetTokens": 1234, "examples": 50, "seconds": 2.5}'
    exit 0 ;;
  generate)
    fail_if_told
    cp "$3" "$here/request-$stage"
    text='Sure, here is one.'
    if grep -q '"adapter"' "$3"; then text='Cottage in Ashford\nPrice: $1'; fi
    # The last user message of each prompt is its text.
    grep -o '"role":"user","content":"[^"]*"\|"text":"[^"]*"' "$3" | sed 's/.*":"//; s/"$//' | while read -r prompt; do
      printf '{"prompt": "%s", "text": "%s", "promptTokens": 9, "tokenIds": [1, 2], "finishReason": "stop"}\n' "$prompt" "$text"
    done
    exit 0 ;;
esac

config=$3
run=$(dirname "$config")
env | sort > "$here/environment-$stage"
cp "$config" "$here/config-$stage"
if used "kill-parent-in-$stage"; then kill -KILL "$PPID"; exit 0; fi
if used "linger-in-$stage"; then
  kill -KILL "$PPID"
  # Longer than temper waits before it tries again.
  sleep 1.7
  echo lingered >> "$here/calls"
  exit 0
fi
fail_if_told

case $stage in
  prepare)
    event '{"event": "preparing", "stage": "reading", "done": 1, "total": 2}'
    counts='{"rows": 2000, "accepted": 1800, "validation": 95, "rejected": {"duplicate": {"count": 60, "first": ["rows.jsonl:7", "rows.jsonl:21"]}, "invalidJson": {"count": 45, "first": ["rows.jsonl:3"]}}, "truncated": 0, "tokens": 234567, "targetTokens": 123456, "validationTokens": 12345, "examples": 1800}'
    event "{\"event\": \"prepared\", \"counts\": $counts, \"reused\": false}"
    commit "$run/prepare-report.json" <<END
{"counts": $counts, "digest": "sha256:00", "chatTemplateDigest": null,
 "baseModelDigest": "sha256:1111111111111111111111111111111111111111111111111111111111111111",
 "parameters": {"total": 1000000, "trainable": 10000}, "memoryEstimateBytes": 123456789, "seconds": 2.5}
END
    ;;
  train)
    if used hang-in-train; then
      trap 'exit 143' TERM
      while :; do sleep 0.05; done
    fi
    if used deaf-in-train; then
      trap 'kill -INT "$PPID"' TERM
      kill -INT "$PPID"
      while :; do sleep 0.05; done
    fi
    checkpoints=$run/checkpoints
    save() { # STEP
      folder=$(printf '%s/attempt-%s/step-%08d' "$checkpoints" "$TEMPER_ATTEMPT" "$1")
      mkdir -p "$folder"
      echo '{}' | commit "$folder/manifest.json"
      event "{\"event\": \"checkpointSaved\", \"step\": $1, \"path\": \"$folder\"}"
    }
    from=$(ls "$checkpoints"/*/ 2>/dev/null | sed -n 's/^step-0*//p' | sort -n | tail -n 1)
    from=${from:-0}
    event "{\"event\": \"started\", \"worldSize\": 2, \"resumedFromStep\": $from, \"totalSteps\": 4, \"parameters\": {\"total\": 1000000, \"trainable\": 10000}}"
    step=$from
    while [ "$step" -lt 4 ]; do
      step=$((step + 1))
      event "{\"event\": \"step\", \"step\": $step, \"epoch\": 0.$step, \"trainingLoss\": 2.5, \"learningRate\": 0.0002, \"gradientNorm\": 1.0, \"tokens\": 2000, \"targetTokens\": 1000, \"seconds\": 1.0, \"skipped\": false}"
      if [ "$step" -eq 2 ]; then
        save 2
        if used interrupt-in-train; then
          trap 'save 3; exit 143' TERM
          kill -INT "$PPID"
          while :; do sleep 0.05; done
        fi
        if used hold-in-train; then
          trap 'save 3; exit 143' TERM
          event '{"event": "warning", "message": "held"}'
          while [ -f "$here/used-hold-in-train" ]; do sleep 0.05; done
          trap - TERM
        fi
        if [ -f "$here/second-in-train" ]; then
          used second-in-train
          sh "$here/used-second-in-train" > "$here/second-output" 2>&1 || echo "exit $?" >> "$here/second-output"
        fi
        if used die-in-train; then kill -KILL $$; fi
      fi
    done
    save 4
    commit "$run/train-report.json" <<END
{"step": 4, "totalSteps": 4, "reason": "complete", "checkpoint": "$checkpoints", "parameters": {"total": 1000000, "trainable": 10000},
 "trainingLoss": 1.25, "validation": {"before": 2.0, "after": 1.0}, "tokens": 8000, "tokensPerSecond": 2000.4, "seconds": 64.0,
 "evaluationSeconds": 4.0, "restarts": 0, "peakMemoryBytes": 1610612736}
END
    ;;
  publish)
    output=$run/output
    mkdir -p "$output"
    echo '{"peft_type": "LORA"}' > "$output/adapter_config.json"
    echo weights > "$output/adapter_model.safetensors"
    digest=$(cd "$output" && sha256sum adapter_config.json adapter_model.safetensors | sha256sum | cut -d ' ' -f 1)
    commit "$run/publish-report.json" <<END
{"path": "$output", "format": "PeftAdapter", "digest": "sha256:$digest", "files": {}}
END
    ;;
esac
if used "kill-parent-after-$stage"; then kill -KILL "$PPID"; fi
exit 0
