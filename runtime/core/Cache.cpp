// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Element by element for the blocked layout, rows of tokens at once for the plain one.
#include "runtime/core/Cache.h"

#include "runtime/encoding/CacheBlock.h"

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

std::optional<CacheBlock> blockOf(const CacheShape &shape) {
  if (shape.layout != StateLayout::Panels && shape.layout != StateLayout::Rows)
    return std::nullopt;
  CacheOrder order = shape.layout == StateLayout::Panels ? CacheOrder::Panel : CacheOrder::Rows;
  return CacheBlock(*parseEncoding(shape.format, nullptr), order, shape.depth); // the manifest's reader has checked it
}

/// Bytes of a head of a cache of packed blocks.
int64_t headBytes(const CacheShape &shape, const CacheBlock &block) {
  return (shape.capacity + kBlockTokens - 1) / kBlockTokens * block.bytes;
}

} // namespace

void exportCache(const CacheShape &shape, const void *cache, int64_t tokens, void *tensor) {
  if (std::optional<CacheBlock> block = blockOf(shape)) {
    for (int64_t head = 0; tokens > 0 && head < shape.batch * shape.heads; ++head)
      decodeTokens(*block, shape.hadamard, static_cast<const uint8_t *>(cache) + head * headBytes(shape, *block),
                   tokens, static_cast<float *>(tensor) + head * tokens * shape.depth);
    return;
  }
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

bool importCache(const CacheShape &shape, void *cache, int64_t tokens, const void *tensor, std::string *why) {
  if (std::optional<CacheBlock> block = blockOf(shape)) {
    for (int64_t head = 0; tokens > 0 && head < shape.batch * shape.heads; ++head)
      if (!encodeTokens(*block, shape.hadamard, static_cast<const float *>(tensor) + head * tokens * shape.depth,
                        tokens, static_cast<uint8_t *>(cache) + head * headBytes(shape, *block), why))
        return false;
    return true;
  }
  if (shape.layout == StateLayout::BHTD) {
    int64_t row = shape.depth * shape.elementBytes;
    for (int64_t head = 0; tokens > 0 && head < shape.batch * shape.heads; ++head)
      std::memcpy(static_cast<char *>(cache) + head * shape.capacity * row,
                  static_cast<const char *>(tensor) + head * tokens * row, size_t(tokens * row));
    return true;
  }
  switch (shape.elementBytes) {
  case 1:
    importBlocks<uint8_t>(shape, cache, tokens, tensor);
    break;
  case 2:
    importBlocks<uint16_t>(shape, cache, tokens, tensor);
    break;
  case 4:
    importBlocks<uint32_t>(shape, cache, tokens, tensor);
    break;
  default:
    importBlocks<uint64_t>(shape, cache, tokens, tensor);
    break;
  }
  return true;
}

} // namespace whit
