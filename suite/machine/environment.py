"""The machine's stamp, and the limits that speeds are stated against."""

from __future__ import annotations

import functools
import json
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

import kernels
from suite.digests import digest, sources_digest
from suite.git import GitError, git, repository_root
from suite.machine import probes
from suite.records import checked

__all__ = [
    "STATED_COMMIT",
    "Limits",
    "Machine",
    "commit_of_sources",
    "evicting_bytes",
    "measure_limits",
    "this_machine",
]

#: A file next to the packages that says the commit of sources without a repository.
STATED_COMMIT = "convmark-commit.json"

_ROOT = Path(__file__).resolve().parent.parent.parent

#: Features that decide which kernels run, in order of width.
_FEATURES = (
    "sse4.2", "avx", "f16c", "avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni",
    "avx512bf16", "amx-tile", "neon", "fullfp16", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """What a result depends on besides the code that was timed.

    Attributes
    ----------
    cpu : str
        Model name.
    cores : int
        CPUs that this process may run on.
    threads : int
        Most threads that Numba may use.
    caches : dict
        Bytes of ``"L1d"``, ``"L2"``, ``"L3"`` as the first CPU sees them; only those found.
    features : tuple of str
        Instruction sets.
    vector_bytes : int
        Bytes of the vectors that the kernels use.
    os, python, numpy, numba, llvmlite, pandas : str
        Versions.
    commit : str
        Git commit of the sources; empty outside a repository.
    dirty : bool
        Whether tracked files differ from that commit.
    sources : str
        Digest of the files of ``kernels``: tells two uncommitted states apart.
    """

    cpu: str
    cores: int
    threads: int
    caches: dict[str, int]
    features: tuple[str, ...]
    vector_bytes: int
    os: str
    python: str
    numpy: str
    numba: str
    llvmlite: str
    pandas: str
    commit: str
    dirty: bool
    sources: str

    @property
    def stamp(self) -> str:
        """Short digest of everything above; rows refer to it."""
        return digest((repr(sorted(self.as_dict().items())),), 12)

    @property
    def platform(self) -> str:
        """What times depend on: a model's name alone says too little of a virtual machine."""
        caches = " ".join(f"{name} {size // 1024}K" for name, size in sorted(self.caches.items()))
        return f"{self.cpu}, {self.cores} cores, {8 * self.vector_bytes} bits" + (f", {caches}" if caches else "")

    def as_dict(self) -> dict[str, Any]:
        """Everything above in types that JSON knows."""
        values = asdict(self)
        values["features"] = list(self.features)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Machine:
        """The inverse of `as_dict`."""
        return checked(cls(**{**values, "features": tuple(values["features"])}))


@dataclass(frozen=True)
class Limits:
    """What the machine can do at most, measured.

    Attributes
    ----------
    fma_gflops : dict
        GFLOP/s of multiply-adds by dtype and by number of threads.
    bandwidth_gb_s : dict
        GB/s between memory and cores by number of threads.
    """

    fma_gflops: dict[str, dict[int, float]]
    bandwidth_gb_s: dict[int, float]

    def as_dict(self) -> dict[str, Any]:
        """Everything above with text keys, as JSON wants them."""
        return {
            "fma_gflops": {
                dtype: {str(n): rate for n, rate in rates.items()} for dtype, rates in self.fma_gflops.items()
            },
            "bandwidth_gb_s": {str(n): rate for n, rate in self.bandwidth_gb_s.items()},
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Limits:
        """The inverse of `as_dict`."""
        return cls(
            {
                dtype: {int(n): float(rate) for n, rate in rates.items()}
                for dtype, rates in values["fma_gflops"].items()
            },
            {int(n): float(rate) for n, rate in values["bandwidth_gb_s"].items()},
        )


@functools.cache
def this_machine() -> Machine:
    """The stamp of the machine and the sources that this process runs on."""
    commit, dirty, _ = commit_of_sources()
    return Machine(
        cpu=probes.cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=numba.config.NUMBA_NUM_THREADS,  # type: ignore[attr-defined]
        caches=_caches(Path("/sys/devices/system/cpu/cpu0/cache")),
        features=_features(),
        vector_bytes=probes.vector_bytes(),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=sys.version.split()[0],
        numpy=np.__version__,
        numba=numba.__version__,
        llvmlite=llvmlite.__version__,
        pandas=metadata.version("pandas"),
        commit=commit,
        dirty=dirty,
        sources=sources_digest(Path(kernels.__file__).resolve().parent),
    )


def measure_limits(threads: Iterable[int], dtypes: Iterable[str] = ("float32",)) -> Limits:
    """Measure the limits for each number of threads; takes a second or two each.

    Parameters
    ----------
    threads : iterable of int
    dtypes : iterable of str
    """
    counts = sorted(set(threads))
    # Twice the last cache for each of the three arrays, within reason on the largest machines.
    nbytes = min(6 * max([2**24, *this_machine().caches.values()]), 2**29)
    return Limits(
        {dtype: {n: probes.measure_fma(dtype, n) for n in counts} for dtype in sorted(set(dtypes))},
        {n: probes.measure_bandwidth(n, nbytes) for n in counts},
    )


def evicting_bytes() -> int:
    """How much must be written to before no cache holds anything else, within reason on the largest machines."""
    return min(2 * max([2**24, *this_machine().caches.values()]), 2**28)


def _caches(folder: Path) -> dict[str, int]:
    """Data caches as Linux describes them: one folder each, with level, type and a size like '48K'."""
    found = {}
    for index in sorted(folder.glob("index*")):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind in ("Data", "Unified") and size[:-1].isdigit() and size[-1] in "KMG":
            found[f"L{level}{'d' if kind == 'Data' else ''}"] = int(size[:-1]) * 1024 ** ("KMG".index(size[-1]) + 1)
    return found


def _features() -> tuple[str, ...]:
    have = llvm.get_host_cpu_features()
    return tuple(name for name in _FEATURES if have.get(name))


@functools.cache
def commit_of_sources() -> tuple[str, bool, str]:
    """Commit of these sources, whether tracked files differ from it, and why there is none.

    Returns
    -------
    commit : str
        Empty if there is none.
    dirty : bool
    reason : str
        Git's words; empty if there is a commit, or no repository of these sources.
    """
    stated = _ROOT / STATED_COMMIT
    if stated.exists():
        values = json.loads(stated.read_text(encoding="utf-8"))
        return str(values["commit"]), bool(values["dirty"]), ""
    try:
        # Installed below another repository: its commit would say nothing of these sources.
        if repository_root(_ROOT) != _ROOT:
            return "", False, ""
        changes = git(_ROOT, "status", "--porcelain", "--untracked-files=no")
        return git(_ROOT, "rev-parse", "HEAD").decode().strip(), bool(changes), ""
    except GitError as error:
        return "", False, "" if error.is_outside else str(error)
