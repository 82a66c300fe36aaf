// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A report for a terminal: one line a weight, one for all.

#include "Driver/Console.h"
#include "Driver/Report.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace llvm;

namespace whit {

std::string decibelText(double snr) { return std::isfinite(snr) ? formatv("{0:F1} dB", snr).str() : "exact"; }

std::string shapeText(const WeightLoss &loss) {
  std::string text;
  for (int64_t size : loss.shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text.empty() ? "scalar" : text;
}

std::string formatText(const WeightLoss &loss) {
  return loss.after + (loss.rank ? " + rank " + std::to_string(loss.rank) : "");
}

std::string sentenceOf(const WeightLossTotal &total) {
  return formatv("quantized {0} of {1} weights, {2} -> {3}, {4:F2} bits per weight; most loses {5}, SNR {6}",
                 grouped(total.converted), grouped(total.matrices), sizeText(total.bytesBefore),
                 sizeText(total.bytesAfter), total.bitsPerWeight(), total.worst->name, decibelText(total.worst->snr()));
}

std::string Report::text(const CompileOptions &options) const {
  std::string result;
  raw_string_ostream out(result);
  out << options.model << " -> " << options.output << ", " << join(targets, " ") << formatv(", {0:F1} s\n", seconds());
  size_t width = 6, formatWidth = 20;
  for (const WeightLoss &loss : losses()) {
    width = std::max(width, loss.name.size());
    formatWidth = std::max(formatWidth, loss.after.size() + 2); // a formula may be long
  }
  auto line = [&](StringRef name, StringRef shape, StringRef format, StringRef bits, StringRef snr, StringRef relative,
                  StringRef largest, StringRef before, StringRef after) {
    out << left_justify(name, width) << "  " << left_justify(shape, 13) << left_justify(format, formatWidth)
        << right_justify(bits, 6) << right_justify(snr, 10) << right_justify(relative, 10) << right_justify(largest, 10)
        << right_justify(before, 10) << right_justify(after, 10) << "\n";
  };
  line("weight", "shape", "format", "bits", "SNR", "rel. RMS", "largest", "before", "after");
  for (const WeightLoss &loss : losses()) {
    bool known = loss.isConverted;
    line(loss.name, shapeText(loss), formatText(loss), formatv("{0:F2}", loss.bitsPerWeight()).str(),
         known ? decibelText(loss.snr()) : "as stored", known ? formatv("{0:P2}", loss.relativeError()).str() : "",
         known ? formatv("{0:E1}", loss.largest).str() : "", sizeText(loss.bytesBefore), sizeText(loss.bytesAfter));
  }
  WeightLossTotal total = totalOf(losses());
  line("total", "", "", formatv("{0:F2}", total.bitsPerWeight()).str(), total.converted ? decibelText(total.snr()) : "",
       total.converted ? formatv("{0:P2}", total.relativeError()).str() : "", "", sizeText(total.bytesBefore),
       sizeText(total.bytesAfter));
  if (total.converted)
    out << sentenceOf(total) << "\n";
  for (const Kernel &kernel : kernels)
    out << kernel.target << " " << kernel.facts.name << ": " << factsText(kernel.facts) << "\n";
  return result;
}

} // namespace whit
