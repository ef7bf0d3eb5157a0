"""What TensorFlow Lite Micro will refuse, said before the board does.

`refusals` holds a model against what TFLM's interpreter and kernels check. Facts about operators are tables
(`operands.json`, `quantization.json`); what does not fit a table is a rule, one family a file. Every rule that counts as
certain was broken on purpose in the PyPI package of TFLM, which then refused; see `Refusal.certain`.
"""

from __future__ import annotations

from firmware_sim.preflight.checking import refusals
from firmware_sim.preflight.refusal import Refusal, error

__all__ = ["Refusal", "error", "refusals"]
