// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What an importer has to say about a file: every problem it found, not only the first. Printed as text,
//
//     error[E3002]: attribute 'smooth_softmax' is 1; only 0 is supported
//       --> model.onnx: node '/model/layers.0/attn' (com.microsoft.GroupQueryAttention)
//       help: export the model without smooth softmax
//
// or as one JSON object per line. The first digit of a code is the exit code of the tool, except for E7xxx, a bug (70).

#pragma once

#include "Emit/Failure.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

namespace whit {

/// A kind of problem: its stable name and where it leads.
struct DiagnosticCode {
  const char *name;
  Exit exit;
};

namespace code {
inline constexpr DiagnosticCode Malformed{"E1001", Exit::Invalid}; ///< the bytes are no file of this format
inline constexpr DiagnosticCode Graph{"E1002", Exit::Invalid};     ///< names, order or declared shapes of the graph
inline constexpr DiagnosticCode Tensor{"E1003", Exit::Invalid};    ///< sizes or data fields of a stored tensor
inline constexpr DiagnosticCode Path{"E1004", Exit::Invalid};      ///< external data outside the model's folder
inline constexpr DiagnosticCode Attribute{"E1005", Exit::Invalid}; ///< an attribute breaks the operator's rules
inline constexpr DiagnosticCode Operand{"E1006", Exit::Invalid};   ///< an input's shape or type does
inline constexpr DiagnosticCode NoOperator{"E3001", Exit::Unsupported}; ///< the operator is not known
inline constexpr DiagnosticCode NoFeature{"E3002", Exit::Unsupported};  ///< an attribute, input or form of an operator
inline constexpr DiagnosticCode NoType{"E3003", Exit::Unsupported};     ///< an element type
inline constexpr DiagnosticCode NoVersion{"E3004", Exit::Unsupported};  ///< a version of the format or operator set
inline constexpr DiagnosticCode Unreadable{"E4001", Exit::Files};       ///< a file cannot be opened or read
inline constexpr DiagnosticCode Limit{"E5001", Exit::Limit};            ///< larger than an importer accepts
inline constexpr DiagnosticCode Bug{"E7001", Exit::Bug}; ///< the importer made a module that does not verify
} // namespace code

enum class Severity { Error, Warning };

/// One problem. Fields that do not apply are empty.
struct Diagnostic {
  DiagnosticCode code;
  Severity severity = Severity::Error;
  std::string file;
  std::vector<std::string> nodes; ///< names of the nodes (or of the one tensor) that it is about
  std::string op;                 ///< domain and type of the operator
  std::string message;            ///< lower case, no final period; found and required
  std::string help;               ///< what to do
  size_t count = 1;               ///< how often it was found; may exceed the nodes that have names
  bool aboutTensor = false;       ///< nodes names a tensor
};

/// The problems of one run, in the order in which they were found.
class Diagnostics {
public:
  void add(Diagnostic diagnostic);
  /// The file that diagnostics without one are about.
  void setFile(llvm::StringRef name) { file = name.str(); }
  llvm::ArrayRef<Diagnostic> all() const { return list; }
  bool hasErrors() const;
  /// The exit code of the gravest problem: a file that cannot be read before a broken one before an unsupported one.
  Exit exit() const;

  void printText(llvm::raw_ostream &out) const;
  void printJson(llvm::raw_ostream &out) const;

private:
  std::string file;
  std::vector<Diagnostic> list;
  size_t dropped = 0;
};

/// A name from an untrusted file, for people: control characters escaped, cut at 120 characters.
std::string shown(llvm::StringRef name);

} // namespace whit
