"""Planners on hard instances and on random graphs: peak, proven bound and time of each.

    python benchmarks/planners.py ../shared/minimalloc --seconds 60

The folder holds the instances published with MiniMalloc (google/minimalloc): CSV files with the columns id, lower, upper
(half-open) and size, each known to fit into the number of bytes in its name. The 1,000 random graphs are made here from a
fixed seed: 10 to 60 operators with branches, where an output may overlap an input that dies. Writes
benchmarks/results/planners.csv, a row for each instance and planner. CP-SAT takes part where ortools is installed.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from firmware_sim.files import write_atomic
from firmware_sim.planners import BufferRequest, cpsat
from firmware_sim.planners.first_fit import ORDERS
from firmware_sim.planners.problem import Allowance, Block, Part, Problem, plain_problem, problem
from firmware_sim.planners.solve import Solution, greedy, solve

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = ("instance", "blocks", "known_bytes", "planner", "peak_bytes", "bound_bytes", "optimal", "seconds")
RANDOM_GRAPHS = 1000


def published(folder: Path) -> Iterator[tuple[str, int, Problem]]:
    """Name, capacity that is known to be enough, and problem of each CSV file."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        requests = [BufferRequest(int(r["size"]), int(r["lower"]), int(r["upper"]) - 1) for r in rows]
        yield path.name.partition(".")[0], int(path.stem.partition(".")[2]), plain_problem(requests)


def random_graph(random: Random) -> Problem:
    """Operators in a row: each reads the newest tensor and now and then an older one; some may write over what dies."""
    count = random.randint(10, 60)
    last = [number + 1 for number in range(count)]
    for number in range(2, count):
        if random.random() < 0.4:
            last[max(0, number - random.randint(2, 8))] = number
    sizes = [16 * round(2 ** random.uniform(2, 11)) for _ in range(count)]
    blocks = [Block.whole(size, number, last[number]) for number, size in enumerate(sizes)]
    allowances = []
    for lower in range(1, count):
        for upper in range(lower):
            if last[upper] == lower and random.random() < 0.6:
                more = max(sizes[lower] - sizes[upper], 0)
                distance = min(more + 16 * random.randint(0, 8), sizes[lower])
                allowances.append(Allowance(Part(upper), Part(lower), distance))
    return problem(blocks, allowances)


def solutions(puzzle: Problem, seconds: float) -> Iterator[tuple[str, Solution]]:
    """Every planner on one instance; all greedy orders are given as the best of them, beside TFLM's own."""
    yield "greedy", greedy(puzzle, "greedy")
    yield "best greedy", min((greedy(puzzle, name) for name in ORDERS), key=lambda solution: solution.peak_bytes)
    yield "search", solve(puzzle, time_s=seconds, use_cpsat=False)
    if cpsat.is_installed():
        yield "search, then CP-SAT", solve(puzzle, time_s=seconds, use_cpsat=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each published instance and planner")
    arguments = parser.parse_args()
    random = Random(20)
    instances = [(name, known, puzzle, arguments.seconds) for name, known, puzzle in published(arguments.folder)]
    instances += [(f"random {n}", None, random_graph(random), 2.0) for n in range(RANDOM_GRAPHS)]
    rows = []
    for name, known, puzzle, seconds in instances:
        for planner, solution in solutions(puzzle, seconds):
            rows.append(
                (
                    name, len(puzzle.sizes_bytes), known, planner, solution.peak_bytes, solution.bound_bytes,
                    solution.is_optimal, f"{solution.seconds:.4f}",
                )
            )  # fmt: skip
        print(*rows[-1], file=sys.stderr)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    print(f"wrote {write_atomic(ROOT / 'benchmarks' / 'results' / 'planners.csv', stream.getvalue())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
