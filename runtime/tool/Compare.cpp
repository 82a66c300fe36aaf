// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-run --expect: every element of every reference array, against the output of its name.
#include "runtime/tool/RunCommand.h"

#include "runtime/core/Elements.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace whit {
namespace {

struct Difference {
  int64_t wrong = 0, worst = 0;
  double worstExcess = -1, largest = 0; ///< of |out - ref| over its bound; of |out - ref|
};

/// Equal infinities and two NaNs agree.
double distance(double found, double expected) {
  if (found == expected || (std::isnan(found) && std::isnan(expected)))
    return 0;
  double result = std::fabs(found - expected);
  return std::isnan(result) ? INFINITY : result;
}

/// `bounds` (may be null): what each element may be off besides.
Difference compare(const whit_tensor &found, const Array &expected, const Array *bounds, double rtol, double atol) {
  Difference difference;
  for (int64_t i = 0, count = expected.count(); i < count; ++i) {
    double reference = elementAt(expected.type, expected.data.data(), i);
    double off = distance(elementAt(ElementType(found.dtype), found.data, i), reference);
    double bound = atol + (std::isfinite(reference) ? rtol * std::fabs(reference) : 0);
    if (bounds)
      bound += elementAt(bounds->type, bounds->data.data(), i);
    difference.largest = std::fmax(difference.largest, off);
    difference.wrong += off > bound;
    double excess = off == 0 ? 0 : off / bound; // a bound of zero gives infinity
    if (excess > difference.worstExcess) {
      difference.worstExcess = excess;
      difference.worst = i;
    }
  }
  return difference;
}

std::string shapeText(const int64_t *dims, size_t rank) {
  std::string text = "[";
  for (size_t i = 0; i < rank; ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

/// "[0, 3, 17]" for the flat index.
std::string indexText(int64_t flat, const std::vector<int64_t> &dims) {
  std::vector<int64_t> index(dims.size());
  for (size_t i = dims.size(); i-- > 0; flat /= dims[i])
    index[i] = flat % dims[i];
  return shapeText(index.data(), index.size());
}

} // namespace

whit_status compareOutputs(Running &running) {
  const RunOptions &options = running.options;
  std::vector<Array> references;
  if (whit_status status = readNpz(options.expect, references))
    return status;
  std::string failures;
  constexpr std::string_view suffix = ".bound"; // NAME.bound beside NAME, as whit-check writes them
  for (const Array &reference : references) {
    auto named = [&](const std::string &name) {
      auto found = std::find_if(references.begin(), references.end(), [&](const Array &a) { return a.name == name; });
      return found == references.end() ? nullptr : &*found;
    };
    if (reference.name.ends_with(suffix) && named(reference.name.substr(0, reference.name.size() - suffix.size())))
      continue;
    const Array *bounds = named(reference.name + std::string(suffix));
    if (bounds && bounds->dims != reference.dims)
      return fail(WHIT_INVALID, "'%.120s' has another shape than what it bounds", bounds->name.c_str());
    whit_tensor found;
    if (whit_status status = whit_session_output(running.session, reference.name.c_str(), &found))
      return status;
    std::string foundShape = shapeText(found.dims, size_t(found.rank)),
                wantedShape = shapeText(reference.dims.data(), reference.dims.size());
    if (foundShape != wantedShape) {
      failures += (failures.empty() ? "" : "; ") +
                  ("'" + reference.name + "' has shape " + foundShape + ", the reference " + wantedShape);
      continue;
    }
    Difference difference = compare(found, reference, bounds, options.rtol, options.atol);
    (*running.report)["expect"][reference.name] = {
        {"elements", reference.count()}, {"wrong", difference.wrong}, {"max_abs", difference.largest}};
    if (!options.json)
      std::printf("%-5s %s: %lld elements, largest difference %.3g\n", difference.wrong ? "WRONG" : "ok",
                  reference.name.c_str(), (long long)reference.count(), difference.largest);
    if (difference.wrong == 0)
      continue;
    char text[512];
    std::snprintf(text, sizeof text,
                  "'%.120s' differs in %lld of %lld elements, worst at %s: %.9g, the reference is %.9g",
                  reference.name.c_str(), (long long)difference.wrong, (long long)reference.count(),
                  indexText(difference.worst, reference.dims).c_str(),
                  elementAt(ElementType(found.dtype), found.data, difference.worst),
                  elementAt(reference.type, reference.data.data(), difference.worst));
    failures += (failures.empty() ? "" : "; ") + std::string(text);
  }
  if (failures.empty())
    return WHIT_OK;
  return fail(WHIT_MISMATCH, "output %.1800s (rtol %g, atol %g)", failures.c_str(), options.rtol, options.atol);
}

} // namespace whit
