#!/usr/bin/env bash
# Backward data, backward weights and transposed convolutions: what "auto" chooses beside PyTorch (NCHW and
# channels_last, one gradient per call; ours has packed the weights before), mb=8, one thread. ResNet-50 forward as well,
# for the time of a whole training step. Writes rows.csv, machine.json and directions.md beside this file. Arguments are
# those of `convmark run`, such as --processes 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONVMARK_TUNED=off
torch=(--contender torch_nchw --contender torch_channels_last)
measured=(--mb 8 --slower 0 --seconds 0.1)

"$convmark" run --network resnet50 --direction fwd,bwd_d,bwd_w --contender auto "${torch[@]}" "${measured[@]}" \
    --results "$scratch/1" "$@"
"$convmark" run --network vgg19 --network mobilenet --network mobilenet_dw --network unet --network googlenet_v3 \
    --direction bwd_d,bwd_w --contender auto "${torch[@]}" "${measured[@]}" --results "$scratch/2" "$@"
# U-Net's 2x2 at stride 2, DCGAN's 4x4 at stride 2, 3x3 at stride 2 with an output padding of 1; batches of 8.
"$convmark" run --direction bwd_d --contender auto --contender peers "${measured[@]}" --results "$scratch/3" \
    --problem mb8ic64ih112oc128kh2sh2 --problem mb8ic128ih56oc256kh2sh2 --problem mb8ic256ih56oc512kh2sh2 \
    --problem mb8ic3ih64oc64kh4sh2ph1 --problem mb8ic64ih32oc128kh4sh2ph1 --problem mb8ic128ih32oc256kh4sh2ph1 \
    --problem mb8ic64ih56oc128kh3sh2ph1 --problem mb8ic128ih28oc256kh3sh2ph1 "$@"
"$(dirname "$convmark")/python" "$here/summary.py" "$scratch"/*/runs/*
