// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The signature of @main: names and dimensions are attributes of its arguments and results (`whit.name`, `whit.dims`);
// from stage encoded on some arguments are caches (`whit.state`) and some are the memory of outputs (`whit.output`).

#include "Interpret/Models.h"

#include "Interpret/CacheRows.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using mlir::whit::CacheAppendOp;
using mlir::whit::RegionOp;

namespace whit::interpret {

Value memoryOf(Value value) {
  while (auto result = dyn_cast<OpResult>(value)) {
    Operation *op = result.getOwner();
    if (auto region = dyn_cast<RegionOp>(op))
      value = region.getBody().front().getTerminator()->getOperand(result.getResultNumber());
    else if (auto dps = dyn_cast<DestinationStyleOpInterface>(op); dps && dps.getTiedOpOperand(result))
      value = dps.getTiedOpOperand(result)->get();
    else if (auto cast = dyn_cast<tensor::CastOp>(op))
      value = cast.getSource();
    else
      return value;
  }
  return value;
}

/// The name of an argument or result.
static std::string nameOf(DictionaryAttr attributes, StringRef fallback, unsigned index) {
  auto name = attributes ? attributes.getAs<StringAttr>("whit.name") : StringAttr();
  return name ? name.str() : (fallback + llvm::Twine(index)).str();
}

static DictionaryAttr stateOf(func::FuncOp function, unsigned i) {
  return function.getArgAttrOfType<DictionaryAttr>(i, "whit.state");
}

static std::string textIn(DictionaryAttr dictionary, StringRef key) {
  auto text = dictionary.getAs<StringAttr>(key);
  return text ? text.str() : "";
}

/// Symbols of dimensions whose sizes a tensor shows.
static void learn(ArrayAttr dims, const Tensor &tensor, Sizes &sizes) {
  for (int64_t i = 0; dims && i < std::min<int64_t>(dims.size(), tensor.rank()); ++i)
    if (auto symbol = dyn_cast<StringAttr>(dims[i]))
      sizes[symbol.str()] = tensor.shape[i];
}

// ---------------------------------------------------------------------------------------------------- arguments

static llvm::Error checkShape(const llvm::Twine &name, RankedTensorType type, const Tensor &tensor) {
  bool fits = tensor.rank() == type.getRank();
  for (int64_t i = 0; fits && i < tensor.rank(); ++i)
    fits = type.isDynamicDim(i) || type.getDimSize(i) == tensor.shape[i];
  if (!fits)
    return fail(Exit::Invalid, "input '" + name + "' has shape " + textOf(tensor.shape) + "; the model needs " +
                                   textOf(type.getShape().vec()));
  if (isa<FloatType>(type.getElementType()) != tensor.isFloat())
    return fail(Exit::Invalid, "input '" + name + "' holds " + (tensor.isFloat() ? "floats" : "integers") +
                                   "; the model needs the other kind");
  return llvm::Error::success();
}

/// What fills a state: it says in which format, and whether keys are rotated.
static CacheAppendOp appendTo(Value state) {
  for (Operation *user : state.getUsers())
    if (auto append = dyn_cast<CacheAppendOp>(user))
      return append;
  return {};
}

/// Every row of the last dimension as the caches of an append hold it, or back to what the model knows.
static void changeRows(Tensor &tensor, CacheAppendOp append, bool store) {
  if (!append || (!append.getHadamard() && !(store && append.getFormat())))
    return;
  std::vector<Scalar> row(tensor.last());
  for (int64_t from = 0; from < tensor.count(); from += tensor.last()) {
    for (size_t d = 0; d < row.size(); ++d)
      row[d] = tensor.get(from + d);
    if (append.getHadamard())
      multiplyByHadamardMatrix(row, 0);
    if (store && append.getFormat())
      storeInFormat(append.getFormatAttr().getEncoding(), row, 0);
    for (size_t d = 0; d < row.size(); ++d)
      tensor.set(from + d, row[d]);
  }
}

/// Writes a past [B, H, P, D] into a cache [B, H, C, D].
static llvm::Error fillCache(const llvm::Twine &name, const Tensor &past, Tensor &cache) {
  if (past.rank() != 4 || past.shape[0] != cache.shape[0] || past.shape[1] != cache.shape[1] ||
      past.shape[2] > cache.shape[2] || past.shape[3] != cache.shape[3])
    return fail(Exit::Invalid,
                "input '" + name + "' has shape " + textOf(past.shape) + "; the cache has " + textOf(cache.shape));
  int64_t from = past.shape[2] * past.shape[3], to = cache.shape[2] * cache.shape[3];
  for (int64_t at = 0; at < past.count(); ++at)
    cache.set(at / from * to + at % from, past.get(at));
  return llvm::Error::success();
}

static llvm::Expected<Tensor> argumentOf(func::FuncOp function, unsigned i, const NamedTensors &inputs,
                                         const Sizes &sizes) {
  auto type = dyn_cast<RankedTensorType>(function.getArgument(i).getType());
  std::string name = nameOf(function.getArgAttrDict(i), "arg", i);
  if (!type)
    return fail(Exit::Unsupported, "argument '" + name + "' is no tensor");
  DictionaryAttr state = stateOf(function, i);
  bool isOutput = bool(function.getArgAttr(i, "whit.output"));
  auto found = inputs.find(state ? textIn(state, "past") : name);
  if (!state && !isOutput && found != inputs.end()) {
    if (llvm::Error error = checkShape(name, type, found->second))
      return std::move(error);
    Tensor tensor = found->second;
    tensor.element = type.getElementType();
    for (int64_t &integer : tensor.integers) // unsigned ones are held like the others, by what they mean as such
      integer = wrap(integer, widthOf(tensor.element));
    return tensor;
  }
  auto dims = function.getArgAttrOfType<ArrayAttr>(i, "whit.dims");
  std::vector<int64_t> shape = type.getShape().vec();
  bool isKnown = true;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (!ShapedType::isDynamic(shape[d]))
      continue;
    auto symbol = dims && d < dims.size() ? dyn_cast<StringAttr>(dims[d]) : StringAttr();
    auto size = sizes.find(symbol ? symbol.str() : "");
    isKnown &= size != sizes.end();
    shape[d] = size != sizes.end() ? size->second : 0;
  }
  Tensor tensor(type.getElementType(), shape);
  if (state && found != inputs.end()) {
    Tensor past = found->second;
    changeRows(past, appendTo(function.getArgument(i)), /*store=*/true);
    if (llvm::Error error = fillCache(found->first, past, tensor))
      return std::move(error);
  }
  if (state || isOutput)
    return tensor;
  // A cache that is an input may hold nothing; a mask may be filled in where its size is known.
  if (tensor.isFloat() ? tensor.count() != 0 : !isKnown)
    return fail(Exit::Invalid, "input '" + name + "' is missing", "",
                "only caches may be left out; they are empty then");
  std::fill(tensor.integers.begin(), tensor.integers.end(), 1);
  return tensor;
}

llvm::Expected<std::vector<Datum>> argumentsOf(func::FuncOp function, const NamedTensors &inputs, const Sizes &sizes) {
  std::vector<Datum> arguments;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto argument = argumentOf(function, i, inputs, sizes);
    if (!argument)
      return argument.takeError();
    arguments.push_back(makeDatum(std::move(*argument)));
  }
  return arguments;
}

// ---------------------------------------------------------------------------------------------------- the whole model

/// Names the model's inputs may have.
static std::vector<std::string> inputNames(func::FuncOp function) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    if (DictionaryAttr state = stateOf(function, i))
      names.push_back(textIn(state, "past"));
    else if (!function.getArgAttr(i, "whit.output"))
      names.push_back(nameOf(function.getArgAttrDict(i), "arg", i));
  }
  return names;
}

/// What an expression of whit.symbols gives; nothing if one of its symbols is not known.
static std::optional<int64_t> sizeOf(Attribute expression, const Sizes &sizes) {
  if (auto number = dyn_cast<IntegerAttr>(expression))
    return number.getInt();
  if (auto name = dyn_cast<StringAttr>(expression)) {
    auto found = sizes.find(name.str());
    return found == sizes.end() ? std::nullopt : std::optional(found->second);
  }
  auto list = dyn_cast<ArrayAttr>(expression);
  auto op = list && !list.empty() ? dyn_cast<StringAttr>(list[0]) : StringAttr();
  std::optional<int64_t> result;
  for (size_t i = 1; op && i < list.size(); ++i) {
    std::optional<int64_t> next = sizeOf(list[i], sizes);
    if (!next || ((op == "/" || op == "%") && i > 1 && *next <= 0))
      return std::nullopt;
    if (i == 1)
      result = next;
    else
      result = op == "+"     ? *result + *next
               : op == "*"   ? *result * *next
               : op == "/"   ? *result / *next
               : op == "%"   ? *result % *next
               : op == "min" ? std::min(*result, *next)
                             : std::max(*result, *next);
  }
  return result;
}

static Sizes sizesOf(ModuleOp module, func::FuncOp function, const NamedTensors &inputs) {
  Sizes sizes;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto found = inputs.find(nameOf(function.getArgAttrDict(i), "arg", i));
        found != inputs.end() && !stateOf(function, i))
      learn(function.getArgAttrOfType<ArrayAttr>(i, "whit.dims"), found->second, sizes);
  // Symbols with a default or a value follow from others.
  if (auto symbols = module->getAttrOfType<ArrayAttr>("whit.symbols"))
    for (Attribute symbol : symbols)
      if (auto named = dyn_cast<DictionaryAttr>(symbol)) { // the others are names
        if (auto other = sizes.find(textIn(named, "default")); other != sizes.end())
          sizes.try_emplace(textIn(named, "name"), other->second);
        else if (Attribute value = named.get("value"))
          if (std::optional<int64_t> size = sizeOf(value, sizes))
            sizes.try_emplace(textIn(named, "name"), *size);
      }
  return sizes;
}

/// Integers as they are without a sign.
static Tensor unsignedOf(Tensor tensor) {
  unsigned unused = 64 - widthOf(tensor.element);
  for (int64_t &integer : tensor.integers)
    integer = int64_t(uint64_t(integer) << unused >> unused);
  return tensor;
}

/// The tokens of a cache that are there after the call, as the model's present tensor.
static Tensor presentOf(const Tensor &cache, int64_t length) {
  Tensor present(cache.element, {cache.shape[0], cache.shape[1], length, cache.shape[3]});
  int64_t from = cache.shape[2] * cache.shape[3], to = length * cache.shape[3];
  for (int64_t at = 0; at < present.count(); ++at)
    present.set(at, cache.get(at / to * from + at % to));
  return present;
}

llvm::Expected<NamedTensors> evaluateModel(LoadedModule &loaded, const NamedTensors &inputs, bool bounds, int threads) {
  auto function = loaded.module->lookupSymbol<func::FuncOp>("main");
  if (!function || function.isExternal())
    return fail(Exit::Invalid, "the module has no function @main");
  Interpreter interpreter(*loaded.module, loaded.directory, {.bounds = bounds, .threads = threads});
  if (failed(interpreter.verifySupported(function)))
    return fail(Exit::Unsupported,
                "the model holds operations that the interpreter does not know; see the messages above");
  std::vector<std::string> names = inputNames(function);
  for (const auto &[name, tensor] : inputs)
    if (!llvm::is_contained(names, name))
      return fail(Exit::Invalid, "the model has no input '" + name + "'; it has " + llvm::join(names, ", "));
  Sizes sizes = sizesOf(*loaded.module, function, inputs);
  auto arguments = argumentsOf(function, inputs, sizes);
  if (!arguments)
    return arguments.takeError();
  auto results = interpreter.call(function, std::move(*arguments));
  if (failed(results))
    return fail(Exit::Invalid, "the model could not be run to its end; see the messages above");

  NamedTensors outputs;
  Operation *terminator = function.getBody().front().getTerminator();
  for (unsigned i = 0; i < results->size(); ++i) {
    if (!(*results)[i].tensor)
      continue;
    const Tensor &tensor = *(*results)[i].tensor;
    auto memory = dyn_cast<BlockArgument>(memoryOf(terminator->getOperand(i)));
    DictionaryAttr state = memory ? stateOf(function, memory.getArgNumber()) : DictionaryAttr();
    if (state && sizes.count(textIn(state, "length"))) {
      Tensor present = presentOf(tensor, sizes.at(textIn(state, "length")));
      changeRows(present, appendTo(memory), /*store=*/false);
      outputs[textIn(state, "present")] = std::move(present);
    } else {
      outputs[nameOf(function.getResultAttrDict(i), "result", i)] =
          function.getResultAttr(i, "whit.unsigned") ? unsignedOf(tensor) : tensor;
    }
  }
  return outputs;
}

} // namespace whit::interpret
