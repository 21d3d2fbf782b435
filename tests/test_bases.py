"""Commits of long ago can be measured by these sources, or say what they lack."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.gate.pair import BASE, HEAD, offer_of, start_side
from suite.gate.revisions import WORKING_TREE, Revision, RevisionBuilder, revision_builder
from suite.gate.run import offers_of
from suite.measure.worker import WorkerError

_ROOT = Path(__file__).parent.parent
_TEXT = "ic2ih5oc3kh3"

#: What timing a convolution needs of the public face, and what commits since the gate exists have.
_NEEDED = (
    "Algorithm", "Conv2dProblem", "ProblemError", "UnknownAlgorithm", "algorithms", "conv2d_reference", "get_algorithm",
    "plan",
)  # fmt: skip


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RevisionBuilder]:
    with monkeypatch.context() as patch:
        patch.setenv("CONVMARK_CACHE_DIR", str(tmp_path))
        with revision_builder(_ROOT) as here:
            patch.undo()
            yield here


def _measure(revision: Revision) -> None:
    """What the gate asks of a side."""
    assert "direct_naive" in offer_of(revision, [_TEXT]).refusals
    worker = start_side(revision, 1)
    try:
        worker.ask("load", contender="auto", threads=1, plain=True)
        worker.ask("prepare", contender="direct_naive", problem=_TEXT, fill="normal")
        digest = worker.ask("result")["digest"]
        assert worker.ask("time", budget_s=0.0, least=2, most=2)["samples"]
        assert "array" not in worker.ask("last", known=[digest])
    finally:
        worker.close()


def _without(revision: Revision, names: list[str]) -> None:
    """Take names out of a revision's public face."""
    face = revision.sources / "kernels" / "__init__.py"
    face.write_text(face.read_text() + "".join(f"\ndel {name}" for name in names) + "\n")
    # Nor can old plans be bound to arrays.
    with (revision.sources / "kernels" / "plan.py").open("a") as file:
        file.write("\ndel Plan.bind\n")


def test_a_base_needs_no_more_of_the_public_face_than_timing_a_convolution_does(builder: RevisionBuilder) -> None:
    import kernels

    revision = builder.build(WORKING_TREE, own_environment=False)
    _without(revision, [name for name in kernels.__all__ if name not in _NEEDED])
    _measure(revision)


def test_a_base_that_lacks_more_is_named_with_its_side_and_what_it_lacks(builder: RevisionBuilder) -> None:
    revision = builder.build(WORKING_TREE, own_environment=False)
    _without(revision, ["get_algorithm"])
    with pytest.raises(
        WorkerError, match=r"base, working tree, cannot be measured by these sources: .*import.* 'get_algo"
    ):
        offers_of({BASE: revision, HEAD: revision}, [_TEXT])


def _commits(count: int) -> list[str]:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), "log", f"-{count}", "--format=%h", "--", "kernels/__init__.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.split()


def test_the_last_commits_that_changed_the_public_face_are_measured(builder: RevisionBuilder) -> None:
    """The twentieth; with ``CONVMARK_TEST_BASES=20`` all of them. In a shallow clone there are few."""
    commits = _commits(int(os.environ.get("CONVMARK_TEST_BASES", "20")))
    if not commits:
        pytest.skip("these sources have no history")
    for commit in commits if "CONVMARK_TEST_BASES" in os.environ else commits[-1:]:
        _measure(builder.build(commit, own_environment=False))
