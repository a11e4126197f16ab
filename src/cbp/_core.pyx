# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, binding=False
# cython: embedsignature=True, embedsignature.format=clinic, freethreading_compatible=True
"""The only module with pointers: plans, memories and tables of the C library as Python objects.

Design: a Plan owns one immutable cbp_net; a Memory owns the arrays that one network trains and hands them to C in a
cbp_mem. Their methods take arrays that _data.py has made ready and given the friendly messages for; what is checked
here is what would otherwise read or write outside an array. Arrays are read through NumPy's C interface: the buffer
protocol costs as much as a small network.
"""

import builtins

import numpy as np

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext, PyCapsule_SetDestructor
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport NAN, isfinite
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.float cimport DBL_EPSILON
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memmove, memset

from cbp._arrays cimport *
from cbp._atomic cimport *
from cbp._c cimport *
from cbp._describing cimport *
from cbp._handle cimport *
from cbp._method cimport *
from cbp._own_loss cimport call_own_loss
from cbp._reading cimport *
from cbp._tables cimport rows_of
from cbp._turns cimport *

_import_array()
cbp_at_fork(cbp_after_fork)

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
cdef Room[N_ROOMS] ROOMS  # workspaces of predictions
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
    cdef readonly object dtype, widths, blocks, isa, own_loss
    cdef readonly Py_ssize_t n_params, n_targets
    cdef readonly uint64_t seed  # of what noisy passes draw
    cdef bint noisy, noisy_inputs  # whether there is noise in a noisy pass; in its inputs

    def __cinit__(self, dtype, int n_in, layers, loss, double loss_arg=0.0, reduction="mean", isa=None, heads=(),
                  bint missing=False, uint64_t seed=0, double input_noise=0.0, double input_dropout=0.0):
        cdef cbp_spec spec
        cdef bytes isa_name = b"" if isa is None else isa.encode()
        kept = []  # what the description points to, alive until cbp_net_new has read it
        memset(&spec, 0, sizeof(spec))
        spec.dtype = {"float32": CBP_FLOAT32, "float64": CBP_FLOAT64}[dtype]
        spec.n_in, spec.input_noise, spec.input_dropout = n_in, input_noise, input_dropout
        spec.reduction, spec.missing_targets = {"mean": CBP_MEAN, "sum": CBP_SUM}[reduction], missing
        describe_layers(&spec, layers, _INDEX["activations"], kept)
        describe_heads(&spec, heads, _INDEX["losses"], kept)
        if isinstance(loss, str):
            spec.loss, spec.loss_arg = <cbp_loss><int>_INDEX["losses"][loss], loss_arg
        elif not heads:
            self.own_loss, spec.own_loss, spec.own_ctx = loss, call_own_loss, <void *>self
        spec.isa = NULL if isa is None else <char *>isa_name
        check(cbp_net_new(&self.net, &spec))
        self.dtype, self.seed, self.isa = np.dtype(dtype), seed, cbp_net_isa(self.net).decode()
        self.noisy_inputs = input_noise > 0 or input_dropout > 0
        self.noisy = self.noisy_inputs or has_dropout(&spec)
        self.n_params, self.n_targets, self.n_layers = cbp_n_params(self.net), cbp_n_targets(self.net), spec.n_layers
        blocks = [cbp_layer(self.net, l) for l in range(1, spec.n_layers + 1)]
        self.blocks = tuple([(block["offset"], block["rows"], block["cols"]) for block in blocks])
        self.widths = (n_in, *[block["cols"] for block in blocks])
        expect(&self.expects, self.net, POOL, &spec, self.widths[spec.n_layers])
        if isinstance(loss, str):
            row = _ROWS["losses"][_INDEX["losses"][loss]]
            expect_targets(&self.expects, row, _ROWS["activations"], _INDEX["activations"])

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

    cdef int check(self, cbp_status status) except -1:
        """The exception of a status; before it, what a loss of the user's own raised."""
        if self.own_loss is not None:
            self.own_loss.raise_failure()
        return check(status)

    cdef object new_outputs(self, const Samples *s):
        return array_at(NULL, None, self.dtype, s.data.n, self.expects.n_out, s.single)

    cdef int outputs(self, void *theta, Py_ssize_t n, const void *x, void *out) except -1:
        """The same on pointers."""
        cdef cbp_status status
        if n <= self.expects.brief_rows:
            status = outputs(self.net, POOL, ROOMS, theta, n, x, out)
        else:
            with nogil:
                status = outputs(self.net, POOL, ROOMS, theta, n, x, out)
        return check(status)

    def evaluate(self, theta, X, y, weight=None, noise=None):
        """The objective J of the samples; of a noisy pass, by the number of its draw. Any number of threads at once."""
        cdef cbp_mem mem
        cdef cbp_noise draws
        cdef cbp_data data
        cdef double loss = 0
        cdef cbp_status status
        memset(&mem, 0, sizeof(mem))
        mem.pool = POOL
        mem.theta = data_of(theta, self.expects.element, self.n_params, 0)
        if noise is not None:
            draws.seed, draws.draw = self.seed, noise
            mem.noise = &draws
        fill(&data, &self.expects, X, y, weight)
        mem.work = PyMem_Malloc(cbp_work_bytes(self.net, data.n, CBP_EVALUATE))
        if mem.work == NULL:
            raise MemoryError
        with nogil:
            status = cbp_evaluate(self.net, &mem, &data, &loss)
        PyMem_Free(mem.work)
        self.check(status)
        return loss


# ---- the numbers ----

include "_sharing.pxi"


cdef cbp_status train(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, bint up, const double *rate,
                      double *loss) noexcept nogil:
    """The gradient, forward included if `up`; or, unless rate is NULL, a whole step down by it."""
    if rate != NULL:
        return cbp_step(net, mem, data, rate[0], loss)
    return cbp_gradient(net, mem, data, loss) if up else cbp_backward(net, mem, data, loss)


cdef double PATIENCE = 0.03  # seconds of an epoch between two looks for signals and guests

cdef class Memory(Shared):
    """The numbers one network trains: parameters, gradient, optimiser slots, workspace. One user at a time."""

    cdef readonly Plan plan
    cdef readonly object slots, optimizer
    cdef readonly object frozen, mask  # (L,) of bytes; (n_params,) or None: as in cbp_mem
    cdef readonly bint scales  # its data, in Python, before they come here
    cdef public int64_t epochs  # made to their end; counted here, where no signal can come between
    cdef public int64_t batches  # made of the pass under way, 0 where there is none, and the sums over their samples
    cdef public double cost, weight
    cdef object _grad, _work, _x
    cdef void *_spare  # workspace that the last look at the curvature left, or NULL
    cdef cbp_mem _mem
    cdef cbp_opt _opt
    cdef cbp_noise _noise
    cdef size_t _capacity
    cdef Py_ssize_t _rows
    cdef bint _forward, _backward, _single
    cdef Handle _handle  # for threads that have no interpreter
    cdef list _scalings  # Scaled: all that _handle.scales ever pointed to; or None

    def __cinit__(self, Plan plan, theta):
        self.plan = plan
        self._mem.pool = POOL
        self._noise.seed = plan.seed
        data_of(theta, plan.expects.element, plan.n_params, 0)
        self.theta = new_zeros(plan.dtype, 1, plan.n_params, True)
        self.theta[:] = theta
        self._mem.theta = PyArray_DATA(<PyArrayObject *>self.theta)
        self.frozen = np.zeros(plan.n_layers, np.uint8)
        hand_out(self)

    def __dealloc__(self):
        free_workspace(self._spare)
        free(self._handle.own.base)

    def scale_by(self, inputs, targets):
        """Scale by these, each a Scaling or None, where C code asks; for Python, Python scales."""
        cdef Scaled made = <Scaled>self._scalings[len(self._scalings) - 1] if self._scalings else None
        if made is not None and made.inputs is inputs and made.targets is targets:
            return
        self.scales = inputs is not None or targets is not None
        if self.scales:
            made = Scaled(self.plan, inputs, targets)
            # All of them for good: a thread without the interpreter may be using the one before
            self._scalings = [*(self._scalings or ()), made]
            cbp_store_pointer(&self._handle.scales, &made.it)

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

    @property
    def grad(self):
        """The gradient, (n_params,), made when it is first asked for."""
        self._need_grad()
        return self._grad

    cdef int _need_grad(self) except -1:
        if self._grad is None:
            with cython.critical_section(self):
                if self._grad is None:
                    self._grad = new_zeros(self.plan.dtype, 1, self.plan.n_params, True)
                    self._mem.grad = PyArray_DATA(<PyArrayObject *>self._grad)
        return 0

    cdef int _reserve(self, Py_ssize_t rows, cbp_mode mode) except -1:
        """A workspace for so many rows, and a gradient. A new one does not touch the views of the old one."""
        cdef size_t need = cbp_work_bytes(self.plan.net, rows, mode)
        self._need_grad()
        if need == 0:
            check(CBP_TOO_LARGE)
        if need > self._capacity:
            work = new_zeros(np.dtype("u1"), 1, need, True)
            with cython.critical_section(self):  # another thread may be looking at the activations
                self._work, self._capacity = work, need
                self._mem.work = PyArray_DATA(<PyArrayObject *>work)
        return 0

    cdef int _begin(self, X, Py_ssize_t rows, bint single, noise=None) except -1:
        """Inputs of a new batch, X (rows, n_0), or (n_0,) if single, and a workspace for them; its draw."""
        self._mem.noise = NULL
        if rows != self._rows:
            self._reserve(rows, CBP_TRAIN)
        with cython.critical_section(self):
            self._x, self._rows, self._single = X, rows, single
            self._forward = self._backward = False
        if noise is not None:
            self._draw(noise)
        return 0

    cdef int _draw(self, uint64_t number) except -1:
        """The passes to come are noisy."""
        self._noise.draw, self._mem.noise = number, &self._noise
        return 0

    def forward(self, X, single=False, noise=None):
        """Activations of X (n, n_0), with noise where a draw is named; returns A^L, of a single sample as (n_L,)."""
        cdef cbp_data data
        data.x = data_of(X, self.plan.expects.element, -1, self.plan.expects.n_in)
        data.n = X.shape[0]
        return self.up(X, &data, single, noise)

    cdef object up(self, X, const cbp_data *data, bint single, noise=None):
        """`forward` for X whose numbers are data.x, (n, n_0), or (n_0,) if single."""
        cdef cbp_status status
        self._enter()
        try:
            self._begin(X, data.n, single, noise)
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

    def gradient(self, X, y, weight=None, learning_rate=None, noise=None):
        """forward and backward; and with a learning rate descend, unless the objective is not finite."""
        cdef cbp_data data
        cdef double rate = 0 if learning_rate is None else learning_rate
        fill(&data, &self.plan.expects, X, y, weight)
        return self.down(X, &data, False, NULL if learning_rate is None else &rate, noise)

    cdef double down(self, X, const cbp_data *data, bint single, const double *rate, noise=None) except? -1.0:
        """`train` with X whose numbers are data.x, or after a forward of these if X is None; returns the objective."""
        cdef double loss = 0
        cdef cbp_status status
        cdef bint up = X is not None
        self._enter()
        try:
            if up:
                self._begin(X, data.n, single, noise)
            elif not self._forward or data.x != PyArray_DATA(<PyArrayObject *>self._x) or data.n != self._rows:
                raise RuntimeError("call forward(X) before backward(Y), once each")
            self._forward = False
            if data.n <= self.plan.expects.brief_rows:
                status = train(self.plan.net, &self._mem, data, up, rate, &loss)
            else:
                with nogil:
                    status = train(self.plan.net, &self._mem, data, up, rate, &loss)
            self.plan.check(status)
            self._backward, self._opt.loss = True, loss
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
        self._need_grad()
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

    def freeze(self, int layer, bint fixed):
        """Fix all parameters of layer 0 .. L - 1, or train it again."""
        self._enter()
        self.frozen[layer] = fixed
        self._mem.frozen = <const unsigned char *>PyArray_DATA(<PyArrayObject *>self.frozen)
        if not self.frozen.any():
            self._mem.frozen = NULL
        self._leave()

    def set_mask(self, mask):
        """Fix the parameters where the mask, of the network's dtype, is 0, and train those where it is 1; None: all."""
        cdef void *data = NULL
        if mask is not None:
            data = data_of(mask, self.plan.expects.element, self.plan.n_params, 0)
        self._enter()
        self.mask, self._mem.mask = mask, data
        self._leave()

    def set_optimizer(self, name, args, double clip_value=0, double clip_norm=0, double average=0, *, then=None):
        """Start this optimiser anew: slots zero, t = 0. Limits of 0 are none. then() is called before anybody reads."""
        cdef int i
        row = _ROWS["optimizers"][_INDEX["optimizers"][name]]
        if len(args) != len(row["args"]):
            raise ValueError(f"{name} takes {len(row['args'])} arguments, got {len(args)}")
        values = [float(value) for value in args]
        slots = new_zeros(self.plan.dtype, row["n_slots"] + (average > 0), self.plan.n_params, False)
        self._enter()
        self.slots = slots
        self._mem.slots = PyArray_DATA(<PyArrayObject *>slots)
        self.optimizer = name
        self._opt.kind, self._opt.t = <cbp_optimizer><int>_INDEX["optimizers"][name], 0
        for i in range(len(values)):
            self._opt.arg[i] = values[i]
        self._opt.clip_value, self._opt.clip_norm, self._opt.average = clip_value, clip_norm, average
        try:
            if then is not None:
                then()
        finally:
            self._leave()

    def update(self, double learning_rate):
        """One step of the optimiser from grad."""
        if self.optimizer is None:
            raise RuntimeError("no optimiser has been set")
        self._step(&self._opt, learning_rate)

    def epoch(self, X, y, weight, order, Py_ssize_t batch_size, learning_rate, int64_t done=0, bint last=True,
              pause=None, every=()):
        """One pass over the samples in this order; or a part of one, after `done` batches before it; `last` ends it.

        A learning rate, or an array of one per batch. Returns the mean loss of the pass so far. The batches that
        `batches` counts have been made already: after a signal, as Ctrl-C sends one, which is heard between two
        updates, the same call goes on with the next one. The pass is noisy: batch b of epoch e has draw e * 2**32 + b.
        pause() is called between two updates now and then, and when the optimiser has made a multiple of a number in
        `every`.
        """
        cdef cbp_data data
        cdef cbp_report report
        cdef double one = 0
        cdef const double *rate = &one
        cdef const int64_t *rows = NULL
        cdef bint per_batch = PyArray_Check(<PyObject *>learning_rate)
        cdef cbp_status status = CBP_PAUSED
        cdef int64_t most
        memset(&report, 0, sizeof(report))
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
        PyErr_CheckSignals()
        self._enter()
        try:
            self._begin(None, 0, False)
            self._reserve(batch, CBP_EPOCH)
            if self.plan.noisy:
                self._draw((<uint64_t>self.epochs << 32) + <uint64_t>done)
            report.batch, report.cost, report.weight = self.batches - done, self.cost, self.weight
            while status == CBP_PAUSED:
                most = min([interval - self._opt.t % interval for interval in every]) if every else 0
                with nogil:
                    status = cbp_epoch_for(self.plan.net, &self._mem, &self._opt, &data, rows, batch, rate,
                                           not per_batch, PATIENCE, most, &report)
                self.batches, self.cost, self.weight = done + report.batch, report.cost, report.weight
                if status == CBP_PAUSED or (status == CBP_OK and not last):
                    self._breathe(pause)
            self.plan.check(CBP_OK if status == CBP_DIVERGED else status)
            if status != CBP_OK or last:
                self.batches, self.cost, self.weight = 0, 0, 0
            if status == CBP_DIVERGED:
                raise Diverged(cbp_message(status).decode(), report.batch, report.layer)
            self.epochs += last
        finally:
            self._mem.noise = NULL
            self._leave()
        return report.loss

    cdef object _batch(self):
        """X of the last forward or gradient, (m, n_0)."""
        return self._x if self._x.ndim == 2 else self._x.reshape(1, -1)

    cdef object _view(self, cbp_array array, int l, bint single=False):
        """The (rows, n_l) matrix of layer l in the workspace, or its one row."""
        cdef char *start = <char *>self._mem.work + cbp_offset(self.plan.net, self._rows, array, l)
        cdef Py_ssize_t cols = self.plan.expects.n_in if l == 0 else cbp_layer(self.plan.net, l).cols
        return array_at(start, self._work, self.plan.dtype, self._rows, cols, single)

    def activations(self):
        """[X, A^1, .., A^L] of the last forward or gradient; X as noise left it."""
        with cython.critical_section(self):
            if not (self._forward or self._backward):
                raise RuntimeError("no activations yet: call forward(X), gradient(X, y) or train_step(X, y, ...)")
            first = self._batch() if self._mem.noise == NULL or not self.plan.noisy_inputs else self._view(CBP_A, 0)
            return [first] + [self._view(CBP_A, l) for l in range(1, self.plan.n_layers + 1)]

    def deltas(self):
        """[None, delta^1, .., delta^L] of the last backward or gradient."""
        with cython.critical_section(self):
            if not self._backward:
                raise RuntimeError("no deltas yet: call backward(Y), gradient(X, y) or train_step(X, y, ...)")
            return [None] + [self._view(CBP_D, l) for l in range(1, self.plan.n_layers + 1)]


# ---- calls from C ----

include "_embedding.pxi"


# ---- one call from Python ----

include "_direct.pxi"


# ---- curvature ----

include "_curving.pxi"


# ---- dense symmetric systems ----

include "_solving.pxi"


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
