// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the `whit` dialect. Shapes are written [rows..., K]: any number of leading dimensions, then the one that is
// contracted, normalized or quantized.

#ifndef WHIT_OPS
#define WHIT_OPS

include "Whit/WhitTypes.td"
include "Whit/WhitInterfaces.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/TilingInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

class Whit_ShapedOf<list<Type> elements> : AnyTypeOf<[TensorRankOf<elements, [0, 1, 2, 3, 4, 5, 6]>,
                                                      StridedMemRefRankOf<elements, [0, 1, 2, 3, 4, 5, 6]>]>;
def Whit_F32 : Whit_ShapedOf<[F32]>;
def Whit_Float : Whit_ShapedOf<[F32, F16, BF16]>;
/// Activations of a matmul.
def Whit_Activations : Whit_ShapedOf<[F32, BF16, F8E4M3FN]>;
/// Floats of 8 bits, as they are or as the bf16 numbers that they are too.
def Whit_Float8 : Whit_ShapedOf<[BF16, F8E4M3FN]>;
def Whit_I8 : Whit_ShapedOf<[I8]>;
def Whit_I32 : Whit_ShapedOf<[I32]>;
def Whit_Index : Whit_ShapedOf<[I32, I64]>;
/// Keys or values: floats, or packed bytes of a format.
def Whit_Cache : Whit_ShapedOf<[F32, F16, BF16, I8]>;
/// A weight: its format before `laid-out`, packed bytes with a place from there on.
def Whit_Weight : AnyTypeOf<[Whit_EncodedTensorType, TensorRankOf<[I8], [2]>, StridedMemRefRankOf<[I8], [2]>]>;
/// A table of rows: a weight in any form, or plain rows of floats.
def Whit_Table : AnyTypeOf<[Whit_EncodedTensorType, TensorRankOf<[I8, F32, F16, BF16], [2]>,
                            StridedMemRefRankOf<[I8, F32, F16, BF16], [2]>]>;

class Whit_Op<string mnemonic, list<Trait> traits = []> : Op<Whit_Dialect, mnemonic, traits>;

/// A compute operation: inputs, then destinations, one result per destination when these are tensors.
class Whit_ComputeOp<string mnemonic, list<string> alsoDeclared = []> : Whit_Op<mnemonic, [
    DestinationStyleOpInterface, DeclareOpInterfaceMethods<Whit_RowwiseOpInterface, alsoDeclared>,
    DeclareOpInterfaceMethods<TilingInterface, ["getLoopIteratorTypes", "getIterationDomain", "getTiledImplementation",
      "getResultTilePosition", "generateResultTileValue", "getIterationDomainTileFromResultTile"]>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasVerifier = 1;
  let hasFolder = 1;
}

// --------------------------------------------------------------------------------------------------- weights

def Whit_WeightOp : Whit_Op<"weight", [Symbol]> {
  let summary = "names a weight and says where its bytes come from";
  let description = [{
    Module-level symbol. The parts are concatenated along dimension 0; joining q, k and v is joining lists of parts. The bytes
    are read, converted and packed once, when the artifact is written. Where they are floats and the format is not, `by` names
    the quantizer (runtime/encoding/Quantize.h; `nearest` if absent), so that everybody who reads the weight finds the same
    codes.

    ```mlir
    whit.weight @w : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
      = [#whit.source<"blocks", 8, [#whit.blob<"m.data", 0 : 128 x ui8, "...">, #whit.blob<"m.data", 128 : 32 x f32, "...">]>]
    whit.weight @v : !whit.tensor<8x32xf32, #whit.format<int4_g32>>
      = [#whit.source<"rows", 8, [#whit.blob<"m.data", 160 : 1024 x f32, "...">]>] by "least-squares"
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttr:$type, TypedArrayAttrBase<Whit_SourceAttr, "sources">:$parts,
                       OptionalAttr<Whit_PlaceAttr>:$place, OptionalAttr<StrAttr>:$quantizer);
  let builders = [OpBuilder<(ins "StringRef":$name, "Type":$type, "ArrayAttr":$parts,
                                CArg<"PlaceAttr", "{}">:$place), [{
    build($_builder, $_state, name, type, parts, place, StringAttr());
  }]>];
  let assemblyFormat = "$sym_name `:` $type `=` $parts (`by` $quantizer^)? (`at` $place^)? attr-dict";
  let extraClassDeclaration = [{
    /// What `quantizer` names; `nearest` if it is absent.
    ::whit::Quantizer getQuantizerKind();
  }];
  let hasVerifier = 1;
}

def Whit_ConstantOp : Whit_Op<"constant", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "the value of a weight";
  let description = [{
    Its type is the weight's: `!whit.tensor` or a builtin tensor of floats; from `laid-out` on, packed bytes.
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyType:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

// --------------------------------------------------------------------------------------------------- quantizing

def Whit_QuantizeOp : Whit_ComputeOp<"quantize"> {
  let summary = "quantizes activations to int8 or fewer bits, per row and group along K or per row";
  let description = [{
    x [rows..., K] f32 -> codes [rows..., GROUPS, PADDED] i8, scales [rows..., GROUPS] f32, sums [rows..., GROUPS] i32, with
    scale = max|x| / 127, code = round-to-nearest-even(x * (1 / scale)) (0 where the scale is 0), sum = sum of the group's codes.
    GROUPS = ceil(K / group); PADDED >= group, codes past the group or past K are 0. With `bits` the largest code is
    2^(bits-1) - 1 instead of 127. `per_row` takes the maximum over the row: its groups, which are those of a weight and its zero
    points, have one scale, which stands in all of `scales`.
  }];
  let arguments = (ins Whit_F32:$x, Whit_I8:$codes, Whit_F32:$scales, Whit_I32:$sums, I64Attr:$group,
                       DefaultValuedAttr<I64Attr, "8">:$bits, UnitAttr:$perRow);
  let assemblyFormat = [{`ins` `(` $x `:` type($x) `)` `outs` `(` $codes `,` $scales `,` $sums `:` type($codes) `,`
    type($scales) `,` type($sums) `)` `group` `=` $group (`bits` `=` $bits^)? (`per_row` $perRow^)? attr-dict
    (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    MutableOperandRange getDpsInitsMutable() { return {getOperation(), 1, 3}; }
    int64_t getLargestCode() { return (int64_t(1) << (getBits() - 1)) - 1; }
  }];
}

def Whit_QuantizeFloatOp : Whit_ComputeOp<"quantize_float"> {
  let summary = "rounds activations to floats of 8 bits, with a scale for each row";
  let description = [{
    x [rows..., K] f32 -> numbers [rows..., K] f8E4M3FN or bf16, scales [rows...] f32, with scale = max|x| / 448 and number = x * (1 / scale), clamped
    to [-448, 448] and rounded to nearest even to 4 significant bits, and to a multiple of 2^-9 below 2^-6; 0 where the scale is 0.
    These are the finite numbers with 4 bits of exponent and 3 of fraction ("FP8 Formats for Deep Learning", 2022). bf16 holds them
    exactly, so that products of bf16 are products of theirs. A target that multiplies them as they are gets them as they are.

    ```mlir
    %v, %s = whit.quantize_float ins(%x : tensor<?x576xf32>) outs(%a, %b : tensor<?x576xbf16>, tensor<?xf32>)
      -> tensor<?x576xbf16>, tensor<?xf32>
    ```
  }];
  let arguments = (ins Whit_F32:$x, Whit_Float8:$numbers, Whit_F32:$scales);
  let assemblyFormat = [{`ins` `(` $x `:` type($x) `)` `outs` `(` $numbers `,` $scales `:` type($numbers) `,` type($scales) `)`
    attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    MutableOperandRange getDpsInitsMutable() { return {getOperation(), 1, 2}; }
    /// The largest number.
    static constexpr float kLargest = 448;
  }];
}

def Whit_DequantizeOp : Whit_ComputeOp<"dequantize"> {
  let summary = "the values of a weight, as f32";
  let description = [{w N x K in any format -> y [N, K] f32, each value exactly as the format defines it.}];
  let arguments = (ins Whit_Weight:$w, Whit_F32:$y, OptionalAttr<Whit_PlaceAttr>:$place);
  let assemblyFormat = [{`ins` `(` $w `:` type($w) `)` `outs` `(` $y `:` type($y) `)` (`at` $place^)? attr-dict
    (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

// --------------------------------------------------------------------------------------------------- matmul, gather

def Whit_MatmulOp : Whit_ComputeOp<"matmul"> {
  let summary = "y[rows..., n] = sum over k of x[rows..., k] * w[n, k], activations in f32, bf16 or f8E4M3FN";
  let description = [{
    x [rows..., K] f32, bf16 or f8E4M3FN, w N x K in any format (with f8E4M3FN one whose codes stand for such numbers), y
    [rows..., N] f32 (overwritten). Codes are decoded in registers, and sums are f32. Where x is bf16 a sum below 2^-126 and what a subnormal operand adds may be taken for 0: instructions that
    multiply bf16 do so.

    ```mlir
    %y = whit.matmul ins(%x, %w : tensor<?x576xf32>, !whit.tensor<960x576xf32, #whit.format<int4_g32>>)
                     outs(%e : tensor<?x960xf32>) -> tensor<?x960xf32>
    ```
  }];
  let arguments = (ins Whit_Activations:$x, Whit_Weight:$w, Whit_F32:$y, OptionalAttr<Whit_PlaceAttr>:$place,
                       OptionalAttr<Whit_ScheduleAttr>:$schedule);
  let assemblyFormat = [{`ins` `(` $x `,` $w `:` type($x) `,` type($w) `)` `outs` `(` $y `:` type($y) `)`
    (`at` $place^)? (`schedule` $schedule^)? attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

def Whit_QuantizedMatmulOp : Whit_ComputeOp<"quantized_matmul"> {
  let summary = "y[rows..., n] = sum over k of x[rows..., k] * w[n, k], activations quantized to int8";
  let description = [{
    codes [rows..., GROUPS, PADDED], scales and sums [rows..., GROUPS] as `whit.quantize` makes them, with the weight's group;
    w N x K in a format whose numbers are bytes times one number; y [rows..., N] f32 (overwritten). Per group, in ascending
    order, and per term of the format:
    y += scale_x * scale_w * (sum of code_x * number_w - zero * sum_x), the sum in int32; with a minimum:
    y += scale_x * (scale_w * (sum of code_x * number_w) + minimum * sum_x).
  }];
  let arguments = (ins Whit_I8:$codes, Whit_F32:$scales, Whit_I32:$sums, Whit_Weight:$w, Whit_F32:$y,
                       OptionalAttr<Whit_PlaceAttr>:$place, OptionalAttr<Whit_ScheduleAttr>:$schedule);
  let assemblyFormat = [{`ins` `(` $codes `,` $scales `,` $sums `,` $w `:` type($codes) `,` type($scales) `,` type($sums)
    `,` type($w) `)` `outs` `(` $y `:` type($y) `)` (`at` $place^)? (`schedule` $schedule^)? attr-dict
    (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

def Whit_GatherOp : Whit_ComputeOp<"gather"> {
  let summary = "rows of a table, decoded to f32";
  let description = [{
    table N x K in any format, or rows of floats of a builtin type, indices [rows...] i64 or i32, y [rows..., K] f32. A negative index counts from the end; one
    outside [-N, N) gives a row of zeros and never reads outside the table.
  }];
  let arguments = (ins Whit_Table:$table, Whit_Index:$indices, Whit_F32:$y, OptionalAttr<Whit_PlaceAttr>:$place);
  let assemblyFormat = [{`ins` `(` $table `,` $indices `:` type($table) `,` type($indices) `)` `outs` `(` $y `:` type($y) `)`
    (`at` $place^)? attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

// --------------------------------------------------------------------------------------------------- norms, softmax, rotary

def Whit_RmsNormOp : Whit_ComputeOp<"rms_norm"> {
  let summary = "y = x / sqrt(mean(x^2) + epsilon) * weight, over the last dimension";
  let description = [{x, y [rows..., K] f32, weight [K] f32. "Root Mean Square Layer Normalization", 2019.}];
  let arguments = (ins Whit_F32:$x, Whit_F32:$weight, Whit_F32:$y, F32Attr:$epsilon);
  let assemblyFormat = [{`ins` `(` $x `,` $weight `:` type($x) `,` type($weight) `)` `outs` `(` $y `:` type($y) `)`
    `epsilon` `=` $epsilon attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

def Whit_LayerNormOp : Whit_ComputeOp<"layer_norm"> {
  let summary = "y = (x - mean) / sqrt(variance + epsilon) * weight + bias, over the last dimension";
  let description = [{x, y [rows..., K] f32, weight and bias [K] f32. "Layer Normalization", 2016.}];
  let arguments = (ins Whit_F32:$x, Whit_F32:$weight, Whit_F32:$bias, Whit_F32:$y, F32Attr:$epsilon);
  let assemblyFormat = [{`ins` `(` $x `,` $weight `,` $bias `:` type($x) `,` type($weight) `,` type($bias) `)`
    `outs` `(` $y `:` type($y) `)` `epsilon` `=` $epsilon attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

def Whit_SoftmaxOp : Whit_ComputeOp<"softmax"> {
  let summary = "y = exp(x - max) / sum of exp(x - max), over the last dimension";
  let description = [{
    x, y [rows..., K] f32. A row that holds +inf or NaN, or nothing but -inf, gives NaN, as in ONNX and StableHLO; only
    `whit.attention` gives 0 for a row that sees nothing.
  }];
  let arguments = (ins Whit_F32:$x, Whit_F32:$y);
  let assemblyFormat = [{`ins` `(` $x `:` type($x) `)` `outs` `(` $y `:` type($y) `)` attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

def Whit_RotaryOp : Whit_ComputeOp<"rotary", ["getPositionLoop"]> {
  let summary = "rotary position embedding of heads";
  let description = [{
    x, y [B, S, H, D] f32; cos, sin [P, D/2] f32; start [B] i32; first index. Row s of batch b stands at position
    start[b] + first + s, clamped to [0, P). The pair (x[i], x[i + D/2]), or (x[2i], x[2i+1]) when `interleaved`, is rotated.
    "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
  }];
  let arguments = (ins Whit_F32:$x, Whit_F32:$cos, Whit_F32:$sin, Whit_I32:$start, Index:$first, Whit_F32:$y,
                       UnitAttr:$interleaved);
  let assemblyFormat = [{`ins` `(` $x `,` $cos `,` $sin `:` type($x) `,` type($cos) `,` type($sin) `)` `from` $start `+` $first
    `:` type($start) `outs` `(` $y `:` type($y) `)` (`interleaved` $interleaved^)? attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getYMutable(); } }];
}

// --------------------------------------------------------------------------------------------------- attention

def Whit_CacheAppendOp : Whit_ComputeOp<"cache_append"> {
  let summary = "writes new keys or values behind those already in a cache";
  let description = [{
    new [B, S, H, D] f32, start [B] i32, cache [B, H, T, D] or, blocked by 16 tokens, [B, H, ceil(T/16), D, 16], in f32, f16 or
    bf16. Token s of batch b goes to position start[b] + s; positions outside [0, T) are not written. With `past`
    [B, H, P, D], positions t < start[b] come from past (0 where t >= P) and positions from start[b] + S on are 0. Without it
    the other positions keep what `cache` held.

    `as` a format: each new row of D features is one channel of it, quantized as `runtime/encoding/Quantize.h` says (nearest); a row
    that holds NaN or infinity becomes a row of NaN. With `hadamard`, the row is first multiplied by the Hadamard matrix of size D
    (a power of two) over sqrt(D). An f32 cache then holds the decoded values; from `laid-out` on the cache is bytes, [B, H,
    ceil(T/16), BYTES] i8, blocks of 16 tokens (`runtime/encoding/CacheBlock.h`): in panels, as keys are read, or in rows, as values are.

    ```mlir
    %k = whit.cache_append ins(%new : tensor<?x?x3x64xf32>) from %start : tensor<?xi32> outs(%cache : tensor<?x3x128x1056xi8>)
                           as <int8_channel> panels -> tensor<?x3x128x1056xi8>
    ```
  }];
  let arguments = (ins Optional<Whit_Float>:$past, Whit_F32:$newTokens, Whit_I32:$start, Whit_Cache:$cache,
                       OptionalAttr<Whit_FormatAttr>:$format, UnitAttr:$panels, UnitAttr:$hadamard);
  let builders = [OpBuilder<(ins "TypeRange":$results, "Value":$past, "Value":$newTokens, "Value":$start, "Value":$cache), [{
    build($_builder, $_state, results, past, newTokens, start, cache, FormatAttr(), UnitAttr(), UnitAttr());
  }]>];
  let assemblyFormat = [{`ins` `(` $newTokens (`after` $past^)? `:` type($newTokens) (`,` type($past)^)? `)`
    `from` $start `:` type($start) `outs` `(` $cache `:` type($cache) `)` (`as` $format^)? (`panels` $panels^)?
    (`hadamard` $hadamard^)? attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{ MutableOperandRange getDpsInitsMutable() { return getCacheMutable(); } }];
}

def Whit_AttentionOp : Whit_ComputeOp<"attention", ["getPositionLoop"]> {
  let summary = "attention over a cache, heads in groups that share keys and values";
  let description = [{
    q, y [B, S, HQ, D] f32; k [B, HK, T, D] or blocked [B, HK, T/16, D, 16]; v [B, HK, T, D]; HQ a multiple of HK; start [B]
    i32; first index. Row s of batch b stands at position p = start[b] + first + s and sees the tokens t with t < T, t <= p
    unless `bidirectional` and, if `window` > 0, t > p - window. Scores are scale * q.k, capped to
    softcap * tanh(score / softcap) if softcap > 0. Softmax is online and in f32. "FlashAttention", 2022; "GQA", 2023.

    mask [B|1, HQ|1, S|1, T'] f32, T' <= T, is added to the scores; tokens t >= T' are not seen. A size that is statically 1
    is used for all of B, HQ or S. A row that sees nothing, or all of whose scores are -infinity, gives 0. A finite mask is
    only a number: a row of nothing but the lowest float weighs all its tokens alike.

    ```mlir
    %y = whit.attention ins(%q, %k, %v mask %m : tensor<?x?x12x32xf32>, tensor<?x12x?x32xf32>, tensor<?x12x?x32xf32>,
                            tensor<?x1x1x?xf32>) from %start + %c0 : tensor<?xi32> outs(%e : tensor<?x?x12x32xf32>)
                        scale = 0.18 bidirectional -> tensor<?x?x12x32xf32>
    ```

    `keys` and `values` name formats: k or v hold numbers of that format, as `whit.cache_append` leaves them; once they are bytes, keys
    are in panels and values in rows. With `hadamard`, q is multiplied by the matrix that the keys were multiplied by.
  }];
  let arguments = (ins Whit_F32:$q, Whit_Cache:$k, Whit_Cache:$v, Optional<Whit_F32>:$mask, Whit_I32:$start, Index:$first,
                       Whit_F32:$y, F32Attr:$scale, DefaultValuedAttr<F32Attr, "0.0">:$softcap,
                       DefaultValuedAttr<I64Attr, "0">:$window, UnitAttr:$bidirectional,
                       OptionalAttr<Whit_FormatAttr>:$keyFormat, OptionalAttr<Whit_FormatAttr>:$valueFormat, UnitAttr:$hadamard);
  let builders = [OpBuilder<(ins "TypeRange":$results, "Value":$q, "Value":$k, "Value":$v, "Value":$mask, "Value":$start, "Value":$first,
                                 "Value":$y, "FloatAttr":$scale, "FloatAttr":$softcap, "IntegerAttr":$window,
                                 "UnitAttr":$bidirectional), [{
    build($_builder, $_state, results, q, k, v, mask, start, first, y, scale, softcap, window, bidirectional, FormatAttr(), FormatAttr(),
          UnitAttr());
  }]>];
  let assemblyFormat = [{`ins` `(` $q `,` $k `,` $v (`mask` $mask^)? `:` type($q) `,` type($k) `,` type($v)
    (`,` type($mask)^)? `)` `from` $start `+` $first `:` type($start) `outs` `(` $y `:` type($y) `)` `scale` `=` $scale
    (`bidirectional` $bidirectional^)? (`keys` $keyFormat^)? (`values` $valueFormat^)? (`hadamard` $hadamard^)? attr-dict (`->` type($results)^)?}];
  let extraClassDeclaration = [{
    MutableOperandRange getDpsInitsMutable() { return getYMutable(); }
    /// Whether dimension `dim` of the mask is one row that stands for all.
    bool maskIsShared(int64_t dim) { return ::llvm::cast<::mlir::ShapedType>(getMask().getType()).getDimSize(dim) == 1; }
  }];
}

// --------------------------------------------------------------------------------------------------- regions

def Whit_RegionOp : Whit_Op<"region", [SingleBlockImplicitTerminator<"YieldOp">, RecursiveMemoryEffects,
                                       RecursivelySpeculatable, NoRegionArguments]> {
  let summary = "operations that become one kernel";
  let description = [{
    Made by the fuse stage. `nodes` are the names of the model's nodes inside it; `schedule` is set by the tile stage. The body
    uses values from outside freely and yields what others need. `captured` lists the tensors from outside, destinations
    included, in the order in which the body first used them: tools that watch a compiled region see them in that order.
  }];
  let arguments = (ins Variadic<AnyType>:$captured, StrAttr:$name, OptionalAttr<Whit_ScheduleAttr>:$schedule);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    /// The compute operation whose loops the schedule cuts: the last one. Null in a region of views only.
    Operation *getRoot();
    /// The compute operations, in order.
    ::llvm::SmallVector<Operation *> getComputeOps();
  }];
  let assemblyFormat = [{$name (`(` $captured^ `:` type($captured) `)`)? (`schedule` $schedule^)? attr-dict-with-keyword $body
    (`->` type($results)^)?}];
}

def Whit_YieldOp : Whit_Op<"yield", [Pure, Terminator, ReturnLike, HasParent<"RegionOp">]> {
  let summary = "the results of a region";
  let arguments = (ins Variadic<AnyType>:$operands);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange()); }]>];
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

// --------------------------------------------------------------------------------------------------- elements

def Whit_GeluOp : Whit_Op<"gelu", !listconcat([Pure, AllTypesMatch<["x", "y"]>], ElementwiseMappable.traits)> {
  let summary = "x / 2 * (1 + erf(x / sqrt(2))), on single elements";
  let description = [{
    With `tanh`: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))). Stands in the body of a linalg operation, as the functions
    of `math` do. "Gaussian Error Linear Units", 2016.
  }];
  let arguments = (ins AnyTypeOf<[F32, VectorOfAnyRankOf<[F32]>]>:$x, UnitAttr:$tanh);
  let results = (outs AnyTypeOf<[F32, VectorOfAnyRankOf<[F32]>]>:$y);
  let assemblyFormat = "(`tanh` $tanh^)? $x attr-dict `:` type($x)";
}

// --------------------------------------------------------------------------------------------------- inside kernels

def Whit_DotOp : Whit_Op<"dot", [Pure, AllTypesMatch<["acc", "result"]>]> {
  let summary = "adds the products of two bf16 numbers, or of four bytes, to each lane of acc";
  let description = [{
    Bytes: acc[i] + sum over j < 4 of u[4i + j] * s[4i + j], u unsigned and s signed, in int32 without saturation; `vpdpbusd`
    where the target has it, widening multiplies elsewhere; the same bits on all.

    bf16: fma(u[2i], s[2i], fma(u[2i + 1], s[2i + 1], acc[i])) in f32, which is what `vdpbf16ps` computes but for subnormal
    numbers, which it takes for 0; two multiply-adds elsewhere.
  }];
  let arguments = (ins VectorOfRankAndType<[1], [I32, F32]>:$acc, VectorOfRankAndType<[1], [I8, BF16]>:$u,
                       VectorOfRankAndType<[1], [I8, BF16]>:$s);
  let results = (outs VectorOfRankAndType<[1], [I32, F32]>:$result);
  let assemblyFormat = "$acc `,` $u `,` $s attr-dict `:` type($acc) `,` type($u)  `,` type($s)";
  let hasVerifier = 1;
}

def Whit_LookupOp : Whit_Op<"lookup", [Pure]> {
  let summary = "the entry of a constant table for each lane's code";
  let description = [{
    result[i] = table[codes[i]]; codes are unsigned and smaller than the table. Numbers for codes of 32 bits, bytes for bytes.
    A permutation of registers where the target has one that is wide enough, loads elsewhere.

    ```mlir
    %w = whit.lookup %c in dense<[-1.0, 0.0, 1.0, 2.0]> : tensor<4xf32> : vector<16xi32> -> vector<16xf32>
    ```
  }];
  let arguments = (ins VectorOfRankAndType<[1], [I8, I32]>:$codes, ElementsAttr:$table);
  let results = (outs VectorOfRankAndType<[1], [I8, F32]>:$result);
  let assemblyFormat = "$codes `in` $table attr-dict `:` type($codes) `->` type($result)";
  let hasVerifier = 1;
}

def Whit_ParallelOp : Whit_Op<"parallel"> {
  let summary = "runs a function over [0, count) in chunks that threads claim";
  let description = [{
    `whit.parallel @body(%captured...) over %count`: body is a function of the captured values and a half-open range of
    iterations. Returns when all iterations are done. Lowered to a call of the runtime's `parallel`.
  }];
  let arguments = (ins FlatSymbolRefAttr:$body, Index:$count, Variadic<AnyType>:$captured);
  let assemblyFormat = "$body `(` ($captured^ `:` type($captured))? `)` `over` $count attr-dict";
}

def Whit_ObserveOp : Whit_Op<"observe"> {
  let summary = "shows the buffers of a region to the runtime's observer, before (0) or after (1) it ran";
  let description = [{Lowered to a call of the context's `observe` with pointers to memref descriptors.}];
  let arguments = (ins I32:$region, I32:$when, Variadic<AnyMemRef>:$buffers);
  let assemblyFormat = "$region `at` $when `(` ($buffers^ `:` type($buffers))? `)` attr-dict";
}

#endif // WHIT_OPS
