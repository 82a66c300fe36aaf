// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The number formats for Python: the reference codec, the quantizers and the packer of runtime/encoding, on whole matrices. Names,
// defaults and errors are in encoding.py.
#include "runtime/encoding/Pack.h"
#include "runtime/encoding/Place.h"
#include "runtime/encoding/Quantize.h"

#include <memory>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;
using namespace whit;

namespace {

using Floats = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

/// An array of its own memory.
template <typename T> nb::object arrayOf(std::vector<T> values, size_t n, size_t k) {
  auto *data = new std::vector<T>(std::move(values));
  nb::capsule owner(data, [](void *pointer) noexcept { delete static_cast<std::vector<T> *>(pointer); });
  return nb::cast(nb::ndarray<nb::numpy, T>(data->data(), {n, k}, owner));
}

Encoding parse(const std::string &name) {
  std::string why;
  std::optional<Encoding> encoding = parseEncoding(name, &why);
  if (!encoding)
    throw nb::value_error(why.c_str());
  return *encoding;
}

std::unique_ptr<Matrix> encode(const Encoding &encoding, Floats w, const std::string &name) {
  std::optional<Quantizer> quantizer = parseQuantizer(name);
  if (!quantizer)
    throw nb::value_error(("quantizer '" + name + "' is not known; it must be nearest or least-squares").c_str());
  auto matrix = std::make_unique<Matrix>();
  std::string why;
  bool isDone;
  {
    nb::gil_scoped_release release;
    isDone = quantize(encoding, w.data(), int64_t(w.shape(0)), int64_t(w.shape(1)), *matrix, &why, *quantizer);
  }
  if (!isDone)
    throw nb::value_error(why.c_str());
  return matrix;
}

} // namespace

NB_MODULE(_formats, m) {
  m.doc() = "Number formats; use whit.Format instead.";

  m.def("rows", [] {
    std::vector<std::tuple<std::string, std::string, std::string, std::string>> rows;
    for (const FormatRow &row : formatRows())
      rows.emplace_back(std::string(row.stem) + (row.isFamily ? "_gN" : "") + std::string(row.suffix), row.formula,
                        row.aliases, row.source);
    for (const AddedFormat &format : addedFormats())
      rows.emplace_back(format.name, format.formula, "", format.source);
    return rows;
  });
  m.def(
      "add",
      [](const std::string &text) {
        std::string why;
        if (!addFormats(text, &why))
          throw nb::value_error(why.c_str());
      },
      "text"_a);

  nb::class_<Encoding>(m, "Encoding")
      .def_static("parse", &parse, "name"_a)
      .def_prop_ro("name", [](const Encoding &self) { return nameOf(self); })
      .def_prop_ro("formula", [](const Encoding &self) { return formulaOf(self); })
      .def("__eq__", [](const Encoding &self, const Encoding &other) { return self == other; })
      .def("bits_per_weight", &bitsPerWeight, "n"_a, "k"_a)
      .def("quantize", &encode, "array"_a, "quantizer"_a)
      .def("packed_bytes", [](const Encoding &self, int64_t n, int64_t k) { return solvePlace(self, n, k).bytes(); })
      .def(
          "unpack",
          [](const Encoding &self, nb::bytes bytes, int64_t n, int64_t k) {
            Place place = solvePlace(self, n, k);
            if (int64_t(bytes.size()) != place.bytes())
              throw nb::value_error(("found " + std::to_string(bytes.size()) + " bytes; " +
                                     std::to_string(place.bytes()) + " are needed for " + std::to_string(n) + " x " +
                                     std::to_string(k))
                                        .c_str());
            return std::make_unique<Matrix>(
                unpackPanels(self, place, n, reinterpret_cast<const uint8_t *>(bytes.c_str())));
          },
          "bytes"_a, "n"_a, "k"_a);

  nb::class_<Matrix>(m, "Matrix")
      .def_prop_ro("shape", [](const Matrix &self) { return std::pair(self.n, self.k); })
      .def("values",
           [](const Matrix &self) {
             std::vector<float> values(size_t(self.n * self.k));
             dequantize(self, values.data());
             return arrayOf(std::move(values), size_t(self.n), size_t(self.k));
           })
      .def("codes",
           [](const Matrix &self) {
             std::vector<nb::object> all;
             for (const TermValues &term : self.terms)
               all.push_back(arrayOf(term.codes, size_t(self.n), size_t(self.k)));
             return all;
           })
      .def("scales",
           [](const Matrix &self) {
             std::vector<std::vector<nb::object>> all;
             for (const TermValues &term : self.terms) {
               all.emplace_back();
               for (const FactorValues &factor : term.factors)
                 all.back().push_back(arrayOf(factor, size_t(self.n), self.n ? factor.size() / size_t(self.n) : 0));
             }
             return all;
           })
      .def("offsets",
           [](const Matrix &self) {
             std::vector<nb::object> all;
             for (const FactorValues &factor : self.offset)
               all.push_back(arrayOf(factor, size_t(self.n), self.n ? factor.size() / size_t(self.n) : 0));
             return all;
           })
      .def("pack", [](const Matrix &self) {
        Place place = solvePlace(self.encoding, self.n, self.k);
        std::vector<uint8_t> bytes(size_t(place.bytes()));
        packPanels(place, self, bytes.data());
        return nb::bytes(reinterpret_cast<const char *>(bytes.data()), bytes.size());
      });
}
