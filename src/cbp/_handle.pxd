"""What a network computes for callers that have no interpreter: on pointers, from any thread, with a status at the end.

A Handle lies in a Memory, whose numbers it uses. A prediction takes one of the workspaces that the process keeps, a
gradient the one of the handle; each grows to what is asked of it and then stays, so that calls like those before
allocate nothing. Read by _core.pyx alone.
"""

from libc.math cimport isfinite
from libc.stdint cimport int64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from cbp._atomic cimport *
from cbp._c cimport *
from cbp._turns cimport *

cdef enum:
    STACK = 16384  # bytes of a workspace that lies on the stack
    N_ROOMS = 32  # predictions at once for which workspaces are kept
    LARGEST_ROOM = 1 << 20  # bytes of one that is kept: a larger one takes less time to allocate than to use


# ---- workspaces ----

cdef struct Space:
    # A workspace that grows
    void *base
    size_t bytes


cdef struct Room:
    # One that is kept for whoever comes next
    cbp_atomic taken
    Space space


cdef struct Lease:
    # A workspace for one call
    Room *room  # which it is, or NULL for one that goes at the end
    void *base
    void *work  # its first aligned byte, or NULL where there is no memory


cdef inline void *aligned(void *base) noexcept nogil:
    """The first multiple of CBP_ALIGN in what was allocated with so many bytes more; NULL for NULL."""
    return <char *>base + (-<uintptr_t>base) % <uintptr_t>CBP_ALIGN


cdef inline void *grown(Space *space, size_t need) noexcept nogil:
    """So many bytes of it at least, or NULL where there is no memory."""
    if space.bytes < need:
        free(space.base)
        space.base = malloc(need + <size_t>CBP_ALIGN)
        space.bytes = 0 if space.base == NULL else need
    return aligned(space.base)


cdef inline Lease lease(Room *rooms, size_t need) noexcept nogil:
    """A workspace of so many bytes: the first that nobody uses."""
    cdef Lease it
    cdef int i
    for i in range(N_ROOMS if need <= LARGEST_ROOM else 0):
        if not cbp_load(&rooms[i].taken) and not cbp_swap(&rooms[i].taken, 1):
            it.room, it.base, it.work = &rooms[i], NULL, grown(&rooms[i].space, need)
            return it
    it.room, it.base = NULL, malloc(need + <size_t>CBP_ALIGN)
    it.work = aligned(it.base)
    return it


cdef inline void end_lease(Lease *it) noexcept nogil:
    if it.room != NULL:
        cbp_store(&it.room.taken, 0)
    free(it.base)


# ---- outputs ----

cdef inline cbp_status outputs_with(const cbp_net *net, cbp_pool *pool, void *work, void *theta, int64_t n,
                                    const void *x, void *out) noexcept nogil:
    cdef cbp_mem mem
    memset(&mem, 0, sizeof(mem))
    mem.pool, mem.theta, mem.work = pool, theta, work
    return cbp_predict(net, &mem, n, x, out)


cdef inline cbp_status outputs(const cbp_net *net, cbp_pool *pool, Room *rooms, void *theta, int64_t n, const void *x,
                               void *out) noexcept nogil:
    """out (n, n_L) := outputs for x (n, n_0). A workspace that is small lies on the stack."""
    cdef char stack[STACK]
    cdef size_t need = cbp_work_bytes(net, n, CBP_PREDICT)
    cdef cbp_status status
    cdef Lease room
    if need == 0 and n > 0:
        return CBP_TOO_LARGE
    if need <= STACK:
        return outputs_with(net, pool, stack, theta, n, x, out)
    room = lease(rooms, need)
    status = CBP_NO_MEMORY if room.work == NULL else outputs_with(net, pool, room.work, theta, n, x, out)
    end_lease(&room)
    return status


# ---- scaling, as scaling.py and _scaled.py have it ----

cdef struct Columns:
    # (x - center) / scale of every column; both NULL where it is not scaled
    const double *center
    const double *scale


cdef struct Scales:
    # What a network scales by
    bint unknown  # there is something yet to be learned
    Columns inputs, targets


ctypedef fused element:
    float
    double


cdef inline void scale_rows(const Columns *by, int64_t m, int n, const element *rows, element *scaled) noexcept nogil:
    """scaled (m, n) := (rows - center) / scale, in double, rounded once."""
    cdef int64_t r
    cdef int j
    for r in range(m):
        for j in range(n):
            scaled[r * n + j] = <element>((<double>rows[r * n + j] - by.center[j]) / by.scale[j])


cdef inline void restore_rows(const Columns *by, int64_t m, int n, element *rows) noexcept nogil:
    """rows (m, n) := rows * scale + center, in double, rounded once."""
    cdef int64_t r
    cdef int j
    for r in range(m):
        for j in range(n):
            rows[r * n + j] = <element>(<double>rows[r * n + j] * by.scale[j] + by.center[j])


# ---- the handle ----

cdef struct Handle:
    # A network for callers without the interpreter
    void *owner  # the Memory
    const cbp_net *net
    cbp_mem *mem  # its arrays; the workspace is not used here
    Room *rooms  # of the process
    Turn *turn  # to train
    Space own  # workspace of gradients: of the thread whose turn it is
    double *loss  # where the optimiser looks for J
    cbp_atomic_pointer scales  # Scales, which live as long as the Memory; NULL where nothing is scaled
    bint own_loss
    int n_in, n_out, n_targets, real  # `real`: bytes of a number


cdef inline size_t bytes_of(const Handle *h, int64_t m, int n) noexcept nogil:
    """Bytes of numbers (m, n), so many that the next ones are aligned too."""
    return (<size_t>m * <size_t>n * <size_t>h.real + <size_t>CBP_ALIGN - 1) // CBP_ALIGN * CBP_ALIGN


cdef inline const void *scaled(const Handle *h, const Columns *by, int64_t m, int n, const void *rows,
                               void *room) noexcept nogil:
    """Rows (m, n), scaled into the room if they are to be."""
    if by.center == NULL or rows == NULL:
        return rows
    if h.real == sizeof(float):
        scale_rows(by, m, n, <const float *>rows, <float *>room)
    else:
        scale_rows(by, m, n, <const double *>rows, <double *>room)
    return room


cdef inline void restored(const Handle *h, const Columns *by, int64_t m, int n, void *rows) noexcept nogil:
    """Rows (m, n) in units of their own, in place, if they are scaled."""
    if by.center == NULL:
        return
    if h.real == sizeof(float):
        restore_rows(by, m, n, <float *>rows)
    else:
        restore_rows(by, m, n, <double *>rows)


cdef inline cbp_status predict_scaled(const Handle *h, const Scales *scales, int64_t m, const void *x,
                                      void *out) noexcept nogil:
    cdef cbp_status status = CBP_NO_MEMORY
    cdef Lease room
    if scales.unknown:
        return CBP_NOT_LEARNED
    if m < 0 or x == NULL or out == NULL:
        return outputs(h.net, h.mem.pool, h.rooms, h.mem.theta, m, x, out)  # which says what is wrong
    room = lease(h.rooms, bytes_of(h, m, h.n_in))
    if room.work != NULL:
        x = scaled(h, &scales.inputs, m, h.n_in, x, room.work)
        status = outputs(h.net, h.mem.pool, h.rooms, h.mem.theta, m, x, out)
    end_lease(&room)
    if status == CBP_OK:
        restored(h, &scales.targets, m, h.n_out, out)
    return status


cdef inline cbp_status predict_by(Handle *h, int64_t m, const void *x, void *out) noexcept nogil:
    """out (m, n_L) := outputs for x (m, n_0), in units of their own. Any number of threads at once."""
    cdef const Scales *scales = <const Scales *>cbp_load_pointer(&h.scales)
    if scales != NULL:
        return predict_scaled(h, scales, m, x, out)
    return outputs(h.net, h.mem.pool, h.rooms, h.mem.theta, m, x, out)


cdef inline cbp_status descend_in(Handle *h, const cbp_data *given, const double *rate, double *loss) noexcept nogil:
    """`descend_by` for the one who may."""
    cdef const Scales *scales = <const Scales *>cbp_load_pointer(&h.scales)
    cdef cbp_mem mem = h.mem[0]
    cdef cbp_data data = given[0]
    cdef size_t need = cbp_work_bytes(h.net, data.n, CBP_TRAIN), x_bytes = 0, y_bytes = 0
    cdef char *work
    if need == 0:
        return CBP_TOO_LARGE
    if scales != NULL:
        if scales.unknown:
            return CBP_NOT_LEARNED
        x_bytes, y_bytes = bytes_of(h, data.n, h.n_in), bytes_of(h, data.n, h.n_targets)
    work = <char *>grown(&h.own, x_bytes + y_bytes + need)
    if work == NULL:
        return CBP_NO_MEMORY
    if scales != NULL:
        data.x = scaled(h, &scales.inputs, data.n, h.n_in, data.x, work)
        data.y = scaled(h, &scales.targets, data.n, h.n_targets, data.y, work + x_bytes)
    mem.work, mem.noise = work + x_bytes + y_bytes, NULL
    if rate == NULL:
        return cbp_gradient(h.net, &mem, &data, loss)
    return cbp_step(h.net, &mem, &data, rate[0], loss)


cdef inline cbp_status refusal(int found) noexcept nogil:
    """What to say to one who asked for the turn to train, and found this."""
    if found == FREE:
        return CBP_OK
    return CBP_SEALED if found == SEALED else CBP_LOST if found == LOST else CBP_BUSY


cdef inline cbp_status descend_by(Handle *h, const cbp_data *data, const double *rate, double *loss) noexcept nogil:
    """*loss := J of the data, grad := its gradient; unless rate is NULL, theta -= rate * grad. One at a time."""
    cdef cbp_status status
    if data == NULL or loss == NULL:
        return CBP_NULL_ARGUMENT
    if h.own_loss:
        return CBP_OWN_LOSS
    if data.n < 1:
        return CBP_BAD_COUNT
    status = refusal(FREE if takes_turn(h.turn) else wait_for_turn(h.turn))
    if status != CBP_OK:
        return status
    status = descend_in(h, data, rate, loss)
    if status == CBP_OK:
        h.loss[0] = loss[0]
        status = CBP_OK if isfinite(loss[0]) else CBP_DIVERGED
    end_turn(h.turn)
    return status
