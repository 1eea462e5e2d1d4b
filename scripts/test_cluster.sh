#!/usr/bin/env bash
# Runs the tests of real nodes: a Kubernetes of two nodes comes up on this machine, in namespaces of its own, with our images, and goes
# down again. It takes root.
#   test_cluster.sh [ARGUMENT...]     arguments go to the tests: a name, --nocapture, ...
#   TEMPER_CLUSTER_IMAGES    docker archives to load instead of those that scripts/images.sh builds
#   TEMPER_CLUSTER_KEEP=1    leaves the folder of the cluster's logs and files
set -euo pipefail
cd "$(dirname "$0")/.."
export TEMPER_CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}
BIN=$TEMPER_CACHE/kubernetes/bin

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
stop() { printf 'test-cluster: %s\n' "$*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || stop "nodes need root: run it as root"
scripts/setup.sh cluster stores
scripts/kubernetes.sh nodes helm
if [ -z "${TEMPER_CLUSTER_IMAGES:-}" ]; then
  scripts/images.sh operator trainer pause
  scripts/check_images.sh operator trainer
  TEMPER_CLUSTER_IMAGES="$TEMPER_CACHE/images/pause.tar $TEMPER_CACHE/images/temper-operator.tar $TEMPER_CACHE/images/temper-trainer.tar"
fi
cargo build --release --locked --workspace --bins
# Cargo says where the test is: inside, nothing is compiled or waited for.
tests=$(cargo test --release --locked --workspace --test cluster --no-run --message-format json |
  sed -n 's|.*"executable":"\([^"]*/cluster-[0-9a-f]*\)".*|\1|p')
[ -x "$tests" ] || stop "cargo does not say where the tests are; run: cargo test --release --workspace --test cluster --no-run"

RUN=$(mktemp -d "${TMPDIR:-/tmp}/temper-cluster.XXXXXX")
CGROUP=temper-cluster-$$

# The one process holds all of the cluster; what stays behind are empty control groups and the folder.
down() {
  local status=$?
  [ -z "${cluster:-}" ] || { kill -KILL "$cluster" 2>/dev/null || :; wait "$cluster" 2>/dev/null || :; }
  # A group can be removed a moment after its last process.
  local tries
  for tries in {1..50}; do
    find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2>/dev/null || :
    [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$CGROUP" 2>/dev/null)" ] || break
    sleep 0.1
  done
  if [ -n "${TEMPER_CLUSTER_KEEP:-}" ]; then
    say "the cluster's files are in $RUN"
  else
    if [ $status != 0 ] && [ -d "$RUN/log" ]; then
      rm -rf "$TEMPER_CACHE/cluster-log"
      cp -r "$RUN/log" "$TEMPER_CACHE/cluster-log"
      say "the cluster's logs are in $TEMPER_CACHE/cluster-log"
    fi
    rm -rf "$RUN"
  fi
}
trap down EXIT
trap 'exit 130' INT TERM

say "starting two nodes; their files are in $RUN"
# It ends with this script, however this ends.
BIN=$BIN RUN=$RUN CGROUP=$CGROUP IMAGES=$TEMPER_CLUSTER_IMAGES setpriv --pdeathsig KILL -- \
  unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private tests/cluster/nodes/cluster.sh > "$RUN/cluster.log" 2>&1 &
cluster=$!
deadline=$((SECONDS + 300))
until [ -e "$RUN/ready" ]; do
  kill -0 "$cluster" 2>/dev/null || { cat "$RUN/cluster.log" >&2; stop "the cluster ended before it was ready"; }
  [ $SECONDS -lt $deadline ] || { cat "$RUN/cluster.log" >&2; tail -n 20 "$RUN"/log/node-*.log >&2; stop "the cluster was not ready in time"; }
  sleep 0.2
done

# Pods and Services have addresses inside of the namespaces only.
say "running the tests inside"
inside=$(pgrep -P "$cluster" | head -n 1)
TEMPER_CLUSTER=$RUN TEMPER_KUBERNETES_BIN=$BIN nsenter --target "$inside" --net --mount --pid --wd="$PWD" -- "$tests" "$@"
