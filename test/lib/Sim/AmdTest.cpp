// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// AMD's machines: waves of 64 and 32 lanes, 32-bit pointers to LDS, exchanges, matrix units against a naive product.

#include "Harness.h"

#include <bit>
#include <random>

using namespace whit;
using namespace whit::sim::test;

/// %t: the thread; %x, %y: device pointers; `body` gives the value that is stored to y[t].
static std::string perThread(const std::string &declarations, const std::string &body, const std::string &result) {
  return declarations + R"(
define amdgpu_kernel void @k(ptr addrspace(1) %x, ptr addrspace(1) %y) #0 {
entry:
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %i = zext i32 %t to i64
)" + body +
         "\n  %q = getelementptr i32, ptr addrspace(1) %y, i64 %i\n  store i32 " + result +
         ", ptr addrspace(1) %q, align 4\n  ret void\n}\n";
}

static std::vector<uint32_t> runPerThread(const std::string &target, uint32_t threads, const std::string &declarations,
                                          const std::string &body, const std::string &result) {
  Machine machine(target);
  machine.load(perThread(declarations, body, result));
  std::vector<uint32_t> x(threads);
  std::iota(x.begin(), x.end(), 100u);
  uint64_t out = machine.allocate(threads * 4);
  machine.run(1, threads, {machine.put(x), out});
  return machine.get<uint32_t>(out, threads);
}

// Threads pass a number to their mirror image through LDS; pointers to it have 32 bits, generic ones 64.
TEST(SimulatedAmd, LdsBehindPointersOf32Bits) {
  for (const char *target : {"gfx90a", "gfx942", "gfx950", "gfx1100"}) {
    std::string body = R"(
  %p = getelementptr [128 x i32], ptr addrspace(3) @lds, i32 0, i32 %t
  store i32 %t, ptr addrspace(3) %p, align 4
  fence syncscope("workgroup") release
  call void @llvm.amdgcn.s.barrier()
  %o = sub i32 127, %t
  %r = getelementptr [128 x i32], ptr addrspace(3) @lds, i32 0, i32 %o
  %n = ptrtoint ptr addrspace(3) %r to i32
  %back = inttoptr i32 %n to ptr addrspace(3)
  %flat = addrspacecast ptr addrspace(3) %back to ptr
  %v = load i32, ptr %flat, align 4
  %a = alloca [4 x i32], align 4, addrspace(5)
  %c = and i32 %t, 3
  %b = getelementptr i32, ptr addrspace(5) %a, i32 %c
  store i32 %v, ptr addrspace(5) %b, align 4
  %w = load i32, ptr addrspace(5) %b, align 4)";
    auto values =
        runPerThread(target, 128, "@lds = internal addrspace(3) global [128 x i32] poison, align 4\n", body, "%w");
    for (uint32_t t = 0; t < 128; ++t)
      ASSERT_EQ(values[t], 127 - t) << target;
  }
}

TEST(SimulatedAmd, LanesExchangeNumbers) {
  std::string dpp = "declare i32 @llvm.amdgcn.update.dpp.i32(i32, i32, i32, i32, i32, i1)\n";
  auto run = [&](int control, bool bound) {
    return runPerThread("gfx942", 64, dpp,
                        "  %v = call i32 @llvm.amdgcn.update.dpp.i32(i32 7, i32 %t, i32 " + std::to_string(control) +
                            ", i32 15, i32 15, i1 " + (bound ? "true" : "false") + ")",
                        "%v");
  };
  auto quad = run(0x1b, false), right = run(0x111, false), rightZero = run(0x111, true), left = run(0x102, false),
       mirror = run(0x140, false), half = run(0x141, false), cast15 = run(0x142, false), cast31 = run(0x143, false),
       rotate = run(0x123, false);
  for (uint32_t t = 0; t < 64; ++t) {
    EXPECT_EQ(quad[t], t ^ 3);
    EXPECT_EQ(right[t], t % 16 ? t - 1 : 7);
    EXPECT_EQ(rightZero[t], t % 16 ? t - 1 : 0);
    EXPECT_EQ(left[t], t % 16 < 14 ? t + 2 : 7);
    EXPECT_EQ(mirror[t], t ^ 15);
    EXPECT_EQ(half[t], t ^ 7);
    EXPECT_EQ(cast15[t], t < 16 ? 7 : t / 16 * 16 - 1);
    EXPECT_EQ(cast31[t], t < 32 ? 7 : 31);
    EXPECT_EQ(rotate[t], t / 16 * 16 + (t % 16 + 13) % 16);
  }
  auto masked = runPerThread(
      "gfx942", 64, dpp,
      "  %v = call i32 @llvm.amdgcn.update.dpp.i32(i32 7, i32 %t, i32 320, i32 10, i32 15, i1 false)", "%v");
  auto swizzle =
      runPerThread("gfx90a", 64, "declare i32 @llvm.amdgcn.ds.swizzle(i32, i32)\n",
                   "  %v = call i32 @llvm.amdgcn.ds.swizzle(i32 %t, i32 " + std::to_string(16 << 10 | 31) + ")", "%v");
  auto permute = runPerThread("gfx90a", 64, "declare i32 @llvm.amdgcn.ds.bpermute(i32, i32)\n",
                              "  %m = mul i32 %t, 12\n  %v = call i32 @llvm.amdgcn.ds.bpermute(i32 %m, i32 %t)", "%v");
  auto first = runPerThread("gfx90a", 128, "declare i32 @llvm.amdgcn.readfirstlane.i32(i32)\n",
                            "  %m = add i32 %t, 5\n  %v = call i32 @llvm.amdgcn.readfirstlane.i32(i32 %m)", "%v");
  auto other = runPerThread(
      "gfx1100", 64, "declare i32 @llvm.amdgcn.permlanex16.i32(i32, i32, i32, i32, i1, i1)\n",
      "  %v = call i32 @llvm.amdgcn.permlanex16.i32(i32 0, i32 %t, i32 1985229328, i32 -19088744, i1 false, i1 false)",
      "%v");
  auto number = runPerThread(
      "gfx942", 64, "declare i32 @llvm.amdgcn.mbcnt.lo(i32, i32)\ndeclare i32 @llvm.amdgcn.mbcnt.hi(i32, i32)\n",
      "  %l = call i32 @llvm.amdgcn.mbcnt.lo(i32 -1, i32 0)\n  %v = call i32 @llvm.amdgcn.mbcnt.hi(i32 -1, i32 %l)",
      "%v");
  for (uint32_t t = 0; t < 64; ++t) {
    EXPECT_EQ(masked[t], t / 16 % 2 ? t ^ 15 : 7);
    EXPECT_EQ(swizzle[t], t ^ 16);
    EXPECT_EQ(permute[t], 3 * t % 64);
    EXPECT_EQ(other[t], t ^ 16); // the identity of a row, read from the other row
    EXPECT_EQ(number[t], t);
  }
  for (uint32_t t = 0; t < 128; ++t)
    EXPECT_EQ(first[t], t / 64 * 64 + 5);
}

TEST(SimulatedAmd, BitsAndBytes) {
  std::string declarations =
      "declare i32 @llvm.amdgcn.perm(i32, i32, i32)\ndeclare i32 @llvm.amdgcn.ubfe.i32(i32, i32, i32)\n"
      "declare i32 @llvm.amdgcn.sbfe.i32(i32, i32, i32)\ndeclare <2 x half> @llvm.amdgcn.cvt.pkrtz(float, float)\n"
      "declare i32 @llvm.amdgcn.sdot4(i32, i32, i32, i1)\n";
  auto once = [&](const std::string &body) { return runPerThread("gfx90a", 1, declarations, body, "%v")[0]; };
  // Of a = 0x91233744 and b = 0xaabbccdd, from the highest: 12 is zero, 11 a's sign, 7 a's highest byte, 3 b's.
  EXPECT_EQ(once("  %v = call i32 @llvm.amdgcn.perm(i32 -1859963068, i32 -1430532899, i32 202049283)"), 0x00ff91aau);
  EXPECT_EQ(once("  %v = call i32 @llvm.amdgcn.ubfe.i32(i32 -1430532899, i32 12, i32 8)"), 0xbcu);
  EXPECT_EQ(once("  %v = call i32 @llvm.amdgcn.sbfe.i32(i32 3840, i32 8, i32 4)"), 0xffffffffu);
  EXPECT_EQ(once("  %v = call i32 @llvm.amdgcn.sdot4(i32 -1, i32 33686018, i32 10, i1 false)"), 2u); // 10 - 4 * 2
  EXPECT_EQ(
      once("  %h = call <2 x half> @llvm.amdgcn.cvt.pkrtz(float 1.000732421875, float 65519.0)\n  %v = bitcast <2 x "
           "half> %h to i32"),
      0x7bff3c00u);
}

// 0x40 is 2 in OCP's e4m3 and 1 in the FNUZ form of gfx942; 0x80 is -0 in one and NaN in the other.
TEST(SimulatedAmd, EightBitFloatsOfTwoKinds) {
  for (const char *target : {"gfx942", "gfx950"}) {
    auto once = [&](const std::string &body) {
      return runPerThread(target, 1,
                          "declare float @llvm.amdgcn.cvt.f32.fp8(i32, i32)\ndeclare i32 "
                          "@llvm.amdgcn.cvt.pk.fp8.f32(float, float, i32, i1)\n",
                          body, "%v")[0];
    };
    bool fnuz = std::string(target) == "gfx942";
    std::string read = "  %f = call float @llvm.amdgcn.cvt.f32.fp8(i32 32832, i32 ",
                cast = ")\n  %v = bitcast float %f to i32";
    EXPECT_EQ(std::bit_cast<float>(once(read + "0" + cast)), fnuz ? 1.0f : 2.0f);
    float zero = std::bit_cast<float>(once(read + "1" + cast));
    EXPECT_TRUE(fnuz ? std::isnan(zero) : zero == 0 && std::signbit(zero));
    EXPECT_EQ(once("  %v = call i32 @llvm.amdgcn.cvt.pk.fp8.f32(float 1.0, float -2.0, i32 -1, i1 true)"),
              fnuz ? 0xc840ffffu : 0xc038ffffu);
  }
}

namespace {

uint16_t halfOf(int value) { return std::bit_cast<uint16_t>(_Float16(value)); }
uint16_t bfloatOf(int value) { return uint16_t(std::bit_cast<uint32_t>(float(value)) >> 16); }
uint8_t byteOf(int value) { return uint8_t(value); }
template <int bias>
uint8_t e4m3Of(int value) { // small integers have their exponent in four bits, and three of mantissa
  if (!value)
    return 0;
  int magnitude = std::abs(value), exponent = std::bit_width(unsigned(magnitude)) - 1;
  return uint8_t((value < 0 ? 0x80 : 0) | (exponent + bias) << 3 | (magnitude << 3 >> exponent & 7));
}

/// The types of A, B and of C in the IR, and which of the call's arguments they are.
struct Unit {
  const char *target, *function, *operand, *sum;
  int m, k;
  bool wmma = false, integers = false;
  std::string before = "", between = "", after = ", i32 0, i32 0, i32 0"; ///< arguments around A, B, C
};

template <class F> void check(const Unit &unit, const F &encode) {
  SCOPED_TRACE(std::string(unit.target) + " " + unit.function);
  using Code = decltype(encode(0));
  int m = unit.m, k = unit.k, lanes = unit.wmma ? 32 : 64, perLane = unit.wmma ? 16 : m * k / 64, sums = m * m / lanes;
  std::vector<int> a(m * k), b(k * m), c(m * m), d(m * m);
  std::mt19937 random(11);
  for (auto *matrix : {&a, &b, &c})
    for (int &value : *matrix)
      value = int(random() % 17) - 8;
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < m; ++j) {
      d[i * m + j] = c[i * m + j];
      for (int x = 0; x < k; ++x)
        d[i * m + j] += a[i * k + x] * b[x * m + j];
    }
  std::vector<Code> left, right;
  std::vector<uint32_t> sum;
  auto row = [&](int lane, int r) {
    if (unit.wmma)
      return 2 * r + lane / 16;
    return m == 16 ? lane / 16 * 4 + r : r / 4 * 8 + lane / 32 * 4 + r % 4;
  };
  for (int lane = 0; lane < lanes; ++lane) {
    for (int e = 0; e < perLane; ++e) {
      int x = unit.wmma ? e : lane / m * perLane + e;
      left.push_back(encode(a[lane % m * k + x]));
      right.push_back(encode(b[x * m + lane % m]));
    }
    for (int r = 0; r < sums; ++r) {
      int value = c[row(lane, r) * m + lane % m];
      sum.push_back(unit.integers ? uint32_t(value) : std::bit_cast<uint32_t>(float(value)));
    }
  }
  std::string operand = unit.operand, type = unit.sum, name = std::string("@llvm.amdgcn.") + unit.function;
  std::string call = unit.before + operand + " %va, " + unit.between + operand + " %vb, " + type + " %vc" + unit.after;
  std::string types; // the declaration has the call's types without its values
  for (size_t at = 0; at < call.size();) {
    size_t end = call.find(", ", at);
    std::string part = call.substr(at, end == std::string::npos ? end : end - at);
    types += (types.empty() ? "" : ", ") + part.substr(0, part.rfind(' '));
    at = end == std::string::npos ? call.size() : end + 2;
  }
  Machine machine(unit.target);
  machine.load("declare " + type + " " + name + "(" + types + ")\n" + R"(
define amdgpu_kernel void @k(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c, ptr addrspace(1) %d) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %i = zext i32 %t to i64
  %pa = getelementptr )" +
               operand + ", ptr addrspace(1) %a, i64 %i\n  %va = load " + operand +
               ", ptr addrspace(1) %pa, align 1\n  %pb = getelementptr " + operand +
               ", ptr addrspace(1) %b, i64 %i\n  %vb = load " + operand +
               ", ptr addrspace(1) %pb, align 1\n  %pc = getelementptr " + type +
               ", ptr addrspace(1) %c, i64 %i\n  %vc = load " + type + ", ptr addrspace(1) %pc, align 4\n  %r = call " +
               type + " " + name + "(" + call + ")\n  %pd = getelementptr " + type +
               ", ptr addrspace(1) %d, i64 %i\n  store " + type +
               " %r, ptr addrspace(1) %pd, align 4\n  ret void\n}\n");
  uint64_t out = machine.allocate(sum.size() * 4);
  machine.run(1, uint32_t(lanes), {machine.put(left), machine.put(right), machine.put(sum), out});
  auto result = machine.get<uint32_t>(out, sum.size());
  for (int lane = 0; lane < lanes; ++lane)
    for (int r = 0; r < sums; ++r) {
      int expected = d[row(lane, r) * m + lane % m];
      ASSERT_EQ(result[lane * sums + r], unit.integers ? uint32_t(expected) : std::bit_cast<uint32_t>(float(expected)))
          << lane << " " << r;
    }
}

} // namespace

TEST(SimulatedMfma, MatchesTheNaiveProduct) {
  check({"gfx90a", "mfma.f32.16x16x16f16", "<4 x half>", "<4 x float>", 16, 16}, halfOf);
  check({"gfx942", "mfma.f32.32x32x8f16", "<4 x half>", "<16 x float>", 32, 8}, halfOf);
  check({"gfx90a", "mfma.f32.16x16x16bf16.1k", "<4 x i16>", "<4 x float>", 16, 16}, bfloatOf);
  check({"gfx942", "mfma.f32.32x32x8bf16.1k", "<4 x i16>", "<16 x float>", 32, 8}, bfloatOf);
  check({"gfx90a", "mfma.i32.16x16x16i8", "i32", "<4 x i32>", 16, 16, false, true}, byteOf);
  check({"gfx942", "mfma.i32.16x16x32.i8", "i64", "<4 x i32>", 16, 32, false, true}, byteOf);
  check({"gfx942", "mfma.i32.32x32x16.i8", "i64", "<16 x i32>", 32, 16, false, true}, byteOf);
  check({"gfx942", "mfma.f32.16x16x32.fp8.fp8", "i64", "<4 x float>", 16, 32}, e4m3Of<8>);
  check({"gfx950", "mfma.f32.16x16x32.fp8.fp8", "i64", "<4 x float>", 16, 32}, e4m3Of<7>);
  check({"gfx950", "mfma.f32.16x16x32.f16", "<8 x half>", "<4 x float>", 16, 32}, halfOf);
  check({"gfx950", "mfma.f32.32x32x16.bf16", "<8 x bfloat>", "<16 x float>", 32, 16}, bfloatOf);
  check({"gfx950", "mfma.i32.16x16x64.i8", "<4 x i32>", "<4 x i32>", 16, 64, false, true}, byteOf);
}

/// Codes, 32 of a lane, and what they stand for; by the tables of "OCP Microscaling Formats".
struct SmallFormat {
  int number, bits;
  std::vector<double> values; ///< of codes without sign
};

/// `which`: the byte of the scales' registers.
static void checkScaled(const SmallFormat &a, const SmallFormat &b, int which) {
  SCOPED_TRACE(std::to_string(a.number) + " " + std::to_string(b.number));
  std::mt19937 random(5);
  std::vector<double> left(16 * 128), right(16 * 128);
  std::vector<uint32_t> words[2] = {std::vector<uint32_t>(64 * 8), std::vector<uint32_t>(64 * 8)},
                        scales[2] = {std::vector<uint32_t>(64), std::vector<uint32_t>(64)};
  for (int side = 0; side < 2; ++side) {
    const SmallFormat &format = side ? b : a;
    for (int lane = 0; lane < 64; ++lane) {
      uint32_t exponent = 125 + random() % 5;
      scales[side][lane] = (random() & ~(0xffu << 8 * which)) | exponent << 8 * which;
      for (int e = 0; e < 32; ++e) {
        uint32_t code = random() % format.values.size(), sign = random() % 2;
        (side ? right : left)[lane % 16 * 128 + lane / 16 * 32 + e] =
            std::ldexp(format.values[code] * (sign ? -1 : 1), int(exponent) - 127);
        for (int bit = 0; bit < format.bits; ++bit) {
          uint32_t value = bit == format.bits - 1 ? sign : code >> bit & 1;
          words[side][lane * 8 + (e * format.bits + bit) / 32] |= value << (e * format.bits + bit) % 32;
        }
      }
    }
  }
  auto type = [](const SmallFormat &f) { return "<" + std::to_string(f.bits) + " x i32>"; };
  std::string name = "@llvm.amdgcn.mfma.scale.f32.16x16x128.f8f6f4.v" + std::to_string(a.bits) + "i32.v" +
                     std::to_string(b.bits) + "i32";
  std::string head =
      "declare <4 x float> " + name + "(" + type(a) + ", " + type(b) + ", <4 x float>, i32, i32, i32, i32, i32, i32)\n";
  std::string at = "  %t = call i32 @llvm.amdgcn.workitem.id.x()\n  %i = zext i32 %t to i64\n";
  auto load = [&](const char *to, const char *from, const std::string &what, const std::string &stride) {
    return std::string("  %p") + to + " = getelementptr " + stride + ", ptr addrspace(1) %" + from + ", i64 %i\n  %" +
           to + " = load " + what + ", ptr addrspace(1) %p" + to + ", align 4\n";
  };
  std::string byte = std::to_string(which);
  std::string body =
      head +
      "define amdgpu_kernel void @k(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %s, ptr addrspace(1) "
      "%u, ptr addrspace(1) %d) #0 {\n" +
      at + load("va", "a", type(a), "[8 x i32]") + load("vb", "b", type(b), "[8 x i32]") +
      load("sa", "s", "i32", "i32") + load("sb", "u", "i32", "i32") + "  %r = call <4 x float> " + name + "(" +
      type(a) + " %va, " + type(b) + " %vb, <4 x float> <float 1.0, float 2.0, float 3.0, float 4.0>, i32 " +
      std::to_string(a.number) + ", i32 " + std::to_string(b.number) + ", i32 " + byte + ", i32 %sa, i32 " + byte +
      ", i32 %sb)\n  %pd = getelementptr <4 x float>, ptr addrspace(1) %d, i64 %i\n"
      "  store <4 x float> %r, ptr addrspace(1) %pd, align 4\n  ret void\n}\n";
  Machine machine("gfx950");
  machine.load(body);
  uint64_t out = machine.allocate(64 * 16);
  machine.run(1, 64,
              {machine.put(words[0]), machine.put(words[1]), machine.put(scales[0]), machine.put(scales[1]), out});
  auto result = machine.get<float>(out, 256);
  for (int lane = 0; lane < 64; ++lane)
    for (int r = 0; r < 4; ++r) {
      double sum = r + 1;
      for (int x = 0; x < 128; ++x)
        sum += left[(lane / 16 * 4 + r) * 128 + x] * right[lane % 16 * 128 + x];
      ASSERT_EQ(result[lane * 4 + r], float(sum)) << lane << " " << r;
    }
  Machine other("gfx942");
  EXPECT_EQ(other.tryFind(body), WHIT_UNSUPPORTED);
}

TEST(SimulatedMfma, ScalesOfThirtyTwoElements) {
  SmallFormat e2m1{4, 4, {0, 0.5, 1, 1.5, 2, 3, 4, 6}}, e2m3{2, 6, {}}, e3m2{3, 6, {}}, e4m3{0, 8, {}};
  for (int code = 0; code < 32; ++code) {
    e2m3.values.push_back(code < 8 ? code / 8.0 : std::ldexp(8 + code % 8, code / 8 - 4));
    e3m2.values.push_back(code < 4 ? code / 16.0 : std::ldexp(4 + code % 4, code / 4 - 5));
  }
  for (int code = 0; code < 127; ++code)
    e4m3.values.push_back(code < 8 ? code / 512.0 : std::ldexp(8 + code % 8, code / 8 - 10));
  checkScaled(e2m1, e2m1, 0);
  checkScaled(e2m1, e4m3, 1);
  checkScaled(e2m3, e3m2, 2);
  checkScaled(e4m3, e4m3, 3);
}

TEST(SimulatedMfma, WaveMatricesOfRdna) {
  check(
      {"gfx1100", "wmma.f32.16x16x16.f16.v8f32.v16f16", "<16 x half>", "<8 x float>", 16, 16, true, false, "", "", ""},
      halfOf);
  check(
      {"gfx1100", "wmma.f32.16x16x16.bf16.v8f32.v16i16", "<16 x i16>", "<8 x float>", 16, 16, true, false, "", "", ""},
      bfloatOf);
  check({"gfx1100", "wmma.i32.16x16x16.iu8.v8i32.v4i32", "<4 x i32>", "<8 x i32>", 16, 16, true, true, "i1 true, ",
         "i1 true, ", ", i1 false"},
        byteOf);
}

TEST(SimulatedMfma, MachinesRefuseWhatTheyLack) {
  Machine machine("gfx942");
  EXPECT_EQ(machine.tryFind(perThread(
                "declare <4 x float> @llvm.amdgcn.mfma.f32.16x16x32.f16(<8 x half>, <8 x half>, <4 x float>, i32, i32, "
                "i32)\n",
                "  %r = call <4 x float> @llvm.amdgcn.mfma.f32.16x16x32.f16(<8 x half> zeroinitializer, <8 x half> "
                "zeroinitializer, <4 x float> zeroinitializer, i32 0, i32 0, i32 0)",
                "%t")),
            WHIT_UNSUPPORTED);
  EXPECT_NE(machine.device->message().find("gfx942 has no mfma.f32.16x16x32.f16"), std::string::npos)
      << machine.device->message();
  // 16 x 16 x 4 of f16 are four products at once.
  EXPECT_EQ(machine.tryFind(perThread(
                "declare <16 x float> @llvm.amdgcn.mfma.f32.16x16x4f16(<4 x half>, <4 x half>, <16 x float>, i32, i32, "
                "i32)\n",
                "  %r = call <16 x float> @llvm.amdgcn.mfma.f32.16x16x4f16(<4 x half> zeroinitializer, <4 x half> "
                "zeroinitializer, <16 x float> zeroinitializer, i32 0, i32 0, i32 0)",
                "%t")),
            WHIT_UNSUPPORTED);
}
