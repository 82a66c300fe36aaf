// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an operator's function sees: its node's inputs and attributes, checked as they are asked for, and where its
// outputs go.
//
//     static LogicalResult neg(Node &node) {
//       FailureOr<Tensor> x = node.tensor(0, "X");
//       return failed(x) ? failure() : node.set(0, elementwise(node.b, *x, x->sizes, x->element(), negate));
//     }
//     ... and a row {"", "Neg", neg, 1, 1, 1, ""} in the table of its file.

#pragma once

#include "Import/ONNX/StoredTensor.h"
#include "Import/Semantics/Weights.h"

#include "onnx.pb.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace whit {

class Graph;
struct Operator;

/// start + i * step along dimension `dim`, the same along all others.
struct Progression {
  int64_t dim;
  mlir::OpFoldResult start;
  int64_t step;
};

/// A value of the graph, in as many forms as are known. A tensor is built from them when it is first needed.
struct GraphValue {
  mlir::Type element; ///< what elements mean (semantics::held); null: a stored type that is not computed with
  semantics::Sizes sizes;
  mlir::Value value; ///< null until needed, for constants and shapes
  /// The elements of small tensors that are known while importing, in row-major order: index attributes or index values
  /// for integers, 0 or 1 for bools, float attributes of the element type.
  std::optional<semantics::Sizes> elements;
  std::optional<Progression> progression;     ///< integers that count
  std::shared_ptr<const StoredTensor> stored; ///< constants; `dims` of a reshaped one are `sizes`
  bool failed = false;                        ///< its node was reported; nothing more is said about its uses

  int64_t rank() const { return sizes.size(); }
};

class Node {
public:
  Node(Graph &graph, const ::onnx::NodeProto &proto, size_t index, ByteRange bytes, mlir::ImplicitLocOpBuilder &b);

  Graph &graph;
  mlir::ImplicitLocOpBuilder &b;
  const ::onnx::NodeProto &proto;
  size_t index;
  ByteRange bytes; ///< of the file, where the node lies
  const Operator *row = nullptr;

  /// Problems of this node; always failure.
  mlir::LogicalResult report(DiagnosticCode code, const llvm::Twine &message, const llvm::Twine &help = "");
  mlir::LogicalResult badOperand(const llvm::Twine &message) { return report(code::Operand, message); }
  mlir::LogicalResult badAttribute(const llvm::Twine &message) { return report(code::Attribute, message); }
  mlir::LogicalResult unsupported(const llvm::Twine &message, const llvm::Twine &help = "") {
    return report(code::NoFeature, message, help);
  }

  // Inputs. `role` is the name that the operator's definition gives to the input.
  bool has(unsigned i) const { return i < unsigned(proto.input_size()) && !proto.input(i).empty(); }
  GraphValue &input(unsigned i);
  /// As a tensor, built if need be.
  mlir::FailureOr<semantics::Tensor> tensor(unsigned i, llvm::StringRef role);
  /// The same, f32 required.
  mlir::FailureOr<semantics::Tensor> f32(unsigned i, llvm::StringRef role);
  /// A constant of the file.
  mlir::FailureOr<std::shared_ptr<const StoredTensor>> stored(unsigned i, llvm::StringRef role);
  /// Integers that are known at compile time.
  mlir::FailureOr<llvm::SmallVector<int64_t>> integers(unsigned i, llvm::StringRef role);
  /// The elements of a list of sizes or positions, which may be index values.
  mlir::FailureOr<semantics::Sizes> sizes(unsigned i, llvm::StringRef role);
  /// The sizes that operands have together; reports those that do not fit.
  mlir::FailureOr<semantics::Sizes> broadcast(llvm::ArrayRef<semantics::Tensor> operands);
  /// Requires a size; a symbol is from now on known to have it.
  mlir::LogicalResult requireDim(unsigned i, llvm::StringRef role, int64_t dim, int64_t size);

  // Attributes. A wrong type is reported and gives failure.
  bool hasAttribute(llvm::StringRef name) const { return find(name); }
  mlir::FailureOr<int64_t> integer(llvm::StringRef name, std::optional<int64_t> byDefault = std::nullopt);
  mlir::FailureOr<double> number(llvm::StringRef name, double byDefault);
  mlir::FailureOr<std::string> text(llvm::StringRef name, llvm::StringRef byDefault);
  mlir::FailureOr<llvm::SmallVector<int64_t>> integerList(llvm::StringRef name);
  /// Attributes that change the meaning must have one of the values that leave it alone.
  mlir::LogicalResult requireOnly(llvm::StringRef name, llvm::ArrayRef<int64_t> allowed);
  /// An attribute that must be a tensor, checked like one of the file's own.
  mlir::FailureOr<std::shared_ptr<const StoredTensor>> tensorAttribute(llvm::StringRef name);
  const ::onnx::AttributeProto *find(llvm::StringRef name) const;

  // Outputs.
  bool wants(unsigned i) const { return i < unsigned(proto.output_size()) && !proto.output(i).empty(); }
  mlir::LogicalResult set(unsigned i, const semantics::Tensor &tensor);
  mlir::LogicalResult setElements(unsigned i, semantics::Sizes elements, bool isScalar, mlir::Type element);
  mlir::LogicalResult setValue(unsigned i, GraphValue value);

  std::string opName() const;
};

/// A size for a message: its number, the name of its symbol, or that it is computed.
std::string shownSize(const Graph &graph, mlir::OpFoldResult size);

/// One operator: where it is defined, how it is called, what imports it. Attributes that are not listed are refused.
struct Operator {
  llvm::StringLiteral domain, type;
  mlir::LogicalResult (*import)(Node &node);
  unsigned minInputs, maxInputs, maxOutputs;
  llvm::StringLiteral attributes; ///< separated by spaces
  /// Whether it also takes integers that are held in another type: unsigned ones, and those of fewer than 8 bits.
  bool takesHeld = false;
};

// The tables of Ops/*.cpp.
llvm::ArrayRef<Operator> arithmeticOperators();
llvm::ArrayRef<Operator> attentionOperators();
llvm::ArrayRef<Operator> castOperators();
llvm::ArrayRef<Operator> controlOperators();
llvm::ArrayRef<Operator> convolutionOperators();
llvm::ArrayRef<Operator> functionOperators();
llvm::ArrayRef<Operator> gatherOperators();
llvm::ArrayRef<Operator> logicOperators();
llvm::ArrayRef<Operator> lossOperators();
llvm::ArrayRef<Operator> matmulOperators();
llvm::ArrayRef<Operator> moveOperators();
llvm::ArrayRef<Operator> normOperators();
llvm::ArrayRef<Operator> poolingOperators();
llvm::ArrayRef<Operator> productOperators();
llvm::ArrayRef<Operator> quantizeOperators();
llvm::ArrayRef<Operator> reductionOperators();
llvm::ArrayRef<Operator> selectionOperators();
llvm::ArrayRef<Operator> shapeOperators();
llvm::ArrayRef<Operator> standardAttentionOperators();

} // namespace whit
