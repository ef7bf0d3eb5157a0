"""Files of weights, read without running what may be in them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from firmware_sim.files import read_bytes
from sapool.errors import FileError

if TYPE_CHECKING:
    import torch

# Entries under which training scripts keep the state dict (torchvision's references: "model"; timm's train.py and
# PyTorch Lightning: "state_dict").
_WRAPPERS: Final = ("state_dict", "model")
_PARALLEL: Final = "module."
"""What torch.nn.DataParallel puts in front of every name."""


def read(path: str | Path) -> dict[str, torch.Tensor]:
    """The tensors of a state dict, by name: of a .safetensors file, or of what torch.save wrote (.pth, .pt).

    Raises:
        FileError: the file is missing, damaged, holds anything but tensors, or a value that is not finite.
    """
    import torch

    data = read_bytes(path)
    content = _safetensors(data, path) if Path(path).suffix == ".safetensors" else _pickled(data, path)
    content = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), Mapping)), content)
    if not content:
        raise FileError("an empty state dict", where=path, hint=_HINT)
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise FileError(f"not a state dict: {name!r} is a {type(value).__name__}", where=path, hint=_HINT)
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise FileError(f"{name} is no plain tensor (sparse, quantised or without values)", where=path)
        # In the precision of the networks, in which a huge double is infinite.
        if value.is_floating_point() and not bool(torch.isfinite(value.float()).all()):
            raise FileError(f"{name} holds values that are not finite", where=path)
    parallel = all(str(name).startswith(_PARALLEL) for name in content)
    return {str(name).removeprefix(_PARALLEL) if parallel else str(name): value for name, value in content.items()}


_HINT: Final = "write one with torch.save(network.state_dict(), path), or as .safetensors"


def _safetensors(data: bytes, path: str | Path) -> Mapping[Any, Any]:
    import safetensors
    from safetensors.torch import load

    try:
        return load(data)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise FileError(f"not a readable .safetensors file ({error})", where=path) from error


def _pickled(data: bytes, path: str | Path) -> Mapping[Any, Any]:
    import torch

    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make the unpickler raise whatever they lead it to
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found:
            raise FileError(
                f"holds {found[1]}, which is no tensor; it was not loaded and nothing in the file was run",
                where=path,
                hint=_HINT,
            ) from error
        raise FileError("not a readable file of torch.save: damaged, or cut off", where=path) from error
    if not isinstance(content, Mapping):
        raise FileError(f"not a state dict but a {type(content).__name__}", where=path, hint=_HINT)
    return content
