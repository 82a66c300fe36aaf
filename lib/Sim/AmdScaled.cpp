// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Scaled mfma of gfx950, by the CDNA 4 ISA document ("V_MFMA_SCALE_F32_16X16X128_F8F6F4"): D += (A * scales of A) * (B * scales of B), where each
// 32 elements of a row of K share a scale, a power of two (E8M0). A lane has 32 elements, one behind another from the lowest bit of its
// registers, of 8, 6 or 4 bits: row (column, of B) lane % m, and elements 32 * (lane / m) ... of K. The scale of just these is a byte of a
// register of its own; which byte, the instruction says.

#include "Sim/Exchange.h"
#include "Sim/Floats.h"
#include "Sim/Matrix.h"

#include <map>
#include <mutex>

using namespace llvm;

namespace whit::sim {
namespace {

/// The formats by the number that the instruction has for them.
struct Small {
  uint32_t bits, mantissaBits;
  int bias;
};
constexpr Small FORMATS[] = {{8, 3, 7}, {8, 2, 15}, {6, 3, 1}, {6, 2, 3}, {4, 1, 1}};

double decodeSmall(uint32_t format, uint32_t code) {
  if (format < 2)
    return double(decode(format ? E5M2 : E4M3, uint8_t(code)));
  const Small &f = FORMATS[format];
  uint32_t sign = code >> (f.bits - 1), mantissa = code & ((1u << f.mantissaBits) - 1),
           exponent = code >> f.mantissaBits & ((1u << (f.bits - 1 - f.mantissaBits)) - 1);
  double magnitude =
      exponent ? std::ldexp(double((1u << f.mantissaBits) + mantissa), int(exponent) - f.bias - int(f.mantissaBits))
               : std::ldexp(double(mantissa), 1 - f.bias - int(f.mantissaBits));
  return sign ? -magnitude : magnitude;
}

double decodeScale(uint32_t byte) { return byte == 255 ? NAN : std::ldexp(1.0, int(byte) - 127); }

struct ScaledShape {
  uint32_t m, formats[2], bytes[2], registers[2]; ///< bytes: which one of the register is the scale
};

// imm: the ScaledShape; a, b: scales of A and B; slots: sums, registers of A, of B, old sums.
void multiplyScaled(Warp &warp, const Inst &inst) {
  const auto &shape = *reinterpret_cast<const ScaledShape *>(inst.imm);
  needWholeWarp(warp, "a matrix product");
  uint32_t m = shape.m, k = 32 * 64 / m, sums = m * m / 64;
  const Slot *d = &warp.program->slots[inst.list], *first = d + sums;
  std::vector<double> sides[2];
  for (int side = 0; side < 2; ++side) {
    sides[side].resize(m * k);
    const Small &format = FORMATS[shape.formats[side]];
    for (uint32_t lane = 0; lane < 64; ++lane) {
      uint64_t line[5] = {};
      for (uint32_t i = 0; i < shape.registers[side]; ++i)
        line[i / 2] |= uint64_t(warp.at<uint32_t>(first[i])[lane]) << 32 * (i % 2);
      double scale = decodeScale(warp.at<uint32_t>(side ? inst.b : inst.a)[lane] >> 8 * shape.bytes[side] & 0xff);
      for (uint32_t e = 0; e < 32; ++e) {
        uint32_t bit = e * format.bits;
        uint64_t code = line[bit / 64] >> bit % 64;
        if (bit % 64 + format.bits > 64)
          code |= line[bit / 64 + 1] << (64 - bit % 64);
        sides[side][lane % m * k + 32 * (lane / m) + e] =
            scale * decodeSmall(shape.formats[side], uint32_t(code) & ((1u << format.bits) - 1));
      }
    }
    first += shape.registers[side];
  }
  for (uint32_t lane = 0; lane < 64; ++lane)
    for (uint32_t r = 0; r < sums; ++r) {
      uint32_t row = m == 16 ? 4 * (lane / 16) + r : 8 * (r / 4) + 4 * (lane / 32) + r % 4, column = lane % m;
      double sum = double(warp.at<float>(first[r])[lane]);
      for (uint32_t x = 0; x < k; ++x)
        sum += sides[0][row * k + x] * sides[1][column * k + x];
      warp.at<float>(d[r])[lane] = float(sum);
    }
}

} // namespace

/// "f32.16x16x128.f8f6f4.v8i32.v4i32": A, B, C, format of A, of B, byte of the scale of A, the scale, and the same of B.
bool lowerScaledMfma(Lowering &lowering, const CallInst &call, StringRef name) {
  bool isSmall = name.starts_with("f32.16x16x128.f8f6f4");
  if ((!isSmall && !name.starts_with("f32.32x32x64.f8f6f4")) || call.arg_size() != 9)
    return false;
  if (lowering.architecture.capability != 0x950)
    lowering.refuse(lowering.architecture.name + " has no scaled mfma");
  ScaledShape shape = {isSmall ? 16u : 32u, {}, {}, {}};
  Slots operands;
  for (unsigned side = 0; side < 2; ++side) {
    uint64_t format = lowering.constantArgument(call, 3 + side), byte = lowering.constantArgument(call, 5 + 2 * side);
    if (format > 4 || byte > 3)
      lowering.refuse("a scaled mfma of format " + std::to_string(format) + " and byte " + std::to_string(byte) +
                      "; formats are 0 to 4, bytes 0 to 3");
    Slots registers = lowering.use(call.getArgOperand(side));
    uint32_t needed = FORMATS[format].bits;
    if (registers.size() < needed)
      lowering.refuse("a scaled mfma with " + std::to_string(registers.size()) + " registers of an operand; format " +
                      std::to_string(format) + " needs " + std::to_string(needed));
    shape.formats[side] = uint32_t(format);
    shape.bytes[side] = uint32_t(byte);
    shape.registers[side] = needed; // more are not read
    operands.append(registers.begin(), registers.begin() + needed);
  }
  operands.append(lowering.use(call.getArgOperand(2)));
  // One object for each shape; programs refer to it.
  static std::mutex lock;
  static std::map<std::vector<uint32_t>, ScaledShape> shapes;
  std::lock_guard guard(lock);
  const ScaledShape &kept =
      shapes.try_emplace({shape.m, shape.formats[0], shape.formats[1], shape.bytes[0], shape.bytes[1]}, shape)
          .first->second;
  Slot scaleA = lowering.use(call.getArgOperand(6))[0], scaleB = lowering.use(call.getArgOperand(8))[0];
  Inst &code = lowering.emit(multiplyScaled, Kind::Matrix, lowering.define(call), operands);
  code.imm = reinterpret_cast<uint64_t>(&kept);
  code.a = scaleA;
  code.b = scaleB;
  return true;
}

} // namespace whit::sim
