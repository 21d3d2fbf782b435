"""The one description of the CPU: its name, vectors, registers and caches."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np

__all__ = [
    "IN_FLIGHT",
    "LINE_BYTES",
    "cache_bytes",
    "cpu_class",
    "cpu_model",
    "lanes_of",
    "odd_lines",
    "vector_bytes",
    "vector_registers",
]

#: Multiply-adds that must be in flight to hide their latency: 4 cycles, two started a cycle.
IN_FLIGHT = 8
#: Bytes of a cache line.
LINE_BYTES = 64


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


@functools.cache
def vector_bytes() -> int:
    """Bytes of the vectors in use: the CPU's widest, or ``CONVMARK_VECTOR_BYTES``.

    Raises
    ------
    ValueError
        The variable is not 16, 32 or 64, or is 64 on a CPU without AVX-512.
    """
    forced, features = os.environ.get("CONVMARK_VECTOR_BYTES"), llvm.get_host_cpu_features()
    # Half vectors are shuffled and masked by the instructions of AVX-512 too.
    widest = all(features.get(each) for each in ("avx512f", "avx512vl", "avx512dq", "avx512bw"))
    if forced is not None:
        if forced not in ("16", "32", "64"):
            raise ValueError(f"CONVMARK_VECTOR_BYTES is {forced!r}, expected 16, 32 or 64")
        if forced == "64" and not widest:
            raise ValueError("CONVMARK_VECTOR_BYTES is '64', expected 16 or 32 without AVX-512 (F, VL, DQ, BW)")
        return int(forced)
    if widest:
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


def cpu_class() -> str:
    """The kind of CPU that costs are fitted for: ``"avx512"``, or ``"avx2"`` for every other."""
    return "avx512" if vector_bytes() == 64 else "avx2"


def lanes_of(dtype: str) -> int:
    """Elements of ``dtype`` in one vector."""
    return vector_bytes() // np.dtype(dtype).itemsize


def odd_lines(elements: int, itemsize: int) -> int:
    """At least so many elements that are an odd number of cache lines: powers of two fall into few sets of L1."""
    line = LINE_BYTES // itemsize
    return (-(-elements // line) | 1) * line


def vector_registers() -> int:
    """Vector registers of the instruction set that vectors of this width are of."""
    return 32 if vector_bytes() == 64 else 16


@functools.cache
def cache_bytes(level: int) -> int:
    """Bytes of the data cache of that level, 1 or 2, of one core; a common size where the system does not tell."""
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, size = (folder / "type").read_text().strip(), (folder / "size").read_text().strip()
            if kind != "Instruction" and int((folder / "level").read_text()) == level:
                return int(size.removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return {1: 32, 2: 512}[level] * 1024
