// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The packed weights of a module: mapped read-only, used in place, each 4 MiB chunk compared with its hash before
// compiled code may read it. (Whoever can write the file while it is mapped can change it after the check; that is the
// same user or root.)
#ifndef WHIT_RUNTIME_CORE_WEIGHTSMAP_H
#define WHIT_RUNTIME_CORE_WEIGHTSMAP_H

#include "runtime/core/Code.h"
#include "runtime/core/ThreadPool.h"
#include "runtime/trust/Safetensors.h"

#include <atomic>
#include <memory>
#include <vector>

namespace whit {

class WeightsMap {
public:
  /// Maps the weights that the image's manifest names, embedded or beside it, and reads their header (verified first).
  whit_status open(const CodeImage &image);

  /// The bytes of a tensor, `bytes` of them needed; WHIT_REFUSED if it is missing or has another size.
  whit_status find(const std::string &name, int64_t bytes, const uint8_t **data) const;
  size_t tensorCount() const { return tensors.size(); }

  /// Verifies all chunks not verified yet, on the pool's threads if there is one. Allocates nothing. WHIT_REFUSED names
  /// the first bad byte range.
  whit_status verify(ThreadPool *pool);

private:
  bool verifyChunk(int64_t index) const;
  whit_status badChunk(int64_t index) const;

  FileMap map;
  File file;
  std::string path;
  std::vector<StoredTensor> tensors; ///< sorted by name
  int64_t chunkBytes = 0;
  std::vector<Digest> chunks;
  std::unique_ptr<std::atomic<uint8_t>[]> verified;
  std::atomic<bool> allVerified{false};
};

} // namespace whit

#endif // WHIT_RUNTIME_CORE_WEIGHTSMAP_H
