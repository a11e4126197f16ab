"""What a network is and what data it expects, from Python's words to C's structs. Read by _core.pyx alone."""

from libc.math cimport INFINITY

from cbp._arrays cimport NPY_FLOAT32, NPY_FLOAT64
from cbp._c cimport *
from cbp._reading cimport BRIEF, Expected


cdef inline void *zeros(Py_ssize_t n, size_t size, list kept) except NULL:
    """Room for n structs, all zero, which `kept` owns."""
    cdef bytearray room = bytearray(max(n, 1) * size)
    kept.append(room)
    return <void *><char *>room


cdef inline int describe_layers(cbp_spec *spec, layers, dict index, list kept) except -1:
    """All layers for C, their activations numbered by `index`; `kept` owns what they point to."""
    cdef int l
    cdef cbp_dense *dense = <cbp_dense *>zeros(len(layers), sizeof(cbp_dense), kept)
    spec.n_layers, spec.layers = <int>len(layers), dense
    for l in range(spec.n_layers):
        describe_layer(&dense[l], layers[l], index, kept)
    return 0


cdef inline int describe_layer(cbp_dense *dense, tuple layer, dict index, list kept) except -1:
    """One layer: units, activation or activations, argument or arguments, and all else by name, if there is any."""
    import numpy as np

    cdef int[::1] acts
    cdef double[::1] args
    units, names, values = layer[:3]
    dense.units = units
    if len(layer) > 3:
        describe_extras(dense, layer[3])
        describe_skips(dense, layer[3].get("skip", ()), kept)
    if isinstance(names, str):
        dense.act, dense.act_arg = <cbp_act><int>index[names], values
        return 0
    if units < 1 or len(names) != units or len(values) != units:
        raise ValueError(f"{units} units need as many activations and arguments")
    acts, args = np.array([index[name] for name in names], np.intc), np.array(values, np.float64)
    kept += [acts, args]
    dense.unit_act, dense.unit_act_arg = <const cbp_act *>&acts[0], &args[0]
    return 0


cdef inline int describe_extras(cbp_dense *dense, dict extras) except -1:
    """What a layer has beside units and activations: the names are those of `Dense`."""
    dense.dropout = extras.get("dropout", 0.0)
    dense.l1, dense.l2 = extras.get("l1", 0.0), extras.get("l2", 0.0)
    dense.max_norm = extras.get("max_norm", 0.0)
    dense.steepness = extras.get("steepness", 1.0)
    return 0


cdef inline int describe_skips(cbp_dense *dense, tuple skips, list kept) except -1:
    """The layers that feed this one beside the one below."""
    import numpy as np

    cdef int[::1] numbers
    if not skips:
        return 0
    numbers = np.array(skips, np.intc)
    kept.append(numbers)
    dense.n_skips, dense.skips = <int>len(skips), &numbers[0]
    return 0


cdef inline int describe_heads(cbp_spec *spec, heads, dict index, list kept) except -1:
    """All heads for C, their losses numbered by `index`: (first, units, loss, its argument, weight) each."""
    cdef int i
    cdef cbp_head *to = <cbp_head *>zeros(len(heads), sizeof(cbp_head), kept)
    spec.n_heads, spec.heads = <int>len(heads), to
    for i in range(spec.n_heads):
        first, units, loss, arg, weight = heads[i]
        to[i].first, to[i].units, to[i].weight = first, units, weight
        to[i].loss, to[i].loss_arg = <cbp_loss><int>index[loss], arg
    return 0


cdef inline bint has_dropout(const cbp_spec *spec) noexcept:
    """Whether a noisy pass leaves out units of some layer."""
    cdef int l
    cdef bint found = False
    for l in range(spec.n_layers):
        found |= spec.layers[l].dropout > 0
    return found


cdef inline void expect(Expected *e, const cbp_net *net, cbp_pool *pool, const cbp_spec *spec, int n_out) noexcept:
    """What a network expects; of the targets that they are finite, or may be missing."""
    e.net, e.pool, e.n_in, e.n_out = net, pool, spec.n_in, n_out
    e.n_targets = cbp_n_targets(net)
    e.element = NPY_FLOAT32 if spec.dtype == CBP_FLOAT32 else NPY_FLOAT64
    e.low, e.high = -INFINITY, INFINITY
    e.several, e.missing = spec.n_heads > 0, spec.missing_targets
    e.brief_rows = BRIEF // cbp_n_params(net)


cdef inline int expect_targets(Expected *e, dict loss, list activations, dict index) except -1:
    """Targets from the least to the largest that the loss can take, or distributions."""
    e.low, e.high = loss["targets"]
    e.bounded = e.low - e.low == 0
    e.are_distributions = activations[index[loss["partner"]]]["row_wise"]
    return 0
