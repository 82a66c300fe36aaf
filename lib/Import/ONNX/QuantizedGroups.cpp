// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Quantization-aware exporters write what is to be computed with integers as floats between a DequantizeLinear and a QuantizeLinear. Sums
// of such products are integers times one number, so that the operators on codes give what was meant, without a rounding in between; it
// is also what ONNX Runtime makes of them. A group is left as it is where a scale, a zero point or a use of its values is in the way.

#include "Import/ONNX/QuantizedGroups.h"

#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace whit {
namespace {

/// Codes and what they mean, by name.
struct Quantized {
  std::string codes, scale, zero;
  const StoredTensor *storedScale = nullptr, *storedZero = nullptr;
};

class Groups {
public:
  explicit Groups(OnnxModel &model) : graph(model.graph), read(model.graphs.find(&model.graph)->second) {}
  void join();

private:
  void index();
  void countUses(const ::onnx::GraphProto &inner, int depth);
  const StoredTensor *stored(StringRef name) const { return tensors.lookup(name); }
  const ::onnx::NodeProto *producerOf(StringRef value) const;
  std::optional<Quantized> codesOf(const ::onnx::NodeProto &node, int inputs) const;
  std::optional<Quantized> dequantized(StringRef value, int64_t axis) const;
  std::optional<std::string> biasOf(StringRef value, const Quantized &x, const Quantized &w) const;
  const ::onnx::NodeProto *quantizedOnly(const ::onnx::NodeProto &quantize, const StoredTensor &zero) const;
  std::optional<::onnx::NodeProto> joined(const ::onnx::NodeProto &quantize);

  ::onnx::GraphProto &graph;
  OnnxGraph &read;
  llvm::StringMap<const StoredTensor *> tensors;
  llvm::StringMap<int> producers, uses;
  llvm::DenseSet<const ::onnx::NodeProto *> replaced;
};

bool isOf(const ::onnx::NodeProto &node, StringRef type) {
  return node.op_type() == type && (node.domain().empty() || node.domain() == "ai.onnx");
}

const ::onnx::AttributeProto *attributeOf(const ::onnx::NodeProto &node, StringRef name) {
  for (const auto &attribute : node.attribute())
    if (attribute.name() == name)
      return &attribute;
  return nullptr;
}

int64_t integerOf(const ::onnx::NodeProto &node, StringRef name, int64_t byDefault) {
  const auto *attribute = attributeOf(node, name);
  return attribute ? attribute->i() : byDefault;
}

bool isByte(const StoredTensor *tensor) {
  return tensor && tensor->type->bits == 8 &&
         (tensor->type->kind == OnnxType::Signed || tensor->type->kind == OnnxType::Unsigned);
}

/// Values that graphs inside of nodes use are left alone.
void Groups::countUses(const ::onnx::GraphProto &inner, int depth) {
  for (const auto &node : inner.node()) {
    for (const std::string &input : node.input())
      uses[input] += depth ? 2 : 1;
    for (const auto &attribute : node.attribute())
      if (attribute.has_g())
        countUses(attribute.g(), depth + 1);
  }
  for (const auto &output : inner.output())
    uses[output.name()] += 2;
}

void Groups::index() {
  producers.clear();
  uses.clear();
  for (int i = 0; i < graph.node_size(); ++i)
    for (const std::string &output : graph.node(i).output())
      producers.try_emplace(output, i);
  countUses(graph, 0);
}

const ::onnx::NodeProto *Groups::producerOf(StringRef value) const {
  auto found = producers.find(value);
  return found == producers.end() ? nullptr : &graph.node(found->second);
}

/// The codes, scale and zero point of a DequantizeLinear or QuantizeLinear, the latter two constants in the file.
std::optional<Quantized> Groups::codesOf(const ::onnx::NodeProto &node, int first) const {
  if (node.input_size() != 3 || integerOf(node, "block_size", 0) || integerOf(node, "precision", 0))
    return std::nullopt;
  Quantized result{first ? "" : node.input(0), node.input(1), node.input(2), stored(node.input(1)),
                   stored(node.input(2))};
  bool isFloat = result.storedScale && result.storedScale->type->number == 1;
  if (!isFloat || !result.storedZero || result.storedZero->count != result.storedScale->count)
    return std::nullopt;
  return result;
}

/// What a value was dequantized from: with one scale, or, along `axis`, one for each slice (-1: not).
std::optional<Quantized> Groups::dequantized(StringRef value, int64_t axis) const {
  const ::onnx::NodeProto *node = producerOf(value);
  if (!node || !isOf(*node, "DequantizeLinear"))
    return std::nullopt;
  std::optional<Quantized> result = codesOf(*node, 0);
  if (!result || !isByte(result->storedZero) || integerOf(*node, "output_dtype", 1) != 1)
    return std::nullopt;
  if (result->storedScale->count != 1 && (axis < 0 || integerOf(*node, "axis", 1) != axis))
    return std::nullopt;
  return result;
}

/// The i32 codes of a bias whose scale is that of the products.
std::optional<std::string> Groups::biasOf(StringRef value, const Quantized &x, const Quantized &w) const {
  const ::onnx::NodeProto *node = producerOf(value);
  if (!node || !isOf(*node, "DequantizeLinear") || node->input_size() < 2)
    return std::nullopt;
  const StoredTensor *codes = stored(node->input(0)), *scale = stored(node->input(1));
  if (!codes || codes->type->number != 6 || !scale || scale->type->number != 1 ||
      (scale->count != w.storedScale->count && scale->count != 1))
    return std::nullopt;
  if (node->input_size() > 2 && !node->input(2).empty()) {
    const StoredTensor *zero = stored(node->input(2));
    if (!zero || llvm::any_of(zero->bytes, [](uint8_t byte) { return byte != 0; }))
      return std::nullopt;
  }
  auto xs = x.storedScale->floats(), ws = w.storedScale->floats(), scales = scale->floats();
  for (size_t i = 0; i < ws->size(); ++i) {
    double wanted = (*xs)[0] * (*ws)[i], found = (*scales)[scales->size() == 1 ? 0 : i];
    if (std::abs(found - wanted) > wanted * 0x1p-22) // more than the rounding of a product
      return std::nullopt;
  }
  return node->input(0);
}

/// The node that makes what is quantized and nothing else. A Relu before codes that cannot be below zero changes nothing.
const ::onnx::NodeProto *Groups::quantizedOnly(const ::onnx::NodeProto &quantize, const StoredTensor &zero) const {
  StringRef value = quantize.input(0);
  for (int step = 0; step < 2; ++step) {
    const ::onnx::NodeProto *node = uses.lookup(value) == 1 ? producerOf(value) : nullptr;
    if (!node || node->output_size() != 1)
      return nullptr;
    uint8_t lowest = zero.type->kind == OnnxType::Signed ? 0x80 : 0;
    if (!isOf(*node, "Relu") || node->input_size() != 1 || zero.bytes.empty() || zero.bytes[0] != lowest)
      return node;
    value = node->input(0);
  }
  return nullptr;
}

/// The operator on codes that takes the place of `quantize`; nothing if there is none.
std::optional<::onnx::NodeProto> Groups::joined(const ::onnx::NodeProto &quantize) {
  if (!isOf(quantize, "QuantizeLinear") || quantize.output_size() != 1)
    return std::nullopt;
  std::optional<Quantized> y = codesOf(quantize, 1);
  if (!y || y->storedScale->count != 1 || !isByte(y->storedZero))
    return std::nullopt;
  const ::onnx::NodeProto *inner = quantizedOnly(quantize, *y->storedZero);
  if (!inner || inner->input_size() < 1)
    return std::nullopt;
  bool isConv = isOf(*inner, "Conv"), isMatMul = isOf(*inner, "MatMul"), isGemm = isOf(*inner, "Gemm");
  std::optional<Quantized> x = dequantized(inner->input(0), -1);
  if (!x)
    return std::nullopt;
  ::onnx::NodeProto node;
  node.set_name(inner->name().empty() ? inner->output(0) : inner->name());
  *node.add_output() = quantize.output(0);
  auto add = [&](std::initializer_list<std::string> names) {
    for (const std::string &name : names)
      node.add_input(name);
  };
  add({x->codes, x->scale, x->zero});
  if (isOf(*inner, "GlobalAveragePool")) {
    node.set_op_type("QLinearGlobalAveragePool");
    node.set_domain("com.microsoft");
    add({y->scale, y->zero});
    return node;
  }
  if (inner->input_size() < 2 || (!isConv && !isMatMul && !isGemm))
    return std::nullopt;
  int64_t columns = isConv || (isGemm && integerOf(*inner, "transB", 0)) ? 0 : 1;
  std::optional<Quantized> w = dequantized(inner->input(1), columns);
  if (!w || (w->storedScale->count > 1 && !stored(w->codes)))
    return std::nullopt;
  add({w->codes, w->scale, w->zero});
  std::optional<std::string> bias;
  if (!isMatMul && inner->input_size() > 2 && !inner->input(2).empty()) {
    bias = biasOf(inner->input(2), *x, *w);
    if (!bias)
      return std::nullopt;
  }
  if (isGemm) {
    const auto *alpha = attributeOf(*inner, "alpha"), *beta = attributeOf(*inner, "beta");
    const StoredTensor *terms = bias ? stored(*bias) : nullptr;
    if ((alpha && alpha->f() != 1) || (beta && beta->f() != 1) || integerOf(*inner, "transA", 0) ||
        (terms && terms->dims.size() != 1))
      return std::nullopt;
    node.set_op_type("QGemm");
    node.set_domain("com.microsoft");
    add({bias.value_or(""), y->scale, y->zero});
    auto *attribute = node.add_attribute();
    attribute->set_name("transB");
    attribute->set_type(::onnx::AttributeProto::INT);
    attribute->set_i(integerOf(*inner, "transB", 0));
    return node;
  }
  node.set_op_type(isConv ? "QLinearConv" : "QLinearMatMul");
  add({y->scale, y->zero});
  if (bias)
    node.add_input(*bias);
  if (isConv)
    *node.mutable_attribute() = inner->attribute();
  return node;
}

void Groups::join() {
  for (const auto &tensor : read.initializers)
    tensors[tensor->name] = tensor.get();
  index();
  bool found = false;
  for (int i = 0; i < graph.node_size(); ++i)
    if (std::optional<::onnx::NodeProto> node = joined(graph.node(i))) {
      *graph.mutable_node(i) = std::move(*node);
      found = true;
    }
  // What only led to the floats is not needed any more: weights among it, which nothing else could hold.
  while (found) {
    found = false;
    index();
    int kept = 0;
    for (int i = 0; i < graph.node_size(); ++i) {
      const ::onnx::NodeProto &node = graph.node(i);
      bool mayGo =
          llvm::any_of(ArrayRef<StringRef>{"DequantizeLinear", "Conv", "MatMul", "Gemm", "Relu", "GlobalAveragePool"},
                       [&](StringRef type) { return isOf(node, type); });
      if (mayGo && llvm::all_of(node.output(), [&](const std::string &value) { return uses.lookup(value) == 0; })) {
        found = true;
        continue;
      }
      if (kept != i) {
        graph.mutable_node()->SwapElements(kept, i);
        std::swap(read.nodes[kept], read.nodes[i]);
      }
      ++kept;
    }
    graph.mutable_node()->DeleteSubrange(kept, graph.node_size() - kept);
    read.nodes.resize(kept);
  }
}

} // namespace

void joinQuantizedGroups(OnnxModel &model) { Groups(model).join(); }

} // namespace whit
