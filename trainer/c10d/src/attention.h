#pragma once

#include "temper-c10d/src/bridge.h"

namespace temper {

struct AttentionOutput;
struct AttentionGradients;

AttentionOutput flash_attention_cpu(const Tensor& query, const Tensor& key, const Tensor& value, bool is_causal,
                                    const Tensor* mask, double scale);

AttentionGradients flash_attention_cpu_backward(const Tensor& grad_out, const Tensor& query, const Tensor& key,
                                                const Tensor& value, const Tensor& out, const Tensor& logsumexp,
                                                bool is_causal, const Tensor* mask, double scale);

}  // namespace temper
