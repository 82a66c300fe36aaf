// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// `sdy`: how JAX would spread a program over devices. Read so that it can be dropped; nothing of it has a meaning here.

#pragma once

#include "mlir/IR/Dialect.h"
#include "mlir/IR/DialectImplementation.h"

namespace mlir::stablehlo {

/// Takes any attribute, the declaration of a mesh, and operations that put a sharding on a value.
class ShardyDialect : public Dialect {
public:
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ShardyDialect)
  static constexpr StringLiteral getDialectNamespace() { return "sdy"; }

  explicit ShardyDialect(MLIRContext *context) : Dialect(getDialectNamespace(), context, TypeID::get<ShardyDialect>()) {
    allowUnknownOperations();
  }

  /// The text of the attribute.
  Attribute parseAttribute(DialectAsmParser &parser, Type type) const override;
  std::optional<ParseOpHook> getParseOperationHook(StringRef name) const override;
};

} // namespace mlir::stablehlo
