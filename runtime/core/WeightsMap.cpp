// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Sizes are compared before mapping, hashes before reading.
#include "runtime/core/WeightsMap.h"

#include <algorithm>
#include <cstring>

namespace whit {

whit_status WeightsMap::open(const CodeImage &image) {
  const Weights &weights = image.manifest.weights;
  chunkBytes = weights.chunk;
  for (const std::string &text : weights.chunks)
    fromHex(text, chunks.emplace_back()); // the manifest's reader has checked the form
  verified = std::make_unique<std::atomic<uint8_t>[]>(chunks.size());
  if (weights.bytes == 0)
    return WHIT_OK;

  if (image.weightsBytes) {
    path = image.path;
    if (whit_status status = FileMap::map(image.original, image.weightsOffset, image.weightsBytes, path, map))
      return status;
  } else {
    size_t slash = image.path.rfind('/');
    path = (slash == std::string::npos ? "" : image.path.substr(0, slash + 1)) + weights.file;
    uint64_t size;
    if (whit_status status = File::open(path, file, size))
      return status;
    if (int64_t(size) != weights.bytes)
      return fail(WHIT_REFUSED, "weights '%.*s' have %llu bytes; %lld are required by '%.*s'; copy both files again",
                  WHIT_NAME(path), (unsigned long long)size, (long long)weights.bytes, WHIT_NAME(image.path));
    if (whit_status status = FileMap::map(file, 0, size, path, map))
      return status;
  }

  // The header is read only after the chunks that hold it are known to be whole.
  uint64_t length = 0;
  int64_t headerEnd = 8;
  for (int round = 0; round < 2; ++round) {
    for (int64_t i = 0; i * chunkBytes < std::min(headerEnd, weights.bytes); ++i)
      if (!verifyChunk(i))
        return badChunk(i);
    if (map.bytes().size() >= 8)
      std::memcpy(&length, map.bytes().data(), 8);
    headerEnd = length < uint64_t(weights.bytes) ? int64_t(length) + 8 : 8;
  }
  std::string why;
  if (!readSafetensorsHeader(map.bytes(), uint64_t(weights.bytes), tensors, &why))
    return fail(WHIT_REFUSED, "weights '%.*s' are damaged: %s", WHIT_NAME(path), why.c_str());
  std::sort(tensors.begin(), tensors.end(),
            [](const StoredTensor &a, const StoredTensor &b) { return a.name < b.name; });
  return WHIT_OK;
}

whit_status WeightsMap::find(const std::string &name, int64_t bytes, const uint8_t **data) const {
  auto found =
      std::lower_bound(tensors.begin(), tensors.end(), name,
                       [](const StoredTensor &tensor, const std::string &wanted) { return tensor.name < wanted; });
  if (found == tensors.end() || found->name != name)
    return fail(WHIT_REFUSED, "weights '%.*s' have no tensor '%.*s'", WHIT_NAME(path), WHIT_NAME(name));
  if (found->size != paddedBytes(uint64_t(bytes)))
    return fail(WHIT_REFUSED, "tensor '%.*s' of weights '%.*s' has %llu bytes; %llu are required", WHIT_NAME(name),
                WHIT_NAME(path), (unsigned long long)found->size, (unsigned long long)paddedBytes(uint64_t(bytes)));
  *data = map.bytes().data() + found->offset;
  return WHIT_OK;
}

bool WeightsMap::verifyChunk(int64_t index) const {
  if (verified[index].load(std::memory_order_acquire))
    return true;
  std::span<const uint8_t> bytes = map.bytes().subspan(size_t(index * chunkBytes));
  if (sha256(bytes.first(std::min(bytes.size(), size_t(chunkBytes)))) != chunks[index])
    return false;
  verified[index].store(1, std::memory_order_release);
  return true;
}

whit_status WeightsMap::badChunk(int64_t index) const {
  return fail(WHIT_REFUSED, "weights '%.*s' are damaged between bytes %lld and %lld; copy or compile them again",
              WHIT_NAME(path), (long long)(index * chunkBytes),
              (long long)std::min<int64_t>((index + 1) * chunkBytes, int64_t(map.bytes().size())));
}

whit_status WeightsMap::verify(ThreadPool *pool) {
  if (allVerified.load(std::memory_order_acquire))
    return WHIT_OK;
  struct Task {
    const WeightsMap *self;
    std::atomic<int64_t> bad;
  } task{this, int64_t(chunks.size())};
  auto body = [](void *captured, int64_t begin, int64_t end) {
    Task &task = *static_cast<Task *>(captured);
    for (int64_t i = begin; i < end; ++i) {
      if (task.self->verifyChunk(i))
        continue;
      int64_t lowest = task.bad.load();
      while (i < lowest && !task.bad.compare_exchange_weak(lowest, i))
        ;
    }
  };
  if (pool)
    pool->parallel(body, &task, int64_t(chunks.size()));
  else
    body(&task, 0, int64_t(chunks.size()));
  if (task.bad.load() < int64_t(chunks.size()))
    return badChunk(task.bad.load());
  allVerified.store(true, std::memory_order_release);
  return WHIT_OK;
}

} // namespace whit
