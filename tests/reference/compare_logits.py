"""Compares logits and greedy ids of the example `logits` with transformers', on the same weights.

`python compare_logits.py EXAMPLE MODEL [ADAPTER]` prints one line and fails when max |a - b| / max |b| is above 1e-4 or a greedy id differs. MODEL
is a folder or a .gguf file.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import safetensors.torch
import torch
import transformers

NEW_TOKENS = 20
TOLERANCE = 1e-4


def load(model, adapter):
    path = pathlib.Path(model)
    if path.suffix == ".gguf":
        loaded = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    else:
        loaded = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    if adapter:
        import peft

        loaded = peft.PeftModel.from_pretrained(loaded, adapter)
    return loaded.eval()


def main():
    example, model_path = sys.argv[1:3]
    adapter = sys.argv[3] if len(sys.argv) > 3 else None
    model = load(model_path, adapter)
    generator = random.Random(7)
    vocabulary = model.config.vocab_size
    lists = [[generator.randrange(3, vocabulary) for _ in range(length)] for length in (1, 5, 23, 60)]
    with tempfile.TemporaryDirectory() as folder:
        ids, out = pathlib.Path(folder, "ids.json"), pathlib.Path(folder, "out.safetensors")
        ids.write_text(json.dumps(lists))
        command = [example, model_path, ids, out, "--greedy", str(NEW_TOKENS)] + (["--adapter", adapter] if adapter else [])
        ours_greedy = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        ours = safetensors.torch.load_file(out)
    worst, same = 0.0, True
    with torch.no_grad():
        for number, row in enumerate(lists):
            input_ids = torch.tensor([row])
            theirs = model(input_ids=input_ids).logits[0].float()
            worst = max(worst, ((ours[f"logits.{number}"] - theirs).abs().max() / theirs.abs().max()).item())
            greedy = model.generate(
                input_ids=input_ids,
                attention_mask=torch.ones_like(input_ids),
                do_sample=False,
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                eos_token_id=None,
                pad_token_id=0,
            )[0, len(row) :].tolist()
            same &= greedy == ours_greedy[number]
    print(f"{model_path}: max |a-b| / max |b| = {worst:.2e}, greedy ids {'equal' if same else 'DIFFER'}")
    if worst > TOLERANCE or not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
