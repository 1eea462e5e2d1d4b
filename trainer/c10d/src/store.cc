#include "temper-c10d/src/bridge.rs.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>

namespace temper {

namespace {

std::string owned(rust::Str text) {
  return {text.data(), text.size()};
}

std::vector<std::uint8_t> owned(rust::Slice<const std::uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

rust::Vec<std::uint8_t> for_rust(const std::vector<std::uint8_t>& bytes) {
  rust::Vec<std::uint8_t> copy;
  copy.reserve(bytes.size());
  for (const auto byte : bytes) {
    copy.push_back(byte);
  }
  return copy;
}

// c10d logs every error that it also throws, several times and with stack frames. Rust reports each once, so the log is off
// unless PyTorch's variable asks for it.
void silence_log() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) {
    constexpr int FATAL_ONLY = 3;
    FLAGS_caffe2_log_level = FATAL_ONLY;
  }
}

}  // namespace

void StoreClient::set(rust::Str key, rust::Slice<const std::uint8_t> value) const {
  store->set(owned(key), owned(value));
}

rust::Vec<std::uint8_t> StoreClient::get(rust::Str key, std::int64_t timeout_ms) const {
  // TCPStore's own get waits for the connection's timeout; the explicit wait takes the caller's.
  store->wait({owned(key)}, std::chrono::milliseconds(timeout_ms));
  return for_rust(store->get(owned(key)));
}

std::int64_t StoreClient::add(rust::Str key, std::int64_t amount) const {
  return store->add(owned(key), amount);
}

bool StoreClient::contains(rust::Str key) const {
  return store->check({owned(key)});
}

void StoreClient::wait(rust::Slice<const rust::Str> keys, std::int64_t timeout_ms) const {
  std::vector<std::string> names;
  for (const auto key : keys) {
    names.push_back(owned(key));
  }
  store->wait(names, std::chrono::milliseconds(timeout_ms));
}

rust::Vec<std::uint8_t> StoreClient::compare_set(rust::Str key, rust::Slice<const std::uint8_t> expected,
                                                 rust::Slice<const std::uint8_t> desired) const {
  return for_rust(store->compareSet(owned(key), owned(expected), owned(desired)));
}

bool StoreClient::delete_key(rust::Str key) const {
  return store->deleteKey(owned(key));
}

std::int64_t StoreClient::num_keys() const {
  return store->getNumKeys();
}

std::unique_ptr<StoreClient> StoreClient::prefixed(rust::Str prefix) const {
  return std::make_unique<StoreClient>(StoreClient{c10::make_intrusive<c10d::PrefixStore>(owned(prefix), store)});
}

std::unique_ptr<StoreClient> StoreClient::reconnect(std::int64_t timeout_ms) const {
  auto copy = store->clone();
  copy->setTimeout(std::chrono::milliseconds(timeout_ms));
  return std::make_unique<StoreClient>(StoreClient{std::move(copy)});
}

std::unique_ptr<StoreClient> open_store(rust::Str host, std::uint16_t port, bool is_server, std::int64_t timeout_ms,
                                        std::uint16_t& actual_port) {
  silence_log();
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = is_server;
  options.waitWorkers = false;  // ranks meet by waiting for keys, each with its own deadline
  options.multiTenant = false;  // a second server on the port is an error, not a silent guest
  options.timeout = std::chrono::milliseconds(timeout_ms);
  auto store = c10::make_intrusive<c10d::TCPStore>(owned(host), options);
  actual_port = store->getPort();
  return std::make_unique<StoreClient>(StoreClient{std::move(store)});
}

}  // namespace temper
