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


def machine(device: str = "cpu") -> str:
    """Processor, the cores that this process may use, and Python; in front of them the torch device, if it is another."""
    words = f"{processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    if device == "cpu":
        return words
    import torch

    return f"{torch.cuda.get_device_name(device) if device.startswith('cuda') else device}, {words}"
