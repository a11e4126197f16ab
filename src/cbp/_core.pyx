# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
# cython: embedsignature=True, embedsignature.format=clinic, freethreading_compatible=True
"""The only module with pointers: plans, memories and tables of the C library as Python objects.

Design: a Plan owns one immutable cbp_net; a Memory owns the arrays that one network trains and hands them to C in a
cbp_mem. Their methods take arrays that _data.py has made ready and given the friendly messages for; what is checked
here is what would otherwise read or write outside an array. Arrays are read through NumPy's C interface: the buffer
protocol costs as much as a small network.

Direct is the short way for one call from Python, `net.train_step(x, y, 0.5)`. Its methods look at the arguments as they
come, and go straight to C if these are ready and sound. If anything is not as expected they decide nothing, but call
the friendly function in Python of the same name, which takes everything and knows what to say.
"""

import builtins

import numpy as np

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.math cimport isfinite
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from cbp._arrays cimport *
from cbp._c cimport *
from cbp._method cimport *
from cbp._reading cimport *
from cbp._tables cimport rows_of

_import_array()

# ---- tables ----

_KINDS = {
    "activations": CBP_ACTIVATIONS, "losses": CBP_LOSSES, "optimizers": CBP_OPTIMIZERS,
    "initializers": CBP_INITIALIZERS, "statuses": CBP_STATUSES,
}


def table(kind):
    """Rows of one of the C tables, as dictionaries."""
    return rows_of(_KINDS[kind])


_ROWS = {kind: table(kind) for kind in _KINDS}
_INDEX = {kind: {row["name"]: i for i, row in enumerate(rows)} for kind, rows in _ROWS.items()}
_EXCEPTIONS = [getattr(builtins, row["exception"], None) or RuntimeError for row in _ROWS["statuses"]]


class Diverged(ArithmeticError):
    """An epoch met a cost or a parameter that is not finite: message, batch, layer."""


cdef int check(cbp_status status) except -1:
    """The exception that status.def names for a status, with its sentence."""
    if status != CBP_OK:
        raise _EXCEPTIONS[<int>status](cbp_message(status).decode())
    return 0


# ---- threads ----

# One for the whole process, never freed: threads that sleep do not keep a process from ending
cdef cbp_pool *POOL = NULL
check(cbp_pool_new(&POOL, 1))
MAX_THREADS, CPUS = CBP_MAX_THREADS, cbp_cpus()  # CPUS: those that this process may use


def threads(int n=0):
    """Threads of the pool, after its change to n of them if n is not 0."""
    if n:
        check(cbp_pool_resize(POOL, n))
    return cbp_pool_threads(POOL)


# ---- the plan ----

cdef class Plan:
    """Owns one immutable cbp_net. Thread-safe."""

    cdef cbp_net *net
    cdef Expected expects
    cdef int n_layers
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
        self.isa = cbp_net_isa(self.net).decode()
        self.n_params, self.n_layers = cbp_n_params(self.net), n
        blocks = [cbp_layer(self.net, l + 1) for l in range(n)]
        self.blocks = tuple([(block["offset"], block["rows"], block["cols"]) for block in blocks])
        self.widths = (n_in, *[block["cols"] for block in blocks])
        self.expects.net = self.net
        self.expects.pool = POOL
        self.expects.element = NPY_FLOAT32 if dtype == "float32" else NPY_FLOAT64
        self.expects.n_in, self.expects.n_out = n_in, self.widths[n]
        self.expects.in_unit_interval = loss == "binary_cross_entropy"
        self.expects.are_distributions = loss == "categorical_cross_entropy"
        self.expects.brief_rows = BRIEF // self.n_params

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

    def init(self, rules, args, seed):
        """Initial parameters by one rule per layer and its argument, from a seed below 2**64."""
        cdef int[::1] rule = np.array([_INDEX["initializers"][name] for name in rules], np.intc)
        cdef double[::1] arg = np.array(args, np.float64)
        if not rule.shape[0] == arg.shape[0] == self.n_layers:
            raise ValueError(f"expected {self.n_layers} initialisers, got {rule.shape[0]}")
        theta = np.empty(self.n_params, self.dtype)
        check(cbp_init(self.net, <cbp_initializer *>&rule[0], &arg[0], seed, PyArray_DATA(<PyArrayObject *>theta)))
        return theta

    def first_nonfinite(self, x):
        """Flat index of the first NaN or infinity of a vector or matrix, or -1."""
        cdef void *start = data_of(x, self.expects.element, -1, 0 if x.ndim == 1 else -1)
        return cbp_net_first_nonfinite(self.net, POOL, x.size, start)

    def predict(self, theta, X, out):
        """out (n, n_L) := outputs for X (n, n_0). Any number of threads at once."""
        cdef void *parameters = data_of(theta, self.expects.element, self.n_params, 0)
        cdef void *x = data_of(X, self.expects.element, -1, self.expects.n_in)
        cdef Py_ssize_t n = X.shape[0]
        self.outputs(parameters, n, x, data_of(out, self.expects.element, n, self.expects.n_out, True))

    cdef object new_outputs(self, const Samples *s):
        return array_at(NULL, None, self.dtype, s.data.n, self.expects.n_out, s.single)

    cdef int outputs(self, void *theta, Py_ssize_t n, const void *x, void *out) except -1:
        """The same on pointers. A workspace that is small lies on the stack."""
        cdef char stack[16384]
        cdef size_t need = cbp_work_bytes(self.net, n, CBP_PREDICT)
        cdef void *heap = NULL
        cdef cbp_mem mem
        cdef cbp_status status
        if need > sizeof(stack):
            heap = PyMem_Malloc(need)
            if heap == NULL:
                raise MemoryError(f"no memory for {need} bytes of workspace")
        memset(&mem, 0, sizeof(mem))
        mem.pool = POOL
        mem.theta = theta
        mem.work = <void *>stack if heap == NULL else heap
        if n <= self.expects.brief_rows:
            status = cbp_predict(self.net, &mem, n, x, out)
        else:
            with nogil:
                status = cbp_predict(self.net, &mem, n, x, out)
        PyMem_Free(heap)
        return check(status)

    def evaluate(self, theta, X, y, weight=None):
        """The objective J of the samples. Any number of threads at once."""
        cdef cbp_mem mem
        cdef cbp_data data
        cdef double loss = 0
        cdef cbp_status status
        memset(&mem, 0, sizeof(mem))
        mem.pool = POOL
        mem.theta = data_of(theta, self.expects.element, self.n_params, 0)
        fill(&data, &self.expects, X, y, weight)
        mem.work = PyMem_Malloc(cbp_work_bytes(self.net, data.n, CBP_EVALUATE))
        if mem.work == NULL:
            raise MemoryError
        with nogil:
            status = cbp_evaluate(self.net, &mem, &data, &loss)
        PyMem_Free(mem.work)
        check(status)
        return loss


# ---- the numbers ----

cdef cbp_status train(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, bint up, const double *rate,
                      double *loss) noexcept nogil:
    """The gradient, forward included if `up`; or, unless rate is NULL, a whole step down by it."""
    if rate != NULL:
        return cbp_step(net, mem, data, rate[0], loss)
    return cbp_gradient(net, mem, data, loss) if up else cbp_backward(net, mem, data, loss)


cdef class Memory:
    """The numbers one network trains: parameters, gradient, optimiser slots, workspace. One user at a time."""

    cdef readonly Plan plan
    cdef readonly object theta, grad, slots, optimizer
    cdef object _work, _x
    cdef cbp_mem _mem
    cdef cbp_opt _opt
    cdef size_t _capacity
    cdef Py_ssize_t _rows
    cdef bint _forward, _backward, _busy, _single

    def __cinit__(self, Plan plan, theta):
        self.plan = plan
        self._mem.pool = POOL
        data_of(theta, plan.expects.element, plan.n_params, 0)
        self.theta = new_zeros(plan.dtype, 1, plan.n_params, True)
        self.theta[:] = theta
        self._mem.theta = PyArray_DATA(<PyArrayObject *>self.theta)
        self.grad = new_zeros(plan.dtype, 1, plan.n_params, True)
        self._mem.grad = PyArray_DATA(<PyArrayObject *>self.grad)
        self.slots = new_zeros(plan.dtype, 0, plan.n_params, False)

    @property
    def t(self):
        """Number of updates the optimiser has made."""
        return self._opt.t

    @t.setter
    def t(self, int64_t value):
        self._opt.t = value

    @property
    def forwarded(self):
        """Rows of the last forward and whether they were one sample (n_0,), until backward has used them; or None."""
        return (self._rows, self._single) if self._forward else None

    cdef int _enter(self) except -1:
        """Take the memory for one call, which calls _leave at its end, whatever happens."""
        cdef bint busy
        with cython.critical_section(self):
            busy = self._busy
            self._busy = True
        if busy:
            raise RuntimeError("this network is being trained in another thread; use a copy() per thread")
        return 0

    cdef void _leave(self) noexcept:
        with cython.critical_section(self):
            self._busy = False

    cdef int _reserve(self, Py_ssize_t rows, cbp_mode mode) except -1:
        """A workspace for so many rows. A new one does not touch the views of the old one."""
        cdef size_t need = cbp_work_bytes(self.plan.net, rows, mode)
        if need == 0:
            check(CBP_TOO_LARGE)
        if need > self._capacity:
            self._work = new_zeros(np.dtype("u1"), 1, need, True)
            self._mem.work = PyArray_DATA(<PyArrayObject *>self._work)
            self._capacity = need
        return 0

    cdef int _begin(self, X, Py_ssize_t rows, bint single) except -1:
        """Inputs of a new batch, X (rows, n_0), or (n_0,) if single, and a workspace for them."""
        if rows != self._rows:
            self._reserve(rows, CBP_TRAIN)
        self._x, self._rows, self._single = X, rows, single
        self._forward = self._backward = False
        return 0

    def forward(self, X, single=False):
        """Activations of X (n, n_0); returns A^L, of a single sample as (n_L,)."""
        cdef cbp_data data
        data.x = data_of(X, self.plan.expects.element, -1, self.plan.expects.n_in)
        data.n = X.shape[0]
        return self.up(X, &data, single)

    cdef object up(self, X, const cbp_data *data, bint single):
        """`forward` for X whose numbers are data.x, (n, n_0), or (n_0,) if single."""
        cdef cbp_status status
        self._enter()
        try:
            self._begin(X, data.n, single)
            if data.n <= self.plan.expects.brief_rows:
                status = cbp_forward(self.plan.net, &self._mem, data.n, data.x)
            else:
                with nogil:
                    status = cbp_forward(self.plan.net, &self._mem, data.n, data.x)
            check(status)
            self._forward = True
            return self._view(CBP_A, self.plan.n_layers, single)
        finally:
            self._leave()

    def backward(self, y, weight=None):
        """Deltas and gradient for the last forward; returns the objective."""
        cdef cbp_data data
        if not self._forward:
            raise RuntimeError("call forward(X) before backward(Y), once each")
        fill(&data, &self.plan.expects, self._batch(), y, weight)
        return self.down(None, &data, self._single, NULL)

    def gradient(self, X, y, weight=None, learning_rate=None):
        """forward and backward; and with a learning rate descend, unless the objective is not finite."""
        cdef cbp_data data
        cdef double rate = 0 if learning_rate is None else learning_rate
        fill(&data, &self.plan.expects, X, y, weight)
        return self.down(X, &data, False, NULL if learning_rate is None else &rate)

    cdef double down(self, X, const cbp_data *data, bint single, const double *rate) except? -1.0:
        """`train` with X whose numbers are data.x, or after a forward of these if X is None; returns the objective."""
        cdef double loss = 0
        cdef cbp_status status
        cdef bint up = X is not None
        self._enter()
        try:
            if up:
                self._begin(X, data.n, single)
            elif not self._forward or data.x != PyArray_DATA(<PyArrayObject *>self._x) or data.n != self._rows:
                raise RuntimeError("call forward(X) before backward(Y), once each")
            self._forward = False
            if data.n <= self.plan.expects.brief_rows:
                status = train(self.plan.net, &self._mem, data, up, rate, &loss)
            else:
                with nogil:
                    status = train(self.plan.net, &self._mem, data, up, rate, &loss)
            check(status)
            self._backward = True
        finally:
            self._leave()
        return loss

    cdef bint recall(self, Samples *s) noexcept:
        """The inputs of a forward that no backward has used yet."""
        if self._forward:
            memset(&s.data, 0, sizeof(s.data))
            s.data.n, s.data.x, s.single = self._rows, PyArray_DATA(<PyArrayObject *>self._x), self._single
        return self._forward

    cdef int _step(self, cbp_opt *opt, double learning_rate) except -1:
        cdef cbp_status status
        self._enter()
        if self.plan.expects.brief_rows > 0:
            status = cbp_update(self.plan.net, &self._mem, opt, learning_rate)
        else:
            with nogil:
                status = cbp_update(self.plan.net, &self._mem, opt, learning_rate)
        self._leave()
        return check(status)

    cpdef descend(self, double learning_rate):
        """theta -= learning_rate * grad, without an optimiser's state."""
        cdef cbp_opt plain
        memset(&plain, 0, sizeof(plain))
        plain.kind = CBP_OPT_sgd
        self._step(&plain, learning_rate)

    def set_optimizer(self, name, args):
        """Start this optimiser anew: slots zero, t = 0."""
        cdef int i
        row = _ROWS["optimizers"][_INDEX["optimizers"][name]]
        if len(args) != len(row["args"]):
            raise ValueError(f"{name} takes {len(row['args'])} arguments, got {len(args)}")
        values = [float(value) for value in args]
        slots = new_zeros(self.plan.dtype, row["n_slots"], self.plan.n_params, False)
        self._enter()
        self.slots = slots
        self._mem.slots = PyArray_DATA(<PyArrayObject *>slots)
        self.optimizer = name
        self._opt.kind = <cbp_optimizer><int>_INDEX["optimizers"][name]
        self._opt.t = 0
        for i in range(len(values)):
            self._opt.arg[i] = values[i]
        self._leave()

    def update(self, double learning_rate):
        """One step of the optimiser from grad."""
        if self.optimizer is None:
            raise RuntimeError("no optimiser has been set")
        self._step(&self._opt, learning_rate)

    def epoch(self, X, y, weight, order, Py_ssize_t batch_size, learning_rate):
        """One pass over the samples in this order; returns the mean loss. A rate, or an array of one per batch."""
        cdef cbp_data data
        cdef cbp_report report
        cdef double one = 0
        cdef const double *rate = &one
        cdef const int64_t *rows = NULL
        cdef bint per_batch = PyArray_Check(<PyObject *>learning_rate)
        cdef cbp_status status
        if self.optimizer is None:
            raise RuntimeError("no optimiser has been set")
        fill(&data, &self.plan.expects, X, y, weight)
        cdef Py_ssize_t batch = max(1, min(batch_size, data.n))
        if order is not None:
            rows = <const int64_t *>data_of(order, NPY_INT64, data.n, 0)
        if per_batch:
            rate = <const double *>data_of(learning_rate, NPY_FLOAT64, (data.n + batch - 1) // batch, 0)
        else:
            one = learning_rate
        self._enter()
        try:
            self._begin(None, 0, False)
            self._reserve(batch, CBP_EPOCH)
            with nogil:
                status = cbp_epoch(self.plan.net, &self._mem, &self._opt, &data, rows, batch, rate, not per_batch,
                                   &report)
            if status == CBP_DIVERGED:
                raise Diverged(cbp_message(status).decode(), report.batch, report.layer)
            check(status)
        finally:
            self._leave()
        return report.loss

    cdef object _batch(self):
        """X of the last forward or gradient, (m, n_0)."""
        return self._x if self._x.ndim == 2 else self._x.reshape(1, -1)

    cdef object _view(self, cbp_array array, int l, bint single=False):
        """The (rows, n_l) matrix of layer l in the workspace, or its one row."""
        cdef char *start = <char *>self._mem.work + cbp_offset(self.plan.net, self._rows, array, l)
        return array_at(start, self._work, self.plan.dtype, self._rows, cbp_layer(self.plan.net, l).cols, single)

    def activations(self):
        """[X, A^1, .., A^L] of the last forward or gradient."""
        if not (self._forward or self._backward):
            raise RuntimeError("no activations yet: call forward(X), gradient(X, y) or train_step(X, y, ...)")
        return [self._batch()] + [self._view(CBP_A, l) for l in range(1, self.plan.n_layers + 1)]

    def deltas(self):
        """[None, delta^1, .., delta^L] of the last backward or gradient."""
        if not self._backward:
            raise RuntimeError("no deltas yet: call backward(Y), gradient(X, y) or train_step(X, y, ...)")
        return [None] + [self._view(CBP_D, l) for l in range(1, self.plan.n_layers + 1)]


# ---- one call from Python ----

cdef enum:
    PREDICT, FORWARD, BACKWARD, GRADIENT, UPDATE, TRAIN_STEP, N_METHODS

cdef Method[N_METHODS] methods


cdef class Direct:
    """Base of a network: the methods that `direct` makes find the numbers here."""

    cdef public Memory _memory


cdef bint begin(int method, Memory memory, PyObject **args, Py_ssize_t n, PyObject *names, PyObject **given,
                Samples *s) noexcept:
    """Arguments by parameter, and what the network expects of them."""
    if memory is None or not take(&methods[method], args, n, names, given):
        return False
    s.expects = &memory.plan.expects
    return True


cdef object call_predict(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, out, check_finite
    cdef Memory memory = net._memory
    cdef Samples s
    if begin(PREDICT, memory, args, n, names, given, &s):
        _X = narrowed(s.expects, &given[0])
        if read_inputs(&s, given[0]) and fits_outputs(&s, given[1]) and are_sound(&s, True, given[2]):
            out = memory.plan.new_outputs(&s) if is_none(given[1]) else <object>given[1]
            memory.plan.outputs(memory._mem.theta, s.data.n, s.data.x, PyArray_DATA(<PyArrayObject *>out))
            return out
    return leave_to_friendly(&methods[PREDICT], net, args, n, names)


cdef object call_forward(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, check_finite
    cdef Memory memory = net._memory
    cdef Samples s
    if begin(FORWARD, memory, args, n, names, given, &s):
        _X = narrowed(s.expects, &given[0])
        if read_inputs(&s, given[0]) and are_sound(&s, True, given[1]):
            return memory.up(<object>given[0], &s.data, s.single)
    return leave_to_friendly(&methods[FORWARD], net, args, n, names)


cdef object call_backward(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # Y, sample_weight, check_finite
    cdef Memory memory = net._memory
    cdef Samples s
    if begin(BACKWARD, memory, args, n, names, given, &s) and is_none(given[1]) and memory.recall(&s):
        _Y = narrowed(s.expects, &given[0])
        if read_targets(&s, given[0]) and are_sound(&s, False, given[2]):
            return finite(net, memory.down(None, &s.data, s.single, NULL), NULL)
    return leave_to_friendly(&methods[BACKWARD], net, args, n, names)


cdef object call_gradient(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, y, sample_weight, check_finite
    cdef Memory memory = net._memory
    cdef Samples s
    if begin(GRADIENT, memory, args, n, names, given, &s) and is_none(given[2]):
        _X, _y = narrowed(s.expects, &given[0]), narrowed(s.expects, &given[1])
        if read_inputs(&s, given[0]) and read_targets(&s, given[1]) and are_sound(&s, True, given[3]):
            return finite(net, memory.down(<object>given[0], &s.data, s.single, NULL), NULL)
    return leave_to_friendly(&methods[GRADIENT], net, args, n, names)


cdef object call_update(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # learning_rate
    cdef Memory memory = net._memory
    cdef Samples s
    cdef double rate
    if begin(UPDATE, memory, args, n, names, given, &s) and as_number(given[0], &rate):
        return memory.descend(rate)
    return leave_to_friendly(&methods[UPDATE], net, args, n, names)


cdef object call_train_step(Direct net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, Y, learning_rate, sample_weight, check_finite
    cdef Memory memory = net._memory
    cdef Samples s
    cdef double rate
    if begin(TRAIN_STEP, memory, args, n, names, given, &s) and as_number(given[2], &rate) and is_none(given[3]):
        _X, _Y = narrowed(s.expects, &given[0]), narrowed(s.expects, &given[1])
        if read_inputs(&s, given[0]) and read_targets(&s, given[1]) and are_sound(&s, True, given[4]):
            return finite(net, memory.down(<object>given[0], &s.data, s.single, &rate), &rate)
    return leave_to_friendly(&methods[TRAIN_STEP], net, args, n, names)


cdef object finite(Direct net, double loss, const double *rate):
    """The loss, or the error for one that is not finite."""
    return loss if isfinite(loss) else net._finite(loss, None if rate == NULL else rate[0])


_NAMES = ["predict", "forward", "backward", "gradient", "update", "train_step"]
methods[PREDICT].call, methods[FORWARD].call = <void *>call_predict, <void *>call_forward
methods[BACKWARD].call, methods[GRADIENT].call = <void *>call_backward, <void *>call_gradient
methods[UPDATE].call, methods[TRAIN_STEP].call = <void *>call_update, <void *>call_train_step


def direct(function):
    """Decorator: does in C what `function` does, for arguments that C can read as they are."""
    return describe(&methods[_NAMES.index(function.__name__)], Direct, function)


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


def philox(counter, key):
    """The 128 random bits of Philox4x32-10 for four words of counter and two of key."""
    cdef uint32_t[4] c, k, out
    c[0], c[1], c[2], c[3] = counter
    k[0], k[1] = key
    cbp_philox(c, k, out)
    return out[0], out[1], out[2], out[3]
