/* train.c - what changes parameters: one update, and an epoch of gather, gradient, update.
 *
 * Called by the front ends; calls net.c for the gradient and the kernel table for the optimiser's loop.
 */
#include "net.h"
#include "prim.h"

#include <math.h>
#include <string.h>

static void update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate) {
    opt->t++;
    net->k->opt[opt->kind](net->n_params, opt->arg, learning_rate, opt->t, mem->theta, mem->grad, mem->slots);
}

static cbp_status check_update(const cbp_net *net, const cbp_mem *mem, const cbp_opt *opt) {
    if (!net || !mem || !mem->theta || !mem->grad || !opt) return CBP_NULL_ARGUMENT;
    if ((int)opt->kind < 0 || opt->kind >= CBP_N_OPT) return CBP_BAD_OPTIMIZER;
    if (!mem->slots && cbp_table(CBP_OPTIMIZERS, NULL)[opt->kind].n_slots > 0) return CBP_NULL_ARGUMENT;
    return CBP_OK;
}

cbp_status cbp_update(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, double learning_rate) {
    const cbp_status status = check_update(net, mem, opt);
    if (status) return status;
    const cbp_fpmode mode = cbp_fp_enter();
    update(net, mem, opt, learning_rate);
    cbp_fp_leave(mode);
    return CBP_OK;
}

/* ---- an epoch ---- */

/* out row i := row order[i] of src */
static void gather(int64_t m, const int64_t *order, size_t row_bytes, const void *src, void *out) {
    for (int64_t i = 0; i < m; i++)
        memcpy((char *)out + (size_t)i * row_bytes, (const char *)src + (size_t)order[i] * row_bytes, row_bytes);
}

/* m samples from position `start` of the order: pointers into the data, or copies in the frame where it is shuffled */
static cbp_data take_batch(const cbp_net *net, const cbp_frame *f, const cbp_data *data, const int64_t *order,
                           int64_t start) {
    if (!order) return cbp_rows(net, data, start, f->m);
    const size_t real = net->real;
    order += start;
    cbp_data batch = {.n = f->m, .x = f->x};
    gather(f->m, order, (size_t)net->n_in * real, data->x, f->x);
    if (data->labels) {
        gather(f->m, order, sizeof(int64_t), data->labels, f->labels);
        batch.labels = f->labels;
    } else {
        gather(f->m, order, (size_t)net->n_out * real, data->y, f->y);
        batch.y = f->y;
    }
    if (data->weight) {
        gather(f->m, order, real, data->weight, f->s);
        batch.weight = f->s;
    }
    return batch;
}

/* First layer of the batch's forward pass with a NaN or an infinity; the last one if only the cost has */
static int nonfinite_layer(const cbp_net *net, const cbp_frame *f) {
    int l = 1;
    while (l < net->n_layers && net->k->first_nonfinite(f->m * net->stage[l].n_out, cbp_frame_a(net, f, l)) < 0) l++;
    return l;
}

/* After the last update: the layer of the first parameter that is not finite, or 0 */
static int nonfinite_parameter(const cbp_net *net, const void *theta) {
    const int64_t i = net->k->first_nonfinite(net->n_params, theta);
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

/* The batches in turn; stops before the update of a batch whose cost is not finite */
static cbp_status run_batches(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data,
                              const int64_t *order, int64_t batch, const double *learning_rate, int one_rate,
                              cbp_report *report) {
    cbp_sums total = {0, 0};
    if (batch == 1) report->batch = cbp_online(net, mem, opt, data, order, learning_rate, one_rate, &total);
    for (int64_t start = report->batch * batch; start < data->n; start += batch, report->batch++) {
        const int64_t m = data->n - start < batch ? data->n - start : batch;
        const cbp_frame f = cbp_frame_at(net, m, CBP_EPOCH, mem->work);
        const cbp_data rows = take_batch(net, &f, data, order, start);
        const cbp_sums sums = cbp_batch(net, mem, &f, &rows);
        if (!isfinite(sums.cost)) {
            report->layer = nonfinite_layer(net, &f);
            return CBP_DIVERGED;
        }
        update(net, mem, opt, learning_rate[one_rate ? 0 : report->batch]);
        total.cost += sums.cost;
        total.weight += sums.weight;
    }
    report->loss = cbp_objective(net, total);
    report->layer = nonfinite_parameter(net, mem->theta);
    return report->layer ? CBP_DIVERGED : CBP_OK;
}

cbp_status cbp_epoch(const cbp_net *net, const cbp_mem *mem, cbp_opt *opt, const cbp_data *data, const int64_t *order,
                     int64_t batch, const double *learning_rate, int one_rate, cbp_report *report) {
    if (!data || !learning_rate || !report || !mem || !mem->work) return CBP_NULL_ARGUMENT;
    cbp_status status = check_update(net, mem, opt);
    if (!status) status = check_epoch(net, data, order, batch);
    if (status) return status;
    *report = (cbp_report){NAN, 0, 0};
    const cbp_fpmode mode = cbp_fp_enter();
    status = run_batches(net, mem, opt, data, order, batch, learning_rate, one_rate, report);
    cbp_fp_leave(mode);
    return status;
}

int64_t cbp_first_nonfinite(cbp_dtype dtype, int64_t n, const void *x) {
    const cbp_kern *k = cbp_kern_for(NULL, dtype);
    return k->first_nonfinite(n, x);
}
