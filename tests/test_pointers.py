"""Addresses of a network and of C functions: ctypes, cffi, Numba and SciPy get the bits that Python gets."""

import ctypes
import gc
import math
import threading
import weakref

import numpy as np
import pytest
from helpers import DTYPES

import cbp
from cbp.pointers import DECLARATIONS

ADDRESS, COUNT, NUMBER, STATUS = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int
STATUSES = {row["name"]: i for i, row in enumerate(cbp._core.table("statuses"))}
ONE, MANY = "double (double, void *)", "double (int, double *, void *)"
FILTER = "int (double *, npy_intp, double *, void *)"
M = 7


def functions(at):
    """Predict, gradient, step and message by ctypes."""
    samples = (ADDRESS, COUNT, *[ADDRESS] * 4)
    return (
        ctypes.CFUNCTYPE(STATUS, ADDRESS, COUNT, ADDRESS, ADDRESS)(at.predict),
        ctypes.CFUNCTYPE(STATUS, *samples, ADDRESS)(at.gradient),
        ctypes.CFUNCTYPE(STATUS, *samples, NUMBER, ADDRESS)(at.step),
        ctypes.CFUNCTYPE(ctypes.c_char_p, STATUS)(at.message),
    )


def network(dtype="float64", **kwargs):
    return cbp.Network([3, 6, 2], output=kwargs.pop("output", "identity"), seed=1, dtype=dtype, **kwargs)


def data(dtype="float64"):
    rng = np.random.default_rng(80)
    return rng.normal(2, 3, (M, 3)).astype(dtype), rng.normal(size=(M, 2)).astype(dtype)


def start(array):
    return None if array is None else array.ctypes.data


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_by_ctypes_the_bits_are_those_of_python(dtype, scaled):
    how = {"scale_inputs": "standard", "scale_targets": "standard"} if scaled else {}
    net, python, (x, y) = network(dtype, **how), network(dtype, **how), data(dtype)
    for each in (net, python) if scaled else ():
        each.learn_scaling(x, y)
    at = net.pointers()
    predict, gradient, step, _ = functions(at)
    out, weight, loss = np.empty_like(y), np.linspace(1, 2, M).astype(dtype), NUMBER()
    assert predict(at.handle, M, start(x), start(out)) == 0
    assert out.tobytes() == python.predict(x).tobytes()
    assert gradient(at.handle, M, start(x), start(y), None, start(weight), ctypes.byref(loss)) == 0
    assert loss.value == python.gradient(x, y, weight)
    assert net.grad.tobytes() == python.grad.tobytes()
    assert step(at.handle, M, start(x), start(y), None, None, 0.05, ctypes.byref(loss)) == 0
    assert loss.value == python.train_step(x, y, 0.05)
    assert net.params.tobytes() == python.params.tobytes()


def test_labels():
    net, python, (x, _) = network(output="softmax"), network(output="softmax"), data()
    at, labels, loss = net.pointers(), np.arange(M) % 2, NUMBER()
    step = functions(at)[2]
    assert step(at.handle, M, start(x), None, start(labels), None, 0.5, ctypes.byref(loss)) == 0
    assert loss.value == python.train_step(x, labels, 0.5)
    assert net.params.tobytes() == python.params.tobytes()


def test_statuses_and_their_sentences():
    net, (x, y) = network(), data()
    at, loss = net.pointers(), NUMBER()
    predict, _, step, message = functions(at)
    assert predict(at.handle, M, None, start(y)) == STATUSES["NULL_ARGUMENT"]
    assert predict(at.handle, -1, start(x), start(y)) == STATUSES["BAD_COUNT"]
    assert step(at.handle, M, start(x), start(y), None, None, 0.1, None) == STATUSES["NULL_ARGUMENT"]
    y[0, 0] = math.inf
    before = net.params.copy()
    status = step(at.handle, M, start(x), start(y), None, None, 0.1, ctypes.byref(loss))
    assert status == STATUSES["DIVERGED"]
    assert message(status).decode() == "a loss or a parameter is no longer finite"
    assert net.params.tobytes() == before.tobytes()


def test_a_step_in_the_middle_of_a_training_is_refused():
    net, (x, y) = network(), data()
    at, loss, seen = net.pointers(), NUMBER(), []
    step = functions(at)[2]
    net._memory.set_optimizer("sgd", [])
    net._memory.epoch(
        x, y, None, None, M, 0.1, last=False,
        pause=lambda: seen.append(step(at.handle, M, start(x), start(y), None, None, 0.1, ctypes.byref(loss))),
    )  # fmt: skip
    assert seen == [STATUSES["BUSY"]]
    assert step(at.handle, M, start(x), start(y), None, None, 0.1, ctypes.byref(loss)) == 0


def test_between_two_epochs_the_thread_that_trains_may_step_and_no_other():
    net, (x, y) = network(), data()
    at, loss, seen = net.pointers(), NUMBER(), []
    step = functions(at)[2]

    def attempt(_=None):
        seen.append(step(at.handle, M, start(x), start(y), None, None, 0.0, ctypes.byref(loss)))

    def both(_):
        attempt()
        other = threading.Thread(target=attempt)
        other.start()
        other.join()

    net.fit(x, y, epochs=1, callbacks=both, progress=False)
    attempt()
    net = net.snapshot()
    at = net.pointers()
    attempt()
    assert seen == [0, STATUSES["BUSY"], 0, STATUSES["SEALED"]]


def test_pointers_keep_the_network_alive():
    net, (x, y) = network(), data()
    wanted, out = net.predict(x), np.empty_like(y)
    at, memory = net.pointers(), weakref.ref(net.params)
    predict = functions(at)[0]
    del net
    gc.collect()
    assert predict(at.handle, M, start(x), start(out)) == 0
    assert out.tobytes() == wanted.tobytes()
    del at
    gc.collect()
    assert memory() is None


# ---- other callers ----


def test_by_cffi():
    cffi = pytest.importorskip("cffi")
    net, python, (x, y) = network("float32"), network("float32"), data("float32")
    at, ffi = net.pointers(), cffi.FFI()
    ffi.cdef(DECLARATIONS)
    handle, loss, out = ffi.cast("void *", at.handle), ffi.new("double *"), np.empty_like(y)
    assert ffi.cast("cbp_predict_at", at.predict)(handle, M, ffi.from_buffer(x), ffi.from_buffer(out)) == 0
    assert out.tobytes() == python.predict(x).tobytes()
    arrays = (ffi.from_buffer(x), ffi.from_buffer(y), ffi.NULL, ffi.NULL)
    assert ffi.cast("cbp_gradient_at", at.gradient)(handle, M, *arrays, loss) == 0
    assert (loss[0], net.grad.tobytes()) == (python.gradient(x, y), python.grad.tobytes())
    assert ffi.cast("cbp_step_at", at.step)(handle, M, *arrays, 0.1, loss) == 0
    assert (loss[0], net.params.tobytes()) == (python.train_step(x, y, 0.1), python.params.tobytes())
    message = ffi.cast("cbp_message_at", at.message)
    assert ffi.string(message(STATUSES["BUSY"])).startswith(b"this network is being trained")


def test_by_numba():
    numba = pytest.importorskip("numba")
    net, python, (x, y) = network(), network(), data()
    at, whole = net.pointers(), ctypes.c_ssize_t
    address = at.handle
    predict = ctypes.CFUNCTYPE(STATUS, whole, COUNT, whole, whole)(at.predict)
    step = ctypes.CFUNCTYPE(STATUS, whole, COUNT, *[whole] * 4, NUMBER, whole)(at.step)

    @numba.njit(nogil=True)
    def learn(handle, x, y, loss, out, epochs):
        for _ in range(epochs):
            for r in range(len(x)):
                if step(handle, 1, x[r].ctypes.data, y[r].ctypes.data, 0, 0, 0.05, loss.ctypes.data) != 0:
                    return False
        return predict(handle, len(x), x.ctypes.data, out.ctypes.data) == 0

    @numba.cfunc("float64(float64)")
    def first_output(value):
        point, out = np.full(3, value), np.empty(2)
        return out[0] if predict(address, 1, point.ctypes.data, out.ctypes.data) == 0 else np.nan

    out = np.empty_like(y)
    assert learn(at.handle, x, y, np.empty(1), out, 3)
    for _ in range(3):
        for row, target in zip(x, y, strict=True):
            python.train_step(row, target, 0.05)
    assert net.params.tobytes() == python.params.tobytes()
    assert out.tobytes() == python.predict(x).tobytes()
    assert first_output.ctypes(0.5) == python.predict(np.full(3, 0.5))[0]


# ---- SciPy ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_network_as_an_integrand(dtype):
    scipy = pytest.importorskip("scipy")
    integrate = pytest.importorskip("scipy.integrate")
    net = cbp.Network([1, 5, 1], activation="tanh", output="identity", seed=2, dtype=dtype)
    wanted = integrate.quad(lambda value: float(net.predict(np.array([value], dtype))[0]), 0, 2)[0]
    for signature in (ONE, MANY):
        assert integrate.quad(scipy.LowLevelCallable(net.pointers().capsule(signature)), 0, 2)[0] == wanted
    plane = cbp.Network([2, 1], output="identity", seed=3, dtype=dtype)
    function = scipy.LowLevelCallable(plane.pointers().capsule(MANY))
    weights = plane.params.tolist()
    assert integrate.nquad(function, [[0, 1], [0, 2]])[0] == pytest.approx(weights[0] * 2 + weights[1] + 2 * weights[2])
    assert integrate.quad(function, 0, 1, args=(2.0,))[0] == pytest.approx(weights[0] + weights[1] / 2 + 2 * weights[2])
    with pytest.warns(integrate.IntegrationWarning):
        assert math.isnan(integrate.quad(function, 0, 1)[0])  # one argument is missing


def test_a_network_as_a_filter():
    scipy, ndimage = pytest.importorskip("scipy"), pytest.importorskip("scipy.ndimage")
    net = cbp.Network([9, 4, 1], output="identity", seed=4, dtype="float64")
    function, picture = scipy.LowLevelCallable(net.pointers().capsule(FILTER)), np.random.default_rng(81).random((6, 8))
    found = ndimage.generic_filter(picture, function, size=3, mode="nearest")
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, 1, "edge"), (3, 3))
    assert found.tobytes() == net.predict(windows.reshape(-1, 9)).reshape(picture.shape).tobytes()
    with pytest.raises(RuntimeError, match="unknown error in filter function"):
        ndimage.generic_filter(picture, function, size=2)


def test_a_capsule_keeps_the_network_alive():
    integrate, scipy = pytest.importorskip("scipy.integrate"), pytest.importorskip("scipy")
    net = cbp.Network([1, 1], output="identity", dtype="float64", seed=0)
    net.params[:] = 1, 2
    function, memory = scipy.LowLevelCallable(net.pointers().capsule(ONE)), weakref.ref(net.params)
    del net
    gc.collect()
    assert integrate.quad(function, 0, 1)[0] == pytest.approx(2)
    del function
    gc.collect()
    assert memory() is None


@pytest.mark.parametrize(
    ("layers", "signature", "message"),
    [
        ([1, 1], "double (float)", r"no such signature: 'double \(float\)'; there are 'double \(double, void \*\)'"),
        ([1, 2], ONE, "needs one output, and at most 1024 inputs; the network has 2 and 1"),
        ([1025, 1], MANY, "needs one output, and at most 1024 inputs; the network has 1 and 1025"),
    ],
)
def test_functions_that_there_are_not(layers, signature, message):
    with pytest.raises(ValueError, match=message):
        cbp.Network(layers, seed=0).pointers().capsule(signature)
