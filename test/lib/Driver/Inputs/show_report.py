# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The weights of a JSON report, one a line; what must be true of all of them is checked here."""
import json
import sys

report = json.load(open(sys.argv[1]))
total = report["weights_total"]
for w in report["weights"]:
    print(w["name"], w["shape"], w["before"], w["format"], w["quantizer"], w["bytes_before"], "snr_db" in w)
    assert w["bits_per_weight"] == 8 * w["bytes_after"] / (w["shape"][0] * w["shape"][1])
    assert "snr_db" not in w or abs(10 ** (-w["snr_db"] / 20) - w["relative_rms_error"]) < 1e-9
assert total["bytes_after"] == sum(w["bytes_after"] for w in report["weights"])
print("matrices", total["matrices"], "quantized", total["quantized"], "worst", total["worst"])
