#include "temper-c10d/src/bridge.rs.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/core/grad_mode.h>

namespace temper {

namespace {

std::optional<Tensor> optional(const Tensor* tensor) {
  return tensor == nullptr ? std::nullopt : std::optional<Tensor>(*tensor);
}

std::unique_ptr<Tensor> boxed(Tensor tensor) {
  return std::make_unique<Tensor>(std::move(tensor));
}

constexpr double NO_DROPOUT = 0.0;

}  // namespace

AttentionOutput flash_attention_cpu(const Tensor& query, const Tensor& key, const Tensor& value, bool is_causal,
                                    const Tensor* mask, double scale) {
  const at::NoGradGuard no_gradient;
  auto [out, logsumexp] = at::_scaled_dot_product_flash_attention_for_cpu(query, key, value, NO_DROPOUT, is_causal,
                                                                          optional(mask), scale);
  return {boxed(std::move(out)), boxed(std::move(logsumexp))};
}

AttentionGradients flash_attention_cpu_backward(const Tensor& grad_out, const Tensor& query, const Tensor& key,
                                                const Tensor& value, const Tensor& out, const Tensor& logsumexp,
                                                bool is_causal, const Tensor* mask, double scale) {
  const at::NoGradGuard no_gradient;
  auto [grad_query, grad_key, grad_value] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      grad_out, query, key, value, out, logsumexp, NO_DROPOUT, is_causal, optional(mask), scale);
  return {boxed(std::move(grad_query)), boxed(std::move(grad_key)), boxed(std::move(grad_value))};
}

}  // namespace temper
