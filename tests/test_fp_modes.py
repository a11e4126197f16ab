"""Floating-point modes that another library left behind change no bit of ours, and are there again afterwards."""

import contextlib
import ctypes
import platform
from pathlib import Path

import numpy as np
import pytest
import setuptools
from helpers import DTYPES

import cbp
from cbp import _core

if platform.machine().lower() not in ("x86_64", "amd64", "aarch64"):
    pytest.skip("only x86-64 and aarch64 have modes that libraries set", allow_module_level=True)

X_SCALE = {"float32": 1e-20, "float64": 1e-160}
MATRIX = (np.eye(30) + np.random.default_rng(45).normal(size=(30, 30)) / 20) * 1e-155
VECTOR = np.random.default_rng(46).normal(size=30) * 1e-155


def compile_library(folder):
    """Compile fpmode.c with the compiler that builds extensions of this Python."""
    ccompiler = setuptools.distutils.ccompiler
    compiler = ccompiler.new_compiler()
    setuptools.distutils.sysconfig.customize_compiler(compiler)
    source = Path(__file__).with_name("fpmode.c")
    objects = compiler.compile([source.name], output_dir=str(folder))
    compiler.link_shared_object(objects, str(folder / "fpmode.so"))
    return folder / "fpmode.so"


@pytest.fixture(scope="module")
def fp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fpmode")
    with contextlib.chdir(Path(__file__).parent):
        library = ctypes.CDLL(str(compile_library(folder)))
    for name in ("fp_get", "fp_flush", "fp_upward"):
        getattr(library, name).restype = ctypes.c_uint64
    library.fp_set.argtypes = [ctypes.c_uint64]
    library.fp_quotient.argtypes = [ctypes.c_double, ctypes.c_double]
    library.fp_quotient.restype = ctypes.c_double
    return library


@pytest.fixture(params=["flush to zero", "round upward", "both"])
def mode(request, fp):
    """The mode register of this thread with one thing changed."""
    bits = {"flush to zero": fp.fp_flush(), "round upward": fp.fp_upward(), "both": fp.fp_flush() | fp.fp_upward()}
    return fp.fp_get() | bits[request.param]


@contextlib.contextmanager
def thread_in(fp, mode):
    before = fp.fp_get()
    fp.fp_set(mode)
    try:
        yield
    finally:
        fp.fp_set(before)


def small_data(dtype):
    """Data so small that products and gradients are subnormal."""
    rng = np.random.default_rng(42)
    X = (rng.normal(size=(30, 5)) * X_SCALE[dtype]).astype(dtype)
    y = (rng.normal(size=(30, 3)) * X_SCALE[dtype]).astype(dtype)
    return X, y


def small_memory(dtype):
    layers = [(6, "leaky_relu", 0.25), (3, "tanh", 0.0)]
    plan = _core.Plan(dtype, 5, layers, "half_squared_error")
    theta = (plan.init(["glorot_uniform", "glorot_normal"], [0, 0], 43) * X_SCALE[dtype]).astype(dtype)
    return _core.Memory(plan, theta)


def predict(memory, X):
    out = np.empty((len(X), 3), X.dtype)
    memory.plan.predict(memory.theta, X, out)
    return out


def systems():
    """What becomes of a symmetric system whose products are subnormal: factor, solution, inverse, products."""
    l, b = MATRIX.copy(), VECTOR.copy()
    _core.cholesky(l)
    _core.cholesky_solve(l, b)
    products = [_core.times(MATRIX, VECTOR), _core.dot(MATRIX[0], MATRIX[1])]
    return [l, b, _core.cholesky_inverse(l), *products]


def everything(memory, X, y):
    """Run each function of the core that computes, and keep what it made."""
    memory.set_optimizer("momentum", [0.9])
    made = [memory.gradient(X, y, None), memory.grad.copy()]
    memory.update(0.3)
    memory.descend(0.3)
    made += [memory.forward(X).copy(), memory.backward(y, None), memory.plan.evaluate(memory.theta, X, y, None)]
    made += [memory.epoch(X, y, None, None, 7, 0.3)]
    made += [
        predict(memory, X),
        memory.plan.init(["he_normal", "glorot_uniform"], [0, 0], 44),
        _core.permutation(1, 2, 50),
    ]
    return [*made, *systems(), memory.theta.copy(), memory.slots.copy()]


def as_bytes(values):
    return [np.asarray(value).tobytes() for value in values]


def test_the_modes_do_what_they_say(fp):
    with thread_in(fp, fp.fp_get() | fp.fp_flush()):
        flushed = fp.fp_quotient(1e-300, 1e20)
    with thread_in(fp, fp.fp_get() | fp.fp_upward()):
        upward = fp.fp_quotient(1.0, 3.0)
    assert flushed == 0.0 < fp.fp_quotient(1e-300, 1e20)
    assert upward > fp.fp_quotient(1.0, 3.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_data_makes_subnormals(dtype):
    memory = small_memory(dtype)
    memory.gradient(*small_data(dtype), None)
    tiny = np.finfo(dtype).tiny
    assert ((memory.grad != 0) & (np.abs(memory.grad) < tiny)).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_core_gives_the_same_bits_in_any_mode(fp, mode, dtype):
    X, y = small_data(dtype)
    first, second = small_memory(dtype), small_memory(dtype)
    want = everything(first, X, y)
    with thread_in(fp, mode):
        got = everything(second, X, y)
    assert as_bytes(got) == as_bytes(want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_function_gives_the_mode_back(fp, mode, dtype):
    X, y = small_data(dtype)
    memory = small_memory(dtype)
    memory.set_optimizer("adam", [0.9, 0.999, 1e-8])
    calls = {
        "init": lambda: memory.plan.init(["he_normal", "he_normal"], [0, 0], 1),
        "predict": lambda: predict(memory, X),
        "evaluate": lambda: memory.plan.evaluate(memory.theta, X, y, None),
        "forward": lambda: memory.forward(X),
        "backward": lambda: memory.backward(y, None),
        "gradient": lambda: memory.gradient(X, y, None),
        "descend": lambda: memory.descend(0.1),
        "update": lambda: memory.update(0.1),
        "epoch": lambda: memory.epoch(X, y, None, None, 8, 0.1),
        "cholesky": lambda: _core.cholesky(MATRIX.copy()),
        "cholesky_solve": lambda: _core.cholesky_solve(MATRIX, VECTOR.copy()),
        "cholesky_inverse": lambda: _core.cholesky_inverse(MATRIX),
        "dot": lambda: _core.dot(VECTOR, VECTOR),
        "times": lambda: _core.times(MATRIX, VECTOR),
    }
    kept = {}
    with thread_in(fp, mode):
        for name, call in calls.items():
            call()
            kept[name] = fp.fp_get()
    assert kept == dict.fromkeys(calls, mode)


@pytest.mark.parametrize("dtype", DTYPES)
def test_fit_gives_the_same_bits_when_subnormals_are_flushed(fp, dtype):
    X, y = small_data(dtype)
    first = cbp.Network([5, 6, 3], activation="tanh", output="identity", dtype=dtype, seed=45)
    first.params[:] *= X_SCALE[dtype] ** 2
    second = first.copy()
    first.fit(X, y, epochs=3, batch_size=8, optimizer=cbp.optimizers.SGD(0.1), progress=False)
    with thread_in(fp, fp.fp_get() | fp.fp_flush()):
        second.fit(X, y, epochs=3, batch_size=8, optimizer=cbp.optimizers.SGD(0.1), progress=False)
    assert np.array(first.params).tobytes() == np.array(second.params).tobytes()
