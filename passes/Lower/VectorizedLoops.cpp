// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is known about each scalar comes first, code second.

#include "Lower/VectorizedLoops.h"

#include "Whit/Whit.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;

/// Vectors of functions that a loop computes side by side.
static constexpr int64_t kVectorsTogether = 4;

bool mlir::whit::isStorable(Type element) {
  return element.isIntOrFloat() && (element.isInteger(1) || element.getIntOrFloatBitWidth() % 8 == 0);
}

bool mlir::whit::hasUnitStride(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  return succeeded(type.getStridesAndOffset(strides, offset)) && !strides.empty() && strides.back() == 1;
}

// ---------------------------------------------------------------------------------------------------- what is known

VectorizedLoops::VectorizedLoops(LaneBuilder &b, linalg::GenericOp op, unsigned loop) : b(b), op(op), loop(loop) {}

/// `expr` grows by one when the loop does.
static bool countsWith(AffineExpr expr, unsigned loop) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return dim.getPosition() == loop;
  auto sum = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!sum || sum.getKind() != AffineExprKind::Add)
    return false;
  auto counts = [&](AffineExpr one, AffineExpr other) { return countsWith(one, loop) && !other.isFunctionOfDim(loop); };
  return counts(sum.getLHS(), sum.getRHS()) || counts(sum.getRHS(), sum.getLHS());
}

VectorizedLoops::Access VectorizedLoops::accessOf(OpOperand &operand) {
  auto type = dyn_cast<MemRefType>(operand.get().getType());
  AffineMap map = op.getMatchingIndexingMap(&operand);
  if (!type || !map.isFunctionOfDim(loop))
    return Access::Same;
  bool lastOnly = llvm::none_of(map.getResults().drop_back(), [&](AffineExpr e) { return e.isFunctionOfDim(loop); });
  return lastOnly && countsWith(map.getResults().back(), loop) && hasUnitStride(type) ? Access::Contiguous
                                                                                      : Access::Scattered;
}

VectorizedLoops::Kind VectorizedLoops::kindOf(Value value) {
  auto known = kinds.find(value);
  return known == kinds.end() ? Kind::Same : known->second; // from outside
}

bool VectorizedLoops::isContiguous(memref::LoadOp load) {
  ValueRange indices = load.getIndices();
  return !indices.empty() && kindOf(indices.back()) == Kind::Counting && hasUnitStride(load.getMemRefType()) &&
         llvm::all_of(indices.drop_back(), [&](Value index) { return kindOf(index) == Kind::Same; });
}

/// Elementwise, and what moves with the loop but not contiguously does so along one other loop.
bool VectorizedLoops::findBlockLoop() {
  if (op.getNumReductionLoops() || !scatteredOperands)
    return false;
  std::optional<unsigned> found;
  for (OpOperand &operand : op->getOpOperands()) {
    if (accessOf(operand) != Access::Scattered || op.getMatchingBlockArgument(&operand).use_empty())
      continue;
    if (op.isDpsInit(&operand) || cast<MemRefType>(operand.get().getType()).getElementType().isInteger(1) ||
        !op.getMatchingIndexingMap(&operand).isProjectedPermutation())
      return false;
    auto last = dyn_cast<AffineDimExpr>(op.getMatchingIndexingMap(&operand).getResults().back());
    if (!last || !hasUnitStride(cast<MemRefType>(operand.get().getType())) || (found && *found != last.getPosition()))
      return false;
    found = last.getPosition();
  }
  for (OpOperand &init : op.getDpsInitsMutable())
    if (accessOf(init) != Access::Contiguous)
      return false;
  blockLoop = found;
  return found.has_value();
}

bool VectorizedLoops::classifyBody() {
  for (OpOperand &operand : op->getOpOperands()) {
    Access access = accessOf(operand);
    BlockArgument scalar = op.getMatchingBlockArgument(&operand);
    kinds[scalar] = access == Access::Same ? Kind::Same : Kind::Varying;
    if (op.isDpsInit(&operand)) // carried through reduction loops as vectors
      kinds[scalar] = Kind::Varying;
    else if (scalar.use_empty())
      continue;
    scatteredOperands += access == Access::Scattered;
  }
  readsLanes = scatteredOperands > 0 && !findBlockLoop();
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (inner.getNumResults() != 1 || inner.getNumRegions())
      return false;
    Value result = inner.getResult(0);
    bool allSame = llvm::all_of(inner.getOperands(), [&](Value v) { return kindOf(v) == Kind::Same; });
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      kinds[result] = index.getDim() == loop ? Kind::Counting : Kind::Same;
    } else if (auto load = dyn_cast<memref::LoadOp>(inner)) {
      kinds[result] = allSame ? Kind::Same : Kind::Varying;
      if (!isStorable(result.getType()))
        return false;
      if (!allSame && !isContiguous(load)) { // one by one, and the others with it
        readsLanes = true;
        blockLoop.reset();
      }
    } else if (allSame && isMemoryEffectFree(&inner)) {
      kinds[result] = Kind::Same;
    } else if (!OpTrait::hasElementwiseMappableTraits(&inner)) {
      return false;
    } else {
      auto counts = [&](unsigned one) {
        return kindOf(inner.getOperand(one)) == Kind::Counting &&
               (inner.getNumOperands() == 1 || kindOf(inner.getOperand(1 - one)) == Kind::Same);
      };
      bool counting = (isa<arith::AddIOp>(inner) && (counts(0) || counts(1))) ||
                      (isa<arith::SubIOp, arith::IndexCastOp>(inner) && counts(0));
      kinds[result] = counting ? Kind::Counting : Kind::Varying;
    }
  }
  return true;
}

/// result = combiner(result, term), where nothing else reads the result.
bool VectorizedLoops::findCombiner() {
  if (op.getNumDpsInits() != 1 || accessOf(*op.getDpsInitOperand(0)) != Access::Same)
    return false;
  BlockArgument result = op.getMatchingBlockArgument(op.getDpsInitOperand(0));
  combiner = op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  if (!combiner || combiner->getBlock() != op.getBody() || combiner->getNumOperands() != 2 || !result.hasOneUse() ||
      result.use_begin()->getOwner() != combiner || !arith::getNeutralElement(combiner))
    return false;
  accumulator = result.use_begin()->getOperandNumber();
  return true;
}

/// Sums of loops times constants, as in convolutions.
static bool isLinear(AffineMap map) {
  bool linear = true;
  map.walkExprs([&](AffineExpr expr) {
    auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
    linear &= !binary || binary.getKind() == AffineExprKind::Add || binary.getKind() == AffineExprKind::Mul;
  });
  return linear;
}

bool VectorizedLoops::possible() {
  llvm::SmallBitVector sized(op.getNumLoops());
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (type ? !isStorable(type.getElementType()) : !operand.get().getType().isIntOrIndexOrFloat())
      return false;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    if (!isLinear(map))
      return false;
    for (AffineExpr expr : map.getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        sized.set(dim.getPosition());
  }
  if (!sized.all() || !classifyBody())
    return false;
  if (isReduction())
    return findCombiner();
  // Results that the loop does not move would be written by all lanes.
  return llvm::all_of(op.getDpsInitsMutable(), [&](OpOperand &init) {
    return accessOf(init) != Access::Same &&
           op.getMatchingIndexingMap(&init).isProjectedPermutation(/*allowZeroInResults=*/true);
  });
}

// ---------------------------------------------------------------------------------------------------- addresses

SmallVector<Value> VectorizedLoops::sizes() {
  SmallVector<Value> all;
  for (OpOperand &operand : op->getOpOperands())
    if (auto type = dyn_cast<MemRefType>(operand.get().getType()))
      for (int64_t i = 0; i < type.getRank(); ++i)
        all.push_back(b.dim(operand.get(), i));
  // A static size is known better than the dynamic one of another operand.
  SmallVector<Value> sizes(op.getNumLoops());
  size_t next = 0;
  for (OpOperand &operand : op->getOpOperands())
    if (auto type = dyn_cast<MemRefType>(operand.get().getType()))
      for (auto [i, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults())) {
        Value size = all[next++];
        auto dim = dyn_cast<AffineDimExpr>(expr);
        if (dim && (!sizes[dim.getPosition()] || !type.isDynamicDim(i)))
          sizes[dim.getPosition()] = size;
      }
  return sizes;
}

static Value evaluate(LaneBuilder &b, AffineExpr expr, ValueRange at) {
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return at[dim.getPosition()];
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return b.index(constant.getValue());
  auto binary = cast<AffineBinaryOpExpr>(expr);
  Value left = evaluate(b, binary.getLHS(), at), right = evaluate(b, binary.getRHS(), at);
  return binary.getKind() == AffineExprKind::Add ? b.add(left, right) : b.mul(left, right);
}

SmallVector<Value> VectorizedLoops::addressOf(OpOperand &operand, ValueRange at) {
  SmallVector<Value> address;
  for (AffineExpr expr : op.getMatchingIndexingMap(&operand).getResults())
    address.push_back(evaluate(b, expr, at));
  return address;
}

SmallVector<Value> VectorizedLoops::addressOfLane(OpOperand &operand, ValueRange at, int64_t lane) {
  SmallVector<Value> moved(at);
  moved[loop] = b.add(moved[loop], lane);
  return addressOf(operand, moved);
}

// ---------------------------------------------------------------------------------------------------- values

/// The first lane; of a value that varies, the only one.
Value VectorizedLoops::scalarOf(Value value) { return scalars.lookupOrDefault(value); }

Value VectorizedLoops::laneValue(Value value) {
  if (Value known = vectors.lookupOrNull(value))
    return known;
  Value lanes = b.splat(scalarOf(value), width);
  if (kindOf(value) == Kind::Counting && width > 1) {
    Value steps = vector::StepOp::create(b, b.vectorOf(b.getIndexType(), width));
    if (!value.getType().isIndex())
      steps = arith::IndexCastOp::create(b, b.vectorOf(value.getType(), width), steps);
    lanes = arith::AddIOp::create(b, lanes, steps);
  }
  vectors.map(value, lanes);
  return lanes;
}

/// A vector of `width` scalars.
static Value gather(LaneBuilder &b, int64_t width, Type element, function_ref<Value(int64_t)> lane) {
  SmallVector<Value> elements;
  for (int64_t i = 0; i < width; ++i)
    elements.push_back(lane(i));
  return vector::FromElementsOp::create(b, b.vectorOf(element, width), elements);
}

Value VectorizedLoops::read(OpOperand &operand, ValueRange at, Value mask) {
  Value memref = operand.get();
  switch (accessOf(operand)) {
  case Access::Same:
    return b.splat(b.read(memref, addressOf(operand, at)), width);
  case Access::Contiguous:
    return b.load(memref, addressOf(operand, at), mask, width);
  case Access::Scattered:
    return gather(b, width, cast<MemRefType>(memref.getType()).getElementType(),
                  [&](int64_t lane) { return b.read(memref, addressOfLane(operand, at, lane)); });
  }
  llvm_unreachable("unknown access");
}

void VectorizedLoops::write(Value value, OpOperand &operand, ValueRange at, Value mask) {
  if (accessOf(operand) == Access::Contiguous)
    return b.store(value, operand.get(), addressOf(operand, at), mask);
  for (int64_t lane = 0; lane < width; ++lane)
    b.write(vector::ExtractOp::create(b, value, lane), operand.get(), addressOfLane(operand, at, lane));
}

Value VectorizedLoops::emitLoad(memref::LoadOp load, Value mask) {
  SmallVector<Value> indices = llvm::map_to_vector(load.getIndices(), [&](Value i) { return scalarOf(i); });
  if (isContiguous(load))
    return b.load(load.getMemRef(), indices, mask, width);
  return gather(b, width, load.getType(), [&](int64_t lane) -> Value {
    SmallVector<Value> at;
    for (Value index : load.getIndices())
      at.push_back(kindOf(index) == Kind::Same ? scalarOf(index)
                                               : Value(vector::ExtractOp::create(b, laneValue(index), lane)));
    return b.read(load.getMemRef(), at);
  });
}

// ---------------------------------------------------------------------------------------------------- the body

void VectorizedLoops::mapInputs(ValueRange at, Value mask) {
  scalars.clear();
  vectors.clear();
  for (OpOperand *operand : op.getDpsInputOperands()) {
    BlockArgument scalar = op.getMatchingBlockArgument(operand);
    if (scalar.use_empty())
      continue;
    if (!isa<MemRefType>(operand->get().getType()))
      scalars.map(scalar, operand->get());
    else if (Value block = blocks.lookup(operand))
      vectors.map(scalar, b.load(block, {blockRow, b.index(0)}, {}, width));
    else if (kindOf(scalar) == Kind::Same)
      scalars.map(scalar, b.read(operand->get(), addressOf(*operand, at)));
    else
      vectors.map(scalar, read(*operand, at, mask));
  }
}

void VectorizedLoops::emitOp(Operation &inner, ValueRange at, Value mask) {
  Value result = inner.getResult(0);
  if (auto index = dyn_cast<linalg::IndexOp>(inner))
    return scalars.map(result, at[index.getDim()]);
  if (kindOf(result) != Kind::Varying) {
    b.clone(inner, scalars);
    return;
  }
  if (auto load = dyn_cast<memref::LoadOp>(inner))
    return vectors.map(result, emitLoad(load, mask));
  SmallVector<Value> operands = llvm::map_to_vector(inner.getOperands(), [&](Value v) { return laneValue(v); });
  // Lanes behind the end hold 0, and dividing integers by 0 is undefined.
  if (mask && isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp,
                  arith::CeilDivUIOp, arith::FloorDivSIOp, math::IPowIOp>(inner))
    operands[1] = b.select(mask, operands[1], b.splatInt(1, inner.getOperand(1).getType(), width));
  Type type = b.vectorOf(result.getType(), width);
  vectors.map(result, mlir::clone(b, &inner, TypeRange{type}, operands)->getResult(0));
}

void VectorizedLoops::emitBody(ValueRange at, Value mask) {
  for (Operation &inner : op.getBody()->without_terminator())
    if (&inner != combiner)
      emitOp(inner, at, mask);
}

/// The body once; `inits` are the results so far, and what comes back those after it.
SmallVector<Value> VectorizedLoops::emitIteration(ValueRange at, Value mask, ValueRange inits) {
  mapInputs(at, mask);
  for (auto [init, value] : llvm::zip_equal(op.getDpsInitsMutable(), inits))
    if (value)
      vectors.map(op.getMatchingBlockArgument(&init), value);
  emitBody(at, mask);
  return llvm::map_to_vector(op.getBody()->getTerminator()->getOperands(), [&](Value v) { return laneValue(v); });
}

/// One vector of each result: read if it is needed, taken through all reduction loops, written.
void VectorizedLoops::emitParallel(SmallVector<Value> at, Value mask, ArrayRef<unsigned> reductions,
                                   ArrayRef<Value> loopSizes) {
  SmallVector<Value> inits;
  for (OpOperand &init : op.getDpsInitsMutable())
    inits.push_back(reductions.empty() && op.getMatchingBlockArgument(&init).use_empty() ? Value()
                                                                                         : read(init, at, mask));
  auto nest = [&](auto &&self, ArrayRef<unsigned> rest, ValueRange carried) -> SmallVector<Value> {
    if (rest.empty())
      return emitIteration(at, mask, carried);
    return b.loop(b.index(0), loopSizes[rest[0]], b.index(1), carried,
                  [&](Value i, ValueRange values) -> SmallVector<Value> {
                    at[rest[0]] = i;
                    return self(self, rest.drop_front(), values);
                  });
  };
  SmallVector<Value> results = nest(nest, reductions, inits);
  for (auto [init, result] : llvm::zip_equal(op.getDpsInitsMutable(), results))
    write(result, init, at, mask);
}

/// 16 rows along the block loop become 16 rows along the loop: 4 rounds, in each of which rows k and k + 8 are interleaved.
/// What lies outside of `rows` and `columns` is not read.
void VectorizedLoops::transposeBlock(OpOperand &operand, Value scratch, ArrayRef<Value> at, Value rows, Value columns) {
  SmallVector<Value> block, moved(at);
  for (int64_t i = 0; i < width; ++i) {
    moved[loop] = b.add(at[loop], i);
    Value mask;
    if (rows) {
      Value isInside = b.cmp(arith::CmpIPredicate::slt, b.index(i), rows);
      mask = b.maskOf(b.select(isInside, columns, b.index(0)));
    }
    block.push_back(b.load(operand.get(), addressOf(operand, moved), mask));
  }
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < width / 2; ++i) {
    low.append({i, width + i});
    high.append({width / 2 + i, width + width / 2 + i});
  }
  for (int64_t round = 1; round < width; round *= 2) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < width / 2; ++i)
      for (ArrayRef<int64_t> half : {ArrayRef(low), ArrayRef(high)})
        next.push_back(vector::ShuffleOp::create(b, block[i], block[i + width / 2], half));
    block = next;
  }
  for (int64_t i = 0; i < width; ++i)
    b.store(block[i], scratch, {b.index(i), b.index(0)}, {});
}

/// Blocks of 16 x 16; the body then takes their rows one after another.
void VectorizedLoops::emitBlocks(ArrayRef<Value> loopSizes, function_ref<SmallVector<Value>(Value)> address) {
  SmallVector<OpOperand *> operands;
  SmallVector<MemRefType> types;
  for (OpOperand *operand : op.getDpsInputOperands())
    if (accessOf(*operand) == Access::Scattered && !op.getMatchingBlockArgument(operand).use_empty()) {
      operands.push_back(operand);
      types.push_back(MemRefType::get({width, width}, cast<MemRefType>(operand->get().getType()).getElementType()));
    }
  Value step = b.index(width), zero = b.index(0);
  auto stepped = [&](Value size, function_ref<void(Value)> body) {
    b.loop(zero, size, step, {}, [&](Value i, ValueRange) -> SmallVector<Value> {
      body(i);
      return {};
    });
  };
  b.scratch(types, [&](ValueRange scratch) {
    stepped(loopSizes[*blockLoop], [&](Value column) {
      stepped(loopSizes[loop], [&](Value row) {
        SmallVector<Value> at = address(row);
        at[*blockLoop] = column;
        Value columns = b.min(step, b.sub(loopSizes[*blockLoop], column)),
              rows = b.min(step, b.sub(loopSizes[loop], row));
        auto block = [&](bool isWhole) {
          for (auto [operand, memory] : llvm::zip_equal(operands, scratch)) {
            transposeBlock(*operand, memory, at, isWhole ? Value() : rows, columns);
            blocks[operand] = memory;
          }
          Value mask = isWhole ? Value() : b.maskOf(rows);
          b.loop(zero, isWhole ? step : columns, [&](Value i) {
            SmallVector<Value> inner(at);
            inner[*blockLoop] = b.add(column, i);
            blockRow = i;
            emitParallel(inner, mask, {}, loopSizes);
          });
        };
        Value isWhole = b.cmp(arith::CmpIPredicate::eq, b.min(rows, columns), step);
        b.ifThen(isWhole, [&] { block(true); }, [&] { block(false); });
      });
    });
  });
}

Value VectorizedLoops::combine(Value accumulated, Value term) {
  SmallVector<Value> operands{accumulated, term};
  if (accumulator == 1)
    std::swap(operands[0], operands[1]);
  return mlir::clone(b, combiner, TypeRange{term.getType()}, operands)->getResult(0);
}

/// 16 partial results, folded by halves: one order, whatever the target.
void VectorizedLoops::emitReduction(Value size, function_ref<SmallVector<Value>(Value)> address) {
  TypedAttr neutral = *arith::getNeutralElement(combiner);
  VectorType type = b.vectorOf(neutral.getType());
  Value neutrals = arith::ConstantOp::create(b, DenseElementsAttr::get(type, Attribute(neutral)));
  OpOperand &init = *op.getDpsInitOperand(0);
  auto term = [&](Value i, Value mask) {
    SmallVector<Value> at = address(i);
    mapInputs(at, mask);
    emitBody(at, mask);
    Value value = laneValue(combiner->getOperand(1 - accumulator));
    return mask ? b.select(mask, value, neutrals) : value;
  };
  SmallVector<Value> at = addressOf(init, address(b.index(0)));
  auto add = [&](Value scalar) { b.write(combine(b.read(init.get(), at), scalar), init.get(), at); };
  auto fold = [&](Value partial) { add(b.reduce(partial, [&](Value x, Value y) { return combine(x, y); })); };
  if (!readsLanes) {
    Value partial = b.lanes(size, {neutrals}, [&](Value i, Value mask, ValueRange carried) -> SmallVector<Value> {
      return {combine(carried[0], term(i, mask))};
    })[0];
    return fold(partial);
  }
  Value whole = b.mul(b.div(size, width), width);
  fold(b.loop(b.index(0), whole, b.index(width), {neutrals}, [&](Value i, ValueRange carried) -> SmallVector<Value> {
    return {combine(carried[0], term(i, {}))};
  })[0]);
  width = 1;
  b.loop(b.index(0), b.sub(size, whole),
         [&](Value i) { add(vector::ExtractOp::create(b, term(b.add(whole, i), {}), 0)); });
  width = LaneBuilder::kLanes;
}

// ---------------------------------------------------------------------------------------------------- loops

/// Functions are long chains of operations that wait for each other: a core is busy with several vectors of them only.
bool VectorizedLoops::hasFunctions() {
  return llvm::any_of(op.getBody()->without_terminator(), [](Operation &inner) {
    return isa<GeluOp>(inner) || (isa<math::MathDialect>(inner.getDialect()) &&
                                  !isa<math::AbsFOp, math::AbsIOp, math::FmaOp, math::SqrtOp, math::CopySignOp>(inner));
  });
}

void VectorizedLoops::lanes(Value size, function_ref<void(Value, Value)> body) {
  std::optional<int64_t> known = getConstantIntValue(size);
  if (!readsLanes) {
    Value begin = b.index(0);
    constexpr int64_t together = kVectorsTogether * LaneBuilder::kLanes;
    if (!b.threads && hasFunctions() && (!known || *known >= together)) {
      width = together;
      begin = b.mul(b.div(size, width), width);
      b.loop(b.index(0), begin, b.index(width), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
        body(i, {});
        return {};
      });
      width = LaneBuilder::kLanes;
      if (known && *known % together == 0)
        return;
    }
    return b.lanes(b.sub(size, begin), [&](Value i, Value mask) { body(b.add(begin, i), mask); });
  }
  Value whole = b.mul(b.div(size, width), width);
  if (!known || *known >= width)
    b.loop(b.index(0), whole, b.index(width), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
      body(i, {});
      return {};
    });
  if (known && *known % width == 0)
    return;
  width = 1;
  b.loop(whole, size, [&](Value i) { body(i, {}); });
  width = LaneBuilder::kLanes;
}

void VectorizedLoops::emit() {
  SmallVector<Value> loopSizes = sizes();
  SmallVector<unsigned> outer, reductions;
  for (auto [i, type] : llvm::enumerate(op.getIteratorTypesArray())) {
    // A loop that is summed by lanes has the others around it; a parallel one has the sums inside.
    if (i == loop || i == blockLoop)
      continue;
    if (isReduction() || type == utils::IteratorType::parallel)
      outer.push_back(i);
    else
      reductions.push_back(i);
  }
  b.loops(llvm::map_to_vector(outer, [&](unsigned i) { return loopSizes[i]; }), [&](ValueRange others) {
    auto address = [&](Value i) {
      SmallVector<Value> at(op.getNumLoops());
      for (auto [position, value] : llvm::zip_equal(outer, others))
        at[position] = value;
      at[loop] = i;
      return at;
    };
    if (isReduction())
      return emitReduction(loopSizes[loop], address);
    if (blockLoop)
      return emitBlocks(loopSizes, address);
    lanes(loopSizes[loop], [&](Value i, Value mask) { emitParallel(address(i), mask, reductions, loopSizes); });
  });
}
