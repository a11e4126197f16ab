/* join.c - layers with several sources: their inputs put side by side on the way up; on the way down their errors taken
 * apart, and added up in layers that feed several.
 *
 * Called by net.c; calls gemm.c for the product. Copies and sums are by rows, which threads share.
 */
#include "net.h"

/* What it is worth to move a number, for cbp_cut_for */
#define MOVE_FLOPS 16

typedef struct {
    const cbp_net *net;
    const cbp_frame *f;
    const void *x; /* on the way up */
    int l;
    int64_t first, m;
    const void *e; /* on the way down: (m, n_e), the errors at the sources, without the inputs */
    int64_t n_e;
    cbp_cut cut;
} join_job;

static void run_rows(cbp_pool *pool, join_job *job, cbp_task *part) {
    job->cut = cbp_cut_for(pool, MOVE_FLOPS * (double)job->m * job->net->stage[job->l].n_in);
    cbp_pool_run(pool, job->cut, part, job);
}

/* ---- up ---- */

static void join_part(void *ctx, int part, int thread) {
    const join_job *job = ctx;
    const cbp_net *net = job->net;
    const cbp_stage *s = &net->stage[job->l];
    int64_t row, rows;
    (void)thread;
    cbp_share(job->m, 1, part, job->cut.parts, &row, &rows);
    row += job->first;
    void *to = cbp_at(net, cbp_frame_joined(net, job->f, job->l), row * s->n_in);
    for (int i = 0; i < s->n_sources; i++) {
        const int k = s->sources[i], n = net->stage[k].n_out;
        const void *all = k > 0 ? cbp_frame_a(net, job->f, k) : job->x, *from = cbp_at(net, all, row * n);
        cbp_copy_rows(net, rows, n, from, n, to, s->n_in);
        to = cbp_at(net, to, n);
    }
}

void cbp_join(const cbp_net *net, const cbp_frame *f, const void *x, int l, int64_t first, int64_t m, cbp_pool *pool) {
    join_job job = {.net = net, .f = f, .x = x, .l = l, .first = first, .m = m};
    run_rows(pool, &job, join_part);
}

/* ---- down ---- */

/* Layer l's part of the error at layer k, e (rows, n_k), its rows n_e reals apart; they begin at `row` of the batch */
static void settle(const join_job *job, int k, int64_t row, int64_t rows, const void *e) {
    const cbp_net *net = job->net;
    const int n = net->stage[k].n_out, l = job->l, is_first = l == net->stage[k].feeds, is_last = l == k + 1;
    void *const sum = cbp_at(net, cbp_frame_e(net, job->f, k), row * n);
    void *const d = cbp_at(net, cbp_frame_d(net, job->f, k), row * n);
    if (is_first && is_last)
        net->k->multiply(rows, n, e, job->n_e, d, n);
    else if (is_first)
        cbp_copy_rows(net, rows, n, e, job->n_e, sum, n);
    else
        net->k->add(rows, n, e, job->n_e, sum, n);
    if (is_last && !is_first) net->k->multiply(rows, n, sum, n, d, n);
}

static void split_part(void *ctx, int part, int thread) {
    const join_job *job = ctx;
    const cbp_net *net = job->net;
    const cbp_stage *s = &net->stage[job->l];
    int64_t row, rows, col = 0;
    (void)thread;
    cbp_share(job->m, 1, part, job->cut.parts, &row, &rows);
    for (int i = s->sources[0] == 0; i < s->n_sources; i++) {
        const int k = s->sources[i];
        settle(job, k, job->first + row, rows, cbp_at(net, job->e, row * job->n_e + col));
        col += net->stage[k].n_out;
    }
}

void cbp_split(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, int l, int64_t first, int64_t m, void *room,
               cbp_pool *pool) {
    cbp_stage s = net->stage[l]; /* without the inputs, whose error nobody wants */
    const int unwanted = s.sources[0] == 0 ? net->n_in : 0;
    s.n_in -= unwanted;
    const void *delta = cbp_at(net, cbp_frame_d(net, f, l), first * s.n_out);
    const void *theta = cbp_at(net, mem->theta, s.theta + (int64_t)unwanted * s.n_out);
    void *const e = cbp_at(net, f->scratch, first * s.n_in);
    join_job job = {.net = net, .f = f, .l = l, .first = first, .m = m, .e = e, .n_e = s.n_in};
    cbp_down(net, &s, m, delta, theta, e, NULL, room, pool);
    run_rows(pool, &job, split_part);
}
