// C++ half of the bridge: what every file shares.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace temper {

using Tensor = at::Tensor;

// Keeps the first line of a C++ error message: libtorch appends a stack trace.
inline std::string first_line(std::string_view message) {
  const auto start = message.find_first_not_of(" \n");
  if (start == std::string_view::npos) {
    return "unknown error";
  }
  message.remove_prefix(start);
  return std::string(message.substr(0, message.find('\n')));
}

}  // namespace temper

// cxx calls this around every function declared `-> Result` (see cxx's documentation of `rust::behavior`).
// The message's first byte tells Rust the kind of error: N for the network and its peers, O for any other.
namespace rust::behavior {

template <typename Try, typename Fail>
static void trycatch(Try&& attempt, Fail&& fail) noexcept try {
  attempt();
} catch (const c10::DistNetworkError& error) {
  fail("N" + temper::first_line(error.what_without_backtrace()));
} catch (const c10::DistBackendError& error) {
  fail("N" + temper::first_line(error.what_without_backtrace()));
} catch (const c10::Error& error) {
  fail("O" + temper::first_line(error.what_without_backtrace()));
} catch (const std::exception& error) {
  fail("O" + temper::first_line(error.what()));
} catch (...) {
  fail("Ounknown C++ exception");
}

}  // namespace rust::behavior
