"""The estimators among scikit-learn's tools: its checks, pipelines, searches, data frames, routing, pickles."""

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="what the estimators are for")

import joblib
import pandas
import polars
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_digits, make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import cbp
from cbp.sklearn import CBPClassifier, CBPRegressor

BOTH = pytest.mark.parametrize("cls", [CBPClassifier, CBPRegressor])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make_classification(120, 6, n_informative=4, n_classes=3, random_state=0)
FEW = {"hidden_layer_sizes": 5, "max_iter": 5, "random_state": 0}


@parametrize_with_checks([CBPClassifier(), CBPRegressor()])
@pytest.mark.filterwarnings("ignore")
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_without_scikit_learn_the_message_says_what_to_install():
    program = (
        "import sys; sys.modules['sklearn'] = None; import cbp; assert 'cbp.sklearn' not in sys.modules; cbp.sklearn"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.endswith('ImportError: cbp.sklearn needs sklearn: pip install "cbpnet[sklearn]"\n')


# ---- data ----


@BOTH
@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame], ids=["pandas", "polars"])
def test_columns_have_names(cls, frame):
    names = [f"column {i}" for i in range(6)]
    data = frame(dict(zip(names, X.T, strict=True)))
    model = cls(**FEW).fit(data, Y)
    assert model.feature_names_in_.tolist() == names
    assert model.network_.metadata["features"] == names
    assert np.array_equal(model.predict(data), cls(**FEW).fit(X, Y).predict(X))
    with pytest.warns(UserWarning, match="valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(data[names[::-1]])


def test_the_network_knows_the_names_of_the_classes():
    model = CBPClassifier(**FEW).fit(X, np.array(["a", "b", "c"])[Y])
    assert model.network_.metadata["classes"] == ["a", "b", "c"]
    assert CBPClassifier(**FEW).fit(X, Y).network_.metadata["classes"] == [0, 1, 2]


@BOTH
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs", "scg"])
@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_inputs_give_the_same_bits(cls, solver, kind):
    few = np.where(np.abs(X) > 1, X, 0)
    weight = np.linspace(0, 1, len(X))
    dense = cls(solver=solver, **FEW).fit(few, Y, weight)
    sparse = cls(solver=solver, **FEW).fit(kind(few), Y, weight)
    assert dense.network_ == sparse.network_
    assert np.array_equal(dense.predict(few), sparse.predict(kind(few)))


@BOTH
def test_sparse_rows_can_be_held_out(cls):
    few = np.where(np.abs(X) > 1, X, 0)
    dense = cls(early_stopping=True, **FEW).fit(few, Y)
    sparse = cls(early_stopping=True, **FEW).fit(scipy.sparse.csr_array(few), Y)
    assert dense.validation_scores_ == sparse.validation_scores_
    given = scipy.sparse.csr_array(few[80:])
    assert len(cls(**FEW).fit(few[:80], Y[:80], X_val=given, y_val=Y[80:]).validation_scores_) == 5


@pytest.mark.parametrize(
    "made",
    [list, pandas.Series, polars.Series, lambda y: pandas.Series(y, dtype="category"), lambda y: np.array(y, object)],
    ids=["list", "pandas", "polars", "categories", "objects"],
)
def test_labels_of_any_kind(made):
    names = [["rain", "snow", "sun"][number] for number in Y]
    model = CBPClassifier(**FEW).fit(X, made(names))
    assert model.classes_.tolist() == ["rain", "snow", "sun"]
    assert np.array_equal(model.predict(X), model.classes_[CBPClassifier(**FEW).fit(X, Y).predict(X)])
    assert 0 <= model.score(X, made(names)) <= 1


def test_sparse_inputs_are_not_made_dense(monkeypatch):
    import tracemalloc

    rows, columns = 800, 8000
    monkeypatch.setattr("cbp._sources.PIECE_BYTES", 2**20)
    data = scipy.sparse.random_array((rows, columns), density=1e-4, format="csr", random_state=0)
    model = CBPRegressor(hidden_layer_sizes=2, max_iter=1, batch_size=20, random_state=0)
    tracemalloc.start()
    try:
        model.fit(data, np.ones(rows)).predict(data)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < rows * columns * 8 / 2


def test_sparse_labels_come_back_sparse():
    labels = scipy.sparse.csr_matrix((X[:, :3] > 0).astype(int))
    model = CBPClassifier(**FEW).fit(X, labels)
    found = model.predict(X)
    assert scipy.sparse.issparse(found)
    assert np.array_equal(found.toarray(), CBPClassifier(**FEW).fit(X, labels.toarray()).predict(X))


@BOTH
@pytest.mark.parametrize("given", [np.float32, np.float64, np.int64])
def test_the_network_has_the_dtype_of_the_data(cls, given):
    data = X.astype(given)
    model = cls(**FEW).fit(data, Y)
    assert model.network_.dtype == (np.float32 if given is np.float32 else np.float64)
    assert {array.dtype for array in model.coefs_ + model.intercepts_} == {model.network_.dtype}
    assert cls(dtype="float32", **FEW).fit(data, Y).network_.dtype == np.float32
    assert model.predict(data).dtype == (Y.dtype if cls is CBPClassifier else model.network_.dtype)


@BOTH
def test_predict_takes_the_short_way_only_with_arrays_that_fit(cls):
    model = cls(**FEW).fit(X, Y)
    wanted = model.predict(X)
    for same in (np.asfortranarray(X), X.tolist(), X.astype(">f8"), np.ascontiguousarray(X[:, ::-1])[:, ::-1]):
        assert np.array_equal(model.predict(same), wanted)
    bad = X.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.predict(bad)
    with pytest.raises(ValueError, match="5 features"):
        model.predict(X[:, :5])
    with pytest.raises(ValueError, match="Reshape your data"):
        model.predict(X[0])
    with pytest.raises(ValueError, match="0 sample"):
        model.predict(X[:0])
    with pytest.raises(sklearn.exceptions.NotFittedError):
        cls().predict(X)


# ---- tools ----


@BOTH
def test_pickles_and_clones(cls):
    model = cls(early_stopping=True, **FEW).fit(X, Y)
    file = io.BytesIO()
    joblib.dump(model, file)
    for copied in (pickle.loads(pickle.dumps(model)), joblib.load(io.BytesIO(file.getvalue()))):
        assert copied.network_ == model.network_
        assert np.array_equal(copied.predict(X), model.predict(X))
        assert copied.loss_curve_ == model.loss_curve_
    again = clone(model)
    assert again.get_params() == model.get_params()
    assert not hasattr(again, "network_")
    assert again.fit(X, Y).network_ == model.network_


def test_objects_among_the_parameters_are_cloned():
    hidden = (cbp.Dense(5, "tanh", max_norm=2), 4)
    model = CBPClassifier(hidden, solver=cbp.optimizers.AdamW(0.01), callbacks=[cbp.EarlyStopping()], max_iter=3)
    assert clone(model).solver == model.solver
    assert clone(model).hidden_layer_sizes == hidden
    model.fit(X, Y)
    assert model.network_.optimizer is not model.solver
    assert model.network_.optimizer == model.solver


@BOTH
def test_a_search_with_two_processes(cls):
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(4,), (6, 3)]}
    found = [GridSearchCV(cls(max_iter=5, random_state=0), grid, cv=2, n_jobs=n).fit(X, Y) for n in (1, 2)]
    for name in ("mean_test_score", "std_test_score"):
        assert np.array_equal(found[0].cv_results_[name], found[1].cv_results_[name])
    assert found[0].best_estimator_.network_ == found[1].best_estimator_.network_


def threads_here():
    return cbp.get_num_threads()


def test_workers_of_joblib_share_the_processors(monkeypatch):
    monkeypatch.delenv("CBP_NUM_THREADS", raising=False)
    with joblib.parallel_config("loky", n_jobs=2, inner_max_num_threads=1):
        assert set(joblib.Parallel()(joblib.delayed(threads_here)() for _ in range(4))) == {1}


def test_in_a_pipeline_with_scores():
    model = make_pipeline(StandardScaler(), CBPClassifier(20, max_iter=100, learning_rate_init=0.01, random_state=0))
    assert cross_val_score(model, X, Y, cv=3, scoring="roc_auc_ovr").mean() > 0.8


def test_weights_are_routed():
    weight = np.linspace(0, 1, len(X))
    with sklearn.config_context(enable_metadata_routing=True):
        model = CBPClassifier(**FEW).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = GridSearchCV(model, {"alpha": [1e-4]}, cv=2).fit(X, Y, sample_weight=weight).best_estimator_
    assert found.network_ == CBPClassifier(**FEW).fit(X, Y, weight).network_


def test_rows_to_validate_with_go_through_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        model = CBPClassifier(early_stopping=True, **FEW).set_fit_request(X_val=True, y_val=True)
        chain = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        chain.fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    assert len(chain[-1].validation_scores_) == 5
    assert chain.score(X[80:], Y[80:]) == chain[-1].best_validation_score_


class Incremental:
    """What dask-ml's class of this name does with an estimator and its blocks."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, blocks, **named):
        self.estimator_ = clone(self.estimator)
        for data, targets in blocks:
            self.estimator_ = self.estimator_.partial_fit(data, targets, **named)
        return self


@BOTH
def test_training_block_by_block(cls):
    named = {"classes": [0, 1, 2]} if cls is CBPClassifier else {}
    model = cls(20, random_state=0) if cls is CBPClassifier else cls(hidden_layer_sizes=20, random_state=0)
    model.set_params(learning_rate_init=0.02, max_iter=1)
    sizes = [40, 47, 80, 120]  # the penalty of a block depends on its rows
    blocks = list(zip(np.split(X, sizes[:-1]), np.split(Y, sizes[:-1]), strict=True)) * 40
    found = Incremental(model).fit(blocks, **named).estimator_
    assert found.score(X, Y) > (0.8 if cls is CBPClassifier else 0.5)
    assert found.t_ == 40 * 120
    assert len(found.loss_curve_) == 160


@BOTH
def test_many_small_steps_are_one_fit(cls):
    named = {"classes": [0, 1, 2]} if cls is CBPClassifier else {}
    options = {"hidden_layer_sizes": 5, "random_state": 4, "tol": 0, "batch_size": 30, "n_iter_no_change": np.inf}
    whole, steps = cls(max_iter=7, **options).fit(X, Y), cls(**options)
    for _ in range(7):
        steps.partial_fit(X, Y, **named)
    assert steps.network_ == whole.network_
    assert steps.loss_curve_ == whole.loss_curve_


def test_the_digits_are_learned():
    data, digits = load_digits(return_X_y=True)
    model = CBPClassifier(64, early_stopping=True, scale_inputs="minmax", learning_rate_init=0.01, random_state=0)
    train, test = cbp.split(data, digits, shares=(3, 1))
    assert model.fit(*train).score(*test) > 0.94
    assert model.stopped_ == "validation score"


def test_the_same_bits_as_the_network_by_itself():
    """What `CBPRegressor` makes of its parameters, written out."""
    data, targets = make_regression(50, 3, random_state=0)
    model = CBPRegressor(hidden_layer_sizes=(6, 4), max_iter=3, batch_size=20, random_state=9, tol=0).fit(data, targets)
    layers = [3, *(cbp.Dense(n, name, l2=1e-4 / 20) for n, name in ((6, "relu"), (4, "relu"), (1, "identity")))]
    net = cbp.Network(layers, init="glorot_biases", dtype="float64", seed=9)
    history = net.fit(data, targets, epochs=3, batch_size=20, optimizer=cbp.optimizers.AdamHat(0.001))
    assert model.network_ == net
    assert model.loss_curve_ == history.loss
