// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Polynomials over sizes. Arithmetic that leaves int64_t gives nothing, so no size is ever wrong, only unknown.

#include "Import/ONNX/SizeAlgebra.h"

#include "Import/ONNX/SizeText.h"

#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;

namespace whit {

using Size = SizeAlgebra::Size;

/// Beyond this many terms a size is not worth knowing; a file could make one explode.
static constexpr size_t kMaxTerms = 64;

static std::optional<int64_t> constantOf(const std::map<std::vector<unsigned>, int64_t> &x) {
  if (x.empty())
    return 0;
  if (x.size() == 1 && x.begin()->first.empty())
    return x.begin()->second;
  return std::nullopt;
}

// ------------------------------------------------------------------------------------------------ atoms

void SizeAlgebra::addSymbol(Value value, StringRef name, int64_t most) {
  Polynomial meaning{{{unsigned(atoms.size())}, 1}};
  atoms.push_back({Kind::Symbol, value, true, most, name.str(), {}, {}});
  made[meaning] = value;
  meanings[value] = std::move(meaning);
}

void SizeAlgebra::addSum(Size value, ArrayRef<Size> parts, StringRef name, int64_t most) {
  std::optional<Polynomial> total = Polynomial();
  for (Size part : parts)
    if (std::optional<Polynomial> next = polynomialOf(part); next && total)
      total = sum(*total, *next, 1);
  if (!total)
    return;
  made[*total] = value;
  if (auto known = dyn_cast<Value>(value))
    meanings[known] = *total;
  sums.push_back({*total, name.str(), most});
}

std::optional<SizeAlgebra::Polynomial> SizeAlgebra::polynomialOf(Size x) {
  if (!x)
    return std::nullopt;
  if (std::optional<int64_t> constant = getConstantIntValue(x))
    return *constant ? Polynomial{{{}, *constant}} : Polynomial();
  auto value = dyn_cast<Value>(x);
  if (!value)
    return std::nullopt; // a float
  if (auto known = meanings.find(value); known != meanings.end())
    return known->second;
  std::optional<Polynomial> result;
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op)) {
    auto left = polynomialOf(op->getOperand(0)), right = polynomialOf(op->getOperand(1));
    if (left && right)
      result = isa<arith::MulIOp>(op) ? times(*left, *right) : sum(*left, *right, isa<arith::AddIOp>(op) ? 1 : -1);
  }
  if (!result) {
    result = Polynomial{{{unsigned(atoms.size())}, 1}};
    atoms.push_back({Kind::Other, value, isa_and_nonnull<tensor::DimOp>(op), -1, "", {}, {}});
    made[*result] = value;
  }
  meanings[value] = *result;
  return result;
}

// ------------------------------------------------------------------------------------------------ polynomials

std::optional<SizeAlgebra::Polynomial> SizeAlgebra::sum(const Polynomial &x, const Polynomial &y, int64_t factor) {
  Polynomial result = x;
  for (auto &[monomial, coefficient] : y) {
    int64_t &into = result[monomial];
    std::optional<int64_t> scaled = llvm::checkedMul(coefficient, factor);
    std::optional<int64_t> total = scaled ? llvm::checkedAdd(into, *scaled) : std::nullopt;
    if (!total)
      return std::nullopt;
    into = *total;
    if (!into)
      result.erase(monomial);
  }
  return result.size() <= kMaxTerms ? std::optional(result) : std::nullopt;
}

std::optional<SizeAlgebra::Polynomial> SizeAlgebra::times(const Polynomial &x, const Polynomial &y) {
  std::optional<Polynomial> result = Polynomial();
  for (auto &[left, a] : x)
    for (auto &[right, b] : y) {
      Monomial monomial = left;
      monomial.insert(monomial.end(), right.begin(), right.end());
      llvm::sort(monomial);
      std::optional<int64_t> coefficient = llvm::checkedMul(a, b);
      if (!coefficient || !result || monomial.size() > kMaxTerms)
        return std::nullopt;
      result = sum(*result, {{monomial, *coefficient}}, 1);
    }
  return result;
}

/// Long division by the last term, which is one of the highest.
std::optional<SizeAlgebra::Polynomial> SizeAlgebra::over(const Polynomial &x, const Polynomial &y) {
  if (y.empty())
    return std::nullopt;
  auto &[divisor, by] = *y.rbegin();
  Polynomial rest = x, result;
  for (size_t step = 0; !rest.empty(); ++step) {
    auto [monomial, coefficient] = *rest.rbegin();
    Monomial left;
    size_t at = 0;
    for (unsigned atom : monomial)
      if (at < divisor.size() && divisor[at] == atom)
        ++at;
      else
        left.push_back(atom);
    if (at < divisor.size() || step == kMaxTerms || by == -1 || coefficient % by)
      return std::nullopt;
    Polynomial term{{left, coefficient / by}};
    auto product = times(term, y);
    auto next = product ? sum(rest, *product, -1) : std::nullopt;
    auto whole = sum(result, term, 1);
    if (!next || !whole)
      return std::nullopt;
    rest = std::move(*next);
    result = std::move(*whole);
  }
  return result;
}

/// A sum that is bounded tells more than its parts: n - past >= 0 where past + sequence <= n.
std::optional<int64_t> SizeAlgebra::leastOf(const Polynomial &x) const {
  std::optional<int64_t> least = leastByAtoms(x);
  for (const Sum &bounded : sums) {
    auto rest = bounded.most < 0 ? std::nullopt : sum(x, bounded.meaning, 1);
    std::optional<int64_t> other = rest ? leastByAtoms(*rest) : std::nullopt;
    if (other)
      other = llvm::checkedSub(*other, bounded.most);
    if (other)
      least = std::max(*other, least.value_or(*other));
  }
  return least;
}

std::optional<int64_t> SizeAlgebra::leastByAtoms(const Polynomial &x) const {
  int64_t least = 0;
  for (auto &[monomial, coefficient] : x) {
    if (llvm::any_of(monomial, [&](unsigned atom) { return !atoms[atom].nonNegative; }))
      return std::nullopt;
    int64_t most = monomial.empty() ? 1 : coefficient > 0 ? 0 : monomial.size() == 1 ? atoms[monomial[0]].most : -1;
    if (most < 0)
      return std::nullopt;
    std::optional<int64_t> part = llvm::checkedMul(coefficient, most);
    std::optional<int64_t> total = part ? llvm::checkedAdd(least, *part) : std::nullopt;
    if (!total)
      return std::nullopt;
    least = *total;
  }
  return least;
}

// ------------------------------------------------------------------------------------------------ making values

bool SizeAlgebra::isLate(const Polynomial &x) const {
  return llvm::any_of(x, [&](const auto &term) {
    return llvm::any_of(term.first, [&](unsigned at) {
      const Atom &atom = atoms[at];
      return atom.kind == Kind::Other || isLate(atom.x) || isLate(atom.y);
    });
  });
}

/// Behind the other sizes at the head; what needs values of the body (`late`) stands where it is asked for.
template <typename Op> Value SizeAlgebra::create(ImplicitLocOpBuilder &b, Value x, Value y, bool late) {
  if (late)
    return Op::create(b, x, y);
  OpBuilder::InsertionGuard guard(b);
  if (last)
    b.setInsertionPointAfter(last);
  else
    b.setInsertionPointToStart(head);
  Value result = Op::create(b, x, y);
  last = result.getDefiningOp();
  return result;
}

Value SizeAlgebra::asValue(ImplicitLocOpBuilder &b, Size x, bool late) {
  if (auto value = dyn_cast<Value>(x))
    return value;
  OpBuilder::InsertionGuard guard(b);
  if (!late && last)
    b.setInsertionPointAfter(last);
  else if (!late)
    b.setInsertionPointToStart(head);
  Value constant = arith::ConstantIndexOp::create(b, *getConstantIntValue(x));
  if (!late)
    last = constant.getDefiningOp();
  return constant;
}

Size SizeAlgebra::valueOf(ImplicitLocOpBuilder &b, const Polynomial &x) {
  if (auto known = made.find(x); known != made.end())
    return known->second;
  if (std::optional<int64_t> constant = constantOf(x))
    return b.getIndexAttr(*constant);
  bool late = isLate(x);
  Size result;
  // A dimension that is itself a sum saves terms, as a factor or as a part.
  for (const auto &[known, name, most] : sums)
    if (auto times = over(x, known); times && times->size() < x.size()) {
      Value right = asValue(b, valueOf(b, *times), late);
      result = create<arith::MulIOp>(b, asValue(b, made[known], late), right, late);
      break;
    } else if (auto rest = sum(x, known, -1); rest && rest->size() < x.size()) {
      Value right = asValue(b, valueOf(b, *rest), late); // not empty: x is not known
      result = create<arith::AddIOp>(b, asValue(b, made[known], late), right, late);
      break;
    }
  if (!result && x.size() > 1) {
    // What is subtracted comes last, so that sizes stay sizes on the way.
    auto split = std::prev(x.end());
    for (auto term = x.begin(); term != x.end(); ++term)
      if (term->second < 0 && term->second != INT64_MIN)
        split = term;
    bool minus = split->second < 0 && split->second != INT64_MIN;
    Polynomial rest = x, term{{split->first, minus ? -split->second : split->second}};
    rest.erase(split->first);
    Value left = asValue(b, valueOf(b, rest), late), right = asValue(b, valueOf(b, term), late);
    result = minus ? create<arith::SubIOp>(b, left, right, late) : create<arith::AddIOp>(b, left, right, late);
  } else if (!result) {
    auto &[monomial, coefficient] = *x.begin();
    if (coefficient == 1) {
      Value left = asValue(b, valueOf(b, {{Monomial(monomial.begin(), monomial.end() - 1), 1}}), late);
      result = create<arith::MulIOp>(b, left, atoms[monomial.back()].value, late);
    } else {
      Value left = asValue(b, valueOf(b, {{monomial, 1}}), late);
      result = create<arith::MulIOp>(b, left, asValue(b, b.getIndexAttr(coefficient), late), late);
    }
  }
  made[x] = result;
  meanings[cast<Value>(result)] = x;
  return result;
}

// ------------------------------------------------------------------------------------------------ arithmetic

Size SizeAlgebra::add(ImplicitLocOpBuilder &b, Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto result = left && right ? sum(*left, *right, 1) : std::nullopt;
  return result ? valueOf(b, *result) : Size();
}

Size SizeAlgebra::subtract(ImplicitLocOpBuilder &b, Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto result = left && right ? sum(*left, *right, -1) : std::nullopt;
  return result ? valueOf(b, *result) : Size();
}

Size SizeAlgebra::multiply(ImplicitLocOpBuilder &b, Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto result = left && right ? times(*left, *right) : std::nullopt;
  return result ? valueOf(b, *result) : Size();
}

Size SizeAlgebra::product(ImplicitLocOpBuilder &b, ArrayRef<Size> sizes) {
  std::optional<Polynomial> result = Polynomial{{{}, 1}};
  for (Size size : sizes) {
    auto factor = polynomialOf(size);
    result = factor && result ? times(*result, *factor) : std::nullopt;
  }
  return result ? valueOf(b, *result) : Size();
}

Size SizeAlgebra::quotient(ImplicitLocOpBuilder &b, Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto result = left && right ? over(*left, *right) : std::nullopt;
  return result ? valueOf(b, *result) : Size();
}

Size SizeAlgebra::canonical(ImplicitLocOpBuilder &b, Size x) {
  auto meaning = polynomialOf(x);
  return meaning ? valueOf(b, *meaning) : x;
}

Size SizeAlgebra::combine(ImplicitLocOpBuilder &b, Kind kind, Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  if (!left || !right)
    return {};
  auto known =
      llvm::find_if(atoms, [&](const Atom &atom) { return atom.kind == kind && atom.x == *left && atom.y == *right; });
  if (known != atoms.end())
    return known->value;
  bool late = isLate(*left) || isLate(*right);
  Value l = asValue(b, valueOf(b, *left), late), r = asValue(b, valueOf(b, *right), late), value;
  auto low = leastOf(*left), other = leastOf(*right);
  bool bothSizes = low.value_or(-1) >= 0 && other.value_or(-1) >= 0;
  switch (kind) {
  case Kind::Divide:
    value = create<arith::DivSIOp>(b, l, r, late);
    break;
  case Kind::Remainder:
    value = create<arith::RemSIOp>(b, l, r, late);
    break;
  case Kind::Minimum:
    value = create<arith::MinSIOp>(b, l, r, late);
    break;
  case Kind::Maximum:
    value = create<arith::MaxSIOp>(b, l, r, late);
    bothSizes |= low.value_or(-1) >= 0 || other.value_or(-1) >= 0;
    break;
  case Kind::Symbol:
  case Kind::Other:
    return {};
  }
  Polynomial meaning{{{unsigned(atoms.size())}, 1}};
  atoms.push_back({kind, value, bothSizes, -1, "", *left, *right});
  if (kind == Kind::Minimum)
    if (std::optional<int64_t> constant = constantOf(*right))
      atoms.back().most = *constant;
  made[meaning] = value;
  meanings[value] = std::move(meaning);
  return value;
}

Size SizeAlgebra::divide(ImplicitLocOpBuilder &b, Size x, Size y) {
  if (less(b.getIndexAttr(0), y) != true)
    return {};
  if (auto n = getConstantIntValue(x), d = getConstantIntValue(y); n && d)
    return b.getIndexAttr(*n / *d);
  if (Size exact = quotient(b, x, y))
    return exact;
  return isNonNegative(x) ? combine(b, Kind::Divide, x, y) : Size();
}

Size SizeAlgebra::remainder(ImplicitLocOpBuilder &b, Size x, Size y) {
  if (less(b.getIndexAttr(0), y) != true || !isNonNegative(x))
    return {};
  if (auto n = getConstantIntValue(x), d = getConstantIntValue(y); n && d)
    return b.getIndexAttr(*n % *d);
  if (quotient(b, x, y))
    return b.getIndexAttr(0);
  return combine(b, Kind::Remainder, x, y);
}

Size SizeAlgebra::minimum(ImplicitLocOpBuilder &b, Size x, Size y) {
  if (less(y, x) == false) // x <= y
    return canonical(b, x);
  if (less(x, y) == false)
    return canonical(b, y);
  if (getConstantIntValue(x))
    std::swap(x, y);
  return combine(b, Kind::Minimum, x, y);
}

Size SizeAlgebra::maximum(ImplicitLocOpBuilder &b, Size x, Size y) {
  if (less(y, x) == false)
    return canonical(b, y);
  if (less(x, y) == false)
    return canonical(b, x);
  if (getConstantIntValue(x))
    std::swap(x, y);
  return combine(b, Kind::Maximum, x, y);
}

// ------------------------------------------------------------------------------------------------ questions

std::optional<bool> SizeAlgebra::equal(Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto difference = left && right ? sum(*left, *right, -1) : std::nullopt;
  if (!difference)
    return std::nullopt;
  if (std::optional<int64_t> constant = constantOf(*difference))
    return *constant == 0;
  auto opposite = sum({}, *difference, -1);
  if (leastOf(*difference).value_or(0) > 0 || (opposite && leastOf(*opposite).value_or(0) > 0))
    return false;
  return std::nullopt;
}

std::optional<bool> SizeAlgebra::less(Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  auto above = left && right ? sum(*right, *left, -1) : std::nullopt; // y - x
  auto below = above ? sum({}, *above, -1) : std::nullopt;
  if (!below)
    return std::nullopt;
  if (leastOf(*above).value_or(0) > 0)
    return true;
  if (auto least = leastOf(*below); least && *least >= 0)
    return false;
  return std::nullopt;
}

bool SizeAlgebra::isNonNegative(Size x) {
  auto meaning = polynomialOf(x);
  auto least = meaning ? leastOf(*meaning) : std::nullopt;
  return least && *least >= 0;
}

/// The first min(symbol, n), or min(sum that has a name, n), that x is made of.
std::optional<std::pair<StringRef, int64_t>> SizeAlgebra::boundWithin(const Polynomial &x) const {
  for (const auto &[monomial, coefficient] : x)
    for (unsigned at : monomial) {
      const Atom &atom = atoms[at];
      if (std::optional<int64_t> most = constantOf(atom.y); atom.kind == Kind::Minimum && most && *most >= 0) {
        if (atom.x.size() == 1 && atom.x.begin()->first.size() == 1 && atom.x.begin()->second == 1 &&
            atoms[atom.x.begin()->first[0]].kind == Kind::Symbol)
          return std::pair(StringRef(atoms[atom.x.begin()->first[0]].name), *most);
        for (const Sum &known : sums)
          if (known.meaning == atom.x && !known.name.empty())
            return std::pair(StringRef(known.name), *most);
      }
      for (const Polynomial *inner : {&atom.x, &atom.y})
        if (auto found = boundWithin(*inner))
          return found;
    }
  return std::nullopt;
}

std::optional<std::pair<StringRef, int64_t>> SizeAlgebra::boundOf(Size x, Size y) {
  auto left = polynomialOf(x), right = polynomialOf(y);
  if (!left || !right)
    return std::nullopt;
  auto found = boundWithin(*left);
  return found ? found : boundWithin(*right);
}

StringRef SizeAlgebra::nameOf(Size x) const {
  auto value = dyn_cast_if_present<Value>(x);
  auto known = value ? meanings.find(value) : meanings.end();
  if (known == meanings.end() || known->second.size() != 1 || known->second.begin()->first.size() != 1 ||
      known->second.begin()->second != 1)
    return "";
  return atoms[known->second.begin()->first[0]].name;
}

Attribute SizeAlgebra::expressionOf(Size x) {
  auto meaning = polynomialOf(x);
  return meaning ? expressionOf(*meaning) : Attribute();
}

Attribute SizeAlgebra::expressionOf(const Polynomial &x) {
  Builder b(context);
  auto call = [&](StringRef name, ArrayRef<Attribute> operands) -> Attribute {
    if (llvm::is_contained(operands, Attribute()))
      return {};
    SmallVector<Attribute> list{b.getStringAttr(name)};
    llvm::append_range(list, operands);
    return b.getArrayAttr(list);
  };
  SmallVector<Attribute> terms;
  for (auto &[monomial, coefficient] : x) {
    SmallVector<Attribute> factors;
    if (coefficient != 1 || monomial.empty())
      factors.push_back(b.getI64IntegerAttr(coefficient));
    for (unsigned at : monomial) {
      const Atom &atom = atoms[at];
      switch (atom.kind) {
      case Kind::Symbol:
        factors.push_back(b.getStringAttr(atom.name));
        break;
      case Kind::Divide:
      case Kind::Remainder:
      case Kind::Minimum:
      case Kind::Maximum:
        factors.push_back(call(atom.kind == Kind::Divide      ? "/"
                               : atom.kind == Kind::Remainder ? "%"
                               : atom.kind == Kind::Minimum   ? "min"
                                                              : "max",
                               {expressionOf(atom.x), expressionOf(atom.y)}));
        break;
      case Kind::Other:
        return {};
      }
    }
    terms.push_back(factors.size() == 1 ? factors[0] : call("*", factors));
  }
  if (terms.empty())
    return b.getI64IntegerAttr(0);
  return terms.size() == 1 ? terms[0] : call("+", terms);
}

std::string textOfSize(Attribute expression) {
  if (auto number = dyn_cast<IntegerAttr>(expression))
    return std::to_string(number.getInt());
  if (auto name = dyn_cast<StringAttr>(expression))
    return name.str();
  auto list = cast<ArrayAttr>(expression);
  StringRef op = cast<StringAttr>(list[0]).getValue();
  bool isCall = op == "min" || op == "max";
  std::string text;
  for (auto [i, operand] : llvm::enumerate(list.getValue().drop_front())) {
    std::string part = textOfSize(operand);
    bool minus = op == "+" && i && StringRef(part).starts_with("-");
    if (minus)
      part.erase(0, 1);
    if (isa<ArrayAttr>(operand) && !isCall && op != "+")
      part = "(" + part + ")";
    text += i ? (isCall ? ", " : minus ? " - " : (" " + op + " ").str()) + part : part;
  }
  return isCall ? (op + "(" + text + ")").str() : text;
}

} // namespace whit
