"""Who can be timed: our algorithms, and one file a peer library with its ways to be used.

A file of this folder that defines ``CONTENDERS`` is a peer's; nothing else lists them.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Iterable, Sequence

from suite.contenders import ours
from suite.contenders.base import PEER_LIMIT, Contender, Peer, Prepared

__all__ = [
    "PEER_LIMIT",
    "Contender",
    "Peer",
    "Prepared",
    "UnknownContender",
    "absence",
    "contenders",
    "get_contender",
    "select_contenders",
]


_UNKNOWN = "unknown contender {!r}"


class UnknownContender(ValueError):
    """There is no contender of that name."""


def contenders() -> tuple[Contender, ...]:
    """Everybody: our algorithms in order of registration, ``auto``, and the peers, installed or not."""
    return *ours.contenders(), *_peers()


@functools.cache
def _peers() -> tuple[Contender, ...]:
    found: list[Contender] = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda each: each.name):
        found += getattr(importlib.import_module(f"{__name__}.{module.name}"), "CONTENDERS", ())
    return tuple(found)


def get_contender(name: str) -> Contender:
    """The contender called ``name``.

    Raises
    ------
    UnknownContender
        There is none; the message suggests near matches.
    """
    return _named(name, contenders(), _UNKNOWN)


def _named(name: str, everybody: Iterable[Contender], fault: str) -> Contender:
    known = {each.name: each for each in everybody}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"expected all, ours, peers, {', '.join(known)}"
        raise UnknownContender(f"{fault.format(name)}, {hint}")
    return known[name]


def select_contenders(
    names: Iterable[str], among: Sequence[Contender] | None = None, fault: str = _UNKNOWN
) -> tuple[Contender, ...]:
    """Contenders by name; ``all``, ``ours`` and ``peers`` stand for several, but for those `apart`; nobody twice.

    Parameters
    ----------
    names : iterable of str
    among : sequence of Contender, optional
        Defaults to all on single convolutions.
    fault : str
        What is said, before a hint, of a name that nobody has.

    Raises
    ------
    UnknownContender
        There is no such contender; the message suggests near matches.
    """
    everybody = contenders() if among is None else among
    found: dict[str, Contender] = {}
    for name in names:
        if name in ("all", "ours", "peers"):
            group = [
                each for each in everybody if not each.apart and (name == "all" or each.is_peer == (name == "peers"))
            ]
        else:
            group = [_named(name, everybody, fault)]
        found.update((each.name, each) for each in group)
    return tuple(found.values())


def absence(contender: Contender) -> str | None:
    """Why a contender cannot take part on this machine, and what would change that."""
    if contender.version() is not None:
        return None
    return f"{contender.library} is not installed, expected it after: {contender.install()}"
