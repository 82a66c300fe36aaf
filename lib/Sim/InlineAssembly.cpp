// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Inline assembly: one instruction, whose name is looked up in a table of rows. Each row says what the PTX ISA document says of it; that the
// compiler has rows of the same names is on purpose not shared. Operands are what the template names: `$0`, `{$0, $1}`, `[$2]`, numbers.

#include "Sim/Arithmetic.h"
#include "Sim/Lowering.h"
#include "Sim/Matrix.h"
#include "Sim/Special.h"
#include "Sim/Statement.h"

#include "llvm/IR/InlineAsm.h"

using namespace llvm;

namespace whit::sim {
namespace {

bool logic(Statement &s) {
  auto table = s.number(4);
  if (!s.writes(1) || s.operands.size() != 5 || !table || *table > 255 || !s.input(1) || !s.input(2) || !s.input(3))
    return false;
  emitLogic3(s.lowering, s.call, {s.input(1), s.input(2), s.input(3)}, uint32_t(*table));
  return true;
}

bool permute(Statement &s) {
  // Operands stand as they come, so that the arguments of the call are the operands of the instruction.
  if (!s.writes(1) || s.operands.size() != 4 || s.call.arg_size() != 3)
    return false;
  for (unsigned i = 0; i < 3; ++i)
    if (s.input(i + 1) != s.call.getArgOperand(i))
      return false;
  emitPermuteBytes(s.lowering, s.call);
  return true;
}

/// The last operand, where the name has a cache hint: a policy.
bool takePolicy(Statement &s) {
  if (!s.name.contains(".L2::cache_hint"))
    return true;
  const Value *policy = s.operands.empty() ? nullptr : s.input(s.operands.size() - 1);
  if (!policy)
    return false;
  emitPolicyCheck(s.lowering, policy);
  s.operands.pop_back();
  return true;
}

// cp.async.{ca,cg}.shared.global[.L2::hint] [to], [from], bytes[, bytes that are read][, policy]
bool asyncCopy(Statement &s) {
  if (!takePolicy(s))
    return false;
  auto bytes = s.number(2);
  size_t operands = s.operands.size();
  if (s.results || !bytes || !s.input(0) || !s.input(1) || operands < 3 || operands > 4 ||
      (*bytes != 4 && *bytes != 8 && *bytes != 16) || (s.name.starts_with("cp.async.cg") && *bytes != 16) ||
      (operands == 4 && !s.input(3)))
    return false;
  emitAsyncCopy(s.lowering, s.input(0), s.input(1), uint32_t(*bytes), operands == 4 ? s.input(3) : nullptr);
  return true;
}
bool asyncCommit(Statement &s) {
  if (s.results || !s.operands.empty())
    return false;
  emitAsyncCommit(s.lowering);
  return true;
}
bool asyncWait(Statement &s) {
  auto groups = s.number(0);
  if (s.results || s.operands.size() != 1 || !groups)
    return false;
  emitAsyncWait(s.lowering, *groups, false);
  return true;
}
bool asyncWaitAll(Statement &s) {
  if (s.results || !s.operands.empty())
    return false;
  emitAsyncWait(s.lowering, 0, true);
  return true;
}

// cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes[.L2::cache_hint] [to], [from], bytes, [mbarrier][, policy]
bool bulkCopy(Statement &s) {
  if (s.results || !takePolicy(s) || s.operands.size() != 4 || !s.input(0) || !s.input(1) || !s.input(2) || !s.input(3))
    return false;
  emitBulkCopy(s.lowering, s.input(0), s.input(3), s.input(1), s.input(2));
  return true;
}

// ld.global[.nc][.L1::...][.L2::...][.v4].u32 {a, b, c, d}, [from][, policy]: hints change nothing but time.
bool loadGlobal(Statement &s) {
  if (!takePolicy(s))
    return false;
  const Value *from = s.input(1);
  if (!from || s.operands.size() != 2 || !s.writes(s.results) || s.lowering.leaves(from->getType())[0].type.bytes != 8)
    return false;
  SmallVector<StringRef> words;
  s.name.drop_front(StringRef("ld.global").size()).split(words, '.', -1, false);
  size_t width = 1, bits = 0;
  for (StringRef word : words) {
    if (word == "v2" || word == "v4")
      width = size_t(word[1] - '0');
    else if (word.size() == 3 && StringRef("bufs").contains(word[0]))
      (void)word.drop_front().getAsInteger(10, bits);
    else if (word != "nc" && !word.starts_with("L1::") && !word.starts_with("L2::"))
      return false;
  }
  auto parts = s.lowering.leaves(s.call.getType());
  uint64_t bytes = 0;
  for (const Leaf &leaf : parts) {
    if (leaf.type.bytes * 8 != bits)
      return false;
    bytes += leaf.type.bytes;
  }
  if (parts.size() != width)
    return false;
  emitGlobalLoad(s.lowering, s.call, from, bytes);
  return true;
}

bool exp2(Statement &s) {
  if (!s.writes(1) || s.operands.size() != 2 || s.call.arg_size() != 1 || !s.input(1))
    return false;
  emitExp2(s.lowering, s.call, s.name.contains(".ftz"));
  return true;
}

// createpolicy.fractional.L2::evict_first.b64 policy[, fraction]: a number without meaning here.
bool createPolicy(Statement &s) {
  if (!s.writes(1))
    return false;
  s.lowering.alias(s.call, {s.lowering.constant(CACHE_POLICY, 8)});
  return true;
}

bool matrix(Statement &s) {
  StringRef shape = s.name;
  shape.consume_front("mma.sync.aligned.");
  if (s.operands.size() != 4 || !s.writes(s.operands[0].size()))
    return false;
  Slots parts[3];
  for (size_t operand = 1; operand < 4; ++operand)
    for (size_t i = 0; i < s.operands[operand].size(); ++i) {
      const Value *value = s.input(operand, i);
      if (!value)
        return false;
      parts[operand - 1].append(s.lowering.use(value));
    }
  return emitWarpMatrix(s.lowering, s.call, shape, parts[0], parts[1], parts[2]);
}

bool nothing(Statement &s) { return s.results == 0; }

/// `exact`: the whole name; else its beginning.
struct Row {
  const char *name;
  bool exact;
  bool (*lower)(Statement &);
};
constexpr Row NVIDIA_ROWS[] = {
    {"lop3.b32", true, logic},
    {"prmt.b32", true, permute},
    {"cp.async.commit_group", true, asyncCommit},
    {"cp.async.wait_group", true, asyncWait},
    {"cp.async.wait_all", true, asyncWaitAll},
    {"cp.async.cg.shared.global", false, asyncCopy},
    {"cp.async.ca.shared.global", false, asyncCopy},
    {"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes", false, bulkCopy},
    {"cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes", false, bulkCopy},
    {"ld.global.", false, loadGlobal},
    {"ex2.approx", false, exp2},
    {"createpolicy.fractional.L2::", false, createPolicy},
    {"mma.sync.aligned.", false, matrix},
    {"wgmma.", false, lowerWarpgroup},
};
constexpr Row AMD_ROWS[] = {{"s_waitcnt", false, nothing}, {"s_nop", true, nothing}, {"s_setprio", true, nothing}};

bool parse(StringRef text, Statement &s) {
  text = text.trim();
  text.consume_back(";");
  text = text.trim();
  if (text.contains(';') || text.contains('\n'))
    return false; // one instruction
  size_t space = text.find_first_of(" \t");
  s.name = text.substr(0, space);
  StringRef rest = space == StringRef::npos ? "" : text.substr(space).trim();
  while (!rest.empty()) {
    s.operands.emplace_back();
    StringRef group;
    char close = rest[0] == '{' ? '}' : rest[0] == '[' ? ']' : 0;
    if (close) {
      size_t end = rest.find(close);
      if (end == StringRef::npos)
        return false;
      group = rest.slice(1, end);
      rest = rest.substr(end + 1).ltrim();
    } else {
      size_t end = rest.find(',');
      group = rest.substr(0, end);
      rest = end == StringRef::npos ? "" : rest.substr(end);
    }
    while (!group.empty()) {
      auto [first, others] = group.split(',');
      s.operands.back().push_back(first.trim());
      group = others;
    }
    if (!rest.empty() && !rest.consume_front(","))
      return false;
    rest = rest.ltrim();
  }
  return true;
}

} // namespace

bool lowerInlineAssembly(Lowering &lowering, const CallInst &call) {
  auto *assembly = cast<InlineAsm>(call.getCalledOperand());
  StringRef constraints = assembly->getConstraintString();
  SmallVector<StringRef> parts;
  constraints.split(parts, ',');
  Statement statement{lowering, call, "", {}, 0, {}};
  for (StringRef part : parts) {
    unsigned number;
    if (part.starts_with("="))
      ++statement.results;
    else if (!part.starts_with("~"))
      statement.ties.push_back(part.getAsInteger(10, number) ? -1 : int(number));
  }
  std::string text = assembly->getAsmString().str();
  if (StringRef(text).trim().empty())
    return statement.results == 0;
  if (!parse(text, statement))
    return false;
  for (const Row &row : lowering.architecture.nvidia ? ArrayRef<Row>(NVIDIA_ROWS) : ArrayRef<Row>(AMD_ROWS))
    if (row.exact ? statement.name == row.name : statement.name.starts_with(row.name))
      return row.lower(statement);
  return false;
}

} // namespace whit::sim
