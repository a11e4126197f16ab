"""ONNX files of PyTorch, Keras and scikit-learn as networks: cbp predicts what the library itself predicts.

`make test-peers` brings what exports them.
"""

import importlib.util
import io
import os

import numpy as np
import onnx
import pytest
from onnx_models import difference

from cbp.io.onnx import from_model, load

LACKING = [name for name in ("torch", "onnxscript", "skl2onnx") if not importlib.util.find_spec(name)]
if LACKING:
    pytest.skip(f"{', '.join(LACKING)}: `make test-peers` brings them", allow_module_level=True)

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras  # noqa: E402
import torch  # noqa: E402
from skl2onnx import to_onnx  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler  # noqa: E402
from torch import nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters, about themselves
X = np.random.default_rng(7).normal(2, 3, (60, 4)).astype(np.float32)
TOLERANCE = 2e-6  # both round, each in its own order

# ---- PyTorch ----

ACTIVATIONS = {
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "relu": nn.ReLU(),
    "leaky_relu(alpha=0.2)": nn.LeakyReLU(0.2),
    "leaky_relu(alpha=0.25)": nn.PReLU(),
    "relu6": nn.ReLU6(),
    "elu(alpha=0.7)": nn.ELU(0.7),
    "selu": nn.SELU(),
    "celu(alpha=0.5)": nn.CELU(0.5),
    "softplus": nn.Softplus(),
    "log_sigmoid": nn.LogSigmoid(),
    "softsign": nn.Softsign(),
    "hard_sigmoid": nn.Hardsigmoid(),
    "hard_tanh": nn.Hardtanh(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "identity": nn.Identity(),
    "softmax": nn.Softmax(1),
    "log_softmax": nn.LogSoftmax(1),
}


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.kind, self.place = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 2)

    def forward(self, x):
        h = torch.relu(self.body(x))
        return torch.softmax(self.kind(h), 1), self.place(h)


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(12, 3)

    def forward(self, x):
        return torch.sigmoid(self.second(torch.cat([x, torch.tanh(self.first(x))], 1)))


class WideAndDeep(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide, self.first, self.second = nn.Linear(4, 1), nn.Linear(4, 8), nn.Linear(8, 1)

    def forward(self, x):
        return self.wide(x) + self.second(torch.relu(self.first(x)))


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 3)
        self.register_buffer("center", torch.tensor([1.0, 2.0, 3.0, 4.0]))
        self.register_buffer("scale", torch.tensor([0.5, 1.0, 2.0, 4.0]))

    def forward(self, x):
        return self.first(((x - self.center) / self.scale).view(x.size(0), -1)) * 3 + torch.tensor([1.0, 2.0, 3.0])


def normalised():
    body = nn.Sequential(
        nn.Flatten(),
        nn.Linear(4, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Linear(5, 3),
        nn.Tanh(),
        nn.BatchNorm1d(3),
        nn.Dropout(),
        nn.Linear(3, 2),
    )
    with torch.no_grad():
        body(torch.from_numpy(X))  # in training mode: the means and variances move
    return body


MODULES = {
    "two heads": TwoHeads,
    "skip": Skip,
    "wide and deep": WideAndDeep,
    "scaled": Scaled,
    "normalised": normalised,
}


def exported(module, dynamo):
    """The model that one of PyTorch's two exporters makes."""
    file, batch = io.BytesIO(), {0: torch.export.Dim("batch")}
    rows = {"dynamic_shapes": (batch,)} if dynamo else {"dynamic_axes": {"x": {0: "batch"}}, "opset_version": 17}
    args = (torch.from_numpy(X[:7]),)
    torch.onnx.export(module, args, file, input_names=["x"], dynamo=dynamo, verbose=False, **rows)
    return onnx.load_model_from_string(file.getvalue())


def predicted(module):
    with torch.no_grad():
        made = module(torch.from_numpy(X))
    return (torch.cat(made, 1) if isinstance(made, tuple) else made).numpy()


# Of those that the two exporters write in different ways; the dynamo one takes its time
BOTH = ["softplus", "log_sigmoid", "hard_sigmoid", "silu", "mish", "gelu_tanh", "leaky_relu(alpha=0.25)", "log_softmax"]


@pytest.mark.parametrize(
    ("name", "dynamo"), [*((name, False) for name in ACTIVATIONS), *((name, True) for name in BOTH)]
)
def test_activation_of_pytorch(name, dynamo):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 3), ACTIVATIONS[name]).eval()
    net = from_model(exported(module, dynamo))
    assert [str(row) for row in net._spec.layers[0].rows] == [name]
    assert np.array_equal(net.layers[0].W, module[0].weight.detach().numpy().T)
    assert difference(net.predict(X), predicted(module)) <= TOLERANCE


@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("kind", MODULES)
def test_module_of_pytorch(kind, dynamo):
    torch.manual_seed(1)
    module = MODULES[kind]().eval()
    net = from_model(exported(module, dynamo))
    assert net.mask is None
    assert difference(net.predict(X), predicted(module)) <= TOLERANCE


# ---- Keras ----


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "hard_sigmoid", "leaky_relu", "mish", "softmax"])
def test_model_of_keras(activation, tmp_path):
    if keras.backend.backend() != "torch":
        pytest.skip("Keras runs on another backend here")
    keras.utils.set_random_seed(0)
    scaler = keras.layers.Normalization()
    scaler.adapt(X)
    dense = [keras.layers.Dense(5, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.3)]
    model = keras.Sequential([keras.Input((4,)), scaler, *dense, keras.layers.Dense(3, activation)])
    want = model.predict(X, verbose=0)
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    assert difference(load(tmp_path / "model.onnx").predict(X), np.asarray(want)) <= TOLERANCE


# ---- scikit-learn ----

TARGETS = {
    "two classes": np.where(X[:, 0] > 2, "yes", "no"),
    "three classes": (X[:, 0] > 2).astype(int) + (X[:, 1] > 2) + 5,
    "labels": (X[:, :3] > 2).astype(int),
}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.parametrize("kind", TARGETS)
def test_classifier_of_scikit_learn(kind, zipmap, activation):
    y = TARGETS[kind]
    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5, 3), activation=activation, max_iter=20)).fit(X, y)
    net = from_model(to_onnx(pipeline, X[:1], options={} if zipmap and kind != "labels" else {"zipmap": False}))
    want = pipeline.predict_proba(X)[:, 1:] if kind == "two classes" else pipeline.predict_proba(X)
    assert difference(net.predict(X), want.astype(np.float32)) <= TOLERANCE
    if kind != "labels":
        assert net.metadata["classes"] == np.unique(y).tolist()


COLUMNS = [("a", StandardScaler(), [2, 0]), ("b", "passthrough", [1]), ("c", MinMaxScaler(), [3])]
SCALERS = [MinMaxScaler(), RobustScaler(), MaxAbsScaler(), StandardScaler(with_std=False), ColumnTransformer(COLUMNS)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaler", SCALERS, ids=lambda scaler: type(scaler).__name__)
def test_regressor_of_scikit_learn(scaler, dtype):
    data = X.astype(dtype)
    mlp = MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", max_iter=20)
    pipeline = make_pipeline(scaler, mlp).fit(data, data[:, 0])
    net = from_model(to_onnx(pipeline, data[:1]))
    assert net.dtype == dtype
    assert net.input_scaling is not None
    assert difference(net.predict(data), pipeline.predict(data)[:, None].astype(dtype)) <= TOLERANCE
