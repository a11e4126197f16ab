"""What the estimators can do and scikit-learn's cannot; and what they do where training goes wrong."""

import json
import math
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="what the estimators are for")

from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score

import cbp
from cbp.sklearn import CBPClassifier, CBPRegressor

BOTH = pytest.mark.parametrize("cls", [CBPClassifier, CBPRegressor])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(150, 6, n_informative=4, n_classes=3, random_state=0)
TWO = (Y > 0).astype(int)
MANY, LABELS = make_multilabel_classification(150, random_state=0)
R, NUMBERS = make_regression(150, 5, n_targets=2, random_state=0)
NUMBERS = NUMBERS / NUMBERS.std(axis=0)
FEW = {"max_iter": 5, "random_state": 0}
LONG = {"max_iter": 300, "learning_rate_init": 0.02, "random_state": 0}
HIDDEN = [row for row in cbp.activations.values() if not row.row_wise]
FOR_CLASSES = [name for name, row in cbp.losses.items() if not row.pair and name not in ("poisson", "log_poisson")]
METHODS = list(cbp.methods.by_name)


# ---- networks ----


@BOTH
@pytest.mark.parametrize("row", HIDDEN, ids=str)
def test_every_activation(cls, row):
    model = cls(hidden_layer_sizes=4, activation=row.name, **FEW).fit(X, Y)
    assert model.network_.layers[0].activation == row
    assert np.isfinite(model.loss_curve_).all()


@BOTH
def test_an_activation_for_each_layer(cls):
    sizes = (6, cbp.Dense(5, "elu", dropout=0.5, skip="all"), cbp.Dense(4, l2=0.25))
    rows = ["tanh", "relu", cbp.activations.leaky_relu(0.2)]
    model = cls(hidden_layer_sizes=sizes, activation=rows, dropout=[0.1, 0.2, 0], batch_size=50, **FEW).fit(X, Y)
    layers = model.network_.get_config()["layers"]
    penalty = 1e-4 / 50
    assert layers[1] == {"units": 6, "activation": "tanh", "dropout": 0.1, "l2": penalty}
    assert layers[2] == {"units": 5, "activation": "elu", "dropout": 0.5, "skip": [0], "l2": penalty}
    third = {"name": "leaky_relu", "alpha": 0.2}
    assert layers[3] == {"units": 4, "activation": third, "l2": 0.25 + penalty}


@BOTH
def test_the_other_parameters_of_a_network(cls):
    named = {"input_dropout": 0.1, "input_noise": 0.2, "scale_inputs": "standard", "init": "he_normal"}
    config = cls(hidden_layer_sizes=(), **named, **FEW).fit(X, Y).network_.get_config()
    assert {name: config[name] for name in named} == named
    assert len(config["layers"]) == 2


def test_targets_are_scaled_within_the_network():
    y = 1000 + 50 * NUMBERS
    model = CBPRegressor(hidden_layer_sizes=8, scale_targets="standard", **LONG).fit(R, y)
    assert r2_score(y, model.predict(R)) > 0.9
    np.testing.assert_allclose(model.network_.target_scaling.center, y.mean(axis=0))


# ---- losses ----


@pytest.mark.parametrize("name", FOR_CLASSES)
@pytest.mark.parametrize(("data", "y"), [(X, Y), (X, TWO), (MANY, LABELS)], ids=["three", "two", "labels"])
def test_classes_are_learned_with_every_loss(name, data, y):
    model = CBPClassifier(20, loss=name, scale_inputs="standard", **LONG)
    if y is LABELS and cbp.losses[name].partner in ("softmax", "log_softmax"):
        with pytest.raises(ValueError, match="one class a row"):
            model.fit(data, y)
        return
    assert model.fit(data, y).score(data, y) > (0.5 if y is LABELS else 0.8)
    assert hasattr(model, "predict_proba") != hasattr(model, "decision_function")
    if name == "hinge":
        shown = model.decision_function(data)
        likeliest = np.argmax(shown, axis=1) if y is Y else (shown > 0).astype(int)
    else:
        shares = model.predict_proba(data)
        assert shares.shape == (150, len(model.classes_))
        assert ((shares >= 0) & (shares <= 1)).all()
        if y is not LABELS:
            np.testing.assert_allclose(shares.sum(axis=1), 1)
        np.testing.assert_allclose(np.exp(model.predict_log_proba(data)), shares)
        likeliest = (shares > 0.5).astype(int) if y is LABELS else np.argmax(shares, axis=1)
    assert np.array_equal(likeliest, model.predict(data))


@pytest.mark.parametrize("name", cbp.losses)
def test_numbers_are_learned_with_every_loss(name):
    row = cbp.losses[name]
    y = np.exp(NUMBERS) if "poisson" in name else NUMBERS
    if row.targets == (0.0, 1.0):
        y = (y - y.min()) / (y.max() - y.min())
        y /= y.sum(axis=1, keepdims=True)
    elif row.targets == (-1.0, 1.0):
        y = np.sign(y)
    model = CBPRegressor(name, 20, **LONG)
    first = model.set_params(max_iter=1).fit(R, y).loss_
    assert model.set_params(max_iter=300).fit(R, y).loss_ < first
    assert model.predict(R).shape == y.shape
    assert model.n_outputs_ == 2


def test_a_loss_of_your_own():
    def quartic(y, a):
        return ((a - y) ** 4).sum(axis=1) / 4, (a - y) ** 3

    model = CBPRegressor(quartic, 10, solver="lbfgs", max_iter=100, random_state=0).fit(R, NUMBERS)
    assert model.score(R, NUMBERS) > 0.9


def test_counts_of_several_outputs_cost_their_sum():
    y = np.random.default_rng(0).poisson(np.exp(R[:, :3] / 2))
    model = CBPRegressor("poisson", 5, alpha=0, max_iter=1, random_state=0, batch_size=150).fit(R, y)
    start = cbp.Network([5, cbp.Dense(5, "relu"), cbp.Dense(3, "exp")], init="glorot_biases", seed=0, dtype="float64")
    rate = start.predict(R)
    deviance = np.where(y > 0, y * np.log(np.maximum(y, 1) / rate), 0) - y + rate
    assert model.loss_ == pytest.approx(deviance.sum(axis=1).mean(), rel=1e-12)


def test_a_learned_variance_is_a_standard_deviation():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 1))
    y = x[:, 0] + rng.normal(0, 1, 400) * np.where(x[:, 0] > 0, 0.5, 0.05)
    model = CBPRegressor("gaussian_nll", 20, "tanh", **LONG).fit(x, y)
    mean, std = model.predict(np.array([[-0.5], [0.5]]), return_std=True)
    assert mean.shape == std.shape == (2,)
    assert std[0] < 0.2 < 0.35 < std[1] < 0.7
    np.testing.assert_allclose(model.predict(np.array([[-0.5], [0.5]])), mean)


def test_uncertainty_learned_afterwards():
    model = CBPRegressor(hidden_layer_sizes=3, activation="tanh", **FEW).fit(R, NUMBERS[:, 0])
    with pytest.raises(RuntimeError, match="learned no uncertainty"):
        model.predict(R, return_std=True)
    model.network_.learn_uncertainty(R, NUMBERS[:, 0], prior=1.0)
    mean, std = model.predict(R, return_std=True)
    assert np.array_equal(mean, model.predict(R))
    assert np.array_equal(std, model.network_.predict(R, return_std=True)[1][:, 0])


def test_losses_and_outputs_that_do_not_go_together_are_refused():
    for named, sentence in (
        ({"loss": "gaussian_nll"}, "belongs to CBPRegressor"),
        ({"out_activation": "tanh"}, "log_loss needs probabilities"),
        ({"loss": "categorical_cross_entropy", "out_activation": "sigmoid"}, "softmax"),
    ):
        with pytest.raises(ValueError, match=sentence):
            CBPClassifier(**named, **FEW).fit(X, Y)
    with pytest.raises(ValueError, match=r"y\[.*\] is -"):
        CBPRegressor("poisson", **FEW).fit(R, NUMBERS)


# ---- weights ----


def test_class_weights_are_sample_weights():
    weights = np.array([1.0, 2.0, 0.5])
    by_class = CBPClassifier(5, class_weight=dict(enumerate(weights)), **FEW).fit(X, Y)
    assert by_class.network_ == CBPClassifier(5, **FEW).fit(X, Y, weights[Y]).network_
    counts = np.bincount(Y)
    balanced = CBPClassifier(5, class_weight="balanced", **FEW).fit(X, Y)
    assert balanced.network_ == CBPClassifier(5, **FEW).fit(X, Y, (150 / (3 * counts))[Y]).network_
    both = CBPClassifier(5, class_weight={0: 2.0}, **FEW).fit(X, Y, np.linspace(0, 1, 150))
    assert both.network_ == CBPClassifier(5, **FEW).fit(X, Y, np.linspace(0, 1, 150) * np.where(Y, 1, 2)).network_
    held = CBPClassifier(5, class_weight={0: 9.0}, **FEW).fit(X, Y, X_val=X, y_val=Y)
    assert held.validation_scores_[-1] == held.score(X, Y)
    share = CBPClassifier(5, class_weight={0: 9.0}, early_stopping=True, **FEW).fit(X, Y)
    for score in share.validation_scores_:  # of 15 rows, each of which counts the same
        assert score * 15 == pytest.approx(round(score * 15))
    labels = CBPClassifier(5, class_weight="balanced", **FEW).fit(MANY, LABELS)
    assert np.isfinite(labels.loss_)
    with pytest.raises(ValueError, match="all rows at once"):
        CBPClassifier(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])


@BOTH
def test_a_weight_is_a_number_of_rows(cls):
    count = np.random.default_rng(0).integers(0, 3, 150)
    weighted = cls(hidden_layer_sizes=5, shuffle=False, batch_size=1000, **FEW)
    repeated = cls(hidden_layer_sizes=5, shuffle=False, batch_size=1000, **FEW)
    with pytest.warns(UserWarning, match="batch_size is 1000"):
        weighted.fit(X, Y, sample_weight=count)
    with pytest.warns(UserWarning, match="batch_size is 1000"):
        repeated.fit(np.repeat(X, count, axis=0), np.repeat(Y, count))
    np.testing.assert_allclose(weighted.network_.params, repeated.network_.params, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-12)


def test_weights_that_do_not_fit_are_refused():
    for weight in (np.ones(149), np.ones((150, 2)), -np.ones(150), np.full(150, np.nan), np.zeros(150)):
        for named in ({}, {"early_stopping": True}):
            with pytest.raises(ValueError, match="weight"):
                CBPClassifier(**named, **FEW).fit(X, Y, weight)


# ---- validation ----


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "scg"])
def test_rows_of_ones_own_to_validate_with(cls, solver):
    seen = []
    model = cls(hidden_layer_sizes=5, solver=solver, callbacks=lambda state: seen.append(state.network.copy()), **FEW)
    weight = np.linspace(1, 2, 50)
    model.fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:], sample_weight_val=weight)
    measure = accuracy_score if cls is CBPClassifier else r2_score
    for net, score, loss in zip(seen, model.validation_scores_, model.validation_loss_curve_, strict=True):
        outputs = net.predict(X[100:])
        found = np.argmax(outputs, axis=1) if cls is CBPClassifier else outputs[:, 0]
        assert score == pytest.approx(measure(Y[100:], found, sample_weight=weight), rel=1e-12)
        assert loss == pytest.approx(net.loss(X[100:], Y[100:], weight), rel=1e-12)
    assert model.network_ == cls(hidden_layer_sizes=5, solver=solver, **FEW).fit(X[:100], Y[:100]).network_


@BOTH
@pytest.mark.parametrize("solver", ["sgd", "adam", "irprop_plus", "levenberg_marquardt"])
def test_early_stopping_keeps_the_best_weights(cls, solver):
    named = {"solver": solver, "early_stopping": True, "n_iter_no_change": 3, "tol": 1e-3, "max_iter": 2000}
    model = cls(hidden_layer_sizes=5, learning_rate_init=0.02, random_state=0, **named)
    model.fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    assert model.stopped_ == "validation score"
    assert model.best_validation_score_ == max(model.validation_scores_) > model.validation_scores_[-1] - 1e-3
    assert model.score(X[100:], Y[100:]) == pytest.approx(model.best_validation_score_, rel=1e-9)
    assert model.n_iter_ == len(model.loss_curve_) < 2000


def test_the_share_held_out_has_the_proportions_of_the_classes():
    seen = []
    y = np.repeat([0, 1, 2], [60, 60, 30])
    model = CBPClassifier(5, early_stopping=True, validation_fraction=0.2, **FEW)
    judged = CBPClassifier._judged

    class Watching(CBPClassifier):
        def _judged(self, outputs, samples, goal):
            seen.append(np.bincount(samples.truth).tolist())
            return judged(self, outputs, samples, goal)

    Watching(**model.get_params()).fit(X, y)
    assert seen == [[12, 12, 6]] * 5


@BOTH
@pytest.mark.parametrize("given", [True, False], ids=["rows given", "a share"])
def test_partial_fit_stops_early_too(cls, given):
    named = {"classes": [0, 1, 2]} if cls is CBPClassifier else {}
    if given:
        named |= {"X_val": X[100:], "y_val": Y[100:]}
    options = {"hidden_layer_sizes": 5, "learning_rate_init": 0.05, "early_stopping": True, "random_state": 0}
    model, calls = cls(n_iter_no_change=4, **options), 0
    while not getattr(model, "stopped_", ""):
        model.partial_fit(X[:100], Y[:100], **named)
        calls += 1
    assert model.stopped_ == "validation score"
    assert len(model.validation_scores_) == calls < 1000
    named.pop("classes", None)
    whole = cls(max_iter=1000, n_iter_no_change=4, **options).fit(X[:100], Y[:100], **named)
    assert model.network_ == whole.network_
    assert model.validation_scores_ == whole.validation_scores_


@BOTH
def test_rows_to_validate_with_are_checked(cls):
    for named, sentence in (
        ({"X_val": X}, "belong together"),
        ({"sample_weight_val": np.ones(150)}, "sample_weight_val needs"),
        ({"X_val": X[:, :3], "y_val": Y}, "3 features"),
    ):
        with pytest.raises(ValueError, match=sentence):
            cls(**FEW).fit(X, Y, **named)
    with pytest.raises(ValueError, match="classes that are not known"):
        CBPClassifier(**FEW).fit(X, Y, X_val=X, y_val=Y + 1)


@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 50)], ids=["all alike", "weighted"])
@pytest.mark.parametrize("y", [NUMBERS, NUMBERS[:, 0], np.ones(150)], ids=["two", "one", "all the same"])
def test_scores_of_numbers_are_those_of_scikit_learn(y, weight):
    model = CBPRegressor(hidden_layer_sizes=3, **FEW)
    model.fit(R[:100], y[:100], X_val=R[100:], y_val=y[100:], sample_weight_val=weight)
    assert model.validation_scores_[-1] == pytest.approx(model.score(R[100:], y[100:], weight), rel=1e-9)


# ---- solvers ----


@BOTH
@pytest.mark.parametrize("name", [*cbp.tables.optimizers, *METHODS])
def test_every_optimiser_and_method(cls, name):
    model = cls(hidden_layer_sizes=4, activation="tanh", solver=name, batch_size=150, alpha=0, **FEW)
    if name == "bayesian_regularization":
        model.set_params(loss="half_squared_error")
    model.fit(X, Y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert hasattr(model, "partial_fit") == (name in cbp.tables.optimizers)
    if name in cbp.tables.optimizers:
        assert model.network_.optimizer.learning_rate == 0.001


def test_an_optimiser_object_keeps_its_rate_and_is_not_changed():
    optimizer = cbp.optimizers.AdamW(0.125)
    model = CBPRegressor(hidden_layer_sizes=4, solver=optimizer, learning_rate="invscaling", **FEW).fit(R, NUMBERS)
    assert optimizer == cbp.optimizers.AdamW(0.125)
    assert model.network_.optimizer.learning_rate == pytest.approx(0.125 / math.sqrt(5 * 150 + 1))
    assert CBPRegressor(solver=cbp.optimizers.Lion, **FEW).fit(R, NUMBERS).network_.optimizer == cbp.optimizers.Lion()


def test_a_method_ends_by_its_own_rules():
    method = cbp.methods.LBFGS(min_grad=0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = CBPRegressor(hidden_layer_sizes=3, solver=method, max_iter=999, random_state=0).fit(R, NUMBERS)
    assert model.stopped_ == "minimum gradient"
    with pytest.raises(ValueError, match="same objective in every step"):
        CBPRegressor(solver="scg", dropout=0.5, **FEW).fit(R, NUMBERS)


@BOTH
def test_a_schedule_is_the_rate_of_every_update(cls):
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.01

    model = cls(hidden_layer_sizes=4, learning_rate=schedule, batch_size=50, **FEW).fit(X, Y)
    assert asked == list(range(15))
    same = cls(hidden_layer_sizes=4, learning_rate_init=0.01, batch_size=50, **FEW).fit(X, Y)
    assert model.network_ == same.network_


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "scg"])
def test_callbacks_see_and_stop_every_solver(cls, solver):
    seen = []

    def callback(state):
        seen.append(state.logs["loss"])
        state.stop = len(seen) == 3

    model = cls(hidden_layer_sizes=4, solver=solver, max_iter=50, random_state=0, callbacks=[callback]).fit(X, Y)
    assert model.n_iter_ == len(seen) == 3
    assert model.stopped_ == "callback"
    stopping = cbp.EarlyStopping(patience=1, mode="max", min_delta=10)
    cls(callbacks=stopping, **FEW).fit(X, Y, X_val=X, y_val=Y)
    assert stopping.stopped_epoch == 1
    np.testing.assert_allclose(model.loss_curve_, seen, rtol=1e-12)


# ---- going on, going wrong ----


@BOTH
def test_a_warm_start_goes_on_with_other_parameters(cls):
    model = cls(hidden_layer_sizes=5, warm_start=True, **FEW).fit(X, Y)
    before = model.network_.copy()
    model.set_params(alpha=1.0, max_iter=1, dropout=0.5).fit(X[:90], Y[:90])
    assert len(model.loss_curve_) == 6
    assert model.network_.epoch == 6
    assert model.network_.get_config()["layers"][1]["l2"] == 1.0 / 90
    assert np.abs(model.network_.params - before.params).max() < 0.02
    with pytest.raises(ValueError, match="fit anew with warm_start=False"):
        model.set_params(hidden_layer_sizes=6).fit(X, Y)
    with pytest.raises(ValueError, match="expecting 6 features"):
        model.set_params(hidden_layer_sizes=5).fit(X[:, :4], Y)


@BOTH
def test_steps_after_a_fit_go_on_with_its_weights(cls):
    for solver in ("lbfgs", "scg", "sgd"):
        model = cls(hidden_layer_sizes=5, solver=solver, **FEW).fit(X, Y)
        before = model.network_.params.copy()
        model.set_params(solver="adam", learning_rate_init=1e-6).partial_fit(X, Y)
        assert np.abs(model.network_.params - before).max() < 0.01
        assert (model.network_.optimizer == cbp.optimizers.AdamHat(1e-6)) == (solver != "sgd")
        assert len(model.loss_curve_) == 6


@BOTH
def test_weights_are_views_that_can_be_assigned(cls):
    model = cls(hidden_layer_sizes=5, **FEW).fit(X, Y)
    other = cls(hidden_layer_sizes=5, **FEW | {"random_state": 1}).fit(X, Y)
    other.coefs_, other.intercepts_ = model.coefs_, model.intercepts_
    assert np.array_equal(other.predict(X), model.predict(X))
    model.coefs_[1][:] = 0
    model.intercepts_[1][:] = 0
    assert not np.array_equal(other.predict(X), model.predict(X))
    with pytest.raises(ValueError, match="must have the shapes"):
        model.coefs_ = [np.zeros((6, 5))]


def test_divergence_is_an_error_unless_there_are_weights_to_go_back_to():
    named = {"hidden_layer_sizes": 50, "activation": "identity", "solver": "sgd", "learning_rate_init": 1.0}
    with pytest.raises(ValueError, match="left the finite range"):
        CBPRegressor(**named, max_iter=200, random_state=0).fit(100 * X, Y)
    model = CBPRegressor(early_stopping=True, **named, max_iter=200, random_state=0)
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(100 * X, Y)
    assert model.stopped_ == "divergence"
    assert math.isnan(model.validation_scores_[-1])
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="left the finite range"):
        CBPRegressor(solver="lbfgs", random_state=0).fit(1e200 * X, Y)


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "scg"])
def test_an_interrupt_keeps_the_weights(cls, solver):
    def interrupt(state):
        if state.epoch == 2:
            raise KeyboardInterrupt

    model = cls(hidden_layer_sizes=4, solver=solver, max_iter=20, random_state=0, callbacks=interrupt)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, Y)
    assert model.stopped_ == "interrupt"
    assert model.n_iter_ == 3
    assert model.predict(X).shape == (150,)


@BOTH
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "scg"])
def test_a_line_for_every_epoch(cls, solver, capsys):
    model = cls(hidden_layer_sizes=4, solver=solver, verbose=True, **FEW).fit(X, Y, X_val=X, y_val=Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 1, loss = {model.loss_curve_[0]:.8f}"
    assert lines[1] == f"Validation score: {model.validation_scores_[0]:f}"
    assert len(lines) == 10


@BOTH
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
def test_iterations_used_up_are_warned_of(cls, solver):
    with pytest.warns(ConvergenceWarning) as caught:
        cls(solver=solver, max_iter=2, random_state=0).fit(X, Y)
    assert caught[0].filename == __file__


@BOTH
@pytest.mark.parametrize(
    "named",
    [
        {"hidden_layer_sizes": -1},
        {"hidden_layer_sizes": (3, 0)},
        {"activation": "softmax"},
        {"activation": ["relu", "tanh"]},
        {"dropout": 1.0},
        {"dropout": [0.1, 0.2]},
        {"solver": "adamm"},
        {"alpha": -1.0},
        {"learning_rate": "falling"},
        {"loss": "cross_entropy"},
        {"dtype": "float16"},
        {"callbacks": 3},
        {"init": "he"},
    ],
    ids=str,
)
def test_parameters_out_of_range_are_refused(cls, named):
    with pytest.raises((ValueError, TypeError), match=next(iter(named)).partition("_")[0]):
        cls(**named).fit(X, Y)


def test_the_seed_is_that_of_the_network():
    assert CBPRegressor(**FEW | {"random_state": 7}).fit(R, NUMBERS).network_.seed == 7
    drawn = [CBPRegressor(**FEW | {"random_state": np.random.RandomState(1)}).fit(R, NUMBERS) for _ in range(2)]
    assert drawn[0].network_ == drawn[1].network_
    np.random.seed(5)  # noqa: NPY002  (what random_state=None draws from)
    assert CBPRegressor(max_iter=1).fit(R, NUMBERS).network_.seed == np.random.RandomState(5).randint(2**31 - 1)


@BOTH
def test_the_network_can_be_saved_with_its_names(cls, tmp_path):
    model = cls(hidden_layer_sizes=4, **FEW).fit(X, Y)
    model.network_.save(tmp_path / "model.npz")
    assert cbp.load(tmp_path / "model.npz").metadata == json.loads(json.dumps(model.network_.metadata))


@BOTH
def test_a_fitted_estimator_stands_for_its_network_where_files_are_written(cls, tmp_path):
    model = cls(hidden_layer_sizes=4, **FEW)
    for write, name in ((cbp.io.save, "model.npz"), (cbp.io.export, "model.m")):
        with pytest.raises(TypeError, match=rf"an estimator of cbp.sklearn that is fitted, not {cls.__name__}\("):
            write(model, tmp_path / name)
    assert not list(tmp_path.iterdir())
    model.fit(X, Y)
    cbp.io.save(model, tmp_path / "model.npz")
    assert cbp.load(tmp_path / "model.npz") == model.network_
    cbp.io.export(model, tmp_path / "model.m")
    np.testing.assert_allclose(
        cbp.io.matlab.load(tmp_path / "model.m").predict(X), model.network_.predict(X), rtol=1e-12
    )


def test_every_way_out_takes_a_fitted_estimator(tmp_path):
    model = CBPClassifier(4, activation="tanh", **FEW).fit(X, TWO)
    cbp.io.fann.export(model, tmp_path / "model.net")
    cbp.io.matlab.export(model, tmp_path / "model.m")
    cbp.io.c.export(model, tmp_path / "model.c")
    assert cbp.io.c.quantized(model) == cbp.io.c.quantized(model.network_)
    assert {name: array.tolist() for name, array in cbp.io.torch.to_state_dict(model).items()} == {
        name: array.tolist() for name, array in cbp.io.torch.to_state_dict(model.network_).items()
    }
    assert np.array_equal(cbp.io.sklearn.to_estimator(model).predict(X), model.predict(X))
    with pytest.raises(TypeError, match="this is a network of cbp already"):
        cbp.io.sklearn.from_estimator(model.network_)


def test_onnx_takes_a_fitted_estimator():
    pytest.importorskip("onnx", reason="what is written")
    model = CBPClassifier(4, activation="tanh", **FEW).fit(X, TWO)
    assert cbp.io.onnx.from_model(cbp.io.onnx.to_model(model)) == model.network_
    with pytest.raises(TypeError, match=r"not str; files are for cbp\.io\.onnx\.load"):
        cbp.io.onnx.from_model("model.onnx")
