// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The C functions of include/whit/Runtime.h: null checks, one thread per session, no exception leaves.
#include "runtime/core/CpuFeatures.h"
#include "runtime/core/Session.h"
#include "runtime/trust/Manifest.h"
#include "runtime/trust/TrustStore.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors)                                           \
  static_assert(int32_t(whit::ElementType::Name) == int32_t(WHIT_##NAME));
#include "whit/ElementTypes.def"

struct whit_module {
  std::unique_ptr<whit::Module> impl;
};

struct whit_session {
  whit::Session impl;
};

namespace {

using namespace whit;

/// Runs `call`; memory that cannot be had becomes a status.
template <typename Call> whit_status guarded(Call call) {
  try {
    return call();
  } catch (const std::bad_alloc &) {
    return fail(WHIT_LIMIT, "out of memory");
  } catch (const std::system_error &error) {
    return fail(WHIT_LIMIT, "cannot start a thread: %s", error.what());
  } catch (const std::exception &error) {
    return fail(WHIT_BUG, "unexpected: %s", error.what());
  }
}

whit_status nullArgument(const char *function) { return fail(WHIT_USAGE, "%s: a required pointer is NULL", function); }

/// Runs `call` with the session held by this thread.
template <typename Call> whit_status inSession(whit_session *session, const char *function, Call call) {
  if (!session)
    return nullArgument(function);
  if (!session->impl.enter())
    return fail(WHIT_USAGE, "%s: another thread is using this session; give each thread its own", function);
  whit_status status = guarded([&] { return call(session->impl); });
  session->impl.leave();
  return status;
}

/// An option struct of an older or newer caller: what it does not have keeps its default.
template <typename Options> bool readOptions(const Options *given, Options &options) {
  options = Options{};
  options.struct_size = sizeof(Options);
  if (!given)
    return true;
  if (given->struct_size < sizeof(size_t) || given->struct_size > 4096)
    return false;
  std::memcpy(&options, given, std::min(given->struct_size, sizeof(Options)));
  return true;
}

whit_status describeValue(const whit_module *module, bool input, int32_t index, whit_value *value) {
  if (!module || !value)
    return nullArgument(input ? "whit_module_input" : "whit_module_output");
  const std::vector<Value> &list = input ? module->impl->inputs : module->impl->outputs;
  if (index < 0 || size_t(index) >= list.size())
    return fail(WHIT_USAGE, "%s %d is asked for; the model has %zu", input ? "input" : "output", int(index),
                list.size());
  const Value &found = list[index];
  *value = {found.name.c_str(), whit_dtype(found.type), int32_t(found.dims.size()),
            found.dims.data(),  found.symbols.data(),   found.state};
  return WHIT_OK;
}

} // namespace

extern "C" {

const char *whit_message(void) { return message(); }
const char *whit_version(void) { return "whit 0.1"; }
size_t whit_dtype_bytes(whit_dtype dtype) { return size_t(elementBytes(ElementType(dtype))); }

whit_status whit_module_load(const char *path, const whit_load_options *given, whit_module **module) {
  if (!path || !module)
    return nullArgument("whit_module_load");
  whit_load_options options;
  if (!readOptions(given, options))
    return fail(WHIT_USAGE, "whit_module_load: struct_size is %zu; set it to sizeof(whit_load_options)",
                given->struct_size);
  return guarded([&] {
    auto fresh = std::make_unique<whit_module>();
    if (whit_status status = Module::load(path, options, fresh->impl))
      return status;
    *module = fresh.release();
    return WHIT_OK;
  });
}

void whit_module_destroy(whit_module *module) { delete module; }

whit_status whit_inspect(const char *path, char **json) {
  if (!path || !json)
    return nullArgument("whit_inspect");
  return guarded([&] {
    CodeImage image;
    if (whit_status status = readCode(path, image))
      return status;
    char *copy = static_cast<char *>(std::malloc(image.text.size() + 1));
    if (!copy)
      throw std::bad_alloc();
    std::memcpy(copy, image.text.c_str(), image.text.size() + 1);
    *json = copy;
    return WHIT_OK;
  });
}

void whit_free(void *memory) { std::free(memory); }

whit_status whit_trust_file(const char *path) {
  if (!path)
    return nullArgument("whit_trust_file");
  return guarded([&] {
    CodeImage image;
    if (whit_status status = readCode(path, image))
      return status;
    std::string why;
    return recordTrust(image.identity, path, &why) ? WHIT_OK : fail(WHIT_IO, "%s", why.c_str());
  });
}

const char *whit_module_target(const whit_module *module) {
  return module ? module->impl->variant->target.c_str() : "";
}
const char *whit_module_manifest(const whit_module *module) { return module ? module->impl->image.text.c_str() : ""; }
int32_t whit_module_input_count(const whit_module *module) { return module ? int32_t(module->impl->inputs.size()) : 0; }
int32_t whit_module_output_count(const whit_module *module) {
  return module ? int32_t(module->impl->outputs.size()) : 0;
}
whit_status whit_module_input(const whit_module *module, int32_t index, whit_value *value) {
  return describeValue(module, true, index, value);
}
whit_status whit_module_output(const whit_module *module, int32_t index, whit_value *value) {
  return describeValue(module, false, index, value);
}
int64_t whit_module_context(const whit_module *module) {
  return module && module->impl->stateCount ? module->impl->manifest->context : 0;
}

whit_status whit_module_region(const whit_module *module, int32_t id, whit_region *region) {
  if (!module || !region)
    return nullArgument("whit_module_region");
  const std::vector<Region> &regions = module->impl->manifest->regions;
  if (id < 0 || size_t(id) >= regions.size())
    return fail(WHIT_USAGE, "region %d is asked for; the model has %zu", int(id), regions.size());
  const std::vector<const char *> &nodes = module->impl->regionNodes[id];
  *region = {regions[id].name.c_str(), int32_t(nodes.size()), nodes.data()};
  return WHIT_OK;
}

whit_status whit_session_create(whit_module *module, const whit_session_options *given, whit_session **session) {
  if (!module || !session)
    return nullArgument("whit_session_create");
  whit_session_options options;
  if (!readOptions(given, options))
    return fail(WHIT_USAGE, "whit_session_create: struct_size is %zu; set it to sizeof(whit_session_options)",
                given->struct_size);
  if (options.threads < 0 || options.threads > 1024)
    return fail(WHIT_USAGE, "%d threads are asked for; from 0 (all cores) to 1024 are allowed", int(options.threads));
  return guarded([&] {
    *session = new whit_session{{*module->impl, options.threads ? options.threads : availableCores()}};
    return WHIT_OK;
  });
}

void whit_session_destroy(whit_session *session) { delete session; }

whit_status whit_session_reserve(whit_session *session, const whit_dim *dims, int32_t count) {
  if (count > 0 && !dims)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.reserve(dims, count); });
}

whit_status whit_session_set_dim(whit_session *session, const char *name, int64_t value) {
  if (!name)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.setDim(name, value); });
}

whit_status whit_session_execute(whit_session *session, const whit_tensor *inputs, int32_t count) {
  if (count > 0 && !inputs)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.execute(inputs, count); });
}

whit_status whit_session_run(whit_session *session, const whit_tensor *inputs, int32_t count) {
  if (count > 0 && !inputs)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.run(inputs, count); });
}

whit_status whit_session_output(whit_session *session, const char *name, whit_tensor *tensor) {
  if (!name || !tensor)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.output(name, tensor); });
}

int64_t whit_session_length(const whit_session *session) { return session ? session->impl.length() : 0; }

whit_status whit_session_truncate(whit_session *session, int64_t length) {
  return inSession(session, __func__, [&](Session &s) { return s.truncate(length); });
}

whit_status whit_session_import(whit_session *session, const whit_tensor *pasts, int32_t count) {
  if (count > 0 && !pasts)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.importPasts(pasts, count); });
}

whit_status whit_session_append(whit_session *session, const int64_t *tokens, int64_t count, const float **logits,
                                int64_t *size) {
  if (!tokens || !logits != !size)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.append(tokens, count, logits, size); });
}

whit_status whit_session_observe(whit_session *session, whit_observer observer, void *user) {
  return inSession(session, __func__, [&](Session &s) { return s.observe(observer, user); });
}

whit_status whit_session_profile_start(whit_session *session) {
  return inSession(session, __func__, [&](Session &s) { return s.startProfile(); });
}

whit_status whit_session_profile_stop(whit_session *session, const char *path) {
  if (!path)
    return nullArgument(__func__);
  return inSession(session, __func__, [&](Session &s) { return s.stopProfile(path); });
}

whit_status whit_session_time_device(whit_session *session, const whit_device_timing *given) {
  whit_device_timing timing;
  if (!readOptions(given, timing))
    return fail(WHIT_USAGE, "whit_session_time_device: struct_size is %zu; set it to sizeof(whit_device_timing)",
                given->struct_size);
  return inSession(session, __func__, [&](Session &s) { return s.timeDevice(timing.repeat, timing.rotate_bytes); });
}

whit_status whit_session_device_run(whit_session *session, whit_device_run *run) {
  whit_device_run found;
  if (!run)
    return nullArgument(__func__);
  if (!readOptions(run, found))
    return fail(WHIT_USAGE, "whit_session_device_run: struct_size is %zu; set it to sizeof(whit_device_run)",
                run->struct_size);
  return inSession(session, __func__, [&](Session &s) {
    whit_status status = s.deviceRun(found);
    if (status == WHIT_OK) {
      found.struct_size = run->struct_size;
      std::memcpy(run, &found, std::min(run->struct_size, sizeof found));
    }
    return status;
  });
}

} // extern "C"
