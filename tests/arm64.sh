#!/usr/bin/env bash
# Tests of kernels on aarch64, under qemu-user on a machine of another kind: make test-arm64.
# The root, of Debian's packages and of wheels, is made once, in ROOT; nothing of this machine is changed.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=${ROOT:-$PWD/.arm64}
PYTHON=${PYTHON:-python3}
TESTS=${TESTS:-"tests/test_algorithms.py tests/test_winograd.py tests/test_fft_planes.py tests/test_grouped.py
tests/test_subpixel.py tests/test_backward_weights.py tests/test_gradients.py tests/test_epilogue.py
tests/test_max_pool.py tests/test_blocks.py tests/test_experts.py tests/test_window_only.py tests/test_weight_range.py
tests/test_transform_code.py tests/test_fuzz.py"}
# These start processes, which would be started without qemu.
LEFT_OUT=${LEFT_OUT:-"every_vector_width or touches_no_memory"}

if [ ! -e "$ROOT/ready" ]; then
    mkdir -p "$ROOT"/apt/{lists/partial,archives/partial} "$ROOT/wheels"
    touch "$ROOT/apt/status"
    cat > "$ROOT/apt.conf" <<END
APT::Architecture "arm64"; APT::Architectures { "arm64"; }; APT::Sandbox::User "";
Dir::State::status "$ROOT/apt/status"; Dir::State::lists "$ROOT/apt/lists"; Dir::Cache "$ROOT/apt";
END
    # python3 is that of the release: 3.11 on Debian 12.
    APT_CONFIG=$ROOT/apt.conf apt-get update -qq
    APT_CONFIG=$ROOT/apt.conf apt-get install -qq -y --download-only --no-install-recommends python3 libstdc++6 libgomp1
    for package in "$ROOT"/apt/archives/*.deb; do dpkg-deb -x "$package" "$ROOT"; done
    (cd "$ROOT/apt" && apt-get download -qq qemu-user-static && dpkg-deb -x qemu-user-static_*.deb "$ROOT/qemu")
    version=$(basename "$(readlink "$ROOT/usr/bin/python3")" | sed s/python//)
    "$PYTHON" -m pip download -q -d "$ROOT/wheels" -c constraints.txt --only-binary=:all: --python-version "$version" \
        --implementation cp --platform manylinux_2_17_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_28_aarch64 numpy numba platformdirs pytest hypothesis pandas rich typer
    for wheel in "$ROOT"/wheels/*.whl; do
        "$PYTHON" -m zipfile -e "$wheel" "$ROOT/usr/lib/python3/dist-packages"
    done
    touch "$ROOT/ready"
fi
export CONVMARK_CACHE_DIR=$ROOT/cache PYTHONPATH=$PWD
# Two threads: qemu-user keeps the order of memory between them as x86 does, so that races of aarch64 do not show.
export NUMBA_NUM_THREADS=${NUMBA_NUM_THREADS:-2}
code=0
# shellcheck disable=SC2086
"$ROOT/qemu/usr/bin/qemu-aarch64-static" -cpu "${CPU:-neoverse-n1}" -L "$ROOT" "$ROOT/usr/bin/python3" \
    -m pytest -p no:cacheprovider -q $TESTS -k "not ($LEFT_OUT)" \
    --junitxml="$ROOT/tests.xml" "$@" || code=$?
[ "$code" -ne 0 ] || "$PYTHON" tests/record_arm64.py "$ROOT/tests.xml"
exit "$code"
