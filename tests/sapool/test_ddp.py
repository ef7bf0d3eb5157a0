"""Several processes train as one does with the same batches: tested with two on the CPU, over gloo."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import pictures

from sapool import checkpoint
from sapool.training.batches import OrderedBatches, ShuffledBatches
from sapool.training.ranks import Place, is_first

ROOT = Path(__file__).parents[2]

# A network without dropout, whose random numbers belong to a process, and without biases in front of normalisation: their
# gradient is rounding alone, which Adam makes as large as any other.
_SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from support import pictures
from sapool.training import FitConfig, fit_module
from sapool.training.history import to_csv
from sapool.training.ranks import is_first

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(3, 8, 4, 4, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
)
folder, processes = Path(sys.argv[1]), int(sys.argv[2])
config = FitConfig(
    epochs=4, batch_size=12, learning_rate=1e-3, mixup=0.2, ema=0.9, accelerator="cpu", devices=processes,
    strategy="ddp" if processes > 1 else "auto",
)
result = fit_module(network, pictures.data_set(), config, snapshot=folder / "last.ckpt")
assert all(type(module) is not None and "Synced" not in type(module).__name__ for module in result.model.modules())
if is_first():
    (folder / "metrics.csv").write_text(to_csv(result.history))
    torch.save(result.model.state_dict(), folder / "weights.pt")
"""


def environment(**more):
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
    kept = {name: value for name, value in os.environ.items() if name not in names}
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **more}


def ran(*line, folder, **more):
    done = subprocess.run(
        [sys.executable, *map(str, line)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done


def rows(path):
    with open(path) as stream:
        return [
            {name: float(value) for name, value in row.items() if "loss" in name or "accuracy" in name}
            for row in csv.DictReader(stream)
        ]


@pytest.mark.slow
def test_two_processes_reach_the_loss_curve_of_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        ran(script, folder, processes, folder=folder)
    one, two = (rows(tmp_path / name / "metrics.csv") for name in ("1", "2"))
    assert len(one) == len(two) == 4
    for before, now in zip(one, two, strict=True):
        assert now == pytest.approx(before, abs=1e-4)
    first, second = (torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("1", "2"))
    for name, value in first.items():
        assert torch.allclose(second[name].double(), value.double(), atol=1e-3), name


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["sapool", "torchrun"])
def test_the_command_with_two_processes(tmp_path, launcher):
    pictures.write(tmp_path / "data")
    line = ["train", "--data", "data", "--model", "mobilenet_v2-average-2221111", "--width", "0.1", "--epochs", "1"]
    line += ["--batch-size", "8", "--accelerator", "cpu", "--devices", "2", "--strategy", "ddp"]
    start = ["-m", "sapool.cli"]
    if launcher == "torchrun":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", port, "-m", "sapool.cli"]
    done = ran(*start, *line, folder=tmp_path)
    assert done.stdout.count("test accuracy") == 1
    assert done.stderr.count("epoch 1/1") == 1
    assert done.stderr.count("reading data") == 1
    assert checkpoint.load(tmp_path / "run" / "model.safetensors").header["recipe"]["devices"] == 2


def test_a_batch_is_divided_and_nothing_twice(monkeypatch):
    batches = {}
    for world in (1, 2):
        for rank in range(world):
            monkeypatch.setattr("sapool.training.ranks.place", lambda rank=rank, world=world: Place(rank, world))
            batches[world, rank] = list(ShuffledBatches(50, 8, seed=1, processes=2))
    for step, whole in enumerate(batches[1, 0]):
        assert torch.equal(torch.cat([batches[2, 0][step], batches[2, 1][step]]), whole)


@pytest.mark.parametrize("images", [2, 7, 64])
def test_every_validation_image_is_looked_at_once(monkeypatch, images):
    seen = []
    for rank in range(2):
        monkeypatch.setattr("sapool.training.ranks.place", lambda rank=rank: Place(rank, 2))
        sampler = OrderedBatches(images, 5)
        own = list(sampler)
        assert len(own) == len(sampler)
        seen += torch.cat(own).tolist()
    assert sorted(seen) == list(range(images))


@pytest.mark.parametrize(
    ("variables", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0", "GROUP_RANK": "1"}, False),
        ({"LOCAL_RANK": "1"}, False),
        ({"SLURM_PROCID": "3"}, False),
    ],
)
def test_one_process_speaks(monkeypatch, variables, first):
    for name in ("RANK", "GROUP_RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_first() is first
