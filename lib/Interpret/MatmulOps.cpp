// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit.matmul and whit.quantized_matmul. A few rows of the weight are decoded at a time and then meet all rows of x;
// threads take different rows of the weight.

#include "Interpret/Interpreter.h"

#include <atomic>
#include <cmath>
#include <thread>

using namespace mlir;
using namespace mlir::whit;

namespace whit::interpret {

/// Calls body(begin, end) for ranges of [0, count) on several threads.
static void forRanges(int64_t count, int threads, const std::function<void(int64_t, int64_t)> &body) {
  constexpr int64_t rows = 16;
  std::atomic<int64_t> next = 0;
  auto work = [&] {
    for (int64_t begin; (begin = next.fetch_add(rows)) < count;)
      body(begin, std::min(begin + rows, count));
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads && count > i * rows; ++i)
    others.emplace_back(work);
  work();
  for (std::thread &thread : others)
    thread.join();
}

/// Eight sums side by side: what a compiler can turn into vector code without reordering additions.
static double dot(const double *a, const double *b, int64_t count) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; ++j)
      sums[j] += a[i + j] * b[i + j];
  double sum = 0;
  for (; i < count; ++i)
    sum += a[i] * b[i];
  for (double part : sums)
    sum += part;
  return sum;
}

static std::vector<double> absolutes(const std::vector<double> &values) {
  std::vector<double> result(values.size());
  std::transform(values.begin(), values.end(), result.begin(), [](double value) { return std::fabs(value); });
  return result;
}

/// The longest chain of additions behind an element of y. The products of a group are summed by themselves and the
/// groups in ascending order; where a weight has a minimum, which is part of it, or no groups, all of K is one chain.
static double matmulDepth(const Weight &w) {
  if (w.encoding.isPlain() || w.encoding.zero == ::whit::ZeroKind::Minimum)
    return double(w.k);
  return double(groupSize(w.encoding, w.k) + groupCount(w.encoding, w.k));
}

namespace {
/// What an instruction for bf16 may lose beside its roundings. vdpbf16ps is two fused multiply-adds, the odd element first, each
/// rounded to nearest even: as deep a chain as one multiply-add per element, so that the bound of f32 sums covers it, and the
/// product of two bf16 numbers is exact in any case. But it takes subnormal operands for 0, and sums below 2^-126 as well.
/// Sums are scaled behind that, by no more than the largest weight: a code that differs from its zero is 1 away at least.
struct Flushed {
  bool any = false;
  std::vector<double> x; ///< |x| where it is subnormal, else 0; empty if it is nowhere

  explicit Flushed(const Tensor &activations) : any(activations.element.isBF16()) {
    auto isSubnormal = [](double value) { return value != 0 && std::fabs(value) < kFlushed; };
    if (!any || std::none_of(activations.floats.begin(), activations.floats.end(), isSubnormal))
      return;
    for (double value : activations.floats)
      x.push_back(isSubnormal(value) ? std::fabs(value) : 0);
  }

  double bound(int64_t row, const double *weights, const double *magnitudes, int64_t k) const {
    double largest = 0, lost = 0;
    for (int64_t j = 0; j < k; ++j) {
      double weight = std::fabs(weights[j]);
      largest = std::max(largest, weight);
      lost += (x.empty() ? 0 : x[row * k + j] * weight) + (weight < kFlushed ? weight * magnitudes[row * k + j] : 0);
    }
    return lost + double(k) * kFlushed * std::max(largest, 1.0);
  }
};
} // namespace

static LogicalResult runMatmul(MatmulOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX());
  const Weight &w = frame.weight(op.getW());
  Tensor y(frame.tensor(op.getY()).element, frame.tensor(op.getY()).shape);
  int64_t k = w.k, n = w.n, rows = y.count() / std::max<int64_t>(n, 1);
  double unit = frame.interpreter.unit, depth = matmulDepth(w);
  std::vector<double> magnitudes;
  Flushed flushed(x);
  if (unit) {
    magnitudes = absolutes(x.floats);
    y.bounds.resize(y.count());
  }
  forRanges(n, frame.interpreter.options.threads, [&](int64_t begin, int64_t end) {
    std::vector<double> values((end - begin) * k), magnitude(unit ? values.size() : 0), errors(magnitude.size());
    w.rows(begin, end, values.data(), unit ? magnitude.data() : nullptr);
    // Decoding rounds relative to scale * code + minimum.
    for (size_t i = 0; i < errors.size(); ++i)
      errors[i] = unit * (depth * std::fabs(values[i]) + kOtherRoundings * magnitude[i]);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = begin; i < end; ++i) {
        int64_t from = (i - begin) * k;
        y.floats[row * n + i] = dot(&x.floats[row * k], &values[from], k);
        if (!unit)
          continue;
        double bound = dot(&magnitudes[row * k], &errors[from], k);
        if (!x.bounds.empty())
          for (int64_t j = 0; j < k; ++j)
            bound += x.bounds[row * k + j] * std::fabs(values[from + j]);
        if (flushed.any)
          bound += flushed.bound(row, &values[from], magnitudes.data(), k);
        y.bounds[row * n + i] = bound;
      }
  });
  frame.set(op.getResult(0), std::move(y));
  return success();
}

// ---------------------------------------------------------------------------------------------------- int8 activations

namespace {
/// Codes of x, row by row as the weight's rows are, without their padding.
struct CodedRows {
  std::vector<double> codes, bounds; ///< [rows][K]; bounds empty if all codes are sure
  bool anyBound(int64_t row, int64_t k) const {
    return !bounds.empty() &&
           std::any_of(bounds.begin() + row * k, bounds.begin() + (row + 1) * k, [](double b) { return b != 0; });
  }
};

/// What one group adds to y.
struct GroupSum {
  double value, magnitude, bound;
};
} // namespace

static CodedRows readCodes(const Tensor &codes, int64_t rows, int64_t k, int64_t groups, int64_t group) {
  CodedRows result;
  int64_t padded = codes.last();
  result.codes.resize(rows * k);
  if (!codes.bounds.empty())
    result.bounds.resize(rows * k);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t j = 0; j < k; ++j) {
      int64_t at = (row * groups + j / group) * padded + j % group;
      result.codes[row * k + j] = codes.integers[at];
      if (!codes.bounds.empty())
        result.bounds[row * k + j] = codes.bounds[at];
    }
  return result;
}

/// scale_x * scale_w * (sum of code_x * code_w - zero * sum_x), or with a minimum
/// scale_x * (scale_w * (sum of code_x * code_w) + minimum * sum_x).
static GroupSum groupSum(const ::whit::Encoding &encoding, double product, Scalar xScale, Scalar xSum, double wScale,
                         double zero) {
  using ::whit::ZeroKind;
  if (encoding.zero == ZeroKind::Minimum) {
    double scaled = wScale * product, low = zero * xSum.i, inner = scaled + low;
    return {xScale.f * inner, std::fabs(xScale.f) * (std::fabs(scaled) + std::fabs(low)),
            xScale.bound * std::fabs(inner)};
  }
  double offset = zero * xSum.i, inner = product - offset, scale = xScale.f * wScale;
  // Integer zero points are subtracted exactly; a float one rounds, relative to both sides of the subtraction.
  double magnitude = encoding.zero == ZeroKind::Float ? std::fabs(product) + std::fabs(offset) : std::fabs(inner);
  return {scale * inner, std::fabs(scale) * magnitude, xScale.bound * std::fabs(wScale * inner)};
}

/// What codes of x next to a tie may change in a group: each moves its product and the sum of codes together.
static double unsureCodes(const ::whit::Encoding &encoding, const double *bounds, const double *wCodes, int64_t size,
                          double xScale, double wScale, double zero) {
  double change = 0;
  for (int64_t i = 0; i < size; ++i)
    if (bounds[i] != 0)
      change += bounds[i] * std::fabs(encoding.zero == ::whit::ZeroKind::Minimum ? wScale * wCodes[i] + zero
                                                                                 : wScale * (wCodes[i] - zero));
  return std::fabs(xScale) * change;
}

static LogicalResult runQuantizedMatmul(QuantizedMatmulOp op, Frame &frame) {
  const Tensor &scales = frame.tensor(op.getScales()), &sums = frame.tensor(op.getSums());
  const Weight &w = frame.weight(op.getW());
  Tensor y(frame.tensor(op.getY()).element, frame.tensor(op.getY()).shape);
  int64_t k = w.k, n = w.n, rows = y.count() / std::max<int64_t>(n, 1);
  int64_t groups = groupCount(w.encoding, k), group = groupSize(w.encoding, k);
  double unit = frame.interpreter.unit, half = w.encoding.constant;
  CodedRows x = readCodes(frame.tensor(op.getCodes()), rows, k, groups, group);
  if (unit)
    y.bounds.resize(y.count());
  forRanges(n, frame.interpreter.options.threads, [&](int64_t begin, int64_t end) {
    ::whit::Matrix matrix = w.matrix(begin, end);
    std::vector<double> codes(matrix.codes().begin(), matrix.codes().end());
    for (int64_t row = 0; row < rows; ++row) {
      bool unsure = x.anyBound(row, k);
      for (int64_t i = begin; i < end; ++i) {
        double value = 0, magnitude = 0, bound = 0;
        for (int64_t g = 0; g < groups; ++g) {
          int64_t first = g * group, size = std::min(group, k - first), at = (i - begin) * groups + g;
          const double *wCodes = &codes[(i - begin) * k + first];
          double wScale = matrix.scales()[at], zero = matrix.offset.empty() ? half : matrix.zeros()[at];
          Scalar xScale = scales.get(row * groups + g), xSum = sums.get(row * groups + g);
          GroupSum sum = groupSum(w.encoding, dot(&x.codes[row * k + first], wCodes, size), xScale, xSum, wScale, zero);
          value += sum.value;
          magnitude += sum.magnitude;
          bound += sum.bound;
          if (unsure)
            bound += unsureCodes(w.encoding, &x.bounds[row * k + first], wCodes, size, xScale.f, wScale, zero);
        }
        y.floats[row * n + i] = value;
        if (unit)
          y.bounds[row * n + i] = bound + (groups + kOtherRoundings) * unit * magnitude;
      }
    }
  });
  frame.set(op.getResult(0), std::move(y));
  return success();
}

void addMatmulOps(Interpreter &interpreter) {
  interpreter.add(runMatmul);
  interpreter.add(runQuantizedMatmul);
}

} // namespace whit::interpret
