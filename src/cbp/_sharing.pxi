# Part of _core.pyx, which includes it: numbers that one trains while others want to read them. See _turns.pxd.

import time

cdef double GUESTS_PATIENCE = 0.0005  # seconds between two tries of a guest


cdef class Shared:
    """Parameters, and whose turn it is at them.

    Within `with shared:` they are those between two updates, and stay so: who trains waits. It is for short readings,
    and for writing parameters.
    """

    cdef readonly object theta
    cdef public object before  # (n_params,): the parameters, while the step of a full-batch method writes others
    cdef Turn _turn
    cdef int _visits  # of the guest, within his first

    def __cinit__(self, *args, **named):
        first_turn(&self._turn)

    cdef int _enter(self) except -1:
        """Take the turn to train for one call, which calls _leave at its end, whatever happens."""
        cdef int found
        if not takes_turn(&self._turn):
            with nogil:
                found = wait_for_turn(&self._turn)
            check(refusal(found))
        return 0

    cdef void _leave(self) noexcept nogil:
        end_turn(&self._turn)

    def begin_training(self):
        """Keep the turn for this thread until end_training, between updates too; False if it has been kept already."""
        if cbp_id_load(&self._turn.keeper) == cbp_me():
            return False
        self._enter()
        cbp_id_store(&self._turn.keeper, cbp_me())
        self._leave()
        return True

    def end_training(self):
        """End what begin_training began."""
        cbp_id_store(&self._turn.keeper, 0)

    def seal(self):
        """Refuse all training from now on."""
        self._enter()
        self.theta.flags.writeable = False
        seal_turn(&self._turn)

    # ---- between two updates ----

    cdef int _breathe(self, pause) except -1:
        """In the middle of an epoch: hear signals, call pause, let guests read."""
        open_turn(&self._turn)
        try:
            PyErr_CheckSignals()
            if pause is not None:
                pause()
        finally:
            self._close()
        return 0

    cdef void _close(self) noexcept:
        """End what open_turn began."""
        if not closes_turn(&self._turn):
            with nogil:
                wait_to_close(&self._turn)

    def begin_step(self):
        """Begin a step made in Python; return the parameters, which guests read in `before` until that is None."""
        self._enter()
        try:
            self.before = self.theta.copy()
        except BaseException:
            self._leave()
            raise
        open_turn(&self._turn)
        return self.before

    def end_step(self):
        """End the step, whose parameters are in order."""
        self._close()
        self.before = None
        self._leave()

    # ---- guests ----

    def __enter__(self):
        cdef int found
        if is_guest(&self._turn):  # in the handler of a signal that came meanwhile
            self._visits += 1
            return self
        found = visit(&self._turn)
        while found == FREE or (found == TAKEN and not is_trainer(&self._turn)):
            PyErr_CheckSignals()
            time.sleep(GUESTS_PATIENCE)
            found = visit(&self._turn)
        if found == LOST:
            check(CBP_LOST)
        return self

    def __exit__(self, *error):
        if is_guest(&self._turn):
            if self._visits == 0:
                end_visit(&self._turn)
            else:
                self._visits -= 1
