"""Second derivatives of the tables: their texts against complex steps of the slopes' texts, the kernels against both.

A complex step (Squire and Trapp, SIAM Review 40, 1998) of a slope's text is exact to the last digits, and takes no part
of what it tests. Kernels are reached through a C program, tests/c/curves.c, on every instruction set.
"""

import subprocess
from functools import cache

import _c_programs as c
import mpmath as mp
import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES, unit_activations
from reference import activate, argument, evaluate, rows, slope
from test_accuracy import TEXTS as VALUE_TEXTS
from test_accuracy import evaluate as exact_value
from test_accuracy import samples

from cbp import _core

ACTIVATIONS = list(unit_activations())
ROW_WISE = [name for name, row in rows("activations").items() if row["row_wise"]]
LOSSES = [
    (name, arg)
    for name, row in rows("losses").items()
    for arg in ([row["args"][0][1], 0.375] if row["args"] else [0.0])
]
PAIRS = [(name, arg) for name, arg in LOSSES if rows("losses")[name]["pair"]]
SINGLES = [(name, arg) for name, arg in LOSSES if not rows("losses")[name]["pair"]]
STEP = 1e-40
N = 3  # outputs of the losses' samples
TEXTS = VALUE_TEXTS | {
    **{name: getattr(mp, name) for name in ("cosh", "cos", "sign")},
    "zeros_like": lambda z: 0 * z,
    "ones_like": lambda z: 0 * z + 1,
}


@cache
def program():
    return c.program(c.ROOT / "tests/c/curves.c")


def kernel(kind, name, *arrays, arg=0.0, isa=None):
    """What a kernel of second derivatives makes of the last of the arrays (m, n); the others are what it reads."""
    given = np.concatenate([array.ravel() for array in arrays])
    command = [str(program()), isa or _core.isa(), given.dtype.name, kind, name, repr(float(arg))]
    text = "\n".join(float(v).hex() for v in given)
    done = subprocess.run(
        [*command, str(arrays[0].shape[1])], input=text, capture_output=True, text=True, check=True
    ).stdout
    found = [float.fromhex(word.partition("(")[0]) for word in done.split()]
    return np.array(found, given.dtype).reshape(arrays[-1].shape)


# ---- activations ----


def curvature(name, z, a, arg=0.0):
    """g''(z), elementwise, or the derivatives of the Jacobian (n, n, n) of a row-wise function."""
    row = rows("activations")[name]
    return evaluate(row["curvature"], z=z, a=a, len=len, **argument(row, arg))


def smooth_points():
    """Net inputs where no slope of the tables jumps: these are at 0, and at whole numbers.

    They end where cosh(...)**2 of the text of gelu_tanh would: past that it depends on the C library what comes of it.
    """
    z = np.concatenate([np.linspace(-6.97, 6.97, 698), np.random.default_rng(60).uniform(-20, 20, 200)])
    return z[np.abs(z - np.round(z)) > 1e-3]


@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
def test_text_is_the_derivative_of_the_slope(name, arg):
    z = smooth_points()
    moved = z + 1j * STEP
    want = np.broadcast_to(slope(name, moved, activate(name, moved, arg), arg), z.shape).imag / STEP
    got = np.broadcast_to(curvature(name, z, activate(name, z, arg), arg), z.shape)
    assert want.size > 800
    np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)


def exact_curvature(name, z, arg):
    """g''(z) from the text, z an mpmath number."""
    row = rows("activations")[name]
    names = {argument: mp.mpf(float(arg)) for argument, _ in row["args"]}
    return mp.mpf(eval(row["curvature"], TEXTS | {"z": z, "a": exact_value(name, z, arg)} | names))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
def test_kernel_is_the_text_out_to_the_ends_of_the_range(name, arg, dtype):
    arg = float(np.dtype(dtype).type(arg))
    z = samples(name, dtype)
    got = kernel("curve", name, z[:, None], arg=arg)[:, 0]
    with mp.workdps(40):
        want = [exact_curvature(name, mp.mpf(float(v)), arg) for v in z]
        ends = [abs(w) > float(np.finfo(dtype).max) for w in want]
        far = [abs(mp.mpf(float(g)) - w) / max(1, abs(w)) for g, w, e in zip(got, want, ends, strict=True) if not e]
    assert max(far) <= 2 * np.finfo(dtype).eps
    assert np.isinf(got[ends]).all()


@pytest.mark.parametrize(("name", "arg"), [unit for unit in ACTIVATIONS if unit[0] != "sin"])
@each_of("isa", _core.isas())
@each_of("dtype", DTYPES)
def test_kernel_at_infinity_is_the_limit(name, arg, dtype, isa):
    far = np.array([[np.inf, -np.inf]], dtype)
    with mp.workdps(40):
        limits = [float(exact_curvature(name, sign * mp.mpf(10) ** 400, arg)) for sign in (1, -1)]
    assert kernel("curve", name, far, arg=arg, isa=isa)[0].tolist() == limits


KINKS = {  # activation: z, g''
    "elu": (0.0, 1.375),
    "selu": (0.0, 1.7580993408473768),
    "celu": (0.0, 1 / 1.375),
    "softsign": (0.0, 0.0),
    "relu6": (6.0, 0.0),
    "hard_sigmoid": (3.0, 0.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_at_a_kink_kernel_and_text_take_one_side(name):
    z, want = KINKS[name]
    got = kernel("curve", name, np.array([[z]]), arg=1.375)[0, 0]
    text = float(curvature(name, np.array(z), activate(name, np.array(z), 1.375), 1.375))
    np.testing.assert_allclose([got, text], want, rtol=1e-15)


# ---- row-wise activations ----


def samples_of_rows(n, count=50):
    """Activations' net inputs z, and three arrays of directions, (count, n) each."""
    rng = np.random.default_rng(61 + n)
    return rng.normal(0, 2, (count, n)), *rng.normal(0, 1, (3, count, n))


def jacobian_times(name, a, u):
    """delta = J^T u of one row; the Jacobian's text speaks of a alone."""
    return slope(name, None, a).T @ u


@pytest.mark.parametrize("n", [1, 2, 3, 11])
@pytest.mark.parametrize("name", ROW_WISE)
def test_text_of_a_row_is_the_derivative_of_the_jacobian(name, n):
    z = samples_of_rows(n, 1)[0][0]
    moved = [activate(name, z + 1j * STEP * unit) for unit in np.eye(n)]
    want = np.stack([slope(name, None, a).imag / STEP for a in moved], axis=-1)
    np.testing.assert_allclose(curvature(name, z, activate(name, z)), want, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ROW_WISE)
@each_of("dtype", DTYPES)
@each_of("n", [1, 3, 11])
def test_along_is_how_a_changes(name, n, dtype):
    z, t, *_ = (array.astype(dtype) for array in samples_of_rows(n))
    a = np.array([activate(name, row) for row in z], dtype)
    want = [slope(name, None, row) @ step for row, step in zip(a.astype(float), t.astype(float), strict=True)]
    np.testing.assert_allclose(kernel("along", name, a, t), want, rtol=0, atol=32 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ROW_WISE)
@each_of("dtype", DTYPES)
@each_of("n", [1, 3, 11])
def test_back_along_is_how_delta_changes(name, n, dtype):
    z, *changes = (array.astype(dtype) for array in samples_of_rows(n))
    a_dot, u, u_dot = changes
    a = np.array([activate(name, row) for row in z], dtype)
    wide = (array.astype(float) for array in (a, a_dot, u, u_dot))
    steps = [(a + 1j * STEP * a_dot, u + 1j * STEP * u_dot) for a, a_dot, u, u_dot in zip(*wide, strict=True)]
    want = [jacobian_times(name, *step).imag / STEP for step in steps]
    got = kernel("back_along", name, a, a_dot, u, u_dot)
    np.testing.assert_allclose(got, want, rtol=0, atol=64 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ROW_WISE)
def test_along_and_back_along_together_are_the_text(name):
    z, z_dot, u, u_dot = samples_of_rows(5)
    a = np.array([activate(name, row) for row in z])
    got = kernel("back_along", name, a, kernel("along", name, a, z_dot), u, u_dot)
    bent = [np.einsum("ijk,i,k", curvature(name, *row), e, step) for *row, e, step in zip(z, a, u, z_dot, strict=True)]
    moved = [jacobian_times(name, row, e) for row, e in zip(a, u_dot, strict=True)]
    np.testing.assert_allclose(got, np.array(bent) + moved, rtol=1e-12, atol=1e-13)


# ---- losses ----


def constants(loss, arg):
    return {"n": N} | argument(rows("losses")[loss], arg)


def text_of(loss, column, arg, **values):
    """A loss's text in a namespace that a complex step can pass: NumPy's sign of a complex number has a direction."""
    return evaluate(rows("losses")[loss][column], sign=lambda x: np.sign(np.real(x)), **constants(loss, arg), **values)


def targets_and_outputs(loss, dtype="float64"):
    """y (m, N) in the range of the loss, z and a = g(z) (m, N) of its output; for a row-wise one a is free."""
    row, rng = rows("losses")[loss], np.random.default_rng(62)
    low, high = max(row["targets"][0], -3.0), min(row["targets"][1], 3.0)
    y, z = rng.uniform(low, high, (60, N)), rng.normal(0, 1.5, (60, N))
    if row["targets"] == (-1, 1):
        y = np.sign(y)
    row_wise = rows("activations")[row["partner"]]["row_wise"]
    a = rng.uniform(0.05, 0.95, z.shape) if row_wise else activate(row["partner"], z.astype(dtype))
    return tuple(array.astype(dtype) for array in (y, z, a))


@pytest.mark.parametrize(("loss", "arg"), SINGLES)
def test_text_of_a_loss_is_the_derivative_of_its_slope(loss, arg):
    y, z, a = targets_and_outputs(loss)
    row = rows("losses")[loss]
    by_z = row["head"] and not rows("activations")[row["partner"]]["row_wise"]
    moved = activate(row["partner"], z + 1j * STEP) if by_z else a + 1j * STEP
    want = np.broadcast_to(text_of(loss, "slope", arg, y=y, a=moved), y.shape).imag / STEP
    np.testing.assert_allclose(text_of(loss, "curvature", arg, y=y, a=a), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("loss", "arg"), PAIRS)
def test_texts_of_a_pair_are_the_derivatives_of_its_slopes(loss, arg):
    rng = np.random.default_rng(63)
    y, a, v = rng.normal(0, 2, (60, N)), rng.normal(0, 2, (60, N)), rng.uniform(0.01, 2, (60, N))
    by_a = np.imag(text_of(loss, "slope", arg, y=y, a=a + 1j * STEP, v=v)) / STEP
    by_v = np.imag(text_of(loss, "slope", arg, y=y, a=a, v=v + 1j * STEP)) / STEP
    aa, av, vv = text_of(loss, "curvature", arg, y=y, a=a, v=v)
    np.testing.assert_allclose([[aa, av], [av, vv]], [by_a, by_v], rtol=1e-12, atol=1e-14)
    assert arg < 0.01 or (v <= arg).any()


@pytest.mark.parametrize(("loss", "arg"), SINGLES)
@each_of("isa", _core.isas())
@each_of("dtype", DTYPES)
def test_kernel_of_a_loss_is_its_text(loss, arg, dtype, isa):
    arg = float(np.dtype(dtype).type(arg))
    y, z, a = targets_and_outputs(loss, dtype)
    t = np.random.default_rng(64).normal(size=y.shape).astype(dtype)
    wide = {"y": y.astype(float), "a": a.astype(float)}
    if rows("losses")[loss]["head"] and loss != "categorical_cross_entropy":
        wide["a"] = activate(rows("losses")[loss]["partner"], z.astype(float))
    want = t * text_of(loss, "curvature", arg, **wide)
    bound = {"rtol": 32 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
    np.testing.assert_allclose(kernel("loss", loss, y, a, z, t, arg=arg, isa=isa), want, **bound)
    if not rows("losses")[loss]["head"]:
        np.testing.assert_allclose(kernel("no_h", loss, y, a, z, t, arg=arg, isa=isa), want, **bound)


def pair_of(dtype):
    """y (m, N), outputs (m, 2N) some of whose variances are below 0.375, and what they are multiplied by."""
    rng = np.random.default_rng(65)
    y, a = rng.normal(0, 2, (60, N)), rng.normal(0, 2, (60, N))
    outputs = np.hstack([a, rng.uniform(0.01, 2, (60, N))])
    return y.astype(dtype), outputs.astype(dtype), rng.normal(size=outputs.shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "arg"), PAIRS)
def test_kernel_of_a_pair_is_its_matrix(loss, arg, dtype):
    arg = float(np.dtype(dtype).type(arg))
    y, outputs, t = pair_of(dtype)
    (a, v), (t_a, t_v) = (np.split(array.astype(float), 2, axis=1) for array in (outputs, t))
    aa, av, vv = text_of(loss, "curvature", arg, y=y.astype(float), a=a, v=v)
    want = np.hstack([aa * t_a + av * t_v, av * t_a + vv * t_v])
    got = kernel("loss", loss, y, outputs, outputs, t, arg=arg)
    np.testing.assert_allclose(got, want, rtol=64 * np.finfo(dtype).eps, atol=np.abs(want).max() * np.finfo(dtype).eps)


@pytest.mark.parametrize(("loss", "arg"), LOSSES)
def test_missing_targets_do_not_bend(loss, arg):
    y, z, a = targets_and_outputs(loss)
    a, z, t = (np.hstack([array] * (1 + bool(rows("losses")[loss]["pair"]))) for array in (np.abs(a) + 0.01, z, z))
    want = kernel("missing_loss", loss, y, a, z, t, arg=arg)
    assert want.tobytes() == kernel("loss", loss, y, a, z, t, arg=arg).tobytes()
    y[::2, 1] = np.nan
    want.reshape(len(y), -1, N)[::2, :, 1] = 0
    assert kernel("missing_loss", loss, y, a, z, t, arg=arg).tobytes() == want.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_is_finite_out_to_the_largest_number(gamma, dtype):
    largest = np.finfo(dtype).max / 8
    z = np.array([[-largest, -800, -90, 0, 90, 800, largest]], dtype)
    for target in (0, 0.25, 1):
        y, a = np.full_like(z, target), np.zeros_like(z)
        got = kernel("loss", "focal", y, a, z, np.ones_like(z), arg=gamma)[0]
        assert got[[0, 1, -2, -1]].tolist() == [0] * 4
        assert np.isfinite(got).all()
        assert got[3] > 0
