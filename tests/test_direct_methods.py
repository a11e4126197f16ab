"""What the methods that go straight to C (`_core.direct`) are to Python: names, arguments, documentation, memory."""

import contextlib
import doctest
import gc
import inspect
import pickle
import sys
import tracemalloc
import types

import numpy as np
import pytest
from test_direct import network, the_short_way_only

import cbp

METHODS = ("predict", "forward", "backward", "gradient", "update", "train_step")
X, Y = np.float32([0.1, 0.2, 0.3]), np.float32([0.4, 0.5])


@pytest.mark.parametrize("name", METHODS)
def test_a_method_shows_its_name_signature_and_documentation(name):
    method = getattr(cbp.Network, name)
    assert isinstance(method, types.MethodDescriptorType)
    assert (method.__name__, getattr(network(), name).__name__) == (name, name)
    assert inspect.getdoc(method).count("Examples\n--------") == 1
    assert pickle.loads(pickle.dumps(getattr(network(), name))).__name__ == name
    parameters = dict(inspect.signature(method).parameters)
    assert next(iter(parameters)) == "self"
    if "check_finite" in parameters:
        assert parameters["check_finite"].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters["check_finite"].default is True


@pytest.mark.parametrize("name", METHODS)
def test_the_examples_of_a_method_run(name):
    text = inspect.getdoc(getattr(cbp.Network, name))
    report = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(doctest.DocTestParser().get_doctest(text, {}, name, None, None), out=report.append)
    assert (runner.tries > 0, report) == (True, [])


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda net: net.train_step(X, Y), "missing 1 required positional argument: 'learning_rate'"),
        (
            lambda net: net.train_step(X, Y, 0.5, None, True),
            "takes from 4 to 5 positional arguments but 6 were given",
        ),
        (lambda net: net.train_step(X, Y, lr=0.5), "got an unexpected keyword argument 'lr'"),
        (lambda net: net.train_step(X, Y, X=X, learning_rate=0.5), "got multiple values for argument 'X'"),
        (lambda net: net.predict(), "missing 1 required positional argument: 'X'"),
        (lambda net: net.update(), "missing 1 required positional argument: 'learning_rate'"),
    ],
)
def test_arguments_that_do_not_fit_the_parameters(act, sentence):
    with pytest.raises(TypeError, match=sentence):
        act(network())


def test_arguments_by_name_take_the_short_way():
    first, second = network(), network()
    with the_short_way_only(first):
        first.train_step(learning_rate=0.5, Y=Y, X=X, sample_weight=None, check_finite=True, noise=None)
        first.predict(check_finite=True, X=X)
    second.train_step(X, Y, **{"".join(["learning", "_rate"]): 0.5})
    assert first == second


def test_a_subclass_may_override_and_call_what_it_overrides():
    class Doubled(cbp.Network):
        def predict(self, X, out=None, **kwargs):
            return 2 * super().predict(X, out, **kwargs)

    net = Doubled([3, 2], seed=0)
    assert (net.predict(X) == 2 * cbp.Network.predict(net, X)).all()
    with pytest.raises(TypeError):
        cbp.Network.predict(X, X)


def test_a_network_without_numbers_is_no_crash():
    for name in METHODS:
        with pytest.raises((AttributeError, TypeError)):
            getattr(cbp.Network.__new__(cbp.Network), name)(X)


def test_calls_keep_nothing():
    net, y, wrong, out = network(), Y / 4, X * np.float32(np.inf), np.empty(2, np.float32)

    def call(n):
        for _ in range(n):
            net.train_step(X, y, 0.1)
            net.predict(X), net.predict(X, out=out), net.forward(X), net.backward(y), net.update(0.1)
            with contextlib.suppress(ValueError):
                net.gradient(wrong, y)

    call(100)
    counted = X, y, wrong, out, net, net.dtype, net._memory
    gc.collect()
    before = [sys.getrefcount(thing) for thing in counted]
    tracemalloc.start()
    try:
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]
        call(2000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert [sys.getrefcount(thing) for thing in counted] == before
    assert grown < 2000
