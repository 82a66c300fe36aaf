// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// whit-lower-lookup: a permutation takes as many entries as a register or two hold; a longer table is cut in pieces of that
// size, and the upper bits of each code select the piece that answered. Past a few pieces, loads are cheaper.

#include "Lower/TargetFacts.h"
#include "Whit/Whit.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/Pass.h"

namespace mlir::whit {
#define GEN_PASS_DEF_LOWERLOOKUPPASS
#include "Lower/LowerLookup.h.inc"
} // namespace mlir::whit

using namespace mlir;
using namespace mlir::whit;

/// So many are looked up one by one, and all by a thread of a GPU.
static constexpr int64_t kFewLanes = 4;
/// Where tables of kernels of a GPU lie: its memory.
static constexpr int64_t kGlobalSpace = 1;

namespace {
/// An instruction that looks lanes up in a table of registers.
struct Permutation {
  StringRef name;
  int64_t lanes;      ///< of its operands and its result
  int64_t entries;    ///< of the table that it takes
  int64_t mostPieces; ///< of a longer table; more are read from memory
  enum { TableFirst, TableAround } order = TableFirst;
  int64_t repeat = 1; ///< the table stands in every so many lanes
};

/// Lowers one look-up.
class LookupLowering {
public:
  LookupLowering(LookupOp op, const TargetFacts &facts, function_ref<memref::GlobalOp(DenseElementsAttr)> constantOf)
      : b(op), loc(op.getLoc()), facts(facts), op(op), constantOf(constantOf), type(cast<VectorType>(op.getType())),
        table(cast<DenseElementsAttr>(op.getTable())) {}

  Value lower() {
    int64_t lanes = type.getNumElements(), entries = table.getNumElements();
    for (const Permutation &permutation : type.getElementType().isF32() ? numbers() : bytes())
      if (lanes % permutation.lanes == 0 && entries <= permutation.entries * permutation.mostPieces)
        return permute(permutation);
    return load();
  }

private:
  /// Best first.
  SmallVector<Permutation> numbers() {
    SmallVector<Permutation> found;
    if (facts.has("avx512f")) {
      found.push_back({"llvm.x86.avx512.permvar.sf.512", 16, 16, 1});
      found.push_back({"llvm.x86.avx512.vpermi2var.ps.512", 16, 32, 2, Permutation::TableAround});
    }
    if (facts.has("avx2"))
      found.push_back({"llvm.x86.avx2.permps", 8, 8, 2});
    return found;
  }
  SmallVector<Permutation> bytes() {
    SmallVector<Permutation> found;
    if (facts.has("avx512vbmi")) {
      found.push_back({"llvm.x86.avx512.permvar.qi.512", 64, 64, 1});
      found.push_back({"llvm.x86.avx512.vpermi2var.qi.512", 64, 128, 2, Permutation::TableAround});
    }
    if (facts.has("avx512bw"))
      found.push_back({"llvm.x86.avx512.pshuf.b.512", 64, 16, 16, Permutation::TableFirst, 16});
    if (facts.has("avx2"))
      found.push_back({"llvm.x86.avx2.pshuf.b", 32, 16, 16, Permutation::TableFirst, 16});
    if (facts.has("ssse3"))
      found.push_back({"llvm.x86.ssse3.pshuf.b.128", 16, 16, 16, Permutation::TableFirst, 16});
    return found;
  }

  VectorType typeOf(int64_t lanes, Type element) { return VectorType::get({lanes}, element); }

  Value splat(VectorType type, int64_t value) {
    return arith::ConstantOp::create(b, loc,
                                     DenseElementsAttr::get(type, b.getIntegerAttr(type.getElementType(), value)));
  }

  /// `count` entries from `first` on, again and again until the lanes are full; a table that is too short repeats too.
  Value entries(int64_t first, int64_t count, int64_t lanes) {
    SmallVector<Attribute> all(table.getValues<Attribute>()), part;
    for (int64_t i = 0; i < lanes; ++i)
      part.push_back(all[first + i % count % std::min<int64_t>(count, all.size() - first)]);
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(typeOf(lanes, type.getElementType()), part));
  }

  Value permute(const Permutation &p) {
    int64_t lanes = type.getNumElements();
    Value result;
    for (int64_t at = 0; at < lanes; at += p.lanes) {
      Value codes = op.getCodes();
      if (lanes != p.lanes)
        codes = vector::ExtractStridedSliceOp::create(b, loc, codes, at, p.lanes, /*strides=*/1);
      Value part = pieces(p, codes, 0, std::max<int64_t>(table.getNumElements(), p.entries));
      if (lanes == p.lanes)
        return part;
      if (!result)
        result = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
      result = vector::InsertStridedSliceOp::create(b, loc, part, result, at, /*strides=*/1);
    }
    return result;
  }

  /// What `codes` masks, if the mask keeps all bits of an index into the table.
  Value withoutMask(Value codes) {
    auto masked = codes.getDefiningOp<arith::AndIOp>();
    DenseElementsAttr mask;
    bool keepsAll = masked && matchPattern(masked.getRhs(), m_Constant(&mask)) && mask.isSplat() &&
                    (mask.getSplatValue<APInt>().getZExtValue() & (table.getNumElements() - 1)) ==
                        uint64_t(table.getNumElements() - 1);
    return keepsAll ? masked.getLhs() : codes;
  }

  /// The answers of entries first .. first+count-1; the bits of the codes above them do not matter.
  Value pieces(const Permutation &p, Value codes, int64_t first, int64_t count) {
    auto codeType = cast<VectorType>(codes.getType());
    if (count > p.entries) {
      Value low = pieces(p, codes, first, count / 2), high = pieces(p, codes, first + count / 2, count / 2);
      Value bit = arith::AndIOp::create(b, loc, codes, splat(codeType, count / 2));
      Value isHigh = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, bit, splat(codeType, 0));
      return arith::SelectOp::create(b, loc, isHigh, high, low);
    }
    // Most read the bits that they need, and no others.
    if (p.repeat == 1)
      codes = withoutMask(codes);
    // pshufb reads the highest bit of a code too.
    if (p.repeat > 1 && table.getNumElements() > p.entries)
      codes = arith::AndIOp::create(b, loc, codes, splat(codeType, p.entries - 1));
    SmallVector<Value> operands;
    if (p.order == Permutation::TableAround)
      operands = {entries(first, p.lanes, p.lanes), codes, entries(first + p.lanes, p.lanes, p.lanes)};
    else
      operands = {entries(first, p.entries, p.lanes), codes};
    Type result = typeOf(p.lanes, type.getElementType());
    return LLVM::CallIntrinsicOp::create(b, loc, result, b.getStringAttr(p.name), operands).getResult(0);
  }

  Value load() {
    int64_t lanes = type.getNumElements();
    memref::GlobalOp constant = constantOf(table);
    Value memory = memref::GetGlobalOp::create(b, loc, constant.getType(), constant.getSymName());
    VectorType words = typeOf(lanes, b.getI32Type());
    Value codes = op.getCodes();
    if (codes.getType() != words)
      codes = arith::ExtUIOp::create(b, loc, words, codes);
    if (lanes <= kFewLanes || facts.isGpu()) {
      SmallVector<Value> entries;
      for (int64_t i = 0; i < lanes; ++i) {
        Value code = vector::ExtractOp::create(b, loc, codes, i);
        code = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), code);
        entries.push_back(memref::LoadOp::create(b, loc, memory, code));
      }
      return vector::FromElementsOp::create(b, loc, type, entries);
    }
    Value all = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(typeOf(lanes, b.getI1Type()), true));
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    return vector::GatherOp::create(b, loc, type, memory, zero, codes, all, none);
  }

  OpBuilder b;
  Location loc;
  const TargetFacts &facts;
  LookupOp op;
  function_ref<memref::GlobalOp(DenseElementsAttr)> constantOf;
  VectorType type;
  DenseElementsAttr table;
};

struct LowerLookupPass : mlir::whit::impl::LowerLookupPassBase<LowerLookupPass> {
  void runOnOperation() override {
    TargetFacts facts = TargetFacts::of(getOperation());
    SymbolTableCollection symbols;
    // One for each module that uses it: kernels of a GPU have their own.
    DenseMap<std::pair<Operation *, Attribute>, memref::GlobalOp> constants;
    auto constantOf = [&](Operation *user, DenseElementsAttr table) {
      Operation *module = SymbolTable::getNearestSymbolTable(user);
      memref::GlobalOp &constant = constants[{module, table}];
      if (!constant) {
        OpBuilder b = OpBuilder::atBlockEnd(&module->getRegion(0).front());
        Attribute space = isa<gpu::GPUModuleOp>(module) ? b.getI64IntegerAttr(kGlobalSpace) : Attribute();
        auto type =
            MemRefType::get(table.getType().getShape(), table.getElementType(), MemRefLayoutAttrInterface(), space);
        constant = memref::GlobalOp::create(b, getOperation().getLoc(), "whit_table", b.getStringAttr("private"), type,
                                            table, /*constant=*/true, /*alignment=*/b.getI64IntegerAttr(64));
        symbols.getSymbolTable(module).insert(constant);
      }
      return constant;
    };
    getOperation().walk([&](LookupOp op) {
      auto constant = [&](DenseElementsAttr table) { return constantOf(op, table); };
      op.replaceAllUsesWith(LookupLowering(op, facts, constant).lower());
      op.erase();
    });
  }
};
} // namespace
