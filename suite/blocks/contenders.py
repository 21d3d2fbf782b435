"""Who can be timed at blocks: ours fused and as single layers, and other libraries."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from suite.blocks import onnxruntime, ours, torch
from suite.contenders import Contender, UnknownContender

__all__ = ["block_contenders", "select_block_contenders"]


def block_contenders() -> tuple[Contender, ...]:
    """Everybody, installed or not."""
    return *ours.CONTENDERS, *torch.CONTENDERS, *onnxruntime.CONTENDERS


def select_block_contenders(names: Iterable[str]) -> tuple[Contender, ...]:
    """Contenders by name, where ``all``, ``ours`` and ``peers`` stand for several; nobody twice.

    Raises
    ------
    UnknownContender
        There is no such contender; the message suggests near matches.
    """
    known = {each.name: each for each in block_contenders()}
    found: dict[str, Contender] = {}
    for name in names:
        if name in ("all", "ours", "peers"):
            group = [each for each in known.values() if name == "all" or each.is_peer == (name == "peers")]
        elif name in known:
            group = [known[name]]
        else:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected all, ours, peers, {', '.join(known)}"
            raise UnknownContender(f"no contender {name!r} on blocks, {hint}")
        found.update((each.name, each) for each in group)
    return tuple(found.values())
