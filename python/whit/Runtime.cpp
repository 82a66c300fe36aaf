// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The native half of the Python package: include/whit/Runtime.h with Python's types, and nothing more. Names, defaults,
// conversions and everything a user sees are in module.py. A status other than WHIT_OK becomes the exception that
// whit.errors has for it, and the interpreter's lock is released wherever a model is loaded or run.

#include "whit/Runtime.h"

#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace {

struct Failure : std::exception {
  explicit Failure(whit_status status, std::string message) : status(status), message(std::move(message)) {}
  const char *what() const noexcept override { return message.c_str(); }
  whit_status status;
  std::string message;
};

void check(whit_status status) {
  if (status != WHIT_OK)
    throw Failure(status, whit_message());
}

// ---- Element types: the rows of ElementTypes.def, seen from Python.

struct ElementRow {
  whit_dtype number;
  const char *name;
  nb::dlpack::dtype_code code;
  uint8_t bits;
};

constexpr nb::dlpack::dtype_code codeOf(char npy) {
  return npy == 'f'   ? nb::dlpack::dtype_code::Float
         : npy == 'i' ? nb::dlpack::dtype_code::Int
         : npy == 'b' ? nb::dlpack::dtype_code::Bool
                      : nb::dlpack::dtype_code::UInt;
}

constexpr ElementRow elementRows[] = {
#define WHIT_ELEMENT_TYPE(name, Name, NAME, number, bytes, npy, safetensors)                                           \
  {WHIT_##NAME, name, codeOf(npy[1]), 8 * bytes},
#include "whit/ElementTypes.def"
};

const ElementRow &rowOf(whit_dtype dtype) {
  for (const ElementRow &row : elementRows)
    if (row.number == dtype)
      return row;
  throw Failure(WHIT_BUG, "element type " + std::to_string(dtype) + " is not in ElementTypes.def");
}

whit_dtype dtypeOf(nb::dlpack::dtype type, const std::string &name) {
  if (type.code == uint8_t(nb::dlpack::dtype_code::Bfloat) && type.bits == 16)
    return WHIT_BF16;
  for (const ElementRow &row : elementRows)
    if (uint8_t(row.code) == type.code && row.bits == type.bits && type.lanes == 1)
      return row.number;
  throw Failure(WHIT_INVALID, "tensor '" + name + "' has an element type that no model takes (DLPack code " +
                                  std::to_string(type.code) + ", " + std::to_string(type.bits) + " bits)");
}

// ---- Tensors

using Array = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using NamedArray = std::pair<std::string, Array>;

// Tensors that borrow from `arrays`, which must outlive them.
std::vector<whit_tensor> borrow(const std::vector<NamedArray> &arrays) {
  static_assert(sizeof(int64_t) == sizeof(*std::declval<Array>().shape_ptr()),
                "DLPack and whit_tensor count in the same type");
  std::vector<whit_tensor> tensors;
  for (const auto &[name, array] : arrays)
    tensors.push_back({name.c_str(), dtypeOf(array.dtype(), name), int32_t(array.ndim()), array.shape_ptr(),
                       const_cast<void *>(array.data())});
  return tensors;
}

// A numpy array with a copy of the tensor's data.
nb::object copyOf(const whit_tensor &tensor) {
  const ElementRow &row = rowOf(tensor.dtype);
  size_t bytes = row.bits / 8;
  std::vector<size_t> shape;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    shape.push_back(size_t(tensor.dims[i]));
    bytes *= shape.back();
  }
  std::unique_ptr<char[]> data(new char[bytes ? bytes : 1]);
  if (bytes)
    std::memcpy(data.get(), tensor.data, bytes);
  nb::capsule owner(data.get(), [](void *memory) noexcept { delete[] static_cast<char *>(memory); });
  nb::ndarray<nb::numpy> array(data.release(), shape.size(), shape.data(), owner, nullptr,
                               nb::dlpack::dtype{uint8_t(row.code), row.bits, 1});
  return nb::cast(array);
}

// ---- Handles

struct Module {
  explicit Module(whit_module *handle) : handle(handle) {}
  Module(const Module &) = delete;
  ~Module() { whit_module_destroy(handle); }

  static std::unique_ptr<Module> load(const std::string &path, bool trusted, bool full,
                                      const std::optional<std::string> &target,
                                      const std::optional<std::string> &device) {
    whit_load_options options = {sizeof(options), trusted ? WHIT_TRUST_GIVEN : WHIT_TRUST_STORE,
                                 full ? WHIT_VERIFY_FULL : WHIT_VERIFY_LAZY, target ? target->c_str() : nullptr,
                                 device ? device->c_str() : nullptr};
    whit_module *handle = nullptr;
    nb::gil_scoped_release unlocked;
    check(whit_module_load(path.c_str(), &options, &handle));
    return std::make_unique<Module>(handle);
  }

  // (name, element type, shape with symbols as text, whether it is a state) of each input or output.
  nb::list values(int32_t count, whit_status (*get)(const whit_module *, int32_t, whit_value *)) const {
    nb::list result;
    for (int32_t i = 0; i < count; ++i) {
      whit_value value;
      check(get(handle, i, &value));
      nb::list shape;
      for (int32_t d = 0; d < value.rank; ++d)
        shape.append(value.symbols[d] ? nb::object(nb::str(value.symbols[d])) : nb::object(nb::int_(value.dims[d])));
      result.append(nb::make_tuple(value.name, rowOf(value.dtype).name, nb::tuple(shape), value.is_state != 0));
    }
    return result;
  }

  whit_module *handle;
};

struct Session {
  Session(Module &module, int32_t threads) : module(module.handle) {
    whit_session_options options = {sizeof(options), threads};
    check(whit_session_create(module.handle, &options, &handle));
  }
  Session(const Session &) = delete;
  ~Session() {
    nb::gil_scoped_release unlocked; // joins the workers
    whit_session_destroy(handle);
  }

  // Calls `step` on the tensors without the interpreter's lock.
  template <typename Step> void withTensors(const std::vector<NamedArray> &arrays, Step step) {
    std::vector<whit_tensor> tensors = borrow(arrays);
    for (whit_tensor &tensor : tensors) // bf16 and integers of 16 bits without a sign are passed alike
      if (tensor.dtype == WHIT_BF16 && takesU16(tensor.name))
        tensor.dtype = WHIT_U16;
    nb::gil_scoped_release unlocked;
    check(step(handle, tensors.data(), int32_t(tensors.size())));
  }

  bool takesU16(const std::string &name) const {
    whit_value value;
    for (int32_t i = 0; i < whit_module_input_count(module); ++i)
      if (!whit_module_input(module, i, &value) && name == value.name)
        return value.dtype == WHIT_U16;
    return false;
  }

  void reserve(const std::vector<std::pair<std::string, int64_t>> &sizes) {
    std::vector<whit_dim> dims;
    for (const auto &[name, value] : sizes)
      dims.push_back({name.c_str(), value});
    nb::gil_scoped_release unlocked;
    check(whit_session_reserve(handle, dims.data(), int32_t(dims.size())));
  }

  nb::object output(const std::string &name) {
    whit_tensor tensor;
    check(whit_session_output(handle, name.c_str(), &tensor));
    return copyOf(tensor);
  }

  nb::object append(const std::vector<int64_t> &tokens) {
    const float *logits = nullptr;
    int64_t size = 0;
    {
      nb::gil_scoped_release unlocked;
      check(whit_session_append(handle, tokens.data(), int64_t(tokens.size()), &logits, &size));
    }
    return copyOf({"logits", WHIT_F32, 1, &size, const_cast<float *>(logits)});
  }

  /// Without giving logits.
  void advance(const std::vector<int64_t> &tokens) {
    nb::gil_scoped_release unlocked;
    check(whit_session_append(handle, tokens.data(), int64_t(tokens.size()), nullptr, nullptr));
  }

  whit_module *module; // which its owner in Python keeps
  whit_session *handle = nullptr;
};

std::string inspect(const std::string &path) {
  char *json = nullptr;
  check(whit_inspect(path.c_str(), &json));
  std::unique_ptr<char, void (*)(void *)> owner(json, whit_free);
  return json;
}

} // namespace

NB_MODULE(_runtime, m) {
  m.doc() = "The C ABI of Whit's runtime; use the package `whit` instead.";
  nb::register_exception_translator([](const std::exception_ptr &pointer, void *) {
    try {
      std::rethrow_exception(pointer);
    } catch (const Failure &failure) {
      nb::object error = nb::module_::import_("whit.errors").attr("error_of")(int(failure.status), failure.message);
      PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(error.ptr())), error.ptr());
    }
  });

  m.def("version", [] { return std::string(whit_version()); });
  m.def("inspect", &inspect, "path"_a);
  m.def("trust", [](const std::string &path) { check(whit_trust_file(path.c_str())); }, "path"_a);

  nb::class_<Module>(m, "Module")
      .def_static("load", &Module::load, "path"_a, "trusted"_a, "full"_a, "target"_a.none(),
                  "device"_a.none() = nb::none())
      .def_prop_ro("target", [](const Module &self) { return std::string(whit_module_target(self.handle)); })
      .def_prop_ro("manifest", [](const Module &self) { return std::string(whit_module_manifest(self.handle)); })
      .def_prop_ro("context", [](const Module &self) { return whit_module_context(self.handle); })
      .def("inputs",
           [](const Module &self) { return self.values(whit_module_input_count(self.handle), whit_module_input); })
      .def("outputs",
           [](const Module &self) { return self.values(whit_module_output_count(self.handle), whit_module_output); });

  nb::class_<Session>(m, "Session")
      .def(nb::init<Module &, int32_t>(), "module"_a, "threads"_a, nb::keep_alive<1, 2>())
      .def(
          "run",
          [](Session &self, const std::vector<NamedArray> &inputs) { self.withTensors(inputs, whit_session_run); },
          "inputs"_a)
      .def(
          "execute",
          [](Session &self, const std::vector<NamedArray> &inputs) { self.withTensors(inputs, whit_session_execute); },
          "inputs"_a)
      .def(
          "load_state",
          [](Session &self, const std::vector<NamedArray> &pasts) { self.withTensors(pasts, whit_session_import); },
          "pasts"_a)
      .def("reserve", &Session::reserve, "dims"_a)
      .def(
          "set_dim",
          [](Session &self, const std::string &name, int64_t value) {
            check(whit_session_set_dim(self.handle, name.c_str(), value));
          },
          "name"_a, "value"_a)
      .def("output", &Session::output, "name"_a)
      .def("append", &Session::append, "tokens"_a)
      .def("advance", &Session::advance, "tokens"_a)
      .def_prop_ro("length", [](const Session &self) { return whit_session_length(self.handle); })
      .def(
          "truncate", [](Session &self, int64_t length) { check(whit_session_truncate(self.handle, length)); },
          "length"_a)
      .def("profile_start", [](Session &self) { check(whit_session_profile_start(self.handle)); })
      .def(
          "profile_stop",
          [](Session &self, const std::string &path) { check(whit_session_profile_stop(self.handle, path.c_str())); },
          "path"_a);
}
