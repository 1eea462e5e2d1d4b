#!/usr/bin/env python3
"""Writes one small random model of each family, with what transformers makes of it: make_models.py FOLDER

FOLDER/NAME/ holds config.json, the weights, a tokenizer of single bytes, and expected.json: {"ids": [...], "greedy": [...]} beside logits.safetensors with the
fp32 logits [T, V] of `ids`; `greedy` are the ids that follow the first eight of `ids`.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import tokenizers  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

BASE = {"vocab_size": 307, "hidden_size": 60, "intermediate_size": 116, "num_hidden_layers": 3, "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.5}
DEFAULT = {"rope_type": "default", "rope_theta": 10000.0}

# name -> (config class, what it adds): odd head counts, head sizes that are not hidden / heads, tied and untied, every rope.
MODELS = {
    "llama": ("LlamaConfig", {"num_attention_heads": 5, "num_key_value_heads": 5, "rope_parameters": DEFAULT, "tie_word_embeddings": True}),
    "llama-rope3": ("LlamaConfig", {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "rope_parameters": LLAMA3,
                                    "tie_word_embeddings": False, "attention_bias": True, "mlp_bias": True}),
    "llama-linear": ("LlamaConfig", {"num_attention_heads": 3, "num_key_value_heads": 1, "rope_parameters": LINEAR, "tie_word_embeddings": True}),
    "mistral": ("MistralConfig", {"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 12, "rope_parameters": DEFAULT,
                                  "sliding_window": 7, "tie_word_embeddings": False}),
    "mistral-full": ("MistralConfig", {"num_attention_heads": 5, "num_key_value_heads": 1, "head_dim": 12, "rope_parameters": DEFAULT,
                                       "sliding_window": None, "tie_word_embeddings": True}),
    "qwen2": ("Qwen2Config", {"num_attention_heads": 6, "num_key_value_heads": 3, "rope_parameters": DEFAULT, "tie_word_embeddings": True,
                              "use_sliding_window": False}),
    "qwen2-window": ("Qwen2Config", {"num_attention_heads": 6, "num_key_value_heads": 3, "rope_parameters": DEFAULT, "tie_word_embeddings": False,
                                     "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
    "qwen3": ("Qwen3Config", {"num_attention_heads": 7, "num_key_value_heads": 7, "head_dim": 14, "rope_parameters": DEFAULT,
                              "tie_word_embeddings": True}),
    "qwen3-untied": ("Qwen3Config", {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 16, "rope_parameters": DEFAULT,
                                     "tie_word_embeddings": False}),
}


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder):
    """Bytes as tokens, so that the model can be trained on text."""
    special = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(special + alphabet)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<pad>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def write(folder, config_class, extra):
    config = getattr(transformers, config_class)(**BASE, **extra)
    torch.manual_seed(11)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        # Norms and biases start at 1 and 0, which would hide an error in them; larger weights make attention matter.
        for name, parameter in model.named_parameters():
            scale = 0.3 if "norm" in name or name.endswith("bias") else 0.12
            parameter.add_(torch.randn_like(parameter) * scale)
        ids = torch.randint(3, config.vocab_size, (1, 40))
        logits = model(ids).logits[0]
        greedy = model.generate(ids[:, :8], attention_mask=torch.ones(1, 8, dtype=torch.long), max_new_tokens=24, do_sample=False,
                                eos_token_id=config.vocab_size + 1, pad_token_id=0)[0, 8:]
    # One of them in shards.
    model.save_pretrained(folder, max_shard_size="100KB" if folder.name == "qwen2" else "1GB")
    write_tokenizer(folder)
    save_file({"logits": logits.contiguous()}, folder / "logits.safetensors")
    (folder / "expected.json").write_text(json.dumps({"ids": ids[0].tolist(), "greedy": greedy.tolist()}))


if __name__ == "__main__":
    for name, (config_class, extra) in MODELS.items():
        write(Path(sys.argv[1]) / name, config_class, extra)
