"""Every activation and its slope, and every loss, over the whole range of both precisions.

The exact values are the tables' NumPy texts in the widest type at hand. What is measured is the kernel itself, through
a layer of weight 1 and bias -0: there the net input is the input to the last bit, the sign of zero included.
"""

import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES, core_plan, ulps, uniform_layer, unit_activations
from reference import OF_A_ROW, Oracle, activate, evaluate, rows, slope

from cbp import _core

UNITS = 5
WIDE = np.longdouble
BOUND = 4.0 if np.finfo(WIDE).nmant > 60 else 6.0
PROMISED = {"sigmoid": 2.5, "tanh": 2.5, "exp": 1.5, "softplus": 2.5, "gaussian": 2.5, "sin": 2.5}
WAVES_END = {"float32": 2.0**22, "float64": 2.0**51}  # sin is 0 beyond
ROW_WISE = [name for name, row in rows("activations").items() if row["row_wise"]]
LOGARITHMS = ["log_softmax"]  # of probabilities: exact to units of the last place of 1, or of theirs if that is more
HEADS = ["binary_cross_entropy", "categorical_cross_entropy"]  # their delta is a - y
UNIT_ACTIVATIONS = list(unit_activations())


def sweep(dtype):
    """Finite numbers of a precision: dense where functions bend, a few in every binade, the ends of the range."""
    rng = np.random.default_rng(25)
    info = np.finfo(dtype)
    lowest, highest = info.minexp - info.nmant, info.maxexp
    binades = np.repeat(np.arange(lowest, highest), 8)
    spread = np.ldexp(rng.uniform(1, 2, binades.size) * rng.choice([-1.0, 1.0], binades.size), binades)
    ends = [0.0, info.max, info.tiny, info.smallest_subnormal, info.eps, 1.0]
    with np.errstate(over="ignore"):
        z = np.concatenate([np.linspace(-40, 40, 8001), np.linspace(-800, 800, 1601), spread]).astype(dtype)
    return np.concatenate([z[np.isfinite(z)], np.array(ends, dtype), -np.array(ends, dtype)])


def domain(name, dtype):
    """The sweep, as far as the activation follows its formula."""
    z = sweep(dtype)
    return z[np.abs(z) <= WAVES_END[dtype]] if name == "sin" else z


def rises(name, arg):
    """Whether the formula never falls, so that its range ends where it saturates."""
    return bool((np.diff(activate(name, np.linspace(-40, 40, 801), arg)) >= 0).all())


def layer(name, arg, dtype, units=UNITS, loss="half_squared_error"):
    """A memory whose one layer hands z to the activation, and its plan."""
    plan = core_plan(Oracle((1, units), (uniform_layer(units, name, arg),), loss), dtype)
    theta = np.concatenate([np.full(units, -0.0), np.ones(units)]).astype(dtype)
    return _core.Memory(plan, theta)


def kernel(name, arg, z):
    """g(z) of every element, the same for all the units of a layer."""
    memory = layer(name, arg, z.dtype.name)
    a = np.array(memory.forward(z[:, None]))
    columns = [np.ascontiguousarray(column).tobytes() for column in a.T]
    assert columns == columns[:1] * UNITS
    return a[:, 0].copy(), memory


def kernel_slope(name, arg, z):
    """Return d, delta, a: errors d of the output as the kernel saw them, and delta = d * g'(z)."""
    a, memory = kernel(name, arg, z)
    y = np.where(np.abs(a) < 1000, a - z.dtype.type(1), np.nextafter(a, z.dtype.type(0)))
    memory.backward(np.repeat(y[:, None], UNITS, axis=1))
    return a - y, np.array(memory.deltas()[1])[:, 0], a


def wide(z):
    return z.astype(WIDE)


def narrow(want, dtype):
    """Rounded to the precision, to infinity where it ends."""
    with np.errstate(over="ignore"):
        return np.asarray(want).astype(dtype)


def smooth(name, arg, z):
    """Whether the slope's formula does not jump at z."""
    before, after = (slope(name, x, activate(name, x, arg), arg) for x in (z * (1 - 1e-9), z * (1 + 1e-9)))
    return np.broadcast_to(np.abs(after - before) <= 1e-3 * np.maximum(1, np.abs(after)), z.shape)


def excess(got, want, allowed):
    """Distance beyond what is allowed, in units of the last place; none where both overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        unit = np.spacing(np.abs(want).astype(got.dtype))
        distance = np.maximum(np.abs(wide(got) - want) - allowed, 0) / unit
        return np.where(got == narrow(want, got.dtype), 0, distance)


def rounded(arg, dtype):
    return float(np.dtype(dtype).type(arg))


@pytest.mark.parametrize(("name", "arg"), UNIT_ACTIVATIONS)
@each_of("dtype", DTYPES)
def test_value(name, arg, dtype):
    z = domain(name, dtype)
    got, want = kernel(name, arg, z)[0], activate(name, wide(z), rounded(arg, dtype))
    with np.errstate(over="ignore", invalid="ignore"):
        argument = np.abs(z * slope(name, wide(z), want, rounded(arg, dtype))) * np.finfo(WIDE).eps
        # z times a subnormal factor; and the formula rounds its own intermediate values
        allowed = np.abs(wide(z)) * np.finfo(dtype).smallest_subnormal + 4 * np.nan_to_num(argument)
    away = excess(got, want, allowed)
    assert away.max() <= BOUND, z[away.argmax()]


@pytest.mark.parametrize(("name", "bound"), PROMISED.items())
@each_of("dtype", DTYPES)
def test_promised_accuracy(name, bound, dtype):
    z = domain(name, dtype)
    want = activate(name, wide(z))
    if WIDE is np.longdouble and np.finfo(WIDE).nmant <= 60:
        z, want = z[np.abs(z) < 5], want[np.abs(z) < 5]  # the formula's own rounding counts beyond
    away = ulps(kernel(name, 0.0, z)[0], want)
    assert away.max() <= bound, z[away.argmax()]


@pytest.mark.parametrize(("name", "arg"), UNIT_ACTIVATIONS)
@each_of("dtype", DTYPES)
def test_slope_is_its_formula(name, arg, dtype):
    z = domain(name, dtype)
    z = z[np.isfinite(kernel(name, arg, z)[0])]
    d, delta, a = kernel_slope(name, arg, z)
    exact = slope(name, wide(z), wide(a), rounded(arg, dtype))
    # The exact slope is rounded itself; and a slope that crosses zero is a sum, whose terms are rounded.
    terms = np.minimum(2 + np.abs(z), 64) * np.finfo(dtype).eps
    noise = terms if exact.min() < 0 else 4 * np.finfo(WIDE).eps
    away = excess(delta, wide(d) * exact, noise * np.abs(wide(d)))
    assert away.max() <= BOUND, z[away.argmax()]


@pytest.mark.parametrize(("name", "arg"), UNIT_ACTIVATIONS)
@each_of("dtype", DTYPES)
def test_slope_is_the_derivative(name, arg, dtype):
    z = sweep(dtype)
    z = z[(np.abs(z) <= 700) & (np.abs(z) >= 1e-30)]
    z = z[np.isfinite(kernel(name, arg, z)[0]) & smooth(name, arg, z.astype("float64"))]
    exact = activate(name, z.astype("float64") + 1e-60j, rounded(arg, dtype)).imag / 1e-60
    z, exact = z[np.isfinite(exact)], exact[np.isfinite(exact)]  # the complex exp of the formula may overflow
    d, delta, _ = kernel_slope(name, arg, z)
    sound = np.isfinite(delta)  # d is a unit of the last place of a: its product with a slope as large may overflow
    d, delta, exact = d[sound], delta[sound], exact[sound]
    assert exact.size > 5000
    assert np.abs(delta / d - exact).max() <= 32 * np.finfo(dtype).eps * np.abs(exact).max()


@each_of("dtype", DTYPES)
@each_of("name, arg", UNIT_ACTIVATIONS)
def test_infinities(name, arg, dtype):
    far = np.array([1e300, -1e300], WIDE)
    limit = activate(name, far, rounded(arg, dtype))
    limit = np.where(np.abs(limit) > 1e200, np.copysign(np.inf, limit), limit)
    want = [np.nan] * 2 if name == "sin" else narrow(limit, dtype)
    np.testing.assert_array_equal(kernel(name, arg, np.array([np.inf, -np.inf], dtype))[0], want)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sin_ends_where_numbers_are_half_a_radian_apart(dtype):
    end = np.dtype(dtype).type(WAVES_END[dtype])
    z = np.array([end, np.nextafter(end, end.dtype.type(np.inf)), np.finfo(dtype).max], dtype)
    _, delta, a = kernel_slope("sin", 0.0, np.concatenate([z, -z]))
    assert (a != 0).tolist() == (delta != 0).tolist() == [True, False, False] * 2


@each_of("dtype", DTYPES)
@each_of("name, arg", UNIT_ACTIVATIONS)
def test_nan_stays_nan(name, arg, dtype):
    assert np.isnan(kernel(name, arg, np.array([np.nan, 1.0], dtype))[0]).tolist() == [True, False]


@pytest.mark.parametrize(("name", "arg"), [unit for unit in UNIT_ACTIVATIONS if rises(*unit)])
@each_of("dtype", DTYPES)
def test_stays_in_the_range_of_a_rising_formula(name, arg, dtype):
    z = sweep(dtype)
    got, want = kernel(name, arg, z)[0], narrow(activate(name, wide(z), rounded(arg, dtype)), dtype)
    assert want.min() <= got.min()
    assert got.max() <= want.max()


def rows_of(dtype, n):
    """Rows for a row-wise activation: ordinary ones, equal ones, and ones that reach the ends of the range."""
    rng = np.random.default_rng(26)
    scale = 10.0 ** rng.uniform(-3, 2.5, (400, 1))
    top = np.finfo(dtype).max
    corners = [np.full(n, v) for v in (0.0, 1e4, -1e4, top, -top)]
    pairs = [(top, -top), (0, -top), (top, 0)]
    corners += [np.where(np.arange(n) == i, high, low) for i in range(n) for high, low in pairs]
    return np.concatenate([rng.normal(size=(400, n)) * scale, corners]).astype(dtype)


def row_kernel(name, z, loss="half_squared_error"):
    """g of every row of z, and the memory that has seen them: the weights are the unit matrix."""
    n = z.shape[1]
    plan = core_plan(Oracle((n, n), (uniform_layer(n, name),), loss), z.dtype.name)
    memory = _core.Memory(plan, np.vstack([np.full(n, -0.0), np.eye(n)]).ravel().astype(z.dtype))
    return np.array(memory.forward(z)), memory


@pytest.mark.parametrize("name", ROW_WISE)
@each_of("n", [1, 2, 3, 8, 11])
@each_of("dtype", DTYPES)
def test_row_wise_value(name, dtype, n):
    z = rows_of(dtype, n)
    want = np.array([activate(name, row) for row in wide(z)])
    got = row_kernel(name, z)[0]
    if name in LOGARITHMS:
        assert excess(got, want, (BOUND + n) * np.finfo(dtype).eps).max() <= BOUND
        return
    shift = np.abs(wide(z) - wide(z).max(axis=1, keepdims=True))  # its rounding is an error of exp's argument
    assert np.isfinite(got).all()
    assert (ulps(got, want) <= BOUND + n + shift).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROW_WISE)
def test_row_wise_slope(name, dtype):
    z = rows_of(dtype, 6)
    z = z[np.isfinite(row_kernel(name, z)[0]).all(axis=1)]  # the logarithm of a probability may be -infinity
    a, memory = row_kernel(name, z)
    assert len(a) > 400
    d = np.random.default_rng(27).normal(size=z.shape).astype(dtype)
    y = a - d
    memory.backward(y)
    want = [slope(name, *za).T @ e for *za, e in zip(wide(z), wide(a), wide(a - y), strict=True)]
    np.testing.assert_allclose(memory.deltas()[1], np.array(want, float), rtol=0, atol=16 * np.finfo(dtype).eps)


def extremes(dtype, partner):
    """Net inputs out to the end of the range, with targets in the range of the output."""
    if rows("activations")[partner]["row_wise"]:
        z = rows_of(dtype, 4)
        with np.errstate(over="ignore"):
            z = z[np.isfinite(z.max(axis=1) - z.min(axis=1))]
        return z, np.eye(4, dtype=dtype)[np.arange(len(z)) % 4]
    z = np.tile(sweep(dtype)[:, None], (3, 1))
    return z, np.repeat(np.array([0, 0.25, 1], dtype), len(z) // 3)[:, None]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", HEADS)
def test_head_is_stable_out_to_the_largest_number(loss, dtype):
    row = rows("losses")[loss]
    z, y = extremes(dtype, row["partner"])
    plan = row_kernel(row["partner"], z, loss)[1].plan
    theta = np.vstack([np.full(z.shape[1], -0.0), np.eye(z.shape[1])]).ravel().astype(dtype)
    got = np.array([plan.evaluate(theta, *zy) for zy in zip(z[:, None], y[:, None], strict=True)])
    names = {"n": z.shape[1], **dict(row["args"])}
    if OF_A_ROW.search(row["formula"]):
        rows_of_both = zip(wide(z), wide(y), strict=True)
        want = np.array([evaluate(row["formula"], z=r, y=t, **names).sum() for r, t in rows_of_both])
    else:
        want = evaluate(row["formula"], z=wide(z), y=wide(y), **names).sum(axis=1)
    assert np.isfinite(got).all()
    info = np.finfo(dtype)
    atol = 8 * info.eps if rows("activations")[row["partner"]]["row_wise"] else info.tiny
    np.testing.assert_allclose(got, want.astype(float), rtol=8 * info.eps, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", HEADS)
def test_head_delta_is_output_minus_target(loss, dtype):
    z, y = extremes(dtype, rows("losses")[loss]["partner"])
    a, memory = row_kernel(rows("losses")[loss]["partner"], z, loss)
    memory.backward(y)
    assert np.array(memory.deltas()[1]).tobytes() == (a - y).tobytes()
