/* net.c - the plan, and forward, backward, gradient as sequences of kernel calls over void pointers and offsets.
 *
 * Called by the front ends and train.c; calls gemm.c and the kernel table. No number is touched here but the sums of a
 * batch. Two arrays per layer: A holds z, then a = g(z); D holds g'(z) on the way up and becomes delta on the way down.
 */
#include "net.h"
#include "prim.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 256 }; /* rows at a time in predict and evaluate */

/* ---- the plan ---- */

static cbp_act unit_act(const cbp_dense *d, int j) { return d->unit_act ? d->unit_act[j] : d->act; }

/* Zero for an activation that has no argument */
static double unit_arg(const cbp_dense *d, int j) {
    const cbp_info *row = &cbp_table(CBP_ACTIVATIONS, NULL)[unit_act(d, j)];
    if (!row->arg[0].name) return 0;
    return !d->unit_act ? d->act_arg : d->unit_act_arg ? d->unit_act_arg[j] : row->arg[0].value;
}

/* Whether unit j continues the run of unit j - 1 */
static int same_run(const cbp_dense *d, int j) {
    return unit_act(d, j) == unit_act(d, j - 1) && unit_arg(d, j) == unit_arg(d, j - 1);
}

/* Units to look at: one speaks for all where the layer has one activation */
static int units_to_read(const cbp_dense *d) { return d->unit_act ? d->units : 1; }

static int count_runs(const cbp_dense *d) {
    int runs = 1;
    for (int j = 1; j < units_to_read(d); j++) runs += !same_run(d, j);
    return runs;
}

static void fill_runs(const cbp_dense *d, cbp_run *run) {
    *run = (cbp_run){0, d->unit_act ? 1 : d->units, unit_act(d, 0), unit_arg(d, 0)};
    for (int j = 1; j < units_to_read(d); j++) {
        if (same_run(d, j))
            run->count++;
        else
            *++run = (cbp_run){j, 1, unit_act(d, j), unit_arg(d, j)};
    }
}

static int is_row_wise(cbp_act act) { return cbp_table(CBP_ACTIVATIONS, NULL)[act].row_wise; }

/* A row-wise activation is for the output, and for all of its units */
static cbp_status check_layer(const cbp_dense *d, int is_output) {
    if (d->units < 1) return CBP_BAD_SHAPE;
    int row_wise = 0, mixed = 0;
    for (int j = 0; j < units_to_read(d); j++) {
        const cbp_act act = unit_act(d, j);
        if ((int)act < 0 || act >= CBP_N_ACT) return CBP_BAD_ACTIVATION;
        row_wise |= is_row_wise(act);
        mixed |= act != unit_act(d, 0);
    }
    return row_wise && (mixed || !is_output) ? CBP_ROW_HIDDEN : CBP_OK;
}

/* A loss that is computed together with its output activation needs exactly that activation in every unit */
static cbp_status check_loss(cbp_loss loss, const cbp_dense *output) {
    if ((int)loss < 0 || loss >= CBP_N_LOSS) return CBP_BAD_LOSS;
    const cbp_info *row = &cbp_table(CBP_LOSSES, NULL)[loss];
    if (!row->head) return CBP_OK;
    for (int j = 0; j < units_to_read(output); j++)
        if (strcmp(cbp_table(CBP_ACTIVATIONS, NULL)[unit_act(output, j)].name, row->partner) != 0)
            return CBP_LOSS_NEEDS_OUTPUT;
    return CBP_OK;
}

static cbp_status check_spec(const cbp_spec *spec) {
    if ((int)spec->dtype < 0 || spec->dtype >= CBP_N_DTYPE) return CBP_BAD_DTYPE;
    if (spec->n_in < 1 || spec->n_layers < 1 || !spec->layers) return CBP_BAD_SHAPE;
    for (int l = 1; l <= spec->n_layers; l++) {
        const cbp_status status = check_layer(&spec->layers[l - 1], l == spec->n_layers);
        if (status) return status;
    }
    return check_loss(spec->loss, &spec->layers[spec->n_layers - 1]);
}

static cbp_stage *stages_of(const cbp_net *net) { return (cbp_stage *)(net + 1); }
static cbp_run *runs_of(const cbp_net *net) { return (cbp_run *)(stages_of(net) + net->n_layers + 1); }

/* Sizes and offsets of every layer; CBP_TOO_LARGE where the parameters would not fit an address space */
static cbp_status fill_stages(cbp_net *net, const cbp_spec *spec) {
    cbp_stage *stage = stages_of(net);
    cbp_run *runs = runs_of(net);
    int n_in = spec->n_in;
    stage[0] = (cbp_stage){.n_out = n_in};
    for (int l = 1; l <= spec->n_layers; l++) {
        const cbp_dense *d = &spec->layers[l - 1];
        const int64_t weights = (int64_t)n_in * d->units;
        if (weights > INT64_MAX / 64 - net->n_params - d->units) return CBP_TOO_LARGE;
        fill_runs(d, runs);
        stage[l] = (cbp_stage){n_in, d->units, net->n_params, net->units, count_runs(d), runs};
        runs += stage[l].n_runs;
        net->n_params += weights + d->units;
        net->units += d->units;
        if (l > 1 && weights > net->largest_weights) net->largest_weights = weights;
        if (d->units > net->widest) net->widest = d->units;
        n_in = d->units;
    }
    return (uint64_t)net->n_params > SIZE_MAX / (4 * net->real) ? CBP_TOO_LARGE : CBP_OK;
}

cbp_status cbp_net_new(cbp_net **out, const cbp_spec *spec) {
    if (!out) return CBP_NULL_ARGUMENT;
    *out = NULL;
    if (!spec) return CBP_NULL_ARGUMENT;
    cbp_status status = check_spec(spec);
    if (status) return status;
    const cbp_kern *k = cbp_kern_for(spec->isa, spec->dtype);
    if (!k) return CBP_BAD_ISA;
    size_t runs = 0;
    for (int l = 0; l < spec->n_layers; l++) runs += (size_t)count_runs(&spec->layers[l]);
    cbp_net *net = calloc(1, sizeof *net + ((size_t)spec->n_layers + 1) * sizeof(cbp_stage) + runs * sizeof(cbp_run));
    if (!net) return CBP_NO_MEMORY;
    net->dtype = spec->dtype;
    net->real = spec->dtype == CBP_FLOAT32 ? sizeof(float) : sizeof(double);
    net->n_in = net->widest = spec->n_in;
    net->n_out = spec->layers[spec->n_layers - 1].units;
    net->n_layers = spec->n_layers;
    net->loss = spec->loss;
    net->loss_arg = spec->loss_arg;
    net->loss_is_head = cbp_table(CBP_LOSSES, NULL)[spec->loss].head;
    net->reduction = spec->reduction;
    net->k = k;
    net->stage = stages_of(net);
    status = fill_stages(net, spec);
    if (status)
        free(net);
    else
        *out = net;
    return status;
}

void cbp_net_free(cbp_net *net) { free(net); }
cbp_dtype cbp_net_dtype(const cbp_net *net) { return net->dtype; }
const char *cbp_net_isa(const cbp_net *net) { return net->k->isa; }
int64_t cbp_n_params(const cbp_net *net) { return net->n_params; }

cbp_block cbp_layer(const cbp_net *net, int l) {
    if (l < 1 || l > net->n_layers) return (cbp_block){0, 0, 0};
    return (cbp_block){net->stage[l].theta, net->stage[l].n_in + 1, net->stage[l].n_out};
}

/* ---- the workspace ---- */

static size_t aligned(size_t bytes) { return (bytes + CBP_ALIGN - 1) / CBP_ALIGN * CBP_ALIGN; }

/* Offset of the matrix of layer l among (m, n_1) (m, n_2) ...: each aligned, none overlapping, without a loop */
static size_t layer_offset(const cbp_net *net, int64_t m, int l) {
    const size_t before = (size_t)m * (size_t)net->stage[l].units_before * net->real;
    return aligned(before) + (size_t)(l - 1) * CBP_ALIGN;
}

static size_t layers_bytes(const cbp_net *net, int64_t m) {
    return aligned((size_t)m * (size_t)net->units * net->real) + (size_t)net->n_layers * CBP_ALIGN;
}

/* The next `bytes` of the workspace; with no workspace, counts only */
static void *take(cbp_frame *f, char *work, size_t bytes) {
    char *const here = work ? work + f->bytes : NULL;
    f->bytes += aligned(bytes);
    return here;
}

cbp_frame cbp_frame_at(const cbp_net *net, int64_t m, cbp_mode mode, void *work) {
    const size_t rows = (size_t)m, real = net->real;
    cbp_frame f = {.m = m};
    f.a = take(&f, work, layers_bytes(net, m));
    f.d = take(&f, work, layers_bytes(net, m));
    f.y = take(&f, work, rows * (size_t)net->n_out * real);
    f.scratch = take(&f, work, rows * (size_t)net->widest * real);
    f.turned = take(&f, work, (size_t)net->largest_weights * real);
    f.c = take(&f, work, rows * sizeof(double));
    if (mode == CBP_EPOCH) {
        f.x = take(&f, work, rows * (size_t)net->n_in * real);
        f.s = take(&f, work, rows * real);
        f.labels = take(&f, work, rows * sizeof(int64_t));
    }
    return f;
}

void *cbp_frame_a(const cbp_net *net, const cbp_frame *f, int l) { return f->a + layer_offset(net, f->m, l); }
void *cbp_frame_d(const cbp_net *net, const cbp_frame *f, int l) { return f->d + layer_offset(net, f->m, l); }

static int64_t block_rows(int64_t n) { return n < BLOCK_ROWS ? n : BLOCK_ROWS; }

/* The two buffers of predict, which take turns as input and output of a layer */
static size_t predict_buffer(const cbp_net *net, int64_t rows) {
    return aligned((size_t)rows * (size_t)net->widest * net->real);
}

size_t cbp_work_bytes(const cbp_net *net, int64_t batch, cbp_mode mode) {
    if (!net || batch < 0) return 0;
    const int64_t rows = mode == CBP_PREDICT || mode == CBP_EVALUATE ? block_rows(batch) : batch;
    const double per_row = 2.0 * (double)net->units + net->n_out + net->widest + net->n_in + 4.0;
    const double bound = 8.0 * ((double)rows * per_row + (double)net->largest_weights) + 128.0 * net->n_layers + 1024.0;
    if (bound > (double)(SIZE_MAX / 2)) return 0;
    if (mode == CBP_PREDICT) return 2 * predict_buffer(net, rows);
    return cbp_frame_at(net, rows, mode, NULL).bytes;
}

size_t cbp_offset(const cbp_net *net, int64_t batch, cbp_array array, int l) {
    return (array == CBP_D ? layers_bytes(net, batch) : 0) + layer_offset(net, batch, l);
}

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
    if (is_row_wise(s->runs[0].act)) {
        activate(net, s, m, a, d);
    } else {
        memcpy(d, a, (size_t)m * (size_t)s->n_out * net->real);
        activate(net, s, m, a, NULL);
    }
}

static void forward(const cbp_net *net, const void *theta, const cbp_frame *f, const void *x) {
    const void *a = x;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        char *const z = cbp_frame_a(net, f, l), *const d = cbp_frame_d(net, f, l);
        cbp_nn(net, s, f->m, a, cbp_at(theta, s->theta, net->real), z);
        (l == net->n_layers && net->loss_is_head ? activate_head : activate)(net, s, f->m, z, d);
        a = z;
    }
}

/* One block of at most BLOCK_ROWS rows; the last layer writes to out */
static void predict_block(const cbp_net *net, const cbp_mem *mem, int64_t m, const void *x, void *out) {
    char *buffer[2] = {mem->work, (char *)mem->work + predict_buffer(net, m)};
    const void *a = x;
    for (int l = 1; l <= net->n_layers; l++) {
        const cbp_stage *s = &net->stage[l];
        void *const z = l == net->n_layers ? out : buffer[l % 2];
        cbp_nn(net, s, m, a, cbp_at(mem->theta, s->theta, net->real), z);
        activate(net, s, m, z, NULL);
        a = z;
    }
}

cbp_status cbp_predict(const cbp_net *net, const cbp_mem *mem, int64_t n, const void *x, void *out) {
    if (!net || !mem || !mem->theta || !mem->work || (n > 0 && (!x || !out))) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_fpmode mode = cbp_fp_enter();
    for (int64_t r = 0; r < n; r += BLOCK_ROWS)
        predict_block(net, mem, block_rows(n - r), cbp_at(x, r * net->n_in, net->real),
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
    net->k->loss[net->loss](f->m, net->n_out, net->loss_arg, y, a, d, !is_row_wise(act), f->c);
    if (!net->loss_is_head && is_row_wise(act)) net->k->act_back[act](f->m, net->n_out, a, d);
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
    for (int64_t r = 0; r < data->n; r += BLOCK_ROWS) {
        const cbp_data block = cbp_rows(net, data, r, block_rows(data->n - r));
        const cbp_frame f = cbp_frame_at(net, block.n, CBP_EVALUATE, mem->work);
        forward(net, mem->theta, &f, block.x);
        cost(net, &f, &block, &sums);
    }
    *loss = cbp_objective(net, sums);
    cbp_fp_leave(mode);
    return sums.weight > 0 ? CBP_OK : CBP_ZERO_WEIGHT;
}

/* ---- down ---- */

/* grad := sum_r s_r a_r delta_r for layer l; then the delta of the layer below: (delta W^T) * g' (equations 2 and 3) */
static void layer_down(const cbp_net *net, const cbp_mem *mem, const cbp_frame *f, const cbp_data *data, int l) {
    const cbp_stage *s = &net->stage[l];
    const void *below = l > 1 ? cbp_frame_a(net, f, l - 1) : data->x;
    const void *delta = cbp_frame_d(net, f, l), *weighted = delta;
    if (data->weight) {
        net->k->scale_rows(f->m, s->n_out, data->weight, delta, f->scratch);
        weighted = f->scratch;
    }
    cbp_tn(net, s, f->m, below, weighted, (char *)mem->grad + (size_t)s->theta * net->real);
    if (l == 1) return;
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
