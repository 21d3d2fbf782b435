"""Hints for names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["hint"]


def hint(name: str, known: Iterable[str], expected: str = "one of ") -> str:
    """Near matches of a name, or all names that there are.

    Parameters
    ----------
    name : str
    known : iterable of str
    expected : str
        Said before all names if none is near.
    """
    names = [*known]
    near = difflib.get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"expected {expected}{', '.join(names)}"
