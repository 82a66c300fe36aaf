// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The importer on any bytes: it ends, and gives a module that verifies or says why not.

#include "Import/ONNX/Reader.h"

#include "Register.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"

#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

using namespace whit;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A context remembers every type and attribute it has seen; a new one now and then keeps memory flat.
  static mlir::DialectRegistry *registry = [] {
    auto *made = new mlir::DialectRegistry;
    registerDialects(*made);
    return made;
  }();
  static std::unique_ptr<mlir::MLIRContext> context;
  static unsigned uses = 0;
  if (uses++ % 10000 == 0)
    context = std::make_unique<mlir::MLIRContext>(*registry, mlir::MLIRContext::Threading::DISABLED);

  static int file = memfd_create("model.onnx", 0);
  if (ftruncate(file, off_t(size)) || pwrite(file, data, size, 0) != ssize_t(size))
    std::abort();
  Diagnostics diagnostics;
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importOnnx("/proc/self/fd/" + std::to_string(file), *context, {}, diagnostics);
  for (const Diagnostic &diagnostic : diagnostics.all())
    if (diagnostic.code.exit == Exit::Bug)
      std::abort();
  if (module ? failed(mlir::verify(*module)) : diagnostics.all().empty())
    std::abort();
  return 0;
}
