// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A cursor that cannot leave the file, and the header read with it from front to end.

#include "Import/Gguf.h"

#include "runtime/encoding/GgufSource.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/JSON.h"

using namespace llvm;

namespace whit {
namespace {

constexpr uint64_t kMaxEntries = 1 << 20, kMaxName = 4096, kMaxAlignment = 1 << 20;
constexpr uint32_t kMaxRank = 4; ///< of ggml
constexpr int64_t kMaxDim = int64_t(1) << 40;

enum ValueType : uint32_t { String = 8, Array = 9 };
/// Bytes of a value by its type; 0 for strings and arrays.
constexpr uint8_t kValueBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class Header {
public:
  Header(StringRef name, ArrayRef<uint8_t> bytes) : bytes(bytes) { file.name = name.str(); }

  Error read() {
    if (bytes.size() < 4 || StringRef(reinterpret_cast<const char *>(bytes.data()), 4) != "GGUF")
      return refuse("is no GGUF file: it does not start with GGUF");
    at = 4;
    uint32_t version = number<uint32_t>();
    uint64_t tensors = number<uint64_t>(), values = number<uint64_t>();
    if (cut)
      return refuse("is cut off in its header");
    if (version != 2 && version != 3)
      return fail(Exit::Unsupported, "has version " + Twine(version) + " of GGUF; 2 and 3 are supported", file.name,
                  version > 0xffff ? "big-endian files are not read; convert the model for little-endian machines"
                                   : "convert the model with a newer llama.cpp");
    if (tensors > kMaxEntries || values > kMaxEntries)
      return refuse("has " + Twine(tensors) + " tensors and " + Twine(values) + " values of metadata; at most " +
                    Twine(kMaxEntries) + " are read");
    for (uint64_t i = 0; i < values; ++i)
      if (Error error = readValue())
        return error;
    for (uint64_t i = 0; i < tensors; ++i)
      if (Error error = readTensor())
        return error;
    return placeTensors();
  }

  GgufFile file;

private:
  Error refuse(const Twine &message) const { return fail(Exit::Invalid, message, file.name); }
  Error refuse(StringRef tensor, const Twine &message) const {
    return refuse("tensor '" + shown(tensor) + "' " + message);
  }

  template <typename T> T number() {
    if (cut || bytes.size() - at < sizeof(T)) {
      cut = true;
      return 0;
    }
    T value = support::endian::read<T, endianness::little>(bytes.data() + at);
    at += sizeof(T);
    return value;
  }

  StringRef text() {
    uint64_t length = number<uint64_t>();
    if (cut || length > bytes.size() - at) {
      cut = true;
      return "";
    }
    StringRef value(reinterpret_cast<const char *>(bytes.data()) + at, length);
    at += length;
    return value;
  }

  bool isName(StringRef name) const {
    return !name.empty() && name.size() <= kMaxName && !name.contains('\0') && json::isUTF8(name);
  }

  /// Steps over `count` values of one type.
  void skip(uint32_t type, uint64_t count) {
    if (type == String) {
      for (uint64_t i = 0; i < count && !cut; ++i)
        text();
      return;
    }
    if (type >= std::size(kValueBytes) || !kValueBytes[type] || count > (bytes.size() - at) / kValueBytes[type])
      cut = true;
    else
      at += count * kValueBytes[type];
  }

  Error readValue() {
    StringRef key = text();
    uint32_t type = number<uint32_t>();
    if (cut || !isName(key))
      return refuse("has metadata that is cut off or has no name");
    if (type == String) {
      StringRef value = text();
      if (key == "general.architecture")
        file.architecture = value.str();
    } else if (type == Array) {
      uint32_t element = number<uint32_t>();
      uint64_t count = number<uint64_t>();
      if (!cut)
        skip(element, count);
    } else if (type == 0 || type == 2 || type == 4 || type == 10) {
      uint64_t value = type == 0   ? number<uint8_t>()
                       : type == 2 ? number<uint16_t>()
                       : type == 4 ? number<uint32_t>()
                                   : number<uint64_t>();
      file.numbers[key] = value;
    } else {
      skip(type, 1);
    }
    return cut ? refuse("has metadata '" + shown(key) + "' that is cut off or of a type that is not read")
               : Error::success();
  }

  Error readTensor() {
    StringRef name = text();
    uint32_t rank = number<uint32_t>();
    if (cut || !isName(name))
      return refuse("has a list of tensors that is cut off or a tensor without a name");
    if (rank < 1 || rank > kMaxRank)
      return refuse(name, "has rank " + Twine(rank) + "; it must be from 1 to " + Twine(kMaxRank));
    GgufTensor tensor;
    uint64_t elements = 1;
    for (uint32_t i = 0; i < rank; ++i) {
      uint64_t dim = number<uint64_t>();
      if (dim < 1 || dim > uint64_t(kMaxDim) || __builtin_mul_overflow(elements, dim, &elements))
        return refuse(name, "has a size of " + Twine(dim) + "; it must be from 1 to 2^40, and all together below 2^64");
      tensor.dims.insert(tensor.dims.begin(), dim);
    }
    uint32_t type = number<uint32_t>();
    tensor.offset = number<uint64_t>();
    if (cut)
      return refuse(name, "is cut off");
    tensor.type = int32_t(std::min<uint32_t>(type, INT32_MAX));
    if (std::optional<GgufBlock> block = blockOfGguf(tensor.type)) {
      if (tensor.dims.back() % block->elements)
        return refuse(name, "has rows of " + Twine(tensor.dims.back()) + " elements; its type, " + Twine(type) +
                                ", needs a multiple of " + Twine(block->elements));
      if (__builtin_mul_overflow(elements / block->elements, uint64_t(block->bytes), &tensor.length))
        return refuse(name, "has more than 2^64 bytes");
    }
    if (!file.tensors.insert({name, std::move(tensor)}).second)
      return refuse(name, "is in the file twice");
    return Error::success();
  }

  /// Offsets count from the first aligned byte behind the header.
  Error placeTensors() {
    auto given = file.numbers.find("general.alignment");
    uint64_t alignment = given == file.numbers.end() ? 32 : given->second;
    if (alignment < 1 || alignment > kMaxAlignment || (alignment & (alignment - 1)))
      return refuse("has the alignment " + Twine(alignment) + "; it must be a power of two of at most 2^20");
    uint64_t begin = (at + alignment - 1) & ~(alignment - 1);
    SmallVector<std::pair<uint64_t, uint64_t>> ranges;
    for (auto &[name, tensor] : file.tensors) {
      if (tensor.offset % alignment)
        return refuse(name, "lies at byte " + Twine(tensor.offset) + ", which is no multiple of the alignment, " +
                                Twine(alignment));
      if (begin > bytes.size() || tensor.offset > bytes.size() - begin ||
          tensor.length > bytes.size() - begin - tensor.offset)
        return refuse(name, "lies at byte " + Twine(tensor.offset) + " of the data and has " + Twine(tensor.length) +
                                " bytes; the file ends before");
      tensor.offset += begin;
      ranges.emplace_back(tensor.offset, tensor.offset + tensor.length);
    }
    sort(ranges);
    for (size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].first < ranges[i - 1].second)
        return refuse("has tensors that overlap at byte " + Twine(ranges[i].first));
    return Error::success();
  }

  ArrayRef<uint8_t> bytes;
  uint64_t at = 0;
  bool cut = false; ///< something was read that the file does not have
};

} // namespace

Expected<GgufFile> readGgufFile(StringRef name, ArrayRef<uint8_t> bytes) {
  Header header(name, bytes);
  if (Error error = header.read())
    return std::move(error);
  return std::move(header.file);
}

} // namespace whit
