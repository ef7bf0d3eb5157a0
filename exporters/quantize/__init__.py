"""From a float graph and the ranges of its tensors to a graph of integers only."""

from exporters.quantize.calibrate import Calibration, CalibrationRecord
from exporters.quantize.convert import quantize
from exporters.quantize.ranges import Motion, observe
from exporters.quantize.rounding import round_in_place
from exporters.quantize.separate import separate
from exporters.quantize.span import Range

__all__ = ["Calibration", "CalibrationRecord", "Motion", "Range", "observe", "quantize", "round_in_place", "separate"]
