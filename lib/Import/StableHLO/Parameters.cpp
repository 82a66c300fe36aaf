// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Headers of safetensors and npz files. Only where a tensor lies is read; its bytes stay where they are.

#include "Import/StableHLO/Parameters.h"

#include "runtime/trust/StrictJson.h"

#include "mlir/IR/Builders.h"
#include "llvm/Support/Endian.h"

using namespace llvm;

namespace whit {

static constexpr uint64_t kMaxHeader = 100'000'000;
static constexpr size_t kMaxRank = 6;

static Error refuse(StringRef file, const Twine &message, StringRef help = "") {
  return fail(Exit::Invalid, message, file, help);
}

static StringRef textOf(ArrayRef<uint8_t> bytes) {
  return StringRef(reinterpret_cast<const char *>(bytes.data()), bytes.size());
}

/// Element types by their names in safetensors, and in numpy; null for others.
static mlir::Type typeNamed(StringRef name, mlir::MLIRContext &context) {
  mlir::Builder b(&context);
  if (name == "F32" || name == "<f4")
    return b.getF32Type();
  if (name == "F16" || name == "<f2")
    return b.getF16Type();
  if (name == "BF16" || name == "<u2" || name == "|V2" || name == "<V2") // numpy has no name for it
    return b.getBF16Type();
  return {};
}

const Parameter *Parameters::find(StringRef name) const {
  auto found = tensors.find(name);
  return found == tensors.end() ? nullptr : &found->second;
}

StringRef Parameters::otherType(StringRef name) const {
  auto found = others.find(name);
  return found == others.end() ? StringRef() : StringRef(found->second);
}

Error Parameters::add(Parameter parameter, uint64_t available) {
  std::string file = parameter.file, name = shown(parameter.name);
  auto bad = [&](const Twine &why) { return refuse(file, "parameter '" + name + "' " + why); };
  if (parameter.dims.size() > kMaxRank)
    return bad("has rank " + Twine(parameter.dims.size()) + "; at most " + Twine(kMaxRank) + " is supported");
  uint64_t count = 1;
  for (int64_t dim : parameter.dims)
    if (dim < 0 || __builtin_mul_overflow(count, uint64_t(dim), &count))
      return bad("has a negative size or more than 2^64 elements");
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(count, uint64_t(parameter.element.getIntOrFloatBitWidth() / 8), &bytes) ||
      bytes != parameter.length)
    return bad("has " + Twine(parameter.length) + " bytes; its shape and type need " + Twine(bytes));
  if (parameter.offset > available || parameter.length > available - parameter.offset)
    return bad("lies at byte " + Twine(parameter.offset) + " and has " + Twine(parameter.length) +
               " bytes; the file has " + Twine(available));
  std::string key = parameter.name;
  if (!tensors.try_emplace(key, std::move(parameter)).second)
    return bad("is in the file twice");
  return Error::success();
}

Error Parameters::read(StringRef file, ArrayRef<uint8_t> bytes, mlir::MLIRContext &context) {
  return file.ends_with(".npz") ? readNpz(file, bytes, context) : readSafetensors(file, bytes, context);
}

Error Parameters::readSafetensors(StringRef file, ArrayRef<uint8_t> bytes, mlir::MLIRContext &context) {
  if (bytes.size() < 8)
    return refuse(file, "has " + Twine(bytes.size()) + " bytes; a safetensors file has at least 8");
  uint64_t length = support::endian::read64le(bytes.data());
  if (length > kMaxHeader || length > bytes.size() - 8)
    return refuse(file, "has a header of " + Twine(length) + " bytes; it must be at most " + Twine(kMaxHeader) +
                            " and lie in the file, which has " + Twine(bytes.size()));
  Json header;
  std::string why;
  StringRef text = textOf(bytes.slice(8, length));
  if (!parseStrictJson({text.data(), text.size()}, "safetensors header", header, why))
    return refuse(file, why);
  if (!header.is_object())
    return refuse(file, "safetensors header is no JSON object");
  uint64_t begin = 8 + length;
  for (const auto &[name, entry] : header.items()) {
    if (name == "__metadata__")
      continue;
    auto bad = [&](const Twine &what) { return refuse(file, "parameter '" + shown(name) + "' " + what); };
    if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() || !entry.contains("shape") ||
        !entry["shape"].is_array() || !entry.contains("data_offsets") || !entry["data_offsets"].is_array() ||
        entry["data_offsets"].size() != 2)
      return bad("needs dtype, shape and two data_offsets");
    Parameter parameter;
    parameter.name = name;
    parameter.file = file.str();
    parameter.element = typeNamed(entry["dtype"].get_ref<const std::string &>(), context);
    if (!parameter.element) { // a model may have other tensors, of steps or positions, as long as no argument is one
      others[name] = entry["dtype"].get<std::string>();
      continue;
    }
    for (const Json &dim : entry["shape"]) {
      if (!dim.is_number_unsigned() || dim.get<uint64_t>() > (uint64_t(1) << 40))
        return bad("has a size that is no number from 0 to 2^40");
      parameter.dims.push_back(dim.get<int64_t>());
    }
    for (const Json &offset : entry["data_offsets"])
      if (!offset.is_number_unsigned())
        return bad("has an offset that is no number");
    uint64_t first = entry["data_offsets"][0].get<uint64_t>(), last = entry["data_offsets"][1].get<uint64_t>();
    if (first > last || last > bytes.size() - begin)
      return bad("lies at [" + Twine(first) + ", " + Twine(last) + "); the file has " + Twine(bytes.size() - begin) +
                 " bytes of data");
    parameter.offset = begin + first;
    parameter.length = last - first;
    if (Error error = add(std::move(parameter), bytes.size()))
      return error;
  }
  return Error::success();
}

/// The value behind `'key':` in the header of a .npy file, up to a comma or the end that are outside of brackets.
static StringRef npyField(StringRef header, StringRef key) {
  size_t at = header.find(("'" + key + "'").str());
  if (at == StringRef::npos)
    return {};
  StringRef rest = header.substr(at + key.size() + 2).ltrim(" :");
  size_t depth = 0, end = 0;
  for (; end < rest.size(); ++end) {
    char c = rest[end];
    if (c == '(')
      ++depth;
    else if (c == ')' && depth)
      --depth;
    else if (!depth && (c == ',' || c == '}'))
      break;
  }
  return rest.take_front(end).trim();
}

Error Parameters::readNpz(StringRef file, ArrayRef<uint8_t> bytes, mlir::MLIRContext &context) {
  using support::endian::read16le;
  using support::endian::read32le;
  auto broken = [&](const Twine &why) { return refuse(file, "is no npz archive: " + why); };
  // The end of the central directory is the last record; a comment may follow.
  constexpr size_t kEnd = 22;
  size_t end = 0;
  for (size_t back = kEnd; back <= std::min<size_t>(bytes.size(), kEnd + 65535) && !end; ++back)
    if (read32le(&bytes[bytes.size() - back]) == 0x06054b50)
      end = bytes.size() - back;
  if (!end)
    return broken("it has no directory");
  uint64_t at = read32le(&bytes[end + 16]);
  for (unsigned entries = read16le(&bytes[end + 10]); entries; --entries) {
    if (at > bytes.size() || bytes.size() - at < 46 || read32le(&bytes[at]) != 0x02014b50)
      return broken("its directory is damaged");
    const uint8_t *entry = &bytes[at];
    uint64_t nameLength = read16le(entry + 28), extra = read16le(entry + 30), comment = read16le(entry + 32);
    if (bytes.size() - at - 46 < nameLength + extra + comment)
      return broken("its directory is damaged");
    StringRef name = textOf(bytes.slice(at + 46, nameLength));
    uint64_t size = read32le(entry + 24), local = read32le(entry + 42);
    at += 46 + nameLength + extra + comment;
    auto bad = [&](const Twine &why) { return refuse(file, "parameter '" + shown(name) + "' " + why); };
    if (read16le(entry + 10) != 0)
      return fail(Exit::Unsupported, "parameter '" + shown(name) + "' is compressed", file,
                  "save with numpy.savez, not savez_compressed: weights are used where they lie");
    if (size == UINT32_MAX || local == UINT32_MAX)
      return fail(Exit::Unsupported, "parameter '" + shown(name) + "' lies beyond 4 GiB", file,
                  "save large models as safetensors");
    if (local > bytes.size() || bytes.size() - local < 30 || read32le(&bytes[local]) != 0x04034b50)
      return bad("is damaged");
    uint64_t data = local + 30 + read16le(&bytes[local + 26]) + read16le(&bytes[local + 28]);
    if (data > bytes.size() || bytes.size() - data < size || size < 12)
      return bad("is cut off");
    ArrayRef<uint8_t> array = bytes.slice(data, size);
    bool isNew = array[6] >= 2;
    if (textOf(array.take_front(6)) != "\x93NUMPY")
      return bad("is no npy array");
    uint64_t start = isNew ? 12 : 10, length = isNew ? read32le(&array[8]) : read16le(&array[8]);
    if (length > size - start)
      return bad("is cut off");
    StringRef header = textOf(array.slice(start, length));
    Parameter parameter;
    parameter.name = name.ends_with(".npy") ? name.drop_back(4).str() : name.str();
    StringRef type = npyField(header, "descr").trim("'\"");
    parameter.element = typeNamed(type, context);
    if (!parameter.element) {
      others[parameter.name] = type.empty() ? "none" : type.str();
      continue;
    }
    if (npyField(header, "fortran_order") != "False")
      return bad("is stored in Fortran order; it must be in C order, so copy it with numpy.ascontiguousarray");
    SmallVector<StringRef> dims;
    npyField(header, "shape").trim("()").split(dims, ',', -1, /*KeepEmpty=*/false);
    for (StringRef dim : dims)
      if (!dim.trim().empty() && dim.trim().getAsInteger(10, parameter.dims.emplace_back()))
        return bad("has a size that is no number");
    parameter.file = file.str();
    parameter.offset = data + start + length;
    parameter.length = size - start - length;
    if (Error error = add(std::move(parameter), bytes.size()))
      return error;
  }
  return Error::success();
}

Error Parameters::readNames(StringRef path) {
  auto buffer = MemoryBuffer::getFile(path);
  if (!buffer)
    return fail(Exit::Files, "cannot read: " + buffer.getError().message(), path, "check the name and its permissions");
  Json names;
  std::string why;
  StringRef text = (*buffer)->getBuffer();
  if (!parseStrictJson({text.data(), text.size()}, "list of names", names, why))
    return refuse(path, why);
  const Json *list = &names;
  if (names.is_object() && names.contains("arguments"))
    list = &names["arguments"];
  if (!list->is_array())
    return refuse(path, "holds no list of names; it must be a JSON list, or an object with the list 'arguments'");
  for (const Json &name : *list) {
    if (!name.is_string() && !name.is_null())
      return refuse(path, "has an element that is no name; write null for an argument that stays an input");
    order.push_back(name.is_null() ? std::string() : name.get<std::string>());
  }
  return Error::success();
}

} // namespace whit
