"""Skip connections and steepness: against formulas in plain NumPy, and against networks that have neither."""

import pickle

import numpy as np
import pytest
import reference
from helpers import DTYPES, relative, same_bytes

import cbp
from cbp import Dense, _core

ROWS = 11

# Layers beside the inputs as (units, activation, steepness, skip), and the loss
NETS = {
    "inputs to output": (2, [(4, "tanh", 1, ()), (3, "sigmoid", 1, [0])], "binary_cross_entropy"),
    "all": (
        5,
        [(37, "tanh", 1, "all"), (70, "sigmoid", 1, "all"), (9, "tanh", 1, "all"), (4, "softmax", 1, "all")],
        "categorical_cross_entropy",
    ),
    "one of many": (
        37,
        [(6, "tanh", 1, ()), (8, "identity", 1, ()), (70, "tanh", 1, [1]), (3, "identity", 1, ())],
        "half_squared_error",
    ),
    "one layer feeds three": (
        3,
        [(5, "sigmoid", 1, ()), (4, "tanh", 1, ()), (7, "tanh", 1, [1]), (3, "softmax", 1, [1])],
        "half_squared_error",
    ),
    "steep": (4, [(37, "tanh", 0.3, ()), (5, "sigmoid", 2.5, ())], "binary_cross_entropy"),
    "steep softmax": (4, [(9, "sigmoid", 3, ()), (5, "softmax", 0.4, ())], "categorical_cross_entropy"),
    "steep softmax, squares": (4, [(9, "tanh", 0.5, ()), (5, "softmax", 1.7, [0])], "half_squared_error"),
    "steep and skipping": (
        6,
        [(5, "tanh", 2, ()), (3, "identity", 0.5, [0]), (8, "sigmoid", 1.5, [1]), (2, "sigmoid", 0.7, [0, 2])],
        "binary_cross_entropy",
    ),
}
each = pytest.mark.parametrize("name", NETS)


def build(name, dtype="float64", **kwargs):
    n_in, layers, loss = NETS[name]
    dense = [Dense(units, act, steepness=steepness, skip=skip) for units, act, steepness, skip in layers]
    return cbp.Network([n_in, *dense], loss=loss, dtype=dtype, seed=3, **kwargs)


def data(net, loss):
    rng = np.random.default_rng(5)
    X, y = rng.normal(0, 1, (ROWS, net.widths[0])), rng.uniform(0.1, 0.9, (ROWS, net.widths[-1]))
    return X, y / y.sum(axis=1, keepdims=True) if loss == "categorical_cross_entropy" else y


# ---- the book ----

G = {
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "identity": (lambda z: z, np.ones_like),
    "softmax": (lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), None),
}
COST = {
    "binary_cross_entropy": lambda a, y: -(y * np.log(a) + (1 - y) * np.log(1 - a)),
    "categorical_cross_entropy": lambda a, y: -y * np.log(a),
    "half_squared_error": lambda a, y: (a - y) ** 2 / 2,
}


class Book:
    """Outputs, J and its gradient, from the formulas."""

    def __init__(self, name):
        self.n_in, self.layers, self.loss = NETS[name]
        units = [self.n_in, *(layer[0] for layer in self.layers)]
        self.sources = [
            [*(range(l) if layer[3] == "all" else layer[3]), l] for l, layer in enumerate(self.layers)
        ]  # of layer l + 1; layer l comes last
        self.sources = [sorted(set(sources)) for sources in self.sources]
        self.widths = [[units[k] for k in sources] for sources in self.sources]

    def blocks(self, theta):
        found, start = [], 0
        for (units, *_), widths in zip(self.layers, self.widths, strict=True):
            rows = 1 + sum(widths)
            found.append(theta[start : start + rows * units].reshape(rows, units))
            start += rows * units
        assert start == theta.size
        return found

    def forward(self, theta, X):
        A, inputs = [X], []
        for (_, act, steepness, _), block, sources in zip(self.layers, self.blocks(theta), self.sources, strict=True):
            inputs.append(np.hstack([A[k] for k in sources]))
            A.append(G[act][0](steepness * (block[0] + inputs[-1] @ block[1:])))
        return A, inputs

    def cost(self, theta, X, y):
        return COST[self.loss](self.forward(theta, X)[0][-1], y).sum() / len(X)

    def output_delta(self, a, y):
        act, steepness = self.layers[-1][1:3]
        if self.loss != "half_squared_error":
            return steepness * (a - y)
        slope = np.einsum("rk,rkj->rj", a - y, a[:, :, None] * (np.eye(a.shape[1]) - a[:, None, :]))
        return steepness * (slope if act == "softmax" else (a - y) * G[act][1](a))

    def gradient(self, theta, X, y):
        A, inputs = self.forward(theta, X)
        errors, found = [np.zeros_like(a) for a in A], []
        for l in reversed(range(len(self.layers))):
            (_, act, steepness, _), block = self.layers[l], self.blocks(theta)[l]
            last = l == len(self.layers) - 1
            delta = self.output_delta(A[-1], y) if last else steepness * errors[l + 1] * G[act][1](A[l + 1])
            parts = np.split(delta @ block[1:].T, np.cumsum(self.widths[l])[:-1], axis=1)
            for k, part in zip(self.sources[l], parts, strict=True):
                errors[k] += part
            found = [delta.sum(axis=0), (inputs[l].T @ delta).ravel(), *found]
        return np.concatenate(found) / len(X)


@each
def test_outputs_objective_and_gradient_are_the_books(name):
    book, net = Book(name), build(name)
    X, y = data(net, book.loss)
    assert relative(net.predict(X), book.forward(net.params, X)[0][-1]) < 1e-12
    assert net.gradient(X, y) == pytest.approx(book.cost(net.params, X, y), rel=1e-12)
    assert relative(net.grad, book.gradient(net.params, X, y)) < 1e-12
    assert same_bytes(net.forward(X), net.predict(X))


@pytest.mark.parametrize(("optimizer", "args"), [("sgd", (0.02,)), ("adam", (0.01, 0.9, 0.999, 1e-8))])
@each
def test_training_is_the_books(name, optimizer, args):
    book, net = Book(name), build(name)
    X, y = data(net, book.loss)
    w = start = net.params.copy()
    batches = [slice(0, 4), slice(4, 8), slice(8, ROWS)] * 4

    def gradients():
        for rows in batches:
            yield book.gradient(w, X[rows], y[rows])

    for after in reference.OPTIMIZERS[optimizer](start, gradients(), *args):
        w = after
    optimizers = {"sgd": cbp.optimizers.SGD(args[0]), "adam": cbp.optimizers.Adam(args[0])}
    net.fit(X, y, epochs=4, batch_size=4, shuffle=False, optimizer=optimizers[optimizer], progress=False)
    assert relative(net.params - start, w - start) < 1e-10
    assert relative(net.params, w) < 1e-12


@each
def test_gradient_is_the_numeric_one(name):
    net = build(name)
    assert cbp.gradcheck(net, *data(net, NETS[name][2]), per_layer=100).max_error < 1e-9


# ---- the same bits ----


def trained(plan, theta, X, y, batch):
    memory = _core.Memory(plan, theta.copy())
    memory.set_optimizer("adam", [0.9, 0.999, 1e-8])
    for _ in range(3):
        memory.epoch(X, y, None, None, batch, 0.01)
    out = np.empty((len(X), plan.widths[-1]), plan.dtype)
    plan.predict(memory.theta, X, out)
    return memory.theta.tobytes() + out.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@each
def test_instruction_sets_agree(name, dtype):
    net = build(name, dtype)
    X, y = (array.astype(dtype) for array in data(net, NETS[name][2]))
    for batch in (1, 5, ROWS):
        results = {trained(net._spec.plan(isa), net.params, X, y, batch) for isa in _core.isas()}
        assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_nothing(dtype):
    before = cbp.get_num_threads()
    layers = [70, Dense(129, "relu"), Dense(127, "tanh", skip=[0], steepness=0.5), Dense(5, "softmax", skip="all")]
    net = cbp.Network(layers, dtype=dtype, seed=1)
    rng = np.random.default_rng(2)
    X, y = rng.normal(0, 1, (300, 70)).astype(dtype), rng.integers(0, 5, 300)
    results = set()
    try:
        for n in (1, 2, 3, 4):
            cbp.set_num_threads(n)
            results.add(trained(net._spec.plan(), net.params, X, y, 150))
    finally:
        cbp.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in NETS if any(layer[3] for layer in NETS[name][1])])
def test_skips_with_zero_weights_are_as_good_as_none(name, dtype):
    net, book = build(name, dtype), Book(name)
    n_in, layers, loss = NETS[name]
    plain = cbp.Network([n_in, *(Dense(n, g, steepness=s) for n, g, s, _ in layers)], loss=loss, dtype=dtype)
    for layer, simple, widths in zip(net.layers, plain.layers, book.widths, strict=True):
        layer.W[: -widths[-1]] = 0
        simple.W[:], simple.b[:] = layer.W[-widths[-1] :], layer.b
    X, y = data(net, loss)
    assert same_bytes(net.predict(X), plain.predict(X))
    assert net.gradient(X, y) == plain.gradient(X, y)
    for layer, simple, widths in zip(net.layers, plain.layers, book.widths, strict=True):
        assert same_bytes(layer.grad_W[-widths[-1] :], simple.grad_W)
        assert same_bytes(layer.grad_b, simple.grad_b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steepness", [0.25, 4])
@pytest.mark.parametrize(
    ("output", "loss"),
    [
        ("identity", "half_squared_error"),
        ("sigmoid", "focal"),
        ("sigmoid", "mean_squared_error"),
        ("softmax", "categorical_cross_entropy"),
        ("softmax", "huber"),
    ],
)
def test_steepness_of_a_power_of_two_is_that_in_the_weights(output, loss, steepness, dtype):
    steep = [5, Dense(19, "silu", steepness=steepness), Dense(4, output, steepness=steepness)]
    net = cbp.Network(steep, loss=loss, dtype=dtype, seed=2)
    plain = cbp.Network([5, Dense(19, "silu"), Dense(4, output)], loss=loss, dtype=dtype)
    plain.params[:] = steepness * net.params
    X, y = data(net, "categorical_cross_entropy")
    for rows in (slice(0, 1), slice(0, ROWS)):
        assert same_bytes(net.predict(X[rows]), plain.predict(X[rows]))
        assert net.gradient(X[rows], y[rows]) == plain.gradient(X[rows], y[rows])
        assert same_bytes(net.grad, (steepness * plain.grad).astype(dtype))


def test_a_loss_of_the_users_own_meets_steepness():
    def squares(y, a):
        return ((a - y) ** 2).sum(axis=1) / 2, a - y

    layers = [4, Dense(6, "tanh", steepness=2), Dense(3, "softmax", steepness=1.5, skip=[0])]
    own = cbp.Network(layers, loss=squares, dtype="float64", seed=0)
    net = cbp.Network(layers, loss="half_squared_error", dtype="float64", seed=0)
    X, y = data(net, "half_squared_error")
    assert own.gradient(X, y) == pytest.approx(net.gradient(X, y), rel=1e-13)
    assert relative(own.grad, net.grad) < 1e-12


# ---- what is published: XOR with one hidden unit ----


def test_xor_of_one_hidden_unit():
    """Rumelhart, Hinton and Williams, 1986, Figure 2: weights 1 and -2, thresholds 1.5 and 0.5; a steep sigmoid."""
    net = cbp.Network([2, Dense(1, steepness=100), Dense(1, "sigmoid", steepness=100, skip=[0])])
    hidden, output = net.layers
    hidden.W[:], hidden.b[:] = 1, -1.5
    output.W[:, 0], output.b[:] = [1, 1, -2], -0.5
    assert net.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel().round(6).tolist() == [0, 1, 1, 0]


def test_xor_of_one_hidden_unit_is_learnt():
    net = cbp.Network([2, 1, Dense(1, skip=[0])], seed=1)
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    net.fit(X, y, epochs=400, batch_size=4, optimizer=cbp.optimizers.Adam(0.1), progress=False)
    assert net.predict(X).ravel().round().tolist() == y


# ---- what it is made of, and kept as ----


@each
def test_files_pickles_and_configurations_keep_it(name, tmp_path):
    net = build(name)
    net.save(tmp_path / "net.npz")
    for other in (cbp.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net)), net.copy()):
        assert other == net
        assert same_bytes(other.predict(np.ones((2, net.widths[0]))), net.predict(np.ones((2, net.widths[0]))))
    assert cbp.Network.from_config(net.get_config()) == cbp.Network.from_config(build(name).get_config())


def test_all_means_every_layer_before_the_one_below():
    layers = [3, Dense(4, skip="all"), Dense(5, skip="all"), Dense(6, skip="all")]
    net = cbp.Network(layers, seed=0)
    spelt = cbp.Network([3, 4, Dense(5, skip=[0]), Dense(6, skip=[1, 0])], seed=0)
    assert net == spelt
    assert [layer.W.shape for layer in net.layers] == [(3, 4), (7, 5), (12, 6)]
    assert net.n_params == 4 * 4 + 8 * 5 + 13 * 6
    assert str(net._spec).startswith("Network(3 > 4 sigmoid > 5 sigmoid skip=[0] > 6 sigmoid skip=[0, 1],")


def test_text_says_what_a_layer_is():
    assert str(Dense(5, "tanh", steepness=0.5, skip=[1, 0])) == "5 tanh steepness=0.5 skip=[0, 1]"
    assert repr(Dense(5, "tanh", skip="all")) == "Dense(5, 'tanh', skip='all')"


def test_initialisers_see_all_that_feeds_a_layer():
    shapes = []

    def ones(fan_in, fan_out, seed):
        shapes.append((fan_in, fan_out))
        return np.ones((fan_in, fan_out))

    layers = [30, 40, Dense(50, "tanh", skip=[0])]
    assert (cbp.Network(layers, init=ones, seed=0).layers[1].W == 1).all()
    assert shapes == [(30, 40), (70, 50)]
    limit = np.sqrt(6 / (70 + 50))
    largest = abs(cbp.Network(layers, init="glorot_uniform", seed=0).layers[1].W).max()
    assert 0.99 * limit < largest <= limit * (1 + 1e-6)
