// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Files that nobody wrote on purpose: every beginning of a model, and models with bytes changed. Whatever they hold,
// importing ends, and either gives a module that verifies or says why not.

#include "Import/ONNX/Reader.h"

#include "Register.h"

#include "onnx.pb.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>
#include <sys/mman.h>
#include <unistd.h>

using namespace whit;

namespace {

/// A model of the operators that read stored tensors, shapes, attributes and graphs.
std::string smallModel() {
  onnx::ModelProto model;
  model.set_ir_version(10);
  model.add_opset_import()->set_version(21);
  auto *microsoft = model.add_opset_import();
  microsoft->set_domain("com.microsoft");
  microsoft->set_version(1);
  onnx::GraphProto &graph = *model.mutable_graph();
  auto addValue = [](onnx::ValueInfoProto *info, const char *name, int type, std::initializer_list<const char *> dims) {
    info->set_name(name);
    auto *tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    for (const char *dim : dims) {
      auto *size = tensor->mutable_shape()->add_dim();
      if (std::isdigit(dim[0]))
        size->set_dim_value(std::atoi(dim));
      else
        size->set_dim_param(dim);
    }
  };
  addValue(graph.add_input(), "ids", 7, {"b", "s"});
  addValue(graph.add_input(), "past", 1, {"b", "2", "p", "4"});
  addValue(graph.add_input(), "mask", 7, {"p + s"});
  addValue(graph.add_output(), "y", 1, {"b", "s", "4"});
  auto addTensor = [&](const char *name, int type, std::initializer_list<int64_t> dims, size_t bytes) {
    auto *tensor = graph.add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(type);
    for (int64_t dim : dims)
      tensor->add_dims(dim);
    tensor->set_raw_data(std::string(bytes, '\1'));
  };
  addTensor("codes", 2, {4, 1, 8}, 32);
  addTensor("scales", 1, {4, 1}, 16);
  addTensor("table", 1, {3, 16}, 192);
  addTensor("gamma", 1, {16}, 64);
  addTensor("two", 7, {1}, 8);
  graph.mutable_initializer()->rbegin()->set_raw_data(std::string("\2\0\0\0\0\0\0\0", 8));
  auto addNode = [&](const char *op, const char *domain, std::initializer_list<const char *> inputs,
                     const char *output) {
    auto *node = graph.add_node();
    node->set_op_type(op);
    node->set_domain(domain);
    node->set_name(std::string("/") + op);
    for (const char *input : inputs)
      node->add_input(input);
    node->add_output(output);
    return node;
  };
  auto addAttribute = [](onnx::NodeProto *node, const char *name, int64_t value) {
    auto *attribute = node->add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::INT);
    attribute->set_i(value);
  };
  addNode("Gather", "", {"table", "ids"}, "x");
  addNode("SimplifiedLayerNormalization", "", {"x", "gamma"}, "n");
  addNode("Shape", "", {"n"}, "shape");
  addNode("Slice", "", {"shape", "two", "two", "", "two"}, "none");
  addNode("Concat", "", {"none", "shape"}, "target")->add_attribute()->CopyFrom([] {
    onnx::AttributeProto axis;
    axis.set_name("axis");
    axis.set_type(onnx::AttributeProto::INT);
    return axis;
  }());
  addNode("Equal", "", {"two", "two"}, "flag");
  auto *choice = addNode("If", "", {"flag"}, "chosen");
  for (const char *name : {"then_branch", "else_branch"}) {
    auto *attribute = choice->add_attribute();
    attribute->set_name(name);
    attribute->set_type(onnx::AttributeProto::GRAPH);
    onnx::GraphProto &branch = *attribute->mutable_g();
    auto *tensor = branch.add_initializer();
    *tensor = graph.initializer(3); // gamma
    tensor->set_name("inner");
    auto *node = branch.add_node();
    node->set_op_type("Mul");
    for (const char *input : {"n", "inner"})
      node->add_input(input);
    node->add_output("product");
    branch.add_output()->set_name("product");
  }
  addNode("Reshape", "", {"chosen", "target"}, "r");
  auto *matmul = addNode("MatMulNBits", "com.microsoft", {"r", "codes", "scales"}, "y");
  for (auto [name, value] : {std::pair("K", 16), {"N", 4}, {"bits", 4}, {"block_size", 16}})
    addAttribute(matmul, name, value);
  return model.SerializeAsString();
}

class Hostile : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_FALSE(llvm::sys::fs::createUniqueDirectory("whit-import", folder));
    mlir::DialectRegistry registry;
    registerDialects(registry);
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  }
  void TearDown() override { llvm::sys::fs::remove_directories(folder); }

  /// The exit code that importing these bytes leads to. They are in memory: thousands of files would take long to
  /// write.
  Exit import(const std::string &bytes) {
    int memory = ::memfd_create("model", 0);
    EXPECT_EQ(::write(memory, bytes.data(), bytes.size()), ssize_t(bytes.size()));
    Exit result = importFile("/proc/self/fd/" + std::to_string(memory));
    ::close(memory);
    return result;
  }

  Exit importFile(const std::string &path) {
    Diagnostics diagnostics;
    auto module = importOnnx(path, *context, {}, diagnostics);
    EXPECT_EQ(bool(module), !diagnostics.hasErrors());
    if (module)
      EXPECT_TRUE(mlir::succeeded(mlir::verify(*module)));
    std::string text;
    llvm::raw_string_ostream out(text);
    diagnostics.printText(out);
    diagnostics.printJson(out);
    return diagnostics.exit();
  }

  llvm::SmallString<128> folder;
  std::unique_ptr<mlir::MLIRContext> context;
};

TEST_F(Hostile, WholeModel) { EXPECT_EQ(import(smallModel()), Exit::Done); }

TEST_F(Hostile, EveryBeginningIsRefused) {
  std::string whole = smallModel();
  for (size_t length = 0; length < whole.size(); ++length)
    EXPECT_NE(import(whole.substr(0, length)), Exit::Bug) << "first " << length << " bytes";
}

TEST_F(Hostile, EveryByteMayBeAnother) {
  std::string whole = smallModel();
  for (size_t at = 0; at < whole.size(); ++at)
    for (uint8_t change : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[at] ^= change;
      EXPECT_NE(import(bytes), Exit::Bug) << "byte " << at << " changed by " << int(change);
    }
}

TEST_F(Hostile, PiecesMayBeAnywhere) {
  std::string whole = smallModel();
  std::mt19937 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    for (int i = 0; i < 3; ++i) {
      size_t from = random() % bytes.size(), length = random() % 16, to = random() % bytes.size();
      bytes.insert(to, bytes.substr(from, length));
      if (random() % 2)
        bytes.erase(random() % bytes.size(), length);
    }
    EXPECT_NE(import(bytes), Exit::Bug) << "round " << round;
  }
}

TEST_F(Hostile, NestingIsLimited) {
  onnx::ModelProto model;
  model.ParseFromString(smallModel());
  onnx::GraphProto *graph = model.mutable_graph();
  for (int depth = 0; depth < 60; ++depth) {
    auto *attribute = graph->add_node()->add_attribute();
    attribute->set_name("body");
    attribute->set_type(onnx::AttributeProto::GRAPH);
    graph = attribute->mutable_g();
  }
  EXPECT_EQ(import(model.SerializeAsString()), Exit::Invalid);
}

TEST_F(Hostile, LengthsMayNotWrap) {
  // A graph that claims 2^64 - 1 bytes.
  EXPECT_EQ(import(std::string("\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)), Exit::Invalid);
}

TEST_F(Hostile, TensorsMayNotPileUp) {
  onnx::ModelProto model;
  model.ParseFromString(smallModel());
  std::ofstream(std::string(folder) + "/w.data", std::ios::binary) << std::string(1 << 16, '\0');
  for (int i = 0; i < 8; ++i) {
    auto *tensor = model.mutable_graph()->add_initializer();
    tensor->set_name("pile" + std::to_string(i));
    tensor->set_data_type(1);
    tensor->add_dims((1 << 14) - i);
    tensor->set_data_location(onnx::TensorProto::EXTERNAL);
    for (auto [key, value] :
         {std::pair<const char *, std::string>("location", "w.data"), {"offset", std::to_string(4 * i)}}) {
      auto *entry = tensor->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    }
  }
  std::string file = std::string(folder) + "/m.onnx";
  std::ofstream(file, std::ios::binary) << model.SerializeAsString();
  EXPECT_EQ(importFile(file), Exit::Limit);
}

TEST(Diagnostics, NamesAreEscapedAndCut) {
  EXPECT_EQ(shown("a\nb\x1b"), "a\\x0ab\\x1b");
  EXPECT_EQ(shown("\xff"), "\\xff");
  EXPECT_EQ(shown(std::string(200, 'n')), std::string(120, 'n') + "...");
}

TEST(Diagnostics, TheGravestDecides) {
  Diagnostics diagnostics;
  diagnostics.setFile("m.onnx");
  EXPECT_EQ(diagnostics.exit(), Exit::Done);
  diagnostics.add({code::NoOperator, Severity::Error, "", {"/a"}, "Foo", "operator 'Foo' is not supported", ""});
  EXPECT_EQ(diagnostics.exit(), Exit::Unsupported);
  diagnostics.add({code::Tensor, Severity::Error, "", {"w"}, "", "stored tensor is broken", "", 1, true});
  EXPECT_EQ(diagnostics.exit(), Exit::Invalid);
  std::string text;
  llvm::raw_string_ostream out(text);
  diagnostics.printText(out);
  EXPECT_EQ(text, "error[E3001]: operator 'Foo' is not supported\n  --> m.onnx: node '/a' (Foo)\n"
                  "error[E1003]: stored tensor is broken\n  --> m.onnx: tensor 'w'\n");
}

} // namespace
