"""What all blocks share: layers by name, their weights by torch's names, a plan for each shape of input.

A plan is found by all that it was made of, as those of layers are (`kernels.layers`): what is set in one of the layers
counts from the next call on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

from kernels.arguments import as_array, read_budgets
from kernels.blocks.batch_norm import BatchNorm2d, fold
from kernels.epilogue import Epilogue
from kernels.errors import ShapeError
from kernels.layers import MOST_PLAN_BYTES, MOST_PLANS, Conv2d, known_algorithm, known_threads
from kernels.machine.cpu import cache_bytes
from kernels.machine.threads import new_lock, resolve
from kernels.parameters import IncompatibleKeys, Record, read_state
from kernels.plan import Plan, plan
from kernels.problem import Conv2dProblem
from kernels.recent import Recent

__all__ = ["Block", "Fused", "images_at_once"]

#: Times the size of L2 that intermediate results of several images may take: some of L3.
_TOGETHER = 8
#: What torch's batch norm counts in training, and inference has no use for.
_COUNTER = "num_batches_tracked"

#: An array, or a pair of them.
Result = TypeVar("Result")
#: A block bound to a shape of input: ``fused(src)``.
Fused = Callable[[np.ndarray], Result]


class _InTurn(Generic[Result]):
    """A block bound to a shape of input, for one call at a time: intermediate results have one place."""

    def __init__(self, fused: Fused[Result]) -> None:
        self._fused, self._turn = fused, new_lock()

    def __call__(self, src: np.ndarray) -> Result:
        with self._turn:
            return self._fused(src)


class Block(Generic[Result]):
    """Layers that are computed as one.

    A subclass makes its layers attributes and says by `_fuse` what a shape of input is bound to.
    Calls from several Python threads on the same shape take turns.

    Attributes
    ----------
    dtype : numpy.dtype
    """

    def __init__(
        self,
        dtype: Any,
        rng: np.random.Generator | int | None,
        algorithm: str,
        threads: int | None,
        window_only: bool = False,
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.algorithm, self.threads, self.window_only = algorithm, threads, window_only
        self._rng = np.random.default_rng(rng)
        self._bound: Recent[_InTurn[Result]] = Recent(MOST_PLANS, MOST_PLAN_BYTES)

    @property
    def algorithm(self) -> str:
        """The algorithm of the convolutions, or ``"auto"``."""
        return self._algorithm

    @algorithm.setter
    def algorithm(self, value: str) -> None:
        self._algorithm = known_algorithm(value)

    @property
    def threads(self) -> int | None:
        """Threads of a call; None for all."""
        return self._threads

    @threads.setter
    def threads(self, value: int | None) -> None:
        self._threads = known_threads(value)

    @property
    def window_only(self) -> bool:
        """Whether each output of a convolution must depend on its own window of the input alone."""
        return self._budgets.window_only

    @window_only.setter
    def window_only(self, value: bool) -> None:
        self._budgets = read_budgets(None, None, value)

    # -- layers -----------------------------------------------------------

    def _conv(self, in_channels: int, out_channels: int, kernel_size: int, **others: Any) -> Conv2d:
        """A layer with the settings of the block; without a bias, since a batch norm follows."""
        return Conv2d(
            in_channels, out_channels, kernel_size, bias=False, dtype=self.dtype, rng=self._rng,
            algorithm=self.algorithm, threads=self.threads, window_only=self.window_only, **others,
        )  # fmt: skip

    def _norm(self, channels: int) -> BatchNorm2d:
        return BatchNorm2d(channels, dtype=self.dtype)

    def _layers(self) -> dict[str, Conv2d | Record]:
        """Those that have a name for others."""
        return {
            name: each
            for name, each in vars(self).items()
            if isinstance(each, Conv2d | Record) and not name.startswith("_")
        }

    def state_dict(self) -> dict[str, np.ndarray]:
        """Weights by torch's names, read-only: the layer's, a dot, the array's."""
        return {
            f"{layer}.{name}": array
            for layer, each in self._layers().items()
            for name, array in each.state_dict().items()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Take weights by torch's names, of any float dtype; either all that fit, or none.

        Batches that torch counted in training are not looked at.

        Raises
        ------
        StateDictError
            Names are missing or unknown (if ``strict``), or shapes differ: torch's words.
        ArgumentError
            It is no mapping.
        """
        shapes = {name: array.shape for name, array in self.state_dict().items()}
        if isinstance(state_dict, Mapping):
            counters = {f"{name}.{_COUNTER}" for name, each in self._layers().items() if isinstance(each, BatchNorm2d)}
            state_dict = {name: array for name, array in state_dict.items() if name not in counters}
        found, keys = read_state(state_dict, shapes, strict, type(self).__name__)
        for name, array in found.items():
            layer, _, attribute = name.rpartition(".")
            setattr(getattr(self, layer) if layer else self, attribute, array)
        return keys

    # -- calls ------------------------------------------------------------

    def __call__(self, input: Any) -> Result:
        """What the block makes of an input (N, C, H, W), in one go.

        Raises
        ------
        ShapeError, DtypeError, ArgumentError
            As the first of its layers that does not take it.
        """
        src = as_array("input", input)
        key = src.shape, src.dtype.char, self.made_of()
        bound = self._bound.get(key)
        if bound is None:
            src = self._checked(src)
            if not len(src):
                # Nothing, of the shape that one image's result has.
                one: Any = self(np.zeros((1, *src.shape[1:]), self.dtype))
                none: Any = tuple(each[:0] for each in one) if isinstance(one, tuple) else one[:0]
                return none  # type: ignore[no-any-return]
            bound = self._bound.keep(key, _InTurn(self._fuse(src.shape)), 0)
        return bound(np.ascontiguousarray(src))

    def made_of(self) -> Hashable:
        """All that results depend on but the shape of the input."""
        layers = tuple(each.made_of() for each in self._layers().values())
        return self._algorithm, resolve(self._threads), self._budgets, layers

    def _fuse(self, shape: tuple[int, ...]) -> Fused[Result]:
        """Bind the block to a shape of input (N, C, H, W)."""
        raise NotImplementedError

    def _first(self) -> Conv2d:
        """The layer that takes the input."""
        return next(each for each in self._layers().values() if isinstance(each, Conv2d))

    def _checked(self, input: Any) -> np.ndarray:
        """The input as a C-contiguous array that the first layer takes."""
        src = as_array("input", input)
        self._first().described(src)
        if src.ndim != 4:
            raise ShapeError(f"expected 4D input (got {src.ndim}D input)")
        return np.ascontiguousarray(src)

    def _problem(self, conv: Conv2d, shape: tuple[int, ...]) -> Conv2dProblem:
        """The convolution of ``conv`` on an input of ``shape``, with the bias that a batch norm leaves."""
        problem = conv.described(np.broadcast_to(np.zeros((), self.dtype), shape)).problem
        assert problem is not None, shape
        return problem.replace(bias=True)

    def _folded(self, conv: Conv2d, norm: BatchNorm2d, problem: Conv2dProblem, epilogue: Epilogue) -> Plan:
        """A plan for a convolution and the batch norm behind it."""
        weight, bias = fold(conv.weight, conv.bias, norm)
        return plan(
            problem, weight, bias, epilogue=epilogue, algorithm=self.algorithm, threads=self.threads,
            window_only=self.window_only,
        )  # fmt: skip


def images_at_once(batch: int, image_bytes: int) -> int:
    """Images that pass through one step of a block before the next: a divisor of ``batch``.

    One, where its intermediate result does not fit L2: it is still in L3 when it is read. (Of
    128 channels at 56x56 between depthwise and 1x1 that saves 4 %.) Smaller ones together, so that
    weights are read less often: 4 images of 512 channels at 13x13, whose transformed weights for 1024
    take 75 MB, are 1.25 times as fast.
    """
    L2 = cache_bytes(2)
    most = 1 if image_bytes > L2 else _TOGETHER * L2 // image_bytes
    return max(count for count in range(1, min(batch, most) + 1) if batch % count == 0)
