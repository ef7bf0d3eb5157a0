"""Convolutional networks from PyTorch to microcontrollers, with the SRAM price known to the byte."""

from __future__ import annotations

__version__ = "0.1.0"
