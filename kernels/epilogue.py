"""What happens to a sum before it is stored."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NO_EPILOGUE", "Epilogue"]


class _Steps(NamedTuple):
    residual: bool = False
    relu: bool = False
    slope: float = 0.0
    residual_last: bool = False


class Epilogue(_Steps):
    """Steps that a convolution ends with, done while its sums are in registers.

    The result is ``act(convolution + bias + residual)``, or ``act(convolution + bias) + residual``
    with ``residual_last``. Each step but the first may be left out; the bias is the problem's. NaN
    passes through ``act``, as in PyTorch.

    Attributes
    ----------
    residual : bool
        Whether an array of the result's shape is added.
    relu : bool
        Whether ``act`` is a ReLU; it is nothing otherwise.
    slope : float
        What the ReLU multiplies negative numbers by, from 0 to 1: a leaky ReLU where it is not 0.
    residual_last : bool
        Whether the residual is added behind the ReLU, not before it.

    Raises
    ------
    ValueError
        The slope is out of range, or something is asked of a step that is left out.
    """

    __slots__ = ()

    def __new__(
        cls, residual: bool = False, relu: bool = False, slope: float = 0.0, residual_last: bool = False
    ) -> Epilogue:
        """Check the numbers."""
        if not 0 <= slope <= 1:
            raise ValueError(f"slope is {slope!r}, expected a number from 0 to 1")
        if slope and not relu:
            raise ValueError(f"slope is {slope!r} without relu, expected 0")
        if residual_last and not residual:
            raise ValueError("residual_last is given without residual, expected both")
        return super().__new__(cls, bool(residual), bool(relu), float(slope), bool(residual_last))

    @property
    def kind(self) -> Epilogue:
        """The steps alone, for code to be compiled for: the same for every slope but 0."""
        return self._replace(slope=1.0) if self.slope else self


#: The convolution and its bias alone.
NO_EPILOGUE = Epilogue()
