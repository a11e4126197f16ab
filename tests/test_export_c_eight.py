"""Exported C with weights of 8 bits computes what the network with such weights does, and says what that costs."""

import re

import numpy as np
import pytest
from exported import STRICT, every_activation, needs
from exported_once import compiled_once, verified
from helpers import DTYPES

import cbp
from cbp.io.c import quantized


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("compiler", "flags"), [("gcc", "-O2"), ("clang", "-O3 -march=native -ffp-contract=fast")])
def test_the_bytes_are_those_of_the_quantized_network(folder, dtype, compiler, flags):
    needs(compiler)
    net = every_activation(dtype)
    net.export("model.c", weights="int8")
    verified(net, "model.c", rows=300, compiler=compiler, flags=flags)
    net.layers[0].W[0, 0] += net.layers[0].W[:, 0].max()  # now it is another network
    with pytest.raises(cbp.ExportError, match="differs from the network"):
        verified(net, "model.c", rows=300, compiler=compiler, flags="-O1")


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_are_whole_numbers_times_the_scale_of_their_unit(dtype):
    net = cbp.Network([9, cbp.Dense(7, skip=[]), cbp.Dense(5, skip=[0])], dtype=dtype, seed=3)
    net.layers[0].b[:] = 0.123
    before = net.params.copy()
    other = quantized(net)
    assert np.array_equal(net.params, before)
    for layer, rounded in zip(net.layers, other.layers, strict=True):
        assert np.array_equal(layer.b, rounded.b)
        for weights, made in zip(layer.W.T, rounded.W.T, strict=True):
            scale = np.float64(np.abs(weights).max()) / 127
            assert np.allclose(made / scale, np.round(made / scale), atol=1e-4)
            assert np.abs(made - weights).max() <= 0.5 * scale * (1 + 1e-5)
            assert np.isclose(np.abs(made).max(), np.abs(weights).max(), rtol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", ["0", "smallest_subnormal", "tiny", "max"])
def test_weights_at_the_ends_of_the_range(folder, dtype, size):
    net = cbp.Network([2, 2], output="identity", dtype=dtype, seed=0)
    most = 0.0 if size == "0" else float(getattr(np.finfo(dtype), size))
    net.layers[0].W[:] = [[most, -most], [most / 2, 0]]
    made = quantized(net).layers[0].W
    assert np.isfinite(made).all()
    assert np.abs(made - net.layers[0].W).max() <= most / 200 or most < np.finfo(dtype).tiny * 128
    net.export("model.c", weights="int8")
    verified(net, "model.c", rows=200, flags="-O1")


def test_the_header_tells_and_flash_is_saved(folder):
    needs("gcc", "size")
    net = cbp.Network([64, 64, 10], output="softmax", seed=0)
    net.export("whole.c")
    net.export("eight.c", weights="int8")
    assert re.search(r"^#define EIGHT_WEIGHT_BITS 8\b", (folder / "eight.h").read_text(), re.MULTILINE)
    assert "WEIGHT_BITS" not in (folder / "whole.h").read_text()
    whole, eight = (verified(net, f"{name}.c", rows=20).flash for name in ("whole", "eight"))
    codes = 64 * 64 + 64 * 10
    assert whole - eight > 3 * codes - 600  # three bytes of every weight, less the scales and a loop


@pytest.mark.parametrize("compiler", ["gcc -std=c99", "g++ -std=c++98 -Wno-long-long", "clang -std=c99"])
@pytest.mark.parametrize("library", [(), ("-ffreestanding",)], ids=["with", "without"])
def test_no_compiler_complains_with_or_without_a_c_library(folder, compiler, library):
    command = compiler.split()
    needs(command[0])
    net = cbp.Network([3, 4, 2], activation="gelu", output="softmax", scale_inputs=(0, 2), seed=0)
    net.export("model.c", weights="int8")
    flags = [*command[1:], *STRICT.split(), "-Wno-deprecated", *library, "-c", "model.c", "-o", "model.o"]
    done = compiled_once([command[0], *flags])
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "int4"}, "weights must be 'int8' or None, not 'int4'"),
        ({"weights": "int8", "train": True}, "exported C cannot train weights of 8 bits: leave train or weights out"),
    ],
)
def test_refusals(folder, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cbp.Network([2, 1], seed=0).export("model.c", **options)
    assert not list(folder.iterdir())
