"""The estimators' parameters mean what scikit-learn's mean: from its own start weights the losses are its own.

All rows a batch, in their order: nothing is left to chance. What is compared is the whole curve of the losses, and the
weights at its end.
"""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="what is compared with")

from sklearn.datasets import load_diabetes, load_digits, make_multilabel_classification, make_regression
from sklearn.neural_network import MLPClassifier, MLPRegressor

from cbp.sklearn import CBPClassifier, CBPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EPOCHS = 20
OURS = {MLPClassifier: CBPClassifier, MLPRegressor: CBPRegressor}


def digits(n_class=10):
    X, y = load_digits(n_class=n_class, return_X_y=True)
    return X[:300] / 16, y[:300]


def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X, (y - y.mean()) / y.std()


def three_numbers():
    X, y = make_regression(100, 5, n_targets=3, random_state=0)
    return X, y / y.std()


def counts():
    X = make_regression(100, 5, random_state=0)[0]
    return X, np.random.default_rng(0).poisson(np.exp(X[:, :2] / 3))


TASKS = {
    "classes": (MLPClassifier, digits, {}),
    "two classes": (MLPClassifier, lambda: digits(2), {}),
    "labels": (MLPClassifier, lambda: make_multilabel_classification(100, random_state=0), {}),
    "numbers": (MLPRegressor, diabetes, {}),
    "three numbers": (MLPRegressor, three_numbers, {}),
    "counts": (MLPRegressor, counts, {"loss": "poisson"}),
}
SOLVERS = {
    "sgd": {"solver": "sgd"},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.8},
    "no momentum": {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.05},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1, "power_t": 0.3},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.02, "n_iter_no_change": 1, "max_iter": 60},
    "adam": {"solver": "adam"},
    "adam, all its own": {"solver": "adam", "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-2},
}


def both(task, named, weighted=False):
    """Return scikit-learn's model and ours, fitted from the same weights."""
    theirs, data, own = TASKS[task]
    X, y = data()
    named = {"hidden_layer_sizes": (12, 8), "shuffle": False, "batch_size": len(X), "alpha": 0.5} | own | named
    named = {"max_iter": EPOCHS, "tol": 0, "random_state": 3} | named
    weight = np.random.default_rng(1).uniform(0, 3, len(X)) if weighted else None
    start = theirs(
        **{**named, "solver": "sgd", "learning_rate": "constant", "learning_rate_init": 1e-300, "max_iter": 1}
    )
    start.fit(X, y)
    ours = OURS[theirs](**named, warm_start=True)
    ours.coefs_, ours.intercepts_ = start.coefs_, start.intercepts_
    return theirs(**named).fit(X, y, weight), ours.fit(X, y, weight)


@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", TASKS)
def test_losses_and_weights_are_those_of_scikit_learn(task, solver, weighted):
    theirs, ours = both(task, SOLVERS[solver], weighted)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    for name in ("best_loss_", "loss_"):
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-12)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "_no_improvement_count"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours._optimizer.learning_rate == pytest.approx(rate(theirs), rel=1e-15)


def rate(theirs):
    return theirs.learning_rate_init if theirs.solver == "adam" else theirs._optimizer.learning_rate


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_activations_are_those_of_scikit_learn(activation):
    theirs, ours = both("classes", {"activation": activation, "solver": "adam"})
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-12)


def test_the_rate_of_an_adaptive_fit_became_smaller():
    _, ours = both("numbers", SOLVERS["adaptive"])
    assert ours._optimizer.learning_rate < ours.learning_rate_init / 5


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_lbfgs_goes_the_same_way(task):
    theirs, ours = both(task, {"solver": "lbfgs", "activation": "tanh", "tol": 1e-2, "max_iter": 500})
    assert ours.n_iter_ == theirs.n_iter_ < 500
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-8)
    assert ours.stopped_ == "converged"


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_training_stops_by_the_same_rules(task):
    named = {"solver": "sgd", "learning_rate_init": 0.2, "tol": 1e-2, "n_iter_no_change": 3, "max_iter": 500}
    theirs, ours = both(task, named)
    assert ours.n_iter_ == theirs.n_iter_ < 500
    assert ours.stopped_ == "training loss"


@pytest.mark.parametrize("task", TASKS)
def test_predictions_of_the_same_weights_are_the_same(task):
    theirs, ours = both(task, SOLVERS["adam"])
    X = TASKS[task][1]()[0]
    predicted, wanted = ours.predict(X), theirs.predict(X)
    assert (predicted.shape, predicted.dtype) == (wanted.shape, wanted.dtype)
    np.testing.assert_allclose(predicted, wanted, rtol=1e-9, atol=1e-10)
    if hasattr(theirs, "predict_proba"):
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-9)


@pytest.mark.parametrize("theirs", OURS)
def test_every_parameter_has_the_same_name_place_and_default(theirs):
    wanted, ours = theirs().get_params(), OURS[theirs]().get_params()
    assert {name: ours[name] for name in wanted} == wanted
    from inspect import Parameter, signature

    places = [
        [name for name, each in signature(cls).parameters.items() if each.kind is not Parameter.KEYWORD_ONLY]
        for cls in (theirs, OURS[theirs])
    ]
    assert places[0] == places[1]


@pytest.mark.parametrize("theirs", OURS)
@pytest.mark.parametrize("activation", ["logistic", "tanh", "relu"])
def test_weights_start_in_the_same_range(theirs, activation):
    X, y = np.random.default_rng(0).normal(size=(10, 40)), np.arange(10) % 2
    still = {"solver": "sgd", "learning_rate_init": 1e-300, "max_iter": 1, "hidden_layer_sizes": (90, 40)}
    models = [cls(activation=activation, random_state=0, **still).fit(X, y) for cls in (theirs, OURS[theirs])]
    for name in ("coefs_", "intercepts_"):
        wanted, ours = (getattr(model, name)[:2] for model in models)
        for a, b in zip(wanted, ours, strict=True):
            assert np.abs(b).max() == pytest.approx(np.abs(a).max(), rel=0.1)
            assert b.std() == pytest.approx(a.std(), rel=0.3)
            assert abs(b.mean()) < 3 * b.std() / np.sqrt(b.size)


@pytest.mark.parametrize("theirs", OURS)
def test_every_public_attribute_of_a_fitted_model_is_there(theirs):
    X, y = digits(2)
    for early in (False, True):
        named = {"max_iter": 3, "early_stopping": early, "random_state": 0}
        fitted, ours = theirs(**named).fit(X, y), OURS[theirs](**named).fit(X, y)
        for name, value in vars(fitted).items():
            if name.endswith("_"):
                assert isinstance(value, type(getattr(ours, name))), name
