// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The header is an object of {"name": {"dtype": "U8", "shape": [n], "data_offsets": [begin, end]}}, offsets counted
// from the header's end.
#include "runtime/trust/Safetensors.h"

#include "runtime/trust/StrictJson.h"
#include "whit/Artifact.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>

namespace whit {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr char kMetadata[] = "__metadata__";

bool refuse(std::string *why, std::string text) {
  if (why)
    *why = "weights header: " + std::move(text);
  return false;
}

/// A non-negative integer, or nothing.
std::optional<uint64_t> unsignedOf(const Json &value) {
  if (!value.is_number_unsigned())
    return std::nullopt;
  return value.get<uint64_t>();
}

bool readTensor(const std::string &name, const Json &entry, uint64_t dataBytes, StoredTensor &tensor,
                std::string *why) {
  std::string shown = "tensor '" + name.substr(0, 120) + "' ";
  if (name.empty() || int64_t(name.size()) > kMaxNameBytes)
    return refuse(why, shown + "has a name of " + std::to_string(name.size()) + " bytes; from 1 to " +
                           std::to_string(kMaxNameBytes) + " are allowed");
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets"))
    return refuse(why, shown + "must have dtype, shape and data_offsets");
  if (entry["dtype"] != "U8")
    return refuse(why, shown + "has dtype " + printLine(entry["dtype"]).substr(0, 40) + "; U8 is required");
  const Json &shape = entry["shape"], &range = entry["data_offsets"];
  if (!shape.is_array() || shape.size() != 1 || !range.is_array() || range.size() != 2)
    return refuse(why, shown + "must have a shape of rank 1 and two data_offsets");
  auto size = unsignedOf(shape[0]), begin = unsignedOf(range[0]), end = unsignedOf(range[1]);
  if (!size || !begin || !end || *end < *begin || *end > dataBytes || *end - *begin != *size)
    return refuse(why, shown + "has shape " + printLine(shape).substr(0, 40) + " and data_offsets " +
                           printLine(range).substr(0, 60) + "; they must agree and lie within " +
                           std::to_string(dataBytes) + " bytes of data");
  tensor = {name, *begin, *size};
  return true;
}

} // namespace

uint64_t paddedBytes(uint64_t bytes) { return (bytes + kWeightsAlignment - 1) / kWeightsAlignment * kWeightsAlignment; }

std::string writeSafetensorsHeader(std::vector<StoredTensor> &tensors) {
  std::string text = "{\"__metadata__\":{\"format\":\"whit\"}";
  uint64_t offset = 0;
  for (StoredTensor &tensor : tensors) {
    uint64_t padded = paddedBytes(tensor.size);
    tensor.offset = offset;
    text += "," + printLine(Json(tensor.name)) + ":{\"dtype\":\"U8\",\"shape\":[" + std::to_string(padded) +
            "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(offset + padded) + "]}";
    offset += padded;
  }
  text += "}";
  text.resize(paddedBytes(8 + text.size()) - 8, ' ');
  uint64_t length = text.size();
  for (StoredTensor &tensor : tensors)
    tensor.offset += 8 + length;
  std::string header(8, '\0');
  std::memcpy(header.data(), &length, 8);
  return header + text;
}

bool readSafetensorsHeader(std::span<const uint8_t> bytes, uint64_t fileBytes, std::vector<StoredTensor> &tensors,
                           std::string *why) {
  if (fileBytes < 8 || bytes.size() < 8)
    return refuse(why, "the file has " + std::to_string(fileBytes) + " bytes; at least 8 are required");
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  if (length > kMaxHeaderBytes || length > fileBytes - 8 || length > bytes.size() - 8)
    return refuse(why, "byte 0: the header has " + std::to_string(length) + " bytes; at most " +
                           std::to_string(std::min<uint64_t>(kMaxHeaderBytes, fileBytes - 8)) + " are possible");
  if ((8 + length) % kWeightsAlignment != 0)
    return refuse(why, "byte 0: the data starts at byte " + std::to_string(8 + length) + "; a multiple of " +
                           std::to_string(kWeightsAlignment) + " is required");
  Json document;
  std::string reason;
  if (!parseStrictJson({reinterpret_cast<const char *>(bytes.data()) + 8, length}, "weights header", document,
                       reason)) {
    if (why)
      *why = reason;
    return false;
  }
  if (!document.is_object())
    return refuse(why, "byte 8: must be an object");
  uint64_t dataBytes = fileBytes - 8 - length;
  std::vector<StoredTensor> found;
  for (const auto &[name, entry] : document.items()) {
    if (name == kMetadata)
      continue;
    StoredTensor tensor;
    if (!readTensor(name, entry, dataBytes, tensor, why))
      return false;
    found.push_back(std::move(tensor));
  }
  std::sort(found.begin(), found.end(), [](const StoredTensor &a, const StoredTensor &b) {
    return std::tie(a.offset, a.size) < std::tie(b.offset, b.size);
  });
  uint64_t expected = 0;
  for (StoredTensor &tensor : found) {
    if (tensor.offset != expected)
      return refuse(why, "tensor '" + tensor.name.substr(0, 120) + "' starts at byte " + std::to_string(tensor.offset) +
                             " of the data; " + std::to_string(expected) +
                             " is required, tensors leave no holes and do not overlap");
    if (tensor.size % kWeightsAlignment != 0)
      return refuse(why, "tensor '" + tensor.name.substr(0, 120) + "' has " + std::to_string(tensor.size) +
                             " bytes; a multiple of " + std::to_string(kWeightsAlignment) + " is required");
    expected += tensor.size;
    tensor.offset += 8 + length;
  }
  if (expected != dataBytes)
    return refuse(why, std::to_string(dataBytes) + " bytes of data for tensors of " + std::to_string(expected) +
                           "; the file may be truncated");
  tensors = std::move(found);
  return true;
}

} // namespace whit
