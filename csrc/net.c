/* net.c - forward, backward, gradient as sequences of kernel calls over void pointers and offsets.
 *
 * Called by the front ends and train.c; calls gemm.c, noise.c, limit.c and the kernel table. No number is touched here
 * but the sums of a batch. Two arrays per layer: A holds z, then a = g(z); D holds g'(z) on the way up and becomes
 * delta on the way down.
 */
#include "net.h"
#include "prim.h"

#include <math.h>

/* What the output layer is worth, for cbp_cut_for: activation and cost of one output; narrow products are slow */
#define HEAD_FLOPS 400
#define HEAD_PRODUCT_FLOPS 10

/* ---- up ---- */

/* Rows first .. first + m of layer l, from those of the layer below */
static void layer_up(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const void *x, int l, int64_t first,
                     int64_t m, void *room, cbp_pool *pool) {
    const cbp_stage *s = &net->stage[l];
    const int head = l == net->n_layers && net->loss_is_head;
    if (s->n_sources > 1) cbp_join(net, f, x, l, first, m, pool);
    const void *a = cbp_at(net, cbp_inputs(net, f, x, l), first * s->n_in);
    void *const z = cbp_at(net, cbp_frame_a(net, f, l), first * s->n_out);
    void *const d = cbp_at(net, cbp_frame_d(net, f, l), first * s->n_out);
    cbp_up(net, s, m, a, cbp_at(net, mem->theta, s->theta), z, d, room, head, pool);
}

static void forward(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const void *x, int layers) {
    for (int l = 1; l <= layers; l++) {
        layer_up(net, mem, f, x, l, 0, f->m, f->rooms, mem->pool);
        if (mem->noise) cbp_drop(net, mem, f, l);
    }
}

typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    int64_t n;
    const void *x;
    void *out;
    cbp_cut cut;
    cbp_pool *pool; /* for each block */
} predict_job;

static void *output_of(const predict_job *job, int64_t first) {
    return cbp_at(job->net, job->out, first * job->net->n_out);
}

/* The same as below for a plan with skips, which needs the outputs of all layers */
static void predict_joined(const predict_job *job, int64_t first, int64_t m, const cbp_desk *at) {
    const cbp_net *net = job->net;
    const cbp_frame f = {.m = m, .a = at->buffer[0], .joined = at->buffer[1]};
    const void *const x = cbp_at(net, job->x, first * net->n_in);
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const z = l < net->n_layers ? cbp_frame_a(net, &f, l) : output_of(job, first);
        if (s->n_sources > 1) cbp_join(net, &f, x, l, 0, m, job->pool);
        cbp_up(net, s, m, cbp_inputs(net, &f, x, l), cbp_at(net, job->mem->theta, s->theta), z, NULL, at->rooms, 0,
               job->pool);
    }
}

/* At most CBP_BLOCK_ROWS rows from row `first`, at one of the workspace's desks; the last layer writes to out */
static void predict_block(const predict_job *job, int64_t first, int desk) {
    const cbp_net *net = job->net;
    const int64_t m = cbp_block_rows(job->n - first);
    const cbp_desk at = cbp_desk_at(net, job->n, desk, job->mem->work);
    const void *a = cbp_at(net, job->x, first * net->n_in);
    if (net->joined) {
        predict_joined(job, first, m, &at);
        return;
    }
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const z = l < net->n_layers ? at.buffer[l % 2] : output_of(job, first);
        cbp_up(net, s, m, a, cbp_at(net, job->mem->theta, s->theta), z, NULL, at.rooms, 0, job->pool);
        a = z;
    }
}

/* A share of the blocks */
static void predict_part(void *ctx, int part, int thread) {
    const predict_job *job = ctx;
    int64_t first, rows;
    cbp_share(job->n, CBP_BLOCK_ROWS, part, job->cut.parts, &first, &rows);
    for (int64_t r = first; r < first + rows; r += CBP_BLOCK_ROWS) predict_block(job, r, thread);
}

/* Threads share the rows where there are blocks for all of them, else the work on each block */
cbp_status cbp_predict(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out) {
    if (!net || !mem || !mem->theta || !mem->work || (n > 0 && (!x || !out))) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    const int64_t blocks = (n + CBP_BLOCK_ROWS - 1) / CBP_BLOCK_ROWS;
    predict_job job = {net, mem, n, x, out, cbp_cut_for(mem->pool, 2.0 * (double)n * (double)net->n_params), NULL};
    job.cut.parts = (int)cbp_smaller(blocks, CBP_MOST_PARTS);
    if (job.cut.threads > cbp_desks(n)) job.cut.threads = 1, job.pool = mem->pool;
    cbp_pool_run(job.pool ? NULL : mem->pool, job.cut, predict_part, &job);
    cbp_fp_leave(mode);
    return CBP_OK;
}

/* ---- the cost ---- */

/* The user's loss: d (m, n_L), which holds g'(z), becomes delta. One thread at a time is here, so that all of
 * f->scratch is free. */
static void own_cost(const cbp_net *net, const cbp_frame *f, int64_t m, const void *y, const void *a, void *d,
                     double *c) {
    if (net->stage[net->n_layers].row_wise) {
        net->own_loss(net->own_ctx, m, net->n_out, y, a, c, d);
        net->k->act_back[net->top->act](m, net->n_out, a, d);
        cbp_steepen_delta(net, net->top, m, d);
        return;
    }
    net->own_loss(net->own_ctx, m, net->n_out, y, a, c, f->scratch);
    net->k->multiply(m, net->n_out, f->scratch, net->n_out, d, net->n_out);
}

/* f->c[r] := the cost of rows first .. first + m; the output's d becomes delta (equation 1 of the backward pass) */
static void cost(const cbp_net *net, const cbp_frame *f, const cbp_data *data, int64_t first, int64_t m) {
    void *const y = cbp_at(net, data->labels ? f->y : data->y, first * net->n_targets);
    const void *a = cbp_at(net, cbp_frame_a(net, f, net->n_layers), first * net->n_out);
    void *const d = cbp_at(net, cbp_frame_d(net, f, net->n_layers), first * net->n_out);
    if (data->labels) net->k->one_hot(m, net->n_targets, data->labels + first, y);
    if (net->own_loss)
        own_cost(net, f, m, y, a, d, f->c + first);
    else if (net->n_heads)
        cbp_heads_cost(net, f, first, m, y, a, d, f->c + first);
    else
        cbp_top_cost(net, net->top, m, y, a, d, f->c + first);
}

double cbp_objective(const cbp_net *net, cbp_sums sums) {
    return net->reduction == CBP_SUM ? sums.cost : sums.weight > 0 ? sums.cost / sums.weight : 0;
}

/* Targets there, labels in range */
cbp_status cbp_check_data(const cbp_net *net, const cbp_data *data) {
    if (data->n < 1) return CBP_BAD_COUNT;
    if (!data->x || (!data->y && !data->labels)) return CBP_NULL_ARGUMENT;
    for (int64_t r = 0; data->labels && r < data->n; r++)
        if (data->labels[r] < 0 || data->labels[r] >= net->n_targets) return CBP_BAD_LABEL;
    return CBP_OK;
}

/* n of the rows, from row `start` */
cbp_data cbp_rows(const cbp_net *net, const cbp_data *data, int64_t start, int64_t n) {
    return (cbp_data){
        .n = n,
        .x = cbp_at(net, data->x, start * net->n_in),
        .y = data->y ? cbp_at(net, data->y, start * net->n_targets) : NULL,
        .labels = data->labels ? data->labels + start : NULL,
        .weight = data->weight ? cbp_at(net, data->weight, start) : NULL,
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
        cbp_frame f = cbp_frame_at(net, block.n, CBP_EVALUATE, mem->work);
        f.first = r;
        forward(net, mem, &f, cbp_noisy_inputs(net, mem, &f, block.x), net->n_layers);
        cost(net, &f, &block, 0, block.n);
        net->k->weighted_sum(block.n, block.weight, f.c, &sums.cost, &sums.weight);
    }
    if (net->is_penalized) sums.cost += sums.weight * cbp_penalty(net, mem->theta);
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

/* ---- down ---- */

/* Rows first .. first + m of the delta below layer l: (delta W^T) * g' (equation 2) */
static void layer_down(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, int l, int64_t first, int64_t m,
                       void *room, cbp_pool *pool) {
    const cbp_stage *s = &net->stage[l];
    if (s->n_sources > 1 || net->stage[l - 1].feeds > l) {
        cbp_split(net, mem, f, l, first, m, room, pool);
        return;
    }
    const int64_t in = first * s->n_in;
    const void *delta = cbp_at(net, cbp_frame_d(net, f, l), first * s->n_out);
    cbp_down(net, s, m, delta, cbp_at(net, mem->theta, s->theta), cbp_at(net, f->scratch, in),
             cbp_at(net, cbp_frame_d(net, f, l - 1), in), room, pool);
}

typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    const cbp_frame *f;
    const cbp_data *data;
    const cbp_use *use;
    int first, last; /* layers */
    int up, down;
    cbp_cut cut;
} batch_job;

/* A share of the rows at the output: its activations if they are wanted, costs, deltas, the deltas below if wanted */
static void head_part(void *ctx, int part, int thread) {
    const batch_job *job = ctx;
    const int l = job->net->n_layers;
    void *const room = cbp_room(job->f->rooms, thread);
    int64_t first, m;
    cbp_share(job->f->m, 1, part, job->cut.parts, &first, &m);
    if (job->up) layer_up(job->net, job->mem, job->f, job->data->x, l, first, m, room, NULL);
    cost(job->net, job->f, job->data, first, m);
    if (job->down) layer_down(job->net, job->mem, job->f, l, first, m, room, NULL);
}

/* A share of the gradients of the layers last .. first, and of their updates (equation 3) */
static void gradient_part(void *ctx, int part, int thread) {
    const batch_job *job = ctx;
    const cbp_net *net = job->net;
    for (int l = job->last; l >= job->first; l--) {
        if (cbp_is_frozen(job->mem, l)) continue;
        const void *delta = job->data->weight ? job->f->scratch : cbp_frame_d(net, job->f, l);
        const void *below = cbp_inputs(net, job->f, job->data->x, l);
        const cbp_tn_job tn = {net,       job->mem, &net->stage[l], job->use,
                               job->f->m, below,    delta,          cbp_room(job->f->rooms, thread)};
        cbp_tn_part(&tn, part, job->cut.parts);
    }
}

static void run_gradient(batch_job *job, int first, int last) {
    const cbp_net *net = job->net;
    double weights = 0, most = 0;
    const cbp_stage *largest = NULL;
    for (int l = first; l <= last; l++) {
        const double here = (double)net->stage[l].n_in * net->stage[l].n_out;
        weights += here;
        if (here > most) most = here, largest = &net->stage[l];
    }
    job->first = first;
    job->last = last;
    job->cut = cbp_cut_for(job->mem->pool, 2.0 * (double)job->f->m * weights);
    job->cut = cbp_cut_matrix(net, job->cut, largest->n_in, largest->n_out);
    cbp_pool_run(job->mem->pool, job->cut, gradient_part, job);
}

/* sum_r s_r a_r delta_r of the layers from the lowest up; with weights one layer at a time, since they share one place
 * for s_r delta_r */
static void gradients(batch_job *job, int lowest) {
    const cbp_net *net = job->net;
    if (!job->data->weight) {
        if (lowest <= net->n_layers) run_gradient(job, lowest, net->n_layers);
        return;
    }
    for (int l = net->n_layers; l >= lowest; l--) {
        net->k->scale_rows(job->f->m, net->stage[l].n_out, job->data->weight, cbp_frame_d(net, job->f, l),
                           job->f->scratch);
        run_gradient(job, l, l);
    }
}

/* Whether threads share the rows of the output layer, not its columns */
static int narrow_output(const cbp_net *net) { return net->n_out < 4 * net->k->panel; }

/* After forward of all layers, or of all but the output where `up` is to make that: costs, deltas, gradient, and the
 * update by opt, unless that is NULL or the cost not finite. With an update, nothing is made that no trained layer
 * needs. */
static cbp_sums backward(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data, int up,
                         cbp_opt *opt, double learning_rate) {
    const int narrow = narrow_output(net), l = net->n_layers, lowest = opt ? cbp_lowest_trained(net, mem) : 1;
    batch_job job = {.net = net, .mem = mem, .f = f, .data = data, .up = up, .down = narrow && l > lowest};
    const double products = (double)(job.up + job.down) * HEAD_PRODUCT_FLOPS * net->stage[l].n_in;
    job.cut = cbp_cut_for(mem->pool, (double)(f->m * net->n_out) * (products + HEAD_FLOPS));
    if (net->own_loss) job.cut = (cbp_cut){1, 1}; /* in the thread that called */
    cbp_pool_run(mem->pool, job.cut, head_part, &job);
    cbp_sums sums = {0, 0};
    net->k->weighted_sum(f->m, data->weight, f->c, &sums.cost, &sums.weight);
    if (net->is_penalized) sums.cost += sums.weight * cbp_penalty(net, mem->theta);
    if (opt && !isfinite(sums.cost)) return sums;
    if (opt) opt->t++, opt->loss = cbp_objective(net, sums);
    const double factor = net->reduction == CBP_SUM ? 1 : sums.weight > 0 ? 1 / sums.weight : 0;
    const double penalty = net->reduction == CBP_SUM ? sums.weight : sums.weight > 0;
    const cbp_use use = {opt, learning_rate, factor, penalty};
    job.use = &use;
    for (int k = narrow ? l - 1 : l; k > lowest; k--) layer_down(net, mem, f, k, 0, f->m, f->rooms, mem->pool);
    gradients(&job, lowest);
    if (!opt && mem->frozen) cbp_clear_frozen(net, mem);
    return sums;
}

cbp_sums cbp_batch(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data, cbp_opt *opt,
                   double learning_rate) {
    const int up = narrow_output(net);
    cbp_data rows = *data;
    rows.x = cbp_noisy_inputs(net, mem, f, data->x);
    forward(net, mem, f, rows.x, net->n_layers - up);
    return backward(net, mem, f, &rows, up, opt, learning_rate);
}

cbp_status cbp_forward(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x) {
    if (!net || !mem || !mem->theta || !mem->work || !x) return CBP_NULL_ARGUMENT;
    if (n < 1) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_frame f = cbp_frame_at(net, n, CBP_TRAIN, mem->work);
    forward(net, mem, &f, cbp_noisy_inputs(net, mem, &f, x), net->n_layers);
    cbp_fp_leave(mode);
    return CBP_OK;
}

/* backward alone, or the whole batch, behind the same checks */
static cbp_status run_pass(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss, int whole) {
    if (!net || !mem || !mem->theta || !mem->grad || !mem->work || !data || !loss) return CBP_NULL_ARGUMENT;
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    const cbp_frame f = cbp_frame_at(net, data->n, CBP_TRAIN, mem->work);
    cbp_data rows = *data;
    if (!whole) rows.x = cbp_inputs_made(mem, &f, data->x);
    const cbp_sums sums = whole ? cbp_batch(net, mem, &f, data, NULL, 0) : backward(net, mem, &f, &rows, 0, NULL, 0);
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

cbp_status cbp_backward(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) {
    return run_pass(net, mem, data, loss, 0);
}

cbp_status cbp_gradient(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double *loss) {
    return run_pass(net, mem, data, loss, 1);
}
