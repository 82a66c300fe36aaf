// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files appear whole or not at all: a writer that ends early, by its own will or by a signal, leaves what was there.

#include "Emit/OutputFile.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace whit;

namespace {
class OutputFileTest : public testing::Test {
protected:
  void SetUp() override { ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("whit-output", folder)); }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  std::string path(llvm::StringRef name) {
    llvm::SmallString<128> result(folder);
    llvm::sys::path::append(result, name);
    return result.str().str();
  }
  static std::string text(const std::string &path) {
    auto buffer = llvm::MemoryBuffer::getFile(path);
    return buffer ? (*buffer)->getBuffer().str() : "(none)";
  }
  int fileCount() {
    int count = 0;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator entry(folder, code), end; entry != end && !code; entry.increment(code))
      ++count;
    return count;
  }

  llvm::SmallString<128> folder;
};
} // namespace

TEST_F(OutputFileTest, AppearsOnCommit) {
  auto file = OutputFile::create(path("a"));
  ASSERT_TRUE(bool(file));
  ASSERT_FALSE(bool(file->write(llvm::StringRef("one "))));
  EXPECT_FALSE(llvm::sys::fs::exists(path("a")));
  ASSERT_FALSE(bool(file->write(llvm::StringRef("two"))));
  EXPECT_EQ(file->size(), 7);
  ASSERT_FALSE(bool(file->commit()));
  EXPECT_EQ(text(path("a")), "one two");
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(OutputFileTest, LeavesTheOldFileWithoutCommit) {
  for (bool commit : {true, false}) {
    auto file = OutputFile::create(path("a"));
    ASSERT_TRUE(bool(file));
    ASSERT_FALSE(bool(file->write(llvm::StringRef(commit ? "old" : "new"))));
    if (commit)
      ASSERT_FALSE(bool(file->commit()));
  }
  EXPECT_EQ(text(path("a")), "old");
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(OutputFileTest, AppendsAnother) {
  auto first = OutputFile::create(path("a")), second = OutputFile::create(path("b"));
  ASSERT_TRUE(first && second);
  std::string large(3 << 20, 'x');
  ASSERT_FALSE(bool(second->write(llvm::StringRef(large))));
  ASSERT_FALSE(bool(first->write(llvm::StringRef("head"))));
  ASSERT_FALSE(bool(first->append(*second)));
  ASSERT_FALSE(bool(first->commit()));
  EXPECT_EQ(text(path("a")), "head" + large);
  EXPECT_EQ(fileCount(), 1);
}

TEST_F(OutputFileTest, NothingIsLeftByAKilledProcess) {
  for (int signal : {SIGTERM, SIGKILL}) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto file = OutputFile::create(path("a"));
      llvm::consumeError(file->write(llvm::StringRef("half")));
      raise(signal);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(fileCount(), 0);
  }
}

TEST_F(OutputFileTest, RefusesFoldersAndMissingFolders) {
  auto inFolder = OutputFile::create(folder);
  EXPECT_EQ(llvm::toString(inFolder.takeError()), "cannot write: is a folder");
  auto nowhere = OutputFile::create(path("none/a"));
  EXPECT_EQ(llvm::toString(nowhere.takeError()), "cannot write: No such file or directory");
}
