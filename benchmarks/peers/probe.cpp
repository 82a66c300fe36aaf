// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What this machine can do with T threads: multiply-adds a second in f32, by dot products of bytes and by AMX tiles, and bytes read a second
// from working sets of several sizes. Prints one JSON object; run.py builds it with -march=native.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <immintrin.h>
#include <thread>
#include <vector>
#ifdef __AMX_INT8__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {
constexpr int kChains = 12; // independent sums: enough to hide latency, and all stay in 16 registers
constexpr long kSteps = 2'000'000;
constexpr int kRuns = 5;

/// Seconds of the fastest run of body(thread) on all threads at once.
double fastest(int threads, const std::function<void(int)> &body) {
  double least = 1e30;
  for (int run = 0; run < kRuns; ++run) {
    auto start = std::chrono::steady_clock::now();
    {
      std::vector<std::jthread> others;
      for (int thread = 1; thread < threads; ++thread)
        others.emplace_back(body, thread);
      body(0);
    }
    least = std::min(least, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return least;
}

#ifdef __AVX512F__
using Floats = __m512;
using Bytes = __m512i;
Floats multiplyAdd(Floats sum, Floats x) { return _mm512_fmadd_ps(x, x, sum); }
#else
using Floats = __m256;
using Bytes = __m256i;
Floats multiplyAdd(Floats sum, Floats x) { return _mm256_fmadd_ps(x, x, sum); }
#endif

#if defined(__AVX512VNNI__)
Bytes dotProduct(Bytes sum, Bytes x) { return _mm512_dpbusd_epi32(sum, x, x); }
#elif defined(__AVXVNNI__)
Bytes dotProduct(Bytes sum, Bytes x) { return _mm256_dpbusd_avx_epi32(sum, x, x); }
#elif !defined(__AVX512F__)
Bytes dotProduct(Bytes sum, Bytes x) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), _mm256_set1_epi16(1)));
}
#else
Bytes dotProduct(Bytes sum, Bytes x) {
  return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(x, x), _mm512_set1_epi16(1)));
}
#endif

template <class Vector, Vector (*step)(Vector, Vector)> void chains(int) {
  Vector sums[kChains] = {}, x = {};
  for (long i = 0; i < kSteps; ++i)
#pragma GCC unroll 12
    for (int chain = 0; chain < kChains; ++chain) {
      sums[chain] = step(sums[chain], x);
      asm volatile("" : "+x"(sums[chain]), "+x"(x)); // every step happens
    }
}

/// 1e9 multiplications and additions a second; `lanes` multiply-adds in a step.
template <class Vector, Vector (*step)(Vector, Vector)> double rate(int threads, size_t lanes) {
  return 2e-9 * double(kSteps) * kChains * threads * double(lanes) / fastest(threads, chains<Vector, step>);
}

#ifdef __AMX_INT8__
void tiles(int) {
  struct alignas(64) {
    uint8_t palette = 1, start = 0, reserved[14] = {};
    uint16_t bytes[16] = {};
    uint8_t rows[16] = {};
  } shape;
  for (int tile = 0; tile < 8; ++tile)
    shape.bytes[tile] = 64, shape.rows[tile] = 16;
  _tile_loadconfig(&shape);
  for (long i = 0; i < kSteps / 16; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

double tileRate(int threads) {
  constexpr int kRequestPermission = 0x1023, kTileData = 18; // arch_prctl: the kernel gives tiles to those who ask
  constexpr double kOperations = 2 * 16 * 16 * 64;           // of one product of tiles
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0)
    return 0;
  return 1e-9 * threads * double(kSteps / 16) * 4 * kOperations / fastest(threads, tiles);
}
#else
double tileRate(int) { return 0; }
#endif

using Line = uint64_t __attribute__((vector_size(64)));
volatile uint64_t sink;

/// 1e9 bytes a second that `threads` read from `mib` MiB, each its own share, again and again.
double bandwidth(int threads, const char *memory, size_t mib) {
  size_t share = (mib << 20) / threads / 256 * 256;
  int repeats = int(1024 / mib);
  double seconds = fastest(threads, [&](int thread) {
    Line sums[4] = {};
    for (int repeat = 0; repeat < repeats; ++repeat) {
      asm volatile("" ::: "memory");
      auto *line = reinterpret_cast<const Line *>(memory + share * thread), *end = line + share / sizeof(Line);
      for (; line < end; line += 4)
        for (int i = 0; i < 4; ++i) {
          __builtin_prefetch(line + 64 + i);
          sums[i] ^= line[i];
        }
    }
    sink = ((sums[0] ^ sums[1]) ^ (sums[2] ^ sums[3]))[0];
  });
  return 1e-9 * double(share) * threads * repeats / seconds;
}
} // namespace

int main(int argc, char **argv) {
  int threads = argc > 1 ? std::atoi(argv[1]) : 1;
  std::printf("{\"threads\": %d, \"gops\": {\"f32\": %.1f, \"int8\": %.1f, \"amx\": %.1f}, \"gbps\": {", threads,
              rate<Floats, multiplyAdd>(threads, sizeof(Floats) / 4), rate<Bytes, dotProduct>(threads, sizeof(Bytes)), tileRate(threads));
  constexpr size_t kLargest = size_t(1) << 30;
  auto *memory = static_cast<char *>(std::aligned_alloc(4096, kLargest));
  if (!memory)
    return 1;
  for (size_t i = 0; i < kLargest; i += 64)
    memory[i] = char(i >> 6); // pages of their own
  const char *comma = "";
  for (size_t mib : {1, 4, 16, 32, 64, 128, 1024}) {
    std::printf("%s\"%zu\": %.1f", comma, mib, bandwidth(threads, memory, mib));
    comma = ", ";
  }
  std::puts("}}");
}
