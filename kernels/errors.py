"""What is raised: errors of `conv2d` are at once what a NumPy user and what a torch user would catch."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "DtypeError",
    "ProblemError",
    "ShapeError",
    "StateDictError",
    "TunedError",
    "UnsupportedProblem",
]


class ProblemError(ValueError):
    """A convolution that cannot be described: the text or an extent is wrong."""


class UnsupportedProblem(ValueError):
    """An algorithm was asked by name for a problem that it refuses."""


class ArgumentError(TypeError):
    """An argument is of a kind that `conv2d` does not take, such as a float for a stride."""


class ShapeError(ProblemError, RuntimeError):
    """Shapes or numbers do not fit each other; torch raises a RuntimeError of the same words."""


class DtypeError(ProblemError, TypeError, RuntimeError):
    """Element types differ from each other, or are none that is computed in."""


class StateDictError(ValueError, RuntimeError):
    """Weights that a layer is to load do not fit it; torch raises a RuntimeError of the same words."""


class TunedError(RuntimeError):
    """The database of what was measured cannot be written."""
