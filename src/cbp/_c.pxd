"""cbp.h for Cython, one to one. Nothing else lives here."""

from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "cbp.h" nogil:
    ctypedef enum cbp_act:
        pass
    ctypedef enum cbp_loss:
        pass
    ctypedef enum cbp_optimizer:
        CBP_OPT_sgd
    ctypedef enum cbp_initializer:
        pass
    ctypedef enum cbp_status:
        CBP_OK
        CBP_NULL_ARGUMENT
        CBP_BAD_COUNT
        CBP_TOO_LARGE
        CBP_NO_MEMORY
        CBP_DIVERGED
        CBP_PAUSED
        CBP_BUSY
        CBP_SEALED
        CBP_LOST
        CBP_OWN_LOSS
        CBP_NOT_LEARNED
    ctypedef enum cbp_dtype:
        CBP_FLOAT32
        CBP_FLOAT64
    ctypedef enum cbp_reduction:
        CBP_MEAN
        CBP_SUM
    ctypedef enum cbp_mode:
        CBP_PREDICT
        CBP_EVALUATE
        CBP_TRAIN
        CBP_EPOCH
        CBP_CURVE
        CBP_MATRIX
    ctypedef enum cbp_variable:
        CBP_BY_PARAMS
        CBP_BY_INPUTS
    ctypedef enum cbp_array:
        CBP_A
        CBP_D
    ctypedef enum cbp_kind:
        CBP_ACTIVATIONS
        CBP_LOSSES
        CBP_OPTIMIZERS
        CBP_INITIALIZERS
        CBP_STATUSES

    int CBP_MAX_ARGS
    int CBP_ALIGN
    int CBP_MAX_THREADS

    ctypedef struct cbp_arg:
        const char *name
        double value

    ctypedef struct cbp_range:
        double low
        double high

    ctypedef struct cbp_info:
        const char *name
        cbp_arg *arg
        cbp_range arg_range
        cbp_range targets
        double learning_rate
        int n_slots
        int row_wise
        int head
        const char *partner
        const char *pair
        const char *formula
        const char *slope
        const char *curvature
        const char *onnx
        const char *exception
        const char *source

    const cbp_info *cbp_table(cbp_kind kind, int *n)
    const char *cbp_message(cbp_status status)
    const char *cbp_version()
    const char *cbp_isa_at(int i)
    const char *cbp_isa()

    ctypedef struct cbp_dense:
        int units
        cbp_act act
        double act_arg
        const cbp_act *unit_act
        const double *unit_act_arg
        double steepness
        double dropout
        double l1, l2
        double max_norm
        int n_skips
        const int *skips

    ctypedef struct cbp_head:
        int first, units
        cbp_loss loss
        double loss_arg
        double weight

    ctypedef void cbp_own_loss(void *ctx, int64_t n, int n_out, const void *y, const void *a, double *cost,
                               void *slope) noexcept nogil

    ctypedef struct cbp_spec:
        cbp_dtype dtype
        int n_in
        int n_layers
        const cbp_dense *layers
        cbp_loss loss
        double loss_arg
        cbp_reduction reduction
        const char *isa
        cbp_own_loss *own_loss
        void *own_ctx
        double input_noise
        double input_dropout
        int n_heads
        const cbp_head *heads
        int missing_targets

    ctypedef struct cbp_net:
        pass
    ctypedef struct cbp_pool:
        pass

    ctypedef struct cbp_block:
        int64_t offset
        int rows
        int cols

    cbp_status cbp_net_new(cbp_net **net, const cbp_spec *spec)
    void cbp_net_free(cbp_net *net)
    size_t cbp_net_bytes(const cbp_spec *spec)
    cbp_status cbp_net_in(cbp_net **net, void *memory, size_t bytes, const cbp_spec *spec)
    cbp_dtype cbp_net_dtype(const cbp_net *net)
    const char *cbp_net_isa(const cbp_net *net)
    int64_t cbp_n_params(const cbp_net *net)
    int cbp_n_targets(const cbp_net *net)
    cbp_block cbp_layer(const cbp_net *net, int l)
    size_t cbp_work_bytes(const cbp_net *net, int64_t batch, cbp_mode mode)
    size_t cbp_offset(const cbp_net *net, int64_t batch, cbp_array array, int l)

    int cbp_cpus()
    cbp_status cbp_pool_new(cbp_pool **pool, int threads)
    void cbp_pool_free(cbp_pool *pool)
    cbp_status cbp_pool_resize(cbp_pool *pool, int threads)
    int cbp_pool_threads(const cbp_pool *pool)

    ctypedef struct cbp_noise:
        uint64_t seed, draw

    ctypedef struct cbp_mem:
        void *theta
        void *grad
        void *slots
        void *work
        cbp_pool *pool
        const cbp_noise *noise
        const unsigned char *frozen
        const void *mask

    ctypedef struct cbp_data:
        int64_t n
        const void *x
        const void *y
        const int64_t *labels
        const void *weight

    ctypedef struct cbp_opt:
        cbp_optimizer kind
        double *arg
        int64_t t
        double loss
        double clip_value
        double clip_norm
        double average

    ctypedef struct cbp_report:
        double loss
        int64_t batch
        int layer
        double cost, weight

    cbp_status cbp_init(const cbp_net *net, const cbp_initializer *rule, const double *arg, uint64_t seed, void *theta)
    cbp_status cbp_predict(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out)
    cbp_status cbp_evaluate(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss)
    cbp_status cbp_forward(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x)
    cbp_status cbp_backward(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss)
    cbp_status cbp_gradient(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss)
    cbp_status cbp_step(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double learning_rate,
                        double *loss)
    cbp_status cbp_update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate)
    cbp_status cbp_epoch(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                         const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                         cbp_report *report)
    cbp_status cbp_epoch_for(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                             const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                             double seconds, int64_t batches, cbp_report *report)
    ctypedef struct cbp_curvature:
        void *gradient
        void *matrix
        const void *v
        void *hessian_v
        void *gauss_newton_v

    cbp_status cbp_jacobian(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, cbp_variable by,
                            void *jac)
    cbp_status cbp_curve(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, const cbp_curvature *wanted,
                         double *loss)
    cbp_status cbp_cholesky(int64_t n, double *a, cbp_pool *pool)
    void cbp_cholesky_solve(int64_t n, const double *l, double *b)
    void cbp_cholesky_inverse(int64_t n, const double *l, double *inverse, cbp_pool *pool)
    double cbp_dot(int64_t n, const double *x, const double *y)
    void cbp_times(int64_t n, const double *a, const double *x, double *out)

    ctypedef struct cbp_pair:
        const double *s
        const double *y
        double product

    void cbp_lbfgs(int64_t n, int pairs, const cbp_pair *pair, double *share, double *d)
    cbp_status cbp_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *order)
    int64_t cbp_first_nonfinite(cbp_dtype dtype, int64_t n, const void *x)
    int64_t cbp_net_first_nonfinite(const cbp_net *net, cbp_pool *pool, int64_t n, const void *x)
    void cbp_philox(const uint32_t *counter, const uint32_t *key, uint32_t *out)
