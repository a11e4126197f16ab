"""Arrays and numbers of Python as C sees them, and the part of NumPy's C interface that this takes.

Read by _core.pyx and _reading.pxd alone. A pointer to an object is a borrowed one, so that looking costs nothing.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.math cimport fabs, isfinite
from libc.stdint cimport uintptr_t

from cbp._c cimport CBP_ALIGN


cdef extern from *:
    """
    #include "numpy/arrayobject.h"
    /* float, numpy.float64, numpy.float32, and none of their subclasses: what a double holds exactly */
    #define CBP_IS_FLOAT(o) \
        (PyFloat_CheckExact(o) || Py_IS_TYPE(o, &PyDoubleArrType_Type) || Py_IS_TYPE(o, &PyFloatArrType_Type))
    /* int and the integers of NumPy */
    #define CBP_IS_INTEGER(o) \
        (PyLong_CheckExact(o) || (PyArray_IsScalar(o, Integer) && !PyArray_IsScalar(o, Timedelta)))
    """
    ctypedef Py_ssize_t npy_intp
    ctypedef struct PyTypeObject:
        pass
    ctypedef struct PyArray_Descr:
        pass
    ctypedef struct PyArrayObject:
        pass

    PyTypeObject PyArray_Type
    const int NPY_FLOAT32, NPY_FLOAT64, NPY_INT64
    const int NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, NPY_ARRAY_CARRAY

    int _import_array() except -1
    bint PyArray_Check(PyObject *)
    bint PyArray_CheckExact(PyObject *)
    int PyArray_TYPE(PyArrayObject *)
    bint PyArray_EquivTypenums(int, int)
    bint PyArray_ISNOTSWAPPED(PyArrayObject *)
    bint PyArray_CHKFLAGS(PyArrayObject *, int)
    int PyArray_NDIM(PyArrayObject *)
    npy_intp *PyArray_DIMS(PyArrayObject *)
    void *PyArray_DATA(PyArrayObject *)
    npy_intp PyArray_ITEMSIZE(PyArrayObject *)
    npy_intp PyArray_NBYTES(PyArrayObject *)
    PyArray_Descr *PyArray_DescrFromType(int)
    # Takes one reference to the descr; SetBaseObject takes one to the base
    object PyArray_NewFromDescr(PyTypeObject *, PyArray_Descr *, int, npy_intp *, npy_intp *, void *, int, PyObject *)
    int PyArray_SetBaseObject(PyArrayObject *, PyObject *) except -1

    bint CBP_IS_FLOAT(PyObject *)
    bint CBP_IS_INTEGER(PyObject *)
    bint PyLong_CheckExact(PyObject *)
    double PyFloat_AsDouble(PyObject *)
    Py_ssize_t PyNumber_AsSsize_t(PyObject *, PyObject *)
    PyObject *Py_None
    PyObject *Py_True
    PyObject *Py_False
    PyObject *PyErr_Occurred()
    void PyErr_Clear()


cdef enum:
    READABLE = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED


# ---- arrays that must fit ----

cdef inline void *data_of(object array, int element, Py_ssize_t rows, Py_ssize_t cols, bint write=False) except NULL:
    """Pointer to an array of this shape and element; cols 0: one dimension; rows or cols -1: any length."""
    cdef PyArrayObject *this = <PyArrayObject *>array
    cdef int flags = READABLE | (NPY_ARRAY_WRITEABLE if write else 0)
    cdef int ndim = 1 if cols == 0 else 2
    if not PyArray_Check(<PyObject *>array):
        raise TypeError(f"expected an array, got {type(array).__name__}")
    if not PyArray_EquivTypenums(PyArray_TYPE(this), element) or not PyArray_ISNOTSWAPPED(this):
        raise TypeError(f"an array of {array.dtype} is of no use here")
    if PyArray_NDIM(this) != ndim:
        raise ValueError(f"expected {ndim} dimensions, got {array.ndim}")
    if (rows >= 0 and PyArray_DIMS(this)[0] != rows) or (cols > 0 and PyArray_DIMS(this)[1] != cols):
        raise ValueError(f"expected shape ({rows}, {cols}), got {array.shape}")
    if not PyArray_CHKFLAGS(this, flags):
        raise ValueError("expected a C-contiguous, aligned" + (", writable array" if write else " array"))
    return PyArray_DATA(this)


cdef inline object array_at(void *data, object base, object dtype, Py_ssize_t rows, Py_ssize_t cols, bint single):
    """An array (rows, cols), or (cols,) if single: a view of data that `base` owns, or a new one for data NULL."""
    cdef npy_intp[2] shape
    shape[0], shape[1] = rows, cols
    Py_INCREF(dtype)
    array = PyArray_NewFromDescr(&PyArray_Type, <PyArray_Descr *>dtype, 1 if single else 2, shape + single, NULL, data,
                                 0 if data == NULL else NPY_ARRAY_CARRAY, NULL)
    if data != NULL:
        Py_INCREF(base)
        PyArray_SetBaseObject(<PyArrayObject *>array, <PyObject *>base)
    return array


cdef inline object new_zeros(object dtype, Py_ssize_t rows, Py_ssize_t cols, bint single):
    """A new array of zeros from a multiple of CBP_ALIGN bytes on, so that no vector lies on two lines of a cache."""
    import numpy as np

    raw = np.zeros(rows * cols * dtype.itemsize + CBP_ALIGN, np.uint8)
    cdef char *start = <char *>PyArray_DATA(<PyArrayObject *>raw)
    return array_at(start + (-<uintptr_t>start) % <uintptr_t>CBP_ALIGN, raw, dtype, rows, cols, single)


# ---- objects that may fit ----

cdef inline bint is_none(PyObject *o) noexcept:
    """Whether an argument was not given, or given as None."""
    return o == NULL or o == Py_None


cdef inline bint is_ready(PyObject *o, int element, int flags) noexcept:
    """Whether C can use it where it is: an ndarray, no subclass, of this element in native order, with these flags."""
    cdef PyArrayObject *array = <PyArrayObject *>o
    return (PyArray_CheckExact(o) and PyArray_TYPE(array) == element and PyArray_CHKFLAGS(array, flags)
            and PyArray_ISNOTSWAPPED(array))


cdef inline bint as_number(PyObject *o, double *value) noexcept:
    """Read a finite float, or an int that a double holds exactly; False for everything else."""
    cdef bint whole = PyLong_CheckExact(o)
    if not whole and not CBP_IS_FLOAT(o):
        return False
    value[0] = PyFloat_AsDouble(o)
    if value[0] == -1 and PyErr_Occurred() != NULL:
        PyErr_Clear()
        return False
    return isfinite(value[0]) and (not whole or fabs(value[0]) <= 9007199254740992.0)


cdef inline bint as_label(PyObject *o, Py_ssize_t *value) noexcept:
    """Read an int or an integer of NumPy; one that is too large comes out as the largest there is."""
    if not CBP_IS_INTEGER(o):
        return False
    value[0] = PyNumber_AsSsize_t(o, NULL)
    if value[0] == -1 and PyErr_Occurred() != NULL:
        PyErr_Clear()
        return False
    return True
