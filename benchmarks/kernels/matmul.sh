#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Times generated matmuls in turn: benchmarks/kernels/matmul.sh [FORMAT[;FORMAT...] [N [K]]], after a build in build/. N may be 16M:
# as many columns as fill 16 MiB. What is printed is said in matmul.cpp. Environment:
#   ACTIVATIONS  int8, f32 or auto: int8 where the format allows it     ROWS  numbers of rows     TURNS  rounds
#   BYTES     of weights that each run passes over, in copies; all rounds for one number after those for the one before
#   SCHEDULE  e.g. "schedule <tile = [0, 0], rows = 8, panels = 2>"
#   FEATURES  of whit.target             MARCH     clang flags for the same machine
#   BESIDE    a C++ program that is compiled for this machine and run in turn with the kernel, to compare
set -eu
formats=${1:-int4_g32} n=${2:-14336} k=${3:-4096} activations=${ACTIVATIONS:-int8}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build}
llvm=${LLVM:-/usr/lib/llvm-22}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
features=${FEATURES:-$(sed -n '/^flags/{s/^[^:]*: //p;q}' /proc/cpuinfo | tr ' ' '\n' | sed -n 's/^\(avx2\|fma\|f16c\|avx\|sse2\|avx512f\|avx512bw\|avx512dq\|avx512vl\|avx512vbmi\|gfni\)$/+\1/p;s/^avx512_vnni$/+avx512vnni/p;s/^avx_vnni$/+avxvnni/p' | paste -sd,)}

"$llvm/clang++" -O2 -std=c++20 -I"$root" -I"$root/include" "$root/benchmarks/kernels/matmul.cpp" "$build/lib/libWhitEncoding.a" \
  -o "$work/matmul"

# kernel FORMAT NAME: $work/NAME.so
kernel() {
  "$work/matmul" describe "$1" "$n" "$k" "$activations" "$features" "${SCHEDULE:-}" > "$work/kernel.mlir" &&
  "$build/bin/whit-opt" "$work/kernel.mlir" -o "$work/llvm.mlir" --pass-pipeline='builtin.module(
    func.func(whit-lower-matmul,whit-lower-dot),whit-lower-lookup,canonicalize,cse,expand-strided-metadata,convert-scf-to-cf,
    convert-math-to-llvm,convert-vector-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,
    convert-func-to-llvm,reconcile-unrealized-casts)' &&
  "$llvm/mlir-translate" --mlir-to-llvmir "$work/llvm.mlir" -o "$work/kernel.ll" &&
  "$llvm/clang" -O3 ${MARCH:--march=native} -Wno-override-module -shared -fPIC "$work/kernel.ll" -lm -o "$work/$2.so"
}

count=0
rest=$formats
set --
while [ -n "$rest" ]; do
  format=${rest%%;*}
  rest=${rest#"$format"}
  rest=${rest#;}
  count=$((count + 1))
  if kernel "$format" "$count"; then
    set -- "$@" "$format" "$n" "$activations" "$work/$count.so"
  else
    echo "matmul.sh: no kernel for $format" >&2
  fi
done
[ $# -gt 0 ] || exit 1
rounds=1 turns=${TURNS:-3}
if [ -n "${BESIDE:-}" ]; then
  "$llvm/clang++" -O3 -march=native -pthread "$BESIDE" -o "$work/beside"
  rounds=$turns turns=1
fi
for bytes in ${BYTES:-0}; do
  for round in $(seq "$rounds"); do
    [ -z "${BESIDE:-}" ] || "$work/beside"
    "$work/matmul" time "$k" "$bytes" "$turns" "${ROWS:-1 4 16 128}" "$@"
  done
done
