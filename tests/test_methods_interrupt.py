"""Ctrl-C within a step of a full-batch method leaves the network after the last whole one, wherever it comes."""

import contextlib
import inspect
import os
import sys

import pytest
from helpers import one_in
from small import everything, net, teacher

from cbp import methods
from cbp.methods import Objective, quasi_newton
from cbp.methods._passes import MethodPasses

every_method = pytest.mark.parametrize("name", methods.by_name)
FOLDER = os.path.dirname(methods.__file__)
X, Y, _ = teacher(noise=0.3)
PLACES = [place for place, work in vars(Objective).items() if inspect.isfunction(work) and place[0] != "_"]


def uses(name):
    """Return what a method asks of the objective in the steps after the first, without that it asks when it begins."""
    network, asked = net(seed=1), []
    with pytest.MonkeyPatch.context() as patch:
        for place in PLACES:
            work = getattr(Objective, place)
            patch.setattr(Objective, place, lambda *args, _w=work, _p=place: [asked.append(_p), _w(*args)][1])
        network.fit(X, Y, epochs=5, optimizer=name, callbacks=lambda s: asked.clear() if s.epoch == 1 else None)
    return sorted(set(asked))


USES = [(name, place) for name in methods.by_name for place in uses(name)]


def whole_steps(steps, name):
    """Return what so many steps leave when nothing comes in between."""
    network = net(seed=1)
    network.fit(X, Y, epochs=steps, optimizer=name)
    return everything(network)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("name", "place"), USES)
def test_before_and_after_what_a_step_asks_of_the_objective(name, place, after, monkeypatch):
    network = net(seed=1)
    work, armed = getattr(Objective, place), []

    def broken(self, *args):
        if armed and not after:
            raise KeyboardInterrupt
        result = work(self, *args)
        if armed:
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Objective, place, broken)
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, Y, epochs=5, optimizer=name, callbacks=lambda s: armed.append(1) if s.epoch == 1 else None)
    monkeypatch.undo()
    assert everything(network) == whole_steps(2, name)


@every_method
def test_a_step_asks_for_more_than_to_be_accepted(name):
    assert len({place for other, place in USES if other == name} - {"moved"}) >= 2
    assert (name, "accept") in USES


class Lines:
    """Counts the lines of the methods that run after the first step, and is Ctrl-C at one of them."""

    def __init__(self, at=None):
        self.at, self.count = at, 0

    def __call__(self, frame, event, arg):
        folder, name = os.path.split(frame.f_code.co_filename)
        if folder != FOLDER or name == "_passes.py":
            return None
        if event == "line":
            self.count += 1
            if self.count == self.at:
                raise KeyboardInterrupt
        return self

    def begin(self, state):
        if state.epoch == 0:
            sys.settrace(self)

    def train(self, network, name):
        """Make 4 steps, as far as that goes."""
        before = sys.gettrace()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                network.fit(X, Y, epochs=4, optimizer=name, callbacks=self.begin)
        finally:
            sys.settrace(before)
        return self.count


@every_method
def test_at_any_line_of_a_step(name, monkeypatch):
    monkeypatch.setattr(quasi_newton, "BLOCK", 40, raising=False)  # a matrix is changed in several parts
    lines = Lines().train(net(seed=1), name)
    expected = [whole_steps(steps, name) for steps in range(5)]
    seen = set()
    for at in range(1, lines, max(1, one_in(5) * lines // 150)):
        network = net(seed=1)
        Lines(at).train(network, name)
        seen.add(network.epoch)
        assert everything(network) == expected[network.epoch], at
        network.fit(X, Y, epochs=4 - network.epoch)
        assert everything(network) == expected[4], at
    assert seen == {1, 2, 3}


def test_while_a_step_becomes_the_networks(monkeypatch):
    network = net(seed=1)
    keep, kept = MethodPasses._keep, []

    def broken(self, *args):
        keep(self, *args)
        kept.append(args)
        if len(kept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(MethodPasses, "_keep", broken)
    with pytest.raises(KeyboardInterrupt):
        network.fit(X, Y, epochs=5, optimizer="levenberg_marquardt")
    monkeypatch.undo()
    assert everything(network) == whole_steps(2, "levenberg_marquardt")
    assert network._memory.t == 2
