#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Checks and times Whit's kernels on this machine's GPU. Needs a driver, Python 3.8 and a bundle (./dev gpu-bundle); torch is used for
# comparison if it is there.
#
#   run.sh [BUNDLE.tar.xz | FOLDER] [--device=cuda:0] [--json=results.json] [--only=GLOB]...     run.sh --help has the rest
#
# Inside a bundle, that bundle is taken. --device=sim:sm_80 needs --whit-run=PATH of a build, which has the simulator beside it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bundle=$here
if (($#)) && [[ $1 != -* ]]; then
  bundle=$1
  shift
  if [[ -f $bundle ]]; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    "${PYTHON:-python3}" -m tarfile -e "$bundle" "$unpacked" # tar would need xz beside it
    bundle=$unpacked/whit-gpu-bundle
  fi
fi
[[ -f $bundle/cases.json ]] || { echo "run.sh: error: there is no cases.json in $bundle; give a bundle that ./dev gpu-bundle wrote" >&2; exit 2; }
"${PYTHON:-python3}" "$here/run.py" "$bundle" "$@"
