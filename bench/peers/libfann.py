"""FANN, the float library, through ctypes. Its loop over rows is its own, in C."""

import ctypes
import ctypes.util

import numpy as np

from peers import Peer, Refusal

INCREMENTAL, LINEAR_ERROR = 0, 0
# FANN's number of an activation, and the steepness with which its formula is ours
ACTIVATIONS = {"identity": (0, 1.0), "sigmoid": (3, 0.5), "tanh": (5, 1.0)}
REAL, REALS = ctypes.c_float, ctypes.POINTER(ctypes.c_float)
FILL = ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, REALS, REALS)


class Connection(ctypes.Structure):
    _fields_ = (("source", ctypes.c_uint), ("target", ctypes.c_uint), ("weight", REAL))


def library():
    name = ctypes.util.find_library("floatfann") or ctypes.util.find_library("fann")
    if name is None:
        raise ImportError("no library named floatfann or fann")
    lib = ctypes.CDLL(name)
    handle, number = ctypes.c_void_p, ctypes.c_uint
    lib.fann_create_standard_array.restype = lib.fann_create_train_from_callback.restype = handle
    lib.fann_run.restype = handle
    for function, arguments in {
        "fann_destroy": [handle],
        "fann_destroy_train": [handle],
        "fann_create_standard_array": [number, handle],
        "fann_create_train_from_callback": [number, number, number, FILL],
        "fann_get_total_connections": [handle],
        "fann_get_connection_array": [handle, handle],
        "fann_set_weight_array": [handle, handle, number],
        "fann_set_learning_rate": [handle, REAL],
        "fann_set_learning_momentum": [handle, REAL],
        "fann_set_training_algorithm": [handle, ctypes.c_int],
        "fann_set_train_error_function": [handle, ctypes.c_int],
        "fann_set_activation_function_hidden": [handle, ctypes.c_int],
        "fann_set_activation_function_output": [handle, ctypes.c_int],
        "fann_set_activation_steepness_hidden": [handle, REAL],
        "fann_set_activation_steepness_output": [handle, REAL],
        "fann_train": [handle, handle, handle],
        "fann_train_epoch": [handle, handle],
        "fann_run": [handle, handle],
    }.items():
        getattr(lib, function).argtypes = arguments
    return lib


class Fann(Peer):
    """Incremental training. Addresses of the rows are taken beforehand, so a step is one call of C."""

    parallel = False
    net = rows = None

    def __init__(self):
        self.lib = library()

    def versions(self):
        return {"fann": self.lib._name, "numpy": np.__version__}

    def build(self):
        p, lib = self.problem, self.lib
        unknown = {p.hidden, p.output} - set(ACTIVATIONS)
        if unknown:
            raise Refusal(f"no {' and no '.join(sorted(unknown))}")
        if p.kind == "predict":
            raise Refusal("one row a call only")
        if p.dtype != "float32" or (p.trains and (p.optimizer, p.batch, p.loss) != ("sgd", 1, "half_squared_error")):
            raise Refusal("online descent of squared errors only, in float32")
        self.free()
        sizes = (ctypes.c_uint * len(p.widths))(*p.widths)
        self.net = lib.fann_create_standard_array(len(p.widths), sizes)
        lib.fann_set_training_algorithm(self.net, INCREMENTAL)
        lib.fann_set_train_error_function(self.net, LINEAR_ERROR)
        lib.fann_set_learning_rate(self.net, p.rate)
        lib.fann_set_learning_momentum(self.net, 0)
        for layer, name in (("hidden", p.hidden), ("output", p.output)):
            number, steepness = ACTIVATIONS[name]
            getattr(lib, f"fann_set_activation_function_{layer}")(self.net, number)
            getattr(lib, f"fann_set_activation_steepness_{layer}")(self.net, steepness)

    def free(self):
        if self.net:
            self.lib.fann_destroy(self.net)
        if self.rows:
            self.lib.fann_destroy_train(self.rows)
        self.net = self.rows = None

    def hold(self, X, Y, labels):
        self.data = X, Y  # the addresses below stay good
        if self.problem.single:
            self.pairs = [(x.ctypes.data, y.ctypes.data) for x, y in zip(X, Y, strict=True)]
        if self.problem.kind == "train":

            def fill(i, n_in, n_out, x, y):
                ctypes.memmove(x, X[i].ctypes.data, 4 * n_in)
                ctypes.memmove(y, Y[i].ctypes.data, 4 * n_out)

            self.rows = self.lib.fann_create_train_from_callback(len(X), X.shape[1], Y.shape[1], FILL(fill))
        self.outputs = np.ctypeslib.as_array(
            ctypes.cast(self.lib.fann_run(self.net, X.ctypes.data), REALS), (self.problem.widths[-1],)
        )

    def connections(self):
        """FANN's connections, as it has them and as a table on the same memory; and for each layer which are its own.

        With these come their places (i, j) in a matrix of weights, the bias below. A layer's last unit is its bias.
        """
        array = (Connection * self.lib.fann_get_total_connections(self.net))()
        self.lib.fann_get_connection_array(self.net, array)
        table = np.frombuffer(array, [("source", "u4"), ("target", "u4"), ("weight", "f4")])
        first = np.cumsum([0, *(n + 1 for n in self.problem.widths)])
        places = []
        for l in range(1, len(self.problem.widths)):
            own = (table["target"] >= first[l]) & (table["target"] < first[l + 1])
            places.append((own, table["source"][own] - first[l - 1], table["target"][own] - first[l]))
        return array, table, places

    def reset(self):
        array, table, places = self.connections()
        for layer, (own, i, j) in zip(self.start, places, strict=True):
            table["weight"][own] = np.vstack(layer)[i, j]
        self.lib.fann_set_weight_array(self.net, array, len(array))

    def weights(self):
        _, table, places = self.connections()
        found = []
        for (W, b), (own, i, j) in zip(self.start, places, strict=True):
            theta = np.vstack((W, b))
            theta[i, j] = table["weight"][own]
            found.append((theta[:-1], theta[-1]))
        return found

    def train(self, passes):
        for _ in range(passes):
            self.lib.fann_train_epoch(self.net, self.rows)

    def step(self, x, y):
        self.lib.fann_train(self.net, x, y)

    def predict_one(self, x):
        self.lib.fann_run(self.net, x)
        return self.outputs.copy()
