"""Numbers as people read them, and text from elsewhere made safe to show."""

from __future__ import annotations

import re

__all__ = [
    "circumstances",
    "factor",
    "interval",
    "number",
    "one_line",
    "percent",
    "printable",
    "ratio",
    "scientific",
    "size",
    "span",
]


#: What neither XML 1.0 nor UTF-8 can hold, or what a terminal would act on; tabs and line ends stay.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

#: Longest text from elsewhere where one line is wanted.
_CLIP = 300


def printable(text: str) -> str:
    """Text without control characters and broken surrogates: their escapes stand in for them."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str, limit: int = _CLIP) -> str:
    """Text as one printable line of at most ``limit`` characters; an ellipsis says that it was longer."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def circumstances(threads: int, cache: str) -> str:
    """Number of threads and, if they were emptied, state of the caches, in words."""
    return f"{threads} thread{'' if threads == 1 else 's'}{', cold caches' if cache == 'cold' else ''}"


def span(seconds: float | None) -> str:
    """Seconds as ``1.23 s``, ``4.56 ms`` or ``78.9 us``; ``0`` below a tenth of a microsecond."""
    if seconds is None:
        return ""
    if seconds < 1e-7:
        return "0"
    for factor, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= factor:
            return f"{_three(seconds / factor)} {unit}"
    return f"{_three(seconds * 1e6)} us"


def size(nbytes: int | None) -> str:
    """Bytes as ``0``, ``512 B``, ``1.5 KiB`` or ``20.1 MiB``."""
    if nbytes is None:
        return ""
    if nbytes < 1024:
        return f"{nbytes} B" if nbytes else "0"
    value, unit = nbytes / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def number(value: float | None) -> str:
    """A speed with three digits."""
    return "" if value is None else _three(value)


def percent(value: float | None) -> str:
    """A percentage without its sign."""
    return "" if value is None else f"{value:.1f}"


def ratio(value: float | None) -> str:
    """A ratio of times, fine enough for a few percent."""
    return "" if value is None else f"{value:.3f}"


def interval(low: float | None, high: float | None) -> str:
    """Both ends of a `ratio`'s interval."""
    return "" if low is None or high is None else f"{low:.3f} .. {high:.3f}"


def factor(value: float | None) -> str:
    """How many times as fast."""
    return "" if value is None else f"{value:.2f}x"


def scientific(value: float | None) -> str:
    """An error."""
    return "" if value is None else f"{value:.1e}"


def _three(value: float) -> str:
    """Three digits, never as a power of ten."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
