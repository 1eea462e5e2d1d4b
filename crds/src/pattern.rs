//! Regular expressions of string fields, in the syntax that Go's RE2 and Rust's `regex` share.

/// A decimal number as text: `2e-4`, `0.05`, `-1`.
pub(crate) const DECIMAL: &str = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$";
/// A name that Kubernetes takes for an object: DNS-1123 subdomain.
pub(crate) const OBJECT_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A name without dots: DNS-1123 label.
pub(crate) const LABEL_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Where a model or a dataset is read from.
pub(crate) const SOURCE_URI: &str = r"^(hf|s3|gs|az|pvc|file)://[^\s]+$";
/// Where checkpoints and models are written to.
pub(crate) const TARGET_URI: &str = r"^(s3|gs|az|pvc|file)://[^\s]+$";
/// A SHA-256 digest.
pub(crate) const DIGEST: &str = r"^sha256:[0-9a-f]{64}$";
/// Environment variables that tune libraries and cannot change what is trained.
pub(crate) const TUNING_ENV: &str = r"^(NCCL|GLOO|OMP|MKL|KMP|GOMP|UCX|FI|CUDA|TORCH_NCCL)_[A-Z0-9_]+$";
/// An amount of a resource, as Kubernetes writes it: `2`, `500m`, `16Gi`.
pub(crate) const QUANTITY: &str = r"^[0-9]+(\.[0-9]+)?([eE][0-9]{1,2}|m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";
