"""Methods that look at their arguments in C first, and know a function in Python for those that C cannot read.

To Python such a method is one of a type written in C: a method descriptor, which the interpreter calls without making
a tuple or a frame. Name, signature and docstring are those of the function. Read by _core.pyx alone.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF


cdef extern from "Python.h":
    ctypedef struct PyMethodDef:
        const char *ml_name
        void *ml_meth
        int ml_flags
        const char *ml_doc
    const int METH_FASTCALL, METH_KEYWORDS
    Py_ssize_t PyTuple_Size(PyObject *)
    PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t)


cdef extern from *:
    """
    #define CBP_DESCRIPTOR(type, method) PyDescr_NewMethod((PyTypeObject *)(type), method)
    """
    object CBP_DESCRIPTOR(object type, PyMethodDef *method)


cdef enum:
    MAX_PARAMETERS = 6


cdef struct Method:
    void *call  # PyObject *(*)(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *names)
    PyObject *friendly  # the function in Python
    PyObject *name[MAX_PARAMETERS]  # of its parameters after self
    Py_ssize_t n_names, n_positional, n_required
    PyMethodDef definition


cdef inline object describe(Method *method, object type, object function):
    """The descriptor, for instances of `type`. What it points to lives as long as the process."""
    import inspect

    cdef Py_ssize_t i
    code, name = function.__code__, function.__name__.encode()
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    parameters = [item.replace(annotation=item.empty) for item in inspect.signature(function).parameters.values()]
    signature = str(inspect.Signature(parameters)).replace("self", "$self", 1)
    document = f"{function.__name__}{signature}\n--\n\n{function.__doc__ or ''}".encode()
    if len(names) > MAX_PARAMETERS:
        raise ValueError(f"{function.__name__} has more than {MAX_PARAMETERS} parameters")
    for kept in (function, names, name, document):
        Py_INCREF(kept)
    method.friendly = <PyObject *>function
    method.n_names, method.n_positional = len(names), code.co_argcount - 1
    method.n_required = method.n_positional - len(function.__defaults__ or ())
    for i in range(method.n_names):
        method.name[i] = <PyObject *>names[i]
    method.definition.ml_name, method.definition.ml_doc = <bytes>name, <bytes>document
    method.definition.ml_meth, method.definition.ml_flags = method.call, METH_FASTCALL | METH_KEYWORDS
    return CBP_DESCRIPTOR(type, &method.definition)


cdef inline bint take(const Method *method, PyObject **args, Py_ssize_t n, PyObject *names, PyObject **given) noexcept:
    """Arguments in the order of the parameters, NULL where there is none; False if they do not fit them."""
    cdef Py_ssize_t i, k
    if n > method.n_positional:
        return False
    for i in range(method.n_names):
        given[i] = args[i] if i < n else NULL
    for i in range(0 if names == NULL else PyTuple_Size(names)):
        k = n
        while k < method.n_names and method.name[k] != PyTuple_GetItem(names, i):  # names in a program are interned
            k += 1
        if k == method.n_names:
            return False
        given[k] = args[n + i]
    for i in range(method.n_required):
        if given[i] == NULL:
            return False
    return True


cdef inline object leave_to_friendly(const Method *method, object self, PyObject **args, Py_ssize_t n, PyObject *names):
    """Call the function in Python with the same arguments."""
    cdef Py_ssize_t i
    positional = (self, *[<object>args[i] for i in range(n)])
    if names == NULL:
        return (<object>method.friendly)(*positional)
    named = {<object>PyTuple_GetItem(names, i): <object>args[n + i] for i in range(PyTuple_Size(names))}
    return (<object>method.friendly)(*positional, **named)
