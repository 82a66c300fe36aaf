// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which dimensions of an operation's operands play which part.

#ifndef STABLEHLO_ATTRS
#define STABLEHLO_ATTRS

include "StableHLO/StableHLODialect.td"
include "StableHLO/StableHLOEnums.td"
include "mlir/IR/AttrTypeBase.td"

def StableHLO_ComparisonDirectionAttr : EnumAttr<StableHLO_Dialect, StableHLO_ComparisonDirection, "comparison_direction">;
def StableHLO_ComparisonTypeAttr : EnumAttr<StableHLO_Dialect, StableHLO_ComparisonType, "comparison_type">;
def StableHLO_PrecisionAttr : EnumAttr<StableHLO_Dialect, StableHLO_Precision, "precision">;

class StableHLO_Attr<string name, string mnemonic_> : AttrDef<StableHLO_Dialect, name> {
  let mnemonic = mnemonic_;
  let hasCustomAssemblyFormat = 1;
}

class Dims<string what> : ArrayRefParameter<"int64_t", what>;

def StableHLO_DotDimensionNumbersAttr : StableHLO_Attr<"DotDimensionNumbers", "dot"> {
  let summary = "which dimensions of a product are paired";
  let description = [{`#stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>`}];
  let parameters = (ins Dims<"batching, left">:$lhsBatchingDimensions, Dims<"batching, right">:$rhsBatchingDimensions,
                        Dims<"summed, left">:$lhsContractingDimensions, Dims<"summed, right">:$rhsContractingDimensions);
}

def StableHLO_GatherDimensionNumbersAttr : StableHLO_Attr<"GatherDimensionNumbers", "gather"> {
  let summary = "how indices select slices, and where these go";
  let description = [{`#stablehlo.gather<offset_dims = [1], collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>`}];
  let parameters = (ins Dims<"of the result, inside a slice">:$offsetDims, Dims<"of the operand, of size 1">:$collapsedSliceDims,
                        Dims<"of the operand">:$operandBatchingDims, Dims<"of the indices">:$startIndicesBatchingDims,
                        Dims<"of the operand, per element of an index">:$startIndexMap, "int64_t":$indexVectorDim);
}

def StableHLO_ScatterDimensionNumbersAttr : StableHLO_Attr<"ScatterDimensionNumbers", "scatter"> {
  let summary = "how indices select where updates go";
  let parameters = (ins Dims<"of the updates">:$updateWindowDims, Dims<"of the operand">:$insertedWindowDims,
                        Dims<"of the operand">:$inputBatchingDims, Dims<"of the indices">:$scatterIndicesBatchingDims,
                        Dims<"of the operand">:$scatterDimsToOperandDims, "int64_t":$indexVectorDim);
}

def StableHLO_OutputOperandAliasAttr : StableHLO_Attr<"OutputOperandAlias", "output_operand_alias"> {
  let summary = "which result of a custom call may be written over which operand";
  let parameters = (ins Dims<"of the result, if they are a tuple">:$outputTupleIndices, "int64_t":$operandIndex,
                        Dims<"of the operand, if it is a tuple">:$operandTupleIndices);
}

def StableHLO_ConvDimensionNumbersAttr : StableHLO_Attr<"ConvDimensionNumbers", "conv"> {
  let summary = "the order of dimensions of a convolution";
  let description = [{`#stablehlo.conv<[b, f, 0, 1]x[o, i, 0, 1]->[b, f, 0, 1]>`: batch, feature, input and output feature, and
    spatial dimensions by number.}];
  let parameters = (ins "int64_t":$inputBatchDimension, "int64_t":$inputFeatureDimension, Dims<"">:$inputSpatialDimensions,
                        "int64_t":$kernelInputFeatureDimension, "int64_t":$kernelOutputFeatureDimension,
                        Dims<"">:$kernelSpatialDimensions, "int64_t":$outputBatchDimension,
                        "int64_t":$outputFeatureDimension, Dims<"">:$outputSpatialDimensions);
}

#endif // STABLEHLO_ATTRS
