"""A loss that is a Python function, as C calls it. Read by _core.pyx alone."""

from cpython.ref cimport PyObject
from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from cbp._arrays cimport PyArray_DATA, PyArrayObject, array_at


cdef inline object copy_of(const void *rows, object dtype, int64_t n, int n_out):
    """A new array (n, n_out): the function may keep what it is given."""
    array = array_at(NULL, None, dtype, n, n_out, False)
    memcpy(PyArray_DATA(<PyArrayObject *>array), rows, <size_t>(n * n_out) * <size_t>dtype.itemsize)
    return array


cdef inline int price(object plan, int64_t n, int n_out, const void *y, const void *a, double *cost,
                      void *slope) except -1:
    """Costs and slopes of rows by the plan's own loss."""
    cdef size_t bytes = <size_t>(n * n_out) * <size_t>plan.dtype.itemsize
    costs, slopes = plan.own_loss.price(copy_of(y, plan.dtype, n, n_out), copy_of(a, plan.dtype, n, n_out))
    memcpy(cost, PyArray_DATA(<PyArrayObject *>costs), <size_t>n * sizeof(double))
    memcpy(slope, PyArray_DATA(<PyArrayObject *>slopes), bytes)
    return 0


cdef inline void call_own_loss(void *plan, int64_t n, int n_out, const void *y, const void *a, double *cost,
                               void *slope) noexcept with gil:
    """A cbp_own_loss whose context is the plan, which lives as long as its cbp_net."""
    cdef int64_t r
    for r in range(n):
        cost[r] = NAN  # stays where there was no memory for the arrays
    price(<object>plan, n, n_out, y, a, cost, slope)
