// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Einsum and Det. An equation of two operands is a contraction where one can say it; all others are sums of products.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

#include <map>

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
/// Letters of dimensions; those of an ellipsis are negative numbers, counted from its end.
using Labels = SmallVector<int>;

struct Equation {
  SmallVector<Labels> operands;
  Labels result;
  std::map<int, OpFoldResult> sizes;
};
} // namespace

/// The letters of one operand; `rank` says how many dimensions an ellipsis stands for.
static std::optional<Labels> labelsOf(StringRef text, int64_t rank) {
  Labels labels;
  size_t dots = text.find("...");
  int64_t letters = int64_t(text.size()) - (dots == StringRef::npos ? 0 : 3), hidden = rank - letters;
  if (hidden < 0 || (dots == StringRef::npos && hidden))
    return std::nullopt;
  for (size_t i = 0; i < text.size(); ++i)
    if (i == dots) {
      for (int64_t k = hidden; k > 0; --k)
        labels.push_back(int(-k));
      i += 2;
    } else if (llvm::isAlpha(text[i])) {
      labels.push_back(text[i]);
    } else {
      return std::nullopt;
    }
  return labels;
}

static FailureOr<Equation> equationOf(Node &node, ArrayRef<Tensor> operands) {
  FailureOr<std::string> given = node.text("equation", "");
  if (failed(given))
    return failure();
  auto bad = [&](const Twine &why) {
    return LogicalResult(node.badAttribute("attribute 'equation' is '" + shown(*given) + "'; " + why));
  };
  std::string text;
  for (char c : *given)
    if (c != ' ')
      text += c;
  auto [left, right] = StringRef(text).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != operands.size())
    return bad("it must have a term for each of " + Twine(operands.size()) + " inputs");
  Equation equation;
  int64_t hidden = 0;
  std::map<int, int> uses;
  for (auto [i, term] : llvm::enumerate(terms)) {
    std::optional<Labels> labels = labelsOf(term, operands[i].rank());
    if (!labels)
      return bad("its term " + Twine(i) + " must have a letter for each of " + Twine(operands[i].rank()) +
                 " dimensions");
    for (auto [label, size] : llvm::zip(*labels, operands[i].sizes)) {
      ++uses[label];
      hidden = std::max<int64_t>(hidden, -label);
      auto [known, isNew] = equation.sizes.try_emplace(label, size);
      if (isNew || isConstantIntValue(size, 1))
        continue;
      if (isConstantIntValue(known->second, 1))
        known->second = size;
      else if (!node.graph.unify(known->second, size))
        return bad("one of its letters has sizes " + shownSize(node.graph, known->second) + " and " +
                   shownSize(node.graph, size));
    }
    equation.operands.push_back(*labels);
  }
  for (int64_t k = hidden; k > 0; --k)
    if (text.find("->") == std::string::npos || right.contains("..."))
      equation.result.push_back(int(-k));
  if (text.find("->") == std::string::npos) { // letters that stand once, in their order
    for (auto [label, count] : uses)
      if (label > 0 && count == 1)
        equation.result.push_back(label);
    return equation;
  }
  int64_t letters = int64_t(right.size()) - (right.contains("...") ? 3 : 0);
  std::optional<Labels> result = labelsOf(right, letters + (right.contains("...") ? hidden : 0));
  if (!result ||
      llvm::any_of(*result, [&](int label) { return !uses.count(label) || llvm::count(*result, label) > 1; }))
    return bad("its result must have letters of the inputs, each once");
  equation.result = *result;
  return equation;
}

/// Whether each letter stands once in each operand, and one that stands in only one of them is not summed over.
static bool isContraction(const Equation &equation, ArrayRef<Tensor> operands) {
  if (operands.size() != 2)
    return false;
  for (int64_t i : {0, 1})
    for (auto [label, size] : llvm::zip(equation.operands[i], operands[i].sizes)) {
      bool isShared = llvm::is_contained(equation.operands[1 - i], label);
      if (llvm::count(equation.operands[i], label) > 1 || !sameSize(equation.sizes.at(label), size) ||
          (!isShared && !llvm::is_contained(equation.result, label)))
        return false;
    }
  return true;
}

static Tensor contracted(ImplicitLocOpBuilder &b, const Equation &equation, ArrayRef<Tensor> operands) {
  const Labels &x = equation.operands[0], &y = equation.operands[1];
  SmallVector<DimPair> batch, summed;
  Labels order; // of what contract makes
  auto placeIn = [](const Labels &labels, int label) { return int64_t(llvm::find(labels, label) - labels.begin()); };
  for (int label : equation.result)
    if (llvm::is_contained(x, label) && llvm::is_contained(y, label)) {
      batch.push_back({placeIn(x, label), placeIn(y, label)});
      order.push_back(label);
    }
  for (const Labels *labels : {&x, &y})
    for (int label : *labels) {
      bool isShared = llvm::is_contained(x, label) && llvm::is_contained(y, label);
      if (!isShared)
        order.push_back(label);
      else if (labels == &x && !llvm::is_contained(equation.result, label))
        summed.push_back({placeIn(x, label), placeIn(y, label)});
    }
  Tensor z = contract(b, operands[0], operands[1], batch, summed, operands[0].element());
  SmallVector<int64_t> permutation;
  for (int label : equation.result)
    permutation.push_back(placeIn(order, label));
  bool isOrdered = llvm::is_sorted(permutation);
  return isOrdered ? z : transpose(b, z, permutation);
}

static LogicalResult importEinsum(Node &node) {
  SmallVector<std::string> names;
  for (int i = 0; i < node.proto.input_size(); ++i)
    names.push_back("Inputs_" + std::to_string(i));
  auto operands = operandsOf(node, SmallVector<StringRef>(names.begin(), names.end()), Elements::Numbers);
  if (failed(operands))
    return failure();
  FailureOr<Equation> equation = equationOf(node, *operands);
  if (failed(equation))
    return failure();
  ImplicitLocOpBuilder &b = node.b;
  if (isContraction(*equation, *operands))
    return node.set(0, contracted(b, *equation, *operands));
  Type type = (*operands)[0].element(),
       wide = isa<FloatType>(type) && type.getIntOrFloatBitWidth() < 32 ? Type(b.getF32Type()) : type;
  Sizes sizes, over;
  Labels loops = equation->result;
  for (int label : equation->result)
    sizes.push_back(equation->sizes.at(label));
  for (auto &[label, size] : equation->sizes)
    if (!llvm::is_contained(equation->result, label)) {
      loops.push_back(label);
      over.push_back(size);
    }
  auto term = [&](ImplicitLocOpBuilder &at, ValueRange indices) {
    Value product;
    for (auto [labels, x] : llvm::zip(equation->operands, *operands)) {
      SmallVector<Value> from;
      for (auto [label, size] : llvm::zip(labels, x.sizes))
        from.push_back(isConstantIntValue(size, 1) ? indexConstant(at, 0)
                                                   : indices[llvm::find(loops, label) - loops.begin()]);
      Value element = convert(at, elementAt(at, x, from), wide);
      product = product ? multiply(at, {product, element}) : element;
    }
    return product;
  };
  Tensor y = over.empty() ? computed(b, sizes, wide, term)
                          : accumulated(b, sizes, over, wide, numberAttribute(b, wide, 0),
                                        [&](ImplicitLocOpBuilder &at, ValueRange indices, Value soFar) {
                                          return add(at, {soFar, term(at, indices)});
                                        });
  return node.set(0, convert(b, y, type));
}

/// By the first row: the sum of its elements, each times the determinant of what is in no row or column of it.
static Value determinant(ImplicitLocOpBuilder &b, int64_t row, ArrayRef<int64_t> columns,
                         llvm::function_ref<Value(int64_t, int64_t)> at) {
  Value sum;
  for (auto [i, column] : llvm::enumerate(columns)) {
    Value term = at(row, column);
    if (columns.size() > 1) {
      SmallVector<int64_t> rest(columns);
      rest.erase(rest.begin() + i);
      term = multiply(b, {term, determinant(b, row + 1, rest, at)});
    }
    sum = !sum ? term : i % 2 ? subtract(b, {sum, term}) : add(b, {sum, term});
  }
  return sum;
}

static LogicalResult importDet(Node &node) {
  auto operands = operandsOf(node, {"X"}, Elements::Floats);
  if (failed(operands))
    return failure();
  Tensor x = (*operands)[0];
  std::optional<int64_t> n = x.rank() < 2 ? std::nullopt : getConstantIntValue(x.sizes.back());
  if (!n || !isConstantIntValue(x.sizes[x.rank() - 2], *n) || *n < 1)
    return node.badOperand("input X must have square matrices of a known size in its last two dimensions");
  if (*n > 4)
    return node.unsupported("input X has matrices of " + Twine(*n) + " rows; at most 4 are supported");
  Type type = x.element(), wide = type.isF64() ? type : Type(node.b.getF32Type());
  Sizes sizes(x.sizes.begin(), x.sizes.end() - 2);
  SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, *n));
  return node.set(0, computed(node.b, sizes, type, [&](ImplicitLocOpBuilder &b, ValueRange loops) {
                    Value number = determinant(b, 0, all, [&](int64_t row, int64_t column) {
                      SmallVector<Value> from(loops);
                      from.append({indexConstant(b, row), indexConstant(b, column)});
                      return convert(b, elementAt(b, x, from), wide);
                    });
                    return convert(b, number, type);
                  }));
}

static constexpr Operator kOperators[] = {
    {"", "Einsum", importEinsum, 1, 64, 1, "equation"},
    {"", "Det", importDet, 1, 1, 1, ""},
};

ArrayRef<Operator> algebraOperators() { return kOperators; }

} // namespace whit
