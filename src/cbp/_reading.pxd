"""Samples for C: from arrays that _data.py has made ready, or from the arguments of a call as they come.

`fill` is for the former and raises. The others say no to whatever is not plainly right, and the friendly functions in
Python find out whether it is a mistake, and which. Read by _core.pyx alone.
"""

from cpython.object cimport PyObject
from libc.math cimport fabs, isfinite
from libc.stdint cimport int64_t
from libc.string cimport memset

from cbp._arrays cimport *
from cbp._c cimport cbp_data, cbp_net, cbp_net_first_nonfinite, cbp_pool

# ---- samples ----

cdef enum:
    SMALL = 1 << 16  # bytes: so few that NumPy would take longer to be asked
    BRIEF = 16384  # rows times parameters that take no longer than threads take to hand on the interpreter's lock


cdef struct Expected:
    # What a network expects of its data
    const cbp_net *net
    cbp_pool *pool
    int element  # NumPy's number for the type of a parameter
    int n_in, n_out, n_targets
    double low, high  # of the targets, for the sake of the loss
    bint bounded, are_distributions
    bint several  # heads, each with targets of its own
    bint missing  # targets may be NaN
    Py_ssize_t brief_rows  # so few that it would cost more than it gives to let go of the interpreter's lock


cdef struct Samples:
    const Expected *expects
    cbp_data data
    bint single  # X is (n_0,)
    double number  # where data.y or data.labels point to, if the target is a number
    float rounded
    int64_t label


cdef inline int fill(cbp_data *data, const Expected *e, object X, object y, object weight) except -1:
    """Inputs, targets or labels, weights or None: arrays of the right element and shape, else an error."""
    memset(data, 0, sizeof(data[0]))
    data.x = data_of(X, e.element, -1, e.n_in)
    data.n = X.shape[0]
    if y.ndim == 1:
        data.labels = <const int64_t *>data_of(y, NPY_INT64, data.n, 0)
    else:
        data.y = data_of(y, e.element, data.n, e.n_targets)
    if weight is not None:
        data.weight = data_of(weight, e.element, data.n, 0)
    return 0


cdef inline object narrowed(const Expected *e, PyObject **o):
    """Replace a small array that is float64, but otherwise ready, by one of float32, which is returned to be kept."""
    cdef PyArrayObject *wide = <PyArrayObject *>o[0]
    if e.element != NPY_FLOAT32 or not is_ready(o[0], NPY_FLOAT64, READABLE) or PyArray_NBYTES(wide) > SMALL:
        return None
    cdef Py_ssize_t n = PyArray_NBYTES(wide) // <Py_ssize_t>sizeof(double), i
    copy = PyArray_NewFromDescr(&PyArray_Type, PyArray_DescrFromType(NPY_FLOAT32), PyArray_NDIM(wide),
                                PyArray_DIMS(wide), NULL, NULL, 0, NULL)
    cdef float *numbers = <float *>PyArray_DATA(<PyArrayObject *>copy)
    for i in range(n):
        numbers[i] = <float>(<const double *>PyArray_DATA(wide))[i]
    if all_finite(numbers, n, e):
        o[0] = <PyObject *>copy
    return copy


cdef inline bint read_inputs(Samples *s, PyObject *X) noexcept:
    """X: (m, n_0) with m > 0, or (n_0,)."""
    cdef const Expected *e = s.expects
    if not is_ready(X, e.element, READABLE):
        return False
    cdef int ndim = PyArray_NDIM(<PyArrayObject *>X)
    cdef const npy_intp *shape = PyArray_DIMS(<PyArrayObject *>X)
    if ndim < 1 or ndim > 2 or shape[ndim - 1] != e.n_in:
        return False
    memset(&s.data, 0, sizeof(s.data))
    s.single = ndim == 1
    s.data.n = 1 if s.single else shape[0]
    s.data.x = PyArray_DATA(<PyArrayObject *>X)
    return s.data.n > 0


cdef inline bint read_targets(Samples *s, PyObject *y) noexcept:
    """Targets for the inputs read before: (m, n), (m,) if n = 1, (n,) or a number if single; or labels."""
    cdef const Expected *e = s.expects
    cdef int ndim
    cdef const npy_intp *shape
    if e.several:
        return False
    if not is_ready(y, e.element, READABLE):
        return read_labels(s, y) if e.are_distributions else read_number(s, y)
    s.data.y = PyArray_DATA(<PyArrayObject *>y)
    ndim, shape = PyArray_NDIM(<PyArrayObject *>y), PyArray_DIMS(<PyArrayObject *>y)
    if ndim == 2:
        return shape[0] == s.data.n and shape[1] == e.n_targets
    if ndim == 1:
        return (s.single and shape[0] == e.n_targets) or (e.n_targets == 1 and shape[0] == s.data.n)
    return ndim == 0 and e.n_targets == 1 and s.data.n == 1


cdef inline bint read_number(Samples *s, PyObject *y) noexcept:
    """A number as the target of one sample."""
    cdef const Expected *e = s.expects
    if e.n_targets != 1 or s.data.n != 1 or not as_number(y, &s.number):
        return False
    s.rounded = <float>s.number
    s.data.y = &s.rounded if e.element == NPY_FLOAT32 else <const void *>&s.number
    return e.element != NPY_FLOAT32 or isfinite(s.rounded)


cdef inline bint read_labels(Samples *s, PyObject *y) noexcept:
    """Class labels from 0 to n_L - 1: (m,), or a number if single."""
    cdef Py_ssize_t label = -1, r
    cdef const int64_t *labels
    cdef bint good = True
    if s.single:
        good = as_label(y, &label)
        s.label = label
        s.data.labels = &s.label
    elif is_ready(y, NPY_INT64, READABLE) and PyArray_NDIM(<PyArrayObject *>y) == 1:
        good = PyArray_DIMS(<PyArrayObject *>y)[0] == s.data.n
        s.data.labels = <const int64_t *>PyArray_DATA(<PyArrayObject *>y)
    else:
        return False
    labels = s.data.labels
    for r in range(s.data.n if good else 0):
        good &= (labels[r] >= 0) & (labels[r] < s.expects.n_targets)
    return good


cdef inline bint fits_outputs(const Samples *s, PyObject *out) noexcept:
    """Whether `out` is None, or of the outputs' shape and dtype, writable, and apart from the inputs."""
    cdef const Expected *e = s.expects
    if is_none(out):
        return True
    if not is_ready(out, e.element, NPY_ARRAY_CARRAY):
        return False
    cdef PyArrayObject *array = <PyArrayObject *>out
    cdef const npy_intp *shape = PyArray_DIMS(array)
    cdef const char *x = <const char *>s.data.x
    cdef const char *start = <const char *>PyArray_DATA(array)
    if PyArray_NDIM(array) == 2:
        if s.single or shape[0] != s.data.n or shape[1] != e.n_out:
            return False
    elif PyArray_NDIM(array) != 1 or not s.single or shape[0] != e.n_out:
        return False
    return start >= x + s.data.n * e.n_in * PyArray_ITEMSIZE(array) or x >= start + PyArray_NBYTES(array)


# ---- numbers ----

ctypedef fused real:
    float
    double


cdef inline bint all_finite(const real *x, Py_ssize_t n, const Expected *e) noexcept nogil:
    """Whether x[n] has neither NaN nor infinity; a few numbers are looked at in less time than a kernel is called."""
    cdef Py_ssize_t i
    cdef bint good = True
    if n > 8:
        return cbp_net_first_nonfinite(e.net, e.pool, n, x) < 0
    for i in range(n):
        good &= x[i] - x[i] == 0
    return good


cdef inline bint all_between(const real *y, Py_ssize_t n, double low, double high) noexcept nogil:
    """Whether all of y[n] are finite and from low to high, which NaN is not."""
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(n):
        good &= (y[i] >= low) & (y[i] <= high) & (y[i] - y[i] == 0)
    return good


cdef inline bint all_known_between(const real *y, Py_ssize_t n, double low, double high) noexcept nogil:
    """The same for those of y[n] that are not NaN."""
    cdef Py_ssize_t i
    cdef bint good = True
    for i in range(n):
        good &= (y[i] != y[i]) | ((y[i] >= low) & (y[i] <= high) & (y[i] - y[i] == 0))
    return good


cdef inline bint all_distributions(const real *y, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    """Whether rows of y (m, n) are from 0 on and sum to 1, to half of what is tolerated: sums in other orders agree."""
    cdef Py_ssize_t r, j
    cdef bint good = True
    cdef double total
    for r in range(m):
        total = 0
        for j in range(n):
            good &= y[r * n + j] >= 0
            total += y[r * n + j]
        good &= fabs(total - 1) <= 0.0005
    return good


cdef inline bint fit_loss(const real *y, Py_ssize_t m, const Expected *e) noexcept nogil:
    """Whether targets y (m, n) are what the loss can take."""
    if e.are_distributions:
        return all_distributions(y, m, e.n_targets)
    if e.missing:
        return all_known_between(y, m * e.n_targets, e.low, e.high)
    if e.bounded:
        return all_between(y, m * e.n_targets, e.low, e.high)
    return all_finite(y, m * e.n_targets, e)


cdef inline bint look_through(const real *x, const real *y, Py_ssize_t m, const Expected *e) noexcept nogil:
    """Whether inputs x (m, n_0) are finite and targets y (m, n) fit the loss; NULL for what nobody asks about."""
    return (x == NULL or all_finite(x, m * e.n_in, e)) and (y == NULL or fit_loss(y, m, e))


cdef inline bint look_through_data(const cbp_data *data, const Expected *e, bint inputs) noexcept nogil:
    """The same for either precision; inputs if they are asked for."""
    cdef const void *x = data.x if inputs else NULL
    if e.element == NPY_FLOAT32:
        return look_through(<const float *>x, <const float *>data.y, data.n, e)
    return look_through(<const double *>x, <const double *>data.y, data.n, e)


cdef inline bint are_sound(const Samples *s, bint inputs, PyObject *check_finite) noexcept:
    """`look_through_data`, unless the argument check_finite is False; what is neither that nor True gets a no."""
    cdef bint sound
    if check_finite == Py_False:
        return True
    if check_finite != NULL and check_finite != Py_True:
        return False
    if s.data.n <= s.expects.brief_rows:
        return look_through_data(&s.data, s.expects, inputs)
    with nogil:
        sound = look_through_data(&s.data, s.expects, inputs)
    return sound
