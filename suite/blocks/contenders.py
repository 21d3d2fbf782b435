"""Who can be timed at blocks: ours fused and as single layers, and other libraries."""

from __future__ import annotations

from collections.abc import Iterable

from suite.blocks import onnxruntime, ours, torch
from suite.contenders import Contender, select_contenders

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
    return select_contenders(names, block_contenders(), "no contender {!r} on blocks")
