# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Broken and hostile input: the exit codes of the tools, one form of message, and nothing half written left behind."""
import re
import shutil

import numpy as np
import onnx
import pytest


@pytest.fixture
def model(tiny, tmp_path):
    """A private copy of the tiny model, and the folder for output."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("tiny.onnx", "tiny.onnx.data"):
        shutil.copy(tiny.with_name(name), folder)
    (tmp_path / "out").mkdir()
    return folder / "tiny.onnx"


def refuse(tools, model, code: int, *parts: str, flags=()):
    """whit-compile ends with `code`, a message that has all `parts`, and an empty output folder."""
    out = model.parents[1] / "out"
    done = tools.call("whit-compile", model, "-o", out / "m.so", *flags)
    check_message(done, code, *parts)
    assert list(out.iterdir()) == []


def check_message(done, code: int, *parts: str) -> None:
    assert done.code == code, f"exit {done.code}, expected {code}\n{done.out}{done.err}"
    text = done.out + done.err
    assert re.search(r"error(\[E\d+\])?: \S", text), text
    assert not re.search(r"PLEASE submit|Assertion|Stack dump|terminate called|Traceback", text), text
    last = text.rstrip().splitlines()[-1]
    assert not last.endswith("."), last
    for part in parts:
        assert part in text, f"{part!r} is not in: {text}"


def edit(model, change) -> None:
    proto = onnx.load(str(model), load_external_data=False)
    change(proto)
    onnx.save(proto, str(model))


def node(proto, kind: str):
    return next(n for n in proto.graph.node if n.op_type == kind)


def place(proto, name: str) -> dict:
    return {e.key: e for e in next(t for t in proto.graph.initializer if t.name == name).external_data}


def test_missing_and_unreadable_files(tools, model, tmp_path):
    refuse(tools, model.with_name("nothing.onnx"), 4, "nothing.onnx")
    model.with_name("tiny.onnx.data").unlink()
    refuse(tools, model, 4, "tiny.onnx.data")
    folder = tmp_path / "out" / "no" / "such"
    done = tools.call("whit-compile", model, "-o", folder / "m.so")
    check_message(done, 4)


def test_not_a_model(tools, model):
    for data in (b"", b"hello, I am not a protobuf", bytes(range(256)) * 40):
        model.write_bytes(data)
        refuse(tools, model, 1, "tiny.onnx")


def test_truncated_model(tools, model):
    whole = model.read_bytes()
    for part in (0.1, 0.5, 0.9, 0.999):
        model.write_bytes(whole[:int(len(whole) * part)])
        refuse(tools, model, 1, "tiny.onnx")


def test_truncated_weights(tools, model):
    data = model.with_name("tiny.onnx.data")
    whole = data.read_bytes()
    data.write_bytes(whole[:len(whole) // 2])
    refuse(tools, model, 1, "tiny.onnx.data")


@pytest.mark.parametrize("location", ["../secret.data", "/etc/passwd", "sub/../../secret.data", "link.data"])
def test_external_data_stays_in_its_folder(tools, model, location):
    secret = model.parents[1] / "secret.data"
    secret.write_bytes(bytes(1 << 20))
    model.with_name("link.data").symlink_to(secret)
    (model.parent / "sub").mkdir()

    def redirect(proto):
        place(proto, "cos_cache")["location"].value = location

    edit(model, redirect)
    refuse(tools, model, 1, "cos_cache", "folder")


@pytest.mark.parametrize("key, value", [("offset", "-64"), ("offset", str(1 << 62)), ("length", str(1 << 40)), ("length", "7"),
                                        ("offset", "99999999999999999999999"), ("offset", "x")])
def test_external_data_places(tools, model, key, value):
    edit(model, lambda proto: setattr(place(proto, "sin_cache")[key], "value", value))
    refuse(tools, model, 1, "sin_cache")


def test_unknown_operators_are_all_listed_by_node(tools, model):
    def change(proto):
        first, second = node(proto, "Sigmoid"), node(proto, "SimplifiedLayerNormalization")
        first.op_type, second.op_type = "NoSuchOperator", "AnotherOne"

    edit(model, change)
    refuse(tools, model, 3, "NoSuchOperator", "/model/layers.0/mlp/act_fn/Sigmoid", "AnotherOne",
           "/model/layers.0/input_layernorm/LayerNorm")


def test_what_is_not_implemented_is_refused_not_ignored(tools, model):
    def change(proto):
        node(proto, "GroupQueryAttention").attribute.append(onnx.helper.make_attribute("no_such_attribute", 1))
        node(proto, "MatMulNBits").attribute.append(onnx.helper.make_attribute("weight_prepacked", 1))

    edit(model, change)
    refuse(tools, model, 3, "weight_prepacked", "no_such_attribute")


def test_wrong_shapes_and_types(tools, model):
    whole = model.read_bytes()
    scales = "model.layers.1.mlp.gate_proj.MatMul.weight_scales"

    def tensor(proto):
        return next(t for t in proto.graph.initializer if t.name == scales)

    for code, change in ((1, lambda p: tensor(p).dims.__setitem__(0, 17)), (1, lambda p: tensor(p).dims.__setitem__(0, -3)),
                         (1, lambda p: tensor(p).dims.__setitem__(0, 1 << 60)),
                         (3, lambda p: setattr(tensor(p), "data_type", onnx.TensorProto.INT32))):
        model.write_bytes(whole)
        edit(model, change)
        refuse(tools, model, code, "gate_proj")


def test_graphs_that_do_not_hold_together(tools, model):
    whole = model.read_bytes()

    def cycle(proto):
        node(proto, "Sigmoid").input[0] = "/model/layers.0/mlp/Mul/output_0"

    for change in (lambda p: node(p, "Sigmoid").input.__setitem__(0, "from_nowhere"), cycle,
                   lambda p: node(p, "Sigmoid").output.__setitem__(0, "logits"), lambda p: p.graph.ClearField("output")):
        model.write_bytes(whole)
        edit(model, change)
        refuse(tools, model, 1)


def test_command_lines(tools, model, tmp_path):
    out = tmp_path / "out/m.so"
    for arguments in ((model,), (model, "-o", out, "--no-such-flag"), (model, "-o", out, "--context=none"), (),
                      (model, "-o", out, "--activations=seven"), (model, "-o", out, "--weights=no_such_format")):
        check_message(tools.call("whit-compile", *arguments), 2)
    check_message(tools.call("whit-compile", model, "-o", out, "--target=no-such-cpu"), 2, "no-such-cpu")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def artifact(tools, compiled, tiny, tmp_path):
    made, _ = compiled(tiny, "--context=64")
    for end in (".so", ".safetensors"):  # the artifact knows its weights by their name
        shutil.copy(made.with_suffix(end), tmp_path)
    return tmp_path / made.name


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "in.npz"
    np.savez(path, input_ids=np.array([[1, 2, 3]]), attention_mask=np.ones((1, 3), np.int64))
    return path


def test_damaged_artifacts(tools, artifact, given, tmp_path):
    out, whole = tmp_path / "out.npz", artifact.read_bytes()
    tools.run("whit-run", artifact, "--inputs", given, "--outputs", out)
    out.unlink()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        data = bytearray(whole)
        data[at] ^= 0x55
        artifact.write_bytes(data)
        check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 6)
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        artifact.write_bytes(whole[:length])
        check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 6)
    assert not out.exists()


def test_damaged_weights(tools, artifact, given, tmp_path):
    weights, out = artifact.with_suffix(".safetensors"), tmp_path / "out.npz"
    whole = weights.read_bytes()
    for at in (0, 4, 20, len(whole) // 2, len(whole) - 70):
        data = bytearray(whole)
        data[at] ^= 0x55
        weights.write_bytes(data)
        check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 6)
    weights.write_bytes(whole[:-100])
    check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 6)
    weights.unlink()
    check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 4)
    assert not out.exists()


def test_strangers_need_trust(tools, artifact, given, tmp_path):
    shutil.rmtree(tools.home / "config", ignore_errors=True)
    out = tmp_path / "out.npz"
    check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 6, "--trust")
    tools.run("whit-run", artifact, "--inputs", given, "--outputs", out, "--trust")


@pytest.mark.parametrize("change, part", [
    ({"input_ids": np.array([[1.5, 2, 3]], np.float32)}, "input_ids"), ({"input_ids": np.array([1, 2, 3])}, "input_ids"),
    ({"attention_mask": np.ones((1, 2), np.int64)}, "attention_mask"), ({"attention_mask": np.ones((2, 3), np.int64)}, "attention_mask"),
    ({"no_such_input": np.zeros(1, np.float32)}, "no_such_input"), ({"input_ids": None}, "input_ids")])
def test_wrong_arrays(tools, artifact, tmp_path, change, part):
    arrays = {"input_ids": np.array([[1, 2, 3]]), "attention_mask": np.ones((1, 3), np.int64), **change}
    np.savez(tmp_path / "in.npz", **{k: v for k, v in arrays.items() if v is not None})
    check_message(tools.call("whit-run", artifact, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz"), 1, part)


def test_wrong_array_files(tools, artifact, given, tmp_path):
    out = tmp_path / "out.npz"
    check_message(tools.call("whit-run", artifact, "--inputs", tmp_path / "none.npz", "--outputs", out), 4, "none.npz")
    whole = given.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 10):
        given.write_bytes(whole[:length])
        check_message(tools.call("whit-run", artifact, "--inputs", given, "--outputs", out), 1, "in.npz")
    check_message(tools.call("whit-run", artifact, "--nonsense"), 2)


def test_expectations(tools, artifact, given, tmp_path):
    out = tmp_path / "out.npz"
    tools.run("whit-run", artifact, "--inputs", given, "--outputs", out)
    with np.load(out) as file:
        logits = file["logits"]
    np.savez(tmp_path / "ref.npz", logits=logits)
    tools.run("whit-run", artifact, "--inputs", given, "--expect", tmp_path / "ref.npz", "--rtol", "0", "--atol", "0")
    np.savez(tmp_path / "ref.npz", logits=logits + np.float32(0.5))
    done = tools.call("whit-run", artifact, "--inputs", given, "--expect", tmp_path / "ref.npz", "--rtol", "1e-3", "--atol", "1e-3")
    assert done.code == 8 and "logits" in done.out + done.err


def test_tokens_outside_the_vocabulary(tools, artifact, tmp_path):
    """Embedding rows are looked up by number: no index reads outside the table."""
    for token in (10**6, -1, -(1 << 62)):
        np.savez(tmp_path / "in.npz", input_ids=np.array([[1, token]]), attention_mask=np.ones((1, 2), np.int64))
        done = tools.call("whit-run", artifact, "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
        assert done.code in (0, 1), done.err
