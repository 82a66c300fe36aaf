// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One product for all matrix units. Products and their sum are computed in f64 and rounded once, which no unit does exactly but all come
// close to: the documents leave the order and the rounding of a sum open, so that tests hold results to a bound, and small integers to
// the bit.

#include "Sim/Matrix.h"

#include "Sim/Exchange.h"
#include "Sim/Floats.h"

#include <algorithm>
#include <array>

using namespace llvm;

namespace whit::sim {

uint32_t bitsOf(Element element) {
  switch (element) {
  case Element::F16:
  case Element::BF16:
    return 16;
  case Element::TF32:
  case Element::F32:
  case Element::S32:
    return 32;
  default:
    return 8;
  }
}

static const std::array<double, 256> &smallTable(Element element) {
  static const auto tables = [] {
    std::array<std::array<double, 256>, 6> made;
    const Float8 *formats[] = {&E4M3, &E5M2, &E4M3_FNUZ, &E5M2_FNUZ};
    for (int i = 0; i < 256; ++i) {
      for (int f = 0; f < 4; ++f)
        made[f][i] = double(decode(*formats[f], uint8_t(i)));
      made[4][i] = double(int8_t(i));
      made[5][i] = double(i);
    }
    return made;
  }();
  switch (element) {
  case Element::E4M3:
    return tables[0];
  case Element::E5M2:
    return tables[1];
  case Element::E4M3Fnuz:
    return tables[2];
  case Element::E5M2Fnuz:
    return tables[3];
  case Element::S8:
    return tables[4];
  default:
    return tables[5];
  }
}

double decodeElement(Element element, const uint8_t *at) {
  uint32_t word;
  uint16_t half;
  switch (element) {
  case Element::F16:
    std::memcpy(&half, at, 2);
    return double(toFloat(Half{half}));
  case Element::BF16:
    std::memcpy(&half, at, 2);
    return double(toFloat(BFloat{half}));
  case Element::TF32:
    std::memcpy(&word, at, 4);
    return double(std::bit_cast<float>(word & 0xffffe000u)); // lower bits are not read
  case Element::F32:
    std::memcpy(&word, at, 4);
    return double(std::bit_cast<float>(word));
  case Element::S32:
    std::memcpy(&word, at, 4);
    return double(int32_t(word));
  default:
    return smallTable(element)[*at];
  }
}

void encodeElement(Element element, double value, bool saturate, uint8_t *at) {
  switch (element) {
  case Element::F16: {
    Half half = fromDouble<Half>(value);
    std::memcpy(at, &half, 2);
    return;
  }
  case Element::BF16: {
    BFloat number = fromDouble<BFloat>(value);
    std::memcpy(at, &number, 2);
    return;
  }
  case Element::S32: {
    int64_t sum = int64_t(value);
    if (saturate)
      sum = std::min<int64_t>(std::max<int64_t>(sum, INT32_MIN), INT32_MAX);
    uint32_t word = uint32_t(uint64_t(sum));
    std::memcpy(at, &word, 4);
    return;
  }
  default: {
    float number = float(value);
    std::memcpy(at, &number, 4);
  }
  }
}

/// Each lane's elements, in the order of its registers, into a matrix.
static void gather(const Warp &warp, bool repeated, Element element, const std::vector<Position> &places,
                   const Slot *slots, uint32_t registerBytes, uint32_t columns, double *matrix) {
  uint32_t perLane = uint32_t(places.size()) / warp.width, bytes = bitsOf(element) / 8;
  uint8_t line[256];
  for (uint32_t lane = 0; lane < warp.width; ++lane) {
    for (uint32_t i = 0; i < perLane * bytes / registerBytes; ++i)
      std::memcpy(line + i * registerBytes, warp.frame + slots[i] + lane * registerBytes, registerBytes);
    for (uint32_t i = 0; i < perLane; ++i) {
      Position place = places[lane * perLane + i];
      double value = decodeElement(element, line + i * bytes);
      double &to = matrix[place.row * columns + place.column];
      if (repeated && lane >= warp.width / 2 && std::bit_cast<uint64_t>(to) != std::bit_cast<uint64_t>(value) &&
          !std::isnan(to))
        throw Fault{lane, "a matrix operand must be the same in lanes " + std::to_string(lane - warp.width / 2) +
                              " and " + std::to_string(lane) + ", and is not"};
      to = value;
    }
  }
}

template <uint32_t n> static void multiply(uint32_t m, uint32_t k, const double *a, const double *b, double *d) {
  for (uint32_t i = 0; i < m; ++i) {
    double sums[n] = {};
    for (uint32_t x = 0; x < k; ++x) {
      double factor = a[i * k + x];
      for (uint32_t j = 0; j < n; ++j)
        sums[j] += factor * b[x * n + j];
    }
    for (uint32_t j = 0; j < n; ++j)
      d[i * n + j] += sums[j];
  }
}

// imm: the MatrixShape; list: registers of d, a, b, c; aux: their bytes, four bits each.
static void multiplyMatrices(Warp &warp, const Inst &inst) {
  const auto &shape = *reinterpret_cast<const MatrixShape *>(inst.imm);
  needWholeWarp(warp, "a matrix product");
  uint32_t lanes = warp.width;
  auto registers = [&](const std::vector<Position> &places, Element element, uint32_t bytes) {
    return uint32_t(places.size()) / lanes * bitsOf(element) / 8 / bytes;
  };
  uint32_t dBytes = inst.aux & 15, aBytes = inst.aux >> 4 & 15, bBytes = inst.aux >> 8 & 15,
           cBytes = inst.aux >> 12 & 15;
  const Slot *d = &warp.program->slots[inst.list], *a = d + registers(shape.cPlaces, shape.d, dBytes),
             *b = a + registers(shape.aPlaces, shape.a, aBytes), *c = b + registers(shape.bPlaces, shape.b, bBytes);
  double left[32 * 64], right[64 * 32], sum[32 * 32];
  gather(warp, shape.repeated, shape.a, shape.aPlaces, a, aBytes, shape.k, left);
  gather(warp, shape.repeated, shape.b, shape.bPlaces, b, bBytes, shape.n, right);
  gather(warp, false, shape.c, shape.cPlaces, c, cBytes, shape.n, sum);
  switch (shape.n) {
  case 8:
    multiply<8>(shape.m, shape.k, left, right, sum);
    break;
  case 16:
    multiply<16>(shape.m, shape.k, left, right, sum);
    break;
  default:
    multiply<32>(shape.m, shape.k, left, right, sum);
    break;
  }
  uint32_t perLane = uint32_t(shape.cPlaces.size()) / lanes, bytes = bitsOf(shape.d) / 8;
  uint8_t line[256];
  for (uint32_t lane = 0; lane < lanes; ++lane) {
    for (uint32_t i = 0; i < perLane; ++i) {
      Position place = shape.cPlaces[lane * perLane + i];
      encodeElement(shape.d, sum[place.row * shape.n + place.column], shape.saturate, line + i * bytes);
    }
    for (uint32_t i = 0; i < perLane * bytes / dBytes; ++i)
      std::memcpy(warp.frame + d[i] + lane * dBytes, line + i * dBytes, dBytes);
  }
}

void emitMatrix(Lowering &lowering, const MatrixShape &shape, const char *what, ArrayRef<Slot> d, ArrayRef<Slot> a,
                ArrayRef<Slot> b, ArrayRef<Slot> c, ArrayRef<uint32_t> registerBytes) {
  const std::vector<Position> *places[] = {&shape.cPlaces, &shape.aPlaces, &shape.bPlaces, &shape.cPlaces};
  Element elements[] = {shape.d, shape.a, shape.b, shape.c};
  ArrayRef<Slot> parts[] = {d, a, b, c};
  Slots operands;
  for (int i = 0; i < 4; ++i) {
    size_t bytes = places[i]->size() / lowering.program.width * bitsOf(elements[i]) / 8;
    if (parts[i].size() * registerBytes[i] != bytes)
      lowering.refuse(std::string(what) + " has " + std::to_string(parts[i].size() * registerBytes[i]) +
                      " bytes in a lane's operand, where " + std::to_string(bytes) + " are needed");
    if (i)
      operands.append(parts[i].begin(), parts[i].end());
  }
  Inst &inst = lowering.emit(multiplyMatrices, Kind::Matrix, d, operands);
  inst.imm = reinterpret_cast<uint64_t>(&shape);
  inst.aux = uint16_t(registerBytes[0] | registerBytes[1] << 4 | registerBytes[2] << 8 | registerBytes[3] << 12);
}

} // namespace whit::sim
