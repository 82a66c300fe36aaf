// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two small formats: a text header in front of raw bytes, and the directory of a zip archive (PKWARE APPNOTE 6.3;
// methods 0 and 8).
#include "runtime/tool/Npz.h"

#include "runtime/core/Memory.h"
#include "runtime/trust/Manifest.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <set>
#include <unistd.h>

namespace whit {
namespace {

constexpr size_t kMaxEntries = 65535;

using Bytes = std::span<const uint8_t>;

struct ElementRow {
  ElementType type;
  std::string_view npy;
};

constexpr ElementRow kRows[] = {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors) {ElementType::Name, npy},
#include "whit/ElementTypes.def"
};

whit_status damaged(const std::string &where, const std::string &why) {
  return fail(WHIT_INVALID, "%.*s: %s", WHIT_NAME(where), why.c_str());
}

template <typename Number> Number numberAt(Bytes bytes, size_t offset) {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

/// The text behind "'key':" in the header's dictionary, leading spaces removed; empty if the key is missing.
std::string_view valueOf(std::string_view header, std::string_view key) {
  for (char quote : {'\'', '"'}) {
    std::string wanted = quote + std::string(key) + quote;
    size_t found = header.find(wanted);
    if (found == header.npos)
      continue;
    std::string_view rest = header.substr(found + wanted.size());
    size_t start = rest.find_first_not_of(": ");
    return start == rest.npos ? std::string_view() : rest.substr(start);
  }
  return {};
}

bool readShape(std::string_view text, std::vector<int64_t> &dims) {
  if (!text.starts_with('('))
    return false;
  const char *at = text.data() + 1, *end = text.data() + text.size();
  while (at < end) {
    if (*at == ')')
      return dims.size() <= size_t(kMaxRank);
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    int64_t value;
    auto [next, error] = std::from_chars(at, end, value);
    if (error != std::errc() || value < 0 || value > kMaxDimension)
      return false;
    dims.push_back(value);
    at = next < end && *next == 'L' ? next + 1 : next;
  }
  return false;
}

/// Column-major data to row-major.
void transpose(const std::vector<int64_t> &dims, int64_t size, Bytes from, std::vector<uint8_t> &to) {
  int64_t count = int64_t(from.size()) / size;
  std::vector<int64_t> index(dims.size());
  for (int64_t i = 0; i < count; ++i) { // i walks the source: the first index runs fastest
    int64_t row = 0;
    for (size_t d = 0; d < dims.size(); ++d)
      row = row * dims[d] + index[d];
    std::memcpy(&to[size_t(row * size)], from.data() + i * size, size_t(size));
    for (size_t d = 0; d < dims.size() && ++index[d] == dims[d]; ++d)
      index[d] = 0;
  }
}

/// Reads an .npy from bytes; `where` names it in messages.
whit_status parseNpy(Bytes bytes, const std::string &where, Array &array) {
  if (bytes.size() < 10 || std::memcmp(bytes.data(), "\x93NUMPY", 6) != 0)
    return damaged(where, "byte 0: not an .npy array");
  uint8_t major = bytes[6];
  if (major < 1 || major > 3)
    return damaged(where, "byte 6: version " + std::to_string(major) + " of .npy; 1 to 3 are known");
  size_t prefix = major == 1 ? 10 : 12;
  if (bytes.size() < prefix)
    return damaged(where, "the header is cut off");
  size_t length = major == 1 ? numberAt<uint16_t>(bytes, 8) : numberAt<uint32_t>(bytes, 8);
  if (length > bytes.size() - prefix)
    return damaged(where, "byte 8: the header has " + std::to_string(length) + " bytes; " +
                              std::to_string(bytes.size() - prefix) + " are there");
  std::string_view header(reinterpret_cast<const char *>(bytes.data()) + prefix, length);

  std::string_view descr = valueOf(header, "descr");
  std::string_view text = descr.size() > 4 ? descr.substr(1, 3) : std::string_view();
  bool known = false;
  for (const ElementRow &row : kRows) {
    if (row.npy == text && (descr[4] == '\'' || descr[4] == '"')) {
      array.type = row.type;
      known = true;
      break; // BF16 is the first and only row of its spelling
    }
  }
  if (!known)
    return damaged(where, "the array's dtype is " +
                              std::string(descr.substr(0, std::min<size_t>(descr.find(','), 40))) +
                              "; f2 f4 f8 i1 i2 i4 i8 u1 u4 u8 b1, little-endian, and u2 for bf16 and u16 are read; "
                              "convert it with astype");
  array.dims.clear();
  if (!readShape(valueOf(header, "shape"), array.dims))
    return damaged(where,
                   "the array's shape is unreadable, of rank over " + std::to_string(kMaxRank) + " or out of range");
  std::string_view order = valueOf(header, "fortran_order");
  if (!order.starts_with("False") && !order.starts_with("True"))
    return damaged(where, "the array's fortran_order is neither True nor False");

  int64_t size = elementBytes(array.type);
  __int128 needed = size;
  for (int64_t dim : array.dims)
    needed = needed > INT64_MAX ? needed : needed * dim;
  Bytes data = bytes.subspan(prefix + length);
  if (needed != __int128(data.size()))
    return damaged(where, "the array's shape needs " +
                              (needed > INT64_MAX ? std::string("over 2^63") : std::to_string(int64_t(needed))) +
                              " bytes; " + std::to_string(data.size()) + " are there");
  array.data.assign(data.begin(), data.end());
  if (order.starts_with("True") && array.dims.size() > 1 && !data.empty())
    transpose(array.dims, size, data, array.data);
  return WHIT_OK;
}

struct ZipEntry {
  std::string name;
  uint16_t method;
  uint32_t crc;
  uint64_t packed, unpacked, offset;
};

/// Replaces 32-bit fields that are all ones by the 64-bit ones of the extra field, in the order of the standard.
bool readZip64(Bytes extra, ZipEntry &entry) {
  uint64_t *fields[] = {&entry.unpacked, &entry.packed, &entry.offset};
  while (extra.size() >= 4) {
    uint16_t id = numberAt<uint16_t>(extra, 0), size = numberAt<uint16_t>(extra, 2);
    if (size > extra.size() - 4)
      return false;
    if (id == 1) {
      Bytes body = extra.subspan(4, size);
      for (uint64_t *field : fields) {
        if (*field != UINT32_MAX)
          continue;
        if (body.size() < 8)
          return false;
        *field = numberAt<uint64_t>(body, 0);
        body = body.subspan(8);
      }
    }
    extra = extra.subspan(4 + size);
  }
  return true;
}

whit_status readDirectory(Bytes zip, const std::string &path, std::vector<ZipEntry> &entries) {
  constexpr size_t endBytes = 22;
  if (zip.size() < endBytes)
    return damaged(path, "not an .npz archive: " + std::to_string(zip.size()) + " bytes");
  size_t end = zip.size() - endBytes, lowest = end > UINT16_MAX ? end - UINT16_MAX : 0;
  while (numberAt<uint32_t>(zip, end) != 0x06054b50) {
    if (end == lowest)
      return damaged(path, "not an .npz archive, or cut off: the end of its directory is missing");
    --end;
  }
  uint64_t count = numberAt<uint16_t>(zip, end + 10), at = numberAt<uint32_t>(zip, end + 16);
  if (count == UINT16_MAX || at == UINT32_MAX)
    return damaged(path, "the archive's directory is beyond 4 GiB or 65534 arrays; split it");
  for (uint64_t i = 0; i < count && i < kMaxEntries; ++i) {
    if (at > zip.size() || zip.size() - at < 46 || numberAt<uint32_t>(zip, at) != 0x02014b50)
      return damaged(path, "byte " + std::to_string(at) + ": entry " + std::to_string(i) +
                               " of the archive's directory is damaged");
    uint16_t flags = numberAt<uint16_t>(zip, at + 8), nameBytes = numberAt<uint16_t>(zip, at + 28),
             extraBytes = numberAt<uint16_t>(zip, at + 30), commentBytes = numberAt<uint16_t>(zip, at + 32);
    if (zip.size() - at - 46 < size_t(nameBytes) + extraBytes + commentBytes)
      return damaged(path, "byte " + std::to_string(at) + ": entry " + std::to_string(i) +
                               " of the archive's directory is cut off");
    ZipEntry entry;
    entry.name.assign(reinterpret_cast<const char *>(zip.data()) + at + 46, nameBytes);
    entry.method = numberAt<uint16_t>(zip, at + 10);
    entry.crc = numberAt<uint32_t>(zip, at + 16);
    entry.packed = numberAt<uint32_t>(zip, at + 20);
    entry.unpacked = numberAt<uint32_t>(zip, at + 24);
    entry.offset = numberAt<uint32_t>(zip, at + 42);
    if ((flags & 1) || !readZip64(zip.subspan(at + 46 + nameBytes, extraBytes), entry))
      return damaged(path, "entry '" + entry.name.substr(0, 120) + "' of the archive is encrypted or damaged");
    entries.push_back(std::move(entry));
    at += 46 + uint64_t(nameBytes) + extraBytes + commentBytes;
  }
  return WHIT_OK;
}

/// The bytes of an entry, unpacked into `storage` if they are compressed.
whit_status readEntry(Bytes zip, const ZipEntry &entry, const std::string &where, std::vector<uint8_t> &storage,
                      Bytes &content) {
  if (entry.offset > zip.size() || zip.size() - entry.offset < 30 ||
      numberAt<uint32_t>(zip, entry.offset) != 0x04034b50)
    return damaged(where, "byte " + std::to_string(entry.offset) + ": no archive entry is there");
  uint64_t begin =
      entry.offset + 30 + numberAt<uint16_t>(zip, entry.offset + 26) + numberAt<uint16_t>(zip, entry.offset + 28);
  if (begin > zip.size() || entry.packed > zip.size() - begin)
    return damaged(where, "byte " + std::to_string(begin) + ": " + std::to_string(entry.packed) +
                              " bytes are required; the archive is cut off");
  Bytes packed = zip.subspan(begin, entry.packed);
  if (entry.method == 0) {
    if (entry.packed != entry.unpacked)
      return damaged(where, "the entry's two sizes differ");
    content = packed;
  } else if (entry.method == 8) {
    // Deflate cannot expand more than 1032 times: a larger claim is refused before memory is taken.
    if (entry.unpacked / 1032 > entry.packed + 1 || entry.unpacked > UINT32_MAX || entry.packed > UINT32_MAX)
      return damaged(where, "the entry claims " + std::to_string(entry.unpacked) + " bytes from " +
                                std::to_string(entry.packed));
    storage.resize(entry.unpacked);
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
      return fail(WHIT_LIMIT, "out of memory");
    stream.next_in = const_cast<Bytef *>(packed.data());
    stream.avail_in = uInt(packed.size());
    stream.next_out = storage.data();
    stream.avail_out = uInt(storage.size());
    int result = inflate(&stream, Z_FINISH);
    bool whole = result == Z_STREAM_END && stream.avail_out == 0;
    inflateEnd(&stream);
    if (!whole)
      return damaged(where, "the compressed bytes are damaged");
    content = storage;
  } else {
    return damaged(where,
                   "compression method " + std::to_string(entry.method) + "; stored and deflated entries are read");
  }
  if (crc32_z(0, content.data(), content.size()) != entry.crc)
    return damaged(where, "the checksum does not match");
  return WHIT_OK;
}

whit_status mapFile(const std::string &path, FileMap &map) {
  File file;
  uint64_t size;
  if (whit_status status = File::open(path, file, size))
    return status;
  return FileMap::map(file, 0, size, path, map);
}

// ---- Writing ----

template <typename Number> void put(std::string &text, Number number) {
  text.append(reinterpret_cast<const char *>(&number), sizeof number);
}

std::string npyHeader(const ArrayView &array) {
  std::string_view npy;
  for (const ElementRow &row : kRows)
    if (row.type == array.type)
      npy = row.npy;
  std::string text = "{'descr': '" + std::string(npy) + "', 'fortran_order': False, 'shape': (";
  for (int64_t dim : array.dims)
    text += std::to_string(dim) + ",";
  text += "), }";
  text.resize((10 + text.size() + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  put(header, uint16_t(text.size()));
  return header + text;
}

struct Written {
  std::string name;
  uint32_t crc, size, offset;
};

std::string zipFields(const Written &entry) {
  std::string text;
  put(text, uint16_t(20));         // version needed
  put(text, uint16_t(1 << 11));    // names are UTF-8
  put(text, uint16_t(0));          // stored
  put(text, uint32_t(0x00210000)); // 1980-01-01 00:00
  put(text, entry.crc);
  put(text, entry.size);
  put(text, entry.size);
  put(text, uint16_t(entry.name.size()));
  put(text, uint16_t(0));
  return text;
}

whit_status writeEntries(FILE *file, const std::string &path, const std::vector<ArrayView> &arrays) {
  std::vector<Written> written;
  uint64_t offset = 0;
  auto emit = [&](const void *data, size_t size) {
    offset += size;
    return size == 0 || std::fwrite(data, 1, size, file) == size;
  };
  for (const ArrayView &array : arrays) {
    std::string header = npyHeader(array);
    uint64_t bytes = uint64_t(elementBytes(array.type));
    for (int64_t dim : array.dims)
      bytes *= uint64_t(dim);
    if (bytes + header.size() + offset > UINT32_MAX - (1 << 20))
      return fail(WHIT_LIMIT, "'%.*s' would grow over 4 GiB at output '%.*s'; ask for fewer outputs", WHIT_NAME(path),
                  WHIT_NAME(array.name));
    Written entry{array.name + ".npy", 0, uint32_t(bytes + header.size()), uint32_t(offset)};
    uLong crc = crc32_z(0, reinterpret_cast<const Bytef *>(header.data()), header.size());
    entry.crc = uint32_t(bytes ? crc32_z(crc, static_cast<const Bytef *>(array.data), bytes)
                               : crc); // zlib takes NULL for a reset
    std::string local;
    put(local, uint32_t(0x04034b50));
    local += zipFields(entry) + entry.name + header;
    if (!emit(local.data(), local.size()) || !emit(array.data, bytes))
      return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
    written.push_back(std::move(entry));
  }
  uint32_t directory = uint32_t(offset);
  for (const Written &entry : written) {
    std::string central;
    put(central, uint32_t(0x02014b50));
    put(central, uint16_t(20));
    central += zipFields(entry);
    put(central, uint16_t(0)); // comment, disk, attributes
    put(central, uint16_t(0));
    put(central, uint16_t(0));
    put(central, uint32_t(0));
    put(central, entry.offset);
    central += entry.name;
    if (!emit(central.data(), central.size()))
      return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  }
  std::string end;
  put(end, uint32_t(0x06054b50));
  put(end, uint32_t(0));
  put(end, uint16_t(written.size()));
  put(end, uint16_t(written.size()));
  put(end, uint32_t(offset - directory));
  put(end, directory);
  put(end, uint16_t(0));
  if (!emit(end.data(), end.size()) || std::fflush(file) != 0)
    return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  return WHIT_OK;
}

} // namespace

int64_t Array::count() const {
  int64_t result = 1;
  for (int64_t dim : dims)
    result *= dim;
  return result;
}

whit_status readNpy(const std::string &path, Array &array) {
  FileMap map;
  if (whit_status status = mapFile(path, map))
    return status;
  return parseNpy(map.bytes(), path, array);
}

whit_status readNpz(const std::string &path, std::vector<Array> &arrays) {
  FileMap map;
  std::vector<ZipEntry> entries;
  if (whit_status status = mapFile(path, map))
    return status;
  if (whit_status status = readDirectory(map.bytes(), path, entries))
    return status;
  std::set<std::string> names;
  for (const ZipEntry &entry : entries) {
    std::string where = path + ": " + entry.name;
    std::vector<uint8_t> storage;
    Bytes content;
    if (!entry.name.ends_with(".npy") || !names.insert(entry.name).second)
      return damaged(where, "each entry of the archive must be an .npy array of its own name");
    if (whit_status status = readEntry(map.bytes(), entry, where, storage, content))
      return status;
    Array array;
    array.name = entry.name.substr(0, entry.name.size() - 4);
    if (whit_status status = parseNpy(content, where, array))
      return status;
    arrays.push_back(std::move(array));
  }
  return WHIT_OK;
}

whit_status writeNpz(const std::string &path, const std::vector<ArrayView> &arrays) {
  std::string partial = path + ".partial" + std::to_string(getpid());
  FILE *file = std::fopen(partial.c_str(), "wb");
  if (!file)
    return fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(errno));
  whit_status status = writeEntries(file, path, arrays);
  bool synced = status == WHIT_OK && fsync(fileno(file)) == 0;
  int error = errno;
  if ((std::fclose(file) != 0 || !synced || std::rename(partial.c_str(), path.c_str()) != 0) && status == WHIT_OK)
    status = fail(WHIT_IO, "cannot write '%.*s': %s", WHIT_NAME(path), std::strerror(synced ? errno : error));
  if (status != WHIT_OK)
    std::remove(partial.c_str());
  return status;
}

} // namespace whit
