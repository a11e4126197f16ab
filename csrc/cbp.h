/* cbp.h - fully connected neural networks in C: the whole public interface.
 *
 * A cbp_net is an immutable plan: shapes, offsets, kernels. It owns no numbers. Parameters, gradient, optimiser
 * state and workspace are the caller's arrays, handed over in a cbp_mem; one plan serves any number of them, from
 * any number of threads. Below cbp_net_new and cbp_pool_new nothing is allocated, printed or locked, and errno is not
 * touched; a pool's threads are started by the first call that has work for them.
 *
 * Symbols: layers 0..L, layer 0 is the input; n_l units in layer l; m rows in a batch; theta[l], l = 1..L, is
 * (n_{l-1} + 1, n_l) row major and its row 0 is the bias, n_{l-1} being all that feeds layer l, in the order of the
 * layers, where it has skips. `real` below is float or double, as the plan's dtype says.
 * Every matrix is row major and contiguous, one sample a row, and every pointer aligned for its element.
 */
#ifndef CBP_H
#define CBP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; cbp_version() is the library's. CBP_VERSION is the text "major.minor.patch", CBP_VERSION_NUMBER the
 * same for #if: 10203 is 1.2.3. */
#define CBP_VERSION_MAJOR 0
#define CBP_VERSION_MINOR 1
#define CBP_VERSION_PATCH 0
#define CBP_VERSION_NUMBER (CBP_VERSION_MAJOR * 10000 + CBP_VERSION_MINOR * 100 + CBP_VERSION_PATCH)
#define CBP_VERSION CBP_VERSION_(CBP_VERSION_MAJOR, CBP_VERSION_MINOR, CBP_VERSION_PATCH)
#define CBP_VERSION_(major, minor, patch) \
    CBP_VERSION_TEXT(major) "." CBP_VERSION_TEXT(minor) "." CBP_VERSION_TEXT(patch)
#define CBP_VERSION_TEXT(x) #x

/* What a shared library exports, which is built with CBP_SHARED and all else hidden. There are functions only, so that
 * a program needs no macro to use a DLL. */
#if !defined(CBP_SHARED)
#define CBP_API
#elif defined(_WIN32)
#define CBP_API __declspec(dllexport)
#else
#define CBP_API __attribute__((visibility("default")))
#endif

#define CBP_MAX_ARGS 4 /* arguments of one optimiser, beside its learning rate */
#define CBP_ALIGN 64   /* alignment, in bytes, that cbp_mem.work should have (any works, this is fastest) */
#define CBP_MAX_THREADS 1024

/* ---- the tables' enums: one enumerator per row, CBP_<kind>_<name> ---- */

typedef enum {
#define ACT(name, ...) CBP_ACT_##name,
#include "act.def"
    CBP_N_ACT
} cbp_act;

typedef enum {
#define LOSS(name, ...) CBP_LOSS_##name,
#include "loss.def"
    CBP_N_LOSS
} cbp_loss;

typedef enum {
#define OPT(name, ...) CBP_OPT_##name,
#include "opt.def"
    CBP_N_OPT
} cbp_optimizer;

typedef enum {
#define INIT(name, ...) CBP_INIT_##name,
#include "init.def"
    CBP_N_INIT
} cbp_initializer;

typedef enum {
#define STATUS(name, ...) CBP_##name,
#include "status.def"
    CBP_N_STATUS
} cbp_status;

typedef enum { CBP_FLOAT32, CBP_FLOAT64, CBP_N_DTYPE } cbp_dtype;
typedef enum { CBP_MEAN, CBP_SUM } cbp_reduction; /* J = sum_r s_r C_r / sum_r s_r, or without the division */
typedef enum {
    CBP_PREDICT,
    CBP_EVALUATE,
    CBP_TRAIN,
    CBP_EPOCH,
    CBP_CURVE,
    CBP_MATRIX
} cbp_mode;                              /* what a workspace is for */
typedef enum { CBP_A, CBP_D } cbp_array; /* activations, deltas */
typedef enum { CBP_ACTIVATIONS, CBP_LOSSES, CBP_OPTIMIZERS, CBP_INITIALIZERS, CBP_STATUSES } cbp_kind;

/* An argument of a row, with its default. The last of a list has name NULL. */
typedef struct {
    const char *name;
    double value;
} cbp_arg;

/* The numbers from low to high */
typedef struct {
    double low, high;
} cbp_range;

/* One row of a table, for people and for other languages. Strings are static; "" where a column means nothing. */
typedef struct {
    const char *name;
    cbp_arg arg[CBP_MAX_ARGS + 1];
    cbp_range arg_range;   /* losses: what the argument may be */
    cbp_range targets;     /* losses: what a target may be */
    double learning_rate;  /* optimisers: the default */
    int n_slots;           /* optimisers: vectors of state */
    int row_wise;          /* activations: a function of the whole row, output layer only */
    int head;              /* losses: goes with `partner` as output activation only */
    const char *partner;   /* activations: the default initialiser; losses: the canonical output activation */
    const char *pair;      /* losses with two outputs for a target: that of the second half of the units; else "" */
    const char *formula;   /* NumPy text: g, C, the update, the distribution; statuses: the sentence */
    const char *slope;     /* NumPy text: g', dC/da or delta; dC/da, dC/dv of a loss with two outputs for a target */
    const char *curvature; /* NumPy text: g'', d2C/da2 or ddelta/dz (ddelta/da where the output is row-wise) */
    const char *onnx;      /* activations: the ONNX operator and its attributes; "" if there is none */
    const char *exception; /* statuses: the Python exception */
    const char *source;    /* where the method comes from */
} cbp_info;

CBP_API const cbp_info *cbp_table(cbp_kind kind, int *n); /* rows of one table, and their number unless n is NULL */
CBP_API const char *cbp_message(cbp_status status);       /* the sentence of a status */
CBP_API const char *cbp_version(void);                    /* CBP_VERSION of the library itself */

/* Instruction sets this CPU can run, best first: cbp_isa_at(0), cbp_isa_at(1) ... NULL. "scalar" is always the last. */
CBP_API const char *cbp_isa_at(int i);
/* The one that a new plan gets: the environment variable CBP_ISA where it names an available one, else the best. */
CBP_API const char *cbp_isa(void);

/* ---- the plan ---- */

/* One layer. Fill with zeros first: fields to come will mean "as before" when zero. */
typedef struct {
    int units;               /* n_l >= 1 */
    cbp_act act;             /* activation of every unit */
    double act_arg;          /* its argument (ignored where it has none) */
    const cbp_act *unit_act; /* NULL, or `units` activations, one per unit, instead of act; read by cbp_net_new only */
    const double *unit_act_arg; /* NULL with unit_act, or `units` arguments */
    double steepness;           /* s > 0 in a = g(s z); 0 means 1 */
    double dropout;             /* share of its units that a noisy pass leaves out, 0 <= p < 1; 0 at the output */
    double l1, l2;              /* >= 0: every sample costs l1 sum |w| + l2 / 2 sum w^2 more, without the biases */
    double max_norm;            /* > 0: an update leaves no unit longer weights; 0 sets no limit */
    int n_skips;                /* layers before the one below that feed it too: */
    const int *skips;           /* their numbers, rising, 0 (the inputs) .. l - 2; read by cbp_net_new only */
} cbp_dense;

/* One head of the output layer: consecutive units with a loss of their own, and an activation of their own where that
 * is row-wise. A sample costs the sum of its heads' costs, each times its weight. */
typedef struct {
    int first, units;
    cbp_loss loss;
    double loss_arg;
    double weight; /* > 0 */
} cbp_head;

/* A loss of your own, of n rows: y and a (n, n_out), in the network's precision (not modified), are targets and
 * activations of the output layer. Writes C of every row to cost[n], and dC/da to slope (n, n_out). A cost that is not
 * finite stops the training. It is called with rows that follow each other, not always with a whole batch, from the
 * thread that called cbp; and by as many threads at once as evaluate at once with one plan. */
typedef void cbp_own_loss(void *ctx, int64_t n, int n_out, const void *y, const void *a, double *cost, void *slope);

typedef struct {
    cbp_dtype dtype;
    int n_in;                /* n_0 >= 1 */
    int n_layers;            /* L >= 1 */
    const cbp_dense *layers; /* [n_layers], read by cbp_net_new only */
    cbp_loss loss;
    double loss_arg; /* its argument, in the row's arg_range (ignored where it has none) */
    cbp_reduction reduction;
    const char *isa;        /* NULL: as cbp_isa() says; else one of cbp_isa_at() */
    cbp_own_loss *own_loss; /* NULL, or what is used instead of loss, with any output activation */
    void *own_ctx;          /* its first argument */
    double input_noise;     /* >= 0: standard deviation of what a noisy pass adds to the inputs */
    double input_dropout;   /* share of the inputs that a noisy pass leaves out, 0 <= p < 1 */
    int n_heads;            /* 0, or the heads that share the output layer, and are used instead of loss */
    const cbp_head *heads;  /* in order, without gap; read by cbp_net_new only */
    int missing_targets;    /* a target that is NaN costs nothing: its term and dC/da are 0, n stays what it is */
} cbp_spec;

typedef struct cbp_net cbp_net;
typedef struct cbp_pool cbp_pool;

typedef struct {
    int64_t offset;
    int rows, cols;
} cbp_block; /* theta[l]: starts at theta + offset elements */

/* Makes a plan in *net with one allocation. On any error *net is NULL; CBP_TOO_LARGE also where INT_MAX units or more
 * feed a layer. Release with cbp_net_free. */
CBP_API cbp_status cbp_net_new(cbp_net **net, const cbp_spec *spec);
CBP_API void cbp_net_free(cbp_net *net); /* NULL is fine */

/* The same without allocation, for programs whose memory is static: bytes that a plan takes, 0 where the spec is wrong;
 * and the plan at any address of such memory. CBP_NO_MEMORY where `bytes` are too few. There is nothing to free: the
 * plan is gone when its memory is used for something else. */
CBP_API size_t cbp_net_bytes(const cbp_spec *spec);
CBP_API cbp_status cbp_net_in(cbp_net **net, void *memory, size_t bytes, const cbp_spec *spec);

CBP_API cbp_dtype cbp_net_dtype(const cbp_net *net);
CBP_API const char *cbp_net_isa(const cbp_net *net);
CBP_API int64_t cbp_n_params(const cbp_net *net);
CBP_API int cbp_n_targets(const cbp_net *net);          /* n_L, but fewer where a loss has two outputs for a target */
CBP_API cbp_block cbp_layer(const cbp_net *net, int l); /* l = 1..L */

/* Bytes of workspace for `batch` rows at once; 0 where that exceeds the address space. PREDICT and EVALUATE need no
 * more than a fixed number of rows, whatever `batch` is; TRAIN is for forward, backward and gradient; EPOCH for
 * cbp_epoch. */
CBP_API size_t cbp_work_bytes(const cbp_net *net, int64_t batch, cbp_mode mode);

/* Byte offset in a TRAIN or EPOCH workspace of the (batch, n_l) matrix of layer l's activations or deltas, l = 1..L;
 * l = 0: of the inputs that a noisy pass made of its own, where the network has input_noise or input_dropout. */
CBP_API size_t cbp_offset(const cbp_net *net, int64_t batch, cbp_array array, int l);

/* ---- threads ---- */

/* Processors this process may use, at least 1: those it may run on, and no more than its control groups' quota of
 * processor time (read once). */
CBP_API int cbp_cpus(void);

/* A pool of `threads` threads, 1 .. CBP_MAX_THREADS, the caller's own among them. None is started before a call has
 * work for it; idle ones sleep. One pool serves any number of memories and threads: a call that finds it at work for
 * another computes alone. It is alive in both processes after a fork. Results never depend on it. On any error *pool is
 * NULL. */
CBP_API cbp_status cbp_pool_new(cbp_pool **pool, int threads);
/* Ends the threads; NULL is fine. No other call may use the pool any more. A process may end without it; unloading the
 * library may not. */
CBP_API void cbp_pool_free(cbp_pool *pool);
CBP_API cbp_status cbp_pool_resize(cbp_pool *pool, int threads); /* at any time, while others compute with it too */
CBP_API int cbp_pool_threads(const cbp_pool *pool);              /* as asked for; 1 for NULL */

/* ---- the numbers ---- */

/* What a noisy pass, one with dropout and input noise, draws its numbers from: the same for the same two. Each unit of
 * a row has a number of its own, the rows counted from the first of the call, or of its batch in an epoch. */
typedef struct {
    uint64_t seed, draw;
} cbp_noise;

/* The caller's arrays. Each is needed only by the functions that say so. */
typedef struct {
    void *theta;    /* real[n_params] */
    void *grad;     /* real[n_params] */
    void *slots;    /* real[n_slots * n_params] of the optimiser in use, and n_params more with an average; zero before
                     * its first step */
    void *work;     /* cbp_work_bytes() bytes */
    cbp_pool *pool; /* NULL: this thread alone */
    /* NULL, or what forward, gradient, step, evaluate and epoch draw from: they are noisy. Batch b of an epoch has
     * noise->draw + b; backward has that of its forward. */
    const cbp_noise *noise;
    /* NULL, or [n_layers]: 1 where layer l = i + 1 is fixed, and NULL, or real[n_params]: 0 where a parameter is fixed,
     * else 1. The gradient of what is fixed is 0; no update changes it, or its slots but for the average. */
    const unsigned char *frozen;
    const void *mask;
} cbp_mem;

/* A set of samples; nothing in it is modified. n_y is cbp_n_targets(). Targets: y, or for a softmax or log_softmax
 * output labels instead. */
typedef struct {
    int64_t n;             /* rows */
    const void *x;         /* real[n * n_0] */
    const void *y;         /* real[n * n_y], or NULL when labels are given */
    const int64_t *labels; /* NULL, or int64[n] classes in 0 .. n_y - 1: the same as rows that are 1 there, else 0 */
    const void *weight;    /* NULL (all 1), or real[n] sample weights >= 0 */
} cbp_data;

/* theta := initial weights and biases. rule[l - 1] is the initialiser of layer l, arg[l - 1] its argument; NULL means
 * everywhere the default. The numbers depend on seed, layer and index alone. The orthogonal one allocates double[n_in *
 * n_out] while it works. */
CBP_API cbp_status cbp_init(const cbp_net *net, const cbp_initializer *rule, const double *arg, uint64_t seed,
                            void *theta);

/* out (n, n_L) := outputs for x (n, n_0). Uses theta (not modified), work (PREDICT). n = 0 is fine. */
CBP_API cbp_status cbp_predict(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out);

/* *loss := J of the data. Uses theta (not modified), work (EVALUATE). */
CBP_API cbp_status cbp_evaluate(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss);

/* Activations of x (n, n_0) into the workspace. Uses theta (not modified), work (TRAIN for n rows). */
CBP_API cbp_status cbp_forward(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x);

/* After cbp_forward of the same x: deltas into the workspace (per sample, not weighted, not divided), the gradient of J
 * into grad, J into *loss. Once per forward: the deltas take the place of what forward left. Uses theta (not modified),
 * grad, work. */
CBP_API cbp_status cbp_backward(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss);

/* The two above in one. */
CBP_API cbp_status cbp_gradient(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss);

/* An optimiser: which, its arguments in the table's order, t, the number of updates it has made, and J where the
 * gradient was taken. cbp_epoch sets that; before cbp_update the caller does, for irprop_plus, which alone looks at it.
 */
typedef struct {
    cbp_optimizer kind;
    double arg[CBP_MAX_ARGS];
    int64_t t;
    double loss;
    double clip_value; /* > 0: no element of the gradient is larger in an update; 0 sets no limit */
    double clip_norm;  /* > 0: the whole gradient is not longer; 0 sets no limit */
    double average;    /* > 0: share of itself that the average, the last of the slots, keeps in an update; it begins as
                        * the parameters after the first. 0: there is none */
} cbp_opt;

/* One update of theta in place by grad (not modified unless it is clipped). Uses theta, grad, slots. opt->t grows by
 * one. */
CBP_API cbp_status cbp_update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate);

/* cbp_gradient, and then theta -= learning_rate * grad unless *loss is not finite. Uses theta, grad, work (TRAIN). */
CBP_API cbp_status cbp_step(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double learning_rate,
                            double *loss);

/* What an epoch reports. After CBP_DIVERGED: the batch that was not finite, whose update was not made, and the first
 * layer (1..L) that was not; batch = number of batches when a parameter left the finite range in the last update. */
typedef struct {
    double loss; /* weighted mean (or sum) over all samples, each by the weights before its batch's update */
    int64_t batch;
    int layer;
    double cost, weight; /* sums over the samples of the batches before `batch` */
} cbp_report;

/* One pass: batches of `batch` rows (the last may be shorter), rows in the order order[0..n-1], or 0..n-1 where it is
 * NULL; learning_rate[b] for batch b, or learning_rate[0] for all when one_rate. Uses theta, slots, work (EPOCH for
 * `batch` rows), and grad, which holds nothing of use afterwards. A batch whose weights sum to zero has a zero
 * gradient. */
CBP_API cbp_status cbp_epoch(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                             const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                             cbp_report *report);

/* The same in pieces: goes on with batch report->batch of a report that was {0} at first, and returns CBP_PAUSED after
 * an update that ends later than `seconds` from now (or any, for 0), or is the last of `batches` (0: any number),
 * unless it is the last of the pass. What was passed before is passed again. The bits are those of cbp_epoch. */
CBP_API cbp_status cbp_epoch_for(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                                 const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                                 double seconds, int64_t batches, cbp_report *report);

/* ---- curvature (curve.c) ---- */

typedef enum { CBP_BY_PARAMS, CBP_BY_INPUTS } cbp_variable;

/* jac (n, n_L, n_params), or (n, n_L, n_0) := the derivatives of the outputs for x (n, n_0) by the parameters, those
 * that are fixed excepted, which get 0, or by the inputs. Uses theta (not modified), frozen, mask, work (CURVE). n = 0
 * is fine. */
CBP_API cbp_status cbp_jacobian(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, cbp_variable by,
                                void *jac);

/* What is wanted of an objective J at theta, P = n_params; each is NULL or made. H is the matrix of the second
 * derivatives of J. G, the generalised Gauss-Newton matrix, is H without the second derivatives of the outputs: of the
 * net inputs of the output layer where the loss is computed together with them, or belongs to a row-wise activation.
 * Rows and columns of fixed parameters are 0. */
typedef struct {
    void *gradient;       /* real[P] */
    void *matrix;         /* real[P * P] G, symmetric */
    const void *v;        /* real[P] (not modified), for the two below */
    void *hessian_v;      /* real[P] H v */
    void *gauss_newton_v; /* real[P] G v */
} cbp_curvature;

/* *loss := J of the data, with what `wanted` names. Uses theta (not modified), frozen, mask, work (CURVE, or MATRIX
 * where the matrix is wanted). There is no noise in it.
 * CBP_NO_CURVATURE for anything but the gradient where the loss is your own. */
CBP_API cbp_status cbp_curve(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, const cbp_curvature *wanted,
                             double *loss);

/* ---- dense symmetric systems (solve.c), always in double ---- */

/* Matrices (n, n), vectors [n], n >= 0; what is written lies apart from what is read. pool: NULL, or threads to share
 * the work; they change no bit.
 * cholesky: a, symmetric, of which the lower triangle counts, becomes L, a = L L^T, in its lower triangle; the upper is
 * without influence and left alone. Returns CBP_NOT_POSITIVE, and leaves the lower triangle in no defined state, where
 * a is not positive definite to working precision, or not finite. cholesky_solve: b := a^-1 b. cholesky_inverse:
 * inverse := a^-1, both triangles alike. They read the lower triangle of l, which is L (not modified). */
CBP_API cbp_status cbp_cholesky(int64_t n, double *a, cbp_pool *pool);
CBP_API void cbp_cholesky_solve(int64_t n, const double *l, double *b);
CBP_API void cbp_cholesky_inverse(int64_t n, const double *l, double *inverse, cbp_pool *pool);

/* The sum of x[i] y[i], in 32 interleaved chains, the upper half of which is added to the lower until one is left; out
 * := a x, a dot product for each row. Nothing is modified but out. */
CBP_API double cbp_dot(int64_t n, const double *x, const double *y);
CBP_API void cbp_times(int64_t n, const double *a, const double *x, double *out);

/* A step that L-BFGS remembers: how the parameters changed and how the gradient did, (n,) (not modified), and the
 * product of both, which is positive. */
typedef struct {
    const double *s, *y;
    double product;
} cbp_pair;
/* d[n] := H d, H being the inverse Hessian as far as these steps, the oldest first, tell of it; share[pairs]: room. */
CBP_API void cbp_lbfgs(int64_t n, int pairs, const cbp_pair *pair, double *share, double *d);

/* ---- beside the network ---- */

/* order := a permutation of 0..n-1 that depends on (seed, stream) alone. */
CBP_API cbp_status cbp_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *order);

/* Index of the first element of real[n] that is NaN or infinite, or -1. */
CBP_API int64_t cbp_first_nonfinite(cbp_dtype dtype, int64_t n, const void *x);
/* The same for the plan's dtype, with the threads of a pool or, for NULL, without. */
CBP_API int64_t cbp_net_first_nonfinite(const cbp_net *net, cbp_pool *pool, int64_t n, const void *x);

/* Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011): out := the 128 random bits of this counter and key. */
CBP_API void cbp_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

#ifdef __cplusplus
}
#endif
#endif
