"""Random networks through the export: integer only, the same bytes in TFLM and LiteRT, and the arena as predicted.

    python benchmarks/export_parity.py --networks 20000

Each network is put together by chance from layers, functions and methods of torch (tests/support/random_nets.py), exported,
and run in LiteRT's reference kernels and in TFLM on random and on calibration inputs. Refused means one error that says what
to use instead. Writes benchmarks/results/export-parity.json; a number under `failures` makes the same network again.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
import time
import warnings

import torch
from experiment import ROOT
from machine import machine

from firmware_sim.files import write_atomic
from sapool.training.progress import share_bar

sys.path.insert(0, str(ROOT / "tests"))

RESULT = ROOT / "benchmarks" / "results" / "export-parity.json"
EXPECTED = ("ok", "refused")


def main() -> int:
    from support.random_nets import outcomes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="the number of the first network")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # torch's, of even kernels with padding="same"
    kinds: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    failures = []
    started = time.process_time()
    numbers = range(arguments.first, arguments.first + arguments.networks)
    with share_bar("exported", unit="networks") as progress:
        for number, outcome in outcomes(numbers):
            kinds[outcome.kind] += 1
            if outcome.kind == "refused":
                reasons[outcome.detail.splitlines()[-1].strip()] += 1
            elif outcome.kind not in EXPECTED:
                failures.append({"network": number, "kind": outcome.kind, "detail": outcome.detail})
            done = number - arguments.first + 1
            progress(done, done / arguments.networks)
    result = {
        "machine": f"{machine()}, torch {torch.__version__}",
        "networks": arguments.networks,
        "first": arguments.first,
        **{kind: kinds[kind] for kind in EXPECTED},
        "failed": len(failures),
        "cpu_s": round(time.process_time() - started, 1),
        "refused_with_the_advice": dict(reasons.most_common()),
        "failures": failures,
    }
    text = json.dumps(result, indent=2) + "\n"
    write_atomic(RESULT, text)
    print(text, end="")
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
