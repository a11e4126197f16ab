"""Every hyperparameter of `cbp train` reaches the network: by name, with arguments, and as Python would have it."""

import numpy as np
import pytest
from command_tables import IRIS_LIKE, refused, rows_of

import cbp
from cbp.cli._options import seconds, weights
from cbp.cli._spelled import Spelled, spelled
from cbp.methods import by_name as methods

pytest_plugins = ["commands"]

TINY = ["--hidden", "3", "--epochs", "2", "--validation", "0", "--patience", "0", "-q", "-o", "m.npz"]
NUMBERS = "a,b,y\n" + "".join(f"{i % 7},{i * i % 5},{(i * i % 11) / 11:.4f}\n" for i in range(40))
X, Y = np.array(rows_of(NUMBERS)[1:], float)[:, :2], np.array(rows_of(NUMBERS)[1:], float)[:, 2]


@pytest.fixture
def train(run, put):
    """Train on NUMBERS, or on the classes of IRIS_LIKE; returns the network."""

    def train(*words, classes=False):
        table, target = (put(IRIS_LIKE, "classes.csv"), "kind") if classes else (put(NUMBERS, "numbers.csv"), "y")
        assert run("train", table, "--target", target, *TINY, *words) == (0, "", "")
        return cbp.load("m.npz")

    return train


@pytest.mark.parametrize("row", [row for row in cbp.activations.values() if not row.row_wise], ids=str)
def test_every_activation_can_be_asked_for(train, row):
    values = ", ".join(f"{name}={value / 2}" for name, value in row.args.items())
    net = train("--activation", f"{row.name}({values})")
    assert net.layers[0].activation == row(*(value / 2 for value in row.args.values()))


@pytest.mark.parametrize("row", cbp.losses.values(), ids=str)
def test_every_loss_brings_the_output_that_belongs_to_it(train, row):
    classes = cbp.activations[row.partner].row_wise
    net = train("--loss", row.name, classes=classes)
    assert net._spec.loss == row
    assert net.widths[-1] == (3 if classes else 2 if row.pair else 1)
    scaled = net.target_scaling is not None
    assert scaled == (row.partner == "identity" and row.targets == (-np.inf, np.inf) and not row.pair)


@pytest.mark.parametrize("name", [*cbp.tables.optimizers, *methods])
def test_every_optimizer_and_method_can_be_asked_for(train, name):
    assert train("--optimizer", name).optimizer == cbp.optimizers.get(name)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["adam:0.02"], cbp.optimizers.Adam(0.02)),
        (["Adam"], cbp.optimizers.Adam()),
        (["LevenbergMarquardt(mu=0.5)"], cbp.methods.LevenbergMarquardt(mu=0.5)),
        (["adam(learning_rate=0.01, beta1=0.8, clip_norm=1)"], cbp.optimizers.Adam(0.01, beta1=0.8, clip_norm=1.0)),
        (["sgd", "--momentum", "0.5", "--nesterov"], cbp.optimizers.SGD(momentum=0.5, nesterov=True)),
        (["momentum", "--learning-rate", "0.3"], cbp.optimizers.SGD(0.3, momentum=0.9)),
        (["scg(hessian=exact)"], cbp.methods.SCG(hessian="exact")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_arguments_of_optimizers(train, words, wanted):
    assert train("--optimizer", *words).optimizer == wanted


@pytest.mark.parametrize("name", cbp.initializers)
def test_every_initializer_can_be_asked_for(train, name):
    net = train("--init", name, "--learning-rate", "1e-30", "--dtype", "float64")
    start = cbp.Network([2, 3, cbp.Dense(1, "identity")], activation="relu", init=name, seed=0, dtype="float64")
    np.testing.assert_allclose(net.params, start.params, atol=1e-25)


@pytest.mark.parametrize(
    ("words", "schedule"),
    [
        ("cosine_decay", cbp.schedules.CosineDecay(0.001, steps=4)),
        ("CosineDecay(steps=7, final=0.0001)", cbp.schedules.CosineDecay(0.001, steps=7, final=0.0001)),
        ("step_decay(every=epochs(1), factor=0.5)", cbp.schedules.StepDecay(0.001, every=2, factor=0.5)),
        ("one_cycle(0.1)", cbp.schedules.OneCycle(0.1, steps=4)),
        (
            "linear_warmup(steps=epochs(1), schedule=exponential_decay(factor=0.9))",
            cbp.schedules.LinearWarmup(cbp.schedules.ExponentialDecay(0.001, factor=0.9), steps=2),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_schedules_have_the_rate_and_the_length_of_the_training(train, words, schedule):
    net = cbp.Network([2, cbp.Dense(3, "relu"), cbp.Dense(1, "identity")], seed=0, **scaled("standard", "standard"))
    net.fit(X, Y, epochs=2, batch_size=20, optimizer="adam", schedule=schedule)
    assert train("--schedule", words, "--batch-size", "20").params.tobytes() == net.params.tobytes()


def scaled(inputs, targets):
    return {"scale_inputs": inputs, "scale_targets": targets}


def test_plateau_makes_the_rate_smaller(train):
    net = train("--schedule", "reduce_on_plateau(factor=0.5, patience=1, min_delta=100)", "--epochs", "4")
    assert net.optimizer.learning_rate == 0.001 * 0.5**3


@pytest.mark.parametrize(
    ("how", "wanted"),
    [("minmax", "minmax"), ("minmax(-1, 1)", ("minmax", -1.0, 1.0)), ("robust", "robust"), ("none", None)],
)
def test_scaling_is_the_network_s_own(train, how, wanted):
    net = train("--scale-inputs", how, "--scale-targets", how)
    other = cbp.Network([2, 3, 1], activation="relu", output="identity", **scaled(wanted, wanted), seed=0)
    for name in ("scale_inputs", "scale_targets"):
        assert net.get_config().get(name) == other.get_config().get(name)
    if wanted:
        other.learn_scaling(X, Y)
        assert net.input_scaling.as_array().tobytes() == other.input_scaling.as_array().tobytes()
        assert net.target_scaling.as_array().tobytes() == other.target_scaling.as_array().tobytes()


def test_options_against_learning_by_heart_reach_the_layers(train):
    words = ["--l1", "0.1", "--l2", "0.2", "--dropout", "0.3,0.4", "--max-norm", "2"]
    net = train(
        "--hidden",
        "5,4",
        "--activation",
        "tanh,leaky_relu:0.1",
        *words,
        "--input-noise",
        "0.5",
        "--input-dropout",
        "0.6",
    )
    first, second, last = net._spec.layers
    assert [(layer.l1, layer.l2) for layer in (first, second, last)] == [(0.1, 0.2)] * 3
    assert [(layer.dropout, layer.max_norm) for layer in (first, second, last)] == [(0.3, 2), (0.4, 2), (0, None)]
    assert [str(layer.rows[0]) for layer in (first, second)] == ["tanh", "leaky_relu(alpha=0.1)"]
    assert (net._spec.input_noise, net._spec.input_dropout) == (0.5, 0.6)


@pytest.mark.parametrize(
    ("words", "n_out"),
    [
        (["--output-activation", "sigmoid"], 1),
        (["--loss", "focal:1.5"], 1),
        (["--loss", "hinge"], 1),
        (["--output-activation", "log_softmax"], 2),
        (["--loss", "half_squared_error"], 2),
        ([], 2),
    ],
    ids=str,
)
def test_two_classes_with_any_output(run, put, words, n_out):
    put("x,y\n" + "".join(f"{i},{'low' if i < 20 else 'top'}\n" for i in range(40)))
    assert run("train", "data.csv", "--target", "y", "-o", "m.npz", "-q", "--learning-rate", "0.05", *words)[0] == 0
    assert cbp.load("m.npz").widths[-1] == n_out
    said = [row[0] for row in rows_of(run("predict", "m.npz", "data.csv")[1])[1:]]
    assert sum(a == b for a, b in zip(said, ["low"] * 20 + ["top"] * 20, strict=True)) >= 38


def test_probabilities_of_one_output_are_of_both_classes(run, put):
    put("x,y\n" + "".join(f"{i},{'no' if i < 20 else 'yes'}\n" for i in range(40)))
    run("train", "data.csv", "--target", "y", "-o", "m.npz", "-q", "--output-activation", "sigmoid")
    head, *rows = rows_of(run("predict", "m.npz", "data.csv", "--proba")[1])
    p = cbp.load("m.npz").predict(np.arange(40.0)[:, None])[:, 0]
    assert head == ["y", "p_no", "p_yes"]
    assert np.array([row[2] for row in rows], np.float32).tobytes() == p.tobytes()
    assert [row[0] for row in rows] == ["yes" if one > 0.5 else "no" for one in p]


@pytest.mark.parametrize("given", ["balanced", "a:2,b:0.5"])
def test_class_weights_go_by_the_names_of_the_classes(train, given):
    net = train("--class-weight", given, classes=True)
    table = rows_of(IRIS_LIKE)[1:]
    labels = np.array(["abc".index(row[2]) for row in table])
    other = cbp.Network([2, cbp.Dense(3, "relu"), cbp.Dense(3, "softmax")], scale_inputs="standard", seed=0)
    wanted = "balanced" if given == "balanced" else {0: 2.0, 1: 0.5}
    inputs = np.array([row[:2] for row in table], float)
    other.fit(inputs, labels, epochs=2, batch_size=32, optimizer="adam", class_weight=wanted)
    assert other.params.tobytes() == net.params.tobytes()


REFUSED = {
    "unknown loss": (["--loss", "hubert"], ["--loss", "did you mean 'huber'"]),
    "argument of a loss": (["--loss", "huber(gamma=1)"], ["--loss", "huber has no argument 'gamma'; it has delta"]),
    "value of a loss": (["--loss", "huber:-1"], ["--loss", "delta", "-1"]),
    "unknown schedule": (["--schedule", "cosine"], ["--schedule", "did you mean 'cosine_decay'"]),
    "schedule without its length": (["--schedule", "step_decay"], ["--schedule", "every"]),
    "argument of a schedule": (["--schedule", "one_cycle(foo=1)"], ["--schedule", "foo"]),
    "schedule of a method": (["--schedule", "one_cycle", "--optimizer", "lbfgs"], ["learning rate", "LBFGS"]),
    "argument of an optimiser": (["--optimizer", "adam(foo=1)"], ["--optimizer", "Adam", "'foo'"]),
    "too many arguments": (["--optimizer", "sgd(1, 0.5, True, 3)"], ["--optimizer", "at most 3"]),
    "momentum of Adam": (["--momentum", "0.5"], ["Adam knows no --momentum"]),
    "open bracket": (["--optimizer", "adam("], ["--optimizer", "'adam('"]),
    "code": (["--optimizer", "__import__('os').system('false')"], ["--optimizer", "is not written like"]),
    "activations and layers": (["--hidden", "4,3", "--activation", "relu,tanh,relu"], ["--activation names 3", "2"]),
    "unknown scaling": (["--scale-inputs", "standart"], ["--scale-inputs", "standart"]),
    "class weight": (["--class-weight", "balance"], ["--class-weight", "'balance'"]),
    "no such class": (["--class-weight", "red:2"], ["'red'", "a, b, c"]),
    "time": (["--time", "10x"], ["--time", "10x"]),
    "dropout": (["--dropout", "0.2,1"], ["--dropout", "'1'", "0.2,0.5"]),
    "figure": (["--monitor", "val_acuracy"], ["val_acuracy", "val_accuracy"]),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_bad_hyperparameters_are_refused_in_one_sentence(run, put, tmp_path, fault):
    words, fragments = REFUSED[fault]
    refused(run("train", put(IRIS_LIKE), "--target", "kind", "-o", "m.npz", "-q", *words), *fragments)
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("relu", Spelled("relu")),
        ("huber:0.5", Spelled("huber", [0.5])),
        ("f(-1, 'x', True, None)", Spelled("f", [-1, "x", True, None])),
        ("f(a=g(2), b=word)", Spelled("f", [], {"a": Spelled("g", [2]), "b": "word"})),
    ],
)
def test_things_are_read_as_they_are_written(text, wanted):
    assert spelled(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "1", "f(x for x in y)", "f(**a)", "f()()", "a.b(1)", "f(1+1)", "f(lambda: 0)", "f(a=1, a=2)"]
)
def test_nothing_that_would_have_to_be_executed_is_read(text):
    with pytest.raises(ValueError, match="is not written like"):
        spelled(text)


def test_times_and_weights_are_read():
    assert [seconds(text) for text in ("90", "90s", "10m", "1.5h", ".5 h")] == [90, 90, 600, 5400, 1800]
    assert weights("a:b:2,c:0") == {"a:b": 2.0, "c": 0.0}
