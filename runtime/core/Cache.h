// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between a model's own past and present tensors, [batch, heads, tokens, depth], and the layouts of caches
// (StateLayout).
#ifndef WHIT_RUNTIME_CORE_CACHE_H
#define WHIT_RUNTIME_CORE_CACHE_H

#include "whit/Artifact.h"

#include <string>
#include <string_view>

namespace whit {

struct CacheShape {
  StateLayout layout;
  int64_t batch, heads, capacity, depth; ///< capacity in tokens
  int64_t elementBytes;                  ///< 1, 2, 4 or 8
  std::string_view format = {};          ///< of panels and rows
  bool hadamard = false;
};

/// Copies `tokens` tokens from the start of the cache into a contiguous tensor, or the other way. A cache in a format is decoded
/// into f32, and quantized as compiled code does it; false with `why` for numbers that its format cannot hold.
void exportCache(const CacheShape &shape, const void *cache, int64_t tokens, void *tensor);
bool importCache(const CacheShape &shape, void *cache, int64_t tokens, const void *tensor, std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_CORE_CACHE_H
