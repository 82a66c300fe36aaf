// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of StableHLO, with the assembly that JAX prints. Operations without an assembly format are printed in the
// generic form there, too.

#ifndef STABLEHLO_OPS
#define STABLEHLO_OPS

include "StableHLO/StableHLOAttrs.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

/// Operands and the one result have one shape, and, unless the operation says otherwise, one element type.
def HLO_Elementwise : NativeOpTrait<"Elementwise"> { let cppNamespace = "::mlir::stablehlo"; }
def HLO_SameElements : NativeOpTrait<"SameElements"> { let cppNamespace = "::mlir::stablehlo"; }

def HLO_Tensor : Type<CPred<"::llvm::isa<::mlir::RankedTensorType>($_self)">, "tensor of known rank", "::mlir::RankedTensorType">;

class HLO_Op<string mnemonic, list<Trait> traits = []> : Op<StableHLO_Dialect, mnemonic, traits>;

// --------------------------------------------------------------------------------------------------- elementwise

class HLO_Unary<string mnemonic, string summary_> : HLO_Op<mnemonic, [Pure, HLO_Elementwise, HLO_SameElements]> {
  let summary = summary_;
  let arguments = (ins HLO_Tensor:$operand);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` custom<SameTypes>(type($operand), type($result))";
}

def StableHLO_AbsOp : HLO_Unary<"abs", "|x|">;
def StableHLO_CbrtOp : HLO_Unary<"cbrt", "the cube root of x">;
def StableHLO_CeilOp : HLO_Unary<"ceil", "the least integer of at least x">;
def StableHLO_ClzOp : HLO_Unary<"count_leading_zeros", "how many zeros stand before the highest bit that is set">;
def StableHLO_CosineOp : HLO_Unary<"cosine", "cos(x)">;
def StableHLO_ExpOp : HLO_Unary<"exponential", "exp(x)">;
def StableHLO_Expm1Op : HLO_Unary<"exponential_minus_one", "exp(x) - 1">;
def StableHLO_FloorOp : HLO_Unary<"floor", "the greatest integer of at most x">;
def StableHLO_LogOp : HLO_Unary<"log", "ln(x)">;
def StableHLO_Log1pOp : HLO_Unary<"log_plus_one", "ln(1 + x)">;
def StableHLO_LogisticOp : HLO_Unary<"logistic", "1 / (1 + exp(-x))">;
def StableHLO_NegOp : HLO_Unary<"negate", "-x">;
def StableHLO_NotOp : HLO_Unary<"not", "each bit inverted">;
def StableHLO_PopulationCountOp : HLO_Unary<"popcnt", "how many bits are set">;
def StableHLO_RoundNearestAfzOp : HLO_Unary<"round_nearest_afz", "the nearest integer, of two the one away from 0">;
def StableHLO_RoundNearestEvenOp : HLO_Unary<"round_nearest_even", "the nearest integer, of two the even one">;
def StableHLO_RsqrtOp : HLO_Unary<"rsqrt", "1 / sqrt(x)">;
def StableHLO_SignOp : HLO_Unary<"sign", "-1, 0 or 1; NaN stays NaN">;
def StableHLO_SineOp : HLO_Unary<"sine", "sin(x)">;
def StableHLO_SqrtOp : HLO_Unary<"sqrt", "sqrt(x)">;
def StableHLO_TanOp : HLO_Unary<"tan", "tan(x)">;
def StableHLO_TanhOp : HLO_Unary<"tanh", "tanh(x)">;

class HLO_Binary<string mnemonic, string summary_> : HLO_Op<mnemonic, [Pure, HLO_Elementwise, HLO_SameElements]> {
  let summary = summary_;
  let arguments = (ins HLO_Tensor:$lhs, HLO_Tensor:$rhs);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` custom<SameTypes>(type($lhs), type($rhs), type($result))";
}

def StableHLO_AddOp : HLO_Binary<"add", "x + y; or of booleans">;
def StableHLO_AndOp : HLO_Binary<"and", "and of each bit">;
def StableHLO_Atan2Op : HLO_Binary<"atan2", "the angle of the point (y, x)">;
def StableHLO_DivOp : HLO_Binary<"divide", "x / y; of integers, cut toward zero">;
def StableHLO_MaxOp : HLO_Binary<"maximum", "the greater one, NaN if one is NaN">;
def StableHLO_MinOp : HLO_Binary<"minimum", "the smaller one, NaN if one is NaN">;
def StableHLO_MulOp : HLO_Binary<"multiply", "x * y; and of booleans">;
def StableHLO_OrOp : HLO_Binary<"or", "or of each bit">;
def StableHLO_PowOp : HLO_Binary<"power", "x to the power of y">;
def StableHLO_RemOp : HLO_Binary<"remainder", "x - y * trunc(x / y)">;
def StableHLO_ShiftLeftOp : HLO_Binary<"shift_left", "x << y; 0 if y is not below the width">;
def StableHLO_ShiftRightArithmeticOp : HLO_Binary<"shift_right_arithmetic", "x >> y, sign bits shifted in">;
def StableHLO_ShiftRightLogicalOp : HLO_Binary<"shift_right_logical", "x >> y, zeros shifted in">;
def StableHLO_SubtractOp : HLO_Binary<"subtract", "x - y">;
def StableHLO_XorOp : HLO_Binary<"xor", "exclusive or of each bit">;

def StableHLO_CompareOp : HLO_Op<"compare", [Pure, HLO_Elementwise]> {
  let summary = "compares elements";
  let arguments = (ins HLO_Tensor:$lhs, HLO_Tensor:$rhs, StableHLO_ComparisonDirectionAttr:$comparison_direction,
                       OptionalAttr<StableHLO_ComparisonTypeAttr>:$compare_type);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{custom<Direction>($comparison_direction) `,` $lhs `,` $rhs `` custom<CompareType>($compare_type) attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_SelectOp : HLO_Op<"select", [Pure]> {
  let summary = "elements of one of two tensors, by a boolean each or one for all";
  let arguments = (ins HLO_Tensor:$pred, HLO_Tensor:$on_true, HLO_Tensor:$on_false);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$pred `,` $on_true `,` $on_false attr-dict `:`
    custom<SelectTypes>(type($pred), type($on_true), type($on_false), type($result))}];
  let hasVerifier = 1;
}

def StableHLO_ClampOp : HLO_Op<"clamp", [Pure]> {
  let summary = "min(max(x, low), high); low and high may be scalars";
  let arguments = (ins HLO_Tensor:$min, HLO_Tensor:$operand, HLO_Tensor:$max);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$min `,` $operand `,` $max attr-dict `:`
    custom<SameTypes>(type($min), type($operand), type($max), type($result))}];
  let hasVerifier = 1;
}

def StableHLO_ConvertOp : HLO_Op<"convert", [Pure, HLO_Elementwise]> {
  let summary = "each element in another type";
  let arguments = (ins HLO_Tensor:$operand);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$operand attr-dict `:` custom<SameTypes>(type($operand), type($result))";
}

def StableHLO_IsFiniteOp : HLO_Op<"is_finite", [Pure, HLO_Elementwise]> {
  let summary = "whether x is neither infinite nor NaN";
  let arguments = (ins HLO_Tensor:$x);
  let results = (outs HLO_Tensor:$y);
  let assemblyFormat = "$x attr-dict `:` functional-type(operands, results)";
}

def StableHLO_ReducePrecisionOp : HLO_Op<"reduce_precision", [Pure, HLO_Elementwise, HLO_SameElements]> {
  let summary = "rounded to a float of fewer bits, and back";
  let arguments = (ins HLO_Tensor:$operand, I32Attr:$exponent_bits, I32Attr:$mantissa_bits);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand `,` `format` `=` custom<FloatFormat>($exponent_bits, $mantissa_bits) attr-dict `:`
    custom<SameTypes>(type($operand), type($result))}];
  let hasVerifier = 1;
}

class HLO_Quantization<string mnemonic, string summary_> : HLO_Op<mnemonic, [Pure, HLO_Elementwise]> {
  let summary = summary_;
  let arguments = (ins HLO_Tensor:$operand);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` custom<SameTypes>(type($operand), type($result))";
  let hasVerifier = 1;
}

def StableHLO_UniformQuantizeOp : HLO_Quantization<"uniform_quantize", "floats as integers with scales and zero points">;
def StableHLO_UniformDequantizeOp : HLO_Quantization<"uniform_dequantize", "integers with scales and zero points as floats">;

def StableHLO_BitcastConvertOp : HLO_Op<"bitcast_convert", [Pure]> {
  let summary = "the same bits in another type";
  let arguments = (ins HLO_Tensor:$operand);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

// --------------------------------------------------------------------------------------------------- making and moving

def StableHLO_ConstantOp : HLO_Op<"constant", [
    Pure, ConstantLike, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmResultNames"]>]> {
  let summary = "a tensor that stands in the program";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs HLO_Tensor:$output);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasFolder = 1;
}

def StableHLO_IotaOp : HLO_Op<"iota", [Pure]> {
  let summary = "0, 1, 2, ... along one dimension";
  let arguments = (ins I64Attr:$iota_dimension);
  let results = (outs HLO_Tensor:$output);
  let assemblyFormat = "`dim` `=` $iota_dimension attr-dict `:` type($output)";
  let hasVerifier = 1;
}

def StableHLO_BroadcastInDimOp : HLO_Op<"broadcast_in_dim", [Pure]> {
  let summary = "repeats elements; dimension i of the operand becomes dims[i]";
  let arguments = (ins HLO_Tensor:$operand, DenseI64ArrayAttr:$broadcast_dimensions);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$operand `,` `dims` `=` $broadcast_dimensions attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_ReshapeOp : HLO_Op<"reshape", [Pure]> {
  let summary = "the same elements in row-major order, with other dimensions";
  let arguments = (ins HLO_Tensor:$operand);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_TransposeOp : HLO_Op<"transpose", [Pure]> {
  let summary = "dimension i of the result is dims[i] of the operand";
  let arguments = (ins HLO_Tensor:$operand, DenseI64ArrayAttr:$permutation);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$operand `,` `dims` `=` $permutation attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_ReverseOp : HLO_Op<"reverse", [Pure, HLO_SameElements]> {
  let summary = "the last element first, along some dimensions";
  let arguments = (ins HLO_Tensor:$operand, DenseI64ArrayAttr:$dimensions);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand `,` `dims` `=` $dimensions attr-dict `:`
    custom<SameTypes>(type($operand), type($result))}];
  let hasVerifier = 1;
}

def StableHLO_ConcatenateOp : HLO_Op<"concatenate", [Pure]> {
  let summary = "one tensor behind the other";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, I64Attr:$dimension);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{custom<OperandsAndComma>($inputs) `dim` `=` $dimension attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_PadOp : HLO_Op<"pad", [Pure]> {
  let summary = "puts a value around and between elements; a negative amount takes elements away";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$padding_value, DenseI64ArrayAttr:$edge_padding_low,
                       DenseI64ArrayAttr:$edge_padding_high, DenseI64ArrayAttr:$interior_padding);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand `,` $padding_value `,` `low` `=` $edge_padding_low `,` `high` `=` $edge_padding_high `,`
    `interior` `=` $interior_padding attr-dict `:` functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_SliceOp : HLO_Op<"slice", [Pure]> {
  let summary = "elements [start:limit:stride] of each dimension";
  let arguments = (ins HLO_Tensor:$operand, DenseI64ArrayAttr:$start_indices, DenseI64ArrayAttr:$limit_indices,
                       DenseI64ArrayAttr:$strides);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand custom<Ranges>($start_indices, $limit_indices, $strides) attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_DynamicSliceOp : HLO_Op<"dynamic_slice", [Pure]> {
  let summary = "a slice of fixed sizes from computed start indices, which are clamped so that it fits";
  let arguments = (ins HLO_Tensor:$operand, Variadic<HLO_Tensor>:$start_indices, DenseI64ArrayAttr:$slice_sizes);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand `,` custom<OperandsAndComma>($start_indices) `sizes` `=` $slice_sizes attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_DynamicUpdateSliceOp : HLO_Op<"dynamic_update_slice", [Pure]> {
  let summary = "a tensor with a slice replaced, at computed start indices, which are clamped so that it fits";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$update, Variadic<HLO_Tensor>:$start_indices);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_GatherOp : HLO_Op<"gather", [Pure]> {
  let summary = "slices at computed places";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$start_indices,
                       StableHLO_GatherDimensionNumbersAttr:$dimension_numbers, DenseI64ArrayAttr:$slice_sizes,
                       DefaultValuedOptionalAttr<BoolAttr, "false">:$indices_are_sorted);
  let results = (outs HLO_Tensor:$result);
  let hasVerifier = 1;
}

def StableHLO_ScatterOp : HLO_Op<"scatter", [RecursiveMemoryEffects, SameVariadicOperandSize]> {
  let summary = "updates combined into computed places";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, HLO_Tensor:$scatter_indices, Variadic<HLO_Tensor>:$updates,
                       StableHLO_ScatterDimensionNumbersAttr:$scatter_dimension_numbers,
                       DefaultValuedOptionalAttr<BoolAttr, "false">:$indices_are_sorted,
                       DefaultValuedOptionalAttr<BoolAttr, "false">:$unique_indices);
  let regions = (region SizedRegion<1>:$update_computation);
  let results = (outs Variadic<HLO_Tensor>);
  let hasVerifier = 1;
}

// --------------------------------------------------------------------------------------------------- combining

def StableHLO_DotGeneralOp : HLO_Op<"dot_general", [Pure]> {
  let summary = "sums of products over pairs of dimensions";
  let arguments = (ins HLO_Tensor:$lhs, HLO_Tensor:$rhs, StableHLO_DotDimensionNumbersAttr:$dot_dimension_numbers,
                       OptionalAttr<TypedArrayAttrBase<StableHLO_PrecisionAttr, "precisions">>:$precision_config);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$lhs `,` $rhs `,` custom<DotDimensions>($dot_dimension_numbers, $precision_config)
    attr-dict `:` functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_DotOp : HLO_Op<"dot", [Pure]> {
  let summary = "the last dimension of the left times the first of the right; replaced by dot_general";
  let arguments = (ins HLO_Tensor:$lhs, HLO_Tensor:$rhs,
                       OptionalAttr<TypedArrayAttrBase<StableHLO_PrecisionAttr, "precisions">>:$precision_config);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$lhs `,` $rhs custom<DotPrecisions>($precision_config) attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_ConvolutionOp : HLO_Op<"convolution", [Pure]> {
  let summary = "sums of products of a window that slides over the input";
  let arguments = (ins HLO_Tensor:$lhs, HLO_Tensor:$rhs, OptionalAttr<DenseI64ArrayAttr>:$window_strides,
                       OptionalAttr<I64ElementsAttr>:$padding, OptionalAttr<DenseI64ArrayAttr>:$lhs_dilation,
                       OptionalAttr<DenseI64ArrayAttr>:$rhs_dilation, OptionalAttr<DenseBoolArrayAttr>:$window_reversal,
                       StableHLO_ConvDimensionNumbersAttr:$dimension_numbers, I64Attr:$feature_group_count,
                       I64Attr:$batch_group_count,
                       OptionalAttr<TypedArrayAttrBase<StableHLO_PrecisionAttr, "precisions">>:$precision_config);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{`(` operands `)` `dim_numbers` `=` custom<ConvDimensions>($dimension_numbers) `,` `window` `=` `{`
    custom<Window>($window_strides, $padding, $lhs_dilation, $rhs_dilation, $window_reversal) `}` attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_ReduceOp : HLO_Op<"reduce", [RecursiveMemoryEffects, SameVariadicOperandSize]> {
  let summary = "combines the elements along some dimensions, in any order";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, Variadic<HLO_Tensor>:$init_values, DenseI64ArrayAttr:$dimensions);
  let regions = (region SizedRegion<1>:$body);
  let results = (outs Variadic<HLO_Tensor>);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def StableHLO_ReduceWindowOp : HLO_Op<"reduce_window", [RecursiveMemoryEffects, SameVariadicOperandSize]> {
  let summary = "combines the elements of a window that slides over the inputs";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, Variadic<HLO_Tensor>:$init_values, DenseI64ArrayAttr:$window_dimensions,
                       OptionalAttr<DenseI64ArrayAttr>:$window_strides, OptionalAttr<DenseI64ArrayAttr>:$base_dilations,
                       OptionalAttr<DenseI64ArrayAttr>:$window_dilations, OptionalAttr<I64ElementsAttr>:$padding);
  let regions = (region SizedRegion<1>:$body);
  let results = (outs Variadic<HLO_Tensor>);
  let hasVerifier = 1;
}

def StableHLO_SelectAndScatterOp : HLO_Op<"select_and_scatter", [RecursiveMemoryEffects]> {
  let summary = "adds each element of the source to the one that its window of the operand selects";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$source, HLO_Tensor:$init_value,
                       OptionalAttr<DenseI64ArrayAttr>:$window_dimensions,
                       OptionalAttr<DenseI64ArrayAttr>:$window_strides, OptionalAttr<I64ElementsAttr>:$padding);
  let regions = (region SizedRegion<1>:$select, SizedRegion<1>:$scatter);
  let results = (outs HLO_Tensor:$result);
  let hasVerifier = 1;
}

def StableHLO_MapOp : HLO_Op<"map", [RecursiveMemoryEffects]> {
  let summary = "a function of the elements at each place";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, DenseI64ArrayAttr:$dimensions);
  let regions = (region SizedRegion<1>:$computation);
  let results = (outs HLO_Tensor:$result);
  let hasVerifier = 1;
}

def StableHLO_BatchNormInferenceOp : HLO_Op<"batch_norm_inference", [Pure]> {
  let summary = "(x - mean) / sqrt(variance + epsilon) * scale + offset, by features";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$scale, HLO_Tensor:$offset, HLO_Tensor:$mean, HLO_Tensor:$variance,
                       F32Attr:$epsilon, I64Attr:$feature_index);
  let results = (outs HLO_Tensor:$result);
  let hasVerifier = 1;
}

def StableHLO_BatchNormTrainingOp : HLO_Op<"batch_norm_training", [Pure]> {
  let summary = "the same with the mean and the variance of x, which are results, too";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$scale, HLO_Tensor:$offset, F32Attr:$epsilon,
                       I64Attr:$feature_index);
  let results = (outs HLO_Tensor:$output, HLO_Tensor:$batch_mean, HLO_Tensor:$batch_var);
  let hasVerifier = 1;
}

def StableHLO_SortOp : HLO_Op<"sort", [RecursiveMemoryEffects]> {
  let summary = "sorts along one dimension, by a comparison";
  let arguments = (ins Variadic<HLO_Tensor>:$inputs, DefaultValuedOptionalAttr<I64Attr, "-1">:$dimension,
                       DefaultValuedOptionalAttr<BoolAttr, "false">:$is_stable);
  let regions = (region SizedRegion<1>:$comparator);
  let results = (outs Variadic<HLO_Tensor>);
  let hasVerifier = 1;
}

// --------------------------------------------------------------------------------------------------- control

def StableHLO_ReturnOp : HLO_Op<"return", [Pure, Terminator, ReturnLike]> {
  let summary = "the results of a region";
  let arguments = (ins Variadic<AnyType>:$results);
  let assemblyFormat = "($results^ `:` type($results))? attr-dict";
}

def StableHLO_WhileOp : HLO_Op<"while", [
    RecursiveMemoryEffects, DeclareOpInterfaceMethods<OpAsmOpInterface, ["getAsmBlockArgumentNames"]>]> {
  let summary = "runs a body as long as a condition holds";
  let arguments = (ins Variadic<AnyType>:$operand);
  let regions = (region SizedRegion<1>:$cond, SizedRegion<1>:$body);
  let results = (outs Variadic<AnyType>);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def StableHLO_CaseOp : HLO_Op<"case", [RecursiveMemoryEffects]> {
  let summary = "runs one of several branches; an index out of range means the last";
  let arguments = (ins HLO_Tensor:$index);
  let regions = (region VariadicRegion<SizedRegion<1>>:$branches);
  let results = (outs Variadic<AnyType>);
  let hasVerifier = 1;
}

def StableHLO_IfOp : HLO_Op<"if", [RecursiveMemoryEffects]> {
  let summary = "runs one of two branches";
  let arguments = (ins HLO_Tensor:$pred);
  let regions = (region SizedRegion<1>:$true_branch, SizedRegion<1>:$false_branch);
  let results = (outs Variadic<AnyType>);
  let hasVerifier = 1;
}

class HLO_Place<string mnemonic, string summary_> : HLO_Op<mnemonic, [Pure]> {
  let summary = summary_;
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def StableHLO_PartitionIdOp : HLO_Place<"partition_id", "which partition of the program this is">;
def StableHLO_ReplicaIdOp : HLO_Place<"replica_id", "which replica of the program this is">;

def StableHLO_OptimizationBarrierOp : HLO_Op<"optimization_barrier", [Pure]> {
  let summary = "its operands, which no compiler is to look through";
  let arguments = (ins Variadic<AnyType>:$operand);
  let results = (outs Variadic<AnyType>:$result);
  let assemblyFormat = "attr-dict ($operand^ `:` custom<PairwiseTypes>(type($operand), type($result))):(`(` `)`)?";
  let hasVerifier = 1;
}

def StableHLO_CompositeOp : HLO_Op<"composite"> {
  let summary = "a named operation together with the function that it stands for";
  let arguments = (ins Variadic<AnyType>:$inputs, StrAttr:$name, OptionalAttr<DictionaryAttr>:$composite_attributes,
                       FlatSymbolRefAttr:$decomposition, OptionalAttr<I32Attr>:$version);
  let results = (outs Variadic<AnyType>);
  let assemblyFormat = "$name $inputs attr-dict `:` functional-type(operands, results)";
}

def StableHLO_CustomCallOp : HLO_Op<"custom_call"> {
  let summary = "an operation that only its name tells";
  let arguments = (ins Variadic<AnyType>:$inputs, StrAttr:$call_target_name);
  let results = (outs Variadic<AnyType>);
  let assemblyFormat = [{custom<Target>($call_target_name) `(` $inputs `)` attr-dict `:`
    functional-type(operands, results)}];
}

// --------------------------------------------------------------------------------------------------- sizes that vary

def StableHLO_GetDimensionSizeOp : HLO_Op<"get_dimension_size", [Pure]> {
  let summary = "the size of a dimension, as an i32";
  let arguments = (ins HLO_Tensor:$operand, I64Attr:$dimension);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$operand `,` `dim` `=` $dimension attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_DynamicBroadcastInDimOp : HLO_Op<"dynamic_broadcast_in_dim", [Pure]> {
  let summary = "broadcast_in_dim to a computed shape";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$output_dimensions, DenseI64ArrayAttr:$broadcast_dimensions,
                       OptionalAttr<DenseI64ArrayAttr>:$known_expanding_dimensions,
                       OptionalAttr<DenseI64ArrayAttr>:$known_nonexpanding_dimensions);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = [{$operand `,` $output_dimensions `,` `dims` `=` $broadcast_dimensions attr-dict `:`
    functional-type(operands, results)}];
  let hasVerifier = 1;
}

def StableHLO_DynamicReshapeOp : HLO_Op<"dynamic_reshape", [Pure]> {
  let summary = "reshape to a computed shape";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$output_shape);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_DynamicIotaOp : HLO_Op<"dynamic_iota", [Pure]> {
  let summary = "iota of a computed shape";
  let arguments = (ins HLO_Tensor:$output_shape, I64Attr:$iota_dimension);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "$output_shape `,` `dim` `=` $iota_dimension attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_DynamicPadOp : HLO_Op<"dynamic_pad", [Pure]> {
  let summary = "pad with computed amounts";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$padding_value, HLO_Tensor:$edge_padding_low,
                       HLO_Tensor:$edge_padding_high, HLO_Tensor:$interior_padding);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_RealDynamicSliceOp : HLO_Op<"real_dynamic_slice", [Pure]> {
  let summary = "slice with computed starts, limits and strides";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$start_indices, HLO_Tensor:$limit_indices, HLO_Tensor:$strides);
  let results = (outs HLO_Tensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def StableHLO_DynamicGatherOp : HLO_Op<"dynamic_gather", [Pure]> {
  let summary = "gather with computed slice sizes";
  let arguments = (ins HLO_Tensor:$operand, HLO_Tensor:$start_indices, HLO_Tensor:$slice_sizes,
                       StableHLO_GatherDimensionNumbersAttr:$dimension_numbers,
                       DefaultValuedOptionalAttr<BoolAttr, "false">:$indices_are_sorted);
  let results = (outs HLO_Tensor:$result);
  let hasVerifier = 1;
}

#endif // STABLEHLO_OPS
