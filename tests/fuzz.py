"""Draws problems until the time is over, on every algorithm that takes them: ``make fuzz MINUTES=30``.

Each run goes on where chance takes it; what it tried is added to what runs before it tried, in a file that
``results/reliability.md`` is written from. A problem that is wrong is shrunk, printed as what can be pasted, and ends
the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from fuzz_problems import Case, cases, command, fault, takers
from hypothesis import HealthCheck, Phase, given, seed, settings

from kernels import algorithms

_RESULTS = Path(__file__).parent.parent / "results"
_COUNTS, _PAGE = _RESULTS / "reliability.json", _RESULTS / "reliability.md"
#: Problems that are drawn before the clock is looked at.
_AT_ONCE = 200


def run(minutes: float, first: int) -> tuple[Counter[str], int]:
    """How often each algorithm was tried, and problems drawn."""
    tried: Counter[str] = Counter()
    drawn, is_wrong = 0, False
    end = time.monotonic() + 60 * minutes

    def one(case: Case) -> None:
        nonlocal drawn, is_wrong
        # What is wrong is shrunk to its end.
        if time.monotonic() > end and not is_wrong:
            return
        drawn += 1
        for each in takers(case.problem):
            reason = fault(case, each)
            is_wrong = is_wrong or bool(reason)
            assert not reason, f"{each.name}: {reason}\n{case!r}\n{command(case, each.name)}"
            tried[each.name] += 1

    while time.monotonic() < end:
        first += 1
        rules = settings(
            max_examples=_AT_ONCE, deadline=None, database=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )  # fmt: skip
        seed(first)(rules(given(cases())(one)))()
    return tried, drawn


def page(counts: dict[str, int], problems: int) -> str:
    """The counts as a page."""
    lines = [f"| {name} | {counts[name]:,} |" for name in sorted(counts)]
    return "\n".join(
        (
            "# Reliability",
            "",
            f"Drawn problems: {problems:,}, on which algorithms were tried {sum(counts.values()):,} times: on whole "
            "numbers with an epilogue, exact or after rounding, on one thread and often on two, between guards; and on "
            "normal values, within the promise of error. Wrong: 0, or the run would have ended. `make fuzz MINUTES=30` "
            "adds to these counts.",
            "",
            "| algorithm | convolutions |",
            "| --- | ---: |",
            *lines,
            "",
        )
    )


def main() -> None:
    """Draw, and write down how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    known = json.loads(_COUNTS.read_text()) if _COUNTS.exists() else {"problems": 0, "seeds": 0, "tried": {}}
    before = known["seeds"]
    tried, drawn = run(minutes, before)
    # Seeds are not drawn from twice.
    total = Counter({each.name: 0 for each in algorithms("fwd")}) + Counter(known["tried"]) + tried
    found = {"problems": known["problems"] + drawn, "seeds": before + drawn // _AT_ONCE + 1, "tried": dict(total)}
    _COUNTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    _PAGE.write_text(page(found["tried"], found["problems"]))
    print(f"{drawn} problems, {sum(tried.values())} convolutions, none wrong; {sum(total.values())} in all")


if __name__ == "__main__":
    main()
