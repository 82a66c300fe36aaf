// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Extraction sequences against the bit map, and the search against places enumerated one by one.
#include "Layout/PlaceSearch.h"
#include "runtime/encoding/BitMap.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir::whit;
using ::whit::BitMap;
using ::whit::CodeUnit;
using ::whit::Field;

namespace {

/// One step on words of four bytes.
uint32_t run(const ExtractionStep &step, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t mask = 0x01010101u * step.mask, result = 0;
  switch (step.primitive) {
  case Primitive::And:
    return a & mask;
  case Primitive::Shift:
    return step.shift > 0 ? a >> step.shift : a << -step.shift;
  case Primitive::Or:
    return a | b;
  case Primitive::Or3:
    return a | b | c;
  case Primitive::AndOr:
    return (a & mask) | b;
  case Primitive::Select:
    return (a & ~mask) | (b & mask);
  case Primitive::Affine:
    for (int byte = 0; byte < 4; ++byte)
      for (int bit = 0; bit < 8; ++bit) {
        uint64_t row = step.matrix >> (8 * (7 - bit)) & (a >> (8 * byte)) & 255;
        result |= uint32_t(__builtin_parityll(row)) << (8 * byte + bit);
      }
    return result;
  default:
    ADD_FAILURE() << "a sequence has no such step";
    return 0;
  }
}

std::vector<CodeUnit> unitsOf(int32_t bits, CodeUse use) { return {::whit::codeUnit(bits, use), binaryPlanes(bits)}; }

TEST(Extraction, SequencesYieldTheCodesOnEveryTarget) {
  std::mt19937_64 random(3);
  for (const ExtractionTarget &target : extractionTargets())
    for (CodeUse use : {CodeUse::Number, CodeUse::Index})
      for (int32_t bits = 1; bits <= 8; ++bits)
        for (const CodeUnit &unit : unitsOf(bits, use)) {
          BitMap back = *contentMap(unit, bits).inverse();
          std::vector<uint32_t> lines(unit.lines);
          for (uint32_t &line : lines)
            line = uint32_t(random());
          for (int32_t quad = 0; quad < unit.quads; ++quad) {
            Extraction extraction = extractQuad(unit, quad, target, use);
            std::vector<uint32_t> values = lines;
            int32_t uops = 0;
            for (const ExtractionStep &step : extraction.steps) {
              ASSERT_TRUE(target.has(step.primitive)) << target.name;
              uops += target[step.primitive].uops;
              values.push_back(run(step, values[step.a], values[step.b], values[step.c]));
            }
            EXPECT_EQ(uops, extraction.uops);
            std::vector<Field> fields;
            for (const Field &field : unit.fields)
              if (field.quad == quad)
                fields.push_back(field);
            EXPECT_EQ(extractionUops(fields.data(), fields.size(), target, use), uops)
                << target.name << ", " << bits << " bits";
            uint32_t keep = toleratesHighBits(target, use) ? (1u << bits) - 1 : 255;
            for (int32_t i = 0; i < 4; ++i) {
              uint64_t bytes = 0;
              for (int32_t line = 0; line < unit.lines; ++line)
                bytes |= uint64_t(lines[line] >> (8 * i) & 255) << (8 * line);
              EXPECT_EQ(values[extraction.result] >> (8 * i) & keep,
                        back.apply(bytes) >> (quad * bits) & ((1u << bits) - 1))
                  << target.name << ", " << bits << " bits, quad " << quad;
            }
          }
        }
}

/// runtime/encoding/Places.def is what the search finds. To renew it: whit-opt --print-place=all
TEST(PlaceSearch, TheTableIsUpToDate) {
  for (CodeUse use : {CodeUse::Number, CodeUse::Index})
    for (int32_t bits = 1; bits <= 8; ++bits) {
      PlaceSolution solution = searchPlace(bits, use);
      EXPECT_EQ(picture(solution.unit), picture(::whit::codeUnit(bits, use))) << bits << " bits";
      EXPECT_EQ(solution.cost, costOf(solution.unit, use)) << bits << " bits";
      EXPECT_LE(solution.cost, costOf(binaryPlanes(bits), use)) << bits << " bits";
    }
}

/// The least cost of `quads` more codes in the bits of one line that are not `used`, trying everything.
int32_t tryAll(int32_t bits, CodeUse use, int32_t quads, uint32_t used, std::vector<Field> &fields, int32_t shift) {
  if (shift == bits) {
    CodeUnit unit{1, 1, fields};
    int32_t cost = costOf(unit, use);
    if (quads == 1)
      return cost;
    std::vector<Field> next;
    return cost + tryAll(bits, use, quads - 1, used, next, 0);
  }
  int32_t best = 1 << 20;
  for (int32_t width = 1; width <= bits - shift; ++width)
    for (int32_t at = 0; at + width <= 8; ++at) {
      uint32_t mask = ((1u << width) - 1) << at;
      if (used & mask)
        continue;
      fields.push_back({0, 0, at, shift, width});
      best = std::min(best, tryAll(bits, use, quads, used | mask, fields, shift + width));
      fields.pop_back();
    }
  return best;
}

TEST(PlaceSearch, NothingIsCheaperWhereOneLineHoldsAUnit) {
  for (CodeUse use : {CodeUse::Number, CodeUse::Index})
    for (int32_t bits : {2, 4}) {
      std::vector<Field> none;
      EXPECT_EQ(searchPlace(bits, use).cost, tryAll(bits, use, 8 / bits, 0, none, 0)) << bits << " bits";
    }
}

TEST(PlaceSearch, CodesAcrossLinesTakeAboutHalfTheUopsOfPlanes) {
  const ExtractionTarget &target = extractionTargets().front();
  auto uops = [&](const CodeUnit &unit) { return uopsPer64(unit, target, CodeUse::Number); };
  const double expected[8] = {1, 1, 1.25, 1, 1.5, 1.5, 1.75, 0}, planes[8] = {1, 1, 2.125, 1, 2.25, 2.25, 3.5, 0};
  for (int32_t bits = 1; bits <= 8; ++bits) {
    EXPECT_EQ(uops(::whit::codeUnit(bits, CodeUse::Number)), expected[bits - 1]) << bits << " bits";
    EXPECT_EQ(uops(binaryPlanes(bits)), planes[bits - 1]) << bits << " bits";
  }
}

TEST(Extraction, RowsAreComplete) {
  for (const ExtractionTarget &target : extractionTargets()) {
    EXPECT_TRUE(target.has(Primitive::And) && target.has(Primitive::Or) && target.has(Primitive::Shift)) << target.name;
    bool hasConsumer = false;
    for (const ExtractionConsumer &consumer : extractionConsumers())
      hasConsumer |= consumer.target == target.name;
    EXPECT_TRUE(hasConsumer) << target.name;
  }
  for (const ExtractionConsumer &consumer : extractionConsumers()) {
    bool hasTarget = false, isGpu = consumer.target == "Nvvm" || consumer.target == "Amdgpu";
    for (const ExtractionTarget &target : extractionTargets())
      hasTarget |= consumer.target == target.name;
    EXPECT_TRUE(hasTarget) << consumer.name;
    // The layout names every digit of the operand once.
    int64_t digits = 0, size = isGpu ? consumer.rows : consumer.columns;
    for (size_t at = 0; (at = consumer.layout.find_first_of("kc", at)) != consumer.layout.npos; ++at)
      digits += 1;
    EXPECT_EQ(int64_t(1) << digits, size * consumer.depth) << consumer.target << " " << consumer.name;
  }
}

} // namespace
