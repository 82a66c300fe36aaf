// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One line of text for each thing that is stored, for each line of a unit and for each sequence.

#include "Layout/PlacePicture.h"

#include "Layout/PlaceSearch.h"
#include "runtime/encoding/BitMap.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Format.h"

using namespace mlir::whit;
using ::whit::Encoding;
using ::whit::Factor;
using ::whit::FactorPlace;
using ::whit::Place;

namespace {
class Picture {
public:
  Picture(llvm::raw_ostream &out, const Encoding &encoding, int64_t n, int64_t k)
      : out(out), encoding(encoding), place(::whit::solvePlace(encoding, n, k)) {}

  void print() {
    out << ::whit::nameOf(encoding) << ", " << place.n << " x " << place.k << ": " << place.panels << " panels of "
        << place.panelBytes << " bytes, 16 rows (columns c of a panel) each\n";
    if (encoding.isPlain()) {
      out << "  " << ::whit::nameOf(encoding.scaleType()) << " of column c, element k at "
          << ::whit::scaleBytes(encoding.scaleType())
          << (place.run == 1 ? " * (16 * k + c)\n" : " * (32 * (k / 2) + 2 * c + k % 2)\n");
      return;
    }
    stored(true);
    out << "block of " << place.group << " elements of K, " << place.blockBytes << " bytes, " << place.groups
        << " in a panel";
    if (place.paddedGroup != place.group)
      out << "; codes for " << place.paddedGroup << ", the last ones 0";
    out << "\n";
    stored(false);
    planes();
    for (size_t t = 0; t < encoding.terms.size(); ++t)
      if (encoding.terms[t].codec.kind == ::whit::CodecKind::Vector)
        vector(encoding.terms[t].codec);
      else if (llvm::none_of(llvm::seq<size_t>(0, t), [&](size_t before) {
                 return place.terms[before].unit == place.terms[t].unit &&
                        encoding.terms[before].codec.read == encoding.terms[t].codec.read &&
                        useOf(encoding.terms[before].codec) == useOf(encoding.terms[t].codec);
               }))
        unit(t);
  }

private:
  void row(int64_t offset, int64_t bytes, const llvm::Twine &what) {
    out << llvm::format("  %6lld %6lld  ", (long long)offset, (long long)bytes) << what << "\n";
  }

  void factor(const Factor &what, const FactorPlace &at, const llvm::Twine &name, bool inHeader) {
    if ((at.span > 1) != inHeader)
      return;
    int64_t blocks = inHeader ? (place.groups + at.span - 1) / at.span : 1;
    row(at.offset, ::whit::kPanelColumns * at.bytes * blocks,
        "16 " + llvm::Twine(::whit::nameOf(what.type).data()) + " " + name +
            (inHeader ? " for each " + llvm::Twine(at.span) + " blocks" : llvm::Twine("")));
  }

  /// What lies in the header, or in a block, in the order of offsets.
  void stored(bool inHeader) {
    if (inHeader && place.headerBytes)
      out << "header of a panel, " << place.headerBytes << " bytes\n";
    for (size_t t = 0; t < encoding.terms.size(); ++t) {
      const ::whit::TermPlace &term = place.terms[t];
      std::string suffix = encoding.terms.size() > 1 ? " of term " + std::to_string(t) : "";
      if (!inHeader && !encoding.terms[t].codec.isAgain) {
        int64_t units = place.paddedGroup / term.unit.elements() / (term.kept ? 2 : 1);
        int64_t lines = term.planes.empty() ? term.unit.lines : term.planes.front().lines;
        row(term.offset, units * lines * ::whit::kLineBytes,
            "codes" + suffix + ": " + llvm::Twine(units) + (units == 1 ? " unit of " : " units of ") +
                llvm::Twine(term.unit.elements()) + " elements, " + llvm::Twine(lines) +
                (lines == 1 ? " line" : " lines") + (term.kept ? ", of those that are kept" : "") +
                (term.planes.empty() ? "" : ": line 0"));
        if (term.kept) {
          int64_t lines = place.paddedGroup / ::whit::kKeptPerLine;
          row(*term.kept, lines * ::whit::kLineBytes,
              "kept bits" + suffix + ": " + llvm::Twine(lines) + (lines == 1 ? " line" : " lines") +
                  "; bit i of byte 4 * c + j: column c keeps element 8 * j + i of 32");
        }
      }
      for (auto [what, at] : llvm::zip_equal(encoding.terms[t].scale, term.factors))
        factor(what, at, "scales" + suffix, inHeader);
      if (term.choice)
        factor({::whit::ScaleType::U8, {}}, *term.choice, "numbers of tables" + suffix, inHeader);
    }
    for (auto [what, at] : llvm::zip_equal(encoding.offset, place.offset))
      factor(what, at, encoding.zero == ::whit::ZeroKind::Minimum ? "minima" : "zeros", inHeader);
  }

  void vector(const ::whit::Codec &codec) {
    int bits = codec.bitsOfFour(), fours = 32 / bits;
    if (codec.isAgain)
      return;
    out << "codes of " << int(codec.bits) << " bits for " << int(codec.rows) << " rows x " << int(codec.columns)
        << " elements; a line has 32 bits for each column c, elements 4 * q .. 4 * q + 3 at bit " << bits << " * (q % "
        << fours << ")";
    if (codec.rows > 1)
      out << " of column c - c % " << int(codec.rows) << " + q / " << fours;
    out << "\n";
  }

  /// Lines of codes in planes that lie behind the blocks.
  void planes() {
    for (size_t t = 0; t < encoding.terms.size(); ++t) {
      const ::whit::Codec &codec = encoding.terms[t].codec;
      int32_t line = 0;
      for (const ::whit::PlanePlace &plane : place.terms[t].planes) {
        if (line) {
          out << (line == 1 ? "behind the blocks of a panel\n" : "");
          std::string which = plane.lines == 1 ? "line " + std::to_string(line)
                                               : "lines " + std::to_string(line) + " and " + std::to_string(line + 1);
          row(plane.offset, plane.stride * place.groups,
              which + " of all units" + (2 * line < codec.read ? "" : ", not read"));
        }
        line += plane.lines;
      }
    }
  }

  /// What a byte of digits is the sum of.
  void digits(const ::whit::CodeUnit &unit) {
    out << "unit of " << unit.quads << " digits to the base " << unit.radix
        << "; byte 4 * c + i of its line: column c, i added to each k\n  ";
    for (int64_t quad = 0, weight = 1; quad < unit.quads; ++quad, weight *= unit.radix)
      out << (quad ? " + " : "") << weight << " * k" << 4 * quad;
    out << "\n";
  }

  void unit(size_t term) {
    const ::whit::Codec &codec = encoding.terms[term].codec;
    const ::whit::CodeUnit &unit = place.terms[term].unit;
    if (unit.radix)
      return digits(unit);
    CodeUse use = useOf(codec);
    out << "unit of " << int(codec.bits)
        << "-bit codes; byte 4 * c + i of a line: column c, i added to each k (k.bit of the "
           "code)\n          bit 7     6     5     4     3     2     1     0\n";
    for (auto [line, text] : llvm::enumerate(::whit::picture(unit))) {
      out << "  line " << line << "  ";
      for (size_t at = 0; at < text.size(); at += 2)
        out << llvm::right_justify(std::to_string(4 * (text[at] - 'a')) + "." + text[at + 1], 6);
      out << "\n";
    }
    if (!codec.read)
      addresses(codec, unit);
    ::whit::CodeUnit read = readPart(encoding, place).terms[term].unit;
    for (const ExtractionTarget &target : extractionTargets())
      sequences(codec, read, target, use);
  }

  /// The address map, if there is one: which digits are added without carry.
  void addresses(const ::whit::Codec &codec, const ::whit::CodeUnit &unit) {
    std::optional<::whit::BitMap> map = addressMap(unit, codec.bits);
    if (!map)
      return;
    int32_t bitDigits = __builtin_ctz(codec.bits), kDigits = __builtin_ctzll(unit.elements());
    auto nameOf = [&](int32_t in) {
      return in < bitDigits             ? "b" + std::to_string(in)
             : in < bitDigits + kDigits ? "k" + std::to_string(in - bitDigits)
                                        : "c" + std::to_string(in - bitDigits - kDigits);
    };
    out << "  linear over GF(2), lowest digit first: bit =";
    for (int32_t to = 0; to < map->outs(); ++to) {
      if (to == 3)
        out << ", byte =";
      std::string sum;
      for (int32_t in = 0; in < map->ins(); ++in)
        if (map->column(in) >> to & 1)
          sum += (sum.empty() ? "" : "+") + nameOf(in);
      out << " " << (sum.empty() ? "0" : sum);
    }
    out << "\n";
  }

  void sequences(const ::whit::Codec &codec, const ::whit::CodeUnit &unit, const ExtractionTarget &target,
                 CodeUse use) {
    out << target.name << " (" << target.what << "): " << llvm::format("%.2f", uopsPer64(unit, target, use))
        << " uops for 64 codes";
    double registers = 64.0 / target.bytes;
    if (use == CodeUse::Index) {
      std::optional<int32_t> lookup = lookupUops(codec.bits, target);
      out << (lookup ? ", " + std::to_string(int64_t(*lookup * registers)) + " to look them up"
                     : std::string(", no lookup of bytes"));
    }
    for (const ExtractionConsumer &consumer : extractionConsumers())
      if (consumer.target == target.name && consumer.name == "dot")
        out << ", " << consumer.uops * 64 / (consumer.columns * consumer.depth) << " for " << consumer.instruction;
    out << "\n";
    for (int32_t quad = 0; quad < unit.quads; ++quad) {
      Extraction extraction = extractQuad(unit, quad, target, use);
      out << llvm::format("  k %2d..%-2d ", 4 * quad, 4 * quad + 3);
      if (extraction.steps.empty())
        out << " line " << extraction.result << " as it is";
      for (auto [i, step] : llvm::enumerate(extraction.steps))
        out << (i ? "; " : " ") << text(step, unit.lines, target);
      out << "\n";
    }
  }

  std::string text(const ExtractionStep &step, int32_t lines, const ExtractionTarget &target) {
    auto operand = [&](int32_t value) {
      return value < lines ? "line" + std::to_string(value) : "v" + std::to_string(value - lines);
    };
    std::string result;
    llvm::raw_string_ostream stream(result);
    stream << target[step.primitive].instruction << " " << operand(step.a);
    switch (step.primitive) {
    case Primitive::Or3:
      stream << " | " << operand(step.b) << " | " << operand(step.c);
      break;
    case Primitive::Or:
      stream << " | " << operand(step.b);
      break;
    case Primitive::AndOr:
      stream << " & " << llvm::format_hex_no_prefix(step.mask, 2) << " | " << operand(step.b);
      break;
    case Primitive::Select:
      stream << " & " << llvm::format_hex_no_prefix(uint8_t(~step.mask), 2) << " | " << operand(step.b) << " & "
             << llvm::format_hex_no_prefix(step.mask, 2);
      break;
    case Primitive::And:
      stream << " & " << llvm::format_hex_no_prefix(step.mask, 2);
      break;
    case Primitive::Shift:
      stream << (step.shift > 0 ? " >> " : " << ") << std::abs(step.shift);
      break;
    default:
      stream << " by " << llvm::format_hex_no_prefix(step.matrix, 16);
    }
    return result;
  }

  llvm::raw_ostream &out;
  const Encoding &encoding;
  Place place;
};
} // namespace

void mlir::whit::printPlace(llvm::raw_ostream &out, const Encoding &encoding, int64_t n, int64_t k) {
  Picture(out, encoding, n, k).print();
}

bool mlir::whit::printPlaceOf(llvm::StringRef request, llvm::raw_ostream &out, std::string &error) {
  if (request == "all") {
    out << placeTable();
    return true;
  }
  auto [format, size] = request.rsplit(',');
  std::optional<Encoding> encoding = ::whit::parseEncoding(format.trim().str(), &error);
  if (!encoding)
    return false;
  int64_t n = ::whit::kPanelColumns, k = 0;
  if (size.empty()) {
    auto widen = [&](const std::vector<Factor> &factors) {
      for (const Factor &factor : factors)
        k = std::max(k, 2 * factor.block.columns);
    };
    for (const ::whit::Term &term : encoding->terms)
      widen(term.scale);
    widen(encoding->offset);
    k = k ? k : 64;
  } else {
    auto [rows, columns] = size.trim().split('x');
    if (rows.getAsInteger(10, n) || columns.getAsInteger(10, k) || n < 1 || k < 1 || n > 1 << 24 || k > 1 << 24) {
      error = "size '" + size.trim().str() + "' is not NxK with 1 to 16777216 rows and columns, such as 960x576";
      return false;
    }
  }
  printPlace(out, *encoding, n, k);
  return true;
}
