"""Processes that are ended at random moments, full disks and clocks that jump: ``make faults MINUTES=2``.

Rounds of each kind in turn until the time is over; each starts what a user would, does the harm, and looks at what is
left. The counts are written to ``results/reliability.md``; the first thing that is lost, wrong or late ends it with a
traceback. The moments are drawn anew in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from recorded import record

_ROOT = Path(__file__).parent.parent
#: No command may take longer, whatever was done to it.
_LATE_S = 120.0

#: Small convolutions on whole numbers by each family; prints how many pieces were compiled.
_CONVOLVE = """
import numpy as np
from kernels import Conv2dProblem, algorithms, conv2d_reference, plan
from kernels.machine.compile import CompileCounter
p = Conv2dProblem.parse("ic4ih9iw7oc6kh3ph1")
rng = np.random.default_rng(0)
src, wei = (rng.integers(-3, 4, shape).astype("f4") for shape in (p.input_shape, p.weight_shape))
for name in ("direct_naive", "direct_tiled", "im2col_gemm", "winograd_f2x3"):
    result = plan(p, wei, algorithm=name, threads=1)(src)
    assert np.array_equal(np.rint(result), conv2d_reference(p, src, wei)), name
print(CompileCounter.pieces)
"""

#: The command line with a clock that is wrong by some seconds.
_JUMPED = """
import sys, time
by, now = float(sys.argv.pop(1)), time.time
time.time = lambda: now() + by
gmtime, localtime = time.gmtime, time.localtime
time.gmtime = lambda at=None: gmtime(time.time() if at is None else at)
time.localtime = lambda at=None: localtime(time.time() if at is None else at)
from suite.cli import main
main()
"""
_RUN = ("run", "-p", "ic1ih6oc1kh3ph1", "-p", "ic1ih5oc1kh2", "-c", "direct_naive", "--seconds", "0.02",
        "--processes", "2")  # fmt: skip


class _Place:
    """A folder to work in, with a cache of compiled code that outlives it."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self._cache = folder, cache

    def start(self, *command: str, cache: Path | None = None, most_bytes: int | None = None) -> subprocess.Popen[str]:
        """Python with arguments, which may write no file larger than ``most_bytes``."""

        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        variables = {"CONVMARK_CACHE_DIR": str(cache or self._cache), "PYTHONPATH": str(_ROOT), "CONVMARK_TUNED": "off"}
        return subprocess.Popen(
            [sys.executable, *command], cwd=self.folder, env=os.environ | variables, text=True, preexec_fn=limit,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def done(self, *command: str, **asked: object) -> tuple[int, str, str]:
        """Exit code, and both outputs."""
        return _ended(self.start(*command, **asked))  # type: ignore[arg-type]

    def stored(self) -> list[bytes]:
        """Whole lines of measurements, run after run; what a full disk cut off stays in the file, a line of its own."""
        files = sorted(self.folder.glob("results/runs/*/measurements.jsonl"))
        lines = [line for each in files for line in each.read_bytes().splitlines(keepends=True)]
        return [line for line in lines if line.endswith(b"\n") and _is_json(line)]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=_LATE_S)
    return process.returncode, out, err


def _right(code: int, out: str, err: str) -> int:
    """Pieces that `_CONVOLVE` compiled."""
    assert code == 0, err[-2000:]
    return int(out)


def _wait(process: subprocess.Popen[str], most: float) -> None:
    """Until a moment that is drawn."""
    try:
        process.wait(random.uniform(0, most))
    except subprocess.TimeoutExpired:
        return


def killed_compiler(place: _Place) -> None:
    """A process that fills an empty cache is killed: the next one is right, and the one after it compiles nothing."""
    cache = place.folder / "cold"
    process = place.start("-c", _CONVOLVE, cache=cache)
    _wait(process, 6.0)
    process.kill()
    _ended(process)
    _right(*place.done("-c", _CONVOLVE, cache=cache))
    assert _right(*place.done("-c", _CONVOLVE, cache=cache)) == 0


def full_disk_compiler(place: _Place) -> None:
    """A disk that is full after some bytes: results are right, with one warning at most."""
    code, out, err = place.done("-c", _CONVOLVE, cache=place.folder / "cold", most_bytes=random.randint(0, 30_000))
    _right(code, out, err)
    assert err.count("RuntimeWarning") <= 1, err


def full_disk_run(place: _Place) -> None:
    """A run on a disk that is full after some bytes ends with a sentence; what it stored stays, and it goes on."""
    code, _, err = place.done("-m", "suite", *_RUN, most_bytes=random.randint(0, 4_000))
    assert "Traceback" not in err and code in (0, 1, 2), (code, err[-2000:])
    _goes_on(place)


def killed_run(place: _Place) -> None:
    """A run is killed with its workers' parent: nothing that was stored is lost, and it goes on."""
    process = place.start("-m", "suite", *_RUN)
    _wait(process, 6.0)
    process.kill()
    _ended(process)
    _goes_on(place)


def interrupted_run(place: _Place) -> None:
    """SIGINT to a run, as a terminal sends it: exit code 130 or 0, no traceback, nothing lost."""
    process = place.start("-m", "suite", *_RUN)
    # Before Python has its handler the signal ends it, as it ends any program.
    _wait(process, 6.0)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    code, _, err = _ended(process)
    # An interrupt before the command line is in charge is Python's own.
    assert "Traceback" not in err or "suite" not in err.split("Traceback", 1)[1], err[-2000:]
    assert code in (0, 1, 130, -signal.SIGINT), (code, err[-2000:])
    _goes_on(place)


def _goes_on(place: _Place) -> None:
    """The latest run, resumed, stores what it lacks, once, and keeps what it had."""
    stored = place.stored()
    if not list(place.folder.glob("results/runs/*/request.json")):
        assert not stored
        return
    code, out, err = place.done("-m", "suite", "run", "--resume", "latest", "--json")
    assert code in (0, 1), (code, err[-2000:])
    rows = json.loads(out)["rows"]
    assert {row["status"] for row in rows} <= {"ok", "mistrusted"}, rows
    after = place.stored()
    assert after[: len(stored)] == stored
    keys = [str((json.loads(line)["case"], json.loads(line)["generation"])) for line in after]
    assert len(set(keys)) == len(keys) == 4, keys


def jumped_clock(place: _Place) -> None:
    """Two runs, each by a clock of its own: the latest is the one that was started last."""
    names: list[str] = []
    for _ in range(2):
        known = set(place.folder.glob("results/runs/*"))
        code, _, err = place.done("-c", _JUMPED, str(random.uniform(-1e6, 1e6)), *_RUN[:3], *_RUN[5:])
        assert code in (0, 1), err[-2000:]
        (new,) = set(place.folder.glob("results/runs/*")) - known
        names.append(new.name)
    code, out, err = place.done("-m", "suite", "run", "--resume", "latest", "--json")
    assert code in (0, 1), err[-2000:]
    assert json.loads(out)["run"] == names[-1], (names, out[:300])


KINDS: tuple[Callable[[_Place], None], ...] = (
    killed_compiler, full_disk_compiler, killed_run, interrupted_run, full_disk_run, jumped_clock,
)  # fmt: skip


def main() -> None:
    """Rounds until the time is over, each kind once at least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as cache:
        while time.monotonic() < end or len(counts) < len(KINDS):
            kind = KINDS[sum(counts.values()) % len(KINDS)]
            with tempfile.TemporaryDirectory() as folder:
                kind(_Place(Path(folder), Path(cache)))
            counts[kind.__name__] += 1
    text = "Rounds in which something was ended, filled or set back at a random moment; `make faults MINUTES=2`."
    rows = [[(kind.__doc__ or "").rstrip("."), counts[kind.__name__]] for kind in KINDS]
    record("Faults", text, ["what is done, and what must be left", "rounds"], rows)
    print(f"{sum(counts.values())} rounds, nothing lost")


if __name__ == "__main__":
    main()
