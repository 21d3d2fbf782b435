"""Make ``recorded_pairs.json`` of what ``convmark aa`` stored: ``python tests/record_pairs.py results/aa/NAME``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

#: Benchmarks by how their pairs differ: multiply-adds in registers, panels, transforms, a stencil in L2.
_ALGORITHMS = ("direct_tiled", "im2col_gemm", "winograd_f4x3", "grouped_winograd", "fft_tile16", "depthwise_stencil")
_LAYERS = ("kernel_3x3", "depthwise")


def main(folder: Path) -> None:
    """Log ratios of head to base without a slowdown, of each algorithm on one layer."""
    found: dict[str, list[float]] = {}
    layers: dict[str, str] = {}
    for text in (folder / "pairs.jsonl").read_text().splitlines():
        line = json.loads(text)
        if "benchmark" not in line:
            continue
        name, _, algorithm, _ = line["benchmark"].split()
        layer = name.partition("/")[2]
        ratio = line["log_ratios"]["0.0"]
        if (
            algorithm in _ALGORITHMS
            and layer in _LAYERS
            and layers.setdefault(algorithm, layer) == layer
            and ratio is not None
        ):
            found.setdefault(algorithm, []).append(ratio)
    stamp = json.loads((folder / "rates.json").read_text())["stamp"]
    content = {"from": folder.name, "machine": stamp, "log_ratios": found}
    (Path(__file__).parent / "recorded_pairs.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
