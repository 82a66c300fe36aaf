// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Corrections are bounded: a tree must not make a kernel a thousand times as fast.

#include "CostModel/Learned.h"

#include "CostModel/MatmulFeatures.h"
#include "whit/MatmulSpace.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cmath>

namespace whit {

static constexpr llvm::StringLiteral kSchema = "whit-cost-model/1";
/// Factors of 1/16 to 16.
static constexpr int32_t kMostCorrection = 4 * 256;

std::string kernelFeatures(const std::vector<std::string> &features) {
  std::string text;
  for (const char *name : {"avx", "avx2", "avx512bf16", "avx512bw", "avx512dq", "avx512f", "avx512vbmi", "avx512vl",
                           "avx512vnni", "avxvnni", "f16c", "fma", "gfni"})
    if (std::find(features.begin(), features.end(), name) != features.end())
      text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

std::optional<LearnedCostModel> LearnedCostModel::parse(std::string_view text, std::string *why) {
  auto refuse = [&](const std::string &reason) {
    if (why)
      *why = reason;
    return std::nullopt;
  };
  auto [head, body] = llvm::StringRef(text).split('\n');
  auto value = llvm::json::parse(head);
  if (!value) {
    llvm::consumeError(value.takeError());
    return refuse("the first line is no JSON");
  }
  const llvm::json::Object *object = value->getAsObject();
  auto schema = object ? object->getString("schema") : std::nullopt;
  if (!schema || *schema != kSchema)
    return refuse("the schema is '" + schema.value_or("").str() + "', expected '" + kSchema.str() + "'");
  ModelOrigin origin;
  for (auto [name, field] : {std::pair<llvm::StringRef, std::string *>("cpu", &origin.cpu),
                             {"features", &origin.features},
                             {"llvm", &origin.llvm},
                             {"lowering", &origin.lowering},
                             {"data", &origin.data}}) {
    auto found = object->getString(name);
    if (!found)
      return refuse("'" + name.str() + "' is missing");
    *field = found->str();
  }
  origin.rows = object->getInteger("rows").value_or(0);
  std::string problem;
  std::optional<Forest> forest = Forest::parse(body, &problem);
  if (!forest)
    return refuse("the forest: " + problem);
  if (forest->features() != matmulFeatureNames())
    return refuse("the forest asks for other features than there are; train it again");
  return LearnedCostModel(std::move(origin), std::move(*forest));
}

std::string LearnedCostModel::print() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream out(stream);
  out.object([&] {
    out.attribute("schema", kSchema);
    out.attribute("cpu", origin.cpu);
    out.attribute("features", origin.features);
    out.attribute("llvm", origin.llvm);
    out.attribute("lowering", origin.lowering);
    out.attribute("data", origin.data);
    out.attribute("rows", origin.rows);
  });
  return text + "\n" + forest.print();
}

int32_t LearnedCostModel::correction(const MatmulWork &work, const MatmulTile &tile) const {
  if (!knowsAllKnobs(work))
    return 0;
  return std::clamp(forest.predict(matmulFeatures(analytic, work, tile)), -kMostCorrection, kMostCorrection);
}

double LearnedCostModel::matmulSeconds(const MatmulWork &work, const MatmulTile &tile) const {
  return analytic.matmulSeconds(work, sameCode(tile, work.rows)) * std::exp2(correction(work, tile) / 256.0);
}

} // namespace whit
