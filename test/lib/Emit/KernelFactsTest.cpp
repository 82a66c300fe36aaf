// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What is read from assemblers: the output of ptxas as three of its versions print it, and instructions counted in assembly text.

#include "Emit/KernelFacts.h"

#include <gtest/gtest.h>

using namespace whit;
using Kind = InstructionKind;

TEST(KernelFacts, PtxasSaysWhatKernelsTake) {
  auto kernels = parsePtxasOutput(R"(ptxas info    : 16 bytes gmem, 40 bytes cmem[4]
ptxas info    : Compiling entry function 'multiply' for 'sm_90a'
ptxas info    : Function properties for multiply
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers, used 1 barriers, 1024 bytes smem, 376 bytes cmem[0]
ptxas info    : Compile time = 1.000 ms
ptxas info    : Compiling entry function 'norm.2' for 'sm_90a'
ptxas info    : Function properties for norm.2
    48 bytes stack frame, 44 bytes spill stores, 52 bytes spill loads
ptxas info    : Used 32 registers, 48 bytes cumulative stack size, 368 bytes cmem[0]
ptxas warning : Registers are spilled to local memory in function 'norm.2'
)");
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels["multiply"].registers, 168);
  EXPECT_EQ(kernels["multiply"].shared, 1024);
  EXPECT_EQ(kernels["multiply"].spills, 0);
  EXPECT_EQ(kernels["multiply"].stack, 0);
  EXPECT_EQ(kernels["norm.2"].registers, 32);
  EXPECT_EQ(kernels["norm.2"].shared, 0);
  EXPECT_EQ(kernels["norm.2"].spills, 44);
  EXPECT_EQ(kernels["norm.2"].stack, 48);
}

TEST(KernelFacts, PtxasOutputMayBeAnything) {
  EXPECT_TRUE(parsePtxasOutput("").empty());
  EXPECT_TRUE(parsePtxasOutput("Used 12 registers\nptxas fatal   : Unresolved extern function 'f'").empty());
  auto cut = parsePtxasOutput("ptxas info : Compiling entry function 'k' for 'sm_80'\nptxas info : Used registers");
  EXPECT_EQ(cut["k"].registers, -1);
  // Properties of a device function do not become those of the kernel before it.
  auto other = parsePtxasOutput("ptxas info : Compiling entry function 'k' for 'sm_80'\n"
                                "ptxas info : Function properties for helper\n"
                                "    64 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n");
  EXPECT_EQ(other["k"].spills, -1);
}

TEST(KernelFacts, PtxIsCountedByKind) {
  auto mixes = countInstructions(TargetKind::Nvptx, R"(
.version 8.4
.func (.param .b32 result) helper(
	.param .b32 helper_param_0
)
{
	ret;
}
.visible .entry multiply(
	.param .u64 .ptr .global .align 1 multiply_param_0
)
.reqntid 32
{
	.reg .pred 	%p<2>;
	.shared .align 16 .b8 tile[512];

	ld.param.b64 	%rd1, [multiply_param_0];
	mov.u32 	%r1, %tid.x;
	setp.ne.s32 	%p1, %r1, 0;
	@%p1 bra 	$L__BB0_2;
$L__BB0_1:                              // add.s32 in a comment
	ld.global.nc.v4.b32 	{%r2, %r3, %r4, %r5}, [%rd1];
	// begin inline asm
	{ .reg .b32 t; lop3.b32 t, %r2, %r3, 0x0f, 0xea; cvt.rn.f16x2.f32 %r6, %f1, %f2; }
	// end inline asm
	cp.async.cg.shared.global [%r7], [%rd1], 16;
	cp.async.commit_group;
	@!%p1 fma.rn.f16x2 	%r8, %r2, %r3, %r4;
	ex2.approx.ftz.f32 	%f3, %f4;
	mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};
	ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%r9];
	st.shared.b32 	[%r9], %r1;
	st.local.b32 	[%r9], %r1;
	bar.sync 	0;
	st.global.b32 	[%rd1], %r1;
$L__BB0_2: ret;
}
)");
  ASSERT_EQ(mixes.size(), 2u);
  const InstructionMix &mix = mixes["multiply"];
  auto count = [&](Kind kind) { return mix[size_t(kind)]; };
  EXPECT_EQ(count(Kind::Matrix), 1);
  EXPECT_EQ(count(Kind::Load), 2);
  EXPECT_EQ(count(Kind::Store), 1);
  EXPECT_EQ(count(Kind::Shared), 2);
  EXPECT_EQ(count(Kind::Local), 1);
  EXPECT_EQ(count(Kind::Integer), 2); // setp.s32, lop3
  EXPECT_EQ(count(Kind::Float), 2);   // fma, ex2
  EXPECT_EQ(count(Kind::Conversion), 1);
  EXPECT_EQ(count(Kind::Barrier), 2); // bar, commit
  EXPECT_EQ(count(Kind::Move), 1);
  EXPECT_EQ(mixes["helper"][size_t(Kind::Other)], 1);
}

TEST(KernelFacts, AmdAssemblyIsCountedByKind) {
  auto mixes = countInstructions(TargetKind::Amdgpu, R"(
	.globl	multiply                        ; -- Begin function multiply
	.type	multiply,@function
multiply:                               ; @multiply
; %bb.0:
	s_load_dwordx4 s[0:3], s[4:5], 0x0
	v_lshlrev_b32_e32 v0, 4, v0
	s_waitcnt lgkmcnt(0)
	global_load_dwordx4 v[0:3], v0, s[0:1]
	v_cvt_f32_f16_e32 v4, v0
	v_pk_fma_f16 v4, v0, v1, v2
	v_mfma_f32_16x16x16_f16 a[0:3], v[0:1], v[2:3], 0
	v_accvgpr_read_b32 v4, a0
	ds_write_b32 v0, v4
	ds_bpermute_b32 v1, v0, v4
	s_barrier
	scratch_store_dword off, v1, s32
	global_store_dword v0, v4, s[2:3]
	s_endpgm
	.section	.rodata,"a",@progbits
	.amdhsa_kernel multiply
		.amdhsa_group_segment_fixed_size 0
	.end_amdhsa_kernel
	.text
.Lfunc_end0:
	.size	multiply, .Lfunc_end0-multiply
	v_mov_b32_e32 v0, v1
)");
  ASSERT_EQ(mixes.size(), 1u);
  const InstructionMix &mix = mixes["multiply"];
  auto count = [&](Kind kind) { return mix[size_t(kind)]; };
  EXPECT_EQ(count(Kind::Matrix), 1);
  EXPECT_EQ(count(Kind::Load), 2);
  EXPECT_EQ(count(Kind::Store), 1);
  EXPECT_EQ(count(Kind::Shared), 1);
  EXPECT_EQ(count(Kind::Local), 1);
  EXPECT_EQ(count(Kind::Integer), 1);
  EXPECT_EQ(count(Kind::Float), 1);
  EXPECT_EQ(count(Kind::Conversion), 1);
  EXPECT_EQ(count(Kind::Barrier), 1);
  EXPECT_EQ(count(Kind::Move), 1);
  EXPECT_EQ(count(Kind::Other), 3); // waitcnt, bpermute, endpgm
}

TEST(KernelFacts, TypesTellFloatsFromIntegers) {
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "min.s32"), Kind::Integer);
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "min.NaN.bf16x2"), Kind::Float);
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "selp.f32"), Kind::Float);
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "wgmma.mma_async.sync.aligned.m64n16k16.f32.f16.f16"), Kind::Matrix);
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "wgmma.wait_group.sync.aligned"), Kind::Barrier);
  EXPECT_EQ(kindOf(TargetKind::Nvptx, "cp.async.bulk.global.shared::cta.bulk_group"), Kind::Store);
  EXPECT_EQ(kindOf(TargetKind::Amdgpu, "v_dot4_i32_i8"), Kind::Integer);
  EXPECT_EQ(kindOf(TargetKind::Amdgpu, "v_exp_f32_e32"), Kind::Float);
  EXPECT_EQ(kindOf(TargetKind::Amdgpu, "s_add_u32"), Kind::Other);
}

TEST(KernelFacts, TextsHoldWhatIsKnown) {
  KernelFacts facts;
  facts.block = {128, 1, 1};
  EXPECT_EQ(factsText(facts), "128 threads");
  facts.registers = 64;
  facts.spills = 0;
  facts.shared = 40 << 10;
  facts.instructions[size_t(Kind::Matrix)] = 8;
  computeOccupancy(facts, *findGpuArchitecture("sm_80"));
  EXPECT_EQ(factsText(facts),
            "128 threads, 64 registers, 0 bytes spilled, 40960 bytes shared, occupancy 0.25, 8 matrix");
}
