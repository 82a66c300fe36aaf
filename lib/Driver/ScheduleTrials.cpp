// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Regions are told by their numbers, which whit-outline-regions gives in the order in which they stand; tiling keeps that order. All regions
// that share a kernel are refused its cut together, so that they still share the next one.

#include "Driver/ScheduleTrials.h"

#include "Whit/Whit.h"
#include "Whit/WhitCostModel.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using mlir::whit::RegionOp;

namespace whit {
namespace {

/// Rounds in which something new may be tried: each compiles the variant again.
constexpr size_t kMostRounds = 4;

std::string textOf(mlir::Attribute cut) {
  auto schedule = cast<mlir::whit::ScheduleAttr>(cut);
  std::string text;
  raw_string_ostream stream(text);
  ArrayRef<int64_t> tile = schedule.getTile();
  stream << "blocks of ";
  if (tile.size() > 1)
    stream << tile[tile.size() - 2] << " rows x ";
  stream << tile.back() << " columns";
  if (schedule.getSplits() > 1)
    stream << " in " << schedule.getSplits() << " splits";
  return text;
}

/// Bytes of a thread that went to memory without having been asked to. A matmul has no use for a stack.
int64_t spilledBytes(const KernelFacts &facts, bool isMatmul) {
  return std::max<int64_t>({facts.spills, isMatmul ? facts.stack : 0, 0});
}

void writeMatmul(json::OStream &out, mlir::Operation *op, mlir::whit::PlaceAttr attr) {
  Place place = attr.solve();
  constexpr StringRef kinds[] = {"float", "bfloat", "integer"};
  Products products = mlir::whit::productsOf(op);
  out.object([&] {
    out.attribute("format", attr.getFormat().getName());
    out.attribute("n", place.n);
    out.attribute("k", place.k);
    out.attribute("group", place.group);
    out.attribute("bytes", place.bytes());
    out.attribute("products", kinds[products == Products::Float ? 0 : products == Products::Bfloat ? 1 : 2]);
  });
}

} // namespace

bool ScheduleTrials::Kernel::isPartOf(int64_t region, const Kernel &other) const {
  return is_contained(regions, region) && part() == other.part();
}

ScheduleTrials::Kernel::Kernel(const Compiled &from, const KernelFacts &facts, size_t round)
    : facts(facts), regions(from.regions), round(round) {
  auto table = from.lowered->getAttrOfType<mlir::ArrayAttr>("whit.kernels");
  auto known = from.lowered->getAttrOfType<mlir::ArrayAttr>("whit.regions");
  for (mlir::Attribute entry : table ? table.getValue() : ArrayRef<mlir::Attribute>()) {
    auto description = cast<mlir::DictionaryAttr>(entry);
    if (auto other = description.getAs<mlir::StringAttr>("name"); !other || other != facts.name)
      continue;
    cut = description.get("cut");
    auto numbers = description.getAs<mlir::DenseI64ArrayAttr>("regions");
    if (!numbers || numbers.empty())
      continue;
    if (known && size_t(numbers[0]) < known.size())
      if (auto first = cast<mlir::DictionaryAttr>(known[numbers[0]]).getAs<mlir::StringAttr>("name"))
        name = first.str();
    if (regions.empty())
      regions.assign(numbers.asArrayRef().begin(), numbers.asArrayRef().end());
  }
  spilled = spilledBytes(facts, bool(cut));
}

bool ScheduleTrials::note(ArrayRef<Compiled> compiled) {
  size_t round = rounds++, first = kernels.size();
  std::vector<std::string> names;
  if (laidOut)
    laidOut.get().walk([&](RegionOp op) { names.push_back(op.getName().str()); });
  for (const Compiled &from : compiled)
    for (const KernelFacts &facts : from.kernels) {
      Kernel &kernel = kernels.emplace_back(from, facts, round);
      if (!from.regions.empty() && size_t(from.regions[0]) < names.size())
        kernel.name = names[from.regions[0]];
    }
  bool again = false;
  for (const Kernel &kernel : ArrayRef(kernels).drop_front(first)) {
    if (!laidOut || !kernel.cut || !kernel.spilled || kernel.regions.empty() || exhausted.contains(kernel.regions[0]))
      continue;
    bool isKnown = false, hasBetter = false;
    for (const Kernel &other : ArrayRef(kernels).take_front(first))
      if (other.isPartOf(kernel.regions[0], kernel)) {
        isKnown |= other.cut == kernel.cut;
        hasBetter |= other.spilled < kernel.spilled;
      }
    bool goesOn = !isKnown && round < kMostRounds;
    if (!goesOn)
      exhausted.insert(kernel.regions.begin(), kernel.regions.end());
    again |= goesOn || hasBetter;
  }
  return again;
}

mlir::OwningOpRef<mlir::ModuleOp> ScheduleTrials::next() const {
  mlir::OwningOpRef<mlir::ModuleOp> module = laidOut.get().clone();
  mlir::Builder b(module->getContext());
  int64_t region = 0;
  module->walk([&](RegionOp op) {
    SmallVector<const Kernel *> tried;
    for (const Kernel &kernel : kernels)
      if (kernel.cut && is_contained(kernel.regions, region))
        tried.push_back(&kernel);
    SmallVector<mlir::Attribute> refused, preferred;
    stable_sort(tried, [](const Kernel *x, const Kernel *y) { return x->spilled < y->spilled; });
    for (const Kernel *kernel : tried) {
      preferred.push_back(kernel->cut);
      if (kernel->spilled)
        refused.push_back(kernel->cut);
    }
    if (!refused.empty())
      op->setAttr("whit.refused", b.getArrayAttr(refused));
    if (exhausted.contains(region))
      op->setAttr("whit.preferred", b.getArrayAttr(preferred));
    ++region;
  });
  return module;
}

std::vector<ScheduleTrials::Replacement> ScheduleTrials::replacements() const {
  std::vector<mlir::Location> locations;
  if (laidOut)
    laidOut.get().walk([&](RegionOp op) { locations.push_back(op.getLoc()); });
  std::vector<Replacement> list;
  for (auto [i, kernel] : enumerate(kernels)) {
    if (!kernel.cut || !kernel.spilled || kernel.regions.empty() || size_t(kernel.regions[0]) >= locations.size())
      continue;
    for (const Kernel &after : ArrayRef(kernels).drop_front(i + 1))
      if (after.round == kernel.round + 1 && after.cut && after.cut != kernel.cut &&
          after.isPartOf(kernel.regions[0], kernel))
        list.push_back({locations[kernel.regions[0]], "region '" + kernel.name + "': " + textOf(kernel.cut) +
                                                          " spill " + std::to_string(kernel.spilled) +
                                                          " bytes of each thread; " + textOf(after.cut) +
                                                          " take their place"});
  }
  return list;
}

std::vector<std::string> ScheduleTrials::warnings() const {
  std::vector<std::string> list;
  for (const Kernel &kernel : kernels) {
    if (kernel.round + 1 < rounds || !kernel.spilled)
      continue;
    std::set<const void *> cuts;
    for (const Kernel &other : kernels)
      if (!kernel.regions.empty() && other.isPartOf(kernel.regions[0], kernel))
        cuts.insert(other.cut.getAsOpaquePointer());
    std::string of = kernel.name.empty() ? "" : " of region '" + kernel.name + "'";
    list.push_back("kernel " + kernel.facts.name + of + " moves " + std::to_string(kernel.spilled) +
                   " bytes of each thread to memory for want of registers" +
                   (kernel.cut ? "; " + std::to_string(cuts.size()) +
                                     (cuts.size() == 1 ? " schedule was tried" : " schedules were tried")
                               : std::string("; it has one schedule only")));
  }
  return list;
}

std::string ScheduleTrials::rows(StringRef model, StringRef target, StringRef machine) const {
  std::string text;
  raw_string_ostream stream(text);
  std::vector<RegionOp> regions;
  if (laidOut)
    laidOut.get().walk([&](RegionOp op) { regions.push_back(op); });
  for (const Kernel &kernel : kernels) {
    json::OStream out(stream);
    out.object([&] {
      out.attribute("model", json::fixUTF8(model));
      out.attribute("target", target);
      out.attribute("machine", machine);
      out.attribute("round", int64_t(kernel.round));
      out.attribute("is_final", kernel.round + 1 == rounds);
      out.attribute("region", json::fixUTF8(kernel.name));
      out.attribute("regions", int64_t(kernel.regions.size()));
      if (kernel.cut) {
        auto cut = cast<mlir::whit::ScheduleAttr>(kernel.cut);
        out.attribute("tile", json::Array(cut.getTile()));
        out.attribute("splits", cut.getSplits());
      }
      out.attributeArray("matmuls", [&] {
        if (kernel.regions.empty() || size_t(kernel.regions[0]) >= regions.size())
          return;
        for (mlir::Operation *op : regions[kernel.regions[0]].getComputeOps())
          if (auto place = op->getAttrOfType<mlir::whit::PlaceAttr>("place");
              place && isa<mlir::whit::MatmulOp, mlir::whit::QuantizedMatmulOp>(op))
            writeMatmul(out, op, place);
      });
      out.attribute("spilled", kernel.spilled);
      if (kernel.cut && !kernel.regions.empty() && size_t(kernel.regions[0]) < regions.size()) {
        auto cut = cast<mlir::whit::ScheduleAttr>(kernel.cut);
        if (auto forecast = mlir::whit::forecastOf(regions[kernel.regions[0]], target, cut.getTile(), cut.getSplits()))
          out.attributeObject("forecast", [&] {
            out.attribute("registers", forecast->registers);
            out.attribute("spills", forecast->spills);
            out.attribute("code", forecast->code);
          });
      }
      writeFacts(out, kernel.facts);
    });
    stream << "\n";
  }
  return text;
}

} // namespace whit
