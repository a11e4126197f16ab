"""Shared by the tests of exported C: networks with everything in them, compilers, programs around an exported file."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from exported_once import compiled_once
from helpers import activation, unit_activations

import cbp

AARCH64 = ("aarch64-linux-gnu-gcc", "-O2 -static", "qemu-aarch64")
S390X = ("s390x-linux-gnu-gcc", "-O2 -static", "qemu-s390x")
STRICT = "-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror"


def needs(*programs):
    """Skip a test where one of these programs is not installed, or not the one that Linux calls so."""
    if sys.platform != "linux":
        pytest.skip("the commands are those of Linux")
    for name in programs:
        if not shutil.which(name):
            pytest.skip(f"no {name}")


def every_activation(dtype):
    """All activations as outputs of one layer: those of units, with two arguments where they have one, and of rows."""
    units = [activation(name, arg) for name, arg in unit_activations()]
    rows = [cbp.Head(5, name) for name, row in cbp.activations.items() if row.row_wise]
    net = cbp.Network([4, len(units) + 5 * len(rows)], heads=[cbp.Head(len(units), units), *rows], dtype=dtype, seed=0)
    return spread(net)


def every_loss(dtype, **kwargs):
    """All losses as heads of one network, each with its own output and, where it takes others, with softmax."""
    heads = []
    for row in cbp.losses.values():
        units = [row.partner] * 2 + [row.pair or row.partner] * 2
        heads.append(cbp.Head(4, units if row.pair else row.partner, row, weight=0.05))
        if not row.head:
            others = ["softmax", "log_softmax", "tanh"]
            heads += [cbp.Head(4, other, row, weight=0.05) for other in (others[:1] if row.pair else others)]
    n = sum(head.units for head in heads)
    return cbp.Network([3, 6, cbp.Dense(n, steepness=0.75)], heads=heads, dtype=dtype, seed=0, **kwargs)


def spread(net, size=1.0):
    """Give a network parameters of all signs, biases too."""
    net.params[:] = np.random.default_rng(7).normal(0, size, net.n_params)
    return net


def compiled(folder, source, *flags, run=False, given=""):
    """Compile a C program that includes an exported file; return the path of the program, or what it prints."""
    (folder / "test.c").write_text(source)
    program = str(folder / "test.exe")
    done = compiled_once(["gcc", *flags, "test.c", "-o", program], folder)
    assert done.returncode == 0, done.stderr.decode()
    if not run:
        return program
    return subprocess.run([program], input=given, capture_output=True, text=True, check=True).stdout
