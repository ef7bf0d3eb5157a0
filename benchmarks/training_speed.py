"""Images a second of `sapool train`, and how much of the time loading them takes.

    python benchmarks/training_speed.py [--runs 3]

Trains MobileNetV2 of width 0.35 on the embedded digits at 32x32 pixels (stem of stride 2), with one thread, two threads and
two processes; each in a process of its own, the best of the runs, for other programs can only slow it down. Writes
benchmarks/results/training-speed.json with the machine and its load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import machine

from firmware_sim.files import write_atomic
from sapool import data
from sapool.training.batches import ShuffledBatches, loader

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("mobilenet_v2-strided-2221111", "mobilenet_v2-self_attentive-2221111")
WAYS = {
    "1 thread": ["--threads", "1"],
    "2 threads that sleep": ["--threads", "2"],
    "2 processes": ["--devices", "2", "--strategy", "ddp"],
}
BATCH = 128
EPOCHS = 6
GOAL = 650


def trained(model: str, options: list[str]) -> float:
    """Images a second, as the command reports them: training without validation."""
    with tempfile.TemporaryDirectory() as folder:
        line = ["train", "--data", "digits", "--model", model, "--width", "0.35", "--epochs", str(EPOCHS)]
        line += ["--batch-size", str(BATCH), "--accelerator", "cpu", "--output", folder, *options]
        subprocess.run([sys.executable, "-m", "sapool.cli", *line], check=True, capture_output=True, cwd=ROOT)
        return float(json.loads((Path(folder) / "summary.json").read_text("utf-8"))["images_per_second"])


def loading_seconds(runs: int) -> float:
    """Time to load one image in a batch."""
    split = data.open("digits").train
    best = float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        count = sum(
            len(labels) for _ in range(20) for _, labels in loader(split, ShuffledBatches(len(split), BATCH, 0))
        )
        best = min(best, (time.perf_counter() - started) / count)
    return best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs: int = parser.parse_args().runs
    before = os.getloadavg()[0]
    loading = loading_seconds(runs)
    rows: list[dict[str, Any]] = []
    for model in MODELS:
        for way, options in WAYS.items():
            rates = [trained(model, options) for _ in range(runs)]
            rows.append(
                {
                    "model": f"{model}:width=0.35",
                    "way": way,
                    "images_per_second": max(rates),
                    "all_runs": rates,
                    "loading_share": round(loading * max(rates), 4),
                }
            )
            print(f"{model}  {way:22}  {max(rates):6.0f} images/s  loading {loading * max(rates):.2%}", flush=True)
    result = {
        "machine": machine(),
        "load_average_before": round(before, 2),
        "batch_size": BATCH,
        "resolution": 32,
        "loading_seconds_an_image": loading,
        "goal_images_per_second": GOAL,
        "goal_met": max(row["images_per_second"] for row in rows) >= GOAL,
        "rows": rows,
    }
    path = ROOT / "benchmarks" / "results" / "training-speed.json"
    print(f"wrote {write_atomic(path, json.dumps(result, indent=2) + chr(10))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
