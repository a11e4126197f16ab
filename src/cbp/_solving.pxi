# Part of _core.pyx, which includes it: dense symmetric systems and products of vectors, all of float64.
#
# The bits are the same on every machine, which those of numpy.linalg, numpy.dot and @ are not: what leads to a weight
# goes through here.

cdef enum:
    QUICK = 1 << 14  # fused multiply-adds that take less time than to let go of the interpreter's lock


cdef double *square(object a, Py_ssize_t *n, bint write=False) except NULL:
    """Pointer to a matrix (n, n)."""
    cdef void *data = data_of(a, NPY_FLOAT64, -1, -1, write)
    n[0] = PyArray_DIMS(<PyArrayObject *>a)[0]
    if PyArray_DIMS(<PyArrayObject *>a)[1] != n[0]:
        raise ValueError(f"expected a square matrix, got shape {a.shape}")
    return <double *>data


def cholesky(a):
    """a (n, n), symmetric in its lower triangle, becomes L there, a = L L^T; ArithmeticError: it has no such factor."""
    cdef Py_ssize_t n
    cdef double *data = square(a, &n, True)
    cdef cbp_status status
    with nogil:
        status = cbp_cholesky(n, data, POOL)
    check(status)


def cholesky_solve(l, b):
    """b (n,) := (L L^T)^-1 b, by what `cholesky` made."""
    cdef Py_ssize_t n
    cdef const double *factor = square(l, &n)
    cdef double *data = <double *>data_of(b, NPY_FLOAT64, n, 0, True)
    with nogil:
        cbp_cholesky_solve(n, factor, data)


def cholesky_inverse(l):
    """(L L^T)^-1, (n, n) and symmetric to the bit, by what `cholesky` made."""
    cdef Py_ssize_t n
    cdef const double *factor = square(l, &n)
    inverse = np.empty((n, n))
    cdef double *data = <double *>PyArray_DATA(<PyArrayObject *>inverse)
    with nogil:
        cbp_cholesky_inverse(n, factor, data, POOL)
    return inverse


def dot(x, y):
    """Sum of x[i] y[i] of two vectors of one length."""
    cdef const double *first = <const double *>data_of(x, NPY_FLOAT64, -1, 0)
    cdef Py_ssize_t n = PyArray_DIMS(<PyArrayObject *>x)[0]
    cdef const double *second = <const double *>data_of(y, NPY_FLOAT64, n, 0)
    cdef double total
    if n <= QUICK:
        return cbp_dot(n, first, second)
    with nogil:
        total = cbp_dot(n, first, second)
    return total


def times(a, x):
    """a x, (n,), of a matrix (n, n) and a vector."""
    cdef Py_ssize_t n
    cdef const double *matrix = square(a, &n)
    cdef const double *vector = <const double *>data_of(x, NPY_FLOAT64, n, 0)
    out = np.empty(n)
    cdef double *data = <double *>PyArray_DATA(<PyArrayObject *>out)
    if n * n <= QUICK:
        cbp_times(n, matrix, vector, data)
    else:
        with nogil:
            cbp_times(n, matrix, vector, data)
    return out
