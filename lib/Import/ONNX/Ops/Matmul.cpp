// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products with block-quantized weights, and the embedding that shares one. The codes stay where they are; what is
// recorded is which numbers they mean.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"

#include "Import/Semantics/Transformer.h"
#include "runtime/encoding/BlockSource.h"

using namespace mlir;

namespace whit {

using namespace semantics;

static std::string shapeText(ArrayRef<int64_t> dims) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(dims))
    text += (i ? ", " : "") + std::to_string(dim);
  return text + "]";
}

namespace {
/// A block-quantized matrix N x K of a node: its inputs by number, -1 for none.
struct BlockWeight {
  int64_t n, k, bits, block;
  int codes, scales, zeros;
  const StoredTensor *indices = nullptr; ///< of groups that are not in order
};
} // namespace

/// The weight, after every size was compared with what n, k, bits and block ask for.
static FailureOr<Value> blockWeight(Node &node, const BlockWeight &w) {
  auto codes = node.stored(w.codes, "codes"), scales = node.stored(w.scales, "scales");
  if (failed(codes) || failed(scales))
    return failure();
  int64_t blocks = (w.k + w.block - 1) / w.block;
  auto check = [&](const StoredTensor &tensor, StringRef role, int64_t needed) -> LogicalResult {
    if (tensor.file.empty())
      return node.unsupported("input '" + shown(tensor.name) + "' (" + role +
                                  ") has its values in a field that cannot be mapped",
                              "save the model with raw_data or external data");
    if (tensor.count == needed)
      return success();
    return node.badOperand("input '" + shown(tensor.name) + "' (" + role + ") has shape " + shapeText(tensor.dims) +
                           ", " + Twine(tensor.count) + " elements; N=" + Twine(w.n) + ", K=" + Twine(w.k) +
                           ", bits=" + Twine(w.bits) + ", block_size=" + Twine(w.block) + " need " + Twine(needed));
  };
  if ((*codes)->type->number != 2)
    return node.report(code::NoType, "input '" + shown((*codes)->name) + "' (codes) has elements of type " +
                                         (*codes)->type->name + "; only uint8 is supported");
  std::optional<ScaleType> scaleType = scaleTypeOf(**scales);
  if (!scaleType)
    return node.report(code::NoType, "input '" + shown((*scales)->name) + "' (scales) has elements of type " +
                                         (*scales)->type->name + "; only float, float16 and bfloat16 are supported");
  if (failed(check(**codes, "codes", w.n * blocks * (w.block * w.bits / 8))) ||
      failed(check(**scales, "scales", w.n * blocks)))
    return failure();
  Weights &weights = *node.graph.weights;
  MLIRContext *context = node.b.getContext();
  auto blobOf = [&](const StoredTensor &tensor) {
    return weights.blob(tensor.file, tensor.offset, tensor.length, storedType(context, tensor.type->number));
  };
  SmallVector<mlir::whit::BlobAttr> blobs{blobOf(**codes), blobOf(**scales)};
  BlockSource source{w.n, w.k, w.block, int32_t(w.bits), (*codes)->bytes, (*scales)->bytes, *scaleType};
  if (w.zeros >= 0 && node.has(w.zeros)) {
    auto zeros = node.stored(w.zeros, "zero_points");
    if (failed(zeros))
      return failure();
    std::optional<ScaleType> zeroType = scaleTypeOf(**zeros);
    if (!zeroType && (*zeros)->type->number != 2)
      return node.report(code::NoType, "input '" + shown((*zeros)->name) + "' (zero_points) has elements of type " +
                                           (*zeros)->type->name +
                                           "; only uint8, float, float16 and bfloat16 are supported");
    source.zero = zeroType ? SourceZero::Float : SourceZero::Packed;
    source.zeroType = zeroType.value_or(ScaleType::F32);
    if (failed(check(**zeros, "zero_points", zeroType ? w.n * blocks : w.n * ((blocks * w.bits + 7) / 8))))
      return failure();
    blobs.push_back(blobOf(**zeros));
  }
  if (w.indices)
    blobs.push_back(blobOf(*w.indices));
  std::string format = nameOf(encodingOf(source));
  if (format.empty())
    return node.unsupported("no format holds " + Twine(w.bits) + " bits in blocks of " + Twine(w.block));
  auto type = mlir::whit::EncodedTensorType::get(context, {w.n, w.k}, node.b.getF32Type(),
                                                 mlir::whit::FormatAttr::get(context, format));
  auto part = mlir::whit::SourceAttr::get(context, "blocks", w.n, blobs);
  return weights.constant(node.b, (*codes)->name, type, part);
}

/// The attributes that say how codes are packed.
static LogicalResult checkPacking(Node &node, int64_t bits, int64_t block) {
  if (bits < 1 || bits > 8)
    return node.badAttribute("attribute 'bits' is " + Twine(bits) + "; it must be from 1 to 8");
  if (block < 16 || block > kMaxGroup || (block & (block - 1)))
    return node.badAttribute("attribute 'block_size' is " + Twine(block) +
                             "; it must be a power of two of at least 16");
  return success();
}

namespace {
/// Group indices that put elements into another order.
struct GroupOrder {
  std::shared_ptr<const StoredTensor> indices; ///< null if element k is of group k / block
  std::vector<int64_t> order;
};
} // namespace

static FailureOr<GroupOrder> readGroupIndices(Node &node, unsigned input, int64_t k, int64_t block) {
  auto indices = node.stored(input, "g_idx");
  if (failed(indices))
    return failure();
  std::string name = "input '" + shown((*indices)->name) + "' (g_idx)";
  if ((*indices)->type->number != 6)
    return node.report(code::NoType,
                       name + " has elements of type " + (*indices)->type->name + "; only int32 is supported");
  if ((*indices)->count < k)
    return node.badOperand(name + " has " + Twine((*indices)->count) + " elements; K is " + Twine(k));
  std::string why;
  std::optional<std::vector<int64_t>> order =
      orderOfGroups({(*indices)->bytes.data(), (*indices)->bytes.size()}, k, block, &why);
  if (!order)
    return node.unsupported(name + " cannot be followed: " + why, "quantize with groups of block_size elements");
  if (llvm::is_sorted(*order))
    return GroupOrder{};
  if ((*indices)->file.empty())
    return node.unsupported(name + " has its values in a field that cannot be mapped",
                            "save the model with raw_data or external data");
  return GroupOrder{*indices, std::move(*order)};
}

/// x with its last dimension in another order, as rows. Matmuls of one x and one order find the same value.
static Tensor inOrder(Node &node, const Tensor &x, ArrayRef<int64_t> order) {
  ImplicitLocOpBuilder &b = node.b;
  OpFoldResult rows = b.getIndexAttr(1);
  for (OpFoldResult size : ArrayRef(x.sizes).drop_back())
    rows = indexOp(b, IndexOp::Mul, rows, size);
  Tensor flat = x.rank() == 2 ? x : reshape(b, x, {rows, x.sizes.back()});
  SmallVector<int32_t> narrow(order.begin(), order.end());
  auto type = RankedTensorType::get({int64_t(order.size())}, b.getI32Type());
  Value indices = arith::ConstantOp::create(b, DenseElementsAttr::get(type, ArrayRef<int32_t>(narrow)));
  GatherInput input{{indices, {x.sizes.back()}}, AffineMap::get(2, 0, b.getAffineDimExpr(1))};
  return gatherElements(b, flat, input, flat.sizes,
                        [](ImplicitLocOpBuilder &at, ValueRange elements, ValueRange loops) -> SmallVector<Value> {
                          return {loops[0], arith::IndexCastOp::create(at, at.getIndexType(), elements[0])};
                        });
}

static LogicalResult importMatMulNBits(Node &node) {
  FailureOr<int64_t> n = node.integer("N"), k = node.integer("K"), bits = node.integer("bits", 4),
                     block = node.integer("block_size");
  if (failed(n) || failed(k) || failed(bits) || failed(block) || failed(checkPacking(node, *bits, *block)))
    return failure();
  for (auto [name, value] : {std::pair("N", *n), {"K", *k}})
    if (value < 1 || value > (int64_t(1) << 31))
      return node.badAttribute(Twine("attribute '") + name + "' is " + Twine(value) + "; it must be from 1 to 2^31");
  if (FailureOr<int64_t> prepacked = node.integer("weight_prepacked", 0); failed(prepacked) || *prepacked)
    return failed(prepacked) ? failure()
                             : node.unsupported("attribute 'weight_prepacked' is " + Twine(*prepacked) +
                                                    ", a layout for one kind of GPU",
                                                "export the model without prepacking");
  if (failed(node.integer("accuracy_level", 0)))
    return failure();
  FailureOr<Tensor> x = node.f32(0, "A");
  if (failed(x))
    return failure();
  if (x->rank() < 1)
    return node.badOperand("input A has rank 0; it must have rank 1 or more");
  if (failed(node.requireDim(0, "A", x->rank() - 1, *k)))
    return failure();
  FailureOr<GroupOrder> groups = node.has(4) ? readGroupIndices(node, 4, *k, *block) : GroupOrder{};
  if (failed(groups))
    return failure();
  FailureOr<Value> weight = blockWeight(node, {*n, *k, *bits, *block, 1, 2, 3, groups->indices.get()});
  if (failed(weight))
    return failure();
  Tensor y = matmul(node.b, groups->indices ? inOrder(node, *x, groups->order) : *x, *weight);
  if (y.rank() != x->rank()) {
    Sizes sizes = x->sizes;
    sizes.back() = y.sizes.back();
    y = reshape(node.b, y, sizes);
  }
  if (!node.has(5))
    return node.set(0, y);
  FailureOr<Tensor> bias = node.f32(5, "bias");
  if (failed(bias))
    return failure();
  if (bias->rank() != 1 || !isConstantIntValue(bias->sizes[0], *n))
    return node.badOperand("input bias must have " + Twine(*n) + " elements in one dimension");
  return node.set(0, elementwise(node.b, {y, *bias}, y.sizes, y.element(), add));
}

static LogicalResult importGatherBlockQuantized(Node &node) {
  FailureOr<int64_t> bits = node.integer("bits", 4), block = node.integer("block_size", 128);
  FailureOr<int64_t> gatherAxis = node.integer("gather_axis", 0), quantizeAxis = node.integer("quantize_axis", 1);
  if (failed(bits) || failed(block) || failed(gatherAxis) || failed(quantizeAxis) ||
      failed(checkPacking(node, *bits, *block)))
    return failure();
  GraphValue &data = node.input(0);
  if (!data.stored)
    return failed(node.stored(0, "data")) ? failure() : failure();
  if (data.stored->type->number != 2)
    return node.report(code::NoType, "input '" + shown(data.stored->name) + "' (data) has elements of type " +
                                         data.stored->type->name + "; only uint8 is supported");
  SmallVector<int64_t> dims = shapeOf(data.sizes);
  if (dims.size() != 2 || llvm::is_contained(dims, ShapedType::kDynamic) || llvm::is_contained(dims, 0))
    return node.unsupported("input '" + shown(data.stored->name) + "' (data) has rank " + Twine(dims.size()) +
                            "; only a table [N, K] is supported");
  if ((*gatherAxis != 0 && *gatherAxis != -2) || (*quantizeAxis != 1 && *quantizeAxis != -1))
    return node.unsupported("gather_axis is " + Twine(*gatherAxis) + " and quantize_axis " + Twine(*quantizeAxis) +
                            "; only 0 and 1 are supported");
  if (dims[1] * 8 % *bits)
    return node.badOperand("input '" + shown(data.stored->name) + "' (data) has rows of " + Twine(dims[1]) +
                           " bytes, which hold no whole number of " + Twine(*bits) + "-bit codes");
  FailureOr<Tensor> indices = node.tensor(1, "indices");
  if (failed(indices))
    return failure();
  if (!indices->element().isInteger(64) && !indices->element().isInteger(32))
    return node.badOperand("input indices must have integer elements");
  if (indices->rank() > 5)
    return node.unsupported("input indices has rank " + Twine(indices->rank()) + "; at most 5 is supported");
  int64_t k = dims[1] * 8 / *bits;
  // A row of the table is a row of whole blocks only if K is a multiple of the block.
  if (k % *block)
    return node.unsupported("a row has " + Twine(k) + " elements; it must be a multiple of block_size, " +
                            Twine(*block));
  FailureOr<Value> table = blockWeight(node, {dims[0], k, *bits, *block, 0, 2, 3});
  if (failed(table))
    return failure();
  return node.set(0, gatherRows(node.b, *table, *indices));
}

static constexpr Operator kOperators[] = {
    {"com.microsoft", "MatMulNBits", importMatMulNBits, 3, 6, 1, "K N bits block_size accuracy_level weight_prepacked"},
    {"com.microsoft", "GatherBlockQuantized", importGatherBlockQuantized, 3, 4, 1,
     "bits block_size gather_axis quantize_axis"},
};

ArrayRef<Operator> matmulOperators() { return kOperators; }

} // namespace whit
