"""Contenders: our algorithms and blocks, and one file per peer library with the ways to use it.

A file of this folder that defines ``CONTENDERS`` or ``BLOCK_CONTENDERS`` is found; nothing else lists it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable, Sequence
from typing import Any

from suite.contenders import ours
from suite.contenders.base import PEER_LIMIT, Contender, Peer, Prepared
from suite.hints import hint

__all__ = [
    "PEER_LIMIT",
    "Contender",
    "Peer",
    "Prepared",
    "UnknownContender",
    "absence",
    "block_contenders",
    "contender_of",
    "contenders",
    "get_contender",
    "select_block_contenders",
    "select_contenders",
]


class UnknownContender(ValueError):
    """There is no contender of that name."""


def contenders() -> tuple[Contender[Any, Any], ...]:
    """All on convolutions: our algorithms in order of registration, ``auto``, and the peers, installed or not."""
    return *ours.contenders(), *_found("CONTENDERS")


def block_contenders() -> tuple[Contender[Any, Any], ...]:
    """All on blocks: ours fused and as single layers, and other libraries, installed or not."""
    return _found("BLOCK_CONTENDERS")


@functools.cache
def _found(kind: str) -> tuple[Contender[Any, Any], ...]:
    """What the files of this folder define under a name, ours first."""
    modules = sorted((each.name for each in pkgutil.iter_modules(__path__)), key=lambda name: (name != "ours", name))
    found: list[Contender[Any, Any]] = []
    for name in modules:
        found += getattr(importlib.import_module(f"{__name__}.{name}"), kind, ())
    return tuple(found)


def get_contender(name: str) -> Contender[Any, Any]:
    """The contender on convolutions called ``name``.

    Raises
    ------
    UnknownContender
        There is none; the message suggests near matches.
    """
    return _named(name, contenders(), "")


def contender_of(name: str) -> Contender[Any, Any]:
    """A contender on blocks or on convolutions; no two have one name.

    Raises
    ------
    UnknownContender
    """
    return {each.name: each for each in block_contenders()}.get(name) or get_contender(name)


def select_contenders(names: Iterable[str]) -> tuple[Contender[Any, Any], ...]:
    """Contenders on convolutions by name, none twice.

    Parameters
    ----------
    names : iterable of str
        ``all``, ``ours`` and ``peers`` stand for several, without those `apart`.

    Raises
    ------
    UnknownContender
        There is no such contender; the message suggests near matches.
    """
    return _select(names, contenders(), "")


def select_block_contenders(names: Iterable[str]) -> tuple[Contender[Any, Any], ...]:
    """Contenders on blocks by name, as `select_contenders` does.

    Raises
    ------
    UnknownContender
        There is no such contender; the message suggests near matches.
    """
    return _select(names, block_contenders(), " on blocks")


def _select(names: Iterable[str], among: Sequence[Contender[Any, Any]], on: str) -> tuple[Contender[Any, Any], ...]:
    found: dict[str, Contender[Any, Any]] = {}
    for name in names:
        if name in ("all", "ours", "peers"):
            group = [each for each in among if not each.apart and (name == "all" or each.is_peer == (name == "peers"))]
        else:
            group = [_named(name, among, on)]
        found.update((each.name, each) for each in group)
    return tuple(found.values())


def _named(name: str, among: Iterable[Contender[Any, Any]], on: str) -> Contender[Any, Any]:
    known = {each.name: each for each in among}
    if name not in known:
        raise UnknownContender(f"unknown contender {name!r}{on}, {hint(name, known, 'all, ours, peers, ')}")
    return known[name]


def absence(contender: Contender[Any, Any]) -> str | None:
    """Why a contender cannot take part on this machine, and what would change that."""
    if contender.version() is not None:
        return None
    return f"{contender.library} is not installed, expected it after: {contender.install()}"
