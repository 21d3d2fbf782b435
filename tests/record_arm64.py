"""Counts of tests that passed on aarch64, out of pytest's XML file, for ``results/reliability.md``."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

from recorded import record

_TEXT = "Tests of kernels on aarch64, under qemu-user (vectors of 16 bytes, two threads); `make test-arm64`."


def main() -> None:
    """Record the file that is named on the command line; none of its tests failed."""
    counts: dict[str, Counter[str]] = {}
    for case in ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        name = case.attrib["classname"].rpartition(".")[2]
        counts.setdefault(name, Counter())["skipped" if case.find("skipped") is not None else "passed"] += 1
    rows = [[f"{name}.py", each["passed"], each["skipped"]] for name, each in sorted(counts.items())]
    record("aarch64", _TEXT, ["file", "passed", "skipped there"], rows)


if __name__ == "__main__":
    main()
