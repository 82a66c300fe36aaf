// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The parent prepares what several tasks share (weights, the reference, what results must be) and forks; the child compiles, checks, times
// and writes its rows into a pipe. What it leaves unsaid the parent writes as failures.

#include "Tune/Measure.h"

#include "Emit/Failure.h"
#include "Emit/TargetNames.h"
#include "whit/Compiler.h"

#include "llvm/Config/llvm-config.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace llvm;

namespace whit::tune {

/// The reference: small enough for the second-level cache, busy with multiply-adds.
static constexpr int64_t kReferenceSize = 256, kReferenceRows = 16;
/// A sample lasts at least so long, so that reading the clock does not count.
static constexpr double kSampleSeconds = 100e-6;
/// CPU time between two samples of the reference.
static constexpr double kReferenceEvery = 4e-3;
static constexpr MatmulTile kPlainTile{0, 64, 4, 2};

static double threadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

static double wallSeconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// Seconds of `count` calls.
static double secondsOf(const std::function<void()> &once, int64_t count) {
  double start = threadSeconds();
  for (int64_t i = 0; i < count; ++i)
    once();
  return threadSeconds() - start;
}

static int64_t callsInSample(double seconds) {
  return std::clamp<int64_t>(int64_t(kSampleSeconds / seconds), 1, 100000);
}

Error checkRunsHere(const Target &target) {
  if (target.isGpu())
    return fail(Exit::Unsupported, "kernels of GPUs are not measured here", target.name, "take a CPU");
  auto host = resolveTarget("host");
  if (!host)
    return host.takeError();
  for (const std::string &feature : requiredFeatures(target))
    if (!host->has(feature))
      return fail(Exit::Unsupported, "this machine lacks " + feature, target.name,
                  "take host, or a CPU that it can be");
  return Error::success();
}

Expected<std::unique_ptr<Measurer>> Measurer::create(const Target &target, const MeasureOptions &options) {
  if (Error error = checkRunsHere(target))
    return std::move(error);
  std::unique_ptr<Measurer> measurer(new Measurer(target, options));
  Matmul matmul{nameOf(plainEncoding(ScaleType::F32)), Products::Float, kReferenceSize, kReferenceSize};
  std::string text = kernelText(matmul, kPlainTile);
  auto digits = measurer->compiler.fingerprint(text);
  if (!digits)
    return digits.takeError();
  measurer->toolchain = {LLVM_VERSION_STRING, whit_compiler_version(), *digits};
  auto kernel = measurer->compiler.load(text);
  if (!kernel)
    return kernel.takeError();
  measurer->reference.emplace(std::move(*kernel));
  measurer->referenceData.emplace(matmul, kReferenceRows, 0);
  int64_t least = INT64_MAX;
  for (int turn = 0; turn < 5; ++turn)
    measurer->timesOf([] {}, 0, least);
  measurer->referenceNanoseconds = least;
  return std::move(measurer);
}

std::vector<Row> Measurer::rowsOf(const Task &task) const {
  std::vector<Row> rows;
  auto add = [&](int64_t count, bool isCold) {
    Row row;
    row.operation = {task.matmul, count, isCold};
    row.tile = task.tile;
    row.machine = Machine::of(compiler.target);
    row.toolchain = toolchain;
    row.split = task.split;
    rows.push_back(std::move(row));
  };
  for (int64_t count : task.rows) {
    add(count, false);
    if (count == 1 && options.isCold)
      add(count, true);
  }
  return rows;
}

Error Measurer::prepare(const Matmul &matmul, int64_t rows) {
  if (prepared == matmul && rows <= mostRows)
    return Error::success();
  prepared.reset();
  data.emplace(matmul, rows, options.isCold ? options.coldBytes : 0);
  auto kernel = compiler.load(kernelText(matmul, kPlainTile));
  if (!kernel)
    return kernel.takeError();
  data->run(*kernel, rows);
  if (std::string wrong = data->check(rows); !wrong.empty())
    return fail(Exit::Mismatch, "the kernel of " + matmul.format + " computes wrongly: " + wrong);
  expected = data->results();
  prepared = matmul;
  mostRows = rows;
  return Error::success();
}

Times Measurer::timesOf(const std::function<void()> &once, double perCall, int64_t &least) {
  auto runReference = [&] { referenceData->run(*reference, kReferenceRows); };
  int64_t referenceCalls = callsInSample(std::max(secondsOf(runReference, 4) / 4, 1e-9));
  auto sampleReference = [&] {
    runReference(); // what it reads is in the caches then
    double seconds = secondsOf(runReference, referenceCalls) / double(referenceCalls);
    least = std::min(least, int64_t(seconds * 1e9 + 0.5));
  };
  sampleReference();
  if (!perCall) { // the reference alone
    for (int i = 0; i < 20; ++i)
      sampleReference();
    return {};
  }
  int64_t calls = callsInSample(perCall);
  std::vector<double> samples;
  double spent = 0, sinceReference = 0, best = 1e9;
  size_t lastGain = 0;
  while (samples.size() < 5 || spent < options.secondsPerRow) {
    double seconds = secondsOf(once, calls);
    spent += seconds;
    sinceReference += seconds;
    samples.push_back(seconds / double(calls));
    if (samples.back() < best * 0.997)
      lastGain = samples.size();
    best = std::min(best, samples.back());
    if (sinceReference > kReferenceEvery) {
      sampleReference();
      sinceReference = 0;
    }
    // Stable: nothing was gained in as many samples as it took to get here.
    if (samples.size() >= 16 && samples.size() > 2 * lastGain && spent > options.secondsPerRow / 3)
      break;
  }
  sampleReference();
  std::sort(samples.begin(), samples.end());
  auto at = [&](size_t place) { return int64_t(samples[place] * 1e9 + 0.5); };
  return {at(0), at(samples.size() / 10), at(samples.size() / 2), int64_t(samples.size()) * calls};
}

/// In the child: fills in times, or why there are none.
void Measurer::measureHere(const Task &task, std::vector<Row> &rows) {
  auto refuse = [&](const std::string &kind, const std::string &message) {
    for (Row &row : rows)
      if (!row.times.least && row.failure.empty()) {
        row.failure = kind;
        row.message = message;
      }
  };
  auto kernel = compiler.load(kernelText(task.matmul, task.tile));
  if (!kernel)
    return refuse("compile", llvm::toString(kernel.takeError()));
  for (Row &row : rows) {
    int64_t count = row.operation.rows;
    data->run(*kernel, count);
    if (std::memcmp(data->results().data(), expected.data(), count * task.matmul.n * sizeof(float))) {
      row.failure = "wrong";
      row.message = "results differ from those of another schedule";
      continue;
    }
    size_t copies = row.operation.isCold ? data->copies() : 1;
    auto once = [&] {
      for (size_t copy = 0; copy < copies; ++copy)
        data->run(*kernel, count, copy);
    };
    row.reference = INT64_MAX;
    Times times = timesOf(once, std::max(secondsOf(once, 1), 1e-9), row.reference);
    auto each = [&](int64_t time) { return std::max<int64_t>(1, time / int64_t(copies)); };
    row.times = {each(times.least), each(times.tenth), each(times.median), times.count * int64_t(copies)};
    row.drift = std::max<int64_t>(-999, (row.reference - referenceNanoseconds) * 1000 / referenceNanoseconds);
  }
}

Expected<std::vector<Row>> Measurer::measure(const Task &task, const Database &known) {
  std::vector<Row> rows = rowsOf(task);
  llvm::erase_if(rows, [&](const Row &row) { return known.contains(row.key()); });
  if (rows.empty())
    return rows;
  if (Error error = prepare(task.matmul, *std::max_element(task.rows.begin(), task.rows.end())))
    return error;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC))
    return fail(Exit::Limit, "cannot make a pipe: " + Twine(std::strerror(errno)));
  pid_t child = fork();
  if (child < 0)
    return fail(Exit::Limit, "cannot fork: " + Twine(std::strerror(errno)));
  if (child == 0) {
    // Neither a report of the crash nor what libraries do at the end of a program.
    for (int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
      std::signal(signal, SIG_DFL);
    measureHere(task, rows);
    std::string text;
    for (const Row &row : rows)
      text += row.print() + "\n";
    for (size_t sent = 0; sent < text.size();) {
      ssize_t count = write(ends[1], text.data() + sent, text.size() - sent);
      if (count <= 0)
        _exit(1);
      sent += count;
    }
    _exit(0);
  }
  close(ends[1]);
  std::string text, kind = "crash";
  double deadline = wallSeconds() + options.timeout;
  for (bool isOpen = true; isOpen;) {
    pollfd waiting{ends[0], POLLIN, 0};
    int ready = poll(&waiting, 1, int(std::max(0.0, deadline - wallSeconds()) * 1000));
    if (ready < 0 && errno == EINTR)
      continue;
    char bytes[4096];
    ssize_t count = ready > 0 ? read(ends[0], bytes, sizeof(bytes)) : 0;
    if (ready == 0) {
      kind = "timeout";
      kill(child, SIGKILL);
    }
    isOpen = count > 0;
    if (isOpen)
      text.append(bytes, count);
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  std::vector<Row> found;
  SmallVector<StringRef> lines;
  StringRef(text).split(lines, '\n', -1, /*KeepEmpty=*/false);
  for (StringRef line : lines)
    if (auto row = Row::parse(line))
      found.push_back(std::move(*row));
    else
      consumeError(row.takeError());
  if (found.size() == rows.size())
    return found;
  for (Row &row : rows) {
    row.failure = kind;
    row.message = kind == "timeout"     ? "not done in " + std::to_string(int(options.timeout)) + " seconds"
                  : WIFSIGNALED(status) ? "ended by signal " + std::to_string(WTERMSIG(status))
                                        : "ended without a result";
  }
  return rows;
}

} // namespace whit::tune
