"""How many networks a second are priced on one core.

    python benchmarks/pricing_speed.py

Prices networks drawn at random from the space of `sapool downsample` for MobileNetV2, in one thread and from a cold start,
and counts processor time; then the same ones again, and a whole search. Writes benchmarks/results/pricing-speed.json.
"""

from __future__ import annotations

import json
import platform
import random
import sys
import time
from pathlib import Path

import torch
from memreport_speed import processor

from firmware_sim.files import write_atomic
from sapool.compress.budget import Budget
from sapool.compress.search import search
from sapool.compress.space import METHODS, Space
from sapool.pricing import price

RESULT = Path(__file__).resolve().parent / "results" / "pricing-speed.json"
SPACE = Space("mobilenet_v2", (0.1, 0.2, 0.35, 0.5), (96, 128), METHODS)
DRAWN = 1000
LIMIT = Budget(arena_bytes=128 * 1024, flash_bytes=1024**2)


def main() -> int:
    torch.set_num_threads(1)
    families = [family for family in SPACE.families() if family[0] is not None]
    drawn = [random.Random(number).choice(random.Random(number).choice(families)) for number in range(DRAWN)]
    cold, warm = seconds(drawn), seconds(drawn)
    started = time.process_time()
    counts = search(SPACE, LIMIT).counts
    searched = time.process_time() - started
    result = {
        "machine": f"{processor()}, Python {platform.python_version()}, torch {torch.__version__}, one thread",
        "drawn": DRAWN,
        "cold_per_second": round(DRAWN / cold, 1),
        "warm_per_second": round(DRAWN / warm, 1),
        "search": {
            "combinations": counts.combinations,
            "impossible": counts.impossible,
            "priced": counts.priced,
            "priced_per_second": round(counts.priced / searched, 1),
            "decided_per_second": round(counts.combinations / searched, 1),
        },
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(RESULT, text)
    print(text, end="")
    return 0


def seconds(specs: list) -> float:
    """Processor time of pricing them, one after the other."""
    started = time.process_time()
    for spec in specs:
        price(spec)
    return time.process_time() - started


if __name__ == "__main__":
    sys.exit(main())
