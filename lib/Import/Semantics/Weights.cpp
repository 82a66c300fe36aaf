// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Making weights and sharing equal ones.

#include "Import/Semantics/Weights.h"

using namespace mlir;

namespace whit::semantics {

mlir::whit::BlobAttr Weights::blob(StringRef file, uint64_t offset, uint64_t length, Type element) {
  return mlir::whit::BlobAttr::get(module.getContext(), file, offset, length, element,
                                   files.hash(file, offset, length));
}

Value Weights::constant(ImplicitLocOpBuilder &b, StringRef name, Type type, ArrayRef<mlir::whit::SourceAttr> parts) {
  auto sources = b.getArrayAttr(SmallVector<Attribute>(parts.begin(), parts.end()));
  Value &value = known[{type, sources}];
  if (value)
    return value;
  OpBuilder atModule =
      last ? OpBuilder(last->getBlock(), std::next(last->getIterator())) : OpBuilder::atBlockBegin(module.getBody());
  auto weight = mlir::whit::WeightOp::create(atModule, NameLoc::get(b.getStringAttr(name)), name, type, sources);
  weight->remove();
  // Inserting by the symbol table makes the name unique.
  symbols.insert(weight, last ? std::next(last->getIterator()) : module.getBody()->begin());
  last = weight;
  value = mlir::whit::ConstantOp::create(b, type, FlatSymbolRefAttr::get(weight.getSymNameAttr()));
  return value;
}

Value Weights::matrix(ImplicitLocOpBuilder &b, StringRef name, int64_t n, int64_t k, StringRef layout,
                      mlir::whit::BlobAttr blob) {
  Type element = blob.getElement();
  Encoding encoding = plainEncoding(element.isF32()   ? ScaleType::F32
                                    : element.isF16() ? ScaleType::F16
                                                      : ScaleType::BF16);
  MLIRContext *context = b.getContext();
  auto type = mlir::whit::EncodedTensorType::get(context, {n, k}, b.getF32Type(),
                                                 mlir::whit::FormatAttr::get(context, nameOf(encoding)));
  return constant(b, name, type, mlir::whit::SourceAttr::get(context, layout, n, blob));
}

} // namespace whit::semantics
