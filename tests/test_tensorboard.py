"""Events for TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from report_rows import OTHER, frame_of, peer, row

from suite.report.tensorboard import write_tensorboard

pytest.importorskip("tensorboardX", reason="no tensorboardX")


def _events(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Tag, step and value of every scalar of a folder's only file."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.out.tfevents.*")
    content = file.read_bytes()
    while content:
        # A record: its length, that one's checksum, an event, and that one's checksum.
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        for value in event.summary.value:
            yield value.tag, event.step, value.simple_value


def test_contenders_are_runs_and_layers_are_steps(tmp_path: Path) -> None:
    rows = [row("mine", 0.1), peer("lib", 0.2), row("mine", 0.3, layer="two", problem=OTHER),
            row("errs", None, status="wrong")]  # fmt: skip
    write_tensorboard(frame_of(rows), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"mine, 1 thread", "lib, 1 thread", "report"}
    times = [(step, value) for tag, step, value in _events(tmp_path / "mine, 1 thread") if tag == "time_ms/net"]
    assert times == [(0, pytest.approx(100.0)), (1, pytest.approx(300.0))]
    assert any(tag.startswith("report") for tag, *_ in _events(tmp_path / "report"))
