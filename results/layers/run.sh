#!/usr/bin/env bash
# Every layer of every network on one thread, those of two networks on one thread and two, and small
# maps by eights, ours beside every library: writes report.md, rows.csv, machine.json and pictures
# below one-thread/, two-threads/ and batch/ beside this file; a name as argument for one of them.
# Takes half an hour on a machine that does nothing else.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Not those that lose everywhere: the seven loops, the large kernels' FFTs, F(2, 5).
ours=(direct_tiled im2col_gemm depthwise_stencil grouped_stencil grouped_winograd
    winograd_f2x3 winograd_f4x3 winograd_f6x3 winograd_f4x5 winograd_f4x7 winograd_f6x7 auto)
contenders=(--contender peers "${ours[@]/#/--contender=}")

run() {
    folder=$1 && shift
    "$convmark" run "${contenders[@]}" --seconds 0.1 --results "$scratch/$folder" "$@"
    mkdir -p "$here/$folder"
    cp "$scratch/$folder"/runs/*/{report.md,rows.csv,machine.json,*.png} "$here/$folder"
}

networks=(alexnet basics dilated googlenet_v3 mobilenet mobilenet_dw resnet50 resnext101 unet vgg19 yolov2)
batch=(mb8ic256ih14oc256kh3ph1 mb8ic512ih14oc512kh3ph1 mb8ic512ih7oc512kh3ph1)
wants() { [ "${asked:=all}" = all ] || [ "$asked" = "$1" ]; }
asked=${1:-all}
if wants batch; then run batch "${batch[@]/#/--problem=}"; fi
if wants two-threads; then run two-threads --network=resnet50 --network=vgg19 --threads 1,2 --processes 1; fi
if wants one-thread; then run one-thread --processes 1 "${networks[@]/#/--network=}"; fi
