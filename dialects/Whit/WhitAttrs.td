// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How values are stored (format), where their bits lie (place), where their bytes come from (blob, source), and how a
// region is cut into tiles (schedule).

#ifndef WHIT_ATTRS
#define WHIT_ATTRS

include "Whit/WhitDialect.td"
include "mlir/IR/AttrTypeBase.td"

class Whit_Attr<string name, string mnemonic_, list<Trait> traits = []> : AttrDef<Whit_Dialect, name, traits> {
  let mnemonic = mnemonic_;
}

def Whit_FormatAttr : Whit_Attr<"Format", "format"> {
  let summary = "a number format: codec, zero point, scale type and grouping";
  let description = [{
    Spelled by the name that `include/whit/Formats.def` derives from a row, for example `#whit.format<int4_g32>`, or by a
    formula (`include/whit/Encoding.h`), for example `#whit.format<"float<e2m1> * e8m0/32">`. Two spellings of one format are
    one attribute.
  }];
  let parameters = (ins StringRefParameter<"canonical name of the format">:$name);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// The codec, zero kind, scale type and grouping that the name stands for.
    ::whit::Encoding getEncoding() const;
  }];
}

def Whit_PlaceAttr : Whit_Attr<"Place", "place"> {
  let summary = "where each bit of a packed N x K matrix lies";
  let description = [{
    `#whit.place<int4_g32, 960 x 576>`: the panel stream of `runtime/encoding` for this format and logical shape. A packed
    matrix is a `tensor<PANELS x BYTES x i8>`, one row per 16 columns of output.
  }];
  let parameters = (ins "FormatAttr":$format, "int64_t":$n, "int64_t":$k);
  let assemblyFormat = "`<` $format `,` $n `by` $k `>`";
  let extraClassDeclaration = [{
    /// The solved bit placement.
    ::whit::Place solve() const;
    /// tensor<PANELS x BYTES x i8>.
    RankedTensorType getPackedType() const;
  }];
}

def Whit_BlobAttr : Whit_Attr<"Blob", "blob"> {
  let summary = "bytes of a file, by reference";
  let description = [{
    `#whit.blob<"model.onnx.data", 4096 : 276480 xui8, "9f86d081884c7d65">`: file (relative to the model's folder), offset,
    length in bytes, element type, and the XXH3-64 hash of the bytes in hexadecimal.
  }];
  let parameters = (ins StringRefParameter<"file name">:$file, "int64_t":$offset, "int64_t":$length,
                        "Type":$element, StringRefParameter<"XXH3-64, 16 hexadecimal digits">:$hash);
  let assemblyFormat = "`<` $file `,` $offset `:` $length `x` $element `,` $hash `>`";
}

def Whit_SourceAttr : Whit_Attr<"Source", "source"> {
  let summary = "one part of a weight: its bytes and the layout in which the model file holds them";
  let description = [{
    Layouts: `rows` one blob, row-major in the logical shape; `columns` one blob holding the transpose, [K, N]; `blocks`
    the blobs codes, scales and, unless the zero point is constant, zeros, as com.microsoft.MatMulNBits stores them, and
    perhaps a blob of i32 [K], the group of each element (g_idx): the weight then has its elements in the order of groups;
    `coded_rows` and `coded_columns` the same three as onnx.DequantizeLinear takes them, codes [N, K] or [K, N] with one
    scale, N scales, or scales [N, BLOCKS] or [BLOCKS, N]. The element type of such codes is their width and sign (`i4`,
    `ui4`, ...); the format of the weight says how many share a scale and, without a blob of zeros, what the zero point is.
    Without a blob of scales the one scale of such codes is 1.
    `gguf:TYPE` one blob of bytes, the blocks of a GGUF tensor [N, K] of that type (ggml's number of it); `gguf:TYPE:ROWS` the
    same with pairs of rows interleaved in heads of so many rows, as llama.cpp's converter leaves them.
    `low_rank_left:...` and `low_rank_right:...` are computed: factors of what an encoding of the matrix in the blobs loses
    (`runtime/encoding/LowRank.h` has the text).
    `count` is the size of the part along dimension 0 of the weight; the parts of a weight are concatenated along it.
  }];
  let parameters = (ins StringRefParameter<"rows, columns, blocks ...">:$layout, "int64_t":$count,
                        ArrayRefParameter<"BlobAttr">:$blobs);
  let assemblyFormat = "`<` $layout `,` $count `,` `[` $blobs `]` `>`";
  let genVerifyDecl = 1;
}

def Whit_ScheduleAttr : Whit_Attr<"Schedule", "schedule"> {
  let summary = "how a region is cut: tile sizes of its root, and the register block of its kernel";
  let description = [{
    `#whit.schedule<tile = [0, 64], rows = 8, panels = 2>`: `tile` has one size per loop of the root operation (0 = whole)
    and is the unit of work that a thread, or a block of a GPU, claims; `rows` x `panels` accumulators of 16 columns live in
    registers. On a GPU `few` are the sizes where the root has no more rows than its second last size says, and so many warps as
    `splits` says share the K of a panel. On a CPU `unroll` elements of K are laid out without a loop, and codes are prefetched `prefetch`
    bytes ahead (0: not at all); left out, each is what the lowering takes by itself.
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$tile, DefaultValuedParameter<"int64_t", "1">:$rows,
                        DefaultValuedParameter<"int64_t", "1">:$panels, OptionalArrayRefParameter<"int64_t">:$few,
                        DefaultValuedParameter<"int64_t", "1">:$splits, OptionalParameter<"std::optional<int64_t>">:$unroll,
                        OptionalParameter<"std::optional<int64_t>">:$prefetch);
  let builders = [AttrBuilder<(ins "::llvm::ArrayRef<int64_t>":$tile, CArg<"int64_t", "1">:$rows, CArg<"int64_t", "1">:$panels,
                                   CArg<"::llvm::ArrayRef<int64_t>", "{}">:$few, CArg<"int64_t", "1">:$splits), [{
    return $_get($_ctxt, tile, rows, panels, few, splits, std::nullopt, std::nullopt);
  }]>];
  // Any of the numbers may be left out, which optional groups behind one comma cannot express.
  let hasCustomAssemblyFormat = 1;
}

#endif // WHIT_ATTRS
