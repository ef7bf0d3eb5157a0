"""How long a cold `sapool memreport` takes beside `mcufit inspect` (PyPI), in turn, on the same model.

    python benchmarks/memreport_speed.py ../shared/tflite/tflm/person_detect.tflite

Both commands must be on the PATH (pip install mcufit). Whole processes, one warm-up each, then pairs: the ratio of a pair is
what a noisy machine leaves standing. Both run from compiled modules, as pip installs them: the warm-ups write those of a
checkout to a folder that is thrown away, even where Python is told to write none. With it goes the processor time of the
library's calls, `read` and `memreport`, for MobileNetV2-1.0 at 96 pixels. Writes benchmarks/results/memreport-speed.json.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import processor

from firmware_sim.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
PAIRS = 25
NETWORK = "mobilenet_v2-strided-1222121:resolution=96,classes=1000"
CALLS = 50


def seconds(command: list[str], compiled: Path) -> float:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(compiled)}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


# In a process of its own, as torch's hundred thousand objects make the garbage collection of whatever runs beside it slow.
CALL = """
import json, sys, time
from firmware_sim import memreport, read
content, times = open(sys.argv[1], "rb").read(), []
for _ in range(int(sys.argv[2])):
    started = time.process_time()
    model = read(content)
    was_read = time.process_time()
    report = memreport(model)
    times.append((was_read - started, time.process_time() - was_read))
print(json.dumps([report.model.operators, times[1:]]))
"""


def call_seconds() -> tuple[int, list[tuple[float, float]]]:
    """Operators of `NETWORK`; processor seconds of reading it and of its report, `CALLS` times after one that imports."""
    # Not before the commands have been timed: starting them from a process that holds torch takes longer.
    import numpy as np

    import exporters.tflite
    import sapool.lowering  # noqa: F401
    from sapool.models import build
    from sapool.spec import parse

    noise = np.random.default_rng(0).uniform(-1, 1, (2, 96, 96, 3)).astype(np.float32)
    content = exporters.tflite.export(build(parse(NETWORK)).eval(), (1, 3, 96, 96), [noise]).content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        command = [sys.executable, "-c", CALL, str(path), str(CALLS + 1)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found[0], found[1]


def main() -> int:
    missing = [name for name in ("sapool", "mcufit") if shutil.which(name) is None]
    if len(sys.argv) != 2 or missing:
        print(__doc__ if not missing else f"not on the PATH: {', '.join(missing)}", file=sys.stderr)
        return 2
    model = sys.argv[1]
    ours, theirs = ["sapool", "memreport", model], ["mcufit", "inspect", model]
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder)
        seconds(ours, compiled), seconds(theirs, compiled)
        pairs = [(seconds(ours, compiled), seconds(theirs, compiled)) for _ in range(PAIRS)]
    result = {
        "model": Path(model).name,
        "machine": f"{processor()}, Python {platform.python_version()}",
        "pairs": PAIRS,
        "sapool_median_s": round(statistics.median(a for a, _ in pairs), 4),
        "mcufit_median_s": round(statistics.median(b for _, b in pairs), 4),
        "ratio_median": round(statistics.median(a / b for a, b in pairs), 3),
        "ratio_min_max": [round(min(a / b for a, b in pairs), 3), round(max(a / b for a, b in pairs), 3)],
    }
    operators, times = call_seconds()
    result["call"] = {
        "network": NETWORK,
        "operators": operators,
        "calls": CALLS,
        "median_s": round(statistics.median(reading + reporting for reading, reporting in times), 4),
        "min_s": round(min(reading + reporting for reading, reporting in times), 4),
        "read_median_s": round(statistics.median(reading for reading, _ in times), 4),
        "read_min_s": round(min(reading for reading, _ in times), 4),
        "memreport_median_s": round(statistics.median(reporting for _, reporting in times), 4),
        "memreport_min_s": round(min(reporting for _, reporting in times), 4),
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(ROOT / "benchmarks" / "results" / "memreport-speed.json", text)
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
