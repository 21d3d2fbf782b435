"""What of torch's checks more than one place asks for, so that each of its sentences stands once."""

from __future__ import annotations

from collections.abc import Sequence

from kernels.errors import ShapeError

__all__ = [
    "check_channels",
    "check_not_negative",
    "check_rank",
    "check_same_strides",
    "other_length",
    "unknown_padding",
]


def check_channels(name: str, channels: int, groups: int) -> None:
    """Refuse channels of a layer that its groups do not share evenly."""
    if channels % groups:
        raise ShapeError(f"{name} must be divisible by groups")


def check_rank(shape: Sequence[int]) -> None:
    """Refuse an input with other than 3 or 4 dimensions."""
    if len(shape) not in (3, 4):
        raise ShapeError(
            f"Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: {list(shape)}"
        )


def check_not_negative(padding: Sequence[int]) -> None:
    """Refuse padding that would cut."""
    if min(padding) < 0:
        raise ShapeError("negative padding is not supported")


def check_same_strides(stride: Sequence[int]) -> None:
    """Refuse strides with ``"same"``."""
    if any(step != 1 for step in stride):
        raise ShapeError("padding='same' is not supported for strided convolutions")


def unknown_padding(padding: str) -> ShapeError:
    """For a string that is no padding."""
    return ShapeError(f"Invalid padding string: '{padding}'")


def other_length(name: str, value: Sequence[int], rank: int) -> ShapeError:
    """For a sequence with other than a number an axis."""
    return ShapeError(
        f"expected {name} to be a single integer value or a list of {rank} values "
        f"to match the convolution dimensions, but got {name}={value}"
    )
