// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-assign-formats: a format is part of a weight's type, so choosing one is changing types; no byte is touched here.

#include "Encode/FormatRules.h"

#include "runtime/encoding/GgufSource.h"
#include "runtime/encoding/LowRank.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DECL_ASSIGNFORMATSPASS
#define GEN_PASS_DEF_ASSIGNFORMATSPASS
#include "Encode/AssignFormats.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

namespace {
struct AssignFormatsPass : mlir::whit::impl::AssignFormatsPassBase<AssignFormatsPass> {
  using AssignFormatsPassBase::AssignFormatsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!::whit::parseQuantizer(quantizer)) {
      module.emitError() << "quantizer is '" << quantizer << "'; it must be nearest or least-squares";
      return signalPassFailure();
    }
    llvm::Expected<FormatRules> rules = FormatRules::read(keep, formatMap, weights);
    if (!rules) {
      module.emitError() << llvm::toString(rules.takeError());
      return signalPassFailure();
    }
    if (rules->empty())
      return;
    if (std::string unused = rules->firstUnused(module); !unused.empty()) {
      module.emitError() << unused;
      return signalPassFailure();
    }
    DenseMap<StringAttr, SmallVector<ConstantOp>> uses;
    module.walk([&](ConstantOp constant) { uses[constant.getWeightAttr().getAttr()].push_back(constant); });
    auto names = namesOfWeights(module);
    for (WeightOp weight : llvm::to_vector(module.getOps<WeightOp>()))
      if (const FormatRules::Rule *rule = rules->find(names[weight.getSymNameAttr()]))
        assign(weight, uses[weight.getSymNameAttr()], *rule);
    if (!stays.empty() && !assigned)
      module.emitWarning() << "no weight gets a format: the model has quantized all " << stays.size() << ", such as '"
                           << stays.front().getSymName() << "'" << help(stays.front());
    uses.insert(added.begin(), added.end());
    mergeEqual(uses);
  }

  static bool isGguf(WeightOp weight) {
    return llvm::all_of(weight.getParts().getAsRange<SourceAttr>(),
                        [](SourceAttr source) { return ::whit::isGgufLayout(source.getLayout()); });
  }

  /// What somebody can do who wants another format than that of the model.
  StringRef help(WeightOp weight) const {
    return isGguf(weight) && !requantize ? "; --requantize decodes and quantizes it again" : "";
  }

  /// An embedding that is also the output head came as rows for the one and as panels for the other; in the same format they are
  /// the same bytes.
  void mergeEqual(DenseMap<StringAttr, SmallVector<ConstantOp>> &uses) {
    DenseMap<std::pair<Type, Attribute>, WeightOp> first;
    for (auto weight : llvm::make_early_inc_range(getOperation().getOps<WeightOp>())) {
      if (!isa<EncodedTensorType>(weight.getType()))
        continue;
      WeightOp &same = first[{weight.getType(), weight.getParts()}];
      if (!same) {
        same = weight;
        continue;
      }
      if (same.getQuantizerAttr() != weight.getQuantizerAttr())
        continue;
      remark::passed(weight.getLoc(), remark::RemarkOpts::name("merge").category(getArgument()))
          << ("weight '" + weight.getSymName() + "' is stored once with '" + same.getSymName() + "'").str();
      for (ConstantOp constant : uses[weight.getSymNameAttr()])
        constant.setWeight(same.getSymName());
      weight.erase();
    }
  }

  /// The type of a weight that can be stored in any format: rows that matmuls contract or gathers pick, as floats.
  static EncodedTensorType encodable(WeightOp weight, ArrayRef<ConstantOp> constants) {
    if (auto type = dyn_cast<EncodedTensorType>(weight.getType()))
      return type;
    // A table that came as a plain tensor, because rows of it may be picked without any decoding.
    auto plain = dyn_cast<RankedTensorType>(weight.getType());
    if (!plain || plain.getRank() != 2 || !isa<FloatType>(plain.getElementType()) || constants.empty())
      return {};
    for (ConstantOp constant : constants)
      for (OpOperand &use : constant->getUses())
        if (auto gather = dyn_cast<GatherOp>(use.getOwner()); !gather || &use != &gather.getTableMutable())
          return {};
    ::whit::Encoding encoding = ::whit::plainEncoding(plain.getElementType().isF32()   ? ::whit::ScaleType::F32
                                                      : plain.getElementType().isF16() ? ::whit::ScaleType::F16
                                                                                       : ::whit::ScaleType::BF16);
    auto format = FormatAttr::get(weight.getContext(), ::whit::nameOf(encoding));
    return EncodedTensorType::get(weight.getContext(), plain.getShape(), plain.getElementType(), format);
  }

  void assign(WeightOp weight, ArrayRef<ConstantOp> constants, const FormatRules::Rule &rule) {
    auto type = encodable(weight, constants);
    if (rule.format.empty() || !type)
      return;
    bool isNamed = rule.pattern != "*";
    ::whit::Encoding encoding = *::whit::parseEncoding(rule.format, nullptr);
    const ::whit::Encoding &before = type.getFormat().getEncoding();
    // Of other files' codes only their format says how they are to be read.
    if (!before.isPlain() && before != encoding && !(requantize && isGguf(weight))) {
      std::string message = ("weight '" + weight.getSymName() + "' stays " + type.getFormat().getName() +
                             ": the model has quantized it" + help(weight))
                                .str();
      if (isNamed)
        weight.emitWarning() << message;
      else
        stays.push_back(weight);
      remark::missed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument())) << message;
      return;
    }
    ++assigned;
    if (!before.isPlain() && before == encoding)
      return;
    auto format = FormatAttr::get(&getContext(), ::whit::nameOf(encoding));
    auto assigned = EncodedTensorType::get(&getContext(), type.getShape(), type.getElementType(), format);
    weight.setType(assigned);
    if (!encoding.isPlain())
      weight.setQuantizer(quantizer);
    for (ConstantOp constant : constants)
      constant.getResult().setType(assigned);
    remark::passed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument()))
        << ("weight '" + weight.getSymName() + "' becomes " + format.getName() + " by " + rule.flag).str();
    explainPadding(weight);
    if (rule.rank)
      correct(weight, constants, rule.rank);
  }

  /// Blocks of few elements along K, such as those along N, are filled up to whole lines of codes.
  void explainPadding(WeightOp weight) {
    auto type = cast<EncodedTensorType>(weight.getType());
    int64_t n = type.getShape()[0], k = type.getShape()[1];
    ::whit::Encoding encoding = type.getFormat().getEncoding();
    ::whit::Place place = ::whit::solvePlace(encoding, n, k);
    if (!n || !k || encoding.isPlain() || place.paddedGroup < 2 * place.group)
      return;
    remark::missed(weight.getLoc(), remark::RemarkOpts::name("format").category(getArgument()))
        << llvm::formatv(
               "weight '{0}' takes {1:F2} bits for each of its elements, not {2:F2}: blocks of {3} along K are "
               "filled up to {4}",
               weight.getSymName(), 8.0 * double(place.bytes()) / double(n * k), ::whit::bitsPerWeight(encoding, n, k),
               place.group, place.paddedGroup)
               .str();
  }

  /// Two thin matmuls beside each one with this weight: y + left (right x).
  void correct(WeightOp weight, ArrayRef<ConstantOp> constants, int64_t rank) {
    auto type = cast<EncodedTensorType>(weight.getType());
    int64_t n = type.getShape()[0], k = type.getShape()[1];
    auto refuse = [&](const Twine &why) {
      remark::missed(weight.getLoc(), remark::RemarkOpts::name("correction").category(getArgument()))
          << ("weight '" + weight.getSymName() + "' gets no correction: " + why).str();
    };
    SmallVector<MatmulOp> matmuls;
    for (ConstantOp constant : constants)
      for (Operation *user : constant->getUsers())
        if (auto matmul = dyn_cast<MatmulOp>(user))
          matmuls.push_back(matmul);
    if (matmuls.empty())
      return refuse("no matmul uses it");
    if (rank * (n + k) >= n * k)
      return refuse("factors of rank " + Twine(rank) + " would have as many elements as it has");
    if (weight.getParts().size() != 1)
      return refuse("it is made of several parts");
    auto source = cast<SourceAttr>(weight.getParts()[0]);
    ::whit::LowRankLayout layout{true,
                                 rank,
                                 n,
                                 k,
                                 *::whit::parseQuantizer(quantizer),
                                 type.getFormat().getName().str(),
                                 source.getLayout().str()};
    WeightOp left = addFactor(weight, layout, n, rank);
    layout.isLeft = false;
    WeightOp right = addFactor(weight, layout, rank, k);
    for (MatmulOp matmul : matmuls)
      addBranch(matmul, left, right);
    remark::passed(weight.getLoc(), remark::RemarkOpts::name("correction").category(getArgument()))
        << ("weight '" + weight.getSymName() + "' gets a correction of rank " + Twine(rank)).str();
  }

  WeightOp addFactor(WeightOp weight, const ::whit::LowRankLayout &layout, int64_t n, int64_t k) {
    OpBuilder b(weight);
    b.setInsertionPointAfter(weight);
    auto source = cast<SourceAttr>(weight.getParts()[0]);
    auto format = FormatAttr::get(&getContext(), ::whit::nameOf(::whit::plainEncoding(::whit::ScaleType::BF16)));
    auto type = EncodedTensorType::get(&getContext(), {n, k}, b.getF32Type(), format);
    auto part = SourceAttr::get(&getContext(), ::whit::textOf(layout), n, source.getBlobs());
    StringRef side = layout.isLeft ? ".low_rank_left" : ".low_rank_right";
    auto factor = WeightOp::create(b, weight.getLoc(), (weight.getSymName() + side).str(), type, b.getArrayAttr(part));
    SymbolTable(getOperation()).insert(factor);
    return factor;
  }

  void addBranch(MatmulOp matmul, WeightOp left, WeightOp right) {
    OpBuilder b(matmul);
    b.setInsertionPointAfter(matmul);
    Location loc = matmul.getLoc();
    auto multiply = [&](Value x, WeightOp weight) -> Value {
      auto type = cast<EncodedTensorType>(weight.getType());
      auto constant = ConstantOp::create(b, loc, type, FlatSymbolRefAttr::get(&getContext(), weight.getSymName()));
      added[weight.getSymNameAttr()].push_back(constant);
      SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, x);
      sizes.back() = b.getIndexAttr(type.getShape()[0]);
      Value empty = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
      return MatmulOp::create(b, loc, empty.getType(), x, constant, empty, PlaceAttr(), ScheduleAttr())->getResult(0);
    };
    Value branch = multiply(multiply(matmul.getX(), right), left), y = matmul->getResult(0);
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, branch);
    Value empty = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
    SmallVector<AffineMap> maps(3, b.getMultiDimIdentityMap(sizes.size()));
    SmallVector<utils::IteratorType> loops(sizes.size(), utils::IteratorType::parallel);
    auto sum = linalg::GenericOp::create(b, loc, empty.getType(), ValueRange{y, branch}, empty, maps, loops,
                                         [](OpBuilder &b, Location loc, ValueRange values) {
                                           linalg::YieldOp::create(
                                               b, loc, arith::AddFOp::create(b, loc, values[0], values[1]).getResult());
                                         });
    y.replaceAllUsesExcept(sum.getResult(0), sum);
  }

  /// Uses of the weights that were added.
  DenseMap<StringAttr, SmallVector<ConstantOp>> added;

  size_t assigned = 0;            ///< weights that have the format of their rule
  SmallVector<WeightOp, 0> stays; ///< weights that keep the model's, although --weights names another
};
} // namespace
