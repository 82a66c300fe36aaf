// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Between a model's own past and present tensors, [batch, heads, tokens, depth], and the layouts of caches
// (StateLayout).
#ifndef WHIT_RUNTIME_CORE_CACHE_H
#define WHIT_RUNTIME_CORE_CACHE_H

#include "whit/Artifact.h"

namespace whit {

struct CacheShape {
  StateLayout layout;
  int64_t batch, heads, capacity, depth; ///< capacity in tokens
  int64_t elementBytes;                  ///< 1, 2, 4 or 8
};

/// Copies `tokens` tokens from the start of the cache into a contiguous tensor, or the other way.
void exportCache(const CacheShape &shape, const void *cache, int64_t tokens, void *tensor);
void importCache(const CacheShape &shape, void *cache, int64_t tokens, const void *tensor);

} // namespace whit

#endif // WHIT_RUNTIME_CORE_CACHE_H
