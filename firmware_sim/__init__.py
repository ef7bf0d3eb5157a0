"""What a .tflite costs on a chip: read, account, plan, report, run. Needs numpy and never torch.

model = firmware_sim.read("model.tflite")
report = firmware_sim.memreport(model, profile="cortex-m-cmsis-nn-dsp")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firmware_sim.accounting import MemoryReport, memreport
    from firmware_sim.model import Model, read

_HOMES = {
    "MemoryReport": "firmware_sim.accounting",
    "Model": "firmware_sim.model",
    "memreport": "firmware_sim.accounting",
    "read": "firmware_sim.model",
}

__all__ = ["MemoryReport", "Model", "memreport", "read"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
