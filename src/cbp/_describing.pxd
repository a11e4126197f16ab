"""What a network is and what data it expects, from Python's words to C's structs. Read by _core.pyx alone."""

from cbp._arrays cimport NPY_FLOAT32, NPY_FLOAT64
from cbp._c cimport *
from cbp._reading cimport Expected


cdef inline int describe_layer(cbp_dense *dense, tuple layer, dict index, list kept) except -1:
    """One layer for C, its activations numbered by `index`; arrays that it points to go to `kept`."""
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


cdef inline int describe_head(cbp_head *head, tuple given, dict index) except -1:
    """One head for C, its loss numbered by `index`: (first, units, loss, its argument, weight)."""
    head.first, head.units = given[0], given[1]
    head.loss, head.loss_arg = <cbp_loss><int>index[given[2]], given[3]
    head.weight = given[4]
    return 0


cdef inline void expect(Expected *e, const cbp_net *net, cbp_pool *pool, str dtype, int n_in, int n_out):
    """What a network expects, apart from its loss."""
    e.net, e.pool, e.n_in, e.n_out = net, pool, n_in, n_out
    e.n_targets = cbp_n_targets(net)
    e.element = NPY_FLOAT32 if dtype == "float32" else NPY_FLOAT64


cdef inline int expect_targets(Expected *e, dict loss, list activations, dict index) except -1:
    """Targets from the least to the largest that the loss can take, or distributions."""
    e.low, e.high = loss["targets"]
    e.bounded = e.low - e.low == 0
    e.are_distributions = activations[index[loss["partner"]]]["row_wise"]
    return 0
