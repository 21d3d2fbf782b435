"""Compiled pieces of code and the cache that keeps them on disk.

A *piece* is compiled on its own, has a plain C signature whose arguments are all integers (numbers or
addresses), and is called by its address: the microkernels and macrokernels of `kernels.machine.microkernel`, and what
`kernels.machine.parallel` calls the latter from.

The cache has one file for each piece, named by a digest of all that the piece is made of: its module and what that
imports inside this package, the constants that it is specialised by, the versions of Python, numba and
llvmlite, the CPU, and those settings of Numba's environment that change code. So an edit recompiles what stands on
the edited file and nothing else, and no index can name a wrong file. A file is written beside its place, synced and
renamed; it begins with a checksum of its name and of what follows. A file that is empty, cut or foreign is compiled
anew and replaced; a folder that cannot be written costs the caching alone, with one warning. No global setting of Numba
is touched.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib.util
import marshal
import os
import re
import secrets
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numba
from llvmlite import ir
from numba import types
from numba.core import compiler, config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.target_extension import target_override

from kernels.machine.static import StaticType
from kernels.machine.target import PIECES, Passes

__all__ = [
    "CompileCounter",
    "CompileCounts",
    "cache_folder",
    "code_digest",
    "compile_counts",
    "compiled",
    "load_piece",
    "piece_key",
    "prune_cache",
    "source_digest",
    "store_piece",
]

_PACKAGE = "kernels"
_MAGIC = b"convmark piece 2\n"
_PART = ".part"
#: Pieces together take at most so many bytes on disk, and a piece that was not used for so many days goes.
_MOST_BYTES, _MOST_DAYS = 512 * 2**20, 90
#: A piece that is loaded counts as used; its file is touched at most so often.
_TOUCH_S = 86400.0
#: A file that is being written is done by then, or its writer was killed.
_WRITING_S = 3600.0
#: Settings of Numba's that change what is compiled.
_SETTINGS = (
    "OPT",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "ENABLE_AVX",
    "DEBUGINFO_DEFAULT",
    "EXTEND_VARIABLE_LIFETIMES",
    "ENABLE_PROFILING",
    "BOUNDSCHECK",
    "USING_SVML",
    "LLVM_REFPRUNE_PASS",
    "LLVM_REFPRUNE_FLAGS",
    "DEBUG_ARRAY_OPT_RUNTIME",
)

if getattr(config, "DISABLE_JIT", False):
    raise ImportError("NUMBA_DISABLE_JIT is set, expected it unset: kernels are compiled code and nothing else")


# -- what a piece is made of ---------------------------------------------


@functools.cache
def _source(module: str) -> bytes | None:
    """The source of a module of this package, its code if no source is kept, or None if there is no module."""
    try:
        found = importlib.util.find_spec(module)
    except (ModuleNotFoundError, AttributeError):
        return None
    if found is None or found.loader is None:
        return None
    if found.origin is not None and found.origin.endswith(".py"):
        with contextlib.suppress(OSError):
            return Path(found.origin).read_bytes()
    with contextlib.suppress(ImportError, AttributeError, OSError):
        text = found.loader.get_source(module)  # type: ignore[attr-defined]
        if text is not None:
            return bytes(text, "utf-8")
    return _CODE + marshal.dumps(found.loader.get_code(module))  # type: ignore[attr-defined]


#: What stands before the code of a module without a source.
_CODE = b"\0code"


#: An import statement, names in brackets or not; as text, since parsing takes a thousand times as long.
_IMPORT = re.compile(
    rb"^[ \t]*(?:from[ \t]+(kernels[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([^\n]*))", re.MULTILINE
)


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    """Modules of this package that a module imports; without a source, all that are loaded."""
    source = _source(module)
    if source is None or source.startswith(_CODE):
        return tuple(sorted(name for name in sys.modules if name.startswith(f"{_PACKAGE}.")))
    found: set[str] = set()
    for package, names, plain in _IMPORT.findall(source):
        words = re.findall(rb"[\w.]+", names or plain)
        if package:
            found |= {package.decode(), *(f"{package.decode()}.{word.decode()}" for word in words)}
        else:
            found |= {word.decode() for word in words}
    return tuple(sorted(name for name in found if name.startswith(f"{_PACKAGE}.") and _source(name) is not None))


@functools.cache
def source_digest(module: str) -> str:
    """Digest of a module's source and of all that it imports, directly or not, inside this package."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imports(name)
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(name.encode())
        digest.update(hashlib.sha256(_source(name) or b"").digest())
    return digest.hexdigest()


@functools.cache
def _environment() -> str:
    """What code depends on beside its source."""
    # As Numba sees the CPU: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES may say otherwise than the machine.
    name = getattr(config, "CPU_NAME", None) or llvm.get_host_cpu_name()
    features = getattr(config, "CPU_FEATURES", None) or llvm.get_host_cpu_features().flatten()
    settings = [f"{each}={getattr(config, each, None)!r}" for each in _SETTINGS]
    # Beyond 3, which it is equal to.
    settings.append(f"OPT=max: {getattr(getattr(config, 'OPT', None), 'is_opt_max', None)}")
    # Intrinsics may ask how wide vectors are while they are emitted.
    settings.append(f"vectors: {os.environ.get('CONVMARK_VECTOR_BYTES')}")
    versions = numba.__version__, llvmlite.__version__, sys.version, llvm.get_process_triple()
    return "\n".join((*versions, name, features, *settings))


def code_digest(module: str) -> str:
    """Digest of all that the code of a module and of what it imports depends on."""
    return hashlib.sha256(f"{source_digest(module)}\n{_environment()}".encode()).hexdigest()[:20]


def piece_key(function: Callable[..., Any], *constants: Any) -> str:
    """The name of a piece: a digest of its sources, its constants (by ``repr``) and the environment."""
    digest = hashlib.sha256()
    parts = (function.__module__, function.__qualname__, source_digest(function.__module__), _environment())
    for part in (*parts, *map(repr, constants)):
        digest.update(part.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:40]


# -- the files -----------------------------------------------------------


@functools.cache
def cache_folder() -> Path:
    """Folder of the compiled pieces: ``CONVMARK_CACHE_DIR`` if it is set, else below the user's cache folder."""
    root = os.environ.get("CONVMARK_CACHE_DIR")
    if not root:
        # Only here: it takes some milliseconds to import.
        import platformdirs

        try:
            root = platformdirs.user_cache_dir("convmark", appauthor=False)
        except RuntimeError:
            root = "~"
    root = os.path.expanduser(root)
    if root.startswith("~"):
        # The user's home is not known: nowhere rather than in a folder of that name, or where others may write code.
        root = os.devnull
    return Path(root).absolute() / "pieces"


def _head(key: str, payload: bytes) -> bytes:
    # With the key: LLVM takes whatever it is given, and code of another name or platform would end the process.
    return _MAGIC + hashlib.sha256(key.encode() + payload).digest()


def load_piece(key: str) -> bytes | None:
    """What `store_piece` stored under ``key``; None if there is nothing whole."""
    path = cache_folder() / key
    try:
        content = path.read_bytes()
        begin = len(_MAGIC) + hashlib.sha256().digest_size
        payload = content[begin:]
        if content[:begin] != _head(key, payload):
            return None
        if time.time() - path.stat().st_mtime > _TOUCH_S:
            with contextlib.suppress(OSError):
                os.utime(path)
    except OSError:
        return None
    return payload


def store_piece(key: str, payload: bytes) -> None:
    """Keep ``payload`` under ``key``; on a folder that cannot be written there is one warning."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Of the mode that the user's files have: a folder of root's may be for others to read.
        name = folder / f"{key}.{os.getpid()}.{secrets.token_hex(4)}{_PART}"
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(key, payload) + payload)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, folder / key)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _bound_once()
    except OSError as error:
        _warn_once(f"compiled code is not kept: {folder} cannot be written ({error.strerror or error})")


@functools.cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


@functools.cache
def _bound_once() -> None:
    """Keep the folder within its bounds; at the first write of a process."""
    prune_cache()


def prune_cache(most_bytes: int = _MOST_BYTES, most_days: float = _MOST_DAYS) -> tuple[int, int]:
    """Remove compiled pieces that were not used for long, then the ones not used for longest, until the rest fits.

    Parameters
    ----------
    most_bytes : int
        What the pieces that stay take together.
    most_days : float
        Days since the last use that a piece stays.

    Returns
    -------
    removed, left : int
        Bytes.
    """
    found = []
    now = time.time()
    with contextlib.suppress(OSError), os.scandir(cache_folder()) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False):
                    state = entry.stat()
                    is_left_over = entry.name.endswith(_PART) and now - state.st_mtime > _WRITING_S
                    found.append((not is_left_over, state.st_mtime, state.st_size, entry.path))
    removed, left = 0, sum(size for _, _, size, _ in found)
    # What a killed writer left goes first, and in any case.
    for is_piece, used, size, path in sorted(found):
        if is_piece and now - used <= most_days * 86400 and left <= most_bytes:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            removed, left = removed + size, left - size
    return removed, left


# -- compilation ---------------------------------------------------------


class CompileCounter:
    """How many pieces this process compiled and loaded, and the seconds that compiling took."""

    pieces = 0
    loaded = 0
    seconds = 0.0


class CompileCounts(NamedTuple):
    """What was compiled so far.

    Attributes
    ----------
    pieces, loaded : int
        Pieces of code that this process compiled, and that it took from the cache.
    seconds : float
        What compiling took.
    """

    pieces: int
    loaded: int
    seconds: float


def compile_counts() -> CompileCounts:
    """What this process compiled so far."""
    return CompileCounts(CompileCounter.pieces, CompileCounter.loaded, CompileCounter.seconds)


#: Code that is loaded lives as long as the process; pieces are few, since no extent is in a key.
_ADDRESSES: dict[str, int] = {}


def compiled(
    function: Callable[..., Any],
    arguments: tuple[types.Type, ...],
    *constants: Any,
    unroll: bool = True,
    result: types.Type = types.void,
) -> int:
    """Address of ``function``, compiled for these types of arguments or loaded from the cache.

    Parameters
    ----------
    function : callable
        At the top level of a module of this package.
    arguments : tuple of types.Type
        Types of the function's arguments. Constants in types (`kernels.machine.static`) take no argument of the
        piece; each other one is an integer of the machine's word, of pointers the address.
    *constants
        What the piece is specialised by; part of its key.
    unroll : bool
        Whether loops are unrolled and all of LLVM's passes run. Loops around calls gain nothing from it, and compile
        in half the time without.
    result : types.Type
        Nothing, or a word.

    Returns
    -------
    int
        Address of a C function.
    """
    key = piece_key(function, *constants)
    address = _ADDRESSES.get(key)
    if address is None:
        with global_compiler_lock:
            address = _ADDRESSES.get(key)
            if address is None:
                address = _ADDRESSES[key] = _loaded_or_compiled(key, _Piece(function, arguments, unroll, result))
    return address


class _Piece(NamedTuple):
    """What a piece is compiled from; see `compiled`."""

    function: Callable[..., Any]
    arguments: tuple[types.Type, ...]
    unroll: bool = True
    result: types.Type = types.void


def _loaded_or_compiled(key: str, piece: _Piece) -> int:
    name = f"convmark_{key}"
    code = load_piece(key)
    if code is not None:
        CompileCounter.loaded += 1
        return _add_code(name, code)
    start = time.perf_counter()
    with _no_collection():
        code = _compile(name, piece)
    address = _add_code(name, code)
    CompileCounter.pieces += 1
    CompileCounter.seconds += time.perf_counter() - start
    store_piece(key, code)
    return address


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Keep garbage for later: going over all that a compiler holds is a tenth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _add_code(name: str, code: bytes) -> int:
    engine = PIECES.target_context.codegen()._engine._ee
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(name)
    if not address:
        raise RuntimeError(f"compiled code has no function {name}")
    return address


def _compile(name: str, piece: _Piece) -> bytes:
    """Object code of a C function ``name`` that calls the piece's; nothing else of it is visible from outside."""
    module = _optimised(name, piece)
    code: bytes = PIECES.target_context.codegen()._tm.emit_object(module)
    return code


def assembly(function: Callable[..., Any], arguments: tuple[types.Type, ...], unroll: bool = True) -> str:
    """The assembly of a piece, compiled here and now as `compiled` does."""
    with global_compiler_lock:
        module = _optimised("piece", _Piece(function, arguments, unroll))
        text: str = PIECES.target_context.codegen()._tm.emit_assembly(module)
    return text


def _optimised(name: str, piece: _Piece) -> llvm.ModuleRef:
    typing, target = PIECES.typing_context, PIECES.target_context
    flags = compiler.Flags()
    settings = {
        "nrt": False,
        "no_compile": True,
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "enable_looplift": False,
        "error_model": "numpy",
    }
    for setting, value in settings.items():
        setattr(flags, setting, value)
    with target_override(target.target_name):
        result = compiler.compile_extra(
            typing, target, piece.function, piece.arguments, piece.result, flags, {}, pipeline_class=Passes
        )
    library = result.library
    library.add_ir_module(_entry(name, target, result.fndesc, piece))
    # What the library does when it is finalised, but that all but the entry is private and nothing is emitted twice.
    module = library._final_module
    for linked in library._linking_libraries:
        module.link_in(linked._get_module_for_linking(), preserve=True)
    for each in module.functions:
        if not each.is_declaration and each.name != name:
            each.linkage = "internal"
    passes, builder = library._codegen._module_pass_manager() if piece.unroll else _few_passes(library._codegen)
    passes.run(module, builder)
    module.verify()
    return module


def _few_passes(codegen: Any) -> tuple[llvm.ModulePassManager, llvm.PassBuilder]:
    """LLVM's passes that leave loops as they are."""
    options = llvm.create_pipeline_tuning_options(speed_level=min(1, int(getattr(config, "OPT", 3))))
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(codegen._tm, options)
    return builder.getModulePassManager(), builder


def _entry(name: str, target: Any, description: Any, piece: _Piece) -> ir.Module:
    """A C function whose integers become what the compiled function takes."""
    module = target.create_module(name)
    arguments, result = piece.arguments, piece.result
    callee = ir.Function(module, target.call_conv.get_function_type(result, arguments), description.llvm_func_name)
    word = target.get_value_type(types.intp)
    passed = [typ for typ in arguments if not isinstance(typ, StaticType)]
    returned = ir.VoidType() if result == types.void else word
    function = ir.Function(module, ir.FunctionType(returned, [word] * len(passed)), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    given: Iterator[Any] = iter(function.args)
    values = []
    for typ in arguments:
        if isinstance(typ, StaticType):
            values.append(target.get_dummy_value())
        else:
            value, wanted = next(given), target.get_value_type(typ)
            values.append(value if wanted == word else builder.inttoptr(value, wanted))
    _, found = target.call_conv.call_function(builder, callee, result, arguments, values)
    if result == types.void:
        builder.ret_void()
    else:
        builder.ret(found)
    return module
