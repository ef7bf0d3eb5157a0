"""Shapes of BATCH_MATMUL."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.preflight.refusal import Refusal
from firmware_sim.preflight.site import Site, rule


@rule("BATCH_MATMUL")
def inner_sizes(site: Site) -> Iterator[Refusal]:
    """The last axis of the left operand meets the last but one of the right (batch_matmul.cc:275)."""
    left, right = site.input(0), site.input(1)
    if left is None or right is None or min(len(left.shape), len(right.shape)) < 2:
        return
    columns = left.shape[-2 if site.operator.option("adj_x") else -1]
    rows = right.shape[-1 if site.operator.option("adj_y") else -2]
    if columns != rows:
        yield site.refuse(f"{columns} columns times {rows} rows", "kernels/batch_matmul.cc")
