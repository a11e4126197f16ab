"""What is no network of dense layers is refused by name; damaged models raise FormatError and nothing else."""

import random
import tracemalloc

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import regressor, without_properties
from test_onnx_in import graph

import cbp
from cbp.io.onnx import from_model, load, to_model
from cbp.io.onnx._operators import HANDLERS
from cbp.io.onnx._protobuf import parse

LINEAR = "z = Gemm(x, W, b) "
REFUSED = {
    "an operator that is not read": (LINEAR + "y = Round(z)", r"not read: Round \(node 'y'\)"),
    "an operator of another library": (LINEAR + "y = com.microsoft.FusedGemm(z)", r"com.microsoft.FusedGemm \(node"),
    "an activation that there is not": (LINEAR + "y = HardSwish(z)", r"no activation of cbp computes HardSwish \(node"),
    "a clip that only begins like relu": (LINEAR + "y = Clip(z, zero, far)", "computes Clip"),
    "functions of a row inside": (LINEAR + "s = Softmax(z) y = Gemm(s, V, c)", "softmax works on a whole row"),
    "softmax across the rows": (LINEAR + "y = Softmax <axis = 0> (z)", "does not go along the columns"),
    "an activation of the inputs": ("t = Tanh(x) y = Gemm(t, W, b)", r"Tanh \(node 't'\) works on the inputs"),
    "layers added after their activations": (
        LINEAR + "h = Relu(z) p = MatMul(h, V) q = Tanh(p) y = Add(q, h)",
        r"Add \(node 'y'\) joins the units of different layers",
    ),
    "two activations of one layer": (
        LINEAR + "h = Relu(z) t = Tanh(z) j = Concat <axis = 1> (h, t) y = Gemm(j, U, c)",
        "go through two different activations",
    ),
    "a product of the data": (LINEAR + "y = MatMul(z, z)", "computed from the data"),
    "a transposed input": ("y = Gemm <transA = 1> (x, W, b)", "transposes the data"),
    "shapes that do not fit": ("y = Gemm(x, V, b)", r"multiplies rows of \(3,\) by float32 of the shape \(2, 2\)"),
    "rows that are mixed": (LINEAR + "n = Constant <value = int64[2] {-1, 1}> () y = Reshape(z, n)", "of rows of"),
    "training": ("z = BatchNormalization <training_mode = 1> (x, k, k, k, k) y = Gemm(z, W, b)", "in training mode"),
    "dropout in training": ("d = Dropout(x, half, yes) y = Gemm(d, W, b)", "in training mode"),
    "whole numbers": (LINEAR + "y = Cast <to = 7> (z)", "makes int64 of the data"),
    "a value from nowhere": ("y = Gemm(x, W, d)", r"takes 'd', which nothing before it makes"),
    "no layer at all": ("y = Identity(x)", "no layer between its input and its output"),
    "an output from inside": (LINEAR + "h = Relu(z) q = Gemm(h, V, c)", "not computed by its last layer"),
    "the same output twice": (LINEAR + "y = Concat <axis = 1> (z, z)", "an output of the graph twice"),
    "two classes without a probability": (
        "z = Gemm(x, A, half) t = Tanh(z) n = Sub(one, t) y = Concat <axis = 1> (n, t)",
        "an output of the graph twice",
    ),
    "outputs turned round": (LINEAR + "h = Relu(z) y = Neg(h)", "is turned round at the output"),
    "another number of inputs": ("y = Gemm(x)", "has 1 inputs, which is not what it takes"),
    "an attribute that is another's": ("y = Gemm <axis = 1> (x, W, b)", "has an attribute 'axis' that is not its own"),
}
MORE = ", float zero = {0}, float far = {100}, float half = {0.5}, bool yes = {1}, float[3] k = {1, 1, 1}"
MORE += ", float one = {1}, float[3,1] A = {1, 2, 3}"
MORE += ", float[4,2] U = {1, 2, 3, 4, 5, 6, 7, 8}"


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    body, message = REFUSED[case]
    outputs = "float[N,2] h, float[N,2] q" if case == "an output from inside" else "float[N,2] y"
    with pytest.raises(cbp.FormatError, match=message):
        from_model(graph(body, outputs=outputs, constants=MORE))


# ---- damaged models ----


def changed(change):
    """A small model of two layers, changed."""
    model = without_properties(to_model(cbp.Network([3, 4, 2], activation="tanh", seed=0)))
    change(model)
    return model


def tensor(model, **fields):
    """Change the first tensor."""
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(model.graph.initializer[0], name)[:] = value
        else:
            setattr(model.graph.initializer[0], name, value)


def dimension(model, value):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = value


def elsewhere(model):
    entry = model.graph.initializer[0].external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def subgraph(model):
    inner = helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", inner))


DAMAGES = {
    "too few numbers": (lambda m: tensor(m, dims=[3, 5]), "has not the numbers that its shape asks for"),
    "far too few numbers": (lambda m: tensor(m, dims=[2**40, 2**40]), "has not the numbers"),
    "a negative length": (lambda m: tensor(m, dims=[-3, -4]), "has a shape"),
    "an unknown type": (lambda m: tensor(m, data_type=99), "has the type 99"),
    "a type without use here": (lambda m: tensor(m, data_type=TensorProto.FLOAT16), "has the type float16"),
    "whole numbers as weights": (lambda m: tensor(m, data_type=TensorProto.INT32), "by int32 of the shape"),
    "weights that are not finite": (lambda m: tensor(m, raw_data=b"\xff" * 48), "not finite"),
    "another file": (elsewhere, "'layer_1/W' is kept in another file"),
    "another file by its mark": (lambda m: tensor(m, data_location=TensorProto.EXTERNAL), "kept in another file"),
    "a name twice": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "have the same name"),
    "a node twice": (lambda m: m.graph.node.append(m.graph.node[1]), "nothing before it makes|made twice"),
    "nodes in the wrong order": (lambda m: m.graph.node.reverse(), "which nothing before it makes"),
    "a circle": (lambda m: m.graph.node[0].input.__setitem__(0, "output"), "it has no input"),
    "no opset": (lambda m: m.ClearField("opset_import"), "opset 0; 7 and newer are read"),
    "functions": (lambda m: m.functions.add(name="Layer"), "functions of its own, such as Layer"),
    "sparse tensors": (lambda m: m.graph.sparse_initializer.add(), "sparse tensors"),
    "no output": (lambda m: m.graph.ClearField("output"), "no output that is numbers"),
    "an output that nothing makes": (
        lambda m: setattr(m.graph.output[0], "name", "lost"),
        "its output 'lost' is made by no node",
    ),
    "no columns": (lambda m: dimension(m, 0), "does not say how many columns"),
    "another number of columns": (lambda m: dimension(m, 4), r"multiplies rows of \(4,\)"),
    "more columns than bytes": (lambda m: dimension(m, 2**40), "more columns than there are weights for"),
    "text as input": (lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 8), "is not numbers of"),
    "a subgraph": (subgraph, "has an attribute 'body' that is not its own"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named(damage):
    change, message = DAMAGES[damage]
    with pytest.raises(cbp.FormatError, match=message):
        from_model(changed(change))


def test_columns_that_double_are_refused_before_they_are_made():
    nodes = [helper.make_node("Concat", [f"v{i}"] * 2, [f"v{i + 1}"], axis=1) for i in range(60)]
    model = changed(lambda m: None)
    model.graph.input[0].name = "v0"
    model.graph.node[0].input[0] = "v60"
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    with pytest.raises(cbp.FormatError, match="more columns than there are weights for"):
        from_model(model)


def test_values_that_double_are_refused():
    nodes = [helper.make_node("Add", [f"v{i}"] * 2, [f"v{i + 1}"]) for i in range(300)]
    model = changed(lambda m: m.graph.ClearField("node"))
    model.graph.node.append(helper.make_node("Gemm", ["input", "layer_1/W", "layer_1/b"], ["v0"]))
    model.graph.node.extend(nodes)
    model.graph.output[0].name = "v300"
    with pytest.raises(cbp.FormatError, match="one of more than 200 operators between two layers"):
        from_model(model)


@pytest.mark.parametrize("size", [0, 1, 10, 100, 500])
def test_a_file_that_ends_early(size, tmp_path):
    path = tmp_path / "model.onnx"
    regressor("float32").export(path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(cbp.FormatError, match=r"model.onnx is not a model that cbp can read: "):
        load(path)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.onnx")


CORPUS = 300


def damaged(seed):
    """A model with some of its parts, or of its bytes, changed at random."""
    rng = random.Random(seed)
    model = to_model(regressor("float32")) if seed % 2 else changed(lambda m: None)
    if seed % 4 < 2:
        data = bytearray(model.SerializeToString())
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
    nodes, tensors = model.graph.node, model.graph.initializer
    names = [name for node in nodes for name in node.output] + [each.name for each in tensors] + ["input", ""]
    for _ in range(rng.choice([1, 2, 3])):
        node = rng.choice(nodes)
        rng.choice(
            [
                lambda node=node: setattr(node, "op_type", rng.choice(sorted(HANDLERS))),
                lambda node=node: node.input.append(rng.choice(names)),
                lambda node=node: node.input.__setitem__(0, rng.choice(names)),
                lambda node=node: node.output.__setitem__(0, rng.choice(names[:-1])),
                lambda node=node: nodes.remove(node),
                lambda: tensor(model, dims=[rng.choice([0, 1, 3, 4, 2**62]) for _ in range(rng.randrange(4))]),
            ]
        )()
    return model.SerializeToString()


def test_a_corpus_of_damaged_models():
    outcomes = {"read": 0, "refused": 0}
    for seed in range(CORPUS):
        data = damaged(seed)
        try:
            net = from_model(parse(data))
            assert np.isfinite(net.params).all(), seed
            outcomes["read"] += 1
        except cbp.FormatError:
            outcomes["refused"] += 1
    assert outcomes["refused"] > 200  # a weight with another byte is still a model


def test_a_claim_of_more_than_the_file_has_takes_no_memory():
    models = [changed(DAMAGES[name][0]) for name in ("far too few numbers", "more columns than bytes")]
    tracemalloc.start()
    for model in models:
        with pytest.raises(cbp.FormatError):
            from_model(model)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_the_model_is_not_modified():
    model = to_model(regressor("float32"))
    before = onnx.ModelProto()
    before.CopyFrom(model)
    from_model(model)
    from_model(without_properties(model))
    assert model == before
