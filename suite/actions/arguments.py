"""Values of the options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kernels import DIRECTIONS
from suite.console import fail
from suite.contenders import get_contender, select_contenders
from suite.machine.probes import resolve_threads
from suite.results.rows import Row
from suite.selection import CACHES, Request, select_networks

__all__ = [
    "all_right",
    "batch_of",
    "bytes_of",
    "caches_of",
    "check_amounts",
    "counts",
    "directions_of",
    "part_of",
    "request_of",
    "slower_of",
    "threads_of",
]

#: Digits of the largest number that an array can have elements of.
_MOST_DIGITS = 19


def request_of(
    network: list[str] | None,
    every: bool,
    contender: list[str] | None,
    problem: list[str] | None,
    mb: str,
    threads: list[str] | None,
    *,
    seconds: float = 0.0,
    processes: int = 1,
    cache: str = "warm",
    reference: str = "",
    slower: float = 0.0,
    direction: str = "fwd",
    part: str = "1/1",
) -> Request:
    """A request, or one sentence and exit code 2."""
    batch = batch_of(mb)
    check_amounts(seconds, processes)
    chosen = tuple(each.name for each in select_contenders(contender or ("ours",)))
    if reference and get_contender(reference).name not in chosen:
        fail(f"--reference is {reference!r}, expected one of those that are timed: {', '.join(chosen)}")
    return Request(
        networks=select_networks(network or (), problem or (), every=every),
        problems=tuple(problem or ()),
        contenders=chosen,
        mb=batch,
        threads=threads_of(threads) or (1,),
        budget_s=seconds,
        processes=processes,
        caches=caches_of(cache),
        reference=reference,
        slower=slower_of(slower),
        directions=directions_of(direction),
        part=part_of(part),
    )


def check_amounts(seconds: float, processes: int) -> None:
    """Refuse amounts of measuring that there cannot be."""
    if not seconds >= 0:
        fail(f"--seconds is {seconds}, expected at least 0")
    if not processes >= 1:
        fail(f"--processes is {processes}, expected at least 1")


def slower_of(asked: float) -> float:
    """A factor that contenders are screened by, or 0 for none."""
    if asked != 0 and not asked > 1:
        fail(f"--slower is {asked:g}, expected more than 1, or 0 for no screening")
    return asked


def batch_of(asked: str) -> int | None:
    """A batch, of a text like ``8``; ``None``, for what the files state, of ``listed``."""
    if asked != "listed" and not asked.isdecimal():
        fail(f"--mb is {asked!r}, expected a whole number or 'listed'")
    _check_digits("--mb", asked)
    return None if asked == "listed" else int(asked)


def bytes_of(option: str, asked: str | None) -> int | None:
    """A number of bytes, of a text like ``65536``, ``512KiB`` or ``1.5 MiB``; ``None`` if there is none."""
    if asked is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]iB)?", asked.strip())
    if found is None:
        fail(f"{option} is {asked!r}, expected bytes, as 65536, 512KiB or 1.5MiB")
    _check_digits(option, found[1])
    return int(float(found[1]) * 1024 ** ("KMG".index(found[2][0]) + 1 if found[2] else 0))


def _check_digits(option: str, asked: str) -> None:
    """Refuse numbers that are too long to be read."""
    digits = len(asked.partition(".")[0])
    if digits > _MOST_DIGITS:
        fail(f"{option} has {digits} digits, expected at most {_MOST_DIGITS}")


def threads_of(asked: Iterable[str] | None) -> tuple[int, ...]:
    """Numbers of threads, of texts like ``1,2``."""
    found = []
    for word in (word.strip() for text in asked or () for word in text.split(",")):
        if word.removeprefix("-").isdecimal():
            _check_digits("--threads", word.removeprefix("-"))
        try:
            found.append(resolve_threads(int(word) if word.removeprefix("-").isdecimal() else word))  # type: ignore[arg-type]
        except ValueError as error:
            fail(str(error))
    return tuple(dict.fromkeys(found))


def caches_of(asked: str) -> tuple[str, ...]:
    """Kinds of caches, of a text like ``warm,cold``."""
    found = tuple(dict.fromkeys(word.strip() for word in asked.split(",")))
    for word in found:
        if word not in CACHES:
            fail(f"--cache is {asked!r}, expected {' or '.join(CACHES)} or both with a comma")
    return found


def directions_of(asked: str) -> tuple[str, ...]:
    """Directions, of a text like ``fwd,bwd_d``."""
    found = tuple(dict.fromkeys(word.strip() for word in asked.split(",")))
    for word in found:
        if word not in DIRECTIONS:
            fail(f"--direction is {asked!r}, expected {', '.join(DIRECTIONS)} or several with a comma")
    return found


def part_of(asked: str) -> tuple[int, int]:
    """A part's number and the number of parts, of a text like ``2/3``."""
    found = re.fullmatch(r"(\d+)/(\d+)", asked)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        fail(f"--part is {asked!r}, expected K/N with K from 1 to N")
    return int(found[1]), int(found[2])


def all_right(statuses: Iterable[str]) -> bool:
    """Whether everything was measured and right, as far as it was not refused."""
    return set(statuses) <= {"ok", "skipped", "mistrusted"}


def counts(rows: Iterable[Row]) -> dict[str, int]:
    """How many rows have each status."""
    states = [row["status"] for row in rows]
    return {name: states.count(name) for name in dict.fromkeys(states)}
