// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Twelve sums in registers hide the latency of any multiply-add there is; they are written as vectors of 16 and lowered like those of a matmul,
// so that a rate is what this compiler can have on this machine.

#include "Emit/Failure.h"
#include "Tune/Measure.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <ctime>
#include <memory>

using namespace llvm;

namespace whit::tune {

static constexpr int64_t kSums = 12, kSteps = 1 << 16;

/// A loop of `kSteps` over `kSums` sums; `step` makes %r$ of the sum %s$.
static std::string loopText(StringRef type, StringRef zero, StringRef before, StringRef step) {
  std::string starts, types, yields, steps;
  for (int64_t i = 0; i < kSums; ++i) {
    std::string number = std::to_string(i), here = step.str();
    for (size_t at; (at = here.find('$')) != std::string::npos;)
      here.replace(at, 1, number);
    StringRef comma = i ? ", " : "";
    starts += formatv("{0}%s{1} = %z", comma, i);
    types += formatv("{0}{1}", comma, type);
    yields += formatv("{0}%r{1}", comma, i);
    steps += "    " + here + "\n";
  }
  std::string text =
      formatv("func.func @kernel(%x: memref<1x64xi8>, %y: memref<1x256xf32>) attributes {{llvm.emit_c_interface} {{\n"
              "  %c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n"
              "  %n = arith.constant {0} : index\n  %z = arith.constant dense<{1}> : {2}\n"
              "  %l = vector.load %x[%c0, %c0] : memref<1x64xi8>, vector<64xi8>\n{3}"
              "  %a:{4} = scf.for %i = %c0 to %n step %c1 iter_args({5}) -> ({6}) {{\n{7}"
              "    scf.yield {8} : {6}\n  }\n",
              kSteps, zero, type, before, kSums, starts, types, steps, yields);
  for (int64_t i = 0; i < kSums; ++i) {
    std::string value = formatv("%a#{0}", i);
    if (type != "vector<16xf32>") {
      text += formatv("  %f{0} = arith.sitofp {1} : {2} to vector<16xf32>\n", i, value, type);
      value = formatv("%f{0}", i);
    }
    text += formatv("  %o{0} = arith.constant {1} : index\n  vector.store {2}, %y[%c0, %o{0}] : memref<1x256xf32>, "
                    "vector<16xf32>\n",
                    i, 16 * i, value);
  }
  return text + "  return\n}\n";
}

static double seconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// Multiply-adds a second of such a loop, `each` in one step of one sum.
static Expected<double> rateOf(KernelCompiler &compiler, const std::string &text, double each) {
  auto kernel = compiler.load(text);
  if (!kernel)
    return kernel.takeError();
  alignas(64) uint8_t x[64];
  alignas(64) float y[256];
  std::fill(std::begin(x), std::end(x), uint8_t(0));
  Descriptor<2> in = matrixOf(x, 1, 64), out = matrixOf(y, 1, 256);
  void *arguments[] = {&in, &out};
  double best = 1e9;
  for (int turn = 0; turn < 50; ++turn) {
    double start = seconds();
    (*kernel)(arguments);
    best = std::min(best, seconds() - start);
  }
  return each * double(kSums * kSteps) / best;
}

/// Bytes a second of reading `bytes` again and again.
static Expected<double> streamOf(KernelCompiler &compiler, int64_t bytes) {
  int64_t lines = bytes / 1024;
  std::string text = formatv(
      "func.func @kernel(%x: memref<{0}x1024xi8>, %y: memref<1x16xi32>) attributes {{llvm.emit_c_interface} {{\n"
      "  %c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n"
      "  %n = arith.constant {0} : index\n  %z = arith.constant dense<0> : vector<16xi32>\n"
      "  %a:4 = scf.for %i = %c0 to %n step %c1 iter_args(%s0 = %z, %s1 = %z, %s2 = %z, %s3 = %z)"
      " -> (vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>) {{\n",
      lines);
  std::string sums[4] = {"%s0", "%s1", "%s2", "%s3"};
  for (int64_t line = 0; line < 16; ++line) {
    text += formatv("    %o{0} = arith.constant {1} : index\n"
                    "    %l{0} = vector.load %x[%i, %o{0}] : memref<{2}x1024xi8>, vector<64xi8>\n"
                    "    %v{0} = vector.bitcast %l{0} : vector<64xi8> to vector<16xi32>\n"
                    "    %r{0} = arith.addi {3}, %v{0} : vector<16xi32>\n",
                    line, 64 * line, lines, sums[line % 4]);
    sums[line % 4] = formatv("%r{0}", line);
  }
  text +=
      formatv("    scf.yield {0}, {1}, {2}, {3} : vector<16xi32>, vector<16xi32>, vector<16xi32>, vector<16xi32>\n  }\n"
              "  %t0 = arith.addi %a#0, %a#1 : vector<16xi32>\n  %t1 = arith.addi %a#2, %a#3 : vector<16xi32>\n"
              "  %t = arith.addi %t0, %t1 : vector<16xi32>\n"
              "  vector.store %t, %y[%c0, %c0] : memref<1x16xi32>, vector<16xi32>\n  return\n}\n",
              sums[0], sums[1], sums[2], sums[3]);
  auto kernel = compiler.load(text);
  if (!kernel)
    return kernel.takeError();
  std::unique_ptr<uint8_t, decltype(&std::free)> memory(
      static_cast<uint8_t *>(std::aligned_alloc(2 << 20, lines * 1024)), std::free);
  if (!memory)
    return fail(Exit::Limit, "memory ran out");
  std::fill_n(memory.get(), lines * 1024, uint8_t(1));
  alignas(64) int32_t y[16];
  Descriptor<2> in = matrixOf(memory.get(), lines, 1024), out = matrixOf(y, 1, 16);
  void *arguments[] = {&in, &out};
  int64_t calls = std::max<int64_t>(1, (8 << 20) / bytes);
  double best = 1e9;
  for (int turn = 0; turn < 20; ++turn) {
    double start = seconds();
    for (int64_t i = 0; i < calls; ++i)
      (*kernel)(arguments);
    best = std::min(best, (seconds() - start) / double(calls));
  }
  return double(bytes) / best;
}

Expected<DeviceProfile> probe(const Target &target) {
  if (Error error = checkRunsHere(target))
    return std::move(error);
  KernelCompiler compiler(target);
  DeviceProfile profile;
  profile.machine = Machine::of(target);
  std::string dots =
      loopText("vector<16xi32>", "0", "", "%r$ = whit.dot %s$, %l, %l : vector<16xi32>, vector<64xi8>, vector<64xi8>");
  std::string floats = loopText("vector<16xf32>", "0.0", "  %w = vector.bitcast %l : vector<64xi8> to vector<16xf32>\n",
                                "%r$ = math.fma %w, %w, %s$ : vector<16xf32>");
  std::string bfloats =
      loopText("vector<16xf32>", "0.0", "  %w = vector.bitcast %l : vector<64xi8> to vector<32xbf16>\n",
               "%r$ = whit.dot %s$, %w, %w : vector<16xf32>, vector<32xbf16>, vector<32xbf16>");
  for (auto [rate, text, each] : {std::tuple{&profile.dotsPerSecond, &dots, 64.0},
                                  {&profile.floatsPerSecond, &floats, 16.0},
                                  {&profile.bfloatsPerSecond, &bfloats, 32.0}})
    if (Error error = rateOf(compiler, *text, each).moveInto(*rate))
      return error;
  if (Error error = streamOf(compiler, target.caches.l2 / 2).moveInto(profile.cacheBytesPerSecond))
    return error;
  int64_t large = std::clamp<int64_t>(8 * target.caches.l3, 128 << 20, 1 << 30);
  if (Error error = streamOf(compiler, large).moveInto(profile.memoryBytesPerSecond))
    return error;
  return profile;
}

std::string DeviceProfile::print() const {
  std::string text;
  raw_string_ostream stream(text);
  json::OStream out(stream, 2);
  out.object([&] {
    out.attribute("schema", "whit-tune-device/1");
    out.attribute("cpu", machine.cpu);
    out.attribute("features", machine.features);
    out.attribute("megaMultiplyAddsInt8", int64_t(dotsPerSecond / 1e6));
    out.attribute("megaMultiplyAddsBf16", int64_t(bfloatsPerSecond / 1e6));
    out.attribute("megaMultiplyAddsF32", int64_t(floatsPerSecond / 1e6));
    out.attribute("cacheMegabytesPerSecond", int64_t(cacheBytesPerSecond / 1e6));
    out.attribute("memoryMegabytesPerSecond", int64_t(memoryBytesPerSecond / 1e6));
  });
  return text;
}

} // namespace whit::tune
