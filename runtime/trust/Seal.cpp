// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file cannot hold its own hash; it holds the hash it has while the digits are zeros.
#include "runtime/trust/Seal.h"

#include "runtime/trust/Manifest.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace whit {
namespace {

constexpr std::string_view kDigestKey = "\"code_sha256\":\"";
constexpr size_t kDigits = 64;

/// Where the digits are in the manifest: behind the last such key (printManifest writes it last).
std::optional<size_t> findDigits(std::string_view manifest) {
  size_t key = manifest.rfind(kDigestKey);
  if (key == manifest.npos || manifest.size() - key < kDigestKey.size() + kDigits)
    return std::nullopt;
  return key + kDigestKey.size();
}

} // namespace

void WeightsHasher::update(std::span<const uint8_t> bytes) {
  whole.update(bytes);
  while (!bytes.empty()) {
    size_t room = size_t(kChunkBytes - total % kChunkBytes), take = std::min(room, bytes.size());
    chunk.update(bytes.first(take));
    total += take;
    bytes = bytes.subspan(take);
    if (take == room) {
      chunks.push_back(toHex(chunk.finish()));
      chunk = Sha256();
    }
  }
}

Weights WeightsHasher::finish(std::string file) {
  if (total % kChunkBytes != 0)
    chunks.push_back(toHex(chunk.finish()));
  return {std::move(file), total, toHex(whole.finish()), kChunkBytes, std::move(chunks)};
}

bool maskedCodeHash(std::span<const uint8_t> code, uint64_t manifestOffset, uint64_t manifestSize, Digest &digest) {
  if (manifestOffset > code.size() || manifestSize > code.size() - manifestOffset)
    return false;
  std::string_view manifest(reinterpret_cast<const char *>(code.data()) + manifestOffset, manifestSize);
  std::optional<size_t> digits = findDigits(manifest);
  if (!digits)
    return false;
  uint8_t zeros[kDigits];
  std::memset(zeros, '0', sizeof zeros);
  Sha256 hash;
  hash.update(code.first(manifestOffset + *digits));
  hash.update(zeros);
  hash.update(code.subspan(manifestOffset + *digits + kDigits));
  digest = hash.finish();
  return true;
}

bool sealCode(std::vector<uint8_t> &so, Manifest &manifest, Digest &identity, std::string *why,
              std::span<const NewSection> images) {
  manifest.codeSha256 = std::string(kDigits, '0');
  std::string text = printManifest(manifest);
  std::vector<NewSection> added(images.begin(), images.end());
  added.push_back({kManifestSection, {reinterpret_cast<const uint8_t *>(text.data()), text.size()}, 1, 0});
  bool embeds = manifest.weights.file.empty() && manifest.weights.bytes > 0;
  if (embeds)
    added.push_back({kWeightsSection, {}, 4096, uint64_t(manifest.weights.bytes)});
  if (!addSections(so, added, why))
    return false;

  std::vector<ElfSection> sections;
  if (!readSections(so, so.size() + (embeds ? uint64_t(manifest.weights.bytes) : 0), sections, why))
    return false;
  auto found = std::find_if(sections.begin(), sections.end(),
                            [](const ElfSection &each) { return each.name == kManifestSection; });
  Digest digest;
  if (found == sections.end() || !maskedCodeHash(so, found->offset, found->size, digest)) {
    if (why)
      *why = "the manifest that was written cannot be found again";
    return false;
  }
  manifest.codeSha256 = toHex(digest);
  size_t digits = *findDigits({reinterpret_cast<const char *>(so.data()) + found->offset, found->size});
  std::memcpy(so.data() + found->offset + digits, manifest.codeSha256.data(), kDigits);
  identity = sha256(so);
  return true;
}

} // namespace whit
