"""Arrays against unreadable pages, and the child process that runs kernels on them.

Raw vectors have no bounds checks. Here every array of a run ends directly before a page that
may not be touched, or starts directly behind one, and what a run only reads may not be
written: any access past an end kills the process. It is therefore started as a child,
``python guarded.py``, which reads cases and writes what came out of each; `guarded_runs` is its
parent.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import json
import mmap
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from conftest import integers

from kernels import Conv2dProblem, Epilogue, Setup, conv2d_reference, get_algorithm
from kernels.machine.workspace import carve

__all__ = ["PLACEMENTS", "Case", "Guard", "main"]

PLACEMENTS = ("before", "after")
_PAGE = mmap.PAGESIZE
_LINE = 64
_PROT_NONE = 0
#: What lies between the array and the guard that is not at its side.
_CANARY = 0xAB


@dataclass(frozen=True)
class Case:
    """One run of one algorithm.

    ``placement`` says where the unreadable page is: directly before or directly after each
    array. ``apart`` guards every array that is carved from the workspace by itself; ``epilogue``
    adds a residual and cuts off what is negative. ``only``
    names the one array that is guarded, for finding out which is overrun; empty for all.
    """

    algorithm: str
    text: str
    placement: str
    threads: int
    apart: bool = False
    epilogue: bool = False
    only: str = ""

    def __str__(self) -> str:
        pieces = ", the pieces of the workspace apart" if self.apart else ""
        pieces += ", with an epilogue" if self.epilogue else ""
        page = f"an unreadable page {self.placement} each array{pieces}"
        return f"{self.algorithm} on {self.text}, {page}, threads={self.threads}"


class Guard:
    """Memory for one case: arrays made here have their guard pages, and are kept alive here."""

    def __init__(self, placement: str, only: str = "") -> None:
        self._placement = placement
        self._only = only
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._canaries: list[tuple[str, np.ndarray]] = []

    def empty(self, name: str, shape: tuple[int, ...], dtype: Any, alignment: int | None = None) -> np.ndarray:
        """An array filled with NaN (every byte 0xFF) that touches the unreadable page.

        ``alignment`` of the start is the element's unless given; a multiple of it then lies
        between the array's end and the page after it only where the size is no multiple.
        """
        nbytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        room = -(-max(nbytes, 1) // _PAGE) * _PAGE
        pages = mmap.mmap(-1, room + 2 * _PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        body = np.frombuffer(pages, np.uint8)[_PAGE : _PAGE + room]
        at = 0 if self._placement == "before" else (room - nbytes) // (alignment or 1) * (alignment or 1)
        body[:] = _CANARY
        array = body[at : at + nbytes]
        array[:] = 0xFF
        print(json.dumps({"array": name}), flush=True)
        self._canaries += [(name, body[:at]), (name, body[at + nbytes :])]
        if self._only in ("", name):
            self._protect(base, _PAGE, _PROT_NONE)
            self._protect(base + _PAGE + room, _PAGE, _PROT_NONE)
        return array.view(dtype).reshape(shape)

    def copy(self, name: str, values: np.ndarray) -> np.ndarray:
        """A copy of ``values`` that touches the unreadable page and may not be written."""
        array = self.empty(name, values.shape, values.dtype)
        array[...] = values
        first = array.ctypes.data // _PAGE * _PAGE
        if self._only in ("", name) and array.nbytes:
            self._protect(first, -(-(array.ctypes.data + array.nbytes - first) // _PAGE) * _PAGE, mmap.PROT_READ)
        return array

    def overwritten(self) -> str | None:
        """The name of an array next to which something was written on the side without a page."""
        return next((name for name, bytes_ in self._canaries if (bytes_ != _CANARY).any()), None)

    def _protect(self, address: int, length: int, protection: int) -> None:
        if self._libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(length), protection):
            raise OSError(ctypes.get_errno(), "mprotect failed")


def _copies(guard: Guard, name: str, value: Any) -> Any:
    """What ``prepare`` made, its arrays in guarded memory."""
    if isinstance(value, np.ndarray):
        return guard.copy(name, value)
    if type(value) is tuple:
        return tuple(_copies(guard, f"{name}[{i}]", each) for i, each in enumerate(value))
    return value


def _scratch(case: Case, guard: Guard, p: Conv2dProblem) -> dict[str, np.ndarray]:
    """The arrays of scratch: cut from one guarded workspace, or each guarded by itself."""
    algorithm = get_algorithm(case.algorithm)
    shapes = algorithm.scratch(p, case.threads)
    if case.apart:
        return {name: guard.empty(f"workspace {name}", shape, p.dtype, _LINE) for name, shape in shapes.items()}
    workspace = guard.empty("workspace", (algorithm.workspace_bytes(p, case.threads),), np.uint8, _LINE)
    return carve(workspace, shapes, p.dtype)


@functools.lru_cache(maxsize=1)
def _prepared(algorithm: str, text: str, placement: str) -> tuple[Any, ...]:
    """What ``prepare`` makes of guarded weights; kept from one case to the next, since it may take long."""
    p = Conv2dProblem.parse(text)
    if p.direction == "bwd_w":
        return get_algorithm(algorithm).packing(p, 1).packed
    _, wei, bia = integers(p)
    guard = Guard(placement)
    bias = guard.copy("bias", np.zeros(p.bias_shape, p.dtype) if bia is None else bia)
    return get_algorithm(algorithm).prepare(p, guard.copy("weights", wei), bias)


@functools.lru_cache(maxsize=1)
def _expected(text: str) -> np.ndarray:
    """What the oracle makes of a problem's whole numbers; cases of one problem follow one another."""
    p = Conv2dProblem.parse(text)
    return conv2d_reference(p, *integers(p))


def _run(case: Case, guard: Guard) -> tuple[str, str]:
    """``ok``, ``refused`` or ``wrong``, and why. Or the process dies."""
    p, algorithm = Conv2dProblem.parse(case.text), get_algorithm(case.algorithm)
    reason = algorithm.unsupported(p)
    if reason is not None:
        return "refused", reason
    src, second, _ = integers(p)
    packed = _copies(guard, "packed", _prepared(case.algorithm, case.text, case.placement))
    source = guard.copy("src", src)
    dst = guard.empty("dst", p.result_shape, p.dtype)
    epilogue = Epilogue(residual=case.epilogue, relu=case.epilogue)
    added = np.arange(dst.size, dtype=p.dtype).reshape(dst.shape) % 7 - 3 if case.epilogue else None
    residual = dst if added is None else guard.copy("residual", added)
    if p.direction == "bwd_w":
        residual = guard.copy("grad_output", second)
    setup = Setup(p, packed, epilogue, _scratch(case, guard, p), case.threads)
    if dst.size:
        algorithm.bind(setup)(source, dst, residual)
    beside = guard.overwritten()
    if beside is not None:
        return "wrong", f"something was written beside {beside}"
    unwritten = int(np.isnan(dst).sum())
    if unwritten:
        return "wrong", f"{unwritten} of {dst.size} elements of dst are NaN: not written, or made of what nobody wrote"
    expected = _expected(case.text)
    if added is not None:
        expected = np.maximum(expected + added, 0)
    if not np.allclose(dst, expected, atol=1e-3 * max(1.0, np.abs(expected).max(initial=0))):
        return "wrong", f"dst is off by up to {np.abs(dst - expected).max():.3g}"
    return "ok", ""


def main() -> None:
    """Run the cases of stdin; modules named on the command line are imported first, for their algorithms.

    Replies are lines of JSON: the name of each array as it is made, then status and reason of the case.
    """
    for name in sys.argv[1:]:
        importlib.import_module(name)
    for line in sys.stdin:
        case = Case(**json.loads(line))
        status, why = _run(case, Guard(case.placement, case.only))
        print(json.dumps({"status": status, "why": why}), flush=True)


if __name__ == "__main__":
    main()
