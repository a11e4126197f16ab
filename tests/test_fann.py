"""Networks of FANN: what libfann predicts with its own files (make_fann_fixtures.c), and files that it can read."""

import re
from pathlib import Path

import numpy as np
import pytest
from refusals import only_refused

import cbp
from cbp.io import fann
from cbp.io._fann_file import TRAINING

DATA = Path(__file__).parent / "data" / "fann"
KINDS = ("float", "double")
KNOWN = [function for function in fann.FUNCTIONS if function.row]
UNKNOWN = [function.name for function in fann.FUNCTIONS if not function.row]
rng = np.random.default_rng(5)


def numbers(name, n_in):
    """Rows of inputs, and of what libfann predicted."""
    table = np.loadtxt(DATA / f"{name}.txt", ndmin=2)
    return table[:, :n_in], table[:, n_in:]


def relative(got, want):
    """Largest distance, by the largest of the numbers that are wanted."""
    return np.abs(got - want).max() / np.abs(want).max()


def net_text(sizes, neurons, connections, rate=1.0, shortcut=0):
    """A .net file with what it must have."""
    values = {
        "num_layers": len(sizes),
        "connection_rate": rate,
        "network_type": shortcut,
        "layer_sizes": " ".join(map(str, sizes)),
        "neurons (num_inputs, activation_function, activation_steepness)": " ".join(map(str, neurons)),
        "connections (connected_to_neuron, weight)": " ".join(map(str, connections)),
    }
    return "".join(["FANN_FLO_2.1\n", *(f"{key}={value}\n" for key, value in values.items())])


def fixture(name):
    return DATA / f"{name}.net"


def lines_of(path):
    """The values of a .net file by key."""
    header, *lines = Path(path).read_text().splitlines()
    assert header == "FANN_FLO_2.1"
    return dict(line.split("=", 1) for line in lines)


def tuples(text):
    return [tuple(map(float, part.split(","))) for part in text.strip().strip("()").split(") (")]


FORMULAS = {
    0: lambda x: x,
    3: lambda x: 1 / (1 + np.exp(-2 * x)),
    5: lambda x: 2 / (1 + np.exp(-2 * x)) - 1,
    7: lambda x: np.exp(-x * x),
    8: lambda x: 2 * np.exp(-x * x) - 1,
    10: lambda x: x / 2 / (1 + abs(x)) + 0.5,
    11: lambda x: x / (1 + abs(x)),
    12: lambda x: min(max(x, 0), 1),
    13: lambda x: min(max(x, -1), 1),
    14: np.sin,
    15: np.cos,
    16: lambda x: np.sin(x) / 2 + 0.5,
    17: lambda x: np.cos(x) / 2 + 0.5,
}


def run(path, X, scaled=False):
    """What fann_run makes of rows, read from the manual of FANN; the text of a file is all it knows."""
    values = lines_of(path)
    sizes = list(map(int, values["layer_sizes"].split()))
    neurons = tuples(next(value for key, value in values.items() if key.startswith("neurons")))
    connections = tuples(next(value for key, value in values.items() if key.startswith("connections")))
    shortcut = values["network_type"] == "1"
    scale = {key: np.array(value.split(), float) for key, value in values.items() if key.startswith("scale_")}
    outputs = []
    for row in np.asarray(X, float):
        if scaled:
            row = (row - scale["scale_mean_in"]) / scale["scale_deviation_in"] + 1
            row = row * scale["scale_factor_in"] + scale["scale_new_min_in"]
        state, at = [*row, 1.0], 0
        for count, number, steepness in neurons[sizes[0] :]:
            if count == 0:
                state.append(1.0)
                continue
            mine = connections[at : at + int(count)]
            at += int(count)
            total = steepness * sum(weight * state[int(source)] for source, weight in mine)
            state.append(FORMULAS[int(number)](max(min(total, 150 / steepness), -150 / steepness)))
        out = np.array(state[-sizes[-1] :] if shortcut else state[-sizes[-1] : -1])
        if scaled:
            out = (out - scale["scale_new_min_out"]) / scale["scale_factor_out"] - 1
            out = out * scale["scale_deviation_out"] + scale["scale_mean_out"]
        outputs.append(out)
    return np.array(outputs)


# ---- files that libfann wrote ----


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [fann.FUNCTIONS.index(function) for function in KNOWN])
def test_every_function_predicts_what_libfann_predicted(number, kind):
    net = fann.load(fixture(f"{kind}_{number:02}"), dtype="float32" if kind == "float" else "float64")
    X, outputs = numbers(f"{kind}_{number:02}", 3)
    assert relative(net.predict(X), outputs) < (1e-6 if kind == "float" else 1e-14)


@pytest.mark.parametrize("name", ["float_mixed", "float_shortcut", "float_sparse", "float_cascade"])
def test_networks_of_every_form_predict_what_libfann_predicted(name):
    net = fann.load(fixture(name))
    X, outputs = numbers(name, net.layers[0].n_in)
    assert net.dtype == np.float32
    assert relative(net.predict(X), outputs) < 1e-6


@pytest.mark.parametrize("name", ["double_mixed", "double_shortcut"])
def test_in_double_they_agree_to_rounding(name):
    net = fann.load(fixture(name), dtype="float64")
    X, outputs = numbers(name, 3)
    assert relative(net.predict(X), outputs) < 1e-14


def test_scaling_is_part_of_the_network():
    net = fann.load(fixture("float_scaled"))
    X, outputs = numbers("float_scaled", 2)
    assert relative(net.predict(X), outputs) < 1e-6
    values = lines_of(fixture("float_scaled"))
    mean, deviation = (np.array(values[f"scale_{key}_in"].split(), float) for key in ("mean", "deviation"))
    assert net.input_scaling.center.tolist() == mean.tolist()
    assert net.input_scaling.scale.tolist() == deviation.tolist()


def test_functions_without_an_equal_are_refused_by_name():
    assert len(UNKNOWN) == 5
    for function in UNKNOWN:
        number = [each.name for each in fann.FUNCTIONS].index(function)
        with pytest.raises(cbp.FormatError, match=f"{function}\\b"):
            fann.load(fixture(f"float_{number:02}"))


@pytest.mark.parametrize(("number", "bound"), [(4, 0.0333), (6, 0.0665)])
def test_stepwise_functions_are_read_as_what_they_approximate(tmp_path, number, bound):
    smooth = fann.load(fixture(f"float_{number:02}"), smooth=True)
    text = fixture(f"float_{number:02}").read_text()
    (tmp_path / "a.net").write_text(re.sub(rf"([1-9], ){number}, ", rf"\g<1>{number - 1}, ", text))
    assert smooth == fann.load(tmp_path / "a.net")
    x = np.linspace(-4, 4, 100_001)
    knots = np.array([-2.64665293693542, -1.472219347953796, -0.549306154251098])
    values = [-0.99, -0.9, -0.5]
    line = np.where(x < knots[0], -1, np.interp(x, [*knots, *-knots[::-1]], [*values, *np.negative(values[::-1])]))
    line = np.where(x >= -knots[0], 1, line)
    largest = np.abs(line - np.tanh(x)).max() * (0.5 if number == 4 else 1)
    assert bound - 0.0002 < largest < bound


def test_a_fixed_point_file_has_the_rounded_numbers():
    exact, fixed = fann.load(fixture("unfixed")), fann.load(fixture("fixed"), smooth=True)
    point = int((DATA / "fixed.net").read_text().splitlines()[1].removeprefix("decimal_point="))
    assert 0 < np.abs(exact.params - fixed.params).max() <= 2.0**-point / 2
    assert (fixed.params * 2.0**point == np.round(fixed.params * 2.0**point)).all()


# ---- what becomes of its parts ----


def test_steepness_of_a_layer_and_of_a_neuron():
    net = fann.load(fixture("float_05"))
    assert [layer.steepness for layer in net._spec.layers] == [0.75, 0.5, 0.375]
    net = fann.load(fixture("float_03"))
    assert [layer.steepness for layer in net._spec.layers] == [1.5, 1.0, 0.75]
    net = fann.load(fixture("float_mixed"))
    assert [layer.steepness for layer in net._spec.layers] == [1.0, 1.0, 1.0]
    assert str(net.layers[0].activation[0]) == "sigmoid"


def test_missing_connections_stay_missing_in_training():
    net = fann.load(fixture("float_sparse"))
    n_connections = len(tuples(lines_of(fixture("float_sparse"))["connections (connected_to_neuron, weight)"]))
    assert n_connections == net.mask.sum() < net.n_params
    assert (net.params[net.mask == 0] == 0).all()
    net.fit(rng.normal(size=(50, 4)), rng.normal(size=(50, 3)), epochs=3)
    assert (net.params[net.mask == 0] == 0).all()


def test_shortcuts_and_cascades_are_skip_connections():
    assert [layer.skip for layer in fann.load(fixture("float_shortcut"))._spec.layers] == [(), (0,), (0, 1)]
    cascade = fann.load(fixture("float_cascade"))
    assert [layer.skip for layer in cascade._spec.layers] == [tuple(range(l)) for l in range(len(cascade.layers))]
    assert cascade.mask is None


def test_two_connections_between_the_same_neurons_add_up(tmp_path):
    neurons = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (3, 5, 0.5), (2, 0, 1), (0, 0, 0)]
    text = net_text([3, 3], neurons, [(0, 0.5), (2, 1), (0, 0.25), (2, 3), (1, -1)], rate=0.5)
    (tmp_path / "a.net").write_text(text)
    net = fann.load(tmp_path / "a.net")
    assert net.layers[0].W.tolist() == [[0.375, 0.0], [0.0, -1.0]]  # the steepness is in them
    assert net.layers[0].b.tolist() == [0.5, 3.0]
    assert net.layers[0].mask.tolist() == [[1, 1], [1, 0], [0, 1]]


def test_settings_for_training_are_kept(tmp_path):
    net = fann.load(fixture("float_05"))
    values = lines_of(fixture("float_05"))
    assert net.metadata["fann"] == {key: values[key].strip() for key in TRAINING}
    net.metadata["fann"]["learning_rate"] = 0.25
    net.metadata["fann"]["cascade_activation_steepnesses"] = "0.25 1e-3"
    net.export(tmp_path / "a.net")
    assert lines_of(tmp_path / "a.net")["learning_rate"] == "0.25"
    for wrong in ({"momentum": 1}, {"learning_rate": "1\n2"}, {"learning_rate": "fast"}, {"learning_rate": ""}, 3):
        net.metadata["fann"] = wrong
        with pytest.raises(ValueError, match="metadata"):
            net.export(tmp_path / "a.net")


def test_float32_unless_the_weights_need_more(tmp_path):
    net = cbp.Network([2, 2], activation="tanh", dtype="float64", seed=0)
    net.export(tmp_path / "a.net")
    assert fann.load(tmp_path / "a.net").dtype == np.float64
    assert fann.load(tmp_path / "a.net", dtype="float32").dtype == np.float32
    net.params[:] = net.params.astype(np.float32)
    net.export(tmp_path / "a.net")
    assert fann.load(tmp_path / "a.net").dtype == np.float32


# ---- files that cbp writes ----


def networks():
    """Networks of every kind that FANN can express."""
    each = [*fann.OF_ROW]
    yield "plain", cbp.Network([3, 5, 4, 2], activation="tanh", output="identity", dtype="float64", seed=1)
    yield "units", cbp.Network([3, cbp.Dense(8, each), cbp.Dense(8, each)], dtype="float64", seed=2)
    layers = [cbp.Dense(3, "sin", steepness=0.3), cbp.Dense(2, "tanh", skip="all"), cbp.Dense(2, "sigmoid", skip="all")]
    yield "skips", cbp.Network([3, *layers], dtype="float64", seed=3)
    layers = [cbp.Dense(3, "tanh"), cbp.Dense(4, "gaussian", steepness=1.7), cbp.Dense(2, "softsign", skip=[0])]
    yield "some skips", cbp.Network([3, *layers], dtype="float64", seed=4)
    yield (
        "heads",
        cbp.Network(
            [3, 4, 3], dtype="float64", heads=[cbp.Head(2, "sigmoid"), cbp.Head(1, "identity", "huber")], seed=5
        ),
    )
    net = cbp.Network([3, 6, 2], activation="tanh", dtype="float64", seed=6)
    mask = rng.integers(0, 2, net.n_params)
    net.params[:] = rng.normal(size=net.n_params) * mask
    net.mask = mask
    yield "sparse", net
    yield "float", cbp.Network([3, 4, 2], activation="hard_sigmoid", seed=7)


NETWORKS = dict(networks())


@pytest.mark.parametrize("name", NETWORKS)
def test_an_exported_file_computes_the_same(name, tmp_path):
    net = NETWORKS[name]
    X = rng.normal(size=(20, 3))
    net.export(tmp_path / "a.net")
    assert relative(run(tmp_path / "a.net", X), net.predict(X)) < (1e-6 if net.dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("name", NETWORKS)
def test_reading_it_back_gives_the_same_parameters(name, tmp_path):
    net = NETWORKS[name]
    net.export(tmp_path / "a.net")
    other = fann.load(tmp_path / "a.net", dtype=net.dtype)
    assert [layer.skip for layer in other._spec.layers] == [layer.skip for layer in net._spec.layers]
    assert relative(other.predict(np.eye(3)), net.predict(np.eye(3))) < 1e-6
    if name not in ("units", "float"):  # hard_sigmoid is rounded
        assert (other.params == net.params).all()
    if name == "units":
        assert np.abs(other.params - net.params).max() < 1e-15
    again = tmp_path / "b.net"
    other.export(again)
    if name not in ("units", "float"):
        assert again.read_bytes() == (tmp_path / "a.net").read_bytes()


def test_the_steepness_stays_with_the_layer(tmp_path):
    NETWORKS["some skips"].export(tmp_path / "a.net")
    assert [layer.steepness for layer in fann.load(tmp_path / "a.net")._spec.layers] == [1.0, 1.7, 1.0]


def test_a_masked_network_is_sparse(tmp_path):
    net = NETWORKS["sparse"]
    net.export(tmp_path / "a.net")
    values = lines_of(tmp_path / "a.net")
    assert 0 < float(values["connection_rate"]) < 1
    alone = sum(not layer.mask[:, j].any() for layer in net.layers for j in range(layer.n_out))
    n_connections = len(tuples(values["connections (connected_to_neuron, weight)"]))
    assert n_connections == net.mask.sum() + alone  # a neuron without any keeps its bias
    other = fann.load(tmp_path / "a.net")
    assert other.mask.sum() == n_connections


def test_nearly_all_connections_are_not_all(tmp_path):
    net = cbp.Network([50, 50], activation="tanh", seed=0)
    mask = np.ones(net.n_params)
    mask[-1] = net.params[-1] = 0
    net.mask = mask
    net.export(tmp_path / "a.net")
    assert np.float32(lines_of(tmp_path / "a.net")["connection_rate"]) < 1


@pytest.mark.parametrize("output", ["identity", "tanh"])
def test_scaling_goes_beside_the_network(tmp_path, output):
    net = scaled_network(output)
    X = 100 + 30 * rng.normal(size=(20, 2))
    net.export(tmp_path / "a.net")
    assert relative(run(tmp_path / "a.net", X, scaled=True), net.predict(X)) < 1e-13
    other = fann.load(tmp_path / "a.net")
    assert other.input_scaling.as_array().tolist() == net.input_scaling.as_array().tolist()
    assert other.target_scaling.as_array().tolist() == net.target_scaling.as_array().tolist()


def scaled_network(output):
    net = cbp.Network(
        [2, 4, cbp.Dense(2, output, skip="all", steepness=0.7)],
        loss="half_squared_error",
        dtype="float64",
        scale_inputs="standard",
        scale_targets=([3.0, -2.0], [10.0, 0.25]),
        seed=0,
    )
    net.learn_scaling(100 + 30 * rng.normal(size=(50, 2)), rng.normal(size=(50, 2)))
    return net


def test_scaling_goes_into_the_weights(tmp_path):
    net = scaled_network("identity")
    X = 100 + 30 * rng.normal(size=(20, 2))
    net.export(tmp_path / "a.net", scaling="folded", reach=1e4)
    assert "scale_mean_in" not in lines_of(tmp_path / "a.net")
    assert relative(run(tmp_path / "a.net", X), net.predict(X)) < 1e-12
    with pytest.raises(ValueError, match="identity only"):
        scaled_network("tanh").export(tmp_path / "b.net", scaling="folded")
    assert not (tmp_path / "b.net").exists()


def test_linear_outputs_reach_as_far_as_one_says(tmp_path):
    net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    net.params[:] = 0, 1000
    net.export(tmp_path / "a.net")
    assert run(tmp_path / "a.net", [[1.0]]).item() == 150
    net.export(tmp_path / "a.net", reach=2000)
    assert run(tmp_path / "a.net", [[1.0]]).item() == 1000
    assert fann.load(tmp_path / "a.net").predict([1.0]).item() == 1000


@pytest.mark.parametrize("name", [name for name in cbp.activations if name not in fann.OF_ROW])
def test_other_activations_are_refused_by_name(name, tmp_path):
    with pytest.raises(ValueError, match=f"{name}.*layer 1"):
        cbp.Network([2, 3], output=name, seed=0).export(tmp_path / "a.net")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("options", [{"scaling": "both"}, {"reach": 0.0}, {"reach": np.inf}])
def test_wrong_options(options, tmp_path):
    with pytest.raises(ValueError, match=next(iter(options))):
        cbp.Network([2, 1], seed=0).export(tmp_path / "a.net", **options)


def test_scaling_that_is_not_learned(tmp_path):
    with pytest.raises(RuntimeError, match="not learned"):
        cbp.Network([2, 1], scale_inputs="standard", seed=0).export(tmp_path / "a.net")


def test_another_dtype_is_no_fault_of_the_file():
    with pytest.raises(ValueError, match=r"^dtype must be"):
        fann.load(fixture("float_05"), dtype="int8")


# ---- damaged files ----

SMALL = {name: fixture(name).read_bytes() for name in ("float_05", "float_sparse", "float_shortcut", "float_scaled")}
MEANING = ("num_layers", "connection_rate", "network_type", "layer_sizes", "neurons", "connections")
WRONG = ["", "-1", "4294967296", "1e9", "nan", "1e999", "0.5", "x", "1 " * 9, "(1, 2)", "0x10", "1_0"]


def damaged():
    """Texts that are no .net files, and why."""
    for name, text in SMALL.items():
        lines = text.splitlines(keepends=True)
        for at in range(0, len(text), len(text) // 25):
            yield f"{name} cut at {at}", text[:at]
        for i, line in enumerate(lines):
            key, _, _ = line.partition(b"=")
            if i and key.startswith(tuple(word.encode() for word in MEANING)):
                yield f"{name} without {key}", b"".join(lines[:i] + lines[i + 1 :])
                for wrong in WRONG:
                    if (key, wrong) != (b"connection_rate", "0.5"):
                        yield (
                            f"{name} {key} {wrong}",
                            b"".join([*lines[:i], key, f"={wrong}\n".encode(), *lines[i + 1 :]]),
                        )
            yield f"{name} twice {key}", b"".join([*lines[: i + 1], *lines[i:]])
        for old, new in [(b"(0, ", b"(999, "), (b") (", b")("[::-1]), (b", ", b" "), (b"FLO_2.1", b"FLO_1.1")]:
            yield f"{name} {old} {new}", text.replace(old, new)


CORPUS = dict(damaged())


def test_damaged_files_are_refused(tmp_path):
    assert len(CORPUS) > 350
    only_refused(fann.load, tmp_path / "a.net", CORPUS, "not a network of FANN", 300_000)


def test_bytes_changed_at_random_raise_nothing_else(tmp_path):
    path = tmp_path / "a.net"
    some = np.random.default_rng(11)
    refused = 0
    for round_ in range(400):
        text = bytearray([*SMALL.values()][round_ % len(SMALL)])
        for at in some.integers(0, len(text), 3):
            text[at] = some.choice(list(b"0123456789-+.eE(), =\nxnaif\xff\0"))
        path.write_bytes(text)
        try:
            fann.load(path)
        except cbp.FormatError:
            refused += 1
    assert refused > 200


def test_a_header_may_say_what_it_likes(tmp_path):
    path = tmp_path / "a.net"
    text = SMALL["float_05"].decode()
    for layers in ("1000000000", "2147483647", "4"):
        path.write_text(
            text.replace("num_layers=4", f"num_layers={layers}").replace("_sizes=4 5", "_sizes=2147483647 5")
        )
        with pytest.raises(cbp.FormatError):
            fann.load(path)


def test_few_connections_in_wide_layers_are_refused(tmp_path):
    n = 3000
    neurons = [(0, 0, 0)] * (n + 1) + [(1, 0, 1)] * n + [(0, 0, 0)]
    (tmp_path / "a.net").write_text(net_text([n + 1, n + 1], neurons, [(n, 1)] * n, rate=0.1))
    with pytest.raises(cbp.FormatError, match="matrices of 9003000 numbers"):
        fann.load(tmp_path / "a.net")


def test_a_column_without_spread_is_refused(tmp_path):
    text = SMALL["float_scaled"].decode()
    deviation = next(line for line in text.splitlines() if line.startswith("scale_deviation_in"))
    (tmp_path / "a.net").write_text(text.replace(deviation, "scale_deviation_in=0.000000 1.000000 "))
    with pytest.raises(cbp.FormatError, match="no spread"):
        fann.load(tmp_path / "a.net")
