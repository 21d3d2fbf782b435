"""What the CPU calls itself."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from pathlib import Path

__all__ = ["cpu_model"]


@functools.cache
def cpu_model() -> str:
    """The CPU's model name, as for instance ``AMD EPYC 9R14``; its architecture where the system tells no more."""
    try:
        # Read by lines and no further than needed: a machine of many cores has a long file.
        with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
            for line in lines:
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    if sys.platform == "darwin":
        return _of_macos() or platform.machine()
    return platform.processor() or platform.machine()


def _of_macos() -> str:
    command = ("sysctl", "-n", "machdep.cpu.brand_string")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
