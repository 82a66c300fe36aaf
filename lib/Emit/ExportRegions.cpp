// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A region's body may use sizes of tensors that it does not touch, or products of them. Each such number is expressed in the sizes of its
// own tensors where they say it; what they do not say becomes a parameter of the kernel, in IR the only dimension of an empty tensor.

#include "Emit/ExportRegions.h"

#include "Emit/ExportSizes.h"
#include "Emit/Failure.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/GlobPattern.h"

using namespace llvm;
using namespace mlir;

namespace whit {
namespace {

/// What elements are called in manifests; "" for what kernels cannot take.
StringRef nameOfType(mlir::Type type) {
  if (auto integer = dyn_cast<IntegerType>(type))
    switch (integer.getWidth()) {
    case 1:
      return "bool";
    case 8:
      return "i8";
    case 16:
      return "i16";
    case 32:
      return "i32";
    case 64:
      return "i64";
    }
  return type.isF32() ? "f32" : type.isF16() ? "f16" : type.isBF16() ? "bf16" : "";
}

/// An identifier of C.
std::string identifier(StringRef text) {
  std::string result;
  for (char c : text.ltrim("/_."))
    if (isAlnum(c))
      result += c;
    else if (!result.empty() && result.back() != '_')
      result += '_';
  while (!result.empty() && result.back() == '_')
    result.pop_back();
  return result.empty() || isDigit(result[0]) ? "k_" + result : result;
}

/// Of C, C++ or Python.
bool isKeyword(StringRef name) {
  static const llvm::StringSet<> keywords = [] {
    llvm::StringSet<> words;
    for (StringRef line : {"alignas alignof and asm auto bool break case catch char class const constexpr continue "
                           "decltype default delete do double else",
                           "enum explicit export extern false float for friend goto if import in inline int is lambda "
                           "long main mutable namespace new",
                           "not None nullptr operator or pass private protected public raise register restrict return "
                           "short signed sizeof static struct",
                           "switch template this throw True False true try typedef typeid typename union unsigned "
                           "using virtual void volatile while",
                           "with yield xor def del elif except finally from global nonlocal assert async await"}) {
      SmallVector<StringRef, 32> parts;
      line.split(parts, ' ');
      words.insert(parts.begin(), parts.end());
    }
    return words;
  }();
  return keywords.contains(name);
}

/// What a region computes, in one word: "quantized_matmul".
std::string mainOperation(mlir::whit::RegionOp region) {
  std::string name = "views";
  bool isProduct = false;
  region.getBody().walk([&](Operation *op) {
    if (!isa<mlir::whit::RowwiseOpInterface, linalg::LinalgOp>(op) || isProduct)
      return;
    isProduct = op->getName().getStringRef().contains("matmul") || op->getName().getStringRef().contains("attention");
    name = op->getName().stripDialect().str();
  });
  return name;
}

/// The memory of a tensor: an argument of the function, a weight or a buffer, which regions may have written to since.
Value memoryOf(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    Value before;
    if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op))
      before = op->getOperand(0);
    else if (auto region = dyn_cast<mlir::whit::RegionOp>(op))
      before =
          destinationOf(region.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber()),
                        region.getBody());
    if (!before)
      break;
    value = before;
  }
  return value;
}

/// What tensors are called outside of kernels: inputs, weights and outputs by their names, all else by the region that computes it, its
/// number in the model, and which of its results it is.
class ValueNames {
public:
  explicit ValueNames(ArrayRef<mlir::whit::RegionOp> regions) {
    for (auto [id, region] : enumerate(regions))
      numbers[region] = id;
  }

  std::string of(Value value) const {
    while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(value.getDefiningOp()))
      value = value.getDefiningOp()->getOperand(0);
    if (auto argument = dyn_cast<BlockArgument>(value))
      return nameOf(argument);
    if (auto constant = value.getDefiningOp<mlir::whit::ConstantOp>())
      return constant.getWeight().str();
    auto region = value.getDefiningOp<mlir::whit::RegionOp>();
    if (!region)
      return "";
    if (auto argument = dyn_cast<BlockArgument>(memoryOf(value)))
      if (cast<func::FuncOp>(argument.getOwner()->getParentOp()).getArgAttr(argument.getArgNumber(), "whit.output"))
        return nameOf(argument);
    std::string name = region.getName().str() + "#" + std::to_string(numbers.lookup(region));
    return region.getNumResults() > 1 ? name + "." + std::to_string(cast<OpResult>(value).getResultNumber()) : name;
  }
  int64_t numberOf(mlir::whit::RegionOp region) const { return numbers.lookup(region); }

private:
  static std::string nameOf(BlockArgument argument) {
    auto main = cast<func::FuncOp>(argument.getOwner()->getParentOp());
    auto name = main.getArgAttrOfType<StringAttr>(argument.getArgNumber(), "whit.name");
    return name ? name.getValue().str() : "argument " + std::to_string(argument.getArgNumber());
  }

  llvm::DenseMap<Operation *, int64_t> numbers;
};

/// Whether nothing is in this memory before a region writes to it.
bool isFresh(Value destination, func::FuncOp main) {
  while (Operation *op = destination.getDefiningOp()) {
    if (isa<bufferization::AllocTensorOp, tensor::EmptyOp>(op))
      return true;
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op))
      return false;
    destination = op->getOperand(0);
  }
  return bool(main.getArgAttr(cast<BlockArgument>(destination).getArgNumber(), "whit.output"));
}

/// One region on its way to a kernel.
class Extraction {
public:
  Extraction(mlir::whit::RegionOp region, ModelSizes &model, const ValueNames &names)
      : region(region), main(region->getParentOfType<func::FuncOp>()), model(model), names(names),
        sizes(region.getContext()), builder(region.getContext()) {}

  /// False with `why`.
  bool run(std::string &why);
  ExportedKernel kernel;

private:
  struct Tensor {
    Value value;
    KernelRole role;
  };

  bool findTensors(std::string &why);
  void findSizes();
  bool build(std::string &why);
  Value parameter(unsigned i);
  Value size(AffineExpr ofModel);
  Value scalar(Value value);
  void restate(Operation *op);
  AffineMap mapOf(Operation *op) const;
  void nameArguments();
  ExportedSize sizeOf(AffineExpr ofModel);
  void describe();
  bool isDimension(AffineExpr ofModel);
  bool isInKernel(Value value) { return function.getBody().isAncestor(value.getParentRegion()); }
  bool isInside(Value value) { return region.getBody().isAncestor(value.getParentRegion()); }

  mlir::whit::RegionOp region;
  func::FuncOp main;
  ModelSizes &model;
  const ValueNames &names;
  KernelSizes sizes;
  OpBuilder builder;
  SmallVector<Tensor> tensors;
  SmallVector<Operation *> constants;
  func::FuncOp function;
  IRMapping map;
  SmallVector<Value> parameterValues;
};

bool Extraction::findTensors(std::string &why) {
  llvm::SetVector<Value> values;
  values.insert_range(region.getCaptured());
  region.getBody().walk([&](Operation *op) {
    for (Value operand : op->getOperands()) {
      if (isInside(operand))
        continue;
      Operation *def = operand.getDefiningOp();
      if (isa<RankedTensorType>(operand.getType()))
        values.insert(operand);
      else if (def && matchPattern(def, m_Constant()))
        constants.push_back(def);
    }
  });
  llvm::SmallDenseSet<Value> written;
  for (Value result : region.getBody().front().getTerminator()->getOperands()) {
    Value destination = destinationOf(result, region.getBody());
    if (!destination || destination.getType() != result.getType()) {
      why = "a result of it has no memory of its own";
      return false;
    }
    written.insert(destination);
  }
  for (Value value : values) {
    auto type = cast<RankedTensorType>(value.getType());
    Operation *op = value.getDefiningOp();
    if (nameOfType(type.getElementType()).empty() || type.getRank() > kMaxKernelRank) {
      std::string text;
      raw_string_ostream(text) << type;
      why = "it takes a " + text + ", which kernels cannot be given";
      return false;
    }
    KernelRole role = isa_and_nonnull<mlir::whit::ConstantOp>(op) ? KernelRole::Weight : KernelRole::Input;
    if (written.contains(value))
      role = isFresh(value, main) ? KernelRole::Output : KernelRole::InOut;
    tensors.push_back({value, role});
  }
  llvm::stable_sort(tensors, [](const Tensor &left, const Tensor &right) { return left.role < right.role; });
  return true;
}

AffineMap Extraction::mapOf(Operation *op) const {
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op))
    return apply.getAffineMap();
  if (auto minimum = dyn_cast<affine::AffineMinOp>(op))
    return minimum.getAffineMap();
  if (auto maximum = dyn_cast<affine::AffineMaxOp>(op))
    return maximum.getAffineMap();
  return {};
}

void Extraction::findSizes() {
  for (const Tensor &tensor : tensors)
    for (int64_t i = 0, rank = cast<RankedTensorType>(tensor.value.getType()).getRank(); i < rank; ++i)
      sizes.addDimension(model.ofDimension(tensor.value, i));
  sizes.chooseParameters();
}

/// Parameters are asked for before they are all known: the function's arguments come last.
Value Extraction::parameter(unsigned i) {
  while (parameterValues.size() <= i)
    parameterValues.emplace_back();
  if (parameterValues[i])
    return parameterValues[i];
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&function.getBody().front());
  AffineExpr wanted = sizes.parameters()[i];
  for (auto [index, tensor] : enumerate(tensors))
    for (int64_t d = 0, rank = cast<RankedTensorType>(tensor.value.getType()).getRank(); d < rank; ++d)
      if (model.ofDimension(tensor.value, d) == wanted)
        return parameterValues[i] =
                   tensor::DimOp::create(builder, region.getLoc(), function.getArgument(index), d).getResult();
  auto type = RankedTensorType::get({ShapedType::kDynamic}, builder.getI8Type());
  Value carrier = function.getBody().front().addArgument(type, region.getLoc());
  return parameterValues[i] = tensor::DimOp::create(builder, region.getLoc(), carrier, 0).getResult();
}

bool Extraction::isDimension(AffineExpr ofModel) {
  return llvm::any_of(tensors, [&](const Tensor &tensor) {
    int64_t rank = cast<RankedTensorType>(tensor.value.getType()).getRank();
    return llvm::any_of(llvm::seq<int64_t>(0, rank),
                        [&](int64_t i) { return model.ofDimension(tensor.value, i) == ofModel; });
  });
}

Value Extraction::size(AffineExpr ofModel) {
  AffineExpr expression = sizes.inParameters(ofModel);
  SmallVector<OpFoldResult> operands;
  for (unsigned i = 0; i < sizes.parameters().size(); ++i) {
    operands.push_back(expression.isFunctionOfSymbol(i) ? OpFoldResult(parameter(i))
                                                        : OpFoldResult(builder.getIndexAttr(0)));
  }
  AffineMap expressionMap = AffineMap::get(0, operands.size(), expression);
  OpFoldResult folded = affine::makeComposedFoldedAffineApply(builder, region.getLoc(), expressionMap, operands);
  if (auto value = dyn_cast<Value>(folded))
    return value;
  return arith::ConstantIndexOp::create(builder, region.getLoc(), cast<IntegerAttr>(cast<Attribute>(folded)).getInt());
}

/// A number that is computed outside of the region: made again from sizes. Null if it cannot be.
Value Extraction::scalar(Value value) {
  if (Value known = map.lookupOrNull(value))
    return known;
  Value result;
  if (value.getType().isIndex()) {
    result = size(model.of(value));
  } else if (Operation *op = value.getDefiningOp();
             op && isPure(op) && op->getNumRegions() == 0 &&
             llvm::none_of(op->getOperandTypes(), [](mlir::Type type) { return isa<RankedTensorType>(type); })) {
    IRMapping operands;
    for (Value operand : op->getOperands()) {
      Value made = scalar(operand);
      if (!made)
        return {};
      operands.map(operand, made);
    }
    result = builder.clone(*op, operands)->getResult(cast<OpResult>(value).getResultNumber());
  }
  if (result)
    map.map(value, result);
  return result;
}

/// Bounds of loops and tiles in the sizes of the kernel, so that it does not ask for those that only their product needs.
void Extraction::restate(Operation *op) {
  AffineMap before = mapOf(op);
  if (!before || llvm::all_of(op->getOperands(), [&](Value operand) { return isInKernel(operand); }))
    return;
  MLIRContext *context = op->getContext();
  SmallVector<AffineExpr> dims, symbols;
  SmallVector<Value> operands;
  for (auto [i, operand] : enumerate(op->getOperands())) {
    bool isInner = isInKernel(operand);
    (i < before.getNumDims() ? dims : symbols)
        .push_back(isInner ? getAffineDimExpr(operands.size(), context) : model.of(operand));
    if (isInner)
      operands.push_back(operand);
  }
  SmallVector<AffineExpr> results;
  for (AffineExpr result : before.getResults())
    results.push_back(sizes.inParameters(result.replaceDimsAndSymbols(dims, symbols)));
  unsigned dimCount = operands.size();
  SmallVector<AffineExpr> used(sizes.parameters().size(), getAffineConstantExpr(0, context));
  unsigned usedCount = 0;
  for (unsigned i = 0; i < used.size(); ++i)
    if (llvm::any_of(results, [&](AffineExpr result) { return result.isFunctionOfSymbol(i); })) {
      used[i] = getAffineSymbolExpr(usedCount++, context);
      operands.push_back(parameter(i));
    }
  for (AffineExpr &result : results)
    result = result.replaceSymbols(used);
  AffineMap after = AffineMap::get(dimCount, usedCount, results, context);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  Value made =
      isa<affine::AffineApplyOp>(op) ? affine::AffineApplyOp::create(builder, op->getLoc(), after, operands).getResult()
      : isa<affine::AffineMinOp>(op) ? affine::AffineMinOp::create(builder, op->getLoc(), after, operands).getResult()
                                     : affine::AffineMaxOp::create(builder, op->getLoc(), after, operands).getResult();
  op->replaceAllUsesWith(ValueRange{made});
  op->erase();
}

bool Extraction::build(std::string &why) {
  Location loc = region.getLoc();
  auto module = region->getParentOfType<ModuleOp>();
  kernel.module = ModuleOp::create(loc);
  for (NamedAttribute attribute : module->getAttrs())
    if (!is_contained({"whit.symbols", "whit.roles", "whit.context", "whit.metadata"}, attribute.getName().getValue()))
      (*kernel.module)->setAttr(attribute.getName(), attribute.getValue());
  builder.setInsertionPointToEnd(kernel.module->getBody());
  SmallVector<mlir::Type> types =
      llvm::map_to_vector(tensors, [](const Tensor &tensor) { return tensor.value.getType(); });
  function = func::FuncOp::create(builder, loc, "main", builder.getFunctionType(types, region.getResultTypes()));
  Block *entry = function.addEntryBlock();
  builder.setInsertionPointToEnd(entry);
  for (auto [tensor, argument] : zip_equal(tensors, entry->getArguments()))
    map.map(tensor.value, argument);
  for (Operation *constant : constants)
    if (!map.contains(constant->getResult(0)))
      builder.clone(*constant, map);
  auto copy = cast<mlir::whit::RegionOp>(builder.clone(*region, map));
  copy.setName("kernel");
  copy->removeAttr("nodes");
  func::ReturnOp::create(builder, loc, copy->getResults());
  SmallVector<Operation *> operations;
  copy.getBody().walk([&](Operation *op) { operations.push_back(op); });
  for (Operation *op : operations)
    restate(op);
  builder.setInsertionPoint(copy);
  WalkResult walked = copy.getBody().walk([&](Operation *op) {
    for (OpOperand &operand : op->getOpOperands())
      if (!isInKernel(operand.get())) {
        Value made = scalar(operand.get());
        if (!made)
          return WalkResult::interrupt();
        operand.set(made);
      }
    return WalkResult::advance();
  });
  bool isKnown = !walked.wasInterrupted();
  for (auto [i, wanted] : enumerate(sizes.parameters()))
    if (auto symbol = dyn_cast<AffineSymbolExpr>(wanted); symbol && model.names()[symbol.getPosition()].empty())
      isKnown &= i >= parameterValues.size() || !parameterValues[i] || isDimension(wanted);
  if (!isKnown) {
    why = "it needs a number that other parts of the model compute";
    copy.getBody().walk([](Operation *op) { op->dropAllReferences(); });
    return false;
  }
  function.setFunctionType(builder.getFunctionType(entry->getArgumentTypes(), region.getResultTypes()));
  return true;
}

ExportedSize Extraction::sizeOf(AffineExpr ofModel) {
  AffineExpr expression = sizes.inParameters(ofModel);
  if (auto constant = dyn_cast<AffineConstantExpr>(expression))
    return {constant.getValue(), std::nullopt};
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expression))
    return {0, symbol.getPosition()};
  for (auto [i, symbol] : enumerate(kernel.symbols))
    if (symbol.value == expression)
      return {0, i};
  std::string meaning = model.text(ofModel);
  kernel.symbols.push_back({identifier(meaning), meaning, expression});
  return {0, kernel.symbols.size() - 1};
}

void Extraction::nameArguments() {
  static constexpr StringRef kLetters[] = {"", "x", "w", "s", "y"};
  for (size_t role = 1; role < std::size(kLetters); ++role) {
    SmallVector<ExportedArgument *> same;
    for (ExportedArgument &argument : kernel.arguments)
      if (argument.role == KernelRole(role))
        same.push_back(&argument);
    for (auto [i, argument] : enumerate(same))
      argument->name = kLetters[role].str() + (same.size() > 1 ? std::to_string(i) : "");
  }
}

void Extraction::describe() {
  // Names in use: those of the model's symbols, then a letter and a number.
  for (AffineExpr parameter : sizes.parameters()) {
    std::string meaning = model.text(parameter);
    if (meaning.find('?') != std::string::npos)
      kernel.symbols.push_back({"size" + std::to_string(kernel.symbols.size()), "", {}});
    else
      kernel.symbols.push_back({identifier(meaning), meaning, {}});
  }
  ExportedRegion described;
  for (const Tensor &tensor : tensors) {
    auto type = cast<RankedTensorType>(tensor.value.getType());
    ExportedArgument argument;
    argument.role = tensor.role;
    argument.type = nameOfType(type.getElementType());
    for (int64_t i = 0; i < type.getRank(); ++i)
      argument.shape.push_back(sizeOf(model.ofDimension(tensor.value, i)));
    if (auto constant = tensor.value.getDefiningOp<mlir::whit::ConstantOp>()) {
      auto weight = SymbolTable::lookupNearestSymbolFrom<mlir::whit::WeightOp>(constant, constant.getWeightAttr());
      if (std::optional<mlir::whit::PlaceAttr> place = weight.getPlace()) {
        argument.place = *place;
        argument.quantizer = weight.getQuantizer() ? weight.getQuantizerKind() : Quantizer::LeastSquares;
      }
    }
    described.sources.push_back(tensor.role == KernelRole::Output ? "" : names.of(tensor.value));
    described.results.emplace_back();
    for (OpResult result : region->getResults())
      if (destinationOf(region.getBody().front().getTerminator()->getOperand(result.getResultNumber()),
                        region.getBody()) == tensor.value)
        described.results.back() = names.of(result);
    kernel.arguments.push_back(std::move(argument));
  }
  nameArguments();
  for (size_t i = tensors.size(); i < function.getNumArguments(); ++i) {
    size_t symbol =
        find(parameterValues, *function.getArgument(i).user_begin()->result_begin()) - parameterValues.begin();
    kernel.symbols[symbol].isExplicit = true;
    kernel.arguments.push_back({"", KernelRole::Size, "i8", {{0, symbol}}, {}, Quantizer{}});
    described.sources.emplace_back();
    described.results.emplace_back();
  }
  llvm::StringSet<> taken;
  for (StringRef name : {"workspace", "context", "out", "self"}) // of headers and of Python
    taken.insert(name);
  for (const ExportedArgument &argument : kernel.arguments)
    taken.insert(argument.name);
  for (ExportedSymbol &symbol : kernel.symbols)
    while (isKeyword(symbol.name) || !taken.insert(symbol.name).second)
      symbol.name += "_";

  // The attributes by which whit-plan-memory writes the function that computes the workspace.
  SmallVector<Attribute> symbols;
  for (const ExportedSymbol &symbol : kernel.symbols)
    symbols.push_back(builder.getStringAttr(symbol.name));
  (*kernel.module)->setAttr("whit.symbols", builder.getArrayAttr(symbols));
  for (auto [i, argument] : enumerate(kernel.arguments)) {
    SmallVector<Attribute> dims;
    for (const ExportedSize &size : argument.shape)
      dims.push_back(size.symbol ? Attribute(symbols[*size.symbol]) : Attribute(builder.getI64IntegerAttr(size.size)));
    function.setArgAttr(i, "whit.dims", builder.getArrayAttr(dims));
    if (argument.role == KernelRole::Output)
      function.setArgAttr(i, "whit.output", builder.getUnitAttr());
  }
  // The code takes outputs behind everything else.
  auto isOutput = [](const ExportedArgument &argument) { return argument.role == KernelRole::Output; };
  size_t outputs = count_if(kernel.arguments, isOutput),
         first = find_if(kernel.arguments, isOutput) - kernel.arguments.begin();
  std::rotate(kernel.arguments.begin() + first, kernel.arguments.begin() + first + outputs, kernel.arguments.end());
  for (std::vector<std::string> *list : {&described.sources, &described.results})
    std::rotate(list->begin() + first, list->begin() + first + outputs, list->end());
  region.getBody().walk([&](Operation *op) {
    if (isa<mlir::whit::RowwiseOpInterface, linalg::LinalgOp>(op))
      kernel.computes.push_back(op->getName().getStringRef().str());
  });
  if (std::optional<mlir::whit::ScheduleAttr> schedule = region.getSchedule())
    raw_string_ostream(kernel.schedule) << *schedule;
  described.name = region.getName().str();
  if (auto nodes = region->getAttrOfType<ArrayAttr>("nodes"))
    for (auto node : nodes.getAsRange<StringAttr>())
      described.nodes.push_back(node.getValue().str());
  kernel.regions.push_back(std::move(described));
}

bool Extraction::run(std::string &why) {
  if (!findTensors(why))
    return false;
  findSizes();
  if (!build(why))
    return false;
  describe();
  if (kernel.arguments.size() > kMaxKernelArguments || kernel.symbols.size() > kMaxKernelSymbols) {
    why = "it has " + std::to_string(kernel.arguments.size()) + " arguments and " +
          std::to_string(kernel.symbols.size()) + " sizes; at most " + std::to_string(kMaxKernelArguments) + " and " +
          std::to_string(kMaxKernelSymbols) + " are supported";
    return false;
  }
  return true;
}
} // namespace

namespace {

/// Names that no two regions of the model have: the source's name, with the operation behind it where several regions have that, and a
/// number where that is not enough.
std::vector<std::string> namesOf(ArrayRef<mlir::whit::RegionOp> regions, llvm::function_ref<bool(StringRef)> isTaken) {
  auto count = [](const std::vector<std::string> &names) {
    StringMap<int> counts;
    for (const std::string &name : names)
      ++counts[name];
    return counts;
  };
  std::vector<std::string> names;
  for (mlir::whit::RegionOp region : regions) {
    names.push_back(identifier(region.getName()));
    if (isKeyword(names.back()) || isTaken(names.back()))
      names.back() += "_kernel";
  }
  StringMap<int> counts = count(names);
  for (auto [name, region] : zip_equal(names, regions))
    if (counts[name] > 1)
      name += "_" + mainOperation(region);
  counts = count(names);
  StringMap<int> next;
  for (std::string &name : names)
    if (counts[name] > 1)
      name += "_" + std::to_string(++next[name]);
  return names;
}

Error noneMatches(StringRef glob, ArrayRef<mlir::whit::RegionOp> regions) {
  constexpr size_t kListed = 40;
  llvm::SetVector<StringRef> names;
  for (mlir::whit::RegionOp region : regions)
    names.insert(const_cast<mlir::whit::RegionOp &>(region).getName());
  std::string list = join(ArrayRef(names.getArrayRef()).take_front(kListed), "\n    ");
  if (names.size() > kListed)
    list += "\n    and " + std::to_string(names.size() - kListed) + " more";
  return fail(Exit::Usage, "--export-kernels: no region is called '" + glob + "'", "",
              names.empty() ? "the model has no regions" : "its regions are:\n    " + list);
}

} // namespace

size_t ExportedKernel::parameterCount() const {
  return llvm::count_if(symbols, [](const ExportedSymbol &symbol) { return !symbol.value; });
}

Expected<SelectedKernels> selectKernels(ModuleOp tiled, StringRef glob, llvm::function_ref<bool(StringRef)> isTaken) {
  Expected<GlobPattern> pattern = GlobPattern::create(glob);
  if (!pattern)
    return fail(Exit::Usage, "--export-kernels: '" + glob + "': " + toString(pattern.takeError()), "",
                "* stands for any text, ? for a character, [abc] for one of them");
  SmallVector<mlir::whit::RegionOp> regions;
  tiled.walk([&](mlir::whit::RegionOp region) { regions.push_back(region); });
  std::vector<std::string> names = namesOf(regions, isTaken);
  ValueNames values(regions);
  SelectedKernels selected;
  StringMap<size_t> known; // kernels by their text
  llvm::DenseMap<Operation *, std::unique_ptr<ModelSizes>> sizes;
  bool isFound = false;
  for (auto [id, region] : enumerate(regions)) {
    if (!pattern->match(region.getName()))
      continue;
    isFound = true;
    auto main = region->getParentOfType<func::FuncOp>();
    std::unique_ptr<ModelSizes> &model = sizes[main];
    if (!model)
      model = std::make_unique<ModelSizes>(main);
    Extraction extraction(region, *model, values);
    std::string why;
    if (!extraction.run(why)) {
      selected.refused.push_back("region '" + region.getName().str() + "' is not exported: " + why);
      continue;
    }
    ExportedKernel &kernel = extraction.kernel;
    kernel.name = names[id];
    kernel.regions.front().id = id;
    std::string text;
    raw_string_ostream stream(text);
    kernel.module->print(stream, OpPrintingFlags().useLocalScope());
    for (const ExportedArgument &argument : kernel.arguments)
      if (argument.place)
        stream << argument.name << argument.place << int(argument.quantizer);
    auto [entry, isNew] = known.try_emplace(text, selected.kernels.size());
    if (isNew)
      selected.kernels.push_back(std::move(kernel));
    else
      selected.kernels[entry->second].regions.push_back(std::move(kernel.regions.front()));
  }
  if (!isFound)
    return noneMatches(glob, regions);
  return selected;
}

} // namespace whit
