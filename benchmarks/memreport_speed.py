"""How long a cold `sapool memreport` takes beside `mcufit inspect` (PyPI), in turn, on the same model.

    python benchmarks/memreport_speed.py ../shared/tflite/tflm/person_detect.tflite

Both commands must be on the PATH (pip install mcufit). Whole processes, one warm-up each, then pairs: the ratio of a pair is
what a noisy machine leaves standing. Writes benchmarks/results/memreport-speed.json.
"""

from __future__ import annotations

import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import processor

from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 15


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    missing = [name for name in ("sapool", "mcufit") if shutil.which(name) is None]
    if len(sys.argv) != 2 or missing:
        print(__doc__ if not missing else f"not on the PATH: {', '.join(missing)}", file=sys.stderr)
        return 2
    model = sys.argv[1]
    ours, theirs = ["sapool", "memreport", model], ["mcufit", "inspect", model]
    seconds(ours), seconds(theirs)
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(PAIRS)]
    result = {
        "model": Path(model).name,
        "machine": f"{processor()}, Python {platform.python_version()}",
        "pairs": PAIRS,
        "sapool_median_s": round(statistics.median(a for a, _ in pairs), 4),
        "mcufit_median_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio_median": round(statistics.median(a / b for a, b in pairs), 3),
        "ratio_min_max": [round(min(a / b for a, b in pairs), 3), round(max(a / b for a, b in pairs), 3)],
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(ROOT / "benchmarks" / "results" / "memreport-speed.json", text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
