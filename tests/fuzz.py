"""Draws problems until the time is over, on every algorithm that takes them: ``make fuzz MINUTES=30``.

Kernels are drawn one after the other, and problems of each: those share compiled code, which takes longer than a
thousand small convolutions. A kernel is one that the algorithm takes that was tried least on vectors of this width.
Each run goes on where the one before ended; what it tried is added to what runs before it tried, in a file that
``results/reliability.md`` is written from. A problem that is wrong is shrunk, printed as what can be pasted, and ends
the run with exit code 1.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from fuzz_problems import Case, Kernel, cases, command, convolutions, fault, kernel_of, problems, takers
from hypothesis import HealthCheck, Phase, given, seed, settings
from recorded import record, recorded

from kernels import algorithms
from kernels.machine.cpu import vector_bytes

_SECTION = "Drawn problems"
#: Problems of a kernel, and of those the ones by which it is seen who takes it.
_AT_ONCE, _SEEN = 600, 3
_DIRECTIONS = {"fwd": "forward", "bwd_d": "backward data", "bwd_w": "backward weights"}
_VECTORS = {16: "16-byte vectors", 32: "AVX2", 64: "AVX-512"}

#: Convolutions by algorithm, direction and bytes of a vector.
Tried = Counter[tuple[str, str, int]]


def run(minutes: float, kernel: int, before: Tried) -> tuple[Tried, int, int]:
    """How often each algorithm was tried, problems drawn, and the number of the kernel that comes next."""
    tried: Tried = Counter()
    drawn, most, is_wrong = 0, 0, False
    end = time.monotonic() + 60 * minutes
    names, vectors = [each.name for each in algorithms()], vector_bytes()

    def count(name: str) -> int:
        found = (n for (each, _, width), n in (*before.items(), *tried.items()) if (each, width) == (name, vectors))
        return sum(found)

    def one(case: Case) -> None:
        nonlocal drawn, is_wrong
        # What is wrong is shrunk to its end.
        if time.monotonic() > end and not is_wrong:
            return
        drawn += 1
        for each in takers(case.problem):
            # Others wait for those that take few problems.
            if count(each.name) > most:
                continue
            reason = fault(case, each)
            is_wrong = is_wrong or bool(reason)
            assert not reason, f"{each.name}: {reason}\n{case!r}\n{command(case, each.name)}"
            tried[each.name, case.problem.direction, vectors] += convolutions(case)

    while time.monotonic() < end:
        least = min(names, key=count)
        most = 2 * count(least) + 500
        while least not in _who(kernel_of(kernel), kernel):
            kernel += 1
        rules = settings(
            max_examples=_AT_ONCE, deadline=None, database=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        )  # fmt: skip
        seed(kernel)(rules(given(cases(kernel_of(kernel)))(one)))()
        kernel += 1
    return tried, drawn, kernel


def _who(kernel: Kernel, number: int) -> set[str]:
    """Algorithms that take problems of a kernel."""
    found: set[str] = set()

    def look(problem: object) -> None:
        found.update(each.name for each in takers(problem))  # type: ignore[arg-type]

    rules = settings(
        max_examples=_SEEN, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )  # fmt: skip
    seed(number)(rules(given(problems(kernel))(look)))()
    return found


def main() -> None:
    """Draw, and write down how much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    minutes = parser.parse_args().minutes
    known = recorded(_SECTION)
    before: Tried = Counter({(name, way, width): n for name, way, width, n in known.get("tried", [])})
    tried, drawn, kernel = run(minutes, known.get("kernel", 0), before)
    total, drawn = before + tried, drawn + known.get("drawn", 0)
    text = (
        f"{drawn:,} problems, on which algorithms computed {sum(total.values()):,} convolutions: of whole numbers with "
        "an epilogue, exact or after rounding, on one thread and often on several, between guards; and of normal "
        "values, within the promise of error. One that is wrong would have ended the run. `make fuzz MINUTES=30` adds "
        "to these."
    )
    names = sorted({name for name, _, _ in total} | {each.name for each in algorithms()})
    parts: Counter[tuple[str, object]] = Counter()
    for (name, way, width), n in total.items():
        parts.update({(name, way): n, (name, width): n})
    widths = [width for width in _VECTORS if any(each == width for _, _, each in total)]
    rows = [[name, *(parts[name, each] for each in (*_DIRECTIONS, *widths))] for name in names]
    columns = ["algorithm", *_DIRECTIONS.values(), *(f"of these {_VECTORS[each]}" for each in widths)]
    state = sorted((*key, n) for key, n in total.items())
    record(_SECTION, text, columns, rows, drawn=drawn, kernel=kernel, tried=state)
    print(f"{sum(tried.values())} convolutions, none wrong; {sum(total.values())} in all")


if __name__ == "__main__":
    main()
