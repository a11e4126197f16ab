/* limit.c - what holds an update back: penalties on weights, parameters and layers that are fixed, clipped gradients,
 * weights of limited length; and the average that follows the parameters.
 *
 * Called by net.c for the cost, by gemm.c where a block of a gradient is complete, by train.c before and after an
 * update; calls the kernel table. A network, memory or optimiser without such a thing passes by at once.
 */
#include "net.h"

#include <math.h>
#include <string.h>

/* What these are worth, for cbp_cut_for: a weight looked at and shortened, an average moved */
#define SHORTEN_FLOPS 8
#define AVERAGE_FLOPS 16

/* ---- which parameters are trained ---- */

int cbp_lowest_trained(const cbp_net *net, const cbp_mem *mem) {
    int l = 1;
    while (l <= net->n_layers && cbp_is_frozen(mem, l)) l++;
    return l;
}

/* grad := 0 in the frozen layers */
void cbp_clear_frozen(const cbp_net *net, const cbp_mem *mem) {
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        const size_t size = ((size_t)s->n_in + 1) * (size_t)s->n_out;
        if (cbp_is_frozen(mem, l)) memset(cbp_at(net, mem->grad, s->theta), 0, size * net->real);
    }
}

/* ---- penalties ---- */

double cbp_penalty(const cbp_net *net, const void *theta) {
    double penalty = 0, absolute, square;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        if (s->l1 == 0 && s->l2 == 0) continue;
        net->k->norms((int64_t)s->n_in * s->n_out, cbp_at(net, theta, s->theta + s->n_out), &absolute, &square);
        penalty += s->l1 * absolute + s->l2 / 2 * square;
    }
    return penalty;
}

void cbp_penalize(const cbp_tn_job *tn, int64_t row, int64_t at, int64_t rows, int64_t cols, void *g, int64_t ldg) {
    const cbp_net *net = tn->net;
    const cbp_stage *s = tn->s;
    const double share = tn->use->penalty;
    if (row == 0) {
        net->k->scale(1, cols, tn->use->factor, g, ldg);
        g = cbp_at(net, g, ldg);
        at += s->n_out;
        rows--;
    }
    net->k->penalize(rows, cols, tn->use->factor, s->l1 * share, s->l2 * share, cbp_at(net, tn->mem->theta, at),
                     s->n_out, g, ldg);
}

/* ---- a step of the optimiser ---- */

static int n_slots(const cbp_opt *opt) { return cbp_table(CBP_OPTIMIZERS, NULL)[opt->kind].n_slots; }

/* Element `at` of vector v: the parameters are vector 0, slot i is vector i + 1 */
static void *vector_at(const cbp_net *net, const cbp_mem *mem, int v, int64_t at) {
    return v == 0 ? cbp_at(net, mem->theta, at) : cbp_at(net, mem->slots, (v - 1) * net->n_params + at);
}

/* n parameters in a row, some at a time; the fixed ones among them, and their slots, are put back afterwards */
static void hold_row(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, int64_t at, int64_t n, const void *g) {
    enum { BYTES = 8192 };
    double kept[BYTES / sizeof(double)];
    const cbp_mem all = {.theta = mem->theta, .slots = mem->slots};
    const int vectors = 1 + n_slots(use->opt);
    const int64_t most = BYTES / (int64_t)net->real / vectors, end = at + n;
    for (; at < end; at += most, g = cbp_at(net, g, most)) {
        n = cbp_smaller(end - at, most);
        for (int v = 0; v < vectors; v++)
            memcpy(cbp_at(net, kept, v * n), vector_at(net, mem, v, at), (size_t)n * net->real);
        cbp_move(net, &all, use, at, 1, n, n, g, n);
        for (int v = 0; v < vectors; v++)
            net->k->hold(n, cbp_at(net, mem->mask, at), cbp_at(net, kept, v * n), vector_at(net, mem, v, at));
    }
}

void cbp_hold(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, int64_t at, int64_t rows, int64_t cols,
              int64_t ld, const void *g, int64_t ldg) {
    if (cols == ld && ld == ldg) cols *= rows, rows = 1;
    for (int64_t r = 0; r < rows; r++) hold_row(net, mem, use, at + r * ld, cols, cbp_at(net, g, r * ldg));
}

/* ---- clipping ---- */

void cbp_clip(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    const int64_t n = net->n_params;
    double absolute, square;
    if (mem->frozen) cbp_clear_frozen(net, mem);
    if (mem->mask) net->k->hold(n, mem->mask, NULL, mem->grad);
    if (opt->clip_value > 0) net->k->clip(n, opt->clip_value, mem->grad);
    if (!(opt->clip_norm > 0)) return;
    net->k->norms(n, mem->grad, &absolute, &square);
    const double norm = sqrt(square);
    if (isfinite(norm) && norm > opt->clip_norm) net->k->scale(1, n, opt->clip_norm / norm, mem->grad, n);
}

/* ---- after an update ---- */

typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    const cbp_stage *s;
    const cbp_opt *opt;
    cbp_cut cut;
} limit_job;

/* Some columns of a layer */
static void shorten_part(void *ctx, int part, int thread) {
    const limit_job *job = ctx;
    const cbp_net *net = job->net;
    const cbp_stage *s = job->s;
    int64_t first, n;
    (void)thread;
    cbp_share(s->n_out, net->k->panel, part, job->cut.parts, &first, &n);
    const int64_t at = s->theta + s->n_out + first;
    net->k->shorten(s->n_in, n, s->n_out, s->max_norm, cbp_at(net, job->mem->theta, at),
                    job->mem->mask ? cbp_at(net, job->mem->mask, at) : NULL);
}

/* Some of the parameters; the average begins where they are at the end of the first update */
static void average_part(void *ctx, int part, int thread) {
    const limit_job *job = ctx;
    const cbp_net *net = job->net;
    int64_t first, n;
    (void)thread;
    cbp_share(net->n_params, CBP_ALIGN, part, job->cut.parts, &first, &n);
    const void *w = cbp_at(net, job->mem->theta, first);
    void *const average = vector_at(net, job->mem, n_slots(job->opt) + 1, first);
    if (job->opt->t == 1)
        memcpy(average, w, (size_t)n * net->real);
    else
        net->k->average(n, 1 - job->opt->average, w, average);
}

void cbp_limit(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    limit_job job = {net, mem, NULL, opt, {1, 1}};
    for (int l = 1; l <= net->n_layers && net->has_max_norm; l++) {
        job.s = &net->stage[l];
        if (job.s->max_norm == 0 || cbp_is_frozen(mem, l)) continue;
        job.cut = cbp_cut_for(mem->pool, SHORTEN_FLOPS * (double)job.s->n_in * job.s->n_out);
        cbp_pool_run(mem->pool, job.cut, shorten_part, &job);
    }
    if (opt->average > 0) {
        job.cut = cbp_cut_for(mem->pool, AVERAGE_FLOPS * (double)net->n_params);
        cbp_pool_run(mem->pool, job.cut, average_part, &job);
    }
}

int cbp_needs_slots(const cbp_opt *opt) { return n_slots(opt) > 0 || opt->average > 0; }

int cbp_is_limited(const cbp_mem *mem, const cbp_opt *opt) {
    return mem->frozen || mem->mask || cbp_clips(opt) || opt->average > 0;
}
