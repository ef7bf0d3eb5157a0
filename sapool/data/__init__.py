"""Labelled images in memory, from the embedded digits, folders and archives; and what a network makes of a pixel."""

from __future__ import annotations

from sapool.data.dataset import PARTS, DataSet, Split
from sapool.data.sources import EMBEDDED
from sapool.data.sources import open_data_set as open  # shadows the builtin here only; reads as `sapool.data.open`

__all__ = ["EMBEDDED", "PARTS", "DataSet", "Split", "open"]
