// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-form-regions: a partition of the compute operations, grown greedily from producers to consumers in program order. A
// region is emitted where its last operation, the root, stood; so a group may only be joined if nobody needs its values before.

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
enum class Shape { Elementwise, Rows, Columns, Heads, Alone };

bool isCompute(Operation *op) {
  if (!isa<TilingInterface>(op) || !isa<DestinationStyleOpInterface>(op))
    return false;
  return isa<RowwiseOpInterface>(op) || isa<linalg::LinalgOp>(op);
}

/// Views cost nothing and hide the layout they come from, so each consumer gets its own. Collapsing a slice is a copy.
bool isView(Operation *op) {
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op);
      collapse && collapse.getSrc().getDefiningOp<tensor::ExtractSliceOp>())
    return false;
  return isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op);
}

bool isElementwise(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  if (!linalgOp || linalgOp.getNumParallelLoops() != linalgOp.getNumLoops())
    return false;
  return llvm::all_of(linalgOp.getDpsInitsMutable(),
                      [&](OpOperand &init) { return linalgOp.getMatchingIndexingMap(&init).isIdentity(); });
}

Shape shapeOf(Operation *op) {
  if (isElementwise(op))
    return Shape::Elementwise;
  if (isa<RmsNormOp, LayerNormOp, SoftmaxOp, QuantizeOp, GatherOp>(op))
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
};

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
    if (getOperation().isExternal())
      return;
    Block &block = getOperation().getBody().front();
    int64_t order = 0;
    for (Operation &op : block) {
      position[&op] = order++;
      if (isCompute(&op))
        place(&op);
    }
    // Roots in program order: a region stands where its root stood.
    SmallVector<Group *> groups;
    for (auto &[op, group] : groupOf)
      if (op == group->ops.back())
        groups.push_back(group.get());
    llvm::sort(groups, [&](Group *a, Group *b) { return position[a->ops.back()] < position[b->ops.back()]; });
    for (Group *group : groups)
      emit(*group);
    eraseDeadViews(block);
  }

  /// The compute operation behind `value`, seen through views.
  Operation *producerOf(Value value) {
    Operation *op = value.getDefiningOp();
    while (op && isView(op))
      op = op->getOperand(0).getDefiningOp();
    return op && groupOf.count(op) ? op : nullptr;
  }

  void place(Operation *op) {
    auto group = std::make_shared<Group>(Group{{op}, shapeOf(op)});
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
      if (other.shape == Shape::Heads || other.shape == Shape::Alone)
        return refuse("the producer does not run over the same tiles");
      if (cast<linalg::LinalgOp>(op).getMatchingIndexingMap(useOf(op, operand)).isIdentity() == false)
        return refuse("the producer is broadcast");
      break;
    case Shape::Rows:
      if (throughView || isa<GatherOp>(op) || (other.shape != Shape::Rows && other.shape != Shape::Elementwise))
        return refuse("a whole row is needed before it is complete");
      break;
    case Shape::Heads:
      if (!isa<RotaryOp>(producer) || !isa<AttentionOp>(op) || throughView || other.ops.size() != 1)
        return refuse("heads are computed by another region");
      break;
    case Shape::Columns:
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
    if (isView(user))
      return llvm::any_of(user->getUsers(), [&](Operation *next) { return next != op && neededBefore(next, op); });
    auto known = position.find(user);
    return known != position.end() && known->second < position[op];
  }

  void emit(Group &group) {
    Operation *root = group.ops.back();
    OpBuilder b(root);
    SmallVector<Value> yielded;
    llvm::SmallPtrSet<Operation *, 8> members(group.ops.begin(), group.ops.end());
    for (Operation *op : group.ops)
      for (Value result : op->getResults())
        if (llvm::any_of(result.getUsers(), [&](Operation *user) { return usedOutside(user, members); }))
          yielded.push_back(result);
    for (Value result : yielded)
      ownDestination(b, cast<OpResult>(result));
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
        if (auto empty = init.get().getDefiningOp<tensor::EmptyOp>())
          init.set(b.clone(*empty)->getResult(0)); // exists only as tiles
      op->moveBefore(body, body->end());
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

  bool usedOutside(Operation *user, const llvm::SmallPtrSet<Operation *, 8> &members) {
    if (isView(user) && !llvm::is_contained(members, user))
      return llvm::any_of(user->getUsers(), [&](Operation *next) { return usedOutside(next, members); });
    return !members.contains(user);
  }

  /// Results that leave the region get memory of their own: two of them may have shared one undefined destination.
  void ownDestination(OpBuilder &b, OpResult result) {
    auto dps = cast<DestinationStyleOpInterface>(result.getOwner());
    OpOperand *init = dps.getTiedOpOperand(result);
    if (auto empty = init->get().getDefiningOp<tensor::EmptyOp>())
      init->set(bufferization::AllocTensorOp::create(b, empty.getLoc(), empty.getType(), empty.getDynamicSizes()));
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
  llvm::MapVector<Operation *, std::shared_ptr<Group>> groupOf;
  DenseMap<Operation *, int64_t> position;
};
} // namespace
