// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What classical models make of their inputs: counts of n-grams, and the simplest operators of ai.onnx.ml.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Elementwise.h"
#include "Import/ONNX/Ops/Tables.h"
#include "Import/Semantics/Loops.h"

using namespace mlir;

namespace whit {

using namespace semantics;

namespace {
struct Gram {
  SmallVector<int64_t> items;
  int64_t column;
};
} // namespace

/// The n-grams of the pool with the columns that count them.
static FailureOr<SmallVector<Gram>> gramsOf(Node &node, int64_t least, int64_t most) {
  FailureOr<SmallVector<int64_t>> pool = node.integerList("pool_int64s"), starts = node.integerList("ngram_counts"),
                                  columns = node.integerList("ngram_indexes");
  if (failed(pool) || failed(starts) || failed(columns))
    return failure();
  SmallVector<Gram> grams;
  size_t next = 0; // of the columns
  for (size_t i = 0; i < starts->size(); ++i) {
    int64_t size = int64_t(i) + 1, from = (*starts)[i],
            end = i + 1 < starts->size() ? (*starts)[i + 1] : int64_t(pool->size());
    if (from < 0 || from > end || end > int64_t(pool->size()) || (end - from) % size)
      return LogicalResult(node.badAttribute("attribute 'ngram_counts' must say where the n-grams of each size begin " +
                                             Twine("in 'pool_int64s', in order")));
    for (; from < end; from += size, ++next) {
      if (next >= columns->size() || (*columns)[next] < 0 || (*columns)[next] > kMaxConstantIntegers)
        return LogicalResult(node.badAttribute("attribute 'ngram_indexes' must have a column from 0 to " +
                                               Twine(kMaxConstantIntegers) + " for each n-gram"));
      if (size >= least && size <= most)
        grams.push_back({SmallVector<int64_t>(pool->begin() + from, pool->begin() + from + size), (*columns)[next]});
    }
  }
  return grams;
}

static Tensor integers(ImplicitLocOpBuilder &b, ArrayRef<int64_t> values, ArrayRef<int64_t> shape) {
  auto attribute = DenseElementsAttr::get(RankedTensorType::get(shape, b.getI64Type()), values);
  Sizes sizes;
  for (int64_t size : shape)
    sizes.push_back(b.getIndexAttr(size));
  return {arith::ConstantOp::create(b, attribute), sizes};
}

/// How often each n-gram stands in a row, its items next to one another or with up to max_skip_count others between each.
static LogicalResult importTfIdfVectorizer(Node &node) {
  FailureOr<std::string> mode = node.text("mode", "");
  FailureOr<int64_t> least = node.integer("min_gram_length"), most = node.integer("max_gram_length"),
                     skips = node.integer("max_skip_count");
  FailureOr<Tensor> x = node.tensor(0, "X");
  if (failed(mode) || failed(least) || failed(most) || failed(skips) || failed(x))
    return failure();
  if (node.hasAttribute("pool_strings"))
    return node.report(code::NoType, "attribute 'pool_strings' has strings, which are not supported");
  if (!llvm::is_contained({"TF", "IDF", "TFIDF"}, *mode))
    return node.badAttribute("attribute 'mode' is '" + shown(*mode) + "'; it must be TF, IDF or TFIDF");
  if (*least < 1 || *most < *least || *skips < 0)
    return node.badAttribute("attributes 'min_gram_length', 'max_gram_length' and 'max_skip_count' must be at least 1, "
                             "not less, and at least 0");
  if ((!x->numbers().isSignlessInteger(32) && !x->numbers().isSignlessInteger(64)) || x->rank() < 1 || x->rank() > 2)
    return node.badOperand("input X must have rank 1 or 2 and elements i32 or i64");
  FailureOr<SmallVector<Gram>> grams = gramsOf(node, *least, *most);
  if (failed(grams))
    return failure();
  FailureOr<SmallVector<int64_t>> listed = node.integerList("ngram_indexes");
  int64_t longest = 1;
  for (const Gram &gram : *grams)
    longest = std::max<int64_t>(longest, gram.items.size());
  int64_t columns = *llvm::max_element(*listed) + 1, count = int64_t(grams->size());
  if (!count)
    return node.unsupported("no n-gram has a length from " + Twine(*least) + " to " + Twine(*most));
  ImplicitLocOpBuilder &b = node.b;
  Type f32 = b.getF32Type();
  // Shorter n-grams are filled up with what is not compared.
  SmallVector<int64_t> items, lengths, places;
  for (const Gram &gram : *grams) {
    for (int64_t i = 0; i < longest; ++i)
      items.push_back(i < int64_t(gram.items.size()) ? gram.items[i] : 0);
    lengths.push_back(gram.items.size());
    places.push_back(gram.column);
  }
  Tensor item = integers(b, items, {count, longest}), length = integers(b, lengths, count),
         place = integers(b, places, count);
  bool isBatch = x->rank() == 2;
  OpFoldResult width = x->sizes.back();
  Sizes sizes(x->sizes.begin(), x->sizes.end() - 1);
  sizes.push_back(b.getIndexAttr(columns));
  Sizes over{b.getIndexAttr(count), b.getIndexAttr(*skips + 1), width};
  Tensor y = accumulated(
      b, sizes, over, f32, b.getF32FloatAttr(0), [&](ImplicitLocOpBuilder &at, ValueRange l, Value soFar) -> Value {
        int64_t rank = isBatch ? 2 : 1;
        Value gram = l[rank], distance = plus(at, l[rank + 1], indexConstant(at, 1)), start = l[rank + 2];
        auto index = [&](const Tensor &table, ValueRange from) -> Value {
          return arith::IndexCastOp::create(at, at.getIndexType(), elementAt(at, table, from));
        };
        Value size = index(length, gram);
        Value isHere = compare(at, Compare::Equal, index(place, gram), l[rank - 1]);
        // One item has nothing between its items: it is counted once.
        Value isLong = compare(at, Compare::Greater, size, indexConstant(at, 1));
        Value isFirst = compare(at, Compare::Equal, l[rank + 1], indexConstant(at, 0));
        isHere = both(at, isHere, arith::OrIOp::create(at, isLong, isFirst));
        for (int64_t k = 0; k < longest; ++k) {
          Value where = plus(at, start, times(at, distance, indexConstant(at, k)));
          SmallVector<Value> from;
          if (isBatch)
            from.push_back(l[0]);
          from.push_back(nearestWithin(at, where, width));
          Value seen = elementAt(at, *x, from);
          seen = convert(at, seen, at.getI64Type());
          Value isSame = compare(at, Compare::Equal, seen, elementAt(at, item, {gram, indexConstant(at, k)}));
          isSame = both(at, isSame, isWithin(at, where, width));
          Value isBehind = compare(at, Compare::LessOrEqual, size, indexConstant(at, k));
          isHere = both(at, isHere, arith::OrIOp::create(at, isSame, isBehind));
        }
        return arith::SelectOp::create(at, isHere, add(at, {soFar, constant(at, f32, 1)}), soFar);
      });
  if (*mode == "TF")
    return node.set(0, y);
  SmallVector<Attribute> weights(columns, b.getF32FloatAttr(1));
  if (const auto *given = node.find("weights")) {
    if (given->floats_size() != int(listed->size()))
      return node.badAttribute("attribute 'weights' has " + Twine(given->floats_size()) + " numbers; it must have " +
                               Twine(listed->size()));
    for (auto [weight, column] : llvm::zip(given->floats(), *listed))
      weights[column] = b.getF32FloatAttr(weight);
  }
  Value list = arith::ConstantOp::create(b, DenseElementsAttr::get(RankedTensorType::get(columns, f32), weights));
  bool counts = *mode == "TFIDF";
  return node.set(0, elementwise(b, {y, Tensor{list, {b.getIndexAttr(columns)}}}, sizes, f32,
                                 [&](ImplicitLocOpBuilder &at, ValueRange v) -> Value {
                                   if (counts)
                                     return multiply(at, {v[0], v[1]});
                                   Value zero = constant(at, f32, 0);
                                   Value isThere = compare(at, Compare::Greater, v[0], zero);
                                   return arith::SelectOp::create(at, isThere, v[1], zero);
                                 }));
}

/// 1 where an element is more than a threshold, else 0.
static LogicalResult importBinarizer(Node &node) {
  FailureOr<double> threshold = node.number("threshold", 0);
  auto x = operandsOf(node, {"X"}, Elements::Numbers);
  if (failed(threshold) || failed(x))
    return failure();
  Type type = (*x)[0].element();
  bool isFloat = isa<FloatType>(type);
  return setElementwise(node, *x, [&](ImplicitLocOpBuilder &b, ValueRange v) -> Value {
    Type wide = isFloat && type.getIntOrFloatBitWidth() > 32 ? type : Type(b.getF32Type());
    Value isMore = compare(b, Compare::Greater, convert(b, v[0], wide), constant(b, wide, *threshold));
    return arith::SelectOp::create(b, isMore, constant(b, type, 1), constant(b, type, 0));
  });
}

/// Elements of the last dimension, in a matrix.
static LogicalResult importArrayFeatureExtractor(Node &node) {
  FailureOr<Tensor> x = node.tensor(0, "X"), indices = node.tensor(1, "Y");
  if (failed(x) || failed(indices))
    return failure();
  if (x->rank() < 1 || !indices->numbers().isSignlessInteger(64))
    return node.badOperand("input X must have rank 1 or more, and Y elements i64");
  OpFoldResult count = node.graph.algebra.product(node.b, indices->sizes);
  Sizes leading(x->sizes.begin(), x->sizes.end() - 1);
  OpFoldResult rows =
      leading.empty() ? OpFoldResult(node.b.getIndexAttr(1)) : node.graph.algebra.product(node.b, leading);
  if (!count || !rows)
    return node.badOperand("inputs have more elements than can be counted");
  Tensor matrix = reshape(node.b, *x, {rows, x->sizes.back()}), list = reshape(node.b, *indices, {count});
  return node.set(0, take(node.b, matrix, list, 1));
}

static constexpr Operator kOperators[] = {
    {"", "TfIdfVectorizer", importTfIdfVectorizer, 1, 1, 1,
     "max_gram_length max_skip_count min_gram_length mode ngram_counts ngram_indexes pool_int64s pool_strings weights"},
    {"ai.onnx.ml", "Binarizer", importBinarizer, 1, 1, 1, "threshold"},
    {"ai.onnx.ml", "ArrayFeatureExtractor", importArrayFeatureExtractor, 2, 2, 1, "", true},
};

ArrayRef<Operator> featureOperators() { return kOperators; }

} // namespace whit
