// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// All arguments lie behind each other in one vector.
#include "runtime/devices/LaunchList.h"

#include <algorithm>

namespace whit {

void LaunchList::add(int32_t number, const DeviceLaunch &launch) {
  entries.push_back({number, launch.count, launch.kernel, launch.shape, words.size()});
  words.insert(words.end(), launch.arguments, launch.arguments + launch.count);
}

void LaunchList::append(size_t index) {
  Entry entry = entries[index];
  for (int32_t i = 0; i < entry.count; ++i)
    words.push_back(words[entry.word + size_t(i)]);
  entry.word = words.size() - size_t(entry.count);
  entries.push_back(entry);
}

DeviceLaunch LaunchList::operator[](size_t index) const {
  const Entry &entry = entries[index];
  return {entry.kernel, entry.shape, words.data() + entry.word, entry.count};
}

bool LaunchList::resembles(const LaunchList &other) const {
  return std::equal(entries.begin(), entries.end(), other.entries.begin(), other.entries.end(),
                    [](const Entry &a, const Entry &b) { return a.kernel == b.kernel && a.count == b.count; });
}

bool LaunchList::equals(const LaunchList &other, size_t index) const {
  const Entry &a = entries[index], &b = other.entries[index];
  return a.shape.grid == b.shape.grid && a.shape.block == b.shape.block && a.shape.sharedBytes == b.shape.sharedBytes &&
         std::equal(words.begin() + int64_t(a.word), words.begin() + int64_t(a.word) + a.count,
                    other.words.begin() + int64_t(b.word));
}

void LaunchList::move(size_t first, const void *from, int64_t bytes, const void *to) {
  auto begin = reinterpret_cast<uint64_t>(from), target = reinterpret_cast<uint64_t>(to);
  for (size_t i = first < entries.size() ? entries[first].word : words.size(); i < words.size(); ++i)
    if (words[i] - begin < uint64_t(bytes))
      words[i] += target - begin;
}

} // namespace whit
