/* noise.c - what a noisy pass does to the numbers of a batch: dropout of hidden units, noise and dropout of the inputs.
 *
 * Called by net.c. Unit j of layer l in row r takes number r * (n_1 + .. + n_L) + (n_1 + .. + n_{l-1}) + j of the
 * stream (seed, draw), input j number r * n_0 + j of streams of their own: so what is left out depends on nothing else.
 */
#include "net.h"

#include <string.h>

/* What these are worth, for cbp_cut_for: to leave a number out or not, to copy one, to make a normal one */
#define DROP_FLOPS 40
#define COPY_FLOPS 16
#define NORMAL_FLOPS 1500

enum { BLOCK = 128 }; /* normal numbers at a time on the stack */

typedef struct {
    const cbp_net *net;
    const cbp_noise *noise;
    const cbp_frame *f;
    int l;         /* the layer */
    const void *x; /* the inputs as they came */
    cbp_cut cut;
} noise_job;

/* The smallest of the 2^32 words that keeps a unit: word >= share * 2^32. The largest word always does. */
static uint32_t least_kept(double share) {
    const double limit = share * 0x1p32;
    const uint32_t whole = (uint32_t)limit;
    return whole < limit && whole < UINT32_MAX ? whole + 1 : whole;
}

/* n numbers of x, and of d unless it is NULL, from number `first` of the stream on: left out, or times 1/(1 - share) */
static void drop(const noise_job *job, cbp_purpose purpose, double share, int64_t n, int64_t first, void *x, void *d) {
    const cbp_stream stream = {job->noise->seed, job->noise->draw, purpose};
    uint32_t counter[4], key[2];
    cbp_stream_block(&stream, 0, counter, key);
    job->net->k->drop(n, counter, key, (uint64_t)first, least_kept(share), 1 / (1 - share), x, d);
}

static void layer_part(void *ctx, int part, int thread) {
    const noise_job *job = ctx;
    const cbp_net *net = job->net;
    const cbp_stage *s = &net->stage[job->l];
    (void)thread;
    int64_t first, m;
    cbp_share(job->f->m, 1, part, job->cut.parts, &first, &m);
    const void *a = cbp_frame_a(net, job->f, job->l), *d = cbp_frame_d(net, job->f, job->l);
    for (int64_t r = first; r < first + m; r++) {
        const int64_t number = (job->f->first + r) * net->units + s->units_before, at = r * s->n_out;
        drop(job, CBP_DROPOUT, s->dropout, s->n_out, number, cbp_at(net, a, at), cbp_at(net, d, at));
    }
}

void cbp_drop(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, int l) {
    if (net->stage[l].dropout == 0) return;
    const double flops = DROP_FLOPS * (double)f->m * net->stage[l].n_out;
    noise_job job = {net, mem->noise, f, l, NULL, cbp_cut_for(mem->pool, flops)};
    cbp_pool_run(mem->pool, job.cut, layer_part, &job);
}

/* ---- the inputs ---- */

/* to (n_0) := row r of the inputs and normal numbers */
static void disturb(const noise_job *job, int64_t r, const void *x, void *to) {
    const cbp_net *net = job->net;
    const cbp_stream stream = {job->noise->seed, job->noise->draw, CBP_INPUT_NOISE};
    const cbp_kern *k64 = cbp_kern_for(net->k->isa, CBP_FLOAT64);
    const int64_t number = (job->f->first + r) * net->n_in;
    double u[BLOCK];
    for (int64_t j = 0; j < net->n_in; j += BLOCK) {
        const int64_t n = cbp_smaller(net->n_in - j, BLOCK);
        for (int64_t i = 0; i < n; i++) u[i] = cbp_normal(&stream, (uint64_t)(number + j + i), k64);
        net->k->disturb(n, net->input_noise, u, cbp_at(net, x, j), cbp_at(net, to, j));
    }
}

static void inputs_part(void *ctx, int part, int thread) {
    const noise_job *job = ctx;
    const cbp_net *net = job->net;
    (void)thread;
    int64_t first, m;
    cbp_share(job->f->m, 1, part, job->cut.parts, &first, &m);
    for (int64_t r = first; r < first + m; r++) {
        const void *x = cbp_at(net, job->x, r * net->n_in);
        void *const to = cbp_at(net, job->f->noisy, r * net->n_in);
        if (net->input_noise > 0)
            disturb(job, r, x, to);
        else
            memcpy(to, x, (size_t)net->n_in * net->real);
        const int64_t number = (job->f->first + r) * net->n_in;
        if (net->input_dropout > 0) drop(job, CBP_INPUT_DROPOUT, net->input_dropout, net->n_in, number, to, NULL);
    }
}

const void *cbp_inputs_made(const cbp_mem *mem, const cbp_frame *f, const void *x) {
    return mem->noise && f->noisy ? f->noisy : x;
}

const void *cbp_noisy_inputs(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const void *x) {
    if (!mem->noise || !f->noisy) return x;
    const double each = (net->input_noise > 0 ? NORMAL_FLOPS : COPY_FLOPS) + (net->input_dropout > 0 ? DROP_FLOPS : 0);
    noise_job job = {net, mem->noise, f, 0, x, cbp_cut_for(mem->pool, each * (double)f->m * net->n_in)};
    cbp_pool_run(mem->pool, job.cut, inputs_part, &job);
    return f->noisy;
}
