# cython: language_level=3, freethreading_compatible=True
"""A damped pendulum in C, and a network that learns from it, without the interpreter's lock: threads run in parallel.

The state is (angle, angular velocity). The network is told a state and says how both change in one step.
"""

cimport cbp
from libc.math cimport sin
from libc.stdlib cimport free, malloc

cdef double STEP = 0.05, DAMPING = 0.1


# ---- the pendulum ----

cdef void slope(const double *state, double *rate) noexcept nogil:
    rate[0], rate[1] = state[1], -sin(state[0]) - DAMPING * state[1]


cdef void move(double *state) noexcept nogil:
    """One step of Heun's method."""
    cdef double[2] first, second, ahead
    slope(state, first)
    ahead[0], ahead[1] = state[0] + STEP * first[0], state[1] + STEP * first[1]
    slope(ahead, second)
    state[0] += STEP / 2 * (first[0] + second[0])
    state[1] += STEP / 2 * (first[1] + second[1])


def swing(double[::1] state not None, double[:, ::1] out not None):
    """Let the pendulum swing from a state; write the states that follow to out (steps, 2)."""
    cdef Py_ssize_t i
    if state.shape[0] != 2 or out.shape[1] != 2:
        raise ValueError("a state has two numbers")
    for i in range(out.shape[0]):
        move(&state[0])
        out[i, 0], out[i, 1] = state[0], state[1]


# ---- the network beside it: memoryviews, exceptions ----

def learn(cbp.Network net not None, double[::1] state not None, Py_ssize_t steps, double learning_rate):
    """Train the network at every step of the pendulum; return the mean loss. The lock is let go for all of it."""
    cdef double[2] before, change
    cdef double[::1] x = before, y = change
    cdef double total = 0
    cdef Py_ssize_t _
    if state.shape[0] != 2:
        raise ValueError("a state has two numbers")
    with nogil:
        for _ in range(steps):
            before[0], before[1] = state[0], state[1]
            move(&state[0])
            change[0], change[1] = (state[0] - before[0]) / STEP, (state[1] - before[1]) / STEP
            total += net.step_row(x, y, learning_rate)
    return total / steps


def foresee(cbp.Network net not None, double[::1] state not None, double[:, ::1] out not None):
    """What the network thinks the pendulum will do: as `swing`, by predictions of predictions."""
    cdef double[2] change
    cdef double[::1] y = change
    cdef Py_ssize_t i
    if state.shape[0] != 2 or out.shape[1] != 2:
        raise ValueError("a state has two numbers")
    with nogil:
        for i in range(out.shape[0]):
            net.predict_row(state, y)
            state[0] += STEP * y[0]
            state[1] += STEP * y[1]
            out[i, 0], out[i, 1] = state[0], state[1]


# ---- the C library itself: pointers, statuses, memory of one's own ----

def rows_of(cbp.Network net not None, const double[:, ::1] x not None, double[:, ::1] out not None):
    """net.predict(x, out), in a workspace that belongs to this call."""
    cdef cbp.cbp_mem mem = net.c_mem()[0]
    cdef cbp.cbp_status status
    if out.shape[0] != x.shape[0] or x.shape[0] == 0:
        raise ValueError("x and out have different numbers of rows, or none")
    mem.work = malloc(cbp.lib.work_bytes(net.c_plan(), x.shape[0], cbp.CBP_PREDICT))
    if mem.work == NULL:
        raise MemoryError
    with nogil:
        status = cbp.lib.predict(net.c_plan(), &mem, x.shape[0], &x[0, 0], &out[0, 0])
    free(mem.work)
    net.c_raise(status)
