// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One row per feature: where CPUID reports it, and which register state the operating system must save for it (XCR0).
// Sources: Intel 64 Software Developer's Manual volume 2, CPUID; AMD64 Architecture Programmer's Manual volume 3; LLVM
// TargetParser/Host.cpp for the names.
#include "runtime/core/CpuFeatures.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace whit {

#if defined(__x86_64__)
namespace {

enum Register { Eax, Ebx, Ecx, Edx };
enum State { None, Ymm, Zmm, Tile };

struct Row {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register reg;
  int bit; ///< -1: every x86-64 processor has it
  State state = None;
};

constexpr Row kRows[] = {
    {"64bit", 0, 0, Eax, -1},
    {"x87", 0, 0, Eax, -1},
    {"cx8", 0, 0, Eax, -1},
    {"cmov", 0, 0, Eax, -1},
    {"mmx", 0, 0, Eax, -1},
    {"fxsr", 0, 0, Eax, -1},
    {"sse", 0, 0, Eax, -1},
    {"sse2", 0, 0, Eax, -1},
    {"sse3", 1, 0, Ecx, 0},
    {"pclmul", 1, 0, Ecx, 1},
    {"ssse3", 1, 0, Ecx, 9},
    {"fma", 1, 0, Ecx, 12, Ymm},
    {"cx16", 1, 0, Ecx, 13},
    {"sse4.1", 1, 0, Ecx, 19},
    {"sse4.2", 1, 0, Ecx, 20},
    {"crc32", 1, 0, Ecx, 20},
    {"movbe", 1, 0, Ecx, 22},
    {"popcnt", 1, 0, Ecx, 23},
    {"aes", 1, 0, Ecx, 25},
    {"xsave", 1, 0, Ecx, 27},
    {"avx", 1, 0, Ecx, 28, Ymm},
    {"f16c", 1, 0, Ecx, 29, Ymm},
    {"rdrnd", 1, 0, Ecx, 30},
    {"fsgsbase", 7, 0, Ebx, 0},
    {"sgx", 7, 0, Ebx, 2},
    {"bmi", 7, 0, Ebx, 3},
    {"avx2", 7, 0, Ebx, 5, Ymm},
    {"bmi2", 7, 0, Ebx, 8},
    {"invpcid", 7, 0, Ebx, 10},
    {"rtm", 7, 0, Ebx, 11},
    {"avx512f", 7, 0, Ebx, 16, Zmm},
    {"avx512dq", 7, 0, Ebx, 17, Zmm},
    {"rdseed", 7, 0, Ebx, 18},
    {"adx", 7, 0, Ebx, 19},
    {"avx512ifma", 7, 0, Ebx, 21, Zmm},
    {"clflushopt", 7, 0, Ebx, 23},
    {"clwb", 7, 0, Ebx, 24},
    {"avx512cd", 7, 0, Ebx, 28, Zmm},
    {"sha", 7, 0, Ebx, 29},
    {"avx512bw", 7, 0, Ebx, 30, Zmm},
    {"avx512vl", 7, 0, Ebx, 31, Zmm},
    {"avx512vbmi", 7, 0, Ecx, 1, Zmm},
    {"pku", 7, 0, Ecx, 4},
    {"waitpkg", 7, 0, Ecx, 5},
    {"avx512vbmi2", 7, 0, Ecx, 6, Zmm},
    {"shstk", 7, 0, Ecx, 7},
    {"gfni", 7, 0, Ecx, 8},
    {"vaes", 7, 0, Ecx, 9, Ymm},
    {"vpclmulqdq", 7, 0, Ecx, 10, Ymm},
    {"avx512vnni", 7, 0, Ecx, 11, Zmm},
    {"avx512bitalg", 7, 0, Ecx, 12, Zmm},
    {"avx512vpopcntdq", 7, 0, Ecx, 14, Zmm},
    {"rdpid", 7, 0, Ecx, 22},
    {"kl", 7, 0, Ecx, 23},
    {"cldemote", 7, 0, Ecx, 25},
    {"movdiri", 7, 0, Ecx, 27},
    {"movdir64b", 7, 0, Ecx, 28},
    {"enqcmd", 7, 0, Ecx, 29},
    {"uintr", 7, 0, Edx, 5},
    {"avx512vp2intersect", 7, 0, Edx, 8, Zmm},
    {"serialize", 7, 0, Edx, 14},
    {"tsxldtrk", 7, 0, Edx, 16},
    {"pconfig", 7, 0, Edx, 18},
    {"amx-bf16", 7, 0, Edx, 22, Tile},
    {"avx512fp16", 7, 0, Edx, 23, Zmm},
    {"amx-tile", 7, 0, Edx, 24, Tile},
    {"amx-int8", 7, 0, Edx, 25, Tile},
    {"sha512", 7, 1, Eax, 0, Ymm},
    {"sm3", 7, 1, Eax, 1, Ymm},
    {"sm4", 7, 1, Eax, 2, Ymm},
    {"raoint", 7, 1, Eax, 3},
    {"avxvnni", 7, 1, Eax, 4, Ymm},
    {"avx512bf16", 7, 1, Eax, 5, Zmm},
    {"cmpccxadd", 7, 1, Eax, 7},
    {"amx-fp16", 7, 1, Eax, 21, Tile},
    {"hreset", 7, 1, Eax, 22},
    {"avxifma", 7, 1, Eax, 23, Ymm},
    {"avxvnniint8", 7, 1, Edx, 4, Ymm},
    {"avxneconvert", 7, 1, Edx, 5, Ymm},
    {"amx-complex", 7, 1, Edx, 8, Tile},
    {"avxvnniint16", 7, 1, Edx, 10, Ymm},
    {"prefetchi", 7, 1, Edx, 14},
    {"xsaveopt", 13, 1, Eax, 0},
    {"xsavec", 13, 1, Eax, 1},
    {"xsaves", 13, 1, Eax, 3},
    {"sahf", 0x80000001, 0, Ecx, 0},
    {"lzcnt", 0x80000001, 0, Ecx, 5},
    {"sse4a", 0x80000001, 0, Ecx, 6},
    {"prfchw", 0x80000001, 0, Ecx, 8},
    {"xop", 0x80000001, 0, Ecx, 11, Ymm},
    {"lwp", 0x80000001, 0, Ecx, 15},
    {"fma4", 0x80000001, 0, Ecx, 16, Ymm},
    {"tbm", 0x80000001, 0, Ecx, 21},
    {"mwaitx", 0x80000001, 0, Ecx, 29},
    {"clzero", 0x80000008, 0, Ebx, 0},
    {"rdpru", 0x80000008, 0, Ebx, 4},
    {"wbnoinvd", 0x80000008, 0, Ebx, 9},
};

/// XCR0: which register state the operating system saves; 0 if it saves none.
uint64_t savedState() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)))
    return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Linux gives tile registers only to processes that ask.
bool mayUseTiles() {
  constexpr long requestPermission = 0x1023, tileData = 18;
  return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

bool stateIsSaved(State state) {
  static const uint64_t saved = savedState();
  auto has = [](uint64_t mask) { return (saved & mask) == mask; };
  switch (state) {
  case None:
    return true;
  case Ymm:
    return has(0x6);
  case Zmm:
    return has(0xe6);
  case Tile: {
    static const bool allowed = has(0x60000) && mayUseTiles();
    return allowed;
  }
  }
  return false;
}

} // namespace

bool cpuHas(std::string_view feature) {
  if (feature.starts_with('+'))
    feature.remove_prefix(1);
  for (const Row &row : kRows) {
    if (row.name != feature)
      continue;
    if (row.bit < 0)
      return true;
    unsigned registers[4];
    if (!__get_cpuid_count(row.leaf, row.subleaf, &registers[0], &registers[1], &registers[2], &registers[3]))
      return false;
    return (registers[row.reg] >> row.bit & 1) && stateIsSaved(row.state);
  }
  return false;
}

#else

bool cpuHas(std::string_view) { return false; }

#endif

std::string firstMissing(const Variant &variant) {
  for (const std::string &feature : variant.features)
    if (!cpuHas(feature))
      return feature;
  return "";
}

} // namespace whit
