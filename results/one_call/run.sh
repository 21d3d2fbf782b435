#!/usr/bin/env bash
# `conv2d(x, w)` beside PyTorch's, weights packed in every call: all layers of networks and the basics, but not large
# kernels, on one thread and two. Writes rows.csv, machine.json and one_call.md beside this file. Arguments are those of `convmark run`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONVMARK_TUNED=off

networks=(alexnet basics dilated googlenet_v3 mobilenet mobilenet_dw resnet50 resnext101 unet vgg19 yolov2)
"$convmark" run "${networks[@]/#/--network=}" --contender one_call --contender torch_one_call --reference torch_one_call \
    --threads 1,2 --slower 0 --seconds 0.1 --results "$scratch" "$@"
cp "$scratch"/runs/*/{rows.csv,machine.json} "$here"
"$(dirname "$convmark")/python" "$here/summary.py" > "$here/one_call.md"
