"""The commands and what their help has in common; a command's module is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

__all__ = ["COMMANDS", "app", "command"]

#: Commands in the order of the help: the module of `suite.commands` and the function that is one, and the first
#: sentence of that function's docstring.
COMMANDS = {
    "list": ("listing", "list_", "List networks, algorithms, peers and blocks, or the layers of networks."),
    "machine": ("listing", "machine", "Describe this machine and measure its limits."),
    "verify": ("verify", "verify", "Check every algorithm against the float64 oracle, without timing."),
    "run": ("run", "run", "Verify, time, store and report."),
    "blocks": (
        "blocks",
        "blocks",
        "Verify and time blocks of several layers, fused and not, compared with other libraries; store and report.",
    ),
    "report": ("report", "report", "Print runs, and write their page."),
    "compare": ("compare", "compare", "Compare two stored runs row by row, the largest change first."),
    "explain": (
        "explain",
        "explain",
        "Show what the cost model predicts of each algorithm and what is measured, and why one is chosen.",
    ),
    "tune": (
        "tune",
        "tune",
        'Time the algorithms that may be the fastest, and remember for algorithm="auto" how long they took.',
    ),
    "memory": (
        "memory",
        "memory",
        'Show what the layers of networks take of memory, with the algorithm that algorithm="auto" chooses.',
    ),
    "profile": ("profile", "profile", "Time the phases of Winograd and FFT on one thread, each against its own limit."),
    "gate": ("gate", "gate", "Compare two revisions of the kernels, measured in turns on this machine."),
    "aa": ("aa", "aa", "Measure the same code as both sides, with and without slowdowns of known size."),
    "history": (
        "history",
        "history",
        "Read all stored runs, ours and asv's, and find the commits at which a speed changed, machine by machine.",
    ),
    "fleet": (
        "fleet",
        "fleet",
        "Measure the same run on many machines by a Dask cluster, and compare them.",
    ),
    "cache": ("cache", "cache", "Show where compiled code is kept and how much there is of it, or remove what is old."),
}

_EXIT_CODES = """
\b
Exit codes:
  0    everything asked for was measured and right (skipped with a reason is fine, and so is
       a time that is marked mistrusted)
  1    something is wrong, failed or missing
  2    what was asked for cannot be done; one sentence on stderr says why
  70   an error of convmark itself, with its traceback
  130  interrupted; what was measured is stored
gate, aa, history and fleet have exit codes of their own: see their help.
"""


class _Lazy(TyperGroup):
    """Knows its commands by name, and makes one when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = formatter.width - 6 - max(map(len, COMMANDS))
        stubs = [
            (name, TyperCommand(name, help=said).get_short_help_str(width)) for name, (*_, said) in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(stubs)


def command(name: str) -> Any:
    """A command with its options, its examples and its exit codes."""
    from suite import options

    module_name, function, _ = COMMANDS[name]
    module = importlib.import_module(f"suite.commands.{module_name}")
    examples = module.EXAMPLES
    lines = options.examples(*(examples[name] if isinstance(examples, dict) else examples))
    one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    said = "\n".join((lines, getattr(module, "EXIT_CODES", "")))
    one.command(name, epilog=said, context_settings=getattr(module, "CONTEXT", None))(getattr(module, function))
    return get_command(one)


app = typer.Typer(
    name="convmark",
    cls=_Lazy,
    help="Verify, time and compare convolutions on this machine.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _say_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            print(f"convmark {metadata.version('convmark')}")
        except metadata.PackageNotFoundError:
            print("convmark, sources that are not installed")
        raise typer.Exit


@app.callback()
def _convmark(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Verify, time and compare convolutions on this machine."""
