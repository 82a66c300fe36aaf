// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-plan-memory: from a function on buffers to the two functions that an artifact exports. Slots are assigned in one pass
// over the program: a buffer takes the free slot that fits it best at nominal sizes, so the plan is the same in every compile.

#include "Whit/Whit.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "Lower/PlanMemory.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
constexpr int64_t kAlignment = 64;
/// What a dynamic dimension counts for when slots are compared.
constexpr int64_t kNominalSize = 128;

struct Buffer {
  memref::AllocOp alloc;
  int64_t first, last; // positions of its first and last use
  int64_t nominal;     // bytes at nominal sizes
  int64_t slot = -1;
};

struct Slot {
  int64_t nominal, freeFrom;
  SmallVector<memref::AllocOp> buffers;
};

/// What elements are called in the manifest. Integers have no sign in their type; the argument says which they have.
StringRef nameOfType(Type type, bool isUnsigned = false) {
  if (auto integer = dyn_cast<IntegerType>(type))
    switch (integer.getWidth()) {
    case 1:
      return "bool";
    case 8:
      return isUnsigned ? "u8" : "i8";
    case 16:
      return isUnsigned ? "u16" : "i16";
    case 32:
      return isUnsigned ? "u32" : "i32";
    case 64:
      return isUnsigned ? "u64" : "i64";
    }
  return type.isF32() ? "f32" : type.isF16() ? "f16" : type.isBF16() ? "bf16" : type.isF64() ? "f64" : "";
}

struct PlanMemoryPass : mlir::whit::impl::PlanMemoryPassBase<PlanMemoryPass> {
  void runOnOperation() override {
    auto main = getOperation().lookupSymbol<func::FuncOp>("main");
    if (!main || main.isExternal())
      return;
    if (failed(checkResults(main)) || failed(plan(main)))
      return signalPassFailure();
  }

  // ------------------------------------------------------------------------------------------------ results

  /// The buffer that `op` gives another view of.
  static Value viewedBy(Operation *op) {
    if (auto metadata = dyn_cast_or_null<memref::ExtractStridedMetadataOp>(op))
      return metadata.getSource();
    if (auto view = dyn_cast_or_null<ViewLikeOpInterface>(op))
      return view.getViewSource();
    return {};
  }

  static Value source(Value value) {
    while (Value viewed = viewedBy(value.getDefiningOp()))
      value = viewed;
    return value;
  }

  LogicalResult checkResults(func::FuncOp main) {
    auto ret = cast<func::ReturnOp>(main.getBody().front().getTerminator());
    for (OpOperand &result : ret->getOpOperands())
      if (!isa<BlockArgument>(source(result.get())))
        return ret.emitError() << "result " << result.getOperandNumber()
                               << " is not in the memory of an argument; outputs need a destination and states must be "
                                  "updated in place";
    ret->setOperands({});
    main.setFunctionType(FunctionType::get(&getContext(), main.getArgumentTypes(), {}));
    main.setResAttrsAttr(nullptr);
    return success();
  }

  // ------------------------------------------------------------------------------------------------ slots

  LogicalResult plan(func::FuncOp main) {
    Block &block = main.getBody().front();
    DenseMap<Operation *, int64_t> position;
    for (auto [i, op] : llvm::enumerate(block))
      position[&op] = i;
    SmallVector<Buffer> buffers;
    for (auto alloc : block.getOps<memref::AllocOp>()) {
      Buffer buffer{alloc, int64_t(block.getOperations().size()), 0, nominalBytes(alloc.getType())};
      extend(buffer, alloc, position);
      buffers.push_back(buffer);
    }
    SmallVector<Slot> slots;
    for (Buffer &buffer : buffers) {
      Slot *best = nullptr;
      for (Slot &slot : slots)
        if (slot.freeFrom <= buffer.first &&
            (!best || std::abs(slot.nominal - buffer.nominal) < std::abs(best->nominal - buffer.nominal)))
          best = &slot;
      if (!best)
        best = &slots.emplace_back(Slot{buffer.nominal, 0, {}});
      best->nominal = std::max(best->nominal, buffer.nominal);
      best->freeFrom = buffer.last + 1;
      best->buffers.push_back(buffer.alloc);
    }
    return rewrite(main, slots);
  }

  static int64_t nominalBytes(MemRefType type) {
    int64_t bytes = (type.getElementTypeBitWidth() + 7) / 8;
    for (int64_t size : type.getShape())
      bytes *= ShapedType::isDynamic(size) ? kNominalSize : size;
    return bytes;
  }

  /// Uses through views count as uses of the buffer.
  void extend(Buffer &buffer, Value value, DenseMap<Operation *, int64_t> &position) {
    for (Operation *user : value.getUsers()) {
      Operation *top = user;
      while (!position.count(top))
        top = top->getParentOp();
      buffer.first = std::min(buffer.first, position[top]);
      buffer.last = std::max(buffer.last, position[top]);
      if (viewedBy(user) == value)
        extend(buffer, user->getResult(0), position);
    }
  }

  // ------------------------------------------------------------------------------------------------ rewriting

  /// Bytes of a slot, computed from dimensions of arguments; `dim` says what dimension i of an argument is there.
  FailureOr<Value> slotBytes(OpBuilder &b, const Slot &slot, IRMapping &map, ArrayRef<SmallVector<Value>> dims) {
    Value bytes;
    for (memref::AllocOp alloc : slot.buffers) {
      Location loc = alloc.getLoc();
      MemRefType type = alloc.getType();
      int64_t fixed = (type.getElementTypeBitWidth() + 7) / 8;
      for (int64_t size : type.getShape())
        if (!ShapedType::isDynamic(size))
          fixed *= size;
      Value product = arith::ConstantIndexOp::create(b, loc, fixed);
      for (Value size : alloc.getDynamicSizes()) {
        FailureOr<Value> copy = copySize(b, alloc, size, map, dims);
        if (failed(copy))
          return failure();
        product = arith::MulIOp::create(b, loc, product, *copy);
      }
      Value mask = arith::ConstantIndexOp::create(b, loc, -kAlignment);
      product = arith::AddIOp::create(b, loc, product, arith::ConstantIndexOp::create(b, loc, kAlignment - 1));
      product = arith::AndIOp::create(b, loc, product, mask);
      bytes = bytes ? arith::MaxSIOp::create(b, loc, bytes, product).getResult() : product;
    }
    return bytes;
  }

  /// A dimension of an argument, or of another buffer or a part of one, from what that was made from; nothing if that cannot be told.
  FailureOr<Value> copyDim(OpBuilder &b, memref::AllocOp alloc, Value buffer, int64_t dim, IRMapping &map,
                           ArrayRef<SmallVector<Value>> dims) {
    auto type = cast<MemRefType>(buffer.getType());
    if (!type.isDynamicDim(dim))
      return arith::ConstantIndexOp::create(b, alloc.getLoc(), type.getDimSize(dim)).getResult();
    if (auto argument = dyn_cast<BlockArgument>(buffer))
      return dims[argument.getArgNumber()][dim];
    if (auto cast = buffer.getDefiningOp<memref::CastOp>())
      return copyDim(b, alloc, cast.getSource(), dim, map, dims);
    auto made = [&](ValueRange sizes) { return copySize(b, alloc, sizes[type.getDynamicDimIndex(dim)], map, dims); };
    if (auto other = buffer.getDefiningOp<memref::AllocOp>())
      return made(other.getDynamicSizes());
    if (auto part = buffer.getDefiningOp<memref::SubViewOp>(); part && part.getDroppedDims().none())
      return made(part.getSizes());
    if (auto view = buffer.getDefiningOp<memref::ViewOp>()) // what was planned already
      return made(view.getSizes());
    if (auto cast = buffer.getDefiningOp<memref::ReinterpretCastOp>())
      return made(cast.getSizes());
    if (auto expand = buffer.getDefiningOp<memref::ExpandShapeOp>())
      return made(expand.getOutputShape());
    auto collapse = buffer.getDefiningOp<memref::CollapseShapeOp>();
    if (!collapse)
      return failure();
    Value product;
    for (int64_t inner : collapse.getReassociationIndices()[dim]) {
      FailureOr<Value> size = copyDim(b, alloc, collapse.getSrc(), inner, map, dims);
      if (failed(size))
        return failure();
      product = product ? arith::MulIOp::create(b, alloc.getLoc(), product, *size).getResult() : *size;
    }
    return product;
  }

  FailureOr<Value> copySize(OpBuilder &b, memref::AllocOp alloc, Value size, IRMapping &map,
                            ArrayRef<SmallVector<Value>> dims) {
    if (Value known = map.lookupOrNull(size))
      return known;
    Operation *op = size.getDefiningOp();
    if (auto dim = dyn_cast_or_null<memref::DimOp>(op); dim && dim.getConstantIndex())
      if (FailureOr<Value> value = copyDim(b, alloc, dim.getSource(), *dim.getConstantIndex(), map, dims);
          succeeded(value)) {
        map.map(size, *value);
        return value;
      }
    if (auto metadata = dyn_cast_or_null<memref::ExtractStridedMetadataOp>(op))
      for (auto [i, result] : llvm::enumerate(metadata.getSizes()))
        if (result == size)
          return copyDim(b, alloc, metadata.getSource(), i, map, dims);
    if (!op || !isMemoryEffectFree(op) || isa<memref::DimOp>(op) || op->getNumResults() != 1)
      return alloc.emitError() << "size of a buffer depends on the content of a tensor; only sizes computed from the "
                                  "dimensions of the inputs are supported";
    for (Value operand : op->getOperands()) {
      FailureOr<Value> copy = copySize(b, alloc, operand, map, dims);
      if (failed(copy))
        return failure();
    }
    return b.clone(*op, map)->getResult(0);
  }

  LogicalResult rewrite(func::FuncOp main, SmallVector<Slot> &slots) {
    SmallVector<SmallVector<Attribute>> shapes = argumentShapes(main);
    if (failed(makeSizes(main, slots, shapes)))
      return failure();

    // Constants and the workspace become the last arguments.
    Block &entry = main.getBody().front();
    SmallVector<Attribute> arguments = describe(main, shapes);
    DenseMap<StringAttr, Value> constants;
    auto appendArgument = [&](MemRefType type, Location loc) { return entry.addArgument(type, loc); };
    for (auto constant : llvm::make_early_inc_range(main.getOps<ConstantOp>())) {
      Value &argument = constants[constant.getWeightAttr().getAttr()];
      auto type = cast<MemRefType>(constant.getType());
      if (!argument) {
        argument = appendArgument(type, constant.getLoc());
        arguments.push_back(describeConstant(constant, type));
      }
      constant.replaceAllUsesWith(argument);
      constant.erase();
    }
    OpBuilder b(&getContext());
    Value workspace = appendArgument(MemRefType::get({ShapedType::kDynamic}, b.getI8Type()), main.getLoc());
    arguments.push_back(dictionary({{"name", b.getStringAttr("workspace")},
                                    {"kind", b.getStringAttr("workspace")},
                                    {"dtype", b.getStringAttr("i8")},
                                    {"shape", b.getArrayAttr({})}}));
    // A call passes them by kind.
    SmallVector<unsigned> order = llvm::to_vector(llvm::seq<unsigned>(0, arguments.size()));
    llvm::stable_sort(
        order, [&](unsigned left, unsigned right) { return rankOf(arguments[left]) < rankOf(arguments[right]); });
    SmallVector<Attribute> sorted;
    SmallVector<int32_t> places(order.size());
    for (auto [place, i] : llvm::enumerate(order)) {
      sorted.push_back(arguments[i]);
      places[i] = place;
    }
    getOperation()->setAttr("whit.arguments", b.getArrayAttr(sorted));

    b.setInsertionPointToStart(&entry);
    SmallVector<SmallVector<Value>> dims;
    for (BlockArgument argument : main.getArguments()) {
      SmallVector<Value> &sizes = dims.emplace_back();
      for (int64_t i = 0, rank = cast<MemRefType>(argument.getType()).getRank(); i < rank; ++i)
        sizes.push_back(memref::DimOp::create(b, main.getLoc(), argument, i));
    }
    IRMapping map;
    Value offset = arith::ConstantIndexOp::create(b, main.getLoc(), 0);
    for (Slot &slot : slots) {
      FailureOr<Value> bytes = slotBytes(b, slot, map, dims);
      if (failed(bytes))
        return failure();
      for (memref::AllocOp alloc : slot.buffers) {
        OpBuilder at(alloc);
        auto view =
            memref::ViewOp::create(at, alloc.getLoc(), alloc.getType(), workspace, offset, alloc.getDynamicSizes());
        alloc.replaceAllUsesWith(view.getResult());
        alloc.erase();
      }
      offset = arith::AddIOp::create(b, main.getLoc(), offset, *bytes);
    }
    takeArgumentsFromMemory(main, places);
    return success();
  }

  /// @whit_main(context, arguments): descriptors are loaded through pointers, so the signature does not grow with the model.
  void takeArgumentsFromMemory(func::FuncOp main, ArrayRef<int32_t> places) {
    Block &entry = main.getBody().front();
    OpBuilder b(&getContext());
    b.setInsertionPointToStart(&entry);
    Location loc = main.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    unsigned count = entry.getNumArguments();
    entry.addArgument(pointer, loc);
    Value table = entry.addArgument(pointer, loc);
    for (unsigned i = 0; i < count; ++i) {
      auto type = cast<MemRefType>(entry.getArgument(i).getType());
      Value address = LLVM::GEPOp::create(b, loc, pointer, pointer, table, ArrayRef<LLVM::GEPArg>{places[i]});
      Value descriptor = LLVM::LoadOp::create(b, loc, pointer, address);
      Value loaded = LLVM::LoadOp::create(b, loc, descriptorType(type), descriptor);
      Value memref = UnrealizedConversionCastOp::create(b, loc, type, loaded).getResult(0);
      entry.getArgument(i).replaceAllUsesWith(memref);
    }
    entry.eraseArguments(0, count);
    main.setAllArgAttrs(ArrayRef<DictionaryAttr>{});
    main.setArgAttrsAttr(nullptr);
    auto ret = cast<func::ReturnOp>(entry.getTerminator());
    b.setInsertionPoint(ret);
    ret->setOperands(arith::ConstantIntOp::create(b, loc, 0, 32).getResult());
    main.setFunctionType(FunctionType::get(&getContext(), entry.getArgumentTypes(), b.getI32Type()));
    main.setSymName("whit_main");
  }

  static unsigned rankOf(Attribute argument) {
    StringRef kind = cast<DictionaryAttr>(argument).getAs<StringAttr>("kind").getValue();
    static constexpr StringRef kOrder[] = {"input", "state", "constant", "output", "workspace"};
    return llvm::find(kOrder, kind) - std::begin(kOrder);
  }

  Type descriptorType(MemRefType type) {
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    auto i64 = IntegerType::get(&getContext(), 64);
    SmallVector<Type> fields{pointer, pointer, i64};
    if (type.getRank())
      fields.append(2, LLVM::LLVMArrayType::get(i64, type.getRank()));
    return LLVM::LLVMStructType::getLiteral(&getContext(), fields);
  }

  // ------------------------------------------------------------------------------------------------ sizes, descriptions

  /// The shape of each argument as the manifest writes it: symbols by name, sizes as numbers.
  SmallVector<SmallVector<Attribute>> argumentShapes(func::FuncOp main) {
    SmallVector<SmallVector<Attribute>> shapes;
    Builder b(&getContext());
    for (BlockArgument argument : main.getArguments()) {
      auto dims = main.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), "whit.dims");
      SmallVector<Attribute> &shape = shapes.emplace_back();
      for (auto [i, size] : llvm::enumerate(cast<MemRefType>(argument.getType()).getShape()))
        shape.push_back(ShapedType::isDynamic(size) && dims ? dims[i] : Attribute(b.getI64IntegerAttr(size)));
    }
    return shapes;
  }

  StringAttr symbolName(Attribute symbol) {
    if (auto name = dyn_cast<StringAttr>(symbol))
      return name;
    return cast<DictionaryAttr>(symbol).getAs<StringAttr>("name");
  }

  LogicalResult makeSizes(func::FuncOp main, ArrayRef<Slot> slots, ArrayRef<SmallVector<Attribute>> shapes) {
    OpBuilder b(main);
    Location loc = main.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    auto sizes = func::FuncOp::create(b, loc, "whit_main_sizes", b.getFunctionType({pointer, pointer}, {}));
    Block *entry = sizes.addEntryBlock();
    b.setInsertionPointToStart(entry);
    DenseMap<StringAttr, Value> symbols;
    if (auto known = getOperation()->getAttrOfType<ArrayAttr>("whit.symbols"))
      for (auto [i, symbol] : llvm::enumerate(known)) {
        Value address = LLVM::GEPOp::create(b, loc, pointer, b.getI64Type(), entry->getArgument(0),
                                            ArrayRef<LLVM::GEPArg>{int32_t(i)});
        Value value = LLVM::LoadOp::create(b, loc, b.getI64Type(), address);
        symbols[symbolName(symbol)] = arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
      }
    SmallVector<SmallVector<Value>> dims;
    for (auto [argument, shape] : llvm::enumerate(shapes)) {
      SmallVector<Value> &values = dims.emplace_back();
      for (Attribute size : shape) {
        if (auto number = dyn_cast<IntegerAttr>(size)) {
          values.push_back(arith::ConstantIndexOp::create(b, loc, number.getInt()));
          continue;
        }
        Value value = symbols.lookup(cast<StringAttr>(size));
        if (!value)
          return main.emitError() << "argument " << argument << " has the dimension " << size
                                  << ", which is no symbol of the module; list it in whit.symbols";
        values.push_back(value);
      }
    }
    IRMapping map;
    Value total = arith::ConstantIndexOp::create(b, loc, 0);
    for (const Slot &slot : slots) {
      FailureOr<Value> bytes = slotBytes(b, slot, map, dims);
      if (failed(bytes))
        return failure();
      total = arith::AddIOp::create(b, loc, total, *bytes);
    }
    int32_t next = 0;
    auto store = [&](Value value) {
      Value address =
          LLVM::GEPOp::create(b, loc, pointer, b.getI64Type(), entry->getArgument(1), ArrayRef<LLVM::GEPArg>{next++});
      LLVM::StoreOp::create(b, loc, arith::IndexCastOp::create(b, loc, b.getI64Type(), value), address);
    };
    store(total);
    auto storeKind = [&](StringRef kind) {
      for (auto [i, values] : llvm::enumerate(dims))
        if (kindOf(main, i) == kind)
          for (Value value : values)
            store(value);
    };
    storeKind("input");
    storeKind("state");
    llvm::SmallDenseSet<StringAttr> seen;
    for (auto constant : main.getOps<ConstantOp>())
      if (seen.insert(constant.getWeightAttr().getAttr()).second)
        for (int64_t size : cast<MemRefType>(constant.getType()).getShape())
          store(arith::ConstantIndexOp::create(b, loc, size));
    storeKind("output");
    func::ReturnOp::create(b, loc);
    return success();
  }

  DictionaryAttr dictionary(ArrayRef<std::pair<StringRef, Attribute>> entries) {
    SmallVector<NamedAttribute> named;
    for (auto [name, value] : entries)
      if (value)
        named.emplace_back(StringAttr::get(&getContext(), name), value);
    return DictionaryAttr::get(&getContext(), named);
  }

  static StringRef kindOf(func::FuncOp main, unsigned i) {
    return main.getArgAttr(i, "whit.state") ? "state" : main.getArgAttr(i, "whit.output") ? "output" : "input";
  }

  /// Packed states say it themselves; others by their rank.
  static Attribute layoutOf(DictionaryAttr state, MemRefType type) {
    Attribute said = state.get("layout");
    return said ? said : StringAttr::get(state.getContext(), type.getRank() == 5 ? "BHTD16" : "BHTD");
  }

  SmallVector<Attribute> describe(func::FuncOp main, ArrayRef<SmallVector<Attribute>> shapes) {
    SmallVector<Attribute> arguments;
    Builder b(&getContext());
    for (BlockArgument argument : main.getArguments()) {
      unsigned i = argument.getArgNumber();
      auto state = main.getArgAttrOfType<DictionaryAttr>(i, "whit.state");
      auto type = cast<MemRefType>(argument.getType());
      Attribute none, name = main.getArgAttr(i, "whit.name");
      if (state && state.get("context"))
        getOperation()->setAttr("whit.context", state.get("context"));
      arguments.push_back(dictionary(
          {{"name", name ? name : b.getStringAttr(llvm::formatv("arg{0}", i).str())},
           {"alias", state ? none : main.getArgAttr(i, "whit.alias")},
           {"kind", b.getStringAttr(kindOf(main, i))},
           {"dtype", b.getStringAttr(nameOfType(type.getElementType(), bool(main.getArgAttr(i, "whit.unsigned"))))},
           {"shape", b.getArrayAttr(shapes[i])},
           {"past", state ? state.get("past") : none},
           {"present", state ? state.get("present") : none},
           {"length", state ? state.get("length") : none},
           {"layout", state ? layoutOf(state, type) : none},
           {"format", state ? state.get("format") : none},
           {"depth", state ? state.get("depth") : none},
           {"rotation", state ? state.get("rotation") : none}}));
    }
    return arguments;
  }

  Attribute describeConstant(ConstantOp constant, MemRefType type) {
    Builder b(&getContext());
    auto weight = SymbolTable::lookupNearestSymbolFrom<WeightOp>(constant, constant.getWeightAttr());
    SmallVector<Attribute> shape;
    for (int64_t size : type.getShape())
      shape.push_back(b.getI64IntegerAttr(size));
    Attribute format = b.getStringAttr(""), logical = b.getI64ArrayAttr(type.getShape()), place = format;
    if (std::optional<PlaceAttr> attr = weight.getPlace()) {
      format = b.getStringAttr(attr->getFormat().getName());
      logical = b.getI64ArrayAttr({attr->getN(), attr->getK()});
      place = b.getStringAttr("panel16");
    }
    return dictionary({{"name", constant.getWeightAttr().getAttr()},
                       {"kind", b.getStringAttr("constant")},
                       {"dtype", b.getStringAttr(nameOfType(type.getElementType()))},
                       {"shape", b.getArrayAttr(shape)},
                       {"format", format},
                       {"logical", logical},
                       {"place", place}});
  }
};
} // namespace
