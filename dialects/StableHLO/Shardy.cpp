// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading what is not understood: brackets are matched, all between them is skipped.

#include "StableHLO/Shardy.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::stablehlo;

Attribute ShardyDialect::parseAttribute(DialectAsmParser &parser, Type) const {
  return StringAttr::get(getContext(), parser.getFullSymbolSpec());
}

/// `<`, anything, and the `>` that belongs to it.
static ParseResult skipAngles(OpAsmParser &parser) {
  if (parser.parseLess())
    return failure();
  for (unsigned depth = 1; depth;) {
    if (succeeded(parser.parseOptionalGreater())) {
      --depth;
      continue;
    }
    std::string text;
    StringRef word;
    StringAttr symbol;
    APInt number;
    if (succeeded(parser.parseOptionalLess()))
      ++depth;
    else if (!parser.parseOptionalInteger(number).has_value() && failed(parser.parseOptionalString(&text)) &&
             failed(parser.parseOptionalSymbolName(symbol)) && failed(parser.parseOptionalComma()) &&
             failed(parser.parseOptionalEqual()) && failed(parser.parseOptionalColon()) &&
             failed(parser.parseOptionalQuestion()) && failed(parser.parseOptionalLSquare()) &&
             failed(parser.parseOptionalRSquare()) && failed(parser.parseOptionalLBrace()) &&
             failed(parser.parseOptionalRBrace()) && failed(parser.parseOptionalLParen()) &&
             failed(parser.parseOptionalRParen()) && failed(parser.parseOptionalKeyword(&word)))
      return parser.emitError(parser.getCurrentLocation()) << "found no part of a sharding; it must end with '>'";
  }
  return success();
}

/// `sdy.mesh @mesh = <["x"=2]>`
static ParseResult parseMesh(OpAsmParser &parser, OperationState &state) {
  StringAttr name;
  return failure(parser.parseSymbolName(name, "mesh", state.attributes) || parser.parseEqual() || skipAngles(parser) ||
                 parser.parseOptionalAttrDict(state.attributes));
}

/// `%1 = sdy.sharding_constraint %0 <@mesh, [{"x"}]> : tensor<4xf32>`
static ParseResult parseConstraint(OpAsmParser &parser, OperationState &state) {
  OpAsmParser::UnresolvedOperand operand;
  Type type;
  if (parser.parseOperand(operand) || skipAngles(parser) || parser.parseOptionalAttrDict(state.attributes) ||
      parser.parseColonType(type) || parser.resolveOperand(operand, type, state.operands))
    return failure();
  state.addTypes(type);
  return success();
}

std::optional<Dialect::ParseOpHook> ShardyDialect::getParseOperationHook(StringRef name) const {
  if (name == "sdy.mesh")
    return ParseOpHook(parseMesh);
  if (name == "sdy.sharding_constraint" || name == "sdy.reshard")
    return ParseOpHook(parseConstraint);
  return std::nullopt;
}
