// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels of quantize, quantize_float, dequantize, gather, rms_norm, layer_norm, softmax and rotary. One function per operation; what they share
// is in LaneBuilder. The reference for every format is runtime/encoding.

#include "Lower/CodeNumbers.h"
#include "Lower/LaneBuilder.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

#include <limits>

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERROWWISEPASS
#include "Lower/LowerRowwise.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// `at` and one more index.
static SmallVector<Value> with(ValueRange at, ArrayRef<Value> more) {
  SmallVector<Value> all(at);
  all.append(more.begin(), more.end());
  return all;
}

static SmallVector<Value> leadingSizes(LaneBuilder &b, Value memref, int64_t count) {
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < count; ++i)
    sizes.push_back(b.dim(memref, i));
  return sizes;
}

static int64_t rankOf(Value memref) { return cast<MemRefType>(memref.getType()).getRank(); }

// ---------------------------------------------------------------------------------------------------- quantize

static Value magnitude(LaneBuilder &b, Value x) { return math::AbsFOp::create(b, x); }

namespace {
/// What a number stands for, and what x is multiplied with instead of being divided: first by `raise`, which makes more of numbers
/// whose scale has no finite inverse.
struct Scale {
  Value value, raise, inverse;
};
} // namespace

/// The scale with which [begin, begin + count) of a row reaches `limit`. NaN in there makes it NaN, infinity infinite; codes stay
/// in range in any case.
static Scale scaleOf(LaneBuilder &b, Value x, ValueRange row, Value begin, Value count, float limit) {
  // Magnitudes are ordered as their bits are, NaN above all others.
  auto larger = [&](Value one, Value other) -> Value { return arith::MaxUIOp::create(b, one, other); };
  Value zeros = b.splatInt(0, b.getI32Type());
  Value largest = b.lanes(count, {zeros}, [&](Value at, Value mask, ValueRange carried) -> SmallVector<Value> {
    Value number = magnitude(b, b.load(x, with(row, {b.add(begin, at)}), mask));
    return {larger(carried[0], arith::BitcastOp::create(b, b.lanesOf(b.getI32Type()), number))};
  })[0];
  Value extreme = arith::BitcastOp::create(b, b.getF32Type(), b.reduce(largest, larger));
  Value scale = b.divf(extreme, b.f32(limit));
  Value isSmall = b.cmp(arith::CmpFPredicate::OLT, scale, b.f32(0x1p-64f));
  Value raise = b.select(isSmall, b.f32(0x1p100f), b.f32(1.0f));
  // Where all is zero, a finite inverse keeps it so.
  Value inverse = b.lesser(b.divf(b.f32(1.0f), b.mulf(scale, raise)), b.f32(std::numeric_limits<float>::max()));
  return {scale, b.splat(raise), b.splat(inverse)};
}

/// x in units of the scale. It can pass the limit only where the scale is subnormal.
static Value quotientOf(LaneBuilder &b, Value x, const Scale &scale, float limit) {
  Value quotient = b.mulf(b.mulf(x, scale.raise), scale.inverse);
  return b.greater(b.lesser(quotient, b.splat(limit)), b.splat(-limit));
}

/// The codes of one group: [begin, begin + count) of x, then zeros up to the padded size.
static void quantizeGroup(LaneBuilder &b, QuantizeOp op, ValueRange row, Value group, Value begin, Value count,
                          const Scale &scale) {
  b.write(scale.value, op.getScales(), with(row, {group}));
  auto encode = [&](Value x) { return b.toInt(quotientOf(b, x, scale, op.getLargestCode())); };
  Value codes = op.getCodes();
  Type i8 = b.getI8Type();
  Value padded = b.dim(codes, rankOf(codes) - 1);
  Value zeros = b.splatInt(0, b.getI32Type());
  Value sums = b.lanes(padded, {zeros}, [&](Value at, Value mask, ValueRange carried) -> SmallVector<Value> {
    std::optional<int64_t> knownCount = getConstantIntValue(count), knownAt = getConstantIntValue(at);
    bool inside =
        knownCount &&
        (*knownCount % LaneBuilder::kLanes == 0 || (knownAt && *knownAt + LaneBuilder::kLanes <= *knownCount)) &&
        getConstantIntValue(padded) == knownCount;
    Value loadMask = inside ? mask : b.maskOf(b.sub(count, at));
    Value x = b.load(op.getX(), with(row, {b.add(begin, at)}), loadMask);
    Value code = encode(x);
    b.store(arith::TruncIOp::create(b, b.lanesOf(i8), code), codes, with(row, {group, at}), mask);
    return {b.add(carried[0], code)};
  })[0];
  Value sum = b.reduce(sums, [&](Value a, Value c) { return b.add(a, c); });
  b.write(sum, op.getSums(), with(row, {group}));
}

static void lower(LaneBuilder &b, QuantizeOp op) {
  Value x = op.getX();
  int64_t rows = rankOf(x) - 1, group = op.getGroup();
  Value k = b.dim(x, rows), groups = b.dim(op.getScales(), rows);
  std::optional<int64_t> knownK = getConstantIntValue(k);
  float limit = op.getLargestCode();
  auto quantize = [&](ValueRange row, Value at, std::optional<Scale> scale) {
    Value begin = b.mul(at, group);
    Value count = knownK && *knownK % group == 0 ? b.index(group) : b.min(b.index(group), b.sub(k, begin));
    quantizeGroup(b, op, row, at, begin, count, scale ? *scale : scaleOf(b, x, row, begin, count, limit));
  };
  if (!op.getPerRow())
    return b.loops(with(leadingSizes(b, x, rows), {groups}),
                   [&](ValueRange at) { quantize(at.drop_back(), at.back(), std::nullopt); });
  b.loops(leadingSizes(b, x, rows), [&](ValueRange row) {
    Scale scale = scaleOf(b, x, row, b.index(0), k, limit);
    b.loop(b.index(0), groups, [&](Value at) { quantize(row, at, scale); });
  });
}

/// To nearest even: to 3 bits of fraction, and to a multiple of 2^-9 where a number is below 2^-6. |x| <= 448.
static Value roundToFloat8(LaneBuilder &b, Value x) {
  constexpr int32_t dropped = 23 - 3;
  Type i32 = b.getI32Type();
  auto constant = [&](int64_t value) { return b.splatInt(value, i32); };
  Value bits = arith::BitcastOp::create(b, b.lanesOf(i32), x);
  Value last = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, constant(dropped)), constant(1));
  Value nudged = b.add(bits, b.add(last, constant((1 << (dropped - 1)) - 1)));
  Value cut = arith::AndIOp::create(b, nudged, constant(-(int64_t(1) << dropped)));
  Value normal = arith::BitcastOp::create(b, b.lanesOf(b.getF32Type()), cut);
  // The last digit of a float next to this one is 2^-9.
  Value base = b.splat(0x1.8p14f), small = b.subf(b.addf(x, base), base);
  return b.select(b.cmp(arith::CmpFPredicate::OLT, magnitude(b, x), b.splat(0x1p-6f)), small, normal);
}

/// The bytes of floats that were rounded to 8 bits.
static Value bytesOfFloat8(LaneBuilder &b, Value rounded) {
  Type i32 = b.getI32Type();
  auto constant = [&](int64_t value) { return b.splatInt(value, i32); };
  Value bits = arith::BitcastOp::create(b, b.lanesOf(i32), rounded);
  Value sign = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, constant(24)), constant(0x80));
  Value above = arith::AndIOp::create(b, bits, constant(0x7fffffff));
  // Exponents are biased by 7 instead of 127. Below 2^-6 the fraction counts steps of 2^-9, which an addition puts into the last bits.
  Value normal = arith::SubIOp::create(b, arith::ShRUIOp::create(b, above, constant(20)), constant((127 - 7) << 3));
  Value shifted = b.addf(arith::BitcastOp::create(b, b.lanesOf(b.getF32Type()), above), b.splat(0x1p14f));
  Value small = arith::AndIOp::create(b, arith::BitcastOp::create(b, b.lanesOf(i32), shifted), constant(7));
  Value isSmall =
      arith::CmpIOp::create(b, arith::CmpIPredicate::ult, above, constant(llvm::bit_cast<int32_t>(0x1p-6f)));
  Value byte = arith::OrIOp::create(b, sign, arith::SelectOp::create(b, isSmall, small, normal));
  byte = arith::SelectOp::create(b, b.cmp(arith::CmpFPredicate::ORD, rounded, rounded), byte, constant(0x7f));
  byte = arith::TruncIOp::create(b, b.lanesOf(b.getI8Type()), byte);
  return arith::BitcastOp::create(b, b.lanesOf(b.getType<Float8E4M3FNType>()), byte);
}

static void lower(LaneBuilder &b, QuantizeFloatOp op) {
  Value x = op.getX();
  int64_t rows = rankOf(x) - 1;
  Value k = b.dim(x, rows);
  constexpr float limit = QuantizeFloatOp::kLargest;
  b.loops(leadingSizes(b, x, rows), [&](ValueRange row) {
    Scale scale = scaleOf(b, x, row, b.index(0), k, limit);
    b.write(scale.value, op.getScales(), row);
    b.lanes(k, [&](Value at, Value mask) {
      Value quotient = quotientOf(b, b.load(x, with(row, {at}), mask), scale, limit);
      Value rounded = roundToFloat8(b, quotient);
      if (cast<ShapedType>(op.getNumbers().getType()).getElementTypeBitWidth() == 8)
        b.store(bytesOfFloat8(b, rounded), op.getNumbers(), with(row, {at}), mask);
      else
        b.storeFloat(rounded, op.getNumbers(), with(row, {at}), mask);
    });
  });
}

// ---------------------------------------------------------------------------------------------------- decoding

namespace {
/// Decodes rows of a packed weight into rows of a memref of f32.
class RowDecoder {
public:
  RowDecoder(LaneBuilder &b, Value bytes, PlaceAttr place)
      : b(b), bytes(bytes), encoding(readPart(place.getFormat().getEncoding())),
        place(readPart(place.getFormat().getEncoding(), place.solve())) {}

  void decode(Value n, Value y, ValueRange at) {
    panel = b.div(n, ::whit::kPanelColumns);
    column = b.rem(n, ::whit::kPanelColumns);
    if (encoding.isPlain())
      return decodePlain(y, at);
    b.forLanes(b.index(place.groups), [&](Value group) { decodeGroup(group, y, at); });
  }

private:
  /// The stored number at a byte of the panel, as f32.
  Value number(::whit::ScaleType type, Value at) {
    int64_t size = ::whit::scaleBytes(type);
    Value raw = b.load(bytes, {panel, at}, nullptr, size);
    Value stored = vector::BitCastOp::create(b, b.vectorOf(b.getIntegerType(8 * size), 1), raw);
    stored = vector::ExtractOp::create(b, stored, 0);
    if (size < 4)
      stored = arith::ExtUIOp::create(b, b.getI32Type(), stored);
    return CodeNumbers(b, b.getLoc(), b.facts).ofFactor(type, stored);
  }

  /// Where the number of a factor for group `group` lies in the panel.
  Value byteOf(const ::whit::FactorPlace &factor, Value group) {
    Value start = b.index(factor.offset + (factor.span == 1 ? place.headerBytes : 0));
    if (factor.span == 1)
      start = b.add(start, b.mul(group, place.blockBytes));
    else if (factor.span < place.groups)
      start = b.add(start, b.mul(b.div(group, factor.span), ::whit::kPanelColumns * factor.bytes));
    return b.add(start, b.mul(column, factor.bytes));
  }

  /// The product of factors for a group, in four lanes.
  Value product(ArrayRef<::whit::Factor> factors, ArrayRef<::whit::FactorPlace> places, Value group) {
    Value product;
    for (auto [factor, at] : llvm::zip_equal(factors, places)) {
      Value value = number(factor.type, byteOf(at, group));
      product = product ? b.mulf(product, value) : value;
    }
    return b.splat(product, 4);
  }

  void decodePlain(Value y, ValueRange at) {
    ::whit::ScaleType type = encoding.scaleType();
    b.forLanes(b.index(place.k), [&](Value k) {
      Value position = b.add(b.mul(b.div(k, place.run), ::whit::kPanelColumns), column);
      Value stored = b.add(b.mul(position, place.run), b.rem(k, place.run));
      b.write(number(type, b.mul(stored, ::whit::scaleBytes(type))), y, with(at, {k}));
    });
  }

  /// Codes 4*quad .. 4*quad+3 of a unit of a term.
  Value codes(size_t term, Value group, Value unit, int64_t quad) {
    Type i32 = b.getI32Type();
    auto line = [&](int32_t index) -> Value {
      ::whit::LinePlace line = placeOfLine(place, term, index);
      Value at = b.add(b.add(b.mul(group, line.perBlock), b.mul(unit, line.perUnit)), line.offset);
      Value loaded = b.load(bytes, {panel, b.add(at, b.mul(column, 4))}, nullptr, 4);
      return arith::ExtUIOp::create(b, b.vectorOf(i32, 4), loaded);
    };
    const ::whit::CodeUnit &codeUnit = place.terms[term].unit;
    if (codeUnit.radix) {
      int64_t weight = 1;
      for (int64_t digit = 0; digit < quad; ++digit)
        weight *= codeUnit.radix;
      Value above = arith::DivUIOp::create(b, line(0), b.splatInt(weight, i32, 4));
      return arith::RemUIOp::create(b, above, b.splatInt(codeUnit.radix, i32, 4));
    }
    Value codes;
    for (const ::whit::Field &field : codeUnit.fields) {
      if (field.quad != quad)
        continue;
      Value bits = line(field.line);
      if (field.at)
        bits = arith::ShRUIOp::create(b, bits, b.splatInt(field.at, i32, 4));
      if (field.at + field.bits < 8)
        bits = arith::AndIOp::create(b, bits, b.splatInt((1 << field.bits) - 1, i32, 4));
      if (field.shift)
        bits = arith::ShLIOp::create(b, bits, b.splatInt(field.shift, i32, 4));
      codes = codes ? Value(arith::OrIOp::create(b, codes, bits)) : bits;
    }
    return codes;
  }

  /// Codes 4*quad .. 4*quad+3 of the line at byte `line`, each with its place in its block above it.
  Value vectorCodes(const ::whit::Codec &codec, Value line, int64_t quad) {
    int64_t fours = 32 / codec.bitsOfFour();
    Value holder = b.add(b.mul(b.div(column, codec.rows), codec.rows), quad / fours);
    Value word = b.load(bytes, {panel, b.add(line, b.mul(holder, 4))}, nullptr, 4);
    word = vector::BitCastOp::create(b, b.vectorOf(b.getI32Type(), 1), word);
    SmallVector<int32_t> shifts, places;
    for (int64_t j = 0; j < 4; ++j) {
      shifts.push_back(int32_t(quad % fours * codec.bitsOfFour() + j / codec.columns * codec.bits));
      places.push_back(codec.at(0, j));
    }
    VectorType ints = b.vectorOf(b.getI32Type(), 4);
    auto constant = [&](ArrayRef<int32_t> values) -> Value {
      return arith::ConstantOp::create(b, DenseElementsAttr::get(ints, values));
    };
    Value codes = b.splat(vector::ExtractOp::create(b, word, 0), 4);
    codes = arith::ShRUIOp::create(b, codes, constant(shifts));
    codes = arith::AndIOp::create(b, codes, b.splatInt((1 << codec.bits) - 1, b.getI32Type(), 4));
    Value row = b.toI32(b.mul(b.rem(column, codec.rows), int64_t(codec.at(1, 0)) * (codec.rows > 1)));
    return arith::OrIOp::create(b, arith::OrIOp::create(b, codes, constant(places)), b.splat(row, 4));
  }

  /// The codes of the four elements from `from` on, and which of them have one. `pairs` holds the two codes of these four and of
  /// those beside them.
  std::pair<Value, Value> keptCodes(Value pairs, int64_t half, Value keptLines, Value from) {
    Value line = b.mul(b.div(from, ::whit::kKeptPerLine), ::whit::kLineBytes);
    Value byte = b.add(b.div(b.rem(from, ::whit::kKeptPerLine), 8), b.mul(column, 4));
    Value stored = b.read(bytes, {panel, b.add(keptLines, b.add(line, byte))});
    Value bits = b.splat(arith::ExtUIOp::create(b, b.getI32Type(), stored), 4);
    VectorType ints = b.vectorOf(b.getI32Type(), 4);
    auto anyOf = [&](ArrayRef<int32_t> masks) -> Value {
      SmallVector<int32_t> shifted;
      for (int32_t mask : masks)
        shifted.push_back(mask << (4 * half));
      Value constant = arith::ConstantOp::create(b, DenseElementsAttr::get(ints, ArrayRef<int32_t>(shifted)));
      return b.cmp(arith::CmpIPredicate::ne, arith::AndIOp::create(b, bits, constant),
                   b.splatInt(0, b.getI32Type(), 4));
    };
    auto code = [&](int64_t which) { return b.splat(vector::ExtractOp::create(b, pairs, 2 * half + which), 4); };
    Value isLater = anyOf({0, 1, 3, 7}), kept = anyOf({1, 2, 4, 8});
    return {arith::SelectOp::create(b, isLater, code(1), code(0)), kept};
  }

  void decodeGroup(Value group, Value y, ValueRange at) {
    for (size_t term = 0; term < encoding.terms.size(); ++term)
      decodeTerm(term, group, y, at);
  }

  /// The order of operations is that of runtime/encoding, so the bits are too.
  void decodeTerm(size_t index, Value group, Value y, ValueRange at) {
    using ::whit::ZeroKind;
    const ::whit::Term &term = encoding.terms[index];
    const ::whit::TermPlace &termPlace = place.terms[index];
    Value begin = b.mul(group, place.group), block = b.add(b.mul(group, place.blockBytes), place.headerBytes);
    Value count =
        place.k % place.group == 0 ? b.index(place.group) : b.min(b.index(place.group), b.sub(b.index(place.k), begin));
    bool isLast = index + 1 == encoding.terms.size(), isMinimum = encoding.zero == ZeroKind::Minimum;
    Value scale = product(term.scale, termPlace.factors, group);
    Value offset = !encoding.offset.empty() && (isMinimum ? isLast : index == 0)
                       ? product(encoding.offset, place.offset, group)
                       : Value();
    float constant = index == 0 && encoding.zero == ZeroKind::Constant ? encoding.constant : 0;
    Value choice;
    if (termPlace.choice) {
      Value stored =
          arith::ExtUIOp::create(b, b.getI32Type(), b.read(bytes, {panel, byteOf(*termPlace.choice, group)}));
      choice = b.splat(arith::ShLIOp::create(b, stored, b.i32(term.codec.bits)), 4);
    }

    auto decode = [&](Value code, Value from, Value mask, Value kept) {
      if (choice)
        code = arith::OrIOp::create(b, code, choice);
      Value value = CodeNumbers(b, b.getLoc(), b.facts).ofCodes(term.codec, constant, code);
      if (offset && !isMinimum)
        value = b.subf(value, offset);
      value = b.mulf(scale, value);
      if (kept)
        value = arith::SelectOp::create(b, kept, value, b.splat(0.0f, 4));
      SmallVector<Value> to = with(at, {b.add(begin, from)});
      if (index > 0)
        value = b.addf(b.load(y, to, mask, 4), value);
      if (offset && isMinimum)
        value = b.addf(value, offset);
      b.store(value, y, to, mask);
    };
    const ::whit::CodeUnit &codeUnit = termPlace.unit;
    int64_t quads = termPlace.kept ? 2 * codeUnit.quads : codeUnit.quads, elements = 4 * quads;
    auto decodeQuad = [&](Value unit, int64_t quad, Value mask) {
      Value from = b.add(b.mul(unit, elements), 4 * quad);
      if (term.codec.kind == ::whit::CodecKind::Vector) {
        Value line = b.add(b.add(block, termPlace.offset), b.mul(unit, codeUnit.bytes()));
        return decode(vectorCodes(term.codec, line, quad), from, mask, nullptr);
      }
      if (!termPlace.kept)
        return decode(codes(index, group, unit, quad), from, mask, nullptr);
      auto [code, kept] = keptCodes(codes(index, group, unit, quad / 2), quad % 2, b.add(block, *termPlace.kept), from);
      decode(code, from, mask, kept);
    };
    Value whole = b.div(count, elements), rest = b.rem(count, elements);
    b.loop(b.index(0), whole, [&](Value unit) {
      for (int64_t quad = 0; quad < quads; ++quad)
        decodeQuad(unit, quad, nullptr);
    });
    for (int64_t quad = 0; quad < quads; ++quad) {
      auto masked = [&] { decodeQuad(whole, quad, b.maskOf(b.sub(rest, b.index(4 * quad)), 4)); };
      if (auto known = getConstantIntValue(rest)) {
        if (*known > 4 * quad)
          masked();
      } else {
        b.ifThen(b.cmp(arith::CmpIPredicate::slt, b.index(4 * quad), rest), masked);
      }
    }
  }

  LaneBuilder &b;
  Value bytes;
  ::whit::Encoding encoding;
  ::whit::Place place;
  Value panel, column;
};
} // namespace

static void lower(LaneBuilder &b, DequantizeOp op) {
  RowDecoder decoder(b, op.getW(), *op.getPlace());
  b.loops({b.dim(op.getY(), 0)}, [&](ValueRange n) { decoder.decode(n[0], op.getY(), n); });
}

static void lower(LaneBuilder &b, GatherOp op) {
  Value table = op.getTable(), y = op.getY();
  int64_t rows = rankOf(op.getIndices());
  Value n = op.getPlace() ? b.index(op.getPlace()->getN()) : b.dim(table, 0);
  b.loops(leadingSizes(b, op.getIndices(), rows), [&](ValueRange at) {
    Value row = b.toIndex(b.read(op.getIndices(), at));
    Value negative = b.cmp(arith::CmpIPredicate::slt, row, b.index(0));
    row = b.select(negative, b.add(row, n), row);
    auto decode = [&] {
      if (op.getPlace())
        return RowDecoder(b, table, *op.getPlace()).decode(row, y, at);
      b.lanes(b.dim(y, rows),
              [&](Value k, Value mask) { b.storeFloat(b.loadFloat(table, {row, k}, mask), y, with(at, {k}), mask); });
    };
    auto clear = [&] {
      b.lanes(b.dim(y, rows), [&](Value k, Value mask) { b.store(b.splat(0.0f), y, with(at, {k}), mask); });
    };
    b.ifThen(b.cmp(arith::CmpIPredicate::ult, row, n), decode, clear);
  });
}

// ---------------------------------------------------------------------------------------------------- norms

/// The sum over a row of f(x), f masked to 0 past the end.
static Value sumOver(LaneBuilder &b, Value x, ValueRange row, Value size, function_ref<Value(Value x, Value mask)> f) {
  Value partial = b.lanes(size, {b.splat(0.0f)}, [&](Value k, Value mask, ValueRange carried) -> SmallVector<Value> {
    return {b.addf(carried[0], f(b.load(x, with(row, {k}), mask), mask))};
  })[0];
  return b.sum(partial);
}

static Value toFloat(LaneBuilder &b, Value size) {
  return b.createOrFold<arith::SIToFPOp>(b.getF32Type(), b.toI32(size));
}

/// 1 / sqrt(sum / count + epsilon)
static Value inverseRoot(LaneBuilder &b, Value sum, Value count, APFloat epsilon) {
  Value shifted = b.addf(b.divf(sum, count), b.f32(epsilon.convertToFloat()));
  return b.splat(b.divf(b.f32(1.0f), math::SqrtOp::create(b, shifted)));
}

static void lower(LaneBuilder &b, RmsNormOp op) {
  Value x = op.getX();
  int64_t rows = rankOf(x) - 1;
  Value size = b.dim(x, rows), count = toFloat(b, size);
  b.loops(leadingSizes(b, x, rows), [&](ValueRange row) {
    Value squares = sumOver(b, x, row, size, [&](Value v, Value) { return b.mulf(v, v); });
    Value root = inverseRoot(b, squares, count, op.getEpsilon());
    b.lanes(size, [&](Value k, Value mask) {
      Value scaled = b.mulf(b.load(x, with(row, {k}), mask), root);
      b.store(b.mulf(scaled, b.load(op.getWeight(), k, mask)), op.getY(), with(row, {k}), mask);
    });
  });
}

static void lower(LaneBuilder &b, LayerNormOp op) {
  Value x = op.getX();
  int64_t rows = rankOf(x) - 1;
  Value size = b.dim(x, rows), count = toFloat(b, size);
  b.loops(leadingSizes(b, x, rows), [&](ValueRange row) {
    Value mean = b.splat(b.divf(sumOver(b, x, row, size, [](Value v, Value) { return v; }), count));
    Value squares = sumOver(b, x, row, size, [&](Value v, Value mask) {
      Value difference = b.subf(v, mean);
      if (mask)
        difference = b.select(mask, difference, b.splat(0.0f));
      return b.mulf(difference, difference);
    });
    Value root = inverseRoot(b, squares, count, op.getEpsilon());
    b.lanes(size, [&](Value k, Value mask) {
      Value normalized = b.mulf(b.subf(b.load(x, with(row, {k}), mask), mean), root);
      Value scaled = b.mulf(normalized, b.load(op.getWeight(), k, mask));
      b.store(b.addf(scaled, b.load(op.getBias(), k, mask)), op.getY(), with(row, {k}), mask);
    });
  });
}

// ---------------------------------------------------------------------------------------------------- softmax

/// Three passes over a row: its maximum, the exponentials and their sum, the quotients. x and y may be one buffer.
static void lower(LaneBuilder &b, SoftmaxOp op) {
  Value x = op.getX(), y = op.getY(), nothing = b.splat(-std::numeric_limits<float>::infinity());
  int64_t rows = rankOf(x) - 1;
  Value size = b.dim(x, rows);
  b.loops(leadingSizes(b, x, rows), [&](ValueRange row) {
    // A NaN is no maximum, and comes back as soon as the maximum is subtracted from it.
    Value partial = b.lanes(size, {nothing}, [&](Value k, Value mask, ValueRange carried) -> SmallVector<Value> {
      Value value = b.load(x, with(row, {k}), mask);
      return {b.greater(mask ? b.select(mask, value, nothing) : value, carried[0])};
    })[0];
    Value largest = b.splat(b.reduce(partial, [&](Value a, Value c) { return b.greater(a, c); }));
    Value sums = b.lanes(size, {b.splat(0.0f)}, [&](Value k, Value mask, ValueRange carried) -> SmallVector<Value> {
      Value value = b.exp(b.subf(b.load(x, with(row, {k}), mask), largest));
      b.store(value, y, with(row, {k}), mask);
      return {b.addf(carried[0], mask ? b.select(mask, value, b.splat(0.0f)) : value)};
    })[0];
    Value scale = b.splat(b.divf(b.f32(1.0f), b.sum(sums)));
    b.lanes(size, [&](Value k, Value mask) {
      b.store(b.mulf(b.load(y, with(row, {k}), mask), scale), y, with(row, {k}), mask);
    });
  });
}

// ---------------------------------------------------------------------------------------------------- rotary

static void lower(LaneBuilder &b, RotaryOp op) {
  Value x = op.getX(), y = op.getY();
  int64_t half = cast<MemRefType>(x.getType()).getDimSize(3) / 2;
  Value last = b.sub(b.dim(op.getCos(), 0), b.index(1));
  b.loops({b.dim(x, 0), b.dim(x, 1)}, [&](ValueRange at) {
    Value position = b.add(b.add(b.toIndex(b.read(op.getStart(), at[0])), op.getFirst()), at[1]);
    position = b.min(b.max(position, b.index(0)), last);
    b.loop(b.index(0), b.dim(x, 2), [&](Value head) {
      b.lanes(b.index(half), [&](Value i, Value mask) {
        auto element = [&](Value d) -> SmallVector<Value> { return {at[0], at[1], head, d}; };
        Value cosine = b.load(op.getCos(), {position, i}, mask), sine = b.load(op.getSin(), {position, i}, mask);
        auto rotate = [&](Value a, Value c) -> std::pair<Value, Value> {
          return {b.subf(b.mulf(a, cosine), b.mulf(c, sine)), b.addf(b.mulf(c, cosine), b.mulf(a, sine))};
        };
        if (!op.getInterleaved()) {
          Value second = b.add(i, half);
          auto [first, other] = rotate(b.load(x, element(i), mask), b.load(x, element(second), mask));
          b.store(first, y, element(i), mask);
          b.store(other, y, element(second), mask);
          return;
        }
        Value both = b.mul(i, 2);
        if (b.threads) {
          auto [first, other] = rotate(b.read(x, element(both)), b.read(x, element(b.add(both, 1))));
          b.write(first, y, element(both));
          b.write(other, y, element(b.add(both, 1)));
          return;
        }
        Value pairMask = mask ? b.maskOf(b.index(2 * (half % LaneBuilder::kLanes)), 2 * LaneBuilder::kLanes) : Value();
        auto pairs = vector::DeinterleaveOp::create(b, b.load(x, element(both), pairMask, 2 * LaneBuilder::kLanes));
        auto [first, other] = rotate(pairs.getRes1(), pairs.getRes2());
        b.store(vector::InterleaveOp::create(b, first, other), y, element(both), pairMask);
      });
    });
  });
}

// ---------------------------------------------------------------------------------------------------- the pass

template <typename... Ops> static bool lowerOneOf(Operation *op) {
  auto tryOne = [&](auto tag) {
    using Op = typename decltype(tag)::type;
    auto one = dyn_cast<Op>(op);
    if (!one || !one.hasPureBufferSemantics())
      return false;
    LaneBuilder b(op);
    b.fused = false;
    lower(b, one);
    op->erase();
    return true;
  };
  return (tryOne(std::type_identity<Ops>{}) || ...);
}

namespace {
struct LowerRowwisePass : mlir::whit::impl::LowerRowwisePassBase<LowerRowwisePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops)
      lowerOneOf<QuantizeOp, QuantizeFloatOp, DequantizeOp, GatherOp, RmsNormOp, LayerNormOp, SoftmaxOp, RotaryOp>(op);
  }
};
} // namespace
