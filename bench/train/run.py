#!/usr/bin/env python3
"""Training speed and memory beside transformers + PEFT, in turns, on the same weights, adapter and tokens.

What is measured: LoRA (r 16, all-linear) on SmolLM2-135M, completion-masked rows, 8 rows a micro-batch, one micro-batch a step,
2 threads, one process alive at a time. Ours is `temper-trainer train` itself; the peer is tests/reference/train_sft.py (SDPA, padded
to the longest row). Rows: `lognormal` has lengths around 128 tokens, at most 512; `uniform` has 512 tokens in every row.

Each run starts from the same adapter and sees the same steps. The first step of a run is warm-up and not counted. A pair is one run of
ours and one of the peer's; the ratio is of real (not padding) tokens a second. Losses of equal steps are compared first: a bench of
unequal work is void. Writes bench/results/train.json.
"""

import argparse
import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "tests/reference"
# Losses of the first steps may differ by so much, relatively: rounding differs, the mathematics does not.
LOSS_TOLERANCE = {"fp32": 1e-3, "bf16": 3e-2}
GOALS = {"lognormal": 3.0, "uniform": 1.1}
MEMORY_GOAL = 0.6


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, required=True, help="folder of temper-trainer and temper-bench-inputs")
    parser.add_argument("--smollm2", type=Path, required=True, help="the GGUF file")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--precision", choices=["fp32", "bf16"], action="append")
    parser.add_argument("--rows", choices=["lognormal", "uniform"], action="append")
    parser.add_argument("--pairs", type=int, help="pairs of runs for each case (default: 3 for lognormal, 2 for uniform)")
    parser.add_argument("--max-load", type=float, default=0.5, help="refuse to start above this load average")
    parser.add_argument("--output", type=Path, default=ROOT / "bench/results/train.json")
    return parser.parse_args()


WORDS = "harbor garden window river stone light kitchen road market tower silver winter summer paper music engine forest bridge".split()


def text(rng, words):
    return " ".join(rng.choice(WORDS) for _ in range(words))


def row_words(rng, kind):
    """Words of prompt and completion. A word of the list is a token or two; `uniform` rows are cut to 512 tokens by the trainer."""
    if kind == "uniform":
        return 260, 600
    while True:
        tokens = int(math.exp(rng.gauss(math.log(128), 0.8)))
        if 16 <= tokens <= 500:
            prompt = max(4, int(tokens * rng.uniform(0.3, 0.6)))
            return prompt, tokens - prompt


def write_rows(path, kind, rows):
    rng = random.Random(f"temper-bench-{kind}")
    with path.open("w") as sink:
        for _ in range(rows):
            prompt, completion = row_words(rng, kind)
            sink.write(json.dumps({"prompt": text(rng, prompt), "completion": " " + text(rng, completion)}) + "\n")


def trainer_config(folder, model, data, precision, steps):
    """The file that the operator would write for this job."""
    return {
        "jobName": "bench",
        "runFolder": str(folder),
        "checkpointFolder": str(folder / "checkpoints"),
        "outputFolder": str(folder / "output"),
        "baseModel": {"path": str(model), "uri": "file://smollm2"},
        "dataset": {
            "path": str(data), "format": "prompt-completion", "validation": None, "chatTemplate": "tokenizerDefault",
            "maxLength": 512, "excessLengthStrategy": "truncate", "packing": False, "seed": 1,
            "filters": {"minLength": None, "maxLength": None, "exactDeduplication": False, "includePattern": None,
                        "excludePattern": None, "maxRejectedFraction": 0.0},
        },
        "method": {"lora": {"r": 16, "loraAlpha": 32.0, "loraDropout": 0.0, "targetModules": ["all-linear"], "useRslora": False}},
        "hyperparameters": {
            "numTrainEpochs": 1.0, "maxSteps": steps, "perDeviceTrainBatchSize": 8, "learningRate": 2e-4, "lrSchedulerType": "constant",
            "warmupSteps": 0, "weightDecay": 0.0, "adamBeta1": 0.9, "adamBeta2": 0.999, "adamEpsilon": 1e-8, "maxGradNorm": 1.0,
            "precision": precision, "seed": 1,
        },
        "evaluation": {"evalSteps": None, "perDeviceEvalBatchSize": 8, "earlyStoppingPatience": None},
        "parallelism": {"numNodes": 1, "numProcPerNode": 1, "threadsPerProc": 2, "microBatchesPerStep": 1, "device": "cpu"},
        "checkpoint": {"saveSteps": None, "saveTotalLimit": 1},
        "failure": {"maxRestarts": 0, "heartbeatTimeoutSeconds": 60, "stallTimeoutSeconds": 600, "maxNonFiniteSteps": 0,
                    "rendezvousTimeoutSeconds": 60},
        "output": {"mergeAdapter": False},
    }


def execute(command, environment):
    """Runs a command; gives its standard output and the largest resident memory of any of its processes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    peak = 0

    def children(pid):
        try:
            own = [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]
        except OSError:
            return []
        return own + [grandchild for child in own for grandchild in children(child)]

    while process.poll() is None:
        for pid in [process.pid, *children(process.pid)]:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
                peak = max(peak, next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0))
            except OSError:
                pass
        time.sleep(0.2)
    output, errors = process.communicate()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with {process.returncode}:\n{errors[-4000:]}")
    return output, peak


def run_ours(tools, case, environment):
    folder = case["folder"]
    for name in ("checkpoints", "steps.jsonl", "train-report.json"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _, peak = execute([tools / "temper-trainer", "train", "--config", folder / "trainer-config.json"], environment)
    steps = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return {"losses": [s["trainingLoss"] for s in steps], "seconds": [s["seconds"] for s in steps],
            "tokens": [s["tokens"] for s in steps], "peak": peak}


def run_peer(case, adapter_dtype, environment):
    dtype = {"fp32": "float32", "bf16": "bfloat16"}[case["precision"]]
    command = [sys.executable, REFERENCE / "train_sft.py", "--model", case["model"], "--adapter", case["folder"] / "initial-adapter",
               "--batches", case["folder"] / "batches.jsonl", "--dtype", dtype, "--adapter-dtype", adapter_dtype, "--threads", "2"]
    output, peak = execute(command, environment)
    steps = [json.loads(line) for line in output.splitlines() if line.startswith('{"step"')]
    return {"losses": [s["training_loss"] for s in steps], "seconds": [s["seconds"] for s in steps],
            "tokens": [s["tokens"] for s in steps], "peak": peak}


def speed(run):
    """Real tokens a second, the first step left out."""
    return sum(run["tokens"][1:]) / sum(run["seconds"][1:])


def largest_difference(case, ours, theirs, steps=None):
    """The largest relative difference of equal steps' losses, over the first steps or all of them."""
    if ours["tokens"] != theirs["tokens"]:
        sys.exit(f"{case['name']}: the two saw different tokens, {ours['tokens']} and {theirs['tokens']}")
    return max(abs(a - b) / abs(b) for a, b in list(zip(ours["losses"], theirs["losses"], strict=True))[:steps])


def compare_losses(case, ours, peer, reference):
    """How far our losses are from what they should be; a bench of unequal work is void.

    The peer in fp32 is the reference for every step. In bf16 the peer itself is compared with before any update only: it adds each
    adapter's output to the base's in bf16, where most of a young adapter's effect is rounded away, so that its later losses lie off the
    fp32 ones by more than ours do."""
    tolerance = LOSS_TOLERANCE[case["precision"]]
    worst = max(largest_difference(case, ours, reference), largest_difference(case, ours, peer, 1))
    if worst > tolerance:
        sys.exit(f"{case['name']}: losses differ by {worst:.2e} relatively, more than {tolerance:.0e}: ours {ours['losses']}, "
                 f"the peer's {peer['losses']}, the peer's in fp32 {reference['losses']}")
    return worst


def reference_of(case, references, tried, environment):
    """The peer's losses in fp32 on the case's rows; run for this only where fp32 is not measured before."""
    if case["rows"] not in references:
        is_fp32 = case["precision"] == "fp32"
        references[case["rows"]] = tried["float32"] if is_fp32 else run_peer(case | {"precision": "fp32"}, "float32", environment)
    return references[case["rows"]]


def prepare_case(options, model, precision, kind, environment):
    steps = {"lognormal": 4, "uniform": 2}[kind]
    folder = options.cache / "bench" / f"{kind}-{precision}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_rows(folder / "rows.jsonl", kind, 8 * steps)
    config = trainer_config(folder, model, folder / "rows.jsonl", precision, steps)
    (folder / "trainer-config.json").write_text(json.dumps(config, indent=1))
    execute([options.bin / "temper-trainer", "prepare", "--config", folder / "trainer-config.json"], environment)
    execute([options.bin / "temper-bench-inputs", "--config", folder / "trainer-config.json", "--output", folder], environment)
    return {"name": f"{kind} {precision}", "rows": kind, "precision": precision, "folder": folder, "model": model}


def measure(options, case, references, environment):
    pairs = options.pairs or {"lognormal": 3, "uniform": 2}[case["rows"]]
    peer_dtypes = ["float32"] if case["precision"] == "fp32" else ["float32", "bfloat16"]
    ratios, ours_speeds, peer_speeds, memory, differences = [], [], [], [], []
    dtype = None
    for number in range(1, pairs + 1):
        ours = run_ours(options.bin, case, environment)
        # The peer's faster adapter type is the one to beat: the first pair tries each.
        tried = {name: run_peer(case, name, environment) for name in ([dtype] if dtype else peer_dtypes)}
        dtype = max(tried, key=lambda name: speed(tried[name]))
        reference = reference_of(case, references, tried, environment)
        differences += [compare_losses(case, ours, trial, reference) for trial in tried.values()]
        peer = tried[dtype]
        ratios.append(speed(ours) / speed(peer))
        ours_speeds.append(speed(ours))
        peer_speeds.append(speed(peer))
        memory.append(ours["peak"] / peer["peak"])
        print(f"  {case['name']:15} pair {number}/{pairs}: ours {ours_speeds[-1]:7.1f} tok/s, peer {peer_speeds[-1]:7.1f} tok/s, "
              f"ratio {ratios[-1]:.2f}, memory {ours['peak'] / 2**30:.2f} and {peer['peak'] / 2**30:.2f} GiB", flush=True)
    return {
        "case": case["name"], "pairs": pairs, "peerAdapterType": dtype, "lossDifference": max(differences),
        "ratio": {"median": statistics.median(ratios), "worst": min(ratios), "best": max(ratios)},
        "tokensPerSecond": {"ours": statistics.median(ours_speeds), "peer": statistics.median(peer_speeds)},
        "memoryRatio": statistics.median(memory), "goal": GOALS[case["rows"]], "peerLossDifference": largest_difference(case, peer, reference),
    }


def wait_for_quiet(most, patience=300):
    """Waits until the last minute's load is low (a build may just have ended), and gives up with a reason."""
    deadline = time.time() + patience
    while (load := os.getloadavg()[0]) > most:
        if time.time() > deadline:
            sys.exit(f"the load average stays above {most} ({load:.2f}): other work would spoil the figures. Stop it, or raise --max-load")
        print(f"waiting for the machine to become quiet (load average {load:.2f}) ...", flush=True)
        time.sleep(20)


def main():
    options = arguments()
    wait_for_quiet(options.max_load)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("OPENBLAS", "OMP", "MKL"))}
    environment |= {"OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}
    model = options.cache / "models/smollm2-safetensors"
    if not model.is_dir():
        print("writing the model as safetensors, once ...", flush=True)
        execute([sys.executable, REFERENCE / "gguf_to_safetensors.py", options.smollm2, model], environment)
    began = time.time()
    results, references = [], {}
    for kind in options.rows or ["lognormal", "uniform"]:
        for precision in options.precision or ["fp32", "bf16"]:
            results.append(measure(options, prepare_case(options, model, precision, kind, environment), references, environment))
    cpu = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    report = {"machine": {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()}, "threads": 2, "results": results,
              "seconds": time.time() - began}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{cpu}, {os.cpu_count()} cores; LoRA r 16 all-linear on SmolLM2-135M, 8 rows a micro-batch, 2 threads")
    print(f"{'case':16}{'ratio':>8}{'worst':>8}{'best':>8}{'goal':>7}{'ours tok/s':>12}{'peer tok/s':>12}{'memory':>8}{'loss diff.':>12}")
    missed = False
    for r in results:
        missed |= r["ratio"]["median"] < r["goal"] or r["memoryRatio"] > MEMORY_GOAL
        print(f"{r['case']:16}{r['ratio']['median']:8.2f}{r['ratio']['worst']:8.2f}{r['ratio']['best']:8.2f}{r['goal']:7.1f}"
              f"{r['tokensPerSecond']['ours']:12.1f}{r['tokensPerSecond']['peer']:12.1f}{r['memoryRatio']:8.2f}{r['lossDifference']:12.1e}")
    print(f"{'a goal was missed' if missed else 'every goal is met'} (memory goal: at most {MEMORY_GOAL}); {time.time() - began:.0f} s; {options.output}")


if __name__ == "__main__":
    main()
