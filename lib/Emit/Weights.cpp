// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The parts of a weight are concatenated along its rows; a run of rows ("chunk") may span several parts, each with a layout and format of
// its own. Codes are kept as they are wherever the place's format holds them exactly.

#include "Emit/Weights.h"

#include "Emit/Failure.h"

#include "runtime/encoding/BlockSource.h"
#include "runtime/encoding/CodeSource.h"
#include "runtime/encoding/GgufSource.h"
#include "runtime/encoding/Half.h"
#include "runtime/encoding/LowRank.h"
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Quantize.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <cstring>

using namespace llvm;

namespace whit {
namespace {

/// Floats held at a time while packing; a chunk is at least one panel.
constexpr int64_t kChunkFloats = int64_t(1) << 20;

std::optional<ScaleType> floatTypeOf(mlir::Type type) {
  if (type.isF32())
    return ScaleType::F32;
  if (type.isF16())
    return ScaleType::F16;
  if (type.isBF16())
    return ScaleType::BF16;
  return std::nullopt;
}

/// One source of a weight, its sizes checked.
struct Part {
  int64_t begin = 0, count = 0; ///< rows
  StringRef layout;
  SmallVector<ArrayRef<uint8_t>, 3> blobs;
  ScaleType element = ScaleType::F32; ///< rows and columns
  std::optional<BlockSource> blocks;  ///< layout blocks
  std::optional<CodeSource> codes;    ///< coded rows and columns
  std::optional<GgufSource> gguf;     ///< blocks of GGUF
  ArrayRef<float> factor;             ///< values of a correction's factor
  bool isExact = false;               ///< the place's format holds the codes as they are
  int64_t number = 0;                 ///< among the parts

  /// Whatever holds codes, as it is, into rows of its own encoding or one that it fits.
  bool read(int64_t first, int64_t last, Matrix &out, int64_t at, std::string *why) const {
    if (gguf)
      return readGguf(*gguf, first, last, out, at, why);
    return codes ? readCodes(*codes, first, last, out, at, why) : readBlocks(*blocks, first, last, out, at, why);
  }
  bool isEncoded() const { return blocks || codes || gguf; }
  /// The format of what holds codes.
  Encoding own() const {
    if (gguf)
      return *encodingOfGguf(gguf->layout.type);
    return codes ? encodingOf(*codes) : encodingOf(*blocks);
  }
};

class Packer {
public:
  Packer(mlir::whit::WeightOp weight, BlobFiles &files, Corrections &corrections)
      : weight(weight), files(files), corrections(corrections) {}
  std::vector<WeightLoss> losses; ///< one per part
  Error run(function_ref<Error(ArrayRef<uint8_t>)> sink);

private:
  Error refuse(const Twine &message) const {
    return fail(Exit::Invalid, message, "weight '" + weight.getSymName() + "'");
  }
  void startLosses();
  void measure(const Part &part, const float *values, const Matrix &rows, int64_t at, int64_t first, int64_t last);
  Error addPart(mlir::whit::SourceAttr source);
  Error findBlocks(Part &part, ArrayRef<mlir::whit::BlobAttr> blobs);
  Error findCodes(Part &part, ArrayRef<mlir::whit::BlobAttr> blobs);
  Error findGguf(Part &part);
  Error findFactor(Part &part, mlir::whit::SourceAttr source);
  Expected<Correction> correct(const LowRankLayout &layout, mlir::whit::SourceAttr source);
  Error readFloats(const Part &part, int64_t begin, int64_t end, float *out) const;
  Error packChunk(int64_t begin, int64_t end, function_ref<Error(ArrayRef<uint8_t>)> sink);
  Error writeRaw(function_ref<Error(ArrayRef<uint8_t>)> sink);
  Error writeRows(mlir::RankedTensorType type, function_ref<Error(ArrayRef<uint8_t>)> sink);
  /// Calls `body(part, begin, end)` for the pieces of rows [begin, end), counted from the start of each part.
  Error forParts(int64_t begin, int64_t end, function_ref<Error(const Part &, int64_t, int64_t)> body) const;

  mutable mlir::whit::WeightOp weight;
  BlobFiles &files;
  Corrections &corrections;
  SmallVector<Part, 3> parts;
  Encoding encoding; ///< of the place
  Place place{};
  int64_t n = 0, k = 0;
};

/// The name of each weight that was joined into this one, where they are known.
SmallVector<std::string> partNames(mlir::whit::WeightOp weight) {
  SmallVector<std::string> names;
  if (auto fused = dyn_cast<mlir::FusedLoc>(weight.getLoc()))
    for (mlir::Location location : fused.getLocations())
      if (auto name = dyn_cast<mlir::NameLoc>(location))
        names.push_back(name.getName().str());
  size_t count = weight.getParts().size();
  if (names.size() == count)
    return names;
  names.clear();
  for (size_t i = 0; i < count; ++i)
    names.push_back(weight.getSymName().str() + (count > 1 ? "#" + std::to_string(i + 1) : ""));
  return names;
}

template <typename T> std::string textOf(T value) {
  std::string text;
  raw_string_ostream(text) << value;
  return text;
}

void Packer::startLosses() {
  SmallVector<std::string> names = partNames(weight);
  int64_t stored = cantFail(storedBytes(weight)), rows = 0;
  for (auto source : weight.getParts().getAsRange<mlir::whit::SourceAttr>())
    rows += source.getCount();
  for (auto [i, source] : enumerate(weight.getParts().getAsRange<mlir::whit::SourceAttr>())) {
    WeightLoss loss;
    loss.name = names[i];
    for (mlir::whit::BlobAttr blob : source.getBlobs())
      loss.bytesBefore += blob.getLength();
    // Parts share the panels at their ends.
    loss.bytesAfter = rows ? stored * source.getCount() / rows : stored;
    // Two weights that are corrected alike have the same factors.
    loss.origin =
        textOf(source.getBlobs()[0]) + (weight.getPlace() ? weight.getPlace()->getFormat().getName() : "").str();
    loss.before = source.getLayout() == "blocks" ? "blocks" : textOf(source.getBlobs()[0].getElement());
    if (auto place = weight.getPlace()) {
      loss.shape = {source.getCount(), place->getK()};
      loss.after = place->getFormat().getName();
      loss.isMatrix = true;
    } else {
      auto type = cast<mlir::RankedTensorType>(weight.getType());
      loss.shape = type.getShape().vec();
      loss.after = textOf(type.getElementType());
    }
    losses.push_back(std::move(loss));
  }
}

/// Rows [first, last) of a part, whose codes stand in `rows` from row `at` on.
void Packer::measure(const Part &part, const float *values, const Matrix &rows, int64_t at, int64_t first,
                     int64_t last) {
  WeightLoss &loss = losses[part.number];
  loss.isConverted = true;
  if (!encoding.isPlain())
    loss.quantizer = std::string(nameOf(weight.getQuantizerKind()));
  loss.measure(values, rows, at, last - first, first);
}

Error Packer::addPart(mlir::whit::SourceAttr source) {
  Part part;
  part.number = parts.size();
  part.begin = parts.empty() ? 0 : parts.back().begin + parts.back().count;
  part.count = source.getCount();
  part.layout = source.getLayout();
  for (mlir::whit::BlobAttr blob : source.getBlobs()) {
    auto bytes = files.read(blob);
    if (!bytes)
      return bytes.takeError();
    part.blobs.push_back(*bytes);
  }
  if (part.layout == "blocks") {
    if (Error error = findBlocks(part, source.getBlobs()))
      return error;
    losses[part.number].before = nameOf(part.own());
  } else if (part.layout.starts_with("coded_")) {
    if (Error error = findCodes(part, source.getBlobs()))
      return error;
    losses[part.number].before = nameOf(part.own());
  } else if (isGgufLayout(part.layout)) {
    if (Error error = findGguf(part))
      return error;
    losses[part.number].before = nameOf(part.own());
  } else if (isLowRankLayout(part.layout)) {
    if (Error error = findFactor(part, source))
      return error;
  } else {
    std::optional<ScaleType> element = floatTypeOf(source.getBlobs()[0].getElement());
    if (!element)
      return refuse("a blob of layout " + part.layout + " must hold f32, f16 or bf16");
    part.element = *element;
    int64_t needed = part.count * k * scaleBytes(*element);
    if (int64_t(part.blobs[0].size()) != needed)
      return refuse("a blob has " + Twine(part.blobs[0].size()) + " bytes; " + Twine(part.count) + " rows of " +
                    Twine(k) + " need " + Twine(needed));
  }
  parts.push_back(std::move(part));
  return Error::success();
}

/// Neither the width of a code nor the length of a block is in the file; the sizes of its tensors leave one answer.
Error Packer::findBlocks(Part &part, ArrayRef<mlir::whit::BlobAttr> blobs) {
  bool hasIndices = blobs.back().getElement().isInteger(32);
  blobs = blobs.drop_back(hasIndices);
  auto scaleType = floatTypeOf(blobs[1].getElement());
  if (!scaleType)
    return refuse("the scales of layout blocks must be f32, f16 or bf16");
  BlockSource source{
      part.count, k, 0, 0, {part.blobs[0].data(), part.blobs[0].size()}, {part.blobs[1].data(), part.blobs[1].size()},
      *scaleType};
  if (hasIndices)
    source.indices = {part.blobs.back().data(), part.blobs.back().size()};
  if (blobs.size() > 2) {
    auto zeroType = floatTypeOf(blobs[2].getElement());
    source.zero = zeroType ? SourceZero::Float : SourceZero::Packed;
    source.zeroType = zeroType.value_or(ScaleType::F32);
    source.zeros = {part.blobs[2].data(), part.blobs[2].size()};
  }
  int64_t scales = source.scales.size() / scaleBytes(*scaleType), groups = part.count ? scales / part.count : 0;
  int64_t blockBytes = groups ? int64_t(source.codes.size()) / (part.count * groups) : 0;
  SmallVector<int32_t> widths;
  if (hasIntegerCodes(encoding))
    widths.push_back(encoding.bits());
  append_range(widths, ArrayRef<int32_t>{4, 8, 2, 1, 3, 5, 6, 7});
  std::string why = "its codes and scales do not match";
  for (int32_t bits : widths) {
    if (!blockBytes || blockBytes * 8 % bits)
      continue;
    source.bits = bits;
    source.blockSize = blockBytes * 8 / bits;
    if ((k + source.blockSize - 1) / source.blockSize != groups)
      continue;
    std::string reason;
    Matrix probe = makeMatrix(encodingOf(source), 1, k);
    if (!readBlocks(source, 0, 1, probe, 0, &reason)) {
      why = reason;
      continue;
    }
    if (hasIntegerCodes(encoding)) {
      Matrix fitting = makeMatrix(encoding, 1, k);
      part.isExact = readBlocks(source, 0, 1, fitting, 0, nullptr);
    }
    part.blocks = source;
    return Error::success();
  }
  return refuse("the blocks of " + Twine(part.count) + " rows of " + Twine(k) + " cannot be read: " + why);
}

/// How many codes share a scale, and what the zero is if the file does not hold it, is said by the format.
Error Packer::findCodes(Part &part, ArrayRef<mlir::whit::BlobAttr> blobs) {
  bool isUnscaled = blobs.size() == 1 || isa<mlir::IntegerType>(blobs[1].getElement());
  auto scaleType = isUnscaled ? std::optional(ScaleType::F32) : floatTypeOf(blobs[1].getElement());
  if (!scaleType)
    return refuse("the scales of layout " + part.layout + " must be f32, f16 or bf16");
  if (!weight.getPlace() || !hasIntegerCodes(encoding))
    return refuse("layout " + part.layout + " needs a format of integers");
  auto element = cast<mlir::IntegerType>(blobs[0].getElement());
  CodeSource source{part.count,
                    k,
                    part.layout == "coded_columns",
                    int32_t(element.getWidth()),
                    !element.isUnsigned(),
                    encoding.terms.front().scale.front().block,
                    {part.blobs[0].data(), part.blobs[0].size()},
                    {},
                    *scaleType};
  source.isUnscaled = isUnscaled;
  if (!isUnscaled)
    source.scales = {part.blobs[1].data(), part.blobs[1].size()};
  if (size_t zeros = isUnscaled ? 1 : 2; part.blobs.size() > zeros) {
    source.zero = CodeZero::Stored;
    source.zeros = {part.blobs[zeros].data(), part.blobs[zeros].size()};
  } else if (encoding.zero != ZeroKind::Constant) {
    source.zero = CodeZero::Lowest;
  }
  std::string why;
  Matrix probe = makeMatrix(encoding, 1, k);
  if (!readCodes(source, 0, 1, probe, 0, &why))
    return refuse("the codes of " + Twine(part.count) + " rows of " + Twine(k) + " cannot be read: " + why);
  part.codes = source;
  part.isExact = true;
  return Error::success();
}

Error Packer::findGguf(Part &part) {
  std::string why;
  std::optional<GgufLayout> layout = parseGgufLayout(part.layout, &why);
  if (!layout)
    return refuse(why);
  part.gguf = GgufSource{part.count, k, *layout, {part.blobs[0].data(), part.blobs[0].size()}};
  Matrix probe = makeMatrix(part.own(), 1, k);
  if (!readGguf(*part.gguf, 0, 1, probe, 0, &why))
    return refuse("the blocks of " + Twine(part.count) + " rows of " + Twine(k) + " cannot be read: " + why);
  part.isExact = part.own() == encoding;
  return Error::success();
}

/// What the codes of a matrix lose, and the factors of that. The matrix is seen whole.
Expected<Correction> Packer::correct(const LowRankLayout &layout, mlir::whit::SourceAttr source) {
  Packer base(weight, files, corrections);
  base.encoding = *parseEncoding(layout.format, nullptr);
  base.n = layout.n, base.k = layout.k;
  base.losses.resize(1);
  auto stored = mlir::whit::SourceAttr::get(weight.getContext(), layout.layout, layout.n, source.getBlobs());
  if (Error error = base.addPart(stored))
    return error;
  std::vector<float> values(base.n * base.k), lost(base.n * base.k);
  if (Error error = base.readFloats(base.parts[0], 0, base.n, values.data()))
    return error;
  Matrix encoded;
  std::string why;
  if (!quantize(base.encoding, values.data(), base.n, base.k, encoded, &why, layout.quantizer))
    return refuse(why);
  dequantize(encoded, lost.data());
  for (size_t i = 0; i < lost.size(); ++i)
    lost[i] = values[i] - lost[i];
  Correction correction{factorLowRank(lost.data(), base.n, base.k, layout.rank), {}};
  correction.loss.measure(values.data(), encoded, 0, base.n, 0, &correction.factors);
  return correction;
}

Error Packer::findFactor(Part &part, mlir::whit::SourceAttr source) {
  std::string why;
  std::optional<LowRankLayout> layout = parseLowRankLayout(part.layout, &why);
  if (!layout)
    return refuse(why);
  bool isLeft = layout->isLeft;
  if (k != (isLeft ? layout->rank : layout->k))
    return refuse("rows of " + Twine(k) + " are not those of layout " + part.layout);
  layout->isLeft = true;
  std::shared_ptr<const Correction> &known = corrections[textOf(*layout) + textOf(source.getBlobs()[0])];
  if (!known) {
    auto made = correct(*layout, source);
    if (!made)
      return made.takeError();
    known = std::make_shared<const Correction>(std::move(*made));
  }
  part.factor = isLeft ? known->factors.left : known->factors.right;
  part.element = ScaleType::BF16;
  WeightLoss &loss = losses[part.number];
  if (isLeft) { // which is there once for each matrix
    const WeightLoss &found = known->loss;
    loss.isConverted = true;
    loss.signal = found.signal, loss.noise = found.noise;
    loss.largest = found.largest, loss.row = found.row, loss.column = found.column;
    loss.histogram = found.histogram;
  }
  loss.isFactor = true;
  loss.rank = layout->rank;
  loss.origin = textOf(source.getBlobs()[0]) + layout->format;
  return Error::success();
}

Error Packer::forParts(int64_t begin, int64_t end, function_ref<Error(const Part &, int64_t, int64_t)> body) const {
  for (const Part &part : parts) {
    int64_t first = std::max(begin, part.begin), last = std::min(end, part.begin + part.count);
    if (first < last)
      if (Error error = body(part, first - part.begin, last - part.begin))
        return error;
  }
  return Error::success();
}

Error Packer::readFloats(const Part &part, int64_t begin, int64_t end, float *out) const {
  if (!part.factor.empty()) {
    llvm::copy(part.factor.slice(begin * k, (end - begin) * k), out);
    return Error::success();
  }
  if (part.isEncoded()) {
    Matrix rows = makeMatrix(part.own(), end - begin, k);
    std::string why;
    if (!part.read(begin, end, rows, 0, &why))
      return refuse(why);
    dequantize(rows, out);
    return Error::success();
  }
  int64_t bytes = scaleBytes(part.element);
  const uint8_t *data = part.blobs[0].data();
  if (part.layout == "columns") {
    for (int64_t j = 0; j < k; ++j)
      for (int64_t i = begin; i < end; ++i)
        out[(i - begin) * k + j] = loadScale(part.element, data + (j * part.count + i) * bytes);
  } else {
    for (int64_t i = 0, count = (end - begin) * k; i < count; ++i)
      out[i] = loadScale(part.element, data + (begin * k + i) * bytes);
  }
  return Error::success();
}

Error Packer::packChunk(int64_t begin, int64_t end, function_ref<Error(ArrayRef<uint8_t>)> sink) {
  Matrix rows = makeMatrix(encoding, end - begin, k);
  std::string why;
  auto isExact = [](const Part &part) { return part.isExact; };
  if (encoding.isWhole() && !all_of(parts, isExact)) {
    // One scale for all rows: they are looked at together (the caller's chunk is the whole matrix).
    std::vector<float> values((end - begin) * k);
    auto read = [&](const Part &part, int64_t first, int64_t last) {
      return readFloats(part, first, last, values.data() + (part.begin + first - begin) * k);
    };
    if (Error error = forParts(begin, end, read))
      return error;
    if (!quantize(encoding, values.data(), end - begin, k, rows, &why, weight.getQuantizerKind()))
      return refuse(why);
    auto compare = [&](const Part &part, int64_t first, int64_t last) {
      int64_t at = part.begin + first - begin;
      measure(part, values.data() + at * k, rows, at, first, last);
      return Error::success();
    };
    if (Error error = forParts(begin, end, compare))
      return error;
  } else {
    auto fill = [&](const Part &part, int64_t first, int64_t last) -> Error {
      int64_t at = part.begin + first - begin;
      if (part.isExact)
        return part.read(first, last, rows, at, &why) ? Error::success() : refuse(why);
      std::vector<float> values((last - first) * k);
      if (Error error = readFloats(part, first, last, values.data()))
        return error;
      Matrix quantized;
      if (!quantize(encoding, values.data(), last - first, k, quantized, &why, weight.getQuantizerKind()))
        return refuse(why);
      if (!encoding.isPlain() || part.isEncoded() || part.element != encoding.scaleType())
        measure(part, values.data(), quantized, 0, first, last);
      copyRows(quantized, 0, quantized.n, rows, at);
      return Error::success();
    };
    if (Error error = forParts(begin, end, fill))
      return error;
  }
  std::vector<uint8_t> packed((end - begin + kPanelColumns - 1) / kPanelColumns * place.panelBytes);
  packPanels(place, rows, packed.data());
  return sink(packed);
}

/// Row-major bytes of a weight without a place whose file has the same element type: copied.
Error Packer::writeRaw(function_ref<Error(ArrayRef<uint8_t>)> sink) {
  for (auto source : weight.getParts().getAsRange<mlir::whit::SourceAttr>()) {
    auto bytes = files.read(source.getBlobs()[0]);
    if (!bytes)
      return bytes.takeError();
    for (ArrayRef<uint8_t> rest = *bytes; !rest.empty();) {
      size_t count = std::min(rest.size(), size_t(kChunkFloats) * 4);
      if (Error error = sink(rest.take_front(count)))
        return error;
      rest = rest.drop_front(count);
    }
  }
  return Error::success();
}

/// Row-major values in another type or transposed.
Error Packer::writeRows(mlir::RankedTensorType type, function_ref<Error(ArrayRef<uint8_t>)> sink) {
  auto element = floatTypeOf(type.getElementType());
  if (!element)
    return refuse("values of another type than the file's must be f32, f16 or bf16");
  int64_t bytes = scaleBytes(*element), step = std::max<int64_t>(kChunkFloats / std::max<int64_t>(k, 1), 1);
  std::vector<float> values;
  std::vector<uint8_t> stored;
  for (int64_t begin = 0; begin < n; begin += step) {
    int64_t end = std::min(begin + step, n);
    values.resize((end - begin) * k);
    auto read = [&](const Part &part, int64_t first, int64_t last) {
      return readFloats(part, first, last, values.data() + (part.begin + first - begin) * k);
    };
    if (Error error = forParts(begin, end, read))
      return error;
    stored.resize(values.size() * bytes);
    for (size_t i = 0; i < values.size(); ++i)
      storeScale(*element, values[i], stored.data() + i * bytes);
    if (Error error = sink(stored))
      return error;
  }
  return Error::success();
}

Error Packer::run(function_ref<Error(ArrayRef<uint8_t>)> sink) {
  auto type = dyn_cast<mlir::RankedTensorType>(weight.getType());
  bool isSame = type && !weight.getPlace() &&
                all_of(weight.getParts().getAsRange<mlir::whit::SourceAttr>(), [&](mlir::whit::SourceAttr source) {
                  return source.getLayout() == "rows" && source.getBlobs()[0].getElement() == type.getElementType();
                });
  auto sizes = storedBytes(weight);
  if (!sizes)
    return sizes.takeError();
  startLosses();
  int64_t written = 0;
  auto counted = [&](ArrayRef<uint8_t> bytes) {
    written += bytes.size();
    return sink(bytes);
  };
  if (isSame) {
    if (Error error = writeRaw(counted))
      return error;
  } else {
    if (weight.getPlace()) {
      encoding = weight.getPlace()->getFormat().getEncoding();
      place = weight.getPlace()->solve();
      n = place.n, k = place.k;
    } else {
      n = type.getRank() ? type.getDimSize(0) : 1;
      k = n ? type.getNumElements() / n : 0;
    }
    for (auto source : weight.getParts().getAsRange<mlir::whit::SourceAttr>())
      if (Error error = addPart(source))
        return error;
    int64_t rows = parts.empty() ? 0 : parts.back().begin + parts.back().count;
    if (rows != n)
      return refuse("its parts have " + Twine(rows) + " rows; its type has " + Twine(n));
    if (!weight.getPlace()) {
      if (Error error = writeRows(type, counted))
        return error;
    } else {
      bool isWhole = encoding.isWhole() && !all_of(parts, [](const Part &part) { return part.isExact; });
      int64_t step = isWhole
                         ? std::max<int64_t>(n, 1)
                         : std::max(kChunkFloats / std::max<int64_t>(k, 1) / kPanelColumns, int64_t(1)) * kPanelColumns;
      for (int64_t begin = 0; begin < n; begin += step)
        if (Error error = packChunk(begin, std::min(begin + step, n), counted))
          return error;
    }
  }
  files.release();
  if (written != *sizes)
    return refuse("its file holds " + Twine(written) + " bytes; its type needs " + Twine(*sizes));
  return Error::success();
}

} // namespace

Expected<int64_t> storedBytes(mlir::whit::WeightOp weight) {
  if (auto place = weight.getPlace())
    return place->solve().bytes();
  auto type = dyn_cast<mlir::RankedTensorType>(weight.getType());
  if (!type || !type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return fail(Exit::Bug, "has no place and is not a tensor of numbers", "weight '" + weight.getSymName() + "'");
  return type.getNumElements() * int64_t((type.getElementTypeBitWidth() + 7) / 8);
}

Error streamWeight(mlir::whit::WeightOp weight, BlobFiles &files, function_ref<Error(ArrayRef<uint8_t>)> sink,
                   std::vector<WeightLoss> *losses, Corrections *corrections) {
  Corrections own;
  Packer packer(weight, files, corrections ? *corrections : own);
  if (Error error = packer.run(sink))
    return error;
  if (losses)
    append_range(*losses, packer.losses);
  return Error::success();
}

} // namespace whit
