#!/bin/sh
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# Times generated matmuls: benchmarks/kernels/matmul.sh [FORMAT [N [K]]], after a build in build/. Environment:
#   ACTIVATIONS  int8 or f32             ROWS      numbers of rows
#   SCHEDULE  e.g. "schedule <tile = [0, 0], rows = 8, panels = 2>"
#   FEATURES  of whit.target             MARCH     clang flags for the same machine
#   BESIDE    a C++ program that is compiled for this machine and run in turn with the kernel, to compare
set -eu
format=${1:-int4_g32} n=${2:-14336} k=${3:-4096}
integers=1
[ "${ACTIVATIONS:-int8}" = int8 ] || integers=0
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$root/build}
llvm=${LLVM:-/usr/lib/llvm-22}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
features=${FEATURES:-$(sed -n '/^flags/{s/^[^:]*: //p;q}' /proc/cpuinfo | tr ' ' '\n' | sed -n 's/^\(avx2\|fma\|f16c\|avx\|sse2\|avx512f\|avx512bw\|avx512dq\|avx512vl\)$/+\1/p;s/^avx512_vnni$/+avx512vnni/p;s/^avx_vnni$/+avxvnni/p' | paste -sd,)}

harness() {
  "$llvm/clang++" -O2 -std=c++20 -I"$root" -I"$root/include" -DFORMAT="\"$format\"" -DN="$n" -DK="$k" -DINTEGERS="$integers" "$@" \
    "$root/benchmarks/kernels/matmul.cpp" "$build/lib/libWhitEncoding.a"
}

harness -DDESCRIBE -o "$work/describe"
"$work/describe" "$features" "${SCHEDULE:-}" > "$work/kernel.mlir"
"$build/bin/whit-opt" "$work/kernel.mlir" -o "$work/llvm.mlir" --pass-pipeline='builtin.module(
  func.func(whit-lower-matmul,whit-lower-dot),canonicalize,cse,expand-strided-metadata,convert-scf-to-cf,
  convert-math-to-llvm,convert-vector-to-llvm,finalize-memref-to-llvm,convert-arith-to-llvm,convert-cf-to-llvm,
  convert-func-to-llvm,reconcile-unrealized-casts)'
"$llvm/mlir-translate" --mlir-to-llvmir "$work/llvm.mlir" -o "$work/kernel.ll"
"$llvm/clang" -O3 ${MARCH:--march=native} -Wno-override-module -c "$work/kernel.ll" -o "$work/kernel.o"
harness "$work/kernel.o" -o "$work/time"
[ -z "${BESIDE:-}" ] || "$llvm/clang++" -O3 -march=native -pthread "$BESIDE" -o "$work/beside"

for turn in 1 2 3; do
  [ -z "${BESIDE:-}" ] || "$work/beside"
  "$work/time" ${ROWS:-1 4 16 128}
done
