// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scalars, loops and vectors of row kernels. Index arithmetic folds as it is built; a tail is only emitted where a size
// is not known to be a multiple of the lanes.

#include "Lower/LaneBuilder.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::whit;

LaneBuilder::LaneBuilder(Operation *op) : ImplicitLocOpBuilder(op->getLoc(), op), facts(TargetFacts::of(op)) {
  fused = facts.hasFma();
  for (auto loop = op->getParentOfType<scf::ForallOp>(); loop; loop = loop->getParentOfType<scf::ForallOp>())
    if (auto attr = loop->getAttrOfType<IntegerAttr>(kThreads))
      threads = attr.getInt();
}

// ---------------------------------------------------------------------------------------------------- blocks of threads

Value LaneBuilder::thread() { return gpu::ThreadIdOp::create(*this, gpu::Dimension::x); }
Value LaneBuilder::lane() { return rem(thread(), facts.warpSize()); }
Value LaneBuilder::warp() { return div(thread(), facts.warpSize()); }

void LaneBuilder::barrier() { gpu::BarrierOp::create(*this); }

void LaneBuilder::warpSync() {
  if (facts.isNvidia()) {
    Value everybody = arith::ConstantOp::create(*this, getI32IntegerAttr(-1));
    LLVM::CallIntrinsicOp::create(*this, getStringAttr("llvm.nvvm.bar.warp.sync"), ValueRange(everybody));
    return;
  }
  // The lanes of a wave run in step, and its accesses to shared memory in order: only the compiler must not move them.
  LLVM::FenceOp::create(*this, LLVM::AtomicOrdering::acq_rel, "wavefront");
  LLVM::CallIntrinsicOp::create(*this, getStringAttr("llvm.amdgcn.wave.barrier"), ValueRange());
}

void LaneBuilder::forThreads(Value count, function_ref<void(Value)> body) {
  Value from = threads ? thread() : index(0);
  loop(from, count, index(std::max<int64_t>(threads, 1)), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
    body(i);
    return {};
  });
}

void LaneBuilder::forLanes(Value count, function_ref<void(Value)> body) {
  Value from = threads ? lane() : index(0);
  loop(from, count, index(threads ? facts.warpSize() : 1), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
    body(i);
    return {};
  });
}

SmallVector<Value> LaneBuilder::delinearize(Value linear, ArrayRef<Value> sizes) {
  SmallVector<Value> digits(sizes.size());
  for (int64_t i = int64_t(sizes.size()) - 1; i >= 0; --i) {
    digits[i] = i ? createOrFold<arith::RemUIOp>(linear, sizes[i]) : linear;
    linear = i ? createOrFold<arith::DivUIOp>(linear, sizes[i]) : linear;
  }
  return digits;
}

Value LaneBuilder::product(ArrayRef<Value> sizes) {
  Value all = index(1);
  for (Value size : sizes)
    all = mul(all, size);
  return all;
}

// ---------------------------------------------------------------------------------------------------- scalars

static std::optional<int64_t> constantOf(Value value) { return getConstantIntValue(value); }

Value LaneBuilder::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value LaneBuilder::i32(int64_t value) { return arith::ConstantOp::create(*this, getI32IntegerAttr(value)); }
Value LaneBuilder::f32(float value) { return arith::ConstantOp::create(*this, getF32FloatAttr(value)); }
Value LaneBuilder::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }
Value LaneBuilder::sub(Value a, Value b) { return createOrFold<arith::SubIOp>(a, b); }
Value LaneBuilder::mul(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }

Value LaneBuilder::div(Value a, int64_t b) {
  if (llvm::isPowerOf2_64(b))
    return createOrFold<arith::ShRUIOp>(a, index(llvm::Log2_64(b)));
  return createOrFold<arith::DivUIOp>(a, index(b));
}

Value LaneBuilder::rem(Value a, int64_t b) {
  if (llvm::isPowerOf2_64(b))
    return createOrFold<arith::AndIOp>(a, index(b - 1));
  return createOrFold<arith::RemUIOp>(a, index(b));
}

Value LaneBuilder::min(Value a, Value b) { return createOrFold<arith::MinSIOp>(a, b); }
Value LaneBuilder::max(Value a, Value b) { return createOrFold<arith::MaxSIOp>(a, b); }
Value LaneBuilder::cmp(arith::CmpIPredicate predicate, Value a, Value b) {
  return createOrFold<arith::CmpIOp>(predicate, a, b);
}
Value LaneBuilder::cmp(arith::CmpFPredicate predicate, Value a, Value b) {
  return arith::CmpFOp::create(*this, predicate, a, b);
}
Value LaneBuilder::select(Value condition, Value a, Value b) { return createOrFold<arith::SelectOp>(condition, a, b); }

Value LaneBuilder::dim(Value memref, int64_t i) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(i))
    return index(type.getDimSize(i));
  return memref::DimOp::create(*this, memref, i);
}

Value LaneBuilder::toIndex(Value integer) {
  if (integer.getType().isIndex())
    return integer;
  return createOrFold<arith::IndexCastOp>(getIndexType(), integer);
}

Value LaneBuilder::toI32(Value index) { return createOrFold<arith::IndexCastOp>(getI32Type(), index); }

Value LaneBuilder::read(Value memref, ValueRange at) { return memref::LoadOp::create(*this, memref, at); }
void LaneBuilder::write(Value value, Value memref, ValueRange at) { memref::StoreOp::create(*this, value, memref, at); }

// ---------------------------------------------------------------------------------------------------- control

SmallVector<Value> LaneBuilder::loop(Value from, Value to, Value step, ValueRange init, Body body) {
  auto loop = scf::ForOp::create(*this, from, to, step, init);
  OpBuilder::InsertionGuard guard(*this);
  if (init.empty())
    setInsertionPoint(loop.getBody()->getTerminator());
  else
    setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> results = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(*this, results);
  return loop.getResults();
}

SmallVector<Value> LaneBuilder::rolledLoop(Value from, Value to, Value step, ValueRange init, Body body) {
  SmallVector<Value> results = loop(from, to, step, init, body);
  BoolAttr yes = getBoolAttr(true);
  auto unroll = LLVM::LoopUnrollAttr::get(getContext(), yes, {}, {}, {}, {}, {}, {});
  auto annotation =
      LLVM::LoopAnnotationAttr::get(getContext(), {}, {}, {}, unroll, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});
  std::prev(getInsertionPoint())->setAttr("loop_annotation", annotation);
  return results;
}

void LaneBuilder::loop(Value from, Value to, function_ref<void(Value)> body) {
  if (constantOf(from) && constantOf(to) && *constantOf(to) == *constantOf(from) + 1)
    return body(from);
  loop(from, to, index(1), {}, [&](Value i, ValueRange) -> SmallVector<Value> {
    body(i);
    return {};
  });
}

void LaneBuilder::loops(ArrayRef<Value> sizes, function_ref<void(ValueRange)> body) {
  if (threads)
    return loop(warp(), product(sizes), index(warps()), {},
                [&](Value i, ValueRange) -> SmallVector<Value> {
                  body(delinearize(i, sizes));
                  return {};
                }),
           void();
  SmallVector<Value> at;
  auto nest = [&](auto &&self) -> void {
    if (at.size() == sizes.size())
      return body(at);
    loop(index(0), sizes[at.size()], [&](Value i) {
      at.push_back(i);
      self(self);
      at.pop_back();
    });
  };
  nest(nest);
}

void LaneBuilder::ifThen(Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
  if (auto known = constantOf(condition)) {
    if (*known)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto branch = scf::IfOp::create(*this, condition, /*withElseRegion=*/bool(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(branch.thenBlock()->getTerminator());
  then();
  if (otherwise) {
    setInsertionPoint(branch.elseBlock()->getTerminator());
    otherwise();
  }
}

SmallVector<Value> LaneBuilder::lanes(Value size, ValueRange init, LaneBody body, int64_t width) {
  if (threads && width == kLanes)
    return loop(lane(), size, index(facts.warpSize()), init,
                [&](Value at, ValueRange values) { return body(at, nullptr, values); });
  std::optional<int64_t> known = constantOf(size);
  Value whole = mul(div(size, width), width);
  SmallVector<Value> carried(init);
  if (known && *known / width == 1)
    carried = body(index(0), nullptr, carried);
  else if (!known || *known >= width)
    carried = loop(index(0), whole, index(width), carried,
                   [&](Value at, ValueRange values) { return body(at, nullptr, values); });
  if (!known || *known % width)
    carried = body(whole, maskOf(sub(size, whole), width), carried);
  return carried;
}

void LaneBuilder::lanes(Value size, function_ref<void(Value, Value)> body, int64_t width) {
  auto wrapped = [&](Value at, Value mask, ValueRange) -> SmallVector<Value> {
    body(at, mask);
    return {};
  };
  lanes(size, {}, wrapped, width);
}

// A kernel may stand inside a loop, where an alloca alone would grow the stack with each iteration.
void LaneBuilder::scratch(ArrayRef<MemRefType> types, function_ref<void(ValueRange)> body) {
  auto pointer = LLVM::LLVMPointerType::get(getContext());
  Value saved = LLVM::StackSaveOp::create(*this, pointer);
  SmallVector<Value> buffers;
  for (MemRefType type : types)
    buffers.push_back(memref::AllocaOp::create(*this, type, getI64IntegerAttr(64)));
  body(buffers);
  LLVM::StackRestoreOp::create(*this, saved);
}

// ---------------------------------------------------------------------------------------------------- vectors

Value LaneBuilder::splat(Value scalar, int64_t lanes) {
  if (threads && lanes == kLanes)
    return scalar;
  return vector::BroadcastOp::create(*this, vectorOf(scalar.getType(), lanes), scalar);
}

Value LaneBuilder::splat(float value, int64_t lanes) {
  if (threads && lanes == kLanes)
    return f32(value);
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorOf(getF32Type(), lanes), value));
}

Value LaneBuilder::splatInt(int64_t value, Type element, int64_t lanes) {
  TypedAttr one = getIntegerAttr(element, value);
  if (threads && lanes == kLanes)
    return arith::ConstantOp::create(*this, one);
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorOf(element, lanes), Attribute(one)));
}

Value LaneBuilder::iota(int64_t lanes) {
  if (threads && lanes == kLanes)
    return i32(0);
  return arith::ConstantOp::create(*this, getI32VectorAttr(llvm::to_vector(llvm::seq<int32_t>(0, lanes))));
}

Value LaneBuilder::maskOf(Value count, int64_t lanes) {
  if (threads && lanes == kLanes)
    return cmp(arith::CmpIPredicate::sgt, count, index(0));
  if (auto known = constantOf(count)) {
    SmallVector<bool> bits(lanes);
    for (int64_t i = 0; i < lanes; ++i)
      bits[i] = i < *known;
    return arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorOf(getI1Type(), lanes), bits));
  }
  return vector::CreateMaskOp::create(*this, vectorOf(getI1Type(), lanes), ValueRange{count});
}

/// The same memory with elements of another type. Descriptors of both are one type in LLVM, so the cast vanishes there.
static Value withElement(LaneBuilder &b, Value memref, Type element) {
  MemRefType type = MemRefType::Builder(cast<MemRefType>(memref.getType())).setElementType(element);
  return UnrealizedConversionCastOp::create(b, type, memref).getResult(0);
}

/// LLVM turns masked accesses of f16 and bf16 into library calls where it has no arithmetic on them.
static bool isHalf(Type type) { return type.isF16() || type.isBF16(); }

Value LaneBuilder::load(Value memref, ValueRange at, Value mask, int64_t lanes) {
  if (threads && lanes == kLanes) {
    if (!mask)
      return read(memref, at);
    Type type = cast<MemRefType>(memref.getType()).getElementType();
    auto guarded = scf::IfOp::create(
        *this, mask,
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, memref::LoadOp::create(b, loc, memref, at).getResult());
        },
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, arith::ConstantOp::create(b, loc, b.getZeroAttr(type)).getResult());
        });
    return guarded.getResult(0);
  }
  VectorType type = vectorOf(cast<MemRefType>(memref.getType()).getElementType(), lanes);
  if (type.getElementType().isInteger(1)) { // a byte each in memory, a bit each in a vector
    Value bytes = load(withElement(*this, memref, getI8Type()), at, mask, lanes);
    return cmp(arith::CmpIPredicate::ne, bytes, splatInt(0, getI8Type(), lanes));
  }
  if (!mask)
    return vector::LoadOp::create(*this, type, memref, at);
  VectorType stored = isHalf(type.getElementType()) ? vectorOf(getI16Type(), lanes) : type;
  if (stored != type)
    memref = withElement(*this, memref, getI16Type());
  Value nothing = arith::ConstantOp::create(*this, getZeroAttr(stored));
  Value loaded = vector::MaskedLoadOp::create(*this, stored, memref, at, mask, nothing);
  return stored == type ? loaded : Value(arith::BitcastOp::create(*this, type, loaded));
}

void LaneBuilder::store(Value value, Value memref, ValueRange at, Value mask) {
  if (!isa<VectorType>(value.getType())) {
    if (!mask)
      return write(value, memref, at);
    return ifThen(mask, [&] { write(value, memref, at); });
  }
  if (auto type = cast<VectorType>(value.getType()); type.getElementType().isInteger(1)) {
    value = arith::ExtUIOp::create(*this, type.clone(getI8Type()), value);
    memref = withElement(*this, memref, getI8Type());
  }
  if (!mask) {
    vector::StoreOp::create(*this, value, memref, at);
    return;
  }
  if (auto type = cast<VectorType>(value.getType()); isHalf(type.getElementType())) {
    memref = withElement(*this, memref, getI16Type());
    value = arith::BitcastOp::create(*this, type.clone(getI16Type()), value);
  }
  vector::MaskedStoreOp::create(*this, memref, at, mask, value);
}

Value LaneBuilder::loadFloat(Value memref, ValueRange at, Value mask, int64_t lanes) {
  return widen(load(memref, at, mask, lanes));
}

void LaneBuilder::storeFloat(Value value, Value memref, ValueRange at, Value mask) {
  store(narrow(value, cast<MemRefType>(memref.getType()).getElementType()), memref, at, mask);
}

Value LaneBuilder::addf(Value a, Value b) { return arith::AddFOp::create(*this, a, b); }
Value LaneBuilder::subf(Value a, Value b) { return arith::SubFOp::create(*this, a, b); }
Value LaneBuilder::mulf(Value a, Value b) { return arith::MulFOp::create(*this, a, b); }
Value LaneBuilder::divf(Value a, Value b) { return arith::DivFOp::create(*this, a, b); }

Value LaneBuilder::fma(Value a, Value b, Value c) {
  if (fused)
    return math::FmaOp::create(*this, a, b, c);
  return addf(mulf(a, b), c);
}

Value LaneBuilder::greater(Value a, Value b) { return select(cmp(arith::CmpFPredicate::OGT, a, b), a, b); }
Value LaneBuilder::lesser(Value a, Value b) { return select(cmp(arith::CmpFPredicate::OLT, a, b), a, b); }

Value LaneBuilder::reduce(Value vector, function_ref<Value(Value, Value)> combine) {
  if (!isa<VectorType>(vector.getType())) {
    // By halves, so that all lanes get the same bits.
    for (int64_t distance = facts.warpSize() / 2; distance > 0; distance /= 2) {
      auto other =
          gpu::ShuffleOp::create(*this, vector, int32_t(distance), int32_t(facts.warpSize()), gpu::ShuffleMode::XOR);
      vector = combine(vector, other.getShuffleResult());
    }
    return vector;
  }
  for (int64_t n = cast<VectorType>(vector.getType()).getNumElements() / 2; n >= 1; n /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < n; ++i) {
      low.push_back(i);
      high.push_back(n + i);
    }
    vector = combine(vector::ShuffleOp::create(*this, vector, vector, low),
                     vector::ShuffleOp::create(*this, vector, vector, high));
  }
  return vector::ExtractOp::create(*this, vector, 0);
}

Value LaneBuilder::sum(Value vector) {
  return reduce(vector, [&](Value a, Value b) { return addf(a, b); });
}

// Four rounds that interleave lanes of rows n apart.
void LaneBuilder::transpose(SmallVector<Value> &rows) {
  for (int64_t n = kLanes / 2; n >= 1; n /= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t i = 0; i < kLanes; ++i) {
      int64_t within = i % (2 * n), base = i - within;
      low.push_back(within < n ? base + within : kLanes + base + within - n);
      high.push_back(low.back() + n);
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      if (i & n)
        continue;
      Value a = rows[i], c = rows[i + n];
      rows[i] = vector::ShuffleOp::create(*this, a, c, low);
      rows[i + n] = vector::ShuffleOp::create(*this, a, c, high);
    }
  }
}
