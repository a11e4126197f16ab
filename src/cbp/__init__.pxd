"""`cimport cbp`: networks, and the C library, for other Cython modules. See docs/embed/cython.md."""

from cbp._c cimport (
    CBP_A, CBP_ACTIVATIONS, CBP_ALIGN, CBP_BAD_COUNT, CBP_BUSY, CBP_BY_INPUTS, CBP_BY_PARAMS, CBP_CURVE, CBP_D,
    CBP_DIVERGED, CBP_EPOCH, CBP_EVALUATE, CBP_FLOAT32, CBP_FLOAT64, CBP_INITIALIZERS, CBP_LOSSES, CBP_LOST,
    CBP_MATRIX, CBP_MEAN, CBP_NO_MEMORY, CBP_NOT_LEARNED, CBP_NULL_ARGUMENT, CBP_OK, CBP_OPTIMIZERS, CBP_OWN_LOSS,
    CBP_PAUSED, CBP_PREDICT, CBP_SEALED, CBP_STATUSES, CBP_SUM, CBP_TOO_LARGE, CBP_TRAIN, cbp_act, cbp_arg, cbp_array,
    cbp_block, cbp_curvature, cbp_data, cbp_dense, cbp_dtype, cbp_head, cbp_info, cbp_initializer, cbp_kind, cbp_loss,
    cbp_mem, cbp_mode, cbp_net, cbp_noise, cbp_opt, cbp_optimizer, cbp_own_loss, cbp_pair, cbp_pool, cbp_reduction,
    cbp_report, cbp_spec, cbp_status, cbp_variable,
)
from cbp._core cimport Library, Network, lib, real
