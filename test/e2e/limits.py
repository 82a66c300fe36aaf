# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""How far results may be from those of another f32 runtime, which adds in another order.

These are promises to users of whole models, several times what is measured. They judge no kernel: that is done region by region
against the bound of its schedule (whit-check), and beside f64 against the error that the other runtime has itself.
"""
import math

HIDDEN = 1e-5  # an element of MiniLM's last hidden state; they reach 6, where one unit in the last place is 4.8e-7
LOGIT = 1e-3  # a logit of SmolLM2 in f32; they reach 30, behind 30 layers
EMBEDDING = 1e-4  # an element of a pooled embedding of length 1, between two forms of one model

# How far `--activations` may take a model that was not trained for it, beside f32 activations and the same weights: about twice what is
# measured. Eight bits keep two digits of the largest value of a group or row; what is small beside it loses digits, and four bits keep
# one digit at most.
ACTIVATIONS_COSINE = {"int8_token": 8e-3, "int4": 0.07, "int4_token": 0.5, "fp8_token": 3e-3}  # 1 - cosine of MiniLM embeddings
ACTIVATIONS_KL = {"int8": 0.01, "int8_token": 0.07, "int4": 1.5}  # mean KL of SmolLM2's next token, with weights of 4 bits

QUANTIZED = 1e-4  # of the largest logit of SmolLM2 with weights of 4 bits and activations of f32: as LOGIT, without a unit

# Models whose weights are quantized while compiling.
NOISE_GAIN = 10  # 1 - cosine of MiniLM's embedding for each unit of noise-to-signal of its weights; 3 to 7 are measured
ROUNDED_ACTIVATIONS = 5e-3  # what int8 activations add to it where one scale covers a whole row; 2.2e-3 is measured
LANGUAGE_GAIN = 130  # mean KL, in nats, of SmolLM2's next token for each unit of noise-to-signal of its weights; 36 to 86 are measured

# A float with three bits behind the point is wrong by at most half of 2^-3, evenly spread: 2^-6 / 12 of the square of its power of two. Its
# own square is 3 / (2 ln 2) of that on average over a logarithmic scale. Noise of activations reaches a product as noise of weights does.
FLOAT8_NOISE = 2**-6 / 12 / (1.5 / math.log(2))
ACTIVATIONS_KL["fp8_token"] = LANGUAGE_GAIN * FLOAT8_NOISE  # 0.078
