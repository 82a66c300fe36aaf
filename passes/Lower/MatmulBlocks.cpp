// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The arithmetic of a matmul, one group of K at a time. With int8 activations the products of a group are summed exactly in
// int32 and flushed with multiplications and additions that are rounded one by one: the same bits on every target. With f32
// activations code - zero is exact and each product is added in ascending k; with bf16 ones the two of a pair change places,
// because vdpbf16ps adds the odd one first.

#include "Lower/MatmulBlocks.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;
using ::whit::ZeroKind;

/// Elements of K whose code is laid out without a loop. Of more, LLVM moves so many loads to the front that sums are spilled.
static constexpr int64_t kUnrolledDot = 32, kUnrolledFloat = 8;
/// Elements of groups that a core works on side by side, because none waits for the last one's sums.
static constexpr int64_t kShortGroup = 128;
/// Rows whose arithmetic takes longer than the next weights need to come from memory.
static constexpr size_t kRowsThatHide = 4;

SmallVector<Value> MatmulBlocks::emit(Value row, int64_t rows, Value panel, int64_t panels) {
  rowIndices.clear();
  panelIndices.clear();
  for (int64_t r = 0; r < rows; ++r)
    rowIndices.push_back(k.plus(row, r));
  for (int64_t p = 0; p < panels; ++p)
    panelIndices.push_back(k.plus(panel, p));
  return wholeK(SmallVector<Value>(rows * panels, k.splat(0.0f)));
}

SmallVector<Value> MatmulBlocks::overUnits(int64_t count, int64_t perUnit, int64_t unrolled, SmallVector<Value> sums,
                                           function_ref<void(Value, int64_t, int64_t, SmallVector<Value> &)> add) {
  int64_t step = std::max<int64_t>(1, unrolled / perUnit), looped = count / perUnit / step * step;
  sums = k.loop(k.index(0), k.index(looped), step, sums, [&](Value first, ValueRange carried) {
    SmallVector<Value> next = llvm::to_vector(carried);
    for (int64_t unit = 0; unit < step; ++unit)
      add(first, unit, perUnit, next);
    return next;
  });
  for (int64_t unit = looped; unit * perUnit < count; ++unit)
    add(k.index(unit), 0, std::min(perUnit, count - unit * perUnit), sums);
  return sums;
}

// ------------------------------------------------------------------------------------------------- int8 activations

SmallVector<Value> IntegerBlocks::wholeK(SmallVector<Value> acc) {
  return k.loop(k.index(0), k.index(place.groups), 1, acc, [&](Value g, ValueRange carried) {
    SmallVector<Value> rowSums, acc = llvm::to_vector(carried);
    for (Value row : rowIndices)
      rowSums.push_back(k.load(sums, {row, g}));
    for (size_t term = 0; term < encoding.terms.size(); ++term)
      acc = addTerm(term, g, rowSums, acc);
    return acc;
  });
}

int64_t IntegerBlocks::streams() const { return place.group <= kShortGroup ? 1 : MatmulBlocks::streams(); }

/// Four codes of a row, in every lane.
Value IntegerBlocks::activations(int64_t row, Value g, Value at) {
  Value four = k.load(k.bytes(4), codes, {rowIndices[row], g, at});
  Value word = k.bitcast(four, VectorType::get({1}, k.b.getI32Type()));
  return k.bitcast(k.broadcast(vector::ExtractOp::create(k.b, k.loc, word, 0)), k.bytes(64));
}

bool IntegerBlocks::hasExactZeros() const {
  return encoding.zero == ZeroKind::Integer && carriers.front().table.empty();
}

/// What the sums of a group start from, so that zero points cost nothing: -zero * sum of the activations.
SmallVector<Value> IntegerBlocks::startOf(size_t term, Value g, ArrayRef<Value> rowSums) {
  SmallVector<Value> start, zeros;
  if (term == 0 && hasExactZeros())
    for (Value panel : panelIndices)
      zeros.push_back(decoders[term].integerZeros(panel, g));
  for (Value sum : rowSums) {
    Value negative = k.splat(0);
    if (!zeros.empty())
      negative = k.broadcast(arith::SubIOp::create(k.b, k.loc, k.scalar(0), sum));
    else if (carriers[term].offset)
      negative = k.broadcast(arith::MulIOp::create(k.b, k.loc, sum, k.scalar(-carriers[term].offset)));
    for (size_t p = 0; p < panelIndices.size(); ++p)
      start.push_back(zeros.empty() ? negative : Value(arith::MulIOp::create(k.b, k.loc, zeros[p], negative)));
  }
  return start;
}

SmallVector<Value> IntegerBlocks::addTerm(size_t term, Value g, ArrayRef<Value> rowSums, SmallVector<Value> acc) {
  size_t rows = rowIndices.size(), panels = panelIndices.size();
  PanelDecoder &decoder = decoders[term];
  const ::whit::IntegerCarrier &carrier = carriers[term];
  decoder.lookAhead(g, panels);
  SmallVector<PanelDecoder::Group> groups;
  for (Value panel : panelIndices)
    groups.push_back(carrier.table.empty() && !encoding.terms[term].codec.isSparse ? PanelDecoder::Group()
                                                                                   : decoder.open(panel, g));

  int64_t perUnit = decoder.elementsPerUnit();
  SmallVector<Value> dots =
      overUnits(place.paddedGroup, perUnit, unroll.value_or(kUnrolledDot), startOf(term, g, rowSums),
                [&](Value first, int64_t unit, int64_t, SmallVector<Value> &dots) {
                  SmallVector<PanelDecoder::Unit> lines;
                  for (Value panel : panelIndices)
                    lines.push_back(decoder.loadUnit(panel, g, first, unit));
                  for (int64_t quad = 0; quad < decoder.quadsPerUnit(); ++quad) {
                    SmallVector<Value> weights;
                    for (size_t p = 0; p < panels; ++p)
                      weights.push_back(decoder.quad(lines[p], quad, groups[p], carrier));
                    Value at = k.plus(k.times(first, perUnit), unit * perUnit + 4 * quad);
                    for (size_t r = 0; r < rows; ++r) {
                      Value x = activations(r, g, at);
                      for (size_t p = 0; p < panels; ++p)
                        dots[r * panels + p] = DotOp::create(k.b, k.loc, k.ints(), dots[r * panels + p], weights[p], x);
                    }
                  }
                });

  // The sum of a group is finished and added without fusing a multiplication with an addition.
  bool isMinimum = term == 0 && encoding.zero == ZeroKind::Minimum;
  bool isZero = term == 0 && !isMinimum && encoding.zero != ZeroKind::Constant && !hasExactZeros();
  SmallVector<Value> scalesX, sumsX;
  for (size_t r = 0; r < rows; ++r) {
    scalesX.push_back(k.broadcast(k.load(scales, {rowIndices[r], g})));
    sumsX.push_back(isMinimum || isZero ? k.toFloat(k.broadcast(rowSums[r])) : Value());
  }
  for (size_t p = 0; p < panels; ++p) {
    Value scaleW = decoder.scales(panelIndices[p], g), unit = carrier.scale == 1 ? Value() : k.splat(carrier.scale);
    if (unit && !isZero)
      scaleW = k.mul(scaleW, unit);
    Value offset = isMinimum || isZero ? decoder.offsets(panelIndices[p], g) : Value();
    for (size_t r = 0; r < rows; ++r) {
      Value &total = acc[r * panels + p], sum = k.toFloat(dots[r * panels + p]);
      if (isMinimum) {
        total = k.add(total, k.mul(scalesX[r], k.add(k.mul(scaleW, sum), k.mul(offset, sumsX[r]))));
        continue;
      }
      if (isZero)
        sum = k.sub(unit ? k.mul(sum, unit) : sum, k.mul(offset, sumsX[r]));
      total = k.add(total, k.mul(k.mul(scalesX[r], scaleW), sum));
    }
  }
  return acc;
}

// ------------------------------------------------------------------------------------------- f32 and bf16 activations

FloatBlocks::FloatBlocks(KernelBuilder &k, const ::whit::Encoding &encoding, const ::whit::Place &place, Value packed,
                         const Stream &stream, Value x)
    : MatmulBlocks(k, encoding, place, packed, stream), x(x),
      pairs(cast<MemRefType>(x.getType()).getElementType().isBF16() && ::whit::hasBfloatNumbers(encoding)) {}

SmallVector<Value> FloatBlocks::wholeK(SmallVector<Value> acc) {
  if (encoding.isPlain())
    return plain(acc);
  int64_t whole = place.group ? place.k / place.group : 0, tail = place.k - whole * place.group;
  auto group = [&](Value g, int64_t count, SmallVector<Value> acc) {
    for (size_t term = 0; term < encoding.terms.size(); ++term)
      acc = addTerm(term, g, count, acc);
    return acc;
  };
  acc = k.loop(k.index(0), k.index(whole), 1, acc,
               [&](Value g, ValueRange carried) { return group(g, place.group, llvm::to_vector(carried)); });
  return tail ? group(k.index(whole), tail, acc) : acc;
}

int64_t FloatBlocks::accumulators() const {
  // A line of pairs that is taken apart stays while its first half is used, in every panel of the block.
  bool takenApart = pairs ? !k.facts.has("avx512bf16") : place.run == 2;
  int64_t room = k.facts.accumulators();
  return takenApart ? room - std::max<int64_t>(2, room / 6) : room;
}

void FloatBlocks::addElement(Value at, ArrayRef<Value> weights, SmallVector<Value> &acc) {
  for (size_t r = 0; r < rowIndices.size(); ++r) {
    Value activation = k.load(x, {rowIndices[r], at});
    if (!activation.getType().isF32())
      activation = k.widen(activation);
    activation = k.broadcast(activation);
    for (size_t p = 0; p < weights.size(); ++p) {
      Value &sum = acc[r * weights.size() + p];
      sum = k.multiplyAdd(activation, weights[p], sum);
    }
  }
}

void FloatBlocks::addPair(Value at, int64_t count, ArrayRef<Value> weights, SmallVector<Value> &acc) {
  for (size_t r = 0; r < rowIndices.size(); ++r) {
    Value activations = k.pairs(k.broadcast(k.loadPair(x, {rowIndices[r], at}, count)));
    for (size_t p = 0; p < weights.size(); ++p) {
      Value &sum = acc[r * weights.size() + p];
      sum = DotOp::create(k.b, k.loc, k.floats(), sum, weights[p], activations);
    }
  }
}

void FloatBlocks::addElements(Value at, int64_t count, function_ref<Value(int64_t, size_t)> weight,
                              SmallVector<Value> &acc) {
  int64_t together = pairs ? 2 : 1;
  for (int64_t element = 0; element < count; element += together) {
    SmallVector<Value> weights;
    int64_t here = std::min(together, count - element);
    for (size_t p = 0; p < panelIndices.size(); ++p) {
      Value first = weight(element, p);
      // The upper half of such a float is all of it.
      weights.push_back(pairs ? k.pairs(first, here == 2 ? weight(element + 1, p) : k.splat(0.0f)) : first);
    }
    Value from = k.plus(at, element);
    pairs ? addPair(from, here, weights, acc) : addElement(from, weights, acc);
  }
}

SmallVector<Value> FloatBlocks::plain(SmallVector<Value> acc) {
  int64_t run = place.run, bytes = 16 * run * ::whit::scaleBytes(encoding.scaleType());
  return overUnits(
      place.k, run, unroll.value_or(kUnrolledFloat * run), acc,
      [&](Value first, int64_t unit, int64_t elements, SmallVector<Value> &acc) {
        Value at = k.plus(k.times(first, run), unit * run), offset = k.plus(k.times(first, bytes), unit * bytes);
        SmallVector<Value> lines;
        for (Value panel : panelIndices) {
          lines.push_back(run == 2 ? k.bitcast(k.load(k.bytes(bytes), packed, {panel, offset}), k.ints())
                                   : decoders.front().storedFloats(encoding.scaleType(), panel, offset));
          // The panels of the next block, while there is time: these stay for several blocks of rows.
          if (rowIndices.size() >= kRowsThatHide && unit * bytes % ::whit::kLineBytes == 0)
            memref::PrefetchOp::create(k.b, k.loc, packed, ValueRange{k.plus(panel, panelIndices.size()), offset},
                                       /*isWrite=*/false, /*localityHint=*/2u, /*isDataCache=*/true);
        }
        if (pairs) {
          for (Value &line : lines)
            line = k.pairs(line);
          return addPair(at, elements, lines, acc);
        }
        auto half = [&](int64_t element, size_t p) {
          Value bits = element ? k.bitAnd(lines[p], int32_t(0xffff0000)) : k.shiftLeft(lines[p], 16);
          return k.bitcast(bits, k.floats());
        };
        addElements(
            at, elements, [&](int64_t element, size_t p) { return run == 2 ? half(element, p) : lines[p]; }, acc);
      });
}

/// The `count` elements of a group in one term. A minimum is part of each weight, because factored out of the sum it would
/// cancel against it; a zero is exact or rounded once, so that the scale is applied once per group.
SmallVector<Value> FloatBlocks::addTerm(size_t term, Value g, int64_t count, SmallVector<Value> acc) {
  size_t panels = panelIndices.size();
  bool isMinimum = term == 0 && encoding.zero == ZeroKind::Minimum;
  PanelDecoder &decoder = decoders[term];
  decoder.lookAhead(g, panels);
  Value start = k.times(g, place.group);
  SmallVector<Value> scales, minima;
  SmallVector<PanelDecoder::Group> groups;
  for (Value panel : panelIndices) {
    scales.push_back(decoder.scales(panel, g));
    minima.push_back(isMinimum ? decoder.offsets(panel, g) : Value());
    groups.push_back(decoder.open(panel, g));
  }
  auto weight = [&](const PanelDecoder::Unit &lines, int64_t element, size_t p) {
    Value number = decoder.number(lines, element, groups[p]);
    return isMinimum ? k.multiplyAdd(number, scales[p], minima[p]) : number;
  };

  int64_t perUnit = decoder.elementsPerUnit();
  SmallVector<Value> sums = isMinimum ? acc : SmallVector<Value>(acc.size(), k.splat(0.0f));
  sums = overUnits(
      count, perUnit, unroll.value_or(kUnrolledFloat), sums,
      [&](Value first, int64_t unit, int64_t elements, SmallVector<Value> &sums) {
        SmallVector<PanelDecoder::Unit> lines;
        for (Value panel : panelIndices)
          lines.push_back(decoder.loadUnit(panel, g, first, unit));
        Value begin = k.plus(start, k.plus(k.times(first, perUnit), unit * perUnit));
        addElements(begin, elements, [&](int64_t element, size_t p) { return weight(lines[p], element, p); }, sums);
      });
  if (isMinimum)
    return sums;
  for (size_t i = 0; i < sums.size(); ++i)
    sums[i] = k.multiplyAdd(scales[i % panels], sums[i], acc[i]);
  return sums;
}
