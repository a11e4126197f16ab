"""Estimators of scikit-learn as networks and back: the same predictions as scikit-learn's own."""

import warnings

import numpy as np
import pandas
import pytest
from cases import each_of
from sklearn import linear_model
from sklearn.base import BaseEstimator, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)

import cbp
from cbp.io import _mlp
from cbp.io.sklearn import from_estimator, to_estimator

RNG = np.random.default_rng(11)
X = RNG.normal(3, 5, (90, 6))
LABELS = {
    "binary": np.where(X[:, 0] > X[:, 1], "yes", "no"),
    "multiclass": np.array(["tin", "lead", "zinc"])[np.argmax(X[:, :3], axis=1)],
    "multilabel": (X[:, :3] > 3).astype(int),
}
VALUES = {"one": X[:, 0] * 2 - X[:, 3], "many": X[:, :2] @ [[1, 2, 0.5], [-1, 0.5, 2]] + 100}
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


def trained(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def perceptron(cls, **params):
    return cls(**{"hidden_layer_sizes": (7, 5), "max_iter": 4, "random_state": 1, "batch_size": 30} | params)


def probabilities(estimator, X):
    """What the network should return."""
    found = estimator.predict_proba(X)
    return found[:, 1:] if found.shape[1] == 2 else found


def relative(got, want):
    return np.max(np.abs(got - want)) / np.max(np.abs(want))


@pytest.mark.parametrize("activation", _mlp.HIDDEN.values())
@pytest.mark.parametrize("kind", LABELS)
@each_of("dtype", TOLERANCE)
def test_a_classifier_predicts_the_same_as_a_network(kind, activation, dtype):
    X_ = X.astype(dtype)
    estimator = trained(perceptron(MLPClassifier, activation=activation), X_, LABELS[kind])
    net = from_estimator(estimator)
    assert net.dtype == dtype
    assert relative(net.predict(X_), probabilities(estimator, X_)) < TOLERANCE[dtype]
    assert net.metadata["classes"] == estimator.classes_.tolist()


@pytest.mark.parametrize(
    "params", [{}, {"hidden_layer_sizes": ()}, {"loss": "poisson"}], ids=["", "no hidden", "poisson"]
)
@pytest.mark.parametrize("kind", VALUES)
def test_a_regressor_predicts_the_same_as_a_network(kind, params):
    if "loss" in params and "loss" not in MLPRegressor().get_params():
        pytest.skip("this scikit-learn has no loss for counts")
    estimator = trained(perceptron(MLPRegressor, **params), X, np.abs(VALUES[kind]))
    net = from_estimator(estimator)
    assert relative(net.predict(X), estimator.predict(X).reshape(90, -1)) < 1e-12
    assert net.layers[-1].activation == cbp.activations["exp" if params.get("loss") else "identity"]


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler((-1, 3)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False, with_scaling=False),
    FunctionTransformer(),
    "passthrough",
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_a_scaler_becomes_the_scaling_of_the_network(scaler):
    pipeline = make_pipeline(RobustScaler(), scaler, perceptron(MLPRegressor))
    whole = TransformedTargetRegressor(pipeline, transformer=None if scaler == "passthrough" else scaler)
    estimator = trained(whole, X, VALUES["one"])
    net = from_estimator(estimator)
    assert net.input_scaling.known
    assert relative(net.predict(X)[:, 0], estimator.predict(X)) < 1e-12


def test_scalers_of_the_target_in_a_pipeline():
    transformer = make_pipeline(MinMaxScaler((-1, 3)), None, StandardScaler())
    whole = TransformedTargetRegressor(linear_model.Ridge(), transformer=transformer).fit(X, VALUES["many"])
    net = from_estimator(whole)
    assert net.target_scaling.known
    assert relative(net.predict(X), whole.predict(X)) < 1e-12


def test_a_scaler_alone_is_taken_over_to_the_last_bit():
    estimator = trained(make_pipeline(StandardScaler(), perceptron(MLPClassifier)), X, LABELS["binary"])
    net = from_estimator(estimator)
    assert np.array_equal(net.input_scaling.center, estimator[0].mean_)
    assert np.array_equal(net.input_scaling.scale, estimator[0].scale_)
    assert all(np.array_equal(layer.W, W) for layer, W in zip(net.layers, estimator[1].coefs_, strict=True))


LINEAR = [
    *(
        getattr(linear_model, name)()
        for name in ("LinearRegression", "Ridge", "Lasso", "BayesianRidge", "HuberRegressor")
    ),
    *(linear_model.PoissonRegressor(), linear_model.RidgeCV(), linear_model.LinearRegression(fit_intercept=False)),
]


@pytest.mark.parametrize("estimator", LINEAR, ids=str)
def test_a_linear_model_is_a_network_of_one_layer(estimator):
    estimator = estimator.fit(X / 10, np.abs(VALUES["one"]) / 10)
    net = from_estimator(estimator)
    assert relative(net.predict(X / 10)[:, 0], estimator.predict(X / 10)) < 1e-12


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_logistic_regression_is_a_network_of_one_layer(kind):
    estimator = linear_model.LogisticRegression().fit(X, LABELS[kind])
    assert relative(from_estimator(estimator).predict(X), probabilities(estimator, X)) < 1e-12


def test_a_search_is_its_best_estimator_and_columns_keep_their_names():
    frame = pandas.DataFrame(X, columns=list("uvwxyz"))
    search = GridSearchCV(
        make_pipeline(StandardScaler(), perceptron(MLPClassifier)), {"mlpclassifier__alpha": [0.1]}, cv=2
    )
    search = trained(search, frame, LABELS["binary"])
    net = from_estimator(search)
    assert net.metadata == {"classes": ["no", "yes"], "features": list("uvwxyz")}
    assert relative(net.predict(X), search.predict_proba(frame)[:, 1:]) < 1e-12


class Estimator(BaseEstimator):
    """Stands for one of cbp.sklearn."""

    def __init__(self, network, classes):
        self.network_, self.classes_ = network, np.array(classes)

    def fit(self, X, y):
        raise NotImplementedError


def test_an_estimator_of_cbp_gives_its_network():
    net = cbp.Network(
        [6, 4, 1], output="identity", seed=2, scale_inputs="standard", scale_targets="minmax", dtype="float64"
    )
    net.fit(X, VALUES["one"], epochs=2)
    net.metadata["note"] = "mine"
    found = from_estimator(Estimator(net, [1, 2]))
    assert found == net
    assert found is not net
    assert found.metadata == {"note": "mine", "classes": [1, 2]}
    pipeline = make_pipeline(MinMaxScaler().fit(X), RobustScaler().fit(X), Estimator(net, [1, 2]))
    want = net.predict(pipeline[1].transform(pipeline[0].transform(X)))
    assert relative(from_estimator(pipeline).predict(X), want) < 1e-12
    assert from_estimator(Estimator(net, [1, 2]), dtype="float32").dtype == "float32"


def test_scaling_around_an_estimator_of_cbp_that_scales_itself():
    net = cbp.Network([6, 4, 1], output="identity", seed=2, scale_targets=(3, 4), dtype="float64")
    whole = TransformedTargetRegressor(linear_model.Ridge(), transformer=MinMaxScaler()).fit(X, VALUES["one"])
    whole.regressor_ = Estimator(net, [1])
    want = whole.transformer_.inverse_transform(net.predict(X))
    assert relative(from_estimator(whole).predict(X), want) < 1e-12


REFUSED = [
    (make_pipeline(Normalizer(), MLPRegressor()), "Normalizer has no counterpart"),
    (make_pipeline(MinMaxScaler(clip=True), MLPRegressor()), "MinMaxScaler.clip=True. has no counterpart"),
    (make_pipeline(QuantileTransformer(n_quantiles=9), MLPRegressor()), "QuantileTransformer has no counterpart"),
    (TransformedTargetRegressor(MLPRegressor(), func=np.cbrt, inverse_func=np.asarray), "FunctionTransformer has no"),
    (linear_model.QuantileRegressor(), "QuantileRegressor is no network; cbp reads MLPClassifier"),
]


@pytest.mark.parametrize(("estimator", "message"), REFUSED, ids=[message for _, message in REFUSED])
@pytest.mark.filterwarnings("ignore")
def test_what_no_network_has_is_refused_by_name(estimator, message):
    with pytest.raises(ValueError, match=message):
        from_estimator(clone(estimator).fit(X, VALUES["one"]))


def test_one_against_the_rest_is_no_softmax():
    binary = linear_model.LogisticRegression(solver="liblinear").fit(X, LABELS["binary"])
    assert relative(from_estimator(binary).predict(X), probabilities(binary, X)) < 1e-12
    binary.coef_, binary.intercept_ = np.ones((3, 6)), np.ones(3)
    with pytest.raises(ValueError, match="solver='liblinear' is no softmax"):
        from_estimator(binary)


def test_an_estimator_must_be_fitted():
    with pytest.raises(NotFittedError):
        from_estimator(MLPClassifier())
    with pytest.raises(TypeError, match="not an estimator"):
        from_estimator(7)


def test_what_is_not_of_scikit_learn_is_refused():
    class Fitted(BaseEstimator):
        def fit(self, X, y):
            raise NotImplementedError

    Fitted.__module__ = "elsewhere"
    other = Fitted()
    other.coef_ = np.ones(6)
    with pytest.raises(ValueError, match="Fitted is no network; cbp reads MLPClassifier"):
        from_estimator(other)


# ---- back ----


@pytest.mark.parametrize("hidden", _mlp.HIDDEN)
@pytest.mark.parametrize(("output", "n"), [("softmax", 2), ("softmax", 4), ("sigmoid", 1), ("sigmoid", 3)])
@each_of("dtype", TOLERANCE)
def test_a_network_is_a_classifier(output, n, hidden, dtype):
    net = cbp.Network([6, 9, 8, n], activation=hidden, output=output, seed=5, dtype=dtype)
    model = to_estimator(net)
    X_ = X.astype(dtype) / 10
    want = net.predict(X_)[:, 1:] if (output, n) == ("softmax", 2) else net.predict(X_)
    assert relative(probabilities(model, X_), want) < TOLERANCE[dtype]
    assert all(coef.dtype == dtype for coef in model.coefs_)
    again = from_estimator(model)
    assert relative(again.predict(X_), want) < TOLERANCE[dtype]
    if n != 2:
        assert again.params.tobytes() == net.params.tobytes()


def test_classes_may_be_given():
    net = cbp.Network([6, 3], output="softmax", seed=0)
    assert to_estimator(net).classes_.tolist() == [0, 1, 2]
    assert to_estimator(net, classes=[30, 10, 20]).classes_.tolist() == [10, 20, 30]


@pytest.mark.parametrize(("output", "n"), [("softmax", 2), ("softmax", 3), ("sigmoid", 1)])
def test_classes_that_are_not_sorted_stay_with_their_outputs(output, n):
    net = cbp.Network([6, 5, n], activation="tanh", output=output, seed=5, dtype="float64")
    net.metadata["classes"] = ["zinc", "lead", "tin"][: max(n, 2)]
    model = to_estimator(net)
    outputs = net.predict(X)
    if n == 1:
        outputs = np.hstack([1 - outputs, outputs])
    at = [net.metadata["classes"].index(name) for name in model.classes_]
    assert np.allclose(model.predict_proba(X), outputs[:, at], rtol=1e-12, atol=1e-15)
    assert (model.predict(X) == np.array(net.metadata["classes"])[outputs.argmax(axis=1)]).all()


@pytest.mark.parametrize("output", ["identity", "exp"])
@pytest.mark.parametrize("n", [1, 3])
def test_a_network_is_a_regressor(n, output):
    if output == "exp" and "loss" not in MLPRegressor().get_params():
        pytest.skip("this scikit-learn has no loss for counts")
    net = cbp.Network([6, cbp.Dense(4, "relu", steepness=0.3), n], output=output, seed=3, dtype="float64")
    model = to_estimator(net)
    assert relative(model.predict(X).reshape(90, n), net.predict(X)) < 1e-12
    model.partial_fit(X, np.abs(X[:, :n].squeeze()))
    assert not np.array_equal(model.coefs_[1], net.layers[1].W)


@pytest.mark.parametrize("targets", [None, (7, 3)])
@pytest.mark.parametrize("inputs", [None, "standard"])
def test_scaling_goes_over(inputs, targets):
    net = cbp.Network([6, 4, 1], output="identity", scale_inputs=inputs, scale_targets=targets, seed=3, dtype="float64")
    if inputs:
        net.learn_scaling(X, VALUES["one"])
    net.metadata["features"] = list("uvwxyz")
    model = to_estimator(net)
    frame = pandas.DataFrame(X, columns=list("uvwxyz"))
    assert relative(model.predict(frame)[:, None], net.predict(X)) < 1e-12
    again = from_estimator(model)
    assert again.params.tobytes() == net.params.tobytes()
    assert again.metadata["features"] == list("uvwxyz")
    for ours, theirs in ((net.input_scaling, again.input_scaling), (net.target_scaling, again.target_scaling)):
        assert (ours is None) == (theirs is None)
        assert ours is None or np.array_equal(ours.as_array(), theirs.as_array())
    refitted = trained(clone(model), frame, VALUES["one"])
    assert refitted.predict(frame).shape == (90,)


def test_a_classifier_goes_on_training():
    net = cbp.Network([6, 8, 3], activation="tanh", output="softmax", seed=1, dtype="float64")
    net.metadata["classes"] = ["lead", "tin", "zinc"]
    y = LABELS["multiclass"]
    model = to_estimator(net, learning_rate_init=0.01, random_state=0)
    first = model.score(X, y)
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > max(first, 0.8)
    warm = to_estimator(net, warm_start=True, max_iter=1, random_state=0, learning_rate_init=1e-9)
    trained(warm, X, y)
    assert np.allclose(warm.coefs_[0], net.layers[0].W, atol=1e-6)
    assert warm.n_iter_ == 1
    early = to_estimator(net, warm_start=True, early_stopping=True, max_iter=3, random_state=0)
    assert len(trained(early, X, y).validation_scores_) == 3
    lbfgs = trained(to_estimator(net, warm_start=True, solver="lbfgs", max_iter=3), X, y)
    assert lbfgs.score(X, y) > first


BAD = [
    (cbp.Network([6, cbp.Dense(4, "gelu"), 1], seed=0), {}, "no gelu in hidden layers; it has identity, sigmoid"),
    (cbp.Network([6, cbp.Dense(4, "relu"), cbp.Dense(4, "tanh"), 1], seed=0), {}, "not relu, tanh"),
    (cbp.Network([6, 4, 1], output="tanh", seed=0), {}, "has no output tanh; it has identity, sigmoid, softmax, exp"),
    (cbp.Network([6, 4, 1], output="softmax", seed=0), {}, "one softmax output"),
    (
        cbp.Network([6, 4, cbp.Dense(1, "sigmoid", skip=[0])], seed=0),
        {},
        "cannot express the skip connections of layer 2",
    ),
    (cbp.Network([6, 4, 3], output="softmax", seed=0), {"classes": ["a", "b"]}, "classes must be 3 different ones"),
    (cbp.Network([6, 4, 3], output="sigmoid", seed=0), {"classes": ["a", "b"]}, "labels of their own"),
    (
        cbp.Network([6, 4, 3], output="identity", seed=0),
        {"classes": ["a", "b"]},
        "classes are for outputs that are prob",
    ),
]


@pytest.mark.parametrize(("net", "options", "message"), BAD, ids=[message for *_, message in BAD])
def test_what_scikit_learn_cannot_express_is_refused_by_name(net, options, message):
    with pytest.raises(ValueError, match=message):
        to_estimator(net, **options)


@pytest.mark.parametrize("name", cbp.activations)
def test_every_activation_goes_over_or_is_refused(name):
    """A new row of the table has to be in these tables or be refused, hidden and at the output."""
    row_wise = cbp.activations[name].row_wise
    if not row_wise:
        hidden = cbp.Network([6, cbp.Dense(4, name), 2], output="identity", seed=0)
        if name in _mlp.HIDDEN:
            assert to_estimator(hidden).activation == _mlp.HIDDEN[name]
        else:
            with pytest.raises(ValueError, match=f"no {name}"):
                to_estimator(hidden)
    output = cbp.Network([6, 4, 3], output=name, seed=0)
    if name in _mlp.OUTPUTS:
        model = to_estimator(output)
        want = output.predict(X)
        assert relative((model.predict if name in ("identity", "exp") else model.predict_proba)(X), want) < 1e-5
    else:
        with pytest.raises(ValueError, match=f"no output {name}"):
            to_estimator(output)


def test_the_tables_name_rows_alone():
    assert set(_mlp.HIDDEN) | set(_mlp.OUTPUTS) <= set(cbp.activations)
