#!/usr/bin/env python3
"""Loads a published folder unchanged and writes its logits: peft_logits.py BASE PUBLISHED_FOLDER IDS_JSON OUTPUT.safetensors

PUBLISHED_FOLDER is a PEFT adapter of the base model, or a whole model. BASE is a safetensors folder or a GGUF file.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

base, published, ids, output = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
if (published / "adapter_config.json").is_file():
    import peft

    folder, of_file = (base.parent, {"gguf_file": base.name}) if base.is_file() else (base, {})
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **of_file, dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(model, published)
else:
    model = transformers.AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32)
with torch.no_grad():
    save_file({"logits": model.eval()(torch.tensor([ids])).logits[0].contiguous()}, output)
