#include "temper-c10d/src/bridge.rs.h"

#include <ATen/Parallel.h>

namespace temper {

void parallel_for(std::size_t length, std::size_t grain, const RangeTask& task) {
  at::parallel_for(0, static_cast<std::int64_t>(length), static_cast<std::int64_t>(grain),
                   [&task](std::int64_t begin, std::int64_t end) {
                     task.run(static_cast<std::size_t>(begin), static_cast<std::size_t>(end));
                   });
}

void set_num_threads(std::int32_t threads) {
  at::set_num_threads(threads);
}

std::int32_t get_num_threads() {
  return at::get_num_threads();
}

void set_num_interop_threads(std::int32_t threads) {
  at::set_num_interop_threads(threads);
}

}  // namespace temper
