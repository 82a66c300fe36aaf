// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lines need not be searched. Runs of bits of equal place in different lines can be exchanged between lines, and runs that
// cover each of the eight bits of a byte as often as there are lines can always be dealt to lines so that none overlap (they
// are intervals). So a place is a set of quads, each of which covers some bits of a byte (its cover), whose covers add up to
// (lines, ..., lines). Of all ways to cut a code with the same cover one of the cheapest is enough.
//
// What is left is an exact cover problem. A price for each bit of a byte, found by ascending the Lagrangian dual, bounds what
// a rest of bits must cost; a search with increasing limits and a memory of rests that cannot be covered below a limit
// finds the optimum and proves it.

#include "Layout/PlaceSearch.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <map>
#include <unordered_map>

using namespace mlir::whit;
using ::whit::CodeUnit;
using ::whit::Field;

/// Bytes of the codes of a quad: four elements of 16 columns.
static constexpr int32_t kQuadBytes = 64;

/// The fewest quads that fill whole lines.
static int32_t quadsOf(int32_t bits) { return 8 / (bits & -bits); }

namespace {
/// How often each bit of a byte is covered, 4 bits for each.
using Cover = uint32_t;
int32_t countAt(Cover cover, int32_t bit) { return (cover >> (4 * bit)) & 15; }

struct Candidate {
  Cover cover;
  int32_t cost;
  std::vector<Field> fields;
};

int32_t weighted(const Field *fields, size_t count, CodeUse use) {
  int32_t cost = 0;
  for (const ExtractionTarget &target : extractionTargets())
    if (target.weight)
      cost += target.weight * (kQuadBytes / target.bytes) * extractionUops(fields, count, target, use);
  return cost;
}

/// The cheapest quad for each cover.
class Quads {
public:
  Quads(int32_t bits, int32_t lines, CodeUse use) : bits(bits), lines(lines), use(use) {
    extend(0, 0, 0);
    candidates.reserve(best.size());
    for (auto &[cover, candidate] : best)
      candidates.push_back(candidate);
  }
  std::vector<Candidate> candidates;
  int64_t searched = 0;

private:
  void extend(int32_t shift, Cover cover, size_t count) {
    if (shift == bits) {
      ++searched;
      int32_t cost = weighted(fields.data(), count, use);
      auto [entry, isNew] = best.try_emplace(cover, Candidate{cover, cost, {}});
      if (isNew || cost < entry->second.cost)
        entry->second = {cover, cost, {fields.begin(), fields.begin() + count}};
      return;
    }
    if (count == kMostFields)
      return;
    for (int32_t width = bits - shift; width >= 1; --width)
      for (int32_t at = 0; at + width <= 8; ++at) {
        Cover next = cover;
        bool fits = true;
        for (int32_t bit = at; bit < at + width; ++bit) {
          next += Cover(1) << (4 * bit);
          fits &= countAt(next, bit) <= lines;
        }
        fields[count] = {0, 0, at, shift, width};
        if (fits)
          extend(shift + width, next, count + 1);
      }
  }

  int32_t bits, lines;
  CodeUse use;
  std::array<Field, kMostFields> fields;
  std::map<Cover, Candidate> best;
};

class CoverSearch {
public:
  CoverSearch(std::vector<Candidate> candidates, int32_t quads, int32_t lines)
      : candidates(std::move(candidates)), quads(quads), lines(lines) {
    ascend();
    std::sort(this->candidates.begin(), this->candidates.end(), [&](const Candidate &x, const Candidate &y) {
      return std::pair(reduced(x), x.cover) < std::pair(reduced(y), y.cover);
    });
    for (const Candidate &candidate : this->candidates)
      slack.push_back(std::max<int64_t>(reduced(candidate), 0));
  }

  /// The cheapest quads whose covers add up to all bits of all lines.
  std::vector<const Candidate *> solve() {
    Cover whole = 0;
    for (int32_t bit = 0; bit < 8; ++bit)
      whole |= Cover(lines) << (4 * bit);
    // The limit is on what is lost against the prices; the smallest one that does not fail is the optimum.
    while (!cover(whole, quads, needed[whole]))
      if (needed[whole] == kNever)
        return {};
    return chosen;
  }

private:
  static constexpr int64_t kScale = 1024, kNever = std::numeric_limits<int64_t>::max() / 2;

  int64_t reduced(const Candidate &candidate) const {
    int64_t value = kScale * candidate.cost - base;
    for (int32_t bit = 0; bit < 8; ++bit)
      value -= prices[bit] * countAt(candidate.cover, bit);
    return value;
  }

  /// Prices for which no candidate costs less than its bits are worth, and all bits are worth much.
  void ascend() {
    std::array<double, 8> price = {}, bestPrice = {};
    double bestBound = -1e30;
    for (int32_t round = 0; round < 4000; ++round) {
      const Candidate *cheapest = nullptr;
      double least = 1e30, bound = 0;
      for (const Candidate &candidate : candidates) {
        double value = candidate.cost;
        for (int32_t bit = 0; bit < 8; ++bit)
          value -= price[bit] * countAt(candidate.cover, bit);
        if (value < least)
          least = value, cheapest = &candidate;
      }
      for (double each : price)
        bound += lines * each;
      bound += quads * least;
      if (bound > bestBound)
        bestBound = bound, bestPrice = price;
      for (int32_t bit = 0; bit < 8; ++bit)
        price[bit] += 4.0 / (1 + round * 0.05) * (double(lines) / quads - countAt(cheapest->cover, bit));
    }
    for (int32_t bit = 0; bit < 8; ++bit)
      prices[bit] = int64_t(bestPrice[bit] * kScale);
    base = 0;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (const Candidate &candidate : candidates)
      least = std::min(least, reduced(candidate));
    base = least;
  }

  /// Whether `rest` can be covered by `count` quads that lose at most `limit`; `chosen` then holds them. If not, `needed`
  /// says what they lose at least.
  bool cover(Cover rest, int32_t count, int64_t limit) {
    if (!count) {
      chosen.clear();
      return true; // as many bits as all quads have are covered
    }
    int64_t &least = needed[rest];
    if (least > limit)
      return false;
    // Every cover of `rest` covers its rarest bit.
    int32_t bit = -1;
    for (int32_t each = 0; each < 8; ++each)
      if (countAt(rest, each) && (bit < 0 || countAt(rest, each) < countAt(rest, bit)))
        bit = each;
    int64_t next = kNever;
    for (size_t i = 0; i < candidates.size(); ++i) {
      if (slack[i] > limit) {
        next = std::min(next, slack[i]);
        break;
      }
      const Candidate &candidate = candidates[i];
      if (!countAt(candidate.cover, bit) || !isInside(candidate.cover, rest))
        continue;
      if (cover(rest - candidate.cover, count - 1, limit - slack[i])) {
        chosen.push_back(&candidate);
        return true;
      }
      next = std::min(next, slack[i] + needed[rest - candidate.cover]);
    }
    needed[rest] = next;
    return false;
  }
  static bool isInside(Cover cover, Cover rest) {
    // No borrow leaves a digit if the digit of `rest` is not smaller; digits are at most 7, so the fourth bit is free.
    return ((rest | 0x88888888u) - cover & 0x88888888u) == 0x88888888u;
  }

  std::vector<Candidate> candidates;
  int32_t quads, lines;
  std::array<int64_t, 8> prices = {};
  int64_t base = 0;
  std::vector<int64_t> slack;
  std::unordered_map<Cover, int64_t> needed;
  std::vector<const Candidate *> chosen;
};
} // namespace

int32_t mlir::whit::costOf(const CodeUnit &unit, CodeUse use) {
  int32_t cost = 0;
  for (int32_t quad = 0; quad < unit.quads; ++quad) {
    std::vector<Field> fields;
    for (const Field &field : unit.fields)
      if (field.quad == quad)
        fields.push_back(field);
    cost += weighted(fields.data(), fields.size(), use);
  }
  return cost;
}

double mlir::whit::uopsPer64(const CodeUnit &unit, const ExtractionTarget &target, CodeUse use) {
  int32_t uops = 0;
  for (int32_t quad = 0; quad < unit.quads; ++quad)
    uops += extractQuad(unit, quad, target, use).uops;
  return double(uops) * kQuadBytes / target.bytes / unit.quads;
}

CodeUnit mlir::whit::binaryPlanes(int32_t bits) {
  CodeUnit unit;
  unit.quads = quadsOf(bits);
  for (int32_t quad = 0; quad < unit.quads; ++quad) {
    int32_t shift = 0, line = 0;
    for (int32_t width = 8; width >= 1; width /= 2)
      if (bits & width) {
        int32_t fields = 8 / width;
        unit.fields.push_back({quad, line + quad / fields, quad % fields * width, shift, width});
        shift += width;
        line += unit.quads / fields;
      }
    unit.lines = line;
  }
  return unit;
}

/// Deals the fields of all quads to lines. Those that begin where another ends take its line; such a line exists because
/// every bit is covered as often as there are lines. Two fields of a quad share a line only if they must.
static void dealToLines(CodeUnit &unit) {
  std::vector<int32_t> end(unit.lines, 0); // first free bit of each line
  std::vector<uint32_t> quadsIn(unit.lines, 0);
  for (int32_t at = 0; at < 8; ++at)
    for (Field &field : unit.fields) {
      if (field.at != at)
        continue;
      int32_t line = -1;
      for (int32_t each = 0; each < unit.lines; ++each)
        if (end[each] == at && (line < 0 || (quadsIn[line] >> field.quad & 1)))
          line = each;
      assert(line >= 0 && "the covers do not add up");
      field.line = line;
      end[line] = at + field.bits;
      quadsIn[line] |= 1u << field.quad;
    }
}

PlaceSolution mlir::whit::searchPlace(int32_t bits, CodeUse use) {
  PlaceSolution solution;
  CodeUnit &unit = solution.unit;
  unit.quads = quadsOf(bits);
  unit.lines = bits * unit.quads / 8;
  Quads quads(bits, unit.lines, use);
  solution.searched = quads.searched;
  CoverSearch search(std::move(quads.candidates), unit.quads, unit.lines);
  std::vector<const Candidate *> chosen = search.solve();
  // The quads that lie lowest and are cut least come first, as in the places that have only one line.
  std::stable_sort(chosen.begin(), chosen.end(), [](const Candidate *x, const Candidate *y) {
    return std::pair(x->fields.size(), x->fields.front().at) < std::pair(y->fields.size(), y->fields.front().at);
  });
  for (int32_t quad = 0; quad < unit.quads; ++quad) {
    solution.cost += chosen[quad]->cost;
    for (Field field : chosen[quad]->fields) {
      field.quad = quad;
      unit.fields.push_back(field);
    }
  }
  dealToLines(unit);
  return solution;
}

std::string mlir::whit::placeTable() {
  std::string text = R"(// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where the bits of codes lie. Not written by hand: `whit-opt --print-place=all` prints this file, from the search over the
// rows of passes/Layout/Targets.def, and test/passes/Layout compares them.
//
// WHIT_PLACE(bits, use, lines...)
//   lines   of one unit, each byte of a line from bit 7 to bit 0: the letter is the quad (a: elements 0..3 of the unit, b:
//           4..7, ...), the digit the bit of its code

)";
  for (CodeUse use : {CodeUse::Number, CodeUse::Index})
    for (int32_t bits = 1; bits <= 8; ++bits) {
      text += "WHIT_PLACE(" + std::to_string(bits) + (use == CodeUse::Number ? ", Number" : ", Index");
      for (const std::string &line : picture(searchPlace(bits, use).unit))
        text += ",\n           \"" + line + "\"";
      text += ")\n";
    }
  return text + "\n#undef WHIT_PLACE\n";
}
