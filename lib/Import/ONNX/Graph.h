// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One run over a graph: from stored tensors and nodes to a module. Symbols of the model's dimensions are index values
// at the head of the function, one each, so that equal symbols are equal values.

#pragma once

#include "Import/ONNX/Node.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

namespace whit {

/// A parsed file with its tensors checked.
struct OnnxModel {
  std::string file, name; ///< base name of the .onnx, with and without suffix
  ::onnx::ModelProto model;
  ::onnx::GraphProto graph;
  std::vector<ByteRange> nodes; ///< where graph.node(i) lies in the file
  llvm::ArrayRef<uint8_t> bytes;
  std::vector<std::shared_ptr<const StoredTensor>> initializers;
};

/// Sizes that symbols were found to have.
using Bindings = llvm::StringMap<int64_t>;

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
  /// The number of a size, or the name of its symbol; null for computed ones.
  mlir::Attribute nameOf(mlir::OpFoldResult size) const;
  /// A value that is known from a stored tensor.
  GraphValue fromStored(std::shared_ptr<const StoredTensor> tensor);

  const OnnxModel &source;
  DataFiles &files;
  Diagnostics &diagnostics;
  mlir::MLIRContext &context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<semantics::Weights> weights;
  int64_t opset = 1; ///< of the default domain
  /// Start positions made before, by their lengths and number of new tokens: every layer asks for the same.
  llvm::DenseMap<std::pair<mlir::Value, void *>, semantics::Tensor> starts;

private:
  bool checkOperators();
  bool addInputs();
  void addNodes();
  bool addOutputs();
  void addRoles();
  mlir::OpFoldResult symbol(llvm::StringRef name, mlir::BlockArgument argument, int64_t dim);
  void report(DiagnosticCode code, const llvm::Twine &message, llvm::StringRef value = "");

  Bindings &bindings;
  mlir::func::FuncOp function;
  mlir::Operation *lastSymbol = nullptr;
  llvm::StringMap<GraphValue> values;
  llvm::MapVector<llvm::StringRef, mlir::Value> symbols; ///< in the order of the inputs; null until used
  llvm::DenseMap<mlir::Value, llvm::StringRef> symbolNames;
};

} // namespace whit
