//! Safe Rust over libtorch's c10d and the few libtorch calls that tch lacks.
//!
//! Ranks of one training run find each other through a [`Store`] (c10d's TCPStore) and sum gradients through a
//! [`ProcessGroup`] (c10d's Gloo, or its NCCL with feature `cuda`). Beside them stand the calls that a hand-written backward
//! needs and that tch leaves out: attention's CPU kernels, the fused AdamW and a parallel loop on libtorch's own threads.
//!
//! Every C++ exception comes back as an [`Error`].
//!
//! # Running what links this crate
//!
//! A binary finds libtorch at run time through its rpath, and Cargo lets a package set that for its own targets only. So a
//! package with a binary, or with tests, that links this crate directly depends on it and has this `build.rs`:
//!
//! ```no_run
//! let libdir = std::env::var("DEP_TEMPER_C10D_LIBDIR").expect("temper-c10d is a direct dependency");
//! println!("cargo::rustc-link-arg=-Wl,-rpath,{libdir}");
//! ```
#![allow(unsafe_code)] // the boundary to C++; each block says why it is sound

mod adamw;
mod attention;
mod bridge;
mod device_memory;
mod error;
mod parallel;
mod process_group;
mod store;
mod tensor;
mod work;

pub use adamw::{Adamw, fused_adamw_};
pub use attention::{AttentionOutput, flash_attention_cpu, flash_attention_cpu_backward};
pub use device_memory::reserved_bytes;
pub use error::Error;
pub use parallel::{get_num_threads, parallel_for, set_num_interop_threads, set_num_threads};
pub use process_group::ProcessGroup;
pub use store::Store;
pub use work::Work;
