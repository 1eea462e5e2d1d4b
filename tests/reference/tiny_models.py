"""Small random models of every supported shape, saved as transformers saves them.

`python tiny_models.py FOLDER` writes FOLDER/NAME/{config.json, model.safetensors}, one folder for each entry of CONFIGS.
"""

import pathlib
import sys

import torch
import transformers as t

SMALL = dict(
    vocab_size=131,
    hidden_size=48,
    intermediate_size=80,
    num_hidden_layers=3,
    num_attention_heads=6,
    num_key_value_heads=3,
    max_position_embeddings=256,
    initializer_range=0.2,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
    "rope_theta": 500000.0,
}


def small(**changes):
    return {**SMALL, **changes}


CONFIGS = {
    "llama": lambda: t.LlamaConfig(**small()),
    "llama-rope-llama3": lambda: t.LlamaConfig(**small(rope_parameters=LLAMA3, tie_word_embeddings=True)),
    "llama-rope-linear": lambda: t.LlamaConfig(
        **small(rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0})
    ),
    "llama-odd-heads": lambda: t.LlamaConfig(
        **small(hidden_size=45, num_attention_heads=9, num_key_value_heads=3, head_dim=10, tie_word_embeddings=True)
    ),
    "llama-one-key-value-head": lambda: t.LlamaConfig(
        **small(num_attention_heads=5, num_key_value_heads=1, head_dim=8, hidden_size=35)
    ),
    "llama-biases": lambda: t.LlamaConfig(**small(attention_bias=True, mlp_bias=True)),
    "mistral": lambda: t.MistralConfig(**small(sliding_window=None)),
    "mistral-window": lambda: t.MistralConfig(**small(sliding_window=7, head_dim=12)),
    "qwen2": lambda: t.Qwen2Config(**small(tie_word_embeddings=True)),
    "qwen2-window": lambda: t.Qwen2Config(
        **small(use_sliding_window=True, sliding_window=5, max_window_layers=1, tie_word_embeddings=False)
    ),
    "qwen3": lambda: t.Qwen3Config(**small(head_dim=10, tie_word_embeddings=True)),
    "qwen3-untied": lambda: t.Qwen3Config(**small(head_dim=8, tie_word_embeddings=False)),
}


def build(name):
    """The model, in fp32, its weights (norms and biases included) drawn from a seed that its name gives."""
    torch.manual_seed(sum(map(ord, name)))
    model = t.AutoModelForCausalLM.from_config(CONFIGS[name](), dtype=torch.float32)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:
                parameter.uniform_(0.5, 1.5)
            elif parameter_name.endswith("bias"):
                parameter.uniform_(-0.5, 0.5)
    return model.eval()


def main():
    folder = pathlib.Path(sys.argv[1])
    for name in CONFIGS:
        build(name).save_pretrained(folder / name)


if __name__ == "__main__":
    main()
