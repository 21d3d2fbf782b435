"""A fleet on this machine: a scheduler, workers and clients as processes, which are killed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import suite.fleet.client as client_module
from kernels import Conv2dProblem, measured_limits, remember_limits, tuned
from suite.cli import main
from suite.commands.app import app
from suite.fleet.client import Attendance, attend, machines_of
from suite.fleet.costs import collect
from suite.fleet.fleet import Fleet, FleetMachine, open_fleet, start_fleet
from suite.fleet.sources import Sources, archived, pack, unpack
from suite.fleet.split import whole_runs
from suite.fleet.tasks import tasks_digest
from suite.results.files import StoreError
from suite.results.runs import Run, open_run

distributed = pytest.importorskip("distributed")

_ROOT = Path(__file__).parent.parent

#: A real run that takes some seconds.
_RUN = [word for size in range(2, 10) for word in ("-p", f"ic1ih{size}oc1kh1")]
_RUN += ["-c", "scipy", "-c", "direct_naive", "--seconds", "1", "--processes", "2", "--slower", "0"]

#: Seconds that a scheduler is gone.
_REAL = "CONVMARK_FLEET_TESTS" in os.environ
_GONE_S = 30.0 if _REAL else 2.0

#: Of anything that is waited for, on a machine that is busy.
_PATIENCE_S = 90.0


class _Cluster:
    """Processes that end with the test, and the measurements of their children."""

    def __init__(self, folder: Path, sources: Sources, arguments: list[str]) -> None:
        self.folder, self.results = folder, folder / "results"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._sources, self._arguments = sources, arguments

    def start(self, name: str, host: str, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ, "PYTHONPATH": str(_ROOT), "CONVMARK_HOST": f"tests-{os.getpid()}-{host}",
            "CONVMARK_CACHE_DIR": str(self.folder / host), "FLEET_TESTS": str(self.folder), **variables,
        }  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments], env=environment, stdout=log, stderr=log, cwd=self.folder,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self.processes[name]

    def scheduler(self) -> None:
        port = self.address.rpartition(":")[2]
        self.start("scheduler", "none", "distributed.cli.dask_scheduler", "--port", port, "--host", "127.0.0.1",
                   "--no-dashboard")  # fmt: skip

    def worker(self, name: str, host: str, **variables: str) -> None:
        self.start(name, host, "suite", "fleet", "worker", "--scheduler", self.address, **variables)

    def fleet(self, split: bool = False) -> Fleet:
        return start_fleet(self.results, "run", self._arguments, self._sources, "current", split)

    def client(self, fleet: Fleet, *arguments: str) -> subprocess.Popen[bytes]:
        return self.start("client", "none", "suite", "fleet", "run", "--scheduler", self.address, "--poll", "0.2",
                          "--hosts", "2", "--patience", str(_PATIENCE_S), *arguments, "--resume",
                          fleet.name)  # fmt: skip

    def kill(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stored(self, where: str) -> int:
        """Lines of measurements below a folder: of a host, or what was fetched."""
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob(f"{where}/**/measurements.jsonl"))

    def wait(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not what():
            assert time.monotonic() < end, {name: self.said(name)[-2000:] for name in self.processes}
            time.sleep(0.02)

    def wait_for_end(self) -> int:
        client = self.processes["client"]
        self.wait(lambda: client.poll() is not None)
        return int(client.returncode)

    def alive(self) -> list[int]:
        """Processes that were started for hosts of this test, those that lost their parents as well."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                known = path.read_bytes().split(b"\0")
                is_zombie = path.with_name("stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if f"FLEET_TESTS={self.folder}".encode() in known and not is_zombie:
                found.append(int(path.parent.name))
        return found

    def measured(self) -> dict[str, list[tuple[float, float]]]:
        """Begin and end of each measurement, by host, as the stand-ins have noted them."""
        notes = [json.loads(line) for line in (self.folder / "notes.jsonl").read_text().splitlines()]
        found: dict[str, list[tuple[float, float]]] = {}
        begun: dict[int, float] = {}
        for note in notes:
            if note["what"] == "begin":
                begun[note["pid"]] = note["at"]
            elif note["what"] == "end":
                found.setdefault(note["host"], []).append((begun.pop(note["pid"]), note["at"]))
        return found


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _stand_in(folder: Path) -> Sources:
    """The packages with a child that measures nothing."""
    for package in ("kernels", "suite"):
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "tests" / "fleet_child.py", folder / "suite" / "fleet" / "child.py")
    shutil.copytree(_ROOT / "tests" / "recorded_run", folder / "recorded_run")
    return archived(folder)


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.skipif(not _REAL, reason="make fleet"))])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[_Cluster]:
    if request.param == "real":
        found = _Cluster(tmp_path, pack(), _RUN)
    else:
        found = _Cluster(tmp_path, _stand_in(tmp_path / "sources"), [])
    yield found
    for process in found.processes.values():
        process.kill()
    for process in found.processes.values():
        process.wait()
    for pid in found.alive():
        os.kill(pid, signal.SIGKILL)
    for path in Path("/tmp").glob(f"convmark-tests-{os.getpid()}-*.lock"):
        path.unlink()


def _no_overlap(cluster: _Cluster) -> None:
    for spans in cluster.measured().values():
        spans.sort()
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


def _whole(cluster: _Cluster, fleet: Fleet) -> list[Run]:
    """Both machines' runs, once each has all its rows, each measured once."""
    fleet = open_fleet(cluster.results, fleet.name)
    assert len(fleet.machines) == 2 and {machine.code for machine in fleet.machines.values()} == {0}
    runs = [fleet.run(name, pytest.fail) for name in fleet.machines]
    assert all(run is not None and run.rows and not run.missing for run in runs)
    found = [run for run in runs if run is not None]
    for run in found:
        lines = [json.loads(line) for line in (run.folder / "measurements.jsonl").read_text().splitlines()]
        keys = [(*line["case"], line["generation"]) for line in lines]
        assert len(keys) == len(set(keys)) == 2 * len(run.request.cases())
    return found


@pytest.mark.xdist_group("fleet")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_two_hosts_of_three_workers_measure_one_thing_at_a_time(cluster: _Cluster) -> None:
    cluster.scheduler()
    for name, host in (("one", "a"), ("two", "a"), ("three", "b")):
        cluster.worker(name, host)
    # Another fleet at the same time shares the hosts with the first.
    fleets = [cluster.fleet(), cluster.fleet()]
    with ThreadPoolExecutor() as pool:
        clients = [pool.submit(attend, each, cluster.address, "*", 2, _PATIENCE_S, 0.2, print) for each in fleets]
        assert [each.result() for each in clients] == [None, None]
    for fleet in fleets:
        runs = _whole(cluster, fleet)
        assert {run.machine.sources for run in runs} == {fleet.kernels}
        reported = CliRunner().invoke(
            app, ["fleet", "report", "--results", str(cluster.results), "--resume", fleet.name]
        )
        assert reported.exit_code == 0 and "Contenders by machine" in reported.stdout
        page = (fleet.folder / "report.html").read_text()
        assert "Contenders by machine" in page and all(run.name[-4:] in page for run in runs)
    if cluster.folder.joinpath("notes.jsonl").exists():
        assert len(cluster.measured()) == 2
        _no_overlap(cluster)


@pytest.mark.xdist_group("fleet")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_fleet_outlives_its_client_a_worker_and_the_scheduler(cluster: _Cluster) -> None:
    cluster.scheduler()
    cluster.worker("one", "a", FLEET_STEP_S="0.8")
    cluster.worker("two", "b", FLEET_STEP_S="0.8")
    fleet = cluster.fleet()
    cluster.client(fleet)
    cluster.wait(lambda: cluster.stored("results"))
    cluster.kill("client")
    before = cluster.stored("results")
    # Machines go on; one of them ends with its worker, and keeps what it has.
    cluster.wait(lambda: cluster.stored("a") > before / 2)
    cluster.kill("one")
    there = cluster.stored("a")
    cluster.worker("one", "a")
    cluster.client(fleet)
    cluster.wait(lambda: cluster.stored("results") > before)
    cluster.kill("scheduler")
    assert open_fleet(cluster.results, fleet.name).due
    time.sleep(_GONE_S)
    left = {cluster.processes[name].pid for name in ("one", "two", "client")}
    # What was measured for the lost scheduler has ended.
    cluster.wait(lambda: set(cluster.alive()) == left)
    assert cluster.processes["client"].poll() is None
    cluster.scheduler()
    assert cluster.wait_for_end() == 0, cluster.said("client")
    assert cluster.stored("a") >= there
    _whole(cluster, fleet)
    if cluster.folder.joinpath("notes.jsonl").exists():
        _no_overlap(cluster)
    for name in ("one", "two"):
        cluster.kill(name)
    cluster.kill("scheduler")
    cluster.wait(lambda: not cluster.alive())


@pytest.mark.xdist_group("fleet")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_an_interrupted_client_leaves_machines_at_work_until_they_are_stopped(cluster: _Cluster) -> None:
    cluster.scheduler()
    cluster.worker("one", "a", FLEET_STEP_S="1")
    fleet = cluster.fleet()
    client = cluster.client(fleet, "--hosts", "1")
    cluster.wait(lambda: cluster.stored("results"))
    client.send_signal(signal.SIGINT)
    assert cluster.wait_for_end() == 130
    assert f"go on with: convmark fleet run --scheduler {cluster.address} --resume {fleet.name}" in cluster.said(
        "client"
    )
    there = cluster.stored("a")
    cluster.wait(lambda: cluster.stored("a") > there)
    cluster.start("stop", "none", "suite", "fleet", "stop", "--scheduler", cluster.address)
    cluster.wait(lambda: cluster.processes["stop"].poll() == 0)
    left = {cluster.processes[name].pid for name in ("one", "scheduler")}
    cluster.wait(lambda: set(cluster.alive()) == left)
    there = cluster.stored("a")
    cluster.kill("one")
    cluster.worker("one", "a")
    # This one knows nothing of what was fetched, as after a client that was killed between a part and its note.
    attend(fleet, cluster.address, "*", 1, _PATIENCE_S, 0.2, pytest.fail)
    assert cluster.stored("a") == cluster.stored("results") > there
    status = CliRunner().invoke(app, ["fleet", "status", "--json", "--results", str(cluster.results)])
    [machine] = json.loads(status.stdout)["machines"]
    assert machine["state"] == "done" and machine["rows"] == machine["expected"] > 0


@pytest.mark.xdist_group("fleet")
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_local_workers_share_the_layers_and_leave_no_process(cluster: _Cluster) -> None:
    fleet = cluster.fleet(split=True)
    cluster.start("client", "a", "suite", "fleet", "run", "--local", "2", "--poll", "0.2", "--resume", fleet.name)
    code = cluster.wait_for_end()
    cluster.wait(lambda: not cluster.alive())
    fleet = open_fleet(cluster.results, fleet.name)
    assert {name: machine.part for name, machine in fleet.machines.items()} == {"local-1": (1, 2), "local-2": (2, 2)}
    assert all(machine.code == 0 for machine in fleet.machines.values())
    if cluster.folder.joinpath("notes.jsonl").exists():
        _no_overlap(cluster)
        assert code == 0, cluster.said("client")
        [name] = fleet.merged.values()
        run = open_run(cluster.results, name, pytest.fail)
        # The first layer is measured by both, and counted once.
        assert cluster.stored(f"results/runs/{name}") == 12 and not run.missing
        assert [row["layer"] for row in run.rows] == [text for text in run.request.problems for _ in range(2)]
        assert all(row["run"] == name for row in run.rows)


def _part(folder: Path, results: Path, part: str, **variables: str) -> str:
    """Name of the run of a part that a stand-in stores."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "FLEET_TESTS": str(folder), **variables}
    with subprocess.Popen(
        [sys.executable, "-m", "suite.fleet.child", "run", "--part", part, "--results", str(results / part[0])],
        env=environment, cwd=folder, stdin=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.wait() == 0
    [made] = (results / part[0] / "runs").iterdir()
    (results / "runs").mkdir(exist_ok=True)
    made.rename(results / "runs" / made.name)
    return made.name


def test_parts_of_machines_that_differ_on_their_common_layer_are_not_merged(tmp_path: Path) -> None:
    sources, results = _stand_in(tmp_path / "sources"), tmp_path / "results"
    names = {
        part: _part(tmp_path / "sources", results, part, FLEET_SLOWER=slower)
        for part, slower in (("1/3", "1"), ("2/3", "1.004"), ("3/3", "1.2"))
    }
    said: list[str] = []

    def runs(*parts: str) -> list[Run]:
        fleet = start_fleet(results, "run", [], sources, "current", True)
        fleet.machines = {part: FleetMachine("box", (int(part[0]), 3), [names[part]], 0) for part in parts}
        return whole_runs(fleet, said.append)[0]

    [merged] = runs("1/3", "2/3")
    assert not said and len(merged.rows) == 8 and not merged.missing
    assert [run.name for run in runs("1/3", "2/3", "3/3")] == [*names.values()]
    [sentence] = said
    assert "are not merged" in sentence and "takes 1.200 times as long as" in sentence and ", expected 0.9" in sentence
    # What another machine measured is no part of this one's.
    described = results / "runs" / names["2/3"] / "machine.json"
    described.write_text(described.read_text().replace('"cores": 2', '"cores": 3'))
    assert len(runs("1/3", "2/3")) == 2 and "was made with cores 2, expected the same, not 3" in said[-1]


def test_sources_that_were_changed_on_a_workers_disk_are_refused(tmp_path: Path) -> None:
    sources = pack()
    folder = tmp_path / "sources"
    unpack(sources.archive, sources.packages, folder)
    unpack(sources.archive, sources.packages, folder)
    workload = folder / "suite" / "workloads" / "resnet50.txt"
    for path in (folder / "kernels" / "plan.py", workload):
        whole = path.read_text()
        path.write_text("")
        with pytest.raises(StoreError, match=r"has sources \w+, expected \w+; remove that folder there and run again"):
            unpack(sources.archive, sources.packages, folder)
        path.write_text(whole)


def test_a_wheel_is_sent_with_what_it_depends_on(tmp_path: Path) -> None:
    wheel = tmp_path / "convmark-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        for package in ("kernels", "suite"):
            packed.writestr(f"{package}/__init__.py", "")
        packed.writestr(
            "convmark-0.1.0.dist-info/METADATA",
            """Metadata-Version: 2.1
Name: convmark
Version: 0.1.0
Requires-Dist: numpy>=2.0
Requires-Dist: pandas>=2.2; extra == "suite"
Requires-Dist: rich>=13 ; extra == 'suite'
""",
        )
    sources = pack(wheel=wheel)
    unpack(sources.archive, sources.packages, tmp_path / "sources")
    project = tomllib.loads((tmp_path / "sources" / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["numpy>=2.0"]
    assert project["optional-dependencies"] == {"suite": ["pandas>=2.2", "rich>=13"]}
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("other-0.1.0.dist-info/METADATA", "")
    with pytest.raises(StoreError, match="has no package 'kernels', expected a wheel of convmark"):
        pack(wheel=wheel)
    wheel.write_bytes(b"")
    with pytest.raises(StoreError, match=r"cannot be read \(.*\), expected a wheel of convmark"):
        pack(wheel=wheel)


def test_a_fleet_is_read_again(tmp_path: Path) -> None:
    sources = Sources(b"", "p", "k")
    made = start_fleet(tmp_path, "run", ["-n", "quick"], sources, "own", True)
    made.machines["a"] = FleetMachine("box", (2, 3), ["r"])
    made.save()
    assert open_fleet(tmp_path, "latest") == made
    with pytest.raises(StoreError, match=r"no fleet 'x' below .*, expected one of"):
        open_fleet(tmp_path, "x")
    (made.folder / "fleet.json").write_text('{"machines": {"a": {}}}')
    with pytest.raises(StoreError, match=r"has a damaged fleet\.json, expected a fleet's own"):
        open_fleet(tmp_path, "latest")


class _Client:
    """A scheduler's client that knows what workers state, and no more."""

    status = "running"

    def __init__(self, *stated: dict[str, str]) -> None:
        self._workers = {f"tcp://{number}": {"convmark": each} for number, each in enumerate(stated)}

    def close(self, timeout: float) -> None:
        """Nothing is open."""

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        # One that is another project's states nothing.
        return {"workers": {**self._workers, "tcp://other": {}}}


def test_rows_of_other_sources_are_refused_and_a_run_is_fetched_once(tmp_path: Path) -> None:
    fleet = start_fleet(tmp_path, "run", [], Sources(b"", "p", "0123"), "own")
    fleet.machines = {"a": FleetMachine("box"), "b": FleetMachine("box")}
    said: list[str] = []

    def fetched(machine: str, sources: str) -> list[bytes]:
        parts = {
            "r/machine.json": json.dumps({"machine": {"sources": sources}}).encode(),
            "r/measurements.jsonl": b"{}\n", "r/request.json": b"{}",
        }  # fmt: skip
        attendance = Attendance(fleet, "tcp://x:1", "*", 1, said.append, pytest.fail)
        attendance.keep(machine, parts)
        return [path.read_bytes() for path in tmp_path.glob("runs/r/measurements.jsonl")]

    assert fetched("b", "4567") == [] and fleet.machines["b"].code == 2 and not fleet.machines["b"].runs
    [sentence] = said
    assert sentence.startswith("b measured sources 4567, expected 0123; its rows are refused")
    assert fetched("a", "0123") == [b"{}\n"] and fleet.machines["a"].runs == ["r"]
    # What a client that was killed did not note is not added again.
    fleet.machines["a"].runs = []
    assert fetched("a", "0123") == [b"{}\n"] and fleet.machines["a"].runs == ["r"] and len(said) == 1


def test_a_scheduler_that_is_lost_is_told_once_and_looked_for_again(tmp_path: Path) -> None:
    said: list[str] = []
    fleet = start_fleet(tmp_path, "run", [], Sources(b"", "p", "0123"), "own")
    attendance = Attendance(fleet, "tcp://127.0.0.1:1", "*", 1, said.append, lambda sentence: None)
    attendance._client = _Client()
    attendance._client.status = "connecting"
    for _ in range(2):
        with pytest.raises(client_module._SchedulerLost):
            attendance.look()
    assert said == [
        "the scheduler at tcp://127.0.0.1:1 is lost; it is looked for again",
        "no scheduler answers at tcp://127.0.0.1:1; it is looked for again",
    ]


def test_workers_are_told_by_machine_and_refused_if_their_convmark_is_another() -> None:
    own = {"name": "a", "platform": "box", "tasks": tasks_digest()}
    said: list[str] = []
    client = _Client(own, own, {**own, "name": "b"}, {**own, "name": "c", "tasks": "0123"})
    assert machines_of(client, "*", said.append) == {
        "a": (["tcp://0", "tcp://1"], "box"), "b": (["tcp://2"], "box")
    }  # fmt: skip
    assert [sentence.partition(", expected")[0] for sentence in said] == [
        "machine c serves with another version of suite.fleet, 0123"
    ]
    assert list(machines_of(client, "b*", pytest.fail)) == ["b"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "ACTION is 'fly', expected run, status, stop, report or worker"),
        (["run"], "fleet run has no --scheduler, expected the address of one"),
        (["run", "--local", "2", "--scheduler", "tcp://x:1"], "--local is 2, expected a number of workers, with run"),
        (["run", "--local", "1", "--environment", "x"], "--environment is 'x', expected own, peers, current"),
        (["status", "-n", "quick"], "'-n quick' is given with status, expected it with a new run alone"),
        (["run", "--local", "1", "--ship", "missing.whl"], "missing.whl cannot be read"),
        (["run", "--scheduler", "10.0.0.1"], "--scheduler is '10.0.0.1', expected an address like tcp"),
        (["worker", "--scheduler", "x://y"], "--scheduler is 'x://y', expected an address like tcp"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fleet", *arguments, "--results", str(tmp_path)])
    assert ended.value.code == 2 and sentence in capsys.readouterr().err


def test_what_machines_have_tuned_is_added_once_and_written_as_rows_of_costs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = tmp_path / "theirs.sqlite", tmp_path / "ours.sqlite"
    problems = [Conv2dProblem.parse(text) for text in ("ic1ih5oc1kh3", "ic2ih5oc2kh3")]
    monkeypatch.setenv("CONVMARK_TUNED", str(theirs))
    tuned.remember(problems[0], 1, {"direct_tiled": 9.0})
    tuned.remember(problems[0], 1, {"direct_tiled": 2.0, "im2col_gemm": 1.0})
    tuned.remember(problems[1], 2, {"direct_tiled": 3.0})
    remember_limits(1e10, 2e10)
    fleet = start_fleet(tmp_path / "results", "tune", [], Sources(b"", "p", "k"), "own")
    fleet.machines = {"a/1": FleetMachine("box", code=0), "b": FleetMachine("box")}
    fleet.save()
    fleet.keep_tuned("a/1", {"kind": "avx2", **tuned.export(theirs)})

    monkeypatch.setenv("CONVMARK_TUNED", str(ours))
    tuned.remember(problems[0], 1, {"direct_tiled": 5.0})
    for _ in range(2):
        [line] = collect(open_fleet(tmp_path / "results", "latest"))
    assert line == {"machine": "a/1", "kind": "avx2", "times": 4, "folder": str(fleet.folder / "costs/avx2/a_1")}
    assert dict(tuned.recall(problems[0], 1)) == {"direct_tiled": 2.0, "im2col_gemm": 1.0}
    assert dict(tuned.recall(problems[1], 2)) == {"direct_tiled": 3.0}
    assert len(tuned.export(ours)["times"]) == 5 and measured_limits() == measured_limits().measured(1e10, 2e10)
    folder = Path(line["folder"])
    assert (folder / "layers.csv").read_text().splitlines() == [
        "problem,algorithm,threads,seconds,rel_error", "ic1ih5oc1kh3,direct_tiled,1,2,", "ic1ih5oc1kh3,im2col_gemm,1,1,"
    ]  # fmt: skip
    assert json.loads((folder / "limits.json").read_text())["memory_bytes_per_s"] == 2e10


@pytest.mark.skipif(not _REAL, reason="make fleet")
def test_a_machine_of_a_fleet_tunes(tmp_path: Path) -> None:
    arguments = ["-p", "ic8ih8oc8kh3ph1", "-p", "ic8ih8oc8kh1", "--seconds", "0.05"]
    fleet = start_fleet(tmp_path / "results", "tune", arguments, pack(), "current")
    command = ["fleet", "run", "--local", "1", "--poll", "0.5", "--resume", fleet.name, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "suite", *command], cwd=tmp_path, capture_output=True, text=True, timeout=_PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(_ROOT), "CONVMARK_TUNED": str(tmp_path / "tuned.sqlite")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    [machine] = json.loads(done.stdout)["machines"]
    times = tuned.export(tmp_path / "tuned.sqlite")["times"]
    assert len(times) == machine["times"] and {problem for _, _, _, _, problem, *_ in times} == {
        "ic8ih8oc8kh3ph1", "ic8ih8oc8kh1"
    }  # fmt: skip
    assert len((Path(tmp_path) / machine["folder"] / "layers.csv").read_text().splitlines()) == 1 + len(times)
