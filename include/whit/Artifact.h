// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The bytes of a compiled model: `model.so` (an ordinary ELF shared object) and `model.safetensors` (its packed
// weights).
//
//   .whit.json      section, never loaded: the manifest below as UTF-8 JSON, readable without mapping code
//   .whit.gpu.N     sections, never loaded: images of the kernels of variants for GPUs; the manifest says which is which
//   .whit.weights   section, never loaded, page-aligned: with --embed-weights the bytes of the safetensors file
//
// The manifest is untrusted until the hash of the code that carries it is trusted; its reader
// (runtime/trust/Manifest.h) checks every field and limit. Hashes are SHA-256 in lower-case hexadecimal:
//
//   identity         of all bytes of the .so except the contents of .whit.weights: what the trust store holds
//   code_sha256      the same, taken while the 64 digits of code_sha256 itself are '0': finds damage in a file that
//                    the caller vouches for
//   weights.sha256   of the whole safetensors file, what sha256sum prints; weights.chunks of each `chunk` bytes of it
//
// safetensors file: one U8 tensor per constant, named like it, tensors in order without holes, every tensor at a
// multiple of 64 bytes of the file (the header is padded with spaces and each tensor's bytes with zeros to that end),
// so that a memory map is used in place.
#ifndef WHIT_ARTIFACT_H
#define WHIT_ARTIFACT_H

#include "whit/Device.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace whit {

inline constexpr int64_t kManifestVersion = 1;
inline constexpr char kManifestSection[] = ".whit.json";
inline constexpr char kWeightsSection[] = ".whit.weights";
inline constexpr char kImageSection[] = ".whit.gpu."; ///< and a number
inline constexpr int64_t kWeightsAlignment = 64;
inline constexpr int64_t kChunkBytes = int64_t(4) << 20;

/// Limits of the reader, checked before anything is allocated.
inline constexpr int64_t kMaxManifestBytes = int64_t(64) << 20;
inline constexpr int64_t kMaxRank = 12;
inline constexpr int64_t kMaxDimension = int64_t(1) << 40;
inline constexpr int64_t kMaxNameBytes = 1024;
inline constexpr int64_t kMaxArguments = 1 << 16;
inline constexpr int64_t kMaxImages = 16, kMaxImageBytes = int64_t(1) << 30;
inline constexpr int64_t kMaxKernels = 1 << 16, kMaxThreads = 1024;
/// What a model says of itself: entries, and bytes of each text.
inline constexpr int64_t kMaxMetadata = 256, kMaxMetadataBytes = 1 << 16;

/// Numbers are those of the C ABI (whit_dtype).
enum class ElementType : int32_t {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors) Name = number,
#include "whit/ElementTypes.def"
};

/// Order of the kinds is the order of arguments in a call.
enum class ArgumentKind : uint8_t { Input, State, Constant, Output, Workspace };

/// "BHTD": [batch, heads, capacity, depth]. "BHTD16": [batch, heads, capacity/16, depth, 16], token t at [t / 16][d][t
/// % 16]. "panels" and "rows": [batch, heads, capacity/16, bytes] of i8, blocks of 16 tokens in a format
/// (runtime/encoding/CacheBlock.h); the model's own tensors are then of f32.
enum class StateLayout : uint8_t { BHTD, BHTD16, Panels, Rows };

/// A dimension: a number, or the name of a symbol.
struct Dimension {
  int64_t size = 0; ///< if symbol is empty
  std::string symbol;

  bool operator==(const Dimension &) const = default;
};

/// A step in computing a size: numbers and symbols are put on a stack, operators replace the two numbers on top.
struct SizeStep {
  enum Kind : uint8_t { Number, Symbol, Add, Multiply, Divide, Remainder, Minimum, Maximum } kind;
  int64_t value = 0; ///< of Number; the index of a Symbol

  bool operator==(const SizeStep &) const = default;
};

/// Limits of an expression.
inline constexpr int64_t kMaxSizeSteps = 256;
inline constexpr int64_t kMaxSizeDepth = 32;

/// A dimension of the model that a call fixes. Without a default it is bound by the shapes of inputs. With a `value` it
/// follows from others, and the shapes of inputs must agree; written as a number, a name, or [operator, operand...] with
/// the operators + * / % min max.
struct Symbol {
  std::string name;
  int64_t min = 0;
  std::optional<int64_t> max;
  std::string defaultSymbol; ///< takes this symbol's value unless the caller says otherwise; "" = none
  std::vector<SizeStep> value = {};
};

/// The symbol of how many last rows of the sequence get logits; its default is the sequence length.
inline constexpr char kLastRowsSymbol[] = "whit.last_rows";

struct Argument {
  std::string name;
  ArgumentKind kind = ArgumentKind::Input;
  ElementType type = ElementType::F32;
  std::vector<Dimension> shape; ///< as compiled code sees it (states: the physical shape)

  // State: the model's own tensors, [batch, heads, tokens, depth] of `type`, that it stands for
  std::string past = {}, present = {};
  std::string length = {}; ///< the symbol that counts the valid tokens after the call
  StateLayout layout = StateLayout::BHTD;
  int64_t depth = 0;     ///< of panels and rows: features of a token
  bool hadamard = false; ///< of panels and rows: each token was multiplied by a Hadamard matrix

  // State, constant

  std::string format = {}; ///< an encoding's name, or "" for plain bytes of `type`

  // Constant
  std::vector<int64_t> logical = {}; ///< logical shape, [N, K] for packed matrices
  std::string place = {};            ///< "panel16" or ""

  // Input, output
  std::string alias = {}; ///< what the source calls it beside `name`; "" = nothing else
};

/// Names of the tensors that generation needs to find; "" = the model has none.
struct Roles {
  std::string tokens, mask, positions, logits;
};

/// All kernels of a variant in one form that a device takes.
struct VariantImage {
  ImageKind kind = ImageKind::Ptx;
  std::string target;  ///< the architecture that it was made for
  std::string section; ///< ".whit.gpu.0"
  int64_t bytes = 0;
};

/// A kernel and what the compiler knows of it; -1 where nobody has told.
struct VariantKernel {
  std::string name;                                 ///< in every image of the variant
  std::array<int32_t, 3> block = {1, 1, 1};         ///< threads
  int64_t registers = -1;                           ///< of a thread; AMD: vector registers, accumulators included
  int64_t accumulators = -1;                        ///< AMD: of them
  int64_t scalars = -1;                             ///< AMD: scalar registers of a wave
  int64_t spills = -1, stack = -1;                  ///< bytes of a thread
  int64_t shared = -1;                              ///< bytes of a block
  int64_t code = -1;                                ///< bytes
  double occupancy = -1;                            ///< share of a unit's warps that run at a time, 0 to 1
  std::map<std::string, int64_t> instructions = {}; ///< how many of each kind: "matrix", "load" ...
};

/// One instruction set level: the CPU features it needs and its two symbols (WhitFunction, WhitSizesFunction). For a GPU these are the part
/// that runs beside it. Weights are packed for one family of devices (deviceFamily), so all variants of an artifact are of the same.
struct Variant {
  std::string target; ///< an LLVM CPU name; of a GPU what the user wrote: "sm_90a:h200"
  std::vector<std::string> features;
  std::string execute, sizes;
  std::string device = {};                 ///< "" for the CPU, else the architecture: "sm_90a", "gfx942"
  std::vector<VariantImage> images = {};   ///< what a driver takes most readily first
  std::vector<VariantKernel> kernels = {}; ///< in the order of the numbers that WhitContext::launch takes
};

/// A fused region, the unit of profiles and of replay.
struct Region {
  int32_t id = 0;
  std::string name;
  std::vector<std::string> nodes; ///< names of the model's nodes it came from
  std::string schedule;           ///< the #whit.schedule as text
};

struct Weights {
  std::string file; ///< beside the .so, a name without a folder; "" = embedded
  int64_t bytes = 0;
  std::string sha256;
  int64_t chunk = kChunkBytes;
  std::vector<std::string> chunks;
};

struct Manifest {
  int64_t version = kManifestVersion;
  std::string producer, model, function;
  std::vector<std::string> options; ///< flags that say what to compute and how; the same flags give the same regions
  std::map<std::string, std::string> metadata; ///< what the model says of itself; nothing depends on it
  std::vector<Symbol> symbols;
  std::vector<Argument> arguments;
  Roles roles;
  int64_t context = 0;           ///< capacity of the states in tokens; 0 = the model has none
  std::vector<Variant> variants; ///< best first
  std::vector<Region> regions;
  Weights weights;
  std::string codeSha256;
};

} // namespace whit

#endif // WHIT_ARTIFACT_H
