"""Files that cbp exports, read and run by libfann itself, where it is installed (Debian: libfann-dev)."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_fann import NETWORKS, scaled_network

import cbp

SOURCE = Path(__file__).parents[1] / "tools" / "make_fann_fixtures.c"
KINDS = {"float32": [], "float64": ["-DDOUBLE"]}
LIBRARIES = {"float32": "floatfann", "float64": "doublefann"}
rng = np.random.default_rng(3)


@pytest.fixture(scope="module", params=KINDS)
def libfann(request, tmp_path_factory):
    """Return the library's precision, and a function that runs a file for rows of inputs."""
    program = tmp_path_factory.mktemp("fann") / "run"
    if not shutil.which("cc") or not SOURCE.exists():
        pytest.skip("no C compiler called cc, or no source")
    command = ["cc", *KINDS[request.param], str(SOURCE), f"-l{LIBRARIES[request.param]}", "-lm", "-o", str(program)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no libfann")

    def run(path, X, how="raw"):
        rows = "\n".join(" ".join(map(repr, row)) for row in np.asarray(X, float).tolist())
        command = [program, "run", path, how]
        done = subprocess.run(command, input=rows, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return np.array([line.split() for line in done.stdout.splitlines()], float)

    return request.param, run


def compare(net, libfann, path, X, how="raw", **options):
    """Largest distance of what libfann and cbp predict, by the largest output."""
    _, run = libfann
    net.export(path, **options)
    outputs = net.predict(X)
    return np.abs(run(path, X, how) - outputs).max() / np.abs(outputs).max()


def bound(libfann, net=None):
    return 1e-6 if "float32" in (libfann[0], net and net.dtype.name) else 1e-13


@pytest.mark.parametrize("name", NETWORKS)
def test_libfann_predicts_the_same(name, libfann, tmp_path):
    X = rng.normal(size=(30, 3))
    assert compare(NETWORKS[name], libfann, tmp_path / "a.net", X) < bound(libfann, NETWORKS[name])


@pytest.mark.parametrize("activation", cbp.io.fann.OF_ROW)
def test_libfann_predicts_the_same_with_every_activation(activation, libfann, tmp_path):
    layers = [4, cbp.Dense(6, activation, steepness=0.7), cbp.Dense(5, activation), cbp.Dense(3, activation, skip=[1])]
    net = cbp.Network(layers, loss="half_squared_error", dtype="float64", seed=1)
    net.params[:] = rng.normal(0, 0.5, net.n_params)
    assert compare(net, libfann, tmp_path / "a.net", rng.normal(size=(30, 4))) < bound(libfann)


@pytest.mark.parametrize("output", ["identity", "tanh"])
def test_libfann_scales_as_the_network_does(output, libfann, tmp_path):
    X = 100 + 30 * rng.normal(size=(30, 2))
    far = compare(scaled_network(output), libfann, tmp_path / "a.net", X, "scaled")
    assert far < 1e-6  # libdoublefann, too, keeps the numbers of the scaling in float


def test_folded_scaling_needs_no_call(libfann, tmp_path):
    net = scaled_network("identity")
    X = 100 + 30 * rng.normal(size=(30, 2))
    net.export(tmp_path / "a.net", scaling="folded", reach=1e3)
    outputs = net.predict(X)
    far = np.abs(libfann[1](tmp_path / "a.net", X) - outputs).max() / np.abs(outputs).max()
    assert far < (2e-5 if libfann[0] == "float32" else 1e-13)  # the centers are far from 0: float32 loses some digits


def test_linear_outputs_beyond_150(libfann, tmp_path):
    net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    net.params[:] = 0.0, 1000.0
    net.export(tmp_path / "a.net")
    assert libfann[1](tmp_path / "a.net", [[1.0], [-0.125]]).tolist() == [[150.0], [-125.0]]
    net.export(tmp_path / "a.net", reach=1000)
    assert libfann[1](tmp_path / "a.net", [[1.0], [-0.125]]).tolist() == [[1000.0], [-125.0]]
