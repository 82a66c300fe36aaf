// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two ways to put a code together, of which the shorter is taken. Shifting: fields that move by the same distance are joined
// where they lie and shifted at once; joins select bits by a mask, so that one mask at the end clears the rest. Affine:
// fields at different bits of their bytes are joined where they lie, and one matrix moves and masks them all.

#include "Layout/Extraction.h"

#include <algorithm>
#include <cassert>
#include <map>

using namespace mlir::whit;
using ::whit::CodeUnit;
using ::whit::Field;

const std::vector<ExtractionTarget> &mlir::whit::extractionTargets() {
  static const std::vector<ExtractionTarget> targets = [] {
    std::vector<ExtractionTarget> rows;
#define WHIT_EXTRACTION_TARGET(name, features, bytes, weight, what)                                                    \
  rows.push_back({#name, features, what, bytes, weight});
#define WHIT_PRIMITIVE(target, primitive, instruction, uops, ports)                                                    \
  for (ExtractionTarget &row : rows)                                                                                   \
    if (row.name == #target)                                                                                           \
      row.primitives[size_t(Primitive::primitive)] = {instruction, uops};
#include "Layout/Targets.def"
    return rows;
  }();
  return targets;
}

const std::vector<ExtractionConsumer> &mlir::whit::extractionConsumers() {
  static const std::vector<ExtractionConsumer> consumers = {
#define WHIT_CONSUMER(target, name, instruction, rows, columns, depth, code, other, result, layout, uops)              \
  {#target, name, instruction, rows, columns, depth, code, other, result, layout, uops},
#include "Layout/Targets.def"
  };
  return consumers;
}

bool mlir::whit::toleratesHighBits(const ExtractionTarget &target, CodeUse use) {
  return use == CodeUse::Index && target.has(Primitive::Table64);
}

namespace {
uint8_t maskOf(int32_t at, int32_t bits) { return uint8_t(((1 << bits) - 1) << at); }
uint8_t sourceOf(const Field &field) { return maskOf(field.at, field.bits); }
uint8_t targetOf(const Field &field) { return maskOf(field.shift, field.bits); }

/// What decides the length of a sequence.
struct Shape {
  int32_t fields = 0, inPlace = 0, bits = 0;
  int32_t distances = 0; ///< different ones, 0 left out
  int32_t batches = 0;   ///< of fields that must move, each at different bits of their bytes

  Shape(const Field *begin, size_t count) : fields(int32_t(count)) {
    uint32_t seen = 0;
    uint8_t overlap[8] = {};
    for (const Field *field = begin; field != begin + count; ++field) {
      bits += field->bits;
      if (field->at == field->shift) {
        ++inPlace;
        continue;
      }
      seen |= 1u << (field->at - field->shift + 8);
      for (int32_t bit = field->at; bit < field->at + field->bits; ++bit)
        batches = std::max<int32_t>(batches, ++overlap[bit]);
    }
    distances = __builtin_popcount(seen);
  }
};

int32_t shiftingUops(const Shape &shape, const ExtractionTarget &target, bool isClean) {
  int32_t join = target.has(Primitive::Select) ? target[Primitive::Select].uops
                                               : target[Primitive::And].uops + target[Primitive::Or].uops;
  bool masks = isClean && shape.bits < 8;
  return shape.distances * target[Primitive::Shift].uops + (shape.fields - 1) * join +
         (masks || (!target.has(Primitive::Select) && shape.fields > 1) ? target[Primitive::And].uops : 0);
}

/// Nothing if there is nothing to move.
std::optional<int32_t> affineUops(const Shape &shape, const ExtractionTarget &target) {
  if (!shape.batches || !target.has(Primitive::Affine))
    return std::nullopt;
  int32_t moved = shape.fields - shape.inPlace;
  return shape.batches * target[Primitive::Affine].uops + (moved - shape.batches) * target[Primitive::Select].uops +
         shape.batches / 2 * target[Primitive::Or3].uops + shape.inPlace * target[Primitive::Select].uops;
}

/// Appends steps to an extraction.
class SequenceBuilder {
public:
  SequenceBuilder(const CodeUnit &unit, int32_t quad, const ExtractionTarget &target) : unit(unit), target(target) {
    for (const Field &field : unit.fields)
      if (field.quad == quad)
        fields.push_back(field);
  }

  Extraction build(CodeUse use) {
    Shape shape(fields.data(), fields.size());
    bool isClean = !toleratesHighBits(target, use);
    std::optional<int32_t> affine = affineUops(shape, target);
    if (affine && *affine < shiftingUops(shape, target, isClean))
      byMatrix();
    else
      byShifts(isClean && shape.bits < 8);
    return std::move(extraction);
  }

private:
  int32_t step(ExtractionStep what) {
    extraction.uops += target[what.primitive].uops;
    extraction.steps.push_back(what);
    return extraction.result = unit.lines + int32_t(extraction.steps.size()) - 1;
  }
  int32_t mask(int32_t value, uint8_t mask) { return step({.primitive = Primitive::And, .a = value, .mask = mask}); }
  /// The bits `mask` of `other`, the rest of `value`; both clean where the target has to mask by itself.
  int32_t join(int32_t value, int32_t other, uint8_t mask) {
    if (target.has(Primitive::Select))
      return step({.primitive = Primitive::Select, .a = value, .b = other, .mask = mask});
    return step({.primitive = Primitive::Or, .a = value, .b = other});
  }

  void byShifts(bool masks) {
    bool selects = target.has(Primitive::Select);
    std::map<int32_t, std::vector<Field>> groups;
    for (const Field &field : fields)
      groups[field.at - field.shift].push_back(field);
    int32_t codes = -1;
    for (const auto &[distance, group] : groups) {
      int32_t value = -1;
      uint8_t moved = 0;
      bool masksEach = !selects && fields.size() > 1;
      for (const Field &field : group) {
        moved |= targetOf(field);
        int32_t line = masksEach ? mask(field.line, sourceOf(field)) : field.line;
        value = value < 0 ? line : join(value, line, sourceOf(field));
      }
      if (distance)
        value = step({.primitive = Primitive::Shift, .a = value, .shift = distance});
      codes = codes < 0 ? value : join(codes, value, moved);
    }
    extraction.result = codes;
    if (masks && (selects || fields.size() == 1)) {
      uint8_t code = 0;
      for (const Field &field : fields)
        code |= targetOf(field);
      mask(codes, code);
    }
  }

  void byMatrix() {
    struct Batch {
      std::vector<Field> fields;
      uint8_t used = 0;
    };
    std::vector<Batch> batches;
    std::vector<Field> inPlace, ordered = fields;
    std::stable_sort(ordered.begin(), ordered.end(), [](const Field &x, const Field &y) { return x.at < y.at; });
    for (const Field &field : ordered) {
      if (field.at == field.shift) {
        inPlace.push_back(field);
        continue;
      }
      auto fits = [&](const Batch &batch) { return !(batch.used & sourceOf(field)); };
      auto batch = std::find_if(batches.begin(), batches.end(), fits);
      if (batch == batches.end())
        batch = batches.insert(batch, Batch());
      batch->fields.push_back(field);
      batch->used |= sourceOf(field);
    }
    std::vector<int32_t> parts;
    for (const Batch &batch : batches) {
      int32_t value = -1;
      uint64_t matrix = 0;
      for (const Field &field : batch.fields) {
        value = value < 0 ? field.line : join(value, field.line, sourceOf(field));
        for (int32_t bit = 0; bit < field.bits; ++bit)
          matrix |= uint64_t(1) << (8 * (7 - field.shift - bit) + field.at + bit);
      }
      parts.push_back(step({.primitive = Primitive::Affine, .a = value, .matrix = matrix}));
    }
    int32_t codes = parts.front();
    for (size_t i = 1; i < parts.size(); i += 2)
      codes = i + 1 < parts.size() ? step({.primitive = Primitive::Or3, .a = codes, .b = parts[i], .c = parts[i + 1]})
                                   : step({.primitive = Primitive::Or, .a = codes, .b = parts[i]});
    if (inPlace.empty())
      return;
    int32_t value = inPlace.front().line;
    uint8_t kept = 0;
    for (const Field &field : inPlace) {
      if (kept)
        value = join(value, field.line, sourceOf(field));
      kept |= sourceOf(field);
    }
    step({.primitive = Primitive::AndOr, .a = value, .b = codes, .mask = kept});
  }

  const CodeUnit &unit;
  const ExtractionTarget &target;
  std::vector<Field> fields;
  Extraction extraction;
};
} // namespace

int32_t mlir::whit::extractionUops(const Field *fields, size_t count, const ExtractionTarget &target, CodeUse use) {
  Shape shape(fields, count);
  int32_t uops = shiftingUops(shape, target, !toleratesHighBits(target, use));
  return std::min(uops, affineUops(shape, target).value_or(uops));
}

Extraction mlir::whit::extractQuad(const CodeUnit &unit, int32_t quad, const ExtractionTarget &target, CodeUse use) {
  return SequenceBuilder(unit, quad, target).build(use);
}

std::optional<int32_t> mlir::whit::lookupUops(int32_t bits, const ExtractionTarget &target) {
  int32_t inOne = target.has(Primitive::Table128) ? (bits <= 6 ? 6 : 7) : target.has(Primitive::Table64) ? 6 : 4;
  Primitive table = inOne == 7 ? Primitive::Table128 : inOne == 6 ? Primitive::Table64 : Primitive::Table16;
  if (!target.has(table))
    return std::nullopt;
  // Each bit beyond the table's doubles the lookups and chooses between two results by a bit that a shift brings to the top.
  int32_t uops = target[table].uops;
  for (int32_t bit = inOne; bit < bits; ++bit)
    uops = 2 * uops + target[Primitive::Blend].uops + target[Primitive::Shift].uops;
  return uops;
}
