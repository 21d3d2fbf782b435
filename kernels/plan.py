"""A plan: problem, algorithm, packed weights and workspace, ready to be called."""

from __future__ import annotations

import time

import numpy as np

from kernels.machine import threading
from kernels.problem import Conv2dProblem
from kernels.registry import Algorithm, get_algorithm
from kernels.select import choose

__all__ = ["Plan", "aligned_empty", "plan"]

_ALIGNMENT = 64


def aligned_empty(nbytes: int) -> np.ndarray:
    """Uninitialised uint8 scratch that starts on a cache line."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + nbytes]


class Plan:
    """A convolution bound to its weights; call it with an input.

    A plan owns its workspace, so one plan serves one call at a time.

    Attributes
    ----------
    problem : Conv2dProblem
    algorithm : Algorithm
    threads : int
    workspace_bytes : int
        Scratch memory that the plan holds.
    prepare_s : float
        Seconds that packing the weights took.
    """

    def __init__(
        self, problem: Conv2dProblem, algorithm: Algorithm, weight: np.ndarray, bias: np.ndarray | None, threads: int
    ) -> None:
        algorithm.require(problem)
        self.problem = problem
        self.algorithm = algorithm
        self.threads = threads
        wei = _checked("weight", weight, problem.weight_shape, problem.dtype)
        if bias is None:
            bia = np.zeros(problem.oc, problem.dtype)
        else:
            bia = _checked("bias", bias, (problem.oc,), problem.dtype)
        start = time.perf_counter()
        self._packed = algorithm.prepare(problem, wei)
        self.prepare_s = time.perf_counter() - start
        self._bia = bia.copy() if bia is bias else bia
        self.workspace_bytes = algorithm.workspace_bytes(problem, threads)
        self._workspace = aligned_empty(self.workspace_bytes)
        # Asked for in every call, and small convolutions take microseconds.
        self._shapes = problem.input_shape, problem.output_shape

    def __call__(self, input: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Convolve ``input``.

        Parameters
        ----------
        input : ndarray, shape (mb, ic, ih, iw)
        out : ndarray, shape (mb, oc, oh, ow), optional
            C-contiguous, of the problem's dtype, and not overlapping ``input``;
            every element is overwritten.

        Returns
        -------
        ndarray
            ``out``, or a new array.

        Raises
        ------
        ValueError
            A shape, dtype or layout differs from the problem's.
        """
        problem = self.problem
        input_shape, output_shape = self._shapes
        src = _checked("input", input, input_shape, problem.dtype)
        if out is None:
            out = np.empty(output_shape, problem.dtype)
        else:
            _check_out(out, src, output_shape, problem.dtype)
        if out.size:
            arguments = problem, self._packed, src, self._bia, out, self._workspace, self.threads
            if self.threads == 1:
                self.algorithm.run(*arguments)
            else:
                with threading.limited_to(self.threads):
                    self.algorithm.run(*arguments)
        return out

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
    algorithm: str = "auto",
    threads: int | None = None,
) -> Plan:
    """Prepare a convolution once, to be called many times.

    Parameters
    ----------
    problem : Conv2dProblem
    weight : ndarray, shape (oc, ic // g, kh, kw)
    bias : ndarray, shape (oc,), optional
    algorithm : str
        A name from `algorithms`, or ``"auto"``.
    threads : int, optional
        Defaults to every core that Numba may use.

    Returns
    -------
    Plan

    Raises
    ------
    UnknownAlgorithm
        There is no such algorithm.
    UnsupportedProblem
        The algorithm refuses the problem.
    ValueError
        A shape or dtype differs from the problem's, or ``threads`` is out of range.
    """
    chosen = choose(problem) if algorithm == "auto" else get_algorithm(algorithm)
    return Plan(problem, chosen, weight, bias, threading.resolve(threads))


def _checked(name: str, value: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name} has dtype {array.dtype}, expected {dtype}")
    return np.ascontiguousarray(array)


def _check_out(out: np.ndarray, src: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, expected {shape}")
    if out.dtype != dtype:
        raise ValueError(f"out has dtype {out.dtype}, expected {dtype}")
    if not out.flags.c_contiguous or not out.flags.writeable:
        raise ValueError("out is not a writeable C-contiguous array, expected one")
    if np.may_share_memory(out, src):
        raise ValueError("out overlaps input, expected separate memory")
