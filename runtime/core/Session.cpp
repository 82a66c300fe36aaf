// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A call in five steps: bind (names, shapes, symbols), lay out (ask compiled code for all sizes), check that buffers
// are large enough (or grow them), describe the arguments, run. Only `allocate`, and what hands out present tensors,
// takes memory.
#include "runtime/core/Session.h"

#include "runtime/core/Cache.h"
#include "runtime/core/Elements.h"
#include "runtime/trust/Manifest.h"

#include <algorithm>
#include <cstring>

namespace whit {
namespace {

using Long = long long;

template <typename Function> void fillElements(ElementType type, void *data, int64_t count, Function value) {
  for (int64_t i = 0; i < count; ++i)
    setElement(type, data, i, int64_t(value(i)));
}

CacheShape cacheShape(const Argument &argument, const int64_t *dims) {
  bool blocked = argument.layout != StateLayout::BHTD;
  return {argument.layout,
          dims[0],
          dims[1],
          blocked ? dims[2] * 16 : dims[2],
          stateDepth(argument),
          elementBytes(stateType(argument)),
          argument.format,
          argument.hadamard};
}

} // namespace

Session::Session(Module &module, int threads) : module(module), binding(module), pool(threads) {
  const std::vector<Argument> &list = module.manifest->arguments;
  size_t dimCount = 0, descriptorCount = 0;
  for (const Argument &argument : list) {
    bool workspace = argument.kind == ArgumentKind::Workspace;
    size_t rank = workspace ? 1 : argument.shape.size();
    dimCount += workspace ? 0 : rank;
    descriptorCount += 3 + 2 * rank;
  }
  sizes.resize(1 + dimCount); // [0] is the workspace's only dimension
  descriptors.resize(descriptorCount);
  slots.resize(list.size());
  int64_t *dims = sizes.data() + 1, *descriptor = descriptors.data();
  for (size_t i = 0; i < list.size(); ++i) {
    Slot &slot = slots[i];
    bool workspace = list[i].kind == ArgumentKind::Workspace;
    slot.argument = &list[i];
    slot.rank = workspace ? 1 : int32_t(list[i].shape.size());
    slot.dims = workspace ? sizes.data() : dims;
    dims += workspace ? 0 : slot.rank;
    slot.descriptor = descriptor;
    slot.lastDims.resize(size_t(std::max(slot.rank, 4)));
    descriptor += 3 + 2 * slot.rank;
    arguments.push_back(slot.descriptor);
  }
  if (module.device)
    device = std::make_unique<DeviceSession>(*module.device, list.size());
}

// ---- Sizes and memory ----

whit_status Session::layOut() {
  module.sizes(binding.symbols(), sizes.data());
  for (size_t i = 0; i < slots.size(); ++i)
    if (whit_status status = layOutSlot(slots[i], int32_t(i)))
      return status;
  return WHIT_OK;
}

/// Compiled code says all dimensions; they are compared with what the manifest and the caller say.
whit_status Session::layOutSlot(Slot &slot, int32_t index) {
  const Argument &argument = *slot.argument;
  const whit_tensor *given = argument.kind == ArgumentKind::Input ? binding.tensorOf(index) : nullptr;
  __int128 bytes = elementBytes(argument.type);
  for (int32_t i = 0; i < slot.rank; ++i) {
    int64_t expected = -1;
    if (argument.kind != ArgumentKind::Workspace)
      expected = given                              ? given->dims[i]
                 : argument.shape[i].symbol.empty() ? argument.shape[i].size
                                                    : binding.symbols()[module.symbolIndex(argument.shape[i].symbol)];
    if (slot.dims[i] < 0 || (expected >= 0 && slot.dims[i] != expected))
      return fail(WHIT_BUG, "compiled code takes dimension %d of '%.*s' for %lld; it is %lld", int(i),
                  WHIT_NAME(argument.name), Long(slot.dims[i]), Long(expected));
    if ((bytes *= slot.dims[i]) > INT64_MAX / 4)
      return fail(WHIT_LIMIT, "'%.*s' would need more than 2^61 bytes", WHIT_NAME(argument.name));
  }
  slot.bytes = int64_t(bytes);
  return WHIT_OK;
}

bool Session::ownsBuffer(const Slot &slot, int32_t index) const {
  switch (slot.argument->kind) {
  case ArgumentKind::Input:
    return index == module.mask || index == module.positions;
  case ArgumentKind::Constant:
    return false;
  case ArgumentKind::State:
  case ArgumentKind::Workspace:
    return !device;
  default:
    return true;
  }
}

bool Session::ownsDeviceBuffer(const Slot &slot) const {
  return device && slot.argument->kind != ArgumentKind::Constant;
}

bool Session::fits() const {
  for (size_t i = 0; i < slots.size(); ++i)
    if ((ownsBuffer(slots[i], int32_t(i)) &&
         (!slots[i].buffer.data() || slots[i].buffer.capacity() < slots[i].bytes)) ||
        (ownsDeviceBuffer(slots[i]) && !device->holds(int32_t(i), slots[i].bytes)))
      return false;
  return true;
}

whit_status Session::allocate() {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (ownsBuffer(slots[i], int32_t(i)) && !slots[i].buffer.reserve(slots[i].bytes))
      return fail(WHIT_LIMIT, "no memory for %lld bytes of '%.*s'; use shorter sequences or a smaller batch",
                  Long(slots[i].bytes), WHIT_NAME(slots[i].argument->name));
    if (ownsDeviceBuffer(slots[i]) && !device->holds(int32_t(i), slots[i].bytes)) {
      if (whit_status status = fetch(slots[i])) // results outlive the buffer's growing
        return status;
      if (whit_status status =
              device->reserve(int32_t(i), slots[i].bytes, slots[i].argument->kind == ArgumentKind::State))
        return status;
    }
  }
  return WHIT_OK;
}

int64_t Session::batchOfCall() const { return module.stateCount ? slots[module.firstState].dims[0] : -1; }

whit_status Session::reserve(const whit_dim *dims, int32_t count) {
  if (whit_status status = binding.bindDims(dims, count, cachedTokens))
    return status;
  if (whit_status status = layOut())
    return status;
  if (whit_status status = allocate())
    return status;
  if (cachedBatch >= 0 && batchOfCall() != cachedBatch)
    cachedTokens = 0;
  cachedBatch = batchOfCall();
  return prepareConstants();
}

whit_status Session::prepareConstants() {
  if (whit_status status = module.weights.verify(&pool))
    return status;
  return module.device ? module.device->upload(module.constants, module.constantBytes) : WHIT_OK;
}

// ---- Running ----

whit_status Session::checkBatch() const {
  if (module.stateCount && !binding.pastsGiven() && cachedTokens > 0 && batchOfCall() != cachedBatch)
    return fail(WHIT_INVALID,
                "the call has batch %lld; the caches hold %lld tokens of batch %lld; give past tensors or truncate the "
                "session to 0 tokens",
                Long(batchOfCall()), Long(cachedTokens), Long(cachedBatch));
  return WHIT_OK;
}

whit_status Session::prepare(const whit_tensor *inputs, int32_t count) {
  if (whit_status status = binding.bind(inputs, count, cachedTokens))
    return status;
  if (whit_status status = layOut())
    return status;
  return checkBatch();
}

whit_status Session::execute(const whit_tensor *inputs, int32_t count) {
  if (whit_status status = prepare(inputs, count))
    return status;
  if (!fits())
    return fail(WHIT_NEEDS_RESERVE,
                "buffers are too small for these dimensions; call whit_session_reserve with them first");
  return launch();
}

whit_status Session::run(const whit_tensor *inputs, int32_t count) {
  if (whit_status status = prepare(inputs, count))
    return status;
  if (!fits())
    if (whit_status status = allocate())
      return status;
  return launch();
}

/// The host's side of a state on a device, which exists only while tensors go in or out.
whit_status Session::stage(Slot &slot, int64_t bytes) {
  if (device && !slot.buffer.reserve(bytes))
    return fail(WHIT_LIMIT, "no memory for %lld bytes of '%.*s'", Long(bytes), WHIT_NAME(slot.argument->name));
  return WHIT_OK;
}

/// If a past cannot be stored, the session is empty.
whit_status Session::importCaches() {
  cachedTokens = 0;
  for (int32_t i = module.firstState; i < module.firstState + module.stateCount; ++i) {
    std::string why;
    Slot &slot = slots[i];
    if (whit_status status = stage(slot, slot.bytes))
      return status;
    if (!importCache(cacheShape(*slot.argument, slot.dims), slot.buffer.data(), binding.past(),
                     binding.tensorOf(i)->data, &why))
      return fail(WHIT_INVALID, "past '%.*s' cannot be stored as %s: %s", WHIT_NAME(slot.argument->past),
                  slot.argument->format.c_str(), why.c_str());
    if (device)
      if (whit_status status = device->copyIn(i, slot.buffer.data(), slot.bytes))
        return status;
  }
  cachedTokens = binding.past();
  cachedBatch = batchOfCall();
  return WHIT_OK;
}

void Session::fillMask(Slot &slot) {
  fillElements(slot.argument->type, slot.buffer.data(), slot.bytes / elementBytes(slot.argument->type),
               [](int64_t) { return int64_t(1); });
}

void Session::fillPositions(Slot &slot) {
  int64_t count = slot.bytes / elementBytes(slot.argument->type),
          row = slot.rank ? std::max<int64_t>(1, slot.dims[slot.rank - 1]) : 1, past = binding.past();
  fillElements(slot.argument->type, slot.buffer.data(), count, [=](int64_t i) { return past + i % row; });
}

/// Writes the memref descriptor of an argument.
void Session::describe(Slot &slot, int32_t index) {
  void *data = slot.buffer.data();
  if (slot.argument->kind == ArgumentKind::Constant)
    data = const_cast<uint8_t *>(module.constants[index]);
  else if (slot.argument->kind == ArgumentKind::Input && binding.tensorOf(index))
    data = binding.tensorOf(index)->data;
  if (device)
    data = device->pointer(index);
  int64_t *descriptor = slot.descriptor;
  std::memcpy(descriptor, &data, sizeof data);
  std::memcpy(descriptor + 1, &data, sizeof data);
  descriptor[2] = 0;
  int64_t stride = 1;
  for (int32_t i = slot.rank - 1; i >= 0; --i) {
    descriptor[3 + i] = slot.dims[i];
    descriptor[3 + slot.rank + i] = stride;
    stride *= slot.dims[i];
  }
}

/// Inputs from the caller's memory, or what the session fills in, to the device.
whit_status Session::sendInputs() {
  for (size_t i = 0; device && i < slots.size(); ++i) {
    Slot &slot = slots[i];
    const whit_tensor *given = binding.tensorOf(int32_t(i));
    if (slot.argument->kind == ArgumentKind::Input)
      if (whit_status status = device->copyIn(int32_t(i), given ? given->data : slot.buffer.data(), slot.bytes))
        return status;
  }
  return WHIT_OK;
}

whit_status Session::launch() {
  pool.beginRun(uint64_t(slots[0].bytes));
  if (whit_status status = prepareConstants())
    return status;
  if (binding.pastsGiven())
    if (whit_status status = importCaches())
      return status;
  for (int32_t index : {module.mask, module.positions})
    if (index >= 0 && !binding.tensorOf(index))
      index == module.mask ? fillMask(slots[index]) : fillPositions(slots[index]);
  for (size_t i = 0; i < slots.size(); ++i)
    describe(slots[i], int32_t(i));
  if (whit_status status = sendInputs())
    return status;

  WhitContext context{parallelThunk, observer || profile ? observeThunk : nullptr, this, nullptr, nullptr};
  if (profile)
    profile->record(-1, 0);
  int32_t status = 0;
  if (!device)
    status = module.execute(&context, arguments.data());
  else if (whit_status failure = device->run(module.execute, context, arguments.data(), status))
    return failure;
  if (profile)
    profile->record(-1, 1);
  if (status == WHIT_CHECK_INDEX)
    return fail(WHIT_INVALID, "an index in '%.*s' (or another index input) is outside of its table",
                WHIT_NAME(module.tokens >= 0 ? slots[module.tokens].argument->name : slots[0].argument->name));
  if (status == WHIT_CHECK_LENGTH)
    return fail(WHIT_INVALID, "a mask or length input does not fit %lld tokens", Long(binding.total()));
  if (status != 0)
    return fail(WHIT_BUG, "compiled code failed with status %d", int(status));

  hasRun = true;
  if (module.stateCount) {
    cachedTokens = binding.total();
    cachedBatch = batchOfCall();
  }
  for (Slot &slot : slots)
    if (slot.argument->kind == ArgumentKind::Output) {
      std::copy_n(slot.dims, slot.rank, slot.lastDims.begin());
      slot.lastBytes = slot.bytes;
      slot.onDevice = device != nullptr;
    }
  return WHIT_OK;
}

// ---- Results and caches ----

whit_status Session::output(const char *name, whit_tensor *tensor) {
  const Value *value = module.findOutput(name);
  if (!value)
    return fail(WHIT_INVALID, "the model has no output '%.120s'", name);
  Slot &slot = slots[value->argument];
  if (value->state)
    return exportPresent(slot, *value, tensor);
  if (!hasRun)
    return fail(WHIT_USAGE, "output '%.120s' has no value; the session has not run yet", name);
  if (whit_status status = fetch(slot))
    return status;
  *tensor = {value->name.c_str(), whit_dtype(value->type), slot.rank, slot.lastDims.data(), slot.buffer.data()};
  return WHIT_OK;
}

/// Copies an output from the device when somebody asks for it.
whit_status Session::fetch(Slot &slot) {
  if (!slot.onDevice)
    return WHIT_OK;
  if (whit_status status = device->copyOut(indexOf(slot), slot.buffer.data(), slot.lastBytes))
    return status;
  slot.onDevice = false;
  return WHIT_OK;
}

whit_status Session::exportPresent(Slot &slot, const Value &value, whit_tensor *tensor) {
  const Argument &argument = *slot.argument;
  int64_t batch = cachedBatch >= 0 ? cachedBatch : 0;
  int64_t dims[4] = {batch, stateHeads(argument), cachedTokens, stateDepth(argument)};
  int64_t physical[4] = {batch, dims[1], argument.shape[2].size, dims[3]};
  int64_t bytes = dims[0] * dims[1] * dims[2] * dims[3] * elementBytes(value.type);
  if (!slot.exported.reserve(bytes))
    return fail(WHIT_LIMIT, "no memory for %lld bytes of '%.*s'", Long(bytes), WHIT_NAME(value.name));
  if (bytes > 0 && device) {
    int64_t cacheBytes = elementBytes(argument.type) * batch;
    for (size_t i = 1; i < argument.shape.size(); ++i)
      cacheBytes *= argument.shape[i].size;
    if (whit_status status = stage(slot, cacheBytes))
      return status;
    if (whit_status status = device->copyOut(indexOf(slot), slot.buffer.data(), cacheBytes))
      return status;
  }
  if (bytes > 0)
    exportCache(cacheShape(argument, physical), slot.buffer.data(), cachedTokens, slot.exported.data());
  std::copy_n(dims, 4, slot.lastDims.begin());
  *tensor = {value.name.c_str(), whit_dtype(value.type), 4, slot.lastDims.data(), slot.exported.data()};
  return WHIT_OK;
}

whit_status Session::truncate(int64_t length) {
  if (length < 0 || length > cachedTokens)
    return fail(WHIT_USAGE, "the caches hold %lld tokens; they cannot be cut to %lld", Long(cachedTokens),
                Long(length));
  cachedTokens = length;
  return WHIT_OK;
}

whit_status Session::importPasts(const whit_tensor *pasts, int32_t count) {
  if (!module.stateCount)
    return fail(WHIT_UNSUPPORTED, "the model has no caches");
  if (whit_status status = binding.bind(pasts, count, cachedTokens, true))
    return status;
  if (whit_status status = layOut())
    return status;
  if (whit_status status = allocate())
    return status;
  return importCaches();
}

// ---- Language models ----

whit_status Session::appendInput(const int64_t *tokens, int64_t count, whit_tensor &input) {
  if (module.tokens < 0 || module.logits < 0 || !module.stateCount)
    return fail(WHIT_UNSUPPORTED,
                "the model is not a language model with caches: its manifest names no tokens, logits or states");
  const Argument &argument = *slots[module.tokens].argument;
  const Argument &result = *slots[module.logits].argument;
  if (argument.shape.size() != 2 || (argument.type != ElementType::I64 && argument.type != ElementType::I32))
    return fail(WHIT_UNSUPPORTED, "input '%.*s' is not a matrix of i64 or i32 tokens", WHIT_NAME(argument.name));
  if (result.shape.size() != 3 || result.type != ElementType::F32)
    return fail(WHIT_UNSUPPORTED, "output '%.*s' is not [batch, rows, vocabulary] of f32", WHIT_NAME(result.name));
  if (count < 1)
    return fail(WHIT_USAGE, "%lld tokens are given; at least 1 is required", Long(count));
  input = {argument.name.c_str(), whit_dtype(argument.type), 2, tokenDims, const_cast<int64_t *>(tokens)};
  tokenDims[1] = count;
  if (argument.type == ElementType::I64)
    return WHIT_OK;
  if (count > kMaxDimension || !tokenBuffer.reserve(count * 4))
    return fail(WHIT_LIMIT, "no memory for %lld tokens", Long(count));
  for (int64_t i = 0; i < count; ++i)
    if (tokens[i] != int32_t(tokens[i])) // cut to 32 bits it may be another token
      return fail(WHIT_INVALID, "token %lld, at %lld, is no i32, which input '%.*s' takes", Long(tokens[i]), Long(i),
                  WHIT_NAME(argument.name));
  fillElements(ElementType::I32, tokenBuffer.data(), count, [&](int64_t i) { return tokens[i]; });
  input.data = tokenBuffer.data();
  return WHIT_OK;
}

whit_status Session::append(const int64_t *tokens, int64_t count, const float **logits, int64_t *size) {
  whit_tensor input;
  if (whit_status status = appendInput(tokens, count, input))
    return status;
  int32_t rows = module.lastRowsSymbol;
  int64_t before = rows >= 0 ? binding.dimOverride(rows) : -1;
  if (rows >= 0)
    binding.overrideDim(rows, 1);
  whit_status status = run(&input, 1);
  if (rows >= 0)
    binding.overrideDim(rows, before);
  if (status || !logits)
    return status;
  Slot &slot = slots[module.logits];
  if (whit_status fetched = fetch(slot))
    return fetched;
  *size = slot.lastDims[2];
  *logits = reinterpret_cast<const float *>(slot.buffer.data()) + (slot.lastDims[1] - 1) * slot.lastDims[2];
  return WHIT_OK;
}

// ---- Watching ----

whit_status Session::observe(whit_observer callback, void *user) {
  if (device && callback)
    return fail(WHIT_UNSUPPORTED, "tensors on device '%.120s' cannot be watched; watch the model on the CPU",
                module.device->deviceName().c_str());
  profile.reset();
  observer = callback;
  observerData = user;
  return WHIT_OK;
}

whit_status Session::startProfile() {
  observer = nullptr;
  profile = std::make_unique<Profile>();
  return WHIT_OK;
}

whit_status Session::stopProfile(const char *path) {
  if (!profile)
    return fail(WHIT_USAGE, "no profile was started");
  whit_status status = profile->write(path, *module.manifest);
  profile.reset();
  return status;
}

whit_status Session::timeDevice(int32_t repeat, int64_t rotateBytes) {
  if (!device)
    return fail(WHIT_USAGE, "the model runs on the CPU, which keeps no times of its own; load it for a device");
  if (repeat < 0 || repeat > 4096 || rotateBytes < 0)
    return fail(WHIT_USAGE, "repeat is %d and rotate_bytes %lld; 0 to 4096, and 0 or more, are allowed", int(repeat),
                Long(rotateBytes));
  device->time(repeat, rotateBytes);
  return WHIT_OK;
}

whit_status Session::deviceRun(whit_device_run &run) const {
  if (!device || !hasRun)
    return fail(WHIT_USAGE, device ? "the session has not run yet" : "the model runs on the CPU");
  const DeviceRun &last = device->lastRun();
  run.microseconds = last.microseconds;
  run.kernels = last.kernels;
  run.repeat = last.repeat;
  run.copies = last.copies;
  run.is_graph = last.isGraph;
  run.note = device->reason().c_str();
  run.product = device->device().name().c_str();
  run.architecture = device->device().architecture().c_str();
  return WHIT_OK;
}

void Session::parallelThunk(WhitContext *context, WhitBody body, void *captured, int64_t count) {
  static_cast<Session *>(context->runtime)->pool.parallel(body, captured, count);
}

void Session::observeThunk(WhitContext *context, int32_t region, int32_t when, void **arguments, int32_t count) {
  Session &session = *static_cast<Session *>(context->runtime);
  if (session.device)
    session.device->synchronize(); // a failure stays with the device and is reported behind the run
  if (session.profile)
    session.profile->record(region, when);
  else
    session.observer(session.observerData, region, when, arguments, count);
}

} // namespace whit
