"""From a float graph and the ranges of its tensors to a graph of integers only."""

from exporters.quantize.convert import quantize
from exporters.quantize.ranges import Range, observe

__all__ = ["Range", "observe", "quantize"]
