"""Elementary functions and activations against mpmath, at the ends of their range too; losses at theirs.

tools/ulp.c (`make test-ulp`) looks at every float; here a few hundred numbers of each precision are compared with as
many digits as it takes, and the special ones with every instruction set. Activations are the tables' texts, in
numbers that never overflow.
"""

import subprocess
from functools import cache

import _c_programs as c
import mpmath as mp
import numpy as np
import pytest
from cases import each_of
from helpers import DTYPES, core_plan, one_in, uniform_layer, unit_activations
from reference import Oracle, rows

from cbp import _core

ACTIVATIONS = list(unit_activations())
WAVES_END = {"float32": 2.0**22, "float64": 2.0**51}  # sin is 0 beyond


def erfc(x):
    """mpmath's, as far as it goes."""
    return mp.erfc(x) if abs(x) < 10**4 else mp.mpf(2 if x < 0 else 0)


FUNCTIONS = {  # exact, from, to, units of the last place
    "exp": (mp.exp, -np.inf, np.inf, 1.5),
    "log": (mp.log, 0, np.inf, 2.5),
    "log1p": (mp.log1p, 0, 1, 2.5),
    "expm1": (mp.expm1, -np.inf, 0, 2.5),
    "erf": (lambda x: 1 - erfc(x) if abs(x) > 1 else mp.erf(x), -np.inf, np.inf, 2.5),
    "normal_cdf": (lambda z: erfc(-z / mp.sqrt(2)) / 2, -np.inf, np.inf, 2.5),
}
BOUNDS = {"exp": 1.5} | dict.fromkeys(("silu", "mish", "gelu", "gelu_tanh"), 3.5)
TEXTS = {name: getattr(mp, name) for name in ("exp", "expm1", "log1p", "tanh", "sin", "sqrt", "pi")}
TEXTS |= {"abs": abs, "erfc": erfc, "where": lambda holds, one, other: one if holds else other}


@pytest.fixture(autouse=True)
def _digits():
    with mp.workdps(40):
        yield


@cache
def program():
    return c.program(c.ROOT / "tests/c/values.c")


def kernel(isa, dtype, kind, name, x, arg=0.0):
    """What the kernels of an instruction set make of the numbers x."""
    command = [str(program()), isa, dtype, kind, name, repr(float(arg))]
    text = "\n".join(float(v).hex() for v in x)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return np.array([float.fromhex(word.partition("(")[0]) for word in done.stdout.split()], dtype)


def samples(name, dtype, low=-np.inf, high=np.inf):
    """Numbers of a precision within bounds: where functions bend, near 0, out in the tails, the ends of the range."""
    rng, info = np.random.default_rng(26), np.finfo(dtype)
    signs = rng.choice([-1.0, 1.0], 160)
    digits = np.log10(float(info.tiny)), np.log10(float(info.max))
    parts = [rng.uniform(-3, 3, 80), rng.uniform(-40, 40, 80), rng.uniform(-110, 110, 40), rng.uniform(-760, 760, 40)]
    spread = 10 ** np.concatenate([rng.uniform(digits[0], 0, 80), rng.uniform(0, digits[1], 80)])
    ends = [info.max, info.tiny, info.smallest_subnormal, info.eps, 1, 0]
    anywhere = np.concatenate([*parts, spread * signs])[:: one_in(4)]
    x = np.concatenate([anywhere, np.array(ends, "float64"), -np.array(ends, "float64")]).astype(dtype)
    if name in ("sin", "cos"):
        low, high = -WAVES_END[dtype], WAVES_END[dtype]
    return x[(low <= x) & (x <= high)]


def evaluate(name, z, arg):
    """Value of an activation's text."""
    row = rows("activations")[name]
    names = {argument: mp.mpf(float(arg)) for argument, _ in row["args"]}
    return mp.mpf(eval(row["formula"], TEXTS | {"z": z} | names))


def away(got, want, allowed=0):
    """Distance of a number from an exact one, beyond what is allowed, in units of the last place of its precision."""
    info = np.finfo(got.dtype)
    if abs(want) >= mp.mpf(2) ** info.maxexp * (1 - mp.mpf(2) ** (-info.nmant - 2)):
        return 0 if np.isinf(got) and (got > 0) == (want > 0) else mp.inf
    exponent = max(mp.frexp(want)[1] - 1, info.minexp) if want else info.minexp
    return max(abs(mp.mpf(float(got)) - want) - allowed, 0) / mp.ldexp(1, exponent - info.nmant)


def farthest(x, got, want, allowed):
    """Return the largest distance and where it is."""
    return max((away(*row), float(at)) for *row, at in zip(got, want, allowed, x, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_elementary_functions(name, dtype):
    exact, low, high, bound = FUNCTIONS[name]
    x = samples(name, dtype, low, high)
    x = x[x != 0] if name == "log" else x
    want = [exact(mp.mpf(float(v))) for v in x]
    units, at = farthest(x, kernel(_core.isa(), dtype, "math", name, x), want, [0] * len(x))
    assert units <= bound, at


@pytest.mark.parametrize("dtype", DTYPES)
def test_cos_in_units_of_its_largest_value(dtype):
    x = samples("cos", dtype)
    got = kernel(_core.isa(), dtype, "math", "cos", x)
    errors = [abs(mp.mpf(float(one)) - mp.cos(mp.mpf(float(v)))) for one, v in zip(got, x, strict=True)]
    assert max(errors) <= np.finfo(dtype).eps  # a slope is added to others: what counts is its size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "arg"), ACTIVATIONS)
def test_values_of_activations(name, arg, dtype):
    arg = float(np.dtype(dtype).type(arg))
    x = samples(name, dtype)
    want = [evaluate(name, mp.mpf(float(v)), arg) for v in x]
    gated = BOUNDS.get(name) == 3.5  # z times a factor that may be subnormal: half a unit of it is not counted
    allowed = [abs(float(v)) * float(np.finfo(dtype).smallest_subnormal) / 2 if gated else 0 for v in x]
    units, at = farthest(x, kernel(_core.isa(), dtype, "value", name, x, arg), want, allowed)
    assert units <= BOUNDS.get(name, 2.5), at


# ---- special values, every instruction set ----


def special(dtype):
    info = np.finfo(dtype)
    return np.array(
        [0.0, info.smallest_subnormal, info.max, np.inf, -0.0, -info.smallest_subnormal, -info.max, -np.inf]
    )


def limit(name, arg, x):
    """The activation's exact value, at infinity its limit."""
    if np.isfinite(x):
        return evaluate(name, mp.mpf(float(x)), arg)
    value = evaluate(name, (mp.mpf(10) ** 400) * (1 if x > 0 else -1), arg)
    return mp.sign(value) * mp.inf if abs(value) > mp.mpf(10) ** 390 else value


@pytest.mark.parametrize(("name", "arg"), [unit for unit in ACTIVATIONS if unit[0] != "sin"])
@each_of("isa", _core.isas())
@each_of("dtype", DTYPES)
def test_special_values_of_activations(name, arg, dtype, isa):
    arg = float(np.dtype(dtype).type(arg))
    x = special(dtype)
    got = kernel(isa, dtype, "value", name, [*x, np.nan], arg)
    slopes = kernel(isa, dtype, "slope", name, [*x, np.nan], arg)
    assert np.isnan(got).tolist() == [False] * len(x) + [True]
    assert not np.isnan(slopes[:-1]).any()
    assert max(away(one, limit(name, arg, v)) for one, v in zip(got, x, strict=False)) <= BOUNDS.get(name, 2.5)


def cost_and_delta(loss, dtype, isa, z, y):
    """C and dC/dz of the one output, or the pair of them, that a number z reaches as it is."""
    row = rows("losses")[loss]
    names = [row["partner"], row["pair"]] if row["pair"] else [row["partner"]]
    units = (tuple(uniform_layer(1, name)[0] for name in names),)
    theta = np.repeat(np.array([-0.0, 1], dtype), len(names))
    memory = _core.Memory(core_plan(Oracle((1, len(names)), units, loss), dtype, isa=isa), theta)
    cost = memory.gradient(np.array([[z]], dtype), np.array([[y]], dtype), None)
    return cost, *map(float, memory.deltas()[1][0])


@pytest.mark.parametrize("loss", rows("losses"))
@each_of("isa", _core.isas())
@each_of("dtype", DTYPES)
def test_special_values_of_losses(loss, dtype, isa):
    lowest, highest = rows("losses")[loss]["targets"]
    is_share = rows("activations")[rows("losses")[loss]["partner"]]["row_wise"]
    for y in (1.0 if is_share else max(lowest, -2.0), min(highest, 2.0)):
        for z in special(dtype):
            found = cost_and_delta(loss, dtype, isa, z, y)
            assert np.isinf(z) or not np.isnan(found).any(), (z, y)
            np.testing.assert_array_equal(found, cost_and_delta(loss, dtype, "scalar", z, y))
        assert np.isnan(cost_and_delta(loss, dtype, isa, np.nan, y)[0])
