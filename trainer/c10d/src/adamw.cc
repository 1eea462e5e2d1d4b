#include "temper-c10d/src/bridge.rs.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>

namespace temper {

void fused_adamw(const Tensor& parameter, const Tensor& gradient, const Tensor& first_moment,
                 const Tensor& second_moment, float step, const AdamwNumbers& numbers) {
  const at::NoGradGuard no_gradient;
  const Tensor step_tensor = at::full({}, step, parameter.options().dtype(at::kFloat));
  at::_fused_adamw_({parameter}, {gradient}, {first_moment}, {second_moment}, /*max_exp_avg_sqs=*/{}, {step_tensor},
                    numbers.learning_rate, numbers.beta1, numbers.beta2, numbers.weight_decay, numbers.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace temper
