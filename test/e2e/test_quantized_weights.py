# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""A real encoder quantized while compiling: every region within its bound of the quantized weights, and embeddings that stay close."""
import json

import numpy as np
import pytest
from limits import ACTIVATIONS_COSINE
from real import model_path
from stablehlo_models import flags, program


@pytest.fixture(scope="module")
def minilm():
    return model_path("minilm.onnx")


def feeds():
    """Two sentences of word ids, the second one shorter."""
    random = np.random.default_rng(9)
    ids = random.integers(1996, 29000, (2, 24))
    mask = np.ones_like(ids)
    mask[1, 15:] = 0
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def embed(tools, artifact):
    hidden = next(v for v in tools.infer(artifact, feeds()).values() if v.ndim == 3).astype(np.float64)
    weights = feeds()["attention_mask"][:, :, None]
    return (hidden * weights).sum(1) / weights.sum(1)


def cosine(a, b):
    return ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()


def test_every_region_is_within_its_bound_of_the_quantized_weights(tools, minilm, compiled, tmp_path):
    artifact, _ = compiled(minilm, "--weights=int4_g32", "--format-map=embeddings*=int8_channel")
    np.savez(tmp_path / "in.npz", **feeds())
    done = tools.run("whit-check", minilm, artifact, "--inputs", tmp_path / "in.npz")
    assert "regions within their bounds" in done.out


def test_embeddings_stay_close_and_bytes_shrink(tools, minilm, compiled, tmp_path):
    exact = embed(tools, compiled(minilm)[0])
    report = tmp_path / "report.json"
    artifact, _ = compiled(minilm, "--weights=int8_channel", "--activations=f32", f"--report={report}")
    found = json.loads(report.read_text())["weights_total"]
    # Eight bits leave an error of 1e-2 of the signal per weight; what reaches the embedding is its square.
    assert cosine(exact, embed(tools, artifact)) > 0.998
    assert found["quantized"] == found["matrices"] == 39
    assert found["bytes_after"] < 0.26 * found["bytes_before"]


def test_both_front_doors_lose_the_same(tools, minilm, tmp_path):
    """The weights of the StableHLO program are those of the ONNX file, some of them transposed: the same groups, codes and errors."""
    lost = []
    for model, given in ((minilm, []), (program("minilm_b1s128"), flags("minilm_b1s128", model_path("minilm.safetensors")))):
        report = tmp_path / "report.json"
        tools.run("whit-compile", model, "-o", tmp_path / "model.so", "--weights=int4_g32", f"--report={report}", "--quiet", *given)
        lost.append({w["snr_db"] for w in json.loads(report.read_text())["weights"] if "snr_db" in w})
    # The program has its small tables, of positions and of types, as plain tensors: two fewer.
    assert len(lost[1]) >= 37 and lost[1] <= lost[0]


def test_bf16_is_within_its_bound_and_close(tools, minilm, compiled, tmp_path):
    """Activations are rounded where the module says so, for the oracle as for the kernels: nothing but sums in f32 is left to differ."""
    artifact, _ = compiled(minilm, "--weights=bf16", "--activations=bf16")
    np.savez(tmp_path / "in.npz", **feeds())
    done = tools.run("whit-check", minilm, artifact, "--inputs", tmp_path / "in.npz")
    assert "regions within their bounds" in done.out
    # Eight significant bits: a relative error of 2^-9 at most for each weight and each activation.
    assert cosine(embed(tools, compiled(minilm)[0]), embed(tools, artifact)) > 0.9999
    text = tools.run("whit-compile", minilm, "-o", tmp_path / "m.mlir", "--weights=bf16", "--activations=bf16", "--stop-after=fused", "--quiet")
    matmuls = [line for line in (tmp_path / "m.mlir").read_text().splitlines() if " whit.matmul " in line]
    assert matmuls and all("xbf16>, !whit.tensor" in line for line in matmuls), text.out


@pytest.mark.parametrize("activations", ACTIVATIONS_COSINE)
def test_quantized_activations_are_within_their_bound_and_close(tools, minilm, compiled, tmp_path, activations):
    exact = embed(tools, compiled(minilm, "--weights=int8_g32", "--activations=f32")[0])
    artifact, _ = compiled(minilm, "--weights=int8_g32", f"--activations={activations}")
    np.savez(tmp_path / "in.npz", **feeds())
    done = tools.run("whit-check", minilm, artifact, "--inputs", tmp_path / "in.npz")
    assert "regions within their bounds" in done.out
    lost = 1 - cosine(exact, embed(tools, artifact))
    print(f"1 - cosine {lost:.2g}")
    assert lost <= ACTIVATIONS_COSINE[activations]


def test_bf16_rows_do_not_depend_on_their_batch(tools, minilm, compiled):
    artifact, _ = compiled(minilm, "--weights=bf16", "--activations=bf16")
    together = tools.infer(artifact, feeds())
    for row in range(2):
        alone = tools.infer(artifact, {name: value[row:row + 1] for name, value in feeds().items()})
        for name, value in alone.items():
            np.testing.assert_array_equal(value[0], together[name][row], err_msg=name)
