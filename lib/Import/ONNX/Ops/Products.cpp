// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Products. With a constant matrix they are whit.matmul, whose weight has a format and a layout of its own; of two
// activations they are contractions.

#include "Import/ONNX/Ops/Products.h"
#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/Semantics/Transformer.h"

using namespace mlir;

namespace whit {

using namespace semantics;

std::optional<ScaleType> scaleTypeOf(const StoredTensor &tensor) {
  switch (tensor.type->number) {
  case 1:
    return ScaleType::F32;
  case 10:
    return ScaleType::F16;
  case 16:
    return ScaleType::BF16;
  }
  return std::nullopt;
}

Value matrixOf(Node &node, unsigned i, Stored stored) { return matrixOf(node, node.input(i), stored); }

Value matrixOf(Node &node, const GraphValue &value, Stored stored) {
  if (value.rank() == 2 && !value.stored && value.value)
    return codedMatrixOf(value.value, stored);
  if (!value.stored || value.rank() != 2 || !value.stored->count || value.stored->file.empty())
    return {};
  std::optional<ScaleType> scale = scaleTypeOf(*value.stored);
  if (!scale)
    return {};
  SmallVector<int64_t> dims = shapeOf(value.sizes);
  if (value.stored->gguf) {
    bool fits = value.stored->gguf->isTransposed == (stored == Stored::Columns) && value.stored->dims == dims;
    return fits ? ggufWeight(node.graph, node.b, *value.stored) : Value();
  }
  if (stored == Stored::Columns)
    std::swap(dims[0], dims[1]);
  const StoredTensor &tensor = *value.stored;
  auto blob = node.graph.weights->blob(tensor.file, tensor.offset, tensor.length,
                                       storedType(node.b.getContext(), tensor.type->number));
  return node.graph.weights->matrix(node.b, tensor.name, dims[0], dims[1], stored == Stored::Rows ? "rows" : "columns",
                                    blob);
}

/// x times a constant matrix, in the type of x.
static Tensor timesMatrix(Node &node, const Tensor &x, Value weight) {
  return convert(node.b, matmul(node.b, convert(node.b, x, node.b.getF32Type()), weight), x.element());
}

/// Two operands of one type with numbers.
static FailureOr<std::pair<Tensor, Tensor>> factors(Node &node) {
  auto operands = operandsOf(node, {"A", "B"}, Elements::Numbers);
  if (failed(operands))
    return failure();
  return std::pair((*operands)[0], (*operands)[1]);
}

/// Sizes that are multiplied over must be one; a symbol is then known to be the other.
static LogicalResult requireSame(Node &node, OpFoldResult a, OpFoldResult b) {
  if (sameSize(a, b) || node.graph.unify(a, b))
    return success();
  for (auto [size, other] : {std::pair(a, b), {b, a}})
    if (std::optional<int64_t> number = getConstantIntValue(size))
      if (node.graph.bind(other, *number))
        return success();
  return node.badOperand("inputs A and B are multiplied over " + shownSize(node.graph, a) + " and " +
                         shownSize(node.graph, b) + " elements; both must be the same");
}

// ------------------------------------------------------------------------------------------------ MatMul

static LogicalResult importMatMul(Node &node) {
  GraphValue &right = node.input(1);
  if (Value weight = matrixOf(node, 1, Stored::Columns)) {
    FailureOr<Tensor> x = node.tensor(0, "A");
    if (failed(x) || failed(requireElements(node, *x, "A", Elements::Floats)))
      return failure();
    if (x->rank() < 1)
      return node.badOperand("input A has rank 0; it must have rank 1 or more");
    if (x->element() != right.element)
      return node.badOperand("inputs A and B have element types " + typeName(x->element()) + " and " +
                             typeName(right.element) + "; they must have one");
    if (failed(node.requireDim(0, "A", x->rank() - 1, *getConstantIntValue(right.sizes[0]))))
      return failure();
    if (!x->element().isF64())
      return node.set(0, timesMatrix(node, *x, weight));
  }
  auto both = factors(node);
  if (failed(both))
    return failure();
  FailureOr<Tensor> z = multiplyMatrices(node, both->first, both->second);
  return failed(z) ? failure() : node.set(0, *z);
}

FailureOr<Tensor> multiplyMatrices(Node &node, Tensor x, Tensor y) {
  if (x.rank() < 1 || y.rank() < 1)
    return LogicalResult(node.badOperand("inputs A and B have ranks " + Twine(x.rank()) + " and " + Twine(y.rank()) +
                                         "; both must be 1 or more"));
  // A vector on the left is one row, one on the right is one column, and neither stays in the result.
  int64_t contractedX = x.rank() - 1, contractedY = y.rank() < 2 ? 0 : y.rank() - 2;
  if (failed(requireSame(node, x.sizes[contractedX], y.sizes[contractedY])))
    return failure();
  // Leading dimensions meet at the last one of each.
  int64_t leadX = std::max<int64_t>(x.rank() - 2, 0), leadY = std::max<int64_t>(y.rank() - 2, 0);
  auto leading = [](const Tensor &t, int64_t count) {
    return Tensor{t.value, Sizes(t.sizes.begin(), t.sizes.begin() + count)};
  };
  if (leadX && leadY && failed(node.broadcast({leading(x, leadX), leading(y, leadY)})))
    return failure();
  auto widen = [&](Tensor &t, int64_t missing, int64_t &contracted) {
    if (missing <= 0)
      return;
    Sizes sizes(missing, node.b.getIndexAttr(1));
    llvm::append_range(sizes, t.sizes);
    t = reshape(node.b, t, sizes);
    contracted += missing;
  };
  // One that has no leading dimensions at all is used for all of the other's as it is, but they come first.
  bool yIsPlain = leadY == 0, xIsPlain = leadX == 0 && leadY > 0;
  if (!yIsPlain && !xIsPlain) {
    widen(x, leadY - leadX, contractedX);
    widen(y, leadX - leadY, contractedY);
  }
  SmallVector<DimPair> batch;
  if (!yIsPlain && !xIsPlain)
    for (int64_t i = 0; i < std::max(leadX, leadY); ++i)
      batch.push_back({i, i});
  Tensor z = contract(node.b, x, y, batch, DimPair(contractedX, contractedY), x.element());
  if (xIsPlain && x.rank() == 2) { // [M, lead..., N] to [lead..., M, N]
    SmallVector<int64_t> order = llvm::to_vector(llvm::seq<int64_t>(1, leadY + 1));
    order.push_back(0);
    if (z.rank() > leadY + 1)
      order.push_back(leadY + 1);
    z = transpose(node.b, z, order);
  }
  return z;
}

// ------------------------------------------------------------------------------------------------ Gemm

static LogicalResult importGemm(Node &node) {
  FailureOr<double> alpha = node.number("alpha", 1), beta = node.number("beta", 1);
  FailureOr<int64_t> transA = node.integer("transA", 0), transB = node.integer("transB", 0);
  FailureOr<Tensor> x = node.tensor(0, "A");
  if (failed(alpha) || failed(beta) || failed(transA) || failed(transB) || failed(x) ||
      failed(requireElements(node, *x, "A", Elements::Numbers)))
    return failure();
  for (auto [i, role] : {std::pair(0u, "A"), {1u, "B"}})
    if (node.input(i).rank() != 2)
      return node.badOperand(Twine("input ") + role + " has rank " + Twine(node.input(i).rank()) +
                             "; it must have rank 2");
  Type type = x->element();
  bool isInteger = !isa<FloatType>(type);
  if (isInteger && (*alpha != 1 || *beta != 1))
    return node.unsupported("attributes 'alpha' and 'beta' are " + std::to_string(*alpha) + " and " +
                            std::to_string(*beta) + "; only 1 is supported for integers");
  if (node.input(1).element != type)
    return node.badOperand("inputs A and B have different element types; they must have one");
  int64_t depthOfX = *transA ? 0 : 1, depthOfY = *transB ? 1 : 0;
  if (failed(requireSame(node, x->sizes[depthOfX], node.input(1).sizes[depthOfY])))
    return failure();
  Value weight = isInteger || type.isF64() ? Value() : matrixOf(node, 1, *transB ? Stored::Rows : Stored::Columns);
  Tensor z;
  if (weight) {
    z = timesMatrix(node, *transA ? transpose(node.b, *x, {1, 0}) : *x, weight);
  } else {
    FailureOr<Tensor> y = node.tensor(1, "B");
    if (failed(y))
      return failure();
    z = contract(node.b, *x, *y, {}, DimPair(depthOfX, depthOfY), type);
  }
  auto scaled = [&](const Tensor &t, double factor) {
    if (factor == 1)
      return t;
    return elementwise(node.b, t, t.sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange v) {
      return inF32(b, v, [&](ImplicitLocOpBuilder &at, ValueRange w) {
        return multiply(at, {w[0], constant(at, w[0].getType(), factor)});
      });
    });
  };
  z = scaled(z, *alpha);
  if (!node.has(2) || *beta == 0)
    return node.set(0, z);
  FailureOr<Tensor> c = node.tensor(2, "C");
  if (failed(c))
    return failure();
  if (c->element() != type)
    return node.badOperand("inputs A and C have different element types; they must have one");
  FailureOr<Sizes> sizes = node.broadcast({z, *c});
  if (failed(sizes))
    return failure();
  if (sizes->size() != 2 || !llvm::equal(*sizes, z.sizes, sameSize))
    return node.badOperand("input C is larger than the product");
  return node.set(0, elementwise(node.b, {z, scaled(*c, *beta)}, *sizes, type,
                                 [](ImplicitLocOpBuilder &b, ValueRange v) { return inF32(b, v, add); }));
}

static constexpr Operator kOperators[] = {
    {"", "MatMul", importMatMul, 2, 2, 1, ""},
    {"", "Gemm", importGemm, 2, 3, 1, "alpha beta transA transB"},
};

ArrayRef<Operator> productOperators() { return kOperators; }

} // namespace whit
