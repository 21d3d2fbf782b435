"""`Block`: a block with every extent fixed, and its text form."""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass

from kernels import ProblemError
from suite.blocks.graph import INPUT, Graph
from suite.blocks.kinds import KINDS

__all__ = ["Block"]

_TOKEN = re.compile(r"([a-z]+)(\d+)")


@dataclass(frozen=True)
class Block:
    """A block as a workload: what `kernels.Conv2dProblem` is to a single convolution.

    Attributes
    ----------
    kind : str
        One of `suite.blocks.kinds.KINDS`.
    sizes : tuple of (str, int)
        Every key of the kind and its extent, in the order of the text.

    Raises
    ------
    ProblemError
        There is no such kind, or no such convolution as it is made of.
    """

    kind: str
    sizes: tuple[tuple[str, int], ...]

    def __post_init__(self) -> None:
        if self.mb < 1:
            raise ProblemError(f"mb is {self.mb}, expected at least 1")
        _ = self.graph

    # -- what is asked of any workload ------------------------------------

    @property
    def dtype(self) -> str:
        """Element type of every array."""
        return "float32"

    @property
    def mb(self) -> int:
        """Batch."""
        return dict(self.sizes)["mb"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(mb, ic, ih, iw)``."""
        return self.graph.shapes[INPUT]

    @property
    def macs_nominal(self) -> int:
        """Multiply-adds of its convolutions by the usual formula; nothing else is counted."""
        return sum(each.macs_nominal for each in self.graph.convolutions)

    @property
    def macs_useful(self) -> int:
        """Multiply-adds of its convolutions without taps that fall on padding."""
        return sum(each.macs_useful for each in self.graph.convolutions)

    @functools.cached_property
    def graph(self) -> Graph:
        """What it computes."""
        return KINDS[self.kind](**dict(self.sizes))

    # -- text -------------------------------------------------------------

    def __str__(self) -> str:
        defaults, extents = _keys(self.kind), dict(self.sizes)
        defaults["iw"] = extents["ih"]
        return f"{self.kind}:" + "".join(f"{key}{n}" for key, n in self.sizes if n != defaults[key])

    @classmethod
    def parse(cls, text: str) -> Block:
        """Read a block from its text form; the inverse of ``str``.

        Its kind, a colon, and keys with a number each as in a convolution's text, of which
        ``e`` is the number of experts. ``iw`` copies ``ih`` if it is missing.

        Raises
        ------
        ProblemError
            The text does not parse, or describes an impossible block.

        Examples
        --------
        >>> str(Block.parse("resnet_stem:mb1ic3ih224iw224oc64"))
        'resnet_stem:ic3ih224oc64'
        """
        kind, colon, rest = text.strip().partition(":")
        if not colon or kind not in KINDS:
            raise ProblemError(f"block text {text!r} has no known kind, expected one of {', '.join(KINDS)} and a colon")
        if not re.fullmatch(f"({_TOKEN.pattern})+", rest):
            raise ProblemError(f"malformed block text {text!r}, expected one like 'resnet_stem:ic3ih224oc64'")
        known, found = _keys(kind), {}
        for key, number in _TOKEN.findall(rest):
            if key not in known or key in found:
                raise ProblemError(f"key {key!r} in block text {text!r}, expected one of {' '.join(known)}, none twice")
            found[key] = int(number)
        if "ih" in found:
            found.setdefault("iw", found["ih"])
        extents = {**known, **found}
        missing = [key for key, extent in extents.items() if extent is None]
        if missing:
            raise ProblemError(f"block text {text!r} has no {' '.join(missing)}, expected all that have no default")
        return cls(kind, tuple((key, extents[key]) for key in known))  # type: ignore[misc]


def _keys(kind: str) -> dict[str, int | None]:
    """Keys of a kind's text in their order, the batch first, with their defaults; ``None`` if one has none."""
    parameters = inspect.signature(KINDS[kind]).parameters.values()
    found = {each.name: None if each.default is each.empty else each.default for each in parameters}
    return {"mb": found.pop("mb"), **found}
