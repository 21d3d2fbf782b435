"""Fifty simulated machines push a thousand rows each; what is read back, and its page, in seconds and bytes.

``python results/fleet/simulated.py`` writes ``simulated.json`` next to it. The rows are those of a recorded run,
repeated under names of their own with times that are scattered: what is timed is the suite, not a kernel.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from suite.history.series import find_changes, order_commits, series_points
from suite.history.shared import SharedHistory
from suite.history.stored import history_frame
from suite.machine.environment import this_machine
from suite.report.history import history_html
from suite.report.load import open_stored
from suite.report.page import document

_HERE = Path(__file__).parent
_RECORDED = _HERE.parent.parent / "tests" / "recorded_run"
_MACHINES, _ROWS = 50, 1000


def _simulated(machine: int, rng: np.random.Generator, recorded: pd.DataFrame) -> pd.DataFrame:
    copies = -(-_ROWS // len(recorded))
    rows = pd.concat([recorded.assign(layer=recorded["layer"] + f" {i}") for i in range(copies)]).head(_ROWS)
    scattered = rows["time_s"].astype(float) * np.exp(0.05 * rng.standard_normal(len(rows)))
    started = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=machine)
    return history_frame(
        rows.assign(
            time_s=scattered, run=f"run{machine}", machine=f"machine {machine}", started=started, ordered=started,
            commit="a" * 40, dirty=False,
        )
    )  # fmt: skip


def main() -> None:
    """Push, read, write a page, and record what it took."""
    [stored] = open_stored(_HERE.parent, [_RECORDED], print)
    rng = np.random.default_rng(0)
    machines = [_simulated(number, rng, stored.frame) for number in range(_MACHINES)]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        for each in machines:
            SharedHistory(folder).push(each)
        pushed = time.monotonic()
        frame = SharedHistory(folder).read()
        read = time.monotonic()
        points = series_points(frame, order_commits(frame, []))
        html = document("History", [("history", "History", history_html(points, *find_changes(points)))])
        done = time.monotonic()
        nbytes = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    found = {
        "cpu": this_machine().cpu, "machines": frame["machine"].nunique(), "rows": len(frame),
        "push_s": round(pushed - begun, 2), "read_s": round(read - pushed, 2), "page_s": round(done - read, 2),
        "stored_bytes": nbytes, "page_bytes": len(html.encode()),
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }  # fmt: skip
    (_HERE / "simulated.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
