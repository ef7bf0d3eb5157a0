"""From a float graph and the ranges of its tensors to a graph of integers only."""

from exporters.quantize.calibrate import Calibration, CalibrationRecord
from exporters.quantize.convert import quantize
from exporters.quantize.ranges import Means, Motion, observe
from exporters.quantize.separate import separate
from exporters.quantize.span import Range

__all__ = ["Calibration", "CalibrationRecord", "Means", "Motion", "Range", "observe", "quantize", "separate"]
