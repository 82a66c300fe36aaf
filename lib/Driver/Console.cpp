// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All output of the driver goes through here, so that --diagnostics=json and --quiet have one place.

#include "Driver/Console.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;

namespace whit {
namespace {

/// Codes of problems that are found after the import; the number says which exit code they lead to.
DiagnosticCode codeOf(Exit exit) {
  switch (exit) {
  case Exit::Done:
    return {"W0101", exit};
  case Exit::Invalid:
    return {"E1101", exit};
  case Exit::Usage:
    return {"E2101", exit};
  case Exit::Unsupported:
    return {"E3101", exit};
  case Exit::Files:
    return {"E4101", exit};
  case Exit::Limit:
    return {"E5101", exit};
  case Exit::Refused:
    return {"E6101", exit};
  case Exit::Device:
    return {"E7201", exit};
  case Exit::Mismatch:
    return {"E8101", exit};
  case Exit::Bug:
    return {"E7101", exit};
  }
  return {"E7101", Exit::Bug};
}

std::string fileOf(mlir::Location location) {
  std::string file;
  location->walk([&](mlir::Location inner) {
    if (auto place = dyn_cast<mlir::FileLineColLoc>(inner)) {
      file = (place.getFilename().getValue() + ":" + Twine(place.getLine()) + ":" + Twine(place.getColumn())).str();
      return mlir::WalkResult::interrupt();
    }
    return mlir::WalkResult::advance();
  });
  return file;
}

} // namespace

std::vector<std::string> nodesOf(mlir::Location location) {
  std::vector<std::string> nodes;
  location->walk([&](mlir::Location inner) {
    if (auto name = dyn_cast<mlir::NameLoc>(inner); name && !is_contained(nodes, name.getName().str()))
      nodes.push_back(name.getName().str());
    return mlir::WalkResult::advance();
  });
  return nodes;
}

void Console::print(const Diagnostics &diagnostics) {
  std::string text;
  raw_string_ostream stream(text);
  if (json)
    diagnostics.printJson(stream);
  else
    diagnostics.printText(stream);
  out << text;
  out.flush();
}

Exit Console::print(Error error) {
  Exit exit = Exit::Done;
  handleAllErrors(
      std::move(error),
      [&](const Failure &failure) {
        exit = failure.exit;
        Diagnostics list;
        list.add({codeOf(failure.exit), Severity::Error, failure.where, {}, "", failure.message, failure.help});
        print(list);
      },
      [&](const ErrorInfoBase &other) {
        exit = Exit::Bug;
        Diagnostics list;
        list.add({codeOf(exit), Severity::Error, "", {}, "", other.message(), ""});
        print(list);
      });
  return exit;
}

void Console::print(mlir::Diagnostic &diagnostic, Exit exit) {
  bool isError = diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error;
  if (!isError && diagnostic.getSeverity() != mlir::DiagnosticSeverity::Warning)
    return;
  std::string message = diagnostic.str();
  for (mlir::Diagnostic &note : diagnostic.getNotes())
    message += "\n  note: " + note.str();
  Diagnostics list;
  list.add({codeOf(isError ? exit : Exit::Done), isError ? Severity::Error : Severity::Warning,
            fileOf(diagnostic.getLocation()), nodesOf(diagnostic.getLocation()), "", message, ""});
  print(list);
}

void Console::warn(const Twine &message, const Twine &where, const Twine &help) {
  Diagnostics list;
  list.add({codeOf(Exit::Done), Severity::Warning, where.str(), {}, "", message.str(), help.str()});
  print(list);
}

void Console::line(const Twine &text) {
  if (quiet || json)
    return;
  out << text << "\n";
  out.flush();
}

Console::Stage::Stage(Console &console, size_t number, size_t count, std::string name)
    : console(console), title(formatv("[{0}/{1}] {2}", number, count, left_justify(name, 9)).str()) {
  if (!console.isTerminal || console.quiet || console.json)
    return;
  ticker = std::thread([this] {
    std::unique_lock lock(mutex);
    // The first two seconds stay silent.
    if (changed.wait_for(lock, std::chrono::seconds(2), [&] { return isDone; }))
      return;
    do
      draw();
    while (!changed.wait_for(lock, std::chrono::milliseconds(250), [&] { return isDone; }));
  });
}

Console::Stage::~Stage() {
  if (!ticker.joinable())
    return;
  {
    std::lock_guard lock(mutex);
    isDone = true;
  }
  changed.notify_all();
  ticker.join();
  if (isDrawn)
    console.out << "\r\x1b[K";
  console.out.flush();
}

double Console::Stage::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Console::Stage::draw() {
  constexpr int kWidth = 30;
  double fraction = progress;
  console.out << "\r" << title << formatv("{0,7:F1} s", seconds());
  if (fraction >= 0) {
    int filled = std::min(kWidth, int(fraction * kWidth));
    console.out << "  [" << std::string(filled, '#') << std::string(kWidth - filled, ' ')
                << formatv("] {0,3}%", int(fraction * 100));
  }
  console.out << "\x1b[K";
  console.out.flush();
  isDrawn = true;
}

void Console::Stage::finish(const Twine &counts) {
  if (console.quiet || console.json)
    return;
  std::lock_guard lock(mutex);
  if (isDrawn)
    console.out << "\r\x1b[K";
  isDrawn = false;
  isDone = true; // nothing is drawn from here on
  console.out << title << formatv("{0,7:F2} s  ", seconds()) << counts << "\n";
  console.out.flush();
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = int(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(at, ",");
  return digits;
}

std::string sizeText(int64_t bytes) {
  if (bytes < 1000)
    return formatv("{0} B", bytes);
  if (bytes < 1000000)
    return formatv("{0:F1} kB", bytes / 1e3);
  if (bytes < 1000000000)
    return formatv("{0:F1} MB", bytes / 1e6);
  return formatv("{0:F2} GB", bytes / 1e9);
}

} // namespace whit
