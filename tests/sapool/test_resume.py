"""Resuming: whenever a training is killed, it goes on, and ends with the weights of one that was left in peace."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from support import pictures
from torch import nn

from sapool import checkpoint
from sapool.cli.main import main
from sapool.errors import FileError, UsageError
from sapool.training import FitConfig, fit_module
from sapool.training.progress import Silent
from sapool.training.snapshots import read

ROOT = Path(__file__).parents[2]
CONFIG = FitConfig(epochs=5, batch_size=8, accelerator="cpu")


def network():
    torch.manual_seed(0)
    # Dropout draws from torch's generator, whose state has to be that of the epoch.
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2),
        nn.Linear(8, 3),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return pictures.data_set()


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """A training that nobody interrupted."""
    return fit_module(network(), data, CONFIG, snapshot=tmp_path_factory.mktemp("whole") / "last.ckpt")


class Stops(Silent):
    """Ctrl+C at one step, counted over all epochs."""

    def __init__(self, step):
        self.left = step

    def batch(self, images):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def same(first, second):
    return all(torch.equal(first.state_dict()[name], value) for name, value in second.state_dict().items())


def without_times(history):
    return [replace(row, seconds=0.0, images_per_second=0.0) for row in history]


# 7 steps an epoch: in the first one, at the ends of epochs, and in the middle of them.
@pytest.mark.parametrize("stops", [[3], [7, 7], [8, 1, 13], [34]])
def test_an_interrupted_training_ends_like_a_whole_one(data, whole, tmp_path, stops):
    path = tmp_path / "last.ckpt"
    for step in stops:
        with pytest.raises(KeyboardInterrupt):
            fit_module(network(), data, CONFIG, snapshot=path, resume=True, progress=Stops(step))
    result = fit_module(network(), data, CONFIG, snapshot=path, resume=True)
    assert same(result.model, whole.model)
    assert without_times(result.history) == without_times(whole.history)
    assert result.best.epoch == whole.best.epoch


def test_snapshots_change_nothing(data, whole):
    assert same(fit_module(network(), data, CONFIG).model, whole.model)


def test_a_finished_training_is_not_repeated(data, whole, tmp_path):
    path = tmp_path / "last.ckpt"
    fit_module(network(), data, CONFIG, snapshot=path)
    assert read(path).epochs == 5
    progress = Stops(1)
    result = fit_module(network(), data, CONFIG, snapshot=path, resume=True, progress=progress)
    assert progress.left == 1
    assert same(result.model, whole.model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": replace(CONFIG, learning_rate=0.02)}, "had learning rate 0.01, this one has 0.02"),
        ({"config": replace(CONFIG, epochs=9)}, "had epochs 5, this one has 9"),
        ({"data": pictures.data_set(train=21)}, "had data"),
        ({"network": nn.Sequential(nn.Flatten(), nn.Linear(3072, 3))}, "had first weights"),
    ],
)
def test_another_training_does_not_go_on(data, whole, tmp_path, change, message):
    path = tmp_path / "last.ckpt"
    fit_module(network(), data, CONFIG, snapshot=path)
    with pytest.raises(UsageError, match=message):
        fit_module(
            change.get("network", network()), change.get("data", data), change.get("config", CONFIG),
            snapshot=path, resume=True,
        )  # fmt: skip


def test_threads_may_change(data, tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit_module(network(), data, CONFIG, snapshot=path, progress=Stops(8))
    more = fit_module(network(), data, replace(CONFIG, threads=2), snapshot=path, resume=True)
    assert len(more.history) == 5


def test_without_resume_it_starts_at_the_beginning(data, whole, tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit_module(network(), data, replace(CONFIG, seed=4), snapshot=path, progress=Stops(8))
    assert same(fit_module(network(), data, CONFIG, snapshot=path).model, whole.model)


def _half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize("damage", [_half, lambda content: b"", lambda content: b"text"])
def test_a_damaged_snapshot_is_named(data, tmp_path, damage):
    path = tmp_path / "last.ckpt"
    fit_module(network(), data, replace(CONFIG, epochs=1), snapshot=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match="not a snapshot") as caught:
        fit_module(network(), data, CONFIG, snapshot=path, resume=True)
    assert str(path) in str(caught.value)


def test_a_snapshot_runs_no_code(data, tmp_path):
    path, marker = tmp_path / "last.ckpt", tmp_path / "marker"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    torch.save({"sapool": Evil(), "epoch": 0}, path)
    with pytest.raises(FileError, match="not a snapshot"):
        fit_module(network(), data, CONFIG, snapshot=path, resume=True)
    assert not marker.exists()


# The parent only waits and kills, the children train: threads of torch do not survive a fork.
_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import lightning.pytorch, torch
from support import pictures
sys.path.insert(0, {tests!r})
from sapool.training import FitConfig, fit
from sapool.spec import parse
folder, seed = Path(sys.argv[1]), int(sys.argv[2])
data = pictures.data_set()
spec = parse("mobilenet_v2-self_attentive-2221111:width=0.1,classes=3")
config = FitConfig(epochs=6, batch_size=8, accelerator="cpu")

def start(where, writes=None):
    child = os.fork()
    if child:
        return child
    if writes is not None:
        # Dies in the middle of its n-th snapshot, after half of the bytes.
        import firmware_sim.files as files
        replace, left = os.replace, [writes]
        def fatal(source, target):
            left[0] -= 1
            if left[0] == 0:
                os.truncate(source, os.path.getsize(source) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            replace(source, target)
        files.os.replace = fatal
    result = fit(spec, data, config, snapshot=where / "last.ckpt", resume=True)
    torch.save(result.model.state_dict(), where / "weights.pt")
    os._exit(0)

def finish(child):
    return os.waitpid(child, 0)[1]

whole = folder / "whole"; whole.mkdir()
before = time.monotonic()
assert finish(start(whole)) == 0
length = time.monotonic() - before
killed = folder / "killed"; killed.mkdir()
rng, kills = random.Random(seed), 0
for writes in (1, 3):
    assert finish(start(killed, writes)) == signal.SIGKILL
    assert list(killed.glob(".last.ckpt.*.tmp")), "it died while it wrote"
    kills += 1
for _ in range(5):
    child = start(killed)
    time.sleep(rng.uniform(0, 0.6) * length)
    os.kill(child, signal.SIGKILL)
    kills += finish(child) == signal.SIGKILL
assert finish(start(killed)) == 0
assert not list(killed.glob(".last.ckpt.*.tmp")), "what the kills left is cleaned up"
first, second = (torch.load(at / "weights.pt", weights_only=True) for at in (whole, killed))
print("kills", kills, "equal", all(torch.equal(first[name], second[name]) for name in first))
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_kill_9_at_random_moments_changes_no_bit(tmp_path, seed):
    done = subprocess.run(
        [sys.executable, "-c", _KILLED.format(tests=str(ROOT / "tests")), str(tmp_path), str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert words[-1] == "True"
    assert int(words[1]) >= 3


@pytest.mark.slow
def test_the_command_goes_on_after_a_kill(tmp_path, capsys):
    folder = pictures.write(tmp_path / "data")
    line = [
        "train",
        "--data",
        str(folder),
        "--model",
        "mobilenet_v2-average-2221111",
        "--width",
        "0.1",
        "--batch-size",
        "8",
    ]
    line += ["--epochs", "12", "--accelerator", "cpu", "--resume"]
    assert main([*line, "-o", str(tmp_path / "whole")]) == 0
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "sapool.cli", *line, "-o", str(run)],
        cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with process:
        assert process.stderr is not None
        for number, text in enumerate(process.stderr):
            if text.startswith("epoch") and number > random.Random(0).randint(2, 4):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert not (run / "model.safetensors").exists()
    capsys.readouterr()
    assert main([*line, "-o", str(run)]) == 0
    assert "going on after epoch" in capsys.readouterr().err
    first, second = (checkpoint.load(at / "model.safetensors").model for at in (tmp_path / "whole", run))
    assert same(first, second)
