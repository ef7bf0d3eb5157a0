"""Distillation: the losses of the papers, and a student that learns what only its teacher knows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support import pictures
from torch import nn
from torch.nn import functional

from sapool import checkpoint, models
from sapool.cli.main import main
from sapool.data import Split
from sapool.errors import UsageError
from sapool.spec import parse
from sapool.training import FitConfig, evaluate, fit_module
from sapool.training.distillation import (
    AttentionMaps,
    Teacher,
    attention_loss,
    attention_losses,
    load_teacher,
    output_loss,
)
from sapool.training.predictors.network import NetworkPredictor

SPEC = parse("mobilenet_v2-self_attentive-2221111:width=0.1,classes=3")
CONFIG = FitConfig(epochs=6, batch_size=8, accelerator="cpu", label_smoothing=0.0, distillation=1.0, temperature=2.0)


@pytest.mark.oracle
def test_the_output_loss_is_scipys_divergence():
    from scipy.special import rel_entr, softmax

    student, teacher = torch.randn(5, 4), torch.randn(5, 4)
    target, soft = softmax(teacher.numpy() / 3, axis=1), softmax(student.numpy() / 3, axis=1)
    expected = rel_entr(target, soft).sum(axis=1).mean() * 9
    assert float(output_loss(student, teacher, 3.0)) == pytest.approx(expected, rel=1e-4)
    assert float(output_loss(teacher, teacher, 3.0)) == pytest.approx(0, abs=1e-6)


def test_the_attention_loss_is_that_of_the_authors_code():
    # szagoruyko/attention-transfer, utils.py: at(x) = F.normalize(x.pow(2).mean(1).view(x.size(0), -1)),
    # at_loss(x, y) = (at(x) - at(y)).pow(2).mean()
    first, second = torch.rand(3, 4, 5, 5), torch.rand(3, 7, 5, 5)
    ours = [functional.normalize(x.pow(2).mean(1).view(x.size(0), -1)) for x in (first, second)]
    assert torch.equal(attention_loss(first, second), (ours[0] - ours[1]).pow(2).mean())


def test_maps_are_collected_where_there_are_self_attentive_pools():
    own, other = models.build(SPEC), models.build(SPEC.with_settings(width=0.35))
    found = []
    for network in (own, other):
        with AttentionMaps(network).collected() as maps:
            network.eval()(torch.rand(2, 3, 32, 32))
        assert maps.keys() == {
            name for name, module in network.named_modules() if name.endswith(".pool") and name in maps
        }
        assert all(0 < float(value.detach().min()) <= float(value.detach().max()) < 1 for value in maps.values())
        found.append(maps)
    assert len(found[0]) > 0
    assert len(attention_losses(*found)) == len(found[0])
    with AttentionMaps(models.build(parse("mobilenet_v2-average-2221111:width=0.1"))).collected() as none:
        assert attention_losses(found[0], none) == []


def test_a_student_learns_what_only_its_teacher_knows():
    data = pictures.data_set()
    # The labels say nothing: all of them are the first class.
    blind = Split(data.train.images, np.zeros(len(data.train), np.int64), "blind")

    class Knows(nn.Module):
        """Calls a picture by its brightest channel; the classes are blue, green, red."""

        def forward(self, x):
            return 20 * x.mean((2, 3)).flip(1)

    student = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    from dataclasses import replace

    result = fit_module(student, replace(data, train=blind), CONFIG, teacher=Teacher(Knows(), "knows"))
    found = evaluate(NetworkPredictor(result.model, data.classes, resolution=32), data.test, data.classes)
    assert found.accuracy > 0.9


def test_the_teacher_stays_as_it_is_and_out_of_the_snapshot(tmp_path):
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(3072, 3)).requires_grad_(False)
    before = teacher[1].weight.clone()
    student = nn.Sequential(nn.Flatten(), nn.Linear(3072, 3))
    fit_module(student, pictures.data_set(), CONFIG, teacher=Teacher(teacher, "t"), snapshot=tmp_path / "last.ckpt")
    assert torch.equal(teacher[1].weight, before)
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert set(stored) == {"network.1.weight", "network.1.bias"}


@pytest.mark.parametrize(
    ("config", "teacher", "message"),
    [
        (CONFIG, None, "--teacher"),
        (FitConfig(accelerator="cpu"), Teacher(nn.Flatten(), "t"), "takes no notice of a teacher"),
    ],
)
def test_a_teacher_and_a_recipe_go_together(config, teacher, message):
    with pytest.raises(UsageError, match=message):
        fit_module(nn.Sequential(nn.Flatten(), nn.Linear(3072, 3)), pictures.data_set(), config, teacher=teacher)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    return checkpoint.save(path, models.build(SPEC), SPEC, labels=pictures.CLASSES)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"labels": ("blue", "green", "pink")}, "classes are not those"),
        ({"resolution": 64}, "takes 32 pixels"),
        ({"channels": 1}, "student 32 in 1"),
    ],
)
def test_a_teacher_of_something_else(saved, wanted, message):
    with pytest.raises(UsageError, match=message):
        load_teacher(saved, **{"labels": pictures.CLASSES, "resolution": 32, "channels": 3, **wanted})


def test_the_command_learns_from_a_checkpoint(saved, tmp_path):
    data = pictures.write(tmp_path / "data")
    line = ["train", "--data", str(data), "--model", "mobilenet_v2-self_attentive-2221111", "--width", "0.1"]
    line += ["--epochs", "1", "--batch-size", "8", "--accelerator", "cpu", "--recipe", "distill"]
    assert main([*line, "--teacher", str(saved), "-o", str(tmp_path / "run")]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["teacher"] == f"teacher.safetensors, {SPEC}"
    assert summary["recipe"]["attention"] == 100.0
    header = checkpoint.load(tmp_path / "run" / "model.safetensors").header
    assert header["teacher"] == summary["teacher"]
