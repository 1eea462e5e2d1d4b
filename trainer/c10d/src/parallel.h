#pragma once

#include <cstddef>
#include <cstdint>

namespace temper {

struct RangeTask;

void parallel_for(std::size_t length, std::size_t grain, const RangeTask& task);
void set_num_threads(std::int32_t threads);
std::int32_t get_num_threads();
void set_num_interop_threads(std::int32_t threads);

}  // namespace temper
