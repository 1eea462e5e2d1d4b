#!/usr/bin/env python3
"""Writes the safetensors folder, fp32, that transformers makes of a GGUF file: gguf_to_safetensors.py FILE FOLDER"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
model = transformers.AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
tokenizer = transformers.AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
# transformers refuses to save what it loaded from GGUF, so the weights move to a model that does not know where they came from.
config = transformers.AutoConfig.for_model(
    model.config.model_type, **{k: v for k, v in model.config.to_dict().items() if k not in ("model_type", "quantization_config")}
)
plain = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
plain.load_state_dict(model.state_dict())
plain.generation_config = model.generation_config
partial = folder.with_name(folder.name + ".part")
plain.save_pretrained(partial)
tokenizer.save_pretrained(partial)
partial.rename(folder)
