# Curvature: the objective of a Memory's network at any point, and its derivatives. Included by _core.pyx.


cdef struct Spare:
    void *base  # what was allocated
    size_t size  # of what follows


cdef void *workspace(Memory memory, Py_ssize_t rows, cbp_mode mode) except NULL:
    """A workspace for one call, which gives it back: the one that the last call left, where it is large enough."""
    cdef size_t need = cbp_work_bytes(memory.plan.net, rows, mode)
    cdef char *work
    cdef char *base
    with cython.critical_section(memory):
        work, memory._spare = <char *>memory._spare, NULL
    if work != NULL and (<Spare *>(work - sizeof(Spare))).size >= need > 0:
        return work
    free_workspace(work)
    base = NULL if need == 0 else <char *>PyMem_Malloc(need + 2 * CBP_ALIGN)
    if base == NULL:
        raise MemoryError(f"no memory for {need} bytes of workspace" if need else cbp_message(CBP_TOO_LARGE).decode())
    work = base + 2 * CBP_ALIGN - <size_t>base % CBP_ALIGN
    (<Spare *>(work - sizeof(Spare)))[0] = Spare(base, need)
    return work


cdef void free_workspace(void *work) noexcept:
    if work != NULL:
        PyMem_Free((<Spare *>(<char *>work - sizeof(Spare))).base)


cdef void give_back(Memory memory, void *work) noexcept:
    """Keep the workspace for the next call."""
    with cython.critical_section(memory):
        work, memory._spare = memory._spare, work
    free_workspace(work)


def release(Memory memory not None):
    """Let the workspace go that the last look at the curvature left."""
    give_back(memory, NULL)


cdef void *wanted_array(array, Memory memory, Py_ssize_t rows) except? NULL:
    """The numbers of an array (P,), or (rows, P), to be filled, or NULL for None."""
    if array is None:
        return NULL
    cdef Plan plan = memory.plan
    if rows == 0:
        return data_of(array, plan.expects.element, plan.n_params, 0, True)
    return data_of(array, plan.expects.element, rows, plan.n_params, True)


cdef cbp_mem memory_at(Memory memory, theta) except *:
    """What C is told of the memory, with other parameters."""
    cdef cbp_mem mem
    memset(&mem, 0, sizeof(mem))
    mem.pool, mem.frozen, mem.mask = POOL, memory._mem.frozen, memory._mem.mask
    mem.theta = data_of(theta, memory.plan.expects.element, memory.plan.n_params, 0)
    return mem


def curve(Memory memory not None, theta, X, y, weight=None, *, gradient=None, matrix=None, v=None, hessian_v=None,
          gauss_newton_v=None):
    """Return the objective at theta, and fill the arrays that are given: see cbp_curve."""
    cdef Plan plan = memory.plan
    cdef cbp_curvature wanted
    cdef cbp_data data
    fill(&data, &plan.expects, X, y, weight)
    wanted.gradient = wanted_array(gradient, memory, 0)
    wanted.matrix = wanted_array(matrix, memory, plan.n_params)
    wanted.v = NULL if v is None else data_of(v, plan.expects.element, plan.n_params, 0)
    wanted.hessian_v = wanted_array(hessian_v, memory, 0)
    wanted.gauss_newton_v = wanted_array(gauss_newton_v, memory, 0)
    return curve_on(memory, theta, &data, &wanted)


cdef object curve_on(Memory memory, theta, const cbp_data *data, const cbp_curvature *wanted):
    """The objective at theta, on samples and into arrays that were checked."""
    cdef Plan plan = memory.plan
    cdef cbp_mem mem = memory_at(memory, theta)
    cdef double loss = 0
    cdef cbp_status status
    mem.work = workspace(memory, data.n, CBP_CURVE if wanted.matrix == NULL else CBP_MATRIX)
    with nogil:
        status = cbp_curve(plan.net, &mem, data, wanted, &loss)
    give_back(memory, mem.work)
    plan.check(status)
    return loss


cdef class Surface:
    """The objective as a function of the parameters, on samples that are checked once."""

    cdef Memory memory
    cdef cbp_data data
    cdef tuple kept  # what `data` points into

    def __cinit__(self, Memory memory not None, X, y, weight=None):
        fill(&self.data, &memory.plan.expects, X, y, weight)
        self.memory, self.kept = memory, (X, y, weight)

    def gradient(self, theta):
        """The objective at theta, and its gradient, new, of the network's dtype."""
        cdef cbp_curvature wanted
        cdef Plan plan = self.memory.plan
        out = array_at(NULL, None, plan.dtype, 0, plan.n_params, True)
        memset(&wanted, 0, sizeof(wanted))
        wanted.gradient = PyArray_DATA(<PyArrayObject *>out)
        return curve_on(self.memory, theta, &self.data, &wanted), out

    def along(self, theta, direction, double length):
        """At theta + length direction, of float64: the objective, its slope that way; the point, the gradient, new."""
        cdef Plan plan = self.memory.plan
        cdef Py_ssize_t n = plan.n_params, i
        cdef const double *start = <const double *>data_of(theta, NPY_FLOAT64, n, 0)
        cdef const double *way = <const double *>data_of(direction, NPY_FLOAT64, n, 0)
        there = array_at(NULL, None, plan.dtype, 0, n, True)
        cdef double *point = <double *>data_of(there, NPY_FLOAT64, n, 0, True)
        for i in range(n):
            point[i] = start[i] + length * way[i]
        loss, gradient = self.gradient(there)
        return loss, cbp_dot(n, way, <const double *>PyArray_DATA(<PyArrayObject *>gradient)), there, gradient


def jacobian(Memory memory not None, theta, X, out, bint inputs=False):
    """out (n n_L, P), or (n n_L, n_0), := derivatives of the outputs for X by the parameters, or by the inputs."""
    cdef Plan plan = memory.plan
    cdef cbp_mem mem = memory_at(memory, theta)
    cdef void *x = data_of(X, plan.expects.element, -1, plan.expects.n_in)
    cdef Py_ssize_t n = X.shape[0], columns = plan.expects.n_in if inputs else plan.n_params
    cdef void *jac = data_of(out, plan.expects.element, n * plan.expects.n_out, columns, True)
    cdef cbp_status status
    mem.work = workspace(memory, n, CBP_CURVE)
    with nogil:
        status = cbp_jacobian(plan.net, &mem, n, x, CBP_BY_INPUTS if inputs else CBP_BY_PARAMS, jac)
    give_back(memory, mem.work)
    check(status)
