// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Keys are stable: scripts compare reports of two compilations.

#include "Driver/Report.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <sys/resource.h>

using namespace llvm;

namespace whit {

std::string Report::text(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const {
  std::string result;
  raw_string_ostream stream(result);
  json::OStream out(stream, /*IndentSize=*/1);
  auto strings = [](const std::vector<std::string> &list) {
    json::Array array;
    for (const std::string &text : list)
      array.push_back(json::fixUTF8(text));
    return json::Value(std::move(array));
  };
  double seconds = 0;
  for (const Stage &stage : stages)
    seconds += stage.seconds;
  struct rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  out.object([&] {
    out.attribute("producer", producer());
    out.attribute("model", json::fixUTF8(options.model));
    out.attribute("output", json::fixUTF8(options.output));
    out.attribute("targets", strings(targets));
    out.attributeObject("options", [&] {
      out.attribute("weights", options.weights);
      out.attribute("format_map", json::fixUTF8(options.formatMap));
      out.attribute("keep", json::fixUTF8(options.keep));
      out.attribute("activations", options.activations);
      out.attribute("kv", options.kv);
      out.attribute("context", options.context);
    });
    out.attribute("seconds", seconds);
    out.attribute("peak_rss_mb", double(usage.ru_maxrss) / 1024);
    out.attributeArray("stages", [&] {
      for (const Stage &stage : stages)
        out.object([&] {
          out.attribute("name", stage.name);
          out.attribute("seconds", stage.seconds);
          out.attribute("operations", int64_t(stage.operations));
        });
    });
    if (artifact)
      out.attributeObject("artifact", [&] {
        out.attribute("identity", toHex(artifact->identity));
        out.attribute("code_bytes", artifact->codeBytes);
        out.attribute("weight_bytes", artifact->weightBytes);
        out.attribute("weights", artifact->weightCount);
        out.attribute("weights_file", json::fixUTF8(artifact->weightsFile));
      });
    out.attributeArray("remarks", [&] {
      for (const RemarkEntry &remark : remarks)
        out.object([&] {
          out.attribute("stage", remark.stage);
          out.attribute("pass", remark.category);
          out.attribute("kind", remark.kind);
          out.attribute("name", json::fixUTF8(remark.name));
          out.attribute("message", json::fixUTF8(remark.message));
          out.attribute("nodes", strings(remark.nodes));
        });
    });
  });
  stream << "\n";
  return result;
}

} // namespace whit
