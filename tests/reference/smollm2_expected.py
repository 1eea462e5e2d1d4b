#!/usr/bin/env python3
"""Writes what transformers makes of SmolLM2 on given ids: smollm2_expected.py SAFETENSORS_FOLDER IDS_JSON OUTPUT_FOLDER"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

folder, ids, output = sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
with torch.no_grad():
    given = torch.tensor([ids])
    logits = model(given).logits[0]
    greedy = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=24, do_sample=False, eos_token_id=-1, pad_token_id=0)
save_file({"logits": logits.contiguous()}, output / "logits.safetensors")
(output / "expected.json").write_text(json.dumps({"ids": ids, "greedy": greedy[0, len(ids):].tolist()}))
