// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One generated matmul with int8 activations on one thread. matmul.sh compiles this file twice, with FORMAT, N and K defined:
// with DESCRIBE, the program prints the kernel as MLIR; linked with the compiled kernel, it prints "M milliseconds GB/s GOP/s"
// for each M given, best of many runs, and checks a few outputs against plain loops. Time is that of the thread, so that other
// work on the machine disturbs little.

#include "runtime/encoding/Matrix.h"
#include "runtime/encoding/Pack.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

template <int rank> struct Descriptor {
  void *allocated, *aligned;
  int64_t offset, sizes[rank], strides[rank];
};

extern "C" void _mlir_ciface_matmul(Descriptor<3> *codes, Descriptor<2> *scales, Descriptor<2> *sums, Descriptor<2> *weight,
                                    Descriptor<2> *y);

template <typename T> static T *allocate(size_t count) {
  size_t huge = 2 << 20;
  return static_cast<T *>(aligned_alloc(huge, (count * sizeof(T) + huge) / huge * huge));
}

static double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec + 1e-9 * now.tv_nsec;
}

#ifdef DESCRIBE
int main(int argc, char **argv) {
  whit::Encoding encoding = *whit::parseEncoding(FORMAT, nullptr);
  whit::Place place = whit::solvePlace(encoding, N, K);
  std::string groups = std::to_string(place.groups), n = std::to_string(N);
  std::string c = "memref<?x" + groups + "x" + std::to_string(place.paddedGroup) + "xi8>", s = "memref<?x" + groups + "xf32>";
  std::string t = "memref<?x" + groups + "xi32>", y = "memref<?x" + n + "xf32>";
  std::string w = "memref<" + std::to_string(place.panels) + "x" + std::to_string(place.panelBytes) + "xi8>";
  printf("module attributes {whit.target = {cpu = \"native\", features = \"%s\"}} {\n", argv[1]);
  printf("func.func @matmul(%%c: %s, %%s: %s, %%t: %s, %%w: %s, %%y: %s) attributes {llvm.emit_c_interface} {\n", c.c_str(),
         s.c_str(), t.c_str(), w.c_str(), y.c_str());
  printf("  whit.quantized_matmul ins(%%c, %%s, %%t, %%w : %s, %s, %s, %s) outs(%%y : %s)\n", c.c_str(), s.c_str(), t.c_str(),
         w.c_str(), y.c_str());
  printf("    at <<%s>, %s by %d> %s\n  return\n}\n}\n", FORMAT, n.c_str(), K, argc > 2 ? argv[2] : "");
}
#else
int main(int argc, char **argv) {
  whit::Encoding encoding = *whit::parseEncoding(FORMAT, nullptr);
  int64_t n = N, k = K, most = 1;
  for (int i = 1; i < argc; ++i)
    most = std::max<int64_t>(most, atoll(argv[i]));
  whit::Place place = whit::solvePlace(encoding, n, k);
  whit::Matrix matrix = whit::makeMatrix(encoding, n, k);
  std::mt19937 random(1);
  for (uint8_t &code : matrix.codes)
    code = random() & ((1 << encoding.bits) - 1);
  for (float &scale : matrix.scales)
    scale = 0.01f;
  for (float &zero : matrix.zeros)
    zero = 2;
  uint8_t *packed = allocate<uint8_t>(place.bytes());
  whit::packPanels(place, matrix, packed);
  int8_t *codes = allocate<int8_t>(most * place.groups * place.paddedGroup);
  float *scales = allocate<float>(most * place.groups), *y = allocate<float>(most * n);
  int32_t *sums = allocate<int32_t>(most * place.groups);
  for (int64_t i = 0; i < most * place.groups; ++i) {
    scales[i] = 0.02f;
    sums[i] = 0;
    for (int64_t j = 0; j < place.paddedGroup; ++j) {
      codes[i * place.paddedGroup + j] = i % place.groups * place.group + j < k && j < place.group ? int(random() % 255) - 127 : 0;
      sums[i] += codes[i * place.paddedGroup + j];
    }
  }
  auto run = [&](int64_t m) {
    Descriptor<3> c{codes, codes, 0, {m, place.groups, place.paddedGroup}, {place.groups * place.paddedGroup, place.paddedGroup, 1}};
    Descriptor<2> s{scales, scales, 0, {m, place.groups}, {place.groups, 1}}, t{sums, sums, 0, {m, place.groups}, {place.groups, 1}};
    Descriptor<2> w{packed, packed, 0, {place.panels, place.panelBytes}, {place.panelBytes, 1}}, out{y, y, 0, {m, n}, {n, 1}};
    _mlir_ciface_matmul(&c, &s, &t, &w, &out);
  };
  for (int i = 1; i < argc; ++i) {
    int64_t m = atoll(argv[i]);
    double best = 1e9, spent = 0;
    for (int repeat = 0; repeat < 5 || spent < 0.15; ++repeat) {
      double start = threadSeconds();
      run(m);
      double seconds = threadSeconds() - start;
      best = std::min(best, seconds);
      spent += seconds;
    }
    printf("%lld %.3f %.1f %.0f\n", (long long)m, best * 1e3, place.bytes() / best / 1e9, 2.0 * m * n * k / best / 1e9);
    for (int64_t column : {int64_t(0), int64_t(5), n - 1}) {
      double exact = 0;
      for (int64_t e = 0; e < k; ++e) {
        int64_t g = e / place.group;
        double zero = matrix.zeros.empty() ? 1 << (encoding.bits - 1) : matrix.zeros[column * place.groups + g];
        double weight = encoding.zero == whit::ZeroKind::Minimum ? 0.01f * matrix.codes[column * k + e] + zero
                                                                 : 0.01f * (matrix.codes[column * k + e] - zero);
        exact += 0.02f * codes[((m - 1) * place.groups + g) * place.paddedGroup + e % place.group] * weight;
      }
      if (std::abs(y[(m - 1) * n + column] - exact) > 1e-3 * (std::abs(exact) + 1)) {
        fprintf(stderr, "wrong result in column %lld: %g, expected %g\n", (long long)column, y[(m - 1) * n + column], exact);
        return 1;
      }
    }
  }
}
#endif
