"""What every full-batch method gets from fit: names, resuming, validation, callbacks, sentences for what is wrong."""

import inspect
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from refusals import refuses
from scipy import sparse
from small import everything, net, teacher

import cbp
from cbp import methods, optimizers
from cbp.methods import LevenbergMarquardt, Method, _memory

every_method = pytest.mark.parametrize("name", methods.by_name)
X, Y, _ = teacher(noise=0.3)


# ---- as objects ----


@every_method
def test_names_classes_configurations_pickles_and_text_make_the_same(name):
    cls = methods.by_name[name]
    method = cls()
    assert getattr(methods, cls.__name__) is cls
    assert optimizers.get(name) == optimizers.get(cls) == optimizers.get(method.get_config()) == method
    assert optimizers.get(method) is method
    assert pickle.loads(pickle.dumps(method)) == method
    assert eval(repr(method), vars(methods)) == method
    assert json.loads(json.dumps(method.get_config())) == method.get_config()
    assert method != cls(max_fail=3)


@every_method
def test_signature_and_documentation_have_every_argument(name):
    cls = methods.by_name[name]
    parameters = inspect.signature(cls).parameters
    assert {key: parameter.default for key, parameter in parameters.items()} == cls().__dict__
    assert list(parameters)[-1] == "max_fail"
    assert all(f"{key}" in cls.__doc__ for key in parameters)
    assert cls.__doc__.count(">>>") >= 2


@every_method
def test_attributes_cannot_be_changed_or_misspelt(name):
    method = optimizers.get(name)
    with pytest.raises(AttributeError, match="max_fail of a method cannot be changed; make a new one"):
        method.max_fail = 3
    with pytest.raises(AttributeError, match=r"has no attribute 'maxfail'; it has .*max_fail"):
        method.maxfail = 3
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'learning_rate'; it takes .*max_fail"):
        type(method)(learning_rate=0.1)


def test_methods_are_imported_when_one_is_asked_for():
    code = "import sys, cbp; cbp.Network([1, 1]).fit([[0.0]], [0.0], epochs=1); print('cbp.methods' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
    assert "methods" in dir(cbp)


def test_an_unknown_name_lists_both_tables():
    with pytest.raises(ValueError, match=r"did you mean 'levenberg_marquardt'.* adam, .* levenberg_marquardt, "):
        net().fit(X, Y, optimizer="levenberg_marquart")


@pytest.mark.parametrize(("theirs", "ours"), optimizers._ELSEWHERE.items())
def test_the_name_that_others_have_for_it_leads_to_ours(theirs, ours):
    with pytest.raises(ValueError, match=f"no optimiser is called '{theirs.upper()}', did you mean '{ours}'"):
        net().fit(X, Y, optimizer=theirs.upper())
    assert optimizers.get(ours)


# ---- training ----


@every_method
def test_the_loss_falls_and_an_epoch_is_a_step(name):
    network = net(seed=1)
    before = network.loss(X, Y)
    history = network.fit(X, Y, epochs=30, optimizer=name)
    assert history.loss[-1] < before / 2
    assert history.loss[-1] == network.loss(X, Y)
    assert network.epoch == history.epochs == network._method_state.iterations
    assert isinstance(network.optimizer, methods.by_name[name])
    assert next(iter(history)) == "loss"
    assert "learning_rate" not in history
    assert len(history) > 2


@every_method
@pytest.mark.parametrize("fixed", [False, True])
def test_every_history_has_the_length_of_the_gradient_after_the_step(name, fixed):
    network = net(seed=1)
    if fixed:
        network.mask = np.arange(network.n_params) % 4 != 1
    found = []

    def look(state):
        network.gradient(X, Y)
        found.append(np.linalg.norm(state.network.grad[network._trained()]))

    history = network.fit(X, Y, epochs=4, optimizer=name, callbacks=look)
    if name == "bayesian_regularization":  # that of F, and with alpha and beta for the next step: test_bayesian.py
        assert np.isfinite(history.gradient).all()
    else:
        np.testing.assert_allclose(history.gradient, found, rtol=1e-9)


@every_method
def test_batches_and_their_order_mean_nothing(name):
    one, other = net(), net()
    one.fit(X, Y, epochs=3, optimizer=name)
    other.fit(X, Y, epochs=3, optimizer=name, batch_size=7, shuffle=False, resume=True)
    assert one == other


@every_method
def test_partial_fit_is_one_step(name):
    one, other = net(), net()
    losses = [one.partial_fit(X, Y, optimizer=name if step == 0 else None) for step in range(4)]
    assert other.fit(X, Y, epochs=4, optimizer=name).loss == losses
    assert one == other
    assert one.epoch == 4


SETTINGS = {
    "plain": ({}, {}),
    "single": ({"dtype": "float32"}, {}),
    "weighted": ({}, {"sample_weight": np.linspace(0.1, 2, 60)}),
    "sum": ({"reduction": "sum"}, {}),
    "penalties": ({"layers": [cbp.Dense(3, "tanh", l2=1e-3, l1=1e-4), 1]}, {}),
    "masked": ({}, {}),
}


def prepared(setting):
    network = net(seed=1, **SETTINGS[setting][0])
    if setting == "masked":
        network.mask = np.arange(network.n_params) % 4 != 1
        network.layers[1].trainable = False
    return network


def together(setting, name):
    """Whether they go together: BayesianRegularization has a penalty of its own."""
    return (setting, name) != ("penalties", "bayesian_regularization")


each_setting = pytest.mark.parametrize(
    ("name", "setting"),
    [(name, setting) for name in methods.by_name for setting in SETTINGS if together(setting, name)],
)


def saved_and_loaded(network, folder):
    network.save(folder / "half.npz")
    return cbp.load(folder / "half.npz")


WAYS = {
    "saved and loaded": saved_and_loaded,
    "copied": lambda network, _: network.copy(),
    "pickled": lambda network, _: pickle.loads(pickle.dumps(network)),
    "neither": lambda network, _: network,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@each_setting
def test_two_steps_and_two_are_four(name, setting, way, tmp_path):
    once, twice = prepared(setting), prepared(setting)
    given = SETTINGS[setting][1]
    once.fit(X, Y, epochs=4, optimizer=name, **given)
    history = twice.fit(X, Y, epochs=2, optimizer=name, **given)
    assert history.epochs == 2
    twice = way(twice, tmp_path)
    twice.fit(X, Y, epochs=2, **given)
    assert everything(once) == everything(twice)


@each_setting
def test_fixed_parameters_stay_as_they_are(name, setting):
    network = prepared(setting)
    before, trained = network.params.copy(), network._trained()
    network.fit(X, Y, epochs=5, optimizer=name, **SETTINGS[setting][1])
    assert network.params[~trained].tobytes() == before[~trained].tobytes()
    assert (network.params[trained] != before[trained]).all()


def test_another_object_starts_anew_and_the_same_goes_on():
    network = net()
    method = LevenbergMarquardt(mu=0.5)
    network.fit(X, Y, epochs=3, optimizer=method)
    mu = network._method_state.numbers["mu"]
    network.fit(X, Y, epochs=0, optimizer=method)
    assert network._method_state.numbers == {"mu": mu}
    network.fit(X, Y, epochs=0, optimizer=LevenbergMarquardt(mu=0.5))
    assert network._method_state.numbers == {}
    network.fit(X, Y, epochs=2, optimizer="adam")
    assert network._method_state is None
    assert network._memory.slots.shape == (2, network.n_params)
    network.fit(X, Y, epochs=0, optimizer=method)
    assert network._memory.slots.size == 0
    assert network.optimizer is method
    assert network.epoch == 5


def test_an_optimiser_can_step_after_a_method():
    network = net()
    network.fit(X, Y, epochs=2, optimizer="levenberg_marquardt")
    sgd = optimizers.SGD(0.01)
    network.gradient(X, Y)
    sgd.step(network)
    assert network.optimizer is sgd
    with pytest.raises(RuntimeError, match="there is no average"):
        network.averaged()


def test_metrics_class_weights_and_scaling_are_as_ever():
    labels = (Y > 0).astype(int)
    network = cbp.Network([2, 3, 2], output="softmax", scale_inputs="standard", dtype="float64", seed=0)
    history = network.fit(
        X,
        labels,
        epochs=8,
        optimizer="levenberg_marquardt",
        metrics="accuracy",
        class_weight={1: 2.0},
        validation=0.25,
    )
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy", "mu", "gradient", "seconds"]
    assert history.accuracy[-1] > 0.8
    assert network.input_scaling.known


SAME_BITS = """
import sys, hashlib, cbp
from small import everything, net, teacher
cbp.set_num_threads(int(sys.argv[1]))
X, Y, _ = teacher(m=700, noise=0.3)
for name in cbp.methods.by_name:
    for dtype in ("float32", "float64"):
        network = net(hidden=12, seed=1, dtype=dtype)
        network.fit(X, Y, epochs=6, optimizer=name, sample_weight=abs(Y) + 0.1)
        print(name, dtype, hashlib.sha256(network.params.tobytes()).hexdigest())
"""


def test_instruction_sets_and_threads_change_no_bit():
    found = []
    for isa, threads in ((cbp._core.isas()[-1], 1), (cbp._core.isas()[0], 1), (cbp._core.isas()[0], 3)):
        run = subprocess.run(
            [sys.executable, "-c", SAME_BITS, str(threads)],
            env={**os.environ, "CBP_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )
        assert run.stdout.count("\n") == 2 * len(methods.by_name), run.stderr
        found.append(run.stdout)
    assert found[0] == found[1] == found[2]


# ---- validation ----


def overfitting(**kwargs):
    """Few noisy rows and many units: a validation loss that soon rises."""
    rows = teacher(m=30, noise=0.5, seed=2)[:2]
    held_out = teacher(m=200, noise=0.5, seed=2)[:2]
    method = LevenbergMarquardt(**kwargs)
    return net(hidden=8, seed=3), rows, held_out, method


@pytest.mark.parametrize("max_fail", [1, 3, 6])
def test_validation_ends_training_and_brings_the_best_back(max_fail):
    network, rows, held_out, method = overfitting(max_fail=max_fail)
    path = [network.params.copy()]
    start = network.evaluate(*held_out)["loss"]
    history = network.fit(
        *rows,
        epochs=200,
        optimizer=method,
        validation=held_out,
        callbacks=lambda state: path.append(state.network.params.copy()),
    )
    losses = [start, *history.val_loss]
    best = int(np.argmin(losses))
    assert history.stopped == "validation"
    assert history.epochs == best + max_fail
    assert network.params.tobytes() == path[best].tobytes()
    assert network.epoch == history.epochs
    assert network.evaluate(*held_out)["loss"] == min(losses)


def test_a_start_that_nothing_betters_is_kept():
    network, rows, held_out, method = overfitting(max_fail=2)
    network.fit(*rows, epochs=200, optimizer=method, validation=held_out)
    before = network.params.copy()
    outside = (held_out[0], network.predict(held_out[0]))
    history = network.fit(*rows, epochs=200, validation=outside)
    assert history.epochs == 2
    assert network.params.tobytes() == before.tobytes()


def test_without_limit_validation_only_looks_on():
    network, rows, held_out, method = overfitting(max_fail=None, min_grad=0.0)
    alone = net(hidden=8, seed=3)
    history = network.fit(*rows, epochs=40, optimizer=method, validation=held_out)
    alone.fit(*rows, epochs=40, optimizer=method)
    assert (history.epochs, history.stopped) == (40, "")
    assert network == alone


# ---- callbacks ----


def test_callbacks_see_the_figures_and_can_end_it(tmp_path):
    seen, best = [], cbp.EarlyStopping("loss", patience=2, min_delta=10.0)
    logger = cbp.CSVLogger(tmp_path / "figures.csv")
    network = net()
    history = network.fit(
        X, Y, epochs=20, optimizer="levenberg_marquardt", callbacks=[lambda s: seen.append(s.logs), best, logger]
    )
    assert (history.epochs, history.stopped) == (3, "")
    assert [logs["mu"] for logs in seen] == history.mu
    assert (tmp_path / "figures.csv").read_text().startswith("epoch,loss,mu,gradient,seconds\n")
    assert net().fit(X, Y, optimizer="levenberg_marquardt", callbacks=cbp.TimeBudget(0)).epochs == 1


@pytest.mark.parametrize("when", [{"every": 2}, {"updates": 2}])
def test_training_goes_on_from_a_checkpoint(when, tmp_path):
    checkpoint = cbp.Checkpoint(tmp_path / "{epoch}.npz", **when)
    network = net()
    network.fit(X, Y, epochs=6, optimizer="levenberg_marquardt", callbacks=checkpoint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.npz", "4.npz", "6.npz"]
    other = cbp.load(tmp_path / "2.npz")
    other.fit(X, Y, epochs=4, resume=True)
    assert everything(other) == everything(network)


def test_there_is_no_rate_to_reduce():
    with pytest.raises(ValueError, match="ReduceOnPlateau changes the learning rate, which LevenbergMarquardt has not"):
        net().fit(X, Y, optimizer="levenberg_marquardt", callbacks=cbp.ReduceOnPlateau())


# ---- sentences ----


def fit(network=None, **kwargs):
    (network or net()).fit(X, Y, **{"epochs": 1, "optimizer": LevenbergMarquardt(), **kwargs})


REFUSED = {
    "a schedule": (
        lambda: fit(schedule=lambda step: 0.1),
        ValueError,
        "LevenbergMarquardt has no learning rate: leave schedule out",
    ),
    "batches": (
        lambda: net().fit([(X, Y)], optimizer=LevenbergMarquardt()),
        ValueError,
        "LevenbergMarquardt looks at all rows in every step: give X and y, not batches",
    ),
    "a function of batches": (
        lambda: net().partial_fit(lambda: [(X, Y)], optimizer="levenberg_marquardt"),
        ValueError,
        "LevenbergMarquardt looks at all rows in every step: give X and y, not batches",
    ),
    "drop_last": (
        lambda: fit(drop_last=True),
        ValueError,
        "LevenbergMarquardt looks at all rows in every step: leave drop_last out",
    ),
    "a sparse matrix": (
        lambda: net().fit(sparse.csr_matrix(X), Y, optimizer=LevenbergMarquardt()),
        TypeError,
        "LevenbergMarquardt looks at all rows in every step, in memory: pass X.toarray()",
    ),
    "dropout": (
        lambda: fit(net(layers=[cbp.Dense(3, "tanh", dropout=0.5), 1])),
        ValueError,
        "LevenbergMarquardt needs the same objective in every step, and dropout=0.5 makes another of it",
    ),
    "noise": (
        lambda: fit(net(input_noise=0.1)),
        ValueError,
        "LevenbergMarquardt needs the same objective in every step, and input_noise=0.1 makes another of it",
    ),
    "max_norm": (
        lambda: fit(net(layers=[cbp.Dense(3, "tanh", max_norm=2.0), 1])),
        ValueError,
        "LevenbergMarquardt knows no max_norm: use l2, or one of cbp.optimizers",
    ),
    "no targets": (
        lambda: net().fit(X, optimizer=LevenbergMarquardt()),
        TypeError,
        "y is missing",
    ),
    "the base class": (
        lambda: fit(optimizer=Method),
        TypeError,
        "optimizer must be a name or one of cbp.optimizers or cbp.methods, not <class 'cbp.methods._method.Method'>",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_sentence(name):
    refuses(*REFUSED[name])


def test_a_memory_map_is_refused(tmp_path):
    np.save(tmp_path / "X.npy", X)
    rows = np.load(tmp_path / "X.npy", mmap_mode="r")
    with pytest.raises(TypeError, match=r"in memory: pass np.array\(X\)"):
        net().fit(rows, Y, optimizer=LevenbergMarquardt())
    net().fit(np.array(rows), Y, epochs=1, optimizer=LevenbergMarquardt())


@every_method
def test_a_start_that_is_not_finite_is_an_error(name):
    network = net(activation="identity")
    network.params[:] = 1e200
    before = network.params.copy()
    with pytest.raises(cbp.DivergenceError, match="the loss is not finite where training would begin") as caught:
        network.fit(X, Y, optimizer=name)
    assert caught.value.layer == 2
    assert pickle.loads(pickle.dumps(caught.value)).start
    assert network.params.tobytes() == before.tobytes()
    assert network.epoch == 0


# ---- memory ----


@pytest.mark.parametrize("cls", [LevenbergMarquardt, methods.BayesianRegularization])
def test_a_matrix_that_cannot_be_had_is_refused_before_it_is_allocated(cls, monkeypatch):
    monkeypatch.setattr(_memory, "_limits", lambda: iter([10**9, 2**27]))
    network = cbp.Network([200, 20, 1], activation="tanh", output="identity", seed=0)
    rows = np.zeros((2, 200))
    with pytest.raises(MemoryError) as caught:
        network.fit(rows, [0.0, 1.0], optimizer=cls())
    matrices = 3 if cls is methods.BayesianRegularization else 2
    size = matrices * 8 * 4041**2 / 2**20
    assert str(caught.value) == (
        f"{cls.__name__} needs {size:.1f} MB for {matrices} matrices of 4,041 × 4,041 numbers, and 128.0 MB can "
        "be had: LBFGS() and SCG() of cbp.methods keep no matrix"
    )


def test_what_can_be_had_is_known_here():
    limits = list(_memory._limits())
    if sys.platform == "linux":
        assert limits
    assert all(2**20 < limit < 2**64 for limit in limits)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS counts on Linux")
def test_a_limit_of_the_process_is_heard():
    code = """
import resource, cbp, numpy as np
from cbp.methods import _memory
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**28, resource.RLIM_INFINITY))
net = cbp.Network([200, 25, 1], activation="tanh", output="identity", seed=0)
try:
    net.fit(np.zeros((2, 200)), [0.0, 1.0], optimizer="levenberg_marquardt")
except MemoryError as error:
    print(str(error).split(",")[0])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "LevenbergMarquardt needs 389.3 MB for 2 matrices of 5\n", found.stderr


# ---- files ----


def trained():
    network = net()
    network.fit(X, Y, epochs=2, optimizer="levenberg_marquardt")
    network._method_state.vectors = {"one": np.ones(13), "two": np.ones((2, 13))}
    return network


def written(path, fields=None, vectors=None):
    """Save a network with another description of its method."""
    network = trained()
    arrays = dict(network.__getstate__())
    header = json.loads(arrays["header"].tobytes())
    header.update(fields or {})
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    if vectors is not None:
        arrays["vectors"] = vectors
    np.savez(path, **arrays)


def test_numbers_and_vectors_come_back(tmp_path):
    written(tmp_path / "net.npz")
    state = cbp.load(tmp_path / "net.npz")._method_state
    assert state.numbers == trained()._method_state.numbers
    assert {name: vector.shape for name, vector in state.vectors.items()} == {"one": (13,), "two": (2, 13)}
    assert state.iterations == 2


def test_what_a_method_remembers_can_be_seen():
    network = net()
    assert network.method_state is None
    history = network.fit(X, Y, epochs=3, optimizer="bayesian_regularization")
    numbers = network.method_state.numbers
    assert [numbers[name] for name in ("gamma", "alpha", "beta")] == [
        history[name][-1] for name in ("gamma", "alpha", "beta")
    ]
    network.fit(X, Y, epochs=1, optimizer="sgd")
    assert network.method_state is None


METHOD = {"numbers": {"mu": 0.1}, "vectors": {"one": 0, "two": 2}}
DAMAGES = {
    "no state": ({"method": None}, None, "it has the state of a method without one, or a method without its state"),
    "no method": ({"optimizer": None}, None, "it has the state of a method without one, or a method without its state"),
    "another's state": ({"optimizer": {"name": "Adam"}}, None, "it has the state of a method without one"),
    "no numbers": ({"method": {"vectors": {}}}, None, "method must be its numbers and vectors by name"),
    "a list": ({"method": [1]}, None, "method must not be a list"),
    "text": ({"method": METHOD | {"numbers": {"mu": "1"}}}, None, "method's mu must be a number, not '1'"),
    "infinite": (
        {"method": METHOD | {"numbers": {"mu": float("inf")}}},
        None,
        "its header has a number that is Infinity",
    ),
    "beyond float64": ({"method": METHOD | {"numbers": {"mu": 10**400}}}, None, "method's mu must be finite"),
    "rows": ({"method": METHOD | {"vectors": {"one": -1}}}, None, "method's one must be at least 0, not -1"),
    "too many": ({"method": METHOD | {"vectors": {"one": 10**12}}}, None, "its member 'vectors' is not the array"),
    "too few": ({"method": METHOD | {"vectors": {"one": 0}}}, None, "its member 'vectors' is not the array"),
    "none": ({"method": METHOD | {"vectors": {}}}, None, "it has a member 'vectors' that does not belong"),
    "not finite": ({}, np.full((3, 13), np.nan), "its array 'vectors' has a number that is not finite"),
    "float32": ({}, np.ones((3, 13), "f4"), "its member 'vectors' is not the array"),
    "unknown": ({"optimizer": {"name": "Levenberg"}}, None, "optimizer must be a name or one of"),
    "argument": ({"optimizer": {"name": "LevenbergMarquardt", "mu": -1}}, None, "mu must be greater than 0, not -1"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_state_is_refused(name, tmp_path):
    *changes, sentence = DAMAGES[name]
    written(tmp_path / "net.npz", *changes)
    with pytest.raises(cbp.FormatError) as caught:
        cbp.load(tmp_path / "net.npz")
    assert sentence in str(caught.value)


STATES = {
    "no numbers": lambda numbers, vectors: ({}, vectors),
    "matrices": lambda numbers, vectors: (numbers, {name: np.ones((2, vectors[name].shape[-1])) for name in vectors}),
    "other names": lambda numbers, vectors: (numbers, {f"{name}_": vectors[name] for name in vectors}),
    "nothing": lambda numbers, vectors: ({}, {}),
    "the same": lambda numbers, vectors: (numbers, vectors),
}


WITH_VECTORS = ("scg", "conjugate_gradient", "bfgs", "lbfgs")
NOT_LEFT = {(method, name) for method in WITH_VECTORS for name in ("no numbers", "matrices")} | {
    ("lbfgs", "other names")
}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("method", cbp.methods.by_name)
def test_a_state_from_a_file_is_refused_or_can_be_gone_on_from(method, name):
    network = net()
    network.fit(X, Y, epochs=4, optimizer=method)
    state = network._method_state
    state.numbers, state.vectors = STATES[name](state.numbers, state.vectors)
    arrays, other = network.__getstate__(), cbp.Network.__new__(cbp.Network)
    if (method, name) in NOT_LEFT:
        sentence = f"the state is not one that {type(network.optimizer).__name__} leaves"
        with pytest.raises(cbp.FormatError, match=sentence):
            other.__setstate__(arrays)
    else:
        other.__setstate__(arrays)
        assert len(other.fit(X, Y, epochs=2)) > 0


def test_a_damping_that_is_none_is_begun_anew(tmp_path):
    written(tmp_path / "net.npz", {"method": METHOD | {"numbers": {"mu": -1.0}}})
    network, expected = cbp.load(tmp_path / "net.npz"), trained()
    expected._method_state.numbers = {}
    assert network.fit(X, Y, epochs=3).mu == expected.fit(X, Y, epochs=3).mu
