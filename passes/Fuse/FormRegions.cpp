// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-form-regions: a partition of the compute operations, grown greedily from producers to consumers in program order. A
// region is emitted where its last operation, the root, stood; so a group may only be joined if nobody needs its values before.

#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"
#include "Whit/WhitCostModel.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DEF_FORMREGIONSPASS
#include "Fuse/FormRegions.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {

/// What the tiles of a group run over.
enum class Shape { Elementwise, Rows, Columns, Sums, Heads, Alone };

bool isCompute(Operation *op) {
  if (!isa<TilingInterface>(op) || !isa<DestinationStyleOpInterface>(op))
    return false;
  return isa<RowwiseOpInterface>(op) || isa<linalg::LinalgOp>(op);
}

bool mayBeView(Operation *op) {
  return isa_and_nonnull<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op);
}

/// Views cost nothing and hide the layout they come from, so each consumer gets its own. Collapsing a slice is a copy.
bool isView(Operation *op) {
  if (isa<tensor::CollapseShapeOp>(op))
    for (Operation *from = op; mayBeView(from); from = from->getOperand(0).getDefiningOp())
      if (isa<tensor::ExtractSliceOp>(from))
        return false;
  return mayBeView(op);
}

/// The same constant in all elements, or a count of them: cheaper to compute again than to read.
bool isFill(Operation *op) {
  auto fill = dyn_cast_or_null<linalg::LinalgOp>(op);
  if (!fill || fill.getNumReductionLoops() || op->getNumResults() != 1)
    return false;
  if (llvm::any_of(fill.getDpsInputs(), [](Value v) { return isa<ShapedType>(v.getType()); }))
    return false;
  return llvm::all_of(fill.getBlock()->getOperations(), [](Operation &inner) {
    return llvm::none_of(inner.getOperandTypes(), [](Type type) { return isa<ShapedType>(type); });
  });
}

bool isElementwise(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp.getNumParallelLoops() != linalgOp.getNumLoops())
    return false;
  return llvm::all_of(linalgOp.getDpsInitsMutable(),
                      [&](OpOperand &init) { return linalgOp.getMatchingIndexingMap(&init).isIdentity(); });
}

/// Sums, maxima, contractions: elements of the result are independent of one another.
bool isSums(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalgOp.getNumReductionLoops() &&
         llvm::all_of(linalgOp.getDpsInitsMutable(), [&](OpOperand &init) {
           AffineMap map = linalgOp.getMatchingIndexingMap(&init);
           return map.isProjectedPermutation() && map.getNumResults() == linalgOp.getNumParallelLoops();
         });
}

Shape shapeOf(Operation *op) {
  if (isElementwise(op))
    return Shape::Elementwise;
  if (isSums(op))
    return Shape::Sums;
  if (isa<RmsNormOp, LayerNormOp, SoftmaxOp, QuantizeOp, QuantizeFloatOp, GatherOp>(op))
    return Shape::Rows;
  if (isa<MatmulOp, QuantizedMatmulOp>(op))
    return Shape::Columns;
  if (isa<RotaryOp, CacheAppendOp, AttentionOp>(op))
    return Shape::Heads;
  return Shape::Alone;
}

struct Group {
  SmallVector<Operation *> ops; // in program order; the last one is the root
  Shape shape;
  tensor::InsertSliceOp insert; // takes the root's result, if set

  /// Where the region stands.
  Operation *anchor() { return insert ? insert.getOperation() : ops.back(); }
};

/// The longest row, in bytes, that a tile buffer can hold some of: on the stack of a thread, and in the shared memory of a GPU's block.
constexpr int64_t kMaxRowBytes = 64 << 10, kMaxSharedRowBytes = 16 << 10;

/// Tiles of row-wise operations have whole rows.
bool hasShortRows(Value value, int64_t mostBytes) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1) || !type.getElementType().isIntOrFloat())
    return false;
  return type.getShape().back() * ((type.getElementTypeBitWidth() + 7) / 8) <= mostBytes;
}

/// Bytes of a value when its dynamic dimensions are `rows` in all.
double bytesOf(Value value, int64_t rows) {
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type)
    return 0;
  double bytes = type.getElementType().isIntOrFloat() ? (type.getElementTypeBitWidth() + 7) / 8 : 8;
  for (int64_t size : type.getShape())
    bytes *= ShapedType::isDynamic(size) ? 1 : double(size);
  return type.hasStaticShape() ? bytes : bytes * double(rows);
}

struct FormRegionsPass : mlir::whit::impl::FormRegionsPassBase<FormRegionsPass> {
  void runOnOperation() override {
    model = costModelOf(getOperation());
    if (!model)
      return signalPassFailure();
    mostRowBytes = TargetFacts::of(getOperation()).isGpu() ? kMaxSharedRowBytes : kMaxRowBytes;
    if (getOperation().isExternal())
      return;
    Block &block = getOperation().getBody().front();
    giveFillsToUsers(block);
    writeToOutputs(block);
    sinkCapturedViews(block);
    int64_t order = 0;
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
        if (Operation *copy = placeInsert(insert, order))
          position[copy] = order++;
      position[&op] = order++;
      if (isCompute(&op))
        place(&op);
    }
    // Roots in program order: a region stands where its root stood.
    SmallVector<Group *> groups;
    for (auto &[op, group] : groupOf)
      if (op == group->ops.back())
        groups.push_back(group.get());
    llvm::sort(groups, [&](Group *a, Group *b) { return position[a->anchor()] < position[b->anchor()]; });
    for (Group *group : groups)
      emit(*group);
    eraseDeadViews(block);
  }

  // ------------------------------------------------------------------------------------------------ before grouping

  /// Whether `value` has one use besides those that take slices of it.
  static bool hasOneWholeUse(Value value) {
    return llvm::count_if(value.getUsers(), [](Operation *user) { return !isa<tensor::ExtractSliceOp>(user); }) == 1;
  }

  /// The destination whose content is undefined that `value` ends up in, and that nothing else uses; null if there is none.
  static OpOperand *undefinedDestination(Value value) {
    while (hasOneWholeUse(value)) {
      OpOperand *next = nullptr;
      if (auto insert = value.getDefiningOp<tensor::InsertSliceOp>())
        next = &insert.getDestMutable();
      else if (auto dps = value.getDefiningOp<DestinationStyleOpInterface>())
        next = dps.getTiedOpOperand(cast<OpResult>(value));
      if (!next)
        return nullptr;
      if (next->get().getDefiningOp<tensor::EmptyOp>())
        return next;
      // Only what overwrites its destination, or is written before it is read, can be followed.
      if (!isa<tensor::InsertSliceOp>(next->getOwner()) && !isFill(next->get().getDefiningOp()))
        return nullptr;
      value = next->get();
    }
    return nullptr;
  }

  /// Outputs are written where they belong, not copied there. Elementwise fusion, which is over, would have forgotten it.
  void writeToOutputs(Block &block) {
    for (auto copy : llvm::make_early_inc_range(block.getOps<bufferization::MaterializeInDestinationOp>())) {
      Value value = copy.getSource(), destination = copy.getDest();
      bool isWrittenHere = llvm::all_of(destination.getUsers(),
                                        [&](Operation *user) { return user == copy || isa<tensor::DimOp>(user); });
      if (!isa<BlockArgument>(destination) || !isWrittenHere || !copy->getNumResults())
        continue;
      auto expand = value.getDefiningOp<tensor::ExpandShapeOp>();
      if (expand && !expand->hasOneUse())
        continue;
      OpOperand *place = undefinedDestination(expand ? expand.getSrc() : value);
      if (!place || value.getType() != destination.getType())
        continue;
      if (expand) {
        OpBuilder b(place->getOwner());
        destination =
            tensor::CollapseShapeOp::create(b, expand.getLoc(), cast<RankedTensorType>(expand.getSrc().getType()),
                                            destination, expand.getReassociationIndices());
      }
      if (place->get().getType() != destination.getType())
        continue;
      place->set(destination);
      copy->replaceAllUsesWith(ValueRange(value));
      copy.erase();
    }
  }

  /// Views that bodies read, or that are copied into outputs, are no compute operation's operands and stay where they are; what they show may
  /// be computed as late as where the first of these users stands.
  static void sinkCapturedViews(Block &block) {
    llvm::SmallPtrSet<Operation *, 8> sunk;
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block))) {
      if (!isView(&op) || llvm::all_of(op.getUsers(), [&](Operation *user) {
            return user->getBlock() == &block && !isa<bufferization::MaterializeInDestinationOp>(user) &&
                   !sunk.contains(user);
          }))
        continue;
      sunk.insert(&op);
      Operation *first = nullptr;
      for (Operation *user : op.getUsers())
        if (Operation *outer = block.findAncestorOpInBlock(*user); !first || outer->isBeforeInBlock(first))
          first = outer;
      op.moveBefore(first);
    }
  }

  /// A reduction starts from a constant in memory of its own.
  void giveFillsToUsers(Block &block) {
    SmallVector<Operation *> fills;
    for (Operation &op : block)
      if (isFill(&op) && cast<linalg::LinalgOp>(op).getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
        fills.push_back(&op);
    for (Operation *fill : fills) {
      for (OpOperand &use : llvm::make_early_inc_range(fill->getResult(0).getUses())) {
        auto user = dyn_cast<linalg::LinalgOp>(use.getOwner());
        if (!user || !user.isDpsInit(&use) || fill->hasOneUse())
          continue;
        OpBuilder b(user);
        use.set(b.clone(*fill)->getResult(0));
      }
    }
  }

  /// Whether what is inserted was made by changing that very part.
  static bool isInPlace(tensor::InsertSliceOp insert) {
    auto dps = insert.getSource().getDefiningOp<DestinationStyleOpInterface>();
    OpOperand *init = dps ? dps.getTiedOpOperand(cast<OpResult>(insert.getSource())) : nullptr;
    auto slice = init ? init->get().getDefiningOp<tensor::ExtractSliceOp>() : nullptr;
    return slice && slice.getSource() == insert.getDest() && slice.getMixedOffsets() == insert.getMixedOffsets() &&
           slice.getMixedSizes() == insert.getMixedSizes() && slice.getMixedStrides() == insert.getMixedStrides();
  }

  /// A part that is written into a larger tensor: by its producer if that can, else by a copy, which comes back.
  Operation *placeInsert(tensor::InsertSliceOp insert, int64_t order) {
    if (isInPlace(insert) || attach(insert, order))
      return nullptr;
    OpBuilder b(insert);
    Location loc = insert.getLoc();
    Value source = insert.getSource();
    Value empty =
        tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, source), insert.getSourceType().getElementType());
    Operation *copy = linalg::CopyOp::create(b, loc, source, empty);
    insert.getSourceMutable().assign(copy->getResult(0));
    position[copy] = order;
    place(copy);
    groupOf[copy]->insert = insert;
    return copy;
  }

  bool attach(tensor::InsertSliceOp insert, int64_t order) {
    Operation *root = insert.getSource().getDefiningOp();
    std::shared_ptr<Group> group = root ? groupOf.lookup(root) : nullptr;
    if (!group || group->insert || group->ops.back() != root || root->getNumResults() != 1 ||
        !insert.getSource().hasOneUse() || isa<CacheAppendOp>(root) || !emptyInit(root))
      return false;
    position[insert] = order;
    for (Operation *member : group->ops)
      for (Operation *user : member->getUsers())
        if (!llvm::is_contained(group->ops, user) && user != insert && neededBefore(user, insert))
          return false;
    group->insert = insert;
    return true;
  }

  /// The operand through which the only result of `op` gets memory, if that is undefined before.
  static OpOperand *emptyInit(Operation *op) {
    OpOperand *init = cast<DestinationStyleOpInterface>(op).getDpsInitOperand(0);
    if (Operation *fill = init->get().getDefiningOp(); isFill(fill) && fill->hasOneUse())
      init = cast<DestinationStyleOpInterface>(fill).getDpsInitOperand(0);
    return init->get().getDefiningOp<tensor::EmptyOp>() ? init : nullptr;
  }

  // ------------------------------------------------------------------------------------------------ groups

  /// The compute operation behind `value`, seen through views.
  Operation *producerOf(Value value) {
    Operation *op = value.getDefiningOp();
    while (op && isView(op))
      op = op->getOperand(0).getDefiningOp();
    return op && groupOf.count(op) ? op : nullptr;
  }

  void place(Operation *op) {
    auto group = std::make_shared<Group>(Group{{op}, shapeOf(op), {}});
    llvm::SmallSetVector<Group *, 4> joined;
    SmallVector<std::shared_ptr<Group>> keep;
    for (Value operand : cast<DestinationStyleOpInterface>(op).getDpsInputs())
      if (Operation *producer = producerOf(operand)) {
        std::shared_ptr<Group> other = groupOf.lookup(producer);
        if (joined.contains(other.get()) || !mayJoin(op, *group, producer, *other, operand))
          continue;
        joined.insert(other.get());
        keep.push_back(other);
        if (group->shape == Shape::Elementwise)
          group->shape = other->shape;
      }
    SmallVector<Operation *> ops;
    for (Group *other : joined)
      ops.append(other->ops);
    for (Value init : cast<DestinationStyleOpInterface>(op).getDpsInits())
      if (Operation *fill = init.getDefiningOp(); isFill(fill) && fill->hasOneUse() && groupOf.count(fill))
        ops.push_back(fill);
    llvm::sort(ops, [&](Operation *a, Operation *b) { return position[a] < position[b]; });
    ops.push_back(op);
    group->ops = ops;
    for (Operation *member : ops)
      groupOf[member] = group;
  }

  bool mayJoin(Operation *op, const Group &group, Operation *producer, const Group &other, Value operand) {
    auto refuse = [&](StringRef why) {
      remark::missed(op->getLoc(), remark::RemarkOpts::name("region").category(getArgument()))
          << ("not fused: " + why).str();
      return false;
    };
    if (producer != other.ops.back())
      return refuse("the producer is not the last operation of its region");
    bool throughView = operand.getDefiningOp() != producer;
    switch (shapeOf(op)) {
    case Shape::Elementwise:
      if (throughView || (other.shape != group.shape && group.shape != Shape::Elementwise))
        return refuse("its inputs come from regions of different shapes");
      if (other.shape == Shape::Rows && !hasShortRows(operand, mostRowBytes))
        return refuse("a row of the producer may be too long for a tile buffer");
      if (other.shape == Shape::Heads || other.shape == Shape::Alone)
        return refuse("the producer does not run over the same tiles");
      if (cast<linalg::LinalgOp>(op).getMatchingIndexingMap(useOf(op, operand)).isIdentity() == false)
        return refuse("the producer is broadcast");
      break;
    case Shape::Rows:
      if (throughView || isa<GatherOp>(op) || (other.shape != Shape::Rows && other.shape != Shape::Elementwise))
        return refuse("a whole row is needed before it is complete");
      if (!hasShortRows(operand, mostRowBytes))
        return refuse("a row may be too long for a tile buffer");
      break;
    case Shape::Heads:
      if (!isa<RotaryOp>(producer) || !isa<AttentionOp>(op) || throughView || other.ops.size() != 1)
        return refuse("heads are computed by another region");
      break;
    case Shape::Columns:
    case Shape::Sums:
    case Shape::Alone:
      return refuse("a matmul reads its whole input for every tile");
    }
    // The region stands where `op` stands; users of the joined values must stand behind it.
    for (Operation *member : other.ops)
      for (Operation *user : member->getUsers())
        if (!llvm::is_contained(other.ops, user) && user != op && neededBefore(user, op))
          return refuse("another region needs the value earlier");
    double apart = 0, together = 0;
    for (int64_t rows : ::whit::kNominalRows) {
      double bytes = bytesOf(operand, rows);
      bool onlyHere = llvm::all_of(operand.getUsers(), [&](Operation *user) { return user == op; });
      apart += model->edgeSeconds(bytes);
      together += onlyHere ? 0 : model->edgeSeconds(bytes) - model->edgeSeconds(0);
    }
    if (together >= apart)
      return refuse("the cost model prefers two regions");
    remark::passed(op->getLoc(), remark::RemarkOpts::name("region").category(getArgument()))
        << llvm::formatv("fused with its producer, saving about {0:f2} us each time", (apart - together) * 1e6 / 2)
               .str();
    return true;
  }

  OpOperand *useOf(Operation *op, Value value) {
    for (OpOperand &use : op->getOpOperands())
      if (use.get() == value)
        return &use;
    return nullptr;
  }

  /// Whether `user`, or a compute operation that sees its value through views, stands before `op`.
  bool neededBefore(Operation *user, Operation *op) {
    user = op->getBlock()->findAncestorOpInBlock(*user); // bodies read tensors, too
    if (!user || user == op)
      return false;
    if (isView(user))
      return llvm::any_of(user->getUsers(), [&](Operation *next) { return next != op && neededBefore(next, op); });
    auto known = position.find(user);
    return known != position.end() && known->second < position[op];
  }

  void emit(Group &group) {
    Operation *root = group.ops.back();
    OpBuilder b(group.anchor());
    SmallVector<Value> yielded;
    llvm::SmallPtrSet<Operation *, 8> members(group.ops.begin(), group.ops.end());
    if (group.insert)
      members.insert(group.insert);
    for (Operation *op : group.ops)
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) { return usedOutside(user, members); }))
          yielded.push_back(result);
    for (Value result : yielded)
      ownDestination(b, cast<OpResult>(result));
    OpOperand *part = nullptr;
    if (group.insert) {
      yielded.push_back(group.insert.getResult());
      ownDestination(b, group.insert.getDestMutable());
      part = emptyInit(root);
    }
    SmallVector<Attribute> nodes;
    llvm::SmallDenseSet<Attribute> seen;
    for (Operation *op : group.ops)
      if (auto loc = op->getLoc()->findInstanceOf<NameLoc>(); loc && seen.insert(loc.getName()).second)
        nodes.push_back(loc.getName());
    std::string name = nodes.empty() ? root->getName().stripDialect().str() : cast<StringAttr>(nodes.back()).str();
    auto region = RegionOp::create(b, root->getLoc(), TypeRange(ValueRange(yielded)), /*captured=*/ValueRange(),
                                   b.getStringAttr(name), ScheduleAttr());
    region->setAttr("nodes", b.getArrayAttr(nodes));
    Block *body = &region.getBody().emplaceBlock();
    b.setInsertionPointToEnd(body);
    for (Operation *op : group.ops) {
      auto dps = cast<DestinationStyleOpInterface>(op);
      for (OpOperand *operand : dps.getDpsInputOperands())
        operand->set(cloneViews(b, operand->get()));
      for (OpOperand &init : dps.getDpsInitsMutable())
        if (&init == part)
          init.set(tensor::ExtractSliceOp::create(b, group.insert.getLoc(), group.insert.getSourceType(),
                                                  group.insert.getDest(), group.insert.getMixedOffsets(),
                                                  group.insert.getMixedSizes(), group.insert.getMixedStrides()));
        else if (auto empty = init.get().getDefiningOp<tensor::EmptyOp>())
          init.set(b.clone(*empty)->getResult(0)); // exists only as tiles
      op->moveBefore(body, body->end());
      b.setInsertionPointToEnd(body);
    }
    if (group.insert) {
      group.insert->moveBefore(body, body->end());
      b.setInsertionPointToEnd(body);
    }
    YieldOp::create(b, root->getLoc(), yielded);
    llvm::SetVector<Value> captured;
    region.getBody().walk([&](Operation *op) {
      for (Value operand : op->getOperands())
        if (isa<TensorType, EncodedTensorType>(operand.getType()) &&
            !region.getBody().isAncestor(operand.getParentRegion()))
          captured.insert(operand);
    });
    region.getCapturedMutable().assign(captured.getArrayRef());
    for (auto [inner, outer] : llvm::zip_equal(yielded, region.getResults()))
      inner.replaceUsesWithIf(outer, [&](OpOperand &use) { return !region->isProperAncestor(use.getOwner()); });
  }

  // ------------------------------------------------------------------------------------------------ regions

  bool usedOutside(Operation *user, const llvm::SmallPtrSet<Operation *, 8> &members) {
    if (isView(user) && !llvm::is_contained(members, user))
      return llvm::any_of(user->getUsers(), [&](Operation *next) { return usedOutside(next, members); });
    return !members.contains(user);
  }

  /// Results that leave the region get memory of their own: two of them may have shared one undefined destination.
  void ownDestination(OpBuilder &b, OpResult result) {
    auto dps = cast<DestinationStyleOpInterface>(result.getOwner());
    OpOperand *init = dps.getTiedOpOperand(result);
    if (Operation *fill = init->get().getDefiningOp(); isFill(fill) && fill->hasOneUse())
      init = cast<DestinationStyleOpInterface>(fill).getDpsInitOperand(0);
    ownDestination(b, *init);
  }

  static void ownDestination(OpBuilder &b, OpOperand &init) {
    if (auto empty = init.get().getDefiningOp<tensor::EmptyOp>())
      init.set(bufferization::AllocTensorOp::create(b, empty.getLoc(), empty.getType(), empty.getDynamicSizes()));
  }

  /// A copy of the views behind `value`, at `b`.
  Value cloneViews(OpBuilder &b, Value value) {
    Operation *op = value.getDefiningOp();
    if (!op || !isView(op))
      return value;
    IRMapping map;
    map.map(op->getOperand(0), cloneViews(b, op->getOperand(0)));
    return b.clone(*op, map)->getResult(0);
  }

  void eraseDeadViews(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if ((isView(&op) || isa<tensor::DimOp, tensor::EmptyOp>(op)) && op.use_empty())
        op.erase();
  }

  const ::whit::CostModel *model = nullptr;
  int64_t mostRowBytes = kMaxRowBytes;
  llvm::MapVector<Operation *, std::shared_ptr<Group>> groupOf;
  DenseMap<Operation *, int64_t> position;
};
} // namespace
