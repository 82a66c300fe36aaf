// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef WHIT_ENCODE_MAKECACHESINPLACE
#define WHIT_ENCODE_MAKECACHESINPLACE
include "mlir/Pass/PassBase.td"

def MakeCachesInPlacePass : Pass<"whit-make-caches-in-place", "mlir::func::FuncOp"> {
  let summary = "turns past/present pairs into caches that are updated in place";
  let description = [{
    A past input that is only extended by `whit.cache_append`, whose result is a present output, becomes one state argument of
    fixed capacity: nothing is copied from call to call. The argument keeps both names, so that a session can still import a
    past and export a present.

    ```mlir
    func.func @main(%past: tensor<?x3x?x64xf32> {whit.name = "past.key", ...}, ...) -> (tensor<?x3x?x64xf32> {whit.name = "present.key", ...}) {
      %k = whit.cache_append ins(%new after %past : ...) from %start : ... outs(%empty : ...)
    // becomes, with a context of 2048 tokens
    func.func @main(%cache: tensor<?x3x2048x64xf32> {whit.state = {past = "past.key", present = "present.key", context = 2048, ...}, ...}) -> (tensor<?x3x2048x64xf32>) {
      %k = whit.cache_append ins(%new : ...) from %start : ... outs(%cache : ...)
    ```

    A past that is used in any other way stays an ordinary input, and a remark says why.
  }];
  let options = [Option<"context", "context", "int64_t", "2048", "capacity of the caches, in tokens">,
                 Option<"kv", "kv", "std::string", "\"f32\"", "stored type of keys and values: f32, f16 or bf16">];
}
#endif
