"""Files of lines: appended whole, and a cut one costs only itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from suite.results.files import replace_file
from suite.results.jsonl import append_line, read_lines


def _no_warning(text: str) -> None:
    raise AssertionError(text)


def test_lines_are_read_back_in_order_and_a_missing_file_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert list(read_lines(path, _no_warning)) == []
    for i in range(3):
        append_line(path, {"i": i})
    assert list(read_lines(path, _no_warning)) == [{"i": 0}, {"i": 1}, {"i": 2}]
    assert path.read_bytes().count(b"\n") == 3


@pytest.mark.parametrize("rest", [b'{"i": 1', b"[1]\n", b'"text"\n', b"\xff\xfe\n"])
def test_what_is_no_whole_object_is_warned_of_by_its_number_and_never_rewritten(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.jsonl"
    append_line(path, {"i": 0})
    before = path.read_bytes() + rest
    path.write_bytes(before)
    said: list[str] = []
    assert list(read_lines(path, said.append)) == [{"i": 0}]
    assert said == [f"{path} line 2 is not a whole row and is left out, expected one JSON object a line"]
    append_line(path, {"i": 2})
    assert path.read_bytes().startswith(before)
    assert list(read_lines(path, said.append)) == [{"i": 0}, {"i": 2}]


def test_a_line_that_lost_only_its_newline_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"i": 0}')
    append_line(path, {"i": 1})
    assert list(read_lines(path, _no_warning)) == [{"i": 0}, {"i": 1}]


def test_a_replaced_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def half(part: Path) -> None:
        part.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_file(path, half)
    assert path.read_text() == "old"
    replace_file(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"
