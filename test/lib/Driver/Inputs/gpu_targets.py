# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""gpu_targets.py MODEL.onnx OUT FLAG...: compiles a model for every GPU architecture, and prints a line for each of what its report says."""
import json
import subprocess
import sys

ARCHITECTURES = ["sm_80", "sm_89", "sm_90a", "sm_100a", "gfx90a", "gfx942", "gfx950", "gfx1100"]
model, out, *flags = sys.argv[1:]
for target in ARCHITECTURES:
    report = f"{out}.{target}.json"
    subprocess.run(["whit-compile", model, "-o", f"{out}.{target}.so", f"--target={target}", f"--report={report}", "--quiet", *flags], check=True)
    with open(report, encoding="utf-8") as file:
        kernels = json.load(file)["kernels"]
    assembled = [kernel for kernel in kernels if "registers" in kernel]
    assert len(assembled) in (0, len(kernels)), "facts of some kernels alone"
    if target.startswith("gfx"):
        assert assembled, "AMD kernels need no outside assembler"
    for kernel in assembled:
        assert 0 < kernel["registers"] <= 512 and kernel["code"] > 0 and 0 < kernel["occupancy"] <= 1, kernel
    products = sum(kernel["instructions"]["matrix"] > 0 for kernel in kernels)
    scratch = sum(kernel["spills"] + kernel["stack"] for kernel in assembled)
    local = sum(kernel["instructions"]["local"] for kernel in kernels)
    print(f"{target}: {products} kernels use matrix units, {scratch} bytes of scratch, {local} local loads and stores")
