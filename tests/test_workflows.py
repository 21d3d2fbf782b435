"""The workflows are valid YAML, ask for little, and run commands that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from suite.commands.app import app
from suite.gate.findings import Findings

_WORKFLOWS = sorted((Path(__file__).parent.parent / ".github" / "workflows").glob("*.yml"))


def _workflow(name: str) -> dict[Any, Any]:
    [path] = [path for path in _WORKFLOWS if path.stem == name]
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _steps(name: str) -> list[dict[str, Any]]:
    return [step for job in _workflow(name)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", ["ci", "gate", "nightly"])
def test_workflows_are_pinned_bounded_and_may_only_read(name: str) -> None:
    workflow = _workflow(name)
    assert workflow["permissions"] == {"contents": "read"} and "group" in workflow["concurrency"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 360
        # Pages are published by a job that runs no code of the repository.
        assert "permissions" not in job or all("run" not in step for step in job["steps"])
    for step in _steps(name):
        assert ("uses" in step) != ("run" in step)
        assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
        # What stands in an expression may be whatever somebody called a branch: a script gets it by env.
        assert "${{" not in step.get("run", "")


def test_the_gate_sees_base_and_keeps_what_it_found_when_it_fails() -> None:
    # YAML 1.1 takes the word "on" for true.
    assert list(_workflow("gate")[True]) == ["pull_request"]
    assert _workflow("gate")["concurrency"]["cancel-in-progress"] is True
    checkout, *_, gate, upload = _workflow("gate")["jobs"]["gate"]["steps"]
    assert checkout["with"]["fetch-depth"] == 0
    assert gate["env"]["BASE"] == "origin/${{ github.base_ref }}" and '--base "$BASE"' in gate["run"]
    assert upload["if"] == "${{ !cancelled() }}"
    # Outside the checkout, which is what is measured.
    assert upload["with"]["path"] == "${{ runner.temp }}/gate" and '--output "$RUNNER_TEMP/gate"' in gate["run"]


def test_one_comment_is_kept_up_to_date_by_a_job_that_runs_no_code_of_the_repository() -> None:
    job = _workflow("gate")["jobs"]["comment"]
    assert job["needs"] == "gate" and job["permissions"] == {"pull-requests": "write"}
    assert "head.repo.full_name == github.repository" in job["if"] and "!cancelled()" in job["if"]
    download, comment = job["steps"]
    assert download["with"]["name"] == _workflow("gate")["jobs"]["gate"]["steps"][-1]["with"]["name"]
    script = comment["with"]["script"]
    # What it reads is what the gate writes.
    findings = Findings("a", "b", (), (), 0.05, 0.01, 1.0).as_dict()
    assert set(re.findall(r"found\.(\w+)", script)) <= findings.keys()
    assert "updateComment" in script and "else if (changed)" in script and "${{" not in script


@pytest.mark.parametrize(("name", "command"), [("nightly", "run"), ("nightly", "report"), ("gate", "gate")])
def test_workflows_ask_for_options_that_there_are(name: str, command: str) -> None:
    [line] = [
        line for line in (step.get("run", "") for step in _steps(name)) if line.startswith(f"convmark {command} ")
    ]
    group = get_command(app)
    found = group.get_command(None, command)  # type: ignore[attr-defined]
    known = {option for each in found.params for option in each.opts}
    assert {word for word in line.split() if word.startswith("--")} <= known


def test_nightly_publishes_what_it_reports() -> None:
    runs = "\n".join(step.get("run", "") for step in _steps("nightly"))
    assert "convmark run --all --contender all --threads 1,2" in runs and "convmark report machines/" in runs
    jobs = _workflow("nightly")["jobs"]
    assert len(jobs["measure"]["strategy"]["matrix"]["runner"]) > 1
    # What each machine hands over is what the merging job takes.
    kept = jobs["measure"]["steps"][-1]["with"]["name"]
    [taken] = [s for s in jobs["merge"]["steps"] if s.get("uses", "").startswith("actions/download-artifact@")]
    assert kept.startswith(taken["with"]["pattern"].rstrip("*")) and "--push history" in runs
    publish = _workflow("nightly")["jobs"]["publish"]
    assert publish["permissions"] == {"pages": "write", "id-token": "write"}
    assert publish["steps"][-1]["uses"].startswith("actions/deploy-pages@")


@pytest.mark.parametrize(("name", "job"), [("ci", "tests"), ("gate", "gate")])
def test_compiled_code_is_kept_between_runs(name: str, job: str) -> None:
    folder = _workflow(name)["jobs"][job]["env"]["CONVMARK_CACHE_DIR"]
    # The cache's paths are patterns, in which relative parts are not allowed.
    assert Path(folder).is_absolute() and ".." not in folder
    steps = _steps(name)
    [at] = [i for i, step in enumerate(steps) if step.get("uses", "").startswith("actions/cache@")]
    kept = steps[at]["with"]
    assert kept["path"] == "${{ env.CONVMARK_CACHE_DIR }}/pieces"
    assert "${{ runner.os }}" in kept["key"] and "${{ hashFiles('constraints.txt') }}" in kept["key"]
    prefixes = kept["restore-keys"].splitlines()
    assert len(prefixes) == 2 and all(kept["key"].startswith(prefix) for prefix in prefixes)
    # Before anything compiles.
    assert all("uses" in step for step in steps[:at])
