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

int cbp_is_frozen(const cbp_mem *mem, int l) { return mem->frozen && mem->frozen[l - 1]; }

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
        if (cbp_is_frozen(mem, l)) memset((char *)mem->grad + (size_t)s->theta * net->real, 0, size * net->real);
    }
}

/* ---- penalties ---- */

double cbp_penalty(const cbp_net *net, const void *theta) {
    double penalty = 0, absolute, square;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        if (s->l1 == 0 && s->l2 == 0) continue;
        net->k->norms((int64_t)s->n_in * s->n_out, cbp_at(theta, s->theta + s->n_out, net->real), &absolute, &square);
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
        g = (char *)g + (size_t)ldg * net->real;
        at += s->n_out;
        rows--;
    }
    net->k->penalize(rows, cols, tn->use->factor, s->l1 * share, s->l2 * share, cbp_at(tn->mem->theta, at, net->real),
                     s->n_out, g, ldg);
}

/* ---- a step of the optimiser ---- */

/* A rectangle of the parameters, whose rows lie ld apart, and of their gradient */
typedef struct {
    int64_t at, rows, cols, ld;
    const char *g;
    int64_t ldg;
} place;

static void move(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, const place *p) {
    char *const slots = mem->slots ? (char *)mem->slots + (size_t)p->at * net->real : NULL;
    net->k->opt[use->opt->kind](p->rows, p->cols, p->ld, use->opt->arg, use->learning_rate, use->opt->t, use->opt->loss,
                                (char *)mem->theta + (size_t)p->at * net->real, use->factor, p->g, p->ldg, slots,
                                net->n_params);
}

static int n_slots(const cbp_opt *opt) { return cbp_table(CBP_OPTIMIZERS, NULL)[opt->kind].n_slots; }

/* Element `at` of vector v: the parameters are vector 0, slot i is vector i + 1 */
static char *vector_at(const cbp_net *net, const cbp_mem *mem, int v, int64_t at) {
    return v == 0 ? (char *)mem->theta + (size_t)at * net->real
                  : (char *)mem->slots + (size_t)((v - 1) * net->n_params + at) * net->real;
}

/* Elements of one row, some at a time; the fixed ones among them, and their slots, are put back afterwards */
static void move_and_hold(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, const place *p) {
    enum { BYTES = 8192 };
    double kept[BYTES / sizeof(double)];
    const int vectors = 1 + n_slots(use->opt);
    const int64_t most = BYTES / (int64_t)net->real / vectors;
    for (int64_t i = 0; i < p->cols; i += most) {
        const int64_t n = p->cols - i < most ? p->cols - i : most, at = p->at + i;
        const size_t bytes = (size_t)n * net->real;
        const place part = {at, 1, n, n, p->g + (size_t)i * net->real, n};
        for (int v = 0; v < vectors; v++) memcpy((char *)kept + (size_t)v * bytes, vector_at(net, mem, v, at), bytes);
        move(net, mem, use, &part);
        for (int v = 0; v < vectors; v++)
            net->k->hold(n, cbp_at(mem->mask, at, net->real), (char *)kept + (size_t)v * bytes,
                         vector_at(net, mem, v, at));
    }
}

void cbp_move(const cbp_net *net, const cbp_mem *mem, const cbp_use *use, int64_t at, int64_t rows, int64_t cols,
              int64_t ld, const void *g, int64_t ldg) {
    place p = {at, rows, cols, ld, g, ldg};
    if (!mem->mask) {
        move(net, mem, use, &p);
        return;
    }
    if (cols == ld && ld == ldg) p.cols *= rows, rows = 1;
    for (; rows > 0; rows--, p.at += ld, p.g += (size_t)ldg * net->real) move_and_hold(net, mem, use, &p);
}

/* ---- clipping ---- */

int cbp_clips(const cbp_opt *opt) { return opt->clip_value > 0 || opt->clip_norm > 0; }

void cbp_clip(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    const int64_t n = net->n_params;
    double absolute, square;
    if (!cbp_clips(opt)) return;
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
    const size_t real = job->net->real;
    const cbp_stage *s = job->s;
    int64_t first, n;
    (void)thread;
    cbp_share(s->n_out, job->net->k->panel, part, job->cut.parts, &first, &n);
    const int64_t at = s->theta + s->n_out + first;
    job->net->k->shorten(s->n_in, n, s->n_out, s->max_norm, (char *)job->mem->theta + (size_t)at * real,
                         job->mem->mask ? cbp_at(job->mem->mask, at, real) : NULL);
}

/* Some of the parameters; the average begins where they are at the end of the first update */
static void average_part(void *ctx, int part, int thread) {
    const limit_job *job = ctx;
    const cbp_net *net = job->net;
    int64_t first, n;
    (void)thread;
    cbp_share(net->n_params, CBP_ALIGN, part, job->cut.parts, &first, &n);
    const void *w = cbp_at(job->mem->theta, first, net->real);
    char *const average = (char *)job->mem->slots + (size_t)(n_slots(job->opt) * net->n_params + first) * net->real;
    if (job->opt->t == 1)
        memcpy(average, w, (size_t)n * net->real);
    else
        net->k->average(n, 1 - job->opt->average, w, average);
}

void cbp_settle(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
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
