"""Jacobian, Hessian and Gauss-Newton products against those that PyTorch differentiates (torch.func)."""

import itertools

import numpy as np
import pytest
from helpers import relative

import cbp

pytestmark = pytest.mark.filterwarnings("ignore:`torch:DeprecationWarning")
torch = pytest.importorskip("torch", reason="a comparison with PyTorch needs torch, which `make test-peers` brings")

ACTIVATIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "softplus": torch.nn.functional.softplus,
    "mish": torch.nn.functional.mish,
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "softsign": torch.nn.functional.softsign,
    "sin": torch.sin,
}
F = torch.nn.functional


def huber(e):
    return torch.where(e.abs() < 1, e * e / 2, e.abs() - 0.5)


# By cbp's loss: its output, and mean cost and what the loss sees, from the net inputs z of the output layer, in PyTorch
LOSSES = {
    "half_squared_error": ("identity", lambda z, y: ((z - y) ** 2).sum(1).mean() / 2),
    "binary_cross_entropy": (
        "sigmoid",
        lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(1).mean(),
    ),
    "categorical_cross_entropy": ("softmax", lambda z, y: F.cross_entropy(z, y)),
    "negative_log_likelihood": ("log_softmax", lambda z, y: F.cross_entropy(z, y)),
    "mean_squared_error": ("identity", lambda z, y: ((z - y) ** 2).mean()),
    "huber": ("identity", lambda z, y: huber(z - y).mean()),
    "log_poisson": ("identity", lambda z, y: F.poisson_nll_loss(z, y)),
}


def net_input(theta, X, widths, activation):
    """Z of the output layer by PyTorch, from cbp's flat parameters."""
    a, at = X, 0
    for l, (n_in, n_out) in enumerate(itertools.pairwise(widths), start=1):
        block = theta[at : at + (n_in + 1) * n_out].reshape(n_in + 1, n_out)
        at += (n_in + 1) * n_out
        z = block[0] + a @ block[1:]
        a = z if l == len(widths) - 1 else activation(z)
    return a


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_products_are_those_of_pytorch(name, loss):
    output, cost = LOSSES[loss]
    widths, rng = (3, 5, 4, 3), np.random.default_rng(8)
    net = cbp.Network(list(widths), activation=name, output=output, loss=loss, dtype="float64", seed=8)
    net.params[:] = rng.normal(0, 0.6, net.n_params)
    X, v = rng.normal(0, 1, (6, 3)), rng.normal(0, 1, net.n_params)
    y = rng.random((6, 3))
    y = y / y.sum(axis=1, keepdims=True)
    theta, Xt, yt, vt = (torch.tensor(np.array(value)) for value in (net.params, X, y, v))

    def z_of(point):
        return net_input(point, Xt, widths, ACTIVATIONS[name])

    def objective(point):
        return cost(z_of(point), yt)

    _, want = torch.func.jvp(torch.func.grad(objective), (theta,), (vt,))
    assert relative(net.hvp(X, y, v), want.numpy()) < 1e-9
    J = torch.func.jacrev(z_of)(theta).reshape(-1, net.n_params)
    z = z_of(theta).detach()
    H = torch.func.hessian(lambda flat: cost(flat.reshape(z.shape), yt))(z.flatten())
    want = (J.T @ H @ J).numpy()
    assert relative(net.gauss_newton(X, y), want) < 1e-9
    assert relative(net.gauss_newton(X, y, v), want @ v) < 1e-9
    if output == "identity":
        assert relative(net.jacobian(X).reshape(-1, net.n_params), J.numpy()) < 1e-9
