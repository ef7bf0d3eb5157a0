"""Recipes: files of settings, and what the settings do."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support import pictures
from torch import nn

from sapool.cli.main import main
from sapool.data.preprocessing import to_tensor
from sapool.errors import UsageError
from sapool.training import FitConfig, recipe_files
from sapool.training.augment import augment, mixup, rand_augment
from sapool.training.averaging import Average
from sapool.training.batches import epoch_generator
from sapool.training.curves import curves_png, panels
from sapool.training.drawing import BLUE, ORANGE
from sapool.training.history import EpochMetrics
from sapool.training.module import Classifier
from sapool.training.ranks import Place

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))


def test_the_default_recipe_is_the_default_of_the_library():
    assert recipe_files.load(recipe_files.DEFAULT) == FitConfig()


@pytest.mark.parametrize("name", recipe_files.names())
def test_every_recipe_is_whole_and_says_what_it_is_for(name):
    assert recipe_files.load(name)
    assert recipe_files.about(name).endswith(".")


def test_options_take_the_place_of_settings():
    config = recipe_files.load("finetune", {"epochs": 3, "seed": 5, "batch_size": None})
    assert (config.epochs, config.seed, config.batch_size, config.learning_rate) == (3, 5, 32, 0.001)


def test_a_file_of_the_user(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"about": "mine", "mixup": 0.4, "flip": false, "precision": "bf16-mixed"}')
    config = recipe_files.load(str(path))
    assert (config.mixup, config.flip, config.precision, config.epochs) == (0.4, False, "bf16-mixed", 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"epoch": 3}', "did you mean 'epochs'"),
        ('{"label-smoothing": 0.1}', "did you mean 'label_smoothing'"),
        ('{"epochs": "3"}', "epochs must be a whole number"),
        ('{"flip": 1}', "flip must be true or false"),
        ('{"epochs": 0}', "epochs is 0"),
        ('{"ema": NaN}', "ema is nan"),
        ('{"epochs": 3,\n}', "mine.json:2"),
        ("[]", "a JSON object"),
        ("\xff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_files_that_make_no_sense(tmp_path, text, message):
    path = tmp_path / "mine.json"
    path.write_text(text, "latin-1")
    with pytest.raises(UsageError, match=message):
        recipe_files.load(str(path))


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="no such recipe"):
        recipe_files.load(str(tmp_path))


def test_mixup_mixes_neighbours_by_one_share():
    images = torch.rand(7, 3, 4, 4)
    mixed, others, share = mixup(images, epoch_generator(0, 0), 0.4)
    assert others.tolist() == [1, 0, 3, 2, 5, 4, 6]
    assert 0.5 <= share <= 1
    expected = share * images + (1 - share) * images[[1, 0, 3, 2, 5, 4, 6]]
    assert torch.allclose(mixed, expected, atol=1e-6)
    assert torch.equal(mixed[6], images[6])


def test_the_share_of_mixup_is_beta_distributed():
    shares = [mixup(IMAGES.float(), epoch_generator(seed, 0), 1.0)[2] for seed in range(400)]
    # Beta(1, 1) is uniform; the larger of the share and its rest is uniform above a half.
    assert np.mean(shares) == pytest.approx(0.75, abs=0.02)
    assert min(shares) < 0.55
    assert max(shares) > 0.95


def test_an_image_is_shifted_alike_in_any_number_of_processes():
    whole = augment(IMAGES, epoch_generator(1, 0), shift=3, flip=True)
    for world in (2, 4):
        parts = [
            augment(part, epoch_generator(1, 0), shift=3, flip=True, place=Place(rank, world))
            for rank, part in enumerate(IMAGES.chunk(world))
        ]
        assert torch.equal(torch.cat(parts), whole)


def test_rand_augment_is_kornias_and_repeatable():
    pytest.importorskip("kornia")
    change = rand_augment(2, 9)
    torch.manual_seed(0)
    first = change(IMAGES)
    torch.manual_seed(0)
    assert torch.equal(change(IMAGES), first)
    assert (first.shape, first.dtype) == (IMAGES.shape, torch.uint8)
    assert not torch.equal(first, IMAGES)


def test_rand_augment_without_kornia_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kornia.augmentation.auto", None)
    with pytest.raises(UsageError, match="kornia"):
        rand_augment(2, 9)


def test_the_average_is_the_closed_form():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = Average(network, 0.5)
    expected = copy.deepcopy(network.state_dict())
    for step in range(20):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        network(torch.randn(8, 2))
        average.update(network, step)
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in network.state_dict().items():
            expected[name] = (
                decay * expected[name] + (1 - decay) * value if value.is_floating_point() else value.clone()
            )
    for name, value in average.network.state_dict().items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_the_averaged_network_is_validated_and_kept():
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    module = Classifier(network, replace(FitConfig(), ema=0.9), flip=False)
    with torch.no_grad():
        network[1].weight.zero_()
        network[1].bias.zero_()
    assert not torch.equal(module(IMAGES), torch.zeros(8, 3))
    assert torch.equal(module(IMAGES), module.averaged(to_tensor(IMAGES)))
    assert module.kept is module.averaged


def test_flip_of_the_recipe_goes_before_that_of_the_data():
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    flips = {
        (wanted, data): Classifier(network, FitConfig(flip=wanted), flip=data).flip
        for wanted in (None, True, False)
        for data in (True, False)
    }
    assert flips == {
        (None, True): True, (None, False): False, (True, True): True, (True, False): True, (False, True): False,
        (False, False): False,
    }  # fmt: skip


@pytest.mark.parametrize("extra", [{"ema": 0.9, "mixup": 0.2}, {"rand_augment": 2}])
def test_a_recipe_trains_resumes_and_ends_in_the_header(tmp_path, extra, capsys):
    if "rand_augment" in extra:
        pytest.importorskip("kornia")
    from sapool import checkpoint

    folder = pictures.write(tmp_path / "data")
    recipe = tmp_path / "mine.json"
    recipe.write_text(json.dumps({"epochs": 2, "batch_size": 8, **extra}))
    line = ["train", "--data", str(folder), "--model", "mobilenet_v2-average-2221111", "--width", "0.1"]
    line += ["--recipe", str(recipe), "--accelerator", "cpu"]
    assert main([*line, "-o", str(tmp_path / "run")]) == 0
    saved = checkpoint.load(tmp_path / "run" / "model.safetensors")
    assert extra.items() <= saved.header["recipe"].items()
    assert main([*line, "-o", str(tmp_path / "run"), "--resume"]) == 0
    again = checkpoint.load(tmp_path / "run" / "model.safetensors").model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in saved.model.state_dict().items())


def metrics(epoch, loss, accuracy):
    return EpochMetrics(epoch, 0.01, loss, accuracy, loss * 1.5, accuracy - 0.1, 1.0, 100.0)


def test_the_curves_go_through_the_values():
    history = [metrics(1, 2.0, 0.4), metrics(2, 1.0, 0.6), metrics(3, 0.5, 0.9)]
    pixels = np.asarray(Image.open(io.BytesIO(curves_png(history))))
    loss, accuracy = panels(history)
    for row in history:
        for panel, train, val in (
            (loss, row.train_loss, row.val_loss), (accuracy, row.train_accuracy, row.val_accuracy),
        ):  # fmt: skip
            for value, colour in ((train, ORANGE), (val, BLUE)):
                x, y = (round(position) for position in panel.place(row.epoch, value))
                near = pixels[max(y - 2, 0) : y + 3, x - 2 : x + 3].reshape(-1, 3)
                assert any(tuple(int(part) for part in pixel) == colour for pixel in near)


@pytest.mark.parametrize("history", [[metrics(1, 0.0, 0.1)], [metrics(1, float("nan"), 1.0), metrics(2, 900.0, 0.1)]])
def test_odd_trainings_have_curves_too(history):
    assert curves_png(history).startswith(b"\x89PNG")
