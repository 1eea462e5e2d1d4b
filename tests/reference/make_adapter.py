#!/usr/bin/env python3
"""Makes a PEFT adapter with random values of both matrices and prints PEFT's parameter counts: make_adapter.py BASE_FOLDER ADAPTER_FOLDER"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

base, folder = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
settings = peft.LoraConfig(r=4, lora_alpha=12, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
model = peft.get_peft_model(model, settings)
torch.manual_seed(5)
for name, parameter in model.named_parameters():
    if parameter.requires_grad:
        parameter.data = torch.randn_like(parameter) * 0.2
model.save_pretrained(folder)
trainable, total = model.get_nb_trainable_parameters()
print(json.dumps({"trainable": trainable, "total": total}))
