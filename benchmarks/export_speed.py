"""How long the export of MobileNetV2-1.0 at 96 pixels takes: with 200 calibration images, and with one.

    python benchmarks/export_speed.py

One image is the conversion without calibration: tracing, lowering, pricing, quantising and writing remain. Random weights
and images: the time does not depend on them. Processor seconds of all threads beside those on the clock, because a busy
machine stretches the latter; the limits are for two idle cores. Writes benchmarks/results/export-speed.json and fails if a
limit does not hold even in processor seconds.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exporters.quantize import Calibration
from exporters.quantize.estimators import methods
from firmware_sim.files import write_atomic
from sapool import models, spec
from sapool.checkpoint import Checkpoint
from sapool.export import to_tflite

ROOT = Path(__file__).resolve().parents[1]
NETWORK = "mobilenet_v2-strided-1222121:width=1.0,resolution=96"
IMAGES = 200
LIMITS_S = {"calibrated": 20.0, "conversion": 2.0}


def timed(
    checkpoint: Checkpoint, images: np.ndarray[Any, np.dtype[np.uint8]], settings: Calibration
) -> dict[str, float]:
    clock, processor = time.perf_counter(), time.process_time()
    to_tflite(checkpoint, images, settings=settings)
    return {
        "processor_s": round(time.process_time() - processor, 2),
        "clock_s": round(time.perf_counter() - clock, 2),
    }


def main() -> int:
    torch.manual_seed(0)
    network = spec.parse(NETWORK)
    checkpoint = Checkpoint(models.build(network), network, tuple(map(str, range(network.classes))), {})
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 96, 96, 3)).astype(np.uint8)
    timed(checkpoint, images[:1], Calibration())  # imports and torch's first calls
    result: dict[str, Any] = {
        "network": NETWORK,
        "calibration_images": IMAGES,
        "machine": f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}, torch "
        f"{torch.__version__}, {torch.get_num_threads()} threads",
        "conversion": timed(checkpoint, images[:1], Calibration()),
        "calibrated": {method: timed(checkpoint, images, Calibration(method)) for method in methods()},
    }
    judged = {"conversion": result["conversion"], "calibrated": result["calibrated"][methods()[0]]}
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(ROOT / "benchmarks" / "results" / "export-speed.json", text)
    print(text, end="")
    missed = [name for name, limit in LIMITS_S.items() if judged[name]["processor_s"] > limit]
    print(f"over the limit: {', '.join(missed)}" if missed else "within the limits")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
