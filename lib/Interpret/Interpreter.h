// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The oracle: a slow, obvious interpreter of modules at the stages imported, raised, encoded and fused. It computes in
// f64 what the description of each operation says and shares no code with the passes or the lowering, so that agreement
// of the two means something.
//
//   Interpreter interpreter(module, "/folder/of/the/weights", {.bounds = true});
//   auto results = interpreter.call(function, {makeDatum(ids), makeDatum(mask)});
//
// One file per dialect adds its operations to a table; an operation that is not in it is an error at that operation.

#pragma once

#include "Interpret/Values.h"
#include "Interpret/Weights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <functional>

namespace whit::interpret {

struct Options {
  bool bounds = false; ///< keep a bound beside every value
  int threads = 2;     ///< for matmuls
};

class Interpreter;

/// The values of one function's SSA values.
class Frame {
public:
  explicit Frame(Interpreter &interpreter) : interpreter(interpreter) {}

  Interpreter &interpreter;

  bool has(mlir::Value value) const { return values.contains(value); }
  const Datum &datum(mlir::Value value) const { return values.at(value); }
  const Tensor &tensor(mlir::Value value) const { return *values.at(value).tensor; }
  const Weight &weight(mlir::Value value) const { return *values.at(value).weight; }
  Scalar scalar(mlir::Value value) const { return values.at(value).scalar; }
  int64_t integer(mlir::Value value) const { return values.at(value).scalar.i; }
  void set(mlir::Value value, Datum datum) { values[value] = std::move(datum); }
  void set(mlir::Value value, Tensor tensor) { values[value] = makeDatum(std::move(tensor)); }
  void set(mlir::Value value, Scalar scalar) { values[value].scalar = scalar; }
  void drop(mlir::Value value) { values.erase(value); }
  /// `size`, or the value of `dynamic` if it is not known statically.
  int64_t integer(mlir::OpFoldResult size) const;

private:
  llvm::DenseMap<mlir::Value, Datum> values;
};

/// Runs one operation: reads its operands from the frame and sets its results.
using Handler = std::function<mlir::LogicalResult(mlir::Operation *, Frame &)>;

class Interpreter {
public:
  /// `directory`: the folder that the names of weight files are relative to.
  Interpreter(mlir::ModuleOp module, std::string directory, Options options = {});

  mlir::FailureOr<std::vector<Datum>> call(mlir::func::FuncOp function, std::vector<Datum> arguments);
  /// Runs a block whose arguments and outside values are in the frame. The result: what its terminator carries.
  mlir::FailureOr<std::vector<Datum>> run(mlir::Block &block, Frame &frame);

  /// An error at every operation inside `root` that the interpreter does not know.
  mlir::LogicalResult verifySupported(mlir::Operation *root);

  mlir::FailureOr<std::shared_ptr<const Weight>> weight(mlir::Operation *user, llvm::StringRef name);

  const Options options;
  /// The unit roundoff that analysis of f32 uses: 0 without bounds.
  const double unit;
  mlir::ModuleOp module;
  int64_t failedChecks = 0, passedChecks = 0;
  /// If set, runs regions instead of their bodies being run directly.
  std::function<mlir::FailureOr<std::vector<Datum>>(mlir::whit::RegionOp, Frame &)> regionHook;

  /// Adds the operation named `Op`.
  template <typename Op> void add(mlir::LogicalResult (*handler)(Op, Frame &)) {
    handlers[Op::getOperationName()] = [handler](mlir::Operation *op, Frame &frame) {
      return handler(llvm::cast<Op>(op), frame);
    };
  }

private:
  const Handler *find(mlir::Operation *op);
  mlir::LogicalResult execute(mlir::Operation *op, Frame &frame);

  DataFiles files;
  llvm::StringMap<Handler> handlers;
  llvm::StringMap<std::shared_ptr<const Weight>> weights;
  /// Values that nothing reads after an operation.
  llvm::DenseMap<mlir::Operation *, std::vector<mlir::Value>> lastUses;
  llvm::DenseMap<mlir::Block *, bool> analyzed;
};

// One function per file of operations.
void addControlOps(Interpreter &interpreter);
void addTensorOps(Interpreter &interpreter);
void addRowOps(Interpreter &interpreter);
void addMatmulOps(Interpreter &interpreter);
void addAttentionOps(Interpreter &interpreter);
void addCheckOps(Interpreter &interpreter);

/// Any operation with LinalgOp's interface, by its indexing maps and its body.
mlir::LogicalResult runLinalg(mlir::Operation *op, Frame &frame);
/// arith, math and affine operations on scalars, or elementwise on tensors.
mlir::LogicalResult runScalar(mlir::Operation *op, Frame &frame);

/// A constant attribute as a value.
mlir::FailureOr<Datum> constantOf(mlir::Operation *op, mlir::Attribute attribute);

} // namespace whit::interpret
