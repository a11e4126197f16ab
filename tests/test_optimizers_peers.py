"""Optimisers against PyTorch's: the same steps from the same gradients, where both mean the same by a name.

Where they differ: PyTorch's momentum is multiplied by the learning rate later, which a constant rate does not show.
Its RAdam begins to adapt at rho > 5, as its authors' program does, the paper's at rho > 4. Its NAdam keeps the product
of the momenta in single precision. Its Rprop is what the literature calls iRprop-.
"""

import numpy as np
import pytest
from reference import rows

import cbp

torch = pytest.importorskip("torch", reason="a comparison with PyTorch needs torch, which `make test-peers` brings")

STEPS = 100
BETAS = {"betas": (0.8, 0.99), "eps": 1e-6}
OURS = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6}

# Row of the table: its arguments here, and the optimiser of PyTorch with its own
PEERS = {
    "sgd": ({}, "SGD", {}),
    "momentum": ({"momentum": 0.8}, "SGD", {"momentum": 0.8}),
    "nesterov": ({"momentum": 0.8}, "SGD", {"momentum": 0.8, "nesterov": True}),
    "adam": (OURS, "Adam", BETAS),
    "adamw": (OURS | {"weight_decay": 0.1}, "AdamW", BETAS | {"weight_decay": 0.1}),
    "amsgrad": (OURS, "Adam", BETAS | {"amsgrad": True}),
    "nadam": (OURS, "NAdam", BETAS | {"momentum_decay": 0.004}),
    "radam": (OURS, "RAdam", BETAS),
    "rmsprop": ({"rho": 0.8, "eps": 1e-6}, "RMSprop", {"alpha": 0.8, "eps": 1e-6}),
    "adagrad": ({"eps": 1e-6}, "Adagrad", {"eps": 1e-6}),
    "adadelta": ({"rho": 0.8, "eps": 1e-4}, "Adadelta", {"rho": 0.8, "eps": 1e-4}),
    "irprop_minus": (
        {"eta_minus": 0.6, "eta_plus": 1.3, "step_min": 1e-3, "step_max": 2.0},
        "Rprop",
        {"etas": (0.6, 1.3), "step_sizes": (1e-3, 2.0)},
    ),
}


def steps_of_torch(cls, named, rate, theta, grads):
    parameter = torch.nn.Parameter(torch.tensor(theta))
    optimizer = getattr(torch.optim, cls)([parameter], lr=rate, **named)
    for g in grads:
        parameter.grad = torch.tensor(g)
        optimizer.step()
        yield parameter.detach().numpy().copy()


def same_meaning(name, t, beta2=0.99):
    """Whether step t is the same by definition."""
    rho = 2 / (1 - beta2) - 1 - 2 * t * beta2**t / (1 - beta2**t)
    return name != "radam" or not 4 < rho <= 5


@pytest.mark.parametrize("name", PEERS)
def test_the_steps_are_those_of_pytorch(name):
    own, cls, theirs = PEERS[name]
    rng = np.random.default_rng(40)
    theta, grads = rng.normal(0, 1, 21), rng.normal(0, 1, (STEPS, 21)) * 10.0 ** rng.uniform(-3, 1, 21)
    grads[rng.random((STEPS, 21)) < 0.1] = 0
    net = cbp.Network([6, 3], output="identity", dtype="float64", seed=0)
    net.params[:] = theta
    net._memory.set_optimizer(name, list(own.values()))
    assert list(own) == [arg for arg, _ in rows("optimizers")[name]["args"]]
    before, made = (theta, theta), 0
    wanted = steps_of_torch(cls, theirs, 0.01, theta, grads)
    for t, (g, want) in enumerate(zip(grads, wanted, strict=True), start=1):
        net.grad[:] = g
        net._memory.update(0.01)
        if same_meaning(name, t):
            bound = 1e-7 if name == "nadam" else 1e-9
            np.testing.assert_allclose(net.params - before[0], want - before[1], rtol=bound, atol=1e-12)
            made += 1
        before = np.array(net.params), want
    assert made >= STEPS - 1
