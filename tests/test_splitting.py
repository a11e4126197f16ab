"""Dividing rows: every row in one part, of the size asked for, the same on every machine and as `fit` has it."""

from types import SimpleNamespace

import numpy as np
import pytest

import cbp

PARTS_OF_SEED_1 = [[1, 2, 3, 5, 6, 9], [4, 8], [0, 7]]
WAYS = ("random", "block", "interleaved")
MATLAB = (0.7, 0.15, 0.15)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize(
    ("n", "shares", "sizes"),
    [
        (100, MATLAB, (70, 15, 15)),
        (200, (70, 15, 15), (140, 30, 30)),
        (442, MATLAB, (310, 66, 66)),
        (3, MATLAB, (1, 1, 1)),
        (10, (0.75, 0, 0.25), (8, 0, 2)),
        (7, (1,), (7,)),
    ],
)
def test_every_row_is_in_one_part_of_the_size_asked_for(how, n, shares, sizes):
    parts = cbp.split(n, shares=shares, how=how)
    assert tuple(map(len, parts)) == sizes
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert all((np.diff(part) > 0).all() for part in parts)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("share", [0.1, 0.15, 0.25, 0.5])
def test_two_parts_are_those_that_fit_makes(share, seed):
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(41, 2)), rng.normal(size=41)
    train, held = cbp.split(X, y, shares=(1 - share, share), seed=seed)
    nets = [cbp.Network([2, 3, 1], output="identity", seed=seed) for _ in range(2)]
    own = nets[0].fit(X, y, validation=share, shuffle=False, epochs=2)
    given = nets[1].fit(*train, validation=held, shuffle=False, epochs=2)
    assert own.val_loss == given.val_loss
    assert nets[0] == nets[1]


def test_the_random_rows_are_these_on_every_machine():
    assert [part.tolist() for part in cbp.split(10, seed=1)] == PARTS_OF_SEED_1
    assert [part.tolist() for part in cbp.split(10, seed=2)] != PARTS_OF_SEED_1


def test_blocks_follow_each_other():
    train, validation, test = cbp.split(100, how="block")
    assert (train[-1], validation[0], validation[-1], test[0]) == (69, 70, 84, 85)


@pytest.mark.parametrize(("n", "shares"), [(100, MATLAB), (250, (0.6, 0.2, 0.2)), (97, (0.5, 0.3, 0.2))])
def test_interleaved_parts_never_lag_a_row_behind_their_share(n, shares):
    for part in cbp.split(n, shares=shares, how="interleaved"):
        until = np.cumsum(np.isin(np.arange(n), part))
        due = len(part) / n * np.arange(1, n + 1)
        assert np.abs(until - due).max() < 1.01


def test_arrays_are_divided_alike():
    X, y = np.arange(40).reshape(20, 2), np.arange(20)
    parts = cbp.split(X, y, seed=4)
    for (Xp, yp), rows in zip(parts, cbp.split(20, seed=4), strict=True):
        np.testing.assert_array_equal(Xp, X[rows])
        np.testing.assert_array_equal(yp, y[rows])
    np.testing.assert_array_equal(cbp.split(X, seed=4)[1], parts[1][0])
    assert cbp.split([[1, 2], [3, 4]], shares=(1, 1), how="block")[1].tolist() == [[3, 4]]


def test_sparse_matrices_and_data_frames_stay_what_they_are():
    sparse = pytest.importorskip("scipy.sparse")
    X = np.arange(40.0).reshape(20, 2)
    by_position = type("Rows", (), {"__getitem__": lambda _, rows: ("frame", len(rows))})()
    part, picked = cbp.split(sparse.coo_matrix(X), SimpleNamespace(shape=(20, 2), iloc=by_position))[0]
    assert sparse.issparse(part)
    assert picked == ("frame", 14)
    np.testing.assert_array_equal(part.toarray(), X[cbp.split(20)[0]])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "sentence"),
    [
        ((), {}, TypeError, "split needs the number of rows, or arrays to divide"),
        ((3.5,), {}, TypeError, "split needs the number of rows by itself, or arrays to divide"),
        ((True,), {}, TypeError, "the number of rows must be a whole number, not True"),
        (([1, 2], [1, 2, 3]), {}, ValueError, "the arrays have different numbers of rows: 2, 3"),
        ((2,), {}, ValueError, "2 rows are too few for 3 parts of these shares"),
        ((9,), {"shares": (1, -1)}, ValueError, "a share must be at least 0, not -1"),
        ((9,), {"shares": (0, 1)}, ValueError, "shares must be positive numbers, the first of them for the rows that"),
        ((9,), {"shares": ()}, ValueError, "shares must be positive numbers, the first of them for the rows that"),
        ((9,), {"shares": (1, "a")}, TypeError, "a share must be a number, not 'a'"),
        ((9,), {"how": "blocks"}, ValueError, "no way to split is called 'blocks', did you mean 'block'?"),
        ((9,), {"seed": -1}, ValueError, "seed must be from 0 to"),
    ],
)
def test_what_cannot_be_divided_is_refused(arguments, options, error, sentence):
    with pytest.raises(error) as caught:
        cbp.split(*arguments, **options)
    assert str(caught.value).startswith(sentence)
