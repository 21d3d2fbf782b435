"""The command line: what it prints, where, and with which exit code; bad input is one sentence."""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import register_made_up
from fake_workers import FakeWorkers, quiet_guard

import kernels
from kernels import Conv2dProblem, ProblemError, Setup, algorithms
from suite import cli
from suite.actions import listing
from suite.catalogue import networks
from suite.commands.app import COMMANDS
from suite.machine.environment import Limits, this_machine
from suite.measure.runner import run_cases
from suite.measure.sampling import Sample

#: The module; the package's name ``run`` is one of its functions.
run_module = importlib.import_module("suite.actions.run")

_ROOT = Path(__file__).parent.parent

_TEXT = "ic3ih6oc4kh2ph1"
_RUN = ("run", "-p", _TEXT, "-a", "direct_naive", "-a", "winograd_f2x3", "--seconds", "0", "--processes", "2")

Convmark = Callable[..., tuple[int, str, str]]


@pytest.fixture
def workers() -> FakeWorkers:
    """Whose played workers are measured."""
    return FakeWorkers()


@pytest.fixture
def convmark(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: FakeWorkers
) -> Convmark:
    """Run the command line in a folder of its own, with limits that need no probe, and played workers."""
    monkeypatch.chdir(tmp_path)
    for module in (listing, run_module):
        monkeypatch.setattr(
            module,
            "measure_limits",
            lambda threads, dtypes: Limits(
                {d: dict.fromkeys(threads, 100.0) for d in dtypes}, dict.fromkeys(threads, 9.0)
            ),
        )
    played = functools.partial(run_cases, start=workers.start, guard=quiet_guard)
    monkeypatch.setattr(run_module, "run_cases", played)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main(arguments)
        said = capsys.readouterr()
        assert workers.open == 0
        return int(exit_.value.code or 0), said.out, said.err

    return run


def _zeros(setup: Setup, src: np.ndarray, dst: np.ndarray) -> None:
    dst[:] = 0


def _rows_file() -> Path:
    [path] = Path("results/runs").glob("*/rows.jsonl")
    return path


def _statuses() -> dict[tuple[str, str], str]:
    """Status by layer and contender, of the rows that are stored."""
    rows = [json.loads(line) for line in _rows_file().read_text().splitlines()]
    assert len({(row["layer"], row["algorithm"]) for row in rows}) == len(rows)
    return {(row["layer"], row["algorithm"]): row["status"] for row in rows}


# -- what it does ---------------------------------------------------------------------


def test_list_names_every_network_and_algorithm(convmark: Convmark) -> None:
    code, out, _ = convmark("list")
    assert code == 0
    for name in (*networks(), *(each.name for each in algorithms()), "darknet_1024", "block_fused"):
        assert name in out
    assert "res2a_branch2b" in convmark("list", "-n", "resnet50")[1]
    content = json.loads(convmark("list", "--json")[1])
    assert len(content["networks"]["resnet50"]) == 23
    assert [each["name"] for each in content["algorithms"]] == [each.name for each in algorithms()]
    assert "resnet_stem:ic3ih224oc64" in {each["problem"] for each in content["blocks"]}


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
    register_made_up(monkeypatch, _zeros)
    code, out, _ = convmark("verify", "-p", _TEXT, "-a", "made_up")
    assert code == 1 and f"wrong made_up on text/{_TEXT}" in out


@pytest.mark.parametrize(("status", "expected"), [("wrong", 1), ("failed", 1), ("mistrusted", 0)])
def test_the_exit_code_says_whether_all_was_measured_and_right(
    convmark: Convmark, workers: FakeWorkers, status: str, expected: int
) -> None:
    if status == "wrong":
        workers.spoil["direct_naive"] = np.zeros_like
    elif status == "failed":
        workers.raises["direct_naive"] = "prepare"
    else:
        workers.samples = lambda name, process: [Sample(1, 4.0, 1.0, 3.0)] * 2
    code, out, _ = convmark(*_RUN)
    assert code == expected and status in out
    assert _statuses() == {(_TEXT, "direct_naive"): status, (_TEXT, "winograd_f2x3"): "skipped"}
    assert convmark("report")[0] == expected


def test_a_run_is_measured_stored_and_reported(convmark: Convmark) -> None:
    code, out, err = convmark(*_RUN, "--details")
    assert code == 0
    assert "* direct_naive" in out and "winograd_f2x3: " in out and "report.html" in out
    assert f"[2/2] process 2 of 2, text/{_TEXT}, 1 thread: 1 ok, 1 skipped, fastest direct_naive" in err
    folder = _rows_file().parent
    assert {
        "machine.json",
        "request.json",
        "measurements.jsonl",
        "rows.csv",
        "rows.parquet",
        "report.html",
        "report.md",
    } <= {path.name for path in folder.iterdir()}
    frame = pd.read_parquet(folder / "rows.parquet")
    assert frame["status"].tolist() == ["ok", "skipped"]
    assert frame["pct_of_peak"][0] == pytest.approx(frame["useful_gflops"][0])


def test_run_and_report_speak_json(convmark: Convmark) -> None:
    content = json.loads(convmark(*_RUN, "--json")[1])
    assert content["counts"] == {"ok": 1, "skipped": 1}
    assert content["run"] == Path(content["folder"]).name
    code, out, _ = convmark("report", "--json")
    assert code == 0 and [row["algorithm"] for row in json.loads(out)["rows"]] == ["direct_naive", "winograd_f2x3"]


def test_threads_caches_and_peers_meet_in_one_run(convmark: Convmark) -> None:
    if this_machine().threads < 2:
        pytest.skip("one thread: two cannot be asked for")
    text = "ic1ih6oc1kh2ph1"
    code, out, _ = convmark("run", "-p", text, "-c", "direct_naive", "-c", "scipy", "--threads", "1,2",
                            "--cache", "warm,cold", "--processes", "2", "--seconds", "0", "--json")  # fmt: skip
    rows = json.loads(out)["rows"]
    assert code == 0 and len(rows) == 8
    assert {(row["threads"], row["cache"]) for row in rows} == {(n, c) for n in (1, 2) for c in ("warm", "cold")}
    ours = [row for row in rows if row["algorithm"] == "direct_naive"]
    assert [(row["threads"], row["reference"], row["ratio"], row["speedup_vs_best_peer"]) for row in ours] == [
        (1, "scipy", 1.0, 1.0), (1, "scipy", 1.0, 1.0), (2, "direct_naive", 1.0, None), (2, "direct_naive", 1.0, None),
    ]  # fmt: skip
    assert [row["reason"] for row in rows if row["status"] == "skipped"] == ["there are 2 threads, expected 1"] * 2
    page = (_rows_file().parent / "report.html").read_text()
    assert all(f"{said}</" in page for said in ("1 thread", "1 thread, cold caches", "2 threads, cold caches"))


def test_an_interrupted_run_keeps_what_is_whole_and_resumes(convmark: Convmark, workers: FakeWorkers) -> None:
    asked = (*_RUN, "-p", "ic3ih5oc4kh2")

    def interrupted(do: str, name: str) -> None:
        # In the second process of the second layer.
        if workers.timed.count("direct_naive") == 8:
            raise KeyboardInterrupt

    workers.asked = interrupted
    code, _, err = convmark(*asked)
    name = _rows_file().parent.name
    assert code == 130
    assert f"interrupted with 2 of 4 rows stored; go on with: convmark run --resume {name}" in err
    results = _rows_file().with_name("measurements.jsonl")
    stored = results.read_bytes(), _rows_file().read_bytes()
    assert [line.count(b"\n") for line in stored] == [3, 2]
    code, out, err = convmark("report")
    assert code == 1 and f"2 of 4 rows are missing in run {name}" in err and "direct_naive" in out

    workers.asked, workers.log[:] = lambda do, name: None, []
    code, _, _ = convmark("run", "--resume", "latest")
    assert code == 0 and len(workers.timed) == 2
    assert results.read_bytes().startswith(stored[0]) and _rows_file().read_bytes().startswith(stored[1])
    assert [*_statuses().values()] == ["ok", "skipped"] * 2
    whole = results.read_bytes(), _rows_file().read_bytes()
    assert convmark("run", "--resume", name)[0] == 0 and len(workers.timed) == 2
    assert (results.read_bytes(), _rows_file().read_bytes()) == whole


def test_rows_that_were_not_written_any_more_are_made_of_the_results(convmark: Convmark, workers: FakeWorkers) -> None:
    convmark(*_RUN)
    path = _rows_file()
    first, second = path.read_bytes().splitlines(keepends=True)
    for stays in (b"", first):
        path.write_bytes(stays)
        workers.log.clear()
        assert convmark("run", "--resume", "latest")[0] == 0
        assert workers.log == [] and path.read_bytes() == first + second


def test_who_failed_is_tried_again_beside_the_others_whose_rows_stay(convmark: Convmark, workers: FakeWorkers) -> None:
    workers.raises["scipy"] = "time"
    text = "ic1ih6oc1kh2ph1"
    code, _, _ = convmark("run", "-p", text, "-c", "direct_naive", "-c", "scipy", "--processes", "2", "--seconds", "0")
    assert code == 1 and _statuses() == {(text, "direct_naive"): "ok", (text, "scipy"): "failed"}
    stored = _rows_file().read_bytes()
    workers.raises.clear()
    code, out, _ = convmark("run", "--resume", "latest", "--json")
    assert code == 0 and json.loads(out)["counts"] == {"ok": 2}
    assert _rows_file().read_bytes().startswith(stored)
    rows = [json.loads(line) for line in _rows_file().read_text().splitlines()]
    assert [(row["algorithm"], row["status"]) for row in rows] == [
        ("direct_naive", "ok"), ("scipy", "failed"), ("scipy", "ok"),
    ]  # fmt: skip
    assert convmark("report")[0] == 0


def test_a_signal_ends_the_process_with_130(tmp_path: Path) -> None:
    # The first layer is refused at once; the second is sampled until the signal comes.
    script = (
        # Whoever runs the tests in the background may have signals ignored, which processes inherit.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import suite.measure.interleave as i; i._MOST = 10**9; import suite.cli; suite.cli.main()"
    )
    asked = ("run", "-p", _TEXT, "-p", "ic3ih6oc4kh3", "-a", "winograd_f2x3", "--seconds", "1e9", "--processes", "1")
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


@pytest.mark.parametrize(
    "command", [(), ("list",), ("machine",), ("verify",), ("run",), ("blocks",), ("report",), ("profile",), ("cache",)]
)
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
    assert Path("there/report.md").is_file() and Path("there/report.html").is_file()
    convmark(*_RUN)
    code, out, _ = convmark("report", "latest", "--pytest-benchmark", "bench.json", "--json")
    assert [row["source"] for row in json.loads(out)["rows"]] == ["convmark", "convmark", "pytest-benchmark"]


def test_the_help_states_each_commands_first_sentence() -> None:
    for name, (module, function, said) in COMMANDS.items():
        words = " ".join((getattr(importlib.import_module(f"suite.commands.{module}"), function).__doc__ or "").split())
        assert words == said or words.startswith(f"{said} "), name


def test_help_imports_neither_compiler_nor_tables() -> None:
    script = (
        "import sys, suite.cli\ntry: suite.cli.main(('--help',))\nexcept SystemExit: pass\n"
        "assert not {'numba', 'numpy', 'pandas', 'scipy', 'kernels'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _piece(folder: Path, name: str, size: int, days: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"0" * size)
    used = time.time() - 86400 * days
    os.utime(folder / name, (used, used))


def test_the_cache_is_shown_and_pruned(convmark: Convmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVMARK_CACHE_DIR", str(tmp_path / "cache"))
    kernels.cache_folder.cache_clear()  # type: ignore[attr-defined]
    folder = kernels.cache_folder()
    try:
        content = json.loads(convmark("cache", "--json")[1])
        assert content == {"folder": str(folder), "pieces": 0, "bytes": 0}
        for name, size, days in (("new", 2**20, 0), ("used", 2**20, 10), ("old", 1000, 100)):
            _piece(folder, name, size, days)
        code, out, _ = convmark("cache")
        assert code == 0 and "2.0 MiB" in out and str(folder)[-20:] in out
        content = json.loads(convmark("cache", "--prune", "--days", "30", "--json")[1])
        assert (content["pieces"], content["removed"], content["removed_bytes"]) == (2, 1, 1000)
        code, out, _ = convmark("cache", "--prune", "--mb", "1.5")
        assert code == 0 and "1 pieces, 1.0 MiB" in out
        assert [path.name for path in folder.iterdir()] == ["new"]
    finally:
        monkeypatch.undo()
        kernels.cache_folder.cache_clear()  # type: ignore[attr-defined]


def test_a_slow_contender_is_measured_in_one_process_and_says_so(convmark: Convmark, workers: FakeWorkers) -> None:
    workers.samples = lambda name, process: [Sample(1, *[3.5 if name == "direct_naive" else 1.0] * 2, 0.0)] * 2
    asked = ("run", "-p", "ic1ih6oc1kh3ph1", "-c", "direct_naive", "-c", "scipy", "-c", "direct_tiled", "--json")
    code, out, err = convmark(*asked)
    rows = {row["algorithm"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and {name: row["processes"] for name, row in rows.items()} == {
        "direct_naive": 1, "scipy": 3, "direct_tiled": 3,
    }  # fmt: skip
    assert rows["direct_naive"]["reason"] == "one process: slower than 3x the fastest"
    assert rows["direct_naive"]["status"] == "ok" and rows["direct_naive"]["time_s"] == 3.5
    assert "After one process of 3:" in err and "runner-up" in err
    results = _rows_file().with_name("measurements.jsonl").read_bytes()
    assert convmark("run", "--resume", "latest")[0] == 0
    assert _rows_file().with_name("measurements.jsonl").read_bytes() == results
    shown = convmark("report", "--details")[1]
    assert "direct_naive: one process: slower than 3x the fastest" in shown


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
        (("run", "--resume", "latest", "--cache", "cold"), "--resume goes on with what its run was asked for"),
        (("run", "-c", "direct_tilde"), "unknown contender 'direct_tilde', did you mean direct_tiled"),
        (("run", "--processes", "0"), "--processes is 0, expected at least 1"),
        (("run", "--slower", "0.5"), "--slower is 0.5, expected more than 1, or 0 for no screening"),
        (("cache", "--days", "3"), "--days and --mb say what --prune keeps, expected --prune with them"),
        (("cache", "--prune", "--mb", "-1"), "--mb is -1, expected at least 0"),
        (("run", "--cache", "tepid"), "--cache is 'tepid', expected warm or cold or both with a comma"),
        (("run", "--threads", "1,x"), "threads is 'x', expected a whole number from 1 to "),
        (("run", "--reference", "nobody"), "unknown contender 'nobody', expected all, ours, peers, "),
        (
            ("run", "-c", "direct_naive", "--reference", "scipy"),
            "--reference is 'scipy', expected one of those that are timed: direct_naive",
        ),
        (("verify", "--mb", "9" * 5000), "--mb has 5000 digits, expected at most 19"),
        (("run", "--threads", "9" * 5000), "--threads has 5000 digits, expected at most 19"),
        (
            ("memory", "-p", "ic8ih8oc8kh3", "--max-workspace", "9" * 400),
            "--max-workspace has 400 digits, expected at most 19",
        ),
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
    monkeypatch.setattr(run_module, "run_cases", lambda *a, **k: pytest.fail("measured before the folder was tried"))
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
    def full(path: Path, value: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("suite.results.runs.append_line", full)
    code, _, err = convmark(*_RUN)
    assert code == 2 and "Traceback" not in err
    assert "measurements.jsonl: No space left on device, expected a folder that can be written to" in err


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
    with pytest.raises(ProblemError, match="to have 3 channels, but got 4 channels instead"):
        kernels.conv2d(np.zeros((1, 4, 6, 6), np.float32), np.zeros((4, 3, 3, 3), np.float32))
