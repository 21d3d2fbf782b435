#!/usr/bin/env bash
# A newcomer's path, timed: from `git clone` to the first table and to the page, with nothing compiled before.
# `bash results/newcomer/measure.sh > results/newcomer/newcomer.md`; NETWORK="basics resnet50" is what `make bench` measures.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
network=${NETWORK:-quick}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export CONVMARK_CACHE_DIR=$scratch/cache
unset PYTHONPATH

row() { echo "| $1 | $(($(date +%s) - start)) |"; }

start=$(date +%s)
git clone --quiet "$root" "$scratch/convmark"
cd "$scratch/convmark"
lines=$(row "\`git clone\`")
make .venv/.installed >"$scratch/log" 2>&1
lines+=$'\n'$(row "installed, by make")
make bench NETWORK="$network" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; exit 1; }
test -s results/runs/*/report.html
lines+=$'\n'$(row "\`make bench NETWORK=$network\`: the first table, and its page")

echo "# A newcomer's path"
echo
echo "$(.venv/bin/python -c 'from suite.machine.environment import this_machine as m; print(f"{m().cpu}, {m().cores} cores, vectors of {8 * m().vector_bytes} bits")'); \`bash results/newcomer/measure.sh\`, empty caches, packages of pip's cache or the index."
echo
echo "| after | seconds since the clone began |"
echo "| --- | --- |"
echo "$lines"
