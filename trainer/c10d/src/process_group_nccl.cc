#include "temper-c10d/src/bridge.rs.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <cstdlib>

namespace temper {

std::unique_ptr<Backend> make_nccl(const StoreClient& store, std::int32_t rank, std::int32_t size,
                                   std::int64_t timeout_ms, std::int32_t device) {
  // 0 leaves errors to Collective::wait; the default ends the process from a background thread. A value set outside stands.
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", 0);
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(device));
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = std::chrono::milliseconds(timeout_ms);
  auto backend = c10::make_intrusive<c10d::ProcessGroupNCCL>(store.store, rank, size, std::move(options));
  backend->setBoundDeviceId(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)));
  return std::make_unique<Backend>(Backend{std::move(backend), true});
}

std::uint64_t cuda_reserved_bytes(std::int32_t device) {
  const auto statistics = c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(device));
  // The first of each statistic counts all pools together.
  return static_cast<std::uint64_t>(statistics.reserved_bytes[0].current);
}

}  // namespace temper
