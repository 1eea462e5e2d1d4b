#pragma once

#include "temper-c10d/src/bridge.h"

namespace temper {

struct AdamwNumbers;

void fused_adamw(const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
                 const Tensor& second_moment, float step, const AdamwNumbers& numbers);

}  // namespace temper
