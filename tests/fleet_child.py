"""In place of ``suite.fleet.child`` in sources that tests send: measures nothing, and stores a run all the same.

It takes the host's lock, writes down when it measures, and ends with the process that holds its standard input.
``FLEET_TESTS`` is the folder of those notes, ``FLEET_STEP_S`` how long it measures each time, ``FLEET_SLOWER`` a factor
of this machine's times.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent.parent
_RECORDED = _ROOT / "recorded_run"
_TEXTS = tuple(f"ic1ih{size}oc1kh1" for size in range(2, 8))
_PROCESSES = 2


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _note(what: str) -> None:
    note = {"host": os.environ["CONVMARK_HOST"], "pid": os.getpid(), "what": what, "at": time.monotonic()}
    with (Path(os.environ["FLEET_TESTS"]) / "notes.jsonl").open("a") as file:
        file.write(json.dumps(note) + "\n")


def _append(path: Path, value: object) -> None:
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def _begin(results: Path, arguments: list[str]) -> Path:
    from suite.digests import sources_digest

    number, count = (int(word) for word in arguments[arguments.index("--part") + 1].split("/")) if (
        "--part" in arguments
    ) else (1, 1)  # fmt: skip
    texts = [*_TEXTS[: number > 1], *_TEXTS[number - 1 :: count]]
    run = results / "runs" / f"20260102T030405Z-nogit-{os.getpid():x}{time.time_ns() % 65536:x}"
    run.mkdir(parents=True)
    machine = json.loads((_RECORDED / "machine.json").read_text())
    machine["machine"]["sources"] = sources_digest(_ROOT / "kernels")
    (run / "machine.json").write_text(json.dumps(machine))
    request = json.loads((_RECORDED / "request.json").read_text())
    request["asked"] |= {"problems": _TEXTS, "part": [number, count]}
    (run / "request.json").write_text(json.dumps({"number": 1, "rows": 2 * len(texts), "asked": request["asked"]}))
    (run / "texts.json").write_text(json.dumps(texts))
    return run


def _measure(run: Path) -> None:
    slower = float(os.environ.get("FLEET_SLOWER", "1"))
    takes = json.loads((_RECORDED / "takes.jsonl").read_text().splitlines()[0])["takes"]
    rows = [json.loads(line) for line in (_RECORDED / "rows.jsonl").read_text().splitlines()]
    measured = run / "measurements.jsonl"
    done = measured.read_text().splitlines() if measured.exists() else []
    known = {(json.loads(line)["case"][1], json.loads(line)["generation"]) for line in done}
    for text in json.loads((run / "texts.json").read_text()):
        for generation in range(_PROCESSES):
            if (text, generation) in known:
                continue
            _note("begin")
            try:
                time.sleep(float(os.environ.get("FLEET_STEP_S", "0.08")))
            finally:
                _note("end")
            results = {
                name: {**take, "seconds": [slower * (1 + generation / 100) * each for each in take["seconds"]]}
                for name, take in takes.items()
            }
            _append(measured, {"case": ["text", text, text, 1, "warm"], "generation": generation, "results": results})
            if generation == _PROCESSES - 1:
                for row in rows:
                    named = {"run": run.name, "layer": text, "problem": text, "time_s": slower * row["time_s"]}
                    _append(run / "rows.jsonl", {**row, **named})


def main(arguments: list[str]) -> None:
    from suite.machine.host_lock import measuring_alone

    assert arguments[0] == "run"
    results = Path(arguments[arguments.index("--results") + 1])
    _note("start")
    with measuring_alone():
        runs = sorted(results.glob("runs/*/request.json"))
        assert bool(runs) == ("--resume" in arguments)
        _measure(runs[-1].parent if runs else _begin(results, arguments))


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
