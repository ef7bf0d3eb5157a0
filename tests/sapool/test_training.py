"""Training: what is learned, what is chosen by, what is repeated, and what is left alone."""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import pictures
from torch import nn

from sapool.data import Split
from sapool.errors import UsageError
from sapool.spec import parse
from sapool.training import FitConfig, evaluate, fit, fit_module
from sapool.training.augment import augment
from sapool.training.batches import OrderedBatches, ShuffledBatches, epoch_generator, loader
from sapool.training.history import to_csv
from sapool.training.module import Classifier
from sapool.training.predictors.network import NetworkPredictor
from sapool.training.progress import Bar, Lines, Silent, fit_progress, share_bar
from sapool.training.schedule import one_cycle
from sapool.training.threads import let_threads_sleep

ROOT = Path(__file__).parents[2]
QUICK = FitConfig(epochs=4, batch_size=16, accelerator="cpu")


def small_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


@pytest.fixture(scope="module")
def data():
    return pictures.data_set()


@pytest.fixture(scope="module")
def trained(data):
    return fit_module(small_net(), data, QUICK)


def weights(network):
    return [value.clone() for value in network.state_dict().values()]


def equal(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def accuracy(network, split):
    return evaluate(NetworkPredictor(network, pictures.CLASSES, resolution=32), split, pictures.CLASSES).accuracy


def test_it_learns(trained, data):
    assert accuracy(trained.model, data.test) > 0.9
    assert not trained.model.training


def test_it_learns_in_half_precision_too(data):
    result = fit_module(small_net(), data, replace(QUICK, precision="bf16-mixed"))
    assert accuracy(result.model, data.test) > 0.9
    assert all(value.dtype != torch.bfloat16 for value in result.model.state_dict().values())


def test_the_best_epoch_on_validation_data_is_kept(trained, data):
    assert trained.best == max(trained.history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    assert accuracy(trained.model, data.val) == pytest.approx(trained.best.val_accuracy)


def test_an_early_best_epoch_is_restored(data):
    # All labels of the validation part turn wrong as the network learns: the first epoch stays the best.
    wrong = Split(data.val.images, (data.val.labels + 1) % 3)
    result = fit_module(small_net(), replace(data, val=wrong), replace(QUICK, epochs=6))
    assert result.best.epoch < 6
    assert accuracy(result.model, wrong) == pytest.approx(result.best.val_accuracy)
    assert result.best.val_accuracy > result.history[-1].val_accuracy


def test_the_test_part_is_not_looked_at(trained, data):
    other = Split(255 - data.test.images, data.test.labels)
    assert equal(weights(trained.model), weights(fit_module(small_net(), replace(data, test=other), QUICK).model))


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not(data):
    short = replace(QUICK, epochs=1)
    first, again = (weights(fit_module(small_net(), data, short).model) for _ in range(2))
    other = weights(fit_module(small_net(), data, replace(short, seed=1)).model)
    assert equal(first, again)
    assert not equal(first, other)


def test_nothing_else_is_touched(data, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(7)
    before, threads, handler = torch.get_rng_state(), torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    fit_module(small_net(), data, replace(QUICK, epochs=1, threads=2))
    torch.manual_seed(7)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert signal.getsignal(signal.SIGINT) is handler
    assert not os.listdir(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_the_random_state_of_the_caller_is_kept(data):
    network = small_net()
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit_module(network, data, replace(QUICK, epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_a_specification_is_built_and_trained(data):
    spec = parse("mobilenet_v2-average-2221111:width=0.1,classes=3")
    result = fit(spec, data, FitConfig(epochs=1, batch_size=16, accelerator="cpu"))
    assert len(result.history) == 1
    assert result.model(torch.zeros(1, 3, 32, 32)).shape == (1, 3)
    assert result.images_per_second > 0


@pytest.mark.parametrize("settings", ["classes=4", "classes=3,resolution=64", "classes=3,channels=1"])
def test_a_specification_that_does_not_fit_the_data(data, settings):
    with pytest.raises(UsageError, match="the network"):
        fit(parse(f"mobilenet_v2-average-2221111:width=0.1,{settings}"), data, QUICK)


def test_too_few_images(data):
    for part in ("train", "val"):
        with pytest.raises(UsageError, match=f"the {part} part has 1 images"):
            fit_module(small_net(), replace(data, **{part: data.train.take(np.arange(1))}), QUICK)


def test_a_batch_larger_than_the_data(data):
    result = fit_module(small_net(), data, replace(QUICK, epochs=1, batch_size=1000))
    assert result.history[0].images_per_second > 0


class Exploding(nn.Module):
    """Logits that are no numbers."""

    def __init__(self):
        super().__init__()
        self.net = small_net()

    def forward(self, x):
        return self.net(x) * math.inf


def test_a_training_that_diverges_says_so(data):
    with pytest.raises(UsageError, match="diverged in epoch 1") as caught:
        fit_module(Exploding(), data, QUICK)
    assert "learning rate" in str(caught.value)


class Interrupted(Silent):
    """Ctrl+C after the second step."""

    steps = 0
    ended = False

    def batch(self, images):
        self.steps += 1
        if self.steps == 2:
            raise KeyboardInterrupt

    def end(self):
        self.ended = True


def test_an_interrupt_stays_one(data):
    handler = signal.getsignal(signal.SIGINT)
    progress = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        fit_module(small_net(), data, QUICK, progress=progress)
    assert progress.ended
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    "setting",
    [
        {"epochs": 0}, {"batch_size": 1}, {"learning_rate": 0.0}, {"learning_rate": math.nan}, {"warm_up": 1.0},
        {"weight_decay": -1.0}, {"label_smoothing": 1.0}, {"shift": 0.6},
        {"mixup": -1.0}, {"ema": 1.0}, {"distillation": 1.5}, {"temperature": 0.0}, {"attention": math.inf},
        {"rand_augment": -1}, {"rand_augment_magnitude": 31}, {"quantised_epochs": 21}, {"devices": 0}, {"nodes": 0},
        {"strategy": "hope"}, {"precision": "64"}, {"threads": 0}, {"seed": -1}, {"accelerator": "abacus"},
        {"schedule_from": 0.5, "schedule_to": 0.5},
    ],
)  # fmt: skip
def test_recipes_that_make_no_sense(setting):
    with pytest.raises(UsageError, match=next(iter(setting)).replace("_", " ").removesuffix(" from")):
        FitConfig(**setting)


def test_the_learning_rate_rises_and_falls():
    rates = [one_cycle(step, 100, 0.2) for step in range(100)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert all(later < earlier for earlier, later in itertools.pairwise(rates[19:]))
    assert rates[59] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.001


class Steps:
    """As much of a trainer as tells how many steps there are."""

    def __init__(self, count):
        self.estimated_stepping_batches = count


def learning_rates(steps, **recipe):
    module = Classifier(small_net(), FitConfig(learning_rate=1.0, **recipe), flip=False)
    trainer = Steps(steps)
    module.trainer = trainer
    found = module.configure_optimizers()
    rates = []
    for _ in range(steps):
        rates.append(found["optimizer"].param_groups[0]["lr"])
        found["optimizer"].step()
        found["lr_scheduler"]["scheduler"].step()
    return rates


def test_trainings_one_after_another_share_a_schedule():
    parts = [learning_rates(20, schedule_from=part / 3, schedule_to=(part + 1) / 3) for part in range(3)]
    assert list(itertools.chain(*parts)) == pytest.approx(learning_rates(60))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("warm_up", [0.0, 0.2, 0.9])
def test_short_trainings_have_learning_rates_too(steps, warm_up):
    assert all(0 < one_cycle(step, steps, warm_up) <= 1 for step in range(steps))


def test_every_epoch_has_each_image_at_most_once_and_its_own_order():
    sampler = ShuffledBatches(103, 10, seed=3)
    orders = []
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [10] * 10
        orders.append(torch.cat(batches).tolist())
        assert len(set(orders[-1])) == 100
    assert orders[0] != orders[1]
    repeated = ShuffledBatches(103, 10, seed=3)
    repeated.set_epoch(1)
    assert torch.cat(list(repeated)).tolist() == orders[1]


def test_batches_are_the_images_and_labels_at_their_positions():
    split = pictures.split(5)
    batches = list(loader(split, OrderedBatches(len(split), 4)))
    assert [len(labels) for _, labels in batches] == [4, 4, 4, 3]
    assert np.array_equal(np.concatenate([images for images, _ in batches]), split.images)
    assert np.array_equal(np.concatenate([labels for _, labels in batches]), split.labels)


IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 6, 7, 3), dtype=np.uint8))


def test_without_shift_and_flip_nothing_changes():
    assert torch.equal(augment(IMAGES, epoch_generator(0, 0), shift=0, flip=False), IMAGES)


def test_half_of_the_images_are_mirrored():
    result = augment(IMAGES, epoch_generator(0, 0), shift=0, flip=True)
    mirrored = [torch.equal(after, before.flip(1)) for before, after in zip(IMAGES, result, strict=True)]
    kept = [torch.equal(after, before) for before, after in zip(IMAGES, result, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


def test_every_shift_up_to_the_largest_occurs_and_repeats_the_edge():
    padded = torch.nn.functional.pad(IMAGES.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), "replicate")
    padded = padded.permute(0, 2, 3, 1).to(torch.uint8)
    seen = set()
    for seed in range(5):
        for number, image in enumerate(augment(IMAGES, epoch_generator(seed, 0), shift=2, flip=False)):
            offsets = [
                (y, x) for y in range(5) for x in range(5) if torch.equal(image, padded[number, y : y + 6, x : x + 7])
            ]
            assert len(offsets) == 1
            seen.update(offsets)
    assert len(seen) == 25


def test_metrics_as_csv(trained):
    rows = list(csv.DictReader(io.StringIO(to_csv(trained.history))))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[-1]["val_accuracy"]) == pytest.approx(trained.history[-1].val_accuracy, abs=1e-6)
    assert rows[0].keys() == {
        "epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds",
        "images_per_second", "quantised",
    }  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_line_for_each_epoch_where_there_is_no_terminal(data):
    stream = io.StringIO()
    progress = fit_progress(stream)
    assert isinstance(progress, Lines)
    fit_module(small_net(), data, QUICK, progress=progress)
    lines = stream.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"epoch {number}/4" for number in range(1, 5)]
    assert all("images/s" in line for line in lines)


def test_a_bar_on_a_terminal(data, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = fit_progress(stream)
    assert isinstance(progress, Bar)
    result = fit_module(small_net(), data, QUICK, progress=progress)
    text = stream.getvalue()
    assert "100%" in text
    assert "images/s" in text
    assert f"best {result.best.val_accuracy:.2%}" in text


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_reading_and_evaluating_show_how_far_they_are(stream, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with share_bar("reading", stream) as progress:
        progress(500, 0.5)
        progress(1000, 1.0)
    assert "reading" in stream.getvalue()
    assert "1,000 images" in stream.getvalue()


def test_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    let_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_importing_the_package_does_not_import_torch():
    code = "import sys, sapool.training; print(sorted({'torch', 'lightning', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
