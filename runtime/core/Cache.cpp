// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Element by element for the blocked layout, rows of tokens at once for the plain one.
#include "runtime/core/Cache.h"

#include <cstring>

namespace whit {
namespace {

/// Calls copy(index in the cache, index in the tensor) for every element.
template <typename Copy> void walkBlocks(const CacheShape &shape, int64_t tokens, Copy copy) {
  int64_t blocks = (shape.capacity + 15) / 16;
  for (int64_t head = 0; head < shape.batch * shape.heads; ++head)
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t d = 0; d < shape.depth; ++d)
        copy(((head * blocks + t / 16) * shape.depth + d) * 16 + t % 16, (head * tokens + t) * shape.depth + d);
}

template <typename Element>
void exportBlocks(const CacheShape &shape, const void *cache, int64_t tokens, void *tensor) {
  walkBlocks(shape, tokens, [&](int64_t inCache, int64_t inTensor) {
    static_cast<Element *>(tensor)[inTensor] = static_cast<const Element *>(cache)[inCache];
  });
}

template <typename Element>
void importBlocks(const CacheShape &shape, void *cache, int64_t tokens, const void *tensor) {
  walkBlocks(shape, tokens, [&](int64_t inCache, int64_t inTensor) {
    static_cast<Element *>(cache)[inCache] = static_cast<const Element *>(tensor)[inTensor];
  });
}

} // namespace

void exportCache(const CacheShape &shape, const void *cache, int64_t tokens, void *tensor) {
  if (shape.layout == StateLayout::BHTD) {
    int64_t row = shape.depth * shape.elementBytes;
    for (int64_t head = 0; tokens > 0 && head < shape.batch * shape.heads; ++head)
      std::memcpy(static_cast<char *>(tensor) + head * tokens * row,
                  static_cast<const char *>(cache) + head * shape.capacity * row, size_t(tokens * row));
    return;
  }
  switch (shape.elementBytes) {
  case 1:
    return exportBlocks<uint8_t>(shape, cache, tokens, tensor);
  case 2:
    return exportBlocks<uint16_t>(shape, cache, tokens, tensor);
  case 4:
    return exportBlocks<uint32_t>(shape, cache, tokens, tensor);
  default:
    return exportBlocks<uint64_t>(shape, cache, tokens, tensor);
  }
}

void importCache(const CacheShape &shape, void *cache, int64_t tokens, const void *tensor) {
  if (shape.layout == StateLayout::BHTD) {
    int64_t row = shape.depth * shape.elementBytes;
    for (int64_t head = 0; tokens > 0 && head < shape.batch * shape.heads; ++head)
      std::memcpy(static_cast<char *>(cache) + head * shape.capacity * row,
                  static_cast<const char *>(tensor) + head * tokens * row, size_t(tokens * row));
    return;
  }
  switch (shape.elementBytes) {
  case 1:
    return importBlocks<uint8_t>(shape, cache, tokens, tensor);
  case 2:
    return importBlocks<uint16_t>(shape, cache, tokens, tensor);
  case 4:
    return importBlocks<uint32_t>(shape, cache, tokens, tensor);
  default:
    return importBlocks<uint64_t>(shape, cache, tokens, tensor);
  }
}

} // namespace whit
