"""Argument combinations for `conv2d`, right and wrong, by a fixed seed; plain data, so that they can be recorded."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

__all__ = ["Case", "draw", "fill", "summary"]


@dataclass(frozen=True)
class Case:
    """One call; arrays are named by shape and dtype, their elements by `fill`."""

    input: list[int]
    weight: list[int]
    bias: list[int] | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: Any = 1
    padding_mode: str = "zeros"
    dtypes: tuple[str, str, str] = ("float32", "float32", "float32")

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Input, weight and bias."""
        src, wei = fill(self.input, self.dtypes[0], 1), fill(self.weight, self.dtypes[1], 2)
        return src, wei, None if self.bias is None else fill(self.bias, self.dtypes[2], 3)

    def numbers(self) -> dict[str, Any]:
        """The arguments that are no arrays."""
        names = ("stride", "padding", "dilation", "groups", "padding_mode")
        return {name: getattr(self, name) for name in names}

    def given(self) -> dict[str, Any]:
        """What differs from the defaults, to be written down."""
        return {k: v for k, v in asdict(self).items() if k in ("input", "weight") or v != getattr(Case, k)}


def fill(shape: list[int], dtype: str, salt: int) -> np.ndarray:
    """Elements between -1 and 1 that no generator of random numbers can change; whole ones for other dtypes."""
    count = int(np.prod(shape, dtype=np.int64))
    steps = (np.arange(count, dtype=np.int64) * 7919 + 331 * salt) % 1009 - 504
    return (steps / 504 if dtype.startswith(("float", "complex")) else steps % 5).astype(dtype).reshape(shape)


def summary(result: np.ndarray) -> list[float]:
    """Three sums that a wrong, moved or missing element changes."""
    flat = result.astype(np.float64).ravel()
    ramp = np.arange(1, flat.size + 1) / max(1, flat.size)
    return [round(float(each), 3) for each in (flat.sum(), np.abs(flat).sum(), (flat * ramp).sum())]


def draw(count: int, seed: int) -> list[Case]:
    """``count`` combinations, of which about two in five have one fault or two."""
    rng = random.Random(seed)
    cases = []
    for _ in range(count):
        case = _right(rng)
        if rng.random() < 0.4:
            for _ in range(rng.choice((1, 1, 2))):
                case = rng.choice(_FAULTS)(rng, case)
        cases.append(_settled(case))
    return cases


def _settled(case: Case) -> Case:
    """The case without what `conv2d` is documented to say otherwise than torch."""
    if isinstance(case.padding, str) and case.dtypes[2] != case.dtypes[0]:
        case = replace(case, dtypes=(*case.dtypes[:2], case.dtypes[0]))
    plain = all(_is_plain(each) for each in (case.stride, case.dilation, [case.groups]))
    usual = len(case.input) in (3, 4) and len(case.weight) == 4 and min(case.weight[2:]) > 0
    if case.padding_mode != "zeros" and not (plain and usual):
        case = replace(case, padding_mode="zeros")
    return case


def _is_plain(value: Any) -> bool:
    numbers = value if isinstance(value, list | tuple) else [value]
    return len(numbers) in (1, 2) and all(type(each) is int and 0 < each < 2**31 for each in numbers)


def _axes(rng: random.Random, least: int, most: int) -> Any:
    """A number for both axes in one of the ways to say it."""
    one, other = rng.randint(least, most), rng.randint(least, most)
    return rng.choice((one, [one], (one,), [one, other], (one, other)))


def _right(rng: random.Random) -> Case:
    """A combination that torch computes, but for kernels that do not fit now and then."""
    groups = rng.choice((1, 1, 1, 2, 3))
    icg, ocg = rng.choice(((1, 1), (1, 2), (2, 3), (4, 5), (16, 16), (17, 20)))
    # Kernels that some algorithm is for come more often than others, and so do their strides.
    kernel = rng.choice(([3, 3], [3, 3], [5, 5], [1, 1], [1, 7], [7, 1], [3, 1], [2, 2], [2, 3], [4, 3]))
    plain = rng.random() < 0.6
    stride, dilation = (1, 1) if plain else (_axes(rng, 1, 3), _axes(rng, 1, 2))
    mode = rng.choice(("zeros", "zeros", "zeros", "reflect", "replicate", "circular"))
    padding: Any = rng.choice((0, "valid", _axes(rng, 0, 2), _axes(rng, 0, 2)))
    if plain and rng.random() < 0.4:
        padding = "same"
    if mode != "zeros" and isinstance(padding, list | tuple) and len(padding) == 1:
        padding = padding[0]
    image = [icg * groups, rng.randint(5, 13), rng.randint(7, 13)]
    dtype = rng.choice(("float32", "float32", "float32", "float32", "float64"))
    return Case(
        input=image if rng.random() < 0.2 else [rng.choice((0, 1, 1, 1, 2, 3)), *image],
        weight=[ocg * groups, icg, *kernel],
        bias=[ocg * groups] if rng.random() < 0.5 else None,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
        dtypes=(dtype, dtype, dtype),
    )


_Fault = Callable[[random.Random, Case], Case]

_WRONG_NUMBERS: tuple[Any, ...] = (
    -1, 0, -2, [], [1, 1, 1], [0, 1], [1, 0], [1, -1], 1.0, 1.5, None, True, False, "1", "same", "SAME", "",
    [1.0, 2], [True, 1], [1, True], [1, False], [1, None], ["a", 1], 2**40, 2**63,
)  # fmt: skip


def _wrong_numbers(name: str) -> _Fault:
    def fault(rng: random.Random, case: Case) -> Case:
        value = rng.choice(_WRONG_NUMBERS)
        if name == "padding":
            # Memory for a border of 2**40 is nobody's; negative ones are cut away unless they are zeros.
            value = 3 if value == 2**40 else value
            case = replace(case, padding_mode="zeros")
        return replace(case, **{name: value})

    return fault


def _groups(rng: random.Random, case: Case) -> Case:
    return replace(case, groups=rng.choice((0, -1, 2, 3, 4, 7, 2**40, 2**63, 1.0, True, None, "1", [1], 64)))


def _other_shape(name: str) -> _Fault:
    def fault(rng: random.Random, case: Case) -> Case:
        shape = list(getattr(case, name) or [case.weight[0] if case.weight else 1])
        how = rng.choice(("drop", "add", "change", "empty"))
        place = rng.randrange(len(shape)) if shape else 0
        if how == "drop" or not shape:
            shape = shape[: rng.randint(0, len(shape))]
        elif how == "add":
            shape.insert(place, rng.randint(1, 2))
        else:
            shape[place] = 0 if how == "empty" else rng.randint(1, 9)
        return replace(case, **{name: shape})

    return fault


def _dtypes(rng: random.Random, case: Case) -> Case:
    kinds = ("float32", "float64", "float16", "int32", "int64", "uint8", "int8", "int16", "bool", "complex64")
    first = rng.choice(("float32", "float64"))
    place = rng.choice((1, 2))
    dtypes = [first] * 3
    dtypes[place] = rng.choice(kinds)
    return replace(case, dtypes=tuple(dtypes))


_FAULTS: tuple[_Fault, ...] = (
    _wrong_numbers("stride"), _wrong_numbers("padding"), _wrong_numbers("dilation"), _groups, _dtypes,
    _other_shape("input"), _other_shape("weight"), _other_shape("weight"), _other_shape("bias"),
)  # fmt: skip
