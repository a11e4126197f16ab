"""ONNX graphs as networks: cbp's own come back as they were, dense graphs of others predict what they predicted."""

import json

import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES
from onnx import parser
from onnx_models import (
    ACTIVATIONS,
    ROW_WISE,
    by_reference,
    data,
    difference,
    digits,
    heads,
    in_words,
    points,
    regressor,
    single,
    without_properties,
)

import cbp
from cbp.io.onnx import from_model, load, to_model

WHOLE = {"digits": lambda dtype: digits(dtype)[0], "regressor": regressor, "heads": heads}


# ---- cbp's own ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", WHOLE)
def test_a_network_comes_back_equal(kind, dtype, tmp_path):
    net = WHOLE[kind](dtype)
    net.metadata["note"] = "kept"
    net.export(tmp_path / "model.onnx")
    again = load(tmp_path / "model.onnx")
    assert np.array_equal(again.params, net.params)
    assert again.get_config() == net.get_config()
    assert again.metadata == net.metadata
    X = data(net._spec.n_in, 1)[0]
    assert np.array_equal(again.predict(X), net.predict(X))


OPTIONS = [
    ("digits", {"labels": True}),
    ("digits", {"input_dtype": "float64", "opset": 13}),
    ("heads", {"split_heads": ["a", "b", "c"]}),
]


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_so_it_does_whatever_the_options_were(kind, options):
    net = WHOLE[kind]("float32")
    for model in (to_model(net, **options), without_properties(to_model(net, **options))):
        assert np.array_equal(from_model(model).params, net.params)


@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
@each_of("opset", [13, 20])
@each_of("dtype", DTYPES)
def test_the_graph_alone_says_which_activation_it_is(name, arg, dtype, opset):
    net = single(name, arg, dtype, steepness=0.75)
    again = from_model(without_properties(to_model(net, opset=opset)))
    assert np.array_equal(again.params, net.params)
    assert again.dtype == net.dtype
    if (name, arg, dtype) != ("celu", 1.0, "float64"):  # which is elu, and has no operator to tell them apart
        assert in_words(again) == in_words(net)
    assert np.array_equal(again.predict(points(name, dtype)), net.predict(points(name, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", WHOLE)
def test_the_graph_alone_says_what_a_network_computes(kind, dtype):
    net = WHOLE[kind](dtype)
    again = from_model(without_properties(to_model(net)))
    assert np.array_equal(again.params, net.params)
    assert in_words(again) == in_words(net)
    assert again.mask is None
    for ours, theirs in ((net.input_scaling, again.input_scaling), (net.target_scaling, again.target_scaling)):
        if ours is not None:
            assert np.array_equal(ours.as_array(), theirs.as_array())
    X = data(net._spec.n_in, 1)[0]
    assert np.array_equal(again.predict(X), net.predict(X))


def test_one_sigmoid_with_labels_is_one_output_again():
    net = cbp.Network([3, 1], seed=0)
    again = from_model(without_properties(to_model(net, labels=["no", "yes"])))
    assert np.array_equal(again.params, net.params)
    assert again.metadata == {"classes": ["no", "yes"]}


def test_metadata_that_are_not_of_the_graph_do_not_count():
    net = cbp.Network([3, 4, 2], activation="tanh", output="identity", loss="huber", seed=5)
    model = to_model(net)
    model.graph.node[1].op_type = "Sigmoid"
    again = from_model(model)
    assert [row.name for layer in again._spec.layers for row in layer.rows] == ["sigmoid", "identity"]
    assert again.get_config()["loss"] == "half_squared_error"


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("options"),
        lambda fields: fields["options"].update(labels=[1, 2, 3]),
        lambda fields: fields["options"].update(heads=["a"]),
        lambda fields: fields["options"].update(opset=10**9),
        lambda fields: fields["network"].update(layers=[2, 10**9, 10**9]),
        lambda fields: fields["network"].update(layers="abc"),
        lambda fields: fields["network"].update(scale_inputs="standard"),
        lambda fields: fields.update(network=[], version=1),
        lambda fields: fields.update(version=2),
    ],
)
def test_damaged_metadata_do_not_count(change):
    net = cbp.Network([3, 4, 2], activation="tanh", output="identity", loss="huber", seed=5)
    model = to_model(net)
    fields = json.loads(model.metadata_props[0].value)
    change(fields)
    model.metadata_props[0].value = json.dumps(fields)
    again = from_model(model)
    assert np.array_equal(again.params, net.params)
    assert again.get_config()["loss"] == "half_squared_error"


def test_a_loss_of_ones_own_stays_behind():
    def loss(y, a):
        return ((a - y) ** 2).sum(axis=1), 2 * (a - y)

    net = cbp.Network([3, 4, 2], output="identity", loss=loss, seed=5)
    net.metadata["features"] = ["a", "b", "c"]
    again = from_model(to_model(net))
    assert np.array_equal(again.params, net.params)
    assert again.metadata == net.metadata


# ---- graphs as others write them ----


def graph(body, opset=17, inputs="float[N,3] x", outputs="float[N,2] y", constants=""):
    """A model from onnx's textual form. W is (3, 2), V (2, 2), b and c (2,)."""
    known = (
        "float[3,2] W = {1, -2, 3, 0.5, -0.25, 4}, float[2,2] V = {0.5, 1, -1, 2}, float[2] b = {0.5, -1}, "
        f"float[2] c = {{2, 3}}{constants}"
    )
    text = f'<ir_version: 8, opset_import: ["" : {opset}, "ai.onnx.ml" : 3]> g ({inputs}) => ({outputs}) <{known}> '
    return parser.parse_model(text + "{" + body + "}")


X = np.random.default_rng(3).normal(0, 2, (40, 3)).astype(np.float32)
IDENTITY, RELU = ("identity",), ("relu",)
FORMS = {
    "Gemm": ("y = Gemm(x, W, b)", IDENTITY),
    "Gemm without bias": ("y = Gemm(x, W)", IDENTITY),
    "Gemm with factors": ("y = Gemm <alpha = 0.5, beta = 2.0> (x, W, b)", IDENTITY),
    "Gemm transposed": ("T = Transpose(W) y = Gemm <transB = 1> (x, T, b)", IDENTITY),
    "MatMul, Add": ("z = MatMul(x, W) y = Add(z, b)", IDENTITY),
    "Add the other way": ("z = MatMul(x, W) s = Add(b, z) y = Relu(s)", RELU),
    "MatMul, Sub": ("z = MatMul(x, W) s = Sub(z, b) y = Relu(s)", RELU),
    "two products": ("h = MatMul(x, W) i = Add(h, b) z = MatMul(i, V) y = Add(z, c)", ("identity", "identity")),
    "nothing happens": (
        "d = Dropout(x) f = Flatten(d) z = Gemm(f, W, b) i = Identity(z) k = Cast <to = 1> (i) y = Relu(k)",
        RELU,
    ),
    "shapes": (
        "n = Constant <value = int64[3] {0, 3, 1}> () u = Reshape(x, n) a = Constant <value = int64[1] {2}> () "
        "s = Squeeze(u, a) z = Gemm(s, W, b) y = Relu(z)",
        RELU,
    ),
    "view of the batch": (
        "s = Shape(x) o = Constant <value = int64 {0}> () m = Gather(s, o) a = Constant <value = int64[1] {0}> () "
        "e = Unsqueeze(m, a) l = Constant <value = int64[1] {-1}> () t = Concat <axis = 0> (e, l) "
        "f = Reshape(x, t) z = Gemm(f, W, b) y = Relu(z)",
        RELU,
    ),
    "normalised before": (
        "z = MatMul(x, W) n = BatchNormalization(z, c, b, b, c) y = Relu(n)",
        RELU,
    ),
    "normalised after": (
        "z = Gemm(x, W, b) h = Relu(z) n = BatchNormalization(h, c, b, b, c) y = Gemm(n, V, c)",
        ("relu", "identity"),
    ),
    "columns in another order": (
        "o = Constant <value = int64[3] {2, 0, 1}> () p = Gather <axis = 1> (x, o) z = Gemm(p, W, b) y = Relu(z)",
        RELU,
    ),
    "sliced and joined": (
        "n = Constant <value = int64[2] {1, 2}> () l, r = Split <axis = 1> (x, n) p = Concat <axis = 1> (l, r) "
        "y = Gemm(p, W, b)",
        IDENTITY,
    ),
    "steep": ("z = Gemm(x, W, b) k = Constant <value_float = 1.5> () s = Mul(z, k) y = Tanh(s)", ("tanh",)),
    "tanh of LeCun": (
        "z = Gemm(x, W, b) k = Constant <value_float = 0.6666667> () s = Mul(z, k) t = Tanh(s) "
        "m = Constant <value_float = 1.7159> () y = Mul(t, m)",
        ("tanh",),
    ),
    "scaled both ways": (
        "k = Constant <value = float[3] {1, 2, 3}> () s = Sub(x, k) d = Div(s, k) z = Gemm(d, W, b) h = Relu(z) "
        "g = Gemm(h, V, c) m = Mul(g, c) y = Add(m, b)",
        ("relu", "identity"),
    ),
    "Scaler": (
        "s = ai.onnx.ml.Scaler <offset = [1.0, 2.0, 3.0], scale = [0.5, 2.0, 4.0]> (x) y = Gemm(s, W, b)",
        IDENTITY,
    ),
    "turned round": ("z = Gemm(x, W, b) n = Neg(z) y = Sub(c, n)", IDENTITY),
    "skip": ("z = Gemm(x, W, b) h = Relu(z) j = Concat <axis = 1> (h, x) y = Gemm(j, U, c)", ("relu", "identity")),
    "sum of layers": (
        "z = Gemm(x, W, b) h = Relu(z) p = MatMul(h, V) q = Gemm(x, W, b) s = Add(p, q) y = Sigmoid(s)",
        ("relu", "sigmoid"),
    ),
    "log of softmax": ("z = Gemm(x, W, b) s = Softmax(z) y = Log(s)", ("log_softmax",)),
    "opset 7": ("z = Gemm(x, W, b) y = Softmax <axis = 1> (z)", ("softmax",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_form(form):
    body, activations = FORMS[form]
    model = graph(body, 7 if form == "opset 7" else 17, constants=", float[5,2] U = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5}")
    net = from_model(model)
    assert tuple(row.name for layer in net._spec.layers for row in layer.rows) == activations
    assert difference(net.predict(X), by_reference(model, x=X)[0]) <= 1e-6


ACTIVATION_FORMS = {
    "relu": ["y = Max(z, zero)", "y = Clip(z, zero)", "m = Greater(z, zero) y = Where(m, z, zero)"],
    "relu6": ["y = Clip(z, zero, six)", "r = Relu(z) y = Min(r, six)"],
    "hard_tanh": ["n = Neg(one) y = Clip(z, n, one)"],
    "hard_sigmoid": ["s = Add(z, three) r = Clip(s, zero, six) y = Div(r, six)"],
    "leaky_relu": ["l = Mul(z, tenth) y = Max(z, l)", "y = PRelu(z, tenth)", "y = PRelu(z, tenths)"],
    "elu": ["e = Exp(z) d = Sub(e, one) m = Min(d, zero) r = Relu(z) y = Add(m, r)"],
    "sigmoid": [
        "n = Neg(z) e = Exp(n) s = Add(e, one) y = Div(one, s)",
        "n = Neg(z) e = Exp(n) s = Add(one, e) y = Reciprocal(s)",
        "h = Mul(z, half) t = Tanh(h) u = Mul(t, half) y = Add(u, half)",
    ],
    "softplus": ["e = Exp(z) s = Add(e, one) y = Log(s)", "m = Greater(z, twenty) p = Softplus(z) y = Where(m, z, p)"],
    "log_sigmoid": ["s = Sigmoid(z) y = Log(s)", "n = Neg(z) p = Softplus(n) y = Neg(p)"],
    "softsign": ["a = Abs(z) s = Add(a, one) y = Div(z, s)"],
    "silu": ["s = Sigmoid(z) y = Mul(z, s)"],
    "mish": ["p = Softplus(z) t = Tanh(p) y = Mul(z, t)"],
    "gelu": [
        "d = Div(z, root) e = Erf(d) s = Add(e, one) m = Mul(z, s) y = Mul(m, half)",
        "h = Mul(half, z) d = Div(z, root) e = Erf(d) s = Add(one, e) y = Mul(h, s)",
    ],
    "gelu_tanh": [
        "p = Pow(z, three) k = Mul(p, cubic) s = Add(z, k) a = Mul(s, slope) t = Tanh(a) u = Add(t, one) "
        "m = Mul(z, u) y = Mul(m, half)"
    ],
    "gaussian": ["q = Mul(z, z) n = Neg(q) y = Exp(n)"],
}
NUMBERS = {"zero": 0, "one": 1, "three": 3, "six": 6, "twenty": 20, "half": 0.5, "tenth": 0.1, "root": 2**0.5}
NUMBERS |= {"cubic": 0.044715, "slope": (2 / np.pi) ** 0.5}
CONSTANTS = (
    "".join(f", float {name} = {{{value}}}" for name, value in NUMBERS.items()) + ", float[2] tenths = {0.1, 0.1}"
)


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, forms in ACTIVATION_FORMS.items() for form in forms])
def test_an_activation_is_known_by_its_values(name, form):
    model = graph(f"z = Gemm(x, W, b) {form}", constants=CONSTANTS)
    net = from_model(model)
    assert [row.name for row in net._spec.layers[0].rows] == [name]
    assert net._spec.layers[0].steepness == 1
    assert np.array_equal(net.layers[0].W.ravel(), [1, -2, 3, 0.5, -0.25, 4])
    assert difference(net.predict(X), by_reference(model, x=X)[0]) <= 1e-6


def test_an_argument_is_read_as_it_was_written():
    for operator, name in (("LeakyRelu", "leaky_relu"), ("Elu", "elu"), ("Celu", "celu")):
        net = from_model(graph(f"z = Gemm(x, W, b) y = {operator} <alpha = 0.3> (z)"))
        assert net._spec.layers[0].rows == (cbp.activations[name](0.3),)


def test_slopes_of_their_own_are_activations_per_unit():
    net = from_model(graph("z = Gemm(x, W, b) y = PRelu(z, p)", constants=", float[2] p = {0.1, 0.2}"))
    assert net._spec.layers[0].rows == tuple(map(cbp.activations.leaky_relu, (0.1, 0.2)))


def test_a_hard_sigmoid_of_another_slope_is_a_steeper_one():
    model = graph("z = Gemm(x, W, b) y = HardSigmoid(z)")
    net = from_model(model)
    assert net._spec.layers[0].steepness == 1.2
    assert difference(net.predict(X), by_reference(model, x=X)[0]) <= 1e-6


def test_scaling_is_exact_where_it_is_written_as_scaling():
    net = from_model(graph(FORMS["scaled both ways"][0]))
    assert (net.input_scaling.center.tolist(), net.input_scaling.scale.tolist()) == ([1, 2, 3], [1, 2, 3])
    assert (net.target_scaling.center.tolist(), net.target_scaling.scale.tolist()) == ([0.5, -1], [2, 3])


def test_several_outputs_are_heads():
    body = "h = Gemm(x, W, b) p = Softmax(h) q = Gemm(x, W, c)"
    model = graph(body, outputs="float[N,2] p, float[N,2] q")
    net = from_model(model)
    assert [str(head) for head in net._spec.heads.all] == ["2 softmax", "2 identity"]
    assert difference(net.predict(X), np.hstack(by_reference(model, x=X))) <= 1e-6


def test_branches_are_one_layer_with_weights_fixed_at_zero():
    body = (
        "n = Constant <value = int64[2] {1, 2}> () l, r = Split <axis = 1> (x, n) f = Gemm(l, A, b) g = Relu(f) "
        "s = Gemm(r, V, b) t = Tanh(s) j = Concat <axis = 1> (g, t) y = Gemm(j, U, c)"
    )
    model = graph(body, constants=", float[1,2] A = {1, 2}, float[4,2] U = {1, 2, 3, 4, 5, 6, 7, 8}")
    net = from_model(model)
    assert [row.name for row in net._spec.layers[0].rows] == ["relu", "relu", "tanh", "tanh"]
    assert net.layers[0].mask[1:].tolist() == [[1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]
    before = net.predict(X)
    assert difference(before, by_reference(model, x=X)[0]) <= 1e-6
    net.fit(X, before + 1, epochs=1)
    assert (net.layers[0].W[net.layers[0].mask[1:] == 0] == 0).all()


def test_several_inputs_are_named_columns():
    model = graph(
        "x = Concat <axis = 1> (age, size, weight) y = Gemm(x, W, b)",
        inputs="float[N,1] age, float[N,1] size, float[N,1] weight",
    )
    net = from_model(model)
    assert net.metadata["features"] == ["age", "size", "weight"]
    want = by_reference(model, age=X[:, :1], size=X[:, 1:2], weight=X[:, 2:])[0]
    assert difference(net.predict(X), want) <= 1e-6


def test_images_are_flattened():
    model = graph(
        "s = Sub(x, k) f = Flatten(s) y = Gemm(f, W, b)", inputs="float[N,1,3] x", constants=", float k = {1}"
    )
    net = from_model(model)
    assert difference(net.predict(X), by_reference(model, x=X[:, None])[0]) <= 1e-6


def test_float64_weights_make_a_float64_network():
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (double[N,2] x) => (double[N,1] y) '
        "<double[2,1] W = {0.1, 0.2}, double[1] b = {0.3}> {z = MatMul(x, W) y = Add(z, b)}"
    )
    net = from_model(parser.parse_model(text))
    assert net.dtype == np.float64
    assert net.params.tolist() == [0.3, 0.1, 0.2]
    assert ROW_WISE == ["softmax", "log_softmax"]
