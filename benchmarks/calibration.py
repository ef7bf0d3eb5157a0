"""What each way to calibrate does to given checkpoints: logit error and int8 accuracy in LiteRT's reference kernels.

    python benchmarks/int8_accuracy.py ../shared/data/cifar10-jpeg.tar.xz
    python benchmarks/calibration.py --data ../shared/data/cifar10-jpeg.tar.xz --images 3000 \\
        build/int8-accuracy/*/model.safetensors

    sapool train --data digits --model mobilenet_v2-self_attentive-2211111 --width 0.35 --output build/attention
    python benchmarks/calibration.py --data digits build/attention/model.safetensors ... \\
        --output benchmarks/results/calibration-digits.csv

Every checkpoint is exported with each range estimator, with and without bias correction and equalisation (where there is
something to equalise), on the calibration images beside it, and runs on the test part of the data. Writes
benchmarks/results/calibration.csv (or --output), one row for each.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from experiment import ROOT, limited, write_csv
from numpy.typing import NDArray

from exporters.execute import run
from exporters.graph import Graph
from exporters.quantize import Calibration
from exporters.quantize.estimators import methods
from sapool import calibration, checkpoint
from sapool.data import open as open_data
from sapool.data.cache import default_folder
from sapool.data.preprocessing import to_float
from sapool.export import to_tflite
from sapool.training.predictors.tflite import TflitePredictor

BATCH = 100


def measure(path: Path, data: str, most: int) -> list[dict[str, Any]]:
    """A row for each way to calibrate one checkpoint."""
    loaded = checkpoint.load(path)
    spec, calibrated_on = loaded.spec, calibration.load(calibration.beside(path))
    test = open_data(data, resolution=spec.resolution, channels=spec.channels, cache_folder=default_folder()).test
    test = limited(test, most)
    images, labels = test.images, test.labels
    exact = _logits(to_tflite(loaded, calibrated_on).float_graph, images)
    pairs = to_tflite(loaded, calibrated_on, settings=Calibration(equalisation=True)).calibration.equalised_pairs
    rows = []
    for method, correct, equal in itertools.product(methods(), (False, True), (False, True) if pairs else (False,)):
        started = time.process_time()
        model = to_tflite(loaded, calibrated_on, settings=Calibration(method, correct, equal))
        seconds = time.process_time() - started
        real = TflitePredictor(model.content)(images)
        rows.append(
            {
                "network": str(spec),
                "seed": loaded.header.get("recipe", {}).get("seed"),
                "method": method,
                "bias_correction": correct,
                "equalisation": equal,
                "equalised_pairs": model.calibration.equalised_pairs,
                "images": len(images),
                "logit_error": round(float(np.sqrt(np.mean((real - exact) ** 2)) / exact.std()), 5),
                "top1_agreement": round(float((real.argmax(1) == exact.argmax(1)).mean()), 5),
                "int8_accuracy": round(float((real.argmax(1) == labels).mean()), 5),
                "float_accuracy": round(float((exact.argmax(1) == labels).mean()), 5),
                "export_s": round(seconds, 2),
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def _logits(graph: Graph, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of the float graph, [images, classes]."""
    parts = (run(graph, to_float(images[start : start + BATCH]))[0] for start in range(0, len(images), BATCH))
    return np.concatenate([part.reshape(len(part), -1) for part in parts]).astype(np.float64)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", required=True, help="what the networks were trained on, as for sapool train")
    parser.add_argument("--images", type=int, default=10_000, help="at most so many images of the test part")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "calibration.csv")
    arguments = parser.parse_args()
    rows = [row for path in arguments.checkpoints for row in measure(path, arguments.data, arguments.images)]
    write_csv(arguments.output, rows)
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
