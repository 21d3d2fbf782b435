"""A fleet on this machine: a scheduler and three workers as processes, two of one host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.fleet.client import open_fleet, start_fleet
from suite.fleet.sources import pack, unpack
from suite.results.files import StoreError
from suite.results.runs import open_run

distributed = pytest.importorskip("distributed")

_ROOT = Path(__file__).parent.parent

#: The least that a run can be: one layer, one process, hardly any samples.
_RUN = ("-p", "ic1ih2oc1kh1", "-c", "scipy", "--seconds", "0", "--processes", "1")


class _Cluster:
    """Processes that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = f"tcp://127.0.0.1:{_free_port()}"

    def start(self, name: str, host: str, *arguments: str) -> subprocess.Popen[bytes]:
        cache = self.folder / host
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "CONVMARK_HOST": f"tests-{os.getpid()}-{host}",
                       "CONVMARK_CACHE_DIR": str(cache)}  # fmt: skip
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

    def worker(self, name: str, host: str) -> None:
        self.start(name, host, "suite", "fleet", "worker", "--scheduler", self.address)

    def run(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self.start("client", "none", "suite", "fleet", "run", "--scheduler", self.address, "--poll", "0.2",
                          "--environment", "current", "--hosts", "2", "--patience", "60", *arguments)  # fmt: skip

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[_Cluster]:
    found = _Cluster(tmp_path)
    yield found
    for process in found.processes.values():
        process.kill()
    for process in found.processes.values():
        process.wait()
    for path in Path("/tmp").glob(f"convmark-tests-{os.getpid()}-*.lock"):
        path.unlink()


@pytest.mark.skipif("CONVMARK_FLEET_TESTS" not in os.environ, reason="takes a minute or two: make fleet")
def test_two_hosts_of_three_workers_measure_once_each_through_a_killed_client(cluster: _Cluster) -> None:
    cluster.scheduler()
    for name, host in (("one", "a"), ("two", "a"), ("three", "b")):
        cluster.worker(name, host)
    client = cluster.run(*_RUN)
    deadline = time.monotonic() + 60
    results = cluster.folder / "results"
    while not [*results.glob("runs/*/request.json")] and client.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    client.send_signal(signal.SIGKILL)
    client.wait()
    again = cluster.run("--resume", "latest")
    assert again.wait(timeout=90) == 0, cluster.said("client")
    fleet = open_fleet(results, "latest")
    assert len(fleet.hosts) == 2 and all(known["code"] == 0 for known in fleet.hosts.values())
    runs = [open_run(results, name, pytest.fail) for known in fleet.hosts.values() for name in known["runs"]]
    assert len(runs) == 2 and all(run.rows and not run.missing for run in runs)
    assert {run.machine.sources for run in runs} == {fleet.kernels}
    assert "Contenders by machine" in cluster.said("client")
    assert "Contenders by machine" in (fleet.folder / "report.html").read_text()


def test_sources_that_were_changed_on_a_workers_disk_are_refused(tmp_path: Path) -> None:
    sources = pack()
    folder = tmp_path / "sources"
    unpack(sources.archive, sources.packages, folder)
    unpack(sources.archive, sources.packages, folder)
    (folder / "kernels" / "plan.py").write_text("")
    with pytest.raises(StoreError, match=r"has sources \w+, expected \w+; remove that folder there and run again"):
        unpack(sources.archive, sources.packages, folder)


def test_a_fleet_is_read_again(tmp_path: Path) -> None:
    made = start_fleet(tmp_path, ["-n", "quick"], "", "own")
    made.host("a")["runs"].append("r")
    made.save()
    assert open_fleet(tmp_path, "latest") == made
    with pytest.raises(StoreError, match=r"no fleet 'x' below .*, expected one of"):
        open_fleet(tmp_path, "x")
