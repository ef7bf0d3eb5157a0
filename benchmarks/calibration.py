"""What each way to calibrate does to given checkpoints: logit error and int8 accuracy in LiteRT's reference kernels.

    sapool train --data digits --model mobilenet_v2-self_attentive-2211111 --width 0.35 --output build/attention
    python benchmarks/calibration.py --data digits build/attention/model.safetensors ...

Every checkpoint is exported with each range estimator, with and without bias correction and equalisation (where there is
something to equalise), on the calibration images beside it, and runs on the test part of the data. Writes
benchmarks/results/calibration.csv, one row for each.
"""

from __future__ import annotations

import argparse
import csv
import io
import itertools
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from exporters.execute import run
from exporters.quantize import Calibration
from exporters.quantize.estimators import methods
from firmware_sim.files import write_atomic
from firmware_sim.run.litert import LiteRt
from sapool import calibration, checkpoint
from sapool.data import open as open_data
from sapool.data.preprocessing import to_device, to_float
from sapool.export import to_tflite

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "network", "method", "bias_correction", "equalisation", "equalised_pairs", "images", "logit_error", "top1_agreement",
    "int8_accuracy", "float_accuracy", "export_s",
)  # fmt: skip


def measure(path: Path, data: str, most: int) -> list[dict[str, Any]]:
    """A row for each way to calibrate one checkpoint."""
    loaded = checkpoint.load(path)
    dataset = open_data(data, resolution=loaded.spec.resolution, channels=loaded.spec.channels)
    images, labels = dataset.test.images[:most], dataset.test.labels[:most]
    rows = []
    for method, correct, equal in itertools.product(methods(), (False, True), (False, True)):
        started = time.process_time()
        model = to_tflite(
            loaded, calibration.load(calibration.beside(path)), settings=Calibration(method, correct, equal)
        )
        seconds = time.process_time() - started
        if equal and not model.calibration.equalised_pairs:
            continue
        exact = run(model.float_graph, to_float(images))[0].reshape(len(images), -1)
        interpreter = LiteRt(model.content)
        stored = np.stack([interpreter.invoke(image[None])[0].reshape(-1) for image in to_device(images)])
        quantization = model.graph.tensors[model.graph.outputs[0]].quantization
        assert quantization is not None
        real = (stored.astype(np.float64) - quantization.zero_point[0]) * quantization.scale[0]
        rows.append(
            dict(
                zip(
                    COLUMNS,
                    (
                        str(loaded.spec), method, correct, equal, model.calibration.equalised_pairs, len(images),
                        round(float(np.sqrt(np.mean((real - exact) ** 2)) / exact.std()), 5),
                        round(float((real.argmax(1) == exact.argmax(1)).mean()), 5),
                        round(float((real.argmax(1) == labels).mean()), 5),
                        round(float((exact.argmax(1) == labels).mean()), 5), round(seconds, 2),
                    ),
                    strict=True,
                )
            )
        )  # fmt: skip
        print(rows[-1], file=sys.stderr)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--data", required=True, help="what the networks were trained on, as for sapool train")
    parser.add_argument("--images", type=int, default=10_000, help="at most so many images of the test part")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "calibration.csv")
    arguments = parser.parse_args()
    rows = [row for path in arguments.checkpoints for row in measure(path, arguments.data, arguments.images)]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(arguments.output, stream.getvalue())
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
