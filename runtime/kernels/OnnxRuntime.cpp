// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The kernels as custom operators of ONNX Runtime, domain "whit" (onnxruntime_c_api.h, API version 17: ONNX Runtime 1.17 and later). That
// header comes in no package; its function table only grows at the end, and what is used of it stands here by its place.
#include "runtime/kernels/Call.h"
#include "runtime/kernels/Tensors.h"

#include <new>

using namespace whit;

namespace {

constexpr uint32_t kApiVersion = 17;
constexpr char kDomain[] = "whit";

struct Status;
struct Value;
struct Shape;
struct Context;
struct KernelInfo;
struct SessionOptions;
struct Domain;
struct Operator;

/// OrtApi.
struct Api {
  const void *functions[275];

  template <typename Function> Function *at(size_t place) const {
    return reinterpret_cast<Function *>(const_cast<void *>(functions[place]));
  }
  Status *fail(int32_t code, const char *message) const {
    return at<Status *(int32_t, const char *)>(0)(code, message);
  }
  Status *createDomain(const char *name, Domain **out) const {
    return at<Status *(const char *, Domain **)>(26)(name, out);
  }
  Status *addOperator(Domain *domain, const Operator *op) const {
    return at<Status *(Domain *, const Operator *)>(27)(domain, op);
  }
  Status *addDomain(SessionOptions *options, Domain *domain) const {
    return at<Status *(SessionOptions *, Domain *)>(28)(options, domain);
  }
  Status *dataOf(Value *value, void **out) const { return at<Status *(Value *, void **)>(51)(value, out); }
  Status *typeOf(const Shape *shape, int32_t *out) const {
    return at<Status *(const Shape *, int32_t *)>(60)(shape, out);
  }
  Status *rankOf(const Shape *shape, size_t *out) const {
    return at<Status *(const Shape *, size_t *)>(61)(shape, out);
  }
  Status *sizesOf(const Shape *shape, int64_t *out, size_t rank) const {
    return at<Status *(const Shape *, int64_t *, size_t)>(62)(shape, out, rank);
  }
  Status *shapeOf(const Value *value, Shape **out) const {
    return at<Status *(const Value *, Shape **)>(65)(value, out);
  }
  Status *attribute(const KernelInfo *info, const char *name, int64_t *out) const {
    return at<Status *(const KernelInfo *, const char *, int64_t *)>(86)(info, name, out);
  }
  Status *input(const Context *context, size_t i, const Value **out) const {
    return at<Status *(const Context *, size_t, const Value **)>(90)(context, i, out);
  }
  Status *output(Context *context, size_t i, const int64_t *sizes, size_t rank, Value **out) const {
    return at<Status *(Context *, size_t, const int64_t *, size_t, Value **)>(91)(context, i, sizes, rank, out);
  }
  void release(Shape *shape) const { at<void(Shape *)>(99)(shape); }
  Status *parallel(const Context *context, void (*body)(void *, size_t), size_t count, size_t batches,
                   void *data) const {
    return at<Status *(const Context *, void (*)(void *, size_t), size_t, size_t, void *)>(274)(context, body, count,
                                                                                                batches, data);
  }
};
constexpr int32_t kFail = 1, kInvalidArgument = 2;

struct ApiBase {
  const Api *(*api)(uint32_t version);
  const char *(*version)();
};

/// OrtCustomOp, with what its functions need behind it.
struct Operator {
  uint32_t version = kApiVersion;
  void *(*createKernel)(const Operator *, const Api *, const KernelInfo *) = nullptr;
  const char *(*name)(const Operator *);
  const char *(*provider)(const Operator *);
  int32_t (*inputType)(const Operator *, size_t);
  size_t (*inputCount)(const Operator *);
  int32_t (*outputType)(const Operator *, size_t);
  size_t (*outputCount)(const Operator *);
  void (*compute)(void *, Context *) = nullptr;
  void (*destroy)(void *);
  int32_t (*inputKind)(const Operator *, size_t);
  int32_t (*outputKind)(const Operator *, size_t);
  int32_t (*inputMemory)(const Operator *, size_t);
  int32_t (*number[4])(const Operator *); ///< of variadic inputs and outputs, which there are none
  Status *(*createKernel2)(const Operator *, const Api *, const KernelInfo *, void **);
  Status *(*compute2)(void *, Context *);
  Status *(*inferShapes)(const Operator *, void *) = nullptr;
  int32_t (*firstVersion)(const Operator *);
  int32_t (*lastVersion)(const Operator *);

  const KernelTable *kernel;
};

int32_t theirType(int32_t ours) {
  static constexpr int32_t kTypes[] = {0, 1, 10, 16, 11, 7, 6, 3, 2, 9, 5, 12, 13};
  return kTypes[ours];
}
int32_t ourType(int32_t theirs) {
  for (int32_t ours = 1; ours <= 12; ++ours)
    if (theirType(ours) == theirs)
      return ours;
  return 0;
}

/// The `i`-th argument that is given, or that is a result.
const KernelArgument &argumentAt(const KernelTable &kernel, size_t i, bool isResult) {
  for (int64_t a = 0;; ++a) {
    KernelRole role = kernel.arguments[a].role;
    bool counts = isResult ? role == KernelRole::InOut || role == KernelRole::Output
                           : role != KernelRole::Size && role != KernelRole::Output;
    if (counts && i-- == 0)
      return kernel.arguments[a];
  }
}

/// Whether no tensor that is given has parameter `i` as a dimension: a node has it as an attribute.
bool isAttribute(const KernelTable &kernel, int64_t symbol) {
  for (int64_t i = 0; i < givenCount(kernel); ++i) {
    const KernelArgument &argument = argumentAt(kernel, i, false);
    for (int64_t d = 0; d < argument.rank; ++d)
      if (argument.shape[d] == ~symbol)
        return false;
  }
  return true;
}

/// A node of a model.
struct Node {
  const Api *api;
  const KernelTable *kernel;
  int64_t attributes[kMaxKernelSymbols];
};

/// ONNX Runtime's threads, for one call.
struct Threads {
  WhitContext context;
  const Api *api;
  const Context *runtime;
  WhitBody body;
  void *captured;
};

void runOnThreads(WhitContext *context, WhitBody body, void *captured, int64_t count) {
  auto &threads = *reinterpret_cast<Threads *>(context);
  threads.body = body;
  threads.captured = captured;
  auto one = [](void *data, size_t i) {
    auto &given = *static_cast<Threads *>(data);
    given.body(given.captured, int64_t(i), int64_t(i) + 1);
  };
  if (count > 1)
    threads.api->parallel(threads.runtime, one, size_t(count), 0, &threads);
  else if (count == 1)
    body(captured, 0, 1);
}

Status *readTensor(const Api &api, const Value *value, int64_t *sizes, GivenTensor &tensor) {
  Shape *shape = nullptr;
  if (Status *status = api.shapeOf(value, &shape))
    return status;
  int32_t type = 0;
  size_t rank = 0;
  Status *status = api.typeOf(shape, &type);
  if (!status)
    status = api.rankOf(shape, &rank);
  if (!status && rank > size_t(kMaxKernelRank))
    status = api.fail(kInvalidArgument, "a tensor has more dimensions than kernels take");
  if (!status)
    status = api.sizesOf(shape, sizes, rank);
  api.release(shape);
  if (status)
    return status;
  tensor = {nullptr, sizes, int64_t(rank), ourType(type)};
  return api.dataOf(const_cast<Value *>(value), &tensor.data);
}

Status *createNode(const Operator *op, const Api *api, const KernelInfo *info, void **out) {
  auto *node = new (std::nothrow) Node{api, op->kernel, {}};
  if (!node)
    return api->fail(kFail, "out of memory");
  for (int64_t i = 0; i < op->kernel->parameterCount; ++i)
    if (isAttribute(*op->kernel, i))
      if (Status *status = api->attribute(info, op->kernel->symbols[i].name, &node->attributes[i])) {
        delete node;
        return status;
      }
  *out = node;
  return nullptr;
}

/// The shapes of results follow from those of what is given and from the node's attributes.
bool bindSizes(const Node &node, const GivenTensor *given, int64_t *symbols, Problem &problem) {
  const KernelTable &kernel = *node.kernel;
  int64_t parameters[kMaxKernelSymbols];
  for (int64_t i = 0; i < kernel.parameterCount; ++i)
    parameters[i] = isAttribute(kernel, i) ? node.attributes[i] : -1;
  for (int64_t i = 0; i < givenCount(kernel); ++i) {
    const KernelArgument &argument = argumentAt(kernel, size_t(i), false);
    if (given[i].rank != argument.rank)
      return problem.set(kKernelSize, "%s: '%s' has %lld dimensions, needs %d", kernel.name, argument.name,
                         static_cast<long long>(given[i].rank), argument.rank);
    for (int64_t d = 0; d < argument.rank; ++d)
      if (int64_t symbol = ~argument.shape[d]; symbol >= 0 && symbol < kernel.parameterCount && parameters[symbol] < 0)
        parameters[symbol] = given[i].shape[d];
  }
  return computeSymbols(kernel, parameters, symbols) ||
         problem.set(kKernelSize, "%s: a size is negative or too large", kernel.name);
}

Status *compute(void *state, Context *context) {
  const auto &node = *static_cast<const Node *>(state);
  const KernelTable &kernel = *node.kernel;
  const Api &api = *node.api;
  GivenTensor given[kMaxKernelArguments], results[kMaxKernelArguments], tensors[kMaxKernelArguments];
  int64_t shapes[2 * kMaxKernelArguments][kMaxKernelRank], symbols[kMaxKernelSymbols];
  Problem problem;
  int64_t count = givenCount(kernel);
  for (int64_t i = 0; i < count; ++i) {
    const Value *value = nullptr;
    if (Status *status = api.input(context, size_t(i), &value))
      return status;
    if (Status *status = readTensor(api, value, shapes[i], given[i]))
      return status;
  }
  if (!bindSizes(node, given, symbols, problem))
    return api.fail(kInvalidArgument, problem.text);
  for (int64_t i = 0; i < resultCount(kernel); ++i) {
    const KernelArgument &argument = argumentAt(kernel, size_t(i), true);
    int64_t *shape = shapes[count + i];
    for (int64_t d = 0; d < argument.rank; ++d)
      shape[d] = dimensionOf(argument, d, symbols);
    Value *value = nullptr;
    if (Status *status = api.output(context, size_t(i), shape, size_t(argument.rank), &value))
      return status;
    results[i] = {nullptr, shape, argument.rank, argument.type};
    if (Status *status = api.dataOf(value, &results[i].data))
      return status;
  }
  int64_t numbers[kMaxKernelSymbols], next = 0;
  for (int64_t i = 0; i < kernel.parameterCount; ++i)
    if (isExplicit(kernel, i))
      numbers[next++] = node.attributes[i];
  Threads threads = {{}, &api, context, nullptr, nullptr};
  threads.context.parallel = runOnThreads;
  if (!joinTensors(kernel, given, results, tensors, problem) ||
      !callTensors(kernel, tensors, numbers, &threads.context, problem))
    return api.fail(kInvalidArgument, problem.text);
  return nullptr;
}

Operator operatorOf(const KernelTable *kernel) {
  Operator op = {};
  op.version = kApiVersion;
  op.name = [](const Operator *self) { return self->kernel->name; };
  op.provider = [](const Operator *) -> const char * { return nullptr; }; // CPU
  op.inputType = [](const Operator *self, size_t i) { return theirType(argumentAt(*self->kernel, i, false).type); };
  op.inputCount = [](const Operator *self) { return size_t(givenCount(*self->kernel)); };
  op.outputType = [](const Operator *self, size_t i) { return theirType(argumentAt(*self->kernel, i, true).type); };
  op.outputCount = [](const Operator *self) { return size_t(resultCount(*self->kernel)); };
  op.destroy = [](void *node) { delete static_cast<Node *>(node); };
  auto zero = [](const Operator *, size_t) { return 0; }; // required; the provider's own memory
  op.inputKind = zero;
  op.outputKind = zero;
  op.inputMemory = zero;
  for (auto &number : op.number)
    number = [](const Operator *) { return 1; };
  op.createKernel2 = createNode;
  op.compute2 = compute;
  op.firstVersion = [](const Operator *) { return 1; };
  op.lastVersion = [](const Operator *) { return 0x7fffffff; };
  op.kernel = kernel;
  return op;
}

} // namespace

/// Sessions use the operators as long as they live, and nobody says when the last one is gone.
extern "C" Status *whit_kernels_register(const KernelTable *const *kernels, int64_t count, SessionOptions *options,
                                         const ApiBase *base) {
  const Api *api = base->api(kApiVersion);
  if (!api) // nothing to tell it with
    return nullptr;
  Domain *domain = nullptr;
  if (Status *status = api->createDomain(kDomain, &domain))
    return status;
  auto *operators = static_cast<Operator *>(operator new(size_t(count) * sizeof(Operator), std::nothrow));
  if (!operators)
    return api->fail(kFail, "out of memory");
  for (int64_t i = 0; i < count; ++i)
    if (Status *status = api->addOperator(domain, new (&operators[i]) Operator(operatorOf(kernels[i]))))
      return status;
  return api->addDomain(options, domain);
}
