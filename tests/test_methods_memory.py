"""Memory: Levenberg-Marquardt needs no more of it for more rows, and the searches need no matrix.

Each training runs in a process of its own, whose data Linux limits. What it needs beyond its data is the difference of
the greatest resident size before and after.
"""

import json
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone limits and tells them")

HEAD = """
    import json, resource, sys
    import numpy as np, cbp
    from cbp import methods

    def peak():
        # getrusage tells of the process that this one was forked from, too
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

    def made(sizes, rows):
        # random bits and exact sums: rows that differ
        x = np.random.default_rng(0).integers(0, 17, (rows, sizes[0])) / 16
        net = cbp.Network(sizes, activation="tanh", output="identity", dtype="float64", seed=0)
        return net, x, x[:, 0] * x[:, 1] - x[:, 2]
"""


def run(body, *arguments):
    """Run a program of which HEAD is the beginning; return what it prints, which is JSON."""
    code = textwrap.dedent(HEAD) + textwrap.dedent(body)
    environment = {"PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


LEVENBERG = """
    resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))
    net, X, y = made([20, 90, 1], int(sys.argv[1]))
    before = net.loss(X, y)
    start = peak()
    history = net.fit(X, y, epochs=1, optimizer="levenberg_marquardt", progress=False)
    print(json.dumps([net.n_params, net.epoch, history.loss[-1] < before, peak() - start]))
"""


def test_levenberg_marquardt_needs_two_matrices_for_any_number_of_rows():
    """1,981 parameters, and 1 GB for everything. So 100,000 rows, for which it takes longer, need no more but data."""
    matrices = 2 * 8 * 1981**2
    needed = []
    for rows in (1_500, 4_500):
        n_params, steps, fell, more = run(LEVENBERG, rows)
        assert (n_params, steps, fell) == (1981, 1, True)
        needed.append(more)
    assert matrices / 2 < min(needed)
    assert max(needed) < matrices + 2**25
    assert needed[1] < needed[0] + 2**22


AGAIN = """
    net, X, y = made([20, 50, 1], 200)
    net.loss(X, y)
    start = peak()
    net.fit(X, y, epochs=1, optimizer=sys.argv[1], progress=False)
    once = peak() - start
    for _ in range(3):
        net.partial_fit(X, y)
    print(json.dumps([once, peak() - start]))
"""


@pytest.mark.parametrize("name", ["levenberg_marquardt", "bayesian_regularization"])
def test_training_that_goes_on_takes_no_more_than_once(name):
    once, more = run(AGAIN, name)
    assert once > 8 * 1101**2
    assert more < once + 2**22


SEARCH = """
    resource.setrlimit(resource.RLIMIT_DATA, (600 * 10**6,) * 2)
    net, X, y = made([100, 196, 1], 300)
    before = net.loss(X, y)
    start = peak()
    history = net.fit(X, y, epochs=5, optimizer=sys.argv[1], progress=False)
    print(json.dumps([net.n_params, history.loss[-1] < before / 2, peak() - start]))
"""


@pytest.mark.parametrize("name", ["scg", "lbfgs", "truncated_newton", "conjugate_gradient"])
def test_twenty_thousand_parameters_without_a_matrix(name):
    """A matrix of 19,993 x 19,993 numbers takes 3.2 GB; 400 vectors of so many 64 MB."""
    n_params, fell, more = run(SEARCH, name)
    assert (n_params, fell) == (19_993, True)
    assert more < 400 * 8 * n_params


REFUSED = """
    resource.setrlimit(resource.RLIMIT_DATA, (600 * 10**6,) * 2)
    net, X, y = made([100, 196, 1], 30)
    net.loss(X, y)
    start = peak()
    found = []
    for name in ("levenberg_marquardt", "bayesian_regularization", "bfgs"):
        try:
            net.fit(X, y, epochs=1, optimizer=name, progress=False)
        except MemoryError as error:
            found.append(str(error))
    print(json.dumps([net.epoch, peak() - start, *found]))
"""


def test_a_matrix_of_twenty_thousand_is_refused_before_it_is_allocated():
    epoch, more, *found = run(REFUSED)
    assert epoch == 0
    assert more < 2**23
    assert [text.split(",")[0] for text in found] == [
        "LevenbergMarquardt needs 6.0 GB for 2 matrices of 19",
        "BayesianRegularization needs 8.9 GB for 3 matrices of 19",
        "BFGS needs 8.9 GB for 3 matrices of 19",
    ]
    assert all(text.endswith(" MB can be had: LBFGS() and SCG() of cbp.methods keep no matrix") for text in found)
