// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Verifiers of the whit operations. Every message names the operand, what was found and what is required.

#include "Whit/Whit.h"

#include "runtime/encoding/Carrier.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/OpImplementation.h"

using namespace mlir;
using namespace mlir::whit;

#include "Whit/WhitInterfaces.cpp.inc"
#define GET_OP_CLASSES
#include "Whit/WhitOps.cpp.inc"

// ---------------------------------------------------------------------------------------------------- shapes

static ArrayRef<int64_t> shapeOf(Value value) { return cast<ShapedType>(value.getType()).getShape(); }

static bool disagree(int64_t a, int64_t b) { return a != b && !ShapedType::isDynamic(a) && !ShapedType::isDynamic(b); }

/// The leading dimensions of `value` without its last `trailing` ones must be those of `x` without its last one.
static LogicalResult verifyRows(Operation *op, Value x, Value value, StringRef name, size_t trailing = 1) {
  ArrayRef<int64_t> rows = shapeOf(x).drop_back(), shape = shapeOf(value);
  if (shape.size() != rows.size() + trailing)
    return op->emitOpError() << name << " has rank " << shape.size() << "; it must have rank "
                             << rows.size() + trailing;
  for (auto [i, found, wanted] : llvm::enumerate(shape.take_front(rows.size()), rows))
    if (disagree(found, wanted))
      return op->emitOpError() << name << " has size " << found << " in dimension " << i << "; it must be " << wanted;
  return success();
}

static LogicalResult verifyDim(Operation *op, Value value, StringRef name, int64_t dim, int64_t wanted) {
  int64_t rank = shapeOf(value).size(), index = dim < 0 ? dim + rank : dim;
  if (index < 0 || index >= rank)
    return op->emitOpError() << name << " has rank " << rank << "; it needs a dimension " << dim;
  int64_t found = shapeOf(value)[index];
  if (disagree(found, wanted))
    return op->emitOpError() << name << " has size " << found << " in dimension " << index << "; it must be " << wanted;
  return success();
}

static LogicalResult verifyRank(Operation *op, Value value, StringRef name, size_t rank) {
  if (shapeOf(value).size() != rank)
    return op->emitOpError() << name << " has rank " << shapeOf(value).size() << "; it must have rank " << rank;
  return success();
}

namespace {
/// Logical shape and encoding of a weight, before and after it was packed.
struct WeightShape {
  int64_t n, k;
  ::whit::Encoding encoding;
};
} // namespace

/// A tile of a packed weight has fewer panels than its place says, so only its number of bytes per panel is fixed.
static FailureOr<WeightShape> verifyWeight(Operation *op, Value weight, StringRef name,
                                           std::optional<PlaceAttr> place) {
  if (auto encoded = dyn_cast<EncodedTensorType>(weight.getType())) {
    if (place)
      return op->emitOpError() << name << " is not packed, but the operation has a place; remove one of the two";
    return WeightShape{encoded.getShape()[0], encoded.getShape()[1], encoded.getFormat().getEncoding()};
  }
  if (!place)
    return op->emitOpError() << name
                             << " is packed bytes; the operation needs `at #whit.place<...>` to say what they mean";
  ::whit::Place solved = place->solve();
  if (disagree(shapeOf(weight)[1], solved.panelBytes))
    return op->emitOpError() << name << " has " << shapeOf(weight)[1] << " bytes per panel; its place needs "
                             << solved.panelBytes;
  return WeightShape{ShapedType::kDynamic, place->getK(), place->getFormat().getEncoding()};
}

LogicalResult WeightOp::verify() {
  Type type = getType();
  ArrayRef<int64_t> shape;
  if (auto encoded = dyn_cast<EncodedTensorType>(type))
    shape = encoded.getShape();
  else if (auto ranked = dyn_cast<RankedTensorType>(type); ranked && ranked.hasStaticShape())
    shape = ranked.getShape();
  else
    return emitOpError() << "type is " << type << "; it must be a !whit.tensor or a tensor of static shape";
  if (std::optional<StringRef> name = getQuantizer(); name && !::whit::parseQuantizer(*name))
    return emitOpError() << "quantizer is '" << *name << "'; it must be '" << ::whit::nameOf(::whit::Quantizer::Nearest)
                         << "' or '" << ::whit::nameOf(::whit::Quantizer::LeastSquares) << "'";
  if (getPlace())
    return success();
  int64_t count = 0;
  for (auto part : getParts().getAsRange<SourceAttr>())
    count += part.getCount();
  int64_t wanted = shape.empty() ? 1 : shape[0];
  if (count != wanted)
    return emitOpError() << "parts hold " << count << " rows; the type " << type << " needs " << wanted;
  return success();
}

::whit::Quantizer WeightOp::getQuantizerKind() {
  std::optional<StringRef> name = getQuantizer();
  return name ? ::whit::parseQuantizer(*name).value_or(::whit::Quantizer::Nearest) : ::whit::Quantizer::Nearest;
}

LogicalResult ConstantOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "names '" << getWeight() << "', which is no whit.weight of this module";
  if (auto memref = dyn_cast<MemRefType>(getType())) // after bufferization
    return success();
  if (weight.getType() != getType())
    return emitOpError() << "has type " << getType() << "; weight '" << getWeight() << "' has type "
                         << weight.getType();
  return success();
}

SmallVector<Operation *> RegionOp::getComputeOps() {
  SmallVector<Operation *> ops;
  for (Operation &op : getBody().front())
    if (isa<TilingInterface>(op) && isa<DestinationStyleOpInterface>(op) &&
        !isa<tensor::TensorDialect>(op.getDialect()))
      ops.push_back(&op);
  return ops;
}

Operation *RegionOp::getRoot() {
  SmallVector<Operation *> ops = getComputeOps();
  return ops.empty() ? nullptr : ops.back();
}

LogicalResult QuantizeOp::verify() {
  int64_t group = getGroup(), k = shapeOf(getX()).empty() ? 0 : shapeOf(getX()).back();
  if (shapeOf(getX()).empty())
    return emitOpError() << "x has rank 0; it must have rank 1 or more";
  if (group < 1)
    return emitOpError() << "group is " << group << "; it must be at least 1";
  if (getBits() < 2 || getBits() > 8)
    return emitOpError() << "bits is " << getBits() << "; it must be from 2 to 8";
  int64_t groups = ShapedType::isDynamic(k) ? k : (k + group - 1) / group;
  if (failed(verifyRows(*this, getX(), getCodes(), "codes", 2)) ||
      failed(verifyRows(*this, getX(), getScales(), "scales")) ||
      failed(verifyRows(*this, getX(), getSums(), "sums")) ||
      failed(verifyDim(*this, getCodes(), "codes", -2, groups)) ||
      failed(verifyDim(*this, getScales(), "scales", -1, groups)) ||
      failed(verifyDim(*this, getSums(), "sums", -1, groups)))
    return failure();
  int64_t padded = shapeOf(getCodes()).back();
  if (ShapedType::isDynamic(padded) || padded < group)
    return emitOpError() << "codes has size " << padded
                         << " in its last dimension; it must be static and at least the group, " << group;
  return success();
}

LogicalResult QuantizeFloatOp::verify() {
  if (shapeOf(getX()).empty())
    return emitOpError() << "x has rank 0; it must have rank 1 or more";
  if (failed(verifyRows(*this, getX(), getNumbers(), "numbers")) ||
      failed(verifyDim(*this, getNumbers(), "numbers", -1, shapeOf(getX()).back())))
    return failure();
  return verifyRows(*this, getX(), getScales(), "scales", /*trailing=*/0);
}

LogicalResult DequantizeOp::verify() {
  auto weight = verifyWeight(*this, getW(), "w", getPlace());
  if (failed(weight) || failed(verifyRank(*this, getY(), "y", 2)) ||
      failed(verifyDim(*this, getY(), "y", 0, weight->n)) || failed(verifyDim(*this, getY(), "y", 1, weight->k)))
    return failure();
  return success();
}

LogicalResult MatmulOp::verify() {
  auto weight = verifyWeight(*this, getW(), "w", getPlace());
  if (failed(weight) || failed(verifyRows(*this, getX(), getY(), "y")) ||
      failed(verifyDim(*this, getX(), "x", -1, weight->k)) || failed(verifyDim(*this, getY(), "y", -1, weight->n)))
    return failure();
  return success();
}

LogicalResult QuantizedMatmulOp::verify() {
  auto weight = verifyWeight(*this, getW(), "w", getPlace());
  if (failed(weight))
    return failure();
  if (!::whit::integerCarriers(weight->encoding))
    return emitOpError() << "w has format '" << ::whit::nameOf(weight->encoding)
                         << "'; integer activations need numbers that are bytes times one number, use whit.matmul";
  int64_t groups = ::whit::groupCount(weight->encoding, weight->k);
  if (failed(verifyRows(*this, getScales(), getCodes(), "codes", 2)) ||
      failed(verifyRows(*this, getScales(), getSums(), "sums")) ||
      failed(verifyRows(*this, getScales(), getY(), "y")) ||
      failed(verifyDim(*this, getCodes(), "codes", -2, groups)) ||
      failed(verifyDim(*this, getScales(), "scales", -1, groups)) ||
      failed(verifyDim(*this, getSums(), "sums", -1, groups)) || failed(verifyDim(*this, getY(), "y", -1, weight->n)))
    return failure();
  int64_t padded = ::whit::solvePlace(weight->encoding, 16, weight->k).paddedGroup;
  return verifyDim(*this, getCodes(), "codes", -1, padded);
}

LogicalResult GatherOp::verify() {
  int64_t k;
  if (auto rows = dyn_cast<ShapedType>(getTable().getType()); rows && isa<FloatType>(rows.getElementType())) {
    if (getPlace())
      return emitOpError() << "table is rows of " << rows.getElementType()
                           << ", but the operation has a place; remove it";
    k = rows.getDimSize(1);
  } else {
    auto weight = verifyWeight(*this, getTable(), "table", getPlace());
    if (failed(weight))
      return failure();
    k = weight->k;
  }
  ArrayRef<int64_t> rows = shapeOf(getIndices());
  if (failed(verifyRank(*this, getY(), "y", rows.size() + 1)))
    return failure();
  for (auto [i, size] : llvm::enumerate(rows))
    if (failed(verifyDim(*this, getY(), "y", i, size)))
      return failure();
  return verifyDim(*this, getY(), "y", -1, k);
}

static LogicalResult verifyNorm(Operation *op, Value x, Value y, ArrayRef<std::pair<StringRef, Value>> vectors) {
  if (shapeOf(x).empty())
    return op->emitOpError() << "x has rank 0; it must have rank 1 or more";
  if (failed(verifyRows(op, x, y, "y")) || failed(verifyDim(op, y, "y", -1, shapeOf(x).back())))
    return failure();
  for (auto [name, vector] : vectors)
    if (failed(verifyRank(op, vector, name, 1)) || failed(verifyDim(op, vector, name, 0, shapeOf(x).back())))
      return failure();
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, getX(), getY(), {{"weight", getWeight()}}); }

LogicalResult LayerNormOp::verify() {
  return verifyNorm(*this, getX(), getY(), {{"weight", getWeight()}, {"bias", getBias()}});
}

LogicalResult SoftmaxOp::verify() { return verifyNorm(*this, getX(), getY(), {}); }

LogicalResult RotaryOp::verify() {
  if (failed(verifyRank(*this, getX(), "x", 4)) || failed(verifyRank(*this, getY(), "y", 4)) ||
      failed(verifyRank(*this, getCos(), "cos", 2)) || failed(verifyRank(*this, getSin(), "sin", 2)) ||
      failed(verifyRank(*this, getStart(), "start", 1)))
    return failure();
  ArrayRef<int64_t> x = shapeOf(getX());
  for (int64_t i = 0; i < 4; ++i)
    if (failed(verifyDim(*this, getY(), "y", i, x[i])))
      return failure();
  if (ShapedType::isDynamic(x[3]) || x[3] % 2)
    return emitOpError() << "x has size " << x[3] << " in dimension 3; it must be static and even";
  if (failed(verifyDim(*this, getCos(), "cos", 1, x[3] / 2)) ||
      failed(verifyDim(*this, getSin(), "sin", 1, x[3] / 2)) ||
      failed(verifyDim(*this, getSin(), "sin", 0, shapeOf(getCos())[0])))
    return failure();
  return verifyDim(*this, getStart(), "start", 0, x[0]);
}

/// A format that caches can have, for features that are known; `rotated` by a Hadamard matrix.
static LogicalResult verifyCacheFormat(Operation *op, FormatAttr format, int64_t depth, bool rotated) {
  std::string why;
  if (format && !::whit::checkCacheFormat(format.getEncoding(), &why))
    return op->emitOpError() << why;
  if ((format || rotated) && ShapedType::isDynamic(depth))
    return op->emitOpError() << "has features of dynamic size; a format and a Hadamard matrix need a static one";
  if (rotated && !llvm::isPowerOf2_64(depth))
    return op->emitOpError() << "has " << depth << " features; a Hadamard matrix needs a power of two";
  return success();
}

/// Packed bytes: [B, H, ceil(T/16), BYTES].
static LogicalResult verifyBlocks(Operation *op, Value cache, StringRef name, FormatAttr format,
                                  ::whit::CacheOrder order, int64_t depth) {
  if (!format)
    return op->emitOpError() << name << " is packed bytes; the operation must say in which format";
  if (failed(verifyRank(op, cache, name, 4)))
    return failure();
  return verifyDim(op, cache, name, 3, ::whit::CacheBlock(format.getEncoding(), order, depth).bytes);
}

/// [B, H, T, D] or [B, H, T/16, D, 16]; or packed bytes.
static LogicalResult verifyCache(Operation *op, Value cache, StringRef name, int64_t batch, int64_t heads,
                                 int64_t depth, FormatAttr format = {},
                                 ::whit::CacheOrder order = ::whit::CacheOrder::Rows) {
  ArrayRef<int64_t> shape = shapeOf(cache);
  if (getElementTypeOrSelf(cache.getType()).isInteger(8)) {
    if (failed(verifyBlocks(op, cache, name, format, order, depth)) || failed(verifyDim(op, cache, name, 0, batch)))
      return failure();
    return verifyDim(op, cache, name, 1, heads);
  }
  if (shape.size() != 4 && (shape.size() != 5 || shape[4] != 16))
    return op->emitOpError() << name << " is " << cache.getType() << "; it must be [B, H, T, D] or [B, H, T/16, D, 16]";
  if (failed(verifyDim(op, cache, name, 0, batch)) || failed(verifyDim(op, cache, name, 1, heads)))
    return failure();
  return verifyDim(op, cache, name, 3, depth);
}

LogicalResult CacheAppendOp::verify() {
  if (failed(verifyRank(*this, getNewTokens(), "new tokens", 4)) || failed(verifyRank(*this, getStart(), "start", 1)))
    return failure();
  ArrayRef<int64_t> fresh = shapeOf(getNewTokens());
  FormatAttr format = getFormatAttr();
  if (failed(verifyCacheFormat(*this, format, fresh[3], getHadamard())))
    return failure();
  if (getPast() && format)
    return emitOpError() << "has a past and a format; only what is updated in place can be quantized";
  if (failed(verifyDim(*this, getStart(), "start", 0, fresh[0])) ||
      failed(verifyCache(*this, getCache(), "cache", fresh[0], fresh[2], fresh[3], format,
                         getPanels() ? ::whit::CacheOrder::Panel : ::whit::CacheOrder::Rows)))
    return failure();
  if (!getPast())
    return success();
  return verifyCache(*this, getPast(), "past", fresh[0], fresh[2], fresh[3]);
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyRank(*this, getQ(), "q", 4)) || failed(verifyRank(*this, getY(), "y", 4)) ||
      failed(verifyRank(*this, getV(), "v", 4)) || failed(verifyRank(*this, getStart(), "start", 1)))
    return failure();
  ArrayRef<int64_t> q = shapeOf(getQ());
  for (int64_t i = 0; i < 4; ++i)
    if (failed(verifyDim(*this, getY(), "y", i, q[i])))
      return failure();
  int64_t kvHeads = shapeOf(getV())[1];
  FormatAttr keys = getKeyFormatAttr(), values = getValueFormatAttr();
  if (failed(verifyCacheFormat(*this, keys, q[3], getHadamard())) ||
      failed(verifyCacheFormat(*this, values, q[3], false)) ||
      failed(verifyCache(*this, getK(), "k", q[0], kvHeads, q[3], keys, ::whit::CacheOrder::Panel)) ||
      failed(verifyCache(*this, getV(), "v", q[0], kvHeads, q[3], values, ::whit::CacheOrder::Rows)) ||
      failed(verifyDim(*this, getStart(), "start", 0, q[0])))
    return failure();
  if (ShapedType::isDynamic(q[2]) || ShapedType::isDynamic(kvHeads) || q[2] % kvHeads)
    return emitOpError() << "q has " << q[2] << " heads and v has " << kvHeads
                         << "; both must be static and the first a multiple of the second";
  if (Value mask = getMask()) {
    if (failed(verifyRank(*this, mask, "mask", 4)))
      return failure();
    const int64_t sizes[] = {q[0], q[2], q[1]};
    for (auto [dim, wanted] : llvm::enumerate(sizes))
      if (!maskIsShared(dim) && failed(verifyDim(*this, mask, "mask", dim, wanted)))
        return failure();
    int64_t masked = shapeOf(mask)[3], tokens = shapeOf(getV())[2];
    if (getElementTypeOrSelf(getV().getType()).isInteger(8) && !ShapedType::isDynamic(tokens))
      tokens *= ::whit::kBlockTokens;
    if (!ShapedType::isDynamic(masked) && !ShapedType::isDynamic(tokens) && masked > tokens)
      return emitOpError() << "mask has size " << masked << " in dimension 3; v has " << tokens
                           << " tokens, and it must have no more than those";
  }
  if (int64_t(getWindow()) < 0) // the accessor is unsigned
    return emitOpError() << "window is " << int64_t(getWindow()) << "; it must be 0 (unlimited) or positive";
  return success();
}

LogicalResult DotOp::verify() {
  auto acc = cast<VectorType>(getAcc().getType());
  bool isFloat = acc.getElementType().isF32();
  int64_t lanes = acc.getNumElements(), each = isFloat ? 2 : 4;
  for (auto [name, operand] : {std::pair<StringRef, Value>{"u", getU()}, {"s", getS()}}) {
    auto type = cast<VectorType>(operand.getType());
    if (type.getElementType().isBF16() != isFloat)
      return emitOpError() << name << " has elements of " << type.getElementType() << "; sums in "
                           << acc.getElementType() << " are of " << (isFloat ? "bf16" : "i8");
    if (type.getNumElements() != each * lanes)
      return emitOpError() << name << " has " << type.getNumElements() << " elements; it must have " << each
                           << " for each of the " << lanes << " lanes of acc";
  }
  return success();
}

LogicalResult LookupOp::verify() {
  auto codes = cast<VectorType>(getCodes().getType()), result = cast<VectorType>(getType());
  auto table = cast<ShapedType>(getTable().getType());
  if (codes.getElementType().isInteger(8) != result.getElementType().isInteger(8))
    return emitOpError() << "codes have type " << codes << " and the result " << result
                         << "; bytes are looked up by bytes and f32 by i32";
  if (codes.getNumElements() != result.getNumElements())
    return emitOpError() << "codes have " << codes.getNumElements() << " lanes; the result has "
                         << result.getNumElements();
  if (table.getRank() != 1 || table.getElementType() != result.getElementType() ||
      !llvm::isPowerOf2_64(table.getNumElements()))
    return emitOpError() << "table has type " << table << "; it must be a tensor of 2^b " << result.getElementType();
  return success();
}
