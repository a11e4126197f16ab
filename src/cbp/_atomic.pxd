"""atomic.h for Cython, one to one; what is zero in a new object is 0 or NULL."""


cdef extern from "atomic.h" nogil:
    ctypedef int cbp_atomic
    int cbp_load(const cbp_atomic *a)
    void cbp_store(cbp_atomic *a, int value)
    int cbp_swap(cbp_atomic *a, int value)
    bint cbp_change(cbp_atomic *a, int from_, int to)

    ctypedef void *cbp_atomic_pointer
    void *cbp_load_pointer(const cbp_atomic_pointer *a)
    void cbp_store_pointer(cbp_atomic_pointer *a, void *value)
