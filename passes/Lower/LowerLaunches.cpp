// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-launches: what whit-lower-parallel is for threads of a CPU. Host and device share nothing but words.

#include "Lower/LaneBuilder.h"
#include "Lower/RegionLoops.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "Lower/LowerLaunches.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// Address spaces of NVPTX and of AMDGPU alike; private memory is in the generic one on NVPTX.
static constexpr unsigned kGlobal = 1, kShared = 3, kPrivateAmd = 5;
/// Bytes to which buffers of the device are aligned.
static constexpr int64_t kAlignment = 64;
/// Shared memory that a kernel may declare without asking the driver (AMD: all of it), and private memory of a thread.
static constexpr int64_t kMostShared = 48 << 10, kMostSharedAmd = 64 << 10, kMostPrivate = 64 << 10;

namespace {
/// A captured value as words: the host takes it apart, the kernel puts it together.
class Words {
public:
  explicit Words(Value value) : type(value.getType()) {
    if (auto memref = dyn_cast<MemRefType>(type))
      (void)memref.getStridesAndOffset(strides, offset);
  }

  SmallVector<Value> unpack(OpBuilder &b, Location loc, Value value) const {
    auto word = [&](Value index) -> Value { return arith::IndexCastOp::create(b, loc, b.getI64Type(), index); };
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref) {
      if (type.isIndex())
        return {word(value)};
      if (isa<FloatType>(type))
        value = arith::BitcastOp::create(b, loc, b.getIntegerType(type.getIntOrFloatBitWidth()), value);
      if (!value.getType().isInteger(64))
        value = arith::ExtUIOp::create(b, loc, b.getI64Type(), value);
      return {value};
    }
    auto data = memref::ExtractStridedMetadataOp::create(b, loc, value);
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, value);
    SmallVector<Value> words{LLVM::IntToPtrOp::create(b, loc, pointer(b), word(base))};
    if (ShapedType::isDynamic(offset))
      words.push_back(word(data.getOffset()));
    for (int64_t i = 0; i < memref.getRank(); ++i) {
      if (memref.isDynamicDim(i))
        words.push_back(word(data.getSizes()[i]));
      if (isFreeStride(i))
        words.push_back(word(data.getStrides()[i]));
    }
    return words;
  }

  SmallVector<Type> types(OpBuilder &b) const {
    SmallVector<Type> types{isa<MemRefType>(type) ? Type(pointer(b)) : b.getI64Type()};
    if (auto memref = dyn_cast<MemRefType>(type)) {
      int64_t more = ShapedType::isDynamic(offset);
      for (int64_t i = 0; i < memref.getRank(); ++i)
        more += memref.isDynamicDim(i) + isFreeStride(i);
      types.append(more, b.getI64Type());
    }
    return types;
  }

  Value pack(OpBuilder &b, Location loc, ValueRange words) const {
    auto memref = dyn_cast<MemRefType>(type);
    if (!memref) {
      Value word = words.front();
      if (type.isIndex())
        return arith::IndexCastOp::create(b, loc, type, word);
      Type integer = b.getIntegerType(type.getIntOrFloatBitWidth());
      if (integer != word.getType())
        word = arith::TruncIOp::create(b, loc, integer, word);
      return isa<FloatType>(type) ? Value(arith::BitcastOp::create(b, loc, type, word)) : word;
    }
    Value generic = LLVM::AddrSpaceCastOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext()), words.front());
    words = words.drop_front();
    auto next = [&] {
      Value word = words.front();
      words = words.drop_front();
      return word;
    };
    auto known = [&](int64_t value) -> Value {
      return LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(value));
    };
    Value start = ShapedType::isDynamic(offset) ? next() : known(offset);
    SmallVector<Value> sizes, steps(memref.getRank());
    for (int64_t i = 0; i < memref.getRank(); ++i) {
      sizes.push_back(memref.isDynamicDim(i) ? next() : known(memref.getDimSize(i)));
      if (isFreeStride(i))
        steps[i] = next();
    }
    Value product = known(1);
    for (int64_t i = memref.getRank() - 1; i >= 0; --i) {
      if (!steps[i])
        steps[i] = ShapedType::isDynamic(strides[i]) ? product : known(strides[i]);
      if (memref.getLayout().isIdentity())
        product = LLVM::MulOp::create(b, loc, product, sizes[i]);
    }
    return describe(b, loc, memref, generic, start, sizes, steps);
  }

  /// The memref that a descriptor of these parts is in LLVM.
  static Value describe(OpBuilder &b, Location loc, MemRefType memref, Value pointer, Value offset, ValueRange sizes,
                        ValueRange strides) {
    Type i64 = b.getI64Type();
    SmallVector<Type> fields{pointer.getType(), pointer.getType(), i64};
    if (memref.getRank())
      fields.append(2, LLVM::LLVMArrayType::get(i64, memref.getRank()));
    Value descriptor = LLVM::PoisonOp::create(b, loc, LLVM::LLVMStructType::getLiteral(b.getContext(), fields));
    auto set = [&](Value value, ArrayRef<int64_t> at) {
      descriptor = LLVM::InsertValueOp::create(b, loc, descriptor, value, at);
    };
    set(pointer, {0});
    set(pointer, {1});
    set(offset, {2});
    for (int64_t i = 0; i < memref.getRank(); ++i) {
      set(sizes[i], {3, i});
      set(strides[i], {4, i});
    }
    return UnrealizedConversionCastOp::create(b, loc, memref, descriptor).getResult(0);
  }

private:
  static LLVM::LLVMPointerType pointer(OpBuilder &b) { return LLVM::LLVMPointerType::get(b.getContext(), kGlobal); }
  /// Whether a stride follows from nothing that is known.
  bool isFreeStride(int64_t i) const {
    return ShapedType::isDynamic(strides[i]) && !cast<MemRefType>(type).getLayout().isIdentity();
  }

  Type type;
  SmallVector<int64_t> strides;
  int64_t offset = 0;
};

struct LowerLaunchesPass : mlir::whit::impl::LowerLaunchesPassBase<LowerLaunchesPass> {
  void runOnOperation() override {
    facts = TargetFacts::of(getOperation());
    OpBuilder b = OpBuilder::atBlockEnd(getOperation().getBody());
    SmallVector<func::FuncOp> regions;
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (func->hasAttr("whit.observed"))
        regions.push_back(func);
    kernels = gpu::GPUModuleOp::create(b, getOperation().getLoc(), "kernels");
    getOperation()->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
    for (func::FuncOp region : regions) {
      SmallVector<scf::ForallOp> loops = loopsOf(region);
      for (auto [i, loop] : llvm::enumerate(loops)) {
        std::string number = loops.size() == 1 ? "" : std::to_string(i);
        if (failed(outline(region, loop, (region.getSymName() + "_tiles" + number).str())))
          return signalPassFailure();
      }
      for (memref::AllocOp alloc : region.getOps<memref::AllocOp>()) {
        alloc.emitError() << "buffer between two kernels of region function " << region.getSymName()
                          << "; it must be a result of the region";
        return signalPassFailure();
      }
    }
    for (func::FuncOp region : regions)
      passContext(getOperation(), region);
    if (failed(checkHost()))
      return signalPassFailure();
    getOperation()->setAttr("whit.kernels", ArrayAttr::get(&getContext(), descriptions));
  }

  /// Memory of the device is not the host's to read or write.
  LogicalResult checkHost() {
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      WalkResult result = func.walk([](Operation *op) {
        if (!isa<memref::LoadOp, memref::StoreOp, memref::CopyOp>(op) && !isa<vector::VectorDialect>(op->getDialect()))
          return WalkResult::advance();
        op->emitOpError()
            << "uses memory of the device outside of any kernel; whit-lower-blocks should have moved it into one";
        return WalkResult::interrupt();
      });
      if (result.wasInterrupted())
        return failure();
    }
    return success();
  }

  LogicalResult outline(func::FuncOp region, scf::ForallOp loop, const std::string &name) {
    if (loop->getNumResults())
      return loop.emitError() << "parallel loop still yields tensors; bufferize before whit-lower-launches";
    auto [captured, constants] = capturedBy(loop);
    Location loc = loop.getLoc();
    auto marked = loop->getAttrOfType<IntegerAttr>(kThreads);
    int64_t threads = marked ? marked.getInt() : facts.warpSize();
    OpBuilder host(loop), b = OpBuilder::atBlockEnd(kernels.getBody());
    SmallVector<Value> arguments;
    SmallVector<Type> types;
    for (Value value : captured) {
      Words words(value);
      arguments.append(words.unpack(host, loc, value));
      types.append(words.types(b));
    }
    auto kernel = gpu::GPUFuncOp::create(b, loc, name, b.getFunctionType(types, {}));
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    for (auto [i, type] : llvm::enumerate(types)) // memory is; a view has its offset beside it
      if (isa<LLVM::LLVMPointerType>(type))
        kernel.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(kAlignment));
    kernel.setKnownBlockSizeAttr(b.getDenseI32ArrayAttr({int32_t(threads), 1, 1}));
    b.setInsertionPointToStart(&kernel.getBody().front());
    IRMapping map;
    ValueRange left = kernel.getBody().front().getArguments();
    for (Value value : captured) {
      Words words(value);
      size_t count = words.types(b).size();
      map.map(value, words.pack(b, loc, left.take_front(count)));
      left = left.drop_front(count);
    }
    for (Operation *constant : constants)
      b.clone(*constant, map);
    SmallVector<Value> counts = tileCounts(b, loop, map);
    Value tile = gpu::BlockIdOp::create(b, loc, gpu::Dimension::x);
    if (!marked) {
      Value first = arith::MulIOp::create(b, loc, tile, arith::ConstantIndexOp::create(b, loc, threads));
      tile = arith::AddIOp::create(b, loc, first, gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x));
      Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, tile, product(b, loc, counts));
      auto guard = scf::IfOp::create(b, loc, exists, /*withElseRegion=*/false);
      gpu::ReturnOp::create(b, loc);
      b.setInsertionPoint(guard.thenBlock()->getTerminator());
    }
    mapTile(b, loop, tile, counts, map);
    for (Operation &op : loop.getBody()->without_terminator())
      b.clone(op, map);
    if (marked)
      gpu::ReturnOp::create(b, loc);
    placeConstants(kernel);
    FailureOr<int64_t> shared = marked ? placeShared(kernel) : 0;
    if (failed(shared) || failed(placePrivate(kernel)))
      return failure();

    IRMapping outside;
    Value one = arith::ConstantIndexOp::create(host, loc, 1),
          blocks = product(host, loc, tileCounts(host, loop, outside));
    Value width = arith::ConstantIndexOp::create(host, loc, threads);
    if (!marked) {
      blocks = arith::AddIOp::create(host, loc, blocks, arith::ConstantIndexOp::create(host, loc, threads - 1));
      blocks = arith::DivUIOp::create(host, loc, blocks, width);
    }
    auto launch = gpu::LaunchFuncOp::create(host, loc, kernel, {blocks, one, one}, {width, one, one},
                                            /*dynamicSharedMemorySize=*/Value(), arguments);
    launch->setAttr("whit.kernel", b.getI32IntegerAttr(int32_t(descriptions.size())));
    SmallVector<NamedAttribute> description{b.getNamedAttr("name", b.getStringAttr(name)),
                                            b.getNamedAttr("shared", b.getI64IntegerAttr(*shared)),
                                            b.getNamedAttr("threads", b.getI64IntegerAttr(threads))};
    if (Attribute cut = loop->getAttr("whit.cut"))
      description.push_back(b.getNamedAttr("cut", cut));
    if (Attribute regions = region->getAttr("whit.region_ids"))
      description.push_back(b.getNamedAttr("regions", regions));
    descriptions.push_back(b.getDictionaryAttr(description));
    loop.erase();
    return success();
  }

  // ------------------------------------------------------------------------------------------------ memory

  /// Constants of the program that the kernel reads, in the memory of the device.
  void placeConstants(gpu::GPUFuncOp kernel) {
    SmallVector<memref::GetGlobalOp> constants;
    kernel.walk([&](memref::GetGlobalOp constant) { constants.push_back(constant); });
    for (memref::GetGlobalOp constant : constants) {
      auto host = getOperation().lookupSymbol<memref::GlobalOp>(constant.getName());
      MemRefType type = constant.getType();
      Location loc = constant.getLoc();
      auto global = kernels.lookupSymbol<LLVM::GlobalOp>(constant.getName());
      if (!global) {
        OpBuilder top = OpBuilder::atBlockBegin(kernels.getBody());
        auto values = cast<DenseElementsAttr>(host.getConstantInitValue());
        auto flat = values.reshape(RankedTensorType::get({type.getNumElements()}, type.getElementType()));
        auto array = LLVM::LLVMArrayType::get(type.getElementType(), type.getNumElements());
        global = LLVM::GlobalOp::create(top, loc, array, /*isConstant=*/true, LLVM::Linkage::Internal,
                                        constant.getName(), flat,
                                        /*alignment=*/64, kGlobal);
      }
      OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
      Value base = LLVM::AddressOfOp::create(b, loc, global);
      base = LLVM::AddrSpaceCastOp::create(b, loc, LLVM::LLVMPointerType::get(&getContext()), base);
      replaceBuffer(constant, {}, base, 0);
    }
  }

  /// Tile buffers of a block: one array of the module, since a kernel can name no memory of its own.
  FailureOr<int64_t> placeShared(gpu::GPUFuncOp kernel) {
    SmallVector<memref::AllocOp> allocs;
    kernel.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
    if (allocs.empty())
      return 0;
    SmallVector<int64_t> offsets;
    int64_t total = 0;
    for (memref::AllocOp alloc : allocs) {
      FailureOr<int64_t> bytes = largestBytes(alloc);
      if (failed(bytes))
        return failure();
      offsets.push_back(total);
      total += llvm::alignTo(*bytes, 16);
    }
    int64_t most = facts.isAmd() ? kMostSharedAmd : kMostShared;
    if (total > most)
      return kernel.emitError() << "tile buffers of kernel " << kernel.getName() << " take " << total
                                << " bytes of shared memory; at most " << most
                                << " are allowed, choose smaller tiles in the schedule of its region";
    Location loc = kernel.getLoc();
    OpBuilder b = OpBuilder::atBlockBegin(kernels.getBody());
    auto bytes = LLVM::LLVMArrayType::get(b.getI8Type(), total);
    auto global = LLVM::GlobalOp::create(b, loc, bytes, /*isConstant=*/false, LLVM::Linkage::Internal,
                                         (kernel.getName() + "_shared").str(), Attribute(), /*alignment=*/16, kShared);
    b.setInsertionPointToStart(&kernel.getBody().front());
    Value base = LLVM::AddressOfOp::create(b, loc, global);
    base = LLVM::AddrSpaceCastOp::create(b, loc, LLVM::LLVMPointerType::get(&getContext()), base);
    for (auto [alloc, offset] : llvm::zip_equal(allocs, offsets))
      replaceBuffer(alloc, alloc.getDynamicSizes(), base, offset);
    return total;
  }

  /// Buffers of a thread. Kernels of vectors take stack memory where they need it; here all of it is taken at the beginning.
  LogicalResult placePrivate(gpu::GPUFuncOp kernel) {
    SmallVector<Operation *> buffers, stack;
    kernel.walk([&](Operation *op) {
      if (isa<memref::AllocOp, memref::AllocaOp>(op))
        buffers.push_back(op);
      if (isa<LLVM::StackRestoreOp>(op))
        stack.insert(stack.begin(), op);
      if (isa<LLVM::StackSaveOp>(op))
        stack.push_back(op);
    });
    for (Operation *op : stack)
      op->erase();
    int64_t total = 0;
    for (Operation *buffer : buffers) {
      auto type = cast<MemRefType>(buffer->getResult(0).getType());
      FailureOr<int64_t> bytes =
          type.hasStaticShape() ? FailureOr<int64_t>(type.getNumElements() * ((type.getElementTypeBitWidth() + 7) / 8))
          : isa<memref::AllocOp>(buffer) ? largestBytes(cast<memref::AllocOp>(buffer))
                                         : FailureOr<int64_t>(failure());
      if (failed(bytes))
        return buffer->emitError() << "buffer of type " << type << " of a thread has no largest size";
      total += *bytes;
      OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
      Location loc = buffer->getLoc();
      Type pointer = LLVM::LLVMPointerType::get(&getContext(), facts.isAmd() ? kPrivateAmd : 0);
      Value count = LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(std::max<int64_t>(*bytes, 1)));
      Value base = LLVM::AllocaOp::create(b, loc, pointer, b.getI8Type(), count, /*alignment=*/64);
      if (facts.isAmd())
        base = LLVM::AddrSpaceCastOp::create(b, loc, LLVM::LLVMPointerType::get(&getContext()), base);
      replaceBuffer(buffer, buffer->getOperands(), base, 0);
    }
    if (total > kMostPrivate)
      return kernel.emitError() << "buffers of a thread of kernel " << kernel.getName() << " take " << total
                                << " bytes; at most " << kMostPrivate
                                << " are allowed, choose smaller tiles in the schedule of its region";
    return success();
  }

  void replaceBuffer(Operation *buffer, ValueRange dynamicSizes, Value base, int64_t offset) {
    OpBuilder b(buffer);
    Location loc = buffer->getLoc();
    auto type = cast<MemRefType>(buffer->getResult(0).getType());
    Type i64 = b.getI64Type();
    auto known = [&](int64_t value) -> Value {
      return LLVM::ConstantOp::create(b, loc, i64, b.getI64IntegerAttr(value));
    };
    Value pointer =
        LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{int32_t(offset)});
    SmallVector<Value> sizes, strides(type.getRank());
    unsigned next = 0;
    for (int64_t size : type.getShape())
      sizes.push_back(ShapedType::isDynamic(size) ? Value(arith::IndexCastOp::create(b, loc, i64, dynamicSizes[next++]))
                                                  : known(size));
    Value product = known(1);
    for (int64_t i = type.getRank() - 1; i >= 0; --i) {
      strides[i] = product;
      product = LLVM::MulOp::create(b, loc, product, sizes[i]);
    }
    buffer->getResult(0).replaceAllUsesWith(Words::describe(b, loc, type, pointer, known(0), sizes, strides));
    buffer->erase();
  }

  // ------------------------------------------------------------------------------------------------ tiles

  static Value product(OpBuilder &b, Location loc, ArrayRef<Value> counts) {
    Value all = arith::ConstantIndexOp::create(b, loc, 1);
    for (Value count : counts)
      all = arith::MulIOp::create(b, loc, all, count);
    return all;
  }

  TargetFacts facts;
  gpu::GPUModuleOp kernels;
  SmallVector<Attribute> descriptions;
};
} // namespace
