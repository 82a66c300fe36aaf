// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The function's signature: inputs, the symbols of their dimensions, outputs, and what arguments are for.

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/SizeText.h"
#include "Import/Semantics/SmallFloats.h"

#include "whit/Artifact.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

namespace whit {

using semantics::Sizes;
using semantics::Tensor;

static constexpr int64_t kMaxSum = int64_t(1) << 40;

/// The parts of a dimension that is called like a sum, "past + sequence".
static SmallVector<StringRef> partsOf(StringRef name) {
  SmallVector<StringRef> parts;
  name.split(parts, '+');
  for (StringRef &part : parts)
    part = part.trim();
  return parts.size() > 1 && !llvm::is_contained(parts, "") ? parts : SmallVector<StringRef>();
}

/// Dimensions of the inputs that are called like sums say what else is known. False if they contradict one another.
bool Graph::solveSums() {
  llvm::StringSet<> names;
  SmallVector<StringRef> sums;
  for (const auto &input : source.graph.input())
    for (const auto &dim : input.type().tensor_type().shape().dim())
      if (names.insert(dim.dim_param()).second && !partsOf(dim.dim_param()).empty())
        sums.push_back(dim.dim_param());
  for (StringRef name : sums) {
    int64_t rest = 0;
    SmallVector<StringRef> open;
    bool isSum = true;
    for (StringRef part : partsOf(name)) {
      int64_t number;
      auto bound = bindings.sizes.find(part);
      if (!part.getAsInteger(10, number) && number >= 0 && number <= kMaxSum)
        rest += number;
      else if (bound != bindings.sizes.end())
        rest += bound->second;
      else if (names.contains(part) && partsOf(part).empty())
        open.push_back(part);
      else
        isSum = false;
    }
    if (!isSum)
      continue;
    auto whole = bindings.sizes.find(name);
    if (open.empty() && whole == bindings.sizes.end())
      bindings.sizes[name] = rest;
    else if (open.size() == 1 && whole != bindings.sizes.end() && whole->second >= rest)
      bindings.sizes[open[0]] = whole->second - rest;
    else if (whole != bindings.sizes.end() && (open.size() < 2 ? !open.empty() || whole->second != rest : true)) {
      report(code::Graph, "dimension '" + shown(name) + "' is fixed at " + Twine(whole->second) +
                              (open.size() < 2 ? "; its parts make at least " + Twine(rest)
                                               : Twine("; fix the others in its name as well, all but one")));
      return false;
    }
    if (!open.empty() && whole == bindings.sizes.end())
      sumsOfDims.push_back(name);
  }
  return true;
}

/// Gives the names of dimensions their values. A dimension "a + b" is the sum of the dimensions a and b. If `a` counts
/// the tokens of caches and nothing else, it is (a + b) - b: the caches can then be updated in place, since nothing asks
/// for the length of the past.
void Graph::addSymbols(ArrayRef<SmallVector<Attribute>> dims) {
  Block &entry = function.getBody().front();
  llvm::StringMap<bool> countsTokens;
  for (auto [i, names] : llvm::enumerate(dims))
    for (auto [d, name] : llvm::enumerate(names))
      if (auto text = dyn_cast<StringAttr>(name)) {
        auto type = cast<RankedTensorType>(entry.getArgument(i).getType());
        bool ofCache = type.getRank() == 4 && d == 2 && isa<FloatType>(type.getElementType());
        bool &only = countsTokens.try_emplace(text.getValue(), true).first->second;
        only &= ofCache;
        symbols.insert({text.getValue(), {}});
      }
  llvm::StringMap<StringRef> sumOf; // of what follows from a sum
  for (StringRef name : sumsOfDims)
    for (StringRef part : partsOf(name))
      if (countsTokens.lookup(part) && !sumOf.count(part) && llvm::count(partsOf(name), part) == 1) {
        sumOf[part] = name;
        break;
      }
  OpBuilder head = OpBuilder::atBlockBegin(&entry);
  Operation *last = nullptr;
  for (auto [i, names] : llvm::enumerate(dims))
    for (auto [d, attribute] : llvm::enumerate(names)) {
      auto text = dyn_cast<StringAttr>(attribute);
      if (!text || sumOf.count(text.getValue()) || symbols[text.getValue()])
        continue;
      auto size = tensor::DimOp::create(head, entry.getArgument(i).getLoc(), entry.getArgument(i), d);
      last = size;
      symbols[text.getValue()] = size.getResult();
      if (!llvm::is_contained(sumsOfDims, text.getValue()))
        addSymbol(text.getValue(), size);
    }
  algebra.setHead(&entry, last);
  ImplicitLocOpBuilder b(function.getLoc(), head);
  for (StringRef name : sumsOfDims) {
    Value whole = cast<Value>(symbols[name]), open;
    symbolNames[whole] = name;
    StringRef openName;
    SmallVector<OpFoldResult> parts;
    OpFoldResult rest = b.getIndexAttr(0);
    for (StringRef part : partsOf(name)) {
      int64_t number;
      if (auto known = sumOf.find(part); known != sumOf.end() && known->second == name) {
        openName = part;
        continue;
      }
      OpFoldResult size = symbols.lookup(part);
      if (!part.getAsInteger(10, number))
        size = b.getIndexAttr(number);
      else if (auto bound = bindings.sizes.find(part); bound != bindings.sizes.end())
        size = b.getIndexAttr(bound->second);
      parts.push_back(size);
      rest = algebra.add(b, rest, size);
    }
    if (!openName.empty()) {
      b.setInsertionPointAfter(algebra.lastOfHead());
      Value others = semantics::asValue(b, rest);
      open = arith::SubIOp::create(b, whole, others);
      algebra.setHead(&entry, open.getDefiningOp());
      symbols[openName] = open;
      addSymbol(symbols.find(openName)->first, open);
      parts.push_back(open);
    }
    auto most = bindings.most.find(name);
    algebra.addSum(whole, parts, name, most == bindings.most.end() ? -1 : most->second);
    computed.insert({b.getStringAttr(name), algebra.expressionOf(whole)});
  }
}

void Graph::addSymbol(StringRef name, Value size) {
  auto most = bindings.most.find(name);
  algebra.addSymbol(size, name, most == bindings.most.end() ? -1 : most->second);
  symbolNames[size] = name;
}

/// One number that the caller fixes: no argument, but known like a constant.
void Graph::addFixed(StringRef name, ArrayRef<int64_t> shape, Type element, int64_t number) {
  Builder b(&context);
  GraphValue value;
  value.element = element;
  for (int64_t size : shape)
    value.sizes.push_back(b.getIndexAttr(size));
  value.elements = Sizes{b.getIndexAttr(element.isInteger(1) ? number != 0 : number)};
  if (!values.try_emplace(name, std::move(value)).second)
    report(code::Graph, "two inputs have the same name; names must be unique", name);
}

/// Whether arrays of a type have integers without a sign: the type's own, or codes of floats.
static bool isPassedUnsigned(Type numbers) { return numbers.isUnsignedInteger() || semantics::isSmallFloat(numbers); }

bool Graph::addInputs() {
  Builder b(&context);
  SmallVector<Type> types, elements;
  SmallVector<Location> locations;
  SmallVector<const ::onnx::ValueInfoProto *> inputs;
  SmallVector<SmallVector<Attribute>> dims;
  bool ok = solveSums();
  for (const auto &input : source.graph.input()) {
    if (find(input.name()))
      continue; // an initializer with a default input of its name, as files before IR version 4 have them
    auto refuse = [&](DiagnosticCode code, const Twine &message) {
      report(code, "input " + message, input.name());
      ok = false;
    };
    const auto &tensorType = input.type().tensor_type();
    if (input.type().value_case() != ::onnx::TypeProto::kTensorType || !tensorType.has_shape()) {
      refuse(code::NoType, "has no tensor type with a shape");
      continue;
    }
    Type element = valueType(&context, tensorType.elem_type());
    const OnnxType *onnx = onnxType(tensorType.elem_type());
    if (!element) {
      refuse(onnx ? code::NoType : code::Graph,
             Twine("has element type ") + (onnx ? onnx->name : "that ONNX does not have"));
      continue;
    }
    if (tensorType.shape().dim_size() > kMaxTensorRank) {
      refuse(code::NoFeature, "has rank " + Twine(tensorType.shape().dim_size()) + "; at most " +
                                  Twine(kMaxTensorRank) + " is supported");
      continue;
    }
    SmallVector<int64_t> shape;
    SmallVector<Attribute> names;
    for (auto [i, dim] : llvm::enumerate(tensorType.shape().dim())) {
      if (dim.has_dim_value() && (dim.dim_value() < 0 || dim.dim_value() > (int64_t(1) << 40)))
        refuse(code::Graph,
               "has size " + Twine(dim.dim_value()) + " in dimension " + Twine(i) + "; it must be from 0 to 2^40");
      if (dim.has_dim_value()) {
        names.push_back(b.getI64IntegerAttr(dim.dim_value()));
      } else {
        std::string name = dim.dim_param().empty() ? input.name() + ".dim" + std::to_string(i) : dim.dim_param();
        auto bound = bindings.sizes.find(name);
        names.push_back(bound == bindings.sizes.end() ? Attribute(b.getStringAttr(name))
                                                      : b.getI64IntegerAttr(bound->second));
      }
      auto size = dyn_cast<IntegerAttr>(names.back());
      shape.push_back(size ? size.getInt() : ShapedType::kDynamic);
    }
    SmallVector<int64_t> known = shape;
    if (auto fixed = bindings.sizes.find(input.name());
        fixed != bindings.sizes.end() && element.isInteger() && llvm::all_of(shape, [](int64_t n) { return n == 1; })) {
      addFixed(input.name(), shape, element, fixed->second);
      continue;
    }
    llvm::replace(known, ShapedType::kDynamic, int64_t(1));
    if (!countOf(known)) {
      refuse(code::Limit, "has a size below 0 or beyond 2^40, or more than 2^62 elements");
      continue;
    }
    types.push_back(RankedTensorType::get(shape, semantics::held(element)));
    elements.push_back(element);
    locations.push_back(NameLoc::get(b.getStringAttr(input.name())));
    inputs.push_back(&input);
    dims.push_back(names);
  }
  if (!ok)
    return false;
  OpBuilder atModule = OpBuilder::atBlockEnd(module->getBody());
  function = func::FuncOp::create(atModule, module->getLoc(), "main", b.getFunctionType(types, {}));
  Block &entry = *function.addEntryBlock();
  for (auto [argument, location] : llvm::zip(entry.getArguments(), locations))
    argument.setLoc(location);
  addSymbols(dims);
  for (auto [i, input] : llvm::enumerate(inputs)) {
    BlockArgument argument = entry.getArgument(i);
    function.setArgAttr(i, "whit.name", b.getStringAttr(input->name()));
    function.setArgAttr(i, "whit.dims", b.getArrayAttr(dims[i]));
    GraphValue value;
    value.value = argument;
    value.element = elements[i];
    if (isPassedUnsigned(value.element))
      function.setArgAttr(i, "whit.unsigned", b.getUnitAttr());
    for (Attribute name : dims[i]) {
      if (auto text = dyn_cast<StringAttr>(name))
        value.sizes.push_back(symbols[text.getValue()]);
      else
        value.sizes.push_back(b.getIndexAttr(cast<IntegerAttr>(name).getInt()));
    }
    if (!values.try_emplace(input->name(), std::move(value)).second) {
      report(code::Graph, "two inputs have the same name; names must be unique", input->name());
      ok = false;
    }
  }
  return ok;
}

// ------------------------------------------------------------------------------------------------ outputs

/// The name or number of an output's dimension. A size that follows from others gets a name that says how.
Attribute Graph::outputDim(OpFoldResult size) {
  if (Attribute known = nameOf(size))
    return known;
  Attribute expression = algebra.expressionOf(size);
  if (!expression)
    return {};
  Builder b(&context);
  std::string text = textOfSize(expression);
  while (symbols.count(text)) // as an input calls a dimension of its own
    text += "'";
  auto name = b.getStringAttr(text);
  computed.insert({name, expression});
  return name;
}

bool Graph::addOutputs() {
  Builder builder(&context);
  OpBuilder plain = OpBuilder::atBlockEnd(&function.getBody().front());
  ImplicitLocOpBuilder b(function.getLoc(), plain);
  SmallVector<Value> results;
  SmallVector<Attribute> attributes;
  llvm::StringSet<> names;
  if (!source.graph.output_size())
    report(code::Graph, "the graph has no outputs");
  for (const auto &output : source.graph.output()) {
    auto refuse = [&](DiagnosticCode code, const Twine &message) { report(code, "output " + message, output.name()); };
    if (!names.insert(output.name()).second) {
      refuse(code::Graph, "is listed twice");
      continue;
    }
    GraphValue *value = find(output.name());
    if (!value) {
      refuse(code::Graph, "is computed by no node");
      continue;
    }
    if (value->failed)
      continue;
    std::string why;
    FailureOr<Tensor> tensor = materialize(*value, b, why);
    if (failed(tensor)) {
      refuse(code::NoFeature, why);
      continue;
    }
    const auto &declared = output.type().tensor_type();
    if (declared.elem_type() && valueType(&context, declared.elem_type()) != tensor->numbers())
      refuse(code::Graph, Twine("is declared with elements of type ") +
                              (onnxType(declared.elem_type()) ? onnxType(declared.elem_type())->name : "unknown") +
                              "; its node computes another");
    if (declared.has_shape() && declared.shape().dim_size() != tensor->rank()) {
      refuse(code::Graph, "is declared with rank " + Twine(declared.shape().dim_size()) + "; its node computes rank " +
                              Twine(tensor->rank()));
      continue;
    }
    SmallVector<Attribute> dims;
    for (auto [i, size] : llvm::enumerate(tensor->sizes)) {
      Attribute name = outputDim(size);
      const auto *dim = declared.has_shape() ? &declared.shape().dim(i) : nullptr;
      if (dim && dim->has_dim_value() && !bind(size, dim->dim_value()))
        refuse(code::Graph, "is declared with size " + Twine(dim->dim_value()) + " in dimension " + Twine(i) +
                                "; its node computes another");
      if (!name)
        refuse(code::NoFeature, "has a size in dimension " + Twine(i) +
                                    " that depends on data; it must follow from the sizes of the inputs");
      dims.push_back(name);
    }
    results.push_back(tensor->value);
    if (llvm::is_contained(dims, Attribute()))
      continue;
    NamedAttrList described;
    described.set("whit.name", builder.getStringAttr(output.name()));
    described.set("whit.dims", builder.getArrayAttr(dims));
    if (isPassedUnsigned(tensor->numbers()))
      described.set("whit.unsigned", builder.getUnitAttr());
    attributes.push_back(described.getDictionary(&context));
  }
  func::ReturnOp::create(b, results);
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), TypeRange(ValueRange(results))));
  if (attributes.size() == results.size())
    function.setResAttrsAttr(builder.getArrayAttr(attributes));
  return attributes.size() == results.size();
}

/// What the arguments of a language model are for, recognised by the names that all exporters use and by their types.
void Graph::addRoles() {
  Builder b(&context);
  NamedAttrList roles;
  auto isTokens = [](RankedTensorType type) { return type.getRank() == 2 && type.getElementType().isInteger(); };
  for (auto [role, name] :
       {std::pair("tokens", "input_ids"), {"mask", "attention_mask"}, {"positions", "position_ids"}})
    if (GraphValue *value = find(name))
      if (auto argument = dyn_cast_or_null<BlockArgument>(value->value);
          argument && isTokens(cast<RankedTensorType>(argument.getType())))
        roles.append(role, b.getStringAttr(name));
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (auto name = function.getResultAttrOfType<StringAttr>(i, "whit.name"); name && name == "logits") {
      auto type = cast<RankedTensorType>(function.getResultTypes()[i]);
      if (type.getRank() == 3 && isa<FloatType>(type.getElementType()))
        roles.append("logits", name);
    }
  SmallVector<Attribute> names;
  for (auto &[name, value] : symbols) {
    auto text = b.getStringAttr(name);
    auto most = bindings.most.find(name);
    if (computed.count(text))
      continue;
    if (most == bindings.most.end())
      names.push_back(text);
    else
      names.push_back(b.getDictionaryAttr(
          {b.getNamedAttr("name", text), b.getNamedAttr("max", b.getI64IntegerAttr(most->second))}));
  }
  for (auto &[name, expression] : computed) {
    NamedAttrList entry;
    entry.append("name", name);
    entry.append("value", expression);
    if (auto most = bindings.most.find(cast<StringAttr>(name).getValue()); most != bindings.most.end())
      entry.append("max", b.getI64IntegerAttr(most->second));
    names.push_back(entry.getDictionary(&context));
  }
  (*module)->setAttr("whit.model", b.getStringAttr(source.name));
  (*module)->setAttr("whit.directory", b.getStringAttr(files.getFolder()));
  (*module)->setAttr("whit.symbols", b.getArrayAttr(names));
  (*module)->setAttr("whit.roles", roles.getDictionary(&context));
}

/// What the model says of itself, for who asks the artifact. A model is not refused for it.
void Graph::addMetadata() {
  Builder b(&context);
  NamedAttrList kept;
  for (const auto &entry : source.model.metadata_props()) {
    StringRef key = entry.key(), value = entry.value();
    auto isText = [](StringRef text) { return llvm::json::isUTF8(text) && !text.contains('\0'); };
    if (!key.empty() && int64_t(key.size()) <= kMaxNameBytes && int64_t(value.size()) <= kMaxMetadataBytes &&
        isText(key) && isText(value) && (int64_t(kept.getAttrs().size()) < kMaxMetadata || kept.get(key)))
      kept.set(key, b.getStringAttr(value));
    else
      remark::missed(module->getLoc(), remark::RemarkOpts::name("metadata").category("import"))
          << ("metadata '" + shown(key.take_front(80)) + "' is not kept: it is too much, or no text");
  }
  if (!kept.empty())
    (*module)->setAttr("whit.metadata", kept.getDictionary(&context));
}

} // namespace whit
