// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-raise-matmuls: the frame is the loops of the contraction. Not handled: weights of more than two dimensions, and
// results whose columns are not the last dimension.

#include "Raise/Match.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_RAISEMATMULSPASS
#include "Raise/RaiseMatmuls.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;
using namespace mlir::whit::raise;

namespace {
/// A constant matrix as an operand of a contraction.
struct Matrix {
  WeightOp weight;
  bool transposed; ///< stored as K x N
};

struct RaiseMatmulsPass : mlir::whit::impl::RaiseMatmulsPassBase<RaiseMatmulsPass> {
  void runOnOperation() override {
    symbols.emplace(getOperation());
    for (auto func : getOperation().getOps<func::FuncOp>())
      if (!func.isExternal())
        raiseEach(func, getArgument(), "matmul",
                  [&](ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) { return raise(b, op, why); });
    shareTables();
    dropUnused();
  }

  Value raise(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why);
  std::optional<Matrix> matrixOf(Element element, AffineExpr n, AffineExpr k);
  WeightOp encoded(Matrix matrix);
  void shareTables();
  void dropUnused();

  std::optional<SymbolTable> symbols;
  /// Keyed by the old weight and whether it is transposed.
  llvm::MapVector<std::pair<Operation *, unsigned>, WeightOp> made;
};
} // namespace

std::optional<Matrix> RaiseMatmulsPass::matrixOf(Element element, AffineExpr n, AffineExpr k) {
  if (auto widened = operands<arith::ExtFOp>(element))
    element = (*widened)[0];
  Element inner = resolve(element);
  auto constant = inner && inner.isTensor() ? inner.value.getDefiningOp<ConstantOp>() : ConstantOp();
  if (!constant || inner.at.getNumResults() != 2)
    return std::nullopt;
  auto weight = symbols->lookup<WeightOp>(constant.getWeight());
  bool rows = inner.at.getResult(0) == n && inner.at.getResult(1) == k;
  bool columns = inner.at.getResult(0) == k && inner.at.getResult(1) == n;
  if (!weight || weight.getParts().size() != 1 || weight.getPlace() || rows == columns)
    return std::nullopt;
  auto source = cast<SourceAttr>(weight.getParts()[0]);
  if (source.getLayout() != "rows" && source.getLayout() != "columns")
    return std::nullopt;
  return Matrix{weight, columns};
}

/// The weight N x K with the bytes of the matrix.
WeightOp RaiseMatmulsPass::encoded(Matrix matrix) {
  WeightOp &weight = made[{matrix.weight, unsigned(matrix.transposed)}];
  if (weight)
    return weight;
  MLIRContext *context = &getContext();
  auto type = cast<RankedTensorType>(matrix.weight.getType());
  int64_t n = type.getDimSize(matrix.transposed ? 1 : 0), k = type.getDimSize(matrix.transposed ? 0 : 1);
  StringRef format = type.getElementType().isF32() ? "f32" : type.getElementType().isF16() ? "f16" : "bf16";
  auto source = cast<SourceAttr>(matrix.weight.getParts()[0]);
  bool columns = (source.getLayout() == "columns") != matrix.transposed;
  Attribute part = SourceAttr::get(context, columns ? "columns" : "rows", n, source.getBlobs());
  auto encodedType =
      EncodedTensorType::get(context, {n, k}, Float32Type::get(context), FormatAttr::get(context, format.str()));
  OpBuilder b(matrix.weight);
  weight = WeightOp::create(b, matrix.weight.getLoc(), matrix.weight.getSymName(), encodedType,
                            ArrayAttr::get(context, part), PlaceAttr());
  symbols->insert(weight); // gives it a name of its own
  return weight;
}

Value RaiseMatmulsPass::raise(ImplicitLocOpBuilder &b, linalg::GenericOp op, std::string &why) {
  Value result = op.getResult(0);
  auto type = cast<RankedTensorType>(result.getType());
  if (op.getNumReductionLoops() != 1 || op.getNumDpsInits() != 1 || type.getRank() < 1 ||
      !type.getElementType().isF32())
    return {};
  unsigned k = 0;
  for (auto [i, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      k = i;
  AffineMap out = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
  std::optional<Reduction> sum = reductionOf({result, out}, k);
  auto factors = sum && sum->fold == Fold::Sum ? operands<arith::MulFOp>(sum->term) : std::nullopt;
  if (!factors || ShapedType::isDynamic(sum->count))
    return {};
  AffineExpr column = out.getResults().back(), contracted = b.getAffineDimExpr(k);
  if (!isa<AffineDimExpr>(column))
    return {};
  for (int i : {0, 1}) {
    std::optional<Matrix> matrix = matrixOf((*factors)[i], column, contracted);
    if (!matrix)
      continue;
    if (dependsOn((*factors)[1 - i], cast<AffineDimExpr>(column).getPosition()))
      continue;
    SmallVector<AffineExpr> indices(out.getResults());
    indices.back() = contracted;
    SmallVector<OpFoldResult> sizes = sizesOf(b, result);
    sizes.back() = b.getIndexAttr(sum->count);
    Value x = arrange(b, (*factors)[1 - i], indices, sizes);
    if (!x)
      if (Element operand = asOperand(b, (*factors)[1 - i]))
        x = arrange(b, operand, indices, sizes);
    if (!x || !getElementTypeOrSelf(x.getType()).isF32()) {
      why = "its other operand has no layout of rows, or is not f32";
      return {};
    }
    WeightOp weight = encoded(*matrix);
    Value w = ConstantOp::create(b, weight.getType(), weight.getSymName());
    return MatmulOp::create(b, type, x, w, emptyLike(b, result), nullptr, nullptr).getResult(0);
  }
  return {};
}

/// Embeddings read the rows of a weight that a matmul has as well.
void RaiseMatmulsPass::shareTables() {
  getOperation().walk([&](GatherOp gather) {
    auto constant = gather.getTable().getDefiningOp<ConstantOp>();
    auto weight = constant ? symbols->lookup<WeightOp>(constant.getWeight()) : WeightOp();
    auto found = made.find({weight.getOperation(), 0u});
    if (!weight || found == made.end())
      return;
    OpBuilder b(gather);
    Value table = ConstantOp::create(b, constant.getLoc(), found->second.getType(), found->second.getSymName());
    gather.getTableMutable().assign(table);
  });
}

/// Weights of which only the new one is used go, and leave their name to it.
void RaiseMatmulsPass::dropUnused() {
  SmallVector<ConstantOp> unused;
  getOperation().walk([&](ConstantOp op) {
    if (op.use_empty())
      unused.push_back(op);
  });
  for (ConstantOp op : unused)
    op.erase();
  llvm::DenseSet<Operation *> erased;
  for (auto &[key, weight] : made) {
    auto old = erased.contains(key.first) ? WeightOp() : cast<WeightOp>(key.first);
    if (!old || !SymbolTable::symbolKnownUseEmpty(old, getOperation()))
      continue;
    StringAttr name = old.getSymNameAttr();
    erased.insert(old);
    symbols->erase(old);
    (void)symbols->rename(weight, name);
  }
}
