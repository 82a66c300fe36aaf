// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-contraction: two ways to fill vectors, by where the elements lie. Columns: 16 results side by side. Dots: 16
// terms of one sum side by side.

#include "Lower/LaneBuilder.h"
#include "Lower/VectorizedLoops.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERCONTRACTIONPASS
#include "Lower/LowerContraction.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
/// Rows and columns of dot products that are summed together.
struct Shape {
  int64_t rows, columns;
};

class Contraction {
public:
  Contraction(LaneBuilder &b, linalg::GenericOp op) : b(b), op(op) {}

  bool match();
  void emit();

private:
  bool matchBody();
  bool matchLoops();
  int64_t lastLoop(unsigned operand);
  bool moves(unsigned operand, unsigned loop) { return maps[operand].isFunctionOfDim(loop); }
  bool isReduction(unsigned loop) { return op.getIteratorTypesArray()[loop] == utils::IteratorType::reduction; }
  MemRefType typeOf(unsigned operand) { return cast<MemRefType>(op->getOperand(operand).getType()); }
  Value memref(unsigned operand) { return op->getOperand(operand); }

  SmallVector<Value> address(unsigned operand, ArrayRef<Value> at);
  Value element(unsigned operand, ArrayRef<Value> at);
  Value lanes(unsigned operand, ArrayRef<Value> at, Value mask);
  Value widened(unsigned operand, Value value);
  Value narrowed(Value value);
  Value zeros();
  Value plus(Value x, Value y);
  Value multiplyAdd(Value x, Value y, Value z);
  SmallVector<Value> sumOver(ArrayRef<unsigned> loops, ArrayRef<Value> init, SmallVector<Value> &at,
                             function_ref<SmallVector<Value>(ValueRange)> body);
  void inBlocks(Value size, int64_t block, function_ref<void(Value, int64_t)> body);
  void emitColumns(SmallVector<Value> &at, int64_t rows, int64_t vectors, Value mask);
  void emitDots(SmallVector<Value> &at, Shape block);

  LaneBuilder &b;
  linalg::GenericOp op;
  SmallVector<AffineMap> maps;
  Type sumType; ///< what sums are kept in: f32, f64 or an integer
  bool isUnsigned[2] = {false, false};
  unsigned rowFactor = 0, columnFactor = 1; ///< operands: one moves with rows, the other with columns
  unsigned column = 0;                      ///< the loop of the result's last dimension
  std::optional<unsigned> row;              ///< the innermost loop of the result that moves rowFactor only
  bool dots = false;                        ///< sums in lanes
  SmallVector<unsigned> outer, sums;        ///< other loops of the result; summed loops, the one in lanes last
  SmallVector<Value> sizes;
};
} // namespace

// ---------------------------------------------------------------------------------------------------- matching

/// The block argument behind `value`, through an operation that makes its elements wider.
static BlockArgument factorOf(Value value, bool &isUnsigned) {
  if (Operation *op = value.getDefiningOp(); isa_and_nonnull<arith::ExtFOp, arith::ExtSIOp, arith::ExtUIOp>(op)) {
    isUnsigned = isa<arith::ExtUIOp>(op);
    value = op->getOperand(0);
  }
  return dyn_cast<BlockArgument>(value);
}

bool Contraction::matchBody() {
  Block *body = op.getBody();
  if (op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1)
    return false;
  Operation *sum = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!isa_and_nonnull<arith::AddFOp, arith::AddIOp>(sum) || sum->getBlock() != body)
    return false;
  Value so = op.getRegionOutputArgs()[0];
  if (!so.hasOneUse() || (sum->getOperand(0) != so && sum->getOperand(1) != so))
    return false;
  Operation *product = sum->getOperand(sum->getOperand(0) == so ? 1 : 0).getDefiningOp();
  if (!isa_and_nonnull<arith::MulFOp, arith::MulIOp>(product) || product->getBlock() != body)
    return false;
  bool unsignedFactors[2];
  std::fill_n(unsignedFactors, 2, false);
  BlockArgument x = factorOf(product->getOperand(0), unsignedFactors[0]),
                y = factorOf(product->getOperand(1), unsignedFactors[1]);
  if (!x || !y || x == y || x.getOwner() != body || y.getOwner() != body || x == so || y == so)
    return false;
  isUnsigned[x.getArgNumber()] = unsignedFactors[0];
  isUnsigned[y.getArgNumber()] = unsignedFactors[1];
  Type element = typeOf(2).getElementType();
  sumType = element.isF16() || element.isBF16() ? b.getF32Type() : element;
  // Products of narrow floats that are rounded before they are added would differ.
  return isa<FloatType>(sumType) ? sumType.isF32() || sumType.isF64() : !sumType.isInteger(1) && isStorable(sumType);
}

/// The loop that is the last dimension of an operand, if that lies in memory side by side; else -1.
int64_t Contraction::lastLoop(unsigned operand) {
  if (maps[operand].getNumResults() == 0 || !hasUnitStride(typeOf(operand)))
    return -1;
  auto dim = dyn_cast<AffineDimExpr>(maps[operand].getResults().back());
  return dim ? int64_t(dim.getPosition()) : -1;
}

bool Contraction::matchLoops() {
  for (AffineMap map : maps)
    if (!map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return false;
  int64_t last = lastLoop(2);
  if (last < 0 || isReduction(last) || moves(0, last) == moves(1, last))
    return false;
  column = last;
  columnFactor = moves(0, column) ? 0 : 1;
  rowFactor = 1 - columnFactor;
  for (unsigned loop = 0; loop < op.getNumLoops(); ++loop) {
    if (isReduction(loop)) {
      if (moves(2, loop) || !moves(0, loop) || !moves(1, loop))
        return false;
      sums.push_back(loop);
    } else if (loop != column) {
      if (!moves(2, loop))
        return false;
      if (moves(rowFactor, loop) && !moves(columnFactor, loop))
        row = loop;
      outer.push_back(loop);
    }
  }
  if (sums.empty())
    return false;
  if (row)
    llvm::erase(outer, *row);
  if (lastLoop(columnFactor) == int64_t(column))
    return true;
  // Otherwise both factors must have a summed loop last.
  int64_t shared = lastLoop(0);
  if (shared < 0 || shared != lastLoop(1) || !isReduction(shared))
    return false;
  dots = true;
  llvm::erase(sums, unsigned(shared));
  sums.push_back(shared);
  return true;
}

bool Contraction::match() {
  if (!op.hasPureBufferSemantics() || op.getNumDpsInputs() != 2 || op.getNumDpsInits() != 1 ||
      !llvm::all_of(op->getOperands(), [](Value v) {
        auto type = dyn_cast<MemRefType>(v.getType());
        return type && isStorable(type.getElementType());
      }))
    return false;
  maps = op.getIndexingMapsArray();
  return matchBody() && matchLoops();
}

// ---------------------------------------------------------------------------------------------------- elements

SmallVector<Value> Contraction::address(unsigned operand, ArrayRef<Value> at) {
  SmallVector<Value> address;
  for (AffineExpr expr : maps[operand].getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expr);
    address.push_back(dim ? at[dim.getPosition()] : b.index(0));
  }
  return address;
}

Value Contraction::widened(unsigned operand, Value value) {
  Type from = getElementTypeOrSelf(value.getType());
  if (from == sumType)
    return value;
  Type to = sumType;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    to = vector.clone(sumType);
  if (isa<IntegerType>(from))
    return operand < 2 && isUnsigned[operand] ? Value(arith::ExtUIOp::create(b, to, value))
                                              : Value(arith::ExtSIOp::create(b, to, value));
  Value single = b.widen(value);
  return sumType.isF64() ? Value(arith::ExtFOp::create(b, to, single)) : single;
}

Value Contraction::element(unsigned operand, ArrayRef<Value> at) {
  return widened(operand, b.read(memref(operand), address(operand, at)));
}

Value Contraction::lanes(unsigned operand, ArrayRef<Value> at, Value mask) {
  return widened(operand, b.load(memref(operand), address(operand, at), mask));
}

Value Contraction::narrowed(Value value) {
  Type element = typeOf(2).getElementType();
  return element == sumType ? value : b.narrow(value, element);
}

Value Contraction::zeros() { return arith::ConstantOp::create(b, b.getZeroAttr(b.vectorOf(sumType))); }

Value Contraction::plus(Value x, Value y) { return isa<FloatType>(sumType) ? b.addf(x, y) : b.add(x, y); }

Value Contraction::multiplyAdd(Value x, Value y, Value z) {
  return isa<FloatType>(sumType) ? b.fma(x, y, z) : b.add(z, b.mul(x, y));
}

// ---------------------------------------------------------------------------------------------------- loops

/// `body` inside one loop per element of `loops`, which carry values.
SmallVector<Value> Contraction::sumOver(ArrayRef<unsigned> loops, ArrayRef<Value> init, SmallVector<Value> &at,
                                        function_ref<SmallVector<Value>(ValueRange)> body) {
  if (loops.empty())
    return body(init);
  return b.loop(b.index(0), sizes[loops[0]], b.index(1), init, [&](Value i, ValueRange carried) -> SmallVector<Value> {
    at[loops[0]] = i;
    return sumOver(loops.drop_front(), llvm::to_vector(carried), at, body);
  });
}

/// [0, size) in whole blocks, then one by one.
void Contraction::inBlocks(Value size, int64_t block, function_ref<void(Value, int64_t)> body) {
  std::optional<int64_t> known = getConstantIntValue(size);
  Value whole = b.mul(b.div(size, block), block);
  if (!known || *known >= block)
    b.loop(b.index(0), whole, b.index(block), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
      body(i, block);
      return {};
    });
  if (!known || *known % block)
    b.loop(whole, size, [&](Value i) { body(i, 1); });
}

/// y[row + i, column + 16 j ...] += sum of x[row + i, k] * w[k, column + 16 j ...]
void Contraction::emitColumns(SmallVector<Value> &at, int64_t rows, int64_t vectors, Value mask) {
  Value firstRow = row ? at[*row] : Value(), firstColumn = at[column];
  auto atRow = [&](int64_t i) {
    if (row)
      at[*row] = b.add(firstRow, i);
  };
  auto atVector = [&](int64_t j) { at[column] = b.add(firstColumn, j * LaneBuilder::kLanes); };
  SmallVector<Value> init;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      atRow(i), atVector(j);
      init.push_back(lanes(2, at, mask));
    }
  SmallVector<Value> results = sumOver(sums, init, at, [&](ValueRange carried) {
    SmallVector<Value> next(carried), loaded;
    for (int64_t j = 0; j < vectors; ++j) {
      atVector(j);
      loaded.push_back(lanes(columnFactor, at, mask));
    }
    for (int64_t i = 0; i < rows; ++i) {
      atRow(i);
      Value x = b.splat(element(rowFactor, at));
      for (int64_t j = 0; j < vectors; ++j)
        next[i * vectors + j] = multiplyAdd(x, loaded[j], next[i * vectors + j]);
    }
    return next;
  });
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < vectors; ++j) {
      atRow(i), atVector(j);
      b.store(narrowed(results[i * vectors + j]), memref(2), address(2, at), mask);
    }
  at[column] = firstColumn;
  if (row)
    at[*row] = firstRow;
}

/// y[row + i, column + j] += sum of x[row + i, k] * w[column + j, k]
void Contraction::emitDots(SmallVector<Value> &at, Shape block) {
  Value firstRow = row ? at[*row] : Value(), firstColumn = at[column];
  unsigned inner = sums.back();
  SmallVector<Value> init(block.rows * block.columns, zeros());
  SmallVector<Value> results = sumOver(ArrayRef(sums).drop_back(), init, at, [&](ValueRange carried) {
    return b.lanes(sizes[inner], carried, [&](Value k, Value mask, ValueRange values) -> SmallVector<Value> {
      SmallVector<Value> next(values), loaded;
      at[inner] = k;
      for (int64_t j = 0; j < block.columns; ++j) {
        at[column] = b.add(firstColumn, j);
        loaded.push_back(lanes(columnFactor, at, mask));
      }
      for (int64_t i = 0; i < block.rows; ++i) {
        if (row)
          at[*row] = b.add(firstRow, i);
        Value x = lanes(rowFactor, at, mask);
        for (int64_t j = 0; j < block.columns; ++j)
          next[i * block.columns + j] = multiplyAdd(x, loaded[j], next[i * block.columns + j]);
      }
      return next;
    });
  });
  for (int64_t i = 0; i < block.rows; ++i)
    for (int64_t j = 0; j < block.columns; ++j) {
      at[column] = b.add(firstColumn, j);
      if (row)
        at[*row] = b.add(firstRow, i);
      Value sum = b.reduce(results[i * block.columns + j], [&](Value x, Value y) { return plus(x, y); });
      b.write(narrowed(plus(element(2, at), sum)), memref(2), address(2, at));
    }
  at[column] = firstColumn;
  if (row)
    at[*row] = firstRow;
}

void Contraction::emit() {
  sizes.resize(op.getNumLoops());
  for (unsigned operand = 0; operand < 3; ++operand)
    for (auto [i, expr] : llvm::enumerate(maps[operand].getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        if (Value &size = sizes[dim.getPosition()]; !size || !typeOf(operand).isDynamicDim(i))
          size = b.dim(memref(operand), i);
  bool wide = b.facts.accumulators() >= 24;
  int64_t rows = wide ? 4 : 2, vectors = wide ? 4 : 2;
  b.loops(llvm::map_to_vector(outer, [&](unsigned i) { return sizes[i]; }), [&](ValueRange indices) {
    SmallVector<Value> at(op.getNumLoops());
    for (auto [loop, index] : llvm::zip_equal(outer, indices))
      at[loop] = index;
    auto inRow = [&](Value i, int64_t count) {
      if (row)
        at[*row] = i;
      if (dots)
        return inBlocks(sizes[column], vectors, [&](Value j, int64_t width) {
          at[column] = j;
          emitDots(at, {count, width});
        });
      int64_t block = vectors * LaneBuilder::kLanes;
      std::optional<int64_t> known = getConstantIntValue(sizes[column]);
      Value whole = b.mul(b.div(sizes[column], block), block);
      if (!known || *known >= block)
        b.loop(b.index(0), whole, b.index(block), {}, [&](Value j, ValueRange) -> SmallVector<Value> {
          at[column] = j;
          emitColumns(at, count, vectors, {});
          return {};
        });
      if (!known || *known % block)
        b.lanes(b.sub(sizes[column], whole), [&](Value j, Value mask) {
          at[column] = b.add(whole, j);
          emitColumns(at, count, 1, mask);
        });
    };
    if (row)
      inBlocks(sizes[*row], rows, inRow);
    else
      inRow({}, 1);
  });
}

// ---------------------------------------------------------------------------------------------------- the pass

namespace {
struct LowerContractionPass : mlir::whit::impl::LowerContractionPassBase<LowerContractionPass> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> ops;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (op.hasPureBufferSemantics() && op.getNumReductionLoops() > 0)
        ops.push_back(op);
    });
    for (linalg::LinalgOp op : ops) {
      IRRewriter rewriter(op);
      auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
      if (!generic && isa<linalg::ContractionOpInterface>(op.getOperation()))
        if (FailureOr<linalg::GenericOp> general = linalg::generalizeNamedOp(rewriter, op); succeeded(general))
          generic = *general;
      if (!generic)
        continue;
      LaneBuilder b(generic);
      Contraction contraction(b, generic);
      if (!contraction.match())
        continue;
      contraction.emit();
      generic.erase();
    }
  }
};
} // namespace
