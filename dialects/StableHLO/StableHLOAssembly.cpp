// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The assembly of JAX where it is more than a list of words: one type for many, ranges, windows, reductions and loops.

#include "StableHLO/StableHLO.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::stablehlo;

using Operands = SmallVectorImpl<OpAsmParser::UnresolvedOperand>;

// ---------------------------------------------------------------------------------------------------- types

/// One type for all, or a function type.
static ParseResult parseTypes(OpAsmParser &parser, ArrayRef<Type *> operands, Type &result) {
  SMLoc loc = parser.getCurrentLocation();
  Type type;
  if (parser.parseType(type))
    return failure();
  auto function = dyn_cast<FunctionType>(type);
  if (!function) {
    for (Type *operand : operands)
      *operand = type;
    result = type;
    return success();
  }
  if (function.getNumInputs() != operands.size() || function.getNumResults() != 1)
    return parser.emitError(loc) << "found type " << function << "; it must have " << operands.size()
                                 << " inputs and 1 result";
  for (auto [operand, input] : llvm::zip(operands, function.getInputs()))
    *operand = input;
  result = function.getResult(0);
  return success();
}

static void printTypes(OpAsmPrinter &printer, ArrayRef<Type> operands, Type result) {
  if (llvm::all_of(operands, [&](Type type) { return type == result; }))
    printer << result;
  else
    printer.printFunctionalType(operands, ArrayRef<Type>(result));
}

static ParseResult parseSameTypes(OpAsmParser &parser, Type &x, Type &result) {
  return parseTypes(parser, {&x}, result);
}
static ParseResult parseSameTypes(OpAsmParser &parser, Type &x, Type &y, Type &result) {
  return parseTypes(parser, {&x, &y}, result);
}
static ParseResult parseSameTypes(OpAsmParser &parser, Type &x, Type &y, Type &z, Type &result) {
  return parseTypes(parser, {&x, &y, &z}, result);
}
static void printSameTypes(OpAsmPrinter &printer, Operation *, Type x, Type result) {
  printTypes(printer, {x}, result);
}
static void printSameTypes(OpAsmPrinter &printer, Operation *, Type x, Type y, Type result) {
  printTypes(printer, {x, y}, result);
}
static void printSameTypes(OpAsmPrinter &printer, Operation *, Type x, Type y, Type z, Type result) {
  printTypes(printer, {x, y, z}, result);
}

/// The type of the condition and the type of all else, or a function type.
static ParseResult parseSelectTypes(OpAsmParser &parser, Type &pred, Type &onTrue, Type &onFalse, Type &result) {
  SMLoc loc = parser.getCurrentLocation();
  Type type;
  if (parser.parseType(type))
    return failure();
  if (auto function = dyn_cast<FunctionType>(type)) {
    if (function.getNumInputs() != 3 || function.getNumResults() != 1)
      return parser.emitError(loc) << "found type " << function << "; it must have 3 inputs and 1 result";
    pred = function.getInput(0);
    onTrue = function.getInput(1);
    onFalse = function.getInput(2);
    result = function.getResult(0);
    return success();
  }
  pred = type;
  if (parser.parseComma() || parser.parseType(result))
    return failure();
  onTrue = onFalse = result;
  return success();
}

static void printSelectTypes(OpAsmPrinter &printer, Operation *, Type pred, Type onTrue, Type onFalse, Type result) {
  if (onTrue == result && onFalse == result)
    printer << pred << ", " << result;
  else
    printer.printFunctionalType(ArrayRef<Type>{pred, onTrue, onFalse}, ArrayRef<Type>(result));
}

static ParseResult parsePairwiseTypes(OpAsmParser &parser, SmallVectorImpl<Type> &operands,
                                      SmallVectorImpl<Type> &results) {
  if (parser.parseTypeList(operands))
    return failure();
  results.assign(operands.begin(), operands.end());
  return success();
}
static void printPairwiseTypes(OpAsmPrinter &printer, Operation *, TypeRange operands, TypeRange) {
  llvm::interleaveComma(operands, printer);
}

// ---------------------------------------------------------------------------------------------------- operands

/// Operands that are followed by a comma and a word.
static ParseResult parseOperandsAndComma(OpAsmParser &parser, Operands &operands) {
  while (true) {
    OpAsmParser::UnresolvedOperand operand;
    OptionalParseResult found = parser.parseOptionalOperand(operand);
    if (!found.has_value())
      return success();
    if (*found || parser.parseComma())
      return failure();
    operands.push_back(operand);
  }
}
static void printOperandsAndComma(OpAsmPrinter &printer, Operation *, OperandRange operands) {
  llvm::interleaveComma(operands, printer);
  printer << (operands.empty() ? "" : ",");
}

static ParseResult parseTarget(OpAsmParser &parser, StringAttr &name) { return parser.parseSymbolName(name); }
static void printTarget(OpAsmPrinter &printer, Operation *, StringAttr name) { printer.printSymbolName(name); }

/// `LT`.
static ParseResult parseDirection(OpAsmParser &parser, ComparisonDirectionAttr &direction) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<ComparisonDirection> found = symbolizeComparisonDirection(word);
  if (!found)
    return parser.emitError(loc) << "found '" << word << "'; a comparison is EQ, NE, GE, GT, LE or LT";
  direction = ComparisonDirectionAttr::get(parser.getContext(), *found);
  return success();
}
static void printDirection(OpAsmPrinter &printer, Operation *, ComparisonDirectionAttr direction) {
  printer << stringifyComparisonDirection(direction.getValue());
}

/// `, FLOAT`, or nothing.
static ParseResult parseCompareType(OpAsmParser &parser, ComparisonTypeAttr &type) {
  if (failed(parser.parseOptionalComma()))
    return success();
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<ComparisonType> found = symbolizeComparisonType(word);
  if (!found)
    return parser.emitError(loc) << "found '" << word << "'; what is compared is FLOAT, TOTALORDER, SIGNED, UNSIGNED "
                                 << "or NOTYPE";
  type = ComparisonTypeAttr::get(parser.getContext(), *found);
  return success();
}
static void printCompareType(OpAsmPrinter &printer, Operation *, ComparisonTypeAttr type) {
  if (type)
    printer << ", " << stringifyComparisonType(type.getValue());
}

// ---------------------------------------------------------------------------------------------------- lists

static ParseResult parseList(OpAsmParser &parser, SmallVectorImpl<int64_t> &list) {
  return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                        [&] { return parser.parseInteger(list.emplace_back()); });
}
static void printList(OpAsmPrinter &printer, ArrayRef<int64_t> list) {
  printer << "[";
  llvm::interleaveComma(list, printer);
  printer << "]";
}

/// `[0:2, 1:4:2]`; a stride of 1 is left out.
static ParseResult parseRanges(OpAsmParser &parser, DenseI64ArrayAttr &starts, DenseI64ArrayAttr &limits,
                               DenseI64ArrayAttr &strides) {
  SmallVector<int64_t> start, limit, stride;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
        if (parser.parseInteger(start.emplace_back()) || parser.parseColon() ||
            parser.parseInteger(limit.emplace_back()))
          return failure();
        stride.push_back(1);
        return succeeded(parser.parseOptionalColon()) ? parser.parseInteger(stride.back()) : ParseResult(success());
      }))
    return failure();
  Builder &b = parser.getBuilder();
  starts = b.getDenseI64ArrayAttr(start);
  limits = b.getDenseI64ArrayAttr(limit);
  strides = b.getDenseI64ArrayAttr(stride);
  return success();
}
static void printRanges(OpAsmPrinter &printer, Operation *, DenseI64ArrayAttr starts, DenseI64ArrayAttr limits,
                        DenseI64ArrayAttr strides) {
  printer << "[";
  llvm::interleaveComma(llvm::zip(starts.asArrayRef(), limits.asArrayRef(), strides.asArrayRef()), printer,
                        [&](auto range) {
                          auto [start, limit, stride] = range;
                          printer << start << ":" << limit;
                          if (stride != 1)
                            printer << ":" << stride;
                        });
  printer << "]";
}

/// `, precision = [DEFAULT, DEFAULT]`, or nothing.
static ParseResult parsePrecisions(OpAsmParser &parser, ArrayAttr &precisions) {
  if (failed(parser.parseOptionalComma()))
    return success();
  SMLoc loc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("algorithm")))
    return parser.emitError(loc) << "'algorithm' is not supported; write the product with a precision";
  if (parser.parseKeyword("precision") || parser.parseEqual())
    return failure();
  SmallVector<Attribute> list;
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
        StringRef word;
        SMLoc at = parser.getCurrentLocation();
        if (parser.parseKeyword(&word))
          return failure();
        std::optional<Precision> precision = symbolizePrecision(word);
        if (!precision)
          return parser.emitError(at) << "found '" << word << "'; a precision is DEFAULT, HIGH or HIGHEST";
        list.push_back(PrecisionAttr::get(parser.getContext(), *precision));
        return success();
      }))
    return failure();
  precisions = parser.getBuilder().getArrayAttr(list);
  return success();
}
static void printPrecisions(OpAsmPrinter &printer, ArrayAttr precisions) {
  if (!precisions)
    return;
  printer << ", precision = [";
  llvm::interleaveComma(precisions.getAsRange<PrecisionAttr>(), printer,
                        [&](PrecisionAttr precision) { printer << stringifyPrecision(precision.getValue()); });
  printer << "]";
}

static ParseResult parseDotPrecisions(OpAsmParser &parser, ArrayAttr &precisions) {
  return parsePrecisions(parser, precisions);
}
static void printDotPrecisions(OpAsmPrinter &printer, Operation *, ArrayAttr precisions) {
  printPrecisions(printer, precisions);
}

/// `e8m7`: how many bits the exponent and the mantissa of a float have.
static ParseResult parseFloatFormat(OpAsmParser &parser, IntegerAttr &exponent, IntegerAttr &mantissa) {
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  if (parser.parseKeyword(&word))
    return failure();
  int32_t e = 0, m = 0;
  StringRef rest = word;
  if (!rest.consume_front("e") || rest.consumeInteger(10, e) || !rest.consume_front("m") || rest.getAsInteger(10, m))
    return parser.emitError(loc) << "found '" << word << "'; a format is a word like e8m7";
  exponent = parser.getBuilder().getI32IntegerAttr(e);
  mantissa = parser.getBuilder().getI32IntegerAttr(m);
  return success();
}
static void printFloatFormat(OpAsmPrinter &printer, Operation *, IntegerAttr exponent, IntegerAttr mantissa) {
  printer << "e" << exponent.getInt() << "m" << mantissa.getInt();
}

/// `batching_dims = [0] x [0], contracting_dims = [2] x [1]`, the first only if there are any.
static ParseResult parseDotDimensions(OpAsmParser &parser, DotDimensionNumbersAttr &dims, ArrayAttr &precisions) {
  SmallVector<int64_t> lhsBatch, rhsBatch, lhs, rhs;
  auto pair = [&](SmallVectorImpl<int64_t> &left, SmallVectorImpl<int64_t> &right) -> ParseResult {
    return failure(parser.parseEqual() || parseList(parser, left) || parser.parseKeyword("x") ||
                   parseList(parser, right));
  };
  if (succeeded(parser.parseOptionalKeyword("batching_dims")) && (pair(lhsBatch, rhsBatch) || parser.parseComma()))
    return failure();
  if (parser.parseKeyword("contracting_dims") || pair(lhs, rhs))
    return failure();
  dims = DotDimensionNumbersAttr::get(parser.getContext(), lhsBatch, rhsBatch, lhs, rhs);
  return parsePrecisions(parser, precisions);
}
static void printDotDimensions(OpAsmPrinter &printer, Operation *, DotDimensionNumbersAttr dims, ArrayAttr precisions) {
  auto pair = [&](StringRef name, ArrayRef<int64_t> left, ArrayRef<int64_t> right) {
    printer << name << " = ";
    printList(printer, left);
    printer << " x ";
    printList(printer, right);
  };
  if (!dims.getLhsBatchingDimensions().empty() || !dims.getRhsBatchingDimensions().empty()) {
    pair("batching_dims", dims.getLhsBatchingDimensions(), dims.getRhsBatchingDimensions());
    printer << ", ";
  }
  pair("contracting_dims", dims.getLhsContractingDimensions(), dims.getRhsContractingDimensions());
  printPrecisions(printer, precisions);
}

namespace mlir::stablehlo {
ParseResult parseConvDimensions(OpAsmParser &parser, ConvDimensionNumbersAttr &dims);
void printConvDimensions(OpAsmPrinter &printer, Operation *, ConvDimensionNumbersAttr dims);
} // namespace mlir::stablehlo

/// `stride = [2, 2], pad = [[1, 1], [0, 1]], lhs_dilate = [1, 1], rhs_dilate = [1, 1], reverse = [false, false]`, each only
/// if it is there.
static ParseResult parseWindow(OpAsmParser &parser, DenseI64ArrayAttr &strides, DenseIntElementsAttr &padding,
                               DenseI64ArrayAttr &lhsDilation, DenseI64ArrayAttr &rhsDilation,
                               DenseBoolArrayAttr &reversal) {
  Builder &b = parser.getBuilder();
  SMLoc loc = parser.getCurrentLocation();
  StringRef word;
  bool more = succeeded(parser.parseOptionalKeyword(&word));
  while (more) {
    auto refuse = [&](const Twine &why) { return parser.emitError(loc) << "'" << word << "' " << why; };
    DenseI64ArrayAttr *list = word == "stride"       ? &strides
                              : word == "lhs_dilate" ? &lhsDilation
                              : word == "rhs_dilate" ? &rhsDilation
                                                     : nullptr;
    if (parser.parseEqual())
      return failure();
    if ((list && *list) || (word == "pad" && padding) || (word == "reverse" && reversal))
      return refuse("is given twice");
    if (list) {
      SmallVector<int64_t> values;
      if (parseList(parser, values))
        return failure();
      *list = b.getDenseI64ArrayAttr(values);
    } else if (word == "reverse") {
      SmallVector<bool> values;
      if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
            values.push_back(succeeded(parser.parseOptionalKeyword("true")));
            return values.back() ? ParseResult(success()) : parser.parseKeyword("false");
          }))
        return failure();
      reversal = b.getDenseBoolArrayAttr(values);
    } else if (word == "pad") {
      SmallVector<int64_t> values;
      if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&]() -> ParseResult {
            size_t before = values.size();
            SMLoc at = parser.getCurrentLocation();
            if (parseList(parser, values))
              return failure();
            return values.size() == before + 2
                       ? ParseResult(success())
                       : parser.emitError(at) << "'pad' needs two numbers for each spatial dimension";
          }))
        return failure();
      auto type = RankedTensorType::get({int64_t(values.size()) / 2, 2}, b.getI64Type());
      padding = DenseIntElementsAttr::get(type, values);
    } else {
      return refuse("is unknown; a window has stride, pad, lhs_dilate, rhs_dilate and reverse");
    }
    more = succeeded(parser.parseOptionalComma());
    loc = parser.getCurrentLocation();
    if (more && parser.parseKeyword(&word))
      return failure();
  }
  return success();
}

static void printWindow(OpAsmPrinter &printer, Operation *, DenseI64ArrayAttr strides, DenseIntElementsAttr padding,
                        DenseI64ArrayAttr lhsDilation, DenseI64ArrayAttr rhsDilation, DenseBoolArrayAttr reversal) {
  StringRef separator = "";
  auto begin = [&](StringRef name) {
    printer << separator << name << " = ";
    separator = ", ";
  };
  auto list = [&](StringRef name, DenseI64ArrayAttr values) {
    if (!values)
      return;
    begin(name);
    printList(printer, values);
  };
  list("stride", strides);
  if (padding) {
    begin("pad");
    printer << "[";
    SmallVector<int64_t> values(padding.value_begin<int64_t>(), padding.value_end<int64_t>());
    for (size_t i = 0; i + 1 < values.size(); i += 2) {
      printer << (i ? ", " : "");
      printList(printer, {values[i], values[i + 1]});
    }
    printer << "]";
  }
  list("lhs_dilate", lhsDilation);
  list("rhs_dilate", rhsDilation);
  if (reversal) {
    begin("reverse");
    printer << "[";
    llvm::interleaveComma(reversal.asArrayRef(), printer, [&](bool value) { printer << (value ? "true" : "false"); });
    printer << "]";
  }
}

#define GET_OP_CLASSES
#include "StableHLO/StableHLOOps.cpp.inc"

// ---------------------------------------------------------------------------------------------------- constants

ParseResult ConstantOp::parse(OpAsmParser &parser, OperationState &result) {
  ElementsAttr value;
  SMLoc loc = parser.getCurrentLocation();
  Attribute attribute;
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseAttribute(attribute))
    return failure();
  value = dyn_cast<ElementsAttr>(attribute);
  if (!value || !isa<RankedTensorType>(value.getType()))
    return parser.emitError(loc) << "found " << attribute << "; a constant must be the elements of a tensor";
  result.getOrAddProperties<Properties>().value = value;
  result.addTypes(value.getType());
  return success();
}

void ConstantOp::print(OpAsmPrinter &printer) {
  printer.printOptionalAttrDict((*this)->getAttrs(), {"value"});
  printer << " " << getValue();
}

/// The names that JAX gives: `%c` to integers, `%cst` to all else.
void ConstantOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getOutput(), isa<IntegerType>(getOutput().getType().getElementType()) ? "c" : "cst");
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

// ---------------------------------------------------------------------------------------------------- reductions

/// What `applies` may name.
static constexpr StringLiteral kReducers[] = {"stablehlo.add",     "stablehlo.multiply", "stablehlo.maximum",
                                              "stablehlo.minimum", "stablehlo.and",      "stablehlo.or",
                                              "stablehlo.xor"};

/// The one operation of a body that only applies it to its two arguments.
static Operation *onlyReducer(ReduceOp op) {
  if (op.getInputs().size() != 1 || !op.getBody().hasOneBlock())
    return nullptr;
  Block &block = op.getBody().front();
  if (block.getNumArguments() != 2 || !llvm::hasNItems(block, 2))
    return nullptr;
  Operation *reducer = &block.front(), *end = &block.back();
  auto type = dyn_cast<RankedTensorType>(block.getArgument(0).getType());
  auto input = op.getInputs()[0].getType();
  if (!llvm::is_contained(kReducers, reducer->getName().getStringRef()) || !isa<ReturnOp>(end) ||
      !reducer->getAttrDictionary().empty() || reducer->getNumOperands() != 2 || reducer->getNumResults() != 1 ||
      reducer->getOperand(0) != block.getArgument(0) || reducer->getOperand(1) != block.getArgument(1) ||
      end->getNumOperands() != 1 || end->getOperand(0) != reducer->getResult(0) || !end->getAttrDictionary().empty())
    return nullptr;
  if (type != RankedTensorType::get({}, cast<RankedTensorType>(input).getElementType()) ||
      type != block.getArgument(1).getType() || type != reducer->getResult(0).getType())
    return nullptr;
  return reducer;
}

ParseResult ReduceOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> inputs, inits;
  SMLoc loc = parser.getCurrentLocation();
  do {
    if (parser.parseLParen() || parser.parseOperand(inputs.emplace_back()) || parser.parseKeyword("init") ||
        parser.parseColon() || parser.parseOperand(inits.emplace_back()) || parser.parseRParen())
      return failure();
  } while (succeeded(parser.parseOptionalComma()));
  std::optional<OperationName> reducer;
  SMLoc reducerLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("applies"))) {
    FailureOr<OperationName> name = parser.parseCustomOperationName();
    if (failed(name))
      return failure();
    if (!llvm::is_contained(kReducers, name->getStringRef()))
      return parser.emitError(reducerLoc)
             << "'" << name->getStringRef() << "' cannot be applied by name; write it as a reducer";
    if (inputs.size() != 1)
      return parser.emitError(reducerLoc) << "found " << inputs.size() << " inputs; 'applies' needs 1";
    reducer = *name;
  }
  SmallVector<int64_t> dimensions;
  FunctionType type;
  if (parser.parseKeyword("across") || parser.parseKeyword("dimensions") || parser.parseEqual() ||
      parseList(parser, dimensions) || parser.parseOptionalAttrDict(result.attributes) || parser.parseColonType(type))
    return failure();
  Builder &b = parser.getBuilder();
  result.getOrAddProperties<Properties>().dimensions = b.getDenseI64ArrayAttr(dimensions);
  inputs.append(inits);
  if (parser.resolveOperands(inputs, type.getInputs(), loc, result.operands))
    return failure();
  result.addTypes(type.getResults());
  Region *body = result.addRegion();
  if (reducer) {
    auto input = dyn_cast<RankedTensorType>(type.getInput(0));
    if (!input)
      return parser.emitError(loc) << "input has type " << type.getInput(0) << "; it must be a tensor";
    auto scalar = RankedTensorType::get({}, input.getElementType());
    Block &block = body->emplaceBlock();
    OpBuilder at(parser.getContext()); // the region has no operation yet that would know it
    at.setInsertionPointToEnd(&block);
    Location where = parser.getEncodedSourceLoc(reducerLoc);
    OperationState state(where, *reducer);
    state.addOperands({block.addArgument(scalar, where), block.addArgument(scalar, where)});
    state.addTypes(scalar);
    ReturnOp::create(at, where, at.create(state)->getResults());
    return success();
  }
  // The two arguments of an input stand together here, and in the block all left ones come first.
  SmallVector<OpAsmParser::Argument> left, right;
  if (parser.parseKeyword("reducer"))
    return failure();
  while (succeeded(parser.parseOptionalLParen()))
    if (parser.parseArgument(left.emplace_back(), /*allowType=*/true) || parser.parseComma() ||
        parser.parseArgument(right.emplace_back(), /*allowType=*/true) || parser.parseRParen())
      return failure();
  left.append(right);
  return parser.parseRegion(*body, left);
}

void ReduceOp::print(OpAsmPrinter &printer) {
  printer << "(";
  llvm::interleave(
      llvm::zip(getInputs(), getInitValues()), printer,
      [&](auto pair) { printer << std::get<0>(pair) << " init: " << std::get<1>(pair); }, "), (");
  printer << ")";
  Operation *reducer = onlyReducer(*this);
  if (reducer)
    printer << " applies " << reducer->getName().getStringRef();
  printer << " across dimensions = ";
  printList(printer, getDimensions());
  printer.printOptionalAttrDict((*this)->getAttrs(), {"dimensions"});
  printer << " : ";
  printer.printFunctionalType(*this);
  if (reducer)
    return;
  printer.printNewline();
  printer << " reducer";
  Block &block = getBody().front();
  unsigned count = getInputs().size();
  for (unsigned i = 0; i < count && i + count < block.getNumArguments(); ++i) {
    printer << "(";
    printer.printRegionArgument(block.getArgument(i));
    printer << ", ";
    printer.printRegionArgument(block.getArgument(i + count));
    printer << ") ";
  }
  printer << " "; // two, as JAX writes it
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

// ---------------------------------------------------------------------------------------------------- loops

ParseResult WhileOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> arguments;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::Paren, [&]() -> ParseResult {
        return failure(parser.parseArgument(arguments.emplace_back()) || parser.parseEqual() ||
                       parser.parseOperand(operands.emplace_back()));
      }))
    return failure();
  SmallVector<Type> types;
  if (!operands.empty() && parser.parseColonTypeList(types))
    return failure();
  if (parser.resolveOperands(operands, types, loc, result.operands))
    return failure();
  for (auto [argument, type] : llvm::zip(arguments, types))
    argument.type = type;
  result.addTypes(types);
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) || parser.parseKeyword("cond") ||
      parser.parseRegion(*result.addRegion(), arguments) || parser.parseKeyword("do"))
    return failure();
  return parser.parseRegion(*result.addRegion(), arguments);
}

void WhileOp::print(OpAsmPrinter &printer) {
  printer << "(";
  llvm::interleaveComma(llvm::zip(getCond().getArguments(), getOperand()), printer,
                        [&](auto pair) { printer << std::get<0>(pair) << " = " << std::get<1>(pair); });
  printer << ")";
  if (!getOperand().empty()) {
    printer << " : ";
    llvm::interleaveComma(getOperandTypes(), printer);
  }
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs());
  printer.printNewline();
  printer << "cond ";
  printer.printRegion(getCond(), /*printEntryBlockArgs=*/false);
  printer << " do ";
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

void WhileOp::getAsmBlockArgumentNames(Region &region, OpAsmSetValueNameFn setName) {
  for (BlockArgument argument : region.getArguments())
    setName(argument, "iterArg");
}
