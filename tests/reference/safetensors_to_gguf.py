#!/usr/bin/env python3
"""Writes the fp32 GGUF file that llama.cpp's converter makes of a safetensors folder: safetensors_to_gguf.py FOLDER FILE

Names and keys are those of the `gguf` library. What the converter itself does to weights (convert_hf_to_gguf.py) is done here: it reorders query and key
rows of Llama and Mistral, writes Llama 3's rotary factors as a tensor, and leaves a tied output projection out.
"""

import json
import math
import sys
from pathlib import Path

import gguf
import numpy
from safetensors.numpy import load_file

# Mistral's models go under Llama's name.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}

folder, file = Path(sys.argv[1]), sys.argv[2]
config = json.loads((folder / "config.json").read_text())
heads, key_value_heads = config["num_attention_heads"], config["num_key_value_heads"]
head_dim = config.get("head_dim") or config["hidden_size"] // heads
architecture = ARCHITECTURES[config["model_type"]]
rope = config["rope_parameters"]


def rows_of_pairs(values, heads):
    """transformers rotates element i of a head with i + d/2, llama.cpp element 2i with 2i + 1."""
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def rotary_factors():
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    original = rope["original_max_position_embeddings"]
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        if wavelength < original / high:
            yield 1.0
        elif wavelength > original / low:
            yield rope["factor"]
        else:
            smooth = (original / wavelength - low) / (high - low)
            yield 1 / ((1 - smooth) / rope["factor"] + smooth)


writer = gguf.GGUFWriter(file, architecture)
writer.add_block_count(config["num_hidden_layers"])
writer.add_context_length(config["max_position_embeddings"])
writer.add_embedding_length(config["hidden_size"])
writer.add_feed_forward_length(config["intermediate_size"])
writer.add_head_count(heads)
writer.add_head_count_kv(key_value_heads)
writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
writer.add_rope_freq_base(rope["rope_theta"])
if "head_dim" in config:
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
if architecture == "llama":
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(head_dim)
if config.get("sliding_window"):
    writer.add_sliding_window(config["sliding_window"])
if rope["rope_type"] == "linear":
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(rope["factor"])
if rope["rope_type"] == "llama3":
    writer.add_tensor("rope_freqs.weight", numpy.array(list(rotary_factors()), dtype=numpy.float32))

names = gguf.get_tensor_name_map(next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture), config["num_hidden_layers"])
for shard in sorted(folder.glob("model*.safetensors")):
    for name, values in load_file(shard).items():
        module, kind = name.rsplit(".", 1)
        if config["tie_word_embeddings"] and module == "lm_head":
            continue
        if architecture == "llama" and module.endswith((".q_proj", ".k_proj")):
            values = rows_of_pairs(values, heads if module.endswith(".q_proj") else key_value_heads)
        writer.add_tensor(f"{names.get_name(module)}.{kind}", numpy.ascontiguousarray(values))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
