"""What a figure was measured on, in words."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> str:
    """What /proc/cpuinfo calls it, where there is one."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def machine() -> str:
    """Processor, the cores that this process may use, and Python."""
    return f"{processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
