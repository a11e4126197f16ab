"""Network in use: prediction, the steps of the textbook, and every way to write data."""

import itertools
import threading

import numpy as np
import pytest

import cbp

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)


def small(**kwargs):
    return cbp.Network([2, 3, 1], **{"loss": "half_squared_error", "seed": 0, **kwargs})


# ---- prediction ----


def test_one_sample_gives_one_row_of_outputs():
    net = cbp.Network([2, 3], seed=0)
    rows = net.predict(XOR)
    assert rows.shape == (4, 3)
    for x, row in zip(XOR, rows, strict=True):
        np.testing.assert_array_equal(net.predict(x), row)


def test_zero_rows_give_zero_rows():
    assert cbp.Network([2, 3]).predict(np.empty((0, 2))).shape == (0, 3)


@pytest.mark.parametrize("shape", [(4, 3), (3,)])
def test_out_takes_the_outputs(shape):
    net = cbp.Network([2, 3], seed=0)
    X = XOR if len(shape) == 2 else XOR[1]
    out = np.full(shape, np.nan, np.float32)
    assert net.predict(X, out=out) is out
    np.testing.assert_array_equal(out, net.predict(X))


def test_out_may_overlap_the_inputs():
    net = cbp.Network([2, 2], seed=0)
    X = XOR.copy()
    expected = net.predict(X)
    np.testing.assert_array_equal(net.predict(X, out=X), expected)


def frozen(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        np.asfortranarray,
        np.matrix,
        frozen,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X[::-1].copy()[::-1],
        *(lambda X, code=code: X.astype(code) for code in ("?", "i1", "u8", "e", ">f4", "f8", ">f8", "g")),
    ],
)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_every_way_to_write_the_same_numbers_gives_the_same_bits(convert):
    net = cbp.Network([2, 3], seed=0)
    assert net.predict(convert(XOR)).tobytes() == net.predict(XOR).tobytes()
    assert type(net.predict(convert(XOR))) is np.ndarray


class Frame:
    """Not an array, but able to become one: as a data frame or a tensor is."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


def test_whatever_can_become_an_array_is_accepted():
    net = cbp.Network([2, 3], output="softmax", seed=0)
    np.testing.assert_array_equal(net.predict(Frame(XOR)), net.predict(XOR))
    assert net.loss(Frame(XOR), Frame([0, 1, 2, 1])) == net.loss(XOR, [0, 1, 2, 1])


def test_ready_data_are_not_copied():
    net = small()
    net.forward(XOR)
    assert net.activations[0] is XOR


def test_many_threads_predict_with_one_network():
    net = cbp.Network([16, 64, 8], seed=0)
    X = np.random.default_rng(0).normal(size=(200, 16))
    expected, wrong = net.predict(X).tobytes(), []

    def work():
        wrong.extend(1 for _ in range(50) if net.predict(X).tobytes() != expected)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


# ---- the steps ----


def test_forward_backward_update_is_train_step():
    by_hand, at_once = small(), small()
    for rate in (0.5, 0.25):
        outputs = by_hand.forward(XOR)
        assert outputs.base is not None
        loss = by_hand.backward([0, 1, 1, 0])
        by_hand.update(rate)
        assert at_once.train_step(XOR, [0, 1, 1, 0], learning_rate=rate) == loss
        assert by_hand == at_once
        for one, other in itertools.chain(
            zip(by_hand.activations, at_once.activations, strict=True),
            zip(by_hand.deltas[1:], at_once.deltas[1:], strict=True),
        ):
            np.testing.assert_array_equal(one, other)
    assert by_hand.deltas[0] is None


def test_gradient_is_forward_and_backward():
    one, other = small(), small()
    one.forward(XOR)
    assert one.backward([0, 1, 1, 0], [1, 2, 3, 4]) == other.gradient(XOR, [0, 1, 1, 0], [1, 2, 3, 4])
    assert one.grad.tobytes() == other.grad.tobytes()
    assert one == other == small()


def test_own_loop_is_partial_fit():
    own, net = small(), small()
    optimizer = cbp.optimizers.Adam(0.1)
    for _ in range(3):
        own.gradient(XOR, [0, 1, 1, 0])
        optimizer.step(own)
        net.partial_fit(XOR, [0, 1, 1, 0], optimizer=optimizer, shuffle=False)
    assert own == net


def test_gradient_is_that_of_the_loss_returned():
    for reduction, factor in (("mean", 1), ("sum", 4)):
        net = small(reduction=reduction, dtype="float64")
        mean = small(dtype="float64")
        assert net.gradient(XOR, [0, 1, 1, 0]) == pytest.approx(factor * mean.gradient(XOR, [0, 1, 1, 0]))
        np.testing.assert_allclose(net.grad, factor * mean.grad)
        assert net.loss(XOR, [0, 1, 1, 0]) == pytest.approx(net.gradient(XOR, [0, 1, 1, 0]))


def test_one_sample_is_a_batch_of_one():
    single, batch = cbp.Network([2, 3], seed=0), cbp.Network([2, 3], seed=0)
    assert single.forward(XOR[1]).shape == (3,)
    assert single.backward([0, 1, 0]) == batch.gradient(XOR[1:2], [[0, 1, 0]])
    assert single.grad.tobytes() == batch.grad.tobytes()
    assert single.deltas[1].shape == (1, 3)


def test_single_targets_may_be_numbers():
    assert small().loss(XOR[1], 1) == small().loss(XOR[1], [1]) == small().loss(XOR[1:2], [1])


LABELS = [0, 2, 1, 2]


@pytest.mark.parametrize("loss", ["categorical_cross_entropy", "half_squared_error"])
@pytest.mark.parametrize(
    "labels", [LABELS, np.array(LABELS, np.uint8), np.array(LABELS, ">i8"), np.array([LABELS, LABELS]).T[:, 0]]
)
def test_labels_are_rows_with_a_one(loss, labels):
    net = cbp.Network([2, 3], output="softmax", loss=loss, seed=0)
    other = net.copy()
    assert net.gradient(XOR, labels) == other.gradient(XOR, np.eye(3)[LABELS])
    assert net.grad.tobytes() == other.grad.tobytes()


def test_a_single_label_is_enough():
    net = cbp.Network([2, 3], output="softmax", seed=0)
    assert net.loss(XOR[1], 2) == net.loss(XOR[1], [2]) == net.loss(XOR[1:2], [2]) == net.loss(XOR[1], [0, 0, 1])


def test_boolean_targets_of_one_sigmoid():
    net = cbp.Network([2, 1], seed=0)
    assert net.loss(XOR, [False, True, True, False]) == net.loss(XOR, [[0], [1], [1], [0]])


def test_weights_count_like_repeated_rows():
    net = small(dtype="float64")
    weighted = net.loss(XOR, [0, 1, 1, 0], sample_weight=[1, 0, 2, 1])
    assert weighted == pytest.approx(net.loss(XOR[[0, 2, 2, 3]], [0, 1, 1, 0]), rel=1e-14)


def test_the_scan_can_be_turned_off():
    net = cbp.Network([1, 1], output="identity", seed=0)
    assert np.isnan(net.predict([np.nan], check_finite=False)).all()
    assert np.isnan(net.forward([np.nan], check_finite=False)).all()


def test_divergence_names_the_layer_and_spares_the_parameters():
    net = cbp.Network([1, 2, 1], activation="identity", seed=0)
    net.layers[1].W[:] = 3e38
    before = net.params.copy()
    with pytest.raises(cbp.DivergenceError) as caught:
        net.train_step([[1e30]], [[0.0]], learning_rate=0.5)
    assert (caught.value.layer, caught.value.epoch, caught.value.batch) == (2, None, None)
    assert net.params.tobytes() == before.tobytes()
