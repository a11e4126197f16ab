# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=True
# cython: freethreading_compatible=True
"""The only file with pointers: plans, memories and tables of the C library as Python objects.

Design: a Plan owns one immutable cbp_net; a Memory owns the arrays that one network trains and hands them to C in a
cbp_mem. Arrays of the plan's precision come in through the buffer protocol, because their element type is known at run
time only and a typed memoryview of a fused type costs a dispatch per call; everything else is a typed memoryview.
The callers in network.py and training.py have already turned what people pass into such arrays and given the friendly
messages; what is checked here is what would otherwise read or write outside an array.
"""

import builtins

import numpy as np

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int64_t, uint32_t, uintptr_t
from libc.string cimport memset

from cbp._c cimport *

# ---- tables ----

_KINDS = {
    "activations": CBP_ACTIVATIONS,
    "losses": CBP_LOSSES,
    "optimizers": CBP_OPTIMIZERS,
    "initializers": CBP_INITIALIZERS,
    "statuses": CBP_STATUSES,
}


cdef list _args(const cbp_info *row):
    cdef int i = 0
    names = []
    while row.arg[i].name != NULL:
        names.append((row.arg[i].name.decode(), row.arg[i].value))
        i += 1
    return names


def table(kind):
    """Rows of one of the C tables, as dictionaries."""
    cdef int n = 0, i
    cdef const cbp_info *rows = cbp_table(_KINDS[kind], &n)
    return [
        {
            "name": rows[i].name.decode(),
            "args": _args(&rows[i]),
            "learning_rate": rows[i].learning_rate,
            "n_slots": rows[i].n_slots,
            "row_wise": bool(rows[i].row_wise),
            "head": bool(rows[i].head),
            "partner": rows[i].partner.decode(),
            "formula": rows[i].formula.decode(),
            "slope": rows[i].slope.decode(),
            "onnx": rows[i].onnx.decode(),
            "exception": rows[i].exception.decode(),
            "source": rows[i].source.decode(),
        }
        for i in range(n)
    ]


_ROWS = {kind: table(kind) for kind in _KINDS}
_INDEX = {kind: {row["name"]: i for i, row in enumerate(rows)} for kind, rows in _ROWS.items()}
_EXCEPTIONS = [getattr(builtins, row["exception"], None) or RuntimeError for row in _ROWS["statuses"]]


class Diverged(ArithmeticError):
    """An epoch met a cost or a parameter that is not finite."""

    def __init__(self, message, batch, layer):
        super().__init__(message)
        self.batch = batch
        self.layer = layer


cdef int check(cbp_status status) except -1:
    """The exception that status.def names for a status, with its sentence."""
    if status != CBP_OK:
        raise _EXCEPTIONS[<int>status](cbp_message(status).decode())
    return 0


# ---- threads ----

# One pool for the whole process. It is never freed: threads that sleep do not keep a process from ending.
cdef cbp_pool *POOL = NULL
check(cbp_pool_new(&POOL, 1))
MAX_THREADS = CBP_MAX_THREADS


def cpus():
    """Processors this process may use."""
    return cbp_cpus()


def threads():
    """Threads of the pool."""
    return cbp_pool_threads(POOL)


def set_threads(int n):
    """Resize the pool."""
    check(cbp_pool_resize(POOL, n))


# ---- arrays from Python ----

cdef struct Held:
    Py_buffer view[5]
    int n


cdef void *hold(Held *held, object array, char code, Py_ssize_t rows, Py_ssize_t cols, bint write) except NULL:
    """Pointer to an array of this shape and element; cols 0: one dimension; rows or cols -1: any length."""
    cdef Py_buffer *view = &held.view[held.n]
    PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS | (PyBUF_WRITABLE if write else 0))
    held.n += 1
    if view.format == NULL or view.format[0] != code or view.format[1] != 0:
        raise TypeError(f"expected an array of {chr(code)!r}, got {view.format.decode() if view.format else 'bytes'!r}")
    if view.ndim != (1 if cols == 0 else 2):
        raise ValueError(f"expected {1 if cols == 0 else 2} dimensions, got {view.ndim}")
    if (rows >= 0 and view.shape[0] != rows) or (cols > 0 and view.shape[1] != cols):
        raise ValueError(f"expected shape ({rows}, {cols}), got {tuple(view.shape[i] for i in range(view.ndim))}")
    if <uintptr_t>view.buf % <uintptr_t>view.itemsize:
        raise ValueError("expected an aligned array")
    return view.buf


cdef void let_go(Held *held) noexcept:
    cdef int i
    for i in range(held.n):
        PyBuffer_Release(&held.view[i])
    held.n = 0


cdef Py_ssize_t rows_of(Held *held) noexcept:
    """Length of the array that was held last."""
    return held.view[held.n - 1].shape[0]


cdef int hold_data(Held *held, Plan plan, cbp_data *data, object X, object y, object weight) except -1:
    """Samples for C: X (or None, where it is known already), targets or labels, weights or None."""
    cdef char integer = b"q"
    if X is not None:
        data.x = hold(held, X, plan.code, -1, plan.n_in, False)
        data.n = rows_of(held)
    if y.ndim == 1:
        data.labels = <const int64_t *>hold(held, y.view(np.dtype("q")), integer, data.n, 0, False)
    else:
        data.y = hold(held, y, plan.code, data.n, plan.n_out, False)
    if weight is not None:
        data.weight = hold(held, weight, plan.code, data.n, 0, False)
    return 0


# ---- the plan ----

cdef class Plan:
    """Owns one immutable cbp_net. Thread-safe."""

    cdef cbp_net *net
    cdef char code
    cdef int n_in, n_out, n_layers
    cdef readonly object dtype, widths, blocks, isa
    cdef readonly Py_ssize_t n_params

    def __cinit__(self, dtype, int n_in, layers, loss, double loss_arg=0.0, reduction="mean", isa=None):
        cdef cbp_spec spec
        cdef int n = len(layers), l
        cdef bytes isa_name = b"" if isa is None else isa.encode()
        cdef cbp_dense *dense = <cbp_dense *>PyMem_Malloc(max(n, 1) * sizeof(cbp_dense))
        if dense == NULL:
            raise MemoryError
        memset(dense, 0, max(n, 1) * sizeof(cbp_dense))
        memset(&spec, 0, sizeof(spec))
        kept = []  # the per-unit arrays, alive until cbp_net_new has read them
        try:
            for l in range(n):
                self._fill(&dense[l], layers[l], kept)
            spec.dtype = {"float32": CBP_FLOAT32, "float64": CBP_FLOAT64}[dtype]
            spec.n_in, spec.n_layers, spec.layers = n_in, n, dense
            spec.loss, spec.loss_arg = <cbp_loss><int>_INDEX["losses"][loss], loss_arg
            spec.reduction = {"mean": CBP_MEAN, "sum": CBP_SUM}[reduction]
            spec.isa = NULL if isa is None else <char *>isa_name
            check(cbp_net_new(&self.net, &spec))
        finally:
            PyMem_Free(dense)
        self.dtype = np.dtype(dtype)
        self.code = ord(self.dtype.char)
        self.isa = cbp_net_isa(self.net).decode()
        self.n_params = cbp_n_params(self.net)
        self.n_in, self.n_layers = n_in, n
        blocks = [cbp_layer(self.net, l + 1) for l in range(n)]
        self.blocks = tuple([(block["offset"], block["rows"], block["cols"]) for block in blocks])
        self.widths = (n_in, *[block["cols"] for block in blocks])
        self.n_out = self.widths[n]

    cdef int _fill(self, cbp_dense *dense, tuple layer, list kept) except -1:
        """One layer for C; arrays that it points to go to `kept`."""
        cdef int[::1] acts
        cdef double[::1] args
        units, names, values = layer
        index = _INDEX["activations"]
        dense.units = units
        if isinstance(names, str):
            dense.act, dense.act_arg = <cbp_act><int>index[names], values
            return 0
        if units < 1 or len(names) != units or len(values) != units:
            raise ValueError(f"{units} units need as many activations and arguments")
        acts, args = np.array([index[name] for name in names], np.intc), np.array(values, np.float64)
        kept += [acts, args]
        dense.unit_act, dense.unit_act_arg = <const cbp_act *>&acts[0], &args[0]
        return 0

    def __dealloc__(self):
        cbp_net_free(self.net)

    def init(self, rules, seed):
        """Initial parameters by one rule per layer, from a seed below 2**64."""
        cdef Held held
        cdef int[::1] rule = np.array([_INDEX["initializers"][name] for name in rules], np.intc)
        held.n = 0
        if rule.shape[0] != self.n_layers:
            raise ValueError(f"expected {self.n_layers} initialisers, got {rule.shape[0]}")
        theta = np.empty(self.n_params, self.dtype)
        try:
            check(cbp_init(self.net, <const cbp_initializer *>&rule[0], seed,
                           hold(&held, theta, self.code, -1, 0, True)))
        finally:
            let_go(&held)
        return theta

    def predict(self, theta, X, out):
        """out (n, n_L) := outputs for X (n, n_0). Any number of threads at once."""
        cdef Held held
        cdef cbp_mem mem
        cdef char stack[16384]
        cdef void *heap = NULL
        cdef size_t need
        cdef const void *x
        cdef void *result
        cdef Py_ssize_t n
        cdef cbp_status status
        held.n = 0
        memset(&mem, 0, sizeof(mem))
        mem.pool = POOL
        try:
            mem.theta = hold(&held, theta, self.code, self.n_params, 0, False)
            x = hold(&held, X, self.code, -1, self.n_in, False)
            n = rows_of(&held)
            result = hold(&held, out, self.code, n, self.n_out, True)
            need = cbp_work_bytes(self.net, n, CBP_PREDICT)
            if need > sizeof(stack):
                heap = PyMem_Malloc(need)
                if heap == NULL:
                    raise MemoryError(f"no memory for {need} bytes of workspace")
            mem.work = heap if heap != NULL else <void *>stack
            with nogil:
                status = cbp_predict(self.net, &mem, n, x, result)
            check(status)
        finally:
            PyMem_Free(heap)
            let_go(&held)

    def evaluate(self, theta, X, y, weight=None):
        """The objective J of the samples. Any number of threads at once."""
        cdef Held held
        cdef cbp_mem mem
        cdef cbp_data data
        cdef double loss = 0
        cdef cbp_status status
        held.n = 0
        memset(&mem, 0, sizeof(mem))
        memset(&data, 0, sizeof(data))
        mem.pool = POOL
        try:
            mem.theta = hold(&held, theta, self.code, self.n_params, 0, False)
            hold_data(&held, self, &data, X, y, weight)
            mem.work = PyMem_Malloc(cbp_work_bytes(self.net, data.n, CBP_EVALUATE))
            if mem.work == NULL:
                raise MemoryError
            with nogil:
                status = cbp_evaluate(self.net, &mem, &data, &loss)
            check(status)
        finally:
            PyMem_Free(mem.work)
            let_go(&held)
        return loss


# ---- the numbers ----

cdef class Memory:
    """The numbers one network trains: parameters, gradient, optimiser slots, workspace. One user at a time."""

    cdef readonly Plan plan
    cdef readonly object theta, grad, slots, optimizer
    cdef object _work, _x
    cdef Held _theta
    cdef cbp_mem _mem
    cdef cbp_opt _opt
    cdef size_t _capacity
    cdef Py_ssize_t _rows
    cdef bint _forward, _backward, _busy

    def __cinit__(self, Plan plan, theta):
        self.plan = plan
        self._theta.n = 0
        self._mem.pool = POOL
        self._mem.theta = hold(&self._theta, theta, plan.code, plan.n_params, 0, True)
        self.theta = theta
        self.grad = np.zeros(plan.n_params, plan.dtype)
        self._mem.grad = self._address(self.grad)
        self.optimizer = None
        self.slots = np.zeros((0, plan.n_params), plan.dtype)

    def __dealloc__(self):
        let_go(&self._theta)

    cdef void *_address(self, array):
        return <void *><uintptr_t><size_t>array.ctypes.data

    @property
    def t(self):
        """Number of updates the optimiser has made."""
        return self._opt.t

    @t.setter
    def t(self, int64_t value):
        self._opt.t = value

    cdef int _reserve(self, Py_ssize_t rows, cbp_mode mode) except -1:
        """A workspace for so many rows. A new one does not touch the views of the old one."""
        cdef size_t need = cbp_work_bytes(self.plan.net, rows, mode)
        if need == 0:
            check(CBP_TOO_LARGE)
        if need > self._capacity:
            raw = np.empty(need + CBP_ALIGN, np.uint8)
            skip = -raw.ctypes.data % CBP_ALIGN
            self._work = raw[skip : skip + need]
            self._mem.work = self._address(self._work)
            self._capacity = need
        return 0

    cdef int _enter(self) except -1:
        """Take the memory for one call; the call sets _busy back to False at its end, whatever happens."""
        cdef bint busy
        with cython.critical_section(self):
            busy = self._busy
            self._busy = True
        if busy:
            raise RuntimeError("this network is being trained in another thread; use a copy() per thread")
        return 0

    def forward(self, X):
        """Activations of X (n, n_0); returns A^L."""
        cdef Held held
        cdef const void *x
        cdef cbp_status status
        held.n = 0
        self._enter()
        try:
            x = hold(&held, X, self.plan.code, -1, self.plan.n_in, False)
            self._remember(X, rows_of(&held))
            self._reserve(self._rows, CBP_TRAIN)
            with nogil:
                status = cbp_forward(self.plan.net, &self._mem, self._rows, x)
            check(status)
            self._forward = True
        finally:
            self._busy = False
            let_go(&held)
        return self._view(CBP_A, self.plan.n_layers)

    def backward(self, y, weight=None):
        """Deltas and gradient for the last forward; returns the objective."""
        if not self._forward:
            raise RuntimeError("call forward(X) before backward(Y), once each")
        return self._pass(self._x, y, weight, False)

    def gradient(self, X, y, weight=None):
        """forward and backward."""
        return self._pass(X, y, weight, True)

    cdef double _pass(self, X, y, weight, bint up) except? -1.0:
        cdef Held held
        cdef cbp_data data
        cdef double loss = 0
        cdef cbp_status status
        held.n = 0
        memset(&data, 0, sizeof(data))
        self._enter()
        try:
            hold_data(&held, self.plan, &data, X, y, weight)
            if up:
                self._remember(X, data.n)
                self._reserve(data.n, CBP_TRAIN)
            self._forward = False
            with nogil:
                if up:
                    status = cbp_gradient(self.plan.net, &self._mem, &data, &loss)
                else:
                    status = cbp_backward(self.plan.net, &self._mem, &data, &loss)
            check(status)
            self._backward = True
        finally:
            self._busy = False
            let_go(&held)
        return loss

    cdef void _remember(self, X, Py_ssize_t rows):
        self._x = X
        self._rows = rows
        self._forward = self._backward = False

    def descend(self, double learning_rate):
        """theta -= learning_rate * grad, without an optimiser's state."""
        cdef cbp_opt plain
        cdef cbp_status status
        memset(&plain, 0, sizeof(plain))
        plain.kind = CBP_OPT_sgd
        self._enter()
        with nogil:
            status = cbp_update(self.plan.net, &self._mem, &plain, learning_rate)
        self._busy = False
        check(status)

    def set_optimizer(self, name, args):
        """Start this optimiser anew: slots zero, t = 0."""
        cdef int i
        row = _ROWS["optimizers"][_INDEX["optimizers"][name]]
        if len(args) != len(row["args"]):
            raise ValueError(f"{name} takes {len(row['args'])} arguments, got {len(args)}")
        values = [float(value) for value in args]
        slots = np.zeros((row["n_slots"], self.plan.n_params), self.plan.dtype)
        self._enter()
        self.slots = slots
        self._mem.slots = self._address(slots)
        self.optimizer = name
        self._opt.kind = <cbp_optimizer><int>_INDEX["optimizers"][name]
        self._opt.t = 0
        for i in range(len(values)):
            self._opt.arg[i] = values[i]
        self._busy = False

    cdef int _need_optimizer(self) except -1:
        if self.optimizer is None:
            raise RuntimeError("no optimiser has been set")
        return 0

    def update(self, double learning_rate):
        """One step of the optimiser from grad."""
        cdef cbp_status status
        self._need_optimizer()
        self._enter()
        with nogil:
            status = cbp_update(self.plan.net, &self._mem, &self._opt, learning_rate)
        self._busy = False
        check(status)

    def epoch(self, X, y, weight, const int64_t[::1] order, Py_ssize_t batch_size, learning_rate):
        """One pass over the samples in this order; returns the mean loss of the pass."""
        cdef Held held
        cdef cbp_data data
        cdef cbp_report report
        cdef double[::1] rate = np.array(learning_rate, np.float64, ndmin=1)
        cdef const int64_t *rows = NULL
        cdef Py_ssize_t batch
        cdef cbp_status status
        held.n = 0
        memset(&data, 0, sizeof(data))
        memset(&report, 0, sizeof(report))
        self._need_optimizer()
        self._enter()
        try:
            hold_data(&held, self.plan, &data, X, y, weight)
            self._remember(None, 0)
            batch = max(1, min(batch_size, data.n))
            if order is not None:
                if order.shape[0] != data.n:
                    raise ValueError(f"order has {order.shape[0]} entries for {data.n} rows")
                rows = &order[0] if data.n else NULL
            if rate.shape[0] != 1 and rate.shape[0] != (data.n + batch - 1) // batch:
                raise ValueError("one learning rate per batch, or one for all")
            self._reserve(batch, CBP_EPOCH)
            with nogil:
                status = cbp_epoch(self.plan.net, &self._mem, &self._opt, &data, rows, batch, &rate[0],
                                   rate.shape[0] == 1, &report)
            if status == CBP_DIVERGED:
                raise Diverged(cbp_message(status).decode(), report.batch, report.layer)
            check(status)
        finally:
            self._busy = False
            let_go(&held)
        return report.loss

    cdef object _view(self, cbp_array array, int l):
        """The (rows, n_l) matrix of layer l in the workspace."""
        cdef size_t start = cbp_offset(self.plan.net, self._rows, array, l)
        shape = (self._rows, self.plan.widths[l])
        return np.ndarray(shape, self.plan.dtype, self._work, start)

    def activations(self):
        """[X, A^1, .., A^L] of the last forward or gradient."""
        if not (self._forward or self._backward):
            raise RuntimeError("no activations yet: call forward(X), gradient(X, y) or train_step(X, y, ...)")
        return [self._x] + [self._view(CBP_A, l) for l in range(1, self.plan.n_layers + 1)]

    def deltas(self):
        """[None, delta^1, .., delta^L] of the last backward or gradient."""
        if not self._backward:
            raise RuntimeError("no deltas yet: call backward(Y), gradient(X, y) or train_step(X, y, ...)")
        return [None] + [self._view(CBP_D, l) for l in range(1, self.plan.n_layers + 1)]


# ---- beside the network ----

def isa():
    """The instruction set a new plan gets."""
    return cbp_isa().decode()


def isas():
    """Instruction sets of this CPU, best first."""
    names = []
    while cbp_isa_at(len(names)) != NULL:
        names.append(cbp_isa_at(len(names)).decode())
    return names


def version():
    """Version of the C library."""
    return cbp_version().decode()


def permutation(seed, stream, Py_ssize_t n):
    """A permutation of 0..n-1 that depends on (seed, stream) alone."""
    order = np.empty(n, np.int64)
    cdef int64_t[::1] view = order
    check(cbp_permutation(seed, stream, n, &view[0] if n else NULL))
    return order


def first_nonfinite(x):
    """Flat index of the first NaN or infinity of a C-contiguous float32 or float64 array, or -1."""
    cdef Py_buffer view
    cdef cbp_dtype dtype
    PyObject_GetBuffer(x, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
    try:
        if view.format == NULL or view.format[0] not in b"fd" or view.format[1] != 0:
            raise TypeError("expected float32 or float64")
        dtype = CBP_FLOAT32 if view.format[0] == c"f" else CBP_FLOAT64
        return cbp_first_nonfinite(dtype, view.len // view.itemsize, view.buf)
    finally:
        PyBuffer_Release(&view)


def philox(counter, key):
    """The 128 random bits of Philox4x32-10 for four words of counter and two of key."""
    cdef uint32_t c[4]
    cdef uint32_t k[2]
    cdef uint32_t out[4]
    c[0], c[1], c[2], c[3] = counter
    k[0], k[1] = key
    cbp_philox(c, k, out)
    return out[0], out[1], out[2], out[3]
