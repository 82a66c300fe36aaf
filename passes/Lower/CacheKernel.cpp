// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A row is quantized as runtime/encoding/Quantize.cpp does it, operation by operation, so that both give the same bytes. Planes are
// written and read with shifts that differ by lane, which is what an order of features without holes asks for.

#include "Lower/CacheKernel.h"

#include "runtime/encoding/CodeBook.h"
#include "runtime/encoding/Place.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;
using ::whit::CacheBlock;
using ::whit::CacheOrder;
using ::whit::RowPlane;
using ::whit::ZeroKind;

static constexpr int64_t kLanes = LaneBuilder::kLanes;

// ---------------------------------------------------------------------------------------------------- small things

/// Features of a row that one value holds: a vector, or one in each lane of a warp.
static int64_t featuresOf(LaneBuilder &b) { return b.threads ? b.facts.warpSize() : kLanes; }

static Value shuffle(LaneBuilder &b, Value x, ArrayRef<int64_t> lanes) {
  return vector::ShuffleOp::create(b, x, x, lanes);
}

/// shift(lane) in each lane.
static Value laneInts(LaneBuilder &b, int64_t lanes, function_ref<int64_t(int64_t)> of) {
  SmallVector<int32_t> values;
  for (int64_t i = 0; i < lanes; ++i)
    values.push_back(int32_t(of(i)));
  return arith::ConstantOp::create(b, b.getI32VectorAttr(values));
}

static Value shiftRight(LaneBuilder &b, Value x, Value by) { return arith::ShRUIOp::create(b, x, by); }
static Value shiftLeft(LaneBuilder &b, Value x, Value by) { return arith::ShLIOp::create(b, x, by); }
static Value bitOr(LaneBuilder &b, Value x, Value y) { return arith::OrIOp::create(b, x, y); }
static Value bitAnd(LaneBuilder &b, Value x, int64_t mask) {
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type)
    return arith::AndIOp::create(b, x, arith::ConstantOp::create(b, b.getIntegerAttr(x.getType(), mask)));
  return arith::AndIOp::create(b, x, b.splatInt(mask, type.getElementType(), type.getNumElements()));
}

static Type typeOf(LaneBuilder &b, ::whit::ScaleType scale) {
  return scale == ::whit::ScaleType::F32   ? Type(b.getF32Type())
         : scale == ::whit::ScaleType::F16 ? Type(b.getF16Type())
                                           : Type(b.getBF16Type());
}

/// The sum with the feature `distance` on, or in its place the difference, where features are those of lanes of a warp.
static Value butterfly(LaneBuilder &b, Value x, int64_t distance) {
  Value other = gpu::ShuffleOp::create(b, x, int32_t(distance), int32_t(b.facts.warpSize()), gpu::ShuffleMode::XOR)
                    .getShuffleResult();
  Value isLow = b.cmp(arith::CmpIPredicate::eq, b.rem(b.div(b.lane(), distance), 2), b.index(0));
  return b.select(isLow, b.addf(x, other), b.subf(other, x));
}

void mlir::whit::emitHadamard(LaneBuilder &b, SmallVectorImpl<Value> &row, int64_t depth) {
  int64_t width = featuresOf(b);
  for (int64_t distance = 1; distance < depth; distance *= 2) {
    if (distance >= width) {
      int64_t step = distance / width;
      for (int64_t i = 0, n = row.size(); i < n; ++i)
        if (!(i & step)) {
          Value x = row[i], y = row[i + step];
          row[i] = b.addf(x, y);
          row[i + step] = b.subf(x, y);
        }
      continue;
    }
    if (b.threads) {
      for (Value &x : row)
        x = butterfly(b, x, distance);
      continue;
    }
    SmallVector<int64_t> low, high;
    SmallVector<float> signs;
    for (int64_t i = 0; i < kLanes; ++i) {
      low.push_back(i & ~distance);
      high.push_back(i | distance);
      signs.push_back(i & distance ? -1.0f : 1.0f);
    }
    Value sign = arith::ConstantOp::create(b, b.getF32VectorAttr(signs));
    for (Value &x : row) // a product with 1 or -1 is exact: this is x + y and x - y
      x = b.addf(shuffle(b, x, low), b.mulf(shuffle(b, x, high), sign));
  }
  Value factor = b.splat(float(1 / std::sqrt(double(depth))));
  for (Value &x : row)
    x = b.mulf(x, factor);
}

// ---------------------------------------------------------------------------------------------------- quantizing

namespace {
/// A row of a token on its way into a cache.
class RowQuantizer {
public:
  RowQuantizer(LaneBuilder &b, CacheBlock block)
      : b(b), block(std::move(block)), book(this->block.encoding.codec(), this->block.encoding.constant) {}

  /// Scale, zero and codes of `row`, vectors of 16 features.
  void quantize(ArrayRef<Value> row);
  /// Writes them as token `token` of a block; `at` are the batch, the head and the block. Lanes of a warp exchange codes by `shared`, a
  /// row of bytes for each warp.
  void write(Value cache, ArrayRef<Value> at, Value token, Value shared);

private:
  float half() const { return float(1 << (block.encoding.bits() - 1)); }
  float levels() const { return float((1 << block.encoding.bits()) - 1); }
  Value rounded(Value x, ::whit::ScaleType type) { return b.widen(b.narrow(x, typeOf(b, type))); }
  Value largest(ArrayRef<Value> row, Value start);
  Value extremeOf(ArrayRef<Value> row);
  void solveRange(ArrayRef<Value> row);
  Value encode(Value x);
  void solveScale(ArrayRef<Value> row);
  Value nearestCode(Value quotient);
  void writePanel(Value cache, ArrayRef<Value> at, Value token);
  void writeRow(const RowPlane &plane, Value cache, ArrayRef<Value> at, Value token);
  void writeNumbers(Value cache, ArrayRef<Value> at, Value token);
  void writeNumber(Value number, int64_t offset, Value cache, ArrayRef<Value> at, Value token);
  void shareCodes(Value shared);
  void writePanelByLanes(Value cache, ArrayRef<Value> at, Value token, Value shared);
  void writeRowByLanes(const RowPlane &plane, Value cache, ArrayRef<Value> at, Value token, Value shared);
  /// Bits of a code that was shared, at their place in a byte.
  Value sharedField(Value shared, Value feature, int64_t shift, int64_t bits, Value at);
  int64_t padded() const { return llvm::alignTo(block.depth, kLanes); }
  Value fields(Value codes, const RowPlane &plane) {
    return bitAnd(b, shiftRight(b, codes, b.splatInt(plane.shift, b.getI32Type())), (1 << plane.bits) - 1);
  }

  LaneBuilder &b;
  CacheBlock block;
  ::whit::CodeBook book;
  Value scale, zero, divisor;
  SmallVector<Value> codes;
};
} // namespace

Value RowQuantizer::largest(ArrayRef<Value> row, Value start) {
  Value result = start;
  for (Value x : row)
    result = b.greater(x, result);
  return b.reduce(result, [&](Value x, Value y) { return b.greater(x, y); });
}

/// The signed element of largest magnitude, the first if several; 0 if all are.
Value RowQuantizer::extremeOf(ArrayRef<Value> row) {
  SmallVector<Value> magnitudes;
  for (Value x : row)
    magnitudes.push_back(b.greater(x, b.subf(b.splat(0.0f), x)));
  Value most = largest(magnitudes, b.splat(0.0f));
  // Where the first of them stands: the least index, then its value by a sum of which all other terms are 0.
  auto least = [&](Value x, Value y) { return Value(arith::MinSIOp::create(b, x, y)); };
  Value none = b.splatInt(std::numeric_limits<int32_t>::max(), b.getI32Type()), first = none;
  SmallVector<Value> places;
  for (auto [i, magnitude] : llvm::enumerate(magnitudes)) {
    places.push_back(b.threads ? b.toI32(b.add(b.lane(), int64_t(i) * featuresOf(b)))
                               : laneInts(b, kLanes, [&](int64_t lane) { return i * kLanes + lane; }));
    Value is = b.cmp(arith::CmpFPredicate::OEQ, magnitude, b.splat(most));
    first = least(first, b.select(is, places[i], none));
  }
  Value place = b.splat(b.reduce(first, least));
  Value found = b.splat(0.0f);
  for (auto [i, x] : llvm::enumerate(row))
    found = b.select(b.cmp(arith::CmpIPredicate::eq, places[i], place), x, found);
  Value extreme = b.sum(found);
  return b.select(b.cmp(arith::CmpFPredicate::OGT, most, b.f32(0.0f)), extreme, b.f32(0.0f));
}

/// Scale and zero from the least and the largest element and 0.
void RowQuantizer::solveRange(ArrayRef<Value> row) {
  Value none = b.f32(0.0f), top = largest(row, b.splat(0.0f)), bottom = b.splat(0.0f);
  for (Value x : row)
    bottom = b.lesser(x, bottom);
  bottom = b.reduce(bottom, [&](Value x, Value y) { return b.lesser(x, y); });
  scale = rounded(b.divf(b.subf(top, bottom), b.f32(levels())), block.scaleType);
  if (block.encoding.zero == ZeroKind::Minimum) {
    zero = rounded(bottom, block.zeroType);
    return;
  }
  Value isZero = b.cmp(arith::CmpFPredicate::OEQ, scale, none);
  Value quotient = b.divf(b.subf(none, bottom), b.select(isZero, b.f32(1.0f), scale));
  if (block.encoding.zero == ZeroKind::Integer) {
    quotient = b.greater(b.lesser(quotient, b.f32(levels())), none);
    quotient = arith::SIToFPOp::create(b, b.getF32Type(), b.toInt(quotient));
  } else {
    quotient = rounded(quotient, block.zeroType);
  }
  zero = b.select(isZero, none, quotient);
}

/// Of numbers without a zero: the element of largest magnitude meets the largest number.
void RowQuantizer::solveScale(ArrayRef<Value> row) {
  Value extreme = extremeOf(row), most = b.f32(book.extreme());
  if (book.highest() == -book.lowest())
    extreme = b.greater(extreme, b.subf(b.f32(0.0f), extreme));
  scale = rounded(b.divf(extreme, most), block.scaleType);
}

/// A search in halves: how many ceilings are below the quotient, then the code of the number that stands there.
Value RowQuantizer::nearestCode(Value quotient) {
  auto lookUp = [&](Value at, ArrayRef<float> numbers) -> Value {
    SmallVector<float> table(numbers);
    table.resize(llvm::PowerOf2Ceil(table.size()), std::numeric_limits<float>::infinity());
    auto type = RankedTensorType::get({int64_t(table.size())}, b.getF32Type());
    auto values = DenseElementsAttr::get(type, ArrayRef<float>(table));
    if (!b.threads)
      return LookupOp::create(b, b.vectorOf(b.getF32Type()), at, values);
    Value one = LookupOp::create(b, b.vectorOf(b.getF32Type(), 1), b.splat(at, 1), values);
    return vector::ExtractOp::create(b, one, 0);
  };
  Type i32 = b.getI32Type();
  Value at = b.splatInt(0, i32);
  for (int64_t step = int64_t(book.tree().size() + 1) / 2; step; step /= 2) {
    Value below = lookUp(b.add(at, b.splatInt(step - 1, i32)), book.tree());
    Value isAbove = b.cmp(arith::CmpFPredicate::OLT, below, quotient);
    at = b.add(at, b.select(isAbove, b.splatInt(step, i32), b.splatInt(0, i32)));
  }
  SmallVector<float> codes(book.ascendingCodes().begin(), book.ascendingCodes().end());
  bool isInOrder = llvm::all_of(llvm::enumerate(codes), [](auto code) { return float(code.index()) == code.value(); });
  return isInOrder ? at : b.toInt(lookUp(at, codes));
}

Value RowQuantizer::encode(Value x) {
  if (!block.hasIntegers())
    return nearestCode(b.divf(x, divisor));
  Value least = b.splat(0.0f), most = b.splat(levels()), code;
  switch (block.encoding.zero) {
  case ZeroKind::Constant:
    least = b.splat(-half());
    most = b.splat(levels() - half());
    code = b.divf(x, divisor);
    break;
  case ZeroKind::Integer:
    least = b.splat(b.subf(b.f32(0.0f), zero));
    most = b.splat(b.subf(b.f32(levels()), zero));
    code = b.divf(x, divisor);
    break;
  case ZeroKind::Float:
    code = b.addf(b.divf(x, divisor), b.splat(zero));
    break;
  case ZeroKind::Minimum:
    code = b.divf(b.subf(x, b.splat(zero)), divisor);
    break;
  }
  // What is no number becomes `most`: codes stay in range, the scale says the rest.
  Value integer = b.toInt(b.greater(b.lesser(code, most), least));
  if (block.encoding.zero == ZeroKind::Constant)
    return b.add(integer, b.splatInt(int64_t(half()), b.getI32Type()));
  if (block.encoding.zero == ZeroKind::Integer)
    return b.add(integer, b.splat(b.toInt(zero)));
  return integer;
}

void RowQuantizer::quantize(ArrayRef<Value> row) {
  if (!block.hasIntegers())
    solveScale(row);
  else if (block.encoding.zero == ZeroKind::Constant)
    scale = rounded(b.divf(extremeOf(row), b.f32(-half())), block.scaleType);
  else
    solveRange(row);
  // 0 for numbers, NaN if one of them is NaN or infinite: such a row decodes to NaN.
  Value nothing = b.splat(0.0f);
  for (Value x : row)
    nothing = b.addf(nothing, b.mulf(x, b.splat(0.0f)));
  Value isZero = b.cmp(arith::CmpFPredicate::OEQ, scale, b.f32(0.0f));
  divisor = b.splat(b.select(isZero, b.f32(std::numeric_limits<float>::infinity()), scale));
  Value isFinite = b.cmp(arith::CmpFPredicate::ORD, b.sum(nothing), b.f32(0.0f));
  scale = b.select(isFinite, scale, b.f32(std::numeric_limits<float>::quiet_NaN()));
  codes.clear();
  for (Value x : row)
    codes.push_back(encode(x));
}

// ---------------------------------------------------------------------------------------------------- writing

/// Four bytes of every line: the token's column.
void RowQuantizer::writePanel(Value cache, ArrayRef<Value> at, Value token) {
  ::whit::Place place = ::whit::solvePlace(block.encoding, ::whit::kBlockTokens, block.depth);
  const ::whit::TermPlace &term = place.terms.front();
  Value column = b.mul(token, 4);
  for (int64_t unit = 0, units = llvm::divideCeil(block.depth, term.unit.elements()); unit < units; ++unit)
    for (int64_t line = 0; line < term.unit.lines; ++line) {
      Value byte = b.splatInt(0, b.getI32Type(), 4);
      for (const ::whit::Field &field : term.unit.fields) {
        int64_t quad = unit * term.unit.quads + field.quad;
        if (field.line != line || quad >= int64_t(4 * codes.size()))
          continue;
        int64_t lane = quad % 4 * 4;
        Value four = shuffle(b, codes[quad / 4], {lane, lane + 1, lane + 2, lane + 3});
        four = shiftRight(b, four, b.splatInt(field.shift, b.getI32Type(), 4));
        four = bitAnd(b, four, (1 << field.bits) - 1);
        byte = bitOr(b, byte, shiftLeft(b, four, b.splatInt(field.at, b.getI32Type(), 4)));
      }
      SmallVector<Value> to(at);
      to.push_back(b.add(column, term.offset + unit * term.unit.bytes() + line * ::whit::kLineBytes));
      b.store(arith::TruncIOp::create(b, b.vectorOf(b.getI8Type(), 4), byte), cache, to, nullptr);
    }
}

/// Neighbours are joined until a lane is a byte.
void RowQuantizer::writeRow(const RowPlane &plane, Value cache, ArrayRef<Value> at, Value token) {
  Value row = b.add(b.mul(token, block.rowBytes), plane.offset);
  for (auto [i, code] : llvm::enumerate(codes)) {
    Value part = fields(code, plane);
    int64_t lanes = kLanes;
    for (int64_t width = plane.bits; width < 8; width *= 2, lanes /= 2) {
      SmallVector<int64_t> even, odd;
      for (int64_t lane = 0; lane < lanes; lane += 2) {
        even.push_back(lane);
        odd.push_back(lane + 1);
      }
      Value upper = shiftLeft(b, shuffle(b, part, odd), b.splatInt(width, b.getI32Type(), lanes / 2));
      part = bitOr(b, shuffle(b, part, even), upper);
    }
    SmallVector<Value> to(at);
    to.push_back(b.add(row, i * lanes));
    b.store(arith::TruncIOp::create(b, b.vectorOf(b.getI8Type(), lanes), part), cache, to, nullptr);
  }
}

/// A scale or a zero of the token.
void RowQuantizer::writeNumber(Value number, int64_t offset, Value cache, ArrayRef<Value> at, Value token) {
  int64_t size = number.getType().getIntOrFloatBitWidth() / 8;
  Value one = vector::BroadcastOp::create(b, b.vectorOf(number.getType(), 1), number);
  Value raw = vector::BitCastOp::create(b, b.vectorOf(b.getI8Type(), size), one);
  SmallVector<Value> to(at);
  to.push_back(b.add(b.mul(token, size), offset));
  b.store(raw, cache, to, nullptr);
}

/// Codes of the row, one byte each, where all lanes of the warp find them. Those past the last feature are codes of 0.
void RowQuantizer::shareCodes(Value shared) {
  Value warp = b.warp(), lane = b.lane();
  for (auto [i, code] : llvm::enumerate(codes)) {
    Value feature = b.add(lane, int64_t(i) * featuresOf(b));
    b.ifThen(b.cmp(arith::CmpIPredicate::slt, feature, b.index(padded())),
             [&] { b.write(arith::TruncIOp::create(b, b.getI8Type(), code), shared, {warp, feature}); });
  }
  b.warpSync();
}

Value RowQuantizer::sharedField(Value shared, Value feature, int64_t shift, int64_t bits, Value at) {
  Value code = arith::ExtUIOp::create(b, b.getI32Type(), b.read(shared, {b.warp(), feature}));
  code = bitAnd(b, shiftRight(b, code, b.i32(shift)), (int64_t(1) << bits) - 1);
  return shiftLeft(b, code, at);
}

/// A lane makes whole bytes: of the quads whose fields they hold, the element that stands in its byte.
void RowQuantizer::writePanelByLanes(Value cache, ArrayRef<Value> at, Value token, Value shared) {
  ::whit::Place place = ::whit::solvePlace(block.encoding, ::whit::kBlockTokens, block.depth);
  const ::whit::TermPlace &term = place.terms.front();
  int64_t units = llvm::divideCeil(block.depth, term.unit.elements());
  b.forLanes(b.index(4 * units), [&](Value i) {
    Value unit = b.div(i, 4), column = b.add(b.mul(token, 4), b.rem(i, 4));
    for (int64_t line = 0; line < term.unit.lines; ++line) {
      Value byte = b.i32(0);
      for (const ::whit::Field &field : term.unit.fields) {
        if (field.line != line)
          continue;
        Value feature = b.add(b.mul(b.add(b.mul(unit, term.unit.quads), field.quad), 4), b.rem(i, 4));
        Value exists = b.cmp(arith::CmpIPredicate::slt, feature, b.index(padded()));
        Value bits =
            sharedField(shared, b.min(feature, b.index(padded() - 1)), field.shift, field.bits, b.i32(field.at));
        byte = bitOr(b, byte, b.select(exists, bits, b.i32(0)));
      }
      SmallVector<Value> to(at);
      to.push_back(b.add(b.add(column, b.mul(unit, term.unit.bytes())), term.offset + line * ::whit::kLineBytes));
      b.write(arith::TruncIOp::create(b, b.getI8Type(), byte), cache, to);
    }
  });
}

void RowQuantizer::writeRowByLanes(const RowPlane &plane, Value cache, ArrayRef<Value> at, Value token, Value shared) {
  int64_t each = 8 / plane.bits; // codes of a byte
  b.forLanes(b.index(padded() / each), [&](Value i) {
    Value byte = b.i32(0);
    for (int64_t part = 0; part < each; ++part)
      byte = bitOr(b, byte,
                   sharedField(shared, b.add(b.mul(i, each), part), plane.shift, plane.bits, b.i32(part * plane.bits)));
    SmallVector<Value> to(at);
    to.push_back(b.add(b.add(b.mul(token, block.rowBytes), plane.offset), i));
    b.write(arith::TruncIOp::create(b, b.getI8Type(), byte), cache, to);
  });
}

void RowQuantizer::write(Value cache, ArrayRef<Value> at, Value token, Value shared) {
  if (!b.threads) {
    if (block.order == CacheOrder::Panel)
      writePanel(cache, at, token);
    for (const RowPlane &plane : block.planes)
      writeRow(plane, cache, at, token);
    return writeNumbers(cache, at, token);
  }
  shareCodes(shared);
  if (block.order == CacheOrder::Panel)
    writePanelByLanes(cache, at, token, shared);
  for (const RowPlane &plane : block.planes)
    writeRowByLanes(plane, cache, at, token, shared);
  b.ifThen(b.cmp(arith::CmpIPredicate::eq, b.lane(), b.index(0)), [&] { writeNumbers(cache, at, token); });
  b.warpSync(); // the next row takes its place
}

/// The scale of the token, and its zero or minimum.
void RowQuantizer::writeNumbers(Value cache, ArrayRef<Value> at, Value token) {
  writeNumber(b.narrow(scale, typeOf(b, block.scaleType)), block.scaleOffset, cache, at, token);
  if (block.encoding.zero == ZeroKind::Integer)
    writeNumber(arith::TruncIOp::create(b, b.getI8Type(), b.toInt(zero)), block.zeroOffset, cache, at, token);
  else if (block.encoding.zero != ZeroKind::Constant)
    writeNumber(b.narrow(zero, typeOf(b, block.zeroType)), block.zeroOffset, cache, at, token);
}

void mlir::whit::emitPackedAppend(LaneBuilder &b, CacheAppendOp op) {
  Value fresh = op.getNewTokens(), cache = op.getCache(), count = b.dim(fresh, 1);
  int64_t depth = cast<MemRefType>(fresh.getType()).getDimSize(3);
  CacheOrder order = op.getPanels() ? CacheOrder::Panel : CacheOrder::Rows;
  RowQuantizer quantizer(b, CacheBlock(op.getFormatAttr().getEncoding(), order, depth));
  auto append = [&](Value batch, Value head, Value s, Value token, Value shared) {
    SmallVector<Value> row;
    for (int64_t d = 0; d < depth; d += featuresOf(b)) {
      bool isWhole = d + featuresOf(b) <= depth;
      Value feature = b.threads ? b.add(b.lane(), d) : b.index(d), mask;
      if (!isWhole)
        mask = b.threads ? b.cmp(arith::CmpIPredicate::slt, feature, b.index(depth)) : b.maskOf(b.index(depth - d));
      row.push_back(b.load(fresh, {batch, s, head, feature}, mask));
    }
    if (op.getHadamard())
      emitHadamard(b, row, depth);
    quantizer.quantize(row);
    quantizer.write(cache, {batch, head, b.div(token, kLanes)}, b.rem(token, kLanes), shared);
  };
  if (b.threads) { // a warp for each row
    auto codes = MemRefType::get({b.warps(), int64_t(llvm::alignTo(depth, kLanes))}, b.getI8Type());
    Value shared = memref::AllocOp::create(b, codes);
    b.loops({b.dim(fresh, 0), count, b.dim(fresh, 2)}, [&](ValueRange at) {
      Value token = b.add(b.toIndex(b.read(op.getStart(), at[0])), at[1]);
      // Also of one that is negative.
      Value exists = b.cmp(arith::CmpIPredicate::ult, token, b.mul(b.dim(cache, 2), kLanes));
      b.ifThen(exists, [&] { append(at[0], at[2], at[1], token, shared); });
    });
    return;
  }
  b.loops({b.dim(fresh, 0), b.dim(fresh, 2)}, [&](ValueRange at) {
    Value batch = at[0], head = at[1], start = b.toIndex(b.read(op.getStart(), batch));
    Value first = b.max(b.index(0), b.sub(b.index(0), start));
    Value last = b.min(count, b.sub(b.mul(b.dim(cache, 2), kLanes), start));
    b.loop(first, last, [&](Value s) { append(batch, head, s, b.add(start, s), nullptr); });
  });
}

// ---------------------------------------------------------------------------------------------------- reading

/// One head of a cache, [BLOCKS, BYTES].
static Value headOf(LaneBuilder &b, Value cache, Value batch, Value head) {
  auto type = cast<MemRefType>(cache.getType());
  OpFoldResult one = b.getIndexAttr(1), blocks = b.getIndexAttr(type.getDimSize(2));
  if (type.isDynamicDim(2))
    blocks = b.dim(cache, 2);
  SmallVector<OpFoldResult> from{batch, head, b.getIndexAttr(0), b.getIndexAttr(0)};
  SmallVector<OpFoldResult> sizes{one, one, blocks, b.getIndexAttr(type.getDimSize(3))}, strides(4, one);
  auto result = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType({type.getDimSize(2), type.getDimSize(3)},
                                                                               type, from, sizes, strides));
  return memref::SubViewOp::create(b, result, cache, from, sizes, strides);
}

/// Tokens that nobody has written may hold any codes, and what they stand for is multiplied by 0. No row gets a code that is no
/// number, so that one may as well be read as the number that its bits would be.
static ::whit::Encoding readable(::whit::Encoding encoding) {
  ::whit::Codec &codec = encoding.terms.front().codec;
  codec.rule = ::whit::FloatRule::Finite;
  if (codec.kind == ::whit::CodecKind::Table)
    codec.values.resize(size_t(1) << codec.bits, 0.0f);
  return encoding;
}

PackedHead::PackedHead(LaneBuilder &b, FormatAttr format, CacheOrder order, int64_t depth, Value cache, Value batch,
                       Value head, Value column)
    : b(b), block(readable(format.getEncoding()), order, depth),
      place(::whit::solvePlace(format.getEncoding(), ::whit::kBlockTokens, depth)),
      kernel(column ? KernelBuilder(b, b.getLoc(), b.facts, column) : KernelBuilder(b, b.getLoc(), b.facts)),
      bytes(headOf(b, cache, batch, head)),
      decoder(kernel, block.encoding, place, /*term=*/0, bytes, /*prefetchDistance=*/0) {
  group.bias = decoder.biasOf(int32_t(block.encoding.constant));
}

Value PackedHead::scales(Value at) { return decoder.storedFloats(block.scaleType, at, b.index(block.scaleOffset)); }

Value PackedHead::offsets(Value at, Value scales) {
  if (block.encoding.zero == ZeroKind::Minimum)
    return decoder.storedFloats(block.zeroType, at, b.index(block.zeroOffset));
  Value zeros;
  if (block.encoding.zero == ZeroKind::Integer) {
    zeros = arith::UIToFPOp::create(b, kernel.floats(), kernel.loadColumns(bytes, at, b.index(block.zeroOffset), 1));
  } else {
    zeros = decoder.storedFloats(block.zeroType, at, b.index(block.zeroOffset));
  }
  return b.subf(kernel.splat(0.0f), b.mulf(scales, zeros));
}

PanelDecoder::Unit PackedHead::loadUnit(Value at, Value unit) { return decoder.loadUnit(at, b.index(0), unit, 0); }

std::pair<Value, Value> PackedHead::rowOf(Value token) {
  return {b.div(token, kLanes), b.mul(b.rem(token, kLanes), block.rowBytes)};
}

/// Sixteen fields of a plane, in the low bits of their lanes; what stands above them is masked off by the caller.
Value PackedHead::planeOf(const RowPlane &plane, std::pair<Value, Value> row, Value vector) {
  int64_t count = 2 * plane.bits;
  Value at = b.add(b.add(row.second, b.mul(vector, count)), plane.offset);
  Value raw = b.load(bytes, {row.first, at}, nullptr, count);
  Type i32 = b.getI32Type();
  if (plane.bits == 8)
    return arith::ExtUIOp::create(b, b.vectorOf(i32), raw);
  int64_t width = std::min<int64_t>(8 * count, 32), words = 8 * count / width; // 16 bits, or words of 32
  Value word = vector::BitCastOp::create(b, b.vectorOf(b.getIntegerType(width), words), raw);
  if (width < 32)
    word = arith::ExtUIOp::create(b, b.vectorOf(i32, words), word);
  SmallVector<int64_t> from;
  for (int64_t i = 0; i < kLanes; ++i)
    from.push_back(i * plane.bits / width);
  Value spread = shuffle(b, word, from);
  return shiftRight(b, spread, laneInts(b, kLanes, [&](int64_t i) { return i * plane.bits % width; }));
}

Value PackedHead::numbers(std::pair<Value, Value> row, Value vector) {
  Value code;
  for (const RowPlane &plane : block.planes) {
    Value part = planeOf(plane, row, vector);
    if (plane.bits < 8)
      part = bitAnd(b, part, (1 << plane.bits) - 1);
    if (plane.shift)
      part = shiftLeft(b, part, b.splatInt(plane.shift, b.getI32Type()));
    code = code ? bitOr(b, code, part) : part;
  }
  return numberOf(code);
}

Value PackedHead::number(std::pair<Value, Value> row, Value feature) {
  Type i32 = b.getI32Type();
  Value code;
  for (const RowPlane &plane : block.planes) {
    // No field of a plane leaves its byte.
    Value bit = b.mul(feature, plane.bits), at = b.add(b.add(row.second, b.div(bit, 8)), plane.offset);
    Value part = arith::ExtUIOp::create(b, i32, b.read(bytes, {row.first, at}));
    if (plane.bits < 8) {
      part = arith::ShRUIOp::create(b, part, b.toI32(b.rem(bit, 8)));
      part = arith::AndIOp::create(b, part, b.i32((1 << plane.bits) - 1));
    }
    if (plane.shift)
      part = arith::ShLIOp::create(b, part, b.i32(plane.shift));
    code = code ? Value(arith::OrIOp::create(b, code, part)) : part;
  }
  return numberOf(vector::BroadcastOp::create(b, b.vectorOf(i32, 1), code));
}

Value PackedHead::numberOf(Value code) {
  if (!block.hasIntegers())
    return CodeNumbers(b, b.getLoc(), b.facts).ofCodes(block.encoding.codec(), block.encoding.constant, code);
  // biasOf(zeros) sets the bits of a float whose integer value is the code; the bias takes them away again, exactly.
  return b.subf(decoder.biasOf(code), group.bias);
}
