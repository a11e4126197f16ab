# cython: language_level=3
"""What `cimport cbp` gives, called as a stranger would; compiled by test_cython.py against the installed cbp."""

cimport cbp
from cbp cimport Network, cbp_data, cbp_mem, cbp_net, cbp_spec, cbp_status, lib, real
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset, strcmp


# ---- memoryviews ----

def predict_rows(Network net, const real[:, ::1] x, real[:, ::1] out):
    with nogil:
        net.predict_rows(x, out)


def predict_row(Network net, const real[::1] x, real[::1] out):
    with nogil:
        net.predict_row(x, out)


def gradient_rows(Network net, const real[:, ::1] x, const real[:, ::1] y):
    with nogil:
        loss = net.gradient_rows(x, y)
    return loss


def gradient_row(Network net, const real[::1] x, const real[::1] y):
    with nogil:
        loss = net.gradient_row(x, y)
    return loss


def step_rows(Network net, const real[:, ::1] x, const real[:, ::1] y, double rate):
    with nogil:
        loss = net.step_rows(x, y, rate)
    return loss


def step_row(Network net, const real[::1] x, const real[::1] y, double rate):
    with nogil:
        loss = net.step_row(x, y, rate)
    return loss


# ---- pointers ----

def predict(Network net, int64_t m, const real[:, ::1] x, real[:, ::1] out):
    cdef cbp_status status
    with nogil:
        status = net.c_predict(m, NULL if x is None else &x[0, 0], NULL if out is None else &out[0, 0])
    return <int>status


def gradient(Network net, const real[:, ::1] x, const int64_t[::1] labels, const real[::1] weight):
    cdef cbp_data data = cbp_data(x.shape[0], &x[0, 0], NULL, &labels[0], &weight[0])
    cdef double loss = 0
    cdef cbp_status status
    with nogil:
        status = net.c_gradient(&data, &loss)
    net.c_raise(status)
    return loss


def nothing(Network net):
    """Statuses of calls that pass nothing, and whether a network that is none has a plan or numbers."""
    cdef double loss = 0
    cdef cbp_data data
    memset(&data, 0, sizeof(data))
    return [<int>net.c_predict(1, NULL, NULL), <int>net.c_gradient(NULL, &loss), <int>net.c_step(&data, 0.5, NULL),
            <int>net.c_step(&data, 0.5, &loss), net.c_plan() != NULL, net.c_mem() != NULL]


def codes():
    return {name: value for name, value in zip(
        ("NULL_ARGUMENT", "BAD_COUNT", "BUSY", "OWN_LOSS", "NOT_LEARNED", "DIVERGED"),
        (cbp.CBP_NULL_ARGUMENT, cbp.CBP_BAD_COUNT, cbp.CBP_BUSY, cbp.CBP_OWN_LOSS, cbp.CBP_NOT_LEARNED,
         cbp.CBP_DIVERGED))}


def make():
    """What somebody gets who takes the extension type for the class."""
    return Network([2, 1])


# ---- the C library ----

cdef int row_of(cbp.cbp_kind kind, const char *name):
    cdef int n = 0, i
    cdef const cbp.cbp_info *rows = lib.table(kind, &n)
    for i in range(n):
        if strcmp(rows[i].name, name) == 0:
            return i
    raise KeyError(name)


def train_in_c(double[:, ::1] x, double[:, ::1] y, int hidden, int epochs, double rate, unsigned long long seed):
    """A network of the library's own: parameters after some epochs of gradient descent on all rows."""
    cdef cbp.cbp_dense[2] layers
    cdef cbp_spec spec
    cdef cbp_net *net = NULL
    cdef cbp_mem mem
    cdef cbp_data data = cbp_data(x.shape[0], &x[0, 0], &y[0, 0], NULL, NULL)
    cdef double loss = 0
    cdef cbp.cbp_initializer[2] rules
    cdef int64_t i, n, _
    memset(layers, 0, sizeof(layers))
    memset(&spec, 0, sizeof(spec))
    memset(&mem, 0, sizeof(mem))
    layers[0].units, layers[1].units = hidden, <int>y.shape[1]
    layers[0].act = <cbp.cbp_act>row_of(cbp.CBP_ACTIVATIONS, b"tanh")
    layers[1].act = <cbp.cbp_act>row_of(cbp.CBP_ACTIVATIONS, b"identity")
    spec.dtype, spec.n_in, spec.n_layers, spec.layers = cbp.CBP_FLOAT64, <int>x.shape[1], 2, layers
    spec.loss = <cbp.cbp_loss>row_of(cbp.CBP_LOSSES, b"half_squared_error")
    assert lib.net_new(&net, &spec) == cbp.CBP_OK
    n = lib.n_params(net)
    mem.theta, mem.grad = calloc(n, sizeof(double)), calloc(n, sizeof(double))
    mem.work = calloc(1, lib.work_bytes(net, x.shape[0], cbp.CBP_TRAIN))
    rules[0] = rules[1] = <cbp.cbp_initializer>row_of(cbp.CBP_INITIALIZERS, b"glorot_uniform")
    assert lib.init(net, rules, NULL, seed, mem.theta) == cbp.CBP_OK
    with nogil:
        for _ in range(epochs):
            lib.step(net, &mem, &data, rate, &loss)
    theta = [(<double *>mem.theta)[i] for i in range(n)]
    free(mem.theta)
    free(mem.grad)
    free(mem.work)
    lib.net_free(net)
    return theta
