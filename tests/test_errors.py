"""Every error message that is not about data, from the Python interface: the exception and its whole sentence."""

import os
import subprocess
import sys

import numpy as np
import pytest
from refusals import assign, every, fit, inf, nan, net, refuses, zeros

import cbp
from cbp.tables import Table

NAMES = {table: ", ".join(getattr(cbp, table)) for table in ("activations", "losses", "initializers")}
OPTIMIZERS = ", ".join(cbp._core._INDEX["optimizers"])
TRAINERS = ", ".join([*cbp._core._INDEX["optimizers"], *cbp.methods.by_name])


def assign_metadata(value):
    network = net()
    network.metadata = value
    return network


NETWORK = {
    "not a list": (lambda: cbp.Network(5), TypeError, "layers must be a list like [64, 128, 10], not 5"),
    "text": (lambda: cbp.Network("64"), TypeError, "layers must be a list like [64, 128, 10], not '64'"),
    "too short": (
        lambda: cbp.Network([5]),
        ValueError,
        "layers needs the number of inputs and at least one layer, like [64, 10]",
    ),
    "no inputs": (lambda: cbp.Network([0, 1]), ValueError, "the number of inputs must be from 1 to 2147483647, not 0"),
    "inputs as Dense": (
        lambda: cbp.Network([cbp.Dense(2), 1]),
        TypeError,
        "layers must start with the number of inputs, like [64, Dense(10)]",
    ),
    "no units": (lambda: cbp.Network([1, 0]), ValueError, "the number of units must be from 1 to 2147483647, not 0"),
    "too many units": (
        lambda: cbp.Dense(2**31),
        ValueError,
        "the number of units must be from 1 to 2147483647, not 2147483648",
    ),
    "no machine holds it": (
        lambda: cbp.Network([2**31 - 1, 2**31 - 1]),
        MemoryError,
        "the network is too large for this machine's address space",
    ),
    "skip in words": (
        lambda: cbp.Dense(2, skip="every"),
        ValueError,
        "skip must be numbers of layers, or 'all', not 'every'",
    ),
    "skip of no sense": (
        lambda: cbp.Dense(2, skip=0),
        TypeError,
        "skip must be a list of numbers of layers, or 'all', not 0",
    ),
    "skip twice": (lambda: cbp.Dense(2, skip=[1, 0, 1]), ValueError, "skip names a layer twice: [1, 0, 1]"),
    "half a skip": (
        lambda: cbp.Dense(2, skip=[0.5]),
        TypeError,
        "a number in skip must be a whole number, not 0.5",
    ),
    "skip from the layer before": (
        lambda: cbp.Network([2, 3, cbp.Dense(1, skip=[0, 1])]),
        ValueError,
        "layer 2 of 2 cannot skip from layer 1: it has the outputs of the layer before anyway",
    ),
    "skip in the first layer": (
        lambda: cbp.Network([2, cbp.Dense(3, skip=[0]), 1]),
        ValueError,
        "layer 1 of 2 cannot skip from layer 0: it has the outputs of the layer before anyway",
    ),
    "skip from itself": (
        lambda: cbp.Network([2, 3, cbp.Dense(3, skip=[2]), 1]),
        ValueError,
        "layer 2 of 3 cannot skip from layer 2: a layer is not fed by itself",
    ),
    "skip from above": (
        lambda: cbp.Network([2, cbp.Dense(3, skip=[7]), 1]),
        ValueError,
        "layer 1 of 2 cannot skip from layer 7: only layers before it can feed it",
    ),
    "no steepness": (lambda: cbp.Dense(2, steepness=0), ValueError, "steepness must be greater than 0, not 0"),
    "steepness in words": (
        lambda: cbp.Dense(2, steepness="high"),
        TypeError,
        "steepness must be a number, not 'high'",
    ),
    "steepness beyond float32": (
        lambda: cbp.Network([2, cbp.Dense(2, steepness=1e39)]),
        ValueError,
        "steepness must be a number greater than 0 that the dtype can hold",
    ),
    "half a unit": (lambda: cbp.Network([1, 2.5]), TypeError, "the number of units must be a whole number, not 2.5"),
    "true units": (lambda: cbp.Dense(True), TypeError, "the number of units must be a whole number, not True"),
    "unknown activation": (
        lambda: net(output="sigmiod"),
        ValueError,
        f"no activation is called 'sigmiod', did you mean 'sigmoid'? there are: {NAMES['activations']}",
    ),
    "activation of no sense": (
        lambda: net(output="zzz"),
        ValueError,
        f"no activation is called 'zzz'; there are: {NAMES['activations']}",
    ),
    "activation as a function": (
        lambda: net(output=np.tanh),
        TypeError,
        "activation must be a name or one of cbp.activations, not <ufunc 'tanh'>",
    ),
    "loss as activation": (
        lambda: net(output=cbp.losses.half_squared_error),
        TypeError,
        "activation must be a name or one of cbp.activations, not half_squared_error",
    ),
    "unknown loss": (
        lambda: net(loss="crossentropy"),
        ValueError,
        f"no loss is called 'crossentropy', did you mean 'binary_cross_entropy'? there are: {NAMES['losses']}",
    ),
    "unknown initialiser": (
        lambda: net(init="he"),
        ValueError,
        f"no initialiser is called 'he'; there are: {NAMES['initializers']}",
    ),
    "too few activations": (
        lambda: cbp.Dense(3, ["tanh", "relu"]),
        ValueError,
        "a layer of 3 units needs as many activations, 2 were given",
    ),
    "softmax of a unit": (
        lambda: cbp.Dense(2, ["tanh", "softmax"]),
        ValueError,
        "softmax works on a whole row: it must be the activation of all units",
    ),
    "hidden softmax": (
        lambda: cbp.Network([2, 3, 1], activation="softmax", output="sigmoid"),
        ValueError,
        "softmax works on a whole row and is allowed at the output only, not in layer 1 of 2",
    ),
    "loss without its output": (
        lambda: net(loss="binary_cross_entropy"),
        ValueError,
        "the loss binary_cross_entropy needs the output activation sigmoid; the output is 2 identity",
    ),
    "loss with some of its output": (
        lambda: cbp.Network([1, cbp.Dense(2, ["sigmoid", "tanh"])], loss="binary_cross_entropy"),
        ValueError,
        "the loss binary_cross_entropy needs the output activation sigmoid; the output is 2 [sigmoid, tanh]",
    ),
    "dtype": (lambda: net(dtype="float16"), ValueError, "dtype must be float32 or float64, not 'float16'"),
    "dtype of no sense": (lambda: net(dtype="real"), ValueError, "dtype must be float32 or float64, not 'real'"),
    "no dtype": (lambda: net(dtype=None), ValueError, "dtype must be float32 or float64, not None"),
    "reduction": (lambda: net(reduction="max"), ValueError, "reduction must be 'mean' or 'sum', not 'max'"),
    "seed as text": (lambda: net(seed="0"), TypeError, "seed must be a whole number, not '0'"),
    "negative seed": (lambda: net(seed=-1), ValueError, "seed must be from 0 to 18446744073709551615, not -1"),
    "configuration": (
        lambda: cbp.Network.from_config([1, 2]),
        TypeError,
        "a configuration is a dict with 'layers', as get_config returns it",
    ),
    "assigned params": (
        lambda: assign(net(), "params", zeros(8)),
        AttributeError,
        "net.params cannot be replaced; to change its numbers write net.params[:] = ...",
    ),
    "assigned gradient": (
        lambda: assign(net(), "grad", zeros(8)),
        AttributeError,
        "net.grad cannot be replaced; to change its numbers write net.grad[:] = ...",
    ),
    "trainable as a number": (
        lambda: assign(net().layers[0], "trainable", 0),
        TypeError,
        "trainable must be True or False, not 0",
    ),
    "trainable as text": (lambda: cbp.Dense(2, trainable="no"), TypeError, "trainable must be True or False, not 'no'"),
    "mask of another shape": (
        lambda: assign(net(), "mask", np.ones((4, 2))),
        ValueError,
        "net.mask must have the shape (8,), not (4, 2)",
    ),
    "mask of a layer": (
        lambda: assign(net().layers[0], "mask", np.ones((3, 2))),
        ValueError,
        "layer.mask must have the shape (4, 2), not (3, 2)",
    ),
    "mask of shares": (
        lambda: assign(net().layers[0], "mask", np.linspace(0, 1, 8).reshape(4, 2)),
        ValueError,
        "layer.mask must be 0 where a parameter is fixed, else 1; it is 0.14285714285714285 at (0, 1)",
    ),
    "assigned weights": (
        lambda: assign(net().layers[0], "W", zeros(3, 2)),
        AttributeError,
        "layer.W cannot be replaced; to change its numbers write layer.W[:] = ...",
    ),
}

SHARE, DRAW = "must be at least 0 and less than 1", "noise must be from 0 to 18446744073709551615"
NOISE = {
    "dropout of all": (lambda: cbp.Dense(2, dropout=1), ValueError, f"dropout {SHARE}, not 1"),
    "dropout as text": (lambda: cbp.Dense(2, dropout="0.5"), TypeError, "dropout must be a number, not '0.5'"),
    "dropout of outputs": (
        lambda: cbp.Network([2, cbp.Dense(3, "tanh", dropout=0.5)]),
        ValueError,
        "dropout is for hidden layers and the inputs; the output is 3 tanh dropout=0.5",
    ),
    "dropout of all inputs": (lambda: net(input_dropout=1), ValueError, f"input_dropout {SHARE}, not 1"),
    "negative noise": (lambda: net(input_noise=-1), ValueError, "input_noise must be at least 0, not -1"),
    "infinite noise": (lambda: net(input_noise=inf), ValueError, "input_noise must be finite, not inf"),
    "draw": (lambda: net().gradient(zeros(3), zeros(2), noise=-1), ValueError, f"{DRAW}, not -1"),
    "draw of a forward": (lambda: net().forward(zeros(3), noise=2**64), ValueError, f"{DRAW}, not {2**64}"),
    "draw of a step": (
        lambda: net().train_step(zeros(3), zeros(2), 0.5, noise=0.5),
        TypeError,
        "noise must be a whole number, not 0.5",
    ),
    "draw of a loss": (
        lambda: net().loss(zeros(3), zeros(2), noise="1"),
        TypeError,
        "noise must be a whole number, not '1'",
    ),
    "draw of a check": (
        lambda: cbp.gradcheck(net(), zeros(3), zeros(2), noise=True),
        TypeError,
        "noise must be a whole number, not True",
    ),
}

TABLES = {
    "row": (lambda: assign(cbp.activations.relu, "slope", "1"), AttributeError, "relu is a row of a read-only table"),
    "attribute": (
        lambda: cbp.activations.rellu,
        AttributeError,
        f"no activation is called 'rellu', did you mean 'relu'? there are: {NAMES['activations']}",
    ),
    "optimiser attribute": (
        lambda: Table("optimizers").adan,
        AttributeError,
        f"no optimiser is called 'adan', did you mean 'adam'? there are: {OPTIMIZERS}",
    ),
    "item": (lambda: cbp.losses["mse"], KeyError, "'mse'"),
    "argument of none": (lambda: cbp.activations.relu(0.1), TypeError, "relu takes 0 arguments, 1 were given"),
    "named argument of none": (
        lambda: cbp.activations.relu(alpha=0.1),
        TypeError,
        "relu has no argument 'alpha'; it has none",
    ),
    "another argument": (
        lambda: cbp.activations.leaky_relu(slope=0.1),
        TypeError,
        "leaky_relu has no argument 'slope'; it has alpha",
    ),
    "argument as text": (
        lambda: cbp.activations.leaky_relu("0.1"),
        TypeError,
        "leaky_relu's alpha must be a number, not '0.1'",
    ),
    "argument as an array": (
        lambda: cbp.activations.leaky_relu(np.array([1.0])),
        TypeError,
        "leaky_relu's alpha must be a number, not array([1.])",
    ),
    "infinite argument": (
        lambda: cbp.activations.leaky_relu(inf),
        ValueError,
        "leaky_relu's alpha must be finite, not inf",
    ),
}

TRAINING = {
    "epochs": (lambda: fit(epochs=-1), ValueError, "epochs must be from 0 to 4611686018427387904, not -1"),
    "epochs as a fraction": (lambda: fit(epochs=1.5), TypeError, "epochs must be a whole number, not 1.5"),
    "batch size": (lambda: fit(batch_size=0), ValueError, "batch_size must be at least 1, not 0"),
    "optimiser": (
        lambda: fit(optimizer="adma"),
        ValueError,
        f"no optimiser is called 'adma', did you mean 'adam'? there are: {TRAINERS}",
    ),
    "optimiser as a number": (
        lambda: fit(optimizer=0.1),
        TypeError,
        "optimizer must be a name or one of cbp.optimizers or cbp.methods, not 0.1",
    ),
    "schedule": (lambda: fit(schedule=0.1), TypeError, "schedule must be a function of the step, not 0.1"),
    "schedule of nan": (lambda: fit(schedule=lambda step: nan), ValueError, "schedule(0) must be finite, not nan"),
    "schedule of nothing": (
        lambda: fit(schedule=lambda step: None),
        TypeError,
        "schedule(0) must be a number, not None",
    ),
    "validation": (lambda: fit(validation=1.5), ValueError, "validation must be between 0 and 1, or (X, y), not 1.5"),
    "validation of one row": (
        lambda: net().fit(zeros(1, 3), zeros(1, 2), validation=0.5),
        ValueError,
        "validation needs at least 2 rows, one to train with and one to validate with",
    ),
    "validation without targets": (
        lambda: fit(validation=(zeros(4, 3),)),
        ValueError,
        "validation must be (X, y) or (X, y, sample_weight), not 1 things",
    ),
    "validation of another width": (
        lambda: fit(validation=(zeros(4, 4), zeros(4, 2))),
        ValueError,
        "validation X has 4 features, the network expects 3",
    ),
    "callback": (
        lambda: fit(callbacks=["early"]),
        TypeError,
        "a callback must be a cbp.Callback or a function of the state, not 'early'",
    ),
    "monitor": (
        lambda: fit(callbacks=cbp.EarlyStopping("val_los")),
        ValueError,
        "no figure of this training is called 'val_los'; there are: loss, learning_rate, seconds",
    ),
    "monitor of none": (lambda: cbp.EarlyStopping(3), TypeError, "monitor must be a name like 'val_loss', not 3"),
    "patience": (lambda: cbp.EarlyStopping(patience=0), ValueError, "patience must be at least 1, not 0"),
    "min_delta": (lambda: cbp.EarlyStopping(min_delta=-1), ValueError, "min_delta must be at least 0, not -1"),
    "learning rate": (lambda: net().update("fast"), TypeError, "learning_rate must be a number, not 'fast'"),
    "infinite rate": (
        lambda: net().train_step(zeros(3), zeros(2), inf),
        ValueError,
        "learning_rate must be finite, not inf",
    ),
    "backward first": (
        lambda: net().backward([0, 0]),
        RuntimeError,
        "backward needs a forward before it: call net.forward(X) first",
    ),
    "backward twice": (
        lambda: (lambda n: (n.forward(zeros(3)), n.backward([0, 0]), n.backward([0, 0])))(net()),
        RuntimeError,
        "backward needs a forward before it: call net.forward(X) first",
    ),
    "divergence": (
        lambda: net(1, 1).train_step([3e38], [-3e38], 0.5),
        cbp.DivergenceError,
        "training diverged: layer 1 is no longer finite; "
        "use a smaller learning rate than 0.5, or scale the inputs and targets",
    ),
    "gradcheck": (
        lambda: cbp.gradcheck(net(), zeros(1, 2), zeros(1, 2)),
        ValueError,
        "X has 2 features, the network expects 3",
    ),
    "gradcheck of none": (
        lambda: cbp.gradcheck(net(), zeros(1, 3), zeros(1, 2), per_layer=0),
        ValueError,
        "per_layer must be at least 1, not 0",
    ),
}

OPTIMISERS = {
    "unknown argument": (
        lambda: cbp.optimizers.Adam(lr=0.1),
        TypeError,
        "Adam: got an unexpected keyword argument 'lr'; it takes learning_rate, beta1, beta2, eps"
        ", clip_value, clip_norm, average",
    ),
    "too many": (
        lambda: cbp.optimizers.SGD(1, 0, False, 5),
        TypeError,
        "SGD: too many positional arguments; "
        "it takes learning_rate, momentum, nesterov, clip_value, clip_norm, average",
    ),
    "negative rate": (lambda: cbp.optimizers.SGD(-0.1), ValueError, "learning_rate must be at least 0, not -0.1"),
    "momentum": (
        lambda: cbp.optimizers.SGD(momentum=1),
        ValueError,
        "momentum must be at least 0 and less than 1, not 1",
    ),
    "factor that does not shrink": (
        lambda: cbp.optimizers.RpropMinus(eta_minus=1),
        ValueError,
        "eta_minus must be at least 0 and less than 1, not 1",
    ),
    "factor that does not grow": (
        lambda: cbp.optimizers.IRpropPlus(eta_plus=0.9),
        ValueError,
        "eta_plus must be at least 1, not 0.9",
    ),
    "bounds": (
        lambda: cbp.optimizers.IRpropMinus(step_min=3, step_max=2),
        ValueError,
        "step_min must be at most step_max, 2, not 3",
    ),
    "decay": (
        lambda: cbp.optimizers.AdamW(weight_decay=-0.1),
        ValueError,
        "weight_decay must be at least 0, not -0.1",
    ),
    "nesterov": (
        lambda: cbp.optimizers.SGD(nesterov=True),
        ValueError,
        "nesterov=True needs a momentum greater than 0",
    ),
    "nesterov as a number": (
        lambda: cbp.optimizers.SGD(momentum=0.5, nesterov=1),
        TypeError,
        "nesterov must be True or False, not 1",
    ),
    "clipping by nothing": (
        lambda: cbp.optimizers.SGD(clip_value=0),
        ValueError,
        "clip_value must be greater than 0, not 0",
    ),
    "clipping by text": (
        lambda: cbp.optimizers.Adam(clip_norm="long"),
        TypeError,
        "clip_norm must be a number, not 'long'",
    ),
    "an average that keeps all": (
        lambda: cbp.optimizers.Adam(average=1),
        ValueError,
        "average must be less than 1, not 1",
    ),
    "an average that keeps nothing": (
        lambda: cbp.optimizers.Adam(average=0),
        ValueError,
        "average must be greater than 0, not 0",
    ),
    "a limit by its place": (
        lambda: cbp.optimizers.Adagrad(0.1, 1e-10, 1.0),
        TypeError,
        "Adagrad: too many positional arguments; it takes learning_rate, eps, clip_value, clip_norm, average",
    ),
    "a limit that changes": (
        lambda: assign(cbp.optimizers.Adam(clip_norm=1), "clip_norm", 2),
        AttributeError,
        "clip_norm of an optimiser cannot be changed; make a new one",
    ),
    "no average": (
        lambda: net().averaged(),
        RuntimeError,
        "there is no average: train with an optimiser that keeps one, as Adam(average=0.999) does",
    ),
    "an average too early": (
        lambda: (lambda n: (n._use(cbp.optimizers.Adam(average=0.9)), n.averaged()))(net()),
        RuntimeError,
        "there is no average before the optimiser's first update",
    ),
    "the base class": (
        lambda: cbp.optimizers.get(cbp.optimizers.Optimizer),
        TypeError,
        "optimizer must be a name or one of cbp.optimizers or cbp.methods, not <class 'cbp.optimizers.Optimizer'>",
    ),
    "state of another network": (
        lambda: assign(cbp.optimizers.Adam(), "state", 1),
        AttributeError,
        "Adam has no attribute 'state'; it has learning_rate, beta1, beta2, eps, clip_value, clip_norm, average",
    ),
}

THREADS = {
    "none": (lambda: cbp.set_num_threads(0), ValueError, "the number of threads must be from 1 to 1024, not 0"),
    "too many": (
        lambda: cbp.set_num_threads(1025),
        ValueError,
        "the number of threads must be from 1 to 1024, not 1025",
    ),
    "text": (lambda: cbp.set_num_threads("2"), TypeError, "the number of threads must be a whole number, not '2'"),
}

METADATA = {
    "array": (
        lambda: assign_metadata({"mean": zeros(1)}).copy(),
        TypeError,
        "metadata must be a dict of what JSON can hold: Object of type ndarray is not JSON serializable",
    ),
    "list": (lambda: assign_metadata([]).copy(), TypeError, "metadata must be a dict, not list"),
}

GROUPS = {
    "network": NETWORK,
    "tables": TABLES,
    "noise": NOISE,
    "training": TRAINING,
    "optimizers": OPTIMISERS,
    "threads": THREADS,
    "metadata": METADATA,
}


@every(GROUPS)
def test_sentence(act, error, sentence):
    refuses(act, error, sentence)


@pytest.mark.parametrize(
    ("module", "act", "sentence"),
    [
        ("tqdm", lambda: fit(progress=True), 'a progress bar needs tqdm: pip install "cbpnet[progress]"'),
        ("pandas", lambda: fit().to_dataframe(), 'a data frame needs pandas: pip install "cbpnet[pandas]"'),
        ("matplotlib.pyplot", lambda: fit().plot(), 'a picture needs matplotlib: pip install "cbpnet[plot]"'),
    ],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch, module, act, sentence):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError) as caught:
        act()
    assert str(caught.value) == sentence


def test_an_error_in_the_arguments_of_fit_changes_nothing():
    network = net()
    network.fit(zeros(4, 3), zeros(4, 2), epochs=1)
    before = network.params.tobytes(), network.epoch, network.optimizer, network._memory.t
    for wrong in ({"batch_size": 0}, {"callbacks": [3]}, {"optimizer": "none"}, {"schedule": 3}, {"validation": 2}):
        with pytest.raises((TypeError, ValueError)):
            network.fit(zeros(4, 3), zeros(4, 2), **{"optimizer": "sgd", **wrong})
    assert (network.params.tobytes(), network.epoch, network.optimizer, network._memory.t) == before


@pytest.mark.parametrize(
    ("text", "number", "warned"), [("3", 3, False), ("", None, False), ("many", None, True), ("0", None, True)]
)
def test_threads_from_the_environment(text, number, warned):
    program = "import cbp; print(cbp.get_num_threads())"
    environment = {**os.environ, "CBP_NUM_THREADS": text}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) == (number or cbp._core.CPUS)
    sentence = f"RuntimeWarning: CBP_NUM_THREADS={text!r} is ignored: it must be a whole number from 1 to 1024"
    assert (sentence in done.stderr) == warned


@pytest.mark.parametrize(("name", "used", "warned"), [("scalar", "scalar", False), ("mmx", None, True)])
def test_instruction_set_from_the_environment(name, used, warned):
    program = "import cbp; print(cbp.isa())"
    environment = {**os.environ, "CBP_ISA": name}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == (used or cbp._core.isas()[0])
    sentence = f"RuntimeWarning: CBP_ISA={name!r} is ignored: this CPU has {', '.join(cbp._core.isas())}"
    assert (sentence in done.stderr) == warned
