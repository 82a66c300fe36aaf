// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Names of targets: what users may write, what comes out, and what is suggested for a typing error.

#include "Emit/TargetNames.h"

#include "Emit/Failure.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/TargetParser/Host.h"

#include <gtest/gtest.h>

using namespace whit;

static Target resolved(llvm::StringRef text) {
  auto target = resolveTarget(text);
  EXPECT_TRUE(bool(target)) << text.str() << ": " << llvm::toString(target.takeError());
  return target ? *target : Target();
}

static std::string helpOf(llvm::StringRef text) {
  auto target = resolveTarget(text);
  EXPECT_FALSE(bool(target)) << text.str();
  std::string help;
  llvm::handleAllErrors(target.takeError(), [&](const Failure &failure) {
    EXPECT_EQ(failure.exit, Exit::Usage);
    help = failure.help;
  });
  return help;
}

TEST(TargetNames, LevelsImplyWhatTheyShould) {
  Target plain = resolved("x86-64");
  EXPECT_TRUE(plain.has("sse2"));
  EXPECT_FALSE(plain.has("sse3"));
  EXPECT_EQ(plain.vectorBits, 128);
  Target v3 = resolved("x86-64-v3");
  EXPECT_TRUE(v3.has("sse4.1")); // implied by avx2
  EXPECT_TRUE(v3.hasAvx2 && v3.hasFma && !v3.hasAvx512 && !v3.hasVnni);
  EXPECT_EQ(v3.vectorBits, 256);
  Target v4 = resolved("x86-64-v4");
  EXPECT_TRUE(v4.hasAvx512 && !v4.hasVnni);
  EXPECT_EQ(v4.vectorBits, 512);
  EXPECT_TRUE(resolved("znver4").hasVnni);
  EXPECT_TRUE(resolved("alderlake").hasVnni); // avxvnni
}

TEST(TargetNames, SignsAddAndRemove) {
  EXPECT_TRUE(resolved("x86-64-v4+avx512vnni").hasVnni);
  EXPECT_TRUE(resolved("x86-64-v3,+avxvnni").hasVnni);
  // Without its base, what needs it goes too.
  Target cut = resolved("znver4-avx512f");
  EXPECT_FALSE(cut.has("avx512bw"));
  EXPECT_FALSE(cut.hasVnni);
  EXPECT_EQ(cut.vectorBits, 256);
  EXPECT_EQ(cut.cpu, "znver4");
  EXPECT_EQ(cut.name, "znver4-avx512f");
  EXPECT_NE(codegenFeatures(cut).find("-avx512f"), std::string::npos);
  // A dash inside a feature's name is no sign.
  EXPECT_TRUE(resolved("x86-64-v4+amx-int8-fma").has("amx-int8"));
  EXPECT_FALSE(resolved("x86-64-v4+amx-int8-fma").hasFma);
}

TEST(TargetNames, UnknownNamesSuggestNearOnes) {
  EXPECT_NE(helpOf("znver44").find("znver4"), std::string::npos);
  EXPECT_NE(helpOf("skylake-avx51").find("skylake-avx512"), std::string::npos);
  EXPECT_NE(helpOf("znver4+avx512vni").find("avx512vnni"), std::string::npos);
  helpOf("");
  helpOf("pentium3"); // no 64-bit mode
}

TEST(TargetNames, HostIsWhatCpuidSays) {
  Target host = resolved("host");
  auto features = llvm::sys::getHostCPUFeatures();
  EXPECT_EQ(host.cpu, llvm::sys::getHostCPUName());
  EXPECT_EQ(host.name, host.cpu);
  EXPECT_EQ(host.has("avx2"), features["avx2"]);
  EXPECT_EQ(host.has("avx512f"), features["avx512f"]);
  EXPECT_GT(host.caches.l1, 0);
}

TEST(TargetNames, ManifestsNameOnlyWhatCodeUses) {
  std::vector<std::string> required = requiredFeatures(resolved("znver4"));
  EXPECT_TRUE(std::find(required.begin(), required.end(), "avx512vnni") != required.end());
  for (const char *system : {"pku", "xsave", "clzero", "aes", "sha"})
    EXPECT_TRUE(std::find(required.begin(), required.end(), system) == required.end()) << system;
  EXPECT_TRUE(requiredFeatures(resolved("x86-64")).empty());
}

TEST(TargetNames, BestComesFirst) {
  std::vector<Target> targets{resolved("x86-64"), resolved("x86-64-v4"), resolved("x86-64-v3"), resolved("znver4")};
  sortBestFirst(targets);
  EXPECT_EQ(targets[0].name, "znver4");
  EXPECT_EQ(targets[1].name, "x86-64-v4");
  EXPECT_EQ(targets[2].name, "x86-64-v3");
  EXPECT_EQ(targets[3].name, "x86-64");
}

TEST(TargetNames, AttributesKeepEverything) {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  EXPECT_EQ(getTarget(*module), resolved("x86-64"));
  Target target = resolved("znver4-avx512vnni");
  target.caches = {1000, 2000, 3000};
  setTarget(*module, target);
  EXPECT_EQ(getTarget(*module), target);
  EXPECT_EQ(parseFeatureText(featureText(target)), target.features);
}

TEST(TargetNames, GpusHaveAnArchitectureAndAProduct) {
  Target h200 = resolved("sm_90a:h200");
  EXPECT_EQ(h200.kind, TargetKind::Nvptx);
  EXPECT_EQ(h200.name, "sm_90a:h200");
  EXPECT_EQ(h200.cpu, "sm_90a");
  EXPECT_EQ(h200.machine.name, "h200");
  EXPECT_TRUE(h200.has("wgmma") && h200.has("sm_80") && !h200.has("tcgen05"));
  EXPECT_TRUE(requiredFeatures(h200).empty());
  EXPECT_EQ(hostOf(h200), resolved("x86-64"));
  EXPECT_EQ(resolved("sm_90a").machine.name, "h100");
  EXPECT_EQ(resolved("gfx1100").gpu.warpSize, 32);
  EXPECT_EQ(resolved("gfx942").kind, TargetKind::Amdgpu);
  // Every architecture has a product that stands for it, and every product an architecture.
  for (const GpuArchitecture &row : gpuArchitectures())
    EXPECT_EQ(resolved(row.name).machine.architecture, row.name);
  for (const GpuMachine &row : gpuMachines())
    EXPECT_NE(findGpuArchitecture(row.architecture), nullptr) << row.name;
}

TEST(TargetNames, UnknownGpusListTheKnown) {
  EXPECT_NE(helpOf("sm_70").find("sm_80, sm_89, sm_90a, sm_100a, gfx90a"), std::string::npos);
  EXPECT_NE(helpOf("sm_90").find("sm_90a"), std::string::npos);
  EXPECT_NE(helpOf("gfx906:mi60").find("gfx942"), std::string::npos);
  EXPECT_EQ(helpOf("sm_90a:a100"), "known are h100, h200");
  EXPECT_EQ(helpOf("sm_90a:"), "known are h100, h200");
  EXPECT_EQ(helpOf("H200"), "write sm_90a:h200");
  EXPECT_NE(helpOf("sm_80+avx2").find("sm_80"), std::string::npos);
}

TEST(TargetNames, AttributesKeepGpus) {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  for (const char *name : {"sm_89:rtx4090", "gfx950", "sm_100a"}) {
    setTarget(*module, resolved(name));
    EXPECT_EQ(getTarget(*module), resolved(name));
  }
}

TEST(TargetNames, OccupancyIsWhatTheVendorsTablesSay) {
  const GpuArchitecture &a100 = *findGpuArchitecture("sm_80"), &mi300 = *findGpuArchitecture("gfx942");
  EXPECT_EQ(residentBlocks(a100, {256, 32, 0}), 8);        // by threads
  EXPECT_EQ(residentBlocks(a100, {256, 128, 0}), 2);       // by registers: 4 warps for each of 4 schedulers
  EXPECT_EQ(residentBlocks(a100, {384, 168, 0}), 1);       // 12 warps at 168 registers
  EXPECT_EQ(residentBlocks(a100, {128, 64, 80 << 10}), 2); // by shared memory
  EXPECT_EQ(residentBlocks(a100, {32, 16, 0}), 32);        // by blocks
  EXPECT_EQ(residentBlocks(a100, {1024, 255, 0}), 0);      // cannot be launched
  EXPECT_EQ(residentBlocks(a100, {128, 64, 170 << 10}), 0);
  EXPECT_DOUBLE_EQ(occupancyOf(a100, {256, 128, 0}), 0.25);
  EXPECT_EQ(residentBlocks(mi300, {256, 128, 0}), 4); // 4 waves a SIMD
  EXPECT_EQ(residentBlocks(mi300, {256, 512, 0}), 1);
  EXPECT_EQ(residentBlocks(mi300, {256, 128, 40 << 10}), 1);
}
