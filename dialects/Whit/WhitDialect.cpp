// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Registration, attributes and types of the whit dialect.

#include "Whit/Whit.h"

#include "runtime/encoding/GgufSource.h"
#include "runtime/encoding/LowRank.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::whit;

#include "Whit/WhitDialect.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "Whit/WhitAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "Whit/WhitTypes.cpp.inc"

void WhitDialect::initialize() {
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "Whit/WhitOps.cpp.inc"
      >();
}

void WhitDialect::registerAttributes() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "Whit/WhitAttrs.cpp.inc"
      >();
}

void WhitDialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "Whit/WhitTypes.cpp.inc"
      >();
}

// ---------------------------------------------------------------------------------------------------- attributes

Attribute FormatAttr::parse(AsmParser &parser, Type) {
  StringRef name;
  SMLoc loc = parser.getCurrentLocation();
  std::string formula;
  if (parser.parseLess())
    return {};
  if (succeeded(parser.parseOptionalString(&formula)))
    name = formula;
  else if (parser.parseKeyword(&name))
    return {};
  std::string why;
  std::optional<::whit::Encoding> encoding = ::whit::parseEncoding(name, &why);
  if (!encoding) {
    parser.emitError(loc) << "unknown format '" << name << "': " << why;
    return {};
  }
  if (parser.parseGreater())
    return {};
  return FormatAttr::get(parser.getContext(), ::whit::nameOf(*encoding));
}

/// A formula without a name is quoted.
void FormatAttr::print(AsmPrinter &printer) const {
  bool isWord = llvm::all_of(getName(), [](char c) { return llvm::isAlnum(c) || c == '_'; });
  printer << "<" << (isWord ? "" : "\"") << getName() << (isWord ? "" : "\"") << ">";
}

::whit::Encoding FormatAttr::getEncoding() const { return *::whit::parseEncoding(getName(), nullptr); }

LogicalResult FormatAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef name) {
  std::string why;
  if (!::whit::parseEncoding(name, &why))
    return emitError() << "unknown format '" << name << "': " << why;
  return success();
}

::whit::Place PlaceAttr::solve() const { return ::whit::solvePlace(getFormat().getEncoding(), getN(), getK()); }

RankedTensorType PlaceAttr::getPackedType() const {
  ::whit::Place place = solve();
  return RankedTensorType::get({place.panels, place.panelBytes}, IntegerType::get(getContext(), 8));
}

/// The rows are those of a factor, the blobs those of the matrix that it corrects.
static LogicalResult verifyLowRank(function_ref<InFlightDiagnostic()> emitError, StringRef layout, int64_t count,
                                   ArrayRef<mlir::whit::BlobAttr> blobs) {
  std::string why;
  std::optional<::whit::LowRankLayout> parsed = ::whit::parseLowRankLayout(layout, &why);
  if (!parsed)
    return emitError() << "source " << why;
  int64_t rows = parsed->isLeft ? parsed->n : parsed->rank;
  if (count != rows)
    return emitError() << "source count is " << count << "; layout '" << layout << "' has " << rows << " rows";
  return SourceAttr::verify(emitError, parsed->layout, parsed->n, blobs);
}

LogicalResult SourceAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef layout, int64_t count,
                                 ArrayRef<BlobAttr> blobs) {
  bool isBlocks = layout == "blocks", isCoded = layout == "coded_rows" || layout == "coded_columns";
  bool isGguf = ::whit::isGgufLayout(layout);
  if (::whit::isLowRankLayout(layout))
    return verifyLowRank(emitError, layout, count, blobs);
  if (!isBlocks && !isCoded && !isGguf && layout != "rows" && layout != "columns")
    return emitError() << "source layout is '" << layout
                       << "'; it must be rows, columns, blocks, coded_rows, coded_columns, gguf:TYPE, "
                          "low_rank_left:... or low_rank_right:...";
  if (std::string why; isGguf && !::whit::parseGgufLayout(layout, &why))
    return emitError() << "source " << why;
  // Where groups are not in order, the last blob says of which one each element is.
  if (isBlocks && !blobs.empty() && blobs.back().getElement().isInteger(32))
    blobs = blobs.drop_back();
  size_t least = isBlocks ? 2 : 1, most = isBlocks || isCoded ? 3 : 1;
  if (blobs.size() < least || blobs.size() > most)
    return emitError() << "source layout '" << layout << "' has " << blobs.size() << " blobs; it needs "
                       << (isBlocks  ? "2 or 3"
                           : isCoded ? "1 to 3"
                                     : "1");
  if (isCoded) {
    auto codes = dyn_cast<IntegerType>(blobs[0].getElement());
    if (!codes || (codes.getWidth() != 2 && codes.getWidth() != 4 && codes.getWidth() != 8))
      return emitError() << "source layout '" << layout << "' has codes of type " << blobs[0].getElement()
                         << "; they must be integers of 2, 4 or 8 bits";
    bool isUnscaled = blobs.size() == 1 || isa<IntegerType>(blobs[1].getElement());
    if (isUnscaled && blobs.size() > 2)
      return emitError() << "source layout '" << layout << "' has 3 blobs, but scales of type " << blobs[1].getElement()
                         << "; they must be floats";
    blobs = blobs.drop_front(isUnscaled ? 1 : 2);
    if (!blobs.empty() && blobs[0].getElement() != codes)
      return emitError() << "source layout '" << layout << "' has zeros of type " << blobs[0].getElement()
                         << "; they must have the codes' type, " << codes;
  }
  if (count < 1)
    return emitError() << "source count is " << count << "; it must be positive";
  return success();
}

// ---------------------------------------------------------------------------------------------------- types

Attribute ScheduleAttr::parse(AsmParser &parser, Type) {
  SmallVector<int64_t> tile, few;
  int64_t rows = 1, panels = 1, splits = 1;
  std::optional<int64_t> unroll, prefetch;
  auto list = [&](SmallVectorImpl<int64_t> &sizes) {
    return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square,
                                          [&] { return parser.parseInteger(sizes.emplace_back()); });
  };
  if (parser.parseLess() || parser.parseKeyword("tile") || parser.parseEqual() || list(tile))
    return {};
  while (succeeded(parser.parseOptionalComma())) {
    StringRef name;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return {};
    int64_t *number = name == "rows"       ? &rows
                      : name == "panels"   ? &panels
                      : name == "splits"   ? &splits
                      : name == "unroll"   ? &unroll.emplace()
                      : name == "prefetch" ? &prefetch.emplace()
                                           : nullptr;
    if (!number && name != "few") {
      parser.emitError(loc) << "a schedule has no '" << name
                            << "'; known are tile, few, rows, panels, splits, unroll and prefetch";
      return {};
    }
    if (number ? parser.parseInteger(*number) : list(few))
      return {};
    if (int64_t least = name == "prefetch" ? 0 : 1; number && *number < least) {
      parser.emitError(loc) << "a schedule has " << name << " = " << *number << "; it must be at least " << least;
      return {};
    }
  }
  if (parser.parseGreater())
    return {};
  return get(parser.getContext(), tile, rows, panels, few, splits, unroll, prefetch);
}

void ScheduleAttr::print(AsmPrinter &printer) const {
  printer << "<tile = [" << getTile() << "]";
  if (!getFew().empty())
    printer << ", few = [" << getFew() << "]";
  for (auto [name, number] :
       {std::pair<StringRef, int64_t>("rows", getRows()), {"panels", getPanels()}, {"splits", getSplits()}})
    if (number != 1)
      printer << ", " << name << " = " << number;
  for (auto [name, number] :
       {std::pair<StringRef, std::optional<int64_t>>("unroll", getUnroll()), {"prefetch", getPrefetch()}})
    if (number)
      printer << ", " << name << " = " << *number;
  printer << ">";
}

Type EncodedTensorType::parse(AsmParser &parser) {
  SmallVector<int64_t> shape;
  Type element;
  FormatAttr format;
  if (parser.parseLess() || parser.parseDimensionList(shape, /*allowDynamic=*/false) || parser.parseType(element) ||
      parser.parseComma() || parser.parseAttribute(format) || parser.parseGreater())
    return {};
  return EncodedTensorType::getChecked([&] { return parser.emitError(parser.getNameLoc()); }, parser.getContext(),
                                       shape, element, format);
}

void EncodedTensorType::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printDimensionList(getShape());
  printer << "x" << getElementType() << ", " << getFormat() << ">";
}

LogicalResult EncodedTensorType::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<int64_t> shape,
                                        Type element, FormatAttr) {
  if (shape.size() != 2)
    return emitError() << "encoded tensor has rank " << shape.size() << "; it must have rank 2, N x K";
  for (int64_t size : shape)
    if (size < 1)
      return emitError() << "encoded tensor has a dimension of " << size << "; every dimension must be at least 1";
  if (!isa<Float32Type, Float16Type, BFloat16Type>(element))
    return emitError() << "encoded tensor has element type " << element << "; it must be f32, f16 or bf16";
  return success();
}

FailureOr<bufferization::BufferLikeType> EncodedTensorType::getBufferType(const bufferization::BufferizationOptions &,
                                                                          function_ref<InFlightDiagnostic()>) const {
  auto packed = PlaceAttr::get(getContext(), getFormat(), getShape()[0], getShape()[1]).getPackedType();
  return cast<bufferization::BufferLikeType>(MemRefType::get(packed.getShape(), packed.getElementType()));
}

LogicalResult EncodedTensorType::verifyCompatibleBufferType(bufferization::BufferLikeType buffer,
                                                            function_ref<InFlightDiagnostic()> emitError) const {
  auto packed = PlaceAttr::get(getContext(), getFormat(), getShape()[0], getShape()[1]).getPackedType();
  auto memref = dyn_cast<MemRefType>(buffer);
  if (!memref || memref.getShape() != packed.getShape() || memref.getElementType() != packed.getElementType())
    return emitError() << "buffer of " << *this << " is " << buffer << "; it must be a memref of the packed bytes, "
                       << packed;
  return success();
}
