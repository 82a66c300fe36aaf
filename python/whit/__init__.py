# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Whit compiles models with low-bit weights into code for this machine, and runs them.

    module = whit.compile("minilm.onnx")                  # or whit.load("minilm.so")
    y = module(input_ids=ids, attention_mask=mask)        # a dict of numpy arrays; torch and jax arrays go in through DLPack
    session = module.session()                            # keeps the caches of a language model
    for token in session.generate(prompt_ids, 64): ...
    module.weights, whit.weights("minilm.so")             # what each weight is stored in: format, layout, bits per weight
    whit.Format("nvfp4").quantize(weights)                # number formats: whit/encoding.py

`python -m whit` has the same on the command line. Errors are the classes in `whit.errors`, one for each exit code of the tools.
"""
from importlib import import_module as _import_module

_HOMES = {"compile": "compiler", "load": "module", "inspect": "module", "trust": "module", "Module": "module", "Session": "module",
          "Value": "module", "Weight": "module", "weights": "module", "runtime_version": "module",
          "Format": "encoding", "formats": "encoding", "add_formats": "encoding", "Quantized": "encoding"}
_HOMES |= dict.fromkeys(("WhitError", "InvalidInputError", "UsageError", "UnsupportedError", "FileError", "LimitError",
                         "ArtifactRefusedError", "DeviceError", "ExpectationError", "InternalError"), "errors")
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    """Each name is imported when it is first used: converting a file needs no compiled part."""
    if name not in _HOMES:
        raise AttributeError(f"module 'whit' has no attribute '{name}'")
    value = getattr(_import_module(f"whit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
