#!/usr/bin/env bash
# Where the time of Winograd and FFT goes: writes profile.md beside this file. Takes two minutes on a
# machine that does nothing else; arguments are those of `convmark profile`.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
convmark=${CONVMARK:-$root/.venv/bin/convmark}
"$convmark" profile --output "$here/profile.md" "$@"
