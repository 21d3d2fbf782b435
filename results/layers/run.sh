#!/usr/bin/env bash
# Every layer of every network, ours beside every library, on one thread and on all; and small maps by
# eights. The automatic choice is tuned before, on one thread. Writes report.md, rows.csv and
# machine.json below networks/ and batch/ beside this file; a name as argument for one of them.
# Takes an hour on a machine that does nothing else. With "choice", which is in no other: "auto" alone, by its cost
# model, beside PyTorch, ONNX Runtime, OpenVINO, ncnn and LiteRT, in a quarter of the time; below choice_avx2/ or
# choice_avx512/. With "forced_avx2", on a CPU that has AVX-512: our kernels as they are compiled for AVX2, beside
# PyTorch, whose libraries can be told to use no more than that; below forced_avx2/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# A database of its own: what somebody tuned before has no part in this.
export CONVMARK_TUNED=$scratch/tuned.sqlite

# Not those that lose everywhere: the seven loops, the large kernels' FFTs, F(2, 5).
ours=(direct_tiled im2col_gemm depthwise_stencil grouped_stencil grouped_winograd
    winograd_f2x3 winograd_f4x3 winograd_f6x3 winograd_f4x5 winograd_f4x7 winograd_f6x7 auto)
contenders=(--contender peers "${ours[@]/#/--contender=}")

run() {
    folder=$1 && shift
    "$convmark" run "${contenders[@]}" --seconds 0.1 --results "$scratch/$folder" "$@"
    mkdir -p "$here/$folder"
    cp "$scratch/$folder"/runs/*/{report.md,rows.csv,machine.json} "$here/$folder"
}

networks=(alexnet basics dilated googlenet_v3 mobilenet mobilenet_dw resnet50 resnext101 unet vgg19 yolov2)
batch=(mb8ic256ih14oc256kh3ph1 mb8ic512ih14oc512kh3ph1 mb8ic512ih7oc512kh3ph1)
threads=1,$(nproc)
asked=${1:-all}
if [ "$asked" = choice ]; then
    export CONVMARK_TUNED=off
    width=$("$convmark" machine --json | "$(dirname "$convmark")/python" -c \
        'import json, sys; print({32: "avx2", 64: "avx512"}[json.load(sys.stdin)["machine"]["vector_bytes"]])')
    # Not those that are seldom right or never the fastest: MNN, OpenCV, SciPy.
    contenders=(--contender auto)
    for each in torch_nchw torch_channels_last torch_prepacked onnxruntime openvino ncnn litert; do
        contenders+=(--contender "$each")
    done
    run "choice_$width" --processes 1 --threads "$threads" "${networks[@]/#/--network=}"
fi
if [ "$asked" = forced_avx2 ]; then
    export CONVMARK_TUNED=off NUMBA_CPU_NAME=znver3 CONVMARK_VECTOR_BYTES=32
    export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
    contenders=(--contender auto)
    for each in torch_nchw torch_channels_last torch_prepacked; do contenders+=(--contender "$each"); done
    run forced_avx2 --processes 1 --threads "$threads" "${networks[@]/#/--network=}"
fi
wants() { [ "$asked" = all ] || [ "$asked" = "$1" ]; }
if wants batch; then run batch "${batch[@]/#/--problem=}"; fi
if wants networks; then
    mkdir -p "$here/networks"
    "$convmark" tune "${networks[@]/#/--network=}" --seconds 0.1 >"$here/networks/tuned.txt"
    run networks --processes 1 --threads "$threads" "${networks[@]/#/--network=}"
fi
