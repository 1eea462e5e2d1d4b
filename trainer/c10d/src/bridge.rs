//! The boundary to C++. Nothing outside this crate sees it.

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
    }
}
