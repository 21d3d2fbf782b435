"""The command line: ``convmark``, or ``python -m suite``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import typer

from kernels import ProblemError, TunedError, UnknownAlgorithm, UnsupportedProblem
from suite import options
from suite.catalogue import UnknownNetwork, WorkloadError
from suite.commands import aa, explain, gate, history, memory, profile, tune
from suite.commands.blocks import EXAMPLES as BLOCK_EXAMPLES
from suite.commands.blocks import blocks
from suite.commands.listing import list_, machine
from suite.commands.report import report
from suite.commands.run import run
from suite.commands.verify import verify
from suite.contenders import UnknownContender
from suite.report.foreign import ForeignError
from suite.run_folder import StoreError

__all__ = ["app", "main"]

#: What a person can ask for wrongly; everything else that is raised is a bug and shows itself.
_BAD_INPUT = (
    UnknownNetwork, UnknownAlgorithm, UnknownContender, UnsupportedProblem, ProblemError, WorkloadError, StoreError,
    ForeignError, TunedError,
)  # fmt: skip

_EXIT_CODES = """
\b
Exit codes:
  0    everything asked for was measured and right (skipped with a reason is fine, and so is
       a time that is marked mistrusted)
  1    something is wrong, failed or missing
  2    what was asked for cannot be done; one sentence on stderr says why
  130  interrupted; what was measured is stored
gate, aa and history have exit codes of their own: see their help.
"""

app = typer.Typer(
    name="convmark",
    help="Verify, time and compare convolutions on this machine.",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _command(name: str, function: Callable[..., None], examples: Sequence[str], exit_codes: str = "") -> None:
    app.command(name, epilog="\n".join((options.examples(*examples), exit_codes)))(function)


_command("list", list_, ("convmark list", "convmark list -n resnet50", "convmark list --json"))
_command("machine", machine, ("convmark machine", "convmark machine -t 1,2 --json"))
_command(
    "verify",
    verify,
    (
        "convmark verify --all",
        "convmark verify -a fft_tile16 -p ic8ih20oc8kh5ph2",
        "convmark verify --accuracy",
        "convmark verify --accuracy -a winograd_f6x3 -n vgg19 --json",
    ),
)
_command(
    "run",
    run,
    (
        "convmark run",
        "convmark run -n resnet50 --contender all --threads 1,2",
        "convmark run -n vgg19 -c winograd_f4x3 -c peers --cache warm,cold",
        "convmark run --resume latest",
    ),
)
_command("blocks", blocks, BLOCK_EXAMPLES)
_command(
    "report",
    report,
    ("convmark report", "convmark report latest --asv .asv/results --pytest-benchmark out.json"),
)
_command("explain", explain.explain, explain.EXAMPLES)
_command("tune", tune.tune, tune.EXAMPLES)
_command("memory", memory.memory, memory.EXAMPLES)
_command("profile", profile.profile, profile.EXAMPLES)
_command(
    "gate",
    gate.gate,
    ("convmark gate --base main", "convmark gate --base v1.0 --head HEAD -n resnet50 --minutes 30 -t 1,2"),
    gate.EXIT_CODES,
)
_command(
    "aa",
    aa.aa,
    ("convmark aa", "convmark aa --generations 60 --json", "convmark aa --resume results/aa/DIR"),
    aa.EXIT_CODES,
)
_command("history", history.history, history.EXAMPLES, history.EXIT_CODES)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; bad input is one sentence on stderr."""
    try:
        app(args=arguments, prog_name="convmark")
    except _BAD_INPUT as error:
        print(f"convmark: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
