"""The format `svg`: both arena maps side by side, on one scale."""

from __future__ import annotations

from firmware_sim.report.bands import BandsReport
from firmware_sim.report.shrink import svg


def render(report: BandsReport) -> str:
    """One picture with both."""
    return svg.render(report.shrink)
