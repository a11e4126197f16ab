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


def damped(a, double shift, work):
    """work (n, n) becomes L in its lower triangle, a + shift I = L L^T; False where that has no such factor."""
    cdef Py_ssize_t n, size, i
    cdef const double *matrix = square(a, &n)
    cdef double *factor = square(work, &size, True)
    cdef cbp_status status
    if size != n:
        raise ValueError(f"expected work of shape {a.shape}, got {work.shape}")
    with nogil:
        for i in range(n):
            memcpy(factor + i * n, matrix + i * n, (i + 1) * sizeof(double))
            factor[i * n + i] += shift
        status = cbp_cholesky(n, factor, POOL)
    return status == CBP_OK


def damped_solve(a, double shift, b, work):
    """(a + shift I)^-1 b, (n,), or None where that is not positive definite; `work` (n, n) as `damped` leaves it."""
    if not damped(a, shift, work):
        return None
    cdef Py_ssize_t n = PyArray_DIMS(<PyArrayObject *>work)[0]
    cdef const void *right = data_of(b, NPY_FLOAT64, n, 0)
    out = np.empty(n)
    cdef double *data = <double *>PyArray_DATA(<PyArrayObject *>out)
    cdef const double *factor = <const double *>PyArray_DATA(<PyArrayObject *>work)
    memcpy(data, right, n * sizeof(double))
    with nogil:
        cbp_cholesky_solve(n, factor, data)
    return out


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


def updated(a, s, w):
    """a + (s w^T + w s^T), new, of a matrix (n, n) and two vectors; each element is rounded as it stands here."""
    cdef Py_ssize_t n, i, j
    cdef const double *old = square(a, &n)
    cdef const double *first = <const double *>data_of(s, NPY_FLOAT64, n, 0)
    cdef const double *second = <const double *>data_of(w, NPY_FLOAT64, n, 0)
    out = np.empty((n, n))
    cdef double *new = <double *>PyArray_DATA(<PyArrayObject *>out)
    with nogil:
        for i in range(n):
            for j in range(n):
                new[i * n + j] = old[i * n + j] + (first[i] * second[j] + second[i] * first[j])
    return out


cdef class Pairs:
    """The last steps of an L-BFGS: s, how the parameters changed, y, how the gradient did, each (n,)."""

    cdef int most, count
    cdef Py_ssize_t n
    cdef list kept
    cdef cbp_pair *pair
    cdef double *share

    def __cinit__(self, Py_ssize_t n, int most):
        self.n, self.most, self.kept = n, most, []
        self.pair = <cbp_pair *>calloc(most, sizeof(cbp_pair))
        self.share = <double *>calloc(most, sizeof(double))
        if self.pair == NULL or self.share == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.pair)
        free(self.share)

    def __len__(self):
        return self.count

    def add(self, s, y):
        """Remember a step, and forget the oldest one if there are too many; False if it met no positive curvature."""
        cdef cbp_pair new
        new.s = <const double *>data_of(s, NPY_FLOAT64, self.n, 0)
        new.y = <const double *>data_of(y, NPY_FLOAT64, self.n, 0)
        new.product = cbp_dot(self.n, new.s, new.y)
        if not new.product > DBL_EPSILON * cbp_dot(self.n, new.y, new.y):
            return False
        if self.count == self.most:
            memmove(self.pair, self.pair + 1, (self.count - 1) * sizeof(cbp_pair))
            del self.kept[0]
            self.count -= 1
        self.pair[self.count] = new
        self.count += 1
        self.kept.append((s, y))
        return True

    def clear(self):
        """Forget all of them."""
        self.count = 0
        self.kept.clear()

    def times(self, d):
        """d (n,) := H d, H being the inverse Hessian as far as they tell."""
        cdef double *data = <double *>data_of(d, NPY_FLOAT64, self.n, 0, True)
        if self.n * self.count <= QUICK:
            cbp_lbfgs(self.n, self.count, self.pair, self.share, data)
        else:
            with nogil:
                cbp_lbfgs(self.n, self.count, self.pair, self.share, data)
