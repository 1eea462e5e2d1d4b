#include "temper-c10d/src/bridge.rs.h"

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <sstream>
#include <thread>

namespace temper {

namespace {

// Gloo's headers, which libtorch's package leaves out, come from another release than the Gloo inside libtorch_cpu. So this
// file only passes Gloo's objects around and calls functions that libtorch_cpu exports: it must never construct or derive
// from a Gloo class (`GlooStore` included), whose layout or vtable may differ.
class AbortableGloo final : public c10d::ProcessGroupGloo {
 public:
  using c10d::ProcessGroupGloo::ProcessGroupGloo;

  void abort() override {
    for (const auto& context : contexts_) {
      context->closeConnections();
    }
  }
};

std::unique_ptr<Collective> started(c10::intrusive_ptr<c10d::Work> work, bool on_cuda) {
  return std::make_unique<Collective>(Collective{std::move(work), on_cuda});
}

}  // namespace

void Collective::wait(std::int64_t timeout_ms) const {
  const std::chrono::milliseconds timeout(timeout_ms);
  if (!on_cuda) {
    work->wait(timeout);
    return;
  }
  // NCCL's own wait only orders CUDA streams and leaves errors to a thread that ends the process.
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!work->isCompleted()) {
    TORCH_CHECK(std::chrono::steady_clock::now() < deadline, "Operation timed out!");
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  if (const auto error = work->exception()) {
    std::rethrow_exception(error);
  }
  work->wait();
}

bool Collective::is_completed() const {
  return work->isCompleted();
}

std::unique_ptr<Collective> Backend::all_reduce_sum(const Tensor& tensor) const {
  std::vector<at::Tensor> tensors{tensor};
  return started(backend->allreduce(tensors), on_cuda);
}

std::unique_ptr<Collective> Backend::broadcast(const Tensor& tensor, std::int32_t root) const {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  return started(backend->broadcast(tensors, options), on_cuda);
}

std::unique_ptr<Collective> Backend::all_gather(const Tensor& output, const Tensor& input) const {
  std::vector<std::vector<at::Tensor>> outputs{output.unbind(0)};  // views: the rows of `output` are filled in place
  std::vector<at::Tensor> inputs{input};
  return started(backend->allgather(outputs, inputs), on_cuda);
}

std::unique_ptr<Collective> Backend::barrier() const {
  return started(backend->barrier(), on_cuda);
}

void Backend::abort() const {
  backend->abort();
}

void Backend::shutdown() const {
  backend->shutdown();
}

std::unique_ptr<Backend> make_gloo(const StoreClient& store, std::int32_t rank, std::int32_t size,
                                   std::int64_t timeout_ms, rust::Str interfaces, rust::Str address) {
  const bool lazy = false;  // connect to every peer now, so that a missing one is an error here
  auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(timeout_ms));
  std::istringstream names(std::string(interfaces.data(), interfaces.size()));
  for (std::string name; std::getline(names, name, ',');) {
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForInterface(name, lazy));
  }
  if (options->devices.empty()) {
    options->devices.push_back(
        c10d::ProcessGroupGloo::createDeviceForHostname(std::string(address.data(), address.size()), lazy));
  }
  options->threads = static_cast<int>(options->devices.size()) * 2;
  auto backend = c10::make_intrusive<AbortableGloo>(store.store, rank, size, std::move(options));
  return std::make_unique<Backend>(Backend{std::move(backend), false});
}

}  // namespace temper
