"""Whose turn it is at the numbers of a network: one trains, or some read what must not change meanwhile.

Nobody who trains ever asks for a lock: a turn is taken by one atomic exchange. Who wants to read while somebody trains,
a guest, says so in `wanted` and tries again now and then; who trains opens the turn between two updates, at the pauses
of an epoch and before the next call, for as long as the guest needs. See docs/adr/0018. Read by _core.pyx alone; all of
it may be called without the interpreter's lock.
"""

from libc.stdint cimport int64_t, uint64_t

from cbp._atomic cimport *


cdef extern from "os.h" nogil:
    void cbp_yield()
    int64_t cbp_nanoseconds()
    bint cbp_at_fork(void (*child)() noexcept nogil)


cdef extern from *:
    """
    #include "pythread.h"

    /* A thread, or 0; of a processor's word, which cbp_atomic is not */
    #if defined(_MSC_VER) && !defined(__clang__)
    typedef volatile LONG64 cbp_thread_id;
    static inline uint64_t cbp_id_load(const cbp_thread_id *id) { return (uint64_t)ReadAcquire64(id); }
    static inline void cbp_id_store(cbp_thread_id *id, uint64_t value) { WriteRelease64(id, (LONG64)value); }
    #else
    typedef _Atomic uint64_t cbp_thread_id;
    static inline uint64_t cbp_id_load(const cbp_thread_id *id) {
        return atomic_load_explicit(id, memory_order_relaxed);
    }
    static inline void cbp_id_store(cbp_thread_id *id, uint64_t value) {
        atomic_store_explicit(id, value, memory_order_relaxed);
    }
    #endif
    static inline uint64_t cbp_me(void) { return (uint64_t)PyThread_get_thread_ident(); }

    /* How often this process and those before it were forked, and the thread that came along the last time */
    static int cbp_forks;
    static uint64_t cbp_survivor;
    static void cbp_after_fork(void) {
        cbp_forks++;
        cbp_survivor = cbp_me();
    }
    """
    ctypedef int64_t cbp_thread_id
    uint64_t cbp_id_load(const cbp_thread_id *) nogil
    void cbp_id_store(cbp_thread_id *, uint64_t) nogil
    uint64_t cbp_me() nogil
    const int cbp_forks
    const uint64_t cbp_survivor
    void cbp_after_fork() noexcept nogil


cdef enum:
    FREE
    TAKEN  # somebody trains
    OPEN  # somebody trains, and is between two updates: guests are welcome
    HELD  # a guest reads; nobody trains
    LENT  # a guest reads; somebody trains, and waits for the end of it
    LOST  # somebody was in the middle of an update, in the process that this one was forked from
    SEALED  # nobody will ever train
    PATIENT = 5_000_000  # nanoseconds for which one who trains waits for a guest who has said that he would come


cdef struct Turn:
    cbp_atomic state, wanted
    cbp_atomic forks  # cbp_forks as it was when somebody last came
    cbp_thread_id trainer, guest  # while there is one
    cbp_thread_id keeper  # who trains for longer than one turn, and lets nobody else train between its turns


cdef inline void first_turn(Turn *t) noexcept nogil:
    """Begin; memory that is zero is free."""
    cbp_store(&t.forks, cbp_forks)


cdef inline void after_fork(Turn *t) noexcept nogil:
    """The first to come in a new process: clear away what threads left behind that have stayed in the old one."""
    cdef int before = cbp_load(&t.forks)
    if before == cbp_forks or not cbp_change(&t.forks, before, cbp_forks):
        return
    if cbp_id_load(&t.guest) != cbp_survivor:
        end_visit(t)
    if cbp_id_load(&t.keeper) != cbp_survivor:
        cbp_id_store(&t.keeper, 0)
    if cbp_id_load(&t.trainer) != cbp_survivor:
        cbp_change(&t.state, OPEN, FREE)
        cbp_change(&t.state, TAKEN, LOST)


# ---- those who train ----

cdef inline bint is_kept(const Turn *t) noexcept nogil:
    """Whether another thread keeps the turn for itself."""
    cdef uint64_t keeper = cbp_id_load(&t.keeper)
    return keeper != 0 and keeper != cbp_me()


cdef inline bint takes_turn(Turn *t) noexcept nogil:
    """Take the turn to train, if nobody has it, and nobody waits for it."""
    if cbp_load(&t.wanted) or cbp_load(&t.forks) != cbp_forks or is_kept(t) or not cbp_change(&t.state, FREE, TAKEN):
        return False
    cbp_id_store(&t.trainer, cbp_me())
    return True


cdef inline int wait_for_turn(Turn *t) noexcept nogil:
    """The same after all guests: FREE if the turn was taken, else what is in the way; HELD by this very thread."""
    cdef int found
    after_fork(t)
    give_way(t)
    while not takes_turn(t):
        found = cbp_load(&t.state)
        if found not in (FREE, HELD) or is_guest(t):
            return found
        if is_kept(t):
            return TAKEN
        give_way(t)
        cbp_yield()
    return FREE


cdef inline void end_turn(Turn *t) noexcept nogil:
    cbp_id_store(&t.trainer, 0)
    cbp_store(&t.state, FREE)


cdef inline void seal_turn(Turn *t) noexcept nogil:
    """End the turn, and with it all training."""
    cbp_id_store(&t.trainer, 0)
    cbp_store(&t.state, SEALED)


cdef inline void open_turn(Turn *t) noexcept nogil:
    """Between two updates: let guests in, but nobody else who trains."""
    cbp_store(&t.state, OPEN)


cdef inline bint closes_turn(Turn *t) noexcept nogil:
    """Go on with the updates, if there are no guests, and none have said that they come."""
    return not cbp_load(&t.wanted) and cbp_load(&t.forks) == cbp_forks and cbp_change(&t.state, OPEN, TAKEN)


cdef inline void wait_to_close(Turn *t) noexcept nogil:
    """The same after all guests."""
    after_fork(t)
    give_way(t)
    while not cbp_change(&t.state, OPEN, TAKEN):
        cbp_yield()


cdef inline void give_way(Turn *t) noexcept nogil:
    """Wait for guests, as long as those that have said that they come should need to see that they may."""
    cdef int64_t end
    if not cbp_load(&t.wanted):
        return
    end = cbp_nanoseconds() + PATIENT
    while cbp_load(&t.wanted) and cbp_nanoseconds() < end:
        cbp_yield()
    cbp_store(&t.wanted, 0)  # who still wants it says so again


# ---- guests ----

cdef inline int visit(Turn *t) noexcept nogil:
    """Begin to read: HELD or LENT, which end_visit ends. Or what is in the way: FREE a moment, TAKEN longer, LOST ever.

    SEALED needs no end, nor does TAKEN if it is this thread that trains: nothing changes while it does something else.
    """
    cdef int found
    after_fork(t)
    if cbp_change(&t.state, FREE, HELD):
        found = HELD
    elif cbp_change(&t.state, OPEN, LENT):
        found = LENT
    else:
        found = cbp_load(&t.state)
        if found not in (LOST, SEALED):
            found = TAKEN if found == TAKEN else FREE
            cbp_store(&t.wanted, 1)
        return found
    cbp_id_store(&t.guest, cbp_me())
    cbp_store(&t.wanted, 0)
    return found


cdef inline void end_visit(Turn *t) noexcept nogil:
    cbp_id_store(&t.guest, 0)
    if not cbp_change(&t.state, HELD, FREE):
        cbp_change(&t.state, LENT, OPEN)


cdef inline bint is_guest(const Turn *t) noexcept nogil:
    """Whether it is this thread that reads."""
    return cbp_id_load(&t.guest) == cbp_me()


cdef inline bint is_trainer(const Turn *t) noexcept nogil:
    """Whether it is this thread that trains."""
    return cbp_id_load(&t.trainer) == cbp_me()
