# Part of _core.pyx, which includes it: what C code calls. From Cython, the methods that _core.pxd declares, and `lib`;
# from anything else, functions by their addresses; from SciPy, capsules.


cdef void hand_out(Memory memory) noexcept:
    """Fill the handle of a new memory."""
    cdef Handle *h = &memory._handle
    cdef Plan plan = memory.plan
    h.owner, h.net, h.mem, h.rooms, h.loss = <void *>memory, plan.net, &memory._mem, ROOMS, &memory._opt.loss
    h.turn = &memory._turn
    h.own_loss = plan.own_loss is not None
    h.n_in, h.n_out, h.n_targets = plan.expects.n_in, plan.expects.n_out, <int>plan.n_targets
    h.real = sizeof(float) if plan.expects.element == NPY_FLOAT32 else sizeof(double)


cdef cbp_status give_gradient(Memory memory) noexcept nogil:
    """The array of the gradient, which is made when it is first needed."""
    if memory._mem.grad == NULL:
        with gil:
            try:
                memory._need_grad()
            except MemoryError:
                return CBP_NO_MEMORY
    return CBP_OK


cdef cbp_status train_by(Memory memory, const cbp_data *data, const double *rate, double *loss) noexcept nogil:
    cdef cbp_status status = give_gradient(memory)
    return status if status != CBP_OK else descend_by(&memory._handle, data, rate, loss)


cdef class Scaled:
    """What a network scales by, in C. Immutable."""

    cdef Scales it
    cdef readonly object inputs, targets

    def __cinit__(self, Plan plan, inputs, targets):
        self.inputs, self.targets = inputs, targets  # they own the numbers
        columns_of(&self.it.inputs, &self.it.unknown, inputs, plan.expects.n_in)
        columns_of(&self.it.targets, &self.it.unknown, targets, plan.n_targets)


cdef int columns_of(Columns *columns, bint *unknown, scaling, Py_ssize_t n) except -1:
    """Center and scale of a Scaling of n columns, or of None."""
    if scaling is None:
        return 0
    if not scaling.known:
        unknown[0] = True
        return 0
    columns.center = <const double *>data_of(scaling.center, NPY_FLOAT64, n, 0)
    columns.scale = <const double *>data_of(scaling.scale, NPY_FLOAT64, n, 0)
    return 0


# ---- from Cython ----

cdef str misfit(const Handle *h, size_t bytes, Py_ssize_t m, Py_ssize_t n, Py_ssize_t m_y, Py_ssize_t n_y,
                bint targets):
    """The sentence about arrays that do not fit the network."""
    name = "targets" if targets else "outputs"
    if bytes != <size_t>h.real:
        return f"the network is of float{8 * h.real}, but the arrays are of float{8 * bytes}"
    if n != h.n_in:
        return f"x has {n} columns, expected {h.n_in}"
    if m != m_y:
        return f"x has {m} rows, but the {name} have {m_y}"
    return f"the {name} have {n_y} columns, expected {h.n_targets if targets else h.n_out}"


cdef class Network:
    """Base of a network: holds the numbers, which the methods that `direct` makes, and those of C, find here."""

    def __init__(self, *args, **kwargs):
        raise TypeError("this is what `cimport cbp` knows as Network; the class that makes networks is the one that "
                        "Python imports: from cbp import Network as make_network")

    @property
    def _memory(self):
        return self._core

    @_memory.setter
    def _memory(self, Memory memory not None):
        self._core = memory

    cdef cbp_status c_predict(self, int64_t m, const void *x, void *out) noexcept nogil:
        return CBP_NULL_ARGUMENT if self._core is None else predict_by(&(<Memory>self._core)._handle, m, x, out)

    cdef cbp_status c_gradient(self, const cbp_data *data, double *loss) noexcept nogil:
        return CBP_NULL_ARGUMENT if self._core is None else train_by(<Memory>self._core, data, NULL, loss)

    cdef cbp_status c_step(self, const cbp_data *data, double learning_rate, double *loss) noexcept nogil:
        if self._core is None:
            return CBP_NULL_ARGUMENT
        return train_by(<Memory>self._core, data, &learning_rate, loss)

    cdef const cbp_net *c_plan(self) noexcept nogil:
        if self._core is None:
            return NULL
        return (<Memory>self._core)._handle.net

    cdef const cbp_mem *c_mem(self) noexcept nogil:
        if self._core is None or give_gradient(<Memory>self._core) != CBP_OK:
            return NULL
        return (<Memory>self._core)._handle.mem

    cdef int c_raise(self, cbp_status status) except -1 nogil:
        if status == CBP_OK:
            return 0
        with gil:
            return check(status)

    cdef int c_check(self, size_t bytes, Py_ssize_t m, Py_ssize_t n, Py_ssize_t m_y, Py_ssize_t n_y,
                     bint targets) except -1 nogil:
        cdef const Handle *h
        if self._core is None:
            return self.c_raise(CBP_NULL_ARGUMENT)
        h = &(<Memory>self._core)._handle
        if bytes == <size_t>h.real and n == h.n_in and m == m_y and n_y == (h.n_targets if targets else h.n_out):
            return 0
        with gil:
            raise ValueError(misfit(h, bytes, m, n, m_y, n_y, targets))


cdef void fill_library() noexcept:
    """Name the functions of the C library for modules that link none."""
    lib.table, lib.message, lib.version, lib.isa_at = cbp_table, cbp_message, cbp_version, cbp_isa_at
    lib.isa, lib.net_new, lib.net_free, lib.net_dtype = cbp_isa, cbp_net_new, cbp_net_free, cbp_net_dtype
    lib.net_isa, lib.n_params, lib.n_targets, lib.layer = cbp_net_isa, cbp_n_params, cbp_n_targets, cbp_layer
    lib.work_bytes, lib.offset, lib.cpus, lib.pool_new = cbp_work_bytes, cbp_offset, cbp_cpus, cbp_pool_new
    lib.pool_free, lib.pool_resize, lib.pool_threads = cbp_pool_free, cbp_pool_resize, cbp_pool_threads
    lib.init, lib.predict, lib.evaluate, lib.forward = cbp_init, cbp_predict, cbp_evaluate, cbp_forward
    lib.backward, lib.gradient, lib.step, lib.update = cbp_backward, cbp_gradient, cbp_step, cbp_update
    lib.epoch, lib.epoch_for, lib.jacobian, lib.curve = cbp_epoch, cbp_epoch_for, cbp_jacobian, cbp_curve
    lib.cholesky, lib.cholesky_solve, lib.cholesky_inverse = cbp_cholesky, cbp_cholesky_solve, cbp_cholesky_inverse
    lib.dot, lib.times, lib.lbfgs, lib.permutation = cbp_dot, cbp_times, cbp_lbfgs, cbp_permutation
    lib.first_nonfinite, lib.net_first_nonfinite = cbp_first_nonfinite, cbp_net_first_nonfinite
    lib.philox, lib.net_bytes, lib.net_in = cbp_philox, cbp_net_bytes, cbp_net_in


fill_library()


# ---- by address ----

cdef int predict_at(void *handle, int64_t m, const void *x, void *out) noexcept nogil:
    return <int>predict_by(<Handle *>handle, m, x, out)


cdef int gradient_at(void *handle, int64_t m, const void *x, const void *y, const int64_t *labels, const void *weight,
                     double *loss) noexcept nogil:
    cdef cbp_data data = cbp_data(m, x, y, labels, weight)
    return <int>descend_by(<Handle *>handle, &data, NULL, loss)


cdef int step_at(void *handle, int64_t m, const void *x, const void *y, const int64_t *labels, const void *weight,
                 double learning_rate, double *loss) noexcept nogil:
    cdef cbp_data data = cbp_data(m, x, y, labels, weight)
    return <int>descend_by(<Handle *>handle, &data, &learning_rate, loss)


def addresses(Memory memory not None):
    """The address of a memory's handle, which lives as long as the memory, and those of the functions that take it."""
    memory._need_grad()
    return {
        "handle": <uintptr_t>&memory._handle, "predict": <uintptr_t>&predict_at, "gradient": <uintptr_t>&gradient_at,
        "step": <uintptr_t>&step_at, "message": <uintptr_t>&cbp_message,
    }


# ---- from SciPy: doubles, whatever the network's precision; one output ----

cdef enum:
    MOST_INPUTS = 1024  # of a network that SciPy calls: they lie on the stack


cdef bint value_at(const Handle *h, const double *x, double *value) noexcept nogil:
    """*value := the network's output for the inputs x[n_0]; whether there is one."""
    cdef float[MOST_INPUTS] narrow
    cdef float rounded = 0
    cdef int i
    cdef cbp_status status
    if h.real == sizeof(double):
        return predict_by(<Handle *>h, 1, x, value) == CBP_OK
    for i in range(h.n_in):
        narrow[i] = <float>x[i]
    status = predict_by(<Handle *>h, 1, narrow, &rounded)
    value[0] = rounded
    return status == CBP_OK


cdef double integrand(int n, double *x, void *handle) noexcept nogil:
    cdef const Handle *h = <const Handle *>handle
    cdef double value = 0
    return value if n == h.n_in and value_at(h, x, &value) else NAN


cdef double function(double x, void *handle) noexcept nogil:
    return integrand(1, &x, handle)


cdef int filtering(double *window, Py_ssize_t n, double *value, void *handle) noexcept nogil:
    cdef const Handle *h = <const Handle *>handle
    return n == h.n_in and value_at(h, window, value)


cdef struct Callback:
    # A function of a network as SciPy knows it: by its type
    const char *signature
    void *function

cdef Callback[3] CALLBACKS
CALLBACKS[0] = Callback(b"double (double, void *)", <void *>function)
CALLBACKS[1] = Callback(b"double (int, double *, void *)", <void *>integrand)
CALLBACKS[2] = Callback(b"int (double *, npy_intp, double *, void *)", <void *>filtering)


cdef void let_go(object capsule) noexcept:
    Py_DECREF(<object>(<Handle *>PyCapsule_GetContext(capsule)).owner)


def capsule(Memory memory not None, signature):
    """A function of the network as a PyCapsule for scipy.LowLevelCallable, which keeps the memory alive."""
    cdef bytes wanted = signature.encode()
    cdef int i
    if memory._handle.n_out != 1 or memory._handle.n_in > MOST_INPUTS:
        raise ValueError(f"a function needs one output, and at most {MOST_INPUTS} inputs; the network has "
                         f"{memory._handle.n_out} and {memory._handle.n_in}")
    for i in range(3):
        if wanted == CALLBACKS[i].signature:
            made = PyCapsule_New(CALLBACKS[i].function, CALLBACKS[i].signature, NULL)
            PyCapsule_SetContext(made, &memory._handle)
            Py_INCREF(memory)
            PyCapsule_SetDestructor(made, let_go)
            return made
    known = ", ".join([repr(CALLBACKS[i].signature.decode()) for i in range(3)])
    raise ValueError(f"no such signature: {signature!r}; there are {known}")
