// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Lines are read strictly: a field that is missing, of another type or of no use is an error that says which line and which field.

#include "Tune/Database.h"

#include "CostModel/Learned.h"
#include "Emit/Failure.h"
#include "runtime/trust/Sha256.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

using namespace llvm;

namespace whit::tune {

static constexpr StringLiteral kTask = "whit-tune-task/1", kRow = "whit-tune-row/1";
static constexpr StringLiteral kFailures[] = {"compile", "crash", "timeout", "wrong"};
static constexpr StringLiteral kSplits[] = {"train", "validation", "test"};

Machine Machine::of(const Target &target) {
  Machine machine;
  machine.cpu = target.cpu;
  machine.features = kernelFeatures(target.features);
  return machine;
}

// ---------------------------------------------------------------------------------------------------- writing

static void writeMatmul(json::OStream &out, const Matmul &matmul) {
  out.attribute("format", matmul.format);
  out.attribute("activations", nameOfActivations(matmul.activations));
  out.attribute("n", matmul.n);
  out.attribute("k", matmul.k);
}

static void writeTile(json::OStream &out, const MatmulTile &tile) {
  out.attributeObject("schedule", [&] {
    out.attribute("columns", tile.tileColumns);
    out.attribute("rows", tile.rows);
    out.attribute("panels", tile.panels);
    if (tile.unroll != MatmulTile::kUsual)
      out.attribute("unroll", tile.unroll);
    if (tile.prefetch != MatmulTile::kUsual)
      out.attribute("prefetch", tile.prefetch);
  });
}

/// What the key is of.
static void writeSubject(json::OStream &out, const Row &row) {
  out.attributeObject("op", [&] {
    writeMatmul(out, row.operation.matmul);
    out.attribute("rows", row.operation.rows);
    out.attribute("weights", row.operation.isCold ? "cold" : "hot");
  });
  writeTile(out, row.tile);
  out.attributeObject("target", [&] {
    out.attribute("triple", row.machine.triple);
    out.attribute("cpu", row.machine.cpu);
    out.attribute("features", row.machine.features);
  });
  out.attributeObject("toolchain", [&] {
    out.attribute("llvm", row.toolchain.llvm);
    out.attribute("whit", row.toolchain.whit);
    out.attribute("lowering", row.toolchain.lowering);
  });
}

std::string Row::key() const {
  std::string text;
  raw_string_ostream stream(text);
  json::OStream out(stream);
  out.object([&] { writeSubject(out, *this); });
  return toHex(sha256({reinterpret_cast<const uint8_t *>(text.data()), text.size()})).substr(0, 16);
}

std::string Row::print() const {
  std::string text;
  raw_string_ostream stream(text);
  json::OStream out(stream);
  out.object([&] {
    out.attribute("schema", kRow);
    out.attribute("key", key());
    out.attribute("split", split);
    writeSubject(out, *this);
    if (!failure.empty()) {
      out.attribute("failure", failure);
      out.attribute("message", message);
    } else {
      out.attributeObject("nanoseconds", [&] {
        out.attribute("min", times.least);
        out.attribute("p10", times.tenth);
        out.attribute("median", times.median);
        out.attribute("n", times.count);
      });
      out.attributeObject("reference", [&] {
        out.attribute("min", reference);
        out.attribute("drift", drift);
      });
    }
  });
  return text;
}

std::string Task::print() const {
  std::string text;
  raw_string_ostream stream(text);
  json::OStream out(stream);
  out.object([&] {
    out.attribute("schema", kTask);
    out.attribute("split", split);
    out.attributeObject("op", [&] { writeMatmul(out, matmul); });
    out.attributeArray("rows", [&] {
      for (int64_t count : rows)
        out.value(count);
    });
    writeTile(out, tile);
  });
  return text;
}

// ---------------------------------------------------------------------------------------------------- reading

namespace {
/// Reads fields of an object and remembers the first thing that is wrong.
class Reader {
public:
  explicit Reader(const json::Object *object, std::string path = "") : object(object), path(std::move(path)) {}

  const json::Object *objectAt(StringRef name) {
    const json::Object *found = object ? object->getObject(name) : nullptr;
    return found ? found : (refuse(name, "an object"), nullptr);
  }
  std::string text(StringRef name) {
    auto found = object ? object->getString(name) : std::nullopt;
    return found ? found->str() : (refuse(name, "a text"), "");
  }
  std::string oneOf(StringRef name, ArrayRef<StringLiteral> known) {
    std::string found = text(name);
    if (why.empty() && !is_contained(known, StringRef(found)))
      why = "'" + path + name.str() + "' is '" + found + "'; known are " + join(known, ", ");
    return found;
  }
  int64_t number(StringRef name, int64_t least, int64_t most = int64_t(1) << 50) {
    auto found = object ? object->getInteger(name) : std::nullopt;
    if (!found || *found < least || *found > most)
      return refuse(name, "a whole number from " + std::to_string(least) + " on"), least;
    return *found;
  }
  int64_t numberOr(StringRef name, int64_t least, int64_t otherwise) {
    return object && object->get(name) ? number(name, least) : otherwise;
  }
  void refuse(StringRef name, const std::string &wanted) {
    if (why.empty())
      why = "'" + path + name.str() + "' is missing or not " + wanted;
  }
  void take(const Reader &inner) {
    if (why.empty())
      why = inner.why;
  }

  std::string why;

private:
  const json::Object *object;
  std::string path;
};
} // namespace

static Matmul readMatmul(Reader &reader) {
  Matmul matmul;
  matmul.format = reader.text("format");
  std::string activations = reader.text("activations");
  auto products = parseActivations(activations);
  if (reader.why.empty() && !products)
    reader.why = "'op.activations' is '" + activations + "'; known are int8, bf16 and f32";
  matmul.activations = products.value_or(Products::Float);
  matmul.n = reader.number("n", 1, 1 << 20);
  matmul.k = reader.number("k", 1, 1 << 20);
  if (reader.why.empty())
    reader.why = whyNotMatmul(matmul);
  return matmul;
}

static MatmulTile readTile(Reader &reader) {
  Reader inner(reader.objectAt("schedule"), "schedule.");
  MatmulTile tile;
  tile.tileColumns = inner.number("columns", 1, 1 << 20);
  tile.rows = inner.number("rows", 1, 1024);
  tile.panels = inner.number("panels", 1, 1024);
  tile.unroll = inner.numberOr("unroll", 1, MatmulTile::kUsual);
  tile.prefetch = inner.numberOr("prefetch", 0, MatmulTile::kUsual);
  reader.take(inner);
  return tile;
}

/// The object on a line of that schema.
static Expected<json::Value> parseLine(StringRef line, StringRef schema) {
  auto value = json::parse(line);
  if (!value)
    return fail(Exit::Invalid, "it is no JSON: " + llvm::toString(value.takeError()));
  const json::Object *object = value->getAsObject();
  auto found = object ? object->getString("schema") : std::nullopt;
  if (!found || *found != schema)
    return fail(Exit::Invalid, "its schema is '" + found.value_or("") + "', expected '" + schema + "'");
  return value;
}

Expected<Task> Task::parse(StringRef line) {
  auto value = parseLine(line, kTask);
  if (!value)
    return value.takeError();
  const json::Object *object = value->getAsObject();
  Reader reader(object);
  Task task;
  task.split = reader.oneOf("split", kSplits);
  Reader op(reader.objectAt("op"), "op.");
  task.matmul = readMatmul(op);
  reader.take(op);
  task.tile = readTile(reader);
  const json::Array *rows = object->getArray("rows");
  for (size_t i = 0; rows && i < rows->size(); ++i)
    if (auto count = (*rows)[i].getAsInteger(); count && *count >= 1 && *count <= 4096)
      task.rows.push_back(*count);
  if (!rows || rows->empty() || task.rows.size() != rows->size())
    reader.refuse("rows", "a list of numbers from 1 to 4096");
  if (!reader.why.empty())
    return fail(Exit::Invalid, reader.why);
  return task;
}

Expected<Row> Row::parse(StringRef line) {
  auto value = parseLine(line, kRow);
  if (!value)
    return value.takeError();
  auto row = read(*value->getAsObject());
  if (!row)
    return row.takeError();
  auto key = value->getAsObject()->getString("key");
  if (!key || *key != row->key())
    return fail(Exit::Invalid,
                "'key' is '" + key.value_or("") + "', but what it stands beside has '" + row->key() + "'");
  return row;
}

Expected<Row> Row::read(const json::Object &object) {
  Reader reader(&object);
  Row row;
  row.split = reader.oneOf("split", kSplits);
  Reader op(reader.objectAt("op"), "op.");
  row.operation.matmul = readMatmul(op);
  row.operation.rows = op.number("rows", 1, 4096);
  row.operation.isCold = op.oneOf("weights", {"cold", "hot"}) == "cold";
  reader.take(op);
  row.tile = readTile(reader);
  Reader target(reader.objectAt("target"), "target.");
  row.machine = {target.text("cpu"), target.text("features"), target.text("triple")};
  reader.take(target);
  Reader tools(reader.objectAt("toolchain"), "toolchain.");
  row.toolchain = {tools.text("llvm"), tools.text("whit"), tools.text("lowering")};
  reader.take(tools);
  if (object.get("failure")) {
    row.failure = reader.oneOf("failure", kFailures);
    row.message = reader.text("message");
  } else {
    Reader times(reader.objectAt("nanoseconds"), "nanoseconds.");
    row.times.least = times.number("min", 1);
    row.times.tenth = times.number("p10", row.times.least);
    row.times.median = times.number("median", row.times.tenth);
    row.times.count = times.number("n", 1);
    reader.take(times);
    Reader reference(reader.objectAt("reference"), "reference.");
    row.reference = reference.number("min", 1);
    row.drift = reference.number("drift", -1000);
    reader.take(reference);
  }
  if (!reader.why.empty())
    return fail(Exit::Invalid, reader.why);
  return row;
}

Error forLines(const std::string &path, function_ref<Error(StringRef)> take) {
  auto buffer = MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!buffer)
    return fail(Exit::Files, "cannot read: " + buffer.getError().message(), path);
  SmallVector<StringRef> lines;
  (*buffer)->getBuffer().split(lines, '\n');
  for (size_t i = 0; i < lines.size(); ++i)
    if (!lines[i].empty())
      if (Error error = take(lines[i]))
        return fail(Exit::Invalid, llvm::toString(std::move(error)), path + ":" + std::to_string(i + 1),
                    "correct the line, or leave it out");
  return Error::success();
}

template <typename T> Expected<std::vector<T>> readLines(const std::string &path) {
  std::vector<T> read;
  Error error = forLines(path, [&](StringRef line) -> Error {
    auto parsed = T::parse(line);
    if (parsed)
      read.push_back(std::move(*parsed));
    return parsed.takeError();
  });
  if (error)
    return std::move(error);
  return read;
}
template Expected<std::vector<Row>> readLines<Row>(const std::string &);
template Expected<std::vector<Task>> readLines<Task>(const std::string &);

Expected<Database> Database::open(const std::string &path) {
  Database database(path);
  std::FILE *file = std::fopen(path.c_str(), "a");
  if (!file)
    return fail(Exit::Files, "cannot write: " + Twine(std::strerror(errno)), path);
  std::fclose(file);
  auto rows = readLines<Row>(path);
  if (!rows)
    return rows.takeError();
  for (const Row &row : *rows)
    database.keys.insert(row.key());
  return database;
}

Error Database::append(const Row &row) {
  if (path.empty()) {
    keys.insert(row.key());
    return Error::success();
  }
  std::string line = row.print() + "\n";
  std::FILE *file = std::fopen(path.c_str(), "a");
  bool isWritten = file && std::fwrite(line.data(), 1, line.size(), file) == line.size();
  if (file)
    isWritten &= std::fclose(file) == 0;
  if (!isWritten)
    return fail(Exit::Files, "cannot write: " + Twine(std::strerror(errno)), path);
  keys.insert(row.key());
  return Error::success();
}

} // namespace whit::tune
