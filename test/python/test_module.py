# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Loading, running and sessions over the real runtime, with a tiny language model whose logits are known in f64."""
import subprocess
import threading
import time

import numpy as np
import pytest
import tiny

from whit import errors

IDS = [5, 9, 1, 30, 2, 17, 8]


@pytest.fixture(scope="module")
def module(tiny_so):
    import whit

    return whit.load(tiny_so)


@pytest.fixture(scope="module")
def expected(tiny_gguf):
    return tiny.logits(tiny_gguf, IDS)


def close(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=tiny.CLOSE, atol=tiny.CLOSE)


def mask(length: int) -> np.ndarray:
    return np.ones((1, length), np.int64)


def test_signature(module):
    by_name = {v.name: v for v in module.inputs}
    assert by_name["input_ids"].dtype == "i64" and by_name["input_ids"].shape == ("batch_size", "sequence_length")
    past = by_name["past_key_values.0.key"]
    assert past.is_state and past.shape == ("batch_size", tiny.KV_HEADS, "past_sequence_length", tiny.HEAD)
    logits = module.outputs[0]
    assert (logits.name, logits.shape[-1], logits.is_state) == ("logits", len(tiny.VOCABULARY), False)
    assert "logits: f32[" in repr(module) and module.context == 64 and module.manifest["whit"] == 1


def test_call(module, expected):
    out = module(input_ids=np.array([IDS]), attention_mask=mask(len(IDS)))
    close(out["logits"][0], expected)
    assert out["present.0.key"].shape == (1, tiny.KV_HEADS, len(IDS), tiny.HEAD)
    again = module(input_ids=np.array([IDS]), attention_mask=mask(len(IDS)))
    np.testing.assert_array_equal(out["logits"], again["logits"])


def test_past_goes_out_and_comes_back(module, expected):
    first = module(input_ids=[IDS[:4]], attention_mask=mask(4))
    past = {k.replace("present", "past_key_values"): v for k, v in first.items() if k.startswith("present")}
    second = module(input_ids=[IDS[4:]], attention_mask=mask(len(IDS)), **past)
    close(second["logits"][0], expected[4:])
    close(second["present.1.value"][:, :, :4], first["present.1.value"])


def test_session_keeps_what_it_read(module, expected):
    session = module.session()
    close(session.run({"input_ids": [IDS[:3]], "attention_mask": mask(3)})["logits"][0], expected[:3])
    assert session.length == 3
    out = session.run({"input_ids": [IDS[3:]], "attention_mask": mask(len(IDS))})
    close(out["logits"][0], expected[3:])
    assert set(out) == {"logits"} and session.length == len(IDS)
    session.truncate(2)
    close(session.append(IDS[2:]), expected[-1])
    presents = session.run({"input_ids": [[3]], "attention_mask": mask(len(IDS) + 1)}, ["present.0.value"])
    assert presents["present.0.value"].shape[2] == len(IDS) + 1


def test_generate(module, tiny_gguf):
    session, ids = module.session(threads=1), list(IDS)
    found = list(session.generate(ids, 6))
    for token in found:
        assert token == int(tiny.logits(tiny_gguf, ids)[-1].argmax())
        ids.append(token)
    again = module.session(threads=2)
    assert list(again.generate(IDS, 6, stop=[found[3]])) == found[:found.index(found[3])]
    assert len(list(module.session().generate(IDS, 1000))) == module.context - len(IDS) + 1


def test_tokens_that_the_model_chooses(module, tiny_onnx, own_home, tmp_path):
    import whit
    from whit.compiler import run_compiler

    run_compiler(tiny_onnx, tmp_path / "chooses.so", {"activations": "f32", "context": 64, "choose_tokens": True})
    chooses = whit.load(tmp_path / "chooses.so")
    assert "whit.next_tokens" in [value.name for value in chooses.outputs]
    assert list(chooses.session().generate(IDS, 6)) == list(module.session().generate(IDS, 6))
    session = chooses.session()
    assert session.choose(IDS) == int(module.session().append(IDS).argmax())
    assert session.length == len(IDS)
    with pytest.raises(errors.UsageError, match="no tokens are given"):
        session.choose([])


class Torchlike:
    """Has a DLPack capsule and nothing else of numpy's."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_arrays_of_every_kind(module, expected):
    ids, ones = np.array([IDS]), mask(len(IDS))
    strided = np.zeros((1, 2 * len(IDS)), np.int64)
    strided[:, ::2] = ids
    frozen = ids.copy()
    frozen.flags.writeable = False
    for given in (ids, strided[:, ::2], frozen, ids.tolist(), Torchlike(ids)):
        close(module(input_ids=given, attention_mask=ones)["logits"][0], expected)
    logits = np.from_dlpack(module(input_ids=ids, attention_mask=ones)["logits"])
    close(logits[0], expected)


def test_errors_are_typed_and_name_the_tensor(module, tmp_path):
    ids, ones = np.array([IDS]), mask(len(IDS))
    for inputs, message in (({"ids": ids}, "no input 'ids'"), ({"input_ids": ids.astype(np.float32), "attention_mask": ones}, "input_ids"),
                            ({"input_ids": ids[0], "attention_mask": ones}, "input_ids"), ({"attention_mask": ones}, "input_ids"),
                            ({"input_ids": "text"}, "input_ids"), ({"input_ids": ids, "attention_mask": mask(3)}, "attention_mask")):
        with pytest.raises(errors.InvalidInputError, match=message):
            module.run(inputs)
    with pytest.raises(errors.InvalidInputError, match="no output 'no_such_output'"):
        module.run({"input_ids": ids, "attention_mask": ones}, ["no_such_output"])
    session = module.session()
    with pytest.raises(errors.LimitError, match="context|capacity"):
        session.append([1] * (module.context + 1))
    assert session.length == 0
    with pytest.raises(errors.UsageError, match="no tokens"):
        session.append([])
    with pytest.raises(errors.UsageError):
        session.truncate(5)


def test_refused_artifacts(tiny_so, tmp_path, own_home):
    import whit

    with pytest.raises(errors.FileError):
        whit.load(tmp_path / "nothing.so")
    stranger = tmp_path / "stranger.so"
    damaged = bytearray(tiny_so.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    stranger.write_bytes(damaged)
    (tmp_path / "stranger.safetensors").write_bytes(tiny_so.with_suffix(".safetensors").read_bytes())
    with pytest.raises(errors.ArtifactRefusedError):
        whit.load(stranger)
    with pytest.raises(errors.ArtifactRefusedError):
        whit.load(stranger, trust=True)


def test_inspect_maps_no_code(tiny_so):
    import whit

    manifest = whit.inspect(tiny_so)
    assert manifest["context"] == 64 and {a["kind"] for a in manifest["arguments"]} >= {"input", "output", "state", "constant"}


def test_weights_say_how_they_are_stored(tiny_so, module):
    import json

    import whit
    from real import BUILD

    weights = whit.weights(tiny_so)
    assert weights == module.weights and len({w.name for w in weights}) == len(weights)
    packed = [w for w in weights if w.layout]
    assert packed and all(w.layout == "panel16" and len(w.shape) == 2 for w in packed)
    for weight in packed:
        assert weight.bits_per_weight >= whit.Format(weight.format).bits_per_weight(*weight.shape)
    assert all(w.bits_per_weight == 32 for w in weights if w.format == "f32")
    # The tool says the same.
    done = subprocess.run([BUILD / "bin/whit-run", tiny_so, "--inspect", "--json"], capture_output=True, check=True)
    told = [a for a in json.loads(done.stdout)["arguments"] if a["kind"] == "constant"]
    assert [(a["name"], a["bytes"], a["bits_per_weight"]) for a in told] == [(w.name, w.bytes, w.bits_per_weight) for w in weights]


def test_other_threads_run_meanwhile(module):
    """The interpreter's lock is free while a model runs: another thread counts on."""
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    helper = threading.Thread(target=count)
    helper.start()
    try:
        results = []
        workers = [threading.Thread(target=lambda: results.append(module(input_ids=[IDS], attention_mask=mask(len(IDS)))["logits"]))
                   for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        stop.set()
        helper.join()
    assert counted[0] > 0 and len(results) == 4 and all((r == results[0]).all() for r in results)


def test_profile(module, tmp_path):
    import json

    session = module.session(threads=1)
    with session.profile(tmp_path / "trace.json"):
        session.append(IDS)
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"] if isinstance(trace, dict) else trace
    assert "MatMul" in json.dumps(events)


def test_compile_from_bytes_and_protos(own_home):
    """The example itself is checked in test_examples.py; here the model goes in as bytes and lives in a temporary folder."""
    from real import need_build

    need_build()
    import onnx
    from onnx import TensorProto, helper

    import whit

    graph = helper.make_graph([helper.make_node("Sigmoid", ["x"], ["y"], name="s")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 22)])
    onnx.checker.check_model(model)
    x = np.linspace(-4, 4, 12, dtype=np.float32).reshape(3, 4)
    for given in (model, model.SerializeToString()):
        np.testing.assert_allclose(whit.compile(given)(x=x)["y"], 1 / (1 + np.exp(-x)), rtol=8 * np.finfo(np.float32).eps)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(errors.UnsupportedError, match="NoSuchOperator"):
        whit.compile(model)


def test_names_of_the_source(own_home, tmp_path):
    from real import need_build

    need_build()
    import whit

    source = tmp_path / "m.mlir"
    source.write_text("""func.func public @main(%arg0: tensor<2xf32> loc("a['x']"), %arg1: tensor<2xf32>) -> (tensor<2xf32> {jax.result_info = "result"}) {
  %0 = stablehlo.subtract %arg0, %arg1 : tensor<2xf32>
  return %0 : tensor<2xf32>
}
""")
    x, y = np.array([5, 7], np.float32), np.array([1, 2], np.float32)
    module = whit.compile(source)
    for name in ("arg0", "a['x']"):
        found = module.run({name: x, "arg1": y}, ["out0", "result"])
        assert found["out0"].tolist() == found["result"].tolist() == [4, 5]
    with pytest.raises(errors.InvalidInputError, match="given twice"):
        module.run({"arg0": x, "a['x']": x, "arg1": y})
