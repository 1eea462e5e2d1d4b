#pragma once

#include "rust/cxx.h"

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <cstdint>
#include <memory>

namespace temper {

// A connection to a TCPStore, or a prefixed view of one.
struct StoreClient {
  c10::intrusive_ptr<c10d::Store> store;

  void set(rust::Str key, rust::Slice<const std::uint8_t> value) const;
  rust::Vec<std::uint8_t> get(rust::Str key, std::int64_t timeout_ms) const;
  std::int64_t add(rust::Str key, std::int64_t amount) const;
  bool contains(rust::Str key) const;
  void wait(rust::Slice<const rust::Str> keys, std::int64_t timeout_ms) const;
  rust::Vec<std::uint8_t> compare_set(rust::Str key, rust::Slice<const std::uint8_t> expected,
                                      rust::Slice<const std::uint8_t> desired) const;
  bool delete_key(rust::Str key) const;
  std::int64_t num_keys() const;
  std::unique_ptr<StoreClient> prefixed(rust::Str prefix) const;
  std::unique_ptr<StoreClient> reconnect(std::int64_t timeout_ms) const;
};

std::unique_ptr<StoreClient> open_store(rust::Str host, std::uint16_t port, bool is_server, std::int64_t timeout_ms,
                                        std::uint16_t& actual_port);

}  // namespace temper
