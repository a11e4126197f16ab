"""Networks as ONNX graphs: what onnx.reference and ONNX Runtime compute is what cbp predicts."""

import json

import numpy as np
import onnx
import pytest
from cases import each_of
from helpers import DTYPES, activation
from onnx import helper
from onnx_models import (
    ACTIVATIONS,
    ROW_WISE,
    RUNNERS,
    TOLERANCE,
    by_onnxruntime,
    checked,
    data,
    difference,
    digits,
    heads,
    points,
    regressor,
    single,
)
from reference import activate

import cbp
from cbp.io.onnx import to_model
from cbp.io.onnx._builder import Builder
from cbp.io.onnx._formula import write_formula

NEWEST = onnx.defs.onnx_opset_version()
OPSETS = [13, 20, 24]
LOOSER = {"Swish": 2e-6}  # ONNX Runtime's sigmoid ends at -18, and is multiplied by z here


def operators(model):
    return [node.op_type for node in model.graph.node]


# ---- every activation ----


@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
@each_of("opset", [opset for opset in OPSETS if opset <= NEWEST])
@each_of("dtype", DTYPES)
def test_activation(name, arg, dtype, opset):
    net, X = single(name, arg, dtype, steepness=0.75), points(name, dtype)
    model = checked(to_model(net, opset=opset))
    tolerance = max(TOLERANCE[dtype], *(LOOSER.get(operator, 0) for operator in operators(model)))
    for run in RUNNERS:
        (got,) = run(model, input=X)
        assert difference(got, net.predict(X)) <= tolerance


def formula_model(name, arg, dtype):
    """The formula of a row alone, whether it has an operator or not."""
    row, builder = activation(name, arg), Builder(np.dtype(dtype), NEWEST)
    result = write_formula(row.formula, "input", row.args, builder)
    builder.rename(builder.node("Identity", result), "output")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    infos = [helper.make_tensor_value_info(side, kind, ["batch", 3]) for side in ("input", "output")]
    constants = [onnx.numpy_helper.from_array(array, side) for side, array in builder.constants.items()]
    graph = helper.make_graph(builder.nodes, "formula", infos[:1], infos[1:], constants)
    opsets = [helper.make_opsetid("", builder.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
@each_of("dtype", DTYPES)
def test_formula_of_the_row(name, arg, dtype):
    X = points(name, dtype)
    with np.errstate(all="ignore"):
        wide = X.astype(np.longdouble)
        arg = float(np.dtype(dtype).type(arg))
        want = np.array([activate(name, z, arg) for z in wide]) if name in ROW_WISE else activate(name, wide, arg)
    model = checked(formula_model(name, arg, dtype))
    for run in RUNNERS:
        (got,) = run(model, input=X)
        assert difference(got, want.astype(dtype)) <= TOLERANCE[dtype]


def test_a_formula_that_has_no_translation_is_refused():
    builder = Builder(np.dtype("float32"), NEWEST)
    with pytest.raises(ValueError, match=r"'bessel\(z\)' has no translation"):
        write_formula("1 + bessel(z)", "input", {}, builder)
    with pytest.raises(ValueError, match="'beta' has no translation"):
        write_formula("beta * z", "input", {"alpha": 1.0}, builder)


# ---- whole models ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", RUNNERS)
def test_classifier_of_digits(run, dtype):
    net, X = digits(dtype)
    X = X[:200].astype(dtype)
    model = checked(to_model(net, labels=True))
    label, probabilities = run(model, input=X)
    assert difference(probabilities, net.predict(X)) <= TOLERANCE[dtype]
    assert list(label) == [f"digit {i}" for i in net.predict(X).argmax(axis=1)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", RUNNERS)
def test_scaled_regressor_with_skip_and_steepness(run, dtype):
    net, X = regressor(dtype), data(4, 2)[0].astype(dtype)
    (got,) = run(checked(to_model(net)), input=X)
    assert difference(got, net.predict(X)) <= TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("run", RUNNERS)
def test_heads_in_one_output_or_one_each(run, dtype):
    net, X = heads(dtype), data(4, 2)[0].astype(dtype) / 100
    want = net.predict(X)
    (got,) = run(checked(to_model(net)), input=X)
    assert difference(got, want) <= TOLERANCE[dtype]
    model = checked(to_model(net, split_heads=["kind", "place", "weather"]))
    assert [info.name for info in model.graph.output] == ["kind", "place", "weather"]
    parts = run(model, input=X)
    assert [part.shape[1] for part in parts] == [3, 2, 2]
    assert difference(np.concatenate(parts, axis=1), want) <= TOLERANCE[dtype]


def test_one_row_none_and_many_are_the_same_model():
    net = cbp.Network([3, 4, 2], seed=0)
    for m in (0, 1, 1000):
        (got,) = by_onnxruntime(to_model(net), input=np.ones((m, 3), np.float32))
        assert got.shape == (m, 2)


def test_float64_input_of_a_float32_network_is_scaled_before_it_is_rounded():
    start = 1.7e9  # seconds since 1970, where neighbouring float32 numbers are two minutes apart
    net = cbp.Network([1, 3, 1], scale_inputs=([start], [100.0]), seed=0)
    X = start + np.arange(50.0)[:, None]
    model = checked(to_model(net, input_dtype="float64"))
    for run in RUNNERS:
        assert difference(run(model, input=X)[0], net.predict(X)) <= 1e-6
    assert len(np.unique(by_onnxruntime(to_model(net), input=X.astype(np.float32))[0])) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("input_dtype", DTYPES)
def test_input_of_either_type(dtype, input_dtype):
    net = cbp.Network([3, 2], dtype=dtype, seed=0)
    X = np.linspace(-1, 1, 9).reshape(3, 3).astype(input_dtype)
    for run in RUNNERS:
        assert difference(run(checked(to_model(net, input_dtype=input_dtype)), input=X)[0], net.predict(X)) <= 1e-6


# ---- labels ----


@pytest.mark.parametrize("output", ["softmax", "log_softmax"])
@pytest.mark.parametrize("run", RUNNERS)
def test_labels_are_the_names_of_the_largest(run, output):
    net, X = cbp.Network([4, 3], output=output, seed=0), data(4, 1)[0].astype("float32") / 100
    p = np.exp(net.predict(X)) if output == "log_softmax" else net.predict(X)
    for classes in (["a", "b", "c"], [7, 3, 5], np.array([2, 4, 6])):
        label, probabilities = run(checked(to_model(net, labels=classes)), input=X)
        assert difference(probabilities, p) <= 1e-6
        assert [*label] == [classes[i] for i in p.argmax(axis=1)]


@pytest.mark.parametrize("run", RUNNERS)
def test_one_sigmoid_is_two_classes(run):
    net, X = cbp.Network([4, 1], seed=0), data(4, 1)[0].astype("float32") - 60
    label, probabilities = run(checked(to_model(net, labels=True)), input=X)
    p = net.predict(X)
    assert difference(probabilities, np.hstack([1 - p, p])) <= 1e-6
    assert set(label) == {0, 1}
    assert np.array_equal(label, (p > 0.5).ravel())


# ---- what the file says of itself ----


@pytest.mark.parametrize(
    ("activation", "dtype", "opset", "operator"),
    [
        ("relu", "float32", 13, "Relu"),
        ("mish", "float32", 18, "Mish"),
        ("gelu", "float32", 20, "Gelu"),
        ("gelu", "float64", 13, "Exp"),
        ("leaky_relu", "float32", 13, "LeakyRelu"),
        ("leaky_relu", "float64", 13, "Where"),
        ("silu", "float32", 13, "Exp"),
    ],
)
def test_the_opset_is_the_lowest_that_has_the_operators(activation, dtype, opset, operator):
    model = to_model(cbp.Network([2, cbp.Dense(2, activation)], dtype=dtype, seed=0))
    assert operator in operators(model)
    assert model.opset_import[0].version == opset
    assert model.ir_version == helper.find_min_ir_version_for(model.opset_import)
    for node in model.graph.node:
        assert onnx.defs.get_schema(node.op_type, opset).since_version <= opset


def test_no_operator_is_newer_than_allowed():
    for name, arg in ACTIVATIONS:
        model = to_model(single(name, arg, "float32"), opset=13)
        assert model.opset_import[0].version == 13


def test_names_that_a_person_can_follow():
    model = to_model(regressor("float32"))
    names = [node.name for node in model.graph.node]
    assert names[:5] == ["inputs/Cast", "inputs/Sub", "inputs/Div", "inputs/Cast_2", "layer_1/Gemm"]
    assert len(set(names)) == len(names)
    assert {tensor.name for tensor in model.graph.initializer} >= {"inputs/center", "layer_1/W", "layer_3/b"}
    (given,), (made,) = model.graph.input, model.graph.output
    assert (given.name, made.name) == ("input", "output")
    assert [(dim.dim_param, dim.dim_value) for dim in given.type.tensor_type.shape.dim] == [("batch", 0), ("", 4)]


def test_the_model_says_who_made_it_and_what_it_is():
    net = cbp.Network([2, 3, 2], output="softmax", seed=0)
    net.metadata = {"classes": ["no", "yes"], "features": ["age", "size"], "note": "of mine"}
    model = to_model(net)
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert (model.producer_name, model.producer_version) == ("cbp", cbp.__version__)
    assert model.doc_string == str(net)
    assert (said["classes"], said["features"]) == (["no", "yes"], ["age", "size"])
    assert said["cbp"]["network"] == net.get_config()


def test_nothing_of_training_is_in_the_graph():
    layers = [3, cbp.Dense(4, "relu", dropout=0.5, l1=0.1), 2]
    net = cbp.Network(layers, output="softmax", input_noise=0.1, input_dropout=0.2, seed=0)
    assert operators(to_model(net)) == ["Gemm", "Relu", "Gemm", "Softmax"]


def test_the_same_network_gives_the_same_bytes(tmp_path):
    net = regressor("float32")
    for name in ("one.onnx", "two.onnx"):
        net.export(tmp_path / name)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()


# ---- refusals ----


@pytest.mark.parametrize(
    ("net", "options", "message"),
    [
        (cbp.Network([2, 3], seed=0), {"labels": True}, "labels need an output softmax"),
        (cbp.Network([2, 3], output="softmax", seed=0), {"labels": ["a"]}, "there are 3 classes, 1 names"),
        (cbp.Network([2, 3], output="softmax", seed=0), {"labels": ["a", 1, 2]}, "all text or all whole numbers"),
        (cbp.Network([2, 3], seed=0), {"split_heads": True}, "for a network with heads"),
        (cbp.Network([2, 3], heads=[cbp.Head(1), cbp.Head(2)]), {"split_heads": ["a", "a"]}, "2 different names"),
        (cbp.Network([2, 3], heads=[cbp.Head(1), cbp.Head(2)]), {"split_heads": ["a", "input"]}, "2 different names"),
        (cbp.Network([2, 3], output="softmax", seed=0), {"labels": True, "split_heads": True}, "with one head"),
        (cbp.Network([2, 3], seed=0), {"opset": 12}, "opset must be"),
        (cbp.Network([2, 3], seed=0), {"opset": NEWEST + 1}, "opset must be"),
        (cbp.Network([2, 3], seed=0), {"input_dtype": "int32"}, "input_dtype must be float32 or float64"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(net, options, message):
    with pytest.raises(ValueError, match=message):
        to_model(net, **options)


def test_what_is_not_known_or_cannot_be_kept_is_refused():
    net = cbp.Network([2, 3], scale_inputs="standard", seed=0)
    with pytest.raises(RuntimeError, match="not learned yet"):
        to_model(net)
    net = cbp.Network([2, 3], seed=0)
    net.metadata["when"] = object()
    with pytest.raises(TypeError, match="metadata must be a dict of what JSON can hold"):
        to_model(net)
    with pytest.raises(TypeError, match="colour"):
        net.export("model.onnx", colour="red")


def test_a_refused_export_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="labels"):
        cbp.Network([2, 3], seed=0).export(path, labels=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(ImportError, match=r'writing ONNX needs onnx: pip install "cbpnet\[onnx\]"'):
        to_model(cbp.Network([2, 3], seed=0))
    with pytest.raises(ImportError, match=r'reading ONNX needs onnx: pip install "cbpnet\[onnx\]"'):
        cbp.io.onnx.from_model(None)
