// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One barrier a turn: what the last one multiplied is overwritten by what the next one multiplies, and this one stands between them.

#include "Lower/WarpgroupKernel.h"

#include "Whit/Whit.h"

#include "runtime/encoding/Place.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::whit;

/// Bytes of K of a turn and its elements, and tokens of a product at most. Warps that share K share turns of so many elements (MatrixKernel).
static constexpr int64_t kTurnBytes = 256, kTurn = 128, kMostTokens = 128;
/// Warps of a block at most, and words of codes that a lane has on their way.
static constexpr int64_t kMostWarps = 8, kMostLoaded = 16;
/// Turns that codes are loaded ahead at most: what multiplying takes is a quarter of what memory takes to answer.
static constexpr int64_t kAhead = 4;
/// Turns of a group that are written one behind another; more are a loop.
static constexpr int64_t kUnrolled = 4;
/// Sums of a lane at most, in all the sets that it has of them: of a group, of a part of K, and of all of it.
static constexpr int64_t kMostSums = 128;
/// What sums of bytes are multiplied with: a scale and a sum for each token and group.
static constexpr int64_t kFactors = 2;
/// Tokens of a tile of the unit of a warp, and words that a lane has of them for one instruction.
static constexpr int64_t kTile = 8, kWordsB = 2;

// ---------------------------------------------------------------------------------------------------- cuts

static int64_t groupsOf(const MatrixWork &work) { return work.encoding.isPlain() ? 1 : work.place.groups; }

static int64_t chunksOfGroup(const MatrixWork &work, const MatrixKernel::Cut &way) {
  int64_t elements = work.encoding.isPlain() ? work.place.k : work.place.paddedGroup;
  return llvm::divideCeil(elements, way.units * way.elements);
}

static StringRef modeOf(Operation *op) {
  auto mode = op->getParentOfType<ModuleOp>()->getAttrOfType<StringAttr>(kLargeM);
  return mode ? mode.getValue() : "auto";
}

std::string WarpgroupKernel::Cut::text() const {
  int64_t count = warps / WarpgroupUnit::kWarps;
  return "wgmma m64n" + std::to_string(tokens) + "k" + std::to_string(unit->depth) + " (" + unit->types.str() +
         "): " + std::to_string(count) + (count == 1 ? " warpgroup" : " warpgroups") + " of 64 columns, " +
         std::to_string(bytes) + " bytes of activations in shared memory" +
         (unit->types.starts_with("s32") ? "" : "; the bits of a row may differ from those it has among few");
}

std::optional<WarpgroupKernel::Cut> WarpgroupKernel::cutFor(Operation *matmul, const TargetFacts &facts,
                                                            const MatrixWork &work, int64_t panels, std::string &why) {
  auto floats = dyn_cast<MatmulOp>(matmul);
  auto refuse = [&](std::string reason) {
    if (isAsked(matmul))
      why = std::move(reason);
    return std::nullopt;
  };
  if (!facts.has("wgmma") || modeOf(matmul) == "mma" || (floats && !isAsked(matmul)) || work.tokens < kLeastTokens ||
      work.tokens == MatrixWork::kAnyTokens)
    return std::nullopt;
  int64_t parts = floats && cast<ShapedType>(floats.getX().getType()).getElementType().isF32() ? 3 : 1;
  Cut cut{WarpgroupUnit::find(facts, work.unit.product), 0, 0, 0, 0};
  if (!cut.unit)
    return refuse("it has no products of such operands");
  if (panels < kLeastPanels)
    return refuse("a warpgroup has 64 columns, and its tile " + std::to_string(16 * panels));
  if (work.encoding.terms.size() > 1)
    return refuse("its format has several terms, whose codes follow in different orders");
  MatrixKernel::Cut way = MatrixKernel::cutOf(work, 0);
  if (!way.inRegisters)
    return refuse("its groups are too short for each lane to decode a part of them");
  int64_t elements = way.units * way.elements, perGroup = chunksOfGroup(work, way), groups = groupsOf(work);
  int64_t bytes = elements * 4 / work.unit.perWord() * parts; // of a token, for a chunk
  // Several groups, or a part of one.
  auto chunksOf = [&](int64_t most) {
    auto fits = [&](int64_t chunks) { return chunks * bytes <= most && chunks * elements <= kTurn; };
    bool isShort = groups > 1 && fits(2 * perGroup);
    int64_t each = isShort ? perGroup : 1, of = isShort ? groups : perGroup, chunks = each;
    for (int64_t count = 1; of % count == 0 && fits(each * count); count *= 2)
      chunks = each * count;
    return chunks;
  };
  cut.warps = std::clamp<int64_t>(llvm::bit_ceil(uint64_t(panels)), WarpgroupUnit::kWarps, kMostWarps);
  int64_t sets = 2 + (work.splits.value_or(1) > 1 && groups > 1) + (work.slices > 1 && groups > 1);
  cut.tokens = llvm::bit_floor(uint64_t(std::min({work.tokens, kMostTokens, kMostSums * 2 / sets})));
  auto shared = [&] {
    int64_t factors = floats ? 0 : kFactors * 4 * std::max<int64_t>(1, cut.chunks / perGroup);
    return 2 * cut.tokens * (cut.chunks * bytes + factors);
  };
  for (int64_t most = kTurnBytes * (parts > 1 ? 2 : 1);; most /= 2) {
    cut.chunks = chunksOf(most);
    if (shared() <= work.room)
      break;
    if (most < kTurnBytes / 2 && (cut.tokens /= 2) < kTile)
      return refuse("a tile of it leaves " + std::to_string(work.room) + " bytes of shared memory");
  }
  cut.bytes = shared();
  return cut;
}

std::optional<WarpgroupKernel::Cut> WarpgroupKernel::cutFor(Operation *matmul, const TargetFacts &facts, int64_t rows,
                                                            int64_t columns, int64_t splits, int64_t room) {
  auto place = matmul->getAttrOfType<PlaceAttr>("place");
  const MatrixUnit *unit = MatrixUnit::find(facts, MatrixUnit::operandsOf(matmul));
  if (!place || !unit)
    return std::nullopt;
  ::whit::Encoding stored = place.getFormat().getEncoding(), encoding = readPart(stored);
  ::whit::Place read = readPart(stored, place.solve());
  std::string why;
  return cutFor(matmul, facts, {*unit, facts.warpSize(), encoding, read, splits, room, rows},
                columns / MatrixUnit::kRows, why);
}

bool WarpgroupKernel::isAsked(Operation *matmul) { return modeOf(matmul) == "wgmma"; }

// ---------------------------------------------------------------------------------------------------- the tile

/// The address of shared memory as descriptors have it.
static Value sharedAddress(LaneBuilder &b, Value memref) {
  auto generic = LLVM::LLVMPointerType::get(b.getContext()), shared = LLVM::LLVMPointerType::get(b.getContext(), 3);
  Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  base = LLVM::IntToPtrOp::create(b, generic, arith::IndexCastOp::create(b, b.getI64Type(), base).getResult());
  return LLVM::PtrToIntOp::create(b, b.getI64Type(), LLVM::AddrSpaceCastOp::create(b, shared, base));
}

WarpgroupKernel::WarpgroupKernel(MatrixKernel &kernel, const Cut &cut)
    : kernel(kernel), b(kernel.b), unit(kernel.unit), cut(cut), tiles(cut.tokens / kTile),
      parts(kernel.activationParts()) {
  const MatrixKernel::Cut &way = kernel.cuts.front();
  steps = way.run * way.elements / unit.depthOfLane();
  perGroup = kernel.chunksOf(0);
  groups = kernel.groups() > 1 && cut.chunks % perGroup == 0 ? cut.chunks / perGroup : 0;
  turns = kernel.groups() * perGroup / cut.chunks;
  hasFactors = kernel.zeroSum().getType().isInteger();
  codeWords = kernel.loadedWords(0, 1);
  if (cut.chunks * codeWords > kMostLoaded)
    codeWords = 0;
  // Sums of many tokens leave registers for one turn.
  if (codeWords)
    ahead = cut.tokens < kMostTokens ? std::min(kAhead, kMostLoaded / (cut.chunks * codeWords)) : 1;
}

void WarpgroupKernel::emit() {
  int64_t rows = parts * cut.chunks * steps * kWordsB, words = cut.tokens * WarpgroupUnit::kPiece / 4;
  memory = memref::AllocOp::create(b, MemRefType::get({2, rows, words}, b.getI32Type()));
  address = sharedAddress(b, memory);
  if (hasFactors)
    kernel.copiedFactors = memref::AllocOp::create(
        b, MemRefType::get({2 * std::max<int64_t>(groups, 1), cut.tokens, kFactors}, b.getI32Type()));
  Value columns = b.dim(kernel.y, 1);
  Value panels = b.div(b.add(columns, MatrixUnit::kRows - 1), MatrixUnit::kRows), last = b.sub(panels, b.index(1));
  auto over = [&](Value count, int64_t step, function_ref<void(Value)> body) {
    b.loop(b.index(0), count, b.index(step), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
      body(i);
      return {};
    });
  };
  // All warps take part in all products, also those that have no panel.
  over(panels, b.warps(), [&](Value first) {
    Value own = b.add(first, kernel.warp), isMine = b.cmp(arith::CmpIPredicate::sle, own, last);
    Value panel = b.min(own, last);
    over(kernel.tokens, cut.tokens, [&](Value token) { block(panel, isMine, token); });
  });
}

void WarpgroupKernel::block(Value panel, Value isMine, Value firstToken) {
  Value zero = b.index(0);
  Position at{panel, zero, 0, firstToken, tiles, false, false, {kernel.packed, &kernel.place, panel, zero}};
  at.isWhole = kernel.activationElements() % kernel.cuts.front().padded == 0;
  bool isOnly = kernel.groups() == 1, isExact = kernel.zeroSum().getType().isInteger();
  if (hasFactors && !groups) // those of the last group are read behind the barrier of its last turn
    b.barrier();
  storeActivations(zero, loadActivations(at, zero));
  storeFactors(zero, loadFactors(at, zero));
  WarpgroupUnit::publish(b);
  codes.clear();
  for (int64_t turn = 0; turn < ahead; ++turn)
    codes.append(loadCodes(at, b.index(std::min(turn, turns - 1))));
  b.barrier();

  int64_t step = kernel.turnSize(), count = (isOnly ? perGroup : kernel.groups()) / step;
  SmallVector<Value> totals;
  auto add = [&](int64_t parts, function_ref<SmallVector<Value>(Value)> sum) {
    SmallVector<Value> none(tiles * unit.sums.size(), b.f32(0.0f));
    return loop(zero, b.index(parts), none, [&](Value part, SmallVector<Value> all) {
      for (auto [total, part] : llvm::zip_equal(all, sum(part)))
        total = b.addf(total, part);
      return all;
    });
  };
  auto addSplits = [&] {
    if (kernel.splits == 1)
      return addSpan(at, kernel.ofSplit(count, step));
    return add(kernel.splits, [&](Value split) {
      kernel.split = split;
      return addSpan(at, kernel.ofSplit(count, step));
    });
  };
  if ((kernel.splits == 1 && kernel.slices == 1) ||
      (isOnly && isExact)) { // sums of integers are the same however K is shared
    totals = addSpan(at, {zero, b.index(count * step)});
  } else {
    totals = kernel.slices == 1 ? addSplits() : add(kernel.slices, [&](Value slice) {
      kernel.slice = slice;
      return addSplits();
    });
    kernel.slice = Value();
  }
  kernel.copiedGroup = zero;
  if (isOnly && !kernel.sumsAllGroups(0))
    totals = kernel.flush(at, SmallVector<Value>(totals.size(), b.f32(0.0f)), totals);
  kernel.store(at, isMine, totals);
}

// ---------------------------------------------------------------------------------------------------- the order of K

Value WarpgroupKernel::groupOf(Value turn, Value chunk) {
  if (kernel.groups() == 1)
    return b.index(0);
  return groups ? b.add(b.mul(turn, groups), b.div(chunk, perGroup)) : b.div(turn, perGroup / cut.chunks);
}

Value WarpgroupKernel::chunkOf(Value turn, Value chunk) {
  if (groups)
    return b.rem(chunk, perGroup);
  Value ofGroup = kernel.groups() == 1 ? turn : b.rem(turn, perGroup / cut.chunks);
  return b.add(b.mul(ofGroup, cut.chunks), chunk);
}

SmallVector<Value> WarpgroupKernel::loop(Value from, Value to, SmallVector<Value> values, Body body) {
  size_t count = values.size();
  values.append(codes);
  values = b.loop(from, to, b.index(1), values, [&](Value i, ValueRange carried) {
    codes.assign(carried.begin() + count, carried.end());
    SmallVector<Value> results = body(i, SmallVector<Value>(carried.take_front(count)));
    results.append(codes);
    return results;
  });
  codes.assign(values.begin() + count, values.end());
  values.truncate(count);
  return values;
}

SmallVector<Value> WarpgroupKernel::startOf(SmallVector<Value> totals) {
  return kernel.sumsAllGroups(0) ? totals : SmallVector<Value>(totals.size(), kernel.zeroSum());
}

SmallVector<Value> WarpgroupKernel::addSpan(const Position &at, MatrixKernel::Span span) {
  size_t count = tiles * unit.sums.size();
  if (kernel.groups() == 1) {
    SmallVector<Value> sums(count, kernel.zeroSum());
    return loop(b.div(span.from, cut.chunks), b.div(span.to, cut.chunks), sums,
                [&](Value turn, SmallVector<Value> sums) {
                  overTurn(at, turn, [&](ValueRange codes) { sums = addChunks(at, turn, 0, cut.chunks, codes, sums); });
                  return sums;
                });
  }
  SmallVector<Value> totals(count, b.f32(0.0f));
  if (!groups)
    return loop(span.from, span.to, totals,
                [&](Value group, SmallVector<Value> totals) { return addGroup(at, group, totals); });
  return loop(b.div(span.from, groups), b.div(span.to, groups), totals, [&](Value turn, SmallVector<Value> totals) {
    overTurn(at, turn, [&](ValueRange codes) {
      Position here = at;
      for (int64_t i = 0; i < groups; ++i) {
        here.group = here.source.group = b.add(b.mul(turn, groups), i);
        kernel.copiedGroup = factorsRow(turn, b.index(i));
        SmallVector<Value> sums =
            addChunks(here, turn, i * perGroup, perGroup, codes.slice(i * perGroup * codeWords, perGroup * codeWords),
                      startOf(totals));
        totals = kernel.sumsAllGroups(0) ? sums : kernel.flush(here, totals, sums);
      }
    });
    return totals;
  });
}

SmallVector<Value> WarpgroupKernel::addGroup(Position at, Value group, SmallVector<Value> totals) {
  at.group = at.source.group = group;
  int64_t each = perGroup / cut.chunks;
  Value first = b.mul(group, each);
  auto add = [&](Value i, SmallVector<Value> sums) {
    Value turn = b.add(first, i);
    overTurn(at, turn, [&](ValueRange codes) { sums = addChunks(at, turn, 0, cut.chunks, codes, sums); });
    return sums;
  };
  SmallVector<Value> sums = startOf(totals);
  if (each > kUnrolled)
    sums = loop(b.index(0), b.index(each), sums, add);
  else
    for (int64_t i = 0; i < each; ++i)
      sums = add(b.index(i), sums);
  kernel.copiedGroup = factorsRow(first, b.index(0));
  return kernel.sumsAllGroups(0) ? sums : kernel.flush(at, totals, sums);
}

// ---------------------------------------------------------------------------------------------------- a turn

void WarpgroupKernel::overTurn(const Position &at, Value turn, function_ref<void(ValueRange)> multiply) {
  Value last = b.index(turns - 1), next = b.min(b.add(turn, 1), last);
  size_t count = cut.chunks * codeWords;
  SmallVector<Value> here(ArrayRef(codes).take_front(count));
  codes.erase(codes.begin(), codes.begin() + count);
  waiting = loadActivations(at, next);
  waitingFactors = kernel.groups() == 1 ? SmallVector<Value>() : loadFactors(at, next);
  codes.append(loadCodes(at, b.min(b.add(turn, ahead), last)));
  multiply(here);
  b.barrier();
}

SmallVector<Value> WarpgroupKernel::addChunks(Position at, Value turn, int64_t first, int64_t count, ValueRange loaded,
                                              SmallVector<Value> sums) {
  SmallVector<PanelDecoder, 2> decoders;
  for (MatrixKernel::Column &column : kernel.operands) {
    decoders.emplace_back(column.builder, kernel.encoding, *at.source.place, at.term, at.source.packed, 0);
    kernel.open(decoders.back(), column, at);
  }
  int64_t bytes = cast<MemRefType>(memory.getType()).getNumElements() / 2 * 4;
  Value start = arith::AddIOp::create(
      b, address, arith::IndexCastOp::create(b, b.getI64Type(), b.mul(b.rem(turn, 2), bytes)).getResult());
  bool isBegun = false;
  for (int64_t chunk = first; chunk < first + count; ++chunk) {
    Value number = chunkOf(turn, b.index(chunk));
    SmallVector<Value> lines(loaded.slice((chunk - first) * codeWords, codeWords));
    if (lines.empty() && !kernel.encoding.isPlain())
      lines = kernel.loadChunk(at, number);
    for (int64_t step = 0; step < steps; ++step) {
      MatrixKernel::Words a = kernel.decodeStep(at, decoders, number, step * unit.depthOfLane(), lines);
      SmallVector<Value> registers;
      for (ArrayRef<Value> part : a)
        registers.append(part.begin(), part.end());
      if (!isBegun)
        registers.append(sums);
      registers = WarpgroupUnit::begin(b, registers);
      for (MutableArrayRef<Value> part : a)
        for (Value &word : part)
          word = registers.front(), registers.erase(registers.begin());
      if (!isBegun)
        sums = registers;
      isBegun = true;
      // The smallest products first.
      for (int64_t rank = MatrixKernel::kMostParts - 1; rank >= 0; --rank)
        for (int64_t part = 0; part < int64_t(a.size()); ++part)
          if (int64_t other = rank - part; other >= 0 && other < parts) {
            int64_t row = (other * cut.chunks + chunk) * steps + step;
            sums = cut.unit->emit(b, a[part], cut.unit->operand(b, start, cut.tokens, row), sums);
          }
      WarpgroupUnit::commit(b);
    }
  }
  if (first + count == cut.chunks) {
    storeActivations(b.add(turn, 1), waiting);
    storeFactors(b.add(turn, 1), waitingFactors);
    WarpgroupUnit::publish(b);
  }
  return WarpgroupUnit::wait(b, sums, 0);
}

SmallVector<Value> WarpgroupKernel::loadCodes(Position at, Value turn) {
  SmallVector<Value> loaded;
  for (int64_t i = 0; codeWords && i < cut.chunks; ++i) {
    Value chunk = b.index(i);
    at.group = at.source.group = groupOf(turn, chunk);
    loaded.append(kernel.loadChunk(at, chunkOf(turn, chunk)));
  }
  return loaded;
}

WarpgroupKernel::Piece WarpgroupKernel::pieceOf(int64_t i) {
  Value number = b.add(kernel.warp, i * b.warps()), exists;
  if ((i + 1) * b.warps() > cut.chunks * tiles)
    exists = b.cmp(arith::CmpIPredicate::slt, number, b.index(cut.chunks * tiles));
  return {b.rem(number, cut.chunks), b.div(number, cut.chunks), exists};
}

SmallVector<Value> WarpgroupKernel::loadActivations(Position at, Value turn) {
  const MatrixKernel::Cut &way = kernel.cuts.front();
  int64_t each = way.run * way.elements;
  SmallVector<Value> words;
  Value firstToken = at.firstToken;
  for (int64_t i = 0; i < pieces(); ++i) {
    Piece piece = pieceOf(i);
    at.firstToken = b.add(firstToken, b.mul(piece.tile, kTile));
    at.group = groupOf(turn, piece.chunk);
    Value first = b.mul(b.add(b.mul(chunkOf(turn, piece.chunk), unit.lanesOfK()), kernel.laneOfK), each);
    for (ArrayRef<Value> part : kernel.activations(at, 0, first, each))
      words.append(part.begin(), part.end());
  }
  return words;
}

void WarpgroupKernel::storeActivations(Value turn, ValueRange words) {
  Value buffer = b.rem(turn, 2);
  int64_t each = steps * kWordsB;
  for (int64_t i = 0; i < pieces(); ++i) {
    Piece piece = pieceOf(i);
    auto store = [&] {
      Value token = b.add(b.mul(piece.tile, kTile), kernel.laneRow);
      Value column = b.add(b.mul(token, WarpgroupUnit::kPiece / 4), kernel.laneOfK);
      for (int64_t part = 0; part < parts; ++part)
        for (int64_t word = 0; word < each; ++word) {
          Value row = b.mul(b.add(piece.chunk, part * cut.chunks), each);
          b.write(words[(i * parts + part) * each + word], memory, {buffer, b.add(row, word), column});
        }
    };
    piece.exists ? b.ifThen(piece.exists, store) : store();
  }
}

Value WarpgroupKernel::factorsRow(Value turn, Value i) {
  return groups ? b.add(b.mul(b.rem(turn, 2), groups), i) : b.rem(groupOf(turn, b.index(0)), 2);
}

SmallVector<Value> WarpgroupKernel::loadFactors(Position at, Value turn) {
  SmallVector<Value> words;
  for (int64_t first = 0; hasFactors && first < factorsOfTurn(); first += b.threads) {
    Value number = b.min(b.add(b.thread(), first), b.index(factorsOfTurn() - 1));
    Value group = b.div(number, cut.tokens), token = b.add(at.firstToken, b.rem(number, cut.tokens));
    at.group = groups ? b.add(b.mul(turn, groups), group) : groupOf(turn, b.index(0));
    words.append(kernel.factorsOf(at, kernel.inside(at, token).first));
  }
  return words;
}

void WarpgroupKernel::storeFactors(Value turn, ValueRange words) {
  for (int64_t i = 0; i * kFactors < int64_t(words.size()); ++i) {
    Value number = b.add(b.thread(), i * b.threads);
    auto store = [&] {
      Value row = factorsRow(turn, b.div(number, cut.tokens)), token = b.rem(number, cut.tokens);
      for (int64_t word = 0; word < kFactors; ++word)
        b.write(words[i * kFactors + word], kernel.copiedFactors, {row, token, b.index(word)});
    };
    if ((i + 1) * b.threads <= factorsOfTurn())
      store();
    else
      b.ifThen(b.cmp(arith::CmpIPredicate::slt, number, b.index(factorsOfTurn())), store);
  }
}
