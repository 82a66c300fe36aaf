// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Printing problems. Everything quoted from a file is escaped here, and lists are cut where a screen would be.

#include "Import/Diagnostics.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/JSON.h"

using namespace whit;

static constexpr size_t kMaxDiagnostics = 200, kMaxNodes = 50, kMaxName = 120;

void Diagnostics::add(Diagnostic diagnostic) {
  if (list.size() == kMaxDiagnostics) {
    ++dropped;
    return;
  }
  if (diagnostic.file.empty())
    diagnostic.file = file;
  list.push_back(std::move(diagnostic));
}

bool Diagnostics::hasErrors() const {
  return llvm::any_of(list, [](const Diagnostic &d) { return d.severity == Severity::Error; });
}

Exit Diagnostics::exit() const {
  for (Exit exit : {Exit::Bug, Exit::Files, Exit::Limit, Exit::Invalid, Exit::Unsupported})
    for (const Diagnostic &d : list)
      if (d.severity == Severity::Error && d.code.exit == exit)
        return exit;
  return Exit::Done;
}

std::string whit::shown(llvm::StringRef name) {
  std::string result;
  bool utf8 = llvm::json::isUTF8(name);
  for (char c : name.take_front(kMaxName)) {
    unsigned char byte = c;
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8)) {
      result += "\\x";
      result += llvm::hexdigit(byte >> 4, true);
      result += llvm::hexdigit(byte & 15, true);
    } else {
      result += c;
    }
  }
  if (name.size() <= kMaxName)
    return result;
  while (!llvm::json::isUTF8(result)) // cut inside a character
    result.pop_back();
  return result + "...";
}

static std::string wordFor(const Diagnostic &d) {
  if (d.aboutTensor)
    return "tensor";
  return d.nodes.size() > 1 ? "nodes" : "node";
}

void Diagnostics::printText(llvm::raw_ostream &out) const {
  for (const Diagnostic &d : list) {
    out << (d.severity == Severity::Error ? "error[" : "warning[") << d.code.name << "]: " << d.message;
    if (d.count > 1)
      out << " (" << d.count << " nodes)";
    out << "\n";
    if (!d.file.empty() || !d.nodes.empty()) {
      out << "  --> " << shown(d.file);
      if (!d.nodes.empty()) {
        out << ": " << wordFor(d) << " ";
        llvm::interleaveComma(llvm::ArrayRef(d.nodes).take_front(kMaxNodes), out,
                              [&](const std::string &name) { out << "'" << shown(name) << "'"; });
        if (d.nodes.size() > kMaxNodes)
          out << " and " << d.nodes.size() - kMaxNodes << " more";
      }
      if (!d.op.empty())
        out << " (" << shown(d.op) << ")";
      out << "\n";
    }
    if (!d.help.empty())
      out << "  help: " << d.help << "\n";
  }
  if (dropped)
    out << "and " << dropped << " more\n";
}

void Diagnostics::printJson(llvm::raw_ostream &out) const {
  for (const Diagnostic &d : list) {
    llvm::json::Object object{{"code", d.code.name},
                              {"severity", d.severity == Severity::Error ? "error" : "warning"},
                              {"exit", int(d.code.exit)},
                              {"file", shown(d.file)},
                              {"op", shown(d.op)},
                              {"message", llvm::json::fixUTF8(d.message)},
                              {"help", llvm::json::fixUTF8(d.help)},
                              {"count", int64_t(d.count)}};
    llvm::json::Array names;
    for (const std::string &name : d.nodes)
      names.push_back(shown(name));
    object[d.aboutTensor ? "tensor" : "node"] =
        names.empty() ? llvm::json::Value("") : llvm::json::Value(names.front());
    if (!d.aboutTensor)
      object["nodes"] = std::move(names);
    out << llvm::json::Value(std::move(object)) << "\n";
  }
}
