// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Generated matmuls on one thread. matmul.sh builds this program and the kernels:
//
//   matmul describe FORMAT N K int8|f32|auto FEATURES [SCHEDULE]     prints a kernel as MLIR
//   matmul time K BYTES TURNS ROWS (FORMAT N ACTIVATIONS KERNEL.so)...
//
// N may be "16M": as many columns as fill 16 MiB. `time` runs the kernels in turn, so that what else happens on the machine happens to
// all of them, and prints "FORMAT M milliseconds GB/s GOP/s bytes nanoseconds-per-1000-weights" for each turn and each M in ROWS, best
// of the runs in that turn. Weights are copied until they fill BYTES, and each run passes over all of the copies: with more bytes than
// the caches hold, they come from memory. A few outputs are checked against plain loops. Time is that of the thread, so that other
// work on the machine disturbs little.

#include "runtime/encoding/Carrier.h"
#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <random>
#include <string>
#include <vector>

[[noreturn]] static void fail(const std::string &why) {
  fprintf(stderr, "matmul: error: %s\n", why.c_str());
  exit(1);
}

/// One kernel's weight and its activations' type, as the command line says.
struct Problem {
  whit::Encoding encoding;
  int64_t n, k;
  bool isInteger;
  whit::Place place;

  Problem(const char *format, const std::string &columns, int64_t k, const std::string &activations) : k(k) {
    std::string why;
    std::optional<whit::Encoding> parsed = whit::parseEncoding(format, &why);
    if (!parsed)
      fail(why);
    encoding = *parsed;
    isInteger = activations == "int8" || (activations == "auto" && whit::integerCarriers(encoding).has_value());
    int64_t panel = whit::solvePlace(encoding, whit::kPanelColumns, k).panelBytes;
    bool isFilled = columns.back() == 'M';
    n = isFilled ? std::max<int64_t>(1, (atoll(columns.c_str()) << 20) / panel) * whit::kPanelColumns
                 : atoll(columns.c_str());
    place = whit::solvePlace(encoding, n, k);
  }
};

static std::string memref(std::string sizes, const char *type) { return "memref<" + sizes + "x" + type + ">"; }

static int describe(char **argv) {
  Problem p(argv[0], argv[1], atoll(argv[2]), argv[3]);
  std::string groups = "?x" + std::to_string(p.place.groups), n = std::to_string(p.n), k = std::to_string(p.k);
  std::string w = memref(std::to_string(p.place.panels) + "x" + std::to_string(p.place.panelBytes), "i8");
  std::string y = memref("?x" + n, "f32"), x = memref("?x" + k, "f32");
  std::string c = memref(groups + "x" + std::to_string(p.place.paddedGroup), "i8"), s = memref(groups, "f32"),
              t = memref(groups, "i32");
  std::string names = p.isInteger ? "%c, %s, %t, %w" : "%x, %w";
  std::string types = p.isInteger ? c + ", " + s + ", " + t + ", " + w : x + ", " + w;
  std::string arguments = p.isInteger ? "%c: " + c + ", %s: " + s + ", %t: " + t : "%x: " + x;
  std::string name = p.isInteger ? "quantized_matmul" : "matmul";
  std::string text = std::string("module attributes {whit.target = {cpu = \"native\", features = \"") + argv[4] +
                     "\"}} {\n" + "func.func @matmul(" + arguments + ", %w: " + w + ", %y: " + y +
                     ") attributes {llvm.emit_c_interface} {\n  whit." + name + " ins(" + names + " : " + types +
                     ") outs(%y : " + y + ")\n    at <<\"" + argv[0] + "\">, " + n + " by " + k + "> " +
                     (argv[5] ? argv[5] : "") + "\n  return\n}\n}\n";
  fputs(text.c_str(), stdout);
  return 0;
}

template <int rank> struct Descriptor {
  void *allocated, *aligned;
  int64_t offset, sizes[rank], strides[rank];
};

template <typename T> static T *allocate(size_t count) {
  size_t huge = 2 << 20;
  return static_cast<T *>(aligned_alloc(huge, (count * sizeof(T) + huge) / huge * huge));
}

static Descriptor<2> matrixOf(void *data, int64_t rows, int64_t columns) {
  return {data, data, 0, {rows, columns}, {columns, 1}};
}

static double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

/// A number that a factor of any type can be: small powers of two, ones where only integers are.
static float valueOf(const whit::Factor &factor) {
  bool isInteger = factor.type >= whit::ScaleType::U1;
  return isInteger ? 1 : 0x1p-6f;
}

static whit::Matrix randomMatrix(const Problem &p, std::mt19937 &random) {
  whit::Matrix matrix = whit::makeMatrix(p.encoding, p.n, p.k);
  for (float &value : matrix.values)
    value = int(random() % 33 - 16) / 64.0f;
  for (size_t t = 0; t < matrix.terms.size(); ++t) {
    const whit::Term &term = p.encoding.terms[t];
    std::vector<float> table = term.codec.table();
    std::vector<uint8_t> codes; // those that are numbers
    for (size_t code = 0; code < size_t(1) << term.codec.bits && !p.encoding.isPlain(); ++code)
      if (std::isfinite(table[code]))
        codes.push_back(code);
    for (uint8_t &code : matrix.terms[t].codes)
      code = codes[random() % codes.size()];
    for (int64_t i = 0; term.codec.kind == whit::CodecKind::Vector && i < p.n * p.k; ++i) {
      int64_t row = i / p.k, k = i % p.k; // elements of a block have one code
      matrix.terms[t].codes[i] =
          codes[size_t(row / term.codec.rows * 7 + k / term.codec.columns) % codes.size()] + term.codec.at(row, k);
    }
    for (uint8_t &choice : matrix.terms[t].choices)
      choice = random() % term.codec.choices;
    for (uint8_t &pair : matrix.terms[t].kept)
      pair = whit::kKeptPairs[random() % 6];
    for (size_t f = 0; f < matrix.terms[t].factors.size(); ++f)
      std::fill(matrix.terms[t].factors[f].begin(), matrix.terms[t].factors[f].end(), valueOf(term.scale[f]));
  }
  for (size_t f = 0; f < matrix.offset.size(); ++f)
    std::fill(matrix.offset[f].begin(), matrix.offset[f].end(), valueOf(p.encoding.offset[f]));
  return matrix;
}

/// Random activations in both forms; scales are 0.02, so that x is 0.02 * code.
struct Activations {
  int8_t *codes;
  float *scales, *x;
  int32_t *sums;

  Activations(const whit::Place &place, int64_t rows, std::mt19937 &random) {
    codes = allocate<int8_t>(rows * place.groups * place.paddedGroup);
    scales = allocate<float>(rows * place.groups);
    sums = allocate<int32_t>(rows * place.groups);
    x = allocate<float>(rows * place.k);
    std::fill_n(codes, rows * place.groups * place.paddedGroup, 0);
    std::fill_n(scales, rows * place.groups, 0.02f);
    std::fill_n(sums, rows * place.groups, 0);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t e = 0; e < place.k; ++e) {
        int64_t block = row * place.groups + e / place.group;
        int code = int(random() % 255) - 127;
        x[row * place.k + e] = 0.02f * code;
        codes[block * place.paddedGroup + e % place.group] = code;
        sums[block] += code;
      }
  }
};

/// A kernel with what it works on.
struct Kernel {
  std::string format;
  Problem p;
  void *function;
  std::vector<uint8_t *> copies;
  std::mt19937 random{1};
  Activations a;
  float *y;
  std::vector<int64_t> columns; ///< that are checked
  std::vector<double> weights;  ///< of these columns

  Kernel(char **argv, int64_t k, int64_t bytes, int64_t rows)
      : format(argv[0]), p(argv[0], argv[1], k, argv[2]), a(p.place, rows, random), y(allocate<float>(rows * p.n)),
        columns{0, std::min<int64_t>(5, p.n - 1), p.n - 1} {
    void *library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
    function = library ? dlsym(library, "_mlir_ciface_matmul") : nullptr;
    if (!function)
      fail(dlerror());
    whit::Matrix matrix = randomMatrix(p, random);
    copies.push_back(allocate<uint8_t>(p.place.bytes()));
    whit::packPanels(p.place, matrix, copies[0]);
    while (int64_t(copies.size()) * p.place.bytes() < bytes) {
      copies.push_back(allocate<uint8_t>(p.place.bytes()));
      memcpy(copies.back(), copies[0], p.place.bytes());
    }
    std::vector<float> all(p.n * p.k);
    whit::dequantize(matrix, all.data());
    for (int64_t column : columns)
      weights.insert(weights.end(), all.begin() + column * k, all.begin() + (column + 1) * k);
  }

  void run(uint8_t *packed, int64_t m) {
    const whit::Place &place = p.place;
    Descriptor<2> weight = matrixOf(packed, place.panels, place.panelBytes), out = matrixOf(y, m, p.n),
                  x = matrixOf(a.x, m, p.k);
    if (!p.isInteger)
      return reinterpret_cast<void (*)(void *, void *, void *)>(function)(&x, &weight, &out);
    Descriptor<3> codes{a.codes,
                        a.codes,
                        0,
                        {m, place.groups, place.paddedGroup},
                        {place.groups * place.paddedGroup, place.paddedGroup, 1}};
    Descriptor<2> scales = matrixOf(a.scales, m, place.groups), sums = matrixOf(a.sums, m, place.groups);
    reinterpret_cast<void (*)(void *, void *, void *, void *, void *)>(function)(&codes, &scales, &sums, &weight, &out);
  }

  void time(int64_t m) {
    double best = 1e9, spent = 0;
    for (int repeat = 0; repeat < 3 || (spent < 0.05 && repeat < 1000); ++repeat) {
      double start = threadSeconds();
      for (uint8_t *packed : copies)
        run(packed, m);
      double seconds = threadSeconds() - start;
      best = std::min(best, seconds / copies.size());
      spent += seconds;
    }
    double count = double(p.n) * p.k;
    printf("%s %lld %.3f %.1f %.0f %lld %.4f\n", format.c_str(), (long long)m, best * 1e3, p.place.bytes() / best / 1e9,
           2 * m * count / best / 1e9, (long long)p.place.bytes(), best * 1e12 / count);
    fflush(stdout);
  }

  void check(int64_t m) {
    run(copies.back(), m);
    for (size_t i = 0; i < columns.size(); ++i) {
      double exact = 0, magnitude = 0;
      for (int64_t e = 0; e < p.k; ++e) {
        double product = a.x[(m - 1) * p.k + e] * weights[i * p.k + e];
        exact += product;
        magnitude += std::abs(product);
      }
      double found = y[(m - 1) * p.n + columns[i]];
      if (!(std::abs(found - exact) <= 1e-5 * magnitude))
        fail(format + ": wrong result in column " + std::to_string(columns[i]) + ": " + std::to_string(found) +
             ", expected " + std::to_string(exact));
    }
  }
};

static int time(int argc, char **argv) {
  int64_t k = atoll(argv[0]), bytes = atoll(argv[1]), turns = atoll(argv[2]);
  std::vector<int64_t> rows;
  for (char *next = argv[3]; *next;)
    rows.push_back(strtoll(next, &next, 10));
  std::vector<Kernel> kernels;
  for (int i = 4; i + 3 < argc; i += 4)
    kernels.emplace_back(argv + i, k, bytes, *std::max_element(rows.begin(), rows.end()));
  for (Kernel &kernel : kernels)
    for (int64_t m : rows)
      kernel.check(m);
  for (int64_t turn = 0; turn < turns; ++turn)
    for (int64_t m : rows)
      for (Kernel &kernel : kernels)
        kernel.time(m);
  return 0;
}

int main(int argc, char **argv) {
  std::string what = argc > 1 ? argv[1] : "";
  if (what == "describe" && argc >= 7)
    return describe(argv + 2);
  if (what == "time" && argc >= 10)
    return time(argc - 2, argv + 2);
  fail("usage: see the top of matmul.cpp");
}
