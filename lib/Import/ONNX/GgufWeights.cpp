// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which tensor of a GGUF file is which initializer. Exporters name constants that they have transposed by a number
// (onnx::MatMul_8767), but the node that multiplies with one still tells the module (/model/layers.0/self_attn/q_proj/MatMul).

#include "Import/ONNX/GgufWeights.h"
#include "Import/ONNX/Ops/Constants.h"

#include "runtime/trust/StrictJson.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace llvm;

namespace whit {

namespace {
struct NamePair {
  StringRef from, to;
};
} // namespace

/// Outside of layers, and inside of them ("model.layers.N." becomes "blk.N."); the names of GenAI's builder stand last.
static constexpr NamePair kModelNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
static constexpr NamePair kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},      {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},       {"attn.q_proj", "attn_q"},
    {"attn.k_proj", "attn_k"},           {"attn.v_proj", "attn_v"},
    {"attn.o_proj", "attn_output"},      {"final_norm_layernorm", "output_norm"},
};

std::string ggufNameOf(StringRef name) {
  StringRef kind = ".weight";
  if (name.ends_with(".bias"))
    kind = ".bias";
  name.consume_back(kind);
  name.consume_back(".MatMul");
  if (name.consume_front("model.layers.")) {
    auto [layer, rest] = name.split('.');
    if (layer.empty() || !all_of(layer, isDigit))
      return "";
    for (const NamePair &pair : kLayerNames)
      if (rest == pair.from)
        return pair.to.starts_with("output") ? (pair.to + kind).str() : ("blk." + layer + "." + pair.to + kind).str();
    return "";
  }
  for (const NamePair &pair : kModelNames)
    if (name == pair.from)
      return (pair.to + kind).str();
  return "";
}

/// The weight of the module that a node belongs to: "/model/layers.0/mlp/up_proj/MatMul" gives "model.layers.0.mlp.up_proj.weight".
static std::string weightOfNode(StringRef node) {
  StringRef module = node.rsplit('/').first;
  module.consume_front("/");
  std::string name = module.str();
  llvm::replace(name, '/', '.');
  return name + ".weight";
}

Error readGgufNames(StringRef path, StringMap<std::string> &names) {
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return fail(Exit::Files, "cannot read: " + buffer.getError().message(), path, "check the name and its permissions");
  Json document;
  std::string why;
  StringRef text = (*buffer)->getBuffer();
  if (!parseStrictJson({text.data(), text.size()}, "names of tensors", document, why))
    return fail(Exit::Invalid, why, path);
  bool isMap =
      document.is_object() && all_of(document.items(), [](const auto &entry) { return entry.value().is_string(); });
  if (!isMap)
    return fail(Exit::Invalid, "holds no names; it must be a JSON object from initializers to tensors of the GGUF file",
                path);
  for (const auto &[initializer, tensor] : document.items())
    names[initializer] = tensor.get<std::string>();
  return Error::success();
}

namespace {
class Taker {
public:
  Taker(OnnxModel &model, const GgufFile &file, ArrayRef<uint8_t> bytes, Diagnostics &diagnostics)
      : model(model), file(file), bytes(bytes), diagnostics(diagnostics) {
    for (const auto &node : model.graph.node()) {
      for (const std::string &input : node.input())
        users.try_emplace(input, &node);
      for (const auto &attribute : node.attribute())
        if (attribute.name() == "rotary_interleaved" || attribute.name() == "interleaved")
          rotatesPairs |= attribute.i() != 0;
    }
  }

  bool run(const StringMap<std::string> &names) {
    bool ok = true;
    size_t taken = 0;
    StringSet<> left;
    for (const auto &entry : names)
      left.insert(entry.first());
    for (auto &initializer : model.graphs[&model.graph].initializers) {
      if (initializer->type->kind != OnnxType::Float || initializer->count < 2)
        continue;
      StringRef name = initializer->name;
      left.erase(name);
      auto given = names.find(name);
      std::string wanted = given == names.end() ? guess(name) : given->second;
      if (wanted.empty())
        continue;
      const GgufTensor *tensor = file.find(wanted);
      if (!tensor && given == names.end())
        continue;
      auto replaced = std::make_shared<StoredTensor>(*initializer);
      ok &= tensor ? take(*replaced, wanted, *tensor)
                   : report(name, "is to be '" + shown(wanted) + "'; the GGUF file has no such tensor");
      initializer = replaced;
      ++taken;
    }
    for (const auto &entry : left)
      ok = report(entry.first(), "stands in --param-names; the model has no such float initializer");
    if (ok && !taken)
      ok = report("", "no tensor of '" + shown(file.name) + "' has the name of an initializer",
                  "give --param-names=FILE.json, an object from initializers of the model to tensors of the GGUF file");
    return ok;
  }

private:
  bool report(StringRef tensor, const Twine &message, StringRef help = "") {
    diagnostics.add({code::Tensor, Severity::Error, "",
                     tensor.empty() ? std::vector<std::string>() : std::vector{tensor.str()}, "",
                     (tensor.empty() ? message : "initializer " + message).str(), help.str(), 1,
                     /*aboutTensor=*/!tensor.empty()});
    return false;
  }

  /// The tensor that is by its name the initializer's; the output head may be the embedding.
  std::string guess(StringRef name) {
    auto exists = [&](StringRef weight) {
      std::string found = ggufNameOf(weight);
      if (found == "output.weight" && !file.find(found))
        found = "token_embd.weight";
      return file.find(found) ? found : std::string();
    };
    std::string found = exists(name);
    auto user = users.find(name);
    if (found.empty() && user != users.end())
      found = exists(weightOfNode(user->second->name()));
    return found;
  }

  /// llama.cpp's converter interleaves the halves of each head of q and k, for models of this architecture.
  int64_t headRows(StringRef tensor, int64_t rows) {
    bool isQuery = tensor.ends_with(".attn_q.weight"), isKey = tensor.ends_with(".attn_k.weight");
    if (rotatesPairs || file.architecture != "llama" || (!isQuery && !isKey))
      return 0;
    uint64_t heads = file.number(isKey ? "attention.head_count_kv" : "attention.head_count");
    if (!heads)
      heads = file.number("attention.head_count");
    return heads && rows % heads == 0 && rows / heads % 2 == 0 ? rows / heads : -1;
  }

  bool take(StoredTensor &stored, StringRef name, const GgufTensor &tensor) {
    auto bad = [&](const Twine &why, StringRef help = "") {
      return report(stored.name, "is to be tensor '" + shown(name) + "' of '" + shown(file.name) + "', which " + why,
                    help);
    };
    if (!tensor.length)
      return bad("has type " + Twine(tensor.type) + " of ggml; it is not read",
                 "quantize to one of Q4_0 to Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS or MXFP4");
    SmallVector<int64_t> turned(reverse(tensor.dims));
    stored.file = file.name;
    stored.offset = tensor.offset;
    stored.length = tensor.length;
    if (stored.dims.size() == 1 && tensor.dims == stored.dims) {
      int32_t number = tensor.type == 0 ? 1 : tensor.type == 1 ? 10 : tensor.type == 30 ? 16 : 0;
      if (number != stored.type->number)
        return bad("has type " + Twine(tensor.type) + " of ggml; a vector must have the type of the model, " +
                   stored.type->name);
      stored.bytes = bytes.slice(tensor.offset, tensor.length);
      return true;
    }
    if (stored.dims.size() != 2 || (tensor.dims != stored.dims && turned != stored.dims))
      return bad("has shape " + shapeText(tensor.dims) + "; " + shapeText(stored.dims) + " is required");
    GgufMatrix matrix;
    matrix.isTransposed =
        stored.dims[0] == stored.dims[1] ? !wantsRows(model.graph, stored.name) : tensor.dims != stored.dims;
    matrix.layout.type = tensor.type;
    matrix.layout.headRows = headRows(name, tensor.dims[0]);
    if (matrix.layout.headRows < 0)
      return bad("has " + Twine(tensor.dims[0]) + " rows, which the file's number of heads does not divide");
    stored.gguf = matrix;
    stored.bytes = {};
    return true;
  }

  static std::string shapeText(ArrayRef<int64_t> dims) {
    return "[" + join(map_range(dims, [](int64_t dim) { return std::to_string(dim); }), ", ") + "]";
  }

  OnnxModel &model;
  const GgufFile &file;
  ArrayRef<uint8_t> bytes;
  Diagnostics &diagnostics;
  StringMap<const ::onnx::NodeProto *> users; ///< the first of each value
  bool rotatesPairs = false;
};
} // namespace

bool takeGgufWeights(OnnxModel &model, const GgufFile &file, ArrayRef<uint8_t> bytes,
                     const StringMap<std::string> &names, Diagnostics &diagnostics) {
  return Taker(model, file, bytes, diagnostics).run(names);
}

} // namespace whit
