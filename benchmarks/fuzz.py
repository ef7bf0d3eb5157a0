"""Damaged models: every file must give a result or one error of exit code 3, within 5 seconds of the processor and 1 GiB.

    python benchmarks/fuzz.py memreport ../shared/tflite --files 100000 --seed 1
    python benchmarks/fuzz.py shrink ../shared/tflite --files 10000 --seed 1

Each file is a model of the folder with one to four mutations: flipped bits, a cut, words swapped, words that become huge
counts, offsets that point to themselves (cycles), a block copied over another. Every profile or kernel class takes its turn.
Every fiftieth report is rendered in every format, and plans are searched for a tenth of a second. A file that breaks a rule
is kept beside the result, which is benchmarks/results/fuzz-memreport.json or fuzz-shrink.json.
"""

from __future__ import annotations

import argparse
import collections
import json
import platform
import random
import resource
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

from firmware_sim import memreport, profiles, read
from firmware_sim.errors import FileError
from firmware_sim.files import write_atomic
from firmware_sim.overlap.rules import kernel_classes
from firmware_sim.report import formats, render
from firmware_sim.rewrite.shrink import shrink

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LIMIT_S = 5
LIMIT_BYTES = 1 << 30
LARGEST_SEED_BYTES = 400_000
HUGE = (0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x10000000, 0xFFFF, 1 << 20)


def mutate(content: bytes, rng: random.Random) -> bytes:
    """`content` with one to four mutations, half of them near the end, where tables usually lie."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        size = len(data)
        if size < 16:
            break
        start = rng.randrange(size - 8) if rng.random() < 0.5 else rng.randrange(max(0, size - 8192), size - 8)
        word = start & ~3
        kind = rng.randrange(6)
        if kind == 0:
            data[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[rng.randrange(size) :]
        elif kind == 2:
            other = rng.randrange(size - 8) & ~3
            data[word : word + 4], data[other : other + 4] = data[other : other + 4], data[word : word + 4]
        elif kind == 3:
            data[word : word + 4] = struct.pack("<I", rng.choice(HUGE))
        elif kind == 4:
            data[word : word + 4] = struct.pack("<i", rng.choice((0, -4, 4, -word, 1)))
        else:
            other, length = rng.randrange(size - 8), rng.randrange(1, 64)
            block = data[other : other + length]
            data[start : start + len(block)] = block
            del data[size:]
    return bytes(data)


def reported(content: bytes, number: int) -> str:
    """What one file gives: "report" or "refused"; raises whatever it should not."""
    names = profiles.names()
    try:
        report = memreport(read(content, name="fuzzed.tflite"), profile=names[number % len(names)])
    except FileError:
        return "refused"
    if number % 50 == 0:
        for name in formats():
            render(report, name)
    return "report"


def shrunk(content: bytes, number: int) -> str:
    """The same for a rewriting: "smaller", "unchanged" or "refused"."""
    classes = tuple(kernel_classes())
    try:
        result = shrink(content, kernels=classes[number % len(classes)], name="fuzzed.tflite", time_s=0.1)
    except FileError:
        return "refused"
    return "smaller" if result.is_changed else "unchanged"


CALLS = {"memreport": reported, "shrink": shrunk}


def too_slow(signum: int, frame: Any) -> None:
    raise TimeoutError(f"more than {LIMIT_S} s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("call", choices=CALLS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    paths = sorted(p for p in arguments.folder.rglob("*.tflite") if p.stat().st_size <= LARGEST_SEED_BYTES)
    seeds = [path.read_bytes() for path in paths]
    if not seeds:
        parser.error(f"no .tflite files below {arguments.folder}")
    rng = random.Random(arguments.seed)
    counts: collections.Counter[str] = collections.Counter()
    broken, slowest = [], 0.0
    kept = RESULTS / f"fuzz-{arguments.call}.json"
    signal.signal(signal.SIGPROF, too_slow)
    resource.setrlimit(resource.RLIMIT_AS, (4 * LIMIT_BYTES, 4 * LIMIT_BYTES))  # an error, before the machine runs out
    started = time.perf_counter()
    for number in range(arguments.files):
        content = mutate(rng.choice(seeds), rng)
        before = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
        try:
            counts[CALLS[arguments.call](content, number)] += 1
        except Exception as error:
            counts["broken"] += 1
            path = RESULTS / f"fuzz-broken-{number}.tflite"
            path.write_bytes(content)
            broken.append({"file": path.name, "error": f"{type(error).__name__}: {error}"})
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - before)
        if number % 1000 == 999:
            print(f"\r{number + 1:,} files, {dict(counts)}", end="", file=sys.stderr, flush=True)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {
        "files": arguments.files,
        "seed": arguments.seed,
        "models": len(seeds),
        **dict(sorted(counts.items())),
        "broken": counts["broken"],
        "slowest_s": round(slowest, 3),
        "peak_memory_bytes": peak_bytes,
        "seconds": round(time.perf_counter() - started, 1),
        "python": platform.python_version(),
        "failures": broken,
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(kept, text)
    print(f"\n{text}", end="")
    return int(bool(broken) or peak_bytes > LIMIT_BYTES)


if __name__ == "__main__":
    sys.exit(main())
