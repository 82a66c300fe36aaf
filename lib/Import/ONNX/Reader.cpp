// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading an ONNX file: cut, parse, check what every file has to fulfil, then one or more runs over the graph. A run
// may find out that a symbol has one possible size (the head size of a cache, say); the next one starts with that
// knowledge.

#include "Import/ONNX/Reader.h"

#include "Import/ONNX/GgufWeights.h"
#include "Import/ONNX/QuantizedGroups.h"
#include "Import/VerifyImported.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <set>

using namespace mlir;

namespace whit {

static constexpr int kMaxDepth = 64, kMaxGraphDepth = 8;
static constexpr size_t kMaxNodes = 1'000'000, kMaxSkeleton = size_t(512) << 20, kMaxName = 1024;
static constexpr uint64_t kMaxOverlap = 4;
static constexpr int kMaxRuns = 64;
static constexpr int64_t kMaxIrVersion = 14, kMaxOpset = 28;

namespace {
/// Protobuf writes its complaints to stderr; ours say more.
struct QuietProtobuf {
  google::protobuf::LogHandler *before = google::protobuf::SetLogHandler(nullptr);
  ~QuietProtobuf() { google::protobuf::SetLogHandler(before); }
};

class Reader {
public:
  Reader(StringRef path, DataFiles &files, Diagnostics &diagnostics)
      : path(path), files(files), diagnostics(diagnostics) {
    source.file = llvm::sys::path::filename(path).str();
    source.name = llvm::sys::path::stem(path).str();
  }

  bool read() {
    // A device or a pipe may never end.
    if (llvm::sys::fs::file_status status; !llvm::sys::fs::status(path, status) && !is_regular_file(status))
      return report(code::Unreadable, "is no regular file");
    auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!buffer)
      return report(code::Unreadable, "cannot be read: " + buffer.getError().message());
    source.bytes = ArrayRef(reinterpret_cast<const uint8_t *>((*buffer)->getBufferStart()), (*buffer)->getBufferSize());
    files.add(source.file, std::move(*buffer));
    WireModel wire;
    std::string why;
    if (!cutModel(source.bytes, wire, why))
      return report(code::Malformed, "is no whole ONNX file: " + why,
                    "the file may be cut off; copy or export it again");
    if (wire.model.size() + wire.graph.skeleton.size() > kMaxSkeleton)
      return report(code::Limit, "has " + Twine(wire.model.size() + wire.graph.skeleton.size()) +
                                     " bytes besides its weights; at most " + Twine(kMaxSkeleton) + " are read");
    if (!parse(source.model, wire.model, "model") || !parse(source.graph, wire.graph.skeleton, "graph"))
      return false;
    bool ok = checkVersions();
    ok &= readGraph(source.graph, wire.graph, 0);
    if (!ok || !checkOverlap())
      return false;
    joinQuantizedGroups(source);
    return true;
  }

  /// The weights of a GGUF file that the user named. Blobs are named relative to the model's folder, so it must lie there.
  bool take(StringRef params, StringRef paramNames) {
    auto refuse = [&](llvm::Error error) {
      llvm::handleAllErrors(std::move(error), [&](const Failure &failure) {
        DiagnosticCode code = failure.exit == Exit::Files         ? code::Unreadable
                              : failure.exit == Exit::Unsupported ? code::NoVersion
                                                                  : code::Tensor;
        diagnostics.add({code, Severity::Error, failure.where, {}, "", failure.message, failure.help});
      });
      return false;
    };
    llvm::SmallString<256> file(params), folder(files.getFolder());
    if (std::error_code error = llvm::sys::fs::make_absolute(file))
      return report(code::Unreadable, "cannot find the current folder: " + error.message());
    llvm::sys::path::remove_dots(file, /*remove_dot_dot=*/true);
    llvm::sys::path::remove_dots(folder, /*remove_dot_dot=*/true);
    StringRef name = file;
    if (!name.consume_front(folder) || !name.consume_front("/"))
      return refuse(fail(Exit::Invalid, "is not in the model's folder", params, "put the file beside the model"));
    gguf = name.str();
    auto bytes = files.open(gguf);
    if (!bytes)
      return refuse(bytes.takeError());
    auto header = readGgufFile(gguf, *bytes);
    if (!header)
      return refuse(header.takeError());
    llvm::StringMap<std::string> names;
    if (!paramNames.empty())
      if (llvm::Error error = readGgufNames(paramNames, names))
        return refuse(std::move(error));
    return takeGgufWeights(source, *header, *bytes, names, diagnostics);
  }

  OnnxModel source;

private:
  bool report(DiagnosticCode code, const Twine &message, StringRef help = "") {
    diagnostics.add({code, Severity::Error, "", {}, "", "the model " + message.str(), help.str()});
    return false;
  }

  template <typename Message> bool parse(Message &message, const std::string &bytes, StringRef what) {
    google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
    stream.SetRecursionLimit(kMaxDepth);
    if (message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage())
      return true;
    return report(code::Malformed, "is no valid ONNX file: its " + what +
                                       " cannot be parsed (damaged, or nested deeper than " + Twine(kMaxDepth) + ")");
  }

  /// A graph, its stored tensors, and the graphs inside of it.
  bool readGraph(const ::onnx::GraphProto &graph, WireGraph &wire, int depth, StringRef node = "") {
    if (depth > kMaxGraphDepth) // there may be as many as there are leaves of a tree: one is enough
      return std::exchange(isTooDeep, true)
                 ? false
                 : report(code::Limit, "has graphs inside of graphs, deeper than " + Twine(kMaxGraphDepth) +
                                           ", in node '" + shown(node) + "'");
    if (wire.nodes.size() > kMaxNodes || wire.initializers.size() > kMaxNodes)
      return report(code::Limit, "has " + Twine(std::max(wire.nodes.size(), wire.initializers.size())) +
                                     " nodes or initializers; at most " + Twine(kMaxNodes) + " are read");
    if (size_t(graph.node_size()) != wire.nodes.size())
      return report(code::Malformed, "is no valid ONNX file: nodes are not stored one by one");
    bool ok = checkNames(graph);
    OnnxGraph read;
    for (const WireTensor &tensor : wire.initializers) {
      auto stored = readTensor(tensor, "", source.file, files, diagnostics);
      ok &= stored != nullptr;
      if (!stored)
        continue;
      if (stored->name.empty())
        ok = report(code::Tensor, "has an initializer without a name");
      else if (stored->name.size() > kMaxName)
        ok = report(code::Graph, "has an initializer with a name of " + Twine(stored->name.size()) +
                                     " bytes; at most " + Twine(kMaxName) + " are read");
      read.initializers.push_back(stored);
    }
    read.nodes = std::move(wire.nodes);
    for (auto [node, place] : llvm::zip(graph.node(), read.nodes))
      for (const auto &attribute : node.attribute()) {
        if (attribute.type() != ::onnx::AttributeProto::GRAPH)
          continue;
        WireGraph inner;
        std::string why;
        if (!cutAttributeGraph(source.bytes, place, attribute.name(), inner, why))
          ok = report(code::Malformed, "is no whole ONNX file: " + why);
        else
          ok &= readGraph(attribute.g(), inner, depth + 1, node.name());
      }
    source.graphs[&graph] = std::move(read);
    return ok;
  }

  bool checkVersions() {
    bool ok = true;
    if (source.model.ir_version() < 3 || source.model.ir_version() > kMaxIrVersion)
      ok = report(code::NoVersion, "has IR version " + Twine(source.model.ir_version()) + "; 3 to " +
                                       Twine(kMaxIrVersion) + " are supported");
    llvm::StringSet<> domains;
    if (!source.model.opset_import_size())
      ok = report(code::Graph, "names no operator set");
    for (const auto &entry : source.model.opset_import()) {
      bool isDefault = entry.domain().empty() || entry.domain() == "ai.onnx";
      if (!domains.insert(isDefault ? StringRef() : StringRef(entry.domain())).second)
        ok = report(code::Graph, "names operator set '" + shown(entry.domain()) + "' twice");
      if (isDefault && (entry.version() < 7 || entry.version() > kMaxOpset))
        ok = report(code::NoVersion,
                    "uses operator set " + Twine(entry.version()) + "; 7 to " + Twine(kMaxOpset) + " are supported");
      if (entry.domain() == "com.microsoft" && entry.version() != 1)
        ok = report(code::NoVersion,
                    "uses version " + Twine(entry.version()) + " of operator set com.microsoft; only 1 is supported");
    }
    return ok;
  }

  /// Tensors may share bytes, but a file of tensors that all lie over one another would cost more time than its size
  /// explains.
  bool checkOverlap() {
    llvm::StringMap<uint64_t> sizes;
    std::set<std::tuple<std::string, uint64_t, uint64_t>> ranges;
    uint64_t used = 0, available = 0;
    for (const auto &graph : source.graphs)
      for (const auto &tensor : graph.second.initializers) {
        if (tensor->file.empty() || !ranges.emplace(tensor->file, tensor->offset, tensor->length).second)
          continue;
        used += std::min(tensor->length, UINT64_MAX - used);
        if (sizes.try_emplace(tensor->file).second)
          available += llvm::cantFail(files.open(tensor->file)).size();
      }
    if (used / kMaxOverlap <= available)
      return true;
    return report(code::Limit, "has stored tensors of " + Twine(used) + " bytes in files of " + Twine(available) +
                                   "; they may overlap " + Twine(kMaxOverlap) + "-fold");
  }

  /// Names go into symbols, manifests and messages: text of a reasonable length.
  bool checkNames(const ::onnx::GraphProto &graph) {
    bool ok = true;
    auto check = [&](StringRef name, StringRef what) {
      if (name.size() > kMaxName || name.contains('\0') || !llvm::json::isUTF8(name))
        ok = report(code::Graph, "has a " + what + " named '" + shown(name) + "'; names must be UTF-8 of at most " +
                                     Twine(kMaxName) + " bytes");
    };
    for (const auto &node : graph.node()) {
      check(node.name(), "node");
      check(node.op_type(), "node with an operator");
      check(node.domain(), "node with a domain");
      for (const std::string &output : node.output())
        check(output, "value");
    }
    for (const auto *values : {&graph.input(), &graph.output()})
      for (const auto &value : *values) {
        check(value.name(), "value");
        for (const auto &dim : value.type().tensor_type().shape().dim())
          check(dim.dim_param(), "dimension");
      }
    return ok;
  }

  bool isTooDeep = false;
  StringRef path;
  std::string gguf; ///< name of the file of weights, if there is one
  DataFiles &files;
  Diagnostics &diagnostics;
};
} // namespace

OwningOpRef<ModuleOp> importOnnx(StringRef path, MLIRContext &context, const ImportOptions &options,
                                 Diagnostics &diagnostics) {
  QuietProtobuf quiet;
  diagnostics.setFile(path);
  llvm::SmallString<256> absolute(path);
  if (std::error_code error = llvm::sys::fs::make_absolute(absolute)) {
    diagnostics.add(
        {code::Unreadable, Severity::Error, "", {}, "", "cannot find the current folder: " + error.message(), ""});
    return {};
  }
  llvm::sys::path::remove_dots(absolute);
  context.loadDialect<mlir::whit::WhitDialect, func::FuncDialect, linalg::LinalgDialect, tensor::TensorDialect,
                      arith::ArithDialect, math::MathDialect>();
  DataFiles files(llvm::sys::path::parent_path(absolute).str());
  Reader reader(path, files, diagnostics);
  if (!reader.read() || (!options.params.empty() && !reader.take(options.params, options.paramNames)))
    return {};
  Bindings bindings;
  for (const auto &[name, size] : options.dims)
    bindings.sizes[name] = size;
  // Each further run knows at least one symbol more.
  for (int run = 0; run < kMaxRuns; ++run) {
    Graph graph(reader.source, files, diagnostics, bindings, context);
    OwningOpRef<ModuleOp> module = graph.build();
    if (!module)
      return {};
    if (graph.learned)
      continue;
    if (verifyImported(*module, "the model's graph", diagnostics))
      return module;
    return {};
  }
  diagnostics.add(
      {code::Limit,
       Severity::Error,
       "",
       {},
       "",
       "the model has more than " + std::to_string(kMaxRuns) + " symbols whose sizes follow from one another",
       "give sizes with --dim NAME=N"});
  return {};
}

} // namespace whit
