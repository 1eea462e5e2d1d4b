# Temper's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# Downloads and build outputs live outside the checkout, so that a second clone starts warm.
export TEMPER_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/temper
export CARGO_TARGET_DIR ?= $(TEMPER_CACHE)/target
export LIBTORCH := $(TEMPER_CACHE)/libtorch-cpu-2.11.0
export TEMPER_REFERENCE_PYTHON := $(TEMPER_CACHE)/reference/bin/python
export TEMPER_TEST_STORES := $(TEMPER_CACHE)/stores
export TEMPER_SMOLLM2 := $(TEMPER_CACHE)/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
export TEMPER_KUBERNETES_BIN := $(TEMPER_CACHE)/kubernetes/bin
export TEMPER_HELM := $(TEMPER_KUBERNETES_BIN)/helm
export TEMPER_PROMETHEUS_BIN := $(TEMPER_CACHE)/prometheus/bin
# Where setup.sh puts Go, if there is none on PATH that is new enough.
export PATH := $(TEMPER_CACHE)/go/bin:$(PATH)
BIN := $(CARGO_TARGET_DIR)/release
CARGO_FLAGS := --release --locked --workspace

.PHONY: help
help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what a build needs: system packages, libtorch, the quickstart's model.
	@scripts/own_target.sh
	@scripts/setup.sh build model

.PHONY: setup-reference
setup-reference: ## Install the Python libraries that the tests compare with.
	@scripts/setup.sh reference

.PHONY: setup-stores
setup-stores: ## Install the servers of S3, Azure and Google Cloud Storage that the tests talk to.
	@scripts/setup.sh stores

.PHONY: setup-go
setup-go: ## Install Go where none that is new enough is on PATH.
	@scripts/setup.sh golang

.PHONY: setup-kubernetes
setup-kubernetes: ## Build the Kubernetes servers that the tests run (PARTS="apiserver nodes helm" for more of them).
	@scripts/kubernetes.sh $(or $(PARTS),apiserver)

.PHONY: setup-charts
setup-charts: ## Build Helm and take Prometheus, which the chart is rendered and tested with.
	@scripts/kubernetes.sh helm
	@scripts/setup.sh charts

.PHONY: build
build: setup ## Build the binaries.
	cargo build $(CARGO_FLAGS) --bins

.PHONY: quickstart
quickstart: setup ## Fine-tune a real model from a manifest, and compare its answers before and after.
	cargo build $(CARGO_FLAGS) --bin temper --bin temper-trainer --bin temper-sample-listings
	@scripts/quickstart.sh $(ARGS)

.PHONY: test
test: setup ## Run every check and test that this machine can run.
	@scripts/setup.sh tests
	scripts/test.sh

.PHONY: test-cluster
test-cluster: setup setup-go ## Run the tests of real nodes: two kubelets, our images, the chart. It takes root.
	scripts/test_cluster.sh $(ARGS)

.PHONY: setup-cluster
setup-cluster: setup setup-go ## Install what test-cluster needs of this machine.
	@scripts/setup.sh images cluster

.PHONY: build-cluster
build-cluster: setup-cluster ## Build the images and the programs of nodes that test-cluster runs.
	@scripts/images.sh operator trainer pause
	@scripts/kubernetes.sh nodes helm

.PHONY: test-api-server
test-api-server: build setup-kubernetes ## Test the operator beside a real API server and controller-manager.
	cargo test $(CARGO_FLAGS) --test api_server --test operator

.PHONY: test-charts
test-charts: build setup-kubernetes setup-charts ## Test the chart: rendered in every mode, linted, applied, its rules loaded.
	cargo test $(CARGO_FLAGS) --test charts

.PHONY: fmt
fmt: ## Format the code.
	cargo fmt --all

.PHONY: lint
lint: setup ## Check formatting, lints and documentation; warnings are errors.
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings

.PHONY: deny
deny: setup-reference ## Check dependencies: bans, licences, sources.
	$(TEMPER_CACHE)/reference/bin/cargo-deny --log-level error check bans licenses sources

.PHONY: generate
generate: build setup-charts ## Write what is generated: CRDs, the chart's copies and README, dashboards, manifests under deploy, pages of docs.
	$(BIN)/crdgen crds/generated
	cargo build $(CARGO_FLAGS) --example metrics_page
	$(BIN)/examples/metrics_page > docs/operator-metrics.md
	$(BIN)/chartgen

.PHONY: bench-train
bench-train: build setup-reference ## Compare training speed and memory with transformers + PEFT (up to 25 minutes).
	bench/train/run.sh

.PHONY: bench-operator
bench-operator: build setup-go setup-kubernetes ## Measure the operator beside the same controller in Go (15 minutes; ARGS="--idle 10m" for more).
	bench/operator/run.sh $(ARGS)

.PHONY: check-cuda
check-cuda: setup ## Compile and link the CUDA half against the CUDA wheels; run it where a GPU is.
	scripts/check_cuda.sh

.PHONY: images
images: setup ## Build the container images, without a registry, and hold them to their sizes.
	@scripts/images.sh

.PHONY: check-images
check-images: images ## Run the images confined, look through their files, and build them a second time (minutes).
	@scripts/check_images.sh --twice

.PHONY: env
env: ## Print the variables that an editor or a shell needs: eval "$$(make -s env)"
	@echo 'export LIBTORCH=$(LIBTORCH) CARGO_TARGET_DIR=$(CARGO_TARGET_DIR) TEMPER_REFERENCE_PYTHON=$(TEMPER_REFERENCE_PYTHON) TEMPER_SMOLLM2=$(TEMPER_SMOLLM2) TEMPER_KUBERNETES_BIN=$(TEMPER_KUBERNETES_BIN) TEMPER_TEST_STORES=$(TEMPER_TEST_STORES) TEMPER_HELM=$(TEMPER_HELM) TEMPER_PROMETHEUS_BIN=$(TEMPER_PROMETHEUS_BIN)'
