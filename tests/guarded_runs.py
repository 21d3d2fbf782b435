"""The parent of `guarded`: hands cases to child processes, outlives their deaths, collects what came out."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guarded import Case

import kernels

__all__ = ["Outcome", "run_cases"]

_HERE = Path(__file__).parent
_ROOT = Path(kernels.__file__).parent.parent
#: Deaths after which no new child is started: so many say what is wrong.
_MOST_DEATHS = 12
_TIMEOUT_S = 3600


@dataclass
class Outcome:
    """How many cases had which status, and a sentence for each that is not clean."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def run_cases(cases: Sequence[Case], *, vector_bytes: int | None = None, modules: Sequence[str] = ()) -> Outcome:
    """Run every case in a child; after a death the rest in a new one.

    Parameters
    ----------
    cases : sequence of Case
    vector_bytes : int, optional
        Bytes of the vectors that the children use; the machine's widest unless given.
    modules : sequence of str
        Imported by the children: they register algorithms of their own.
    """
    outcome, rest = Outcome(), list(cases)
    where = "" if vector_bytes is None else f", CONVMARK_VECTOR_BYTES={vector_bytes}"
    while rest:
        replies, arrays, ended = _child(rest, vector_bytes, modules)
        for case, reply in zip(rest, replies, strict=False):
            outcome.counts[reply["status"]] += 1
            if reply["status"] == "wrong":
                outcome.failures.append(f"{case}{where}: {reply['why']}")
        rest = rest[len(replies) :]
        if not rest:
            break
        # The first case without a reply is the one that the child died of. The array at which it
        # did is the first whose guard alone is enough to kill the case.
        outcome.counts["died"] += 1
        alone = [dataclasses.replace(rest[0], only=name) for name in arrays]
        clean = len(_child(alone, vector_bytes, modules)[0])
        array = arrays[clean] if clean < len(arrays) else "no one array"
        outcome.failures.append(f"{rest[0]}{where}: {ended}, at {array}")
        rest = rest[1:]
        if outcome.counts["died"] == _MOST_DEATHS and rest:
            outcome.failures.append(f"after {_MOST_DEATHS} deaths {len(rest)} cases were not run")
            break
    return outcome


def _child(
    cases: Sequence[Case], vector_bytes: int | None, modules: Sequence[str]
) -> tuple[list[dict[str, str]], list[str], str]:
    """Replies of a child to the cases that it finished, arrays of the case after them, and how it ended."""
    path = os.pathsep.join(filter(None, (str(_ROOT), str(_HERE), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    environment["NUMBA_NUM_THREADS"] = str(max((case.threads for case in cases), default=1))
    if vector_bytes is not None:
        environment["CONVMARK_VECTOR_BYTES"] = str(vector_bytes)
    lines = "".join(json.dumps(dataclasses.asdict(case)) + "\n" for case in cases)
    done = subprocess.run(
        [sys.executable, str(_HERE / "guarded.py"), *modules],
        input=lines, env=environment, cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT_S,
    )  # fmt: skip
    replies: list[dict[str, str]] = []
    arrays: list[str] = []
    for line in done.stdout.splitlines():
        reply = json.loads(line)
        if "array" in reply:
            arrays.append(reply["array"])
        else:
            replies.append(reply)
            arrays = []
    if done.returncode < 0:
        ended = f"killed by {signal.Signals(-done.returncode).name}"
    else:
        ended = f"ended with status {done.returncode}: {done.stderr.strip()[-2000:]}"
    return replies, arrays, ended
