// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reading weights row by row. The layouts of #whit.source are read here a second time, apart from the code that
// packs an artifact, so that a mistake in one of the two shows.

#include "Interpret/Weights.h"

#include "runtime/encoding/BlockSource.h"
#include "runtime/encoding/GgufSource.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/LowRank.h"

#include <cmath>
#include <cstring>

using namespace mlir;

namespace whit::interpret {

/// The bytes of a blob; failure, with an error at `op`, if the file or the range does not exist.
static FailureOr<ArrayRef<uint8_t>> bytesOf(Operation *op, mlir::whit::BlobAttr blob, DataFiles &files) {
  auto file = files.open(blob.getFile());
  if (!file)
    return op->emitError() << llvm::toString(file.takeError());
  uint64_t size = file->size(), offset = blob.getOffset(), length = blob.getLength();
  if (blob.getOffset() < 0 || blob.getLength() < 0 || offset > size || length > size - offset)
    return op->emitError() << "file '" << blob.getFile() << "' has " << size << " bytes; a weight needs bytes "
                           << offset << " to " << offset + length;
  return file->slice(offset, length);
}

static std::optional<ScaleType> scaleTypeOf(Type type) {
  if (type.isF32())
    return ScaleType::F32;
  if (type.isF16())
    return ScaleType::F16;
  if (type.isBF16())
    return ScaleType::BF16;
  return std::nullopt;
}

FailureOr<std::shared_ptr<const Weight>> Weight::load(mlir::whit::WeightOp op, DataFiles &files) {
  auto weight = std::make_shared<Weight>();
  weight->quantizer = op.getQuantizerKind();
  if (op.getPlace())
    return op->emitError() << "weight '" << op.getSymName()
                           << "' is packed; the interpreter reads weights up to stage fused";
  if (auto encoded = dyn_cast<mlir::whit::EncodedTensorType>(op.getType())) {
    weight->encoding = encoded.getFormat().getEncoding();
    weight->element = encoded.getElementType();
    weight->shape = encoded.getShape().vec();
  } else {
    auto ranked = cast<RankedTensorType>(op.getType());
    if (!isa<FloatType>(ranked.getElementType()))
      return op->emitError() << "weight '" << op.getSymName() << "' has type " << ranked
                             << "; its elements must be floats";
    weight->element = ranked.getElementType();
    weight->shape = ranked.getShape().vec();
  }
  weight->n = weight->shape.empty() ? 1 : weight->shape[0];
  weight->k = weight->n ? countOf(weight->shape) / weight->n : 0;
  for (auto source : op.getParts().getAsRange<mlir::whit::SourceAttr>())
    if (failed(weight->addPart(op, source, files)))
      return failure();
  return std::shared_ptr<const Weight>(weight);
}

/// A factor of what encoding the matrix of the blobs loses.
LogicalResult Weight::addFactor(mlir::whit::WeightOp op, mlir::whit::SourceAttr source, DataFiles &files) {
  std::optional<LowRankLayout> layout = parseLowRankLayout(source.getLayout(), nullptr); // verified
  Weight base;
  base.encoding = *parseEncoding(layout->format, nullptr);
  base.quantizer = layout->quantizer;
  base.n = layout->n;
  base.k = layout->k;
  auto stored = mlir::whit::SourceAttr::get(op.getContext(), layout->layout, layout->n, source.getBlobs());
  if (k != (layout->isLeft ? layout->rank : layout->k))
    return op->emitError() << "weight '" << op.getSymName() << "': rows of " << k << " are not those of layout "
                           << source.getLayout();
  if (failed(base.addPart(op, stored, files)))
    return failure();
  std::vector<float> lost, decoded(base.n * base.k);
  base.readFloats(base.parts[0], 0, base.n, lost);
  dequantize(base.matrix(0, base.n), decoded.data());
  for (size_t i = 0; i < lost.size(); ++i)
    lost[i] -= decoded[i];
  LowRankFactors factors = factorLowRank(lost.data(), base.n, base.k, layout->rank);
  Part part{source.getLayout(),
            parts.empty() ? 0 : parts.back().begin + parts.back().count,
            source.getCount(),
            {},
            {},
            {},
            {}};
  part.factor = std::make_shared<const std::vector<float>>(std::move(layout->isLeft ? factors.left : factors.right));
  parts.push_back(std::move(part));
  return success();
}

LogicalResult Weight::addPart(mlir::whit::WeightOp op, mlir::whit::SourceAttr source, DataFiles &files) {
  if (isLowRankLayout(source.getLayout()))
    return addFactor(op, source, files);
  Part part{source.getLayout(),
            parts.empty() ? 0 : parts.back().begin + parts.back().count,
            source.getCount(),
            {},
            {},
            {},
            {}};
  ArrayRef<mlir::whit::BlobAttr> blobs = source.getBlobs();
  SmallVector<ArrayRef<uint8_t>> bytes;
  for (mlir::whit::BlobAttr blob : blobs) {
    auto found = bytesOf(op, blob, files);
    if (failed(found))
      return failure();
    bytes.push_back(*found);
  }
  part.element = blobs[0].getElement();
  part.bytes = bytes[0];
  auto refuse = [&](const Twine &why) { return op->emitError() << "weight '" << op.getSymName() << "': " << why; };
  if (isGgufLayout(part.layout)) {
    std::string why;
    Matrix probe;
    if (!readGgufRows(part, 0, 1, probe, 0, &why))
      return refuse(why);
    parts.push_back(part);
    return success();
  }
  if (part.layout != "blocks" && !part.isCoded()) {
    if (!isa<FloatType>(part.element))
      return refuse("a blob of layout " + part.layout + " must hold floats");
    uint64_t needed = uint64_t(part.count) * k * (part.element.getIntOrFloatBitWidth() / 8);
    if (part.bytes.size() != needed)
      return refuse("a blob has " + Twine(part.bytes.size()) + " bytes; its shape needs " + Twine(needed));
    parts.push_back(part);
    return success();
  }
  part.isUnscaled = part.isCoded() && (blobs.size() == 1 || isa<IntegerType>(blobs[1].getElement()));
  if (part.isUnscaled) {
    part.hasZeros = blobs.size() == 2;
    part.zeros = part.hasZeros ? bytes[1] : ArrayRef<uint8_t>();
    if (failed(checkCoded(part, refuse)))
      return failure();
    parts.push_back(part);
    return success();
  }
  std::optional<ScaleType> scaleType = scaleTypeOf(blobs[1].getElement());
  if (!scaleType)
    return refuse("the scales of layout " + part.layout + " must be f32, f16 or bf16");
  part.scales = bytes[1];
  part.scaleType = *scaleType;
  if (blobs.back().getElement().isInteger(32)) {
    part.indices = bytes.back();
    blobs = blobs.drop_back();
  }
  if (blobs.size() == 3) {
    part.hasZeros = true;
    part.zeros = bytes[2];
    std::optional<ScaleType> zeroType = scaleTypeOf(blobs[2].getElement());
    part.floatZeros = zeroType.has_value();
    part.zeroType = zeroType.value_or(ScaleType::F32);
  }
  if (part.isCoded()) {
    if (failed(checkCoded(part, refuse)))
      return failure();
    parts.push_back(part);
    return success();
  }
  Matrix probe = makeMatrix(encoding, 1, k);
  std::string why;
  if (encoding.isPlain() || !readCodes(part, 0, std::min<int64_t>(part.count, 1), probe, 0, &why)) {
    std::vector<float> floats(k);
    Matrix empty;
    if (!readCodes(part, 0, 1, empty, 0, &why))
      return refuse(why);
  }
  parts.push_back(part);
  return success();
}

// ---------------------------------------------------------------------------------------------------- blocks

/// Reads codes as they are into `out`, or, if `out` has no rows, makes it a matrix of the source's own format.
bool Weight::readCodes(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow,
                       std::string *why) const {
  int64_t scaleCount = part.scales.size() / scaleBytes(part.scaleType),
          blocks = scaleCount / std::max<int64_t>(part.count, 1);
  int64_t blockBytes = blocks ? part.bytes.size() / (part.count * blocks) : 0;
  BlockSource source{part.count,   k, 0, 0, part.bytes, part.scales, part.scaleType, SourceZero::Absent, {},
                     part.zeroType};
  source.indices = part.indices;
  if (part.hasZeros) {
    source.zero = part.floatZeros ? SourceZero::Float : SourceZero::Packed;
    source.zeros = part.zeros;
  }
  // The file says neither the width of a code nor the length of a block; the sizes of its tensors leave one answer.
  SmallVector<int32_t> widths{int32_t(encoding.bits())};
  llvm::append_range(widths, ArrayRef<int32_t>{4, 8, 2, 1, 3, 5, 6, 7});
  for (int32_t bits : widths) {
    if (bits < 1 || bits > 8 || !blockBytes || blockBytes * 8 % bits)
      continue;
    int64_t size = blockBytes * 8 / bits;
    if ((k + size - 1) / size != blocks)
      continue;
    source.bits = bits;
    source.blockSize = size;
    break;
  }
  if (!source.bits) {
    *why = "codes of " + std::to_string(part.bytes.size()) + " bytes and " + std::to_string(scaleCount) +
           " scales fit no width from 1 to 8 for " + std::to_string(part.count) + " rows of " + std::to_string(k);
    return false;
  }
  if (!out.n)
    out = makeMatrix(encodingOf(source), end - begin, k);
  return readBlocks(source, begin, end, out, outRow, why);
}

// ---------------------------------------------------------------------------------------------------- gguf

/// Reads blocks as they are into `out`, or, if `out` has no rows, makes it a matrix of the source's own format.
bool Weight::readGgufRows(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow,
                          std::string *why) const {
  std::optional<GgufLayout> layout = parseGgufLayout(part.layout, why);
  if (!layout)
    return false;
  if (!out.n)
    out = makeMatrix(*encodingOfGguf(layout->type), end - begin, k);
  return readGguf({part.count, k, *layout, part.bytes}, begin, end, out, outRow, why);
}

// ---------------------------------------------------------------------------------------------------- coded

/// The format says how scales are shared and what a zero is that is not stored; everything else must agree with it.
LogicalResult Weight::checkCoded(const Part &part, llvm::function_ref<LogicalResult(const Twine &)> refuse) {
  unsigned bits = part.element.getIntOrFloatBitWidth();
  bool zeroFits = encoding.zero == ZeroKind::Integer || (encoding.zero == ZeroKind::Constant && !part.hasZeros);
  if (!hasIntegerCodes(encoding) || encoding.bits() != int(bits) || encoding.scaleType() != part.scaleType || !zeroFits)
    return refuse("codes of layout " + part.layout + " are not those of format " + nameOf(encoding));
  uint64_t codes = uint64_t(part.count) * k,
           scales = encoding.isWhole() ? 1 : uint64_t(part.count) * groupCount(encoding, k);
  auto bytes = [&](uint64_t count) { return llvm::divideCeil(count * bits, 8); };
  for (auto [what, found, needed] :
       {std::tuple("codes", part.bytes.size(), bytes(codes)),
        {"scales", part.scales.size(), part.isUnscaled ? 0 : scales * scaleBytes(part.scaleType)},
        {"zeros", part.zeros.size(), part.hasZeros ? bytes(scales) : 0}})
    if (found != needed)
      return refuse(Twine(what) + " of layout " + part.layout + " have " + Twine(found) + " bytes; " + Twine(needed) +
                    " are needed");
  return success();
}

void Weight::readCoded(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow) const {
  int bits = part.element.getIntOrFloatBitWidth(), half = 1 << (bits - 1);
  bool columns = part.layout == "coded_columns", isSigned = !part.element.isUnsignedInteger();
  // What element `index` of a tensor of codes means to the format, whose lowest code is 0.
  auto at = [&](ArrayRef<uint8_t> bytes, int64_t index) {
    int code = (bytes[index * bits / 8] >> (index * bits % 8)) & (2 * half - 1);
    return isSigned ? (code < half ? code + half : code - half) : code;
  };
  int64_t groups = groupCount(encoding, k);
  for (int64_t row = begin; row < end; ++row) {
    int64_t to = outRow + row - begin;
    for (int64_t j = 0; j < k; ++j)
      out.codes()[to * k + j] = at(part.bytes, columns ? j * part.count + row : row * k + j);
    for (int64_t g = 0; g < groups; ++g) {
      int64_t scale = columns ? g * part.count + row : row * groups + g;
      if (encoding.isWhole())
        scale = 0;
      out.scales()[to * groups + g] =
          part.isUnscaled ? 1 : loadScale(part.scaleType, part.scales.data() + scale * scaleBytes(part.scaleType));
      if (!out.offset.empty())
        out.zeros()[to * groups + g] = part.hasZeros ? at(part.zeros, scale) : 0;
    }
  }
}

// ---------------------------------------------------------------------------------------------------- floats

static float loadFloat(Type element, const uint8_t *bytes) {
  if (element.isF64()) {
    double value;
    std::memcpy(&value, bytes, sizeof(value));
    return float(value);
  }
  return loadScale(*scaleTypeOf(element), bytes);
}

/// Appends rows [begin, end) of a part as f32.
void Weight::readFloats(const Part &part, int64_t begin, int64_t end, std::vector<float> &out) const {
  size_t at = out.size();
  out.resize(at + (end - begin) * k);
  if (part.factor) {
    std::copy_n(part.factor->begin() + begin * k, (end - begin) * k, out.begin() + at);
    return;
  }
  if (part.isCoded()) {
    Matrix own = makeMatrix(encoding, end - begin, k);
    readCoded(part, begin, end, own, 0);
    dequantize(own, out.data() + at);
    return;
  }
  if (part.layout == "blocks" || isGgufLayout(part.layout)) {
    Matrix own;
    std::string why;
    if (isGgufLayout(part.layout) ? readGgufRows(part, begin, end, own, 0, &why)
                                  : readCodes(part, begin, end, own, 0, &why))
      dequantize(own, out.data() + at);
    return;
  }
  int64_t size = part.element.getIntOrFloatBitWidth() / 8;
  bool columns = part.layout == "columns";
  for (int64_t j = 0; j < k; ++j)
    for (int64_t row = begin; row < end; ++row) {
      int64_t from = columns ? j * part.count + row : row * k + j;
      out[at + (row - begin) * k + j] = loadFloat(part.element, part.bytes.data() + from * size);
    }
}

void Weight::readRows(const Part &part, int64_t begin, int64_t end, Matrix &out, int64_t outRow) const {
  std::string why;
  if (part.isCoded())
    return readCoded(part, begin, end, out, outRow);
  if (part.layout == "blocks" && readCodes(part, begin, end, out, outRow, &why))
    return;
  if (isGgufLayout(part.layout) && readGgufRows(part, begin, end, out, outRow, &why))
    return;
  std::vector<float> floats;
  readFloats(part, begin, end, floats);
  Matrix encoded;
  quantize(encoding, floats.data(), end - begin, k, encoded, &why, quantizer);
  copyRows(encoded, 0, encoded.n, out, outRow);
}

Matrix Weight::matrix(int64_t begin, int64_t end) const {
  auto read = [&](int64_t first, int64_t last) {
    Matrix result = makeMatrix(encoding, last - first, k);
    for (const Part &part : parts) {
      int64_t from = std::max(first, part.begin), to = std::min(last, part.begin + part.count);
      if (from < to)
        readRows(part, from - part.begin, to - part.begin, result, from - first);
    }
    return result;
  };
  if (!encoding.isWhole() || llvm::all_of(parts, [](const Part &part) { return part.isCoded(); }))
    return read(begin, end);
  // One scale for the whole matrix: it has to be seen whole once, and its parts have to be one.
  std::call_once(wholeOnce, [&] {
    std::vector<float> floats;
    for (const Part &part : parts)
      readFloats(part, 0, part.count, floats);
    std::string why;
    quantize(encoding, floats.data(), n, k, whole, &why, quantizer);
  });
  Matrix result = makeMatrix(encoding, end - begin, k);
  copyRows(whole, begin, end - begin, result, 0);
  return result;
}

void Weight::rows(int64_t begin, int64_t end, double *values, double *magnitude) const {
  Matrix decoded = matrix(begin, end);
  dequantize(decoded, values);
  if (!magnitude)
    return;
  if (encoding.terms.size() == 1 && encoding.zero != ZeroKind::Minimum) {
    std::transform(values, values + (end - begin) * k, magnitude, [](double value) { return std::fabs(value); });
    return;
  }
  // Terms and the minimum one by one: each is what the weight would be if the scales of the others were 0.
  std::fill_n(magnitude, (end - begin) * k, 0.0);
  auto add = [&](size_t only) {
    Matrix part = decoded;
    auto clear = [](std::vector<FactorValues> &factors) {
      for (FactorValues &factor : factors)
        std::fill(factor.begin(), factor.end(), 0.0f);
    };
    for (size_t t = 0; t < part.terms.size(); ++t)
      if (t != only)
        clear(part.terms[t].factors);
    if (encoding.zero == ZeroKind::Minimum && only < part.terms.size())
      clear(part.offset);
    std::vector<double> alone((end - begin) * k);
    dequantize(part, alone.data());
    for (size_t i = 0; i < alone.size(); ++i)
      magnitude[i] += std::fabs(alone[i]);
  };
  size_t parts = encoding.terms.size() + (encoding.zero == ZeroKind::Minimum);
  for (size_t only = 0; only < parts; ++only)
    add(only);
}

Tensor Weight::tensor() const {
  Tensor result(element, shape);
  rows(0, n, result.floats.data());
  return result;
}

} // namespace whit::interpret
