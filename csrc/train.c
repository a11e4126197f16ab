/* train.c - what changes parameters: one update, and an epoch of gather, gradient, update.
 *
 * Called by the front ends; calls net.c for the gradient, limit.c for the optimiser's step and what goes with it.
 */
#include "net.h"
#include "prim.h"

#include <math.h>
#include <string.h>

/* What these are worth, for cbp_cut_for: the update of one parameter, the copy of one number, the look at one */
#define UPDATE_FLOPS 32
#define GATHER_FLOPS 16
#define SCAN_FLOPS 8

typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    cbp_use use;
    cbp_cut cut;
} update_job;

/* Parameters from `first` on, before `end` */
static void update_range(const update_job *job, int64_t first, int64_t end) {
    const void *g = cbp_at(job->net, job->mem->grad, first);
    const int64_t n = end - first;
    if (n > 0) cbp_move(job->net, job->mem, &job->use, first, 1, n, n, g, n);
}

/* A share of the parameters, without those of frozen layers */
static void update_part(void *ctx, int part, int thread) {
    const update_job *job = ctx;
    (void)thread;
    const cbp_net *net = job->net;
    int64_t i, n;
    cbp_share(net->n_params, CBP_ALIGN, part, job->cut.parts, &i, &n);
    if (!job->mem->frozen) {
        update_range(job, i, i + n);
        return;
    }
    for (int l = 1; l <= net->n_layers; l++) {
        const int64_t start = net->stage[l].theta, end = l < net->n_layers ? net->stage[l + 1].theta : net->n_params;
        if (!cbp_is_frozen(job->mem, l)) update_range(job, start > i ? start : i, end < i + n ? end : i + n);
    }
}

static void update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate) {
    opt->t++;
    if (cbp_clips(opt)) cbp_clip(net, mem, opt);
    update_job job = {net, mem, {opt, learning_rate, 1, 0}, {1, 1}};
    job.cut = cbp_cut_for(mem->pool, UPDATE_FLOPS * (double)net->n_params);
    cbp_pool_run(mem->pool, job.cut, update_part, &job);
    cbp_settle(net, mem, opt);
}

static cbp_status check_update(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    if (!net || !mem || !mem->theta || !mem->grad || !opt) return CBP_NULL_ARGUMENT;
    if ((int)opt->kind < 0 || opt->kind >= CBP_N_OPT) return CBP_BAD_OPTIMIZER;
    if (!mem->slots && cbp_needs_slots(opt)) return CBP_NULL_ARGUMENT;
    if (!(opt->clip_value >= 0 && opt->clip_norm >= 0)) return CBP_BAD_CLIP;
    return opt->average >= 0 && opt->average < 1 ? CBP_OK : CBP_BAD_AVERAGE;
}

cbp_status cbp_update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate) {
    const cbp_status status = check_update(net, mem, opt);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    update(net, mem, opt, learning_rate);
    cbp_fp_leave(mode);
    return CBP_OK;
}

cbp_status cbp_step(const cbp_net *net, const cbp_mem *mem, const cbp_data *data, double learning_rate, double *loss) {
    const cbp_status status = cbp_gradient(net, mem, data, loss);
    cbp_opt descent = {.kind = CBP_OPT_sgd};
    if (status || !isfinite(*loss)) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    update(net, mem, &descent, learning_rate);
    cbp_fp_leave(mode);
    return CBP_OK;
}

/* ---- an epoch ---- */

/* out row i := row order[i] of src, rows first .. first + m */
static void gather(int64_t first, int64_t m, const int64_t *order, size_t row_bytes, const void *src, void *out) {
    for (int64_t i = first; i < first + m; i++)
        memcpy((char *)out + (size_t)i * row_bytes, (const char *)src + (size_t)order[i] * row_bytes, row_bytes);
}

typedef struct {
    const cbp_net *net;
    const cbp_frame *f;
    const cbp_data *data;
    const int64_t *order;
    cbp_cut cut;
} gather_job;

static void gather_part(void *ctx, int part, int thread) {
    const gather_job *job = ctx;
    (void)thread;
    const cbp_data *data = job->data;
    const size_t real = job->net->real, in = (size_t)job->net->n_in * real, out = (size_t)job->net->n_targets * real;
    int64_t i, m;
    cbp_share(job->f->m, 1, part, job->cut.parts, &i, &m);
    gather(i, m, job->order, in, data->x, job->f->x);
    if (data->labels)
        gather(i, m, job->order, sizeof(int64_t), data->labels, job->f->labels);
    else
        gather(i, m, job->order, out, data->y, job->f->y);
    if (data->weight) gather(i, m, job->order, real, data->weight, job->f->s);
}

/* m samples from position `start` of the order: pointers into the data, or copies in the frame where it is shuffled */
static cbp_data take_batch(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data,
                           const int64_t *order, int64_t start) {
    if (!order) return cbp_rows(net, data, start, f->m);
    gather_job job = {net, f, data, order + start, {1, 1}};
    job.cut = cbp_cut_for(mem->pool, GATHER_FLOPS * (double)f->m * (net->n_in + net->n_out));
    cbp_pool_run(mem->pool, job.cut, gather_part, &job);
    return (cbp_data){
        .n = f->m,
        .x = f->x,
        .y = data->labels ? NULL : f->y,
        .labels = data->labels ? f->labels : NULL,
        .weight = data->weight ? f->s : NULL,
    };
}

/* ---- numbers that are not finite ---- */

typedef struct {
    const cbp_net *net;
    int64_t n;
    const void *x;
    cbp_cut cut;
    int64_t found[CBP_MAX_PARTS];
} scan_job;

static void scan_part(void *ctx, int part, int thread) {
    scan_job *job = ctx;
    int64_t first, n;
    (void)thread;
    cbp_share(job->n, CBP_ALIGN, part, job->cut.parts, &first, &n);
    const int64_t at = job->net->k->first_nonfinite(n, cbp_at(job->net, job->x, first));
    job->found[part] = at < 0 ? at : first + at;
}

int64_t cbp_net_first_nonfinite(const cbp_net *net, cbp_pool *pool, int64_t n, const void *x) {
    scan_job job = {.net = net, .n = n, .x = x, .cut = cbp_cut_for(pool, SCAN_FLOPS * (double)n)};
    cbp_pool_run(pool, job.cut, scan_part, &job);
    for (int part = 0; part < job.cut.parts; part++)
        if (job.found[part] >= 0) return job.found[part];
    return -1;
}

int64_t cbp_first_nonfinite(cbp_dtype dtype, int64_t n, const void *x) {
    return cbp_kern_for(NULL, dtype)->first_nonfinite(n, x);
}

/* First layer of the batch's forward pass with a NaN or an infinity; the last one if only the cost has */
static int nonfinite_layer(const cbp_net *net, const cbp_frame *f) {
    int l = 1;
    while (l < net->n_layers && net->k->first_nonfinite(f->m * net->stage[l].n_out, cbp_frame_a(net, f, l)) < 0) l++;
    return l;
}

/* After the last update: the layer of the first parameter that is not finite, or 0 */
static int nonfinite_parameter(const cbp_net *net, const cbp_mem *mem) {
    const int64_t i = cbp_net_first_nonfinite(net, mem->pool, net->n_params, mem->theta);
    int l = 0;
    while (i >= 0 && l < net->n_layers && net->stage[l + 1].theta <= i) l++;
    return l;
}

static cbp_status check_epoch(const cbp_net *net, const cbp_data *data, const int64_t *order, int64_t batch) {
    const cbp_status status = cbp_check_data(net, data);
    if (status) return status;
    if (batch < 1) return CBP_BAD_COUNT;
    for (int64_t i = 0; order && i < data->n; i++)
        if (order[i] < 0 || order[i] >= data->n) return CBP_BAD_COUNT;
    return CBP_OK;
}

/* Work after which it is worth a look at the clock: some hundredths of a millisecond, and of a second for the rows of
 * online.c, which begins and ends with a copy of the parameters */
#define FLOPS_A_LOOK 1e6
#define ONLINE_ROWS(net) (1 + (int64_t)(1e8 / (double)((net)->n_params + 100)))

typedef struct {
    const cbp_net *net;
    const cbp_mem *mem;
    cbp_opt *opt;
    const cbp_data *data;
    const int64_t *order;
    int64_t batch;
    const double *rate;
    int one_rate;
    int singly;    /* pause after every update */
    double end;    /* or when the clock shows this */
    int64_t until; /* or after so many batches of the pass */
    cbp_report *report;
    cbp_sums total;
} epoch_job;

static int time_is_up(const epoch_job *job) {
    return job->singly || (job->end < INFINITY && cbp_seconds() >= job->end);
}

static int is_enough(const epoch_job *job) { return job->report->batch >= job->until; }

/* Batches of one row by the routine for the whole network, as far as it goes */
static cbp_status run_rows(epoch_job *job) {
    const int64_t most = ONLINE_ROWS(job->net);
    for (;;) {
        const int64_t first = job->report->batch, left = job->data->n - 1 - first;
        const int64_t n = cbp_smaller(left, cbp_smaller(most, job->until - first));
        const cbp_data from = job->order ? *job->data : cbp_rows(job->net, job->data, first, job->data->n - first);
        const int64_t made = cbp_online(job->net, job->mem, job->opt, &from, job->order ? job->order + first : NULL, n,
                                        job->rate + (job->one_rate ? 0 : first), job->one_rate, &job->total);
        job->report->batch += made;
        if (made < n || n == left) return CBP_OK;
        if (is_enough(job) || time_is_up(job)) return CBP_PAUSED;
    }
}

/* Gradient and update by mem, unless the cost is not finite: at once where no update needs the whole gradient */
static cbp_sums train_batch(const epoch_job *job, const cbp_mem *mem, const cbp_frame *f, const cbp_data *rows,
                            double learning_rate) {
    const cbp_net *net = job->net;
    const int whole = cbp_clips(job->opt);
    const cbp_sums sums = cbp_batch(net, mem, f, rows, whole ? NULL : job->opt, learning_rate);
    if (!isfinite(sums.cost)) return sums;
    if (whole) {
        job->opt->loss = cbp_objective(net, sums);
        update(net, mem, job->opt, learning_rate);
    } else {
        cbp_settle(net, mem, job->opt);
    }
    return sums;
}

/* The same for batch `number` of the pass, which draws its own noise */
static cbp_sums run_batch(const epoch_job *job, const cbp_frame *f, const cbp_data *rows, int64_t number) {
    const double rate = job->rate[job->one_rate ? 0 : number];
    if (!job->mem->noise) return train_batch(job, job->mem, f, rows, rate);
    const cbp_noise noise = {job->mem->noise->seed, job->mem->noise->draw + (uint64_t)number};
    cbp_mem mem = *job->mem;
    mem.noise = &noise;
    return train_batch(job, &mem, f, rows, rate);
}

/* Batches in turn; stops before the update of one whose cost is not finite */
static cbp_status run_batches(epoch_job *job) {
    const cbp_net *net = job->net;
    const int64_t n = job->data->n, batch = job->batch;
    const double flops = 6.0 * (double)net->n_params * (double)batch;
    const int64_t looks = job->singly ? 1 : 1 + (int64_t)(FLOPS_A_LOOK / flops);
    for (int64_t start = job->report->batch * batch; start < n; start += batch) {
        const int64_t m = cbp_smaller(n - start, batch), number = job->report->batch;
        const cbp_frame f = cbp_frame_at(net, m, CBP_EPOCH, job->mem->work);
        const cbp_data rows = take_batch(net, job->mem, &f, job->data, job->order, start);
        const cbp_sums sums = run_batch(job, &f, &rows, number);
        if (!isfinite(sums.cost)) {
            job->report->layer = nonfinite_layer(net, &f);
            return CBP_DIVERGED;
        }
        job->total.cost += sums.cost;
        job->total.weight += sums.weight;
        job->report->batch++;
        if (start + batch < n && (is_enough(job) || (number % looks == 0 && time_is_up(job)))) return CBP_PAUSED;
    }
    return CBP_OK;
}

static cbp_status run_epoch(epoch_job *job) {
    cbp_status status = job->batch == 1 && !job->singly ? run_rows(job) : CBP_OK;
    if (!status) status = run_batches(job);
    job->report->cost = job->total.cost;
    job->report->weight = job->total.weight;
    if (status) return status;
    job->report->loss = cbp_objective(job->net, job->total);
    job->report->layer = nonfinite_parameter(job->net, job->mem);
    return job->report->layer ? CBP_DIVERGED : CBP_OK;
}

cbp_status cbp_epoch_for(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                         const int64_t *order, int64_t batch, const double *learning_rate, int one_rate, double seconds,
                         int64_t batches, cbp_report *report) {
    if (!data || !learning_rate || !report || !mem || !mem->work) return CBP_NULL_ARGUMENT;
    cbp_status status = check_update(net, mem, opt);
    if (!status) status = check_epoch(net, data, order, batch);
    if (!status && (report->batch < 0 || report->batch > data->n / batch || batches < 0)) status = CBP_BAD_COUNT;
    if (status) return status;
    epoch_job job = {.net = net,
                     .mem = mem,
                     .opt = opt,
                     .data = data,
                     .order = order,
                     .batch = batch,
                     .rate = learning_rate,
                     .one_rate = one_rate,
                     .singly = seconds <= 0,
                     .until = batches > 0 && batches < INT64_MAX - report->batch ? report->batch + batches : INT64_MAX,
                     .end = seconds < INFINITY ? cbp_seconds() + seconds : INFINITY,
                     .report = report,
                     .total = {report->cost, report->weight}};
    report->loss = NAN;
    report->layer = 0;
    const cbp_fpmode mode = cbp_fp_enter();
    status = run_epoch(&job);
    cbp_fp_leave(mode);
    return status;
}

cbp_status cbp_epoch(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data, const int64_t *order,
                     int64_t batch, const double *learning_rate, int one_rate, cbp_report *report) {
    if (!report) return CBP_NULL_ARGUMENT;
    *report = (cbp_report){.loss = NAN};
    return cbp_epoch_for(net, mem, opt, data, order, batch, learning_rate, one_rate, INFINITY, 0, report);
}
