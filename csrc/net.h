/* net.h - the plan from inside: what plan.c makes and net.c, gemm.c, train.c, rng.c read. Not installed. */
#ifndef CBP_NET_H
#define CBP_NET_H

#include "kern.h"

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
    int single_rows;     /* batches of one row go ways of their own; a test sets 0 to compare */
    size_t online_bytes; /* of the copy that online.c trains on, or 0: too large */
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

/* online.c: trains on the rows of an epoch one by one, as batches of one row would, and returns how many it made: all
 * but the last, or those before the first whose cost is not finite, or none where it does not apply. What follows is
 * for the general path, which leaves gradient, activations and report behind. Adds to *sums. Its copy of the parameters
 * lies behind the frame of an EPOCH workspace. */
size_t cbp_online_bytes(const cbp_net *net);
int64_t cbp_online(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data, const int64_t *order,
                   const double *learning_rate, int one_rate, cbp_sums *sums);

/* gemm.c: z (m, n_l) := bias + a W;  e (m, n_{l-1}) := delta W^T;  g (n_{l-1} + 1, n_l) := [1 a]^T delta */
void cbp_nn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, void *z);
void cbp_nt(const cbp_net *net, const cbp_stage *s, int64_t m, const void *delta, const void *theta, void *turned,
            void *e);
void cbp_tn(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *delta, void *g);

#endif
