"""From a float graph and the ranges of its tensors to a graph of integers only."""

from exporters.quantize.convert import quantize
from exporters.quantize.ranges import Range, observe
from exporters.quantize.separate import separate

__all__ = ["Range", "observe", "quantize", "separate"]
