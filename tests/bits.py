"""The fixed training run whose weights must have the same bits everywhere: 20 epochs on digits drawn by integers.

`python tests/bits.py` prints the hash of every instruction set and precision; with --write it stores the scalar ones in
bits.json, which is to be done only when the numbers were meant to change. The digits are 8 x 8 pictures with values
0 to 16: ten glyphs, shifted and dirtied by the core's counter generator. No floating-point arithmetic makes them.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from cbp import _core

STORE = Path(__file__).with_name("bits.json")
SEED = 2026
SAMPLES = 600
GLYPHS = """
 .##. ..#. .##. ###. #..# #### .##. #### .##. .##.
 #..# .##. #..# ...# #..# #... #... ...# #..# #..#
 #..# ..#. ..#. .##. #### ###. ###. ..#. .##. .###
 #..# ..#. .#.. ...# ...# ...# #..# .#.. #..# ...#
 .##. .### #### ###. ...# ###. .##. .#.. .##. .##.
"""


def glyph(digit):
    """A digit as 5 x 4 zeros and ones."""
    lines = [line.split()[digit] for line in GLYPHS.split("\n") if line.strip()]
    return np.array([[pixel == "#" for pixel in line] for line in lines], np.int64)


def words(sample):
    """64 random bytes that depend on the sample's number alone."""
    counters = [[block, sample, 0, 0] for block in range(4)]
    return b"".join(word.to_bytes(4, "little") for c in counters for word in _core.philox(c, [SEED, 0]))


def digits():
    """Pictures (SAMPLES, 64) in sixteenths, exact in any precision, and labels (SAMPLES,)."""
    pictures, labels = np.zeros((SAMPLES, 8, 8), np.int64), np.empty(SAMPLES, np.int64)
    for i in range(SAMPLES):
        noise = np.frombuffer(words(i), np.uint8).astype(np.int64).reshape(8, 8)
        labels[i] = noise[0, 0] % 10
        row, column = 1 + noise[0, 1] % 2, 1 + noise[0, 2] % 3
        pictures[i, row : row + 5, column : column + 4] = glyph(labels[i]) * 12
        pictures[i] = np.clip(pictures[i] + noise % 5 - (noise > 250) * 6, 0, 16)
    return pictures.reshape(SAMPLES, 64), labels


def train(dtype, isa, epochs=20):
    """Weights after the run: 64 > 32 tanh > 24 of all unit activations in turn > 10 softmax, by Adam."""
    pictures, labels = digits()
    X = np.ascontiguousarray((pictures / 16).astype(dtype))
    turns = [("sigmoid", 0.0), ("leaky_relu", 0.125), ("relu", 0.0), ("identity", 0.0), ("tanh", 0.0)]
    names, args = zip(*(turns[j % len(turns)] for j in range(24)), strict=True)
    layers = [(32, "tanh", 0.0), (24, list(names), list(args)), (10, "softmax", 0.0)]
    plan = _core.Plan(dtype, 64, layers, "categorical_cross_entropy", isa=isa)
    memory = _core.Memory(plan, plan.init(["glorot_uniform", "he_normal", "glorot_normal"], SEED))
    memory.set_optimizer("adam", [0.9, 0.999, 1e-8])
    for epoch in range(epochs):
        order = _core.permutation(SEED, epoch, SAMPLES)
        memory.epoch(X, labels, None, order, 48, 0.004)
    return plan, np.array(memory.theta)


def digest(theta):
    """SHA-256 of the weights, little-endian."""
    return hashlib.sha256(theta.astype(theta.dtype.newbyteorder("<")).tobytes()).hexdigest()


def hashes(isa):
    return {dtype: digest(train(dtype, isa)[1]) for dtype in ("float32", "float64")}


def main():
    found = {isa: hashes(isa) for isa in _core.isas()}
    print(json.dumps(found, indent=2))
    if "--write" in sys.argv[1:]:
        STORE.write_text(json.dumps(found["scalar"], indent=2) + "\n")


if __name__ == "__main__":
    main()
