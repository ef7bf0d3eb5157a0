"""What a firmware needs to run an exported model in TensorFlow Lite Micro, as C++ sources."""

from exporters.firmware.arena import ArenaBudget, budget
from exporters.firmware.sources import Interface, sources

__all__ = ["ArenaBudget", "Interface", "budget", "sources"]
