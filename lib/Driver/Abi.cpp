// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// include/whit/Compiler.h over the driver. Signal handlers that LLVM sets to remove unfinished files are taken back before returning: signals
// belong to the program that uses the library.

#include "whit/Compiler.h"

#include "Driver/Compile.h"
#include "Driver/Console.h"
#include "Emit/Artifact.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Signals.h"

#include <exception>
#include <new>

struct whit_compiler_result {
  std::string messages;
};

using namespace whit;

static Exit compileGuarded(std::vector<std::string> arguments, bool json, llvm::raw_ostream &messages) {
  auto parsed = parseOptions(std::move(arguments));
  if (!parsed)
    return Console(messages, json, /*quiet=*/true, /*isTerminal=*/false).print(parsed.takeError());
  if (!parsed->text.empty()) {
    messages << parsed->text;
    return Exit::Done;
  }
  auto restore = llvm::make_scope_exit([] { llvm::sys::unregisterHandlers(); });
  return compile(parsed->options, {messages, /*isTerminal=*/false, /*keepsReproducers=*/false});
}

whit_compiler_status whit_compile(const char *model, const char *output, const char *const *options, size_t count,
                                  whit_compiler_result **result) {
  Exit exit = Exit::Usage;
  std::string messages;
  try {
    llvm::raw_string_ostream stream(messages);
    if (!model || !output || (count && !options)) {
      stream << "error[E2101]: model, output or options is NULL\n";
    } else {
      std::vector<std::string> arguments{model, "-o", output};
      bool json = false;
      for (size_t i = 0; i < count; ++i) {
        arguments.push_back(options[i] ? options[i] : "");
        json |= arguments.back() == "--diagnostics=json";
      }
      exit = compileGuarded(std::move(arguments), json, stream);
    }
  } catch (const std::bad_alloc &) {
    exit = Exit::Limit;
  } catch (const std::exception &error) {
    exit = Exit::Bug;
    messages += std::string("error[E7101]: ") + error.what() + "\n";
  }
  if (result) {
    *result = new (std::nothrow) whit_compiler_result;
    if (*result)
      (*result)->messages = std::move(messages);
  }
  return whit_compiler_status(exit);
}

const char *whit_compiler_result_messages(const whit_compiler_result *result) {
  return result ? result->messages.c_str() : "";
}

void whit_compiler_result_destroy(whit_compiler_result *result) { delete result; }

const char *whit_compiler_version(void) {
  static const std::string text = producer();
  return text.c_str();
}
