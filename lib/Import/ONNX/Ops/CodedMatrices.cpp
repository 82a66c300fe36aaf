// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// DequantizeLinear of a constant matrix as a weight in the format that its codes make: no byte is copied, whatever its
// size. Which dimension of the matrix is K follows from where the scales are; one scale for all leaves it to the use.
//
//     codes int4 [K, N], scales [K/32, N]:   !whit.tensor<N x K, int4_g32_f32> = "coded_columns"
//     codes int8 [N, K], scales [N]:         !whit.tensor<N x K, int8_channel_f32> = "coded_rows"

#include "Import/ONNX/Graph.h"
#include "Import/ONNX/Ops/Constants.h"

#include "runtime/encoding/CodeSource.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;

namespace whit {

using namespace semantics;

bool wantsRows(const ::onnx::GraphProto &graph, StringRef name) {
  for (const auto &user : graph.node())
    for (int i = 0; i < user.input_size(); ++i) {
      if (user.input(i) != name)
        continue;
      if (user.op_type() == "Gemm")
        for (const auto &attribute : user.attribute())
          if (attribute.name() == "transB")
            return attribute.i() != 0;
      return user.op_type() == "Gather" || user.op_type() == "Transpose";
    }
  return false;
}

/// What the zero points mean to the format; nothing if they differ and cannot be read where they are.
static std::optional<CodeZero> zeroOf(const StoredTensor &zeros) {
  int bits = zeros.type->bits, half = 1 << (bits - 1), mask = 2 * half - 1;
  bool isSigned = zeros.type->kind == OnnxType::Signed;
  int64_t middles = 0, lowests = 0;
  for (int64_t i = 0; i < zeros.count; ++i) {
    int code = (zeros.bytes[i * bits / 8] >> (i * bits % 8)) & mask;
    code = isSigned ? code ^ half : code;
    middles += code == half;
    lowests += code == 0;
  }
  if (middles == zeros.count)
    return CodeZero::Middle;
  if (lowests == zeros.count)
    return CodeZero::Lowest;
  return zeros.file.empty() ? std::nullopt : std::optional(CodeZero::Stored);
}

/// A byte of the file that holds the one zero point which the model has in a field of varints, as ONNX Runtime writes it:
/// a code that means 0.0, of which any quantized matrix has some. Nothing if there is none.
static std::optional<uint64_t> zeroAmong(const StoredTensor &codes, const StoredTensor &zero) {
  uint8_t mask = uint8_t((1u << zero.type->bits) - 1);
  const uint8_t *found =
      llvm::find_if(codes.bytes, [&](uint8_t byte) { return (byte & mask) == (zero.bytes[0] & mask); });
  return found == codes.bytes.end() ? std::nullopt
                                    : std::optional<uint64_t>(codes.offset + (found - codes.bytes.begin()));
}

std::optional<Tensor> codedMatrix(Node &node, std::string &why) {
  GraphValue &x = node.input(0), &s = node.input(1);
  if (!x.stored || !s.stored || x.rank() != 2 || !x.stored->count)
    return std::nullopt;
  const StoredTensor &codes = *x.stored, &scales = *s.stored;
  bool isInteger = codes.type->kind == OnnxType::Signed || codes.type->kind == OnnxType::Unsigned;
  FailureOr<int64_t> given = node.integer("axis", 1), block = node.integer("block_size", 0);
  if (!isInteger || failed(given) || failed(block) || *given < -2 || *given > 1 || *block < 0)
    return std::nullopt; // the arithmetic reports it
  auto refuse = [&](const Twine &reason) {
    why = reason.str();
    return std::nullopt;
  };
  if (codes.type->bits > 8)
    return refuse(Twine("its codes are ") + codes.type->name + "; formats have codes of at most 8 bits");
  std::optional<ScaleType> scaleType = scaleTypeOf(scales);
  if (!scaleType)
    return refuse(Twine("its scales are ") + scales.type->name + "; they must be float, float16 or bfloat16");
  if (codes.file.empty() || scales.file.empty())
    return refuse("its codes or scales are in a field that cannot be mapped; save the model with raw_data");

  SmallVector<int64_t> dims = shapeOf(x.sizes), scaleDims = shapeOf(s.sizes);
  int64_t axis = *given < 0 ? *given + 2 : *given;
  CodeSource source{};
  if (*block) {
    SmallVector<int64_t> wanted(dims);
    wanted[axis] = (dims[axis] + *block - 1) / *block;
    if (scaleDims != wanted)
      return std::nullopt;
    if (*block < 16 || *block > kMaxGroup || (*block & (*block - 1)))
      return refuse("blocks have " + Twine(*block) + " codes; formats have groups of a power of two from 16 to " +
                    Twine(kMaxGroup));
    source.block = {1, *block};
    source.isTransposed = axis == 0;
  } else if (scales.count == 1) {
    source.block = {0, 0};
    source.isTransposed = !wantsRows(node.graph.source.graph, node.proto.output(0));
  } else if (scaleDims.size() == 1 && scaleDims[0] == dims[axis]) {
    source.block = {1, 0};
    source.isTransposed = axis == 1;
  } else {
    return std::nullopt;
  }
  source.n = dims[source.isTransposed ? 1 : 0];
  source.k = dims[source.isTransposed ? 0 : 1];
  source.bits = codes.type->bits;
  source.scaleType = *scaleType;
  source.zero = codes.type->kind == OnnxType::Signed ? CodeZero::Middle : CodeZero::Lowest;
  MLIRContext *context = node.b.getContext();
  Type codeType = IntegerType::get(
      context, source.bits, codes.type->kind == OnnxType::Signed ? IntegerType::Signless : IntegerType::Unsigned);
  Weights &weights = *node.graph.weights;
  auto blobOf = [&](const StoredTensor &tensor, Type element) {
    return weights.blob(tensor.file, tensor.offset, tensor.length, element);
  };
  SmallVector<mlir::whit::BlobAttr> blobs{blobOf(codes, codeType),
                                          blobOf(scales, storedType(context, scales.type->number))};
  if (node.has(2)) {
    GraphValue &z = node.input(2);
    if (!z.stored || z.stored->type != codes.type || z.stored->count != scales.count ||
        (scales.count != 1 && shapeOf(z.sizes) != scaleDims))
      return std::nullopt;
    std::optional<CodeZero> zero = zeroOf(*z.stored);
    std::optional<uint64_t> byte = !zero && z.stored->count == 1 ? zeroAmong(codes, *z.stored) : std::nullopt;
    if (byte) {
      zero = CodeZero::Stored;
      blobs.push_back(weights.blob(codes.file, *byte, 1, codeType));
    }
    if (!zero)
      return refuse("its zero points are in a field that cannot be mapped; save the model with raw_data");
    source.zero = *zero;
    if (*zero == CodeZero::Stored && !byte)
      blobs.push_back(blobOf(*z.stored, codeType));
  }
  std::string format = nameOf(encodingOf(source));
  auto type = mlir::whit::EncodedTensorType::get(context, {source.n, source.k}, node.b.getF32Type(),
                                                 mlir::whit::FormatAttr::get(context, format));
  auto part =
      mlir::whit::SourceAttr::get(context, source.isTransposed ? "coded_columns" : "coded_rows", source.n, blobs);
  Value weight = weights.constant(node.b, codes.name, type, part);
  Sizes sizes{node.b.getIndexAttr(source.n), node.b.getIndexAttr(source.k)};
  Value y = empty(node.b, sizes, node.b.getF32Type());
  Tensor values{mlir::whit::DequantizeOp::create(node.b, y.getType(), weight, y, nullptr).getResult(0), sizes};
  return source.isTransposed ? transpose(node.b, values, {1, 0}) : values;
}

std::optional<CodeMatrix> codeMatrixOf(Node &node, unsigned codesInput, unsigned zeroInput, int64_t n, Stored stored) {
  GraphValue &value = node.input(codesInput);
  if (!value.stored || value.stored->file.empty() || !value.stored->count || value.stored->type->bits != 8)
    return std::nullopt;
  const StoredTensor &codes = *value.stored;
  bool isSigned = codes.type->kind == OnnxType::Signed;
  int32_t number = 0; // the zero point
  SmallVector<mlir::whit::BlobAttr> blobs;
  CodeZero zero = isSigned ? CodeZero::Middle : CodeZero::Lowest;
  MLIRContext *context = node.b.getContext();
  Type codeType = IntegerType::get(context, 8, isSigned ? IntegerType::Signless : IntegerType::Unsigned);
  Weights &weights = *node.graph.weights;
  blobs.push_back(weights.blob(codes.file, codes.offset, codes.length, codeType));
  if (node.has(zeroInput)) {
    GraphValue &z = node.input(zeroInput);
    if (!z.stored || !z.stored->count || z.stored->type != codes.type ||
        llvm::any_of(z.stored->bytes, [&](uint8_t byte) { return byte != z.stored->bytes[0]; }))
      return std::nullopt;
    uint8_t byte = z.stored->bytes[0];
    number = isSigned ? int32_t(int8_t(byte)) : int32_t(byte);
    if (byte == (isSigned ? 0 : 128)) {
      zero = CodeZero::Middle;
    } else if (byte == (isSigned ? 128 : 0)) {
      zero = CodeZero::Lowest;
    } else {
      zero = CodeZero::Stored;
      std::optional<uint64_t> found = zeroAmong(codes, *z.stored);
      if (!z.stored->file.empty())
        blobs.push_back(weights.blob(z.stored->file, z.stored->offset, 1, codeType));
      else if (found)
        blobs.push_back(weights.blob(codes.file, *found, 1, codeType));
      else
        return std::nullopt;
    }
  }
  CodeMatrix matrix{{}, n, codes.count / n, SmallVector<int32_t>(n), 0};
  SmallVector<int64_t> sizes(n);
  for (int64_t i = 0; i < codes.count; ++i) {
    int32_t code = (isSigned ? int32_t(int8_t(codes.bytes[i])) : int32_t(codes.bytes[i])) - number;
    int64_t row = stored == Stored::Rows ? i / matrix.k : i % n;
    matrix.sums[row] += code;
    sizes[row] += std::abs(code);
  }
  matrix.largest = *llvm::max_element(sizes);
  if (matrix.largest > kMostOfCodes / 15) // products with half codes are f32 integers
    return std::nullopt;
  CodeSource source{};
  source.bits = 8;
  source.block = {0, 0};
  source.scaleType = ScaleType::F32;
  source.zero = zero;
  auto type = mlir::whit::EncodedTensorType::get(context, {n, matrix.k}, node.b.getF32Type(),
                                                 mlir::whit::FormatAttr::get(context, nameOf(encodingOf(source))));
  auto part = mlir::whit::SourceAttr::get(context, stored == Stored::Rows ? "coded_rows" : "coded_columns", n, blobs);
  matrix.weight = weights.constant(node.b, codes.name, type, part);
  return matrix;
}

Value ggufWeight(Graph &graph, ImplicitLocOpBuilder &b, const StoredTensor &stored) {
  int64_t n = stored.dims[0], k = stored.dims[1];
  if (stored.gguf->isTransposed)
    std::swap(n, k);
  MLIRContext *context = b.getContext();
  std::string format = nameOf(*encodingOfGguf(stored.gguf->layout.type));
  auto type =
      mlir::whit::EncodedTensorType::get(context, {n, k}, b.getF32Type(), mlir::whit::FormatAttr::get(context, format));
  auto blob = graph.weights->blob(stored.file, stored.offset, stored.length, b.getI8Type());
  auto part = mlir::whit::SourceAttr::get(context, textOf(stored.gguf->layout), n, blob);
  return graph.weights->constant(b, stored.name, type, part);
}

Value codedMatrixOf(Value value, Stored stored) {
  bool isTransposed = false;
  while (value) {
    if (auto dequantize = value.getDefiningOp<mlir::whit::DequantizeOp>())
      return isTransposed == (stored == Stored::Columns) ? dequantize.getW() : Value();
    if (auto transpose = value.getDefiningOp<linalg::TransposeOp>()) {
      if (transpose.getPermutation().size() != 2)
        return {};
      isTransposed ^= transpose.getPermutation()[0] == 1;
      value = transpose.getInput();
      continue;
    }
    // Values that are rounded to the type of the other operand: products round once, at their end.
    auto generic = value.getDefiningOp<linalg::GenericOp>();
    if (!generic || generic.getNumDpsInputs() != 1 || generic.getNumReductionLoops() ||
        !llvm::all_of(generic.getIndexingMapsArray(), [](AffineMap map) { return map.isIdentity(); }))
      return {};
    Block *body = generic.getBlock();
    auto rounded = body->getTerminator()->getOperand(0).getDefiningOp<arith::TruncFOp>();
    if (!rounded || rounded.getIn() != body->getArgument(0))
      return {};
    value = generic.getDpsInputs()[0];
  }
  return {};
}

} // namespace whit
