/* net.c - forward, backward, gradient as sequences of kernel calls over void pointers and offsets.
 *
 * Called by the front ends and train.c; calls gemm.c and the kernel table. No number is touched here but the sums of a
 * batch. Two arrays per layer: A holds z, then a = g(z); D holds g'(z) on the way up and becomes delta on the way down.
 */
#include "net.h"
#include "prim.h"

#include <string.h>

/* ---- up ---- */

/* a: z -> g(z), run by run; d := g'(z), or log a for a row-wise activation, unless NULL */
static void activate(const cbp_net *net, const cbp_stage *s, int64_t m, char *a, char *d) {
    for (int i = 0; i < s->n_runs; i++) {
        const cbp_run *run = &s->runs[i];
        const size_t skip = (size_t)run->first * net->real;
        net->k->act[run->act](m, run->count, s->n_out, run->arg, a + skip, d ? d + skip : NULL);
    }
}

/* The output layer before a loss that starts from z: d keeps h, which is z, or log a for a row-wise activation */
static void activate_head(const cbp_net *net, const cbp_stage *s, int64_t m, char *a, char *d) {
    if (s->row_wise) {
        activate(net, s, m, a, d);
    } else {
        memcpy(d, a, (size_t)m * (size_t)s->n_out * net->real);
        activate(net, s, m, a, NULL);
    }
}

/* One row: product and activation at once where the layer has one activation, unit by unit */
static void row_up(const cbp_net *net, const cbp_stage *s, const void *a, const void *theta, int head, void *z,
                   void *d) {
    const cbp_run *run = s->n_runs == 1 && !s->row_wise ? s->runs : NULL;
    net->k->row_up(s->n_in, s->n_out, a, theta, run, head, z, d);
    if (!run) (head ? activate_head : activate)(net, s, 1, z, d);
}

/* z := what a becomes in the layer, d := its slope or, at the head, what the loss starts from */
static void layer_up(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *theta, int head,
                     void *z, void *d) {
    theta = cbp_at(theta, s->theta, net->real);
    if (m == 1 && net->single_rows) {
        row_up(net, s, a, theta, head, z, d);
    } else {
        cbp_nn(net, s, m, a, theta, z);
        (head ? activate_head : activate)(net, s, m, z, d);
    }
}

static void forward(const cbp_net *net, const void *theta, const cbp_frame *f, const void *x) {
    const void *a = x;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        char *const z = cbp_frame_a(net, f, l), *const d = cbp_frame_d(net, f, l);
        layer_up(net, s, f->m, a, theta, l == net->n_layers && net->loss_is_head, z, d);
        a = z;
    }
}

/* One block of at most CBP_BLOCK_ROWS rows; the last layer writes to out */
static void predict_block(const cbp_net *net, const cbp_mem *mem, int64_t m, const void *x, void *out) {
    char *buffer[2] = {mem->work, (char *)mem->work + cbp_predict_buffer(net, m)};
    const void *a = x;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const z = l == net->n_layers ? out : buffer[l % 2];
        layer_up(net, s, m, a, mem->theta, 0, z, NULL);
        a = z;
    }
}

cbp_status cbp_predict(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out) {
    if (!net || !mem || !mem->theta || !mem->work || (n > 0 && (!x || !out))) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    for (int64_t r = 0; r < n; r += CBP_BLOCK_ROWS)
        predict_block(net, mem, cbp_block_rows(n - r), cbp_at(x, r * net->n_in, net->real),
                      (char *)out + (size_t)r * (size_t)net->n_out * net->real);
    cbp_fp_leave(mode);
    return CBP_OK;
}

/* ---- the cost ---- */

/* sums += the costs of the batch; the output's d becomes delta (equation 1 of the backward pass) */
static void cost(const cbp_net *net, const cbp_frame *f, const cbp_data *data, cbp_sums *sums) {
    const cbp_stage *s = &net->stage[net->n_layers];
    const cbp_act act = s->runs[0].act;
    const void *y = data->y;
    if (data->labels) {
        net->k->one_hot(f->m, net->n_out, data->labels, f->y);
        y = f->y;
    }
    void *const a = cbp_frame_a(net, f, net->n_layers), *const d = cbp_frame_d(net, f, net->n_layers);
    net->k->loss[net->loss](f->m, net->n_out, net->loss_arg, y, a, d, !s->row_wise, f->c);
    if (!net->loss_is_head && s->row_wise) net->k->act_back[act](f->m, net->n_out, a, d);
    net->k->weighted_sum(f->m, data->weight, f->c, &sums->cost, &sums->weight);
}

double cbp_objective(const cbp_net *net, cbp_sums sums) {
    return net->reduction == CBP_SUM ? sums.cost : sums.weight > 0 ? sums.cost / sums.weight : 0;
}

/* Targets there, labels in range */
cbp_status cbp_check_data(const cbp_net *net, const cbp_data *data) {
    if (data->n < 1) return CBP_BAD_COUNT;
    if (!data->x || (!data->y && !data->labels)) return CBP_NULL_ARGUMENT;
    for (int64_t r = 0; data->labels && r < data->n; r++)
        if (data->labels[r] < 0 || data->labels[r] >= net->n_out) return CBP_BAD_LABEL;
    return CBP_OK;
}

/* n of the rows, from row `start` */
cbp_data cbp_rows(const cbp_net *net, const cbp_data *data, int64_t start, int64_t n) {
    return (cbp_data){
        .n = n,
        .x = cbp_at(data->x, start * net->n_in, net->real),
        .y = data->y ? cbp_at(data->y, start * net->n_out, net->real) : NULL,
        .labels = data->labels ? data->labels + start : NULL,
        .weight = data->weight ? cbp_at(data->weight, start, net->real) : NULL,
    };
}

cbp_status cbp_evaluate(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) {
    if (!net || !mem || !mem->theta || !mem->work || !data || !loss) return CBP_NULL_ARGUMENT;
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    cbp_sums sums = {0, 0};
    for (int64_t r = 0; r < data->n; r += CBP_BLOCK_ROWS) {
        const cbp_data block = cbp_rows(net, data, r, cbp_block_rows(data->n - r));
        const cbp_frame f = cbp_frame_at(net, block.n, CBP_EVALUATE, mem->work);
        forward(net, mem->theta, &f, block.x);
        cost(net, &f, &block, &sums);
    }
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

/* ---- down ---- */

enum { MOST_UNTURNED = 1 << 16 }; /* weights up to which a single row does better without W transposed */

static void row_gradient(const cbp_net *net, const cbp_stage *s, int64_t m, const void *a, const void *delta, void *g) {
    (void)m;
    net->k->row_gradient(s->n_in, s->n_out, a, delta, g);
}

/* grad := sum_r s_r a_r delta_r for layer l; then the delta of the layer below: (delta W^T) * g' (equations 2 and 3) */
static void layer_down(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data, int l) {
    const cbp_stage *s = &net->stage[l];
    const void *below = l > 1 ? cbp_frame_a(net, f, l - 1) : data->x;
    const void *delta = cbp_frame_d(net, f, l), *weighted = delta;
    if (data->weight) {
        net->k->scale_rows(f->m, s->n_out, data->weight, delta, f->scratch);
        weighted = f->scratch;
    }
    const int single = f->m == 1 && net->single_rows;
    (single ? row_gradient : cbp_tn)(net, s, f->m, below, weighted, (char *)mem->grad + (size_t)s->theta * net->real);
    if (l == 1) return;
    if (single && (int64_t)s->n_in * s->n_out <= MOST_UNTURNED) {
        net->k->row_down(s->n_in, s->n_out, delta, cbp_at(mem->theta, s->theta, net->real), f->scratch,
                         cbp_frame_d(net, f, l - 1));
        return;
    }
    cbp_nt(net, s, f->m, delta, cbp_at(mem->theta, s->theta, net->real), f->turned, f->scratch);
    net->k->multiply(f->m * s->n_in, f->scratch, cbp_frame_d(net, f, l - 1));
}

static cbp_sums backward(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data) {
    cbp_sums sums = {0, 0};
    cost(net, f, data, &sums);
    for (int l = net->n_layers; l >= 1; l--) layer_down(net, mem, f, data, l);
    const double factor = net->reduction == CBP_SUM ? 1 : sums.weight > 0 ? 1 / sums.weight : 0;
    if (factor != 1) net->k->scale(net->n_params, factor, mem->grad);
    return sums;
}

cbp_sums cbp_batch(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data) {
    forward(net, mem->theta, f, data->x);
    return backward(net, mem, f, data);
}

cbp_status cbp_forward(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x) {
    if (!net || !mem || !mem->theta || !mem->work || !x) return CBP_NULL_ARGUMENT;
    if (n < 1) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_frame f = cbp_frame_at(net, n, CBP_TRAIN, mem->work);
    forward(net, mem->theta, &f, x);
    cbp_fp_leave(mode);
    return CBP_OK;
}

typedef cbp_sums (*pass_fn)(const cbp_net *, const cbp_mem *, const cbp_frame *, const cbp_data *);

/* backward alone, or the whole batch, behind the same checks */
static cbp_status run_pass(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss, pass_fn pass) {
    if (!net || !mem || !mem->theta || !mem->grad || !mem->work || !data || !loss) return CBP_NULL_ARGUMENT;
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_frame f = cbp_frame_at(net, data->n, CBP_TRAIN, mem->work);
    const cbp_sums sums = pass(net, mem, &f, data);
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

cbp_status cbp_backward(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) {
    return run_pass(net, mem, data, loss, backward);
}

cbp_status cbp_gradient(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) {
    return run_pass(net, mem, data, loss, cbp_batch);
}
