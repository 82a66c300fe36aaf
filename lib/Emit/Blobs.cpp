// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Opening is the importer's (Import/DataFiles.h), with its rules about links and folders.

#include "Emit/Blobs.h"

#include "llvm/Support/Path.h"

using namespace llvm;

namespace whit {

Expected<ArrayRef<uint8_t>> BlobFiles::read(mlir::whit::BlobAttr blob) {
  StringRef name = blob.getFile();
  if (!model.empty() && name == sys::path::filename(model)) {
    auto opened = MemoryBuffer::getFile(model, /*IsText=*/false, /*RequiresNullTerminator=*/false);
    if (!opened)
      return fail(Exit::Files, "cannot read: " + opened.getError().message(), model);
    files.add(name, std::move(*opened));
    model.clear();
  }
  auto file = files.open(name);
  if (!file)
    return file.takeError();
  uint64_t offset = blob.getOffset(), length = blob.getLength();
  if (blob.getOffset() < 0 || blob.getLength() < 0 || offset > file->size() || length > file->size() - offset)
    return fail(Exit::Invalid,
                "the file has " + Twine(file->size()) + " bytes; a weight needs " + Twine(length) + " from byte " +
                    Twine(offset),
                shown(name), "the file is truncated or not the one that belongs to the model");
  const std::string &hash = files.hash(name, offset, length);
  if (hash != blob.getHash())
    return fail(Exit::Invalid,
                "the " + Twine(length) + " bytes from byte " + Twine(offset) + " have hash " + hash + "; " +
                    shown(blob.getHash()) + " was imported",
                shown(name), "the file has changed since the import: compile the model again from the start");
  return file->slice(offset, length);
}

} // namespace whit
