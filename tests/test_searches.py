"""The full-batch searches: what they find, how fast, and what they do where there is nothing to be found."""

import math
from itertools import pairwise

import numpy as np
import pytest
from helpers import same_bytes
from searching import Function, drive, quadratic, rosenbrock

import cbp
from cbp import methods
from cbp.methods import BFGS, LBFGS, SCG, ConjugateGradient, TruncatedNewton, objective

VARIANTS = ("polak_ribiere", "fletcher_reeves", "powell_beale")
ALL = {
    "scg": SCG(),
    "scg exact": SCG(hessian="exact"),
    **{variant: ConjugateGradient(variant) for variant in VARIANTS},
    "bfgs": BFGS(),
    "lbfgs": LBFGS(),
    "lbfgs 3": LBFGS(memory=3),
    "newton": TruncatedNewton(),
    "gauss_newton": TruncatedNewton(matrix="gauss_newton"),
}
each_method = pytest.mark.parametrize("method", ALL.values(), ids=ALL.keys())
LINE_SEARCHES = {name: method for name, method in ALL.items() if not isinstance(method, SCG)}


def problem(dtype="float64", seed=0, m=60, noise=0.0, l2=0.0):
    """A network, and data that another one of the same shape has made: the minimum of J is 0 but for noise and l2."""
    teacher = cbp.Network([2, 3, 1], activation="tanh", output="identity", dtype="float64", seed=seed + 100)
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(m, 2))
    y = teacher.predict(X) + noise * rng.normal(size=(m, 1))
    layers = [2, cbp.Dense(3, "tanh", l2=l2), cbp.Dense(1, "identity", l2=l2)]
    return cbp.Network(layers, dtype=dtype, seed=seed), X, y


def changed(method, **arguments):
    """The same method but for these arguments."""
    return type(method)(**{name: arguments.get(name, getattr(method, name)) for name in method.fields})


# ---- minima ----


@each_method
def test_a_network_finds_what_made_its_data(method):
    net, X, y = problem()
    history = net.fit(X, y, epochs=3000, optimizer=changed(method, min_grad=1e-7))
    assert history.stopped == "minimum gradient"
    assert history.loss[-1] < 1e-9
    np.testing.assert_allclose(net.predict(X), y, atol=1e-3)


@each_method
def test_no_step_makes_the_objective_greater(method):
    net, X, y = problem(seed=4, noise=0.3)
    losses = net.fit(X, y, epochs=60, optimizer=method).loss
    assert all(after <= before for before, after in pairwise(losses))


@each_method
def test_rosenbrock_valley(method):
    f = rosenbrock()
    state, losses, _ = drive(method, f, 1000)
    assert state.stop in ("minimum gradient", "no progress")
    assert losses[-1] < 1e-9
    np.testing.assert_allclose(f.theta, 1, atol=1e-4)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_lbfgs_finds_the_minimum_that_scipy_finds(start):
    optimize = pytest.importorskip("scipy.optimize")
    net, X, y = problem(seed=start, noise=0.2, l2=0.02)
    f, tight = objective(net, X, y), {"gtol": 1e-8, "ftol": 0, "maxiter": 10_000, "maxfun": 10_000}
    found = optimize.minimize(f, net.params.copy(), jac=True, method="L-BFGS-B", options=tight)
    net.fit(X, y, epochs=2000, optimizer=LBFGS(min_grad=1e-8))
    assert f(net.params)[0] == pytest.approx(found.fun, rel=1e-12)
    outputs = net.predict(X)
    f.accept(found.x)  # units may have changed places
    np.testing.assert_allclose(net.predict(X), outputs, atol=1e-5)


# ---- quadratics ----


@pytest.mark.parametrize("variant", VARIANTS)
def test_conjugate_gradients_solve_n_equations_in_n_steps(variant):
    f, minimum = quadratic(7, seed=1)
    _, losses, _ = drive(ConjugateGradient(variant, c1=1e-12, c2=1e-9), f, 7)
    np.testing.assert_allclose(f.theta, minimum, atol=1e-6)
    assert losses[-2] - losses[-1] > 1e-6  # and in no fewer


def test_on_a_quadratic_the_variants_are_the_same():
    ways = [drive(ConjugateGradient(v, c1=1e-12, c2=1e-9), quadratic(7, seed=2)[0], 6)[2] for v in VARIANTS]
    for other in ways[1:]:
        np.testing.assert_allclose(other, ways[0], atol=1e-6)


def test_a_linear_network_is_solved_in_as_many_steps_as_it_has_parameters():
    net = cbp.Network([4, 1], output="identity", dtype="float64", seed=1)
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    net.fit(X, y, epochs=5, optimizer=ConjugateGradient(c1=1e-12, c2=1e-9))
    wanted = np.linalg.lstsq(np.column_stack([np.ones(30), X]), y, rcond=None)[0]
    np.testing.assert_allclose(net.params, wanted, atol=1e-7)


def test_bfgs_knows_the_inverse_after_n_exact_steps():
    f, minimum = quadratic(6, seed=3)
    state, *_ = drive(BFGS(c1=1e-12, c2=1e-9, min_grad=0.0), f, 6)
    np.testing.assert_allclose(f.theta, minimum, atol=1e-6)
    np.testing.assert_allclose(state.vectors["inverse"], np.linalg.inv(f.hessian(f.theta)), atol=1e-5)


@pytest.mark.parametrize("distance", [1e-2, 1e-4, 1e-6])
def test_newton_solves_its_equations_as_exactly_as_the_forcing_term_says(distance):
    """On a quadratic what is left of the equations is the gradient after a whole step."""
    f, minimum = quadratic(20, seed=4, condition=10.0)
    f.point[:] = minimum + distance * np.ones(20)
    before = np.linalg.norm(f.slope(f.point))
    drive(TruncatedNewton(), f, 1)
    wanted = min(0.5, math.sqrt(before)) * before
    assert 0.01 * wanted < np.linalg.norm(f.slope(f.point)) <= wanted


# ---- formulas ----


def directions(variant, points, gradients):
    """Directions of conjugate gradients from the points, by the formulas of the papers; no restarts but the first."""
    d = [-gradients[0]]
    for k in range(1, len(gradients)):
        g, h = gradients[k], gradients[k - 1]
        if variant == "fletcher_reeves":
            d.append(-g + (g @ g) / (h @ h) * d[-1])
        elif variant == "polak_ribiere":
            d.append(-g + max(0, g @ (g - h) / (h @ h)) * d[-1])
    return d


@pytest.mark.parametrize("variant", ["fletcher_reeves", "polak_ribiere"])
def test_directions_are_those_of_the_papers(variant):
    net, X, y = problem(seed=2)
    f = objective(net, X, y)
    _, _, points = drive(ConjugateGradient(variant), f, 8)
    wanted = directions(variant, points, [f(point)[1] for point in points])
    for before, after, d in zip(points, points[1:], wanted, strict=False):
        step = after - before
        np.testing.assert_allclose(step / np.linalg.norm(step), d / np.linalg.norm(d), atol=1e-9)


def beale(points, gradients, n):
    """Powell's algorithm (Mathematical Programming 12, 1977, section 4): directions d_1, d_2 ..., and the restarts."""
    d, t, restarts = {1: -gradients[1]}, 1, []
    for k in range(2, len(points) + 1):
        g, h = gradients[k], gradients[k - 1]
        beta = g @ (g - h) / (d[k - 1] @ (g - h))
        if k - t >= n or abs(h @ g) >= 0.2 * (g @ g):
            t = k - 1
        three = -g + beta * d[k - 1]
        if k > t + 1:
            u = gradients[t + 1] - gradients[t]
            three = three + g @ u / (d[t] @ u) * d[t]
            if not -1.2 * (g @ g) <= three @ g <= -0.8 * (g @ g):
                t, three = k - 1, -g + beta * d[k - 1]
        d[k] = three
        restarts.append(t == k - 1)
    return d, restarts


def test_powell_beale_is_powells_algorithm():
    net, X, y = problem(seed=6)
    f = objective(net, X, y)
    _, _, points = drive(ConjugateGradient("powell_beale"), f, 40)
    numbered = dict(enumerate(points, 1))
    d, restarts = beale(numbered, {k: f(point)[1] for k, point in numbered.items()}, f.n)
    assert True in restarts
    assert False in restarts
    for k in range(1, len(points)):
        step = numbered[k + 1] - numbered[k]
        np.testing.assert_allclose(step / np.linalg.norm(step), d[k] / np.linalg.norm(d[k]), atol=1e-6)


def dense_bfgs(H, s, y):
    """The update of Nocedal and Wright, equation 6.17."""
    rho, eye = 1 / (s @ y), np.eye(len(s))
    return (eye - rho * np.outer(s, y)) @ H @ (eye - rho * np.outer(y, s)) + rho * np.outer(s, s)


def pairs(f, points):
    gradients = [f(point)[1] for point in points]
    return [(b - a, h - g) for a, b, g, h in zip(points, points[1:], gradients, gradients[1:], strict=False)]


@pytest.mark.parametrize("memory", [1, 4, 30])
def test_the_recursion_is_the_dense_formula(memory):
    net, X, y = problem(seed=3)
    f = objective(net, X, y)
    method = LBFGS(memory=memory)
    state, _, points = drive(method, f, 12)
    known = pairs(f, points)[-memory:]
    s, change = known[-1]
    H = s @ change / (change @ change) * np.eye(f.n)
    for s, change in known:
        H = dense_bfgs(H, s, change)
    direction, first = method._direction(f, state, state.cache["here"])
    np.testing.assert_allclose(direction, -H @ f(net.params)[1], rtol=1e-9, atol=1e-12)
    assert first == 1.0
    assert len(state.vectors) == 2 * min(memory, 12)


def test_bfgs_is_the_dense_formula():
    net, X, y = problem(seed=3)
    f = objective(net, X, y)
    state, _, points = drive(BFGS(), f, 12)
    known = pairs(f, points)
    s, change = known[0]
    H = s @ change / (change @ change) * np.eye(f.n)
    for s, change in known:
        H = dense_bfgs(H, s, change)
    np.testing.assert_allclose(state.vectors["inverse"], H, rtol=1e-8, atol=1e-8 * np.abs(H).max())
    assert (state.vectors["inverse"] == state.vectors["inverse"].T).all()


def test_bfgs_remembers_more_than_a_block_of_its_matrix():
    f, _ = quadratic(200, seed=5, condition=4.0)
    state, _, points = drive(BFGS(), f, 3)
    H = None
    for s, y in [(b - a, f.slope(b) - f.slope(a)) for a, b in pairwise(points)]:
        H = dense_bfgs(s @ y / (y @ y) * np.eye(200) if H is None else H, s, y)
    np.testing.assert_allclose(state.vectors["inverse"], H, atol=1e-12)


def test_a_step_without_positive_curvature_is_not_remembered():
    for method in (LBFGS(), BFGS()):
        f = Function(lambda x: -float(x[0]), lambda x: [-1.0], [0.0])
        state, losses, _ = drive(method, f, 1)
        assert losses[1] < losses[0]
        assert len(state.vectors) == (0 if isinstance(method, LBFGS) else 1)
        assert state.numbers.get("updates", 0.0) == 0.0


# ---- truncated Newton ----


def test_newton_converges_faster_than_linearly():
    net, X, y = problem(seed=5, noise=0.1, l2=0.01)
    f = objective(net, X, y)
    drive(TruncatedNewton(min_grad=2e-4), f, 200)
    states = [drive(TruncatedNewton(min_grad=0.0), f, 1)[0] for _ in range(3)]
    lengths = [state.figures["gradient"] for state in states]
    assert [state.figures["evaluations"] for state in states] == [1, 1, 1]  # whole steps
    assert lengths[0] > 1e-5
    assert lengths[1] < lengths[0] ** 1.4  # the order of the forcing term is 1.5
    assert lengths[2] < 1e-8


def saddle(start):
    """Two valleys at x = -1 and 1, a saddle at 0."""
    return Function(
        lambda x: (x[0] ** 2 - 1) ** 2 / 4 + x[1] ** 2 / 2,
        lambda x: [x[0] * (x[0] ** 2 - 1), x[1]],
        start,
        lambda x: np.diag([3 * x[0] ** 2 - 1, 1.0]),
    )


@pytest.mark.parametrize("start", [(0.1, 0.0), (0.1, 1.0), (-1e-3, 1e-3)])
def test_negative_curvature_leads_away_from_a_saddle(start):
    f = saddle(start)
    state, losses, _ = drive(TruncatedNewton(), f, 50)
    assert state.stop == "minimum gradient"
    assert losses[-1] == pytest.approx(0, abs=1e-12)
    assert f.theta[0] == pytest.approx(math.copysign(1, start[0]), abs=1e-6)


def test_where_the_first_product_shows_negative_curvature_the_way_is_down():
    f = saddle((0.1, 0.0))
    _, _, points = drive(TruncatedNewton(), f, 1)
    step = points[1] - points[0]
    assert f.products == 1
    np.testing.assert_allclose(step / np.linalg.norm(step), [1, 0])


def test_products_are_counted_and_limited():
    f, minimum = quadratic(30, seed=6, condition=1e4)
    f.point[:] = minimum + 1e-10
    state, *_ = drive(TruncatedNewton(max_inner=4, min_grad=0.0), f, 1)
    assert state.figures["products"] == f.products == 4


# ---- where there is nothing to be found ----


@each_method
def test_at_a_minimum_no_step_is_made(method):
    f, minimum = quadratic(4, seed=7)
    f.point[:] = minimum
    state, losses, points = drive(method, f, 5)
    assert state.stop == "minimum gradient"
    assert len(losses) == 2
    assert (points[0] == points[1]).all()
    assert f.evaluations == 1


@pytest.mark.parametrize("method", LINE_SEARCHES.values(), ids=LINE_SEARCHES)
def test_on_a_plain_that_only_claims_to_fall_there_is_no_progress(method):
    f = Function(lambda x: 1.0, lambda x: np.ones(2), [0.0, 0.0], lambda x: np.eye(2))
    state, losses, points = drive(method, f, 5)
    assert state.stop == "no progress"
    assert len(losses) == 2
    assert (points[0] == points[1]).all()


@each_method
@pytest.mark.parametrize("outside", [math.nan, math.inf])
def test_a_trial_that_is_not_finite_is_turned_away_from(method, outside):
    """log(x) + 1/x beyond 1/4, so that a whole step from 0.3 goes where nothing is."""
    f = Function(
        lambda x: math.log(x[0]) + 1 / x[0] if 0.25 < x[0] < 1.5 else outside,
        lambda x: 1 / x - 1 / x**2 if 0.25 < x[0] < 1.5 else x * math.nan,
        [0.3],
        lambda x: np.array([2 / x**3 - 1 / x**2]),
    )
    state, _, _ = drive(method, f, 200)
    assert state.stop in ("minimum gradient", "no progress")
    assert f.theta == pytest.approx(1, abs=1e-4)


@each_method
def test_single_precision_comes_to_an_end(method):
    net, X, y = problem(dtype="float32", seed=8, noise=0.2)
    history = net.fit(X, y, epochs=3000, optimizer=method)
    assert history.stopped in ("minimum gradient", "no progress", "step too small")
    double, *_ = problem(seed=8)
    double.fit(X, y, epochs=3000, optimizer=method)
    assert net.loss(X, y) < double.loss(X, y) + 0.01


# ---- with a network ----


@each_method
def test_training_in_two_parts_gives_the_bits_of_one(method, tmp_path):
    whole, X, y = problem(noise=0.2)
    whole.fit(X, y, epochs=17, optimizer=method)
    part = problem()[0]
    part.fit(X, y, epochs=9, optimizer=method)
    part.save(tmp_path / "part.npz")
    for other in (part, part.copy(), cbp.load(tmp_path / "part.npz")):
        other.fit(X, y, epochs=8)
        assert same_bytes(other.params, whole.params)
        assert other == whole


@each_method
def test_what_is_fixed_stays_and_the_rest_finds_its_minimum(method):
    net, X, y = problem(seed=1, noise=0.1)
    mask = np.ones(net.n_params)
    mask[[0, 4, 9]] = 0
    net.mask = mask
    before = net.params.copy()
    history = net.fit(X, y, epochs=2000, optimizer=method)
    assert (net.params[mask == 0] == before[mask == 0]).all()
    assert history.stopped in ("minimum gradient", "no progress")
    assert np.abs(objective(net, X, y)(net.params)[1]).max() < 1e-5


@each_method
def test_a_network_whose_parameters_are_all_fixed_stays_as_it_is(method):
    net, X, y = problem()
    net.trainable = False
    before = net.params.copy()
    assert net.fit(X, y, epochs=3, optimizer=method).stopped == "minimum gradient"
    assert same_bytes(net.params, before)


@each_method
def test_weights_of_samples_are_those_of_repeated_rows(method):
    net, X, y = problem(seed=2, m=12, noise=0.2)
    other, counts = net.copy(), np.arange(12) % 3
    net.fit(X, y, epochs=3, optimizer=method, sample_weight=counts)
    other.fit(np.repeat(X, counts, axis=0), np.repeat(y, counts, axis=0), epochs=3, optimizer=method)
    np.testing.assert_allclose(net.params, other.params, atol=1e-6)


@each_method
def test_columns_of_the_history(method):
    net, X, y = problem(noise=0.1)
    history = net.fit(X, y, epochs=3, optimizer=method)
    assert history["gradient"][-1] == pytest.approx(np.linalg.norm(objective(net, X, y)(net.params)[1]), rel=1e-9)
    own = {"lambda"} if isinstance(method, SCG) else {"evaluations"}
    own |= {"products"} if isinstance(method, TruncatedNewton) else set()
    assert set(history) >= {"gradient", "step"} | own


def test_new_data_after_old_are_minimised_too():
    for method in ALL.values():
        net, X, y = problem(seed=1, noise=0.1)
        net.fit(X, y, epochs=15, optimizer=method)
        before = net.loss(X, -y)
        losses = net.fit(X, -y, epochs=40).loss
        assert losses[-1] < 0.5 * before
        assert all(after <= earlier for earlier, after in pairwise([before, *losses]))


# ---- arguments ----


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        ("SCG", {"sigma": 0}, "sigma must be greater than 0"),
        ("SCG", {"lambda_": -1}, "lambda_ must be greater than 0"),
        ("SCG", {"hessian": "none"}, "difference, exact"),
        ("SCG", {"min_grad": -1}, "min_grad must be at least 0"),
        ("ConjugateGradient", {"variant": "polak"}, "no variant is called 'polak'"),
        ("ConjugateGradient", {"c2": 1.0}, "c2 must be less than 1"),
        ("LBFGS", {"memory": 0}, "memory must be from 1 to 2147483647"),
        ("LBFGS", {"c1": 0.5, "c2": 0.4}, "c1 must be less than c2"),
        ("BFGS", {"c1": 0}, "c1 must be greater than 0"),
        ("TruncatedNewton", {"matrix": "fisher"}, "hessian, gauss_newton"),
        ("TruncatedNewton", {"max_inner": 0}, "max_inner must be at least 1"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(method, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(methods, method)(**arguments)


def test_a_matrix_that_cannot_be_had_is_refused(monkeypatch):
    monkeypatch.setattr("cbp.methods._memory._limits", lambda: iter([2**27]))
    net = cbp.Network([100, 30, 1], output="identity", dtype="float64", seed=0)
    with pytest.raises(MemoryError, match=r"BFGS needs .* LBFGS"):
        net.fit(np.zeros((2, 100)), np.zeros(2), optimizer="bfgs", epochs=1)
