#!/usr/bin/env bash
# Layers of large kernels, ours beside the libraries that networks are run by, and images beside SciPy and OpenCV, on one
# thread; auto on one thread and on all; and an image filtered by a row and a column, beside OpenCV's filter of both.
# Writes rows.csv, machine.json, threads.csv, large_kernels.md and separable.md beside this file. Arguments are those of
# `convmark run`. Takes a quarter of an hour on a machine that does nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONVMARK_TUNED=off

layers=$root/suite/workloads/large_kernels.txt
problems() { # of the layers whose names match
    awk -v kind="$1" -v is="$2" '!/^#/ && ($2 ~ kind) == is { print "--problem=" $1 }' "$layers"
}
# Rows of a library that are wrong are rows: the exit code is then 1.
measure() {
    folder=$1 && shift
    "$convmark" run --processes 1 --seconds 0.1 --results "$scratch/$folder" "$@" || [ $? = 1 ]
}
ours=(direct_tiled im2col_gemm depthwise_stencil long_stencil fft_planes fft_tile16 fft_tile32 fft_tile64 auto)
peers=(torch_nchw torch_channels_last torch_prepacked onnxruntime openvino ncnn litert)
filters=(long_stencil depthwise_stencil fft_planes fft_tile64 auto scipy_fft scipy_oa opencv_filter
    opencv_separate)

readarray -t of_networks < <(problems ^image 0)
readarray -t images < <(problems ^image 1)
measure 1 "${of_networks[@]}" "${ours[@]/#/--contender=}" "${peers[@]/#/--contender=}" "$@"
measure 2 "${images[@]}" "${filters[@]/#/--contender=}" "$@"
measure 3 "${of_networks[@]}" "${images[@]}" --contender auto --threads "1,$(nproc)" "$@"
cp "$scratch"/1/runs/*/machine.json "$here"
cp "$scratch"/3/runs/*/rows.csv "$here/threads.csv"
"$(dirname "$convmark")/python" "$here/summary.py" "$scratch"/{1,2}/runs/*/rows.csv > "$here/large_kernels.md"
"$(dirname "$convmark")/python" "$here/separable.py" > "$here/separable.md"
