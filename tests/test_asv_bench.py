"""The adapters of asv and pytest-benchmark iterate catalogue x registry, and their output can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels import algorithms, get_algorithm
from suite.asv_bench.bench_conv2d import Conv2d
from suite.bench_params import bench_layers, label_of, read_label
from suite.catalogue import UnknownNetwork, layers
from suite.report.foreign import read_pytest_benchmark

_ROOT = Path(__file__).parent.parent


def test_every_algorithm_meets_every_layer_and_there_are_few_by_default() -> None:
    labels, names = Conv2d.params
    assert labels == [label_of(layer) for layer in layers("quick")]
    assert names == [each.name for each in algorithms()]
    assert len(labels) * len(names) <= 40


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


def test_asv_calls_what_setup_prepared_and_skips_what_is_refused() -> None:
    bench = Conv2d()
    bench.setup("text/tiny ic2ih5oc3kh3", "direct_naive")
    bench.dst[:] = 7.5
    bench.time_call("text/tiny ic2ih5oc3kh3", "direct_naive")
    assert not (bench.dst == 7.5).any()
    assert get_algorithm("winograd_f4x3").unsupported(read_label("text/tiny ic2ih5oc3kh1")[2])
    with pytest.raises(NotImplementedError):
        bench.setup("text/tiny ic2ih5oc3kh1", "winograd_f4x3")


def test_asvs_configuration_names_folders_that_exist() -> None:
    configuration = json.loads((_ROOT / "asv.conf.json").read_text())
    assert (_ROOT / configuration["benchmark_dir"] / "__init__.py").is_file()
    assert configuration["project"] == "convmark"


def test_asv_discovers_the_benchmark() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asv", "check", "-E", "existing"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
    [row] = read_pytest_benchmark(stored)
    assert (row["network"], row["layer"], row["algorithm"]) == ("quick", "depthwise", "direct_naive")
    assert row["time_s"] > 0
