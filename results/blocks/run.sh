#!/usr/bin/env bash
# Blocks of several layers, ours fused and not beside PyTorch and ONNX Runtime, on one thread and two:
# writes report.md, rows.csv and machine.json beside this file. Arguments are those of `convmark blocks`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$convmark" blocks --threads 1,2 --results "$scratch" "$@"
cp "$scratch"/runs/*/{report.md,rows.csv,machine.json} "$here"
