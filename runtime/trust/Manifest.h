// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The manifest (include/whit/Artifact.h) as JSON text, written by the compiler and read, as untrusted input, by the
// runtime.
#ifndef WHIT_RUNTIME_TRUST_MANIFEST_H
#define WHIT_RUNTIME_TRUST_MANIFEST_H

#include "whit/Artifact.h"

#include <string>
#include <string_view>

namespace whit {

/// Names and sizes of element types, from ElementTypes.def.
std::string_view elementName(ElementType type);
int64_t elementBytes(ElementType type);
std::optional<ElementType> parseElementType(std::string_view name);

/// "CPU" for "", "NVIDIA" for "sm_90a", "AMD" for "gfx942"; "" for what is no architecture.
std::string_view deviceFamily(std::string_view device);

/// "ptx", "cubin", "hsaco", "bitcode".
std::string_view imageKindName(ImageKind kind);

/// JSON text, keys in a fixed order, one argument, variant or region per line.
std::string printManifest(const Manifest &manifest);

/// Reads and checks a manifest: every field's type, every limit of Artifact.h, unique names, symbols that exist,
/// arguments in call order, well-formed hashes, chunk counts, and file names without folders. Unknown keys are refused.
/// False with `why` naming the field.
bool parseManifest(std::string_view text, Manifest &manifest, std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_MANIFEST_H
