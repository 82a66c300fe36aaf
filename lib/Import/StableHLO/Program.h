// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A StableHLO program on its way to a module of stage `imported`. Its values are known in the form that gives the
// simplest operations: a broadcast is not made but read with an index fewer, a parameter becomes a weight only when it
// is known in which order its dimensions are used.

#pragma once

#include "Import/ONNX/SizeAlgebra.h"
#include "Import/Semantics/Weights.h"
#include "Import/StableHLO/Parameters.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <memory>

namespace whit {

/// A value of the program.
struct HloValue {
  semantics::Sizes sizes; ///< all of them, as the program sees it
  /// Its elements; broadcast to `sizes` (aligned at the last dimension) where it has fewer or ones. Null for parameters.
  semantics::Tensor tensor;
  mlir::Type element; ///< without sign
  const Parameter *parameter = nullptr;
  llvm::SmallVector<int64_t> permutation;          ///< dimension i is dimension permutation[i] of the parameter
  bool failed = false;                             ///< its operation was reported; nothing more is said about its uses
  std::shared_ptr<semantics::Sizes> elements = {}; ///< of a list of sizes: what each is; else null
};

class Program {
public:
  Program(mlir::ModuleOp source, DataFiles &files, const Parameters &parameters, Diagnostics &diagnostics);

  /// The module, or null if something was reported.
  mlir::OwningOpRef<mlir::ModuleOp> build(llvm::StringRef name);

  // For operations.
  mlir::ImplicitLocOpBuilder &builder() { return *b; }
  HloValue &value(mlir::Value value) { return values[value]; }
  /// All elements of a value, in its sizes.
  semantics::Tensor whole(mlir::Value value);
  /// The elements as they are known, for operations that broadcast.
  semantics::Tensor loose(mlir::Value value);
  /// A parameter as the matrix N x K of a product: its dimensions `free`, then `contracted`, each in order. Null if the
  /// bytes are in no order that a weight can have.
  mlir::Value matrix(const HloValue &value, llvm::ArrayRef<int64_t> free, llvm::ArrayRef<int64_t> contracted);

  void set(mlir::Value result, const semantics::Tensor &tensor);
  /// The same with sizes that the tensor is broadcast to.
  void setLoose(mlir::Value result, const semantics::Tensor &tensor);
  mlir::LogicalResult unsupported(mlir::Operation *op, const llvm::Twine &message, llvm::StringRef help = "");
  /// The sizes of a result; those that vary are known before its operation is imported.
  semantics::Sizes sizesOf(mlir::Value result);
  /// The elements of a short list of integers that are known for all sizes of the arguments.
  std::optional<semantics::Sizes> elementsOf(mlir::Value value);
  /// Whether two sizes are the same, and whether a number is a size, for all sizes of the arguments.
  bool isSame(mlir::OpFoldResult x, mlir::OpFoldResult y);
  bool isSize(mlir::OpFoldResult x) { return algebra.isNonNegative(x); }
  /// Imports the operations of a block, whose arguments have values; the values that its terminator gives.
  mlir::FailureOr<llvm::SmallVector<HloValue>> run(mlir::Block &block);

private:
  bool checkOperations(mlir::func::FuncOp main);
  void addAliases(mlir::func::FuncOp main);
  bool addInputs(mlir::func::FuncOp main);
  void addOutputs(mlir::func::FuncOp main, llvm::ArrayRef<HloValue> results);
  mlir::LogicalResult import(mlir::Operation *op);
  mlir::LogicalResult call(mlir::Operation *op, llvm::StringRef callee);
  semantics::Tensor whole(HloValue &value);
  void nameDimensions(mlir::func::FuncOp main);
  mlir::LogicalResult inferSizes(mlir::Operation *op);
  void trackElements(mlir::Operation *op);
  mlir::LogicalResult checkAssertion(mlir::Operation *op);
  mlir::Attribute outputDim(mlir::OpFoldResult size);
  void report(DiagnosticCode code, mlir::Operation *op, const llvm::Twine &message, llvm::StringRef help = "");

  mlir::ModuleOp source;
  DataFiles &files;
  const Parameters &parameters;
  Diagnostics &diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<semantics::Weights> weights;
  std::optional<mlir::ImplicitLocOpBuilder> b;
  mlir::func::FuncOp function;
  llvm::DenseMap<mlir::Value, HloValue> values;
  llvm::StringMap<std::string> aliases; ///< of argN and outN
  SizeAlgebra algebra;
  llvm::DenseMap<mlir::Value, semantics::Sizes> varying;          ///< sizes of results with a dynamic type
  std::map<std::pair<unsigned, int64_t>, std::string> dimensions; ///< names of arguments' dimensions that vary
  llvm::MapVector<mlir::StringAttr, mlir::Attribute>
      computedSizes;   ///< of results, by name: how they follow from others
  size_t imported = 0; ///< operations, those of functions as often as they are called
  unsigned depth = 0;  ///< of calls
};

/// Whether an operation may have operands and results with sizes that vary.
bool mayVary(mlir::Operation *op);
/// The element type that values of a type have when they are computed with: no sign. Null if there is none.
mlir::Type hloElement(mlir::Type type);
/// Whether the elements of a type are quantized numbers, which are held as their integers.
bool isQuantized(mlir::Type type);
/// Writes operations on quantized numbers as operations on the floats that they express.
void expressQuantized(mlir::ModuleOp module);
/// The name of an operation in the program: that of its location, or its place in the file.
std::string hloName(mlir::Operation *op);

/// An operation: its name and what imports it.
struct HloOperation {
  llvm::StringLiteral name;
  mlir::LogicalResult (*import)(Program &program, mlir::Operation *op);
};

// The tables of Ops/*.cpp.
llvm::ArrayRef<HloOperation> hloControl();
llvm::ArrayRef<HloOperation> hloElementwise();
llvm::ArrayRef<HloOperation> hloMoves();
llvm::ArrayRef<HloOperation> hloProducts();
llvm::ArrayRef<HloOperation> hloQuantize();
llvm::ArrayRef<HloOperation> hloReductions();
llvm::ArrayRef<HloOperation> hloScatters();
llvm::ArrayRef<HloOperation> hloSorts();
llvm::ArrayRef<HloOperation> hloWindows();

/// A tensor of elements of a program's type, which may have no sign, in another type.
semantics::Tensor convertFrom(mlir::ImplicitLocOpBuilder &b, const semantics::Tensor &x, mlir::Type type,
                              mlir::Type element);

/// Floats in the order of their bits, -NaN first and NaN last, as integers.
mlir::Value totalOrder(mlir::ImplicitLocOpBuilder &b, mlir::Value x);

/// The element that an elementwise operation computes from elements; null if it is no such operation.
mlir::Value hloScalar(mlir::ImplicitLocOpBuilder &b, mlir::Operation *op, mlir::ValueRange operands);

} // namespace whit
