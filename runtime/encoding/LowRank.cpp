// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Singular vectors by block Krylov iteration ("Randomized Block Krylov Methods for Stronger and Faster Approximate Singular Value
// Decomposition", 2015): what a codec loses has a flat spectrum, on which powers of the matrix alone converge slowly. The small
// eigenproblem that is left is solved by Jacobi's method. Contraction of a*b+c is off, as in GroupCode.cpp.
#include "runtime/encoding/LowRank.h"

#include "runtime/encoding/Half.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <random>

#pragma clang fp contract(off)

namespace whit {
namespace {

constexpr std::string_view kLeft = "low_rank_left:", kRight = "low_rank_right:";

double dot(const double *a, const double *b, int64_t count) {
  double sums[8] = {}, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; ++j)
      sums[j] += a[i + j] * b[i + j];
  for (; i < count; ++i)
    sum += a[i] * b[i];
  return std::accumulate(std::begin(sums), std::end(sums), sum);
}

void addTimes(double factor, const double *x, double *y, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    y[i] += factor * x[i];
}

using Rows = std::vector<std::vector<double>>;

/// The matrix, a row at a time in f64.
struct Source {
  const float *values;
  int64_t n, k;

  template <typename Body> void forRows(Body &&body) const {
    std::vector<double> row(k);
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(values + i * k, k, row.begin());
      body(i, row.data());
    }
  }
  /// x A'A for each row of x.
  Rows twice(const Rows &x) const {
    Rows y(x.size(), std::vector<double>(k));
    forRows([&](int64_t, const double *row) {
      for (size_t j = 0; j < x.size(); ++j)
        addTimes(dot(x[j].data(), row, k), row, y[j].data(), k);
    });
    return y;
  }
};

/// Appends the rows of `block` that lie in a direction of their own to an orthonormal basis.
void extend(Rows &basis, Rows block, size_t most) {
  constexpr double kNew = 1e-10; // of the length: less is rounding
  for (std::vector<double> &row : block) {
    int64_t k = row.size();
    double before = std::sqrt(dot(row.data(), row.data(), k));
    for (int pass = 0; pass < 2; ++pass)
      for (const std::vector<double> &known : basis)
        addTimes(-dot(known.data(), row.data(), k), known.data(), row.data(), k);
    double length = std::sqrt(dot(row.data(), row.data(), k));
    if (basis.size() == most || !(length > kNew * before))
      continue;
    for (double &value : row)
      value /= length;
    basis.push_back(std::move(row));
  }
}

/// Eigenvalues of the symmetric matrix `a`, whose columns become those of diagonal form; row i of `vectors` is the eigenvector i.
std::vector<double> eigenvalues(Rows a, Rows &vectors) {
  size_t size = a.size();
  vectors.assign(size, std::vector<double>(size));
  for (size_t i = 0; i < size; ++i)
    vectors[i][i] = 1;
  auto turn = [](double &x, double &y, double c, double s) {
    double old = x;
    x = c * old - s * y;
    y = s * old + c * y;
  };
  constexpr int kSweeps = 30;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    double off = 0, all = 0;
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j)
        (i == j ? all : off) += a[i][j] * a[i][j];
    if (!(off > 1e-24 * all))
      break;
    for (size_t p = 0; p + 1 < size; ++p)
      for (size_t q = p + 1; q < size; ++q) {
        if (a[p][q] * a[p][q] <= 1e-30 * std::fabs(a[p][p] * a[q][q]))
          continue;
        double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        double t = (theta < 0 ? -1 : 1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        double c = 1 / std::sqrt(t * t + 1), s = t * c;
        for (size_t i = 0; i < size; ++i)
          turn(a[i][p], a[i][q], c, s);
        for (size_t i = 0; i < size; ++i)
          turn(a[p][i], a[q][i], c, s);
        for (size_t i = 0; i < size; ++i)
          turn(vectors[p][i], vectors[q][i], c, s);
      }
  }
  std::vector<double> values(size);
  for (size_t i = 0; i < size; ++i)
    values[i] = a[i][i];
  return values;
}

/// The first singular vectors, longest first, each times the root of its singular value: [at most rank][k].
Rows scaledVectors(const Source &source, int64_t rank) {
  size_t most = std::min(source.n, source.k), block = std::min<size_t>(rank + 4, most);
  int rounds = rank <= 16 ? 6 : 4;
  std::mt19937_64 random(2023);
  Rows basis, next(block, std::vector<double>(source.k));
  for (std::vector<double> &row : next)
    for (double &value : row)
      value = random() >> 63 ? 1 : -1;
  for (int round = 0; round < rounds && basis.size() < most; ++round) {
    size_t known = basis.size();
    next = source.twice(next);
    extend(basis, std::move(next), most);
    if (basis.size() == known)
      break;
    next.assign(basis.begin() + known, basis.end());
  }
  // What A does to the basis: its Gram matrix there.
  size_t size = basis.size();
  Rows gram(size, std::vector<double>(size));
  std::vector<double> image(size);
  source.forRows([&](int64_t, const double *row) {
    for (size_t j = 0; j < size; ++j)
      image[j] = dot(basis[j].data(), row, source.k);
    for (size_t j = 0; j < size; ++j)
      addTimes(image[j], image.data(), gram[j].data(), size);
  });
  Rows vectors, result;
  std::vector<double> values = eigenvalues(std::move(gram), vectors);
  std::vector<size_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] > values[b]; });
  for (size_t at : order) {
    constexpr double kNothing = 1e-12; // of the largest: less is rounding
    if (result.size() == size_t(rank) || !(values[at] > kNothing * values[order.front()]))
      break;
    std::vector<double> row(source.k);
    for (size_t j = 0; j < size; ++j)
      addTimes(vectors[at][j] * std::sqrt(std::sqrt(values[at])), basis[j].data(), row.data(), source.k);
    result.push_back(std::move(row));
  }
  return result;
}

/// Solves x G = y in place for a symmetric positive matrix given by its Cholesky factor, lower.
void solve(const Rows &factor, double *y) {
  size_t size = factor.size();
  for (size_t i = 0; i < size; ++i) {
    for (size_t j = 0; j < i; ++j)
      y[i] -= factor[i][j] * y[j];
    y[i] /= factor[i][i];
  }
  for (size_t i = size; i-- > 0;) {
    for (size_t j = i + 1; j < size; ++j)
      y[i] -= factor[j][i] * y[j];
    y[i] /= factor[i][i];
  }
}

/// The lower Cholesky factor of the Gram matrix of rows, which are nearly orthogonal.
Rows choleskyOfGram(const Rows &rows) {
  size_t size = rows.size();
  Rows factor(size, std::vector<double>(size));
  for (size_t i = 0; i < size; ++i)
    for (size_t j = 0; j <= i; ++j) {
      double sum = dot(rows[i].data(), rows[j].data(), rows[i].size()) - dot(factor[i].data(), factor[j].data(), j);
      factor[i][j] = i == j ? std::sqrt(sum) : sum / factor[j][j];
    }
  return factor;
}

std::optional<int64_t> takeNumber(std::string_view &text, std::string_view end) {
  int64_t value = 0;
  auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  text.remove_prefix(stop - text.data());
  if (status != std::errc() || value < 1 || !text.starts_with(end))
    return std::nullopt;
  text.remove_prefix(end.size());
  return value;
}

} // namespace

bool isLowRankLayout(std::string_view layout) { return layout.starts_with(kLeft) || layout.starts_with(kRight); }

std::optional<LowRankLayout> parseLowRankLayout(std::string_view layout, std::string *why) {
  auto bad = [&](std::string text) {
    if (why)
      *why = "layout '" + std::string(layout) + "' " + std::move(text);
    return std::nullopt;
  };
  if (!isLowRankLayout(layout))
    return bad("is not low_rank_left or low_rank_right");
  LowRankLayout result;
  result.isLeft = layout.starts_with(kLeft);
  std::string_view rest = layout.substr(result.isLeft ? kLeft.size() : kRight.size());
  auto rank = takeNumber(rest, ":"), n = rank ? takeNumber(rest, "x") : rank, k = n ? takeNumber(rest, ":") : n;
  if (!k)
    return bad("has no RANK:NxK behind its name");
  result.rank = *rank, result.n = *n, result.k = *k;
  if (*rank > std::min({*n, *k, kMaxLowRank}))
    return bad("has rank " + std::to_string(*rank) + "; at most " + std::to_string(std::min({*n, *k, kMaxLowRank})) +
               " is possible");
  size_t colon = rest.find(':'), of = rest.rfind(" of ");
  std::optional<Quantizer> quantizer = parseQuantizer(rest.substr(0, colon));
  if (!quantizer)
    return bad("names no quantizer; it must be nearest or least-squares");
  if (of == rest.npos || of < colon)
    return bad("does not end in FORMAT of LAYOUT");
  result.quantizer = *quantizer;
  result.format = rest.substr(colon + 1, of - colon - 1);
  result.layout = rest.substr(of + 4);
  std::string reason;
  if (!parseEncoding(result.format, &reason))
    return bad("names no format: " + reason);
  if (isLowRankLayout(result.layout))
    return bad("corrects a correction");
  return result;
}

std::string textOf(const LowRankLayout &layout) {
  return std::string(layout.isLeft ? kLeft : kRight) + std::to_string(layout.rank) + ":" + std::to_string(layout.n) +
         "x" + std::to_string(layout.k) + ":" + std::string(nameOf(layout.quantizer)) + ":" + layout.format + " of " +
         layout.layout;
}

void LowRankFactors::addRow(int64_t i, double *row) const {
  for (int64_t r = 0; r < rank; ++r)
    for (int64_t j = 0; j < k; ++j)
      row[j] += double(left[i * rank + r]) * double(right[r * k + j]);
}

LowRankFactors factorLowRank(const float *lost, int64_t n, int64_t k, int64_t rank) {
  Source source{lost, n, k};
  LowRankFactors result{n, k, rank, std::vector<float>(n * rank), std::vector<float>(rank * k)};
  float largest = 0;
  for (int64_t i = 0; i < n * k; ++i)
    largest = std::max(largest, std::fabs(lost[i]));
  if (!(largest > 0))
    return result;
  Rows right = scaledVectors(source, rank);
  for (size_t r = 0; r < right.size(); ++r)
    for (int64_t j = 0; j < k; ++j)
      right[r][j] = result.right[r * k + j] = roundToScale(ScaleType::BF16, float(right[r][j]));
  Rows factor = choleskyOfGram(right);
  std::vector<double> y(right.size());
  source.forRows([&](int64_t i, const double *row) {
    for (size_t r = 0; r < right.size(); ++r)
      y[r] = dot(right[r].data(), row, k);
    solve(factor, y.data());
    for (size_t r = 0; r < right.size(); ++r)
      result.left[i * rank + r] = roundToScale(ScaleType::BF16, float(y[r]));
  });
  return result;
}

} // namespace whit
