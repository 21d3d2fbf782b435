"""A plan: problem, algorithm, packed weights and workspace, ready to be called."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from kernels.arguments import as_array, check_out, read_budgets
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.errors import ArgumentError, ShapeError
from kernels.machine.compile import code_digest
from kernels.machine.parallel import Launch
from kernels.machine.threads import new_lock, resolve
from kernels.machine.workspace import carve
from kernels.problem import Conv2dProblem
from kernels.registry import Packing, Setup
from kernels.select import Choice, choice_of

__all__ = ["BackwardWeightsPlan", "Plan", "aligned_empty", "plan", "plan_backward_weights"]

_ALIGNMENT = 64
_ARRAY = np.ndarray
#: Multiply-adds of a convolution that holds the GIL: a few microseconds.
_SHORT_MACS = 2**18
#: What weights are packed by.
_FAMILIES = "kernels.algorithms"


def aligned_empty(nbytes: int) -> np.ndarray:
    """Uninitialised uint8 scratch that starts on a cache line."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes]


class _Bound:
    """What all plans have in common: an algorithm, bound to scratch of its own."""

    def _bind(
        self, problem: Conv2dProblem, choice: Choice, packing: Packing, threads: int, epilogue: Epilogue = NO_EPILOGUE
    ) -> None:
        algorithm = choice.algorithm
        self.problem, self.choice, self.algorithm = problem, choice, algorithm
        self.epilogue, self.threads = epilogue, threads
        # Found once: small convolutions take no longer than finding them.
        self._input_shape, self._output_shape = problem.operand_shapes[0], problem.result_shape
        self._dtype = np.dtype(problem.dtype)
        shapes = algorithm.scratch(problem, threads)
        self.workspace_bytes = algorithm.workspace_bytes(problem, threads)
        self.nbytes = self.workspace_bytes + packing.nbytes
        self._workspace = aligned_empty(self.workspace_bytes)
        scratch = carve(self._workspace, shapes, problem.dtype)
        self.setup = Setup(problem, packing.packed, epilogue, scratch, threads)
        self._run = algorithm.bind(self.setup)
        self._turn = new_lock()
        if problem.macs_nominal <= _SHORT_MACS and isinstance(self._run, Launch):
            self._run.hold()

    def _result(self, out: np.ndarray | None, **inputs: np.ndarray) -> np.ndarray:
        """``out``, checked, or a new array."""
        if out is None:
            return np.empty(self._output_shape, self._dtype)
        check_out(out, self._output_shape, self._dtype, {**inputs})
        return out

    def run(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Compute of arrays that are known to be the problem's, C-contiguous and apart; see `Algorithm.bind`."""
        if dst.size:
            with self._turn:
                self._run(src, dst, residual)

    def _calling(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> Callable[[], np.ndarray]:
        """`run` of arrays that stay, as a function of nothing."""
        if not dst.size:
            return lambda: dst
        found, turn = self._run, self._turn
        if not isinstance(found, Launch):
            run: Callable[[], None] = partial(found, src, dst, residual)
        elif found.is_held:
            return found.builtin(src, dst, residual)
        else:
            run = found.bound(src, dst, residual)

        def call() -> np.ndarray:
            with turn:
                run()
            return dst

        return call

    def poison(self) -> None:
        """Fill the workspace with NaN bytes, so that a read of stale scratch shows."""
        self._workspace.fill(0xFF)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.problem}, {self.algorithm.name}, threads={self.threads})"


class Plan(_Bound):
    """A convolution bound to its weights; call it with an input.

    A plan owns its workspace, so it serves one call at a time: calls from several Python
    threads wait for each other. Threads that are to run side by side need a plan each.

    Attributes
    ----------
    problem : Conv2dProblem
    algorithm : Algorithm
    choice : Choice
        Why it is this one, and who else there was.
    epilogue : Epilogue
    threads : int
    workspace_bytes : int
        Scratch memory that the plan holds.
    prepare_s : float
        Seconds that packing the weights took.
    nbytes : int
        Packed weights and scratch.
    setup : Setup
        What the algorithm was bound to.
    """

    def __init__(
        self,
        problem: Conv2dProblem,
        choice: Choice,
        weight: np.ndarray,
        bias: np.ndarray | None,
        threads: int,
        epilogue: Epilogue = NO_EPILOGUE,
        *,
        repackable: bool = False,
    ) -> None:
        wei = _checked("weight", weight, problem.weight_shape, problem.dtype)
        given = np.zeros(problem.bias_shape, problem.dtype) if bias is None else bias
        bia = _checked("bias", given, problem.bias_shape, problem.dtype)
        start = time.perf_counter()
        packing = choice.algorithm.packing(problem, threads)
        packing(wei, bia)
        self.prepare_s = time.perf_counter() - start
        # It holds scratch of its own, and weights are packed once, but for single calls.
        self._packing = packing if repackable else None
        self._bind(problem, choice, packing, threads, epilogue)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "made_of": (self.problem, self.choice, self.threads, self.epilogue, self._packing is not None),
            "packed": self.setup.packed,
            "prepare_s": self.prepare_s,
            "code": code_digest(_FAMILIES),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["code"] != code_digest(_FAMILIES):
            raise ValueError(
                "a plan was pickled by another version or for another CPU, expected this one's: make it anew"
            )
        problem, choice, threads, epilogue, repackable = state["made_of"]
        packing = choice.algorithm.packing(problem, threads)
        for own, given in zip(packing.packed, state["packed"], strict=True):
            # Tables are the same, shared and never written to.
            if not np.array_equal(own, given):
                np.copyto(own, given)
        self.prepare_s = state["prepare_s"]
        self._packing = packing if repackable else None
        self._bind(problem, choice, packing, threads, epilogue)

    def __call__(
        self, input: np.ndarray, out: np.ndarray | None = None, *, residual: np.ndarray | None = None
    ) -> np.ndarray:
        """Convolve ``input``.

        Parameters
        ----------
        input : ndarray, shape (mb, ic, ih, iw)
            Backward data: the gradient of the output, (mb, oc, oh, ow).
        out : ndarray, shape (mb, oc, oh, ow), optional
            C-contiguous, of the problem's dtype, and not overlapping ``input``;
            every element is overwritten. Backward data: (mb, ic, ih, iw).
        residual : ndarray, shape (mb, oc, oh, ow)
            What the plan's epilogue adds; not given where it adds nothing. It may be
            neither ``out`` nor overlap it.

        Returns
        -------
        ndarray
            ``out``, or a new array.

        Raises
        ------
        ValueError
            A shape, dtype or layout differs from the problem's.
        ArgumentError
            It is no array, or has masked elements.
        """
        read = _plain(input, self._input_shape, self._dtype)
        src = _checked("input", input, self._input_shape, self._dtype) if read is None else input
        written = _plain(out, self._output_shape, self._dtype)
        # Arrays that own their memory share none.
        if (
            read is None or written is None or src is out
            or not (written.carray and written.owndata and read.owndata)
        ):  # fmt: skip
            out = self._result(out, input=src)
        assert out is not None
        added = out
        if residual is not None or self.epilogue.residual:
            added = self._checked_residual(residual, out)
        self.run(src, out, added)
        return out

    def bind(
        self, input: np.ndarray, out: np.ndarray, *, residual: np.ndarray | None = None
    ) -> Callable[[], np.ndarray]:
        """A call of arrays that stay where they are, whose checks are done here, once.

        Parameters
        ----------
        input, out, residual : ndarray
            As for a call; C-contiguous.

        Returns
        -------
        callable
            Without arguments: it convolves what ``input`` then holds, and returns ``out``. A call takes one or two
            microseconds less than one of the plan, of which it is one: they wait for each other.

        Raises
        ------
        ValueError
            As for a call, or ``input`` is not C-contiguous.
        """
        src = _in_place("input", input, self._input_shape, self._dtype)
        check_out(out, self._output_shape, self._dtype, {"input": src})
        added = out
        if residual is not None or self.epilogue.residual:
            self._checked_residual(residual, out)
            added = _in_place("residual", residual, self._output_shape, self._dtype)  # type: ignore[arg-type]
        return self._calling(src, out, added)

    def repack(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        """Take other weights and biases, of the same shapes; the plan is ``repackable``, and in no other use.

        Biases are given each time, or never.
        """
        assert self._packing is not None
        self._packing.weights(weight if weight.flags.c_contiguous else np.ascontiguousarray(weight))
        # Without a bias there never was another: zeros are packed already.
        if bias is not None:
            self._packing.biases(np.ascontiguousarray(bias))

    def _checked_residual(self, residual: np.ndarray | None, out: np.ndarray) -> np.ndarray:
        if not self.epilogue.residual:
            raise ValueError("residual is given, expected none: the epilogue of this plan adds none")
        if residual is None:
            raise ValueError(f"residual is None, expected an array of shape {self._output_shape}")
        added = _checked("residual", residual, self._output_shape, self._dtype)
        # Where tiles overlap, a result is written twice: the second time it would be added to itself.
        if np.may_share_memory(out, added):
            raise ValueError("out overlaps residual, expected separate memory")
        return added


class BackwardWeightsPlan(_Bound):
    """Backward weights bound to its scratch; call it with an input and the gradient of the output.

    It serves one call at a time, as a `Plan`.

    Attributes
    ----------
    problem : Conv2dProblem
    algorithm : Algorithm
    choice : Choice
    threads : int
    workspace_bytes : int
        Scratch memory that the plan holds.
    prepare_s : float
        0: nothing is packed before a call.
    """

    prepare_s = 0.0

    def __init__(self, problem: Conv2dProblem, choice: Choice, threads: int) -> None:
        self._bind(problem, choice, choice.algorithm.packing(problem, threads), threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return BackwardWeightsPlan, (self.problem, self.choice, self.threads)

    def __call__(self, input: np.ndarray, grad_output: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The gradient of the weights.

        Parameters
        ----------
        input : ndarray, shape (mb, ic, ih, iw)
        grad_output : ndarray, shape (mb, oc, oh, ow)
        out : ndarray, shape ``problem.result_shape``, optional
            C-contiguous, of the problem's dtype, and overlapping neither; every element is overwritten.

        Returns
        -------
        ndarray, shape ``problem.result_shape``
            ``out``, or a new array: the gradient of the weights; with a bias one row, which ends with its gradient.

        Raises
        ------
        ValueError
            A shape, dtype or layout differs from the problem's.
        ArgumentError
            It is no array, or has masked elements.
        """
        src = _checked("input", input, self._input_shape, self._dtype)
        grad = _checked("grad_output", grad_output, self.problem.output_shape, self._dtype)
        out = self._result(out, input=src, grad_output=grad)
        self.run(src, out, grad)
        return out


def plan(
    problem: Conv2dProblem,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    epilogue: Epilogue = NO_EPILOGUE,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
) -> Plan:
    """Prepare a convolution once, to be called many times.

    Parameters
    ----------
    problem : Conv2dProblem
        Forward, or backward data; backward weights has no weights to prepare: see `plan_backward_weights`.
    weight : ndarray, shape (oc, ic // g, kh, kw)
    bias : ndarray, shape (oc,), optional
        Expected if the problem has one; if it has none, the plan's problem has. Backward data: (ic,).
    epilogue : Epilogue
        What is added to the convolution and done to the sum before it is stored; forward only.
    algorithm : str
        A name from `algorithms`, or ``"auto"``.
    threads : int, optional
        Defaults to every core that Numba may use. ``"auto"`` takes one thread where starting others would
        take longer than they save.
    max_error : float, optional
        Most relative L2 error against float64 that may be expected on normal values.
    max_workspace : int, optional
        Most bytes of scratch memory.
    window_only : bool
        Whether each output must depend on its own window of the input alone, as for `conv2d`.

    Returns
    -------
    Plan

    Raises
    ------
    UnknownAlgorithm
        There is no such algorithm.
    UnsupportedProblem
        The algorithm refuses the problem, or none keeps the budgets.
    ValueError
        A shape or dtype differs from the problem's, the problem has a bias and none is given, ``threads`` is out of
        range, or a budget is NaN.
    ArgumentError
        An argument is of a kind that is not taken.
    """
    if not isinstance(epilogue, Epilogue):
        raise ArgumentError(f"epilogue is {epilogue!r}, expected an Epilogue")
    if problem.direction == "bwd_w":
        raise ArgumentError(f"direction of {problem} is bwd_w, expected fwd or bwd_d: use plan_backward_weights")
    if problem.direction != "fwd" and epilogue != NO_EPILOGUE:
        raise ArgumentError(f"epilogue is {epilogue}, expected none: {problem} is no forward convolution")
    if problem.bias and bias is None:
        raise ShapeError(f"bias is None, expected an array of shape {problem.bias_shape}: the problem has a bias")
    if bias is not None and not problem.bias:
        problem = problem.replace(bias=True)
    budgets = read_budgets(max_error, max_workspace, window_only)
    choice, count = choice_of(algorithm, problem, resolve(threads), budgets)
    return Plan(problem, choice, weight, bias, count, epilogue)


def plan_backward_weights(
    problem: Conv2dProblem,
    *,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: float | None = None,
    window_only: bool = False,
) -> BackwardWeightsPlan:
    """Prepare backward weights once, to be called many times.

    Parameters
    ----------
    problem : Conv2dProblem
        Of direction ``"bwd_w"``.
    algorithm, threads, max_error, max_workspace, window_only
        As for `plan`.

    Returns
    -------
    BackwardWeightsPlan

    Raises
    ------
    UnknownAlgorithm, UnsupportedProblem, ValueError, ArgumentError
        As for `plan`; ArgumentError as well if the problem is of another direction.
    """
    if problem.direction != "bwd_w":
        raise ArgumentError(f"direction of {problem} is {problem.direction}, expected bwd_w: use plan")
    budgets = read_budgets(max_error, max_workspace, window_only)
    choice, count = choice_of(algorithm, problem, resolve(threads), budgets)
    return BackwardWeightsPlan(problem, choice, count)


def _in_place(name: str, value: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """What is checked, and no copy."""
    if not isinstance(value, np.ndarray) or not value.flags.c_contiguous:
        raise ValueError(f"{name} is no C-contiguous NumPy array, expected one: it is read where it is")
    return _checked(name, value, shape, dtype)


def _plain(value: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The flags of what is known at once to need no other check, else None: checks take longer than small problems."""
    if type(value) is _ARRAY and value.shape == shape and value.dtype is dtype:
        flags = value.flags
        return flags if flags.c_contiguous else None
    return None


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...], dtype: np.dtype | str) -> np.ndarray:
    array = as_array(name, value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has dtype {array.dtype}, expected {dtype}")
    return np.ascontiguousarray(array)
