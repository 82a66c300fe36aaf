// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The readers of an artifact's bytes. The first byte of the input chooses: a manifest, the header of a weights file, or the
// sections of an ELF file. What a reader accepts must survive being written and read again.

#include "runtime/trust/Elf.h"
#include "runtime/trust/Manifest.h"
#include "runtime/trust/Safetensors.h"

#include <cstdlib>

using namespace whit;

static void readManifest(std::string_view text) {
  Manifest manifest, again;
  std::string why;
  if (!parseManifest(text, manifest, &why)) {
    if (why.empty())
      std::abort(); // refused without a reason
    return;
  }
  std::string printed = printManifest(manifest);
  if (!parseManifest(printed, again, &why) || printManifest(again) != printed)
    std::abort();
}

static void readWeights(std::span<const uint8_t> bytes) {
  // A header that says more than the file holds is one thing, one of a larger file another.
  for (uint64_t fileBytes : {uint64_t(bytes.size()), uint64_t(bytes.size()) + 4096}) {
    std::vector<StoredTensor> tensors;
    std::string why;
    if (!readSafetensorsHeader(bytes, fileBytes, tensors, &why)) {
      if (why.empty())
        std::abort();
      continue;
    }
    for (const StoredTensor &tensor : tensors)
      if (tensor.offset > fileBytes || tensor.size > fileBytes - tensor.offset)
        std::abort(); // a tensor outside its file
  }
}

static void readElf(std::span<const uint8_t> bytes) {
  std::vector<ElfSection> sections;
  std::string why;
  if (!readSections(bytes, bytes.size(), sections, &why))
    return;
  for (const ElfSection &section : sections)
    if (section.offset > bytes.size() || section.size > bytes.size() - section.offset)
      std::abort();
  std::vector<uint8_t> file(bytes.begin(), bytes.end());
  const uint8_t data[] = {1, 2, 3};
  NewSection added{".whit.test", data, 1, sizeof data};
  (void)addSections(file, {&added, 1}, &why);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size)
    return 0;
  std::span<const uint8_t> rest(data + 1, size - 1);
  switch (data[0] % 3) {
  case 0:
    readManifest({reinterpret_cast<const char *>(rest.data()), rest.size()});
    break;
  case 1:
    readWeights(rest);
    break;
  case 2:
    readElf(rest);
    break;
  }
  return 0;
}
