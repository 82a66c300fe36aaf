// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// From a checked file to a module: the operators it uses, its inputs, its nodes one by one, its outputs. A node that is
// refused marks its outputs as failed; what depends on them is skipped in silence, all else is still imported, so one
// run reports every problem.

#include "Import/ONNX/Graph.h"

#include "Import/ONNX/KnownValues.h"
#include "Import/ONNX/Ops/Constants.h"
#include "Import/ONNX/Ops/Tables.h"

#include "Import/Semantics/SmallFloats.h"

#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/JSON.h"

using namespace mlir;

namespace whit {

using semantics::Sizes;
using semantics::Tensor;

Graph::Graph(const OnnxModel &source, DataFiles &files, Diagnostics &diagnostics, Bindings &bindings,
             MLIRContext &context)
    : source(source), files(files), diagnostics(diagnostics), context(context), algebra(&context), bindings(bindings) {}

void Graph::report(DiagnosticCode code, const Twine &message, StringRef value) {
  Diagnostic diagnostic{code, Severity::Error, "", {}, "", message.str(), ""};
  if (!value.empty()) {
    diagnostic.nodes.push_back(value.str());
    diagnostic.aboutTensor = true;
  }
  diagnostics.add(std::move(diagnostic));
}

OwningOpRef<ModuleOp> Graph::build() {
  Builder b(&context);
  module = ModuleOp::create(NameLoc::get(b.getStringAttr(source.file)));
  weights.emplace(*module, files);
  size_t before = diagnostics.all().size();
  for (const auto &entry : source.model.opset_import())
    if (entry.domain().empty() || entry.domain() == "ai.onnx")
      opset = entry.version();
  addInitializers(source.graph);
  bool goOn = checkOperators(source.graph);
  goOn &= addInputs();
  if (!goOn)
    return {};
  OpBuilder plain = OpBuilder::atBlockEnd(&function.getBody().front());
  ImplicitLocOpBuilder builder(UnknownLoc::get(&context), plain);
  addNodes(source.graph, builder);
  addOutputs();
  if (diagnostics.all().size() != before)
    return {};
  addRoles();
  addMetadata();
  // Constants and sizes that nobody needed after all.
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
  return std::move(module);
}

// ------------------------------------------------------------------------------------------------ values

bool Graph::addInitializers(const ::onnx::GraphProto &graph) {
  bool ok = true;
  for (const auto &tensor : source.graphs.find(&graph)->second.initializers) {
    if (!values.try_emplace(tensor->name, fromStored(tensor)).second) {
      report(code::Graph, "two initializers have the same name; names must be unique", tensor->name);
      ok = false;
    } else if (inBranch) {
      inBranch->push_back(tensor->name);
    }
  }
  return ok;
}

/// What integers along one dimension count; narrow ones are codes and zero points, not positions.
static std::optional<Progression> countedBy(MLIRContext *context, const StoredTensor &tensor) {
  const auto *along = llvm::find(tensor.dims, tensor.count);
  if (tensor.type->kind != OnnxType::Signed || tensor.type->bits < 32 || along == tensor.dims.end() ||
      tensor.count > kMaxConstantIntegers)
    return std::nullopt;
  std::optional<SmallVector<int64_t>> values = tensor.integers();
  if (!values)
    return std::nullopt;
  uint64_t first = (*values)[0], step = (*values)[1] - first;
  for (auto [i, value] : llvm::enumerate(*values))
    if (uint64_t(value) != first + i * step)
      return std::nullopt;
  return Progression{along - tensor.dims.begin(), Builder(context).getIndexAttr(first), int64_t(step)};
}

GraphValue Graph::fromStored(std::shared_ptr<const StoredTensor> tensor) {
  Builder b(&context);
  GraphValue value;
  value.stored = tensor;
  value.element = valueType(&context, tensor->type->number);
  for (int64_t dim : tensor->dims)
    value.sizes.push_back(b.getIndexAttr(dim));
  if (value.element && tensor->count <= kMaxKnownElements && !tensor->gguf && !semantics::isSmallFloat(value.element)) {
    value.elements = storedElements(*tensor, value.element);
    if (llvm::is_contained(*value.elements, OpFoldResult())) // beyond what an index can be
      value.elements.reset();
  } else if (std::optional<Progression> counted =
                 countedBy(&context, *tensor)) { // positions, that models like to store
    value.progression = counted;
    value.stored = nullptr;
  }
  return value;
}

GraphValue *Graph::find(StringRef name) {
  auto found = values.find(name);
  return found == values.end() ? nullptr : &found->second;
}

LogicalResult Graph::define(StringRef name, GraphValue value, Node &node) {
  for (OpFoldResult &size : value.sizes)
    size = algebra.canonical(node.b, size);
  if (value.rank() > kMaxTensorRank)
    return node.unsupported("output '" + shown(name) + "' has rank " + Twine(value.rank()) + "; at most " +
                            Twine(kMaxTensorRank) + " is supported");
  SmallVector<int64_t> shape = semantics::shapeOf(value.sizes);
  llvm::replace(shape, ShapedType::kDynamic, int64_t(1));
  std::optional<int64_t> count = countOf(shape);
  if (!count || *count > kMaxElements)
    return node.report(code::Limit, "output '" + shown(name) + "' has more than 2^40 elements");
  if (!values.try_emplace(name, std::move(value)).second)
    return node.report(code::Graph, "output '" + shown(name) + "' is defined a second time; names must be unique");
  if (inBranch)
    inBranch->push_back(name.str());
  return success();
}

FailureOr<Tensor> Graph::materialize(GraphValue &value, ImplicitLocOpBuilder &b, std::string &why) {
  if (value.value)
    return semantics::makeTensor(value.value, value.sizes, value.element);
  if (!value.element) {
    why = value.stored ? std::string("has elements of type ") + value.stored->type->name + ", which are not supported"
                       : "has elements of a type that is not supported";
    return failure();
  }
  if (value.progression) {
    value.value = semantics::iota(b, value.sizes, value.element, value.progression->dim, value.progression->start,
                                  value.progression->step)
                      .value;
    return semantics::makeTensor(value.value, value.sizes, value.element);
  }
  auto type = RankedTensorType::get(semantics::shapeOf(value.sizes), semantics::held(value.element));
  auto floats = semantics::isSmallFloat(value.element) ? FloatType() : dyn_cast<FloatType>(value.element);
  // Floats of the file stay weights, unless they are one number.
  bool isWeight = floats && value.stored && value.stored->count > 1;
  if (value.elements && !isWeight) {
    value.value = knownTensor(b, type, *value.elements);
    return semantics::makeTensor(value.value, value.sizes, value.element);
  }
  const StoredTensor &stored = *value.stored;
  if (floats) {
    if (stored.count == 0 || stored.file.empty()) {
      why = stored.count ? "has its values in a field that cannot be mapped; save the model with raw_data"
                         : "has no elements";
      return failure();
    }
    if (stored.gguf) {
      Value weight = ggufWeight(*this, b, stored);
      auto encoded = cast<mlir::whit::EncodedTensorType>(weight.getType());
      Sizes sizes{b.getIndexAttr(encoded.getShape()[0]), b.getIndexAttr(encoded.getShape()[1])};
      Value y = semantics::empty(b, sizes, b.getF32Type());
      Tensor values{mlir::whit::DequantizeOp::create(b, y.getType(), weight, y, nullptr).getResult(0), sizes};
      if (stored.gguf->isTransposed)
        values = semantics::transpose(b, values, {1, 0});
      values = semantics::convert(b, semantics::reshape(b, values, value.sizes), floats);
      value.value = values.value;
      return values;
    }
    auto blob = weights->blob(stored.file, stored.offset, stored.length, storedType(&context, stored.type->number));
    auto part = mlir::whit::SourceAttr::get(&context, "rows", type.getRank() ? type.getDimSize(0) : 1, blob);
    value.value = weights->constant(b, stored.name, type, part);
    return Tensor{value.value, value.sizes};
  }
  int64_t most = kMaxConstantBytes / ((value.element.getIntOrFloatBitWidth() + 7) / 8);
  if (stored.count > most) {
    why = "is a constant of " + std::to_string(stored.count) + " integers or codes; at most " + std::to_string(most) +
          " are supported";
    return failure();
  }
  value.value = knownTensor(b, type, storedElements(stored, type.getElementType()));
  return semantics::makeTensor(value.value, value.sizes, value.element);
}

bool Graph::bind(OpFoldResult size, int64_t wanted) {
  if (wanted < 0)
    return false;
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return *constant == wanted;
  auto name = symbolNames.find(cast<Value>(size));
  if (name == symbolNames.end())
    return false; // computed while the model runs
  auto [known, isNew] = bindings.sizes.try_emplace(name->second, wanted);
  learned |= isNew;
  return known->second == wanted;
}

bool Graph::unify(OpFoldResult x, OpFoldResult y) {
  if (std::optional<bool> equal = algebra.equal(x, y))
    return *equal;
  auto bound = algebra.boundOf(x, y);
  if (!bound)
    return false;
  auto [known, isNew] = bindings.most.try_emplace(bound->first, bound->second);
  learned |= isNew || bound->second < known->second;
  known->second = std::min(known->second, bound->second);
  return true;
}

// ------------------------------------------------------------------------------------------------ operators

static const Operator *lookUp(StringRef domain, StringRef type) {
  static const llvm::StringMap<const Operator *> table = [] {
    llvm::StringMap<const Operator *> map;
    for (ArrayRef<Operator> rows :
         {knownOperators(),          arithmeticOperators(),    attentionOperators(),   castOperators(),
          channelOperators(),        controlOperators(),       convolutionOperators(), functionOperators(),
          gatherOperators(),         logicOperators(),         lossOperators(),        matmulOperators(),
          moveOperators(),           normOperators(),          poolingOperators(),     productOperators(),
          quantizeOperators(),       reductionOperators(),     resizeOperators(),      algebraOperators(),
          featureOperators(),        flexAttentionOperators(), foldOperators(),        generatorOperators(),
          integerProductOperators(), iterationOperators(),     recurrentOperators(),   samplingOperators(),
          signalOperators(),         stateOperators(),         trainingOperators(),    selectionOperators(),
          expertOperators(),         quantizedOperators(),     shapeOperators(),       standardAttentionOperators()})
      for (const Operator &row : rows)
        map[(row.domain + "." + row.type).str()] = &row;
    return map;
  }();
  if (domain == "ai.onnx")
    domain = "";
  return table.lookup((domain + "." + type).str());
}

/// Looks for what no function has to see: unknown operators and attributes, all of them, each reported once with its
/// nodes.
bool Graph::checkOperators(const ::onnx::GraphProto &graph) {
  std::vector<Diagnostic> problems;
  llvm::StringMap<size_t> placeOf;
  bool broken = false;
  OpBuilder plain(&context);
  ImplicitLocOpBuilder b(UnknownLoc::get(&context), plain);
  const std::vector<ByteRange> &places = source.graphs.find(&graph)->second.nodes;
  for (auto [i, proto] : llvm::enumerate(graph.node())) {
    Node node(*this, proto, i, places[i], b);
    std::string name = proto.name().empty() && proto.output_size() ? proto.output(0) : proto.name();
    auto add = [&](DiagnosticCode code, const std::string &message, const std::string &help) {
      auto [place, isNew] = placeOf.try_emplace(node.opName() + "\n" + message, problems.size());
      if (isNew)
        problems.push_back({code, Severity::Error, "", {}, node.opName(), message, help, 0});
      Diagnostic &problem = problems[place->second];
      problem.nodes.push_back(name);
      ++problem.count;
    };
    llvm::StringSet<> names;
    for (const auto &attribute : proto.attribute())
      if (!names.insert(attribute.name()).second) {
        broken = true;
        (void)node.badAttribute("attribute '" + shown(attribute.name()) + "' is given twice");
      }
    const Operator *row = lookUp(proto.domain(), proto.op_type());
    if (!row) {
      add(code::NoOperator, "operator '" + shown(node.opName()) + "' is not supported", "");
      continue;
    }
    SmallVector<StringRef> known;
    row->attributes.split(known, ' ', -1, /*KeepEmpty=*/false);
    for (const auto &attribute : proto.attribute()) {
      if (!attribute.ref_attr_name().empty())
        add(code::NoFeature, "attribute '" + shown(attribute.name()) + "' refers to an attribute of a function", "");
      else if (!llvm::is_contained(known, attribute.name()))
        add(code::NoFeature, "attribute '" + shown(attribute.name()) + "' is not supported", "");
    }
    unsigned last = 0;
    for (int k = 0; k < proto.input_size(); ++k)
      if (!proto.input(k).empty())
        last = k + 1;
    if (last > row->maxInputs)
      add(code::NoFeature,
          "input " + std::to_string(last - 1) + " is not supported; at most " + std::to_string(row->maxInputs) +
              " inputs are",
          "");
    for (unsigned k = 0; k < row->minInputs; ++k)
      if (!node.has(k)) {
        broken = true;
        (void)node.badOperand("input " + Twine(k) + " is missing; the first " + Twine(row->minInputs) +
                              " are required");
        break;
      }
    for (int k = row->maxOutputs; k < proto.output_size(); ++k)
      if (!proto.output(k).empty())
        add(code::NoFeature, "output " + std::to_string(k) + " is not supported", "");
    if (!node.wants(0) && proto.output_size() == 0) {
      broken = true;
      (void)node.report(code::Graph, "has no outputs");
    }
  }
  for (Diagnostic &problem : problems)
    diagnostics.add(std::move(problem));
  if (graph.sparse_initializer_size())
    report(code::NoFeature, "the graph has " + Twine(graph.sparse_initializer_size()) +
                                " sparse initializers; only dense ones are supported");
  return !broken;
}

// ------------------------------------------------------------------------------------------------ nodes

static LogicalResult importNode(Node &node, const Operator &row) {
  node.row = &row;
  std::optional<LogicalResult> known = foldKnown(node);
  return known ? *known : row.import(node);
}

void Graph::addNodes(const ::onnx::GraphProto &graph, ImplicitLocOpBuilder &b) {
  const std::vector<ByteRange> &places = source.graphs.find(&graph)->second.nodes;
  for (auto [i, proto] : llvm::enumerate(graph.node())) {
    Node node(*this, proto, i, places[i], b);
    std::string name = !proto.name().empty() ? proto.name() : proto.output_size() ? proto.output(0) : "";
    b.setLoc(NameLoc::get(b.getStringAttr(name)));
    bool failed = false;
    for (const std::string &input : proto.input())
      if (!input.empty()) {
        GraphValue *value = find(input);
        if (!value)
          (void)node.report(code::Graph,
                            "input '" + shown(input) + "' is no input, initializer or output of an earlier node",
                            "nodes must stand behind those whose outputs they use");
        failed |= !value || value->failed;
      }
    const Operator *row = lookUp(proto.domain(), proto.op_type());
    failed = failed || !row;
    if (!failed) {
      unsigned last = 0;
      for (int k = 0; k < proto.input_size(); ++k)
        last = proto.input(k).empty() ? last : k + 1;
      failed = last > row->maxInputs || importNode(node, *row).failed();
    }
    if (!failed)
      continue;
    GraphValue poison;
    poison.failed = true;
    for (const std::string &output : proto.output())
      if (!output.empty() && values.try_emplace(output, poison).second && inBranch)
        inBranch->push_back(output);
  }
}

FailureOr<SmallVector<GraphValue>> Graph::importBranch(Node &node, const ::onnx::GraphProto &branch) {
  bodyNodes += branch.node_size() + 1;
  if (bodyNodes > kMaxBodyNodes)
    return LogicalResult(node.report(code::Limit, "the graphs of nodes have more than " + Twine(kMaxBodyNodes) +
                                                      " nodes at all their steps together"));
  std::vector<std::string> names, *outer = std::exchange(inBranch, &names);
  for (const auto &input : branch.input()) // which the node has defined, and are not seen outside either
    names.push_back(input.name());
  Location loc = node.b.getLoc();
  size_t before = diagnostics.all().size();
  bool goOn = addInitializers(branch);
  goOn &= checkOperators(branch);
  if (goOn)
    addNodes(branch, node.b);
  node.b.setLoc(loc);
  SmallVector<GraphValue> results;
  for (const auto &output : branch.output()) {
    GraphValue *value = find(output.name());
    if (!value && diagnostics.all().size() == before)
      (void)node.report(code::Graph, "a branch has the output '" + shown(output.name()) + "', which no node computes");
    if (value)
      results.push_back(*value);
  }
  // What a branch defines is not seen outside.
  for (const std::string &name : names)
    values.erase(name);
  inBranch = outer;
  if (diagnostics.all().size() != before || llvm::any_of(results, [](const GraphValue &value) { return value.failed; }))
    return failure();
  return results;
}

Attribute Graph::nameOf(OpFoldResult size) const {
  Builder b(&context);
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return b.getI64IntegerAttr(*constant);
  auto name = symbolNames.find(cast<Value>(size));
  return name == symbolNames.end() ? Attribute() : b.getStringAttr(name->second);
}

} // namespace whit
