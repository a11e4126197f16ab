/* net.h - the plan from inside, and what the files of the driver ask of each other: plan.c makes what the others read.
 * Not installed. */
#ifndef CBP_NET_H
#define CBP_NET_H

#include "kern.h"
#include "pool.h"

#include <string.h>

typedef struct {
    int n_in, n_out;      /* n_in: of all sources together */
    int64_t theta;        /* offset of theta[l] in the parameter vector */
    int64_t units_before; /* n_1 + .. + n_{l-1} */
    int n_runs;
    const cbp_run *runs;
    int row_wise;                                /* its one activation is a function of the whole row */
    double steepness, dropout, l1, l2, max_norm; /* as in cbp_dense; a steepness of 0 is 1 here */
    int n_sources, feeds;                        /* layers that feed this one; the last one that it feeds */
    const int *sources;                          /* their numbers, rising: l - 1 is the last */
    int64_t joined_before;                       /* inputs of the layers below that have several sources */
} cbp_stage;

/* One loss and its columns of the output layer: a head's, or all where there are no heads (heads.c) */
typedef struct {
    int first, units;      /* its outputs */
    int target, n_targets; /* its targets */
    cbp_loss loss;
    double loss_arg, weight;
    cbp_act act;       /* the activation, where that is */
    int row_wise;      /* a function of the head's whole row */
    int starts_from_z; /* the loss is computed together with its output activation */
    int sees_z;        /* that, or it belongs to its row-wise one: curvature is by s z, not by a */
    int is_flat;       /* its second derivatives by a are 1, for all data */
} cbp_top;

struct cbp_net {
    cbp_dtype dtype;
    size_t real; /* bytes of one */
    int n_in, n_out, n_targets, n_layers, widest;
    int64_t n_params, units; /* units = n_1 + .. + n_L */
    cbp_loss loss;
    double loss_arg;
    int loss_is_head;         /* the loss wants more of the output layer than slopes; as heads may */
    int n_heads, widest_head; /* 0 without heads */
    const cbp_top *top;       /* [n_heads], or one for all of the output layer */
    int missing;              /* targets may be NaN */
    cbp_own_loss *own_loss;   /* instead of loss, unless NULL */
    void *own_ctx;
    double input_noise, input_dropout;
    int is_penalized, has_max_norm; /* some layer */
    int64_t joined;                 /* inputs of all layers that have several sources */
    int single_rows;                /* batches of one row go ways of their own; a test sets 0 to compare */
    size_t online_bytes;            /* of the copy that online.c trains on, or 0: too large */
    cbp_reduction reduction;
    const cbp_kern *k;
    const cbp_stage *stage; /* stage[l], l = 1..L */
};

/* Where things lie in a workspace for m rows (plan.c) */
typedef struct {
    int64_t m;
    int64_t first;    /* which row of a noisy pass is the first here */
    char *a, *d;      /* A^l and D^l, found with cbp_frame_a and _d */
    void *noisy;      /* (m, n_0) inputs of a noisy pass, or NULL where the network leaves them alone */
    void *y;          /* (m, n_targets) targets gathered or made from labels */
    void *head;       /* with heads, (m, 3 widest_head): a head's columns of targets, activations, deltas */
    double *head_c;   /* with heads, [m]: their costs */
    void *scratch;    /* (m, widest) */
    char *e, *joined; /* plans with skips: errors so far, laid out like A; inputs of layers with several sources */
    void *rooms;      /* CBP_MAX_PARTS times CBP_ROOM bytes, or NULL where no layer is wide enough to need it */
    double *c;        /* [m] cost per row */
    void *x, *s;      /* EPOCH: gathered rows and weights */
    int64_t *labels;  /* EPOCH: gathered labels */
    size_t bytes;
} cbp_frame;

enum {
    CBP_BLOCK_ROWS = 256, /* rows at a time in predict and evaluate */
    CBP_CURVE_ROWS = 512, /* rows at a time in curve.c, and terms of a chain there */
    CBP_MAX_PARTS = 32    /* of one product, and so threads, and rooms in a workspace */
};

static inline int64_t cbp_smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t cbp_block_rows(int64_t n) { return cbp_smaller(n, CBP_BLOCK_ROWS); }

/* Element number `index` from `base` on */
static inline void *cbp_at(const cbp_net *net, const void *base, int64_t index) {
    return (char *)base + index * (int64_t)net->real;
}

/* rows x cols from `from` to `to`, whose rows lie so many reals apart */
static inline void cbp_copy_rows(const cbp_net *net, int64_t rows, int64_t cols, const void *from, int64_t from_row,
                                 void *to, int64_t to_row) {
    if (cols == from_row && cols == to_row) cols *= rows, rows = 1;
    for (int64_t i = 0; i < rows; i++)
        memcpy(cbp_at(net, to, i * to_row), cbp_at(net, from, i * from_row), (size_t)cols * net->real);
}

/* Where one thread works in a PREDICT workspace: two buffers take turns as input and output of a layer, or, in plans
 * with skips, hold what is `a` and `joined` in a frame; its room, or all threads' where there is one desk only */
typedef struct {
    char *buffer[2];
    void *rooms;
} cbp_desk;

/* ---- plan.c ---- */

/* Desks for n rows: 1, or as many threads as can share the blocks of rows fairly; one of them */
int cbp_desks(int64_t n);
cbp_desk cbp_desk_at(const cbp_net *net, int64_t n, int desk, void *work);
static inline void *cbp_room(void *rooms, int thread) {
    return rooms ? (char *)rooms + (size_t)thread * CBP_ROOM : NULL;
}
/* The layout for m rows; in it A^l and D^l, l = 1..L, and in plans with skips the errors at layer l, and its inputs */
cbp_frame cbp_frame_at(const cbp_net *net, int64_t m, cbp_mode mode, void *work);
cbp_frame cbp_frame_turned(const cbp_net *net, int64_t m, void *work); /* a, d, e, c, joined alone: for curve.c */
void *cbp_frame_a(const cbp_net *net, const cbp_frame *f, int l);
void *cbp_frame_d(const cbp_net *net, const cbp_frame *f, int l);
void *cbp_frame_e(const cbp_net *net, const cbp_frame *f, int l);
void *cbp_frame_joined(const cbp_net *net, const cbp_frame *f, int l);

/* ---- net.c ---- */

/* Sums over samples: s_r C_r, and s_r */
typedef struct {
    double cost, weight;
} cbp_sums;

/* One batch: forward, backward, and an update by opt unless the cost is not finite. The caller checked everything. */
cbp_sums cbp_batch(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data, cbp_opt *opt,
                   double learning_rate);
double cbp_objective(const cbp_net *net, cbp_sums sums);
cbp_status cbp_check_data(const cbp_net *net, const cbp_data *data);
cbp_data cbp_rows(const cbp_net *net, const cbp_data *data, int64_t start, int64_t n); /* n rows from row `start` */

/* ---- heads.c ---- */

/* Units of layer l = 1..L that share one loss, or a row-wise activation: those of a head, or all */
int cbp_n_spans(const cbp_spec *spec, int l);
cbp_head cbp_span(const cbp_spec *spec, int l, int i);
static inline cbp_act cbp_unit_act(const cbp_dense *d, int j) { return d->unit_act ? d->unit_act[j] : d->act; }

cbp_status cbp_check_heads(const cbp_spec *spec);  /* where they lie, and their weights */
cbp_status cbp_check_losses(const cbp_spec *spec); /* of all spans, whose activations are known to exist */
/* top[] := one for each span; and what the plan keeps of them */
void cbp_fill_heads(cbp_net *net, const cbp_spec *spec, cbp_top *top);

/* c[r] := the cost of m rows; d (m, units) becomes delta (equation 1 of the backward pass). y (m, n_targets), a (m,
 * units) */
void cbp_top_cost(const cbp_net *net, const cbp_top *top, int64_t m, const void *y, const void *a, void *d, double *c);
/* The same for all heads of rows first .. first + m of the frame: y (m, n_targets), a and d (m, n_L), each times its
 * weight */
void cbp_heads_cost(const cbp_net *net, const cbp_frame *f, int64_t first, int64_t m, const void *y, const void *a,
                    void *d, double *c);
/* Where the loss or act_back made the derivative by s z, d (m, units) becomes that by z, which is delta */
void cbp_steepen_delta(const cbp_net *net, const cbp_top *top, int64_t m, void *d);

/* ---- edge.c: the columns of the output layer that belong to one loss, and its derivatives, for curve.c ---- */

/* (m, units) each, but y; s is the steepness of the layer. A direction is a change of z, or what follows from it. */
typedef struct {
    int64_t m;
    void *y;       /* (m, n_targets) */
    void *a, *d;   /* z, then a = g(s z), and g'(s z), or h, what the loss starts from */
    void *u, *w;   /* dC/da, or the derivative by s z where the loss makes that; scratch */
    void *t;       /* a direction */
    void *curving; /* g''(s z), of use to cbp_edge_turn */
} cbp_edge;

/* a and d from z; `curving` if that is not NULL. for_loss: d becomes what the loss starts from */
void cbp_edge_activate(const cbp_net *net, const cbp_top *top, const cbp_edge *e, int for_loss);
/* u, and the costs c[m] */
void cbp_edge_cost(const cbp_net *net, const cbp_top *top, const cbp_edge *e, double *c);
/* t, which holds u, becomes delta = dC/dz; t, a change of z, becomes that of delta; the same for the Gauss-Newton part
 * alone. All of them times the weight of a head. */
void cbp_edge_delta(const cbp_net *net, const cbp_top *top, const cbp_edge *e);
void cbp_edge_turn(const cbp_net *net, const cbp_top *top, const cbp_edge *e);
void cbp_edge_gauss_newton(const cbp_net *net, const cbp_top *top, const cbp_edge *e);
/* t := derivative by z of output j, or, unless by_a, of the net input where the loss is taken to be a function of that;
 * curved: the Hessian of the loss by them, times that */
void cbp_edge_seed(const cbp_net *net, const cbp_top *top, const cbp_edge *e, int j, int by_a, int curved);

/* ---- gemm.c ---- */

/* z (m, n_l) := g(s z), d := s g'(s z); of a layer without row-wise activation */
void cbp_activate(const cbp_net *net, const cbp_stage *s, int64_t m, void *z, void *d);

/* Threads that so much work is worth, with a part for each; the same, with a matrix (m, n) cut into parts of its own;
 * things `first` .. first + count that part `part` gets of n, in whole grains */
cbp_cut cbp_cut_for(cbp_pool *pool, double flops);
cbp_cut cbp_cut_matrix(const cbp_net *net, cbp_cut cut, int64_t m, int64_t n);
void cbp_share(int64_t n, int64_t grain, int part, int parts, int64_t *first, int64_t *count);

/* A layer up: z (m, n_l) := g(bias + a W); d, if not NULL, := g'(z), or log a for a row-wise activation; at the head,
 * where the loss starts from z, d := z, or log a. */
void cbp_up(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, void *z, void *d,
            void *rooms, int head, cbp_pool *pool);

/* An error down: d (m, n_{l-1}), which holds g'(z), becomes (delta W^T) * g'(z). e: room for (m, n_{l-1}), which
 * becomes delta W^T itself where d is NULL */
void cbp_down(const cbp_net *net, const cbp_stage *s, int64_t m, const void *delta, const void *theta, void *e, void *d,
              void *rooms, cbp_pool *pool);

/* What becomes of a gradient, which is the sum over the samples times `factor`, and `penalty` times that of the layer's
 * penalty: it is kept in mem->grad, or, with an optimiser, used for an update at once (mem->grad then holds nothing of
 * use) */
typedef struct {
    const cbp_opt *opt;
    double learning_rate, factor, penalty;
} cbp_use;

/* g (n_{l-1} + 1, n_l) := factor * [1 a]^T delta: one part of it */
typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    const cbp_stage *s;
    const cbp_use *use;
    int64_t m;
    const void *a, *delta;
    void *room;
} cbp_tn_job;
void cbp_tn_part(const cbp_tn_job *tn, int part, int parts);

/* ---- noise.c, of use where mem->noise is not NULL ---- */

/* Makes the inputs of a noisy pass from x, and returns them, or x where nothing is to be done; returns those that have
 * been made */
const void *cbp_noisy_inputs(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const void *x);
const void *cbp_inputs_made(const cbp_mem *mem, const cbp_frame *f, const void *x);
void cbp_drop(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, int l); /* dropout of A^l and D^l */

/* ---- join.c: layers with several sources, and their sources ---- */

/* What layer l is fed with, for all rows: the outputs of its source, or of all of them side by side in the frame */
static inline const void *cbp_inputs(const cbp_net *net, const cbp_frame *f, const void *x, int l) {
    return net->stage[l].n_sources > 1 ? cbp_frame_joined(net, f, l) : l > 1 ? cbp_frame_a(net, f, l - 1) : x;
}

/* Puts rows first .. first + m of them side by side where there are several */
void cbp_join(const cbp_net *net, const cbp_frame *f, const void *x, int l, int64_t first, int64_t m, cbp_pool *pool);

/* An error down to all sources of layer l but the inputs, for rows first .. first + m: it is added to what the layers
 * above l have sent there, e^k = (.. (the last layer's part) + .. ) + layer l's part; and in a layer k whose errors are
 * all there, which is when l = k + 1, D^k, which holds g'(z), becomes e^k * g'(z) */
void cbp_split(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, int l, int64_t first, int64_t m, void *room,
               cbp_pool *pool);

/* ---- curve.c ---- */

size_t cbp_curve_bytes(const cbp_net *net, int64_t n, cbp_mode mode); /* cbp_work_bytes of CURVE and MATRIX */

/* ---- online.c ---- */

/* Trains on the first n rows of an epoch one by one, as batches of one row would, and returns how many it
 * made: those before the first whose cost is not finite, or none where it does not apply. The last row of all is for
 * the general path, which leaves gradient, activations and report behind. Adds to *sums. Its copy of the parameters
 * lies behind the frame of an EPOCH workspace. */
size_t cbp_online_bytes(const cbp_net *net);
int64_t cbp_online(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data, const int64_t *order,
                   int64_t n, const double *learning_rate, int one_rate, cbp_sums *sums);

/* ---- limit.c ---- */

/* Layer l is not trained; the first that is, or n_layers + 1; grad := 0 in those that are not */
static inline int cbp_is_frozen(const cbp_mem *mem, int l) { return mem->frozen && mem->frozen[l - 1]; }
int cbp_lowest_trained(const cbp_net *net, const cbp_mem *mem);
void cbp_clear_frozen(const cbp_net *net, const cbp_mem *mem);

/* What the weights cost a sample; a block of a penalised layer's gradient made complete, factor included: `row` its
 * first row, 0 being the bias, at element `at` of the parameters */
double cbp_penalty(const cbp_net *net, const void *theta);
void cbp_penalize(const cbp_tn_job *tn, int64_t row, int64_t at, int64_t rows, int64_t cols, void *g, int64_t ldg);

/* A step of the optimiser on a rectangle of the parameters at element `at`, rows ld apart, from g, rows ldg apart.
 * Where the mask is 0 parameters and state stay: cbp_hold is for memories that have one. */
void cbp_hold(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, int64_t at, int64_t rows, int64_t cols,
              int64_t ld, const void *g, int64_t ldg);
static inline void cbp_move(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, int64_t at, int64_t rows,
                            int64_t cols, int64_t ld, const void *g, int64_t ldg) {
    const cbp_opt *opt = use->opt;
    if (mem->mask)
        cbp_hold(net, mem, use, at, rows, cols, ld, g, ldg);
    else
        net->k->opt[opt->kind](rows, cols, ld, opt->arg, use->learning_rate, opt->t, opt->loss,
                               cbp_at(net, mem->theta, at), use->factor, g, ldg,
                               mem->slots ? cbp_at(net, mem->slots, at) : NULL, net->n_params);
}

/* Whether the whole gradient must be known before an update; grad clipped; what follows an update that is complete;
 * whether mem->slots is read; whether there is something that online.c knows nothing of */
static inline int cbp_clips(const cbp_opt *opt) { return opt->clip_value > 0 || opt->clip_norm > 0; }
void cbp_clip(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt);
void cbp_limit(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt);
static inline void cbp_settle(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    if (net->has_max_norm || opt->average > 0) cbp_limit(net, mem, opt);
}
int cbp_needs_slots(const cbp_opt *opt);
int cbp_is_limited(const cbp_mem *mem, const cbp_opt *opt);

/* ---- rng.c ---- */

/* What numbers are for. Numbers of one purpose do not depend on how many another takes. CBP_FUNCTIONS is Python's. */
typedef enum { CBP_WEIGHTS, CBP_ORDER, CBP_FUNCTIONS, CBP_DROPOUT, CBP_INPUT_DROPOUT, CBP_INPUT_NOISE } cbp_purpose;

typedef struct {
    uint64_t seed, stream;
    cbp_purpose purpose;
} cbp_stream;

/* Counter and key of the four words of block `block` (below 2^48) of a stream, for cbp_philox */
void cbp_stream_block(const cbp_stream *s, uint64_t block, uint32_t counter[4], uint32_t key[2]);
/* Number i (below 2^48) of a stream: uniform in (0, 1), or standard normal; k: the kernels of double of any instruction
 * set */
double cbp_uniform(const cbp_stream *s, uint64_t i);
double cbp_normal(const cbp_stream *s, uint64_t i, const cbp_kern *k);

#endif
