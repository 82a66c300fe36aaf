// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Assembly text is read line by line, as far as it takes to tell instructions from directives and labels: PTX has one `.entry` or `.func`
// for each function with braces around it, AMDGPU assembly a label of the function's name and a `.Lfunc_end` at its end.

#include "Emit/KernelFacts.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;

namespace whit {
namespace {

/// `Typed` stands for a kind that follows from the operand's type.
enum class RowKind : uint8_t {
  Matrix,
  Load,
  Store,
  Shared,
  Local,
  Integer,
  Float,
  Conversion,
  Barrier,
  Move,
  Other,
  Typed
};

struct Row {
  TargetKind target;
  StringLiteral begins;
  RowKind kind;
};

constexpr Row kRows[] = {
#define WHIT_INSTRUCTION(target, begins, kind) {TargetKind::target, begins, RowKind::kind},
#include "Emit/InstructionKinds.def"
};

/// Approximations of PTX have their type behind the mode: ex2.approx.ftz.f32.
bool hasFloatType(StringRef name) {
  for (char separator : {'.', '_'})
    for (StringRef type : {"f16", "f32", "f64", "bf16", "e4m3", "e5m2", "f8"})
      for (size_t at = name.find((Twine(separator) + type).str()); at != StringRef::npos;
           at = name.find((Twine(separator) + type).str(), at + 1)) {
        StringRef rest = name.drop_front(at + 1 + type.size());
        if (rest.empty() || rest.front() == '.' || rest.front() == '_' || rest.starts_with("x2"))
          return true;
      }
  return false;
}

/// Takes the name of the instruction off a statement; empty for labels, directives and braces.
StringRef instructionName(TargetKind target, StringRef statement) {
  statement = statement.trim();
  // PTX: "{ .reg .b32 t; mma... }", "$L__BB0_2: add...", "@!%p1 bra ..."
  if (target == TargetKind::Nvptx) {
    statement = statement.ltrim("{} \t");
    if (statement.consume_front("@"))
      statement = statement.drop_until([](char c) { return c == ' ' || c == '\t'; }).ltrim();
  }
  StringRef name = statement.take_until([](char c) { return c == ' ' || c == '\t'; });
  if (name.empty() || !isAlpha(name.front()) || name.contains(':') || name.contains('='))
    return "";
  return name;
}

/// The number before `unit` in "0 bytes stack frame, 8 bytes spill stores"; -1 if it is not there.
int64_t numberBefore(StringRef line, StringRef unit) {
  size_t at = line.find(unit);
  if (at == StringRef::npos)
    return -1;
  StringRef digits = line.take_front(at).rtrim();
  digits = digits.take_back(digits.size() - (digits.find_last_not_of("0123456789") + 1));
  int64_t value = 0;
  return digits.getAsInteger(10, value) ? -1 : value;
}

/// Between the first pair of single quotes behind `before`, or the first word there.
StringRef nameBehind(StringRef line, StringRef before) {
  size_t at = line.find(before);
  if (at == StringRef::npos)
    return "";
  StringRef rest = line.drop_front(at + before.size()).ltrim();
  if (rest.consume_front("'"))
    return rest.take_until([](char c) { return c == '\''; });
  return rest.take_until([](char c) { return isSpace(c); });
}

} // namespace

StringRef nameOf(InstructionKind kind) {
  constexpr StringLiteral names[] = {"matrix", "load",       "store",   "shared", "local", "integer",
                                     "float",  "conversion", "barrier", "move",   "other"};
  static_assert(std::size(names) == kInstructionKinds);
  return names[size_t(kind)];
}

InstructionKind kindOf(TargetKind target, StringRef instruction) {
  const Row *best = nullptr;
  for (const Row &row : kRows)
    if (row.target == target && instruction.starts_with(row.begins) &&
        (!best || row.begins.size() > best->begins.size()))
      best = &row;
  if (!best)
    return InstructionKind::Other;
  if (best->kind == RowKind::Typed)
    return hasFloatType(instruction) ? InstructionKind::Float : InstructionKind::Integer;
  return InstructionKind(best->kind);
}

StringMap<InstructionMix> countInstructions(TargetKind target, StringRef assembly) {
  StringMap<InstructionMix> mixes;
  InstructionMix *current = nullptr;
  bool isPtx = target == TargetKind::Nvptx;
  int depth = 0; // of braces in PTX; inline assembly opens its own
  SmallVector<StringRef> statements;
  while (!assembly.empty()) {
    StringRef line;
    std::tie(line, assembly) = assembly.split('\n');
    line = line.take_front(line.find(isPtx ? "//" : ";")).trim();
    if (isPtx) {
      for (StringRef word : {".entry", ".func"})
        if (size_t at = line.find(word); at != StringRef::npos && depth == 0) {
          // ".func (.param .b32 r) name(": the name stands before the last parenthesis that opens.
          StringRef name = line.drop_front(at + word.size()).ltrim();
          if (name.starts_with("("))
            name = name.drop_front(name.find(')') + 1).ltrim();
          current = &mixes[name.take_until([](char c) { return c == '(' || isSpace(c); })];
        }
      int change = int(line.count('{')) - int(line.count('}'));
      bool wasOutside = depth == 0;
      depth += change;
      if (wasOutside || depth == 0)
        continue;
    } else {
      if (line.starts_with(".type") && line.ends_with("@function"))
        current = &mixes[line.drop_front(5).ltrim().take_until([](char c) { return c == ','; })];
      else if (line.starts_with(".Lfunc_end"))
        current = nullptr;
    }
    if (!current)
      continue;
    statements.clear();
    if (isPtx)
      line.split(statements, ';', -1, /*KeepEmpty=*/false);
    else
      statements.push_back(line);
    for (StringRef statement : statements)
      if (StringRef name = instructionName(target, statement); !name.empty())
        ++(*current)[size_t(kindOf(target, name))];
  }
  return mixes;
}

StringMap<KernelFacts> parsePtxasOutput(StringRef text) {
  StringMap<KernelFacts> kernels;
  std::string current;
  while (!text.empty()) {
    StringRef line;
    std::tie(line, text) = text.split('\n');
    if (StringRef name = nameBehind(line, "Compiling entry function"); !name.empty()) {
      current = name.str();
      kernels[current].name = current;
    } else if (StringRef name = nameBehind(line, "Function properties for"); !name.empty()) {
      current = name.str();
    }
    auto found = kernels.find(current);
    if (found == kernels.end())
      continue;
    KernelFacts &facts = found->second;
    if (int64_t stack = numberBefore(line, "bytes stack frame"); stack >= 0) {
      facts.stack = stack;
      facts.spills = std::max<int64_t>(numberBefore(line, "bytes spill stores"), 0);
    }
    if (int64_t registers = numberBefore(line, "registers"); registers >= 0) {
      facts.registers = registers;
      facts.shared = std::max<int64_t>(numberBefore(line, "bytes smem"), 0);
    }
  }
  return kernels;
}

void computeOccupancy(KernelFacts &facts, const GpuArchitecture &gpu) {
  if (facts.registers >= 0)
    facts.occupancy = occupancyOf(gpu, {facts.threads(), int32_t(facts.registers), std::max<int64_t>(facts.shared, 0)});
}

void writeFacts(json::OStream &out, const KernelFacts &facts) {
  out.attribute("name", json::fixUTF8(facts.name));
  out.attribute("block", json::Array(facts.block));
  for (auto [key, value] : {std::pair<StringRef, int64_t>("registers", facts.registers),
                            {"accumulators", facts.accumulators},
                            {"scalars", facts.scalars},
                            {"spills", facts.spills},
                            {"stack", facts.stack},
                            {"shared", facts.shared},
                            {"code", facts.code},
                            {"loop", facts.loop},
                            {"copies", facts.copies}})
    if (value >= 0)
      out.attribute(key, value);
  if (facts.occupancy >= 0)
    out.attribute("occupancy", facts.occupancy);
  out.attributeObject("instructions", [&] {
    for (size_t kind = 0; kind < kInstructionKinds; ++kind)
      out.attribute(nameOf(InstructionKind(kind)), facts.instructions[kind]);
  });
}

std::string factsText(const KernelFacts &facts) {
  std::string text;
  auto add = [&](const Twine &part) { text += (text.empty() ? "" : ", ") + part.str(); };
  auto number = [&](int64_t value, StringRef unit) {
    if (value >= 0)
      add(Twine(value) + " " + unit);
  };
  number(facts.threads(), "threads");
  number(facts.registers, "registers");
  if (facts.accumulators > 0)
    number(facts.accumulators, "of them accumulators");
  number(facts.spills, "bytes spilled");
  number(facts.stack, "bytes stack");
  number(facts.shared, "bytes shared");
  number(facts.code, "bytes code");
  if (facts.loop > 0)
    number(facts.loop, "in the largest loop");
  if (facts.copies > 0)
    number(facts.copies, "copies of accumulators in loops");
  if (facts.occupancy >= 0)
    add(formatv("occupancy {0:F2}", facts.occupancy).str());
  for (size_t kind = 0; kind < kInstructionKinds; ++kind)
    if (facts.instructions[kind])
      number(facts.instructions[kind], nameOf(InstructionKind(kind)));
  return text;
}

} // namespace whit
