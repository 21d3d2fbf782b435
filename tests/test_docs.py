"""README and docs say what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from suite.commands.app import COMMANDS
from suite.report.load import ADDED
from suite.results.rows import COLUMNS, LATER_COLUMNS, SCHEMA

_ROOT = Path(__file__).parent.parent
_PAGES = [_ROOT / "README.md", _ROOT / "CONTRIBUTING.md", *sorted((_ROOT / "docs").glob("*.md"))]


def test_readmes_table_is_of_the_rows_that_are_stored() -> None:
    script = _ROOT / "results" / "layers" / "readme_table.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"README has another table, expected it after: python {script}\n{done.stderr}"


def test_readme_is_short() -> None:
    assert len((_ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", _PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_every_column_is_described_with_the_version() -> None:
    text = (_ROOT / "docs" / "schema.md").read_text()
    assert text.startswith(f"# Schema of rows, version {SCHEMA}\n")
    tables, _, earlier = text.partition("## Earlier versions")
    assert set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`[^|]*) \|", tables, re.M)))) == {*COLUMNS, *ADDED}
    assert set(re.findall(r"`(\w+)`", earlier)) >= set(LATER_COLUMNS)


def test_the_commands_of_readme_and_docs_exist() -> None:
    known = {"--help", "--version", *COMMANDS}
    for page in _PAGES:
        for command in re.findall(r"^(?:- run: )?convmark (\S+)", page.read_text(), re.M):
            assert command in known, f"{page.name}: convmark {command}"


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((_ROOT / "CITATION.cff").read_text())
    assert f'version = "{cited["version"]}"' in (_ROOT / "pyproject.toml").read_text()
