# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Artifacts that lie, sealed as if by the compiler: every hash is right, and what the manifest or the weights' header says is not. For
each kind: exit 6, within 5 seconds, no signal, and the message names the field, tensor or byte."""
import hashlib
import json
import shutil
import struct

import pytest
from test_broken_input import check_message
from test_broken_kinds import node, model_of, weight

SECONDS, REFUSED, ROOM = 5, 6, "n" * 900
DIGITS = b'"code_sha256":"'


@pytest.fixture(scope="module")
def honest(tools, tmp_path_factory):
    """An artifact of one product; the name of its node leaves room to write a longer manifest in its place."""
    folder = tmp_path_factory.mktemp("honest")
    product = node("MatMul", ["x", "w"], ["y"])
    product.name = ROOM
    model = folder / "m.onnx"
    model.write_bytes(model_of(product, initializers=[weight()], shape=("rows", 4)).SerializeToString())
    tools.run("whit-compile", model, "-o", folder / "m.so", "--target=x86-64", "--quiet")
    return folder / "m.so"


def sealed(code: bytes, change) -> bytes:
    """`code` with the text of its manifest changed, and the hash that it then has."""
    begin = code.index(b'{"whit":')
    end = code.index(b"}\n", code.index(DIGITS)) + 2
    text = change(code[begin:end].decode().replace(ROOM, "n")).encode()
    assert len(text) <= end - begin, "the manifest outgrew the room that was left for it"
    text = text[: text.rindex(b"}") + 1].ljust(end - begin)
    whole = code[:begin] + text + code[end:]
    if text.rfind(DIGITS) < 0:
        return whole
    at = begin + text.rindex(DIGITS) + len(DIGITS)
    masked = whole[:at] + b"0" * 64 + whole[at + 64 :]
    return whole[:at] + hashlib.sha256(masked).hexdigest().encode() + whole[at + 64 :]


def refuse(tools, honest, tmp_path, part, change=lambda text: text, weights=None):
    shutil.copy(honest.with_suffix(".safetensors"), tmp_path)
    given = (tmp_path / "m.safetensors").read_bytes() if weights is None else weights
    (tmp_path / "m.safetensors").write_bytes(given)
    old, new = hashlib.sha256(honest.with_suffix(".safetensors").read_bytes()).hexdigest(), hashlib.sha256(given).hexdigest()
    size = f'"bytes":{honest.with_suffix(".safetensors").stat().st_size},'

    def both(text):
        return change(text.replace(old, new).replace(size, f'"bytes":{len(given)},'))

    (tmp_path / "m.so").write_bytes(sealed(honest.read_bytes(), both))
    done = tools.call("whit-run", tmp_path / "m.so", "--input", "x=ones", "--dim", "rows=1", "--trust", timeout=60)
    if part is None:
        assert done.code == 0, done.err
        return
    check_message(done, REFUSED, part)
    assert done.seconds < SECONDS


def test_a_sealed_artifact_without_a_lie_runs(tools, honest, tmp_path):
    """Otherwise the kinds below would be refused for the wrong reason."""
    refuse(tools, honest, tmp_path, None)


def swap(old: str, new: str):
    def change(text):
        assert text.count(old) >= 1, f"{old} is not in the manifest:\n{text}"
        return text.replace(old, new, 1)

    return change


X = '{"name":"x","kind":"input","dtype":"f32","shape":["rows",4]}'
# what is written in the manifest: (change, what the message names)
MANIFESTS = {
    "another version": (swap('"whit":1', '"whit":7'), "version 7"),
    "not JSON": (swap('"arguments":[', '"arguments":[['), "manifest: not JSON: parse error at line"),
    "a key twice": (swap('"context":0', '"context":0,"context":1'), "context"),
    "a key of nobody": (swap('"context":0', '"context":0,"surprise":1'), "it has the unknown key 'surprise'"),
    "a key left out": (swap('"context":0,', ""), "context"),
    "another type": (swap('"context":0', '"context":"0"'), "context"),
    "nested 1,000 deep": (swap('"context":0', '"context":' + "[" * 400 + "]" * 400), "manifest"),
    "number beyond 64 bits": (swap('"context":0', '"context":99999999999999999999'), "context"),
    "negative context": (swap('"context":0', '"context":-1'), "context"),
    "argument twice": (swap(X, X + "," + X), "'x'"),
    "negative size": (swap('"shape":["rows",4]}', '"shape":["rows",-4]}'), "arguments[0].shape[1]"),
    "size beyond 2^40": (swap('"shape":["rows",4]}', '"shape":["rows",4611686018427387904]}'), "arguments[0].shape[1]"),
    "rank 13": (swap('"shape":["rows",4]}', '"shape":[' + ",".join("1" * 13) + "]}"), "arguments[0].shape"),
    "dimension of nobody": (swap('"shape":["rows",4]}', '"shape":["columns",4]}'), "columns"),
    "element type of nobody": (swap('"dtype":"f32","shape":["rows",4]}', '"dtype":"f7","shape":["rows",4]}'), "f7"),
    "kind of nobody": (swap('"kind":"input"', '"kind":"secret"'), "secret"),
    "format of nobody": (swap('"format":"f32"', '"format":"int9_g32"'), "int9_g32"),
    "name that is not UTF-8 in JSON": (swap('"name":"x"', '"name":"\\ud800"'), "manifest"),
    "name without letters": (swap('"name":"x"', '"name":""'), "name"),
    "weights in another folder": (swap('"file":"m.safetensors"', '"file":"../m.safetensors"'), "weights.file"),
    "weights of absolute name": (swap('"file":"m.safetensors"', '"file":"/etc/passwd"'), "weights.file"),
    "more chunks than bytes": (swap('"chunks":["', '"chunks":["' + "0" * 64 + '","'), "weights.chunks"),
    "hash of wrong length": (swap('"sha256":"', '"sha256":"0'), "weights.sha256"),
    "function that is not there": (swap('"execute":"main__v0"', '"execute":"main__v9"'), "main__v9"),
    "code for no processor": (swap('"features":[]', '"features":["avx4096"]'), "avx4096"),
    "no variants": (lambda text: text[: text.index('"variants":[')] + '"variants":[]' + text[text.index(',\n "regions"') :], "variants"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_manifest(tools, honest, tmp_path, kind):
    change, part = MANIFESTS[kind]
    refuse(tools, honest, tmp_path, part, change)


def file_of(header, data=bytes(512), length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text = text.ljust((len(text) + 8 + 63) // 64 * 64 - 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(**fields):
    return {"dtype": "U8", "shape": [512], "data_offsets": [0, 512], **fields}


# the weights' file: (bytes, what the message names)
WEIGHTS = {
    "empty": (b"", "bytes"),
    "shorter than its length": (b"\x10\0\0", "header"),
    "header beyond the file": (file_of({}, length=1 << 20), "header"),
    "header of 2^63 bytes": (file_of({}, length=1 << 63), "header"),
    "header that is not JSON": (file_of(b"{not json"), "header"),
    "header that is a list": (file_of([1, 2]), "header"),
    "tensor twice": (file_of(b'{"w":{"dtype":"U8","shape":[512],"data_offsets":[0,512]},"w":{"dtype":"U8","shape":[512],"data_offsets":[0,512]}}'), "'w'"),
    "tensor beyond the file": (file_of({"w": tensor(shape=[1 << 20], data_offsets=[0, 1 << 20])}), "'w'"),
    "tensor that ends before it begins": (file_of({"w": tensor(data_offsets=[512, 0])}), "'w'"),
    "offsets that wrap": (file_of({"w": tensor(data_offsets=[0, (1 << 64) - 1])}), "'w'"),
    "size that is not the product": (file_of({"w": tensor(shape=[3, 7])}), "'w'"),
    "product that wraps": (file_of({"w": tensor(shape=[1 << 32, 1 << 32, 512])}), "'w'"),
    "negative offset": (file_of({"w": tensor(data_offsets=[-64, 448])}), "'w'"),
    "overlapping tensors": (file_of({"v": tensor(), "w": tensor()}), "'w'"),
    "hole between tensors": (file_of({"w": tensor(shape=[256], data_offsets=[256, 512])}), "'w'"),
    "bytes behind the last tensor": (file_of({"w": tensor()}, bytes(600)), "bytes"),
    "another element type": (file_of({"w": tensor(dtype="F8_E9M9")}), "'w'"),
    "tensor of another name": (file_of({"v": tensor()}), "'w'"),
    "a key of nobody": (file_of({"w": tensor(surprise=1)}), "'w'"),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights(tools, honest, tmp_path, kind):
    data, part = WEIGHTS[kind]
    refuse(tools, honest, tmp_path, part, weights=data)
