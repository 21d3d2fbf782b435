"""The adapters of asv and pytest-benchmark iterate catalogue x registry, and their output can be read."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kernels import Algorithm, Conv2dProblem, algorithms, get_algorithm
from suite.asv_bench import bench_conv2d
from suite.asv_bench.bench_conv2d import Conv2d, Quality
from suite.bench_params import (
    MOST_COMBINATIONS,
    bench_algorithms,
    bench_layers,
    label_of,
    read_label,
    spread_over_families,
)
from suite.catalogue import Layer, UnknownNetwork, layers
from suite.report.importers import read_asv_results, read_pytest_benchmark

_ROOT = Path(__file__).parent.parent


def test_every_algorithm_meets_every_layer_and_there_are_few_by_default() -> None:
    labels, names = Conv2d.params
    assert labels == [label_of(layer) for layer in layers("quick")]
    known = [each.name for each in algorithms("fwd")]
    assert [name for name in known if name in names] == names
    assert len(names) == min(len(known), MOST_COMBINATIONS // len(labels))


def test_where_there_are_too_many_each_family_is_heard_before_any_is_heard_twice() -> None:
    known = [replace(get_algorithm("direct_naive"), name=name, family=name[0]) for name in ("a1", "a2", "b1", "a3")]
    assert [[each.name for each in spread_over_families(known, most)] for most in (2, 3, 4, 9)] == [
        ["a1", "b1"], ["a1", "a2", "b1"], ["a1", "a2", "b1", "a3"], ["a1", "a2", "b1", "a3"]
    ]  # fmt: skip


def test_who_asks_for_networks_or_algorithms_gets_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.bench_params.MOST_COMBINATIONS", 8)
    assert len(bench_algorithms()) == 2
    monkeypatch.setenv("CONVMARK_BENCH_NETWORKS", "vgg19")
    assert bench_algorithms() == list(algorithms("fwd"))
    monkeypatch.setenv("CONVMARK_BENCH_ALGORITHMS", "im2col_gemm, direct_naive")
    assert [each.name for each in bench_algorithms()] == ["im2col_gemm", "direct_naive"]


def test_labels_can_be_read_back() -> None:
    for layer in layers("quick"):
        assert read_label(label_of(layer)) == (layer.network, layer.name, layer.problem)
    with pytest.raises(ValueError, match="label is 'nonsense', expected 'network/layer problem'"):
        read_label("nonsense")


def test_other_networks_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVMARK_BENCH_NETWORKS", "vgg19, alexnet")
    assert {layer.network for layer in bench_layers()} == {"vgg19", "alexnet"}
    monkeypatch.setenv("CONVMARK_BENCH_NETWORKS", "vgg18")
    with pytest.raises(UnknownNetwork, match="did you mean vgg19"):
        bench_layers()


_TINY = "text/tiny ic2ih5oc3kh3"
_VERDICTS = {
    (_TINY, "direct_naive"): ("ok", 1.5e-7, ""),
    (_TINY, "winograd_f4x3"): ("skipped", math.nan, "the kernel is 1x1, expected 3x3 or 1x3 or 3x1"),
    (_TINY, "direct_tiled"): ("wrong", math.nan, "2 of 27 elements differ"),
    (_TINY, "im2col_gemm"): ("failed", math.nan, "IndexError: out of bounds"),
}


def test_asv_calls_what_setup_prepared_once() -> None:
    bench = Conv2d()
    bench.setup(_VERDICTS, _TINY, "direct_naive")
    prepared = bench.plan
    # asv runs it again before every sample: nothing but a warm call may happen then.
    bench.setup(_VERDICTS, _TINY, "direct_naive")
    assert bench.plan is prepared
    for call in (bench.time_call, bench.peakmem_call):
        bench.dst[:] = 7.5
        call(_VERDICTS, _TINY, "direct_naive")
        assert not (bench.dst == 7.5).any()


@pytest.mark.parametrize("kind", [Conv2d, Quality])
def test_asv_skips_what_is_refused_and_measures_nothing_wrong(kind: type[Conv2d] | type[Quality]) -> None:
    for algorithm in ("winograd_f4x3", "of_another_commit"):
        with pytest.raises(NotImplementedError):
            kind().setup(_VERDICTS, _TINY, algorithm)
    for algorithm, sentence in (("direct_tiled", "wrong on .*: 2 of 27"), ("im2col_gemm", "failed on .*: IndexError")):
        with pytest.raises(RuntimeError, match=sentence):
            kind().setup(_VERDICTS, _TINY, algorithm)


def test_asv_has_the_checkers_verdict_of_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Layer("text", "tiny", Conv2dProblem.parse("ic2ih5oc3kh1"), 1)
    chosen = [get_algorithm(name) for name in ("direct_naive", "winograd_f4x3", "im2col_gemm")]
    monkeypatch.setattr(bench_conv2d, "bench_layers", lambda: [tiny])
    monkeypatch.setattr(bench_conv2d, "bench_algorithms", lambda: chosen)

    class Breaks(bench_conv2d.Oracle):
        def check(self, algorithm: Algorithm, threads: int = 1) -> Any:
            if algorithm.name == "im2col_gemm":
                raise IndexError("out of bounds")
            return super().check(algorithm, threads)

    monkeypatch.setattr(bench_conv2d, "Oracle", Breaks)
    verdicts = Conv2d().setup_cache()
    naive, winograd, im2col = (verdicts[label_of(tiny), each.name] for each in chosen)
    assert naive[0] == "ok" and 0 < naive[1] < 1e-6
    assert Quality().track_rel_error(verdicts, label_of(tiny), "direct_naive") == naive[1]
    assert (winograd[0], winograd[2]) == ("skipped", "the kernel is 1x1, expected 3x3 or 1x3 or 3x1")
    assert (im2col[0], im2col[2]) == ("failed", "IndexError: out of bounds")


def test_compile_seconds_are_of_a_process_with_a_cache_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(_ROOT))
    monkeypatch.setenv("CONVMARK_CACHE_DIR", str(tmp_path))
    assert Quality().track_compile_s({}, "text/tiny ic2ih5oc3kh3", "direct_naive") > 0.05
    # Nothing was looked for or left where compiled code is usually kept.
    assert not any(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match=r"(?s)first call of nobody on ic2ih5oc3kh3 failed: .*unknown algorithm"):
        bench_conv2d._compile_seconds(Conv2dProblem.parse("ic2ih5oc3kh3"), "nobody")


def test_asvs_environments_have_what_the_benchmarks_import(tmp_path: Path) -> None:
    requirements = json.loads((_ROOT / "asv.conf.json").read_text())["matrix"]["req"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (_ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert requirements == {name: [pins[name]] for name in ("numpy", "numba", "platformdirs")}
    script = f"""
import sys
for name in ("pandas", "pyarrow", "typer", "rich", "scipy"):
    sys.modules[name] = None
sys.path.insert(0, {str(_ROOT)!r})
import suite.asv_bench.bench_conv2d, suite.asv_bench.first_call
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_asvs_configuration_names_folders_that_exist() -> None:
    configuration = json.loads((_ROOT / "asv.conf.json").read_text())
    assert (_ROOT / configuration["benchmark_dir"] / "__init__.py").is_file()
    assert configuration["project"] == "convmark"


def test_asv_discovers_the_benchmark() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asv", "check", "-E", "existing"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_asv_tracks_joins_the_row_of_its_time(tmp_path: Path) -> None:
    params = [[repr(_TINY)], ["'direct_naive'", "'direct_tiled'", "'winograd_f4x3'"]]
    results = {
        "bench_conv2d.Quality.track_rel_error": [[1e-7, 2e-7, math.nan], params, "1", 9000],
        "bench_conv2d.Conv2d.peakmem_call": [[1e8, 1e8, math.nan], params, "1", 8000],
        "bench_conv2d.Conv2d.time_call": [[0.5, 0.25, math.nan], params, "1", 7000, [10, 20, None]],
        "bench_conv2d.Quality.track_compile_s": [[3.0, None, math.nan], params, "1", 9000],
    }
    content = {
        "commit_hash": "0123456789abcdef",
        "params": {"machine": "box", "cpu": "Made Up"},
        "result_columns": ["result", "params", "version", "started_at", "stats_repeat"],
        "results": results,
    }
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "01234567-env.json").write_text(json.dumps(content))
    [result] = read_asv_results(tmp_path, pytest.fail)
    assert (result.commit, result.started, result.machine["cpu"]) == ("0123456789abcdef", 7.0, "Made Up")
    columns = ("algorithm", "status", "time_s", "samples", "rel_error", "compile_s")
    assert [tuple(row[name] for name in columns) for row in result.rows] == [
        ("direct_naive", "ok", 0.5, 10, 1e-7, 3.0),
        ("direct_tiled", "ok", 0.25, 20, 2e-7, None),
        ("winograd_f4x3", "skipped", None, None, None, None),
    ]


def test_pytest_benchmark_runs_and_its_file_joins_the_table(tmp_path: Path) -> None:
    stored = tmp_path / "stored.json"
    command = [
        sys.executable, "-m", "pytest", "suite/pytest_bench", "-k", "depthwise and (naive or winograd_f2x3)",
        "--benchmark-only", f"--benchmark-json={stored}", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1",
        "-p", "no:cacheprovider",
    ]  # fmt: skip
    # A parallel test run would tell the inner one not to measure.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment["CONVMARK_BENCH_NETWORKS"] = "quick"
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    [row] = read_pytest_benchmark(stored, pytest.fail)
    assert (row["network"], row["layer"], row["algorithm"]) == ("quick", "depthwise", "direct_naive")
    assert row["time_s"] > 0


def test_pytest_benchmark_measures_nothing_wrong(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        f"""
import dataclasses, sys
sys.path.insert(0, {str(_ROOT)!r})
from kernels import get_algorithm, registry

def bind(setup):
    return lambda src, dst, residual: dst.fill(0)

registry._REGISTRY["made_up"] = dataclasses.replace(get_algorithm("direct_naive"), name="made_up", bind=bind)
"""
    )
    adapter = _ROOT / "suite" / "pytest_bench" / "test_conv2d.py"
    (tmp_path / "test_conv2d.py").write_text(adapter.read_text())
    stored = tmp_path / "stored.json"
    command = [
        sys.executable, "-m", "pytest", "test_conv2d.py", "-k", "depthwise", "--benchmark-only",
        f"--benchmark-json={stored}", "--benchmark-max-time=0.01", "--benchmark-min-rounds=1", "-p", "no:cacheprovider",
    ]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {"CONVMARK_BENCH_NETWORKS": "quick", "CONVMARK_BENCH_ALGORITHMS": "made_up,direct_naive"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "made_up is wrong on quick/depthwise" in done.stdout
    assert [each["extra_info"]["algorithm"] for each in json.loads(stored.read_text())["benchmarks"]] == [
        "direct_naive"
    ]
