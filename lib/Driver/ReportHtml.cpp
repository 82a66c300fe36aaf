// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A report as one page: nothing is loaded from anywhere, no script runs, and names from the model are escaped. Plots are inline SVG
// written here: what each weight loses, what it weighs before and after, and how errors are spread.

#include "Driver/Console.h"
#include "Driver/Report.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"

#include <cmath>

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kStyle = R"(
:root { --ink: #1b1f24; --soft: #6b7480; --line: #dde1e6; --page: #ffffff; --card: #f6f7f9; --a: #2f6db5; --b: #c7d3e0; --warn: #b5482f }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ed; --soft: #98a2ae; --line: #333a42; --page: #15181c; --card: #1e2328; --a: #6ba6e8; --b: #3c4856; --warn: #e8876b }
}
body { margin: 0 auto; max-width: 1080px; padding: 32px 20px; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page) }
h1 { font-size: 22px; margin: 0 } h2 { font-size: 17px; margin: 36px 0 8px } p, figcaption { color: var(--soft); margin: 4px 0 }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 } .card { background: var(--card); border-radius: 8px; padding: 10px 16px }
.card b { display: block; font-size: 20px } .card span { color: var(--soft); font-size: 13px }
figure { margin: 0; overflow-x: auto } svg { display: block } svg text { font: 11px system-ui, sans-serif; fill: var(--soft) }
table { border-collapse: collapse; width: 100%; font-size: 13px } td, th { padding: 3px 10px; text-align: right; border-bottom: 1px solid var(--line) }
td:first-child, th:first-child { text-align: left; word-break: break-all } th { color: var(--soft); font-weight: 500 }
code { font: 13px ui-monospace, monospace } details { margin: 12px 0 } .worst { color: var(--warn) })";

/// Text from a model or a command line as HTML text or as an attribute's value.
std::string escaped(StringRef text) {
  std::string valid = json::isUTF8(text) ? text.str() : json::fixUTF8(text), result;
  for (char c : valid) {
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    case '\'':
      result += "&#39;";
      break;
    default:
      result += (uint8_t(c) < 0x20 && c != '\t') || c == 0x7f ? '?' : c;
    }
  }
  return result;
}

/// A number with the fewest digits that a plot can show.
std::string px(double value) { return formatv("{0:F1}", value); }

/// Round steps of an axis from 0 to `top`, four to eight of them.
double stepOf(double top) {
  double step = std::pow(10, std::floor(std::log10(std::max(top, 1e-12))));
  for (double part : {0.1, 0.2, 0.25, 0.5, 1.0})
    if (top / (step * part) <= 8)
      return step * part;
  return step * 2;
}

/// Columns side by side over an axis that starts at 0.
class Plot {
public:
  Plot(size_t columns, double top, StringRef unit) : top(top > 0 ? top : 1) {
    pitch = std::clamp(960.0 / double(std::max<size_t>(columns, 1)), 6.0, 40.0);
    width = kLeft + pitch * double(columns) + 8;
    double step = stepOf(this->top);
    for (double at = 0; at <= this->top * 1.0001; at += step) {
      body += formatv("<line x1='{0}' x2='{1}' y1='{2}' y2='{2}' stroke='var(--line)'/>", kLeft, px(width), px(y(at)));
      body +=
          formatv("<text x='{0}' y='{1}' text-anchor='end'>{2}{3}</text>", kLeft - 6, px(y(at) + 4), text(at), unit);
    }
  }
  void bar(size_t column, double value, StringRef colour, StringRef title, double inset = 0.15) {
    double clipped = std::min(value, top);
    body += formatv("<rect x='{0}' y='{1}' width='{2}' height='{3}' fill='var(--{4})'><title>{5}</title></rect>",
                    px(kLeft + pitch * (double(column) + inset)), px(y(clipped)), px(pitch * (1 - 2 * inset)),
                    px(std::max(y(0) - y(clipped), 0.5)), colour, escaped(title));
  }
  std::string svg(StringRef label) const {
    return formatv("<svg width='{0}' height='{1}' role='img' aria-label='{2}'>{3}</svg>", px(width), kHeight, label,
                   body);
  }

private:
  static constexpr int kLeft = 64, kHeight = 190;
  static std::string text(double value) {
    std::string digits = formatv("{0:F2}", value);
    return digits.find('.') == digits.npos ? digits : StringRef(digits).rtrim('0').rtrim('.').str();
  }
  double y(double value) const { return 170 - value / top * 155; }
  double top, pitch, width;
  std::string body;
};

void plotLosses(raw_ostream &out, ArrayRef<WeightLoss> losses, const WeightLossTotal &total) {
  double top = 0;
  std::vector<const WeightLoss *> shown;
  for (const WeightLoss &loss : losses)
    if (loss.isConverted) {
      shown.push_back(&loss);
      top = std::max(top, std::isfinite(loss.snr()) ? loss.snr() : 0.0);
    }
  if (shown.empty())
    return;
  Plot snr(shown.size(), top * 1.05, " dB");
  for (auto [i, loss] : enumerate(shown))
    snr.bar(i, std::max(loss->snr(), 0.0), loss == total.worst ? "warn" : "a",
            loss->name + ": " + decibelText(loss->snr()));
  out << "<h2>Signal to noise</h2>\n<figure>" << snr.svg("signal to noise of each weight")
      << "<figcaption>One column a weight, in the order of the model; higher is better. 6 dB are one "
         "bit.</figcaption></figure>\n";

  std::array<double, WeightLoss::kBins> bins{};
  double sum = 0, most = 0;
  for (const WeightLoss *loss : shown)
    for (auto [i, count] : enumerate(loss->histogram))
      bins[i] += double(count), sum += double(count);
  if (!sum)
    return;
  for (double &bin : bins)
    most = std::max(most, bin = 100 * bin / sum);
  Plot errors(bins.size(), most, " %");
  double reach = WeightLoss::kHistogramReach, each = 2 * reach / double(bins.size());
  for (auto [i, bin] : enumerate(bins))
    errors.bar(
        i, bin, "a",
        formatv("{0:F2} to {1:F2} steps: {2:F2} %", -reach + double(i) * each, -reach + double(i + 1) * each, bin)
            .str(),
        0.04);
  out << "<h2>Errors</h2>\n<figure>" << errors.svg("histogram of errors")
      << formatv("<figcaption>How far values moved, from -{0:F1} to {0:F1} steps between neighbouring codes. Rounding "
                 "stays within half a "
                 "step; what lies beyond was cut off at the end of a group's range.</figcaption></figure>\n",
                 reach);
}

void plotBytes(raw_ostream &out, ArrayRef<WeightLoss> losses) {
  double top = 0;
  std::vector<const WeightLoss *> shown;
  for (const WeightLoss &loss : losses)
    if (loss.isMatrix) {
      shown.push_back(&loss);
      top = std::max({top, double(loss.bytesBefore), double(loss.bytesAfter)});
    }
  if (shown.empty())
    return;
  double unit = top >= 1e6 ? 1e6 : 1e3;
  Plot bytes(shown.size(), top / unit, unit == 1e6 ? " MB" : " kB");
  for (auto [i, loss] : enumerate(shown)) {
    std::string title = loss->name + ": " + sizeText(loss->bytesBefore) + " -> " + sizeText(loss->bytesAfter);
    bytes.bar(i, double(loss->bytesBefore) / unit, "b", title);
    bytes.bar(i, double(loss->bytesAfter) / unit, "a", title, 0.28);
  }
  out << "<h2>Bytes</h2>\n<figure>" << bytes.svg("bytes of each weight before and after")
      << "<figcaption>In the model's file (behind) and in the artifact (before).</figcaption></figure>\n";
}

void card(raw_ostream &out, const Twine &value, StringRef what) {
  out << "<div class='card'><b>" << escaped(value.str()) << "</b><span>" << what << "</span></div>\n";
}

void tableRow(raw_ostream &out, StringRef tag, ArrayRef<std::string> cells, StringRef style = "") {
  out << "<tr" << style << ">";
  for (const std::string &cell : cells)
    out << "<" << tag << ">" << escaped(cell) << "</" << tag << ">";
  out << "</tr>\n";
}

} // namespace

std::string Report::html(const CompileOptions &options, const std::vector<RemarkEntry> &remarks) const {
  std::string result;
  raw_string_ostream out(result);
  WeightLossTotal total = totalOf(losses());
  std::string title = escaped(options.model);
  out << "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' "
         "content='width=device-width'>\n"
      << "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      << "<title>" << title << "</title><style>" << kStyle << "</style></head><body>\n<h1>" << title << "</h1>\n<p>"
      << escaped(producer()) << ", " << escaped(join(targets, ", ")) << ", <code>"
      << escaped(join(meaningOf(options), " ")) << "</code></p>\n<div class='cards'>\n";
  if (artifact) {
    card(out, sizeText(total.bytesBefore) + " → " + sizeText(total.bytesAfter), "weights");
    card(out, formatv("{0:F2}", total.bitsPerWeight()).str(), "bits per weight, scales included");
    if (total.converted) {
      card(out, grouped(total.converted) + " of " + grouped(total.matrices), "weights quantized");
      card(out, decibelText(total.snr()), "signal to noise of all");
      card(out, decibelText(total.worst->snr()), "signal to noise of the worst");
    }
    card(out, sizeText(artifact->codeBytes), "code");
  }
  card(out, formatv("{0:F1} s", seconds()).str(), "to compile");
  out << "</div>\n";
  plotLosses(out, losses(), total);
  plotBytes(out, losses());
  if (!losses().empty()) {
    out << "<h2>Weights</h2>\n<table>\n";
    tableRow(out, "th",
             {"weight", "shape", "from", "format", "bits", "SNR", "relative RMS", "largest error", "before", "after"});
    for (const WeightLoss &loss : losses()) {
      bool known = loss.isConverted;
      tableRow(
          out, "td",
          {loss.name, shapeText(loss), loss.before, formatText(loss), formatv("{0:F2}", loss.bitsPerWeight()).str(),
           known ? decibelText(loss.snr()) : "as stored", known ? formatv("{0:P2}", loss.relativeError()).str() : "",
           known ? formatv("{0:E1}", loss.largest).str() : "", sizeText(loss.bytesBefore), sizeText(loss.bytesAfter)},
          &loss == total.worst ? " class='worst'" : "");
    }
    out << "</table>\n";
  }
  if (!kernels.empty()) {
    out << "<h2>Kernels</h2>\n<table>\n";
    tableRow(out, "th",
             {"kernel", "target", "threads", "registers", "spilled", "shared", "code", "occupancy", "matrix", "load",
              "shared", "integer", "float"});
    auto known = [](int64_t value) { return value < 0 ? "" : grouped(value); };
    for (const auto &[target, facts] : kernels)
      tableRow(out, "td",
               {facts.name, target, grouped(facts.threads()), known(facts.registers), known(facts.spills),
                known(facts.shared), known(facts.code),
                facts.occupancy < 0 ? "" : formatv("{0:P0}", facts.occupancy).str(),
                grouped(facts.countOf(InstructionKind::Matrix)), grouped(facts.countOf(InstructionKind::Load)),
                grouped(facts.countOf(InstructionKind::Shared)), grouped(facts.countOf(InstructionKind::Integer)),
                grouped(facts.countOf(InstructionKind::Float))});
    out << "</table>\n";
  }
  out << "<h2>Stages</h2>\n<table>\n";
  tableRow(out, "th", {"stage", "seconds", "operations"});
  for (const Stage &stage : stages)
    tableRow(out, "td", {stage.name, formatv("{0:F2}", stage.seconds).str(), grouped(int64_t(stage.operations))});
  out << "</table>\n<details><summary>" << grouped(int64_t(remarks.size())) << " choices</summary>\n<table>\n";
  tableRow(out, "th", {"choice", "pass", "nodes"});
  for (const RemarkEntry &remark : remarks) {
    std::string nodes = join(ArrayRef(remark.nodes).take_front(4), ", ");
    tableRow(out, "td", {remark.message, remark.category, remark.nodes.size() > 4 ? nodes + ", ..." : nodes});
  }
  out << "</table></details>\n</body></html>\n";
  return result;
}

} // namespace whit
