#!/usr/bin/env bash
# Layers of large kernels, ours beside every library on one thread, and auto on one and on all; and an image filtered by
# a row and a column, beside OpenCV's filter of both. Writes report.html, report.md, rows.csv, machine.json, threads.csv,
# large_kernels.md and separable.md beside this file. Arguments are those of `convmark run`.
# Takes half an hour on a machine that does nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONVMARK_TUNED=off

ours=(direct_tiled im2col_gemm depthwise_stencil long_stencil fft_planes fft_tile16 fft_tile32 fft_tile64 winograd_f6x7
    auto)
"$convmark" run --network large_kernels --contender peers "${ours[@]/#/--contender=}" \
    --processes 1 --seconds 0.1 --results "$scratch/1" "$@"
"$convmark" run --network large_kernels --contender auto --threads "1,$(nproc)" --seconds 0.1 \
    --results "$scratch/2" "$@"
cp "$scratch"/1/runs/*/{report.html,report.md,rows.csv,machine.json} "$here"
cp "$scratch"/2/runs/*/rows.csv "$here/threads.csv"
"$(dirname "$convmark")/python" "$here/summary.py" > "$here/large_kernels.md"
"$(dirname "$convmark")/python" "$here/separable.py" > "$here/separable.md"
