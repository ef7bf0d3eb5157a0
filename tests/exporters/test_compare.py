"""Int8 against float, layer by layer: figures, ranking, formats."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from support.nets import randomise
from torch import nn

from exporters.compare import Comparison, LayerError, compare, format_of, formats, render
from exporters.errors import ExportError
from exporters.quantize import Calibration
from exporters.tflite import export
from firmware_sim.errors import UsageError

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.oracle


def tiny():
    return randomise(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 7)))


def compared(net, inputs, **settings):
    model = export(net, (1, 3, 16, 16), [inputs], settings=Calibration(**settings))
    return model, compare(model.content, model.float_graph, model.graph, [inputs[:7], inputs[7:12]])


def by_hand(net, model, inputs):
    """Float values from torch's modules and int8 values from LiteRT, put together without the exporters' code."""
    x = torch.as_tensor(inputs).permute(0, 3, 1, 2)
    stages = [net[1](net[0](x))]
    stages.append(net[2](stages[0]))
    stages.append(net[3](stages[1]))
    exact = [stage.detach().permute(0, 2, 3, 1).numpy() for stage in stages]
    runtime = interpreter.Interpreter(
        model_content=model.content, experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF,
    )  # fmt: skip
    runtime.allocate_tensors()
    details = {tuple(d["shape"]): d for d in runtime.get_tensor_details() if d["dtype"] == np.int8}
    wanted = [details[shape] for shape in ((1, 14, 14, 4), (1, 7, 7, 4), (1, 1, 1, 5))]
    real = [[], [], []]
    for example in inputs:
        runtime.set_tensor(runtime.get_input_details()[0]["index"], (example[None] * 128).astype(np.int8))
        runtime.invoke()
        for values, detail in zip(real, wanted, strict=True):
            scale, zero = detail["quantization"]
            values.append((runtime.get_tensor(detail["index"])[0].astype(float) - zero) * scale)
    return exact, [np.stack(values) for values in real]


def test_the_figures_are_those_of_a_computation_by_hand(inputs):
    net = tiny()
    model, result = compared(net, inputs)
    assert [(layer.layer, layer.op) for layer in result.layers] == [
        ("0", "CONV_2D"), ("2", "MAX_POOL_2D"), ("3", "CONV_2D"),
    ]  # fmt: skip
    exact, real = by_hand(net, model, inputs[:12])
    for layer, f, q in zip(result.layers, exact, real, strict=True):
        noise = np.mean((q - f.astype(float)) ** 2)
        assert layer.sqnr_db == pytest.approx(10 * np.log10(np.mean(f.astype(float) ** 2) / noise), abs=1e-3)
        assert layer.relative_rms == pytest.approx(np.sqrt(noise) / f.std(), rel=1e-4)
    # Alone: the module on what the integers of its input stand for.
    alone = net[3](torch.as_tensor(real[1]).float().permute(0, 3, 1, 2)).detach().permute(0, 2, 3, 1).numpy()
    own = 10 * np.log10(np.mean(alone.astype(float) ** 2) / np.mean((real[2] - alone) ** 2))
    assert result.layers[2].own_sqnr_db == pytest.approx(own, abs=1e-2)
    assert result.layers[1].own_sqnr_db is None  # a pool moves integers and adds nothing
    assert result.examples == 12
    assert result.logit_error == result.layers[2].relative_rms
    same = np.mean(exact[2].reshape(12, -1).argmax(1) == real[2].reshape(12, -1).argmax(1))
    assert result.top1_agreement == pytest.approx(same)


def test_what_is_clipped_is_counted(inputs):
    _, whole = compared(tiny(), inputs)
    assert [layer.saturated for layer in whole.layers] == [0, 0, 0]
    net = tiny()
    narrow = export(net, (1, 3, 16, 16), [0.25 * inputs])
    exact, real = by_hand(net, narrow, inputs)
    result = compare(narrow.content, narrow.float_graph, narrow.graph, [inputs])
    top = real[0].max()
    step = np.diff(np.unique(real[0])).min()
    beyond = np.mean((real[0] == top) & (exact[0] >= top + 0.5 * step))
    assert result.layers[0].saturated == pytest.approx(beyond, abs=1e-6)
    assert result.layers[0].saturated > 0.05


@pytest.mark.parametrize("bad", [0, 4, 8])
def test_a_layer_with_an_outlier_among_its_weights_is_named_worst(bad, inputs):
    net = randomise(
        nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU(),
            nn.Conv2d(8, 16, 1), nn.ReLU(), nn.AvgPool2d(4), nn.ReLU(), nn.Conv2d(16, 10, 4),
        )
    )  # fmt: skip
    # The weights of a channel that is always zero add nothing, but those of the others now share their scale with them.
    inputs = inputs.copy()
    with torch.no_grad():
        net[bad].weight[:, 0] *= 100
        if bad == 0:
            inputs[..., 0] = 0
        else:
            before = net[{4: 2, 8: 4}[bad]]
            before.weight[0], before.bias[0] = 0, -1
    _, result = compared(net, inputs)
    first, second, *_ = result.worst(5)
    assert first.layer == str(bad)
    assert first.own_sqnr_db < second.own_sqnr_db


def test_no_examples_is_an_error(inputs):
    model = export(tiny(), (1, 3, 16, 16), [inputs])
    with pytest.raises(ExportError, match="no examples"):
        compare(model.content, model.float_graph, model.graph, [])
    with pytest.raises(ExportError, match=r"\[8, 8, 3\]"):
        compare(model.content, model.float_graph, model.graph, [inputs[:, :8, :8]])


def test_formats_say_the_same(inputs):
    _, result = compared(tiny(), inputs)
    text = render(result, name="net.tflite")
    assert text.index("lose most by themselves") < text.index("saturated")
    worst = result.worst(1)[0]
    assert f"{worst.index} {worst.op} {worst.layer}: {worst.own_sqnr_db:.1f} dB by itself" in text
    document = json.loads(render(result, "json", name="net.tflite"))
    assert document["schema"] == "sapool.compare/1"
    assert document["model"] == "net.tflite"
    assert document["worst"][0] == worst.index
    assert [LayerError(**layer) for layer in document["layers"]] == list(result.layers)
    rows = list(csv.DictReader(io.StringIO(render(result, "csv", name="=net"))))
    assert [float(row["sqnr_db"]) for row in rows] == [layer.sqnr_db for layer in result.layers]
    assert rows[1]["own_sqnr_db"] == ""
    assert rows[0]["model"] == "'=net"


@pytest.mark.parametrize("format", ["html", "svg"])
def test_pictures_are_sound_and_have_a_bar_for_each_layer(format):
    layers = (
        LayerError(0, "a<b>", "CONV_2D", "x\x07", 40.0, 40.0, 0.01, 0.0, 0.1, 0),
        LayerError(1, "", "RESHAPE", "y", None, None, None, 0.0, 0.1, 0),
        LayerError(2, "c", "CONV_2D", "z", -3.0, 1.0, 1.4, 0.5, 0.1, 0),
    )
    text = render(Comparison(4, "a runtime", 0.5, 0.25, layers), format, name='"net" & co')
    root = ElementTree.fromstring(text)
    bars = [e for e in root.iter("{http://www.w3.org/2000/svg}rect") if e.get("class", "").startswith("bar")]
    assert [float(bar.get("width")) for bar in bars] == [520 * 40 / 50, 1.0]
    assert "://" not in text.replace("http://www.w3.org", "")


def test_the_format_follows_from_the_suffix():
    assert [format_of(Path(f"x.{suffix}")) for suffix in ("txt", "JSON", "csv", "html", "svg")] == list(formats())
    with pytest.raises(UsageError, match="suffix"):
        format_of(Path("x.png"))
    with pytest.raises(UsageError, match="yaml"):
        render(Comparison(1, "", None, 1.0, ()), "yaml")
