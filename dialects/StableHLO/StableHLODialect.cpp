// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration of the stablehlo dialect, and how its attributes are read and written: lists of dimensions by name, of
// which those that are empty are left out.

#include "StableHLO/StableHLO.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::stablehlo;

#include "StableHLO/StableHLODialect.cpp.inc"
#include "StableHLO/StableHLOEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "StableHLO/StableHLOAttrs.cpp.inc"

void StableHLODialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "StableHLO/StableHLOAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "StableHLO/StableHLOOps.cpp.inc"
      >();
}

// ---------------------------------------------------------------------------------------------------- lists by name

using Dims = SmallVector<int64_t>;

/// `<name = [1, 2], other = 3>`: fields in any order, each at most once.
static ParseResult parseFields(AsmParser &parser, ArrayRef<std::pair<StringRef, Dims *>> lists,
                               ArrayRef<std::pair<StringRef, int64_t *>> numbers) {
  llvm::StringMap<bool> seen;
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, [&]() -> ParseResult {
    SMLoc loc = parser.getCurrentLocation();
    StringRef name;
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return failure();
    if (!seen.try_emplace(name, true).second)
      return parser.emitError(loc) << "'" << name << "' is given twice";
    for (auto [key, dims] : lists)
      if (key == name)
        return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                              [&] { return parser.parseInteger(dims->emplace_back()); });
    for (auto [key, number] : numbers)
      if (key == name)
        return parser.parseInteger(*number);
    return parser.emitError(loc) << "'" << name << "' is no field of this attribute";
  });
}

static void printFields(AsmPrinter &printer, ArrayRef<std::pair<StringRef, ArrayRef<int64_t>>> lists,
                        ArrayRef<std::pair<StringRef, int64_t>> numbers) {
  StringRef separator = "";
  printer << "<";
  for (auto [key, dims] : lists) {
    if (dims.empty())
      continue;
    printer << separator << key << " = [";
    llvm::interleaveComma(dims, printer);
    printer << "]";
    separator = ", ";
  }
  for (auto [key, number] : numbers) {
    if (!number)
      continue;
    printer << separator << key << " = " << number;
    separator = ", ";
  }
  printer << ">";
}

Attribute DotDimensionNumbersAttr::parse(AsmParser &parser, Type) {
  Dims lhsBatch, rhsBatch, lhs, rhs;
  if (parseFields(parser,
                  {{"lhs_batching_dimensions", &lhsBatch},
                   {"rhs_batching_dimensions", &rhsBatch},
                   {"lhs_contracting_dimensions", &lhs},
                   {"rhs_contracting_dimensions", &rhs}},
                  {}))
    return {};
  return get(parser.getContext(), lhsBatch, rhsBatch, lhs, rhs);
}

void DotDimensionNumbersAttr::print(AsmPrinter &printer) const {
  printFields(printer,
              {{"lhs_batching_dimensions", getLhsBatchingDimensions()},
               {"rhs_batching_dimensions", getRhsBatchingDimensions()},
               {"lhs_contracting_dimensions", getLhsContractingDimensions()},
               {"rhs_contracting_dimensions", getRhsContractingDimensions()}},
              {});
}

Attribute GatherDimensionNumbersAttr::parse(AsmParser &parser, Type) {
  Dims offset, collapsed, operandBatching, indicesBatching, map;
  int64_t vector = 0;
  if (parseFields(parser,
                  {{"offset_dims", &offset},
                   {"collapsed_slice_dims", &collapsed},
                   {"operand_batching_dims", &operandBatching},
                   {"start_indices_batching_dims", &indicesBatching},
                   {"start_index_map", &map}},
                  {{"index_vector_dim", &vector}}))
    return {};
  return get(parser.getContext(), offset, collapsed, operandBatching, indicesBatching, map, vector);
}

void GatherDimensionNumbersAttr::print(AsmPrinter &printer) const {
  printFields(printer,
              {{"offset_dims", getOffsetDims()},
               {"collapsed_slice_dims", getCollapsedSliceDims()},
               {"operand_batching_dims", getOperandBatchingDims()},
               {"start_indices_batching_dims", getStartIndicesBatchingDims()},
               {"start_index_map", getStartIndexMap()}},
              {{"index_vector_dim", getIndexVectorDim()}});
}

Attribute ScatterDimensionNumbersAttr::parse(AsmParser &parser, Type) {
  Dims window, inserted, inputBatching, indicesBatching, map;
  int64_t vector = 0;
  if (parseFields(parser,
                  {{"update_window_dims", &window},
                   {"inserted_window_dims", &inserted},
                   {"input_batching_dims", &inputBatching},
                   {"scatter_indices_batching_dims", &indicesBatching},
                   {"scatter_dims_to_operand_dims", &map}},
                  {{"index_vector_dim", &vector}}))
    return {};
  return get(parser.getContext(), window, inserted, inputBatching, indicesBatching, map, vector);
}

void ScatterDimensionNumbersAttr::print(AsmPrinter &printer) const {
  printFields(printer,
              {{"update_window_dims", getUpdateWindowDims()},
               {"inserted_window_dims", getInsertedWindowDims()},
               {"input_batching_dims", getInputBatchingDims()},
               {"scatter_indices_batching_dims", getScatterIndicesBatchingDims()},
               {"scatter_dims_to_operand_dims", getScatterDimsToOperandDims()}},
              {{"index_vector_dim", getIndexVectorDim()}});
}

Attribute OutputOperandAliasAttr::parse(AsmParser &parser, Type) {
  Dims output, operandTuple;
  int64_t operand = 0;
  if (parseFields(parser, {{"output_tuple_indices", &output}, {"operand_tuple_indices", &operandTuple}},
                  {{"operand_index", &operand}}))
    return {};
  return get(parser.getContext(), output, operand, operandTuple);
}

/// Empty lists stand here as well.
void OutputOperandAliasAttr::print(AsmPrinter &printer) const {
  printer << "<output_tuple_indices = [";
  llvm::interleaveComma(getOutputTupleIndices(), printer);
  printer << "], operand_index = " << getOperandIndex() << ", operand_tuple_indices = [";
  llvm::interleaveComma(getOperandTupleIndices(), printer);
  printer << "]>";
}

// ---------------------------------------------------------------------------------------------------- convolutions

/// `[b, f, 0, 1]`: where the dimensions of one tensor stand; `names` are the two that are not spatial.
static ParseResult parseOrder(AsmParser &parser, StringRef names, int64_t (&places)[2], Dims &spatial) {
  SMLoc loc = parser.getCurrentLocation();
  places[0] = places[1] = -1;
  SmallVector<std::pair<int64_t, int64_t>> numbered;
  int64_t place = 0;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
        int64_t number;
        OptionalParseResult found = parser.parseOptionalInteger(number);
        if (found.has_value()) {
          numbered.push_back({number, place++});
          return *found;
        }
        StringRef name;
        SMLoc at = parser.getCurrentLocation();
        if (parser.parseKeyword(&name))
          return failure();
        size_t index = name.size() == 1 ? names.find(name[0]) : StringRef::npos;
        if (index == StringRef::npos || places[index] >= 0)
          return parser.emitError(at) << "found '" << name << "'; each of '" << names.substr(0, 1) << "' and '"
                                      << names.substr(1) << "' must stand here once";
        places[index] = place++;
        return success();
      }))
    return failure();
  llvm::sort(numbered);
  for (auto [i, entry] : llvm::enumerate(numbered)) {
    if (entry.first != int64_t(i))
      return parser.emitError(loc) << "spatial dimensions must be numbered from 0, each once";
    spatial.push_back(entry.second);
  }
  if (places[0] < 0 || places[1] < 0)
    return parser.emitError(loc) << "each of '" << names.substr(0, 1) << "' and '" << names.substr(1)
                                 << "' must stand here once";
  return success();
}

static void printOrder(AsmPrinter &printer, StringRef names, int64_t first, int64_t second, ArrayRef<int64_t> spatial) {
  SmallVector<std::pair<int64_t, std::string>> places{{first, names.substr(0, 1).str()},
                                                      {second, names.substr(1).str()}};
  for (auto [i, place] : llvm::enumerate(spatial))
    places.push_back({place, std::to_string(i)});
  llvm::sort(places);
  printer << "[";
  llvm::interleaveComma(places, printer, [&](auto &entry) { printer << entry.second; });
  printer << "]";
}

/// The three orders of a convolution: input x kernel -> output.
static Attribute parseOrders(AsmParser &parser) {
  int64_t input[2], kernel[2], output[2];
  Dims inputSpatial, kernelSpatial, outputSpatial;
  if (parseOrder(parser, "bf", input, inputSpatial) || parser.parseKeyword("x") ||
      parseOrder(parser, "io", kernel, kernelSpatial) || parser.parseArrow() ||
      parseOrder(parser, "bf", output, outputSpatial))
    return {};
  return ConvDimensionNumbersAttr::get(parser.getContext(), input[0], input[1], inputSpatial, kernel[0], kernel[1],
                                       kernelSpatial, output[0], output[1], outputSpatial);
}

static void printOrders(AsmPrinter &printer, ConvDimensionNumbersAttr dims) {
  printOrder(printer, "bf", dims.getInputBatchDimension(), dims.getInputFeatureDimension(),
             dims.getInputSpatialDimensions());
  printer << "x";
  printOrder(printer, "io", dims.getKernelInputFeatureDimension(), dims.getKernelOutputFeatureDimension(),
             dims.getKernelSpatialDimensions());
  printer << "->";
  printOrder(printer, "bf", dims.getOutputBatchDimension(), dims.getOutputFeatureDimension(),
             dims.getOutputSpatialDimensions());
}

Attribute ConvDimensionNumbersAttr::parse(AsmParser &parser, Type) {
  if (parser.parseLess())
    return {};
  Attribute orders = parseOrders(parser);
  return orders && succeeded(parser.parseGreater()) ? orders : Attribute();
}

void ConvDimensionNumbersAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printOrders(printer, *this);
  printer << ">";
}

namespace mlir::stablehlo {
ParseResult parseConvDimensions(OpAsmParser &parser, ConvDimensionNumbersAttr &dims) {
  dims = dyn_cast_or_null<ConvDimensionNumbersAttr>(parseOrders(parser));
  return success(dims != nullptr);
}
void printConvDimensions(OpAsmPrinter &printer, Operation *, ConvDimensionNumbersAttr dims) {
  printOrders(printer, dims);
}
} // namespace mlir::stablehlo
