"""Quantisation-aware training: what it computes is what the exported file computes in LiteRT."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import pictures
from torch import nn

import exporters.tflite
from exporters.graph import Quantization
from exporters.quantize import Calibration, Range
from exporters.quantize.scales import asymmetric, to_int8, weight_and_bias
from sapool import checkpoint, models
from sapool.cli.main import main
from sapool.data.preprocessing import to_float, to_tensor
from sapool.spec import parse
from sapool.training import FitConfig, fit
from sapool.training.predictors.tflite import TflitePredictor
from sapool.training.progress import Silent
from sapool.training.quantisation import Point, round_kernel, simulation

TEST = pictures.split(16, start=2000)
CONFIG = FitConfig(epochs=4, batch_size=8, quantised_epochs=2, accelerator="cpu")


def spec(pooling):
    return parse(f"mobilenet_v2-{pooling}-2221111:width=0.1,classes=3")


@pytest.fixture(scope="module")
def trained():
    return fit(spec("average"), pictures.data_set(), CONFIG)


def convolution(channels, out, kernel, stride=1, groups=1, activation=True):
    layers = [nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, nn.ReLU6()) if activation else nn.Sequential(*layers)


class Block(nn.Module):
    """An inverted residual. Two make a network in which a tie that is rounded the other way does not grow beyond bounds."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            convolution(8, 16, 1), convolution(16, 16, 3, groups=16), convolution(16, 8, 1, activation=False)
        )

    def forward(self, x):
        return x + self.layers(x)


def settled(network, images):
    """With the statistics of its maps, as a trained one has them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(to_tensor(torch.from_numpy(images)))
    return network.eval()


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(3))
def test_it_computes_what_litert_computes(seed):
    torch.manual_seed(seed)
    images = pictures.split(40).images
    network = settled(
        nn.Sequential(
            convolution(3, 8, 3), Block(), nn.MaxPool2d(2), Block(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 10),
        ),
        images,
    )  # fmt: skip
    uncorrected = Calibration(bias_correction=False)
    model = exporters.tflite.export(network, (1, 3, 32, 32), [to_float(images)], settings=uncorrected)
    file = TflitePredictor(model.content)
    int8, step = file(TEST.images), file._result.quantization.scale[0]
    found = simulation(network, images)
    assert found.unmatched == ()
    assert len(found.kernels) == 8
    with torch.no_grad():
        inputs = to_tensor(torch.from_numpy(TEST.images))
        simulated, plain = found(network, inputs).numpy(), network(inputs).numpy()

    def distance(values):
        return float(np.sqrt(np.mean((values - int8) ** 2)))

    assert distance(simulated) < 0.7 * distance(plain)
    # Sums in single precision and products with 31-bit multipliers put a few roundings in a thousand the other way, and each
    # layer passes that on.
    assert np.mean(np.abs(simulated - int8) <= 0.01 * step) > 0.75
    assert np.mean(np.abs(simulated - int8) <= 1.01 * step) > 0.9


@pytest.mark.parametrize("pooling", ["average", "strided", "max", "self_attentive"])
def test_every_tensor_of_the_export_is_found_in_the_network(pooling):
    images = pictures.split(10).images
    torch.manual_seed(0)
    found = simulation(settled(models.build(spec(pooling)), images), images)
    # What lies inside a self-attentive pool is no module's output: it is computed in another order on the device.
    assert [name for name in found.unmatched if ".pool" not in name] == []
    assert bool(found.unmatched) == (pooling == "self_attentive")


def test_the_last_epochs_are_quantised_and_the_best_is_one_of_them(trained):
    result = trained
    assert [row.quantised for row in result.history] == [False, False, True, True]
    assert result.best.quantised
    assert result.best.val_accuracy == max(row.val_accuracy for row in result.history if row.quantised)


def test_statistics_of_normalisation_rest_while_it_is_quantised():
    seen = []

    class Watches(Silent):
        def epoch(self, metrics):
            seen.append(metrics.epoch)

    data = pictures.data_set()
    whole = fit(spec("average"), data, replace(CONFIG, epochs=2, quantised_epochs=2), progress=Watches())
    assert seen == [1, 2]
    fresh = [value for name, value in whole.model.state_dict().items() if name.endswith("num_batches_tracked")]
    assert all(int(value) == 0 for value in fresh)


def test_it_resumes_to_the_same_bits(tmp_path):
    class Stops(Silent):
        left = 17

        def batch(self, images):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    data, what = pictures.data_set(), spec("average")
    config = replace(CONFIG, ema=0.9)
    whole = fit(what, data, config)
    with pytest.raises(KeyboardInterrupt):
        fit(what, data, config, snapshot=tmp_path / "last.ckpt", progress=Stops())
    again = fit(what, data, config, snapshot=tmp_path / "last.ckpt", resume=True)
    assert all(torch.equal(value, whole.model.state_dict()[name]) for name, value in again.model.state_dict().items())


def test_kernels_are_rounded_as_the_exporter_rounds_them():
    weight = torch.randn(6, 4, 3, 3) * torch.logspace(-3, 2, 6)[:, None, None, None]
    factor = np.array([1, -2, 0.5, 3, -1, 10], np.float32)
    integers, scales, _, _ = weight_and_bias(
        weight.numpy() * factor[:, None, None, None], np.zeros(6, np.float32), 1 / 128, 0
    )
    expected = integers * np.array(scales.scale)[:, None, None, None] / factor[:, None, None, None]
    assert round_kernel(weight).numpy() == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_activations_are_rounded_as_the_exporter_rounds_them():
    values = torch.linspace(-2, 7, 1001)
    quantization = asymmetric(Range(-1.0, 6.0))
    expected = (to_int8(values.numpy(), quantization).astype(float) - quantization.zero_point[0]) * quantization.scale[
        0
    ]
    rounded = Point(quantization).round(values).numpy()
    # A value between two steps may go to either.
    assert np.mean(np.isclose(rounded, expected, atol=1e-6)) > 0.99
    assert np.abs(rounded - expected).max() <= quantization.scale[0] * 1.001


def test_gradients_pass_rounding_and_stop_outside_the_range():
    values = torch.tensor([-9.0, 0.3, 2.2, 9.0], requires_grad=True)
    quantization = asymmetric(Range(-1.0, 6.0))
    Point(quantization).round(values).sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 0]


def test_averages_halfway_between_integers_go_away_from_zero():
    # kernels/internal/reference/integer_ops/pooling.h: acc > 0 ? (acc + count / 2) / count : (acc - count / 2) / count
    point = Point(Quantization((0.1,), (3,)), average=True)
    integers = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.75, -0.75, 127.5])
    rounded = point.round((integers - 3) * 0.1) / 0.1 + 3
    assert rounded.tolist() == pytest.approx([-3, -2, -1, 1, 2, 3, 1, -1, 127], abs=1e-4)


def test_the_recipe_on_the_command_line(tmp_path):
    data = pictures.write(tmp_path / "data")
    line = ["train", "--data", str(data), "--model", "mobilenet_v2-self_attentive-2221111", "--width", "0.1"]
    line += ["--recipe", "qat", "--epochs", "5", "--batch-size", "8", "--accelerator", "cpu"]
    assert main([*line, "-o", str(tmp_path / "run")]) == 0
    saved = checkpoint.load(tmp_path / "run" / "model.safetensors")
    assert saved.header["recipe"]["quantised_epochs"] == 5
    assert [row.rsplit(",", 1)[1] for row in (tmp_path / "run" / "metrics.csv").read_text().split()[1:]] == ["1"] * 5
