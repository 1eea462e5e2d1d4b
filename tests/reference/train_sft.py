#!/usr/bin/env python3
"""The reference trainer: transformers + PEFT on given micro-batches, for parity tests and as the benches' baseline.

It is the loop of transformers' Trainer without its bookkeeping: pad to the longest row of the micro-batch, model forward with
SDPA attention, loss summed over the micro-batch and divided by the step's global number of target tokens, backward, clipping,
AdamW, schedule. Prints one JSON object an optimizer step, then one with the adapter's norm and the peak memory.

Batches file: one JSON object a line, an optimizer step each: {"micro_batches": [[{"ids": [...], "targets": [0, 1, ...]}, ...], ...]},
where targets[i] says whether token i is a target (it is then predicted from the tokens before it).
"""

import argparse
import json
import os
import resource
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True, help="safetensors folder")
parser.add_argument("--adapter", help="PEFT folder to start from; without it every parameter is trained")
parser.add_argument("--batches", required=True)
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--adapter-dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--scheduler", default="constant_with_warmup")
parser.add_argument("--warmup-steps", type=int, default=0)
parser.add_argument("--total-steps", type=int)
parser.add_argument("--weight-decay", type=float, default=0.0)
parser.add_argument("--max-grad-norm", type=float, default=1.0)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--pad-to", type=int, default=0, help="pad every row to this length instead of the longest's")
parser.add_argument("--save", help="folder to save the trained adapter or model in")
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402

torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
transformers.utils.logging.set_verbosity_error()

model = transformers.AutoModelForCausalLM.from_pretrained(
    arguments.model, dtype=getattr(torch, arguments.dtype), attn_implementation="sdpa"
)
model.config.use_cache = False
if arguments.adapter:
    import peft

    model = peft.PeftModel.from_pretrained(
        model, arguments.adapter, is_trainable=True, autocast_adapter_dtype=arguments.adapter_dtype == "float32"
    )
    if arguments.adapter_dtype == "bfloat16":
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)
model.train()

decay, no_decay = [], []
for name, parameter in model.named_parameters():
    if parameter.requires_grad:
        (no_decay if "norm" in name or name.endswith("bias") else decay).append(parameter)
trained = decay + no_decay
optimizer = torch.optim.AdamW(
    [{"params": decay, "weight_decay": arguments.weight_decay}, {"params": no_decay, "weight_decay": 0.0}],
    lr=arguments.learning_rate,
)
with open(arguments.batches) as lines:
    steps = [json.loads(line) for line in lines]
scheduler = transformers.get_scheduler(
    arguments.scheduler, optimizer, num_warmup_steps=arguments.warmup_steps, num_training_steps=arguments.total_steps or len(steps)
)


def collate(rows):
    """Padded tensors of one micro-batch: ids, attention mask, labels (-100 where no target)."""
    longest = max(arguments.pad_to, max(len(row["ids"]) for row in rows))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    labels = torch.full((len(rows), longest), -100, dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(row["ids"])
        ids[place, :length] = torch.tensor(row["ids"])
        mask[place, :length] = 1
        targets = torch.tensor(row["targets"], dtype=torch.bool)
        # The first token of a row has nothing before it to be predicted from.
        targets[0] = False
        labels[place, :length] = torch.where(targets, ids[place, :length], -100)
    return ids, mask, labels


for number, step in enumerate(steps, 1):
    began, began_cpu = time.perf_counter(), time.process_time()
    micro_batches = [collate(rows) for rows in step["micro_batches"]]
    count = sum(int((labels != -100).sum()) for _, _, labels in micro_batches)
    tokens = sum(int(mask.sum()) for _, mask, _ in micro_batches)
    loss_sum = 0.0
    for ids, mask, labels in micro_batches:
        loss = model(input_ids=ids, attention_mask=mask, labels=labels, num_items_in_batch=count).loss
        loss.backward()
        loss_sum += loss.item()
    norm = torch.nn.utils.clip_grad_norm_(trained, arguments.max_grad_norm or float("inf"))
    rate = scheduler.get_last_lr()[0]
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
    record = {"step": number, "training_loss": loss_sum, "gradient_norm": float(norm), "learning_rate": rate, "tokens": tokens}
    record |= {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - began_cpu}
    print(json.dumps(record), flush=True)

total = torch.sqrt(sum(parameter.detach().float().pow(2).sum() for parameter in trained))
if arguments.save:
    model.save_pretrained(arguments.save)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"trained_norm": float(total), "trained": sum(p.numel() for p in trained), "peak_memory_bytes": peak}), flush=True)
