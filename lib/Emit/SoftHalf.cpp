// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integer arithmetic, round to nearest even, subnormals honoured, NaN kept quiet with its top payload bits: the same bits as
// runtime/encoding/Half.h and as the instructions of machines that have them.

#include "Emit/SoftHalf.h"

#include "Emit/Cpu.h"
#include "Emit/Failure.h"
#include "Emit/TargetNames.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/SourceMgr.h"

using namespace llvm;

namespace whit {
namespace {

constexpr StringLiteral kNames[] = {"__extendhfsf2", "__truncsfhf2", "__truncsfbf2"};

// A subnormal half m * 2^-24 is (2^-14 + m * 2^-24) - 2^-14, both normal in f32. The other way, adding 0.5 puts the bits that a
// subnormal half keeps at the end of the f32 fraction, rounded by the addition.
constexpr StringLiteral kSource = R"(
define hidden float @__extendhfsf2(half %h) nounwind {
  %bits = bitcast half %h to i16
  %wide = zext i16 %bits to i32
  %signBit = and i32 %wide, 32768
  %sign = shl i32 %signBit, 16
  %rest = and i32 %wide, 32767
  %moved = shl i32 %rest, 13
  %exponent = and i32 %moved, 260046848
  %normal = add i32 %moved, 939524096
  %infinite = add i32 %moved, 1879048192
  %isInfinite = icmp eq i32 %exponent, 260046848
  %fraction = and i32 %moved, 8380416
  %hasFraction = icmp ne i32 %fraction, 0
  %isNan = and i1 %isInfinite, %hasFraction
  %quiet = select i1 %isNan, i32 4194304, i32 0
  %special = or i32 %infinite, %quiet
  %offset = add i32 %moved, 947912704
  %offsetFloat = bitcast i32 %offset to float
  %small = fsub float %offsetFloat, 0x3F10000000000000
  %smallBits = bitcast float %small to i32
  %isSmall = icmp eq i32 %exponent, 0
  %finite = select i1 %isSmall, i32 %smallBits, i32 %normal
  %magnitude = select i1 %isInfinite, i32 %special, i32 %finite
  %result = or i32 %magnitude, %sign
  %value = bitcast i32 %result to float
  ret float %value
}

define hidden half @__truncsfhf2(float %f) nounwind {
  %bits = bitcast float %f to i32
  %signBit = and i32 %bits, -2147483648
  %sign = lshr i32 %signBit, 16
  %rest = and i32 %bits, 2147483647
  %isNan = icmp ugt i32 %rest, 2139095040
  %payload = lshr i32 %rest, 13
  %payloadKept = and i32 %payload, 1023
  %nan = or i32 %payloadKept, 32256
  %isHuge = icmp uge i32 %rest, 1199570944
  %huge = select i1 %isNan, i32 %nan, i32 31744
  %restFloat = bitcast i32 %rest to float
  %aligned = fadd float %restFloat, 5.0e-01
  %alignedBits = bitcast float %aligned to i32
  %small = sub i32 %alignedBits, 1056964608
  %isSmall = icmp ult i32 %rest, 947912704
  %odd = and i32 %payload, 1
  %rebiased = add i32 %rest, -939520001
  %rounded = add i32 %rebiased, %odd
  %normal = lshr i32 %rounded, 13
  %finite = select i1 %isSmall, i32 %small, i32 %normal
  %magnitude = select i1 %isHuge, i32 %huge, i32 %finite
  %result = or i32 %magnitude, %sign
  %narrow = trunc i32 %result to i16
  %value = bitcast i16 %narrow to half
  ret half %value
}

define hidden bfloat @__truncsfbf2(float %f) nounwind {
  %bits = bitcast float %f to i32
  %rest = and i32 %bits, 2147483647
  %isNan = icmp ugt i32 %rest, 2139095040
  %quiet = or i32 %bits, 4194304
  %high = lshr i32 %bits, 16
  %odd = and i32 %high, 1
  %bias = add i32 %odd, 32767
  %rounded = add i32 %bits, %bias
  %chosen = select i1 %isNan, i32 %quiet, i32 %rounded
  %top = lshr i32 %chosen, 16
  %narrow = trunc i32 %top to i16
  %value = bitcast i16 %narrow to bfloat
  ret bfloat %value
}
)";

} // namespace

bool isSoftHalf(StringRef symbol) { return is_contained(kNames, symbol); }

Expected<std::vector<uint8_t>> softHalfObject() {
  LLVMContext context;
  SMDiagnostic problem;
  std::unique_ptr<llvm::Module> module = parseAssemblyString(kSource, problem, context);
  if (!module)
    return fail(Exit::Bug, "the conversions of f16 do not parse: " + problem.getMessage());
  auto target = resolveTarget("x86-64");
  if (!target)
    return target.takeError();
  return objectOf(*module, *target);
}

} // namespace whit
