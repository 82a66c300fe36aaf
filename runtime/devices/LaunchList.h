// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The launches of one run, in their order, with copies of their arguments. A list that is emptied keeps its memory.
#ifndef WHIT_RUNTIME_DEVICES_LAUNCHLIST_H
#define WHIT_RUNTIME_DEVICES_LAUNCHLIST_H

#include "whit/Device.h"

#include <vector>

namespace whit {

class LaunchList {
public:
  void clear() {
    entries.clear();
    words.clear();
  }
  /// `number`: the kernel's in the manifest.
  void add(int32_t number, const DeviceLaunch &launch);
  /// Launch `index` once more.
  void append(size_t index);

  size_t size() const { return entries.size(); }
  DeviceLaunch operator[](size_t index) const;
  int32_t number(size_t index) const { return entries[index].number; }

  /// Whether a graph of the one can be made to run the other: the same kernels with as many arguments.
  bool resembles(const LaunchList &other) const;
  /// Whether launch `index` is the same in both, which resemble each other.
  bool equals(const LaunchList &other, size_t index) const;

  /// Makes each pointer between `from` and `from` + `bytes` one between `to` and `to` + `bytes`, from launch `first` on.
  void move(size_t first, const void *from, int64_t bytes, const void *to);

private:
  struct Entry {
    int32_t number, count;
    DeviceKernel kernel;
    LaunchShape shape;
    size_t word; ///< of the first argument
  };

  std::vector<Entry> entries;
  std::vector<uint64_t> words;
};

} // namespace whit

#endif // WHIT_RUNTIME_DEVICES_LAUNCHLIST_H
