"""What other Cython modules may use of the core: `cimport cbp` gives it. Everything else of it is private.

A Network is one reference and a table of methods, which only ever grows at its end: modules compiled against an older
cbp go on working. Methods that begin with c_ take pointers, need no interpreter and answer with a status; the others
are compiled into the module that calls them, take memoryviews of either precision, look at their shapes, and raise.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t

from cbp._c cimport *

ctypedef fused real:
    float
    double


cdef class Network:
    """Base of cbp.Network: what C code may call. Alive as long as somebody holds a reference, as every object."""

    cdef object _core

    # ---- pointers, a status ----

    # out (m, n_L) := outputs for x (m, n_0), not modified, apart from out. Any number of threads at once.
    cdef cbp_status c_predict(self, int64_t m, const void *x, void *out) noexcept nogil
    # *loss := J of the samples, the gradient into net.grad. CBP_BUSY while another thread trains the network.
    cdef cbp_status c_gradient(self, const cbp_data *data, double *loss) noexcept nogil
    # The same, and then theta -= learning_rate * grad, unless the loss is not finite.
    cdef cbp_status c_step(self, const cbp_data *data, double learning_rate, double *loss) noexcept nogil
    # For the functions of `lib`: the plan, and the arrays that belong to it but for a workspace; NULL if there is none.
    cdef const cbp_net *c_plan(self) noexcept nogil
    cdef const cbp_mem *c_mem(self) noexcept nogil
    # The exception of a status, with cbp's message; 0 for CBP_OK.
    cdef int c_raise(self, cbp_status status) except -1 nogil
    # ValueError unless x (m, n_0) and y (m_y, n_y), targets or outputs, of numbers with so many bytes, fit the network.
    cdef int c_check(self, size_t bytes, Py_ssize_t m, Py_ssize_t n, Py_ssize_t m_y, Py_ssize_t n_y,
                     bint targets) except -1 nogil

    # ---- memoryviews, an exception ----

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline int predict_rows(self, const real[:, ::1] x, real[:, ::1] out) except -1 nogil:
        """out (m, n_L) := outputs for x (m, n_0)."""
        self.c_check(sizeof(real), x.shape[0], x.shape[1], out.shape[0], out.shape[1], False)
        return self.c_raise(self.c_predict(x.shape[0], &x[0, 0], &out[0, 0]))

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline int predict_row(self, const real[::1] x, real[::1] out) except -1 nogil:
        """out (n_L,) := outputs for x (n_0,)."""
        self.c_check(sizeof(real), 1, x.shape[0], 1, out.shape[0], False)
        return self.c_raise(self.c_predict(1, &x[0], &out[0]))

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline double gradient_rows(self, const real[:, ::1] x, const real[:, ::1] y) except? -1.0 nogil:
        """J of samples x (m, n_0) and y (m, n_L); its gradient is in net.grad."""
        cdef cbp_data data = cbp_data(x.shape[0], &x[0, 0], &y[0, 0], NULL, NULL)
        cdef double loss = 0
        self.c_check(sizeof(real), x.shape[0], x.shape[1], y.shape[0], y.shape[1], True)
        self.c_raise(self.c_gradient(&data, &loss))
        return loss

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline double gradient_row(self, const real[::1] x, const real[::1] y) except? -1.0 nogil:
        """J of one sample x (n_0,), y (n_L,); its gradient is in net.grad."""
        cdef cbp_data data = cbp_data(1, &x[0], &y[0], NULL, NULL)
        cdef double loss = 0
        self.c_check(sizeof(real), 1, x.shape[0], 1, y.shape[0], True)
        self.c_raise(self.c_gradient(&data, &loss))
        return loss

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline double step_rows(self, const real[:, ::1] x, const real[:, ::1] y,
                                 double learning_rate) except? -1.0 nogil:
        """net.train_step(x, y, learning_rate): J before the step."""
        cdef cbp_data data = cbp_data(x.shape[0], &x[0, 0], &y[0, 0], NULL, NULL)
        cdef double loss = 0
        self.c_check(sizeof(real), x.shape[0], x.shape[1], y.shape[0], y.shape[1], True)
        self.c_raise(self.c_step(&data, learning_rate, &loss))
        return loss

    @cython.final
    @cython.boundscheck(False)
    @cython.wraparound(False)
    cdef inline double step_row(self, const real[::1] x, const real[::1] y, double learning_rate) except? -1.0 nogil:
        """The same with one sample x (n_0,), y (n_L,)."""
        cdef cbp_data data = cbp_data(1, &x[0], &y[0], NULL, NULL)
        cdef double loss = 0
        self.c_check(sizeof(real), 1, x.shape[0], 1, y.shape[0], True)
        self.c_raise(self.c_step(&data, learning_rate, &loss))
        return loss


# ---- the C library that the core holds, for modules that link none ----

ctypedef struct Library:
    # The functions of cbp.h, without their prefix
    const cbp_info *(*table)(cbp_kind kind, int *n) noexcept nogil
    const char *(*message)(cbp_status status) noexcept nogil
    const char *(*version)() noexcept nogil
    const char *(*isa_at)(int i) noexcept nogil
    const char *(*isa)() noexcept nogil
    cbp_status (*net_new)(cbp_net **net, const cbp_spec *spec) noexcept nogil
    void (*net_free)(cbp_net *net) noexcept nogil
    cbp_dtype (*net_dtype)(const cbp_net *net) noexcept nogil
    const char *(*net_isa)(const cbp_net *net) noexcept nogil
    int64_t (*n_params)(const cbp_net *net) noexcept nogil
    int (*n_targets)(const cbp_net *net) noexcept nogil
    cbp_block (*layer)(const cbp_net *net, int l) noexcept nogil
    size_t (*work_bytes)(const cbp_net *net, int64_t batch, cbp_mode mode) noexcept nogil
    size_t (*offset)(const cbp_net *net, int64_t batch, cbp_array array, int l) noexcept nogil
    int (*cpus)() noexcept nogil
    cbp_status (*pool_new)(cbp_pool **pool, int threads) noexcept nogil
    void (*pool_free)(cbp_pool *pool) noexcept nogil
    cbp_status (*pool_resize)(cbp_pool *pool, int threads) noexcept nogil
    int (*pool_threads)(const cbp_pool *pool) noexcept nogil
    cbp_status (*init)(const cbp_net *net, const cbp_initializer *rule, const double *arg, uint64_t seed,
                       void *theta) noexcept nogil
    cbp_status (*predict)(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out) noexcept nogil
    cbp_status (*evaluate)(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) noexcept nogil
    cbp_status (*forward)(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x) noexcept nogil
    cbp_status (*backward)(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) noexcept nogil
    cbp_status (*gradient)(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) noexcept nogil
    cbp_status (*step)(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double learning_rate,
                       double *loss) noexcept nogil
    cbp_status (*update)(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate) noexcept nogil
    cbp_status (*epoch)(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                        const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                        cbp_report *report) noexcept nogil
    cbp_status (*epoch_for)(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                            const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                            double seconds, int64_t batches, cbp_report *report) noexcept nogil
    cbp_status (*jacobian)(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, cbp_variable by,
                           void *jac) noexcept nogil
    cbp_status (*curve)(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, const cbp_curvature *wanted,
                        double *loss) noexcept nogil
    cbp_status (*cholesky)(int64_t n, double *a, cbp_pool *pool) noexcept nogil
    void (*cholesky_solve)(int64_t n, const double *l, double *b) noexcept nogil
    void (*cholesky_inverse)(int64_t n, const double *l, double *inverse, cbp_pool *pool) noexcept nogil
    double (*dot)(int64_t n, const double *x, const double *y) noexcept nogil
    void (*times)(int64_t n, const double *a, const double *x, double *out) noexcept nogil
    void (*lbfgs)(int64_t n, int pairs, const cbp_pair *pair, double *share, double *d) noexcept nogil
    cbp_status (*permutation)(uint64_t seed, uint64_t stream, int64_t n, int64_t *order) noexcept nogil
    int64_t (*first_nonfinite)(cbp_dtype dtype, int64_t n, const void *x) noexcept nogil
    int64_t (*net_first_nonfinite)(const cbp_net *net, cbp_pool *pool, int64_t n, const void *x) noexcept nogil
    void (*philox)(const uint32_t *counter, const uint32_t *key, uint32_t *out) noexcept nogil
    size_t (*net_bytes)(const cbp_spec *spec) noexcept nogil
    cbp_status (*net_in)(cbp_net **net, void *memory, size_t bytes, const cbp_spec *spec) noexcept nogil


cdef Library lib
