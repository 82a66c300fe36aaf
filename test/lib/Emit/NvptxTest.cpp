// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What happens around ptxas; what it makes of kernels is in emit-cubin.mlir.

#include "Emit/Nvptx.h"

#include <gtest/gtest.h>

using namespace whit;

TEST(Nvptx, OneBlockIsPromisedForTheKernelsAlone) {
  constexpr const char *text = R"(.version 8.4
.visible .entry one(
	.param .u64 one_param_0
)
.reqntid 32, 1, 1
{
	{ inline; }
	ret;
}
.visible .entry two(
)
.reqntid 32, 1, 1
{
	ret;
}
.visible .entry three(
)
.reqntid 32, 1, 1
.minnctapersm 2
{
	ret;
}
)";
  std::string made = promiseOneBlock(text, {"one", "three", "four"});
  std::string expected = text;
  expected.replace(expected.find(".reqntid 32, 1, 1\n"), 18, ".reqntid 32, 1, 1\n.minnctapersm 1\n");
  EXPECT_EQ(made, expected);
  EXPECT_EQ(promiseOneBlock(text, {}), text);
}
