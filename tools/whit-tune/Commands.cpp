// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Commands that measure: what the machine can do, what is to be measured, and measuring it.

#include "Commands.h"

#include "Emit/TargetNames.h"
#include "Tune/Measure.h"
#include "Tune/Tasks.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace llvm;

namespace whit::tune {

int report(Error error) {
  Exit exit = Exit::Done;
  handleAllErrors(
      std::move(error),
      [&](const Failure &failure) {
        exit = failure.exit;
        errs() << "error: " << (failure.where.empty() ? "" : failure.where + ": ") << failure.message << "\n";
        if (!failure.help.empty())
          errs() << "  help: " << failure.help << "\n";
      },
      [&](const ErrorInfoBase &other) {
        exit = Exit::Bug;
        errs() << "error: " << other.message() << "\n";
      });
  return int(exit);
}

Error writeText(const std::string &path, StringRef text) {
  if (path.empty() || path == "-") {
    outs() << text;
    return Error::success();
  }
  std::error_code error;
  raw_fd_ostream out(path, error);
  if (!error) {
    out << text;
    out.close();
    error = out.error();
    out.clear_error();
  }
  return error ? fail(Exit::Files, "cannot write: " + error.message(), path) : Error::success();
}

Error runProbe(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto profile = probe(*target);
  if (!profile)
    return profile.takeError();
  return writeText(request.output, profile->print() + "\n");
}

Expected<std::vector<Matmul>> matmulsOf(const Request &request) {
  std::vector<Matmul> matmuls;
  for (const std::string &shape : request.shapes)
    for (const std::string &text : request.formats) {
      auto [format, activations] = StringRef(text).rsplit(':');
      auto [n, k] = StringRef(shape).split('x');
      Matmul matmul;
      matmul.format = format.str();
      auto products = parseActivations(activations);
      if (!products)
        return fail(Exit::Usage, "--formats: '" + text + "' names no activations", "",
                    "write FORMAT:int8, FORMAT:bf16 or FORMAT:f32");
      matmul.activations = *products;
      if (n.getAsInteger(10, matmul.n) || k.getAsInteger(10, matmul.k))
        return fail(Exit::Usage, "--shapes: '" + shape + "' is no shape", "", "write NxK, such as 4096x1024");
      if (std::string why = whyNotMatmul(matmul); !why.empty())
        return fail(Exit::Usage, "--formats: " + text + " " + shape + ": " + why);
      matmuls.push_back(std::move(matmul));
    }
  return matmuls;
}

Error runGen(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto matmuls = matmulsOf(request);
  if (!matmuls)
    return matmuls.takeError();
  AnalyticCostModel analytic;
  std::optional<LearnedCostModel> learned;
  if (!request.model.empty()) {
    auto model = readModel(request.model);
    if (!model)
      return model.takeError();
    learned.emplace(std::move(*model));
  }
  TaskOptions options{request.rows, request.samples, uint64_t(request.seed)};
  std::vector<Task> tasks =
      makeTasks(*matmuls, *target, options, learned ? static_cast<const CostModel &>(*learned) : analytic);
  std::string text;
  for (const Task &task : tasks)
    text += task.print() + "\n";
  if (Error error = writeText(request.output, text))
    return error;
  return request.manifest.empty() ? Error::success() : writeText(request.manifest, manifestOf(tasks, options));
}

Error runRun(const Request &request) {
  auto target = resolveTarget(request.target);
  if (!target)
    return target.takeError();
  auto tasks = readLines<Task>(request.tasks);
  if (!tasks)
    return tasks.takeError();
  auto database = Database::open(request.database);
  if (!database)
    return database.takeError();
  MeasureOptions options;
  options.isCold = !request.hotOnly;
  auto measurer = Measurer::create(*target, options);
  if (!measurer)
    return measurer.takeError();
  auto start = std::chrono::steady_clock::now();
  auto elapsed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  size_t written = 0, failed = 0, done = 0;
  for (const Task &task : *tasks) {
    if (!request.split.empty() && task.split != request.split)
      continue;
    if ((request.limit && int64_t(done) >= request.limit) || (request.seconds > 0 && elapsed() > request.seconds))
      break;
    auto rows = (*measurer)->measure(task, *database);
    if (!rows)
      return rows.takeError();
    done += !rows->empty();
    for (const Row &row : *rows) {
      if (Error error = database->append(row))
        return error;
      ++written;
      failed += !row.failure.empty();
    }
    if (!request.quiet && !rows->empty())
      errs() << formatv("{0} rows ({1} failed) of {2} tasks in {3:f0} s\n", written, failed, done, elapsed());
  }
  outs() << formatv("{0} rows, {1} of them failures, from {2} tasks; {3} rows in {4}\n", written, failed, done,
                    database->size(), request.database);
  return Error::success();
}

} // namespace whit::tune
