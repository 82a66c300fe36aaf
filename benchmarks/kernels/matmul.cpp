// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One generated matmul on one thread. matmul.sh compiles this file twice, with FORMAT, N, K and INTEGERS (1: int8 activations,
// 0: f32) defined: with DESCRIBE, the program prints the kernel as MLIR; linked with the compiled kernel, it prints
// "M milliseconds GB/s GOP/s" for each M given, best of many runs, and checks a few outputs against plain loops. Time is that
// of the thread, so that other work on the machine disturbs little.

#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

static whit::Encoding encoding() { return *whit::parseEncoding(FORMAT, nullptr); }

#ifdef DESCRIBE
static std::string memref(std::string sizes, const char *type) { return "memref<" + sizes + "x" + type + ">"; }

int main(int argc, char **argv) {
  whit::Place place = whit::solvePlace(encoding(), N, K);
  std::string groups = "?x" + std::to_string(place.groups);
  std::string w = memref(std::to_string(place.panels) + "x" + std::to_string(place.panelBytes), "i8");
  std::string y = memref("?x" + std::to_string(N), "f32"), x = memref("?x" + std::to_string(K), "f32");
  std::string c = memref(groups + "x" + std::to_string(place.paddedGroup), "i8"), s = memref(groups, "f32"),
              t = memref(groups, "i32");
  std::string names = INTEGERS ? "%c, %s, %t, %w" : "%x, %w";
  std::string types = INTEGERS ? c + ", " + s + ", " + t + ", " + w : x + ", " + w;
  std::string arguments = INTEGERS ? "%c: " + c + ", %s: " + s + ", %t: " + t : "%x: " + x;
  std::string name = INTEGERS ? "quantized_matmul" : "matmul";
  std::string text = std::string("module attributes {whit.target = {cpu = \"native\", features = \"") + argv[1] +
                     "\"}} {\n" + "func.func @matmul(" + arguments + ", %w: " + w + ", %y: " + y +
                     ") attributes {llvm.emit_c_interface} {\n  whit." + name + " ins(" + names + " : " + types +
                     ") outs(%y : " + y + ")\n    at <<" + FORMAT + ">, " + std::to_string(N) + " by " +
                     std::to_string(K) + "> " + (argc > 2 ? argv[2] : "") + "\n  return\n}\n}\n";
  fputs(text.c_str(), stdout);
}
#else

template <int rank> struct Descriptor {
  void *allocated, *aligned;
  int64_t offset, sizes[rank], strides[rank];
};

#if INTEGERS
extern "C" void _mlir_ciface_matmul(Descriptor<3> *codes, Descriptor<2> *scales, Descriptor<2> *sums,
                                    Descriptor<2> *weight, Descriptor<2> *y);
#else
extern "C" void _mlir_ciface_matmul(Descriptor<2> *x, Descriptor<2> *weight, Descriptor<2> *y);
#endif

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

int main(int argc, char **argv) {
  int64_t most = 1;
  for (int i = 1; i < argc; ++i)
    most = std::max<int64_t>(most, atoll(argv[i]));
  std::mt19937 random(1);
  whit::Place place = whit::solvePlace(encoding(), N, K);
  whit::Matrix matrix = whit::makeMatrix(encoding(), N, K);
  for (uint8_t &code : matrix.codes)
    code = random() & ((1 << matrix.encoding.bits) - 1);
  for (float &value : matrix.values)
    value = int(random() % 33 - 16) / 64.0f;
  std::fill(matrix.scales.begin(), matrix.scales.end(), 0x1p-6f);
  std::fill(matrix.zeros.begin(), matrix.zeros.end(), 2.0f);
  uint8_t *packed = allocate<uint8_t>(place.bytes());
  whit::packPanels(place, matrix, packed);
  std::vector<double> weights(N * int64_t(K));
  whit::dequantize(matrix, weights.data());
  Activations a(place, most, random);
  float *y = allocate<float>(most * N);

  auto run = [&](int64_t m) {
    Descriptor<2> weight = matrixOf(packed, place.panels, place.panelBytes), out = matrixOf(y, m, N);
#if INTEGERS
    Descriptor<3> codes{a.codes,
                        a.codes,
                        0,
                        {m, place.groups, place.paddedGroup},
                        {place.groups * place.paddedGroup, place.paddedGroup, 1}};
    Descriptor<2> scales = matrixOf(a.scales, m, place.groups), sums = matrixOf(a.sums, m, place.groups);
    _mlir_ciface_matmul(&codes, &scales, &sums, &weight, &out);
#else
    Descriptor<2> x = matrixOf(a.x, m, K);
    _mlir_ciface_matmul(&x, &weight, &out);
#endif
  };
  for (int i = 1; i < argc; ++i) {
    int64_t m = atoll(argv[i]);
    double best = 1e9, spent = 0;
    for (int repeat = 0; repeat < 5 || spent < 0.2; ++repeat) {
      double start = threadSeconds();
      run(m);
      double seconds = threadSeconds() - start;
      best = std::min(best, seconds);
      spent += seconds;
    }
    printf("%lld %.3f %.1f %.0f\n", (long long)m, best * 1e3, place.bytes() / best / 1e9, 2.0 * m * N * K / best / 1e9);
    for (int64_t column : {0, 5, N - 1}) {
      double exact = 0, magnitude = 0;
      for (int64_t e = 0; e < K; ++e) {
        double product = a.x[(m - 1) * K + e] * weights[column * K + e];
        exact += product;
        magnitude += std::abs(product);
      }
      if (std::abs(y[(m - 1) * N + column] - exact) > 1e-5 * magnitude) {
        fprintf(stderr, "wrong result in column %lld: %g, expected %g\n", (long long)column, y[(m - 1) * N + column],
                exact);
        return 1;
      }
    }
  }
}
#endif
