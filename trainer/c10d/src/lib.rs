//! Safe Rust over libtorch's c10d and the few libtorch calls that tch lacks.
