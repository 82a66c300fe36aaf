// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The tiles of a kernel are a loop in it: on one thread a chunk is as good as a call. Codes of all formats are drawn at random, so that no
// quantizer has to run.

#include "Tune/Matmul.h"

#include "runtime/encoding/Carrier.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Place.h"

#include "llvm/Support/FormatVariadic.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>

using llvm::formatv;

namespace whit::tune {

static constexpr std::pair<std::string_view, Products> kActivations[] = {
    {"f32", Products::Float}, {"bf16", Products::Bfloat}, {"int8", Products::Integer}};

llvm::StringRef nameOfActivations(Products products) {
  for (auto [name, value] : kActivations)
    if (value == products)
      return name;
  return "";
}

std::optional<Products> parseActivations(std::string_view name) {
  for (auto [known, value] : kActivations)
    if (known == name)
      return value;
  return std::nullopt;
}

std::string whyNotMatmul(const Matmul &matmul) {
  std::string why;
  std::optional<Encoding> encoding = parseEncoding(matmul.format, &why);
  if (!encoding)
    return why;
  if (matmul.n < 1 || matmul.k < 1 || matmul.n > (1 << 20) || matmul.k > (1 << 20))
    return formatv("the weight is {0} x {1}; each size must be 1 to 1048576", matmul.n, matmul.k);
  if (matmul.activations != Products::Integer)
    return "";
  auto carriers = integerCarriers(readPart(*encoding));
  if (!carriers)
    return "numbers of " + matmul.format + " are no multiples of bytes; take f32 activations";
  if (readPart(*encoding, solvePlace(*encoding, matmul.n, matmul.k)).group > longestIntegerGroup(*carriers))
    return "groups of " + matmul.format + " are too long for sums in int32; take f32 activations";
  return "";
}

/// The part of whit.target that registers depend on.
static int64_t sumsOf(const Encoding &encoding, const Place &place, Products products, const Target &target) {
  // As TargetFacts::accumulators and FloatBlocks::accumulators count them.
  int64_t room = target.has("avx512f") ? 24 : target.has("avx") ? 6 : 4;
  bool pairs = products == Products::Bfloat && hasBfloatNumbers(encoding);
  bool takenApart = products != Products::Integer && (pairs ? !target.has("avx512bf16") : place.run == 2);
  return takenApart ? room - std::max<int64_t>(2, room / 6) : room;
}

MatmulWork workOf(const Matmul &matmul, int64_t rows, const Target &target) {
  Encoding encoding = *parseEncoding(matmul.format, nullptr);
  Place place = solvePlace(encoding, matmul.n, matmul.k), read = readPart(encoding, place);
  MatmulWork work;
  work.rows = rows;
  work.n = matmul.n;
  work.k = matmul.k;
  work.group = place.group;
  work.bitsPerWeight = 8.0 * double(place.bytes()) / double(matmul.n * matmul.k);
  work.products = matmul.activations;
  work.sums = sumsOf(readPart(encoding), read, matmul.activations, target);
  work.unit = encoding.isPlain() ? read.run : read.terms.front().unit.elements();
  work.isStored = encoding.isPlain();
  return work;
}

std::string kernelText(const Matmul &matmul, const MatmulTile &tile) {
  Place place = solvePlace(*parseEncoding(matmul.format, nullptr), matmul.n, matmul.k);
  int64_t columns = std::min(tile.tileColumns, matmul.n), whole = matmul.n / columns * columns;
  bool isInteger = matmul.activations == Products::Integer;
  std::string w = formatv("memref<{0}x{1}xi8>", place.panels, place.panelBytes);
  std::string y = formatv("memref<?x{0}xf32>", matmul.n);
  std::string c = formatv("memref<?x{0}x{1}xi8>", place.groups, place.paddedGroup);
  std::string s = formatv("memref<?x{0}xf32>", place.groups), t = formatv("memref<?x{0}xi32>", place.groups);
  std::string x = formatv("memref<?x{0}x{1}>", matmul.k, nameOfActivations(matmul.activations));
  std::string arguments = isInteger ? formatv("%c: {0}, %s: {1}, %t: {2}", c, s, t).str() : "%x: " + x;
  std::string inputs = isInteger ? "%c, %s, %t" : "%x", types = isInteger ? c + ", " + s + ", " + t : x;
  std::string knobs;
  if (tile.unroll != MatmulTile::kUsual)
    knobs += formatv(", unroll = {0}", tile.unroll);
  if (tile.prefetch != MatmulTile::kUsual)
    knobs += formatv(", prefetch = {0}", tile.prefetch);

  // One tile from column %j on.
  auto body = [&](int64_t width) {
    int64_t panels = (width + kPanelColumns - 1) / kPanelColumns;
    std::string wt = formatv("memref<{0}x{1}xi8, strided<[{1}, 1], offset: ?>>", panels, place.panelBytes);
    std::string yt = formatv("memref<?x{0}xf32, strided<[{1}, 1], offset: ?>>", width, matmul.n);
    return formatv("    %p = arith.divui %j, %c16 : index\n"
                   "    %wt = memref.subview %w[%p, 0] [{0}, {1}] [1, 1] : {2} to {3}\n"
                   "    %yt = memref.subview %y[0, %j] [%m, {4}] [1, 1] : {5} to {6}\n"
                   "    whit.{7} ins({8}, %wt : {9}, {3}) outs(%yt : {6})\n"
                   "      at <<\"{10}\">, {4} by {11}> schedule <tile = [0, 0], rows = {12}, panels = {13}{14}>\n",
                   panels, place.panelBytes, w, wt, width, y, yt, isInteger ? "quantized_matmul" : "matmul", inputs,
                   types, matmul.format, matmul.k, tile.rows, tile.panels, knobs)
        .str();
  };
  std::string text = formatv("func.func @kernel({0}, %w: {1}, %y: {2}) attributes {{llvm.emit_c_interface} {{\n"
                             "  %c0 = arith.constant 0 : index\n  %c16 = arith.constant 16 : index\n"
                             "  %step = arith.constant {3} : index\n  %whole = arith.constant {4} : index\n"
                             "  %m = memref.dim %y, %c0 : {2}\n"
                             "  scf.for %j = %c0 to %whole step %step {{\n{5}  }\n",
                             arguments, w, y, columns, whole, body(columns));
  if (whole < matmul.n)
    text += formatv("  scf.execute_region {{\n    %j = arith.addi %whole, %c0 : index\n{0}    scf.yield\n  }\n",
                    body(matmul.n - whole));
  return text + "  return\n}\n";
}

// ---------------------------------------------------------------------------------------------------- data

void MatmulData::Free::operator()(void *memory) const { std::free(memory); }

/// Zeroed, on a boundary of large pages.
template <typename T> static T *allocate(size_t count) {
  size_t huge = 2 << 20, bytes = (count * sizeof(T) + huge) / huge * huge;
  void *memory = std::aligned_alloc(huge, bytes);
  if (!memory)
    throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return static_cast<T *>(memory);
}

/// A number that a factor of any type can be: a small power of two, 1 where only integers are.
static float valueOf(const Factor &factor) { return factor.type >= ScaleType::U1 ? 1 : 0x1p-6f; }

static Matrix randomMatrix(const Encoding &encoding, int64_t n, int64_t k, std::mt19937 &random) {
  Matrix matrix = makeMatrix(encoding, n, k);
  for (float &value : matrix.values)
    value = float(int(random() % 33) - 16) / 64.0f;
  for (size_t t = 0; t < matrix.terms.size(); ++t) {
    const Term &term = encoding.terms[t];
    TermValues &values = matrix.terms[t];
    std::vector<float> table = term.codec.table();
    std::vector<uint8_t> known; // codes that are numbers
    for (size_t code = 0; code < size_t(1) << term.codec.bits && !encoding.isPlain(); ++code)
      if (std::isfinite(table[code]))
        known.push_back(uint8_t(code));
    for (uint8_t &code : values.codes)
      code = known[random() % known.size()];
    for (int64_t i = 0; term.codec.kind == CodecKind::Vector && i < n * k; ++i) {
      int64_t row = i / k, at = i % k; // elements of a block have one code
      values.codes[i] =
          known[size_t(row / term.codec.rows * 7 + at / term.codec.columns) % known.size()] + term.codec.at(row, at);
    }
    for (uint8_t &choice : values.choices)
      choice = uint8_t(random() % term.codec.choices);
    for (uint8_t &pair : values.kept)
      pair = kKeptPairs[random() % std::size(kKeptPairs)];
    for (size_t f = 0; f < values.factors.size(); ++f)
      std::fill(values.factors[f].begin(), values.factors[f].end(), valueOf(term.scale[f]));
  }
  for (size_t f = 0; f < matrix.offset.size(); ++f)
    std::fill(matrix.offset[f].begin(), matrix.offset[f].end(), valueOf(encoding.offset[f]));
  return matrix;
}

MatmulData::MatmulData(const Matmul &matmul, int64_t rows, int64_t coldBytes)
    : matmul(matmul), place(solvePlace(*parseEncoding(matmul.format, nullptr), matmul.n, matmul.k)),
      coldCopies((coldBytes + place.bytes() - 1) / place.bytes()),
      packed(allocate<uint8_t>(place.bytes() * std::max<size_t>(coldCopies, 1))),
      codes(allocate<int8_t>(rows * place.groups * place.paddedGroup)), scales(allocate<float>(rows * place.groups)),
      x(allocate<float>(rows * place.k)), sums(allocate<int32_t>(rows * place.groups)),
      halves(allocate<uint16_t>(rows * place.k)), y(rows * matmul.n),
      columns{0, std::min<int64_t>(5, matmul.n - 1), matmul.n / 2, matmul.n - 1} {
  std::mt19937 random(1);
  Matrix matrix = randomMatrix(*parseEncoding(matmul.format, nullptr), matmul.n, matmul.k, random);
  packPanels(place, matrix, packed.get());
  for (size_t copy = 1; copy < coldCopies; ++copy)
    std::memcpy(packed.get() + copy * place.bytes(), packed.get(), place.bytes());
  std::vector<float> all(matmul.n * matmul.k);
  dequantize(matrix, all.data());
  for (int64_t column : columns)
    weights.insert(weights.end(), all.begin() + column * matmul.k, all.begin() + (column + 1) * matmul.k);

  std::fill_n(scales.get(), rows * place.groups, 0x1p-6f);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t e = 0; e < place.k; ++e) {
      int64_t block = row * place.groups + e / place.group, at = row * place.k + e;
      int code = int(random() % 255) - 127;
      x.get()[at] = 0x1p-6f * float(code); // exact in bf16
      uint32_t bits;
      std::memcpy(&bits, x.get() + at, 4);
      halves.get()[at] = uint16_t(bits >> 16);
      codes.get()[block * place.paddedGroup + e % place.group] = int8_t(code);
      sums.get()[block] += code;
    }
}

void MatmulData::run(const LoadedKernel &kernel, int64_t rows, size_t copy) {
  Descriptor<2> weight = matrixOf(packed.get() + copy * place.bytes(), place.panels, place.panelBytes);
  Descriptor<2> out = matrixOf(y.data(), rows, matmul.n);
  if (matmul.activations != Products::Integer) {
    bool isBfloat = matmul.activations == Products::Bfloat;
    Descriptor<2> in = matrixOf(isBfloat ? static_cast<void *>(halves.get()) : x.get(), rows, matmul.k);
    void *arguments[] = {&in, &weight, &out};
    return kernel(arguments);
  }
  Descriptor<3> in{codes.get(),
                   codes.get(),
                   0,
                   {rows, place.groups, place.paddedGroup},
                   {place.groups * place.paddedGroup, place.paddedGroup, 1}};
  Descriptor<2> inScales = matrixOf(scales.get(), rows, place.groups);
  Descriptor<2> inSums = matrixOf(sums.get(), rows, place.groups);
  void *arguments[] = {&in, &inScales, &inSums, &weight, &out};
  kernel(arguments);
}

std::string MatmulData::check(int64_t rows) const {
  for (int64_t row : {int64_t(0), rows - 1})
    for (size_t i = 0; i < columns.size(); ++i) {
      double exact = 0, magnitude = 0;
      for (int64_t e = 0; e < matmul.k; ++e) {
        double product = double(x.get()[row * matmul.k + e]) * weights[i * matmul.k + e];
        exact += product;
        magnitude += std::abs(product);
      }
      double found = y[row * matmul.n + columns[i]];
      if (!(std::abs(found - exact) <= 1e-5 * magnitude))
        return formatv("row {0}, column {1} is {2}, expected {3}", row, columns[i], found, exact);
    }
  return "";
}

} // namespace whit::tune
