// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations that work on one row at a time: quantize, quantize_float, dequantize, gather, the norms, softmax and rotary.
//
// Sums over a row are kept in 16 lanes by compiled code; the longest chain of additions is then ceil(K / 16) in a lane
// and 4 to add the lanes.

#include "Interpret/Interpreter.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::whit;

namespace whit::interpret {

static double rowDepth(int64_t k) { return double((k + 15) / 16 + 4); }

/// A copy of a destination's shape, to be filled.
static Tensor likeInit(Value init, Frame &frame) {
  const Tensor &tensor = frame.tensor(init);
  return Tensor(tensor.element, tensor.shape);
}

// ---------------------------------------------------------------------------------------------------- quantize

namespace {
struct Code {
  int64_t value;
  double bound;
};
} // namespace

/// round(x / scale), and how far another rounding of x or of the scale may move it.
static Code codeOf(double x, double xBound, double scale, double scaleBound, double unit) {
  if (scale == 0)
    return {0, 0};
  double quotient = x / scale, code = std::nearbyint(quotient);
  double slack = xBound / scale + std::fabs(quotient) * (scaleBound / scale + 3 * unit);
  double bound = std::max(std::nearbyint(quotient + slack) - code, code - std::nearbyint(quotient - slack));
  return {int64_t(code), bound};
}

/// The largest of `count` magnitudes, as a part of `limit`.
static Scalar scaleFor(const Tensor &x, int64_t from, int64_t count, double limit, double unit) {
  double largest = 0, largestBound = 0;
  for (int64_t i = from; i < from + count; ++i) {
    largest = std::max(largest, std::fabs(x.floats[i]));
    largestBound = std::max(largestBound, x.bound(i));
  }
  return Scalar{largest / limit, 0, largestBound / limit + unit * largest / limit};
}

static LogicalResult runQuantize(QuantizeOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX());
  Tensor codes = likeInit(op.getCodes(), frame), scales = likeInit(op.getScales(), frame),
         sums = likeInit(op.getSums(), frame);
  int64_t k = x.last(), group = op.getGroup(), groups = (k + group - 1) / group, padded = codes.last();
  double unit = frame.interpreter.unit, limit = std::exp2(op.getBits() - 1) - 1;
  for (int64_t block = 0, count = scales.count(); block < count; ++block) {
    int64_t first = block % groups * group, size = std::min(group, k - first), at = block / groups * k + first;
    Scalar range = op.getPerRow() ? scaleFor(x, at - first, k, limit, unit) : scaleFor(x, at, size, limit, unit);
    double scale = range.f, scaleBound = range.bound;
    scales.set(block, range);
    Scalar sum;
    for (int64_t i = 0; i < padded; ++i) {
      Code code{0, 0};
      if (i < size)
        code = codeOf(x.floats[at + i], x.bound(at + i), scale, scaleBound, unit);
      codes.set(block * padded + i, Scalar{0, code.value, code.bound});
      sum.i += code.value;
      sum.bound += code.bound;
    }
    sums.set(block, sum);
  }
  frame.set(op.getResult(0), std::move(codes));
  frame.set(op.getResult(1), std::move(scales));
  frame.set(op.getResult(2), std::move(sums));
  return success();
}

/// The nearest float of 8 bits, 3 of them fraction: the distance of two neighbours is 2^-3 of the power of two below, and 2^-9 at
/// least.
static double nearestFloat8(double x) {
  int exponent = 0;
  std::frexp(x, &exponent); // |x| < 2^exponent
  double step = std::ldexp(1.0, std::max(exponent - 4, -9));
  return std::clamp(std::nearbyint(x / step) * step, -448.0, 448.0);
}

static LogicalResult runQuantizeFloat(QuantizeFloatOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX());
  Tensor numbers = likeInit(op.getNumbers(), frame), scales = likeInit(op.getScales(), frame);
  int64_t k = x.last();
  double unit = frame.interpreter.unit;
  for (int64_t row = 0, rows = scales.count(); row < rows; ++row) {
    Scalar scale = scaleFor(x, row * k, k, 448, unit);
    scales.set(row, scale);
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      if (scale.f == 0) {
        numbers.set(i, Scalar{0, 0, 0});
        continue;
      }
      double quotient = x.floats[i] / scale.f, number = nearestFloat8(quotient);
      double slack = x.bound(i) / scale.f + std::fabs(quotient) * (scale.bound / scale.f + 3 * unit);
      double bound = std::max(nearestFloat8(quotient + slack) - number, number - nearestFloat8(quotient - slack));
      numbers.set(i, Scalar{number, 0, bound});
    }
  }
  frame.set(op.getResult(0), std::move(numbers));
  frame.set(op.getResult(1), std::move(scales));
  return success();
}

// ---------------------------------------------------------------------------------------------------- weights

static LogicalResult runDequantize(DequantizeOp op, Frame &frame) {
  const Weight &w = frame.weight(op.getW());
  Tensor y = likeInit(op.getY(), frame);
  double unit = frame.interpreter.unit;
  std::vector<double> magnitude(unit ? y.count() : 0);
  w.rows(0, w.n, y.floats.data(), unit ? magnitude.data() : nullptr);
  for (size_t at = 0; at < magnitude.size(); ++at)
    y.setBound(at, 2 * unit * magnitude[at]);
  frame.set(op.getResult(0), std::move(y));
  return success();
}

static LogicalResult runGather(GatherOp op, Frame &frame) {
  const Weight &table = frame.weight(op.getTable());
  const Tensor &indices = frame.tensor(op.getIndices());
  Tensor y = likeInit(op.getY(), frame);
  double unit = frame.interpreter.unit;
  std::vector<double> magnitude(table.k);
  for (int64_t row = 0; row < indices.count(); ++row) {
    int64_t index = indices.integers[row];
    if (index < 0)
      index += table.n;
    double *to = y.floats.data() + row * table.k;
    if (index < 0 || index >= table.n) {
      std::fill_n(to, table.k, 0.0);
      continue;
    }
    table.rows(index, index + 1, to, magnitude.data());
    if (unit && !table.encoding.isPlain())
      for (int64_t i = 0; i < table.k; ++i)
        y.setBound(row * table.k + i, 2 * unit * magnitude[i]);
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

// ---------------------------------------------------------------------------------------------------- norms

static LogicalResult runRmsNorm(RmsNormOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX()), &weight = frame.tensor(op.getWeight());
  Tensor y = likeInit(op.getY(), frame);
  int64_t k = x.last();
  double unit = frame.interpreter.unit, epsilon = op.getEpsilon().convertToDouble();
  for (int64_t row = 0; k && row < x.count() / k; ++row) {
    double squares = 0, squaresBound = 0;
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      squares += x.floats[i] * x.floats[i];
      squaresBound += 2 * std::fabs(x.floats[i]) * x.bound(i) + x.bound(i) * x.bound(i);
    }
    double mean = squares / k, scale = 1 / std::sqrt(mean + epsilon);
    double meanBound = squaresBound / k + (rowDepth(k) + kOtherRoundings) * unit * mean;
    double scaleError = 0.5 * (meanBound + unit * epsilon) / (mean + epsilon) + kOtherRoundings * unit; // relative
    for (int64_t i = 0; i < k; ++i) {
      double value = x.floats[row * k + i], product = std::fabs(scale * weight.floats[i]);
      double bound = product * (x.bound(row * k + i) + std::fabs(value) * (scaleError + 2 * unit)) +
                     std::fabs(value * scale) * weight.bound(i);
      y.set(row * k + i, Scalar{value * scale * weight.floats[i], 0, bound * (unit != 0)});
    }
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

static LogicalResult runLayerNorm(LayerNormOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX()), &weight = frame.tensor(op.getWeight()), &bias = frame.tensor(op.getBias());
  Tensor y = likeInit(op.getY(), frame);
  int64_t k = x.last();
  double unit = frame.interpreter.unit, epsilon = op.getEpsilon().convertToDouble();
  double roundings = (rowDepth(k) + kOtherRoundings) * unit;
  for (int64_t row = 0; k && row < x.count() / k; ++row) {
    const double *values = x.floats.data() + row * k;
    double sum = 0, magnitude = 0, inputBound = 0;
    for (int64_t i = 0; i < k; ++i) {
      sum += values[i];
      magnitude += std::fabs(values[i]);
      inputBound += x.bound(row * k + i);
    }
    double mean = sum / k, meanBound = (inputBound + roundings * magnitude) / k;
    double squares = 0, squaresBound = 0;
    for (int64_t i = 0; i < k; ++i) {
      double centered = values[i] - mean, bound = x.bound(row * k + i) + meanBound + unit * std::fabs(centered);
      squares += centered * centered;
      squaresBound += 2 * std::fabs(centered) * bound + bound * bound;
    }
    double variance = squares / k, scale = 1 / std::sqrt(variance + epsilon);
    double varianceBound = squaresBound / k + roundings * variance;
    double scaleError = 0.5 * (varianceBound + unit * epsilon) / (variance + epsilon) + kOtherRoundings * unit;
    for (int64_t i = 0; i < k; ++i) {
      double centered = values[i] - mean, bound = x.bound(row * k + i) + meanBound + unit * std::fabs(centered);
      double scaled = centered * scale, result = scaled * weight.floats[i] + bias.floats[i];
      double error = std::fabs(weight.floats[i]) * (bound * scale + std::fabs(scaled) * (scaleError + 2 * unit)) +
                     std::fabs(scaled) * weight.bound(i) + bias.bound(i) + unit * std::fabs(result);
      y.set(row * k + i, Scalar{result, 0, error * (unit != 0)});
    }
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

// ---------------------------------------------------------------------------------------------------- softmax

/// An error e of x - max, whose rounding is part of it, is a factor of at most exp(e) on the exponential.
static LogicalResult runSoftmax(SoftmaxOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX());
  Tensor y = likeInit(op.getY(), frame);
  int64_t k = x.last();
  double unit = frame.interpreter.unit;
  for (int64_t row = 0; k && row < x.count() / k; ++row) {
    const double *values = x.floats.data() + row * k;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0, sumBound = 0;
    for (int64_t i = 0; i < k; ++i)
      largest = std::max(largest, values[i]);
    std::vector<double> powers(k), errors(k);
    for (int64_t i = 0; i < k; ++i) {
      double difference = values[i] - largest;
      powers[i] = std::exp(difference); // NaN if the row holds NaN or infinity, or nothing but -infinity
      errors[i] = powers[i] * std::expm1(x.bound(row * k + i) + unit * std::fabs(difference)) +
                  2 * kFunctionUlps * unit * powers[i] + (unit ? kFlushed : 0);
      if (powers[i] == 0 && std::isinf(difference))
        errors[i] = 0; // a masked element is exactly 0
      sum += powers[i];
      sumBound += errors[i];
    }
    double relative = sumBound / sum + (rowDepth(k) + kOtherRoundings) * unit;
    for (int64_t i = 0; i < k; ++i) {
      double value = powers[i] / sum, bound = errors[i] / sum + value * relative;
      bound = std::isnan(bound) ? std::numeric_limits<double>::infinity() : bound;
      y.set(row * k + i, Scalar{value, 0, unit && std::isfinite(value) ? bound : 0});
    }
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

// ---------------------------------------------------------------------------------------------------- rotary

/// a * c + b * d with its bound, in any order of the roundings.
static Scalar twoProducts(Scalar a, Scalar c, Scalar b, Scalar d, double unit) {
  double bound = std::fabs(a.f) * c.bound + std::fabs(c.f) * a.bound + std::fabs(b.f) * d.bound +
                 std::fabs(d.f) * b.bound + 2 * unit * (std::fabs(a.f * c.f) + std::fabs(b.f * d.f));
  return Scalar{a.f * c.f + b.f * d.f, 0, bound};
}

static LogicalResult runRotary(RotaryOp op, Frame &frame) {
  const Tensor &x = frame.tensor(op.getX()), &cos = frame.tensor(op.getCos()), &sin = frame.tensor(op.getSin());
  const Tensor &start = frame.tensor(op.getStart());
  Tensor y = likeInit(op.getY(), frame);
  int64_t batches = x.shape[0], rows = x.shape[1], heads = x.shape[2], depth = x.shape[3], half = depth / 2;
  int64_t positions = cos.shape[0], first = frame.integer(op.getFirst());
  for (int64_t row = 0; row < batches * rows; ++row) {
    int64_t position = start.integers[row / rows] + first + row % rows;
    position = std::clamp<int64_t>(position, 0, positions - 1);
    for (int64_t head = 0; head < heads; ++head)
      for (int64_t i = 0; i < half; ++i) {
        int64_t at = (row * heads + head) * depth, one = at + (op.getInterleaved() ? 2 * i : i);
        int64_t two = op.getInterleaved() ? one + 1 : one + half;
        Scalar a = x.get(one), b = x.get(two), c = cos.get(position * half + i), s = sin.get(position * half + i);
        Scalar minus{-s.f, 0, s.bound};
        y.set(one, twoProducts(a, c, b, minus, frame.interpreter.unit));
        y.set(two, twoProducts(a, s, b, c, frame.interpreter.unit));
      }
  }
  frame.set(op.getResult(0), std::move(y));
  return success();
}

void addRowOps(Interpreter &interpreter) {
  interpreter.add(runQuantize);
  interpreter.add(runQuantizeFloat);
  interpreter.add(runDequantize);
  interpreter.add(runGather);
  interpreter.add(runRmsNorm);
  interpreter.add(runLayerNorm);
  interpreter.add(runSoftmax);
  interpreter.add(runRotary);
}

} // namespace whit::interpret
