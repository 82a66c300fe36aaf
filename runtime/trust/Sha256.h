// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// SHA-256 (FIPS 180-4, 2015). Uses the SHA instructions of x86 where the CPU has them (about 1.5 GB/s), else portable
// code with the same result.
#ifndef WHIT_RUNTIME_TRUST_SHA256_H
#define WHIT_RUNTIME_TRUST_SHA256_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace whit {

using Digest = std::array<uint8_t, 32>;

/// A hash in progress. Allocates nothing.
class Sha256 {
public:
  /// `portable` forces the code without SHA instructions (for tests).
  explicit Sha256(bool portable = false);
  void update(std::span<const uint8_t> bytes);
  /// Ends the hash; the object must not be used afterwards.
  Digest finish();

private:
  std::array<uint32_t, 8> state;
  std::array<uint8_t, 64> pending;
  uint64_t total = 0;
  void (*compress)(uint32_t *state, const uint8_t *blocks, size_t count);
};

Digest sha256(std::span<const uint8_t> bytes);

/// 64 lower-case digits, and back (false unless exactly that).
std::string toHex(const Digest &digest);
bool fromHex(std::string_view text, Digest &digest);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_SHA256_H
