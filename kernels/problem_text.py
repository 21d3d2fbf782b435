"""A convolution as text: keys of oneDNN's letters and their numbers, ``g32ic128ih56oc128kh3ph1``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kernels.errors import ProblemError

__all__ = ["KEYS", "problem_text", "read_problem_text"]

#: Extents in the order in which they are printed.
KEYS = (
    "g", "mb", "ic", "ih", "iw", "oc", "kh", "kw", "sh", "sw",
    "ph", "pw", "pb", "pr", "dh", "dw",
)  # fmt: skip
_NEEDED = ("ic", "ih", "oc", "kh")
_DEFAULTS = {"g": 1, "mb": 1, "sh": 1, "ph": 0, "dh": 1}
#: Extents that are left out where they are the same as another.
_COPIES = {"iw": "ih", "kw": "kh", "sw": "sh", "pw": "ph", "pb": "ph", "pr": "pw", "dw": "dh"}
_TOKEN = re.compile(r"([a-z]+)(\d+)")


def problem_text(values: Mapping[str, Any]) -> str:
    """Text of a problem's fields; what goes without saying is left out."""

    def default(key: str) -> Any:
        return values[_COPIES[key]] if key in _COPIES else _DEFAULTS.get(key)

    parts = [f"{key}{values[key]}" for key in KEYS if values[key] != default(key)]
    return "".join(parts + ["b1"] * bool(values["bias"]) + ["f64"] * (values["dtype"] == "float64"))


def read_problem_text(text: str) -> dict[str, Any]:
    """Fields of a problem that the text gives, as `Conv2dProblem.parse` explains it.

    Raises
    ------
    ProblemError
        The text does not parse, or names an unknown or repeated key.
    """
    found = _numbers(text)
    bias, bits = found.pop("b", 0), found.pop("f", 32)
    if bias not in (0, 1):
        raise ProblemError(f"b is {bias} in problem text {text!r}, expected 0 or 1")
    if bits not in (32, 64):
        raise ProblemError(f"f is {bits} in problem text {text!r}, expected 32 or 64")
    for key in _NEEDED:
        if key not in found:
            raise ProblemError(f"problem text {text!r} has no {key!r}, expected at least ic, ih, oc and kh")
    for key, source in _COPIES.items():
        if source in found:
            found.setdefault(key, found[source])
    return {**found, "bias": bool(bias), "dtype": f"float{bits}"}


def _numbers(text: str) -> dict[str, int]:
    """Number by key."""
    whole = text.strip()
    end = 0
    found: dict[str, int] = {}
    for match in _TOKEN.finditer(whole):
        if match.start() != end:
            break
        end = match.end()
        key, value = match.group(1), int(match.group(2))
        if key not in (*KEYS, "b", "f"):
            raise ProblemError(f"unknown key {key!r} in problem text {text!r}, expected one of {' '.join(KEYS)} b f")
        if key in found:
            raise ProblemError(f"key {key!r} stands twice in problem text {text!r}")
        found[key] = value
    if not whole or end != len(whole):
        rest = whole[end:] or "nothing"
        raise ProblemError(
            f"malformed problem text {text!r} at {rest!r}, expected keys and numbers like 'ic64ih56oc64kh3ph1'"
        )
    return found
