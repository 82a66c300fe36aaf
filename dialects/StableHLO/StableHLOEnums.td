// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The words that stand in StableHLO operations: how to compare, how exact a product has to be.

#ifndef STABLEHLO_ENUMS
#define STABLEHLO_ENUMS

include "mlir/IR/EnumAttr.td"

class StableHLO_Enum<string name, string summary, list<I32EnumAttrCase> cases> : I32EnumAttr<name, summary, cases> {
  let cppNamespace = "::mlir::stablehlo";
  let genSpecializedAttr = 0;
}

def StableHLO_ComparisonDirection : StableHLO_Enum<"ComparisonDirection", "which comparison", [
  I32EnumAttrCase<"EQ", 0>, I32EnumAttrCase<"NE", 1>, I32EnumAttrCase<"GE", 2>, I32EnumAttrCase<"GT", 3>,
  I32EnumAttrCase<"LE", 4>, I32EnumAttrCase<"LT", 5>]>;

def StableHLO_ComparisonType : StableHLO_Enum<"ComparisonType", "what is compared", [
  I32EnumAttrCase<"NOTYPE", 0>, I32EnumAttrCase<"FLOAT", 1>, I32EnumAttrCase<"TOTALORDER", 2>,
  I32EnumAttrCase<"SIGNED", 3>, I32EnumAttrCase<"UNSIGNED", 4>]>;

def StableHLO_Precision : StableHLO_Enum<"Precision", "how exact a product is", [
  I32EnumAttrCase<"DEFAULT", 0>, I32EnumAttrCase<"HIGH", 1>, I32EnumAttrCase<"HIGHEST", 2>]>;

#endif // STABLEHLO_ENUMS
