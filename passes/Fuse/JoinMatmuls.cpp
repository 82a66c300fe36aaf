// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-join-matmuls: horizontal fusion. Matmuls are siblings when all their inputs but the weight are the same values.

#include "Whit/Whit.h"
#include "Whit/WhitCostModel.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/MapVector.h"

namespace mlir::whit {
#define GEN_PASS_DEF_JOINMATMULSPASS
#include "Fuse/JoinMatmuls.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct JoinMatmulsPass : mlir::whit::impl::JoinMatmulsPassBase<JoinMatmulsPass> {
  void runOnOperation() override {
    model = costModelOf(getOperation());
    if (!model)
      return signalPassFailure();
    SymbolTable symbols(getOperation());
    // Keyed by everything that siblings share: block, first activation operand, how the weight is stored.
    llvm::MapVector<std::tuple<Block *, Value, Attribute>, SmallVector<Operation *>> families;
    getOperation().walk([&](Operation *op) {
      if (std::optional<Attribute> stored = joinable(op, symbols))
        families[{op->getBlock(), op->getOperand(0), *stored}].push_back(op);
    });
    for (auto &[key, siblings] : families)
      if (siblings.size() > 1)
        join(siblings, symbols);
  }

  static Value weightOf(Operation *op) {
    if (auto matmul = dyn_cast<MatmulOp>(op))
      return matmul.getW();
    return cast<QuantizedMatmulOp>(op).getW();
  }

  static Value destinationOf(Operation *op) {
    return cast<DestinationStyleOpInterface>(op).getDpsInitOperand(0)->get();
  }

  /// How the weight is stored, format and quantizer, if `op` is a matmul that may be joined with others.
  std::optional<Attribute> joinable(Operation *op, SymbolTable &symbols) {
    if (!isa<MatmulOp, QuantizedMatmulOp>(op) || !destinationOf(op).getDefiningOp<tensor::EmptyOp>())
      return std::nullopt;
    auto constant = weightOf(op).getDefiningOp<ConstantOp>();
    auto type = dyn_cast<EncodedTensorType>(weightOf(op).getType());
    if (!constant || !type || !constant->hasOneUse())
      return std::nullopt;
    auto known = SymbolTable::getSymbolUses(constant.getWeightAttr().getAttr(), getOperation());
    if (!known || std::distance(known->begin(), known->end()) != 1)
      return std::nullopt;
    for (Operation *user : op->getResult(0).getUsers())
      if (isa<linalg::LinalgOp>(user)) {
        remark::missed(op->getLoc(), remark::RemarkOpts::name("join").category(getArgument()))
            << "not joined with its siblings: an elementwise operation behind it shares its tiles";
        return std::nullopt;
      }
    auto weight = symbols.lookup<WeightOp>(constant.getWeight());
    if (type.getFormat().getEncoding().isWhole()) {
      remark::missed(op->getLoc(), remark::RemarkOpts::name("join").category(getArgument()))
          << "not joined with its siblings: one scale for all of a weight would become one for all of theirs";
      return std::nullopt;
    }
    Attribute quantizer = weight.getQuantizerAttr();
    return ArrayAttr::get(&getContext(), {type.getFormat(), quantizer ? quantizer : UnitAttr::get(&getContext())});
  }

  void join(ArrayRef<Operation *> siblings, SymbolTable &symbols) {
    OpBuilder b(siblings.front());
    MLIRContext *context = &getContext();
    Location loc = FusedLoc::get(context, llvm::map_to_vector(siblings, [](Operation *op) { return op->getLoc(); }));
    auto first = cast<EncodedTensorType>(weightOf(siblings.front()).getType());
    int64_t n = 0, k = first.getShape()[1];
    std::string name;
    SmallVector<Attribute> parts;
    SmallVector<WeightOp> weights;
    double apart = 0;
    for (Operation *op : siblings) {
      auto weight = symbols.lookup<WeightOp>(weightOf(op).getDefiningOp<ConstantOp>().getWeight());
      int64_t rows = cast<EncodedTensorType>(weight.getType()).getShape()[0];
      apart += seconds(rows, k, first, productsOf(op));
      n += rows;
      name += (name.empty() ? "" : "+") + weight.getSymName().str();
      llvm::append_range(parts, weight.getParts());
      weights.push_back(weight);
    }
    if (seconds(n, k, first, productsOf(siblings.front())) >= apart)
      return;
    auto type = EncodedTensorType::get(context, {n, k}, first.getElementType(), first.getFormat());
    OpBuilder top(weights.front());
    // One name per part: reports tell the parts apart.
    Location names = FusedLoc::get(context, llvm::map_to_vector(weights, [](WeightOp w) { return w.getLoc(); }));
    auto joined = WeightOp::create(top, names, name, type, b.getArrayAttr(parts));
    joined.setQuantizerAttr(weights.front().getQuantizerAttr());
    symbols.insert(joined);

    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, destinationOf(siblings.front()));
    sizes.back() = b.getIndexAttr(n);
    Value constant = ConstantOp::create(b, loc, type, FlatSymbolRefAttr::get(joined.getSymNameAttr()));
    Value empty = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    IRMapping map;
    map.map(weightOf(siblings.front()), constant);
    map.map(destinationOf(siblings.front()), empty);
    SmallVector<Value> operands =
        llvm::map_to_vector(siblings.front()->getOperands(), [&](Value v) { return map.lookupOrDefault(v); });
    Operation *matmul = mlir::clone(b, siblings.front(), TypeRange{empty.getType()}, operands);
    matmul->setLoc(loc);
    int64_t offset = 0;
    for (auto [op, weight] : llvm::zip_equal(siblings, weights)) {
      auto result = cast<RankedTensorType>(op->getResult(0).getType());
      SmallVector<OpFoldResult> from(sizes.size(), b.getIndexAttr(0)), strides(sizes.size(), b.getIndexAttr(1)),
          part = sizes;
      from.back() = b.getIndexAttr(offset);
      part.back() = b.getIndexAttr(result.getShape().back());
      offset += result.getShape().back();
      op->getResult(0).replaceAllUsesWith(
          tensor::ExtractSliceOp::create(b, op->getLoc(), result, matmul->getResult(0), from, part, strides));
    }
    for (auto [op, weight] : llvm::zip_equal(siblings, weights)) {
      Operation *constantOp = weightOf(op).getDefiningOp();
      op->erase();
      constantOp->erase();
      symbols.erase(weight);
    }
    remark::passed(loc, remark::RemarkOpts::name("join").category(getArgument()))
        << ("joined " + Twine(siblings.size()) + " matmuls of one input into '" + name + "'").str();
  }

  double seconds(int64_t n, int64_t k, EncodedTensorType like, ::whit::Products products) {
    auto place = PlaceAttr::get(&getContext(), like.getFormat(), n, k).solve();
    using ::whit::Products;
    double bytesPerActivation = products == Products::Integer ? 1 : products == Products::Bfloat ? 2 : 4, total = 0;
    for (int64_t rows : ::whit::kNominalRows) {
      ::whit::RegionWork work;
      work.weightBytes = double(place.bytes());
      work.bytesRead = double(rows * k) * bytesPerActivation;
      work.bytesWritten = double(rows * n) * 4;
      work.multiplyAdds = double(rows) * double(n) * double(k);
      work.products = products;
      total += model->regionSeconds(work);
    }
    return total;
  }

  const ::whit::CostModel *model = nullptr;
};
} // namespace
