"""Our own algorithms, the choice among them, and our own blocks, fused and as single layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels import Conv2dProblem, algorithms, get_algorithm
from suite.blocks.inputs import BlockInputs
from suite.blocks.problem import Block
from suite.check.bound import Bound, bind
from suite.check.inputs import Inputs
from suite.check.tolerance import Tolerance
from suite.contenders.base import Contender, Own, Prepared

__all__ = [
    "BLOCK_CONTENDERS",
    "FUSED",
    "UNFUSED",
    "OneCall",
    "Ours",
    "WindowOnly",
    "block_tolerance",
    "contenders",
    "layers_of",
]

#: Directions that there is a choice of algorithms for; old commits, which the gate times, have no list of them.
_CHOSEN = ("fwd", "bwd_d", "bwd_w")

#: Names of the contenders on blocks; others are compared with the first.
FUSED, UNFUSED = "block_fused", "block_unfused"


def layers_of(block: Block, threads: int | None = None) -> Any:
    """The block's class of `kernels`, made for its extents, with weights of its own."""
    # The gate times convolutions of commits that have no blocks: these are imported when they are asked for.
    from kernels import ConvBlock, DarknetResidual, DepthwiseSeparable, DynamicConv2d, ResNetStem, UNetDown

    s = dict(block.sizes)
    makers: dict[str, Callable[[], Any]] = {
        "conv_block": lambda: ConvBlock(s["ic"], s["oc"], s["kh"], s["kh"] // 2, threads=threads),
        "resnet_stem": lambda: ResNetStem(s["ic"], s["oc"], threads=threads),
        "darknet_residual": lambda: DarknetResidual(s["ic"], threads=threads),
        "unet_down": lambda: UNetDown(s["ic"], s["oc"], threads=threads),
        "depthwise_separable": lambda: DepthwiseSeparable(s["ic"], s["oc"], s["sh"], threads=threads),
        "dynamic_conv": lambda: DynamicConv2d(
            s["ic"], s["oc"], s["kh"], s["sh"], s["kh"] // 2, experts=s["e"], threads=threads
        ),
    }
    return makers[block.kind]()


def block_tolerance(block: Block) -> Tolerance:
    """What a block of our own is held to: the sum of what its convolutions promise.

    Errors of successive stages add up; and what a stage makes of the error of
    the one before it, it does to NumPy's as well, which is what promises are multiples of. Of
    each convolution the largest promise counts of all algorithms that take it: which one runs is
    the choice of the block.
    """
    return Tolerance(
        error_factor=sum(
            max(each.error_factor for each in algorithms("fwd") if each.unsupported(problem) is None)
            for problem in block.graph.convolutions
        )
    )


@dataclass(frozen=True)
class Ours(Own):
    """One algorithm of the registry, or ``"auto"``: whichever `kernels.plan` chooses."""

    @property
    def family(self) -> str:
        """The algorithm's family."""
        return "auto" if self.name == "auto" else get_algorithm(self.name).family

    @property
    def directions(self) -> tuple[str, ...]:  # type: ignore[override]
        """The algorithm's; ``"auto"`` has one for each."""
        return _CHOSEN if self.name == "auto" else get_algorithm(self.name).directions

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """The algorithm's own reason."""
        return None if self.name == "auto" else get_algorithm(self.name).unsupported(problem)

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """Pack the weights; result and scratch are poisoned, so that what is not written shows."""
        bound = bind(problem, inputs, algorithm=self.name, threads=threads)
        return _prepared(bound, is_choice=self.name == "auto")

    def tolerance(self, problem: Conv2dProblem, chosen: str) -> Tolerance:
        """What the algorithm promises at its registration."""
        return Tolerance.of(get_algorithm(chosen or self.name))


@dataclass(frozen=True)
class WindowOnly(Own):
    """``"auto"`` of the algorithms whose outputs depend on their own windows alone, as those of peers do."""

    family = "window_only"
    apart = True
    directions = _CHOSEN

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """Nothing: direct algorithms take everything."""
        return None

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """As `Ours`."""
        return _prepared(bind(problem, inputs, threads=threads, window_only=True))

    def tolerance(self, problem: Conv2dProblem, chosen: str) -> Tolerance:
        """What the chosen algorithm promises at its registration."""
        return Tolerance.of(get_algorithm(chosen))


def _prepared(bound: Bound, *, is_choice: bool = True) -> Prepared:
    """Calls of a plan."""
    chosen = bound.plan.algorithm.name if is_choice else ""
    return Prepared(
        bound.call, lambda result: result, chosen, bound.plan.workspace_bytes, lambda: bound.dst.fill(np.nan)
    )


@dataclass(frozen=True)
class OneCall(Own):
    """`kernels.conv2d`, as it is called without any preparation: each call checks, chooses and packs."""

    family = "one_call"
    apart = True

    def unsupported(self, problem: Conv2dProblem, threads: int = 1) -> str | None:
        """Nothing: "auto" takes everything."""
        return None

    def prepare(self, problem: Conv2dProblem, inputs: Inputs, threads: int) -> Prepared:
        """Nothing; the result is poisoned. Padding that is not the same on both sides is a copy in each call."""
        from kernels import conv2d

        p, dst = problem, np.full(problem.output_shape, np.nan, problem.dtype)
        is_even = (p.pb, p.pr) == (p.ph, p.pw)
        numbers = (p.sh, p.sw), (p.ph, p.pw) if is_even else 0, (p.dh, p.dw), p.g

        def padded() -> np.ndarray:
            whole = np.zeros((p.mb, p.ic, *p.padded_shape), p.dtype)
            whole[:, :, p.ph : p.ph + p.ih, p.pw : p.pw + p.iw] = inputs.first
            return whole

        def call() -> np.ndarray:
            src = inputs.first if is_even else padded()
            return conv2d(src, inputs.second, inputs.bia, *numbers, threads=threads, out=dst)

        return Prepared(call, lambda result: result, spoil=lambda: dst.fill(np.nan))

    def tolerance(self, problem: Conv2dProblem, chosen: str) -> Tolerance:
        """That of the algorithm that promises least of those that may be chosen."""
        able = (each for each in algorithms() if each.unsupported(problem) is None)
        return Tolerance.of(max(able, key=lambda each: each.error_factor))


@dataclass(frozen=True)
class _OwnBlock(Own):
    fused: bool

    family = "block"

    def unsupported(self, problem: Block, threads: int = 1) -> str | None:
        """See `Contender`; all are computed."""
        return None

    def prepare(self, problem: Block, inputs: BlockInputs, threads: int) -> Prepared:
        """Give the layers their weights; the first call of a shape is what packs them."""
        block = layers_of(problem, threads)
        block.load_state_dict(inputs.state)
        call, src = block if self.fused else block.unfused, inputs.src
        call(src)
        return Prepared(lambda: call(src), lambda result: problem.graph.joined(_outputs(result)))

    def tolerance(self, problem: Block, chosen: str) -> Tolerance:
        """See `block_tolerance`."""
        return block_tolerance(problem)


def _outputs(result: Any) -> list[np.ndarray]:
    return [result] if isinstance(result, np.ndarray) else [*result]


def contenders() -> tuple[Contender[Any, Any], ...]:
    """Every algorithm of the registry, ``"auto"``, the same of windows alone, and the plain function."""
    every = (Ours(each.name) for each in algorithms())
    return *every, Ours("auto"), WindowOnly("auto_window_only"), OneCall("one_call")


BLOCK_CONTENDERS = (_OwnBlock(FUSED, True), _OwnBlock(UNFUSED, False))
