"""The command line: ``convmark``, or ``python -m suite``.

Nothing is imported here that takes long: an interrupt in the first seconds ends a command as one later does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TextIO, TypeVar, cast

__all__ = ["main"]

_Result = TypeVar("_Result")

#: What a person can ask for wrongly, by where it is defined; everything else that is raised is a bug and shows itself.
_BAD_INPUT = {
    "kernels": ("ProblemError", "TunedError", "UnknownAlgorithm", "UnsupportedProblem"),
    "suite.catalogue": ("UnknownNetwork", "WorkloadError"),
    "suite.contenders": ("UnknownContender",),
    "suite.report.importers": ("ForeignError",),
    "suite.results.files": ("StoreError",),
}

#: Exit codes; those of commands are in their help. One of an error of our own is none of theirs.
_CANNOT, _ERROR, _INTERRUPTED, _CLOSED = 2, 70, 130, 141


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; bad input is one sentence on stderr."""
    try:
        code = _run(arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    sys.exit(code)


def _run(arguments: Sequence[str] | None) -> int:
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (as long as the process)
    if sys.stdout is None:
        return _refuse("standard output is closed, expected one to print to")
    if sys.stdout is sys.__stdout__:
        sys.stdout = cast(TextIO, _Stdout(cast(TextIO, sys.stdout)))
    try:
        from suite.commands.app import app

        app(args=arguments, prog_name="convmark")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except Exception as error:
        if not _is_bad_input(error):
            import traceback

            traceback.print_exc()
            return _ERROR
        code = _refuse(str(error))
    try:
        sys.stdout.flush()
    except SystemExit as ended:
        code = cast(int, ended.code)
    return code


def _refuse(sentence: str) -> int:
    from suite.format import printable

    print(f"convmark: {printable(sentence)}", file=sys.stderr)
    return _CANNOT


def _is_bad_input(error: Exception) -> bool:
    kinds: tuple[Any, ...] = tuple(
        getattr(sys.modules[module], name) for module, names in _BAD_INPUT.items() if module in sys.modules
        for name in names
    )  # fmt: skip
    return isinstance(error, kinds)


class _Stdout:
    """Standard output that ends the command if it cannot be written to: silently if its reader has gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        return self._guarded(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Hand everything on."""
        self._guarded(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _guarded(self, do: Callable[[], _Result]) -> _Result:
        try:
            return do()
        except OSError as error:
            # What is still held back goes nowhere: it would be tried again when the interpreter ends.
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            if isinstance(error, BrokenPipeError):
                sys.exit(_CLOSED)
            sys.exit(_refuse(f"cannot write to standard output: {error.strerror or error}, expected one with room"))
