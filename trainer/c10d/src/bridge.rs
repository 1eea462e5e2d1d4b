//! The boundary to C++. Nothing outside this crate sees it.
#![allow(unreachable_pub)] // cxx generates `pub` items

use crate::parallel::RangeTask;

#[cxx::bridge(namespace = "temper")]
pub(crate) mod ffi {
    /// What an attention kernel returns.
    struct AttentionOutput {
        out: UniquePtr<Tensor>,
        logsumexp: UniquePtr<Tensor>,
    }

    /// Gradients of attention's three inputs.
    struct AttentionGradients {
        query: UniquePtr<Tensor>,
        key: UniquePtr<Tensor>,
        value: UniquePtr<Tensor>,
    }

    /// AdamW's numbers for one call.
    struct AdamwNumbers {
        learning_rate: f64,
        beta1: f64,
        beta2: f64,
        weight_decay: f64,
        epsilon: f64,
    }

    extern "Rust" {
        type RangeTask<'a>;
        fn run(&self, start: usize, end: usize);
    }

    unsafe extern "C++" {
        include!("temper-c10d/src/bridge.h");
        include!("temper-c10d/src/parallel.h");
        include!("temper-c10d/src/attention.h");
        include!("temper-c10d/src/adamw.h");
        include!("temper-c10d/src/store.h");
        include!("temper-c10d/src/process_group.h");

        #[namespace = "at"]
        type Tensor;

        fn parallel_for(length: usize, grain: usize, task: &RangeTask) -> Result<()>;
        fn set_num_threads(threads: i32) -> Result<()>;
        fn get_num_threads() -> i32;
        fn set_num_interop_threads(threads: i32) -> Result<()>;

        /// # Safety
        /// `mask` is null or points to a live tensor.
        unsafe fn flash_attention_cpu(
            query: &Tensor,
            key: &Tensor,
            value: &Tensor,
            is_causal: bool,
            mask: *const Tensor,
            scale: f64,
        ) -> Result<AttentionOutput>;

        /// # Safety
        /// `mask` is null or points to a live tensor.
        #[allow(clippy::too_many_arguments)]
        unsafe fn flash_attention_cpu_backward(
            grad_out: &Tensor,
            query: &Tensor,
            key: &Tensor,
            value: &Tensor,
            out: &Tensor,
            logsumexp: &Tensor,
            is_causal: bool,
            mask: *const Tensor,
            scale: f64,
        ) -> Result<AttentionGradients>;

        fn fused_adamw(
            parameter: &Tensor,
            gradient: &Tensor,
            first_moment: &Tensor,
            second_moment: &Tensor,
            step: f32,
            numbers: &AdamwNumbers,
        ) -> Result<()>;

        type StoreClient;
        fn open_store(host: &str, port: u16, is_server: bool, timeout_ms: i64, actual_port: &mut u16) -> Result<UniquePtr<StoreClient>>;
        fn set(self: &StoreClient, key: &str, value: &[u8]) -> Result<()>;
        fn get(self: &StoreClient, key: &str, timeout_ms: i64) -> Result<Vec<u8>>;
        fn add(self: &StoreClient, key: &str, amount: i64) -> Result<i64>;
        fn contains(self: &StoreClient, key: &str) -> Result<bool>;
        #[cxx_name = "wait"]
        fn wait_for_keys(self: &StoreClient, keys: &[&str], timeout_ms: i64) -> Result<()>;
        fn compare_set(self: &StoreClient, key: &str, expected: &[u8], desired: &[u8]) -> Result<Vec<u8>>;
        fn delete_key(self: &StoreClient, key: &str) -> Result<bool>;
        fn num_keys(self: &StoreClient) -> Result<i64>;
        fn prefixed(self: &StoreClient, prefix: &str) -> Result<UniquePtr<StoreClient>>;
        fn reconnect(self: &StoreClient, timeout_ms: i64) -> Result<UniquePtr<StoreClient>>;

        type Backend;
        fn make_gloo(
            store: &StoreClient,
            rank: i32,
            size: i32,
            timeout_ms: i64,
            interfaces: &str,
            address: &str,
        ) -> Result<UniquePtr<Backend>>;
        #[cfg(feature = "cuda")]
        fn make_nccl(store: &StoreClient, rank: i32, size: i32, timeout_ms: i64, device: i32) -> Result<UniquePtr<Backend>>;
        #[cfg(feature = "cuda")]
        fn cuda_reserved_bytes(device: i32) -> Result<u64>;
        fn all_reduce_sum(self: &Backend, tensor: &Tensor) -> Result<UniquePtr<Collective>>;
        fn broadcast(self: &Backend, tensor: &Tensor, root: i32) -> Result<UniquePtr<Collective>>;
        fn all_gather(self: &Backend, output: &Tensor, input: &Tensor) -> Result<UniquePtr<Collective>>;
        fn barrier(self: &Backend) -> Result<UniquePtr<Collective>>;
        fn abort(self: &Backend) -> Result<()>;
        fn shutdown(self: &Backend) -> Result<()>;

        type Collective;
        fn wait(self: &Collective, timeout_ms: i64) -> Result<()>;
        fn is_completed(self: &Collective) -> Result<bool>;
    }
}
