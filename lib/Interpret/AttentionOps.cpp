// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit.cache_append and whit.attention, on caches [B, H, T, D] and on keys blocked by 16 tokens [B, H, T/16, D, 16]. A cache in
// a format holds decoded values here; its bytes exist in compiled code only.

#include "Interpret/CacheRows.h"
#include "Interpret/Interpreter.h"

#include "llvm/ADT/STLExtras.h"

#include <array>
#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;

namespace whit::interpret {

namespace {
/// Where token t, dimension d of head h of batch b lies.
struct CacheShape {
  int64_t batches, heads, capacity, depth;
  bool blocked;

  explicit CacheShape(const Tensor &cache)
      : batches(cache.shape[0]), heads(cache.shape[1]), capacity(cache.shape[2] * (cache.rank() == 5 ? 16 : 1)),
        depth(cache.shape[3]), blocked(cache.rank() == 5) {}

  int64_t at(int64_t b, int64_t h, int64_t t, int64_t d) const {
    int64_t head = (b * heads + h) * capacity * depth;
    return head + (blocked ? t / 16 * depth * 16 + d * 16 + t % 16 : t * depth + d);
  }
};
} // namespace

/// `value` as a cache of this element type holds it: f32 as it is, halves rounded.
static Scalar stored(Type element, Scalar value, double unit) {
  if (element.isF32())
    return value;
  double rounded = roundTo(element, value.f);
  double bound = value.bound ? value.bound + 2 * unitRoundoff(element) * (std::fabs(rounded) + value.bound) : 0;
  return Scalar{rounded, 0, unit ? bound : 0};
}

/// The features of a token, [from, from + row.size()) of `fresh`, as the cache of an append holds them.
static void storeRow(CacheAppendOp op, const Tensor &fresh, int64_t from, std::vector<Scalar> &row, double unit) {
  Type element = cast<ShapedType>(op.getCache().getType()).getElementType();
  for (auto [d, x] : llvm::enumerate(row))
    x = fresh.get(from + d);
  if (op.getHadamard())
    multiplyByHadamardMatrix(row, unit);
  if (FormatAttr format = op.getFormatAttr())
    return storeInFormat(format.getEncoding(), row, unit);
  for (Scalar &x : row)
    x = stored(element, x, unit);
}

static LogicalResult runCacheAppend(CacheAppendOp op, Frame &frame) {
  if (cast<ShapedType>(op.getCache().getType()).getElementType().isInteger(8))
    return op.emitError() << "has a cache of packed bytes; the interpreter knows stages up to 'fused'";
  const Tensor &fresh = frame.tensor(op.getNewTokens()), &start = frame.tensor(op.getStart());
  const Tensor *past = op.getPast() ? &frame.tensor(op.getPast()) : nullptr;
  Tensor cache = frame.tensor(op.getCache());
  CacheShape shape(cache);
  int64_t rows = fresh.shape[1];
  for (int64_t b = 0; b < shape.batches; ++b) {
    int64_t begin = start.integers[b];
    for (int64_t h = 0; h < shape.heads; ++h)
      for (int64_t t = 0; t < shape.capacity; ++t) {
        bool isNew = t >= begin && t < begin + rows;
        std::vector<Scalar> row(isNew ? shape.depth : 0);
        if (isNew)
          storeRow(op, fresh, ((b * rows + t - begin) * shape.heads + h) * shape.depth, row, frame.interpreter.unit);
        for (int64_t d = 0; d < shape.depth; ++d) {
          int64_t to = shape.at(b, h, t, d);
          if (isNew) {
            cache.set(to, row[d]);
          } else if (past) {
            CacheShape pastShape(*past);
            bool known = t < begin && t < pastShape.capacity;
            cache.set(to, known ? past->get(pastShape.at(b, h, t, d)) : Scalar{});
          }
        }
      }
  }
  frame.set(op.getResult(0), std::move(cache));
  return success();
}

namespace {
/// What all rows share.
struct Attention {
  const Tensor &q, &k, &v;
  const Tensor *mask;
  CacheShape kShape, vShape;
  double scale, softcap, unit;
  bool keysHaveOffsets, valuesHaveOffsets;

  /// Where the masks of a row's tokens begin. A size of 1 stands for all.
  int64_t maskAt(int64_t b, int64_t h, int64_t s) const {
    int64_t at = 0;
    for (auto [dim, index] : llvm::enumerate(std::array<int64_t, 3>{b, h, s}))
      at = at * mask->shape[dim] + (mask->shape[dim] == 1 ? 0 : index);
    return at * mask->shape[3];
  }
};

/// One head of one row of q.
struct Row {
  int64_t qAt, batch, kvHead, maskAt;
};
} // namespace

/// Compiled code takes the values of such a format apart, code by code and what all codes of a row have in common; for each
/// value that is twice the common part more to round, which is no larger than the largest value of the row.
static double commonPart(const Tensor &cache, const CacheShape &shape, int64_t b, int64_t h, int64_t t) {
  double largest = 0;
  for (int64_t d = 0; d < shape.depth; ++d)
    largest = std::max(largest, std::fabs(cache.get(shape.at(b, h, t, d)).f));
  return 2 * largest;
}

/// scale * q.k, capped and masked, with its bound.
static Scalar scoreOf(const Attention &head, const Row &row, int64_t t) {
  auto [qAt, b, kvHead, maskAt] = row;
  double sum = 0, magnitude = 0, error = 0;
  double common = head.unit && head.keysHaveOffsets ? commonPart(head.k, head.kShape, b, kvHead, t) : 0;
  for (int64_t d = 0; d < head.kShape.depth; ++d) {
    Scalar q = head.q.get(qAt + d), k = head.k.get(head.kShape.at(b, kvHead, t, d));
    sum += q.f * k.f;
    magnitude += std::fabs(q.f) * (std::fabs(k.f) + common);
    error += std::fabs(q.f) * k.bound + std::fabs(k.f) * q.bound + q.bound * k.bound;
  }
  double roundings = (head.kShape.depth + kOtherRoundings) * head.unit;
  Scalar score{head.scale * sum, 0, std::fabs(head.scale) * (error + roundings * magnitude)};
  if (head.softcap > 0) {
    double capped = head.softcap * std::tanh(score.f / head.softcap);
    score = Scalar{capped, 0, score.bound + 10 * head.unit * std::fabs(capped)};
  }
  if (head.mask) {
    Scalar mask = head.mask->get(maskAt + t);
    score.f += mask.f;
    score.bound = std::isinf(score.f) ? 0 : score.bound + mask.bound + head.unit * std::fabs(score.f);
  }
  return score;
}

/// Softmax over tokens [begin, end) and the sum of values under it. Compiled code keeps a running maximum over blocks
/// of 16 tokens; each block may rescale what was summed before it by one more exp and one more product.
static void attend(const Attention &head, const Row &row, int64_t begin, int64_t end, Tensor &y) {
  int64_t depth = head.vShape.depth, tokens = end - begin;
  std::vector<Scalar> scores;
  double largest = -std::numeric_limits<double>::infinity(), largestBound = 0;
  for (int64_t t = begin; t < end; ++t) {
    scores.push_back(scoreOf(head, row, t));
    largest = std::max(largest, scores.back().f);
  }
  if (std::isinf(largest) && largest < 0) { // all that the row sees is masked
    std::fill_n(y.floats.begin() + row.qAt, depth, 0.0);
    return;
  }
  // Of the scores that matter: a masked one, however low, has the weight 0.
  for (const Scalar &score : scores)
    if (largest - score.f < 1000)
      largestBound = std::max(largestBound, std::fabs(score.f));
  double unit = head.unit, blocks = double((tokens + 15) / 16);
  double total = 0, totalError = 0;
  for (Scalar &score : scores) { // becomes a weight, with its relative error in `bound`
    double difference = std::fabs(score.f - largest);
    double error = score.bound + unit * (difference + 2 * largestBound) + (10 * blocks + 10) * unit;
    score = Scalar{std::exp(score.f - largest), 0, std::expm1(std::min(error, 1.0))};
    total += score.f;
    totalError += score.f * score.bound;
  }
  totalError += (tokens + kOtherRoundings) * unit * total;
  std::vector<double> common(tokens);
  for (int64_t t = begin; unit && head.valuesHaveOffsets && t < end; ++t)
    common[t - begin] = commonPart(head.v, head.vShape, row.batch, row.kvHead, t);
  for (int64_t d = 0; d < depth; ++d) {
    double sum = 0, magnitude = 0, error = 0;
    for (int64_t t = begin; t < end; ++t) {
      Scalar weight = scores[t - begin], v = head.v.get(head.vShape.at(row.batch, row.kvHead, t, d));
      sum += weight.f * v.f;
      magnitude += weight.f * (std::fabs(v.f) + common[t - begin]);
      error += weight.f * (weight.bound * std::fabs(v.f) + v.bound) +
               0x1p-126 * std::fabs(v.f); // a weight may be flushed to 0
    }
    error += (tokens + kOtherRoundings) * unit * magnitude;
    double value = sum / total;
    y.set(row.qAt + d,
          Scalar{value, 0, unit ? (error + std::fabs(value) * totalError) / total + 2 * unit * std::fabs(value) : 0});
  }
}

/// Each row of the last dimension times the Hadamard matrix.
static Tensor rotated(Tensor q, double unit) {
  std::vector<Scalar> row(q.last());
  for (int64_t from = 0; from < q.count(); from += q.last()) {
    for (auto [d, x] : llvm::enumerate(row))
      x = q.get(from + d);
    multiplyByHadamardMatrix(row, unit);
    for (auto [d, x] : llvm::enumerate(row))
      q.set(from + d, x);
  }
  return q;
}

static bool hasOffsets(FormatAttr format) { return format && format.getEncoding().zero != ::whit::ZeroKind::Constant; }

static LogicalResult runAttention(AttentionOp op, Frame &frame) {
  for (Value cache : {op.getK(), op.getV()})
    if (cast<ShapedType>(cache.getType()).getElementType().isInteger(8))
      return op.emitError() << "has a cache of packed bytes; the interpreter knows stages up to 'fused'";
  Tensor turned = op.getHadamard() ? rotated(frame.tensor(op.getQ()), frame.interpreter.unit) : Tensor();
  const Tensor &q = op.getHadamard() ? turned : frame.tensor(op.getQ());
  const Tensor &k = frame.tensor(op.getK()), &v = frame.tensor(op.getV());
  const Tensor &start = frame.tensor(op.getStart());
  Attention head{q,
                 k,
                 v,
                 op.getMask() ? &frame.tensor(op.getMask()) : nullptr,
                 CacheShape(k),
                 CacheShape(v),
                 op.getScale().convertToDouble(),
                 op.getSoftcap().convertToDouble(),
                 frame.interpreter.unit,
                 hasOffsets(op.getKeyFormatAttr()),
                 hasOffsets(op.getValueFormatAttr())};
  Tensor y(frame.tensor(op.getY()).element, q.shape);
  int64_t batches = q.shape[0], rows = q.shape[1], heads = q.shape[2], depth = q.shape[3];
  int64_t shared = heads / std::max<int64_t>(head.vShape.heads, 1), first = frame.integer(op.getFirst()),
          window = op.getWindow();
  int64_t capacity = std::min(head.kShape.capacity, head.vShape.capacity);
  if (head.mask)
    capacity = std::min(capacity, head.mask->last());
  for (int64_t row = 0; row < batches * rows; ++row) {
    int64_t b = row / rows, position = start.integers[b] + first + row % rows;
    int64_t end = op.getBidirectional() ? capacity : std::min(position + 1, capacity),
            begin = window > 0 ? std::max<int64_t>(position - window + 1, 0) : 0;
    for (int64_t h = 0; h < heads; ++h) {
      int64_t at = (row * heads + h) * depth;
      if (begin >= end)
        std::fill_n(y.floats.begin() + at, depth, 0.0);
      else
        attend(head, {at, b, h / shared, head.mask ? head.maskAt(b, h, row % rows) : 0}, begin, end, y);
    }
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

void addAttentionOps(Interpreter &interpreter) {
  interpreter.add(runCacheAppend);
  interpreter.add(runAttention);
}

} // namespace whit::interpret
