// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The formats as text: what `whit-opt --list-formats` prints, and docs/formats.md.
#ifndef WHIT_RUNTIME_ENCODING_FORMATLISTS_H
#define WHIT_RUNTIME_ENCODING_FORMATLISTS_H

#include <string>

namespace whit {

std::string formatList();
std::string formatsDoc();

} // namespace whit

#endif // WHIT_RUNTIME_ENCODING_FORMATLISTS_H
