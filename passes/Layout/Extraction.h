// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the codes of a quad come out of the lines of a unit: the shortest sequence of a target's primitives (Targets.def), for
// the code generator, for the search of places, and for people (whit-opt --print-place).

#pragma once

#include "runtime/encoding/Place.h"

#include <string_view>

namespace mlir::whit {

using ::whit::CodeUse;

enum class Primitive : uint8_t {
  And,
  Shift,
  Or,
  Or3,
  AndOr,
  Select,
  Affine,
  Table16,
  Table64,
  Table128,
  Spread,
  Multishift,
  Blend,
  Widen
};
inline constexpr size_t kPrimitives = size_t(Primitive::Widen) + 1;

/// A row of Targets.def with its primitives.
struct ExtractionTarget {
  struct Cost {
    std::string_view instruction; ///< empty if the target has none
    int32_t uops = 0;
  };
  std::string_view name, features, what;
  int32_t bytes, weight;
  Cost primitives[kPrimitives] = {};

  bool has(Primitive primitive) const { return !operator[](primitive).instruction.empty(); }
  const Cost &operator[](Primitive primitive) const { return primitives[size_t(primitive)]; }
};
const std::vector<ExtractionTarget> &extractionTargets();

/// A row of Targets.def: an instruction that codes are extracted for.
struct ExtractionConsumer {
  std::string_view target, name, instruction;
  int32_t rows, columns, depth;
  std::string_view code, other, result, layout;
  int32_t uops;
};
const std::vector<ExtractionConsumer> &extractionConsumers();

/// Whether bits above the code may be anything.
bool toleratesHighBits(const ExtractionTarget &target, CodeUse use);

/// One instruction. Operands are lines of the unit (0 .. lines-1) or results of earlier steps (lines + index of the step).
struct ExtractionStep {
  Primitive primitive;
  int32_t a = 0, b = 0, c = 0;
  uint8_t mask = 0;    ///< And, AndOr, Select: of every byte
  int32_t shift = 0;   ///< Shift: to the right by so many bits, to the left if negative
  uint64_t matrix = 0; ///< Affine, as vgf2p8affineqb takes it: byte 7 - i chooses the bits whose sum is bit i
};

struct Extraction {
  std::vector<ExtractionStep> steps;
  int32_t result = 0; ///< the operand that holds the codes
  int32_t uops = 0;
};
Extraction extractQuad(const ::whit::CodeUnit &unit, int32_t quad, const ExtractionTarget &target, CodeUse use);

/// The uops of extractQuad for a code that lies in `fields`, without building the steps.
int32_t extractionUops(const ::whit::Field *fields, size_t count, const ExtractionTarget &target, CodeUse use);

/// Uops of looking up codes of `bits` bits in a table of bytes; nothing if the target has no such instruction.
std::optional<int32_t> lookupUops(int32_t bits, const ExtractionTarget &target);

} // namespace mlir::whit
