// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Good schedules alone would leave a model blind to bad ones, random ones alone would waste most samples on them.

#include "Tune/Tasks.h"

#include "runtime/trust/Sha256.h"
#include "whit/MatmulSpace.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <numeric>
#include <random>

using namespace llvm;

namespace whit::tune {

static Digest digestOf(StringRef text) { return sha256({reinterpret_cast<const uint8_t *>(text.data()), text.size()}); }

std::string splitOf(int64_t n, int64_t k) {
  Digest digest = digestOf(std::to_string(n) + "x" + std::to_string(k));
  int place = (digest[0] * 256 + digest[1]) % 10;
  return place < 2 ? "test" : place < 4 ? "validation" : "train";
}

std::vector<MatmulTile> spaceOf(const Matmul &matmul, const Target &target) {
  return matmulTiles(workOf(matmul, 1, target));
}

std::vector<MatmulTile> byModel(const Matmul &matmul, const Target &target, const CostModel &model) {
  std::vector<MatmulTile> tiles = spaceOf(matmul, target);
  std::vector<double> product(tiles.size(), 1);
  for (int64_t rows : kNominalRows) {
    MatmulWork work = workOf(matmul, rows, target);
    for (size_t i = 0; i < tiles.size(); ++i)
      product[i] *= model.matmulSeconds(work, tiles[i]);
  }
  std::vector<size_t> order(tiles.size());
  std::iota(order.begin(), order.end(), 0);
  llvm::stable_sort(order, [&](size_t x, size_t y) { return product[x] < product[y]; });
  std::vector<MatmulTile> sorted;
  for (size_t i : order)
    sorted.push_back(tiles[i]);
  return sorted;
}

/// Puts `count` of `tiles`, drawn at random, first. The standard's own shuffle differs between libraries.
static void draw(std::vector<MatmulTile> &tiles, size_t count, std::mt19937_64 &random) {
  for (size_t i = 0; i < std::min(count, tiles.size()); ++i)
    std::swap(tiles[i], tiles[i + random() % (tiles.size() - i)]);
}

std::vector<Task> makeTasks(const std::vector<Matmul> &matmuls, const Target &target, const TaskOptions &options,
                            const CostModel &model) {
  std::vector<Task> tasks;
  for (const Matmul &matmul : matmuls) {
    std::string split = splitOf(matmul.n, matmul.k);
    Digest digest = digestOf(matmul.format + std::string(nameOfActivations(matmul.activations)) +
                             std::to_string(matmul.n) + "x" + std::to_string(matmul.k));
    std::mt19937_64 random(options.seed + digest[0] + 256 * digest[1]);
    std::vector<MatmulTile> liked = byModel(matmul, target, model), chosen = liked;
    if (split != "train") {
      draw(chosen, chosen.size(), random);
    } else {
      // The best few, then fewer and fewer of what follows.
      size_t half = std::min<size_t>(options.samples / 2, liked.size());
      std::vector<MatmulTile> some(liked.begin(), liked.begin() + half / 2);
      std::vector<MatmulTile> next(liked.begin() + half / 2, liked.begin() + std::min(liked.size(), 4 * half));
      draw(next, half - half / 2, random);
      some.insert(some.end(), next.begin(), next.begin() + std::min(next.size(), half - half / 2));
      std::vector<MatmulTile> others;
      llvm::copy_if(liked, std::back_inserter(others),
                    [&](const MatmulTile &tile) { return !is_contained(some, tile); });
      size_t rest = std::min(others.size(), size_t(options.samples) - std::min(some.size(), size_t(options.samples)));
      draw(others, rest, random);
      some.insert(some.end(), others.begin(), others.begin() + rest);
      chosen = some;
    }
    for (const MatmulTile &tile : chosen)
      tasks.push_back({matmul, options.rows, tile, split});
  }
  return tasks;
}

std::string manifestOf(const std::vector<Task> &tasks, const TaskOptions &options) {
  std::string all, text;
  for (const Task &task : tasks)
    all += task.print() + "\n";
  raw_string_ostream stream(text);
  json::OStream out(stream, 1);
  out.object([&] {
    out.attribute("schema", "whit-tune-manifest/1");
    out.attribute("seed", int64_t(options.seed));
    out.attribute("samples", options.samples);
    out.attribute("tasks", int64_t(tasks.size()));
    out.attribute("sha256", toHex(digestOf(all)));
    out.attributeArray("matmuls", [&] {
      for (size_t i = 0; i < tasks.size();) {
        size_t end = i;
        while (end < tasks.size() && tasks[end].matmul == tasks[i].matmul)
          ++end;
        const Matmul &matmul = tasks[i].matmul;
        out.value((matmul.format + ":" + std::string(nameOfActivations(matmul.activations)) + " " +
                   std::to_string(matmul.n) + "x" + std::to_string(matmul.k) + ", " + tasks[i].split + ", " +
                   std::to_string(end - i) + " schedules"));
        i = end;
      }
    });
  });
  return text + "\n";
}

} // namespace whit::tune
