"""Records that were read from files, checked to be what their classes say."""

from __future__ import annotations

import functools
import types
import typing
from dataclasses import fields
from typing import Any, TypeVar

__all__ = ["checked", "fits"]

_Record = TypeVar("_Record")


def checked(record: _Record) -> _Record:
    """The same record of a dataclass, if every attribute is of the kind that it is annotated with.

    Raises
    ------
    TypeError
        One is not; the message names it.
    """
    hints = _hints(type(record))  # type: ignore[arg-type]
    for each in fields(record):  # type: ignore[arg-type]
        value = getattr(record, each.name)
        if not fits(value, hints[each.name]):
            raise TypeError(f"{each.name} is {value!r}"[:80] + f", expected {hints[each.name]}")
    return record


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated kind: a class, a union, or a list, tuple or dict of those."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return any(fits(value, each) for each in inner)
    if origin in (list, tuple):
        return isinstance(value, origin) and all(fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
