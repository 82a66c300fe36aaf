// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which buffer of a compiled region is which value of the module, and how far the two may be apart.

#include "Interpret/Regions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include "runtime/encoding/Half.h"

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

using namespace mlir;
using mlir::whit::RegionOp;

namespace whit::interpret {

// ---------------------------------------------------------------------------------------------------- buffers

static Scalar loadElement(Type element, const char *at) {
  auto load = [&](auto number) {
    std::memcpy(&number, at, sizeof(number));
    return number;
  };
  if (element.isF32())
    return {load(float()), 0, 0};
  if (element.isF64())
    return {load(double()), 0, 0};
  if (element.isF16())
    return {halfToFloat(load(uint16_t())), 0, 0};
  if (element.isBF16())
    return {bfloatToFloat(load(uint16_t())), 0, 0};
  if (isa<Float8E4M3FNType>(element))
    return {llvm::APFloat(llvm::APFloat::Float8E4M3FN(), llvm::APInt(8, load(uint8_t()))).convertToDouble(), 0, 0};
  switch (widthOf(element)) {
  case 1:
    return {0, load(uint8_t()) & 1, 0};
  case 8:
    return {0, load(int8_t()), 0};
  case 16:
    return {0, load(int16_t()), 0};
  case 32:
    return {0, load(int32_t()), 0};
  default:
    return {0, load(int64_t()), 0};
  }
}

static int64_t bytesOf(Type element) {
  return isa<FloatType>(element) ? element.getIntOrFloatBitWidth() / 8 : (widthOf(element) + 7) / 8;
}

/// [B, H, T/16, D, 16] -> [B, H, T, D].
static Tensor unblocked(const Tensor &blocked) {
  const std::vector<int64_t> &from = blocked.shape;
  int64_t depth = from[3];
  Tensor result(blocked.element, {from[0], from[1], from[2] * 16, depth});
  for (int64_t at = 0; at < result.count(); ++at) {
    int64_t d = at % depth, row = at / depth; // row counts tokens over all heads, and a head is whole blocks
    result.set(at, blocked.get((row / 16 * depth + d) * 16 + row % 16));
  }
  return result;
}

/// [B, H, T/16, BYTES] -> [B, H, T, D], decoded.
static Tensor unpacked(const CacheBlock &block, Type element, const Tensor &bytes) {
  int64_t tokens = bytes.shape[2] * kBlockTokens, size = bytes.shape[2] * bytes.shape[3];
  Tensor result(element, {bytes.shape[0], bytes.shape[1], tokens, block.depth});
  for (int64_t head = 0, heads = bytes.shape[0] * bytes.shape[1]; head < heads; ++head) {
    std::vector<uint8_t> raw(bytes.integers.begin() + head * size, bytes.integers.begin() + (head + 1) * size);
    dequantize(unpackTokens(block, tokens, raw.data()), result.floats.data() + head * tokens * block.depth);
  }
  return result;
}

Tensor readBuffer(const BufferShape &shape, const void *descriptor) {
  // void *allocated, *aligned; int64_t offset, sizes[rank], strides[rank]
  auto *words = static_cast<const int64_t *>(descriptor);
  const char *data;
  std::memcpy(&data, words + 1, sizeof(data));
  std::vector<int64_t> sizes(words + 3, words + 3 + shape.rank),
      strides(words + 3 + shape.rank, words + 3 + 2 * shape.rank);
  Type element = shape.packed ? Type(IntegerType::get(shape.element.getContext(), 8)) : shape.element;
  Tensor tensor(element, sizes);
  std::vector<int64_t> index(shape.rank);
  int64_t size = bytesOf(element);
  for (int64_t at = 0; at < tensor.count(); ++at, advance(index, sizes)) {
    int64_t from = words[2];
    for (int64_t i = 0; i < shape.rank; ++i)
      from += index[i] * strides[i];
    tensor.set(at, loadElement(element, data + from * size));
  }
  if (shape.packed)
    return unpacked(*shape.packed, shape.element, tensor);
  return shape.isBlocked ? unblocked(tensor) : tensor;
}

/// Where inside the region's captured values its result is written; -1 if it is none of them.
static int64_t destinationOf(RegionOp region, unsigned result) {
  Value value = region.getBody().front().getTerminator()->getOperand(result);
  for (;;) {
    auto found = llvm::find(region.getCaptured(), value);
    if (found != region.getCaptured().end())
      return found - region.getCaptured().begin();
    if (auto insert = value.getDefiningOp<tensor::InsertSliceOp>()) {
      value = insert.getDest();
      continue;
    }
    auto dps = value.getDefiningOp<DestinationStyleOpInterface>();
    OpOperand *init = dps ? dps.getTiedOpOperand(cast<OpResult>(value)) : nullptr;
    if (!init)
      return -1;
    value = init->get();
  }
}

Regions::Regions(LoadedModule &loaded, const StateShapes &states)
    : loaded(loaded), function(loaded.module->lookupSymbol<func::FuncOp>("main")) {
  loaded.module->walk([&](RegionOp region) { regions.push_back(region); });
  for (RegionOp region : regions) {
    std::vector<BufferShape> &buffers = shapes.emplace_back();
    for (Value value : region.getCaptured()) {
      BufferShape shape;
      shape.isWeight = value.getDefiningOp<mlir::whit::ConstantOp>() != nullptr;
      if (auto ranked = dyn_cast<RankedTensorType>(value.getType())) {
        shape.element = ranked.getElementType();
        shape.rank = ranked.getRank();
      }
      if (auto argument = dyn_cast<BlockArgument>(memoryOf(value));
          argument && argument.getOwner()->getParentOp() == function)
        if (auto state = function.getArgAttrOfType<DictionaryAttr>(argument.getArgNumber(), "whit.state"))
          if (auto found = states.find(cast<StringAttr>(state.get("past")).str()); found != states.end()) {
            shape.isBlocked = true;
            shape.packed = found->second;
          }
      shape.rank += shape.isBlocked && !shape.packed;
      buffers.push_back(shape);
    }
    for (unsigned i = 0; i < region.getNumResults(); ++i)
      if (int64_t destination = destinationOf(region, i); destination >= 0)
        buffers[destination].isResult = true;
  }
}

// ---------------------------------------------------------------------------------------------------- comparing

static std::string numberText(double value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

std::string RegionReport::text() const {
  std::string where = "region " + std::to_string(id) + " '" + name + "'";
  if (!elements)
    return where + ": no elements";
  if (unlimited)
    where += " (" + std::to_string(unlimited) + " elements have no finite bound)";
  if (!used)
    return where + ": no difference in " + std::to_string(elements) + " elements";
  char part[64];
  std::snprintf(part, sizeof(part), "%.3g", used);
  return where + ": " + std::to_string(wrong) + " of " + std::to_string(elements) + " elements out of bound; worst " +
         textOf(index) + (result ? " of result " + std::to_string(result) : "") + " is " + numberText(found) +
         ", f64 gives " + numberText(expected) + ", error " + numberText(std::fabs(found - expected)) + ", bound " +
         numberText(bound) + " (" + part + " of it)";
}

/// The part of its bound that an element uses; above 1 it is wrong.
static double usedOf(const Scalar &found, const Scalar &expected, bool isFloat) {
  double x = isFloat ? found.f : double(found.i), y = isFloat ? expected.f : double(expected.i);
  if (x == y || (std::isnan(x) && std::isnan(y)))
    return 0;
  if (isFloat && std::fabs(y) > FLT_MAX && std::fabs(x) >= FLT_MAX && std::signbit(x) == std::signbit(y))
    return 0; // beyond f32
  double error = std::fabs(x - y);
  return std::isnan(error) || expected.bound == 0 ? std::numeric_limits<double>::infinity() : error / expected.bound;
}

static void compare(const Tensor &found, const Tensor &expected, unsigned result, RegionReport &report) {
  for (int64_t at = 0; at < found.count(); ++at) {
    Scalar x = found.get(at), y = expected.get(at);
    double used = usedOf(x, y, found.isFloat());
    ++report.elements;
    report.unlimited += std::isinf(y.bound);
    report.wrong += used > 1;
    if (used <= report.used)
      continue;
    report.used = used;
    report.result = result;
    report.found = found.isFloat() ? x.f : double(x.i);
    report.expected = found.isFloat() ? y.f : double(y.i);
    report.bound = y.bound;
    report.index.clear();
    for (int64_t stride : stridesOf(found.shape))
      report.index.push_back(at / stride % found.shape[report.index.size()]);
  }
}

FailureOr<std::vector<Datum>> Regions::replayOne(RegionOp op, Frame &frame, RegionRecord &record,
                                                 RegionReport &report) {
  if (!record.seen)
    return op.emitError() << "region '" << op.getName()
                          << "' was not run by the artifact; compile it from this model again";
  for (auto [i, value] : llvm::enumerate(op.getCaptured())) {
    if (shapes[report.id][i].isWeight)
      continue;
    Tensor &given = record.before[i];
    // A blocked cache is padded to whole blocks.
    if (shapes[report.id][i].isBlocked)
      if (int64_t capacity = cast<RankedTensorType>(value.getType()).getDimSize(2);
          !ShapedType::isDynamic(capacity) && capacity != given.shape[2])
        return op.emitError() << "has a cache of " << given.shape[2] << " tokens in compiled code and of " << capacity
                              << " in the module; use a context that is a multiple of 16";
    if (given.shape != frame.tensor(value).shape)
      return op.emitError() << "captured value " << i << " has shape " << textOf(given.shape)
                            << " in compiled code and " << textOf(frame.tensor(value).shape) << " in the module";
    frame.set(value, std::move(given));
  }
  auto results = frame.interpreter.run(op.getBody().front(), frame);
  if (failed(results))
    return failure();
  std::vector<Datum> compiled;
  for (unsigned i = 0; i < results->size(); ++i) {
    int64_t destination = destinationOf(op, i);
    if (destination < 0)
      return op.emitError() << "result " << i << " is written to no captured value";
    Tensor &after = record.after[destination];
    const Tensor &expected = *(*results)[i].tensor;
    if (after.shape != expected.shape)
      return op.emitError() << "result " << i << " has shape " << textOf(after.shape)
                            << " in compiled code; it must be " << textOf(expected.shape);
    compare(after, expected, i, report);
    compiled.push_back(makeDatum(after)); // a copy: two results may share one destination
  }
  record = RegionRecord();
  return compiled;
}

// ---------------------------------------------------------------------------------------------------- the whole
// function

llvm::Expected<std::vector<RegionReport>> Regions::replay(const NamedTensors &inputs, const Sizes &sizes,
                                                          std::vector<RegionRecord> &records, int threads) {
  if (!function)
    return fail(Exit::Invalid, "the module has no function @main");
  if (regions.empty())
    return fail(Exit::Invalid, "the module has no regions; it must be of stage fused");
  Interpreter interpreter(*loaded.module, loaded.directory, {.bounds = true, .threads = threads});
  if (failed(interpreter.verifySupported(function)))
    return fail(Exit::Unsupported,
                "the model holds operations that the interpreter does not know; see the messages above");
  std::vector<RegionReport> reports;
  llvm::DenseMap<Operation *, int32_t> ids;
  for (RegionOp region : regions)
    ids[region] = int32_t(ids.size());
  interpreter.regionHook = [&](RegionOp op, Frame &frame) {
    RegionReport &report = reports.emplace_back();
    report.id = ids.at(op);
    report.name = op.getName().str();
    if (auto nodes = op->getAttrOfType<ArrayAttr>("nodes"))
      for (auto node : nodes.getAsRange<StringAttr>())
        report.nodes.push_back(node.str());
    return replayOne(op, frame, records[report.id], report);
  };
  auto arguments = argumentsOf(function, inputs, sizes);
  if (!arguments)
    return arguments.takeError();
  if (failed(interpreter.call(function, std::move(*arguments))))
    return fail(Exit::Invalid, "the regions could not be replayed; see the messages above");
  return reports;
}

} // namespace whit::interpret
