// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Keys are stable: scripts compare reports of two compilations.

#include "Driver/Report.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>
#include <sys/resource.h>

using namespace llvm;

namespace whit {

/// Null where a number is infinite, which JSON cannot say.
static llvm::json::Value finite(double value) {
  return std::isfinite(value) ? llvm::json::Value(value) : llvm::json::Value(nullptr);
}

static void writeWeights(llvm::json::OStream &out, ArrayRef<WeightLoss> losses) {
  out.attributeArray("weights", [&] {
    for (const WeightLoss &loss : losses)
      out.object([&] {
        out.attribute("name", llvm::json::fixUTF8(loss.name));
        out.attribute("shape", llvm::json::Array(loss.shape));
        out.attribute("before", loss.before);
        out.attribute("format", loss.after);
        out.attribute("bytes_before", loss.bytesBefore);
        out.attribute("bytes_after", loss.bytesAfter);
        out.attribute("bits_per_weight", loss.bitsPerWeight());
        out.attribute("quantizer", loss.quantizer);
        if (loss.rank)
          out.attribute("rank", loss.rank);
        if (!loss.isConverted)
          return;
        out.attribute("snr_db", finite(loss.snr())); // null: exact
        out.attribute("relative_rms_error", loss.relativeError());
        out.attribute("largest_error", loss.largest);
        out.attribute("largest_error_at", llvm::json::Array({loss.row, loss.column}));
      });
  });
  WeightLossTotal total = totalOf(losses);
  out.attributeObject("weights_total", [&] {
    out.attribute("matrices", total.matrices);
    out.attribute("quantized", total.converted);
    out.attribute("bytes_before", total.bytesBefore);
    out.attribute("bytes_after", total.bytesAfter);
    out.attribute("bits_per_weight", total.bitsPerWeight());
    if (total.converted) {
      out.attribute("snr_db", finite(total.snr()));
      out.attribute("relative_rms_error", total.relativeError());
      out.attribute("worst", llvm::json::fixUTF8(total.worst->name));
    }
  });
}

static void writeKernels(llvm::json::OStream &out, ArrayRef<Report::Kernel> kernels) {
  out.attributeArray("kernels", [&] {
    for (const auto &[target, facts] : kernels)
      out.object([&, &target = target, &facts = facts] {
        out.attribute("target", target);
        writeFacts(out, facts);
      });
  });
}

double Report::seconds() const {
  double total = 0;
  for (const Stage &stage : stages)
    total += stage.seconds;
  return total;
}

ArrayRef<WeightLoss> Report::losses() const { return artifact ? ArrayRef(artifact->losses) : ArrayRef<WeightLoss>(); }

std::string Report::forFile(StringRef file, const CompileOptions &options,
                            const std::vector<RemarkEntry> &remarks) const {
  StringRef extension = sys::path::extension(file);
  if (extension == ".txt")
    return text(options);
  return extension == ".html" ? html(options, remarks) : json(options, remarks);
}

std::string Report::json(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const {
  std::string result;
  raw_string_ostream stream(result);
  llvm::json::OStream out(stream, /*IndentSize=*/1);
  auto strings = [](const std::vector<std::string> &list) {
    llvm::json::Array array;
    for (const std::string &text : list)
      array.push_back(llvm::json::fixUTF8(text));
    return llvm::json::Value(std::move(array));
  };
  struct rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  out.object([&] {
    out.attribute("producer", producer());
    out.attribute("model", llvm::json::fixUTF8(options.model));
    out.attribute("output", llvm::json::fixUTF8(options.output));
    out.attribute("targets", strings(targets));
    out.attributeObject("options", [&] {
      out.attribute("weights", options.weights);
      out.attribute("format_map", llvm::json::fixUTF8(options.formatMap));
      out.attribute("keep", llvm::json::fixUTF8(options.keep));
      out.attribute("quantizer", options.quantizer);
      out.attribute("activations", options.activations);
      out.attribute("kv", options.kv);
      out.attribute("kv_hadamard", options.kvHadamard);
      out.attribute("context", options.context);
    });
    out.attribute("seconds", seconds());
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
        out.attribute("weights_file", llvm::json::fixUTF8(artifact->weightsFile));
      });
    if (artifact)
      writeWeights(out, losses());
    if (!kernels.empty())
      writeKernels(out, kernels);
    out.attributeArray("remarks", [&] {
      for (const RemarkEntry &remark : remarks)
        out.object([&] {
          out.attribute("stage", remark.stage);
          out.attribute("pass", remark.category);
          out.attribute("kind", remark.kind);
          out.attribute("name", llvm::json::fixUTF8(remark.name));
          out.attribute("message", llvm::json::fixUTF8(remark.message));
          out.attribute("nodes", strings(remark.nodes));
        });
    });
  });
  stream << "\n";
  return result;
}

} // namespace whit
