"""A plan: problem, algorithm, packed weights and workspace, ready to be called."""

from __future__ import annotations

import time
from threading import Lock

import numpy as np

from kernels.arguments import check_out
from kernels.epilogue import NO_EPILOGUE, Epilogue
from kernels.machine.threads import resolve
from kernels.machine.workspace import carve
from kernels.problem import Conv2dProblem
from kernels.registry import Setup
from kernels.select import Choice, choice_of

__all__ = ["Plan", "aligned_empty", "plan"]

_ALIGNMENT = 64


def aligned_empty(nbytes: int) -> np.ndarray:
    """Uninitialised uint8 scratch that starts on a cache line."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes]


class Plan:
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
        algorithm = choice.algorithm
        self.problem, self.choice = problem, choice
        # Found once: small convolutions take no longer than finding them.
        self._input_shape, self._output_shape = problem.input_shape, problem.output_shape
        self._dtype = np.dtype(problem.dtype)
        self.algorithm = algorithm
        self.epilogue = epilogue
        self.threads = threads
        wei = _checked("weight", weight, problem.weight_shape, problem.dtype)
        self._zeros = np.zeros(problem.oc, problem.dtype)
        bia = self._zeros if bias is None else _checked("bias", bias, (problem.oc,), problem.dtype)
        start = time.perf_counter()
        packing = algorithm.packing(problem, threads)
        packed = packing(wei, bia)
        # It holds scratch of its own, and weights are packed once, but for single calls.
        self._packing = packing if repackable else None
        self.prepare_s = time.perf_counter() - start
        shapes = algorithm.scratch(problem, threads)
        self.workspace_bytes = algorithm.workspace_bytes(problem, threads)
        self.nbytes = self.workspace_bytes + packing.nbytes
        self._workspace = aligned_empty(self.workspace_bytes)
        scratch = carve(self._workspace, shapes, problem.dtype)
        self.setup = Setup(problem, packed, epilogue, scratch, threads)
        self._run = algorithm.bind(self.setup)
        self._turn = Lock()

    def __call__(
        self, input: np.ndarray, out: np.ndarray | None = None, *, residual: np.ndarray | None = None
    ) -> np.ndarray:
        """Convolve ``input``.

        Parameters
        ----------
        input : ndarray, shape (mb, ic, ih, iw)
        out : ndarray, shape (mb, oc, oh, ow), optional
            C-contiguous, of the problem's dtype, and not overlapping ``input``;
            every element is overwritten.
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
        """
        src = _checked("input", input, self._input_shape, self._dtype)
        if out is None:
            out = np.empty(self._output_shape, self._dtype)
        else:
            check_out(out, self._output_shape, self._dtype, {"input": src})
        added = out
        if residual is not None or self.epilogue.residual:
            added = self._checked_residual(residual, out)
        self.run(src, out, added)
        return out

    def run(self, src: np.ndarray, dst: np.ndarray, residual: np.ndarray) -> None:
        """Convolve arrays that are known to be the problem's, C-contiguous and apart; see `Algorithm.bind`."""
        if dst.size:
            with self._turn:
                self._run(src, dst, residual)

    def repack(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        """Take other weights and biases, of the same shapes; the plan is ``repackable``, and in no other use."""
        assert self._packing is not None
        self._packing(np.ascontiguousarray(weight), self._zeros if bias is None else np.ascontiguousarray(bias))

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

    def poison(self) -> None:
        """Fill the workspace with NaN bytes, so that a read of stale scratch shows."""
        self._workspace.fill(0xFF)

    def __repr__(self) -> str:
        return f"Plan({self.problem}, {self.algorithm.name}, threads={self.threads})"


def plan(
    problem: Conv2dProblem,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    epilogue: Epilogue = NO_EPILOGUE,
    algorithm: str = "auto",
    threads: int | None = None,
    max_error: float | None = None,
    max_workspace: int | None = None,
) -> Plan:
    """Prepare a convolution once, to be called many times.

    Parameters
    ----------
    problem : Conv2dProblem
    weight : ndarray, shape (oc, ic // g, kh, kw)
    bias : ndarray, shape (oc,), optional
    epilogue : Epilogue
        What is added to the convolution and done to the sum before it is stored.
    algorithm : str
        A name from `algorithms`, or ``"auto"``.
    threads : int, optional
        Defaults to every core that Numba may use. ``"auto"`` takes one thread where starting others would
        take longer than they save.
    max_error : float, optional
        Most relative L2 error against float64 that may be expected on normal values.
    max_workspace : int, optional
        Most bytes of scratch memory.

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
        A shape or dtype differs from the problem's, or ``threads`` is out of range.
    """
    choice, count = choice_of(algorithm, problem, resolve(threads), max_error, max_workspace)
    return Plan(problem, choice, weight, bias, count, epilogue)


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...], dtype: np.dtype | str) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has dtype {array.dtype}, expected {dtype}")
    return np.ascontiguousarray(array)
