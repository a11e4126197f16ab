"""A .safetensors file in PyTorch: its weights go into linear layers as they are."""

import numpy as np
import pytest

import cbp

torch = pytest.importorskip("torch")
load_file = pytest.importorskip("safetensors.torch").load_file


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_linear_layers_take_the_tensors_as_they_are(tmp_path, dtype):
    net = cbp.Network([5, 7, 3], activation="tanh", output="identity", dtype=dtype, seed=1)
    net.params[:] = np.random.default_rng(2).normal(size=net.n_params)
    net.save(tmp_path / "net.safetensors")
    tensors = load_file(tmp_path / "net.safetensors")
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).to(
        tensors["layers.0.bias"]
    )
    for place, number in ((0, 0), (2, 1)):
        model[place].load_state_dict({name: tensors[f"layers.{number}.{name}"] for name in ("weight", "bias")})
    X = np.random.default_rng(3).normal(size=(20, 5)).astype(dtype)
    with torch.no_grad():
        found = model(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-5 if dtype == "float32" else 1e-12, atol=1e-6)
