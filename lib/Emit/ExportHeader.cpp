// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// kernels.h: everything that a C program needs to know of exported kernels, in the order in which it reads.

#include "Emit/Artifact.h"
#include "Emit/ExportFiles.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kOpening = R"(#ifndef WHIT_EXPORTED_KERNELS_H
#define WHIT_EXPORTED_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WHIT_KERNEL_H
#define WHIT_KERNEL_H
typedef struct WhitContext WhitContext;
/* One part of a kernel's work: the iterations [begin, end). */
typedef void (*WhitBody)(void *captured, int64_t begin, int64_t end);
struct WhitContext {
  /* Runs `body` over [0, count), in parts of any size, on any threads, and returns when all are done. */
  void (*parallel)(WhitContext *context, WhitBody body, void *captured, int64_t count);
  /* NULL. */
  void (*observe)(WhitContext *context, int32_t region, int32_t when, void **arguments, int32_t count);
  void *runtime; /* yours */
  /* Kernels of GPUs: queues function number `kernel` of NAME_functions in the kernel's image. shape: blocks in the grid (x, y, z), threads in
   * a block (x, y, z), bytes of dynamic shared memory; a grid with a 0 does nothing. arguments: `count` words of 8 bytes, which are the
   * arguments of the function, in order. */
  void (*launch)(WhitContext *context, int32_t kernel, const int64_t *shape, const uint64_t *arguments, int32_t count);
  void *status; /* kernels of GPUs: 4 bytes of device memory, 0 before; a positive WhitKernelStatus afterwards if a check failed */
};
#endif

/* What the functions return. */
enum WhitKernelStatus {
  WHIT_KERNEL_DONE = 0,
  WHIT_KERNEL_INDEX = 1,       /* an index tensor holds a value outside its table */
  WHIT_KERNEL_LENGTH = 2,      /* a position does not fit the cache */
  WHIT_KERNEL_NULL = -1,       /* a pointer is null */
  WHIT_KERNEL_SIZE = -2,       /* a size is negative or too large */
  WHIT_KERNEL_MISALIGNED = -3, /* a tensor is not aligned to its element type, or the workspace not to 64 bytes */
  WHIT_KERNEL_MEMORY = -4,     /* memory ran out */
  WHIT_KERNEL_VALUE = -5,      /* weights that the format cannot hold: NaN, infinity, a code of too many bits */
  WHIT_KERNEL_CONTEXT = -6     /* a kernel of a GPU needs a context with `launch` */
};

/* Tensors are contiguous, the last dimension fastest. Outputs and `s` (read and written) must not overlap other tensors. `workspace` is
 * memory that a kernel may use while it runs, aligned to 64 bytes; NULL if NAME_workspace() is 0. With a null `context` the kernel runs in
 * the calling thread, and gives the same bits.
 *
 * Packed weights are made once by the functions NAME_pack_...; aligned to 64 bytes they are read fastest. `why` (if not NULL) gets what is
 * wrong with weights, as text of at most `why_size` bytes. */
)";

/// A name of the model inside of a comment, which it cannot end.
std::string inComment(StringRef name) {
  std::string text;
  for (char c : name) {
    if (!text.empty() && ((text.back() == '*' && c == '/') || (text.back() == '/' && c == '*')))
      text += ' ';
    text += isPrint(c) || (c & 0x80) ? c : ' ';
  }
  return text;
}

StringRef typeInC(StringRef type) {
  return StringSwitch<StringRef>(type)
      .Case("f32", "float")
      .Cases({"f16", "bf16"}, "uint16_t")
      .Case("i64", "int64_t")
      .Case("i32", "int32_t")
      .Case("i16", "int16_t")
      .Case("i8", "int8_t")
      .Case("bool", "uint8_t")
      .Default("void");
}

std::string shapeText(const ExportedKernel &kernel, const ExportedArgument &argument) {
  std::string text = argument.type + "[";
  for (auto [i, size] : enumerate(argument.shape)) {
    text += i ? ", " : "";
    if (!size.symbol)
      text += std::to_string(size.size);
    else if (const ExportedSymbol &symbol = kernel.symbols[*size.symbol]; symbol.value)
      text += inComment(symbol.meaning);
    else
      text += symbol.name;
  }
  return text + "]";
}

void writeArgument(raw_ostream &out, const ExportedKernel &kernel, const ExportedArgument &argument) {
  static constexpr StringRef kRoles[] = {"", "in", "weight", "in and out", "out"};
  out << " *   " << left_justify(argument.name, 4) << kRoles[size_t(argument.role)] << ", ";
  if (mlir::whit::PlaceAttr place = argument.place; place)
    out << place.solve().bytes() << " bytes packed from " << place.getN() << " rows (outputs) of " << place.getK()
        << " in " << place.getFormat().getName().str();
  else
    out << shapeText(kernel, argument);
  const ExportedRegion &region = kernel.regions.front();
  size_t i = &argument - kernel.arguments.data();
  if (const std::string &source = region.sources[i].empty() ? region.results[i] : region.sources[i]; !source.empty())
    out << "; in the model: " << inComment(source);
  out << '\n';
}

void writePackers(raw_ostream &out, const ExportedKernel &kernel, const ExportedArgument &argument) {
  mlir::whit::PlaceAttr place = argument.place;
  out << "enum { " << kernel.name << "_" << argument.name << "_bytes = " << place.solve().bytes() << " };\n";
  out << "/* From float values[" << place.getN() << "][" << place.getK() << "] */\n"
      << "int32_t " << kernel.name << "_" << packFunction(argument)
      << "(const float *values, void *packed, char *why, size_t why_size);\n";
  std::string fromCodes = packCodesFunction(argument);
  if (fromCodes.empty())
    return;
  Encoding encoding = place.getFormat().getEncoding();
  int64_t groups = groupCount(encoding, place.getK());
  out << "/* From codes[" << place.getN() << "][" << place.getK() << "] of " << encoding.bits() << " bits and scales["
      << place.getN() << "][" << groups << "]"
      << (encoding.offset.empty() ? "; zeros must be NULL" : ", and zeros (or minima) of the same shape") << " */\n"
      << "int32_t " << kernel.name << "_" << fromCodes
      << "(const uint8_t *codes, const float *scales, const float *zeros, void *packed, char *why, size_t "
         "why_size);\n";
}

void writeKernel(raw_ostream &out, const ExportedKernel &kernel, int64_t workspace, const GpuCode *device) {
  out << "\n/* " << inComment(kernel.regions.front().name);
  if (kernel.regions.size() > 1)
    out << " and " << kernel.regions.size() - 1 << " more";
  out << ": " << join(kernel.computes, ", ") << "\n *\n";
  std::string sizes;
  for (const ExportedSymbol &symbol : kernel.symbols) {
    if (symbol.value)
      continue;
    sizes += (sizes.empty() ? "" : ", ") + ("int64_t " + symbol.name);
    out << " *   " << symbol.name << ": "
        << (symbol.meaning.empty()          ? "any size"
            : symbol.meaning == symbol.name ? "the model's"
                                            : inComment(symbol.meaning))
        << (symbol.isExplicit ? ", which no tensor shows" : "") << '\n';
  }
  std::string tensors;
  for (const ExportedArgument &argument : kernel.arguments) {
    if (argument.role == KernelRole::Size)
      continue;
    writeArgument(out, kernel, argument);
    bool isRead = argument.role == KernelRole::Input || argument.role == KernelRole::Weight;
    tensors += (isRead ? "const " : "") + (argument.place ? "void" : typeInC(argument.type)).str() + " *" +
               argument.name + ", ";
  }
  out << " *   workspace: "
      << (workspace < 0 ? "as many bytes as the function says" : std::to_string(workspace) + " bytes") << " */\n";
  out << "int32_t " << kernel.name << "(" << sizes << (sizes.empty() ? "" : ", ") << tensors
      << "void *workspace, WhitContext *context);\n";
  if (device) {
    out << "/* ";
    for (const GpuImage &image : device->images)
      out << kernel.name << "." << nameOf(image.kind) << " (" << image.target << ") ";
    out << "*/\n#define " << kernel.name << "_functions {";
    for (const KernelFacts &facts : device->kernels)
      out << (&facts == device->kernels.data() ? "\"" : ", \"") << facts.name << '"';
    out << "}\n";
  }
  out << "int64_t " << kernel.name << "_workspace(" << (sizes.empty() ? "void" : sizes) << ");\n";
  for (const ExportedArgument &argument : kernel.arguments)
    if (argument.place)
      writePackers(out, kernel, argument);
}

} // namespace

std::string headerOf(ArrayRef<ExportedKernel> kernels, const ExportedCode &code) {
  std::string text;
  raw_string_ostream out(text);
  out << "/* Kernels in kernels.so, written by " << producer() << ". kernels.json says the same to programs. */\n"
      << kOpening;
  if (!code.devices.empty())
    out << "\n/* These kernels run on a GPU: pointers to tensors and workspaces are of its memory, calls queue work "
           "through the context's\n"
           " * `launch`, and must be waited for by the caller's own means. */\n";
  for (auto [i, kernel] : enumerate(kernels))
    writeKernel(out, kernel, code.workspaces[i], code.devices.empty() ? nullptr : &code.devices[i]);
  out << "\n#ifdef __cplusplus\n}\n#endif\n\n#endif /* WHIT_EXPORTED_KERNELS_H */\n";
  return text;
}

} // namespace whit
