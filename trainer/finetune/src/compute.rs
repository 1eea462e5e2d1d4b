//! What tensors are computed with.

use crate::failure::{Failure, Result};
use temper_contract::config::Device;

/// Threads of one operation; one operation at a time.
pub(crate) fn set_threads(threads: usize) -> Result<()> {
    temper_c10d::set_num_threads(threads.max(1))?;
    // libtorch takes this once a process; a second job in one process (a test) keeps the first's.
    let _ = temper_c10d::set_num_interop_threads(1);
    Ok(())
}

/// The device of a rank. A GPU that this build or machine lacks is refused before anything is loaded.
pub(crate) fn device(kind: Device, local_rank: usize) -> Result<tch::Device> {
    match kind {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda if !cfg!(feature = "cuda") => Err(Failure::invalid(
            "resourcesPerNode asks for an NVIDIA GPU, and this temper-trainer is built for the CPU",
            "use the GPU image, or build with --features cuda; or ask for no GPU",
        )),
        Device::Cuda if !tch::Cuda::is_available() => Err(Failure::invalid(
            "resourcesPerNode asks for an NVIDIA GPU, and this machine shows none",
            "check that the node has a GPU, its driver, and NVIDIA's container toolkit",
        )),
        Device::Cuda => Ok(tch::Device::Cuda(local_rank)),
    }
}
