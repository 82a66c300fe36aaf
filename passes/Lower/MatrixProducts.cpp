// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the operands of matrix instructions are made of: how numbers of f32 become bf16, and how sums of bytes become numbers.

#include "Lower/MatrixKernel.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

#include <numeric>

using namespace mlir;
using namespace mlir::whit;
using ::whit::ZeroKind;

// ---------------------------------------------------------------------------------------------------- loads

/// Bytes to which the rows of `memref` are known to be aligned, 16 at most: by its strides, and by where it was cut from what.
static int64_t rowAlignment(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t element = type.getElementTypeBitWidth() / 8, offset, known = 16;
  SmallVector<int64_t> strides;
  if (failed(type.getStridesAndOffset(strides, offset)))
    return element;
  auto meet = [&](int64_t elements) {
    known = std::gcd(known, ShapedType::isDynamic(elements) ? element : elements * element);
  };
  for (int64_t stride : ArrayRef(strides).drop_back())
    meet(stride);
  Operation *op = memref.getDefiningOp();
  if (!op || isa<memref::AllocOp, memref::GetGlobalOp>(op)) {
    meet(offset);
  } else if (auto view = dyn_cast<memref::SubViewOp>(op)) {
    SmallVector<int64_t> from;
    int64_t start;
    if (failed(view.getSourceType().getStridesAndOffset(from, start)))
      return element;
    known = std::gcd(known, rowAlignment(view.getSource()));
    for (auto [at, stride] : llvm::zip_equal(view.getStaticOffsets(), from))
      if (at != 0)
        meet(ShapedType::isDynamic(at) || ShapedType::isDynamic(stride) ? stride : at * stride);
  } else if (isa<memref::CollapseShapeOp, memref::ExpandShapeOp, memref::CastOp>(op)) {
    known = std::gcd(known, rowAlignment(op->getOperand(0)));
  } else {
    known = element;
  }
  return known;
}

SmallVector<Value> MatrixKernel::loadWords(Value memref, ValueRange at, int64_t count) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  int64_t each = element.getIntOrFloatBitWidth() / 8, bytes = count * each;
  int64_t width = std::max<int64_t>(4, std::gcd(bytes, 16)), known = std::gcd(width, rowAlignment(memref));
  SmallVector<Value> words;
  for (int64_t from = 0; from < bytes; from += width) {
    SmallVector<Value> here(at);
    here.back() = b.add(here.back(), from / each);
    Value loaded = vector::LoadOp::create(b, b.vectorOf(element, width / each), memref, here, /*nontemporal=*/false,
                                          llvm::MaybeAlign(known));
    loaded = vector::BitCastOp::create(b, b.vectorOf(b.getI32Type(), width / 4), loaded);
    for (int64_t i = 0; i < width / 4; ++i)
      words.push_back(vector::ExtractOp::create(b, loaded, i));
  }
  return words;
}

// ---------------------------------------------------------------------------------------------------- numbers

/// 128 as bf16, twice: with a number below 128 in its fraction it is that number more.
static constexpr int32_t kPairBase = 0x43004300;

FloatMatrixKernel::FloatMatrixKernel(LaneBuilder &b, const MatrixWork &work, int64_t splits, Value x, Value packed,
                                     Value y)
    : MatrixKernel(b, work, splits, packed, y), x(x),
      isBfloat(cast<MemRefType>(x.getType()).getElementType().isBF16()) {
  for (size_t term = 0; term < encoding.terms.size(); ++term)
    weightParts.push_back(bfloatPartsOf(encoding, term));
}

void FloatMatrixKernel::open(PanelDecoder &decoder, Column &column, const Position &at) {
  if (encoding.isPlain())
    return;
  column.zero = decoder.open(at.source.panel, at.source.group);
  column.scale = column.minimum = column.pairZero = Value();
  if (decodesPairs(at.term)) {
    KernelBuilder &k = column.builder;
    Value zeros = encoding.zero == ZeroKind::Integer && at.term == 0
                      ? decoder.integerZeros(at.source.panel, at.source.group)
                      : k.splat(at.term == 0 ? int32_t(encoding.constant) : 0);
    zeros = arith::MulIOp::create(b, k.bitOr(zeros, k.splat(kPairBase & 0xffff)), k.splat(0x00010001));
    column.pairZero = arith::XOrIOp::create(b, zeros, k.splat(int32_t(0x80008000)));
  }
  if (isMinimum(at.term)) {
    column.scale = decoder.scales(at.source.panel, at.source.group);
    column.minimum = decoder.offsets(at.source.panel, at.source.group);
  }
}

bool FloatMatrixKernel::decodesPairs(size_t term) const {
  const ::whit::Codec &codec = encoding.terms[term].codec;
  if (!b.facts.isNvidia() || encoding.isPlain() || codec.kind != ::whit::CodecKind::Int || codec.bits > 7 ||
      codec.isSparse || isMinimum(term))
    return false;
  if (term > 0 || encoding.zero == ZeroKind::Integer)
    return true;
  float zero = encoding.constant;
  return encoding.zero == ZeroKind::Constant && zero == std::nearbyint(zero) && zero >= 0 && zero < 128;
}

SmallVector<Value> FloatMatrixKernel::decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines,
                                             int64_t quad, Value first, const Position &at) {
  KernelBuilder &k = column.builder;
  if (column.pairZero) {
    Type pair = b.vectorOf(b.getBF16Type(), 2), i32 = b.getI32Type();
    Value codes = scalarOf(decoder.codes(lines, quad)), base = b.i32(kPairBase | kPairBase >> 8);
    Value one = arith::ConstantOp::create(
        b, DenseElementsAttr::get(cast<VectorType>(pair), b.getFloatAttr(b.getBF16Type(), 1)));
    Value zero = vector::BitCastOp::create(b, pair, column.pairZero);
    SmallVector<Value> words;
    for (int32_t order : {0x4140, 0x4342}) {
      Value word = LLVM::CallIntrinsicOp::create(b, i32, b.getStringAttr("llvm.nvvm.prmt"),
                                                 ValueRange{codes, base, b.i32(order)})
                       .getResult(0);
      Value numbers = vector::BitCastOp::create(b, pair, vector::BroadcastOp::create(b, b.vectorOf(i32, 1), word));
      numbers = math::FmaOp::create(b, numbers, one, zero);
      words.push_back(scalarOf(vector::BitCastOp::create(b, b.vectorOf(i32, 1), numbers)));
    }
    return words;
  }
  auto number = [&](int64_t i) -> Value {
    if (!encoding.isPlain()) {
      Value number = decoder.number(lines, 4 * quad + i, column.zero);
      return scalarOf(column.minimum ? k.multiplyAdd(number, column.scale, column.minimum) : number);
    }
    // Stored in runs of a column; the last group of four may have fewer.
    ::whit::ScaleType type = encoding.scaleType();
    int64_t run = place.run, each = ::whit::scaleBytes(type);
    Value element = b.add(first, i), last = b.index(place.k - 1), clamped = b.min(element, last);
    Value offset =
        b.add(b.mul(b.div(clamped, run), ::whit::kPanelColumns * run * each), b.mul(b.rem(clamped, run), each));
    Value stored;
    if (run == 1) {
      stored = scalarOf(decoder.storedFloats(type, at.source.panel, offset));
    } else {
      offset = b.add(offset, b.mul(k.column, run * each));
      Value half = b.load(at.source.packed, {at.source.panel, offset}, nullptr, each);
      half = vector::BitCastOp::create(b, b.vectorOf(b.getBF16Type(), 1), half);
      stored = k.widen(scalarOf(half));
    }
    if (place.k % 4 == 0)
      return stored;
    return b.select(b.cmp(arith::CmpIPredicate::sle, element, last), stored, b.f32(0.0f));
  };
  Value numbers[4];
  for (int64_t i = 0; i < 4; ++i)
    numbers[i] = number(i);
  int64_t count = parts(at.term);
  SmallVector<Value> low = cutPair(b, numbers[0], numbers[1], count), high = cutPair(b, numbers[2], numbers[3], count),
                     words;
  for (int64_t part = 0; part < count; ++part)
    words.append({low[part], high[part]});
  return words;
}

int64_t FloatMatrixKernel::activationElements() const {
  int64_t group = encoding.isPlain() ? place.k : place.group;
  return place.k % group == 0 ? group : 1; // the last group is shorter
}

MatrixKernel::Words FloatMatrixKernel::activations(const Position &at, int64_t tile, Value first, int64_t count) {
  auto [token, isToken] = inside(at, operandToken(at, tile));
  int64_t group = encoding.isPlain() ? place.k : place.group;
  Value from = b.add(b.mul(at.group, group), first);
  Words words(activationParts());
  if (at.isWhole && isBfloat) {
    for (Value pair : loadWords(x, {token, from}, count))
      words.front().push_back(orZero(isToken, pair, b.i32(0)));
    return words;
  }
  SmallVector<Value> numbers;
  if (at.isWhole) {
    for (Value bits : loadWords(x, {token, from}, count))
      numbers.push_back(orZero(isToken, arith::BitcastOp::create(b, b.getF32Type(), bits), b.f32(0.0f)));
  } else {
    for (int64_t i = 0; i < count; ++i) {
      Value element = b.add(first, i), at = b.add(from, i);
      Value isInGroup = b.cmp(arith::CmpIPredicate::slt, element, b.index(group));
      Value isInRow = b.cmp(arith::CmpIPredicate::slt, at, b.index(place.k));
      Value exists = both(isToken, arith::AndIOp::create(b, isInGroup, isInRow));
      numbers.push_back(b.select(exists, b.widen(b.read(x, {token, b.min(at, b.index(place.k - 1))})), b.f32(0.0f)));
    }
  }
  for (int64_t i = 0; i < count; i += 2)
    for (auto [list, word] : llvm::zip_equal(words, cutPair(b, numbers[i], numbers[i + 1], activationParts())))
      list.push_back(word);
  return words;
}

SmallVector<Value> FloatMatrixKernel::flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) {
  SmallVector<Value> scales =
      ofSumColumns(at, [&](PanelDecoder &decoder) { return decoder.scales(at.source.panel, at.source.group); });
  for (auto [i, total] : llvm::enumerate(totals))
    total = b.fma(scales[sumColumnOf[i % unit.sums.size()]], sums[i], total);
  return totals;
}

// ---------------------------------------------------------------------------------------------------- bytes

void ByteMatrixKernel::open(PanelDecoder &decoder, Column &column, const Position &at) {
  column.zero = {};
  if (!carriers[at.term].table.empty() || encoding.terms[at.term].codec.isSparse)
    column.zero = decoder.open(at.source.panel, at.source.group);
}

SmallVector<Value> ByteMatrixKernel::decode(PanelDecoder &decoder, Column &column, const PanelDecoder::Unit &lines,
                                            int64_t quad, Value, const Position &at) {
  KernelBuilder &k = column.builder;
  Value word = scalarOf(k.bitcast(decoder.quad(lines, quad, column.zero, carriers[at.term]), k.ints()));
  if (unit.product == MatrixProduct::SignedBytes) // less 128
    word = arith::XOrIOp::create(b, word, b.i32(int32_t(0x80808080)));
  return {word};
}

MatrixKernel::Words ByteMatrixKernel::activations(const Position &at, int64_t tile, Value first, int64_t count) {
  auto [token, isToken] = inside(at, operandToken(at, tile));
  Value exists = isToken;
  if (!at.isWhole) { // a word of the last instruction
    Value last = b.index(place.paddedGroup - 4);
    exists = both(exists, b.cmp(arith::CmpIPredicate::sle, first, last));
    first = b.min(first, last);
  }
  Words words(1);
  for (Value four : loadWords(codes, {token, at.group, first}, count))
    words.front().push_back(orZero(exists, four, b.i32(0)));
  return words;
}

/// The scale of its activations, and their sum.
SmallVector<Value> ByteMatrixKernel::factorsOf(const Position &at, Value token) {
  Value scale = b.read(scales, {token, at.group});
  return {arith::BitcastOp::create(b, b.getI32Type(), scale), b.read(rowSums, {token, at.group})};
}

SmallVector<Value> ByteMatrixKernel::flush(const Position &at, SmallVector<Value> totals, ArrayRef<Value> sums) {
  const ::whit::IntegerCarrier &carrier = carriers[at.term];
  bool hasExactZeros = at.term == 0 && encoding.zero == ZeroKind::Integer && carriers.front().table.empty();
  bool isMinimum = at.term == 0 && encoding.zero == ZeroKind::Minimum;
  bool isZero = at.term == 0 && !isMinimum && encoding.zero != ZeroKind::Constant && !hasExactZeros;
  SmallVector<Value> weightScales, offsets, integerZeros;
  weightScales =
      ofSumColumns(at, [&](PanelDecoder &decoder) { return decoder.scales(at.source.panel, at.source.group); });
  for (Value &scale : weightScales)
    if (carrier.scale != 1 && !isZero)
      scale = b.mulf(scale, b.f32(carrier.scale));
  if (isMinimum || isZero)
    offsets =
        ofSumColumns(at, [&](PanelDecoder &decoder) { return decoder.offsets(at.source.panel, at.source.group); });
  if (hasExactZeros)
    integerZeros =
        ofSumColumns(at, [&](PanelDecoder &decoder) { return decoder.integerZeros(at.source.panel, at.source.group); });
  size_t each = unit.sums.size();
  Type f32 = b.getF32Type();
  for (auto [i, total] : llvm::enumerate(totals)) {
    int64_t column = sumColumnOf[i % each];
    SmallVector<Value> factors;
    if (copiedFactors) {
      Value row = b.add(firstSumToken, int64_t(i / each) * unit.tokens + unit.sums[i % each].other);
      for (int64_t word = 0; word < 2; ++word)
        factors.push_back(b.read(copiedFactors, {copiedGroup, row, b.index(word)}));
    } else {
      factors = factorsOf(at, inside(at, sumToken(at, int64_t(i / each), int64_t(i % each))).first);
    }
    Value scaleX = arith::BitcastOp::create(b, f32, factors[0]), sumX = factors[1], dot = sums[i];
    // What is subtracted from all codes of a row, times the sum of its activations: exact in int32, as the sum itself is.
    int64_t bias = hasExactZeros ? 0 : -int64_t(carrier.offset);
    if (unit.product == MatrixProduct::SignedBytes)
      bias += 128;
    if (bias)
      dot = arith::AddIOp::create(b, dot, arith::MulIOp::create(b, sumX, b.i32(bias)));
    if (hasExactZeros)
      dot = arith::SubIOp::create(b, dot, arith::MulIOp::create(b, sumX, integerZeros[column]));
    Value sum = arith::SIToFPOp::create(b, f32, dot);
    Value sumOfX = isMinimum || isZero ? Value(arith::SIToFPOp::create(b, f32, sumX)) : Value();
    if (isMinimum) {
      total = b.addf(total, b.mulf(scaleX, b.addf(b.mulf(weightScales[column], sum), b.mulf(offsets[column], sumOfX))));
      continue;
    }
    if (isZero)
      sum = b.subf(carrier.scale == 1 ? sum : b.mulf(sum, b.f32(carrier.scale)), b.mulf(offsets[column], sumOfX));
    total = b.addf(total, b.mulf(b.mulf(scaleX, weightScales[column]), sum));
  }
  return totals;
}
