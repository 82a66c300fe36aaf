// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Tasks and measurements as lines of JSON. A file of rows only grows: what a row is about has a key, and what has one is not measured again.
//
//   {"schema":"whit-tune-task/1","split":"train","op":{...},"rows":[1,128],"schedule":{...}}
//   {"schema":"whit-tune-row/1","key":"...","op":{...},"schedule":{...},"target":{...},"toolchain":{...},"nanoseconds":{...},"reference":{...}}
//   {"schema":"whit-tune-row/1","key":"...",...,"failure":"wrong","message":"..."}

#pragma once

#include "Tune/Matmul.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <string>
#include <vector>

namespace whit::tune {

/// Where rows come from, and what they may be compared with.
struct Machine {
  std::string cpu, features; ///< LLVM's name, and what kernels make use of: kernelFeatures()
  std::string triple = "x86_64-unknown-linux-gnu";

  static Machine of(const Target &target);
  bool operator==(const Machine &) const = default;
};

/// What made the kernel.
struct Toolchain {
  std::string llvm, whit, lowering; ///< lowering: a fingerprint of what a kernel becomes

  bool operator==(const Toolchain &) const = default;
};

/// What is measured: a matmul for so many rows, its weight in the caches or not.
struct Operation {
  Matmul matmul;
  int64_t rows = 1;
  bool isCold = false;

  bool operator==(const Operation &) const = default;
};

struct Times {
  int64_t least = 0, tenth = 0, median = 0, count = 0; ///< nanoseconds of one call, by CPU time of the thread

  bool operator==(const Times &) const = default;
};

struct Row {
  Operation operation;
  MatmulTile tile;
  Machine machine;
  Toolchain toolchain;
  std::string failure, message; ///< compile, crash, timeout or wrong; empty where there are times
  Times times;
  int64_t reference = 0; ///< least nanoseconds of the reference kernel beside it
  int64_t drift = 0;     ///< of the reference since the run began, in thousandths
  std::string split;     ///< train, validation or test

  /// The same for the same operation, schedule, machine and toolchain.
  std::string key() const;
  std::string print() const;
  static llvm::Expected<Row> parse(llvm::StringRef line);
  /// From an object without schema and key.
  static llvm::Expected<Row> read(const llvm::json::Object &object);
};

struct Task {
  Matmul matmul;
  std::vector<int64_t> rows;
  MatmulTile tile;
  std::string split;

  std::string print() const;
  static llvm::Expected<Task> parse(llvm::StringRef line);
};

/// Calls `take` with each line of a file that is not empty. What it refuses is said with file and line.
llvm::Error forLines(const std::string &path, llvm::function_ref<llvm::Error(llvm::StringRef)> take);
/// The lines of a file, each by `T::parse`; an error names file and line. Lines of nothing are left out.
template <typename T> llvm::Expected<std::vector<T>> readLines(const std::string &path);

/// A file of rows. There need not be one yet.
class Database {
public:
  static llvm::Expected<Database> open(const std::string &path);
  /// One that is forgotten.
  static Database inMemory() { return Database(""); }
  bool contains(const std::string &key) const { return keys.contains(key); }
  llvm::Error append(const Row &row);
  size_t size() const { return keys.size(); }

private:
  explicit Database(std::string path) : path(std::move(path)) {}
  std::string path;
  llvm::StringSet<> keys;
};

} // namespace whit::tune
