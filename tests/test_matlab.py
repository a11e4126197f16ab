"""Networks of MATLAB: what its formulas give for files that Octave wrote (make_matlab_fixtures.m), and exports."""

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from refusals import only_refused

import cbp
from cbp.io import _mat5, matlab
from cbp.io._matlab_net import OF_ROW, TRANSFERS

DATA = Path(__file__).parent / "data" / "matlab"
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
STRUCTS = sorted(path.stem for path in DATA.glob("*.mat"))
FUNCTIONS = sorted(path.stem for path in DATA.glob("*.m") if path.stem != "evaluate")
rng = np.random.default_rng(2)


def relative(got, want):
    """Largest distance, by the largest of the numbers that are wanted."""
    return np.abs(got - want).max() / np.abs(want).max()


def expected(path, n_in):
    """Rows of inputs, and of the outputs that Octave computed."""
    table = np.loadtxt(path, ndmin=2)
    return table[:, :n_in], table[:, n_in:]


# ---- files of MATLAB's form ----


def test_there_are_fixtures():
    assert len(STRUCTS) == 14
    assert len(FUNCTIONS) == 7


@pytest.mark.parametrize("name", STRUCTS)
def test_a_struct_computes_what_the_manual_says(name):
    net = matlab.load(DATA / f"{name}.mat")
    X, outputs = expected(DATA / f"{name}.txt", net.layers[0].n_in)
    assert net.dtype == np.float64
    assert relative(net.predict(X), outputs) < 2e-15
    assert relative(matlab.load(DATA / f"{name}.mat", dtype="float32").predict(X), outputs) < 1e-6


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_read_as_what_octave_makes_of_it(name):
    net = matlab.load(DATA / f"{name}.m")
    X, outputs = expected(DATA / f"{name}.m.txt", net.layers[0].n_in)
    assert relative(net.predict(X), outputs) < 2e-15
    assert matlab.from_function((DATA / f"{name}.m").read_text()) == net


def test_every_transfer_function_has_a_fixture():
    assert {f"each_{name}" for name in TRANSFERS} - set(STRUCTS) == {"each_softmax"}
    assert str(matlab.load(DATA / "patternnet.mat").layers[-1].activation) == "softmax"


def test_versions_and_forms_of_the_same_network_are_the_same():
    net = matlab.load(DATA / "fitnet.mat")
    assert matlab.load(DATA / "fitnet_v6.mat") == net
    for form in ("matrix", "cells", "underscores", "rows"):
        other = matlab.load(DATA / f"fit_{form}.m")
        assert (other.params == net.params).all()
        assert np.allclose(other.input_scaling.as_array(), net.input_scaling.as_array(), rtol=1e-15, atol=0)


@pytest.mark.parametrize("name", STRUCTS)
def test_scipy_reads_the_same_from_the_files(name):
    data = (DATA / f"{name}.mat").read_bytes()
    variables = {key: value for key, value in scipy.io.loadmat(io.BytesIO(data)).items() if key[0] != "_"}
    assert same(_mat5.read(data), variables)


def same(mine, scipys):
    """Whether what was read is what SciPy has: a struct a record, a text an array of one."""
    if isinstance(mine, dict):
        fields = scipys if isinstance(scipys, dict) else {key: scipys[key][0, 0] for key in scipys.dtype.names}
        return mine.keys() == fields.keys() and all(same(mine[key], fields[key]) for key in mine)
    if mine.dtype == object:
        return mine.shape == scipys.shape and all(map(same, mine.ravel(), scipys.ravel()))
    if mine.dtype.kind == "U":
        return "".join(mine.ravel()) == "".join(scipys.ravel())
    return mine.shape == scipys.shape and (mine == scipys).all()


# ---- published numbers ----


def function(text, layers, dtype="float64"):
    """A network of constants, and for each layer its transfer function."""
    lines = [text]
    for number, name in enumerate(layers, 1):
        term = f"LW{number}_{number - 1}*a{number - 1}" if number > 1 else "IW1_1*x1"
        inside = f"repmat(b{number},1,Q) + {term}"
        lines.append(f"a{number} = {inside if name == 'purelin' else f'{name}_apply({inside})'};")
    return matlab.from_function("\n".join(lines), dtype=dtype)


def test_the_linear_network_of_the_manual():
    """User's Guide, "Simulation with concurrent inputs in a static network": A = [5 4 8 5]."""
    net = function("IW1_1 = [1 2]; b1 = 0;", ["purelin"])
    assert net.predict([[1, 2], [2, 1], [2, 3], [3, 1]]).ravel().tolist() == [5, 4, 8, 5]


def test_the_first_step_of_hagans_example():
    """Hagan, Demuth and Beale, Neural Network Design, chapter 11: a1 = [0.321; 0.368], a2 = 0.446 for p = 1."""
    net = function(
        "IW1_1 = [-0.27; -0.41]; b1 = [-0.48; -0.13]; LW2_1 = [0.09 -0.17]; b2 = 0.48;", ["logsig", "purelin"]
    )
    assert net.forward([1.0]).round(3).tolist() == [0.446]
    assert net.activations[1].ravel().round(3).tolist() == [0.321, 0.368]


def test_the_scaling_of_the_manual():
    """Reference of mapminmax: x1 = [1 2 4; 1 1 1; 3 2 2; 0 0 0]; rows without spread stay as they are."""
    x = np.array([[1, 2, 4], [1, 1, 1], [3, 2, 2], [0, 0, 0]], float)
    settings = {"xmin": x.min(axis=1), "xmax": x.max(axis=1), "ymin": -1.0, "ymax": 1.0, "no_change": 0.0}
    fields = struct_of(cbp.Network([4, 1], output="identity", dtype="float64", seed=0))
    set_processing(fields, "inputs", 4, ["mapminmax"], [settings])
    net = loaded(fields)
    wanted = np.array([[-1, -1 / 3, 1], [1, 1, 1], [1, -1, -1], [0, 0, 0]])
    assert np.allclose(net.input_scaling.transform(x.T), wanted.T, rtol=0, atol=1e-15)


# ---- structs, made and changed ----


def cell(values):
    array = np.empty((1, len(values)), object)
    for i, value in enumerate(values):
        array[0, i] = value
    return array


def struct_of(net, tmp=None):
    """The fields of an exported struct, as SciPy reads them."""
    from cbp.io import _matlab_file
    from cbp.io._matlab_net import describe

    data = _matlab_file.write(describe(net))
    fields = scipy.io.loadmat(io.BytesIO(data))
    return {key: value for key, value in fields.items() if not key.startswith("__")}


def set_processing(fields, side, n, names, settings):
    at = (0, 0) if side == "inputs" else (0, -1)
    fields[side][at] = {"size": float(n), "processFcns": cell(names), "processSettings": cell(settings)}


def loaded(fields, how=None, tmp=[]):  # noqa: B006 - one folder for all
    """What is read from a file with these fields."""
    import tempfile

    folder = tempfile.TemporaryDirectory()
    with folder:
        path = Path(folder.name) / "net.mat"
        scipy.io.savemat(path, fields if how is None else {how: fields})
        return matlab.load(path)


SMALL = cbp.Network([2, cbp.Dense(3, "tanh"), cbp.Dense(2, "identity", skip="all")], dtype="float64", seed=0)


def test_a_struct_in_a_variable_of_its_own():
    assert loaded(struct_of(SMALL), "s").predict([1.0, 2.0]).tolist() == SMALL.predict([1.0, 2.0]).tolist()


def test_what_is_not_connected_is_fixed_at_zero():
    net = matlab.load(DATA / "two_columns.mat")
    assert [layer.skip for layer in net._spec.layers] == [(), (0,), (1,)]
    assert net.layers[0].mask.tolist() == [[0] * 4, *[[1] * 4] * 3]
    assert net.layers[1].mask.tolist() == [[1] * 3] * 4 + [[0] * 3] * 4
    assert net.layers[2].mask.all()
    assert (net.params[net.mask == 0] == 0).all()


def test_removed_rows_have_no_weights():
    net = matlab.load(DATA / "patternnet.mat")
    assert net.layers[0].mask.tolist() == [[1] * 5, [1] * 5, [0] * 5, [1] * 5, [1] * 5, [0] * 5]
    assert net.input_scaling.center[[1, 4]].tolist() == [4.0, -1.0]
    X, outputs = expected(DATA / "patternnet.txt", 5)
    X[:, [1, 4]] = rng.normal(size=(20, 2))
    assert relative(net.predict(X), outputs) < 2e-15
    constant = matlab.load(DATA / "constant_output.mat")
    assert constant.layers[-1].mask.T.tolist() == [[1] * 5, [0] * 5, [1] * 5]
    assert (constant.predict(rng.normal(size=(5, 3)))[:, 1] == 11).all()


def test_the_loss_is_that_of_the_performance_function():
    names = {
        "cascade": "mean_absolute_error",
        "fitnet": "mean_squared_error",
        "patternnet": "categorical_cross_entropy",
    }
    assert {name: str(matlab.load(DATA / f"{name}.mat")._spec.loss) for name in names} == names
    sigmoid = cbp.Network([2, 1], output="sigmoid", dtype="float64", seed=0)
    assert loaded(struct_of(sigmoid))._spec.loss == cbp.losses.binary_cross_entropy


CHANGES = {
    "hardlim": lambda f: transfer(f, "hardlim"),
    "tribas": lambda f: transfer(f, "tribas"),
    "radbasn": lambda f: transfer(f, "radbasn"),
    "netinv": lambda f: transfer(f, "netinv"),
    "elliot2sig": lambda f: transfer(f, "elliot2sig"),
    "compet": lambda f: transfer(f, "compet"),
    "processpca": lambda f: set_processing(f, "inputs", 2, ["processpca"], [{"transform": np.eye(2)}]),
    "fixunknowns": lambda f: set_processing(f, "inputs", 2, ["fixunknowns"], [{"unknown": 1.0, "no_change": 0.0}]),
    "netprod": lambda f: f["layers"].__setitem__((0, 0), {"transferFcn": "tansig", "netInputFcn": "netprod"}),
    "more than one input": lambda f: f.update(IW=np.concatenate([f["IW"]] * 2, axis=1)),
    "delays": lambda f: f.update(numInputDelays=2.0),
    "fed by layer 2": lambda f: f["LW"].__setitem__((0, 1), np.ones((3, 2))),
    "weights from 0 to 1": lambda f: f["IW"].__setitem__((0, 0), np.ones((3, 4))),
    "not of one size": lambda f: f["b"].__setitem__((0, 0), np.ones((4, 1))),
    "not finite": lambda f: f["b"].__setitem__((0, 0), np.array([[1.0], [np.nan], [0.0]])),
    "one output": lambda f: f.update(outputs=f["outputs"][:, ::-1]),
    "no cell array": lambda f: f.update(LW=np.eye(2)),
    "no struct": lambda f: f["layers"].__setitem__((0, 0), "tansig"),
    "no matrix": lambda f: f["IW"].__setitem__((0, 0), "abc"),
    "no text": lambda f: f.update(performFcn=3.0),
    "no variable IW": lambda f: f.pop("IW"),
    "kind that no network has": lambda f: f["b"].__setitem__((0, 0), np.ones((3, 1)) * 1j),
    "no number of inputs": lambda f: set_processing(f, "inputs", 1.5, [], []),
    "knows nothing": lambda f: set_processing(f, "inputs", 1e9, [], []),
    "gain": lambda f: set_processing(f, "inputs", 2, ["mapstd"], [{"gain": 0.0, "xoffset": 1.0, "ymean": 0.0}]),
    "has no ymin": lambda f: set_processing(f, "inputs", 2, ["mapminmax"], [{"gain": 1.0, "xoffset": 1.0}]),
    "is not 2 numbers": lambda f: set_processing(f, "inputs", 2, ["mapstd"], [{"ymean": np.ones(3)}]),
    "2 processFcns": lambda f: set_processing(f, "inputs", 2, ["mapstd", "mapstd"], [{"ymean": 0.0}]),
    "names rows": lambda f: set_processing(f, "inputs", 2, ["removeconstantrows"], [{"keep": np.array([1.0, 7.0])}]),
    "no list of rows": lambda f: set_processing(f, "inputs", 2, ["removeconstantrows"], [{"keep": 1.5}]),
    "2, and 1 after": lambda f: set_processing(f, "outputs", 2, ["removeconstantrows"], [{"keep": 1.0}]),
    "allowed at the output only": lambda f: transfer(f, "softmax"),
}


def transfer(fields, name):
    fields["layers"][0, 0] = {"size": 3.0, "transferFcn": name}


@pytest.mark.parametrize("message", CHANGES)
def test_what_cbp_has_not_is_refused_by_name(message):
    fields = struct_of(SMALL)
    CHANGES[message](fields)
    with pytest.raises(cbp.FormatError, match=re.escape(message)):
        loaded(fields)


def test_scaled_probabilities_are_refused():
    fields = struct_of(cbp.Network([2, 3], output="softmax", dtype="float64", seed=0))
    settings = {"xoffset": np.zeros(3), "gain": np.ones(3), "ymin": -1.0}
    set_processing(fields, "outputs", 3, ["mapminmax"], [settings])
    with pytest.raises(cbp.FormatError, match="scale_targets"):
        loaded(fields)


# ---- texts of functions ----

TEXT = (DATA / "constant_output_matrix.m").read_text()
EDITS = {
    "neither b1 nor IW1_1": ("", None),
    "no activation that equals hardlim": ("tansig_apply(repmat", "hardlim_apply(repmat"),
    "twice what b1": ("b2 = ", "b1 = "),
    "rows of different lengths": (" -1.1299165423187663;", ";"),
    "b2 is not a matrix": ("b2 = [", "b2 = [x "),
    "not finite": ("b2 = [", "b2 = [1e999;"),
    "delays": ("IW1_1*xp1", "IW1_1*tapdelay1"),
    "'LW2_1*xp1', which belongs elsewhere": ("LW2_1*a1", "LW2_1*xp1"),
    "'LW2_1.*a1'": ("LW2_1*a1", "LW2_1.*a1"),
    "'LW2_3*a3', which belongs elsewhere": ("LW2_1*a1", "LW2_3*a3"),
    "does not say what LW2_1": ("LW2_1 = [", "LW2_9 = ["),
    "a3 is not computed where layer 1": ("a1 = tansig", "a3 = tansig"),
    "uses b2": ("repmat(b2,1,Q) + LW2_1*a1", "LW2_1*a1"),
    "x1_step1.transform": ("x1_step1.gain", "x1_step1.transform"),
    "more than one input": ("x1_step1.gain", "x2_step1.gain"),
    "has none of": ("x1_step1.ymean", "x1_step1.xrows"),
    "has no gain": ("y1_step2.gain", "y1_step2.value"),
    "layer 2 has no weights": (" + LW2_1*a1", ""),
}


@pytest.mark.parametrize("message", EDITS)
def test_other_functions_are_refused(message):
    old, new = EDITS[message]
    assert old in TEXT
    text = TEXT.replace(old, new, 1) if new is not None else "function y = f(x)"
    with pytest.raises(cbp.FormatError, match=re.escape(message)):
        matlab.from_function(text)


def test_the_number_of_inputs_without_the_comment():
    text = re.sub("%.*", "", (DATA / "pattern_matrix.m").read_text())
    assert matlab.from_function(text).layers[0].n_in == 4  # nothing speaks of the fifth, which was removed


def test_more_inputs_than_the_weights_could_speak_of():
    text = (DATA / "pattern_matrix.m").read_text().replace("x = 5xQ", "x = 999999999xQ")
    with pytest.raises(cbp.FormatError, match="its 30 weights would need matrices of 5000000018 numbers"):
        matlab.from_function(text)


def test_comments_and_continued_lines():
    net = matlab.load(DATA / "fit_matrix.m")
    text = (DATA / "fit_matrix.m").read_text().replace(";-", "; ... the next row\n -").replace("\n", " % b1 = 7\r\n")
    assert matlab.from_function(text) == net


# ---- exports ----


def networks():
    """Networks of every kind that MATLAB can express."""
    for name in OF_ROW:
        layers = [3, cbp.Dense(4, "tanh" if name == "softmax" else name, steepness=0.7), cbp.Dense(2, name)]
        yield name, cbp.Network(layers, dtype="float64", seed=1)
    layers = [3, cbp.Dense(4, "tanh"), cbp.Dense(3, "sigmoid", skip="all"), cbp.Dense(2, "identity", skip=[0])]
    net = cbp.Network(
        layers, dtype="float64", scale_inputs=([1, 2, 3], [0.1, 1, 10]), scale_targets=([5, -5], 3), seed=2
    )
    yield "skips", net
    net = net.copy()
    net.layers[1].mask = np.repeat([0, 1, 1, 1, 0, 0, 0, 0], 3).reshape(8, 3)
    net.layers[1].theta[:] *= net.layers[1].mask
    yield "parts", net
    yield "float", cbp.Network([3, 4, 2], activation="tanh", output="softmax", seed=3)


NETWORKS = dict(networks())
for _net in NETWORKS.values():
    if not np.any(_net.layers[0].b):
        for _layer in _net.layers:
            _layer.b[:] = rng.normal(size=_layer.n_out) if _layer.mask is None or _layer.mask[0].any() else 0


@pytest.mark.parametrize("ending", ["mat", "m"])
@pytest.mark.parametrize("name", NETWORKS)
def test_reading_an_export_gives_the_network_back(name, ending, tmp_path):
    net, path = NETWORKS[name], tmp_path / f"net.{ending}"
    X = rng.normal(size=(20, 3))
    net.export(path)
    other = matlab.load(path, dtype=net.dtype)
    assert relative(other.predict(X), net.predict(X)) < (1e-6 if name == "float" else 1e-14)
    assert [layer.skip for layer in other._spec.layers] == [layer.skip for layer in net._spec.layers]
    assert (other.mask is None) == (net.mask is None)
    if name in ("skips", "parts", "float"):
        assert (other.params == net.params).all()
    if name == "parts":
        assert (other.mask == net.mask).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_struct_has_what_matlabs_formulas_need(name, tmp_path):
    net = NETWORKS[name]
    X = rng.normal(size=(20, 3))
    net.export(tmp_path / "net.mat")
    y = manual(scipy.io.loadmat(tmp_path / "net.mat"), X.T).T
    assert relative(y, net.predict(X)) < (1e-6 if name == "float" else 1e-14)


FORMULAS = {
    "tansig": lambda n: 2 / (1 + np.exp(-2 * n)) - 1,
    "logsig": lambda n: 1 / (1 + np.exp(-n)),
    "purelin": lambda n: n,
    "poslin": lambda n: np.maximum(n, 0),
    "satlin": lambda n: np.clip(n, 0, 1),
    "satlins": lambda n: np.clip(n, -1, 1),
    "radbas": lambda n: np.exp(-(n**2)),
    "elliotsig": lambda n: n / (1 + abs(n)),
    "softmax": lambda n: np.exp(n) / np.exp(n).sum(axis=0),
}


def manual(s, x):
    """Outputs by the formulas of MATLAB's manual; a sample is a column."""
    settings = s["inputs"][0, 0]["processSettings"][0, 0]
    for one in settings.ravel():
        low, high = one["xmin"][0, 0], one["xmax"][0, 0]
        x = 2 * (x - low) / (high - low) - 1
    a = []
    for i, layer in enumerate(s["layers"].ravel()):
        z = np.zeros((int(layer["size"][0, 0].item()), x.shape[1]))
        z += s["b"][i, 0] if s["biasConnect"][i, 0] else 0
        z += s["IW"][i, 0] @ x if s["inputConnect"][i, 0] else 0
        for j in np.flatnonzero(s["layerConnect"][i]):
            z += s["LW"][i, j] @ a[j]
        a.append(FORMULAS[layer["transferFcn"][0, 0].item()](z))
    for one in s["outputs"][0, -1]["processSettings"][0, 0].ravel():
        low, high = one["xmin"][0, 0], one["xmax"][0, 0]
        a[-1] = (a[-1] + 1) * (high - low) / 2 + low
    return a[-1]


@pytest.mark.parametrize("name", [name for name in cbp.activations if name not in OF_ROW])
def test_other_activations_are_refused_by_name(name, tmp_path):
    for ending in ("mat", "m"):
        with pytest.raises(ValueError, match=f"{name}.*layer 1"):
            cbp.Network([2, 3], output=name, seed=0).export(tmp_path / f"net.{ending}")
    assert [*tmp_path.iterdir()] == []


def test_activations_per_unit_are_refused(tmp_path):
    net = cbp.Network([2, cbp.Dense(2, ["tanh", "relu"]), 1], seed=0)
    with pytest.raises(ValueError, match="an activation per unit, as in layer 1"):
        net.export(tmp_path / "net.mat")


def test_equal_networks_give_equal_files(tmp_path):
    for name in "ab":
        NETWORKS["skips"].export(tmp_path / f"{name}.mat")
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()


@pytest.mark.parametrize("name", ["2nets.m", "my net.m", "a-b.m", f"{'a' * 64}.m"])
def test_a_function_needs_a_name(name, tmp_path):
    with pytest.raises(ValueError, match="cannot be called"):
        SMALL.export(tmp_path / name)


def test_other_endings(tmp_path):
    with pytest.raises(ValueError, match=r"\.mat or \.m, not \.txt"):
        matlab.load(tmp_path / "net.txt")
    with pytest.raises(ValueError, match=r"\.mat or \.m, not nothing"):
        matlab.export(SMALL, tmp_path / "net")


def test_without_scipy_files_are_read_and_not_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    matlab.load(DATA / "fitnet.mat")
    with pytest.raises(ImportError, match=r"cbpnet\[matlab\]"):
        SMALL.export(tmp_path / "net.mat")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["network_struct.m", "struct_network.m"])
@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="these are the tests of a wheel, not a checkout")
def test_the_guide_shows_the_functions_that_are_tested(name):
    page = EXAMPLES.parent / "bridges" / "matlab.md"
    assert (EXAMPLES / name).read_text().strip() in page.read_text(encoding="utf-8")


def test_another_dtype_is_no_fault_of_the_file():
    with pytest.raises(ValueError, match=r"^dtype must be"):
        matlab.load(DATA / "fitnet.mat", dtype="int8")


# ---- damaged files ----

FILES = {name: (DATA / name).read_bytes() for name in ("fitnet_v6.mat", "cascade.mat", "constant_output.mat")}


def damaged():
    for name, data in FILES.items():
        for at in range(0, len(data), len(data) // 60):
            yield f"{name} cut at {at}", data[:at]
        yield f"{name} version", data[:124] + b"\0\3" + data[126:]
        yield f"{name} order", data[:126] + b"MI" + data[128:]
        yield f"{name} v4", data[:124] + b"\0" * 4 + data[128:]
        yield f"{name} HDF5", b"MATLAB 7.3 MAT-file" + data[19:]
        yield f"{name} longer", data + b"\0\0\0\1"
    data = FILES["fitnet_v6.mat"]
    for at in range(128, len(data) - 8, 8):
        kind, size = np.frombuffer(data[at : at + 8], "<u4")
        if kind in (1, 4, 5, 6, 9, 14) and size < len(data):
            for wrong in (size + 8, 2**31 - 8, 2**32 - 1):
                if size > 4:
                    yield f"size {size} at {at} {wrong}", data[: at + 4] + np.uint32(wrong).tobytes() + data[at + 8 :]
        if (kind, size) == (5, 8) and all(np.frombuffer(data[at + 8 : at + 16], "<i4")):
            for wrong in (-1, 2**31 - 1):
                yield f"dimension at {at} {wrong}", data[: at + 8] + np.int32(wrong).tobytes() + data[at + 12 :]


CORPUS = dict([*damaged()][::3])


def test_files_of_big_endian_machines():
    data = FILES["fitnet_v6.mat"]
    swapped = data[:124] + b"\1\0MI" + swap(data[128:])
    assert np.frombuffer(swapped[128:132], ">u4") == 14
    mine, usual = _mat5.read(swapped), _mat5.read(data)
    assert mine.keys() == usual.keys()
    assert str(mine) == str(usual)


def swap(data):
    """Elements with the bytes of their numbers the other way round."""
    out, at = b"", 0
    while at < len(data):
        kind, size = np.frombuffer(data[at : at + 8], "<u4").tolist()
        small = kind >> 16
        begin, length = (at + 4, kind >> 16) if small else (at + 8, size)
        content = data[begin : begin + length]
        width = {3: 2, 4: 2, 5: 4, 6: 4, 9: 8, 17: 2}.get(kind & 0xFFFF, 1)
        content = swap(content) if kind == 14 else np.frombuffer(content, f"<u{width}").byteswap().tobytes()
        head = data[at : at + 4][::-1] if small else data[at : at + 4][::-1] + data[at + 4 : at + 8][::-1]
        out += (head + content).ljust(8 + -(-length // 8) * 8 if not small else 8, b"\0")
        at = at + 8 if small else begin + -(-length // 8) * 8
    return out


def test_damaged_files_are_refused(tmp_path):
    assert len(CORPUS) > 400
    only_refused(matlab.load, tmp_path / "net.mat", CORPUS, "not a network of MATLAB", 400_000)


def test_bytes_changed_at_random_raise_nothing_else(tmp_path):
    some = np.random.default_rng(8)
    texts = {**FILES, **{f"{name}.m": (DATA / f"{name}.m").read_bytes() for name in FUNCTIONS}}
    refused = 0
    for i in range(300):
        name = [*texts][i % len(texts)]
        data = bytearray(texts[name])
        for at in some.integers(128, len(data), 3):
            data[at] = some.integers(256) if name.endswith("mat") else some.choice(list(b"0123456789.-+;[]=_ab(),*\n "))
        path = tmp_path / f"net.{name.rpartition('.')[2]}"
        path.write_bytes(data)
        try:
            matlab.load(path)
        except cbp.FormatError:
            refused += 1
    assert refused > 150
