// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// NVIDIA's matrix units against a naive product. Fragments are filled here by the formulas of the PTX ISA document, element by element as
// its tables list them; small integers make every sum exact.

#include "Harness.h"

#include <random>

using namespace whit;
using namespace whit::sim::test;

namespace {

/// One register is `type` ("<2 x half>", "i32", "float"); kernel loads A, B, C fragments, 4 bytes a register, and stores D.
std::string product(const std::string &function, const std::string &ab, int aRegisters, int bRegisters,
                    const std::string &cd, int cRegisters) {
  std::string results = "{" + cd, declared, arguments, loads;
  for (int i = 1; i < cRegisters; ++i)
    results += "," + cd;
  results += "}";
  int number = 0;
  auto operands = [&](const char *array, const std::string &type, int count) {
    for (int i = 0; i < count; ++i, ++number) {
      std::string n = std::to_string(number);
      declared += (number ? "," : "") + type;
      arguments += std::string(number ? ", " : "") + type + " %v" + n;
      loads += "  %l" + n + " = mul i64 %i, " + std::to_string(count) + "\n  %o" + n + " = add i64 %l" + n + ", " +
               std::to_string(i) + "\n  %p" + n + " = getelementptr i32, ptr addrspace(1) %" + array + ", i64 %o" + n +
               "\n  %v" + n + " = load " + type + ", ptr addrspace(1) %p" + n + ", align 4\n";
    }
  };
  operands("a", ab, aRegisters);
  operands("b", ab, bRegisters);
  operands("c", cd, cRegisters);
  std::string text =
      function.starts_with("llvm.") ? "declare " + results + " @" + function + "(" + declared + ")\n" : "";
  text += "define ptx_kernel void @k(ptr addrspace(1) %a, ptr addrspace(1) %b, ptr addrspace(1) %c, ptr addrspace(1) "
          "%d) #0 {\n"
          "  %t = call i32 @llvm.nvvm.read.ptx.sreg.laneid()\n  %i = zext i32 %t to i64\n" +
          loads + "  %r = call " + results + (function.starts_with("llvm.") ? " @" + function : " " + function) + "(" +
          arguments + ")\n";
  for (int i = 0; i < cRegisters; ++i) {
    std::string n = std::to_string(i);
    text += "  %x" + n + " = extractvalue " + results + " %r, " + n + "\n  %m" + n + " = mul i64 %i, " +
            std::to_string(cRegisters) + "\n  %s" + n + " = add i64 %m" + n + ", " + n + "\n  %q" + n +
            " = getelementptr i32, ptr addrspace(1) %d, i64 %s" + n + "\n  store " + cd + " %x" + n +
            ", ptr addrspace(1) %q" + n + ", align 4\n";
  }
  return text + "  ret void\n}\n";
}

uint16_t halfOf(int value) { // -8 ... 8 and their like
  return std::bit_cast<uint16_t>(_Float16(value));
}
uint16_t bfloatOf(int value) { return uint16_t(std::bit_cast<uint32_t>(float(value)) >> 16); }
uint8_t e4m3Of(int value) { // 0 ... 8 and negatives, by the definition of the format: bias 7, three bits of mantissa
  static const uint8_t codes[] = {0x00, 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c, 0x4e, 0x50};
  return uint8_t(codes[std::abs(value)] | (value < 0 ? 0x80 : 0));
}

struct Problem {
  int k;
  std::vector<int> a, b, c, d;
  Problem(int k) : k(k), a(16 * k), b(k * 8), c(128), d(128) {
    std::mt19937 random(7);
    for (auto *matrix : {&a, &b, &c})
      for (int &value : *matrix)
        value = int(random() % 17) - 8;
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        d[i * 8 + j] = c[i * 8 + j];
        for (int x = 0; x < k; ++x)
          d[i * 8 + j] += a[i * k + x] * b[x * 8 + j];
      }
  }
};

/// `perRegister` elements of `encode`d bits in a register of 32.
template <class F> void pack(std::vector<uint32_t> &registers, int index, int perRegister, const F &encode, int value) {
  registers[size_t(index / perRegister)] |= uint32_t(encode(value)) << (32 / perRegister * (index % perRegister));
}

template <class F>
void check(const std::string &target, const std::string &function, const std::string &type, int k, int perRegister,
           bool halfSums, const F &encode, bool integers = false) {
  SCOPED_TRACE(function);
  int aRegisters = 16 * k / 32 / perRegister, bRegisters = 8 * k / 32 / perRegister, cRegisters = halfSums ? 2 : 4;
  Problem problem(k);
  std::vector<uint32_t> a(32 * aRegisters), b(32 * bRegisters), c(32 * cRegisters);
  for (int lane = 0; lane < 32; ++lane) {
    int group = lane >> 2, thread = lane & 3;
    for (int i = 0; i < aRegisters * perRegister; ++i) {
      int row = 0, column = 0;
      switch (perRegister) {
      case 1: // m16n8k8 .tf32: a0 (g, t), a1 (g + 8, t), a2 (g, t + 4), a3 (g + 8, t + 4)
        row = i == 0 || i == 2 ? group : group + 8;
        column = i < 2 ? thread : thread + 4;
        break;
      case 2: // m16n8k16 .f16
        row = (i >= 0 && i < 2) || (i >= 4 && i < 6) ? group : group + 8;
        column = i < 4 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8;
        break;
      default: // m16n8k32 .s8
        row = (i >= 0 && i < 4) || (i >= 8 && i < 12) ? group : group + 8;
        column = i < 8 ? thread * 4 + (i & 3) : thread * 4 + (i & 3) + 16;
      }
      pack(a, lane * aRegisters * perRegister + i, perRegister, encode, problem.a[row * k + column]);
    }
    for (int i = 0; i < bRegisters * perRegister; ++i) {
      int row = perRegister == 1   ? (i == 0 ? thread : thread + 4)
                : perRegister == 2 ? (i < 2 ? thread * 2 + (i & 1) : thread * 2 + (i & 1) + 8)
                                   : (i < 4 ? thread * 4 + (i & 3) : thread * 4 + (i & 3) + 16);
      pack(b, lane * bRegisters * perRegister + i, perRegister, encode, problem.b[row * 8 + group]);
    }
    for (int i = 0; i < 4; ++i) {
      int value = problem.c[(i < 2 ? group : group + 8) * 8 + thread * 2 + (i & 1)];
      if (halfSums)
        pack(c, lane * 4 + i, 2, halfOf, value);
      else
        c[lane * 4 + i] = integers ? uint32_t(value) : std::bit_cast<uint32_t>(float(value));
    }
  }
  Machine machine(target);
  machine.load(product(function, type, aRegisters, bRegisters,
                       integers   ? "i32"
                       : halfSums ? "<2 x half>"
                                  : "float",
                       cRegisters));
  uint64_t out = machine.allocate(c.size() * 4);
  machine.run(1, 32, {machine.put(a), machine.put(b), machine.put(c), out});
  auto d = machine.get<uint32_t>(out, c.size());
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      int expected = problem.d[((lane >> 2) + (i < 2 ? 0 : 8)) * 8 + (lane & 3) * 2 + (i & 1)];
      uint32_t bits = halfSums ? d[lane * 2 + i / 2] >> 16 * (i & 1) & 0xffff : d[lane * 4 + i];
      ASSERT_EQ(bits, halfSums   ? halfOf(expected)
                      : integers ? uint32_t(expected)
                                 : std::bit_cast<uint32_t>(float(expected)))
          << "lane " << lane << " element " << i;
    }
  machine.fault(1, 16, {machine.put(a), machine.put(b), machine.put(c), out},
                {"a matrix product is run by 16 of 32 lanes"});
}

} // namespace

TEST(SimulatedMma, MatchesTheNaiveProduct) {
  auto byteOf = [](int value) { return uint8_t(value); };
  auto floatBits = [](int value) { return std::bit_cast<uint32_t>(float(value)); };
  check("sm_80", "llvm.nvvm.mma.m16n8k16.row.col.f32.f32", "<2 x half>", 16, 2, false, halfOf);
  check("sm_90a", "llvm.nvvm.mma.m16n8k16.row.col.f16.f16", "<2 x half>", 16, 2, true, halfOf);
  check("sm_80", "llvm.nvvm.mma.m16n8k8.row.col.f32.f32", "<2 x half>", 8, 2, false, halfOf);
  check("sm_80", "llvm.nvvm.mma.m16n8k16.row.col.bf16", "i32", 16, 2, false, bfloatOf);
  check("sm_80", "llvm.nvvm.mma.m16n8k32.row.col.s8", "i32", 32, 4, false, byteOf, true);
  check("sm_80", "llvm.nvvm.mma.m16n8k16.row.col.s8", "i32", 16, 4, false, byteOf, true);
  check("sm_80", "llvm.nvvm.mma.m16n8k8.row.col.tf32", "i32", 8, 1, false, floatBits);
  check("sm_89", "llvm.nvvm.mma.m16n8k32.row.col.f32.e4m3.e4m3.f32", "i32", 32, 4, false, e4m3Of);
  check("sm_89",
        "asm \"mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, "
        "$11, $12, $13};\", "
        "\"=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f\"",
        "i32", 32, 4, false, e4m3Of);
}

TEST(SimulatedMma, EightBitFloatsNeedLaterMachines) {
  Machine machine("sm_80");
  EXPECT_EQ(machine.tryFind(product("llvm.nvvm.mma.m16n8k32.row.col.f32.e4m3.e4m3.f32", "i32", 4, 2, "float", 4)),
            WHIT_UNSUPPORTED);
  EXPECT_NE(machine.device->message().find("need sm_89"), std::string::npos) << machine.device->message();
}

/// Stores words 0 ... 127 into shared memory, 16 bytes a lane, and reads them with ldmatrix by row addresses 16 * lane.
static std::string loadMatrix(bool transposed, bool meet = true) {
  std::string name = std::string("llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4") + (transposed ? ".trans" : "") + ".b16.p3";
  std::string text = "@s = internal addrspace(3) global [512 x i8] undef, align 16\n"
                     "declare void @llvm.nvvm.bar.warp.sync(i32)\ndeclare {i32,i32,i32,i32} @" +
                     name + R"((ptr addrspace(3))
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %i = zext i32 %t to i64
  %p = getelementptr <4 x i32>, ptr addrspace(1) %in, i64 %i
  %v = load <4 x i32>, ptr addrspace(1) %p, align 16
  %s = getelementptr <4 x i32>, ptr addrspace(3) @s, i64 %i
  store <4 x i32> %v, ptr addrspace(3) %s, align 16
)" + (meet ? "  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n" : "") +
                     "  %r = call {i32,i32,i32,i32} @" + name + "(ptr addrspace(3) %s)\n";
  for (int m = 0; m < 4; ++m) {
    std::string n = std::to_string(m);
    text += "  %x" + n + " = extractvalue {i32,i32,i32,i32} %r, " + n + "\n  %o" + n + " = add i64 %i, " +
            std::to_string(32 * m) + "\n  %q" + n + " = getelementptr i32, ptr addrspace(1) %out, i64 %o" + n +
            "\n  store i32 %x" + n + ", ptr addrspace(1) %q" + n + ", align 4\n";
  }
  return text + "  ret void\n}\n";
}

TEST(SimulatedMma, LoadsMatricesFromSharedMemory) {
  std::vector<uint16_t> in(256);
  std::iota(in.begin(), in.end(), uint16_t(0));
  for (bool transposed : {false, true}) {
    Machine machine("sm_80");
    machine.load(loadMatrix(transposed));
    uint64_t out = machine.allocate(512);
    machine.run(1, 32, {machine.put(in), out});
    auto values = machine.get<uint16_t>(out, 256);
    for (int m = 0; m < 4; ++m)
      for (int lane = 0; lane < 32; ++lane)
        for (int e = 0; e < 2; ++e) {
          int row = lane / 4, column = lane % 4 * 2 + e; // of the fragment; of a transposed one, of the column's place
          ASSERT_EQ(values[(m * 32 + lane) * 2 + e], m * 64 + (transposed ? column * 8 + row : row * 8 + column));
        }
    // A lane gets what others have stored, also of the row whose address it gives.
    machine.load(loadMatrix(transposed, false));
    machine.fault(1, 32, {machine.put(in), out}, {"race in shared memory", "no bar.warp.sync between them"});
  }
}

static std::string asyncCopy(int groups, bool wait, const std::string &read = "") {
  std::string text = R"(
@s = internal addrspace(3) global [512 x i8] undef, align 16
declare void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3), ptr addrspace(1))
declare void @llvm.nvvm.cp.async.ca.shared.global.16.s(ptr addrspace(3), ptr addrspace(1), i32)
declare void @llvm.nvvm.cp.async.commit.group()
declare void @llvm.nvvm.cp.async.wait.group(i32)
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %i = zext i32 %t to i64
  %p = getelementptr <4 x i32>, ptr addrspace(1) %in, i64 %i
  %s = getelementptr <4 x i32>, ptr addrspace(3) @s, i64 %i
)";
  text += read.empty()
              ? "  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %s, ptr addrspace(1) %p)\n"
              : "  call void @llvm.nvvm.cp.async.ca.shared.global.16.s(ptr addrspace(3) %s, ptr addrspace(1) %p, i32 " +
                    read + ")\n";
  text += "  call void @llvm.nvvm.cp.async.commit.group()\n";
  if (wait)
    text += "  call void @llvm.nvvm.cp.async.wait.group(i32 " + std::to_string(groups) + ")\n";
  return text + R"(
  %v = load <4 x i32>, ptr addrspace(3) %s, align 16
  %q = getelementptr <4 x i32>, ptr addrspace(1) %out, i64 %i
  store <4 x i32> %v, ptr addrspace(1) %q, align 16
  ret void
})";
}

TEST(SimulatedCopies, TakeEffectWhenTheirGroupIsWaitedFor) {
  std::vector<uint32_t> in(128);
  std::iota(in.begin(), in.end(), 1u);
  Machine machine("sm_80");
  uint64_t from = machine.put(in), out = machine.allocate(512);
  machine.load(asyncCopy(0, true));
  machine.run(1, 32, {from, out});
  EXPECT_EQ(machine.get<uint32_t>(out, 128), in);
  // Bytes beyond those that are read become zero.
  machine.load(asyncCopy(0, true, "4"));
  machine.run(1, 32, {from, out});
  EXPECT_EQ(machine.get<uint32_t>(out, 8), (std::vector<uint32_t>{1, 0, 0, 0, 5, 0, 0, 0}));
  machine.load(asyncCopy(0, false));
  machine.fault(1, 32, {from, out}, {"which an asynchronous copy is still writing"});
  machine.load(asyncCopy(1, true)); // one group may stay on its way: this one
  machine.fault(1, 32, {from, out}, {"which an asynchronous copy is still writing"});
}

TEST(SimulatedAssembly, RowsMeanWhatTheDocumentSays) {
  Machine machine("sm_80");
  machine.load(R"(
define ptx_kernel void @k(ptr addrspace(1) %in, ptr addrspace(1) %out) #0 {
  %v = call {i32,i32,i32,i32} asm "ld.global.L1::no_allocate.v4.u32 {$0,$1,$2,$3}, [$4];", "=r,=r,=r,=r,l"(ptr addrspace(1) %in)
  %a = extractvalue {i32,i32,i32,i32} %v, 0
  %b = extractvalue {i32,i32,i32,i32} %v, 1
  %c = extractvalue {i32,i32,i32,i32} %v, 2
  %l = call i32 asm "lop3.b32 $0, $1, $2, $3, 0xea;", "=r,r,r,r"(i32 %a, i32 %b, i32 %c)
  %m = call i32 asm "lop3.b32 $0, $1, $2, $3, $4;", "=r,r,r,r,n"(i32 %a, i32 %b, i32 %c, i32 106)
  %p = call i32 asm "prmt.b32 $0, $1, $2, $3;", "=r,r,r,r"(i32 %a, i32 %b, i32 29796)
  %e = call float asm "ex2.approx.ftz.f32 $0, $1;", "=f,f"(float -1.5)
  store i32 %l, ptr addrspace(1) %out, align 4
  %o1 = getelementptr i32, ptr addrspace(1) %out, i64 1
  store i32 %m, ptr addrspace(1) %o1, align 4
  %o2 = getelementptr i32, ptr addrspace(1) %out, i64 2
  store i32 %p, ptr addrspace(1) %o2, align 4
  %o3 = getelementptr i32, ptr addrspace(1) %out, i64 3
  store float %e, ptr addrspace(1) %o3, align 4
  ret void
})");
  uint32_t a = 0x12345678, b = 0xf0f00f0f, c = 0x64006400;
  uint64_t out = machine.allocate(16);
  machine.run(1, 1, {machine.put(std::vector<uint32_t>{a, b, c, 0}), out});
  auto values = machine.get<uint32_t>(out, 4);
  EXPECT_EQ(values[0], (a & b) | c); // 0xea: 0xf0 & 0xcc | 0xaa
  EXPECT_EQ(values[1], (a & b) ^ c); // 0x6a: (0xf0 & 0xcc) ^ 0xaa
  EXPECT_EQ(values[2], 0xf00ff00fu); // selector 0x7464: bytes 4, 6, 4 and 7, which are the bytes 0, 2, 0 and 3 of b
  EXPECT_FLOAT_EQ(std::bit_cast<float>(values[3]), 0.35355339f);
}
