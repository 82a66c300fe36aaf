// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Checking stored tensors. A size is compared with what the file really has before anything is done with it, and a
// tensor that says its values twice is refused: two readers could take different ones.

#include "Import/ONNX/StoredTensor.h"

#include "onnx.pb.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/JSON.h"

#include <cstring>

using namespace mlir;

namespace whit {

static constexpr OnnxType kTypes[] = {
    {1, "float", 32, OnnxType::Float},        {2, "uint8", 8, OnnxType::Unsigned},
    {3, "int8", 8, OnnxType::Signed},         {4, "uint16", 16, OnnxType::Unsigned},
    {5, "int16", 16, OnnxType::Signed},       {6, "int32", 32, OnnxType::Signed},
    {7, "int64", 64, OnnxType::Signed},       {8, "string", 0, OnnxType::Other},
    {9, "bool", 8, OnnxType::Bool},           {10, "float16", 16, OnnxType::Float},
    {11, "double", 64, OnnxType::Float},      {12, "uint32", 32, OnnxType::Unsigned},
    {13, "uint64", 64, OnnxType::Unsigned},   {14, "complex64", 64, OnnxType::Other},
    {15, "complex128", 128, OnnxType::Other}, {16, "bfloat16", 16, OnnxType::Float},
    {17, "float8e4m3fn", 8, OnnxType::Other}, {18, "float8e4m3fnuz", 8, OnnxType::Other},
    {19, "float8e5m2", 8, OnnxType::Other},   {20, "float8e5m2fnuz", 8, OnnxType::Other},
    {21, "uint4", 4, OnnxType::Unsigned},     {22, "int4", 4, OnnxType::Signed},
    {23, "float4e2m1", 4, OnnxType::Other},   {24, "float8e8m0", 8, OnnxType::Other},
    {25, "uint2", 2, OnnxType::Unsigned},     {26, "int2", 2, OnnxType::Signed},
    {27, "float6e2m3", 6, OnnxType::Other},   {28, "float6e3m2", 6, OnnxType::Other},
};

static constexpr int64_t kMaxDim = int64_t(1) << 40, kMaxCount = int64_t(1) << 62;
static constexpr size_t kMaxRank = 12;
/// More values than this in fields of varints are not worth decoding: weights belong in raw_data.
static constexpr int64_t kMaxVarints = 4096;

const OnnxType *onnxType(int32_t number) {
  for (const OnnxType &type : kTypes)
    if (type.number == number)
      return &type;
  return nullptr;
}

static Type floatOf(MLIRContext *context, const OnnxType &type) {
  switch (type.number) {
  case 1:
    return Float32Type::get(context);
  case 10:
    return Float16Type::get(context);
  case 11:
    return Float64Type::get(context);
  case 16:
    return BFloat16Type::get(context);
  case 17:
    return Float8E4M3FNType::get(context);
  case 18:
    return Float8E4M3FNUZType::get(context);
  case 19:
    return Float8E5M2Type::get(context);
  case 20:
    return Float8E5M2FNUZType::get(context);
  case 23:
    return Float4E2M1FNType::get(context);
  case 24:
    return Float8E8M0FNUType::get(context);
  }
  return {};
}

Type valueType(MLIRContext *context, int32_t number) {
  const OnnxType *type = onnxType(number);
  if (!type)
    return {};
  if (type->kind == OnnxType::Bool)
    return IntegerType::get(context, 1);
  if (type->kind == OnnxType::Signed)
    return IntegerType::get(context, type->bits);
  if (type->kind == OnnxType::Unsigned)
    return IntegerType::get(context, type->bits, IntegerType::Unsigned);
  return floatOf(context, *type);
}

Type storedType(MLIRContext *context, int32_t number) {
  const OnnxType *type = onnxType(number);
  if (!type || type->bits < 8 || type->kind == OnnxType::Other)
    return {};
  if (type->kind == OnnxType::Unsigned || type->kind == OnnxType::Bool)
    return IntegerType::get(context, type->bits, IntegerType::Unsigned);
  if (type->kind == OnnxType::Signed)
    return IntegerType::get(context, type->bits);
  return floatOf(context, *type);
}

std::optional<int64_t> countOf(ArrayRef<int64_t> dims) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t dim : dims) {
    if (dim < 0 || dim > kMaxDim)
      return std::nullopt;
    empty |= dim == 0;
    std::optional<int64_t> product = llvm::checkedMul(count, std::max<int64_t>(dim, 1));
    if (!product || *product > kMaxCount)
      return std::nullopt;
    count = *product;
  }
  return empty ? 0 : count;
}

std::optional<SmallVector<int64_t>> StoredTensor::integers() const {
  if (type->kind != OnnxType::Signed && type->kind != OnnxType::Unsigned && type->kind != OnnxType::Bool)
    return std::nullopt;
  SmallVector<int64_t> result(count);
  int size = type->bits / 8;
  if (!size) // packed, the first in the lowest bits
    for (int64_t i = 0, bits = type->bits; i < count; ++i) {
      uint64_t code = (bytes[i * bits / 8] >> (i * bits % 8)) & ((1u << bits) - 1);
      result[i] = type->kind == OnnxType::Signed ? llvm::SignExtend64(code, bits) : int64_t(code);
    }
  if (!size)
    return result;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i * size, size);
    result[i] = type->kind == OnnxType::Signed ? llvm::SignExtend64(value, type->bits) : int64_t(value);
  }
  return result;
}

std::optional<SmallVector<double>> StoredTensor::floats() const {
  if (type->kind != OnnxType::Float || gguf)
    return std::nullopt;
  const llvm::fltSemantics &semantics = type->number == 1    ? llvm::APFloat::IEEEsingle()
                                        : type->number == 10 ? llvm::APFloat::IEEEhalf()
                                        : type->number == 16 ? llvm::APFloat::BFloat()
                                                             : llvm::APFloat::IEEEdouble();
  SmallVector<double> result(count);
  int size = type->bits / 8;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i * size, size);
    llvm::APFloat number(semantics, llvm::APInt(type->bits, value));
    bool loses;
    number.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &loses);
    result[i] = number.convertToDouble();
  }
  return result;
}

namespace {
/// Reads one tensor; every check may end it with a message.
class TensorReader {
public:
  TensorReader(const WireTensor &wire, StringRef nameIfNone, StringRef modelFile, DataFiles &files,
               Diagnostics &diagnostics)
      : wire(wire), modelFile(modelFile), files(files), diagnostics(diagnostics),
        tensor(std::make_shared<StoredTensor>()) {
    tensor->name = nameIfNone.str();
  }

  std::shared_ptr<StoredTensor> read() { return check() ? tensor : nullptr; }

private:
  bool check() {
    if (!proto.ParseFromString(wire.skeleton))
      return refuse(code::Malformed, "is no valid TensorProto", "");
    if (!proto.name().empty())
      tensor->name = proto.name();
    if (!llvm::json::isUTF8(tensor->name) || StringRef(tensor->name).contains('\0'))
      return refuse(code::Graph, "has a name that is no UTF-8 text", "");
    tensor->type = onnxType(proto.data_type());
    if (!tensor->type)
      return refuse(code::Tensor, "has data type " + Twine(proto.data_type()) + ", which is no element type of ONNX",
                    "");
    if (proto.has_segment())
      return refuse(code::NoFeature, "is stored in segments", "save the model again with onnx.save");
    tensor->dims.assign(proto.dims().begin(), proto.dims().end());
    std::optional<int64_t> count = countOf(tensor->dims);
    if (!count || tensor->dims.size() > kMaxRank)
      return refuse(code::Tensor,
                    "has shape [" + shape() +
                        "]; a shape has at most 12 dimensions, each from 0 to 2^40, and fewer than 2^62 "
                        "elements",
                    "");
    tensor->count = *count;
    if (tensor->type->bits == 0)
      return refuse(code::NoType, Twine("has element type ") + tensor->type->name, "");
    // ceil(count * bits / 8), without overflow.
    tensor->length = uint64_t(*count / 8) * tensor->type->bits + (uint64_t(*count % 8) * tensor->type->bits + 7) / 8;
    return findBytes();
  }

  bool refuse(DiagnosticCode code, const Twine &message, StringRef help) {
    diagnostics.add({code,
                     Severity::Error,
                     "",
                     {tensor->name},
                     "",
                     "stored tensor " + message.str(),
                     help.str(),
                     1,
                     /*aboutTensor=*/true});
    return false;
  }

  std::string shape() const {
    return llvm::join(llvm::map_range(tensor->dims, [](int64_t dim) { return std::to_string(dim); }), ", ");
  }

  bool findBytes() {
    bool external = proto.data_location() == ::onnx::TensorProto::EXTERNAL;
    SmallVector<StringRef> fields;
    if (external)
      fields.push_back("external_data");
    if (wire.hasRaw)
      fields.push_back("raw_data");
    if (wire.hasFloats || proto.float_data_size())
      fields.push_back("float_data");
    if (wire.hasDoubles || proto.double_data_size())
      fields.push_back("double_data");
    if (proto.int32_data_size())
      fields.push_back("int32_data");
    if (proto.int64_data_size())
      fields.push_back("int64_data");
    if (proto.uint64_data_size())
      fields.push_back("uint64_data");
    if (proto.string_data_size())
      fields.push_back("string_data");
    if ((wire.hasFloats && proto.float_data_size()) || (wire.hasDoubles && proto.double_data_size()))
      fields.push_back("more of the same");
    if (!external && proto.external_data_size())
      return refuse(code::Tensor, "names external data, but its data_location is not EXTERNAL", "");
    if (fields.size() > 1)
      return refuse(code::Tensor,
                    "has values in " + llvm::join(fields, " and in ") +
                        "; it must have them in one field, since readers would disagree",
                    "keep one of the fields, or do not trust the file");
    if (fields.empty()) {
      if (tensor->length)
        return refuse(code::Tensor,
                      "has no values; its shape [" + shape() + "] needs " + Twine(tensor->length) + " bytes", "");
      return true;
    }
    if (external)
      return findExternal();
    if (fields[0] == "raw_data")
      return inModel(wire.raw);
    if (fields[0] == "float_data" && wire.hasFloats && tensor->type->number == 1)
      return inModel(wire.floats);
    if (fields[0] == "double_data" && wire.hasDoubles && tensor->type->number == 11)
      return inModel(wire.doubles);
    return decode(fields[0]);
  }

  bool inModel(ByteRange range) {
    auto bytes = files.open(modelFile);
    if (!bytes) {
      llvm::consumeError(bytes.takeError());
      return refuse(code::Unreadable, "lies in the model, which is not open", "");
    }
    if (range.length != tensor->length)
      return refuse(code::Tensor,
                    "has " + Twine(range.length) + " bytes of values; " + tensor->type->name + " of shape [" + shape() +
                        "] needs " + Twine(tensor->length),
                    "");
    tensor->file = modelFile.str();
    tensor->offset = range.offset;
    tensor->bytes = bytes->slice(range.offset, range.length);
    return true;
  }

  bool findExternal() {
    std::string location;
    uint64_t offset = 0, length = tensor->length;
    llvm::StringSet<> seen;
    for (const auto &entry : proto.external_data()) {
      StringRef key = entry.key(), value = entry.value();
      if (!seen.insert(key).second)
        return refuse(code::Tensor, "has external data with two values of '" + shown(key) + "'", "");
      if (key == "location")
        location = value.str();
      else if (key == "offset" || key == "length") {
        if (value.getAsInteger(10, key == "offset" ? offset : length))
          return refuse(code::Tensor, "has external data with " + key + " '" + shown(value) + "'; it must be a number",
                        "");
      } else if (key != "checksum")
        return refuse(code::Tensor, "has external data with the unknown key '" + shown(key) + "'", "");
    }
    if (!seen.contains("location"))
      return refuse(code::Tensor, "has external data without a location", "");
    if (length != tensor->length)
      return refuse(code::Tensor,
                    "has " + Twine(length) + " bytes of external data; " + tensor->type->name + " of shape [" +
                        shape() + "] needs " + Twine(tensor->length),
                    "");
    auto bytes = files.open(location);
    if (!bytes) {
      llvm::handleAllErrors(bytes.takeError(), [&](const Failure &failure) {
        refuse(failure.exit == Exit::Files ? code::Unreadable : code::Path, "cannot be used: " + failure.message,
               failure.help);
      });
      return false;
    }
    if (offset > bytes->size() || length > bytes->size() - offset)
      return refuse(code::Tensor,
                    "needs " + Twine(length) + " bytes from offset " + Twine(offset) + " of '" + shown(location) +
                        "'; the file has " + Twine(bytes->size()),
                    "the data file is cut off or of another model; copy it again");
    tensor->file = location;
    tensor->offset = offset;
    tensor->bytes = bytes->slice(offset, length);
    return true;
  }

  /// Values in fields of numbers: copied, so there may only be a few.
  bool decode(StringRef field) {
    int bits = tensor->type->bits, size = bits / 8;
    auto take = [&](const auto &values, auto convert) -> bool {
      if (values.size() != tensor->count)
        return refuse(code::Tensor,
                      "has " + Twine(values.size()) + " values in " + field + "; its shape [" + shape() + "] needs " +
                          Twine(tensor->count),
                      "");
      if (tensor->count > kMaxVarints)
        return refuse(code::NoFeature,
                      "has " + Twine(tensor->count) + " values in " + field +
                          ", where they cannot be mapped; at most " + Twine(kMaxVarints) + " are read from there",
                      "save the model again with its values in raw_data or in external data");
      tensor->own.resize(tensor->length);
      for (int64_t i = 0; i < tensor->count; ++i) {
        auto value = convert(values[i]);
        std::memcpy(tensor->own.data() + i * size, &value, size);
      }
      tensor->bytes = tensor->own;
      return true;
    };
    bool small =
        tensor->type->bits <= 32 && tensor->type->bits >= 8 && tensor->type->number != 1 && tensor->type->number != 12;
    if (field == "int32_data" && small)
      return take(proto.int32_data(), [](int32_t value) { return value; });
    if (field == "int64_data" && tensor->type->number == 7)
      return take(proto.int64_data(), [](int64_t value) { return value; });
    if (field == "uint64_data" && (tensor->type->number == 12 || tensor->type->number == 13))
      return take(proto.uint64_data(), [](uint64_t value) { return value; });
    if (field == "float_data" && tensor->type->number == 1)
      return take(proto.float_data(), [](float value) { return value; });
    if (field == "double_data" && tensor->type->number == 11)
      return take(proto.double_data(), [](double value) { return value; });
    return refuse(code::Tensor, "has its values in " + field + ", which cannot hold " + tensor->type->name, "");
  }

  const WireTensor &wire;
  StringRef modelFile;
  DataFiles &files;
  Diagnostics &diagnostics;
  ::onnx::TensorProto proto;
  std::shared_ptr<StoredTensor> tensor;
};
} // namespace

std::shared_ptr<StoredTensor> readTensor(const WireTensor &wire, StringRef nameIfNone, StringRef modelFile,
                                         DataFiles &files, Diagnostics &diagnostics) {
  return TensorReader(wire, nameIfNone, modelFile, files, diagnostics).read();
}

} // namespace whit
