"""Numba's compiler, reduced to what code over integers, addresses and vectors needs.

Numba loads all that it knows of NumPy arrays, strings and containers when it first compiles anything, and asks for
news of it before each function that it compiles. Pieces of code know no such types. Their compiler has contexts
of its own, which are of Numba's classes and share nothing with those of the user's own Numba code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from numba.core import codegen, cpu, imputils, target_extension, typed_passes, types, untyped_passes
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import PassManager
from numba.core.registry import CPUDispatcher, CPUTarget
from numba.core.typing import templates
from numba.core.typing.context import BaseContext
from numba.core.utils import threadsafe_cached_property

__all__ = ["PIECES", "Passes", "inner"]


_NAME = "convmark"


#: What pieces mostly do: arithmetic of words. Numba weighs some twenty signatures each time, and its own ``min`` and
#: ``max`` are compiled by its whole pipeline for each pair of types.
_TYPES, _CODE = templates.Registry(), imputils.Registry(_NAME)
_ARITHMETIC = ("add", "sub", "mul", "floordiv", "mod", "iadd", "isub", "imul")
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def _are_words(args: tuple[types.Type, ...]) -> bool:
    return len(args) == 2 and all(isinstance(each, types.Integer) and each.signed for each in args)  # type: ignore[attr-defined]


class _Word(templates.AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return templates.signature(types.intp, types.intp, types.intp) if _are_words(args) else None


class _Truth(templates.AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return templates.signature(types.boolean, types.intp, types.intp) if _are_words(args) else None


for _functions, _template in (
    ((min, max, *(getattr(operator, name) for name in _ARITHMETIC)), _Word),
    (tuple(getattr(operator, name) for name in _COMPARISONS), _Truth),
):
    for _function in _functions:
        _TYPES.register_global(_function)(type(_function.__name__, (_template,), {"key": _function}))

for _function, _order in ((min, "<"), (max, ">")):

    def _choose(context: Any, builder: Any, sig: Any, args: Any, order: str = _order) -> Any:
        return builder.select(builder.icmp_signed(order, *args), *args)

    _CODE.lower(_function, types.intp, types.intp)(_choose)


class _Library(codegen.JITCodeLibrary):
    """Code that is optimised once, as a whole: see `kernels.machine.compile`."""

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass


class _Typing(BaseContext):
    def load_additional_registries(self) -> None:
        from numba.core.typing import mathdecl

        self.install_registry(_TYPES)
        self.install_registry(mathdecl.registry)


class _Target(cpu.CPUContext):
    def init(self) -> None:
        super().init()
        self._internal_codegen._library_class = _Library

    def load_additional_registries(self) -> None:
        from numba.core import optional  # noqa: F401
        from numba.cpython import builtins, iterators, mathimpl, numbers, rangeobj, tupleobj  # noqa: F401

        self.install_registry(mathimpl.registry)
        self.install_registry(_CODE)

    def post_lowering(self, module: Any, library: Any) -> None:
        """Link nothing: pieces count no references."""


class _PieceTarget(CPUTarget):
    @threadsafe_cached_property
    def _toplevel_target_context(self) -> cpu.CPUContext:
        return _Target(self.typing_context, self._target_name)

    @threadsafe_cached_property
    def _toplevel_typing_context(self) -> BaseContext:
        return _Typing()


#: What pieces are compiled for.
PIECES = _PieceTarget(_NAME)


class Passes(CompilerBase):
    """Numba's passes without those that find nothing in code over integers and vectors: a third of its front end.

    Left out are closures, ``with`` blocks, array expressions, inlining, literals and the pruning of branches; and what
    tells a variable's values apart by their types (they have one) and by their ends (nothing counts references).
    """

    def define_pipelines(self) -> list[PassManager]:
        """The passes that a piece of code goes through."""
        passes = PassManager("piece")
        for each in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.GenericRewrites,
            typed_passes.NopythonTypeInference,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class _PieceDispatcher(CPUDispatcher):
    targetdescr = PIECES


class _Pieces(target_extension.CPU):
    """Names the target where Numba asks which of its functions are meant for it."""


def _jit(**options: Any) -> Callable[[Callable[..., Any]], _PieceDispatcher]:
    return lambda function: _PieceDispatcher(function, targetoptions={"nopython": True, **options})


target_extension.target_registry[_NAME] = _Pieces
target_extension.dispatcher_registry[_Pieces] = _PieceDispatcher
target_extension.jit_registry[_Pieces] = _jit


def inner(function: Callable[..., Any]) -> Any:
    """Let pieces call a function; it is compiled into each of them."""
    options = {
        "nopython": True, "error_model": "numpy", "boundscheck": False, "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }  # fmt: skip
    return _PieceDispatcher(function, targetoptions=options, pipeline_class=Passes)
