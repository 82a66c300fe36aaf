// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes come out four of a column at a time; a single one is a byte of them.

#include "Lower/DecodeCodes.h"

#include "Lower/DigitCodes.h"
#include "Lower/ExtractCodes.h"
#include "Lower/KeptCodes.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

using namespace mlir;
using namespace mlir::whit;
using ::whit::CodecKind;
using ::whit::ZeroKind;

/// A float between 2^23 and 2^24 has its integer value in its low mantissa bits.
static constexpr float kIntegerBase = 8388608.0f;
static constexpr int32_t kIntegerBaseBits = 0x4B000000;
/// Panels side by side that a prefetch distance is meant for.
static constexpr int64_t kStreams = 4;

PanelDecoder::PanelDecoder(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, size_t term,
                           Value packed, int64_t prefetchDistance)
    : k(k), encoding(encoding), place(place), index(term), packed(packed), prefetchDistance(prefetchDistance) {
  bool isWhole = encoding.zero != ZeroKind::Constant || encoding.constant == std::nearbyint(encoding.constant);
  biased = this->term().codec.kind == CodecKind::Int &&
           (index > 0 || (isWhole && std::fabs(encoding.constant) < kIntegerBase / 2));
  if (encoding.isPlain())
    return;
  quads = quadsOf(place.terms[index]);
  if (place.terms[index].kept) {
    codeUnits = quads / (2 * place.terms[index].unit.quads);
    keptLines = 4 * quads / ::whit::kKeptPerLine;
  }
}

int64_t PanelDecoder::quadsOf(const ::whit::TermPlace &term) {
  int64_t quads = term.unit.quads;
  return term.kept ? quads * 2 * std::max<int64_t>(1, ::whit::kKeptPerLine / (8 * quads)) : quads;
}

int64_t PanelDecoder::valuesOf(const ::whit::Term &term, const ::whit::TermPlace &place) {
  if (place.unit.radix)
    return quadsOf(place);
  if (place.kept)
    return quadsOf(place) / (2 * place.unit.quads) * place.unit.lines + 4 * quadsOf(place) / ::whit::kKeptPerLine;
  return term.codec.kind == CodecKind::Vector ? term.codec.rows : place.unit.lines;
}

void PanelDecoder::prefetch(Value panel, Value offset) {
  if (prefetchDistance)
    memref::PrefetchOp::create(k.b, k.loc, packed,
                               ValueRange{panel, k.plus(offset, ahead ? ahead : k.index(prefetchDistance))},
                               /*isWrite=*/false, /*localityHint=*/3u, /*isDataCache=*/true);
}

void PanelDecoder::lookAhead(Value g, int64_t panels) {
  // One panel after the other is one stream: as many bytes are on their way as of four side by side.
  ahead = panels == 1 ? k.index(kStreams * prefetchDistance) : Value();
  int64_t groups = llvm::divideCeil(prefetchDistance, std::max<int64_t>(place.blockBytes, 1));
  if (!prefetchDistance || panels == 1 || groups >= place.groups)
    return;
  Value within = arith::CmpIOp::create(k.b, k.loc, arith::CmpIPredicate::slt, g, k.index(place.groups - groups));
  ahead = arith::SelectOp::create(k.b, k.loc, within, k.index(prefetchDistance),
                                  k.index(prefetchDistance + (panels - 1) * place.panelBytes));
}

Value PanelDecoder::loadLine(Value panel, Value at) {
  Value loaded = k.loadColumns(packed, panel, at, 4);
  prefetch(panel, at);
  return k.bitcast(loaded, k.ints());
}

PanelDecoder::Unit PanelDecoder::loadUnit(Value panel, Value g, Value first, int64_t unit) {
  const ::whit::TermPlace &term = place.terms[index];
  Unit result;
  if (!term.planes.empty()) {
    for (int32_t line = 0; line < term.unit.lines; ++line) {
      ::whit::LinePlace at = placeOfLine(place, index, line);
      Value begin = k.plus(k.times(g, at.perBlock), k.times(first, at.perUnit));
      result.push_back(loadLine(panel, k.plus(begin, at.offset + unit * at.perUnit)));
    }
    return result;
  }
  Value block = blockOf(g);
  if (const ::whit::Codec &codec = this->term().codec; k.column && codec.kind == CodecKind::Vector) {
    // The columns whose rows share codes hold one part of them each.
    Value at = k.plus(block, k.times(k.plus(first, unit), term.unit.bytes()));
    Value own = k.column, shared = k.roundDown(own, codec.rows);
    for (int64_t part = 0; part < codec.rows; ++part) {
      k.column = k.plus(shared, part);
      result.push_back(loadLine(panel, k.plus(at, term.offset)));
    }
    k.column = own;
    return result;
  }
  auto load = [&](int64_t lines, int64_t offset) {
    int64_t bytes = lines * ::whit::kLineBytes;
    Value begin = k.plus(k.plus(block, k.times(first, bytes)), offset + unit * bytes);
    for (int64_t line = 0; line < lines; ++line)
      result.push_back(loadLine(panel, k.plus(begin, line * ::whit::kLineBytes)));
  };
  load(codeUnits * term.unit.lines, term.offset);
  if (keptLines)
    load(keptLines, *term.kept);
  if (term.unit.radix)
    return digitsOf(k, result.front(), term.unit.radix, quads);
  return result;
}

Value PanelDecoder::codes(const Unit &unit, int64_t quad) {
  const ::whit::CodeUnit &codeUnit = place.terms[index].unit;
  if (codeUnit.radix)
    return unit[quad];
  if (!keptLines)
    return extractCodes(k, codeUnit, unit, quad, CodeUse::Number);
  ArrayRef<Value> lines = ArrayRef(unit).slice(quad / 2 / codeUnit.quads * codeUnit.lines, codeUnit.lines);
  return extractCodes(k, codeUnit, lines, quad / 2 % codeUnit.quads, CodeUse::Number);
}

Value PanelDecoder::vectorCodes(const Unit &unit, int64_t element, bool ofQuad) {
  const ::whit::Codec &codec = term().codec;
  int64_t fours = 32 / codec.bitsOfFour(), quad = element / 4;
  Value word = k.column ? unit[quad / fours] : unit.front();
  if (codec.rows > 1 && !k.column) {
    SmallVector<int64_t> columns;
    for (int64_t column = 0; column < KernelBuilder::kLanes; ++column)
      columns.push_back(column / codec.rows * codec.rows + quad / fours);
    word = vector::ShuffleOp::create(k.b, k.loc, word, word, columns);
  }
  int64_t bits = codec.bitsOfFour(), shift = quad % fours * bits;
  if (!ofQuad) {
    bits = codec.bits;
    shift += element % 4 / codec.columns * bits;
  }
  return k.bitAnd(k.shiftRight(word, int32_t(shift)), (1 << bits) - 1);
}

Value PanelDecoder::byColumn(int32_t first, int32_t step) {
  int64_t rows = term().codec.rows;
  if (k.column) {
    Value row = arith::IndexCastOp::create(k.b, k.loc, k.b.getI32Type(),
                                           k.b.createOrFold<arith::RemUIOp>(k.loc, k.column, k.index(rows)));
    Value scaled = arith::MulIOp::create(k.b, k.loc, k.broadcast(row), k.splat(step));
    return arith::AddIOp::create(k.b, k.loc, scaled, k.splat(first));
  }
  SmallVector<int32_t> values;
  for (int64_t column = 0; column < KernelBuilder::kLanes; ++column)
    values.push_back(first + int32_t(column % rows) * step);
  return arith::ConstantOp::create(k.b, k.loc, DenseElementsAttr::get(k.ints(), ArrayRef<int32_t>(values)));
}

Value PanelDecoder::keptOf(const Unit &unit, int64_t quad) {
  return ArrayRef(unit).take_back(keptLines)[4 * quad / ::whit::kKeptPerLine];
}

Value PanelDecoder::element(const Unit &unit, int64_t element) {
  // A code in one piece is taken out alone; what is in several pieces is put together for the whole quad.
  const ::whit::CodeUnit &lines = place.terms[index].unit;
  auto isPiece = [&](const ::whit::Field &field) { return field.quad == element / 4; };
  if (!keptLines && llvm::count_if(lines.fields, isPiece) == 1) {
    const ::whit::Field &field = *llvm::find_if(lines.fields, isPiece);
    int32_t from = int32_t(8 * (element % 4)) + field.at;
    Value code = from ? k.shiftRight(unit[field.line], from) : unit[field.line];
    return from + field.bits == 32 ? code : k.bitAnd(code, (1 << field.bits) - 1);
  }
  Value code = codes(unit, element / 4);
  if (keptLines)
    code = expandKept(k, code, keptOf(unit, element / 4), element / 4);
  if (element % 4)
    code = k.shiftRight(code, 8 * (element % 4));
  return element % 4 == 3 ? code : k.bitAnd(code, 0xff);
}

Value PanelDecoder::element(const Unit &unit, int64_t element, Value bias) {
  return k.sub(biasOf(this->element(unit, element)), bias);
}

Value PanelDecoder::biasOf(int32_t zero) { return k.splat(kIntegerBase + float(zero)); }

Value PanelDecoder::biasOf(Value zeros) { return k.bitcast(k.bitOr(zeros, k.splat(kIntegerBaseBits)), k.floats()); }

Value PanelDecoder::byteOf(const ::whit::FactorPlace &factor, Value g) {
  if (factor.span == 1)
    return k.plus(blockOf(g), factor.offset);
  if (factor.span >= place.groups)
    return k.index(factor.offset);
  Value block = k.b.createOrFold<arith::DivUIOp>(k.loc, g, k.index(factor.span));
  return k.plus(k.times(block, ::whit::kPanelColumns * factor.bytes), factor.offset);
}

Value PanelDecoder::storedBytes(Value panel, Value offset) {
  return arith::ExtUIOp::create(k.b, k.loc, k.ints(), k.loadColumns(packed, panel, offset, 1));
}

PanelDecoder::Group PanelDecoder::open(Value panel, Value g) {
  Group group;
  if (place.terms[index].choice)
    group.choice = k.shiftLeft(storedBytes(panel, byteOf(*place.terms[index].choice, g)), term().codec.bits);
  bool hasZero = index == 0 && encoding.zero != ZeroKind::Minimum;
  if (biased) {
    Value zeros = hasZero && encoding.zero == ZeroKind::Integer ? integerZeros(panel, g) : Value();
    if (zeros && keptLines)
      group.absent = arith::MulIOp::create(k.b, k.loc, zeros, k.splat(0x01010101));
    group.bias = zeros ? biasOf(zeros) : biasOf(hasZero ? int32_t(encoding.constant) : 0);
  }
  if (hasZero && (encoding.zero == ZeroKind::Float || (encoding.zero == ZeroKind::Integer && !biased)))
    group.zero = offsets(panel, g);
  return group;
}

Value PanelDecoder::quad(const Unit &unit, int64_t quad, const Group &group, const ::whit::IntegerCarrier &carrier) {
  VectorType bytes = k.lineBytes();
  if (term().codec.kind == CodecKind::Vector) {
    // The four bytes of all codes of a quad, for one column after another of those that share codes.
    const ::whit::Codec &codec = term().codec;
    int32_t each = 1 << codec.bitsOfFour();
    SmallVector<APFloat> fours;
    for (int64_t row = 0; row < codec.rows; ++row)
      for (int32_t index = 0; index < each; ++index) {
        uint32_t four = 0;
        for (int64_t j = 0; j < 4; ++j) {
          int32_t code = index >> (j / codec.columns * codec.bits) & ((1 << codec.bits) - 1);
          four |= uint32_t(carrier.table[code + codec.at(row, j)]) << (8 * j);
        }
        fours.push_back(APFloat(APFloat::IEEEsingle(), APInt(32, four)));
      }
    auto table = DenseElementsAttr::get(RankedTensorType::get({int64_t(fours.size())}, k.b.getF32Type()), fours);
    Value index = vectorCodes(unit, 4 * quad, /*ofQuad=*/true);
    if (codec.rows > 1)
      index = k.bitOr(index, byColumn(0, each));
    return k.bitcast(LookupOp::create(k.b, k.loc, k.floats(), index, table), bytes);
  }
  Value codes = this->codes(unit, quad);
  // An element without a code has to become the byte that stands for 0, which is not 0 where numbers may be negative: it is
  // taken from all bytes before they move, and given to all afterwards.
  Value absent = group.absent;
  if (keptLines && !absent && carrier.offset)
    absent = k.splat(int32_t(0x01010101u * uint32_t(carrier.offset)));
  auto exchange = [&](Value x) { return absent ? Value(arith::XOrIOp::create(k.b, k.loc, x, absent)) : x; };
  if (carrier.table.empty()) {
    if (keptLines)
      codes = exchange(codes);
  } else {
    if (group.choice)
      codes = k.bitOr(codes, arith::MulIOp::create(k.b, k.loc, group.choice, k.splat(0x01010101)));
    SmallVector<uint8_t> table(carrier.table.begin(), carrier.table.end());
    for (uint8_t &entry : table)
      entry ^= keptLines ? uint8_t(carrier.offset) : 0;
    auto entries = DenseElementsAttr::get(RankedTensorType::get({int64_t(table.size())}, k.b.getI8Type()),
                                          ArrayRef<uint8_t>(table));
    codes = LookupOp::create(k.b, k.loc, bytes, k.bitcast(codes, bytes), entries);
    if (keptLines)
      codes = k.bitcast(codes, k.ints());
  }
  if (keptLines)
    codes = exchange(expandKept(k, codes, keptOf(unit, quad), quad));
  return codes.getType() == bytes ? codes : k.bitcast(codes, bytes);
}

Value PanelDecoder::number(const Unit &unit, int64_t element, const Group &group) {
  Value number;
  if (const ::whit::Codec &codec = term().codec; codec.kind == CodecKind::Vector) {
    Value code = vectorCodes(unit, element, /*ofQuad=*/false);
    if (codec.rows * codec.columns > 1)
      code = k.bitOr(code, byColumn(codec.at(0, element), codec.at(1 % codec.rows, 0)));
    return CodeNumbers(k.b, k.loc, k.facts).ofCodes(codec, 0, code);
  }
  if (biased) {
    number = this->element(unit, element, group.bias);
  } else {
    Value code = this->element(unit, element);
    if (group.choice)
      code = k.bitOr(code, group.choice);
    bool hasConstant = index == 0 && encoding.zero == ZeroKind::Constant;
    number = CodeNumbers(k.b, k.loc, k.facts).ofCodes(term().codec, hasConstant ? encoding.constant : 0, code);
  }
  if (group.zero)
    number = k.sub(number, group.zero);
  return keptLines ? onlyKept(k, number, keptOf(unit, element / 4), element) : number;
}

Value PanelDecoder::storedFloats(::whit::ScaleType type, Value panel, Value offset) {
  int64_t each = ::whit::scaleBytes(type);
  Value stored = k.loadColumns(packed, panel, offset, each);
  if (each == 4)
    return k.bitcast(stored, k.floats());
  if (each == 2)
    stored = k.bitcast(stored, VectorType::get({k.lanes}, k.b.getI16Type()));
  return CodeNumbers(k.b, k.loc, k.facts).ofFactor(type, arith::ExtUIOp::create(k.b, k.loc, k.ints(), stored));
}

Value PanelDecoder::product(ArrayRef<::whit::Factor> factors, ArrayRef<::whit::FactorPlace> places, Value panel,
                            Value g) {
  Value product;
  for (auto [factor, at] : llvm::zip_equal(factors, places)) {
    Value numbers = storedFloats(factor.type, panel, byteOf(at, g));
    product = product ? k.mul(product, numbers) : numbers;
  }
  return product;
}

Value PanelDecoder::scales(Value panel, Value g) {
  // Blocks are no whole lines of the cache: without the one at its end, a third of the lines of 1-bit codes would be missed.
  const ::whit::FactorPlace &smallest = place.terms[index].factors.front();
  if (smallest.span == 1)
    prefetch(panel, byteOf(smallest, g));
  return product(term().scale, place.terms[index].factors, panel, g);
}

Value PanelDecoder::offsets(Value panel, Value g) { return product(encoding.offset, place.offset, panel, g); }

Value PanelDecoder::integerZeros(Value panel, Value g) { return storedBytes(panel, byteOf(place.offset.front(), g)); }
