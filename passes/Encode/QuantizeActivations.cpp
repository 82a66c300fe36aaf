// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-quantize-activations: int8 or int4 activations where the weight is made of integers, bf16 or fp8 ones where its numbers are
// bf16 before they are scaled. Quantizing and rounding are operations of their own, so that fusion can put them behind the norm or the
// product that makes the activations, and so that everybody who reads the module rounds at the same place.

#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"

#include "runtime/encoding/Carrier.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FormatVariadic.h"

namespace mlir::whit {
#define GEN_PASS_DECL_QUANTIZEACTIVATIONSPASS
#define GEN_PASS_DEF_QUANTIZEACTIVATIONSPASS
#include "Encode/QuantizeActivations.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// The bf16 numbers that `x` holds as f32, null if it is not known to be such.
static Value storedBfloats(Value x) {
  if (auto collapse = x.getDefiningOp<tensor::CollapseShapeOp>()) {
    Value stored = storedBfloats(collapse.getSrc());
    if (!stored)
      return {};
    OpBuilder b(collapse);
    Type type = collapse.getResultType().clone(b.getBF16Type());
    return tensor::CollapseShapeOp::create(b, collapse.getLoc(), type, stored, collapse.getReassociationIndices());
  }
  auto op = x.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op.getNumDpsInits() != 1 || op.getNumReductionLoops() ||
      llvm::any_of(op.getIndexingMapsArray(), [](AffineMap map) { return !map.isIdentity(); }))
    return {};
  auto widened = op.getBody()->getTerminator()->getOperand(0).getDefiningOp<arith::ExtFOp>();
  bool isStored = widened && widened.getIn() == op.getBody()->getArgument(0) && widened.getIn().getType().isBF16();
  return isStored ? op.getInputs()[0] : Value();
}

namespace {
/// What a value of the option asks for.
struct Activations {
  StringLiteral name;
  enum Kind { AsTheyAre, Integers, Bfloats, Floats8 } kind;
  int64_t bits = 8;
  bool perRow = false;
};
} // namespace

static constexpr Activations kActivations[] = {
    {"auto", Activations::Integers},
    {"f32", Activations::AsTheyAre},
    {"bf16", Activations::Bfloats},
    {"int8", Activations::Integers},
    {"int8_token", Activations::Integers, 8, true},
    {"int4", Activations::Integers, 4},
    {"int4_token", Activations::Integers, 4, true},
    {"fp8_token", Activations::Floats8},
};

static bool hasBfloatNumbers(MatmulOp op) {
  auto weight = dyn_cast<EncodedTensorType>(op.getW().getType());
  return weight && ::whit::hasBfloatNumbers(weight.getFormat().getEncoding());
}

namespace {
struct QuantizeActivationsPass : mlir::whit::impl::QuantizeActivationsPassBase<QuantizeActivationsPass> {
  using QuantizeActivationsPassBase::QuantizeActivationsPassBase;

  void runOnOperation() override {
    const Activations *found = llvm::find_if(kActivations, [&](const Activations &a) { return a.name == activations; });
    if (found == std::end(kActivations)) {
      // Floats of 8 bits have one scale for each row only: sums of bf16 products go through all of K, which scales would cut.
      getOperation().emitError() << "activations is '" << activations
                                 << "'; it must be auto, f32, bf16, int8, int8_token, int4, int4_token or fp8_token";
      return signalPassFailure();
    }
    wanted = *found;
    facts = TargetFacts::of(getOperation());
    SmallVector<MatmulOp> matmuls;
    getOperation().walk([&](MatmulOp op) { matmuls.push_back(op); });
    for (MatmulOp op : matmuls) {
      if (wanted.kind == Activations::Integers)
        quantize(op);
      else if (wanted.kind == Activations::Bfloats)
        round(op);
      else if (wanted.kind == Activations::Floats8)
        quantizeFloat(op);
    }
  }

  /// Whether x is f32 and becomes bf16 for this weight; a remark says why it does not.
  bool takesBfloats(MatmulOp op) {
    auto weight = dyn_cast<EncodedTensorType>(op.getW().getType());
    auto x = dyn_cast<RankedTensorType>(op.getX().getType());
    if (!x || !x.getElementType().isF32())
      return false;
    if (hasBfloatNumbers(op))
      return true;
    StringRef name = weight ? weight.getFormat().getName() : "no weight format";
    remark::missed(op.getLoc(), remark::RemarkOpts::name("activations").category(getArgument()))
        << ("activations stay f32: the numbers of " + name + " do not fit in bf16").str();
    return false;
  }

  void round(MatmulOp op) {
    if (!takesBfloats(op))
      return;
    if (Value stored = storedBfloats(op.getX()))
      return op.getXMutable().assign(stored);
    Value &copy = rounded[op.getX()];
    if (!copy) {
      OpBuilder b(op);
      b.setInsertionPointAfterValue(op.getX());
      Location loc = op.getLoc();
      int64_t rank = cast<RankedTensorType>(op.getX().getType()).getRank();
      Value empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, op.getX()), b.getBF16Type());
      SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(rank));
      SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
      copy = linalg::GenericOp::create(b, loc, empty.getType(), op.getX(), empty, maps, loops,
                                       [](OpBuilder &b, Location loc, ValueRange values) {
                                         Value half = arith::TruncFOp::create(b, loc, b.getBF16Type(), values[0]);
                                         linalg::YieldOp::create(b, loc, half);
                                       })
                 .getResult(0);
    }
    op.getXMutable().assign(copy);
  }

  /// Why integer activations cannot be multiplied with a weight; empty if they can.
  static std::string obstacle(EncodedTensorType weight) {
    ::whit::Encoding encoding = weight.getFormat().getEncoding();
    if (encoding.isPlain())
      return "the weight is stored as floats";
    auto carriers = ::whit::integerCarriers(encoding);
    if (!carriers)
      return "the numbers of " + ::whit::nameOf(encoding) + " are not all bytes times one number";
    int64_t group = ::whit::groupSize(encoding, weight.getShape()[1]), longest = ::whit::longestIntegerGroup(*carriers);
    return group <= longest ? ""
                            : llvm::formatv("sums in int32 hold {0} products; groups have {1}", longest, group).str();
  }

  void quantize(MatmulOp op) {
    auto weight = dyn_cast<EncodedTensorType>(op.getW().getType());
    std::string why = weight ? obstacle(weight) : "the weight has no format";
    if (!why.empty()) {
      if (Value stored = hasBfloatNumbers(op) ? storedBfloats(op.getX()) : Value())
        return op.getXMutable().assign(stored);
      remark::missed(op.getLoc(), remark::RemarkOpts::name("activations").category(getArgument()))
          << "activations stay f32: " + why;
      return;
    }
    ::whit::Encoding encoding = weight.getFormat().getEncoding();
    int64_t k = weight.getShape()[1], group = ::whit::groupSize(encoding, k),
            padded = ::whit::solvePlace(encoding, 16, k).paddedGroup;
    OpBuilder b(op);
    Operation *&quantize = quantized[{op.getX(), group, padded}];
    if (!quantize) {
      b.setInsertionPointAfterValue(op.getX());
      quantize = makeQuantize(b, op.getLoc(), op.getX(), encoding, k);
    }
    b.setInsertionPoint(op);
    auto matmul = QuantizedMatmulOp::create(b, op.getLoc(), op->getResultTypes(), quantize->getResult(0),
                                            quantize->getResult(1), quantize->getResult(2), op.getW(), op.getY(),
                                            /*place=*/PlaceAttr(), /*schedule=*/ScheduleAttr());
    op->replaceAllUsesWith(matmul);
    op.erase();
  }

  QuantizeOp makeQuantize(OpBuilder &b, Location loc, Value x, const ::whit::Encoding &encoding, int64_t k) {
    SmallVector<OpFoldResult> rows = tensor::getMixedSizes(b, loc, x);
    rows.pop_back();
    auto destination = [&](ArrayRef<int64_t> trailing, Type element) -> Value {
      SmallVector<OpFoldResult> sizes = rows;
      for (int64_t size : trailing)
        sizes.push_back(b.getIndexAttr(size));
      return tensor::EmptyOp::create(b, loc, sizes, element);
    };
    int64_t groups = ::whit::groupCount(encoding, k), padded = ::whit::solvePlace(encoding, 16, k).paddedGroup;
    Value codes = destination({groups, padded}, b.getI8Type()), scales = destination({groups}, b.getF32Type()),
          sums = destination({groups}, b.getI32Type());
    return QuantizeOp::create(b, loc, TypeRange{codes.getType(), scales.getType(), sums.getType()}, x, codes, scales,
                              sums, ::whit::groupSize(encoding, k), wanted.bits, wanted.perRow);
  }

  /// Floats of 8 bits as they are where the target multiplies them and the codes of the weight are such; as bf16 elsewhere.
  Type elementOfFloat8(MatmulOp op) {
    OpBuilder b(op);
    ::whit::Encoding encoding = cast<EncodedTensorType>(op.getW().getType()).getFormat().getEncoding();
    if (!facts.has("mma-e4m3") && !facts.has("mfma-e4m3") && !facts.has("mfma-e4m3-fnuz"))
      return b.getBF16Type();
    if (::whit::float8Carriers(encoding))
      return b.getType<Float8E4M3FNType>();
    remark::missed(op.getLoc(), remark::RemarkOpts::name("activations").category(getArgument()))
        << "activations of 8 bits are multiplied as bf16: the numbers of " + ::whit::nameOf(encoding) +
               " are not floats of 8 bits";
    return b.getBF16Type();
  }

  /// The scale of a row is a factor of its sums: an elementwise operation behind the matmul, for fusion to find.
  void quantizeFloat(MatmulOp op) {
    if (!takesBfloats(op))
      return;
    OpBuilder b(op);
    Location loc = op.getLoc();
    Type element = elementOfFloat8(op);
    QuantizeFloatOp &quantize = floats8[{op.getX(), element}];
    if (!quantize) {
      b.setInsertionPointAfterValue(op.getX());
      SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, op.getX());
      Value numbers = tensor::EmptyOp::create(b, loc, sizes, element);
      Value scales = tensor::EmptyOp::create(b, loc, ArrayRef(sizes).drop_back(), b.getF32Type());
      quantize =
          QuantizeFloatOp::create(b, loc, TypeRange{numbers.getType(), scales.getType()}, op.getX(), numbers, scales);
    }
    b.setInsertionPoint(op);
    Value y = op.getY(), empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, y), b.getF32Type());
    Value sums = MatmulOp::create(b, loc, empty.getType(), quantize->getResult(0), op.getW(), empty,
                                  /*place=*/PlaceAttr(), /*schedule=*/ScheduleAttr())
                     ->getResult(0);
    int64_t rank = cast<RankedTensorType>(y.getType()).getRank();
    AffineMap all = b.getMultiDimIdentityMap(rank), row = all.dropResult(rank - 1);
    SmallVector<utils::IteratorType> loops(rank, utils::IteratorType::parallel);
    auto scaled =
        linalg::GenericOp::create(b, loc, empty.getType(), ValueRange{sums, quantize->getResult(1)}, empty,
                                  ArrayRef{all, row, all}, loops, [](OpBuilder &b, Location loc, ValueRange values) {
                                    Value product = arith::MulFOp::create(b, loc, values[0], values[1]);
                                    linalg::YieldOp::create(b, loc, product);
                                  });
    op->replaceAllUsesWith(scaled);
    if (!y.getDefiningOp<tensor::EmptyOp>())
      writeTo(y, scaled.getResult(0));
    op.erase();
  }

  /// An output of the function is written as other elementwise results are, which forget their destination when they are fused.
  static void writeTo(Value destination, Value made) {
    auto collapse = destination.getDefiningOp<tensor::CollapseShapeOp>();
    auto expand = made.hasOneUse() ? dyn_cast<tensor::ExpandShapeOp>(*made.user_begin()) : nullptr;
    if (collapse && expand && expand.getType() == collapse.getSrcType()) {
      destination = collapse.getSrc();
      made = expand;
    }
    OpBuilder b(made.getContext());
    b.setInsertionPointAfterValue(made);
    auto copy =
        bufferization::MaterializeInDestinationOp::create(b, made.getLoc(), destination.getType(), made, destination);
    made.replaceAllUsesExcept(copy.getResult(), copy);
  }

  Activations wanted = kActivations[0];
  /// One copy of a value in floats of 8 bits for all matmuls.
  DenseMap<std::pair<Value, Type>, QuantizeFloatOp> floats8;
  TargetFacts facts;

  /// One rounded copy of a value for all matmuls.
  DenseMap<Value, Value> rounded;
  /// One quantized copy of a value for all matmuls with the same group, padded alike.
  DenseMap<std::tuple<Value, int64_t, int64_t>, Operation *> quantized;
};
} // namespace
