// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Every row of InlineForms.def, emitted by its row: assembled by ptxas where there is one, and run in the simulator against a plain loop.
// Products are also run with one thing wrong at a time, which must not give the right numbers unseen.

#include "Lower/InlineForm.h"
#include "Emit/Cpu.h"
#include "Emit/Gpu.h"
#include "Emit/Nvptx.h"
#include "Emit/TargetNames.h"
#include "Register.h"

#include "whit/Device.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Bitcode/BitcodeWriter.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

using namespace mlir;
using namespace mlir::whit;

extern "C" ::whit::Device *whit_open_simulator(const char *target, char *why, size_t size);

namespace {

/// A kernel of `threads` threads with pointers to device memory for arguments, and shared memory of its own.
class Program {
public:
  static constexpr const char *kTarget = "sm_90a";

  explicit Program(int64_t threads, int64_t arguments) : threads(threads) {
    ::whit::registerDialects(registry);
    ::whit::registerTranslations(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    std::string parameters;
    for (int64_t i = 0; i < arguments; ++i)
      parameters += (i ? ", %a" : "%a") + std::to_string(i) + ": !llvm.ptr<1>";
    module = parseSourceString<ModuleOp>(
        "gpu.module @kernels {\n"
        "  llvm.mlir.global internal @shared() {addr_space = 3 : i32, alignment = 128 : i64} : !llvm.array<16384 x "
        "i8>\n"
        "  llvm.func @k(" +
            parameters + ") attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: " + std::to_string(threads) +
            ", 1, 1>} {\n    llvm.return\n  }\n}\n",
        &context);
    target = llvm::cantFail(::whit::resolveTarget(kTarget));
    ::whit::setTarget(*module, target);
    module->walk([&](LLVM::LLVMFuncOp found) { function = found; });
    b.emplace(function.getBody().front().getTerminator());
  }

  Value constant(int64_t value) { return arith::ConstantOp::create(*b, b->getI64IntegerAttr(value)); }
  Value plus(Value x, int64_t y) { return arith::AddIOp::create(*b, x, constant(y)); }
  Value plus(Value x, Value y) { return arith::AddIOp::create(*b, x, y); }
  Value times(Value x, int64_t y) { return arith::MulIOp::create(*b, x, constant(y)); }
  Value thread() {
    Value id = call("llvm.nvvm.read.ptx.sreg.tid.x", b->getI32Type(), {});
    return arith::ExtUIOp::create(*b, b->getI64Type(), id);
  }
  /// Addresses as integers, as kernels have them.
  Value device(int64_t argument) {
    return LLVM::PtrToIntOp::create(*b, b->getI64Type(), function.getArgument(unsigned(argument)));
  }
  Value shared() {
    Value pointer = LLVM::AddressOfOp::create(*b, LLVM::LLVMPointerType::get(&context, 3), "shared");
    return LLVM::PtrToIntOp::create(*b, b->getI64Type(), pointer);
  }
  Value pointer(Value address, unsigned space) {
    return LLVM::IntToPtrOp::create(*b, LLVM::LLVMPointerType::get(&context, space), address);
  }
  Value load(Type type, Value address, unsigned space) {
    return LLVM::LoadOp::create(*b, type, pointer(address, space), 4);
  }
  void store(Value value, Value address, unsigned space) {
    LLVM::StoreOp::create(*b, value, pointer(address, space), 4);
  }
  Value call(StringRef name, Type type, ValueRange operands) {
    if (!type) {
      LLVM::CallIntrinsicOp::create(*b, b->getStringAttr(name), operands);
      return {};
    }
    return LLVM::CallIntrinsicOp::create(*b, type, b->getStringAttr(name), operands).getResult(0);
  }
  void barrier() {
    Value none = arith::ConstantOp::create(*b, b->getI32IntegerAttr(0));
    call("llvm.nvvm.barrier.cta.sync.aligned.all", Type(), none);
  }

  /// Ends the kernel: bitcode for the simulator, and text for ptxas.
  void finish() {
    PassManager manager(&context);
    manager.addNestedPass<gpu::GPUModuleOp>(createArithToLLVMConversionPass());
    ASSERT_TRUE(succeeded(manager.run(*module)));
    llvm::LLVMContext llvmContext;
    auto code = ::whit::optimizedDeviceModule(*module, target, llvmContext);
    ASSERT_TRUE(bool(code)) << llvm::toString(code.takeError());
    llvm::raw_svector_ostream stream(bitcode);
    llvm::WriteBitcodeToFile(*code->module, stream);
    auto assembly = ::whit::deviceAssembly(*code->module, target);
    ASSERT_TRUE(bool(assembly)) << llvm::toString(assembly.takeError());
    text = *assembly;
    char why[256] = "";
    simulator.reset(whit_open_simulator(kTarget, why, sizeof why));
    ASSERT_TRUE(simulator) << why;
    ::whit::DeviceImage image = nullptr;
    status = simulator->load(::whit::ImageKind::Bitcode, bitcode.data(), bitcode.size(), &image);
    if (status == WHIT_OK)
      status = simulator->find(image, "k", &kernel);
  }
  void assemble() {
    auto ptxas = ::whit::findPtxas();
    if (!ptxas)
      return;
    auto cubin = ::whit::assemblePtx(*ptxas, text, kTarget);
    EXPECT_TRUE(bool(cubin)) << llvm::toString(cubin.takeError()) << text;
  }

  template <class T> uint64_t put(const std::vector<T> &values) {
    void *memory = nullptr;
    EXPECT_EQ(simulator->allocate(values.size() * sizeof(T), &memory), WHIT_OK);
    EXPECT_EQ(simulator->copyIn(memory, values.data(), values.size() * sizeof(T)), WHIT_OK);
    return reinterpret_cast<uint64_t>(memory);
  }
  template <class T> std::vector<T> get(uint64_t at, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(simulator->copyOut(values.data(), reinterpret_cast<void *>(at), count * sizeof(T)), WHIT_OK)
        << simulator->message();
    return values;
  }
  /// Empty, or what went wrong.
  std::string run(const std::vector<uint64_t> &arguments) {
    if (status == WHIT_OK) {
      ::whit::LaunchShape shape;
      shape.block[0] = uint32_t(threads);
      status = simulator->launch(kernel, shape, arguments.data(), int32_t(arguments.size()));
      if (status == WHIT_OK)
        status = simulator->synchronize();
    }
    return status == WHIT_OK ? "" : simulator->message();
  }

  MLIRContext context;
  DialectRegistry registry;
  OwningOpRef<ModuleOp> module;
  ::whit::Target target;
  LLVM::LLVMFuncOp function;
  std::optional<LaneBuilder> b;
  int64_t threads;
  llvm::SmallVector<char, 0> bitcode;
  std::string text;
  std::unique_ptr<::whit::Device> simulator;
  ::whit::DeviceKernel kernel = nullptr;
  whit_status status = WHIT_OK;
};

// ---------------------------------------------------------------------------------------------------- memory

TEST(InlineForms, LoadsAndCopiesBringWhatLiesThere) {
  // Words of a lane: by a load, by a copy through shared memory, and by one copy for all.
  struct Case {
    InlineFormName load, copy;
    int64_t words;
  };
  for (Case row : {Case{InlineFormName::LoadWord, InlineFormName::CopyWord, 1},
                   Case{InlineFormName::LoadTwoWords, InlineFormName::CopyTwoWords, 2},
                   Case{InlineFormName::LoadFourWords, InlineFormName::CopyFourWords, 4}}) {
    SCOPED_TRACE(row.words);
    Program p(32, 2);
    LaneBuilder &b = *p.b;
    Type i32 = b.getI32Type(), i64 = b.getI64Type();
    int64_t bytes = row.words * 4;
    Value lane = p.times(p.thread(), bytes), from = p.plus(p.device(0), lane), to = p.plus(p.device(1), lane);
    Value policy = InlineForm::get(InlineFormName::EvictFirst).emit(b, i64, {})[0];
    SmallVector<Type> types(size_t(row.words), i32);
    auto loaded = InlineForm::get(row.load).emit(b, types, {from, policy});
    Value slot = p.plus(p.shared(), lane);
    InlineForm::get(row.copy).emit(b, {}, {slot, from, policy});
    p.call("llvm.nvvm.cp.async.wait.all", Type(), {});
    for (int64_t i = 0; i < row.words; ++i) {
      p.store(loaded[size_t(i)], p.plus(to, i * 4), 1);
      p.store(p.load(i32, p.plus(slot, i * 4), 3), p.plus(to, 32 * bytes + i * 4), 1);
    }
    p.finish();
    p.assemble();
    std::vector<uint32_t> in(size_t(32 * row.words)), twice(in.size() * 2);
    std::iota(in.begin(), in.end(), 5u);
    uint64_t out = p.put(twice);
    ASSERT_EQ(p.run({p.put(in), out}), "");
    std::copy(in.begin(), in.end(), twice.begin());
    std::copy(in.begin(), in.end(), twice.begin() + int64_t(in.size()));
    EXPECT_EQ(p.get<uint32_t>(out, twice.size()), twice);
  }
}

TEST(InlineForms, BulkCopiesAreCountedByAnMbarrier) {
  for (bool once : {false, true}) {
    Program p(1, 2);
    LaneBuilder &b = *p.b;
    Type i32 = b.getI32Type(), i64 = b.getI64Type();
    auto number = [&](int64_t value) -> Value {
      return arith::ConstantOp::create(b, b.getI32IntegerAttr(int32_t(value)));
    };
    Value base = p.shared(), bar = p.plus(base, 8192), pointer = p.pointer(bar, 3);
    p.call("llvm.nvvm.mbarrier.init.shared", Type(), {pointer, number(1)});
    p.call("llvm.nvvm.fence.mbarrier_init.release.cluster", Type(), {});
    p.call("llvm.nvvm.mbarrier.arrive.expect.tx.scope.cta.space.cta", i64, {pointer, number(256)});
    SmallVector<Value> operands{base, p.device(0), number(256), bar};
    if (once)
      operands.push_back(InlineForm::get(InlineFormName::EvictFirst).emit(b, i64, {})[0]);
    InlineForm::get(once ? InlineFormName::CopyBulkOnce : InlineFormName::CopyBulk).emit(b, {}, operands);
    // The kernel has no loops: asked twice, the simulator says yes.
    for (int i = 0; i < 2; ++i)
      p.call("llvm.nvvm.mbarrier.try.wait.parity.scope.cta.space.cta", b.getI1Type(), {pointer, number(0)});
    for (int64_t i = 0; i < 64; ++i)
      p.store(p.load(i32, p.plus(base, i * 4), 3), p.plus(p.device(1), i * 4), 1);
    p.finish();
    p.assemble();
    std::vector<uint32_t> in(64), none(64);
    std::iota(in.begin(), in.end(), 9u);
    uint64_t out = p.put(none);
    ASSERT_EQ(p.run({p.put(in), out}), "");
    EXPECT_EQ(p.get<uint32_t>(out, 64), in);
  }
}

// ---------------------------------------------------------------------------------------------------- products

enum class Wrong {
  Nothing,
  Lane,
  Stride,
  NotPublished,
  NoBarrier,
  NotBegun,
  NotWaited,
  NotCommitted,
  WaitsForOthers,
  Overwritten,
  OneWarpMore
};

/// Small integers as the elements of a product.
uint32_t encoded(MatrixProduct product, int value) {
  static const uint8_t e4m3[] = {0x00, 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c, 0x4e, 0x50}; // 0 ... 8
  switch (product) {
  case MatrixProduct::Bfloat:
    return llvm::bit_cast<uint32_t>(float(value)) >> 16;
  case MatrixProduct::SmallFloats:
    return e4m3[std::abs(value)] | (value < 0 ? 0x80u : 0u);
  default:
    return uint8_t(value);
  }
}

/// Empty if the numbers are right, else what was found.
std::string multiply(const WarpgroupUnit &unit, int64_t tokens, Wrong wrong) {
  constexpr int64_t kSteps = 3;
  bool halves = unit.product == MatrixProduct::Bfloat;
  int64_t perWord = halves ? 2 : 4, k = kSteps * unit.depth, bytesOfK = k * 4 / perWord;
  int64_t threads = wrong == Wrong::OneWarpMore ? 160 : 128;
  Program p(threads, 4);
  LaneBuilder &b = *p.b;
  Type i32 = b.getI32Type(),
       sumType = halves || unit.product == MatrixProduct::SmallFloats ? Type(b.getF32Type()) : i32;
  Value thread = p.thread(), base = p.shared();
  // B as it lies in device memory already, padded to what all threads copy.
  int64_t chunks = llvm::divideCeil(bytesOfK * tokens, threads * 4);
  auto copyB = [&] {
    for (int64_t i = 0; i < chunks; ++i) {
      Value at = p.plus(p.times(thread, 4), i * threads * 4);
      p.store(p.load(i32, p.plus(p.device(1), at), 1), p.plus(base, at), 3);
    }
  };
  copyB();
  if (wrong != Wrong::NotPublished)
    WarpgroupUnit::publish(b);
  if (wrong != Wrong::NoBarrier)
    p.barrier();
  SmallVector<Value> registers;
  Value lane = wrong == Wrong::Lane ? arith::XOrIOp::create(b, thread, p.constant(1)).getResult() : thread;
  for (int64_t i = 0; i < kSteps * 4; ++i)
    registers.push_back(p.load(i32, p.plus(p.plus(p.device(0), p.times(lane, kSteps * 16)), i * 4), 1));
  for (int64_t i = 0; i < tokens / 2; ++i)
    registers.push_back(p.load(sumType, p.plus(p.plus(p.device(2), p.times(thread, tokens * 2)), i * 4), 1));
  if (wrong != Wrong::NotBegun)
    registers = WarpgroupUnit::begin(b, registers);
  SmallVector<Value> sums(registers.begin() + kSteps * 4, registers.end());
  for (int64_t step = 0; step < kSteps; ++step)
    sums = unit.emit(b, ValueRange(registers).slice(size_t(step * 4), 4),
                     unit.operand(b, base, wrong == Wrong::Stride ? tokens / 2 : tokens, step), sums);
  if (wrong != Wrong::NotCommitted)
    WarpgroupUnit::commit(b);
  if (wrong == Wrong::Overwritten) {
    p.barrier();
    copyB();
    p.barrier();
  }
  if (wrong != Wrong::NotWaited)
    sums = WarpgroupUnit::wait(b, sums, wrong == Wrong::WaitsForOthers);
  for (int64_t i = 0; i < tokens / 2; ++i)
    p.store(sums[size_t(i)], p.plus(p.plus(p.device(3), p.times(thread, tokens * 2)), i * 4), 1);
  p.finish();
  if (wrong == Wrong::Nothing)
    p.assemble();

  std::mt19937 random(unsigned(tokens + unit.depth));
  bool isUnsigned = unit.product == MatrixProduct::Bytes;
  auto draw = [&](bool nonNegative) { return int(random() % 17) - (nonNegative ? 0 : 8); };
  std::vector<int> a(size_t(64 * k)), y(size_t(tokens * k)), c(size_t(64 * tokens));
  for (int &value : a)
    value = isUnsigned ? 240 + draw(true) - 1 : draw(false);
  for (int &value : y)
    value = draw(false);
  for (int &value : c)
    value = draw(false);
  // PTX ISA, "Register Fragments for wgmma" and "Shared Memory Layout", element by element.
  std::vector<uint32_t> words(size_t(threads * kSteps * 4)), old(size_t(threads * tokens / 2)), none(old.size());
  std::vector<uint32_t> shared(size_t(chunks * threads));
  int bits = halves ? 16 : 8;
  for (int64_t t = 0; t < 128; ++t) {
    int64_t row = t / 32 * 16 + t % 32 / 4;
    for (int64_t step = 0; step < kSteps; ++step)
      for (int64_t e = 0; e < 4 * perWord; ++e) {
        int64_t r = row + (e / perWord % 2) * 8;
        int64_t column = step * unit.depth + t % 4 * perWord + e % perWord + (e >= 2 * perWord ? 4 * perWord : 0);
        words[size_t((t * kSteps + step) * 4 + e / perWord)] |= encoded(unit.product, a[size_t(r * k + column)])
                                                                << bits * (e % perWord);
      }
    for (int64_t i = 0; i < tokens / 2; ++i) {
      int value = c[size_t((row + (i % 4 >= 2 ? 8 : 0)) * tokens + i / 4 * 8 + t % 4 * 2 + i % 2)];
      old[size_t(t * tokens / 2 + i)] = sumType == i32 ? uint32_t(value) : llvm::bit_cast<uint32_t>(float(value));
    }
  }
  for (int64_t token = 0; token < tokens; ++token)
    for (int64_t x = 0; x < k; ++x) {
      int64_t byte = x * bits / 8, at = byte / 16 * tokens * 16 + token * 16 + byte % 16;
      MatrixProduct product = isUnsigned ? MatrixProduct::SignedBytes : unit.product;
      shared[size_t(at / 4)] |= encoded(product, y[size_t(token * k + x)]) << 8 * (at % 4);
    }
  uint64_t out = p.put(none);
  std::string fault = p.run({p.put(words), p.put(shared), p.put(old), out});
  if (!fault.empty())
    return fault;
  auto values = p.get<uint32_t>(out, old.size());
  for (int64_t t = 0; t < 128; ++t)
    for (int64_t i = 0; i < tokens / 2; ++i) {
      int64_t row = t / 32 * 16 + t % 32 / 4 + (i % 4 >= 2 ? 8 : 0), token = i / 4 * 8 + t % 4 * 2 + i % 2;
      int64_t sum = c[size_t(row * tokens + token)];
      for (int64_t x = 0; x < k; ++x)
        sum += int64_t(a[size_t(row * k + x)]) * y[size_t(token * k + x)];
      uint32_t expected = sumType == i32 ? uint32_t(sum) : llvm::bit_cast<uint32_t>(float(sum));
      if (values[size_t(t * tokens / 2 + i)] != expected)
        return "thread " + std::to_string(t) + " has another sum " + std::to_string(i);
    }
  return "";
}

TEST(InlineForms, ProductsOfWarpgroupsAreThoseOfALoop) {
  for (const WarpgroupUnit &unit : WarpgroupUnit::all())
    for (int64_t tokens : {8, 16, 32, 64, 128}) {
      ASSERT_TRUE(WarpgroupUnit::takes(tokens));
      EXPECT_EQ(multiply(unit, tokens, Wrong::Nothing), "") << unit.name.str() << ", " << tokens << " tokens";
    }
}

TEST(InlineForms, FaultsOfProductsAreFound) {
  auto expect = [](Wrong wrong, const char *words) {
    std::string found = multiply(WarpgroupUnit::all().front(), 16, wrong);
    EXPECT_NE(found.find(words), std::string::npos) << "no `" << words << "` in: " << found;
  };
  expect(Wrong::Lane, "has another sum");
  expect(Wrong::Stride, "has another sum");
  expect(Wrong::NotPublished, "with no fence.proxy.async between them");
  expect(Wrong::NoBarrier, "race in shared memory at byte 0: all lanes read what lane 0 of its warp wrote");
  expect(Wrong::NotBegun, "do not come from wgmma.fence");
  expect(Wrong::NotWaited, "before wgmma.wait_group has passed them on");
  expect(Wrong::NotCommitted, "has not waited for it");
  expect(Wrong::WaitsForOthers, "has not waited for it");
  expect(Wrong::Overwritten, "while a product of warp");
  expect(Wrong::OneWarpMore, "which has no three others beside it");
}

TEST(InlineForms, EachIsForATargetThatHasIt) {
  EXPECT_EQ(InlineForm::get(InlineFormName::CopyBulk).feature, "tma");
  for (const InlineForm &form : InlineForm::all())
    EXPECT_TRUE(llvm::is_contained({"cp-async", "tma"}, form.feature)) << form.name.str();
  EXPECT_FALSE(WarpgroupUnit::takes(24));
}

} // namespace
