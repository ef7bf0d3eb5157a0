"""The whole road on handwritten digits: train, export, run in TFLM, report memory, check a budget.

Run it with `make demo`. Every step is a command that you can run by hand; this file only calls them in turn, gathers what
they report into build/demo/summary.json, and says at the end whether everything that was promised holds.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "demo"

# Two stages pool with self-attention; together with the stem they bring 32x32 pixels down to 4x4 before the third stage.
SPEC = "mobilenet_v2-self_attentive-2211111:width=0.35"
EPOCHS = 24
TARGETS = ("stm32f746", "nrf52840")
BUDGET = Path(__file__).with_name("sapool.toml")
FILES = ("run/model.safetensors", "model.onnx", "model.tflite")
MOST_ACCURACY_LOST = 0.005
LEAST_ACCURACY = 0.95


def run(line: str, *, expect: tuple[int, ...] = (0,)) -> int:
    """Run one sapool command in this process, showing it as a user would type it."""
    from sapool.cli.main import main

    print(f"\n$ sapool {line}", flush=True)
    code = main(shlex.split(line))
    if code not in expect:
        sys.exit(code)
    return code


def load(name: str) -> Any:
    return json.loads((BUILD / name).read_text("utf-8"))


def main() -> int:
    started = time.perf_counter()
    os.chdir(ROOT)
    BUILD.mkdir(parents=True, exist_ok=True)
    out = BUILD.relative_to(ROOT)
    run(f"train --data digits --model {SPEC} --epochs {EPOCHS} --output {out}/run")
    run(f"evaluate {out}/run/model.safetensors --data digits --format json --output {out}/evaluate-float.json")
    run(f"export {out}/run/model.safetensors --target onnx --output {out}/model.onnx")
    run(f"export {out}/run/model.safetensors --target tflite-int8 --output {out}/model.tflite")
    run(f"evaluate {out}/model.tflite --runtime tflm --data digits --format json --output {out}/evaluate-int8.json")
    for target in TARGETS:
        run(f"memreport {out}/model.tflite --target {target}")
    run(f"memreport {out}/model.tflite --format json --output {out}/memreport.json")
    verdict = run(f"check --config {BUDGET.relative_to(ROOT)}", expect=(0, 1))
    summary = summarise(verdict == 0, time.perf_counter() - started)
    (BUILD / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    return report(summary)


def summarise(within_budget: bool, seconds: float) -> dict[str, Any]:
    """What the steps have reported, and what TFLM itself says of the file."""
    from exporters.parity import compare
    from firmware_sim.run.tflm import Tflm
    from sapool import calibration
    from sapool.data.preprocessing import to_device

    content = (BUILD / "model.tflite").read_bytes()
    images = calibration.load(BUILD / "run" / calibration.FILE_NAME)[:100]
    parity = compare(content, to_device(images))
    account = load("memreport.json")
    peak = next(layer for layer in account["layers"] if layer["peak"])
    return {
        "spec": SPEC,
        "float_accuracy": load("evaluate-float.json")["accuracy"],
        "int8_accuracy": load("evaluate-int8.json")["accuracy"],
        "arena_predicted_bytes": account["arena"]["total_bytes"],
        "arena_tflm_bytes": Tflm(content).arena.total_bytes,
        "peak_layer": {
            "index": peak["index"],
            "op": peak["op"],
            "name": peak["name"],
            "live_bytes": peak["live_bytes"],
        },
        "parity": {"images": parity.examples, "differing": parity.differing},
        "within_budget": within_budget,
        "files": {name: (BUILD / name).stat().st_size for name in FILES},
        "seconds": round(seconds, 1),
    }


def report(summary: dict[str, Any]) -> int:
    """Print the table; 0 if everything that was promised holds."""
    checks = {
        "int8 accuracy": summary["int8_accuracy"]
        >= max(LEAST_ACCURACY, summary["float_accuracy"] - MOST_ACCURACY_LOST),
        "arena TFLM used": summary["arena_tflm_bytes"] == summary["arena_predicted_bytes"],
        "TFLM = LiteRT": summary["parity"]["differing"] == 0,
        "size budget": summary["within_budget"],
    }
    peak = summary["peak_layer"]
    rows = [
        ("float accuracy", f"{summary['float_accuracy']:.2%}"),
        ("int8 accuracy", f"{summary['int8_accuracy']:.2%} in TFLM"),
        ("arena predicted", f"{summary['arena_predicted_bytes']:,} bytes (64-bit host)"),
        ("arena TFLM used", f"{summary['arena_tflm_bytes']:,} bytes"),
        ("peak layer", f"{peak['index']} {peak['op']} {peak['name']}, {peak['live_bytes']:,} bytes alive"),
        ("TFLM = LiteRT", f"{summary['parity']['images']} images, {summary['parity']['differing']} differ"),
        ("size budget", f"see {BUDGET.relative_to(ROOT)}"),
        *((name, f"{size:,} bytes") for name, size in summary["files"].items()),
    ]
    print(f"\n{summary['spec']} in {summary['seconds']:.0f} s, files in {BUILD.relative_to(ROOT)}/")
    for name, value in rows:
        mark = {True: "ok", False: "NOT MET", None: ""}[checks.get(name)]
        print(f"  {name:<24}{value:<58}{mark}".rstrip())
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
