"""The only compiler settings, and a disk cache that is warm and never stale.

Numba's own cache notices an edit in the file of the cached function but not in the
file of a function that it calls. Here the cache folder is named by a digest of all
sources of the package together with the versions of numba and llvmlite and the CPU,
so that any edit starts a new folder. No global setting of Numba is touched: other
Numba code of the process keeps its settings and its cache.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import caching

__all__ = ["cache_folder", "inner", "kernel", "parallel_kernel", "share_of", "source_digest"]

_OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "nogil": True}
_PACKAGE = Path(__file__).resolve().parent.parent


@functools.cache
def source_digest() -> str:
    """Digest of every kernel source, the compiler's versions and the CPU."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    for part in (numba.__version__, llvmlite.__version__, llvm.get_host_cpu_name(), features, sys.version):
        digest.update(part.encode())
    return digest.hexdigest()[:20]


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled kernels of exactly these sources.

    Below ``CONVMARK_CACHE_DIR`` where that is set, else below the user's cache folder.
    """
    root = os.environ.get("CONVMARK_CACHE_DIR")
    if root is None:
        # Only here: it takes some milliseconds to import.
        import platformdirs

        root = platformdirs.user_cache_dir("convmark", appauthor=False)
    return Path(root) / source_digest()


class _Locator(caching._CacheLocator):  # type: ignore[misc]
    """Puts a function's compiled code into `cache_folder`."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._py_file = py_file
        self._line = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return source_digest()

    def get_disambiguator(self) -> str:
        return f"{Path(self._py_file).stem}-{self._line}"

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> _Locator | None:
        locator = cls(py_func, py_file)
        try:
            locator.ensure_cache_path()
        except OSError:
            return None
        return locator


class _CacheImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]  # noqa: RUF012  (the base class declares it so)


class _Cache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _CacheImpl


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher: Any = numba.njit(**_OPTIONS, **options)(function)
    # Without a writable folder: compile in every process rather than refuse to work.
    with contextlib.suppress(RuntimeError):
        dispatcher._cache = _Cache(function)
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a serial function; cached on disk."""
    return _compile(function)


def parallel_kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose ``prange`` loops run on Numba's threads; cached on disk."""
    return _compile(function, parallel=True)


def inner(function: Callable[..., Any]) -> Any:
    """Compile a function that only other kernels call: no entry from Python, no file on disk of its own."""
    options: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True}
    return numba.njit(**options)(function)


@inner
def share_of(work, part, parts):  # type: ignore[no-untyped-def]
    """First and last item of ``work`` that thread ``part`` of ``parts`` takes.

    ``part`` is the variable of a ``prange``, which Numba may make unsigned: a product with a
    signed number would be a float, and a second compilation of all that it is passed to.
    """
    own = np.intp(part)
    return own * work // parts, (own + 1) * work // parts
