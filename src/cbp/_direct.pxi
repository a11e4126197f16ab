# Part of _core.pyx, which includes it: the short way for one call from Python, `net.train_step(x, y, 0.5)`.
#
# The methods that `direct` makes look at their arguments as they come, and go straight to C if these are ready and
# sound. If anything is not as expected they decide nothing, but call the friendly function in Python of the same name,
# which takes everything and knows what to say.

cdef enum:
    PREDICT, FORWARD, BACKWARD, GRADIENT, UPDATE, TRAIN_STEP, N_METHODS

cdef Method[N_METHODS] methods


cdef inline bint begin(int method, Memory memory, PyObject **args, Py_ssize_t n, PyObject *names, PyObject **given,
                       Samples *s) noexcept:
    """Arguments by parameter, and what the network expects of them."""
    if memory is None or memory.scales or not take(&methods[method], args, n, names, given):
        return False
    s.expects = &memory.plan.expects
    return True


cdef object call_predict(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, out, check_finite, return_std
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    if begin(PREDICT, memory, args, n, names, given, &s) and given[3] == NULL:
        _X = narrowed(s.expects, &given[0])
        if read_inputs(&s, given[0]) and fits_outputs(&s, given[1]) and are_sound(&s, True, given[2]):
            out = memory.plan.new_outputs(&s) if is_none(given[1]) else <object>given[1]
            memory.plan.outputs(memory._mem.theta, s.data.n, s.data.x, PyArray_DATA(<PyArrayObject *>out))
            return out
    return leave_to_friendly(&methods[PREDICT], net, args, n, names)


cdef object call_forward(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, check_finite, noise
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    if begin(FORWARD, memory, args, n, names, given, &s) and is_none(given[2]):
        _X = narrowed(s.expects, &given[0])
        if read_inputs(&s, given[0]) and are_sound(&s, True, given[1]):
            return memory.up(<object>given[0], &s.data, s.single)
    return leave_to_friendly(&methods[FORWARD], net, args, n, names)


cdef object call_backward(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # Y, sample_weight, check_finite
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    if begin(BACKWARD, memory, args, n, names, given, &s) and is_none(given[1]) and memory.recall(&s):
        _Y = narrowed(s.expects, &given[0])
        if read_targets(&s, given[0]) and are_sound(&s, False, given[2]):
            return finite(net, memory.down(None, &s.data, s.single, NULL), NULL)
    return leave_to_friendly(&methods[BACKWARD], net, args, n, names)


cdef object call_gradient(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, y, sample_weight, check_finite, noise
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    if begin(GRADIENT, memory, args, n, names, given, &s) and is_none(given[2]) and is_none(given[4]):
        _X, _y = narrowed(s.expects, &given[0]), narrowed(s.expects, &given[1])
        if read_inputs(&s, given[0]) and read_targets(&s, given[1]) and are_sound(&s, True, given[3]):
            return finite(net, memory.down(<object>given[0], &s.data, s.single, NULL), NULL)
    return leave_to_friendly(&methods[GRADIENT], net, args, n, names)


cdef object call_update(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # learning_rate
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    cdef double rate
    if begin(UPDATE, memory, args, n, names, given, &s) and as_number(given[0], &rate):
        return memory.descend(rate)
    return leave_to_friendly(&methods[UPDATE], net, args, n, names)


cdef object call_train_step(Network net, PyObject **args, Py_ssize_t n, PyObject *names):
    cdef PyObject *given[MAX_PARAMETERS]  # X, Y, learning_rate, sample_weight, check_finite, noise
    cdef Memory memory = <Memory>net._core
    cdef Samples s
    cdef double rate
    if (begin(TRAIN_STEP, memory, args, n, names, given, &s) and as_number(given[2], &rate) and is_none(given[3])
            and is_none(given[5])):
        _X, _Y = narrowed(s.expects, &given[0]), narrowed(s.expects, &given[1])
        if read_inputs(&s, given[0]) and read_targets(&s, given[1]) and are_sound(&s, True, given[4]):
            return finite(net, memory.down(<object>given[0], &s.data, s.single, &rate), &rate)
    return leave_to_friendly(&methods[TRAIN_STEP], net, args, n, names)


cdef object finite(Network net, double loss, const double *rate):
    """The loss, or the error for one that is not finite."""
    return loss if isfinite(loss) else net._finite(loss, None if rate == NULL else rate[0])


_NAMES = ["predict", "forward", "backward", "gradient", "update", "train_step"]
methods[PREDICT].call, methods[FORWARD].call = <void *>call_predict, <void *>call_forward
methods[BACKWARD].call, methods[GRADIENT].call = <void *>call_backward, <void *>call_gradient
methods[UPDATE].call, methods[TRAIN_STEP].call = <void *>call_update, <void *>call_train_step


def direct(function):
    """Decorator: does in C what `function` does, for arguments that C can read as they are."""
    return describe(&methods[_NAMES.index(function.__name__)], Network, function)
