// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One run over a graph: from stored tensors and nodes to a module. Symbols of the model's dimensions are index values
// at the head of the function, one each, so that equal symbols are equal values.

#pragma once

#include "Import/ONNX/Node.h"
#include "Import/ONNX/SizeAlgebra.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

namespace whit {

/// More dimensions than this are refused.
inline constexpr int64_t kMaxTensorRank = 8;
/// Values with more elements, their symbolic dimensions taken for 1, are refused: no memory holds them.
inline constexpr int64_t kMaxElements = int64_t(1) << 40;
/// Nodes of bodies are imported at each step; all steps together may have this many.
inline constexpr int64_t kMaxBodyNodes = 1 << 18;
/// Integer constants with more elements are not looked at one by one.
inline constexpr int64_t kMaxConstantIntegers = 65536;
/// Integer constants with more bytes are not made part of the program. The causal mask of 1,024 tokens has as many.
inline constexpr int64_t kMaxConstantBytes = int64_t(1) << 20;

/// What is known of a graph besides its protobuf object.
struct OnnxGraph {
  std::vector<ByteRange> nodes; ///< where node(i) lies in the file
  std::vector<std::shared_ptr<const StoredTensor>> initializers;
};

/// A parsed file with its tensors checked.
struct OnnxModel {
  std::string file, name; ///< base name of the .onnx, with and without suffix
  ::onnx::ModelProto model;
  ::onnx::GraphProto graph;
  llvm::ArrayRef<uint8_t> bytes;
  llvm::DenseMap<const ::onnx::GraphProto *, OnnxGraph> graphs; ///< `graph` and all that are attributes of nodes
};

/// What is known of the model's symbols: their sizes, and sizes that they must not exceed for the nodes to fit together.
struct Bindings {
  llvm::StringMap<int64_t> sizes, most;
};

class Graph {
public:
  Graph(const OnnxModel &source, DataFiles &files, Diagnostics &diagnostics, Bindings &bindings,
        mlir::MLIRContext &context);

  /// Builds the module; null if something was reported. When `learned` is true afterwards, `bindings` grew: run again
  /// with them.
  mlir::OwningOpRef<mlir::ModuleOp> build();
  bool learned = false;

  // For Node.
  GraphValue *find(llvm::StringRef name);
  mlir::LogicalResult define(llvm::StringRef name, GraphValue value, Node &node);
  /// The tensor of a value, in whatever form it is known. `why` says why it has none.
  mlir::FailureOr<semantics::Tensor> materialize(GraphValue &value, mlir::ImplicitLocOpBuilder &b, std::string &why);
  /// Learns the size of a symbol; false if it is known to be another.
  bool bind(mlir::OpFoldResult size, int64_t wanted);
  /// Learns what makes two sizes equal for all values of the symbols that remain; false if nothing does.
  bool unify(mlir::OpFoldResult x, mlir::OpFoldResult y);
  /// The number of a size, or the name of its symbol; null for computed ones.
  mlir::Attribute nameOf(mlir::OpFoldResult size) const;
  /// Imports a graph that is an attribute of `node`, which sees the values around it, and gives its outputs. Its inputs
  /// were defined before.
  mlir::FailureOr<llvm::SmallVector<GraphValue>> importBranch(Node &node, const ::onnx::GraphProto &branch);
  /// A value that is known from a stored tensor.
  GraphValue fromStored(std::shared_ptr<const StoredTensor> tensor);

  const OnnxModel &source;
  DataFiles &files;
  Diagnostics &diagnostics;
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<semantics::Weights> weights;
  SizeAlgebra algebra;
  int64_t opset = 1; ///< of the default domain
  /// Start positions made before, by their lengths and number of new tokens: every layer asks for the same.
  llvm::DenseMap<std::pair<mlir::Value, void *>, semantics::Tensor> starts;

private:
  bool addInitializers(const ::onnx::GraphProto &graph);
  bool checkOperators(const ::onnx::GraphProto &graph);
  bool addInputs();
  void addFixed(llvm::StringRef name, llvm::ArrayRef<int64_t> shape, mlir::Type element, int64_t number);
  void addNodes(const ::onnx::GraphProto &graph, mlir::ImplicitLocOpBuilder &b);
  bool addOutputs();
  void addRoles();
  void addMetadata();
  bool solveSums();
  void addSymbols(llvm::ArrayRef<llvm::SmallVector<mlir::Attribute>> dims);
  void addSymbol(llvm::StringRef name, mlir::Value size);
  mlir::Attribute outputDim(mlir::OpFoldResult size);
  void report(DiagnosticCode code, const llvm::Twine &message, llvm::StringRef value = "");

  Bindings &bindings;
  mlir::func::FuncOp function;
  llvm::StringMap<GraphValue> values;
  int64_t bodyNodes = 0;                                        ///< that importBranch has seen
  std::vector<std::string> *inBranch = nullptr;                 ///< names that the branch being imported has defined
  llvm::MapVector<llvm::StringRef, mlir::OpFoldResult> symbols; ///< in the order of the inputs
  llvm::SmallVector<llvm::StringRef> sumsOfDims;                ///< names of symbols "a + b"
  llvm::DenseMap<mlir::Value, llvm::StringRef> symbolNames;
  llvm::MapVector<mlir::Attribute, mlir::Attribute> computed; ///< names of sizes that follow from others, and how
};

} // namespace whit
