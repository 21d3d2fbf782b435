#!/usr/bin/env bash
# The gate on three commits of a scratch clone of this repository: one that changes nothing, one
# that computes a tenth of im2col_gemm's work twice, and one that takes that back again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone --quiet "$root" "$clone"
cd "$clone"
git config user.name gate
git config user.email gate@example.org
commit() { git commit --quiet --all --message "$1"; }

git tag start
loops=kernels/algorithms/im2col/loops.py
sed -i '1s/im2col:/im2col,/' "$loops"
commit "Another word in a docstring"
git tag same
# The last panel of each thread is computed again and again, a tenth as often as it has panels: the same result, later.
sed -i 's|^    for item in range(begin, end):$|    for turn in range(begin, end + max(1, (end - begin) // 10)):\n        item = min(turn, end - 1)|' "$loops"
git diff --quiet && { echo "nothing was made slower, expected the loop over panels" >&2; exit 1; }
commit "A tenth of the work twice"
git tag slower
git revert --no-edit HEAD >/dev/null
git tag faster

run() { "$convmark" gate --base "$1" --head "$2" --output "$here/$2" || echo "exit code $?"; }
run start same
run same slower
run slower faster
