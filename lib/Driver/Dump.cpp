// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Weights are references, so a dump is small and complete. Remarks arrive from any thread; they are sorted by stage and otherwise kept in
// the order of arrival.

#include "Driver/Dump.h"

#include "Driver/Console.h"
#include "Driver/Options.h"
#include "Emit/OutputFile.h"

#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace whit {

std::string moduleText(mlir::ModuleOp module) {
  std::string text;
  raw_string_ostream stream(text);
  mlir::OpPrintingFlags flags;
  flags.enableDebugInfo(/*enable=*/true, /*prettyForm=*/false);
  module->print(stream, flags);
  stream << "\n";
  return text;
}

Error dumpStage(mlir::ModuleOp module, StringRef folder, size_t stage, StringRef variant) {
  if (std::error_code code = sys::fs::create_directories(folder))
    return fail(Exit::Files, "cannot make the folder of --dump-stages: " + code.message(), folder);
  SmallString<256> path(folder);
  std::string name = formatv("{0,0+2}-{1}", stage + 1, stageNames()[stage]);
  sys::path::append(path, name + (variant.empty() ? "" : "." + variant) + ".mlir");
  auto file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  if (Error error = file->write(moduleText(module)))
    return error;
  return file->commit();
}

class RemarkLog::Streamer : public mlir::remark::detail::MLIRRemarkStreamerBase {
public:
  explicit Streamer(std::shared_ptr<State> state) : state(std::move(state)) {}

  void streamOptimizationRemark(const mlir::remark::detail::Remark &remark) override {
    RemarkEntry entry;
    entry.kind = StringRef(remark.getRemarkTypeString()).lower();
    entry.category = remark.getCategoryName().str();
    entry.name = remark.getRemarkName().str();
    entry.nodes = nodesOf(remark.getLocation());
    for (const auto &argument : remark.getArgs()) {
      if (!entry.message.empty())
        entry.message += argument.key == "Remark" ? " " : ", ";
      entry.message += argument.key == "Remark" ? argument.val : StringRef(argument.key).lower() + ": " + argument.val;
    }
    std::lock_guard lock(state->mutex);
    entry.stage = state->stage;
    state->entries.push_back(std::move(entry));
  }

private:
  std::shared_ptr<State> state;
};

Error RemarkLog::attach(mlir::MLIRContext &context) {
  mlir::remark::RemarkCategories categories;
  categories.passed = categories.missed = categories.failed = categories.analysis = ".*";
  if (mlir::failed(mlir::remark::enableOptimizationRemarks(context, std::make_unique<Streamer>(state),
                                                           std::make_unique<mlir::remark::RemarkEmittingPolicyAll>(),
                                                           categories)))
    return fail(Exit::Bug, "remarks cannot be collected");
  return Error::success();
}

void RemarkLog::setStage(std::string name) {
  std::lock_guard lock(state->mutex);
  state->stage = std::move(name);
}

std::vector<RemarkEntry> RemarkLog::entries() const {
  std::lock_guard lock(state->mutex);
  return state->entries;
}

std::string RemarkLog::text() const {
  std::string text, stage;
  raw_string_ostream stream(text);
  std::vector<RemarkEntry> list = entries();
  for (size_t i = 0, end; i < list.size(); i = end) {
    const RemarkEntry &entry = list[i];
    // A pass often says the same of one node several times.
    auto isSame = [&](const RemarkEntry &other) {
      return other.stage == entry.stage && other.category == entry.category && other.message == entry.message &&
             other.nodes == entry.nodes;
    };
    for (end = i + 1; end < list.size() && isSame(list[end]); ++end)
      ;
    if (entry.stage != stage)
      stream << (stage = entry.stage) << "\n";
    stream << (entry.kind == "passed"     ? "  + "
               : entry.kind == "analysis" ? "    "
                                          : "  - ")
           << entry.category << ": " << entry.message;
    if (end - i > 1)
      stream << " (" << end - i << " times)";
    if (!entry.nodes.empty())
      stream << "  [" << entry.nodes.front()
             << (entry.nodes.size() > 1 ? " and " + std::to_string(entry.nodes.size() - 1) + " more" : "") << "]";
    stream << "\n";
  }
  return text;
}

} // namespace whit
