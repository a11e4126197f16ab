"""The same with JAX, and with PyTorch, which has an OpenMP and a flag for subnormal numbers: `make test-peers`."""

import itertools

import pytest
from test_other_libraries import check_order, model, needed, run  # noqa: F401 - model is a fixture
from test_pool import run_python

ORDERS = [*itertools.permutations(("cbp", "torch", "sklearn", "onnxruntime")), ("jax", "cbp", "torch")]


@pytest.mark.parametrize("libraries", ORDERS, ids=" ".join)
def test_libraries_imported_in_any_order_compute_what_they_compute_alone(libraries, model):  # noqa: F811
    check_order(libraries, model)


FLUSHED = """
import torch, numpy as np
assert torch.set_flush_denormal(True)
import cbp

def tiny():
    return float((torch.tensor([1e-38]) * 1e-3).item())

X = (np.random.default_rng(0).normal(size=(64, 8)) * 1e-20).astype(np.float32)
net = cbp.Network([8, 16, 1], activation="tanh", output="identity", seed=0)
net.params[:] *= np.float32(1e-20)
before = tiny()
net.fit(X, X[:, :1], epochs=3, optimizer="sgd", progress=False)
print(before, tiny(), net.params.tobytes().hex())
"""


def test_pytorch_may_flush_subnormals_without_changing_cbp():
    needed(["torch"])
    flushed = run_python(FLUSHED).split()
    plain = run_python(FLUSHED.replace("torch.set_flush_denormal(True)", "True")).split()
    assert flushed[:2] == ["0.0", "0.0"]
    assert float(plain[0]) == float(plain[1]) > 0
    assert flushed[2] == plain[2]
