"""Amounts -> seconds."""

from __future__ import annotations

from kernels.costs.amounts import Amounts
from kernels.costs.table import cycles
from kernels.tuning.limits import Limits, reference_limits

__all__ = ["packing_seconds", "seconds_by_term"]

#: What starting threads takes, and each time after the first that they wait for each other.
_START_S, _MEETING_S = 2.5e-6, 4e-6
#: What a further thread adds to the bandwidth of memory, and where that ends.
_BANDWIDTH_A_THREAD, _MOST_BANDWIDTH = 0.2, 6.0


#: Work of whole vectors. A core that is built for shorter ones takes twice as long for each, as for a multiply-add.
_VECTOR_WORK = frozenset((
    "blocks", "chunks", "columns", "columns copied", "columns picked", "input steps", "lines copied",
    "loads of single rows", "numbers", "operations", "output steps", "panels of products", "pixel loads", "pixels",
    "pixels gathered", "pixels gathered in part", "points stored", "result vectors", "row vectors",
    "rows transformed", "shifts and picks", "sums put by",
))  # fmt: skip

#: Seconds of packing at all, of an element that a copy brings to its place, of what a call gains by a further thread.
_PACKING_S, _ELEMENT_S, _PACKED_A_THREAD = 2e-6, 0.45e-9, 0.8


def packing_seconds(elements: float, threads: int) -> float:
    """Seconds that packing weights takes.

    Parameters
    ----------
    elements : float
        Packed elements, each counted as often as it takes the time of one that is copied; see `Algorithm`.
    threads : int

    Notes
    -----
    Measured on Zen 3: 0.25 to 0.6 ns an element for copies of 60 KB to 9 MB.
    """
    return _PACKING_S + elements * _ELEMENT_S / (1 + _PACKED_A_THREAD * (threads - 1))


def seconds_by_term(amounts: Amounts, threads: int = 1, limits: Limits | None = None) -> dict[str, float]:
    """Seconds that each kind of work takes; their sum is the time of a call.

    Parameters
    ----------
    amounts : Amounts
    threads : int
    limits : Limits, optional
        Of this machine; of the one that the constants were fitted on by default.

    Returns
    -------
    dict of str to float
        Those that take any time, longest first.
    """
    found = _terms(amounts, threads, limits)
    for each in amounts.beside:
        for name, time in _terms(each, threads, limits).items():
            found[name] = found.get(name, 0.0) + time
    return dict(sorted(((name, time) for name, time in found.items() if time > 0), key=lambda term: -term[1]))


def _terms(amounts: Amounts, threads: int, limits: Limits | None) -> dict[str, float]:
    """Seconds that each kind of work takes in one kind of loops."""
    fitted = reference_limits()
    limits = limits or fitted
    bandwidth = min(_MOST_BANDWIDTH, 1 + _BANDWIDTH_A_THREAD * (threads - 1))
    memory_s = fitted.memory_bytes_per_s / limits.memory_bytes_per_s / fitted.cycles_per_s / bandwidth
    share = amounts.longest / threads
    vector_s = fitted.fma_per_s / fitted.cycles_per_s / limits.fma_per_s
    found = {}
    for name, each in cycles()[amounts.loops].items():
        count = amounts.counts.get(name, 0.0)
        if name == "calls":
            found[name] = count * each / limits.cycles_per_s
        elif name == "multiply-adds":
            found[name] = count * each / limits.fma_per_s * share
        elif name in _VECTOR_WORK:
            found[name] = count * each * vector_s * share
        elif name.endswith(" memory"):
            found[name] = count * each * memory_s
        else:
            found[name] = count * each / limits.cycles_per_s * share
    if threads > 1:
        found["threads"] = _START_S + _MEETING_S * (amounts.meetings - 1)
    return found
