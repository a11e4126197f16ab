"""Optimisers as objects: made from the table's rows, compared, printed, kept."""

import inspect
import pickle

import pytest

import cbp
from cbp import methods, optimizers

ROWS = {row["name"]: row for row in cbp._core.table("optimizers")}
CLASSES = [getattr(optimizers, name) for name in optimizers.__all__ if name not in ("Optimizer", "get")]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_named_and_keeps_its_defaults(name):
    optimizer = optimizers.get(name)
    assert optimizer.row == name
    assert optimizer.args == tuple(value for _, value in ROWS[name]["args"])
    assert optimizer.learning_rate == ROWS[name]["learning_rate"]
    assert optimizers.n_slots(optimizer) == ROWS[name]["n_slots"]


@pytest.mark.parametrize("cls", CLASSES)
def test_signature_shows_names_and_defaults(cls):
    parameters = inspect.signature(cls).parameters
    assert {name: parameter.default for name, parameter in parameters.items()} == cls().__dict__
    assert next(iter(parameters)) == "learning_rate"
    assert all(name in cls.__doc__ for name in parameters)


@pytest.mark.parametrize("cls", CLASSES)
def test_configuration_pickle_and_text_make_the_same_optimiser(cls):
    optimizer = cls(0.25)
    assert optimizers.get(optimizer.get_config()) == optimizer
    assert pickle.loads(pickle.dumps(optimizer)) == optimizer
    assert eval(repr(optimizer), vars(optimizers)) == optimizer
    assert optimizer != cls(0.5)


def test_the_signatures_of_the_documentation():
    assert optimizers.SGD(0.1, momentum=0.9, nesterov=True).args == (0.9,)
    assert optimizers.Adam(learning_rate=0.1, beta1=0.8, beta2=0.9, eps=1e-6).args == (0.8, 0.9, 1e-6)


def test_the_names_of_the_classes_are_those_of_the_papers():
    names = (
        "SGD Adam AdamHat AdamW AMSGrad NAdam RAdam RMSprop Adagrad Adadelta Lion RpropMinus IRpropMinus IRpropPlus "
        "Quickprop"
    )
    assert [cls.__name__ for cls in CLASSES] == names.split()
    assert optimizers.get("rmsprop") == optimizers.RMSprop()


@pytest.mark.parametrize("cls", CLASSES)
def test_every_argument_is_explained(cls):
    lines = inspect.getdoc(cls).split("\n")
    for name in cls.fields:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"{name} : "))
        assert lines[place + 1].startswith("    ")
        assert "formula below" not in lines[place + 1]


def test_the_state_of_every_optimiser_survives_pickle_and_copy():
    for name in ROWS:
        net = cbp.Network([2, 4, 1], seed=0)
        X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
        net.fit(X, y, epochs=3, batch_size=4, optimizer=name)
        for other in (net.copy(), pickle.loads(pickle.dumps(net))):
            assert other.optimizer == net.optimizer
            assert other._memory.slots.tobytes() == net._memory.slots.tobytes()
            once = net.copy()
            for each in (once, other):
                each.fit(X, y, epochs=3, batch_size=4)
            assert once == other


@pytest.mark.parametrize(
    ("kwargs", "row"),
    [({}, "sgd"), ({"momentum": 0.5}, "momentum"), ({"momentum": 0.5, "nesterov": True}, "nesterov")],
)
def test_sgd_chooses_its_row(kwargs, row):
    assert optimizers.SGD(**kwargs).row == row


def test_get_takes_objects_and_classes():
    adam = optimizers.Adam()
    assert optimizers.get(adam) is adam
    assert optimizers.get(optimizers.Adam) == adam


def test_only_the_learning_rate_can_be_changed():
    adam = optimizers.Adam()
    adam.learning_rate = 1
    assert adam == optimizers.Adam(1.0)
    with pytest.raises(AttributeError, match="beta1 of an optimiser cannot be changed; make a new one"):
        adam.beta1 = 0.5
    with pytest.raises(AttributeError, match="Adam has no attribute 'lr'; it has learning_rate, beta1, beta2, eps"):
        adam.lr = 0.5
    with pytest.raises(TypeError, match="unhashable"):
        hash(adam)


def test_different_classes_are_never_equal():
    assert optimizers.SGD(0.001) != optimizers.Adam()
    assert optimizers.SGD() != "sgd"


def test_one_object_may_serve_two_networks():
    shared = optimizers.Adam(0.1)
    nets = [cbp.Network([1, 1], seed=0) for _ in range(2)]
    for _ in range(2):
        for net in nets:
            net.partial_fit([[1.0]], [1], optimizer=shared)
    assert nets[0] == nets[1]
    assert nets[0]._memory.t == 2


@pytest.mark.parametrize("base", [methods.SCG, optimizers.Adam])
def test_a_subclass_checks_its_arguments_for_itself(base):
    class Doubled(base):
        def _checked(self, name, value):
            return value * 2 if isinstance(value, float) else super()._checked(name, value)

    name = next(iter(base.fields))
    usual = base().__dict__[name]
    assert [Doubled().__dict__[name], Doubled().__dict__[name], base().__dict__[name]] == [usual * 2, usual * 2, usual]
    assert list(Doubled(**{name: 0.25}).__dict__) == list(base().__dict__)
    assert Doubled(0.25).__dict__[name] == 0.5
