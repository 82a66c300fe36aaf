// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One walk over @main; calls are walked where they stand, since functions of a JAX program have shapes of their own.

#include "Import/StableHLO/Program.h"

#include "CHLO/CHLO.h"
#include "Import/ONNX/SizeText.h"
#include "Import/StableHLO/Bodies.h"
#include "StableHLO/StableHLO.h"
#include "whit/Artifact.h"

#include "mlir/Dialect/Quant/IR/QuantTypes.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

namespace whit {

using semantics::Sizes;
using semantics::Tensor;

static constexpr size_t kMaxOperations = 1'000'000, kHighestRank = 8;
static constexpr unsigned kMaxDepth = 64;

Type hloElement(Type type) {
  if (isa<quant::UniformQuantizedType, quant::UniformQuantizedPerAxisType>(type))
    return hloElement(cast<quant::QuantizedType>(type).getStorageType());
  if (auto integer = dyn_cast<IntegerType>(type)) {
    if (!llvm::is_contained({1u, 8u, 16u, 32u, 64u}, integer.getWidth()))
      return {};
    return IntegerType::get(type.getContext(), integer.getWidth());
  }
  return isa<Float16Type, BFloat16Type, Float32Type, Float64Type>(type) ? type : Type();
}

/// Whether an argument or a result is an array of integers without a sign; the runtime has none of 16 bits.
static bool isPassedUnsigned(Type type) {
  type = getElementTypeOrSelf(type);
  if (auto quantized = dyn_cast<quant::QuantizedType>(type))
    return !quantized.isSigned() && quantized.getStorageTypeIntegralWidth() != 16;
  return type.isUnsignedInteger() && type.getIntOrFloatBitWidth() != 16;
}

std::string hloName(Operation *op) {
  std::string name, place;
  op->getLoc()->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner); named && name.empty())
      name = named.getName().str();
    else if (auto line = dyn_cast<FileLineColLoc>(inner); line && place.empty())
      place = (" at line " + Twine(line.getLine())).str();
    return WalkResult::advance();
  });
  return name.empty() ? op->getName().getStringRef().str() + place : name;
}

/// What the program itself calls an argument: jax.jit writes loc("params['w']") behind it.
static std::string labelOf(BlockArgument argument) {
  std::string label;
  argument.getLoc()->walk([&](Location inner) {
    if (auto named = dyn_cast<NameLoc>(inner); named && label.empty())
      label = named.getName().str();
    return WalkResult::advance();
  });
  return label;
}

static const HloOperation *lookUp(Operation *op) {
  static const llvm::StringMap<const HloOperation *> table = [] {
    llvm::StringMap<const HloOperation *> map;
    for (ArrayRef<HloOperation> rows : {hloControl(), hloElementwise(), hloMoves(), hloProducts(), hloQuantize(),
                                        hloReductions(), hloScatters(), hloSorts(), hloWindows()})
      for (const HloOperation &row : rows)
        map[row.name] = &row;
    return map;
  }();
  return table.lookup(op->getName().getStringRef());
}

Program::Program(ModuleOp source, DataFiles &files, const Parameters &parameters, Diagnostics &diagnostics)
    : source(source), files(files), parameters(parameters), diagnostics(diagnostics), algebra(source.getContext()) {}

void Program::report(DiagnosticCode code, Operation *op, const Twine &message, StringRef help) {
  Diagnostic diagnostic{code, Severity::Error, "", {}, "", message.str(), help.str()};
  if (op) {
    diagnostic.nodes.push_back(hloName(op));
    diagnostic.op = op->getName().getStringRef().str();
  }
  diagnostics.add(std::move(diagnostic));
}

LogicalResult Program::unsupported(Operation *op, const Twine &message, StringRef help) {
  report(code::NoFeature, op, message, help);
  return failure();
}

// ------------------------------------------------------------------------------------------------ values

static Sizes fixedSizes(Builder &b, RankedTensorType type) {
  return llvm::map_to_vector(type.getShape(), [&](int64_t dim) { return OpFoldResult(b.getIndexAttr(dim)); });
}

void Program::set(mlir::Value result, const Tensor &tensor) {
  values[result] = {tensor.sizes, tensor, tensor.element(), nullptr, {}, false};
}

void Program::setLoose(mlir::Value result, const Tensor &tensor) {
  values[result] = {sizesOf(result), tensor, tensor.element(), nullptr, {}, false};
}

Tensor Program::loose(mlir::Value value) {
  HloValue &known = values[value];
  return known.parameter ? whole(known) : known.tensor;
}

Tensor Program::whole(mlir::Value value) { return whole(values[value]); }

Tensor Program::whole(HloValue &value) {
  if (!value.parameter)
    return semantics::broadcastTo(*b, value.tensor, value.sizes);
  const Parameter &p = *value.parameter;
  auto type = RankedTensorType::get(p.dims, p.element);
  auto part = mlir::whit::SourceAttr::get(b->getContext(), "rows", p.dims.empty() ? 1 : p.dims[0],
                                          weights->blob(p.file, p.offset, p.length, p.element));
  Tensor tensor{weights->constant(*b, p.name, type, part), fixedSizes(*b, type)};
  if (!llvm::equal(value.permutation, llvm::seq<int64_t>(0, p.dims.size())))
    tensor = semantics::transpose(*b, tensor, value.permutation);
  tensor = semantics::convert(*b, tensor, value.element);
  return tensor;
}

mlir::Value Program::matrix(const HloValue &value, ArrayRef<int64_t> free, ArrayRef<int64_t> contracted) {
  const Parameter &p = *value.parameter;
  auto stored = [&](ArrayRef<int64_t> dims) {
    return llvm::map_to_vector(dims, [&](int64_t dim) { return value.permutation[dim]; });
  };
  SmallVector<int64_t> rows = stored(free), columns = stored(contracted);
  auto isInOrder = [](ArrayRef<int64_t> first, ArrayRef<int64_t> second) {
    SmallVector<int64_t> all(first);
    llvm::append_range(all, second);
    return llvm::equal(all, llvm::seq<int64_t>(0, all.size()));
  };
  bool byRows = isInOrder(rows, columns), byColumns = isInOrder(columns, rows);
  auto count = [&](ArrayRef<int64_t> dims) {
    int64_t product = 1;
    for (int64_t dim : dims)
      product *= p.dims[dim];
    return product;
  };
  int64_t n = count(rows), k = count(columns);
  if (!(byRows || byColumns) || n < 1 || k < 1)
    return {};
  return weights->matrix(*b, p.name, n, k, byRows ? "rows" : "columns",
                         weights->blob(p.file, p.offset, p.length, p.element));
}

// ------------------------------------------------------------------------------------------------ operations

/// Calls that say something about the program and compute nothing.
static bool isAnnotation(Operation *op) {
  if (llvm::is_contained({"sdy.sharding_constraint", "sdy.reshard"}, op->getName().getStringRef()))
    return true;
  auto call = dyn_cast<stablehlo::CustomCallOp>(op);
  return call && llvm::is_contained({"Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape",
                                     "annotate_device_placement", "LayoutConstraint", "shape_assertion"},
                                    call.getCallTargetName());
}

static bool isStructure(Operation *op) {
  return isa<func::CallOp, func::ReturnOp, stablehlo::ReturnOp, stablehlo::CompositeOp, stablehlo::CustomCallOp>(op) ||
         isAnnotation(op);
}

/// Looks at all operations before any is imported: what cannot be is listed at once, each kind with all its places.
bool Program::checkOperations(func::FuncOp main) {
  std::vector<Diagnostic> problems;
  llvm::StringMap<size_t> placeOf;
  auto add = [&](DiagnosticCode code, Operation *op, const std::string &message, StringRef help) {
    auto [place, isNew] = placeOf.try_emplace(message, problems.size());
    if (isNew)
      problems.push_back({code, Severity::Error, "", {}, op->getName().getStringRef().str(), message, help.str(), 0});
    problems[place->second].nodes.push_back(hloName(op));
    ++problems[place->second].count;
  };
  SmallVector<func::FuncOp> worklist{main};
  llvm::DenseSet<Operation *> seen{main};
  SymbolTable symbols(source);
  while (!worklist.empty()) {
    func::FuncOp next = worklist.pop_back_val();
    if (next.isExternal()) {
      report(code::Graph, next, "function @" + shown(next.getSymName()) + " has no body");
      continue;
    }
    if (!next.getBody().hasOneBlock())
      report(code::Graph, next, "function @" + shown(next.getSymName()) + " has branches; it must be one block");
    next.getBody().walk([&](Operation *op) {
      StringRef callee;
      if (auto call = dyn_cast<func::CallOp>(op))
        callee = call.getCallee();
      else if (auto composite = dyn_cast<stablehlo::CompositeOp>(op))
        callee = composite.getDecomposition();
      if (!callee.empty()) {
        auto target = symbols.lookup<func::FuncOp>(callee);
        if (!target)
          report(code::Graph, op, "there is no function @" + shown(callee));
        else if (target.getFunctionType().getInputs() != op->getOperandTypes() ||
                 target.getFunctionType().getResults() != op->getResultTypes())
          report(code::Graph, op, "calls @" + shown(callee) + " with other types than it has");
        else if (seen.insert(target).second)
          worklist.push_back(target);
      }
      if (auto call = dyn_cast<stablehlo::CustomCallOp>(op); call && !isAnnotation(op))
        add(code::NoOperator, op, "custom call @" + shown(call.getCallTargetName()) + " is not supported", "");
      else if (!isStructure(op) && !lookUp(op) && !isInHloBody(op))
        add(code::NoOperator, op, "operation '" + shown(op->getName().getStringRef()) + "' is not supported", "");
      for (Type type : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes())) {
        auto tensor = dyn_cast<RankedTensorType>(type);
        std::string text;
        llvm::raw_string_ostream(text) << type;
        if (!tensor || !hloElement(tensor.getElementType()))
          add(code::NoType, op, "type " + shown(text) + " is not supported", "");
        else if (isQuantized(tensor) && (op->getNumRegions() || isInHloBody(op)))
          add(code::NoType, op, "type " + shown(text) + " is not supported in and around regions",
              "quantize what the region computes behind it");
        else if (!tensor.hasStaticShape() && !mayVary(op))
          add(code::NoFeature, op,
              "'" + shown(op->getName().getStringRef()) + "' has sizes that vary, which it does not support",
              "lower the program for fixed shapes");
        else if (tensor.getRank() > int64_t(kHighestRank))
          add(code::NoFeature, op,
              "type " + shown(text) + " has more than " + std::to_string(kHighestRank) + " dimensions", "");
        else
          continue;
        break;
      }
    });
  }
  bool ok = problems.empty();
  for (Diagnostic &problem : problems)
    diagnostics.add(std::move(problem));
  return ok;
}

LogicalResult Program::call(Operation *op, StringRef callee) {
  auto target = source.lookupSymbol<func::FuncOp>(callee);
  if (++depth > kMaxDepth) {
    --depth;
    report(code::Limit, op, "calls are nested more than " + Twine(kMaxDepth) + " deep, or without an end");
    return failure();
  }
  Block &body = target.getBody().front();
  // A function may run more than once: its values are those of the latest call.
  for (auto [argument, operand] : llvm::zip(body.getArguments(), op->getOperands())) {
    HloValue copy = values[operand];
    values[argument] = std::move(copy);
  }
  FailureOr<SmallVector<HloValue>> results = run(body);
  --depth;
  if (failed(results))
    return failure();
  for (auto [result, value] : llvm::zip(op->getResults(), *results))
    values[result] = value;
  return success();
}

LogicalResult Program::import(Operation *op) {
  if (auto call = dyn_cast<func::CallOp>(op))
    return this->call(op, call.getCallee());
  if (auto composite = dyn_cast<stablehlo::CompositeOp>(op))
    return this->call(op, composite.getDecomposition());
  if (auto call = dyn_cast<stablehlo::CustomCallOp>(op); call && call.getCallTargetName() == "shape_assertion")
    return checkAssertion(op);
  if (isAnnotation(op)) {
    if (op->getOperandTypes() != op->getResultTypes())
      return unsupported(op, "has other results than operands");
    for (auto [result, operand] : llvm::zip(op->getResults(), op->getOperands())) {
      HloValue copy = values[operand];
      values[result] = std::move(copy);
    }
    return success();
  }
  if (failed(inferSizes(op)) || failed(lookUp(op)->import(*this, op)))
    return failure();
  trackElements(op);
  return success();
}

FailureOr<SmallVector<HloValue>> Program::run(Block &block) {
  Location before = b->getLoc();
  for (Operation &op : block.without_terminator()) {
    if (++imported > kMaxOperations) {
      report(code::Limit, &op,
             "the program has more than " + Twine(kMaxOperations) + " operations once all calls are replaced");
      return failure();
    }
    bool poisoned = llvm::any_of(op.getOperands(), [&](mlir::Value operand) { return values[operand].failed; });
    b->setLoc(NameLoc::get(b->getStringAttr(hloName(&op))));
    if (!poisoned && succeeded(import(&op)))
      continue;
    if (imported > kMaxOperations)
      return failure();
    for (mlir::Value result : op.getResults())
      values[result].failed = true;
  }
  b->setLoc(before);
  return llvm::map_to_vector(block.getTerminator()->getOperands(), [&](mlir::Value value) { return values[value]; });
}

// ------------------------------------------------------------------------------------------------ inputs, outputs

/// What the program calls its inputs and results may stand beside argN and outN where it says one thing only: a label
/// that two have, or that is the name of another, or that a manifest cannot hold, is left out.
void Program::addAliases(func::FuncOp main) {
  llvm::StringMap<unsigned> uses;
  SmallVector<std::pair<std::string, std::string>> labels; // name, label
  for (unsigned i = 0; i < main.getNumArguments(); ++i)
    labels.emplace_back("arg" + std::to_string(i), labelOf(main.getArgument(i)));
  for (unsigned i = 0; i < main.getNumResults(); ++i) {
    auto info = main.getResultAttrOfType<StringAttr>(i, "jax.result_info");
    labels.emplace_back("out" + std::to_string(i), info ? info.str() : "");
  }
  for (const auto &[name, label] : labels)
    ++uses[name], ++uses[label];
  for (const auto &[name, label] : labels)
    if (!label.empty() && uses[label] == 1 && int64_t(label.size()) <= kMaxNameBytes &&
        !StringRef(label).contains('\0') && llvm::json::isUTF8(label))
      aliases[name] = label;
}

bool Program::addInputs(func::FuncOp main) {
  Builder builder(source.getContext());
  ArrayRef<std::string> names = parameters.names();
  unsigned count = main.getNumArguments();
  auto refuse = [&](DiagnosticCode code, const Twine &message, StringRef help) {
    report(code, nullptr, message, help);
    return false;
  };
  if (names.size() > count)
    return refuse(code::Graph,
                  "--param-names has " + Twine(names.size()) + " names; @main has " + Twine(count) + " arguments", "");
  SmallVector<Type> types;
  SmallVector<unsigned> unbound;
  unsigned bound = 0;
  bool ok = true;
  nameDimensions(main);
  for (unsigned i = 0; i < count; ++i) {
    auto type = dyn_cast<RankedTensorType>(main.getArgumentTypes()[i]);
    Type element = type ? hloElement(type.getElementType()) : Type();
    std::string own = "arg" + std::to_string(i);
    if (!element || type.getRank() > int64_t(kHighestRank)) {
      std::string text;
      llvm::raw_string_ostream(text) << main.getArgumentTypes()[i];
      ok = refuse(code::NoType, "argument " + own + " has type " + text + ", which is not supported",
                  "lower the program for shapes of at most 8 dimensions");
      continue;
    }
    // By the list of names, or else by the name of the argument itself.
    const Parameter *parameter = nullptr;
    std::string wrong;
    auto find = [&](StringRef name) {
      if (!parameter && wrong.empty() && !(parameter = parameters.find(name)) && !parameters.otherType(name).empty())
        wrong = name.str();
    };
    if (i < names.size() && !names[i].empty()) {
      find(names[i]);
      if (!parameter && wrong.empty()) {
        ok = refuse(code::Graph, "argument " + own + " is to be '" + shown(names[i]) + "'; --params has no such tensor",
                    "names in --param-names are those of the file; a tensor must be f32, f16 or bf16");
        continue;
      }
    } else if (names.empty()) {
      find(own);
      find(labelOf(main.getArgument(i)));
    }
    if (!wrong.empty()) {
      ok = refuse(code::NoType,
                  "parameter '" + shown(wrong) + "' of argument " + own + " has type '" +
                      shown(parameters.otherType(wrong)) + "'; f32, f16 or bf16 is required",
                  "convert the tensor, or let the argument stay an input: null in its place in --param-names");
      continue;
    }
    if (!parameter) {
      types.push_back(RankedTensorType::get(type.getShape(), element));
      unbound.push_back(i);
      continue;
    }
    ++bound;
    if (parameter->element != element || ArrayRef<int64_t>(parameter->dims) != type.getShape()) {
      std::string text;
      llvm::raw_string_ostream(text) << RankedTensorType::get(parameter->dims, parameter->element) << "; argument "
                                     << own << " needs " << type;
      ok = refuse(code::Tensor, "parameter '" + shown(parameter->name) + "' has type " + text, "");
      continue;
    }
    HloValue &value = values[main.getArgument(i)];
    value.sizes = fixedSizes(builder, type);
    value.element = element;
    value.parameter = parameter;
    value.permutation = llvm::to_vector(llvm::seq<int64_t>(0, type.getRank()));
    if (llvm::is_contained(type.getShape(), 0))
      ok = refuse(code::NoFeature, "parameter '" + shown(parameter->name) + "' has no elements", "");
  }
  if (!parameters.empty() && !bound && ok)
    return refuse(code::Graph, "--params has no tensor with the name of an argument (arg0, arg1 ...)",
                  "give --param-names=FILE.json, a list of names in the order of the arguments");
  if (!ok)
    return false;
  addAliases(main);
  OpBuilder atModule = OpBuilder::atBlockEnd(module->getBody());
  function = func::FuncOp::create(atModule, module->getLoc(), "main", builder.getFunctionType(types, {}));
  Block &entry = *function.addEntryBlock();
  // One value for each name; the runtime holds callers to all dimensions of a name being equal.
  llvm::StringMap<mlir::Value> symbols;
  OpBuilder head = OpBuilder::atBlockBegin(&entry);
  Operation *last = nullptr;
  for (auto [place, i] : llvm::enumerate(unbound))
    for (int64_t dim = 0; dim < cast<RankedTensorType>(types[place]).getRank(); ++dim)
      if (auto name = dimensions.find({i, dim}); name != dimensions.end() && !symbols.lookup(name->second)) {
        auto size = tensor::DimOp::create(head, function.getLoc(), entry.getArgument(place), dim);
        last = size;
        symbols[name->second] = size;
        algebra.addSymbol(size, name->second);
      }
  algebra.setHead(&entry, last);
  for (auto [place, i] : llvm::enumerate(unbound)) {
    BlockArgument argument = entry.getArgument(place);
    auto type = cast<RankedTensorType>(types[place]);
    StringAttr name = builder.getStringAttr("arg" + Twine(i));
    argument.setLoc(NameLoc::get(name));
    function.setArgAttr(place, "whit.name", name);
    if (isPassedUnsigned(main.getArgumentTypes()[i]))
      function.setArgAttr(place, "whit.unsigned", builder.getUnitAttr());
    if (std::string alias = aliases.lookup(name.getValue()); !alias.empty())
      function.setArgAttr(place, "whit.alias", builder.getStringAttr(alias));
    Sizes sizes;
    SmallVector<Attribute> dims;
    for (auto [dim, size] : llvm::enumerate(type.getShape())) {
      auto symbol = dimensions.find({i, int64_t(dim)});
      bool isNamed = symbol != dimensions.end();
      dims.push_back(isNamed ? Attribute(builder.getStringAttr(symbol->second)) : builder.getI64IntegerAttr(size));
      sizes.push_back(isNamed ? OpFoldResult(symbols[symbol->second]) : builder.getIndexAttr(size));
    }
    function.setArgAttr(place, "whit.dims", builder.getArrayAttr(dims));
    values[main.getArgument(i)] = {sizes, {argument, sizes}, type.getElementType(), nullptr, {}, false};
  }
  return true;
}

/// The name or number of a result's dimension; a size that follows from others is called what it follows as.
Attribute Program::outputDim(OpFoldResult size) {
  Builder builder(source.getContext());
  if (std::optional<int64_t> known = getConstantIntValue(size))
    return builder.getI64IntegerAttr(*known);
  if (StringRef name = algebra.nameOf(size); !name.empty())
    return builder.getStringAttr(name);
  Attribute expression = algebra.expressionOf(size);
  if (!expression)
    return {};
  StringAttr name = builder.getStringAttr(textOfSize(expression));
  computedSizes.insert({name, expression});
  return name;
}

void Program::addOutputs(func::FuncOp main, ArrayRef<HloValue> results) {
  Builder builder(source.getContext());
  SmallVector<mlir::Value> returned;
  SmallVector<Attribute> attributes;
  for (auto [i, result] : llvm::enumerate(results)) {
    if (result.failed)
      return; // reported
    HloValue copy = result;
    Tensor tensor = whole(copy);
    returned.push_back(tensor.value);
    std::string name = "out" + std::to_string(i);
    NamedAttrList described;
    described.set("whit.name", builder.getStringAttr(name));
    SmallVector<Attribute> dims = llvm::map_to_vector(tensor.sizes, [&](OpFoldResult size) { return outputDim(size); });
    if (llvm::is_contained(dims, Attribute()))
      return report(code::NoFeature, nullptr, "result " + name + " has a size that depends on data", "");
    described.set("whit.dims", builder.getArrayAttr(dims));
    if (isPassedUnsigned(main.getResultTypes()[i]))
      described.set("whit.unsigned", builder.getUnitAttr());
    if (std::string alias = aliases.lookup(name); !alias.empty())
      described.set("whit.alias", builder.getStringAttr(alias));
    attributes.push_back(described.getDictionary(source.getContext()));
  }
  func::ReturnOp::create(*b, returned);
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), TypeRange(ValueRange(returned))));
  function.setResAttrsAttr(builder.getArrayAttr(attributes));
}

OwningOpRef<ModuleOp> Program::build(StringRef name) {
  MLIRContext *context = source.getContext();
  Builder builder(context);
  module = ModuleOp::create(NameLoc::get(builder.getStringAttr(name)));
  weights.emplace(*module, files);
  size_t before = diagnostics.all().size();
  auto main = source.lookupSymbol<func::FuncOp>("main");
  if (!main) {
    report(code::Graph, nullptr, "the program has no function @main", "jax.jit(f).lower(x).as_text() writes one");
    return {};
  }
  if (!checkOperations(main) || !addInputs(main) || diagnostics.all().size() != before)
    return {};
  expressQuantized(source);
  OpBuilder plain = OpBuilder::atBlockEnd(&function.getBody().front());
  b.emplace(function.getLoc(), plain);
  FailureOr<SmallVector<HloValue>> results = run(main.getBody().front());
  if (succeeded(results))
    addOutputs(main, *results);
  if (diagnostics.all().size() != before || failed(results))
    return {};
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  // Weights that nothing uses need not be in the artifact.
  for (auto weight : llvm::make_early_inc_range(module->getOps<mlir::whit::WeightOp>()))
    if (SymbolTable::symbolKnownUseEmpty(weight, *module))
      weight.erase();
  (*module)->setAttr("whit.model", builder.getStringAttr(name));
  (*module)->setAttr("whit.directory", builder.getStringAttr(files.getFolder()));
  SmallVector<Attribute> symbols;
  llvm::StringSet<> listed;
  for (const auto &[place, symbol] : dimensions)
    if (listed.insert(symbol).second)
      symbols.push_back(builder.getStringAttr(symbol));
  for (const auto &[symbol, expression] : computedSizes)
    symbols.push_back(
        builder.getDictionaryAttr({builder.getNamedAttr("name", symbol), builder.getNamedAttr("value", expression)}));
  (*module)->setAttr("whit.symbols", builder.getArrayAttr(symbols));
  return std::move(module);
}

} // namespace whit
