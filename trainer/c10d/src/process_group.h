#pragma once

#include "temper-c10d/src/bridge.h"
#include "temper-c10d/src/store.h"

#include <torch/csrc/distributed/c10d/Backend.hpp>

namespace temper {

// A collective under way.
struct Collective {
  c10::intrusive_ptr<c10d::Work> work;
  bool on_cuda;

  // Blocks until the collective ended. Throws its error, or `Operation timed out!`.
  void wait(std::int64_t timeout_ms) const;
  bool is_completed() const;
};

// One rank's end of a process group.
struct Backend {
  c10::intrusive_ptr<c10d::Backend> backend;
  bool on_cuda;

  std::unique_ptr<Collective> all_reduce_sum(const Tensor& tensor) const;
  std::unique_ptr<Collective> broadcast(const Tensor& tensor, std::int32_t root) const;
  std::unique_ptr<Collective> all_gather(const Tensor& output, const Tensor& input) const;
  std::unique_ptr<Collective> barrier() const;
  void abort() const;
  // Ends an idle group in good order. Gloo has nothing to do; NCCL frees its communicators.
  void shutdown() const;
};

// Gloo on the named network interfaces (comma-separated) or, without any, on the interface of a local address.
std::unique_ptr<Backend> make_gloo(const StoreClient& store, std::int32_t rank, std::int32_t size,
                                   std::int64_t timeout_ms, rust::Str interfaces, rust::Str address);

// NCCL on the process's current CUDA device; defined in process_group_nccl.cc.
std::unique_ptr<Backend> make_nccl(const StoreClient& store, std::int32_t rank, std::int32_t size,
                                   std::int64_t timeout_ms, std::int32_t device);

// Device memory that libtorch's allocator holds for this process; defined in process_group_nccl.cc.
std::uint64_t cuda_reserved_bytes(std::int32_t device);

}  // namespace temper
