"""Make ``torch_expectations.json`` of what the installed torch says: ``python tests/record_torch.py``."""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch_cases import draw, summary
from torch_oracle import ask

#: Cases of one kind that are kept: a kind is a sentence without its numbers, or a way to pad.
_KEPT = 3


def main() -> None:
    """Write down the first few cases of every kind."""
    warnings.simplefilter("ignore")
    seen: Counter[str] = Counter()
    found: list[dict[str, Any]] = []
    for case in draw(2400, seed=20):
        try:
            result = ask(case).numpy()
        except IndexError:
            continue  # an empty batch and a kernel of no extent: documented to be told otherwise
        except (RuntimeError, ValueError, TypeError) as error:
            kind = next(each.__name__ for each in (TypeError, ValueError, RuntimeError) if isinstance(error, each))
            # The words of its argument parser are not ours, and some have the recorder's own paths in them.
            expected = {"raises": kind, "says": "" if kind == "TypeError" else str(error)}
            sort = f"{kind} {re.sub(r'[-0-9]+|Float|Double', '', expected['says'])}"
        else:
            sort = f"{case.padding_mode} {type(case.padding).__name__} {len(case.input)} {result.size > 0}"
            expected = {"shape": list(result.shape), "dtype": result.dtype.name, "sums": summary(result)}
        seen[sort] += 1
        if seen[sort] <= _KEPT:
            found.append({"case": case.given(), "expected": expected})
    lines = ",\n".join(f"  {json.dumps(each)}" for each in found)
    content = f'{{"torch": "{torch.__version__.partition("+")[0]}", "expectations": [\n{lines}\n]}}\n'
    (Path(__file__).parent / "torch_expectations.json").write_text(content)


if __name__ == "__main__":
    main()
