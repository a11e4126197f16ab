"""State dicts of PyTorch with NumPy alone: order, activations, refusals. PyTorch itself is in test_torch_peers.py."""

import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import cbp
from cbp.io.torch import _peers, from_state_dict, to_state_dict

RNG = np.random.default_rng(31)
X = RNG.normal(0, 1, (12, 4))


def state_of(*shapes, names=None):
    """Weights (n_in, n_out) by names, as PyTorch keeps them."""
    state = {}
    for k, (n_in, n_out) in enumerate(shapes):
        name = names[k] if names else f"{2 * k}"
        state |= {f"{name}.weight": RNG.normal(0, 1, (n_out, n_in)), f"{name}.bias": RNG.normal(0, 1, n_out)}
    return state


def by_hand(state, names):
    """What a module of these layers and tanh returns."""
    A = X
    for k, name in enumerate(names):
        A = A @ state[f"{name}.weight"].T + state[f"{name}.bias"]
        A = np.tanh(A) if k + 1 < len(names) else A
    return A


ORDERS = {
    "numbers": ["0", "2", "4"],
    "more than ten": ["layers.2", "layers.9", "layers.10"],
    "numbers at the end": ["net.fc1", "net.fc2", "net.fc3"],
    "words in order": ["first", "then", "zuletzt"],
    "words": ["input", "hidden", "head"],
}


@pytest.mark.parametrize("names", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("arranged", [list, sorted, lambda items: sorted(items, key=lambda item: item[0][::-1])])
def test_layers_are_put_in_order(names, arranged):
    state = state_of((4, 6), (6, 5), (5, 2), names=names)
    given = {name: state[name] for name, _ in arranged([(name, 0) for name in state])}
    net = from_state_dict(given, activation="tanh")
    assert np.allclose(net.predict(X), by_hand(state, names), rtol=1e-12)
    assert net.dtype == "float64"


def test_layers_of_one_width_need_numbers_or_order():
    names = ["input", "hidden", "head"]
    state = state_of((4, 4), (4, 4), (4, 4), names=names)
    with pytest.raises(ValueError, match="the order of the layers is in doubt: pass order="):
        from_state_dict(state, activation="tanh")
    net = from_state_dict(state, activation="tanh", order=names)
    assert np.allclose(net.predict(X), by_hand(state, names), rtol=1e-12)
    with pytest.raises(ValueError, match="order must name each of input, hidden, head once, not input, head"):
        from_state_dict(state, activation="tanh", order=["input", "head"])
    numbered = state_of((4, 4), (4, 4), names=["l2", "l10"])
    net = from_state_dict(dict(reversed(numbered.items())), activation="tanh")
    assert np.allclose(net.predict(X), by_hand(numbered, ["l2", "l10"]), rtol=1e-12)


def test_activations_loss_and_dtype_are_what_is_asked_for():
    state = state_of((4, 6), (6, 5), (5, 3))
    net = from_state_dict(state, activation=["relu", cbp.activations.elu(0.5)], output="softmax", dtype="float32")
    assert [str(layer.activation) for layer in net.layers] == ["relu", "elu(alpha=0.5)", "softmax"]
    assert net.dtype == "float32"
    assert net.get_config()["loss"] == "categorical_cross_entropy"
    single = from_state_dict({"weight": np.ones((2, 4), "float16")}, loss="huber")
    assert single.dtype == "float32"
    assert single.predict([1, 2, 3, 4]).tolist() == [10, 10]
    assert single.get_config()["loss"] == "huber"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_network_goes_there_and_back_through_safetensors(dtype, tmp_path):
    net = cbp.Network(
        [4, cbp.Dense(6, "tanh", dropout=0.5), cbp.Dense(5, "gelu"), 2],
        output="identity",
        scale_inputs="standard",
        scale_targets="robust",
        seed=7,
        dtype=dtype,
    )
    net.learn_scaling(X, X[:, :2])
    state = to_state_dict(net)
    assert list(state) == [
        *(
            "0.center",
            "0.scale",
            "1.weight",
            "1.bias",
            "4.weight",
            "4.bias",
            "6.weight",
            "6.bias",
            "7.center",
            "7.scale",
        ),
    ]
    save_file(state, tmp_path / "model.safetensors")
    again = from_state_dict(load_file(tmp_path / "model.safetensors"), activation=["tanh", "gelu"])
    assert again.params.tobytes() == net.params.tobytes()
    assert again.predict(X).tobytes() == net.predict(X).tobytes()
    state["1.weight"][:] = 0
    assert net.layers[0].W.any()


REFUSED = {
    "the state dict is empty": ({}, {}),
    "2 is no Linear layer: it has": (state_of((4, 3)) | {"2.weight": np.ones(3)}, {}),
    "conv is no Linear layer": ({"conv.weight": np.ones((2, 3, 3, 3))}, {}),
    "bn.running_mean belongs to batch normalisation": ({"bn.running_mean": np.ones(3)}, {}),
    "belongs to attention": ({"a.in_proj_weight": np.ones((3, 3))}, {}),
    r"has a bias of shape \(3,\) beside weights \(2, 4\)": ({"0.weight": np.ones((2, 4)), "0.bias": np.ones(3)}, {}),
    "does not tell activations: pass activation= for its 1 hidden": (state_of((4, 3), (3, 2)), {}),
    "there are 1 hidden layers, but 2 activations were given": (state_of((4, 3), (3, 2)), {"activation": ["relu"] * 2}),
    "layer 2 has weights": (state_of((4, 3), (5, 2)), {"activation": "relu"}),
    "holds int8, not floating-point": ({"0.weight": np.ones((2, 4), "int8")}, {}),
    "not finite": ({"0.weight": np.full((2, 4), np.nan)}, {}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_no_network_has_is_refused_by_name(message):
    state, options = REFUSED[message]
    with pytest.raises(ValueError, match=message):
        from_state_dict(state, **options)


@pytest.mark.parametrize("state", [None, [1], {"model": {"0.weight": np.ones((2, 4))}}, {"0.weight": "text"}])
def test_what_is_no_state_dict_is_refused(state):
    with pytest.raises(TypeError, match=r"must be (a mapping|an array)"):
        from_state_dict(state)


def test_every_activation_has_its_line():
    """A new row of the table needs its module of PyTorch, or a place in `Function`."""
    assert set(_peers.PEERS) == set(cbp.activations)
    assert all(set(peer.names) == set(cbp.activations[name].args) for name, peer in _peers.PEERS.items())
    assert {row for row, *_ in _peers.LOSSES.values()} <= set(cbp.losses)


BRIDGES = {
    "torch": (cbp.io.torch.from_module, cbp.io.torch.to_module),
    "keras": (cbp.io.keras.from_model, cbp.io.keras.to_model),
    "sklearn": (cbp.io.sklearn.from_estimator, cbp.io.sklearn.to_estimator),
}


@pytest.mark.parametrize("package", BRIDGES)
def test_without_the_package_the_message_says_what_to_install(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    for call in BRIDGES[package]:
        with pytest.raises(ImportError, match=rf'needs {package}: pip install "cbpnet\[{package}\]"'):
            call(cbp.Network([1, 1], seed=0))


def test_bridges_import_nothing_before_they_are_used():
    code = (
        f"import sys, cbp; before = set(sys.modules); bridges = [getattr(cbp.io, name) for name in {sorted(BRIDGES)}]; "
        f"print(sorted({{*{sorted(BRIDGES)}}} & set(sys.modules)), any('cbp.io.torch' in name for name in before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"
    with pytest.raises(AttributeError, match=r"module 'cbp\.io' has no attribute 'tensorflow'"):
        _ = cbp.io.tensorflow
