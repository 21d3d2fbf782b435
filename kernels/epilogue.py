"""What happens to a sum before it is stored."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["NO_EPILOGUE", "Epilogue"]


class Epilogue(NamedTuple):
    """Steps that a convolution ends with, done while its sums are in registers.

    The result is ``relu(convolution + bias + residual)``, of which each step but the first may
    be left out; the bias is the problem's. NaN passes through the ReLU, as in PyTorch.

    Attributes
    ----------
    residual : bool
        Whether an array of the result's shape is added.
    relu : bool
        Whether negative results become zero.
    """

    residual: bool = False
    relu: bool = False


#: The convolution and its bias alone.
NO_EPILOGUE = Epilogue()
