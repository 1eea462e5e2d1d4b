#!/usr/bin/env bash
# Builds the Kubernetes servers that the tests run, from the Go modules in tests/kubernetes, into the cache folder. Does only what is
# missing: a tool is built again when its module's pins or its flags change.
#   kubernetes.sh apiserver   etcd, kube-apiserver, kube-controller-manager, kubectl: the tests of `make test`
#   kubernetes.sh nodes       kube-scheduler, kubelet, kube-proxy, containerd, CoreDNS: with those, real nodes
#   kubernetes.sh helm        Helm
# All of them can be run from $TEMPER_CACHE/kubernetes/bin.
set -euo pipefail
cd "$(dirname "$0")/../tests/kubernetes"
CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}/kubernetes
BIN=$CACHE/bin
PATH=${CACHE%/*}/go/bin:$PATH # where setup.sh puts Go, if there is none on PATH that is new enough
mkdir -p "$BIN"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
stop() { printf 'kubernetes: %s\n' "$*" >&2; exit 1; }

# build MODULE TOOL PACKAGE [FLAG...]
build() {
  local module=$1 tool=$2 package=$3 key folder
  shift 3
  key=$({ cat "$module/go.mod" "$module/go.sum"; echo "$@"; } | sha256sum | cut -c1-12)
  folder=$CACHE/$module-$key
  if [ ! -x "$folder/$tool" ]; then
    ../../scripts/setup.sh golang
    say "building $tool; minutes the first time"
    mkdir -p "$folder"
    (cd "$module" && CGO_ENABLED=0 go build -trimpath -buildvcs=false "$@" -o "$folder/$tool.part" "$package")
    mv "$folder/$tool.part" "$folder/$tool"
  fi
  [ "$(readlink "$BIN/$tool")" = "$folder/$tool" ] || ln -sfn "$folder/$tool" "$BIN/$tool"
}

# The version of MODULE that go.mod pins.
pinned() { sed -nE "s|^(require )?[[:space:]]*$2 (v[^ ]+).*|\2|p" "$1/go.mod" | head -n 1; }

kubernetes() {
  local tool=$1 version package flags='-s -w'
  version=$(pinned kubernetes k8s.io/kubernetes)
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<<"$version")"
  done
  build kubernetes "$tool" "k8s.io/kubernetes/cmd/$tool" -ldflags "$flags"
}

containerd() {
  local tool=$1 module=github.com/containerd/containerd/v2 version
  version=$(pinned containerd $module)
  build containerd "$tool" $module/cmd/"$tool" -tags no_btrfs,no_devmapper,no_zfs -ldflags "-s -w -X $module/version.Version=$version"
}

apiserver() {
  build etcd etcd go.etcd.io/etcd/server/v3 -ldflags '-s -w'
  local tool
  for tool in kube-apiserver kube-controller-manager kubectl; do kubernetes "$tool"; done
}

nodes() {
  apiserver
  local tool
  for tool in kube-scheduler kubelet kube-proxy; do kubernetes "$tool"; done
  for tool in containerd containerd-shim-runc-v2 ctr; do containerd "$tool"; done
  build coredns coredns github.com/coredns/coredns -ldflags '-s -w'
}

helm() {
  build helm helm helm.sh/helm/v4/cmd/helm -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$(pinned helm helm.sh/helm/v4)"
}

[ $# -gt 0 ] || stop "say what to build: apiserver, nodes or helm"
# Two runs at once would build everything twice.
exec 9>"$CACHE/lock"
flock 9
for part in "$@"; do
  case $part in
    apiserver | nodes | helm) "$part" ;;
    *) stop "there is no part \`$part\`: apiserver, nodes and helm are the parts" ;;
  esac
done
