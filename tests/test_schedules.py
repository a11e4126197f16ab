"""Schedules: against the published formulas in NumPy, against scikit-learn, and on stored bits."""

import json
import math
import pickle
from decimal import Decimal, getcontext, localcontext

import numpy as np
import pytest

import cbp
from cbp import schedules as s

STEPS = np.arange(130)


def cosine(t, high, low):
    return low + (high - low) * (1 + np.cos(np.pi * t)) / 2


def restarts(t, first, growth):
    """Loshchilov and Hutter's T_cur / T_i, period by period."""
    shares, length = [], first
    while len(shares) <= t.max():
        shares += [i / length for i in range(length)]
        length *= growth
    return np.array(shares)[t]


def one_cycle(t, top, total, rise, divisor, final_divisor):
    """The two phases of PyTorch's OneCycleLR."""
    peak = rise * total - 1
    up = cosine(1 - t / peak, top, top / divisor)
    down = cosine((t - peak) / (total - 1 - peak), top, top / divisor / final_divisor)
    return np.where(t <= peak, up, np.where(t < total, down, top / divisor / final_divisor))


FORMULAS = {
    "constant": (s.Constant(0.3), lambda t: 0.3 + 0 * t),
    "step": (s.StepDecay(0.3, 7, 0.9), lambda t: 0.3 * 0.9 ** (t // 7)),
    "exponential": (s.ExponentialDecay(0.3, 0.9, 7), lambda t: 0.3 * 0.9 ** (t / 7)),
    "growing": (s.ExponentialDecay(1e-7, 1.1), lambda t: 1e-7 * 1.1**t),
    "inverse square root": (s.InverseScaling(0.3), lambda t: 0.3 / np.sqrt(t + 1)),
    "inverse": (s.InverseScaling(0.3, 1), lambda t: 0.3 / (t + 1)),
    "inverse scaling": (s.InverseScaling(0.3, 0.7), lambda t: 0.3 / (t + 1) ** 0.7),
    "line": (s.PolynomialDecay(0.3, 100, 0.1), lambda t: np.where(t < 100, 0.1 + 0.2 * (1 - t / 100), 0.1)),
    "polynomial": (
        s.PolynomialDecay(0.3, 100, 0.1, 2.5),
        lambda t: 0.1 + 0.2 * np.maximum(1 - t / 100, 0) ** 2.5,
    ),
    "cosine": (s.CosineDecay(0.3, 100), lambda t: cosine(np.minimum(t / 100, 1), 0.3, 0)),
    "cosine to": (s.CosineDecay(0.3, 97, 0.1), lambda t: cosine(np.minimum(t / 97, 1), 0.3, 0.1)),
    "cosine up": (s.CosineDecay(0.1, 97, 0.3), lambda t: cosine(np.minimum(t / 97, 1), 0.1, 0.3)),
    "restarts": (s.CosineRestarts(0.3, 13), lambda t: cosine(restarts(t, 13, 1), 0.3, 0)),
    "longer restarts": (s.CosineRestarts(0.3, 9, 2, 0.01), lambda t: cosine(restarts(t, 9, 2), 0.3, 0.01)),
    "one cycle": (s.OneCycle(0.3, 120), lambda t: one_cycle(t, 0.3, 120, 0.3, 25, 1e4)),
    "early cycle": (s.OneCycle(2, 50, 0.1, 10, 7), lambda t: one_cycle(t, 2, 50, 0.1, 10, 7)),
    "warm-up": (
        s.LinearWarmup(s.CosineDecay(0.3, 60), 20, 0.1),
        lambda t: np.where(t < 20, 0.1 + 0.2 * (t + 1) / 21, cosine(np.clip((t - 20) / 60, 0, 1), 0.3, 0)),
    ),
}
EVERY = pytest.mark.parametrize("schedule", [pair[0] for pair in FORMULAS.values()], ids=FORMULAS)


@pytest.mark.parametrize("name", FORMULAS)
def test_schedule_is_the_published_formula(name):
    schedule, formula = FORMULAS[name]
    rates, expected = [schedule(step) for step in STEPS], formula(STEPS)
    # 1 + cos cancels in NumPy, so the end of a wave is compared by the size of its beginning
    np.testing.assert_allclose(rates, expected, rtol=1e-15, atol=1e-15 * expected.max())
    assert all(type(rate) is float for rate in rates)


# What the platforms have to agree on: rates after so many updates, as hexadecimal floats
BITS = {
    "constant": [
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
    ],
    "step": [
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
        "0x1.f1a9fbe76c8b4p-3",
        "0x1.4684711368929p-3",
        "0x1.38582f61ad389p-4",
        "0x1.99dbc13efe62bp-5",
        "0x0.0p+0",
    ],
    "exponential": [
        "0x1.3333333333333p-2",
        "0x1.2e9c5d8a50427p-2",
        "0x1.dbb128b70501ap-3",
        "0x1.4684711368929p-3",
        "0x1.21b370c4cc7d1p-4",
        "0x1.99dbc13efe62bp-5",
        "0x0.0p+0",
    ],
    "growing": [
        "0x1.ad7f29abcaf48p-24",
        "0x1.d87247702c0d0p-24",
        "0x1.0f5c1c5268eedp-21",
        "0x1.6f8351a2fc2f2p-18",
        "0x1.ed7a56875ad1ap-11",
        "0x1.142c00d89cfb0p-7",
        "inf",
    ],
    "inverse square root": [
        "0x1.3333333333333p-2",
        "0x1.b27247aff148ep-3",
        "0x1.21a1851ff630ap-4",
        "0x1.76c7cdf5bf2f1p-5",
        "0x1.f3101d4cddcb8p-6",
        "0x1.c0b1bee5a6d83p-6",
        "0x1.3a9298b67fb61p-12",
    ],
    "inverse": [
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-3",
        "0x1.1111111111111p-6",
        "0x1.c93a581c93a58p-8",
        "0x1.9560980439019p-9",
        "0x1.47ae147ae147bp-9",
        "0x1.421f4a2487cb5p-22",
    ],
    "inverse scaling": [
        "0x1.3333333333333p-2",
        "0x1.7a3522e65d098p-3",
        "0x1.44f3f29c45f6bp-5",
        "0x1.61467a2087f57p-6",
        "0x1.8fca040eaee76p-7",
        "0x1.5876e18014fddp-7",
        "0x1.3d922d89b843dp-16",
    ],
    "line": [
        "0x1.3333333333333p-2",
        "0x1.3126e978d4fdfp-2",
        "0x1.10624dd2f1aa0p-2",
        "0x1.ba5e353f7ced8p-3",
        "0x1.ba5e353f7cedap-4",
        "0x1.999999999999ap-4",
        "0x1.999999999999ap-4",
    ],
    "polynomial": [
        "0x1.3333333333333p-2",
        "0x1.2e1e4b43494e9p-2",
        "0x1.cddf4b0239e20p-3",
        "0x1.35bcc06c4b9afp-3",
        "0x1.99dcb5781c715p-4",
        "0x1.999999999999ap-4",
        "0x1.999999999999ap-4",
    ],
    "cosine": [
        "0x1.3333333333333p-2",
        "0x1.331fcc12f1e8ep-2",
        "0x1.1dcf5a8b5d645p-2",
        "0x1.7f98f7f1dcdefp-3",
        "0x1.361003fbee59fp-10",
        "0x0.0p+0",
        "0x0.0p+0",
    ],
    "cosine to": [
        "0x1.3333333333333p-2",
        "0x1.332573cdae3b2p-2",
        "0x1.241127177b3a1p-2",
        "0x1.c46584c0ea522p-3",
        "0x1.99d0972fad79bp-4",
        "0x1.999999999999ap-4",
        "0x1.999999999999ap-4",
    ],
    "cosine up": [
        "0x1.999999999999ap-4",
        "0x1.99d0972fad79cp-4",
        "0x1.d621ca08797e2p-4",
        "0x1.6ecdae7248e11p-3",
        "0x1.332573cdae3b3p-2",
        "0x1.3333333333333p-2",
        "0x1.3333333333333p-2",
    ],
    "restarts": [
        "0x1.3333333333333p-2",
        "0x1.2ebc95f4e5f19p-2",
        "0x1.e1b5a12643d74p-3",
        "0x1.0c923d800f437p-2",
        "0x1.a022768a9e8e4p-3",
        "0x1.219b25ccef9dfp-2",
        "0x1.2ebc95f4e5f19p-2",
    ],
    "longer restarts": [
        "0x1.3333333333333p-2",
        "0x1.2a3edd0ac4fa4p-2",
        "0x1.7101ae1a2f0c2p-3",
        "0x1.8a4c84f2d328bp-3",
        "0x1.6433788a318e3p-3",
        "0x1.67d25f6ebd53dp-5",
        "0x1.24b50c6d3bfc9p-4",
    ],
    "one cycle": [
        "0x1.89374bc6a7efap-7",
        "0x1.9c362f9f232fep-7",
        "0x1.3241bf297d461p-3",
        "0x1.2df75ab565dcfp-2",
        "0x1.ab47006ea3491p-5",
        "0x1.421f5f40d8376p-20",
        "0x1.421f5f40d8376p-20",
    ],
    "early cycle": [
        "0x1.999999999999ap-3",
        "0x1.dabafade7c790p-2",
        "0x1.9f03d1b421bdcp+0",
        "0x1.26d0208a9661cp-3",
        "0x1.d41d41d41d41ep-6",
        "0x1.d41d41d41d41ep-6",
        "0x1.d41d41d41d41ep-6",
    ],
    "warm-up": [
        "0x1.c09c09c09c09cp-4",
        "0x1.e79e79e79e79fp-4",
        "0x1.15f15f15f15f1p-2",
        "0x1.b026456b5080bp-3",
        "0x0.0p+0",
        "0x0.0p+0",
        "0x0.0p+0",
    ],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_schedule_has_the_same_bits_everywhere(name):
    schedule, _ = FORMULAS[name]
    assert [schedule(step).hex() for step in (0, 1, 17, 42, 96, 119, 10**6)] == BITS[name]


def digits(x):
    """(1 - cos(pi x)) / 2 by the power series of the cosine in 50 digits."""
    with localcontext() as context:
        context.prec = 50
        w = Decimal("3.14159265358979323846264338327950288419716939937510") * Decimal(x)
        term, total = Decimal(1), Decimal(0)
        for k in range(1, 60):
            term *= -w * w / ((2 * k - 1) * (2 * k))
            total -= term
        return total / 2


def test_cosine_is_within_three_units_in_the_last_place():
    for i in range(1, 1001):
        rate = s.CosineDecay(1.0, 1001)(1001 - i)
        assert abs(Decimal(rate) - digits(i / 1001)) <= 3 * Decimal(math.ulp(rate)), i


def test_powers_are_rounded_correctly():
    rng = np.random.default_rng(0)
    with localcontext() as context:
        context.prec = 60
        for base, power, step in zip(rng.uniform(0.5, 1.1, 200), rng.uniform(0, 3, 200), range(2, 202), strict=True):
            assert s.ExponentialDecay(1.0, base, 7)(step) == float(Decimal(base) ** (Decimal(step) / 7))
            inverse = 1 / float((step + 1) ** Decimal(power))
            assert s.InverseScaling(1.0, power)(step) == inverse


def test_changed_defaults_of_decimal_change_nothing():
    before = s.ExponentialDecay(0.1, 0.5, 3)(1)
    s._power.cache_clear()
    with localcontext():
        getcontext().prec = 3
        assert s.ExponentialDecay(0.1, 0.5, 3)(1) == before


def test_inverse_scaling_is_that_of_scikit_learn():
    optimizers = pytest.importorskip("sklearn.neural_network._stochastic_optimizers", reason="needs scikit-learn")
    theirs = optimizers.SGDOptimizer([np.zeros(1)], learning_rate_init=0.2, lr_schedule="invscaling", power_t=0.35)
    for step in range(50):
        theirs.iteration_ends(step)
        assert s.InverseScaling(0.2, 0.35)(step) == pytest.approx(theirs.learning_rate, rel=1e-15)


def test_ends_are_exact():
    assert s.CosineDecay(0.3, 7, 0.1)(0) == 0.3
    assert s.CosineDecay(0.3, 7, 0.1)(7) == s.CosineDecay(0.3, 7, 0.1)(10**15) == 0.1
    assert s.PolynomialDecay(0.3, 7, 0.1, 2)(0) == 0.3
    assert s.OneCycle(0.3, 120)(35) == 0.3
    assert s.OneCycle(0.3, 120)(119) == 0.3 / 25 / 1e4
    assert s.CosineRestarts(0.3, 5, 3, 0.1)(5 + 15 + 45) == 0.3


@pytest.mark.parametrize(("steps", "rise"), [(1, 0), (1, 0.9), (2, 0), (2, 0.5), (3, 0.99)])
def test_short_cycles_have_no_hole(steps, rise):
    rates = [s.OneCycle(1.0, steps, rise)(step) for step in range(steps + 1)]
    assert rates[-1] == rates[-2] == 1 / 25 / 1e4
    assert all(0 < rate <= 1 for rate in rates)


def test_a_schedule_after_a_warm_up_begins_with_its_first_step():
    inner = []
    schedule = s.LinearWarmup(lambda step: inner.append(step) or 0.5, 3)
    assert [schedule(step) for step in (3, 4)] == [0.5, 0.5]
    assert inner == [0, 1]


# ---- objects ----


@EVERY
def test_configuration_goes_through_json(schedule):
    again = s.get(json.loads(json.dumps(schedule.get_config())))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert s.get(schedule) is schedule


@EVERY
def test_schedule_prints_what_makes_it(schedule):
    assert eval(repr(schedule), vars(s)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule


def test_schedules_differ_by_class_and_argument():
    assert s.CosineDecay(0.1, 10) != s.CosineDecay(0.1, 11)
    assert s.CosineDecay(0.1, 10) != s.CosineRestarts(0.1, 10)


def test_attributes_cannot_be_changed():
    with pytest.raises(AttributeError):
        s.Constant(0.1).learning_rate = 0.2


def test_a_class_of_ones_own_is_a_schedule():
    class Quarters(s.Schedule):
        def _rate(self, step):
            return 0.25**step

    try:
        assert s.get({"name": "Quarters"})(2) == 0.0625
    finally:
        del s.Schedule._classes["Quarters"]


ERRORS = {
    "negative rate": (lambda: s.Constant(-1), ValueError, "learning_rate must be at least 0, not -1"),
    "rate of nan": (lambda: s.CosineDecay(math.nan, 3), ValueError, "learning_rate must be finite, not nan"),
    "rate of text": (lambda: s.CosineDecay("0.1", 3), TypeError, "learning_rate must be a number, not '0.1'"),
    "no steps": (lambda: s.CosineDecay(0.1, 0), ValueError, "steps must be at least 1, not 0"),
    "broken steps": (lambda: s.PolynomialDecay(0.1, 1.5), TypeError, "steps must be a whole number, not 1.5"),
    "no stair": (lambda: s.StepDecay(0.1, 0), ValueError, "every must be at least 1, not 0"),
    "factor 0": (lambda: s.ExponentialDecay(0.1, 0), ValueError, "factor must be greater than 0"),
    "negative power": (lambda: s.InverseScaling(0.1, -1), ValueError, "power must be at least 0, not -1"),
    "half growth": (lambda: s.CosineRestarts(0.1, 3, 1.5), TypeError, "growth must be a whole number, not 1.5"),
    "rise to the end": (
        lambda: s.OneCycle(0.1, 9, 1.0),
        ValueError,
        "rise must be at least 0 and less than 1, not 1",
    ),
    "divisor 0": (lambda: s.OneCycle(0.1, 9, divisor=0), ValueError, "divisor must be greater than 0"),
    "warm-up to a number": (
        lambda: s.LinearWarmup(0.1, 9),
        TypeError,
        "schedule must be a schedule or a function of the step, not 0.1",
    ),
    "negative step": (lambda: s.Constant(0.1)(-1), ValueError, "step must be at least 0, not -1"),
    "half a step": (lambda: s.Constant(0.1)(0.5), TypeError, "step must be a whole number, not 0.5"),
    "unknown name": (
        lambda: s.get({"name": "cosinedecay"}),
        ValueError,
        "no schedule is called 'cosinedecay', did you mean 'CosineDecay'? there are: "
        "Constant, StepDecay, ExponentialDecay, InverseScaling, PolynomialDecay, CosineDecay, CosineRestarts, "
        "OneCycle, LinearWarmup",
    ),
    "no name": (lambda: s.get({}), TypeError, "a schedule's configuration is a dict with a 'name', not {}"),
    "a name alone": (lambda: s.get("cosine"), TypeError, "a schedule's configuration is a dict with a 'name'"),
    "wrong argument": (lambda: s.get({"name": "Constant", "rate": 1}), TypeError, "Constant: "),
    "base": (lambda: s.Schedule()(0), NotImplementedError, "Schedule has no formula"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_says_what_is_wrong(name):
    call, kind, sentence = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(sentence)


def test_a_function_cannot_be_kept():
    with pytest.raises(TypeError, match="cannot be kept in a configuration"):
        s.LinearWarmup(math.sqrt, 3).get_config()


# ---- training ----


def test_fit_takes_the_rate_of_every_update():
    X = np.linspace(-1, 1, 12)[:, None]
    schedule = s.LinearWarmup(s.CosineDecay(0.1, 10), 3)
    network, by_hand = (cbp.Network([1, 1], output="identity", dtype="float64", seed=0) for _ in range(2))
    history = network.fit(X, 2 * X + 1, epochs=4, batch_size=4, shuffle=False, optimizer="sgd", schedule=schedule)
    assert history.learning_rate == [schedule(step) for step in (2, 5, 8, 11)]
    optimizer = cbp.optimizers.SGD()
    for step in range(12):
        rows = slice(4 * (step % 3), 4 * (step % 3) + 4)
        by_hand.gradient(X[rows], 2 * X[rows] + 1)
        optimizer.learning_rate = schedule(step)
        optimizer.step(by_hand)
    assert network.params.tobytes() == by_hand.params.tobytes()


def test_training_with_a_schedule_goes_on_where_it_stopped():
    X = np.linspace(-1, 1, 12)[:, None]
    once, twice = (cbp.Network([1, 3, 1], output="identity", seed=0) for _ in range(2))
    settings = {"batch_size": 5, "schedule": s.OneCycle(0.1, 24)}
    once.fit(X, X, epochs=8, **settings)
    twice.fit(X, X, epochs=3, **settings)
    twice.fit(X, X, epochs=5, **settings)
    assert once == twice
