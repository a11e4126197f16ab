"""atomic.h for Cython, one to one."""

cdef extern from "atomic.h" nogil:
    ctypedef int cbp_atomic  # zero in a new object
    int cbp_load(const cbp_atomic *a)
    void cbp_store(cbp_atomic *a, int value)
    int cbp_swap(cbp_atomic *a, int value)
