// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loads, chooses the mode, reports.
#include "runtime/tool/RunCommand.h"

#include "runtime/core/Elements.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/trust/Manifest.h"
#include "runtime/trust/StrictJson.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <set>

namespace whit {
namespace {

whit_status open(Running &running) {
  const RunOptions &options = running.options;
  if (options.trust && whit_trust_file(options.model.c_str()) == WHIT_IO)
    std::fprintf(stderr, "warning: trusted for this run only: %s\n", whit_message());
  whit_load_options load{sizeof load, options.trust ? WHIT_TRUST_GIVEN : WHIT_TRUST_STORE,
                         options.verifyFull ? WHIT_VERIFY_FULL : WHIT_VERIFY_LAZY,
                         options.target.empty() ? nullptr : options.target.c_str(),
                         options.device.empty() ? nullptr : options.device.c_str()};
  if (whit_status status = whit_module_load(options.model.c_str(), &load, &running.module))
    return status;
  std::string why;
  if (!parseManifest(whit_module_manifest(running.module), running.manifest, &why))
    return fail(WHIT_BUG, "%s", why.c_str());
  whit_session_options session{sizeof session, options.threads};
  if (whit_status status = whit_session_create(running.module, &session, &running.session))
    return status;
  for (const auto &[name, value] : options.dims)
    for (const Symbol &symbol : running.manifest.symbols)
      if (symbol.name == name && !symbol.defaultSymbol.empty())
        if (whit_status status = whit_session_set_dim(running.session, name.c_str(), value))
          return status;
  return WHIT_OK;
}

/// An output's shape and range, for people.
void printOutput(const whit_tensor &tensor) {
  std::string shape;
  int64_t count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    shape += (i ? ", " : "") + std::to_string(tensor.dims[i]);
    count *= tensor.dims[i];
  }
  double low = INFINITY, high = -INFINITY, sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    double value = elementAt(ElementType(tensor.dtype), tensor.data, i);
    low = std::fmin(low, value);
    high = std::fmax(high, value);
    sum += value;
  }
  std::printf("%s  %s [%s]", tensor.name, std::string(elementName(ElementType(tensor.dtype))).c_str(), shape.c_str());
  if (count)
    std::printf("  from %.6g to %.6g, mean %.6g", low, high, sum / double(count));
  std::printf("\n");
}

/// Writes all outputs; present tensors are copied one at a time out of the session, so they stay valid together.
whit_status writeOutputs(Running &running) {
  std::vector<ArrayView> views;
  for (int32_t i = 0; i < whit_module_output_count(running.module); ++i) {
    whit_value value;
    whit_tensor tensor;
    whit_module_output(running.module, i, &value);
    if (whit_status status = whit_session_output(running.session, value.name, &tensor))
      return status;
    views.push_back({tensor.name, ElementType(tensor.dtype), {tensor.dims, tensor.dims + tensor.rank}, tensor.data});
  }
  return writeNpz(running.options.outputs, views);
}

bool isOnDevice(const RunOptions &options) { return !options.device.empty() && options.device != "cpu"; }

/// What the device did in the last run; a reason why kernels are queued one by one goes to the user.
whit_status reportDevice(Running &running) {
  whit_device_run run{};
  run.struct_size = sizeof run;
  if (whit_status status = whit_session_device_run(running.session, &run))
    return status;
  Json &report = *running.report;
  report["device_name"] = run.product;
  report["device_architecture"] = run.architecture;
  report["kernels"] = run.kernels;
  report["graph"] = run.is_graph != 0;
  if (*run.note) {
    report["note"] = run.note;
    std::fprintf(stderr, "note: %s\n", run.note);
  }
  return WHIT_OK;
}

/// Times by the device's own clock, which leave out what the host does.
whit_status timeDevice(Running &running, const whit_tensor *inputs, int32_t count, int64_t length) {
  whit_device_timing timing{sizeof timing, running.options.repeat, running.options.rotate << 20};
  if (whit_status status = whit_session_time_device(running.session, &timing))
    return status;
  std::vector<double> times;
  whit_device_run run{};
  run.struct_size = sizeof run;
  for (int i = -1; i < running.options.benchmark; ++i) { // the first makes the graph
    if (whit_status status = whit_session_run(running.session, inputs, count))
      return status;
    whit_session_truncate(running.session, std::min(length, whit_session_length(running.session)));
    if (whit_status status = whit_session_device_run(running.session, &run))
      return status;
    if (run.microseconds < 0)
      break; // it has no clock
    if (i >= 0)
      times.push_back(run.microseconds);
  }
  Json &report = *running.report;
  report["device_repeat"] = run.repeat;
  report["device_copies"] = run.copies;
  if (times.empty()) {
    report["device_us_min"] = report["device_us_median"] = nullptr;
    if (!running.options.json)
      std::printf("%s has no clock\n", run.product);
    return WHIT_OK;
  }
  std::sort(times.begin(), times.end());
  report["device_us_min"] = times.front();
  report["device_us_median"] = times[times.size() / 2];
  if (!running.options.json)
    std::printf("%s: %d kernels%s, %.2f us at best, median %.2f\n", run.product, int(run.kernels),
                run.is_graph ? " in a graph" : "", times.front(), times[times.size() / 2]);
  return WHIT_OK;
}

} // namespace

Running::~Running() {
  whit_session_destroy(session);
  whit_module_destroy(module);
}

double seconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

double peakMemory() {
  double kibibytes = 0;
  if (FILE *file = std::fopen("/proc/self/status", "r")) {
    char line[256];
    while (std::fgets(line, sizeof line, file))
      if (std::sscanf(line, "VmHWM: %lf kB", &kibibytes) == 1)
        break;
    std::fclose(file);
  }
  return kibibytes / 1024;
}

whit_status runOnce(Running &running) {
  std::vector<Array> inputs;
  if (whit_status status = collectInputs(running, false, inputs))
    return status;
  std::vector<whit_tensor> views = viewsOf(inputs);
  if (whit_status status = whit_session_run(running.session, views.data(), int32_t(views.size())))
    return status;
  if (!running.options.outputs.empty())
    if (whit_status status = writeOutputs(running))
      return status;
  if (!running.options.expect.empty())
    return compareOutputs(running);
  for (int32_t i = 0;
       running.options.outputs.empty() && !running.options.json && i < whit_module_output_count(running.module); ++i) {
    whit_value value;
    whit_tensor tensor;
    whit_module_output(running.module, i, &value);
    if (value.is_state)
      continue;
    if (whit_status status = whit_session_output(running.session, value.name, &tensor))
      return status;
    printOutput(tensor);
  }
  return WHIT_OK;
}

whit_status benchmark(Running &running) {
  std::vector<Array> inputs;
  if (whit_status status = collectInputs(running, true, inputs))
    return status;
  // Past tensors go into the caches once; each run then starts from the same length.
  std::set<std::string> pasts;
  for (const Argument &argument : running.manifest.arguments)
    pasts.insert(argument.past);
  auto firstPast =
      std::stable_partition(inputs.begin(), inputs.end(), [&](const Array &array) { return !pasts.count(array.name); });
  std::vector<whit_tensor> views = viewsOf(inputs);
  int32_t plain = int32_t(firstPast - inputs.begin());
  if (plain < int32_t(views.size()))
    if (whit_status status = whit_session_import(running.session, views.data() + plain, int32_t(views.size()) - plain))
      return status;
  int64_t length = whit_session_length(running.session);

  std::vector<double> times;
  constexpr int warmups = 2;
  for (int i = -warmups; i < running.options.benchmark; ++i) {
    double start = seconds();
    if (whit_status status = whit_session_run(running.session, views.data(), plain))
      return status;
    double end = seconds();
    if (i >= 0)
      times.push_back((end - start) * 1e3);
    whit_session_truncate(running.session, std::min(length, whit_session_length(running.session)));
  }
  std::sort(times.begin(), times.end());
  auto quantile = [&](double q) { return times[size_t(q * double(times.size() - 1) + 0.5)]; };
  Json &report = *running.report;
  report["runs"] = times.size();
  report["ms_min"] = times.front();
  report["ms_median"] = quantile(0.5);
  report["ms_p90"] = quantile(0.9);
  if (!running.options.json)
    std::printf("%zu runs: %.3f ms at best, median %.3f, 90 %% below %.3f\n", times.size(), times.front(),
                quantile(0.5), quantile(0.9));
  return isOnDevice(running.options) ? timeDevice(running, views.data(), plain, length) : WHIT_OK;
}

namespace {

whit_status dispatch(const RunOptions &options, Json &report) {
  if (options.inspect)
    return inspect(options);
  Running running(options);
  running.report = &report;
  if (whit_status status = open(running))
    return status;
  if (!options.profile.empty())
    if (whit_status status = whit_session_profile_start(running.session))
      return status;
  report["model"] = options.model;
  whit_status status = options.generate ? generate(running) : options.benchmark ? benchmark(running) : runOnce(running);
  if (status != WHIT_OK && status != WHIT_MISMATCH)
    return status;
  if (!options.profile.empty())
    if (whit_status written = whit_session_profile_stop(running.session, options.profile.c_str()))
      return written;
  if (isOnDevice(options))
    if (whit_status described = reportDevice(running))
      return described;
  report["threads"] = options.threads ? options.threads : availableCores();
  report["peak_rss_mb"] = peakMemory();
  report["isa"] = whit_module_target(running.module);
  if (!options.device.empty())
    report["device"] = options.device;
  if (options.json)
    std::printf("%s\n", printLine(report).c_str());
  return status;
}

} // namespace

int runCommand(const RunOptions &options) {
  Json report = Json::object();
  whit_status status = dispatch(options, report);
  if (std::fflush(stdout) != 0 && status == WHIT_OK)
    status = fail(WHIT_IO, "cannot write to standard output: %s", std::strerror(errno));
  if (status != WHIT_OK)
    std::fprintf(stderr, "error: %s\n", whit_message());
  return status;
}

} // namespace whit
