"""The command line: what it prints, where, and with which exit code; bad input is one sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kernels
from kernels import Conv2dProblem, ProblemError, algorithms, get_algorithm, registry
from suite import cli
from suite.catalogue import networks
from suite.environment import Limits

_ROOT = Path(__file__).parent.parent

_TEXT = "ic3ih6oc4kh2ph1"
_RUN = ("run", "-p", _TEXT, "-a", "direct_naive", "-a", "winograd_f2x3", "--seconds", "0")

Convmark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def convmark(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Convmark:
    """Run the command line in a folder of its own, with limits that need no probe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        cli,
        "measure_limits",
        lambda threads, dtypes: Limits({d: dict.fromkeys(threads, 100.0) for d in dtypes}, dict.fromkeys(threads, 9.0)),
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        said = capsys.readouterr()
        return int(exit_.value.code or 0), said.out, said.err

    return run


def _fake(monkeypatch: pytest.MonkeyPatch, run: Callable[..., None]) -> None:
    made = dataclasses.replace(get_algorithm("direct_naive"), name="made_up", run=run)
    monkeypatch.setitem(registry._REGISTRY, "made_up", made)


def _zeros(problem, packed, src, bia, dst, workspace, threads) -> None:  # type: ignore[no-untyped-def]
    dst[:] = 0


def _rows_file() -> Path:
    [path] = Path("results/runs").glob("*/rows.jsonl")
    return path


# -- what it does ---------------------------------------------------------------------


def test_list_names_every_network_and_algorithm(convmark: Convmark) -> None:
    code, out, _ = convmark("list")
    assert code == 0
    for name in (*networks(), *(each.name for each in algorithms())):
        assert name in out
    assert "res2a_branch2b" in convmark("list", "-n", "resnet50")[1]
    content = json.loads(convmark("list", "--json")[1])
    assert len(content["networks"]["resnet50"]) == 23
    assert [each["name"] for each in content["algorithms"]] == [each.name for each in algorithms()]


def test_machine_states_the_limits(convmark: Convmark) -> None:
    code, out, _ = convmark("machine", "-t", "1")
    assert code == 0 and "FMA limit float32, 1 thread" in out and "GFLOP/s" in out
    content = json.loads(convmark("machine", "-t", "1", "--json")[1])
    assert content["limits"]["fma_gflops"]["float64"] == {"1": 100.0}
    assert content["machine"]["numpy"] == np.__version__


def test_verify_counts_and_gives_reasons(convmark: Convmark) -> None:
    code, out, err = convmark("verify", "-p", _TEXT, "-p", "ic3ih6oc4kh3")
    assert code == 0
    assert "skipped 1 x winograd_f2x3: the kernel is 2x2, expected 3x3" in out
    assert f"text/{_TEXT}" in err
    content = json.loads(convmark("verify", "-p", _TEXT, "-a", "direct_naive", "--json")[1])
    assert content["counts"] == {"ok": 1} and content["rows"][0]["problem"] == _TEXT


def test_wrong_results_make_the_exit_code_non_zero(convmark: Convmark, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, _zeros)
    code, out, _ = convmark("verify", "-p", _TEXT, "-a", "made_up")
    assert code == 1 and f"wrong made_up on text/{_TEXT}" in out
    code, out, _ = convmark("run", "-p", _TEXT, "-a", "made_up", "-a", "direct_naive", "--seconds", "0")
    assert code == 1 and "wrong" in out and "differ from the exact integers" in out


def test_a_run_is_measured_stored_and_reported(convmark: Convmark) -> None:
    code, out, err = convmark(*_RUN)
    assert code == 0
    assert "* direct_naive" in out and "winograd_f2x3: " in out and "report.md" in out
    assert f"[2/2] text/{_TEXT}: 1 ok, 1 skipped, fastest direct_naive" in err
    folder = _rows_file().parent
    assert {"machine.json", "request.json", "rows.csv", "rows.parquet", "report.md", "text-1t.png"} <= {
        path.name for path in folder.iterdir()
    }
    frame = pd.read_parquet(folder / "rows.parquet")
    assert frame["status"].tolist() == ["ok", "skipped"]
    assert frame["pct_of_peak"][0] == pytest.approx(frame["useful_gflops"][0])


def test_run_and_report_speak_json(convmark: Convmark) -> None:
    content = json.loads(convmark(*_RUN, "--json")[1])
    assert content["counts"] == {"ok": 1, "skipped": 1}
    assert content["run"] == Path(content["folder"]).name
    code, out, _ = convmark("report", "--json")
    assert code == 0 and [row["algorithm"] for row in json.loads(out)["rows"]] == ["direct_naive", "winograd_f2x3"]


def test_an_interrupted_run_keeps_its_rows_and_resumes(convmark: Convmark, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = cli.run_tasks

    def interrupted(tasks: Any, *arguments: Any, **rest: Any):  # type: ignore[no-untyped-def]
        yield from honest(tasks[:1], *arguments, **rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_tasks", interrupted)
    code, _, err = convmark(*_RUN)
    name = _rows_file().parent.name
    assert code == 130
    assert f"interrupted with 1 of 2 rows stored; go on with: convmark run --resume {name}" in err
    stored = _rows_file().read_bytes()
    code, out, err = convmark("report")
    assert code == 1 and f"1 of 2 rows are missing in run {name}" in err and "direct_naive" in out

    asked: list[str] = []
    monkeypatch.setattr(
        cli, "run_tasks", lambda tasks, *a, **k: asked.extend(t.algorithm.name for t in tasks) or honest(tasks, *a, **k)
    )
    code, _, _ = convmark("run", "--resume", "latest")
    assert code == 0 and asked == ["winograd_f2x3"]
    assert _rows_file().read_bytes().startswith(stored)
    asked.clear()
    assert convmark("run", "--resume", name)[0] == 0 and asked == []


def test_a_signal_ends_the_process_with_130(tmp_path: Path) -> None:
    # The first row is skipped at once; the second is sampled until the signal comes.
    script = "import suite.timer as t; t.measure.__kwdefaults__['most'] = 10**9; import suite.cli; suite.cli.main()"
    asked = ("run", "-p", _TEXT, "-a", "winograd_f2x3", "-a", "direct_naive", "--seconds", "1e9")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", script, *asked], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        while not any(path.stat().st_size for path in tmp_path.glob("results/runs/*/rows.jsonl")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "interrupted with 1 of 2 rows stored" in err and "Traceback" not in err


def test_python_m_suite_is_convmark() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "suite", "list", "-n", "quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "kernel_3x3" in done.stdout


@pytest.mark.parametrize("command", [(), ("list",), ("machine",), ("verify",), ("run",), ("report",)])
def test_help_has_examples_and_exit_codes(convmark: Convmark, command: tuple[str, ...]) -> None:
    code, out, _ = convmark(*command, "--help")
    assert code == 0
    assert "Examples:" in out if command else "Exit codes:" in out


def test_other_tools_results_are_reported(convmark: Convmark, tmp_path: Path) -> None:
    info = {"network": "net", "layer": "one", "problem": _TEXT, "algorithm": "direct_tiled", "threads": 1}
    stats = {"median": 0.125, "min": 0.1, "iqr": 0.0125, "rounds": 7}
    stored = {"machine_info": {"node": "box"}, "benchmarks": [{"extra_info": info, "stats": stats}]}
    Path("bench.json").write_text(json.dumps(stored))
    code, out, _ = convmark("report", "--pytest-benchmark", "bench.json", "-o", "there")
    assert code == 0 and "direct_tiled (pytest-benchmark bench)" in out
    assert Path("there/report.md").is_file()
    convmark(*_RUN)
    code, out, _ = convmark("report", "latest", "--pytest-benchmark", "bench.json", "--json")
    assert [row["source"] for row in json.loads(out)["rows"]] == ["convmark", "convmark", "pytest-benchmark"]


# -- bad input: one sentence, a non-zero exit, no traceback, nothing stored is lost ------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "-p", "ic3x"), "malformed problem text 'ic3x' at 'x', expected keys and numbers like"),
        (("run", "-p", "ic3ih6kh3"), "problem text 'ic3ih6kh3' has no 'oc', expected at least ic, ih, oc and kh"),
        (("verify", "-p", "ic1ih2oc1kh3"), "kernel extent 3x3 (dilation included) is larger than the padded input 2x2"),
        (("verify", "-p", "g2ic3ih4oc2kh1"), "ic is 3, expected a multiple of g=2"),
        (("verify", "-a", "direct_tilde"), "unknown algorithm 'direct_tilde', did you mean direct_tiled"),
        (("run", "-n", "resnet5"), "unknown network 'resnet5', did you mean resnet50"),
        (("list", "-n", "nothing_like_it"), "unknown network 'nothing_like_it', expected one of alexnet, "),
        (("run", "--mb", "two"), "--mb is 'two', expected a whole number or 'listed'"),
        (("run", "--seconds", "-1"), "--seconds is -1.0, expected at least 0"),
        (("run", "--seconds", "nan"), "--seconds is nan, expected at least 0"),
        (("verify", "-t", "0"), "threads is 0, expected a whole number from 1 to "),
        (("machine", "-t", "9999"), "threads is 9999, expected a whole number from 1 to "),
        (("run", "--resume", "latest", "-n", "vgg19"), "--resume goes on with what its run was asked for"),
        (("run", "--resume", "latest"), "no run 'latest' below results/runs, expected a run there"),
        (("report", "yesterday"), "no run 'yesterday' below results/runs, expected a run there"),
        (("report", "--asv", "nowhere"), "no asv results in nowhere, expected a folder with MACHINE/COMMIT-ENV.json"),
        (("report", "--pytest-benchmark", "gone.json"), "cannot read gone.json: No such file or directory, expected"),
    ],
)
def test_bad_input_is_one_sentence(convmark: Convmark, arguments: tuple[str, ...], said: str) -> None:
    code, out, err = convmark(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"convmark: {said}") and err.count("\n") == 1
    assert not Path("results").exists()


def test_an_unknown_option_is_a_usage_error(convmark: Convmark) -> None:
    code, _, err = convmark("run", "--netwrok", "vgg19")
    assert code == 2 and "--netwrok" in err and "Traceback" not in err


def test_an_unwritable_results_folder_is_found_out_before_anything_is_measured(
    convmark: Convmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "run_tasks", lambda *a, **k: pytest.fail("measured before the folder was tried"))
    Path("taken").write_text("a file")
    code, out, err = convmark(*_RUN, "--results", "taken")
    assert (code, out) == (2, "")
    assert err == "convmark: cannot write taken/runs: Not a directory, expected a folder that can be written to\n"
    assert Path("taken").read_text() == "a file"


def test_a_report_that_cannot_be_written_is_one_sentence(convmark: Convmark) -> None:
    convmark(*_RUN)
    Path("taken").write_text("a file")
    code, _, err = convmark("report", "-o", "taken/there")
    assert code == 2
    assert err == "convmark: cannot write taken/there: Not a directory, expected a folder that can be written to\n"


def test_a_results_folder_that_becomes_unwritable_is_one_sentence(
    convmark: Convmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("suite.store.os.fsync", full)
    code, _, err = convmark(*_RUN)
    assert code == 2 and "Traceback" not in err
    assert "rows.jsonl: No space left on device, expected a folder that can be written to" in err


@pytest.mark.parametrize("keep", [0.3, 0.99])
def test_a_truncated_results_file_costs_one_row_and_is_made_whole(convmark: Convmark, keep: float) -> None:
    convmark(*_RUN)
    path = _rows_file()
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    cut = whole[: first + int(keep * (len(whole) - first))]
    path.write_bytes(cut)
    code, out, err = convmark("report")
    assert code == 1 and "direct_naive" in out and "Traceback" not in err
    assert f"{path} line 2 is not a whole row and is left out, expected one JSON object a line" in err
    assert "1 of 2 rows are missing" in err
    assert path.read_bytes() == cut
    code, _, _ = convmark("run", "--resume", "latest")
    assert code == 0 and path.read_bytes().startswith(cut)
    assert json.loads(convmark("report", "--json")[1])["rows"][1]["status"] == "skipped"


def test_a_damaged_run_is_one_sentence(convmark: Convmark) -> None:
    convmark(*_RUN)
    (_rows_file().parent / "machine.json").write_text('{"machine": ')
    code, _, err = convmark("report")
    assert code == 2 and "has a damaged machine.json or request.json" in err and err.count("\n") == 1


def test_a_run_of_other_sources_is_not_added_to(convmark: Convmark) -> None:
    convmark(*_RUN)
    path = _rows_file().parent / "machine.json"
    content = json.loads(path.read_text())
    content["machine"]["sources"] = "others"
    path.write_text(json.dumps(content))
    code, _, err = convmark("run", "--resume", "latest")
    assert code == 2 and "was made with sources 'others', expected the same" in err


def test_a_program_that_asks_wrongly_is_told_by_the_library() -> None:
    problem = Conv2dProblem.parse(_TEXT)
    with pytest.raises(ValueError, match=r"weight has shape \(4, 3, 3, 3\), expected \(4, 3, 2, 2\)"):
        kernels.plan(problem, np.zeros((4, 3, 3, 3), np.float32))
    with pytest.raises(ValueError, match=r"input has shape \(1, 3, 5, 5\), expected \(1, 3, 6, 6\)"):
        kernels.plan(problem, np.zeros((4, 3, 2, 2), np.float32))(np.zeros((1, 3, 5, 5), np.float32))
    with pytest.raises(ProblemError, match="input has 4 channels, expected 3"):
        kernels.conv2d(np.zeros((1, 4, 6, 6), np.float32), np.zeros((4, 3, 3, 3), np.float32))
