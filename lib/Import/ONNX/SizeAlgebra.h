// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exact arithmetic on sizes that are not known yet. Every index value of the function is a polynomial over atoms: the
// model's symbols, and quotients, remainders, minima and maxima that do not come out even. Equal polynomials are one
// value, made once at the head of the function:
//
//     past + sequence, where the dimension "past + sequence" of an input has that size:   that dimension
//     (2 * sequence) / sequence:                                                           2
//     sequence == -1:                                                                      false, as no size is negative
//
// so that an exporter's hundreds of Shape, Gather, Mul and Concat leave nothing behind but the sizes they stand for.

#pragma once

#include "Import/Semantics/Tensor.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/MapVector.h"

#include <map>
#include <vector>

namespace whit {

class SizeAlgebra {
public:
  using Size = mlir::OpFoldResult;
  explicit SizeAlgebra(mlir::MLIRContext *context) : context(context) {}

  /// Operations are made behind `operation`, or at the head of `block` if it is null.
  void setHead(mlir::Block *block, mlir::Operation *operation) { head = block, last = operation; }
  mlir::Operation *lastOfHead() const { return last; }

  /// A size of the model: at least 0, and at most `most` if that is not negative.
  void addSymbol(mlir::Value value, llvm::StringRef name, int64_t most = -1);
  /// `value` is from now on what the sum of `parts` is, the symbol `name`; at most `most` if that is not negative.
  void addSum(Size value, llvm::ArrayRef<Size> parts, llvm::StringRef name = "", int64_t most = -1);

  // Results fold as far as possible. Null: out of the range of int64_t, or undefined.
  Size add(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size subtract(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size multiply(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  /// Toward zero, as integers are divided. Null unless y is known to be positive and x not to be negative.
  Size divide(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size remainder(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size minimum(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size maximum(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  Size product(mlir::ImplicitLocOpBuilder &b, llvm::ArrayRef<Size> sizes);
  /// x / y if that leaves no remainder for any value of the symbols (where y is not 0); else null.
  Size quotient(mlir::ImplicitLocOpBuilder &b, Size x, Size y);
  /// The one value of what an index value computes.
  Size canonical(mlir::ImplicitLocOpBuilder &b, Size x);

  /// What is known for all values of the symbols.
  std::optional<bool> equal(Size x, Size y);
  std::optional<bool> less(Size x, Size y);
  bool isNonNegative(Size x);

  /// If x or y is made of min(a symbol, n), or of min(a sum that has a name, n): the symbol's name and n. Whether they are equal where the
  /// symbol is at most n is for the next run to find.
  std::optional<std::pair<llvm::StringRef, int64_t>> boundOf(Size x, Size y);

  /// The name of a symbol; empty for others.
  llvm::StringRef nameOf(Size x) const;
  /// For the manifest: a number, a symbol's name, or [operator, operand...] with + * / % min max.
  mlir::Attribute expressionOf(Size x);

private:
  using Monomial = std::vector<unsigned>; ///< atoms, sorted
  using Polynomial = std::map<Monomial, int64_t>;
  enum class Kind { Symbol, Divide, Remainder, Minimum, Maximum, Other };
  struct Atom {
    Kind kind;
    mlir::Value value;
    bool nonNegative;
    int64_t most; ///< -1: unknown
    std::string name;
    Polynomial x, y; ///< of Divide ... Maximum
  };

  std::optional<Polynomial> polynomialOf(Size x);
  static std::optional<Polynomial> sum(const Polynomial &x, const Polynomial &y, int64_t factor);
  static std::optional<Polynomial> times(const Polynomial &x, const Polynomial &y);
  static std::optional<Polynomial> over(const Polynomial &x, const Polynomial &y);
  /// The least value; nothing if there is none or it is unknown.
  std::optional<int64_t> leastOf(const Polynomial &x) const;
  std::optional<int64_t> leastByAtoms(const Polynomial &x) const;
  std::optional<std::pair<llvm::StringRef, int64_t>> boundWithin(const Polynomial &x) const;
  Size valueOf(mlir::ImplicitLocOpBuilder &b, const Polynomial &x);
  Size combine(mlir::ImplicitLocOpBuilder &b, Kind kind, Size x, Size y);
  template <typename Op> mlir::Value create(mlir::ImplicitLocOpBuilder &b, mlir::Value x, mlir::Value y, bool late);
  mlir::Value asValue(mlir::ImplicitLocOpBuilder &b, Size x, bool late);
  bool isLate(const Polynomial &x) const;
  mlir::Attribute expressionOf(const Polynomial &x);

  mlir::MLIRContext *context;
  mlir::Block *head = nullptr;
  mlir::Operation *last = nullptr;
  std::vector<Atom> atoms;
  std::map<Polynomial, Size> made; ///< what exists already
  llvm::DenseMap<mlir::Value, Polynomial> meanings;
  struct Sum {
    Polynomial meaning;
    std::string name;
    int64_t most;
  };
  std::vector<Sum> sums; ///< of addSum
};

} // namespace whit
