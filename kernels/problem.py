"""The one description of a convolution that every room of the project shares, and its text form."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from kernels.errors import ProblemError, UnsupportedProblem

__all__ = ["DIRECTIONS", "Conv2dProblem", "ProblemError", "UnsupportedProblem"]

#: Forward, backward data (the gradient of the input), backward weights (the gradients of weights and bias).
DIRECTIONS = ("fwd", "bwd_d", "bwd_w")

_DTYPES = {"float32": 4, "float64": 8}
#: Bytes of an array that 64 bits can index, and digits of a number that may be one of its extents.
_MOST_BYTES, _MOST_DIGITS = 2**63 - 1, 19


@dataclass(frozen=True, slots=True)
class Conv2dProblem:
    """A two-dimensional convolution, or one of its gradients, with every extent fixed.

    Letters are oneDNN's. All extents are in elements; dilation 1 is dense. They are those of the forward
    convolution in every direction.

    Parameters
    ----------
    ic, ih, iw : int
        Input channels, height and width. ``src`` has shape ``(mb, ic, ih, iw)``.
    oc, kh, kw : int
        Output channels, kernel height and width. ``wei`` has shape
        ``(oc, ic // g, kh, kw)``.
    mb : int
        Batch. Zero is allowed and gives an empty result.
    g : int
        Groups; must divide ``ic`` and ``oc``.
    sh, sw : int
        Stride.
    ph, pw : int
        Zeros above and to the left.
    pb, pr : int, optional
        Zeros below and to the right; ``None`` copies ``ph`` and ``pw``.
    dh, dw : int
        Dilation.
    bias : bool
        Whether a vector of a number per channel is added to the result (forward: ``oc``; backward data, which is
        a transposed convolution: ``ic``), or, backward weights, the gradient of such a vector is computed as well.
    dtype : {"float32", "float64"}
        Element type of every array.
    direction : {"fwd", "bwd_d", "bwd_w"}
        What is computed: the convolution; backward data, the gradient of its input, from the gradient of its
        output and the weights; backward weights, the gradient of its weights, from its input and the gradient of
        its output.

    Raises
    ------
    ProblemError
        An extent is out of range, ``g`` does not divide, or the kernel is larger
        than the padded input.
    """

    ic: int
    ih: int
    iw: int
    oc: int
    kh: int
    kw: int
    mb: int = 1
    g: int = 1
    sh: int = 1
    sw: int = 1
    ph: int = 0
    pw: int = 0
    pb: int | None = None
    pr: int | None = None
    dh: int = 1
    dw: int = 1
    bias: bool = False
    dtype: str = "float32"
    direction: str = "fwd"

    def __post_init__(self) -> None:
        if self.pb is None:
            object.__setattr__(self, "pb", self.ph)
        if self.pr is None:
            object.__setattr__(self, "pr", self.pw)
        for key in _KEYS:
            object.__setattr__(self, key, _extent(key, getattr(self, key)))
        if type(self.bias) is not bool:
            object.__setattr__(self, "bias", _truth("bias", self.bias))
        if not isinstance(self.dtype, str) or self.dtype not in _DTYPES:
            raise ProblemError(f"dtype is {self.dtype!r}, expected one of {', '.join(_DTYPES)}")
        if not isinstance(self.direction, str) or self.direction not in DIRECTIONS:
            raise ProblemError(f"direction is {self.direction!r}, expected one of {', '.join(DIRECTIONS)}")
        for key in ("ic", "oc"):
            if getattr(self, key) % self.g:
                raise ProblemError(f"{key} is {getattr(self, key)}, expected a multiple of g={self.g}")
        padded, kernel = self.padded_shape, self.kernel_extent
        if kernel[0] > padded[0] or kernel[1] > padded[1]:
            raise ProblemError(
                f"kernel extent {kernel[0]}x{kernel[1]} (dilation included) is larger than "
                f"the padded input {padded[0]}x{padded[1]}"
            )
        arrays = {
            "the padded input": (self.mb, self.ic, *padded), "weight": self.weight_shape, "output": self.output_shape,
        }  # fmt: skip
        for name, shape in arrays.items():
            if math.prod(shape) * self.itemsize > _MOST_BYTES:
                raise ProblemError(
                    f"{name} of shape {shape} takes {math.prod(shape) * self.itemsize} bytes, expected less than 2**63"
                )

    # -- geometry ---------------------------------------------------------

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of one source plane with its padding."""
        assert self.pb is not None and self.pr is not None
        return self.ih + self.ph + self.pb, self.iw + self.pw + self.pr

    @property
    def kernel_extent(self) -> tuple[int, int]:
        """Height and width that a kernel spans, its dilation included."""
        return (self.kh - 1) * self.dh + 1, (self.kw - 1) * self.dw + 1

    @property
    def oh(self) -> int:
        """Output height."""
        return (self.padded_shape[0] - self.kernel_extent[0]) // self.sh + 1

    @property
    def ow(self) -> int:
        """Output width."""
        return (self.padded_shape[1] - self.kernel_extent[1]) // self.sw + 1

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``src``: ``(mb, ic, ih, iw)``."""
        return self.mb, self.ic, self.ih, self.iw

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``wei``: ``(oc, ic // g, kh, kw)``."""
        return self.oc, self.ic // self.g, self.kh, self.kw

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of ``dst``: ``(mb, oc, oh, ow)``."""
        return self.mb, self.oc, self.oh, self.ow

    @property
    def operand_shapes(self) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
        """Shapes of the two arrays that are read.

        Forward: input and weights. Backward data: gradient of the output and weights. Backward weights: input and
        gradient of the output.
        """
        if self.direction == "bwd_w":
            return self.input_shape, self.output_shape
        return (self.input_shape if self.direction == "fwd" else self.output_shape), self.weight_shape

    @property
    def result_shape(self) -> tuple[int, ...]:
        """Shape of the array that is written.

        Backward weights with a bias it is one row: the gradient of the weights, then that of the bias.
        """
        if self.direction == "bwd_w":
            return (math.prod(self.weight_shape) + self.oc,) if self.bias else self.weight_shape
        return self.output_shape if self.direction == "fwd" else self.input_shape

    @property
    def bias_shape(self) -> tuple[int]:
        """Shape of the bias: a number per channel of the result; backward weights, of its gradient."""
        return (self.ic if self.direction == "bwd_d" else self.oc,)

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return _DTYPES[self.dtype]

    @property
    def is_depthwise(self) -> bool:
        """Whether every input channel is a group of its own."""
        return self.g == self.ic and self.g > 1

    # -- work -------------------------------------------------------------

    @property
    def macs_nominal(self) -> int:
        """Multiply-adds by the usual formula, taps that fall on padding included."""
        return self.mb * self.oc * self.oh * self.ow * (self.ic // self.g) * self.kh * self.kw

    @property
    def macs_useful(self) -> int:
        """Multiply-adds of taps that fall inside the input."""
        rows = _inside_taps(self.oh, self.kh, self.sh, self.dh, self.ph, self.ih)
        columns = _inside_taps(self.ow, self.kw, self.sw, self.dw, self.pw, self.iw)
        return self.mb * self.oc * (self.ic // self.g) * rows * columns

    # -- text -------------------------------------------------------------

    def __str__(self) -> str:
        return _problem_text({field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def parse(cls, text: str) -> Conv2dProblem:
        """Read a problem from its text form; the inverse of ``str``.

        Keys are the parameter names, each followed by its number and joined without a
        separator. ``iw kw sw pw dw`` copy ``ih kh sh ph dh`` if they are missing,
        ``pb pr`` copy ``ph pw``; ``b1`` adds a bias and ``f64`` selects float64. ``bwd_d:`` and ``bwd_w:``
        in front give the direction.

        Parameters
        ----------
        text : str
            For instance ``"g32mb1ic128ih56oc128kh3sh1ph1"``.

        Returns
        -------
        Conv2dProblem

        Raises
        ------
        ProblemError
            The text does not parse, names an unknown or repeated key, or describes
            an impossible convolution.

        Examples
        --------
        >>> str(Conv2dProblem.parse("ic64ih56iw56oc64kh3kw3ph1"))
        'ic64ih56oc64kh3ph1'
        >>> Conv2dProblem.parse("bwd_w:ic64ih56oc64kh3ph1").result_shape
        (64, 64, 3, 3)
        """
        return cls(**_read_problem_text(text))

    def replace(self, **changes: object) -> Conv2dProblem:
        """Return a copy with some extents changed and every other one kept."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Conv2dProblem(**{**values, **changes})


def _extent(key: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise ProblemError(f"{key} is {value!r}, expected an integer") from None
    least = 0 if key in ("mb", "ph", "pw", "pb", "pr") else 1
    if number < least:
        raise ProblemError(f"{key} is {number}, expected at least {least}")
    if number > _MOST_BYTES:
        raise ProblemError(f"{key} is more than 2**63 - 1, expected an extent of an array")
    return number


def _truth(key: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ProblemError(f"{key} is {value!r}, expected True or False")
    return bool(value)


def _inside_taps(out: int, kernel: int, stride: int, dilation: int, pad: int, extent: int) -> int:
    """Count pairs (output position, tap) along one axis that read a real input element."""

    def up_to(most: int) -> int:
        """Pairs with ``o * stride + tap * dilation <= most``."""
        if most < 0:
            return 0
        # Taps that all positions go with, and taps that any goes with.
        whole = min(kernel, max(0, (most - (out - 1) * stride) // dilation + 1))
        some = min(kernel, most // dilation + 1)
        least = most - (some - 1) * dilation
        return out * whole + (some - whole) + _sum_of_quotients(some - whole, stride, dilation, least)

    return up_to(extent - 1 + pad) - up_to(pad - 1)


def _sum_of_quotients(count: int, divisor: int, step: int, start: int) -> int:
    """The sum of ``(start + i * step) // divisor`` over i below ``count``; in as many steps as Euclid's algorithm."""
    total = 0
    while count > 0:
        total += count * (count - 1) // 2 * (step // divisor) + count * (start // divisor)
        step, start = step % divisor, start % divisor
        # What is left are points below a line: counted along the other axis.
        last = step * count + start
        count, start = divmod(last, divisor)
        divisor, step = step, divisor
    return total


# -- the text form -----------------------------------------------------------

#: Extents in the order in which they are printed.
_KEYS = (
    "g", "mb", "ic", "ih", "iw", "oc", "kh", "kw", "sh", "sw",
    "ph", "pw", "pb", "pr", "dh", "dw",
)  # fmt: skip
_NEEDED = ("ic", "ih", "oc", "kh")
_DEFAULTS = {"g": 1, "mb": 1, "sh": 1, "ph": 0, "dh": 1}
#: Extents that are left out where they are the same as another.
_COPIES = {"iw": "ih", "kw": "kh", "sw": "sh", "pw": "ph", "pb": "ph", "pr": "pw", "dw": "dh"}
_TOKEN = re.compile(r"([a-z]+)(\d+)")


def _problem_text(values: Mapping[str, Any]) -> str:
    """Text of a problem's fields; what goes without saying is left out."""

    def default(key: str) -> Any:
        return values[_COPIES[key]] if key in _COPIES else _DEFAULTS.get(key)

    parts = [f"{key}{values[key]}" for key in _KEYS if values[key] != default(key)]
    parts += ["b1"] * bool(values["bias"]) + ["f64"] * (values["dtype"] == "float64")
    direction: str = values["direction"]
    return f"{direction}:" * (direction != "fwd") + "".join(parts)


def _read_problem_text(text: str) -> dict[str, Any]:
    """Fields of a problem that the text gives, as `Conv2dProblem.parse` explains it.

    Raises
    ------
    ProblemError
        The text does not parse, or names an unknown or repeated key.
    """
    direction, rest = _split_direction(text)
    found = _numbers(rest)
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
    return {**found, "bias": bool(bias), "dtype": f"float{bits}", "direction": direction}


def _split_direction(text: str) -> tuple[str, str]:
    """The direction that a problem text begins with, and what follows it."""
    if not isinstance(text, str) or ":" not in text:
        return "fwd", text
    direction, rest = text.strip().split(":", 1)
    if direction not in DIRECTIONS:
        raise ProblemError(
            f"direction is {direction!r} in problem text {text!r}, expected one of {', '.join(DIRECTIONS)}"
        )
    return direction, rest


def _numbers(text: str) -> dict[str, int]:
    """Number by key."""
    if not isinstance(text, str):
        raise ProblemError(f"problem text is {text!r}, expected text like 'ic64ih56oc64kh3ph1'")
    whole = text.strip()
    end = 0
    found: dict[str, int] = {}
    for match in _TOKEN.finditer(whole):
        if match.start() != end:
            break
        end = match.end()
        key, digits = match.group(1), match.group(2)
        if len(digits) > _MOST_DIGITS:
            raise ProblemError(f"{key} has {len(digits)} digits in a problem text, expected at most {_MOST_DIGITS}")
        value = int(digits)
        if key not in (*_KEYS, "b", "f"):
            raise ProblemError(f"unknown key {key!r} in problem text {text!r}, expected one of {' '.join(_KEYS)} b f")
        if key in found:
            raise ProblemError(f"key {key!r} stands twice in problem text {text!r}")
        found[key] = value
    if not whole or end != len(whole):
        rest = whole[end:] or "nothing"
        raise ProblemError(
            f"malformed problem text {text!r} at {rest!r}, expected keys and numbers like 'ic64ih56oc64kh3ph1'"
        )
    return found
