"""Models of Keras as networks and back: the same predictions as Keras's own.

Runs with the backend numpy, and in test_keras_peers.py with torch. But for TensorFlow, Keras computes in float32.
"""

import doctest
import inspect
import io
import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "numpy")
pytest.importorskip("jax" if os.environ["KERAS_BACKEND"] == "numpy" else "torch", reason="Keras has no backend here")
keras = pytest.importorskip("keras")

import cbp  # noqa: E402
from cbp.io.keras import _peers, from_model, to_model  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own

layers = keras.layers
RNG = np.random.default_rng(21)
X = RNG.normal(0, 1, (40, 4)).astype("float32")
ROWS = [row(v) if row.args else row for row in cbp.activations.values() for v in ([0.2, 0.7, 1.0] if row.args else [0])]
READ = {
    *(name for name in _peers.FUNCTIONS.values() if name),
    "swish",
}


def predictions(model, X):
    return keras.ops.convert_to_numpy(model(keras.ops.convert_to_tensor(X)))


def relative(got, want):
    return np.max(np.abs(got - want)) / np.max(np.abs(want))


def sequential(*stack, shape=(4,)):
    """A model with numbers of its own everywhere, BatchNormalization among it."""
    model = keras.Sequential([keras.Input(shape), *stack])
    for layer in model.layers:
        drawn = [RNG.normal(0.3, 0.6, tuple(v.shape)) for v in layer.weights]
        if isinstance(layer, layers.Dense | layers.BatchNormalization):
            layer.set_weights(
                [np.abs(w) + 0.5 if "variance" in v.path else w for v, w in zip(layer.weights, drawn, strict=True)]
            )
    return model


# ---- activations ----


def test_every_row_of_the_table_has_its_place():
    """A new activation needs a line: its function in keras.activations, or None and a place in `Function`."""
    assert set(_peers.FUNCTIONS) == set(cbp.activations)
    assert {name for name, row in cbp.activations.items() if row.args} == set(_peers.ARGUMENTS)


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_an_activation_goes_there_and_back(row):
    hidden = ["tanh"] if row.row_wise or row.name == "exp" else [row]
    net = cbp.Network([4, *(cbp.Dense(6, one) for one in hidden), cbp.Dense(3, row)], seed=2, reduction="mean")
    net.params[:] *= 1.5
    model = to_model(net)
    assert relative(predictions(model, X), net.predict(X)) < 1e-6
    again = from_model(model)
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in net.layers]
    assert again.params.tobytes() == net.params.tobytes()


def functions():
    """Names of all activations that this Keras has."""
    names = sorted({*dir(keras.activations), "swish"} - {"get", "serialize", "deserialize"})
    names = [name for name in names if name != "glu"]  # which halves the number of units
    return [name for name in names if not name.startswith("_") and inspect.isfunction(keras.activations.get(name))]


@pytest.mark.parametrize("name", functions())
def test_every_activation_of_keras_is_read_or_refused(name):
    for model in (sequential(layers.Dense(5, name)), sequential(layers.Dense(5), layers.Activation(name))):
        if name in READ:
            assert relative(from_model(model).predict(X), predictions(model, X)) < 1e-6
        else:
            with pytest.raises(ValueError, match=r"which cbp\.activations has no row"):
                from_model(model)


ACTIVATIONS = {
    "relu": layers.ReLU(),
    "relu6": layers.ReLU(max_value=6),
    "leaky_relu(alpha=0.25)": layers.ReLU(negative_slope=0.25),
    "leaky_relu(alpha=0.125)": layers.LeakyReLU(negative_slope=0.125),
    "elu(alpha=0.5)": layers.ELU(alpha=0.5),
    "softmax": layers.Softmax(),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("inside", [False, True])
def test_layers_that_are_activations(name, inside):
    layer = ACTIVATIONS[name].from_config(ACTIVATIONS[name].get_config())
    model = sequential(layers.Dense(5, activation=layer)) if inside else sequential(layers.Dense(5), layer)
    net = from_model(model)
    assert str(net.layers[0].activation) == name
    assert relative(net.predict(X), predictions(model, X)) < 1e-6


# ---- layers ----

DENSE = layers.Dense
STACKS = {
    "no bias": lambda: [DENSE(5, "relu", use_bias=False), DENSE(2)],
    "normalised after": lambda: [DENSE(5), layers.BatchNormalization(), layers.ReLU(), DENSE(2)],
    "normalised later": lambda: [DENSE(5, "relu"), layers.BatchNormalization(), layers.Dropout(0.2), DENSE(2)],
    "normalised without": lambda: [DENSE(5, "tanh"), layers.BatchNormalization(scale=False, center=False), DENSE(2)],
    "normalised first": lambda: [layers.BatchNormalization(scale=False), DENSE(5, "relu"), DENSE(2)],
    "negative first": lambda: [layers.Rescaling(-0.5, 2.0), DENSE(5, "relu"), DENSE(2)],
    "twice": lambda: [DENSE(5, "relu"), layers.BatchNormalization(), layers.Rescaling(-2.0, 0.5), DENSE(2)],
    "normalised last": lambda: [DENSE(5, "relu"), DENSE(2), layers.BatchNormalization()],
    "two scalings": lambda: [layers.Rescaling([1, 2, 3, 4], 0.5), layers.Rescaling(0.1), DENSE(5, "relu"), DENSE(2)],
    "scaled back": lambda: [DENSE(5, "relu"), DENSE(2), layers.Rescaling([3.0, 4.0], [1.0, 2.0])],
    "scaled back twice": lambda: [
        DENSE(5, "relu"),
        DENSE(2),
        layers.Rescaling([3.0, 4.0], 1.0),
        layers.Rescaling(2.0, 5.0),
    ],
    "scaled back, sigmoid": lambda: [DENSE(5, "relu"), DENSE(2, "sigmoid"), layers.Rescaling(10.0)],
    "nothing": lambda: [
        layers.Identity(),
        DENSE(5, "relu"),
        layers.Dropout(0.0),
        DENSE(2, "linear"),
        layers.Identity(),
    ],
    "nested": lambda: [sequential(DENSE(5, "relu"), DENSE(3)), DENSE(2)],
    "not trained": lambda: [DENSE(5, "relu", trainable=False), DENSE(2)],
}


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_of_layers_predicts_the_same_as_a_network(stack):
    model = sequential(*STACKS[stack]())
    net = from_model(model)
    assert relative(net.predict(X), predictions(model, X)) < 1e-6
    assert net.dtype == "float32"
    assert (net.input_scaling is not None) == (stack in ("normalised first", "two scalings"))
    assert (net.target_scaling is not None) == stack.startswith("scaled back")
    assert net.layers[0].trainable == (stack != "not trained")


def test_normalization_is_the_scaling():
    scaler, back = layers.Normalization(), layers.Normalization(invert=True, mean=5.0, variance=9.0)
    scaler.adapt(X * 3 + 1)
    model = sequential(scaler, DENSE(5, "tanh"), DENSE(1), back)
    net = from_model(model)
    assert relative(net.predict(X), predictions(model, X)) < 1e-6
    assert np.allclose(net.input_scaling.center, (X * 3 + 1).mean(axis=0), rtol=1e-5)
    assert net.target_scaling.scale.tolist() == [3]
    with pytest.raises(ValueError, match=r"has learned no mean yet|Normalization"):
        from_model(keras.Sequential([keras.Input((4,)), Unlearned(), DENSE(2)]))


class Unlearned(layers.Normalization):
    """As one that was never built."""

    def build(self, input_shape):
        self.mean, self.built = None, True

    def compute_output_spec(self, inputs):
        return inputs


def test_pictures_are_flattened_and_scaled_by_channel():
    images = RNG.uniform(0, 255, (6, 5, 4, 3)).astype("float32")
    inputs = keras.Input((5, 4, 3))
    x = layers.Rescaling([1 / 255, 1 / 100, 0.01], [0.1, 0.2, 0.3])(inputs)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 4.0, 9.0])(x)
    model = keras.Model(inputs, layers.Dense(3, "softmax")(layers.Flatten()(x)))
    net = from_model(model)
    assert net.widths == (60, 3)
    assert relative(net.predict(images.reshape(6, -1)), predictions(model, images)) < 1e-6


def test_what_only_training_sees_goes_both_ways():
    net = cbp.Network(
        [4, cbp.Dense(5, "relu", dropout=0.25, l1=0.5), cbp.Dense(6, "tanh", l2=0.125, max_norm=2, trainable=False), 2],
        output="identity",
        input_noise=0.5,
        input_dropout=0.125,
        seed=0,
    )
    model = to_model(net)
    assert from_model(model) == net
    named = {type(layer).__name__: layer for layer in model.layers}
    assert named["GaussianNoise"].stddev == 0.5
    assert [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)] == [0.125, 0.25]


def test_penalties_cost_the_same():
    net = cbp.Network([4, cbp.Dense(5, "relu", l1=0.5), cbp.Dense(6, "tanh", l2=0.125), 2], output="identity", seed=0)
    costs = sum(float(keras.ops.convert_to_numpy(loss)) for loss in to_model(net).losses)
    without = (net.predict(X) ** 2).sum(axis=1).mean() / 2
    assert np.isclose(costs, net.loss(X, np.zeros((40, 2))) - without, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scaling_goes_there_and_back(dtype):
    net = cbp.Network(
        [4, 6, 2],
        activation="tanh",
        output="identity",
        scale_inputs="standard",
        scale_targets="minmax",
        seed=1,
        dtype=dtype,
    )
    inputs = X.astype("float64") * [1, 10, 100, 1000] + [2000, 0, 0, 0]
    net.learn_scaling(inputs, inputs[:, :2] * 2 - 7)
    model = to_model(net)
    assert relative(predictions(model, inputs), net.predict(inputs)) < 1e-6
    again = from_model(model)
    assert again.params.tobytes() == net.params.tobytes()
    assert np.allclose(again.input_scaling.as_array(), net.input_scaling.as_array(), rtol=1e-14, atol=0)
    assert np.allclose(again.target_scaling.as_array(), net.target_scaling.as_array(), rtol=1e-14, atol=0)


def test_float64_weights_are_kept():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "tanh", dtype="float64"), layers.Dense(2, dtype="float64")]
    )
    numbers = [RNG.normal(0, 1, tuple(v.shape)) for v in model.weights]
    model.set_weights(numbers)
    net = from_model(model)
    assert net.dtype == "float64"
    want = np.tanh(X.astype("float64") @ numbers[0] + numbers[1]) @ numbers[2] + numbers[3]
    assert relative(net.predict(X), want) < 1e-12
    assert from_model(model, dtype="float32").dtype == "float32"


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_files_of_keras(ending, tmp_path):
    net = cbp.Network([4, cbp.Dense(5, "gaussian"), cbp.Dense(3, "softmax")], scale_inputs=(0.5, 2), seed=0)
    to_model(net).save(tmp_path / f"model.{ending}")
    model = keras.models.load_model(tmp_path / f"model.{ending}", custom_objects={"Function": cbp.io.keras.Function})
    again = from_model(model)
    assert again.params.tobytes() == net.params.tobytes()
    assert again.input_scaling.as_array().tolist() == net.input_scaling.as_array().tolist()


# ---- losses ----

COMPILED = {
    "mse": ("linear", cbp.losses.mean_squared_error),
    "sparse_categorical_crossentropy": ("softmax", cbp.losses.categorical_cross_entropy),
    "poisson": ("exponential", cbp.losses.poisson),
    "kl_divergence": ("softmax", cbp.losses.categorical_cross_entropy),
    "binary_crossentropy": ("linear", cbp.losses.half_squared_error),
    keras.losses.Huber(delta=0.5): ("linear", cbp.losses.huber(0.5)),
    keras.losses.CategoricalCrossentropy(label_smoothing=0.25): ("softmax", cbp.losses.categorical_cross_entropy(0.25)),
    keras.losses.BinaryFocalCrossentropy(gamma=3.0): ("sigmoid", cbp.losses.focal(3.0)),
}


@pytest.mark.parametrize("loss", COMPILED, ids=lambda loss: getattr(loss, "name", loss))
def test_the_loss_is_the_one_compiled_where_it_fits(loss):
    activation, want = COMPILED[loss]
    model = sequential(DENSE(3, "relu"), DENSE(2, activation))
    model.compile(loss=loss)
    assert cbp.losses.find(from_model(model).get_config()["loss"]) == want
    assert from_model(model, loss="log_cosh" if activation == "linear" else None).layers[1].n_out == 2


def test_losses_name_rows():
    assert {row for row, _ in _peers.LOSSES.values()} <= set(cbp.losses)


def test_an_output_may_be_added_and_a_loss_chosen():
    model = sequential(DENSE(5, "relu"), DENSE(3))
    net = from_model(model, output="softmax", loss=cbp.losses.categorical_cross_entropy(0.1))
    logits = predictions(model, X)
    want = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert relative(net.predict(X), want / want.sum(axis=1, keepdims=True)) < 1e-6


# ---- refusals ----


def functional(call):
    inputs = keras.Input((4,))
    return keras.Model(inputs, call(inputs, layers.Dense(4)(inputs)))


class Subclassed(keras.Model):
    def call(self, x):
        return x


REFUSED = {
    "is not built yet": lambda: keras.Sequential([DENSE(2)]),
    "Subclassed.call does cannot be followed": Subclassed,
    "1 inputs and 2 outputs": lambda: functional(lambda x, y: [y, layers.Dense(2)(y)]),
    "Concatenate .* has no counterpart in cbp; make the network with": lambda: functional(
        lambda x, y: layers.Concatenate()([x, y])
    ),
    "Add .* has no counterpart": lambda: functional(lambda x, y: x + y),
    "LayerNormalization .* has no counterpart in cbp; it scales each row": lambda: sequential(
        DENSE(2), layers.LayerNormalization()
    ),
    "PReLU .* put a LeakyReLU": lambda: sequential(DENSE(2), layers.PReLU()),
    "AlphaDropout": lambda: sequential(DENSE(2), layers.AlphaDropout(0.1), DENSE(2)),
    "Lambda": lambda: sequential(DENSE(2), layers.Lambda(lambda x: x)),
    "Conv1D": lambda: sequential(layers.Conv1D(2, 2), shape=(4, 3)),
    "ReLU .*, with its arguments, is none of": lambda: sequential(DENSE(2), layers.ReLU(4.0)),
    "Softmax .*, with its arguments, is none of": lambda: sequential(DENSE(2), layers.Softmax(axis=0)),
    "put Flatten before it": lambda: sequential(DENSE(2), shape=(3, 4)),
    "does not put all numbers of a row side by side": lambda: sequential(
        layers.Reshape((2, 2)), layers.Flatten(), DENSE(2)
    ),
    "ReLU .* follows Dense .* without weights between": lambda: sequential(DENSE(2, "tanh"), layers.ReLU()),
    "ReLU .* follows BatchNormalization": lambda: sequential(
        DENSE(2, "tanh"), layers.BatchNormalization(), layers.ReLU(), DENSE(2)
    ),
    "BatchNormalization .* comes after the output's activation": lambda: sequential(
        DENSE(2, "tanh"), layers.BatchNormalization()
    ),
    "comes before the first layer with weights": lambda: sequential(layers.ReLU(), DENSE(2)),
    "noise within the network": lambda: sequential(DENSE(2), layers.GaussianNoise(0.1), DENSE(2)),
    "dropout comes after the output": lambda: sequential(DENSE(2), layers.Dropout(0.1)),
    "second dropout in a row": lambda: sequential(DENSE(2), layers.Dropout(0.1), layers.Dropout(0.1), DENSE(2)),
    "dropout comes before Activation": lambda: sequential(
        DENSE(2), layers.Dropout(0.1), layers.Activation("tanh"), DENSE(2)
    ),
    "has a factor that is not positive, and noise": lambda: sequential(
        layers.Rescaling(-1.0), layers.GaussianNoise(0.1), DENSE(2)
    ),
    "softmax works on a whole row": lambda: sequential(DENSE(2, "softmax"), DENSE(2)),
    "no layer with weights": lambda: sequential(layers.Rescaling(2.0)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_no_network_has_is_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        from_model(REFUSED[message]())


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=r"must be a keras\.Model, not Dense"):
        from_model(DENSE(2))


BAD = [
    (cbp.Network([2, 3, cbp.Dense(1, "sigmoid", skip=[0])], seed=0), "cannot express the skip connections of layer 2"),
    (
        cbp.Network([2, cbp.Dense(2, ["tanh", "relu"]), 1], seed=0),
        "cannot express an activation per unit, as in layer 1",
    ),
    (cbp.Network([2, 3], heads=[(slice(0, 2), "softmax"), (slice(2, 3), "identity")], seed=0), "several heads"),
]


@pytest.mark.parametrize(("net", "message"), BAD, ids=[message for _, message in BAD])
def test_what_a_sequential_cannot_express_is_refused_by_name(net, message):
    with pytest.raises(ValueError, match=message):
        to_model(net)


def test_scaling_must_be_learned_first():
    with pytest.raises(RuntimeError, match="not learned yet"):
        to_model(cbp.Network([2, 1], scale_inputs="standard", seed=0))


def test_a_steepness_is_in_the_weights():
    net = cbp.Network([4, cbp.Dense(5, "tanh", steepness=0.3), 2], seed=4)
    assert relative(predictions(to_model(net), X), net.predict(X)) < 1e-6


def test_channels_come_last():
    net = cbp.Network([4, 2], scale_inputs=(1, [1, 2, 3, 4]), seed=0)
    model = to_model(net)
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="takes a number for each column with channels_last alone"):
            to_model(net)
        with pytest.raises(ValueError, match="has a number for each channel; cbp reads that with channels_last alone"):
            from_model(model)
    finally:
        keras.config.set_image_data_format("channels_last")


@pytest.mark.skipif(keras.config.backend() != "numpy", reason="what it prints is what NumPy prints")
def test_the_example_of_the_layer_runs():
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder().find(cbp.io.keras.Function, globs={}):
        runner.run(test, out=report.write)
    assert runner.tries
    assert runner.failures == 0, report.getvalue()


def test_a_function_must_be_known():
    with pytest.raises(ValueError, match="function must be one of celu, gelu_tanh, gaussian, sin, not 'cos'"):
        cbp.io.keras.Function("cos")
