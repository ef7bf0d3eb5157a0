"""From a float graph and the ranges of its tensors to a graph of integers only."""

from exporters.quantize.convert import quantize
from exporters.quantize.ranges import Motion, Range, observe
from exporters.quantize.separate import separate

__all__ = ["Motion", "Range", "observe", "quantize", "separate"]
