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

/// The longest chain of additions behind an element of y. The products of a group and a term are summed by themselves and the
/// groups in ascending order; where a weight has a minimum, which is part of it, or no groups, all of K is one chain.
static double matmulDepth(const Weight &w) {
  if (w.encoding.isPlain())
    return double(w.k);
  int64_t groups = groupCount(w.encoding, w.k), terms = int64_t(w.encoding.terms.size());
  if (w.encoding.zero == ::whit::ZeroKind::Minimum)
    return double(w.k + groups * (terms - 1));
  return double(groupSize(w.encoding, w.k) + groups * terms);
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
    // Decoding rounds relative to what a weight is the sum of, and so do sums of terms, which may cancel.
    bool isSum = w.encoding.terms.size() > 1;
    for (size_t i = 0; i < errors.size(); ++i)
      errors[i] = unit * (depth * (isSum ? magnitude[i] : std::fabs(values[i])) + kOtherRoundings * magnitude[i]);
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

/// What one term of one group adds: scale_x * scale_w * (sum of code_x * number_w - zero * sum_x), or with a minimum
/// scale_x * (scale_w * (sum of code_x * number_w) + minimum * sum_x). Constant zeros are part of the numbers.
static GroupSum groupSum(const ::whit::Encoding &encoding, bool isFirst, double product, Scalar xScale, Scalar xSum,
                         double wScale, double zero) {
  using ::whit::ZeroKind;
  if (isFirst && encoding.zero == ZeroKind::Minimum) {
    double scaled = wScale * product, low = zero * xSum.i, inner = scaled + low;
    return {xScale.f * inner, std::fabs(xScale.f) * (std::fabs(scaled) + std::fabs(low)),
            xScale.bound * std::fabs(inner)};
  }
  double offset = isFirst ? zero * xSum.i : 0, inner = product - offset, scale = xScale.f * wScale;
  // Zero points of integers are subtracted exactly; other ones round, relative to both sides of the subtraction.
  bool isExact = encoding.codec().isNumber() && encoding.zero == ZeroKind::Integer;
  double magnitude = isExact ? std::fabs(inner) : std::fabs(product) + std::fabs(offset);
  return {scale * inner, std::fabs(scale) * magnitude, xScale.bound * std::fabs(wScale * inner)};
}

/// What codes of x next to a tie may change in a group.
static double unsureCodes(const double *bounds, const double *weights, int64_t size, double xScale) {
  double change = 0;
  for (int64_t i = 0; i < size; ++i)
    change += bounds[i] * std::fabs(weights[i]);
  return std::fabs(xScale) * change;
}

/// The number of every code of a term, [n][k]. Where there is no code it is what the zero point takes away again.
static std::vector<double> numbersOf(const ::whit::Matrix &matrix, size_t index) {
  const ::whit::Term &term = matrix.encoding.terms[index];
  const ::whit::TermValues &values = matrix.terms[index];
  std::vector<float> table = term.codec.table();
  double zero = index == 0 && matrix.encoding.zero == ::whit::ZeroKind::Constant ? matrix.encoding.constant : 0;
  int64_t blocks = blockCount(term.scale[0], matrix.k), size = term.scale[0].block.columns;
  int64_t groups = matrix.groups(), group = groupSize(matrix.encoding, matrix.k);
  std::vector<float> zeros;
  if (matrix.encoding.zero == ::whit::ZeroKind::Integer)
    zeros = productPerGroup(matrix, matrix.encoding.offset, matrix.offset);
  std::vector<double> numbers(values.codes.size());
  for (int64_t at = 0; at < int64_t(numbers.size()); ++at) {
    int64_t row = at / matrix.k, block = size ? at % matrix.k / size : 0;
    size_t choice = values.choices.empty() ? 0 : values.choices[row * blocks + block];
    numbers[at] = table[(choice << term.codec.bits) + values.codes[at]] - zero;
    if (!values.keeps(row, matrix.k, at % matrix.k))
      numbers[at] = index == 0 && !zeros.empty() ? zeros[row * groups + at % matrix.k / group] : 0;
  }
  return numbers;
}

static LogicalResult runQuantizedMatmul(QuantizedMatmulOp op, Frame &frame) {
  const Tensor &scales = frame.tensor(op.getScales()), &sums = frame.tensor(op.getSums());
  const Weight &w = frame.weight(op.getW());
  Tensor y(frame.tensor(op.getY()).element, frame.tensor(op.getY()).shape);
  int64_t k = w.k, n = w.n, rows = y.count() / std::max<int64_t>(n, 1);
  int64_t groups = groupCount(w.encoding, k), group = groupSize(w.encoding, k);
  size_t terms = w.encoding.terms.size();
  double unit = frame.interpreter.unit;
  CodedRows x = readCodes(frame.tensor(op.getCodes()), rows, k, groups, group);
  if (unit)
    y.bounds.resize(y.count());
  forRanges(n, frame.interpreter.options.threads, [&](int64_t begin, int64_t end) {
    ::whit::Matrix matrix = w.matrix(begin, end);
    std::vector<double> weights(x.bounds.empty() ? 0 : (end - begin) * k);
    if (!weights.empty())
      dequantize(matrix, weights.data());
    std::vector<std::vector<double>> numbers;
    std::vector<std::vector<float>> wScales;
    std::vector<float> zeros = productPerGroup(matrix, w.encoding.offset, matrix.offset); // 0 where there are none
    for (size_t t = 0; t < terms; ++t) {
      numbers.push_back(numbersOf(matrix, t));
      wScales.push_back(productPerGroup(matrix, w.encoding.terms[t].scale, matrix.terms[t].factors));
    }
    for (int64_t row = 0; row < rows; ++row) {
      bool unsure = x.anyBound(row, k);
      for (int64_t i = begin; i < end; ++i) {
        double value = 0, magnitude = 0, bound = 0;
        for (int64_t g = 0; g < groups; ++g) {
          int64_t first = g * group, size = std::min(group, k - first), at = (i - begin) * groups + g,
                  from = (i - begin) * k + first;
          Scalar xScale = scales.get(row * groups + g), xSum = sums.get(row * groups + g);
          for (size_t t = 0; t < terms; ++t) {
            double product = dot(&x.codes[row * k + first], &numbers[t][from], size);
            GroupSum sum = groupSum(w.encoding, t == 0, product, xScale, xSum, wScales[t][at], zeros[at]);
            value += sum.value;
            magnitude += sum.magnitude;
            bound += sum.bound;
          }
          if (unsure)
            bound += unsureCodes(&x.bounds[row * k + first], &weights[from], size, xScale.f);
        }
        y.floats[row * n + i] = value;
        if (unit)
          y.bounds[row * n + i] = bound + (double(groups * terms) + kOtherRoundings) * unit * magnitude;
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
