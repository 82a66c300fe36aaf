// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Which artifacts this user lets run: a file of identity hashes, one a line. The compiler adds what it writes; the
// runtime asks. The file is $XDG_CONFIG_HOME/whit/trusted, or ~/.config/whit/trusted. Its folder is created with mode
// 0700; folder and file must belong to the user and be writable by nobody else, else the store is refused, not ignored.
#ifndef WHIT_RUNTIME_TRUST_TRUSTSTORE_H
#define WHIT_RUNTIME_TRUST_TRUSTSTORE_H

#include "runtime/trust/Sha256.h"

#include <string>

namespace whit {

/// Path of the store; "" if the user has no home.
std::string trustStorePath();

enum class TrustAnswer { Trusted, Unknown, Unusable };

/// Looks up a hash. Unusable: the store exists but cannot be relied on; `why` says what to repair.
TrustAnswer askTrust(const Digest &identity, std::string *why);

/// Adds a hash (once). `name` is a comment for people. False with `why` if the store cannot be written or is unusable.
bool recordTrust(const Digest &identity, const std::string &name, std::string *why);

} // namespace whit

#endif // WHIT_RUNTIME_TRUST_TRUSTSTORE_H
