"""How the command line ends: by an interrupt, with a reader that has gone, by an error of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent

#: Raises when a module is imported: an interrupt at that moment, whatever the machine's speed.
_INTERRUPTED = """
import sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from suite.cli import main
main({arguments!r})
"""


def _python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", ["typer", "suite.commands.run", "suite.actions.run", "numba", "pandas"])
def test_an_interrupt_while_something_is_imported_is_exit_130_without_a_traceback(name: str, tmp_path: Path) -> None:
    done = _python(_INTERRUPTED.format(name=name, arguments=["run", "-p", "ic1ih4oc1kh1"]), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_an_error_of_our_own_has_a_traceback_and_no_commands_exit_code(tmp_path: Path) -> None:
    script = "import suite.actions.gate as g, suite.cli\ng.select_layers = lambda *a, **k: 1 / 0\n"
    done = _python(script + "suite.cli.main(['gate', '--base', 'HEAD'])", tmp_path)
    assert done.returncode == 70 and "ZeroDivisionError" in done.stderr


def _shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "CONVMARK": f"{sys.executable} -m suite"}
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("command", ["list -n resnet50 --json", "run --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_ends_it_as_it_ends_others(command: str, unbuffered: str, tmp_path: Path) -> None:
    line = f"PYTHONUNBUFFERED={unbuffered} $CONVMARK {command} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = _shell(line, tmp_path)
    # The pipe may hold all of it: then nothing has happened.
    assert done.stdout in ("141\n", "0\n") and done.stderr == ""


def test_a_reader_that_never_reads_ends_it_silently(tmp_path: Path) -> None:
    done = _shell("$CONVMARK list -n resnet50 --json | true; echo ${PIPESTATUS[0]}", tmp_path)
    assert done.stderr == "" and done.stdout == "141\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("command", ["list -n resnet50 --json", "gate --help"])
def test_a_full_standard_output_is_one_sentence(command: str, tmp_path: Path) -> None:
    done = _shell(f"$CONVMARK {command} > /dev/full; echo $?", tmp_path)
    assert done.stdout == "2\n"
    assert done.stderr == (
        "convmark: cannot write to standard output: No space left on device, expected one with room\n"
    )


def test_a_closed_standard_output_is_one_sentence(tmp_path: Path) -> None:
    done = _shell("$CONVMARK list >&- ; code=$?; exec >&2; echo $code", tmp_path)
    assert done.stderr == "convmark: standard output is closed, expected one to print to\n2\n"


def test_the_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    done = _shell("$CONVMARK --version", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"convmark {metadata.version('convmark')}\n", "")
