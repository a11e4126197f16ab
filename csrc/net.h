/* net.h - the plan from inside: what plan.c makes and net.c, gemm.c, train.c, rng.c read. Not installed. */
#ifndef CBP_NET_H
#define CBP_NET_H

#include "kern.h"

/* Consecutive units of one layer that share an activation */
typedef struct {
    int first, count;
    cbp_act act;
    double arg;
} cbp_run;

typedef struct {
    int n_in, n_out;
    int64_t theta;        /* offset of theta[l] in the parameter vector */
    int64_t units_before; /* n_1 + .. + n_{l-1} */
    int n_runs;
    const cbp_run *runs;
    int row_wise; /* its one activation is a function of the whole row */
} cbp_stage;

struct cbp_net {
    cbp_dtype dtype;
    size_t real; /* bytes of one */
    int n_in, n_out, n_layers, widest;
    int64_t n_params, units, largest_weights; /* units = n_1 + .. + n_L; largest_weights = max n_{l-1} n_l, l >= 2 */
    cbp_loss loss;
    double loss_arg;
    int loss_is_head;
    cbp_reduction reduction;
    const cbp_kern *k;
    const cbp_stage *stage; /* stage[l], l = 1..L */
};

/* Where things lie in a workspace for m rows (plan.c) */
typedef struct {
    int64_t m;
    char *a, *d;     /* A^l and D^l, found with cbp_frame_a and _d */
    void *y;         /* (m, n_L) targets gathered or made from labels */
    void *scratch;   /* (m, widest) */
    void *turned;    /* W^l transposed */
    double *c;       /* [m] cost per row */
    void *x, *s;     /* EPOCH: gathered rows and weights */
    int64_t *labels; /* EPOCH: gathered labels */
    size_t bytes;
} cbp_frame;

enum { CBP_BLOCK_ROWS = 256 }; /* rows at a time in predict and evaluate */
static inline int64_t cbp_block_rows(int64_t n) { return n < CBP_BLOCK_ROWS ? n : CBP_BLOCK_ROWS; }

/* plan.c: bytes of one of predict's two buffers, which take turns as input and output of a layer; the layout for m
 * rows; A^l and D^l in it, l = 1..L */
size_t cbp_predict_buffer(const cbp_net *net, int64_t rows);
cbp_frame cbp_frame_at(const cbp_net *net, int64_t m, cbp_mode mode, void *work);
void *cbp_frame_a(const cbp_net *net, const cbp_frame *f, int l);
void *cbp_frame_d(const cbp_net *net, const cbp_frame *f, int l);

/* Sums over samples: s_r C_r, and s_r */
typedef struct {
    double cost, weight;
} cbp_sums;

/* One batch: forward, backward, gradient in mem->grad. The caller checked everything. */
cbp_sums cbp_batch(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data);
double cbp_objective(const cbp_net *net, cbp_sums sums);
cbp_status cbp_check_data(const cbp_net *net, const cbp_data *data);
cbp_data cbp_rows(const cbp_net *net, const cbp_data *data, int64_t start, int64_t n); /* n rows from row `start` */

static inline const void *cbp_at(const void *base, int64_t elements, size_t real) {
    return (const char *)base + elements * (int64_t)real;
}

/* gemm.c: z (m, n_l) := bias + a W;  e (m, n_{l-1}) := delta W^T;  g (n_{l-1} + 1, n_l) := [1 a]^T delta */
void cbp_nn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, void *z);
void cbp_nt(const cbp_net *net, const cbp_stage *s, int64_t m, const void *delta, const void *theta, void *turned,
            void *e);
void cbp_tn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *delta, void *g);

#endif
