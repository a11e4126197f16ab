"""Shared by the tests of error messages: networks and data to get them with, and how a table of them is tested."""

import tracemalloc

import numpy as np
import pytest
from helpers import one_in

import cbp

nan, inf = float("nan"), float("inf")


def net(n_in=3, n_out=2, **kwargs):
    return cbp.Network([n_in, n_out], **{"output": "identity", "seed": 0, **kwargs})


def softmax(n_out=3):
    return net(2, n_out, output="softmax")


def zeros(*shape):
    return np.zeros(shape, np.float32)


def no_write(array):
    array.flags.writeable = False
    return array


def assign(thing, name, value):
    setattr(thing, name, value)


def fit(**kwargs):
    """Call fit on four good rows."""
    return net().fit(zeros(4, 3), zeros(4, 2), **{"epochs": 1, **kwargs})


def fit_labels(y=(0, 1, 2, 1), **kwargs):
    return softmax().fit(zeros(4, 2), y, epochs=1, **kwargs)


def with_element(shape, at, value, dtype=np.float64):
    array = np.zeros(shape, dtype)
    array[at] = value
    return array


def every(groups):
    """Parametrise by tables of (act, exception, sentence)."""
    cases = {f"{group}, {name}": case for group, table in groups.items() for name, case in table.items()}
    return pytest.mark.parametrize(("act", "error", "sentence"), cases.values(), ids=cases)


def refuses(act, error, sentence):
    """Assert that `act` raises exactly this."""
    with pytest.raises(error) as caught:
        act()
    assert (type(caught.value), str(caught.value)) == (error, sentence)


def only_refused(load, path, corpus, sentence, most):
    """Write every file of a corpus to `path`: `load` refuses it as no model, and takes `most` bytes at the peak."""
    for name, data in list(corpus.items())[:: one_in(5)]:
        path.write_bytes(data)
        tracemalloc.start()
        try:
            with pytest.raises(cbp.FormatError, match=sentence):
                load(path)
            peak = tracemalloc.get_traced_memory()[1]
        except BaseException as error:
            raise AssertionError(name) from error
        finally:
            tracemalloc.stop()
        assert peak < most, (name, peak)
