// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Operations of the `check` dialect. None has a tolerance in absolute or relative terms: a distance is counted in units in
// the last place of the element type, so that a test cannot be loosened until it passes.

#ifndef CHECK_OPS
#define CHECK_OPS

include "Check/CheckDialect.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"

def Check_Value : AnyTypeOf<[AnyRankedTensor, AnyFloat, AnySignlessInteger, Index]>;
def Check_FloatValue : AnyTypeOf<[RankedTensorOf<[AnyFloat]>, AnyFloat]>;

class Check_Op<string mnemonic, list<Trait> traits = []> : Op<Check_Dialect, mnemonic, traits>;

def Check_ExpectEqOp : Check_Op<"expect_eq", [AllTypesMatch<["actual", "expected"]>]> {
  let summary = "two values are the same";
  let description = [{
    Shapes are equal, and so is each pair of elements after rounding to the element type. A NaN equals every NaN, and -0
    equals 0.

    ```mlir
    check.expect_eq %found, %wanted : tensor<2x?xf32>
    ```
  }];
  let arguments = (ins Check_Value:$actual, Check_Value:$expected);
  let assemblyFormat = "$actual `,` $expected attr-dict `:` type($actual)";
}

def Check_ExpectCloseOp : Check_Op<"expect_close", [AllTypesMatch<["actual", "expected"]>]> {
  let summary = "two values differ by at most some units in the last place";
  let description = [{
    Shapes are equal, and each pair of elements differs by at most `ulps` units in the last place of the one with the larger
    magnitude, in the element type. A NaN is close to every NaN and to nothing else; so is an infinity to itself.

    ```mlir
    check.expect_close %found, %wanted ulps = 2 : tensor<4xf32>
    ```
  }];
  let arguments = (ins Check_FloatValue:$actual, Check_FloatValue:$expected,
                       DefaultValuedAttr<ConfinedAttr<I64Attr, [IntPositive]>, "1">:$ulps);
  let assemblyFormat = "$actual `,` $expected (`ulps` `=` $ulps^)? attr-dict `:` type($actual)";
}

def Check_ExpectEqConstOp : Check_Op<"expect_eq_const", [AllTypesMatch<["actual", "expected"]>]> {
  let summary = "a value is the same as a constant";
  let description = [{
    `check.expect_eq` with the expected value written in place:

    ```mlir
    check.expect_eq_const %found, dense<[1, 2, 3]> : tensor<3xi32>
    ```
  }];
  let arguments = (ins Check_Value:$actual, TypedAttrInterface:$expected);
  let assemblyFormat = "$actual `,` $expected attr-dict";
  let hasVerifier = 1;
}

#endif // CHECK_OPS
