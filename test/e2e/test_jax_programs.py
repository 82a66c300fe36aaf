# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Programs as JAX lowers them (jax_programs.py wrote them): compiled and interpreted, they give what JAX computed."""
import numpy as np
import pytest
from jax_programs import FOLDER, read


PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.mlir"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(tools, tmp_path, name):
    tools.run("whit-compile", FOLDER / f"{name}.mlir", "-o", tmp_path / "model.so", "--quiet")
    tools.run("whit-compile", FOLDER / f"{name}.mlir", "--stop-after=imported", "-o", tmp_path / "imported.mlir", "--quiet")
    for path in sorted(FOLDER.glob(f"{name}*.json")):  # for several sizes, if they vary
        arrays = read(path)
        feeds = {key: value for key, value in arrays.items() if key.startswith("arg")}
        outputs = [key for key in arrays if key.startswith("out")]
        np.savez(tmp_path / "in.npz", **feeds)
        tools.run("whit-check", tmp_path / "imported.mlir", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "ref.npz")
        with np.load(tmp_path / "ref.npz") as file:
            interpreted = dict(file)
        found = tools.infer(tmp_path / "model.so", feeds)
        assert set(found) == set(outputs)
        for key in outputs:
            wanted = arrays[key]
            assert found[key].shape == wanted.shape and found[key].dtype == wanted.dtype, key
            for results in (found, interpreted):
                if wanted.dtype.kind == "f":  # sums in another order than XLA's
                    np.testing.assert_allclose(results[key], wanted, rtol=2e-5, atol=2e-5, err_msg=key)
                else:
                    np.testing.assert_array_equal(results[key], wanted, err_msg=key)


def test_sizes_of_one_name_must_be_equal(tools, tmp_path):
    tools.run("whit-compile", FOLDER / "attention.mlir", "-o", tmp_path / "model.so", "--quiet")
    feeds = {key: value for key, value in read(FOLDER / "attention.json").items() if key.startswith("arg")}
    np.savez(tmp_path / "in.npz", **feeds | {"arg4": feeds["arg4"][:, :-1]})
    done = tools.call("whit-run", tmp_path / "model.so", "--inputs", tmp_path / "in.npz", "--outputs", tmp_path / "out.npz")
    assert done.code != 0 and "length" in done.err
