/* plan.c - the plan and its workspace: everything that is decided once, before a number is touched.
 *
 * Called by the front ends; what it makes is read by all others of the driver through net.h.
 */
#include "net.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

/* ---- the plan ---- */

/* Zero for an activation that has no argument */
static double unit_arg(const cbp_dense *d, int j) {
    const cbp_info *row = &cbp_table(CBP_ACTIVATIONS, NULL)[cbp_unit_act(d, j)];
    if (!row->arg[0].name) return 0;
    return !d->unit_act ? d->act_arg : d->unit_act_arg ? d->unit_act_arg[j] : row->arg[0].value;
}

/* Whether unit j continues the run of unit j - 1 */
static int same_run(const cbp_dense *d, int j) {
    return cbp_unit_act(d, j) == cbp_unit_act(d, j - 1) && unit_arg(d, j) == unit_arg(d, j - 1);
}

/* Where to stop looking at a span's units: one speaks for all where the layer has one activation */
static int end_to_read(const cbp_dense *d, cbp_head span) { return span.first + (d->unit_act ? span.units : 1); }

/* No run goes beyond its span */
static int count_runs(const cbp_spec *spec, int l) {
    const cbp_dense *d = &spec->layers[l - 1];
    int runs = 0;
    for (int i = 0; i < cbp_n_spans(spec, l); i++) {
        const cbp_head span = cbp_span(spec, l, i);
        runs++;
        for (int j = span.first + 1; j < end_to_read(d, span); j++) runs += !same_run(d, j);
    }
    return runs;
}

static void fill_runs(const cbp_spec *spec, int l, cbp_run *run) {
    const cbp_dense *d = &spec->layers[l - 1];
    for (int i = 0; i < cbp_n_spans(spec, l); i++) {
        const cbp_head span = cbp_span(spec, l, i);
        int j = span.first;
        *run++ = (cbp_run){j, d->unit_act ? 1 : span.units, cbp_unit_act(d, j), unit_arg(d, j)};
        for (j++; j < end_to_read(d, span); j++) {
            if (same_run(d, j))
                run[-1].count++;
            else
                *run++ = (cbp_run){j, 1, cbp_unit_act(d, j), unit_arg(d, j)};
        }
    }
}

static int is_row_wise(cbp_act act) { return cbp_table(CBP_ACTIVATIONS, NULL)[act].row_wise; }

/* Comparisons that hold are written, so that NaN is refused */
static cbp_status check_numbers(const cbp_dense *d, cbp_dtype dtype, int is_output) {
    if (!(d->dropout >= 0 && d->dropout < 1) || (is_output && d->dropout > 0)) return CBP_BAD_DROPOUT;
    if (!(d->l1 >= 0 && d->l1 < INFINITY && d->l2 >= 0 && d->l2 < INFINITY)) return CBP_BAD_PENALTY;
    if (!(d->max_norm >= 0 && d->max_norm < INFINITY)) return CBP_BAD_MAX_NORM;
    const double most = dtype == CBP_FLOAT32 ? FLT_MAX : DBL_MAX, least = dtype == CBP_FLOAT32 ? FLT_MIN : 0;
    return d->steepness == 0 || (d->steepness >= least && d->steepness <= most) ? CBP_OK : CBP_BAD_STEEPNESS;
}

/* A row-wise activation is for the output, and for all units of a span */
static cbp_status check_span(const cbp_dense *d, cbp_head span, int is_output) {
    int row_wise = 0, mixed = 0;
    for (int j = span.first; j < end_to_read(d, span); j++) {
        const cbp_act act = cbp_unit_act(d, j);
        if ((int)act < 0 || act >= CBP_N_ACT) return CBP_BAD_ACTIVATION;
        row_wise |= is_row_wise(act);
        mixed |= act != cbp_unit_act(d, span.first);
    }
    return row_wise && (mixed || !is_output) ? CBP_ROW_HIDDEN : CBP_OK;
}

/* Numbers that rise, of layers before the one below */
static cbp_status check_skips(const cbp_dense *d, int l) {
    if (d->n_skips < 0 || d->n_skips >= l) return CBP_BAD_SKIP;
    if (d->n_skips > 0 && !d->skips) return CBP_NULL_ARGUMENT;
    for (int i = 0; i < d->n_skips; i++)
        if (d->skips[i] < (i ? d->skips[i - 1] + 1 : 0) || d->skips[i] > l - 2) return CBP_BAD_SKIP;
    return CBP_OK;
}

static cbp_status check_layer(const cbp_spec *spec, int l) {
    const cbp_dense *d = &spec->layers[l - 1];
    const int is_output = l == spec->n_layers;
    cbp_status status = d->units < 1 ? CBP_BAD_SHAPE : check_numbers(d, spec->dtype, is_output);
    if (!status && is_output) status = cbp_check_heads(spec);
    for (int i = 0; !status && i < cbp_n_spans(spec, l); i++) status = check_span(d, cbp_span(spec, l, i), is_output);
    return status ? status : check_skips(d, l);
}

static cbp_status check_spec(const cbp_spec *spec) {
    if ((int)spec->dtype < 0 || spec->dtype >= CBP_N_DTYPE) return CBP_BAD_DTYPE;
    if (spec->n_in < 1 || spec->n_layers < 1 || !spec->layers) return CBP_BAD_SHAPE;
    for (int l = 1; l <= spec->n_layers; l++) {
        const cbp_status status = check_layer(spec, l);
        if (status) return status;
    }
    if (!(spec->input_noise >= 0 && spec->input_noise < INFINITY)) return CBP_BAD_INPUT_NOISE;
    if (!(spec->input_dropout >= 0 && spec->input_dropout < 1)) return CBP_BAD_DROPOUT;
    return cbp_check_losses(spec);
}

/* Whether there is nothing but products, activations and a loss of the table: what online.c knows about */
static int is_plain(const cbp_spec *spec) {
    int plain = !spec->own_loss && !spec->n_heads && !spec->missing_targets;
    plain = plain && !cbp_table(CBP_LOSSES, NULL)[spec->loss].pair[0];
    plain &= spec->input_noise == 0 && spec->input_dropout == 0;
    for (int l = 0; l < spec->n_layers; l++) {
        const cbp_dense *d = &spec->layers[l];
        plain &= (d->steepness == 0 || d->steepness == 1) && d->dropout == 0 && d->n_skips == 0;
        plain &= d->l1 == 0 && d->l2 == 0 && d->max_norm == 0;
    }
    return plain;
}

static int any_row_wise(const cbp_run *run, int n) {
    int found = 0;
    for (int i = 0; i < n; i++) found |= is_row_wise(run[i].act);
    return found;
}

static cbp_stage *stages_of(const cbp_net *net) { return (cbp_stage *)(net + 1); }
static cbp_top *tops_of(const cbp_net *net) { return (cbp_top *)(stages_of(net) + net->n_layers + 1); }
static cbp_run *runs_of(const cbp_net *net) { return (cbp_run *)(tops_of(net) + (net->n_heads ? net->n_heads : 1)); }

/* Layer l's sources go to `source`; returns the units of all of them */
static int64_t fill_sources(cbp_stage *stage, const cbp_dense *d, int l, int *source) {
    int64_t n_in = 0;
    for (int i = 0; i <= d->n_skips; i++) {
        source[i] = i < d->n_skips ? d->skips[i] : l - 1;
        stage[source[i]].feeds = l;
        n_in += stage[source[i]].n_out;
    }
    return n_in;
}

/* Sizes and offsets of every layer; CBP_TOO_LARGE where the parameters would not fit an address space */
static cbp_status fill_stages(cbp_net *net, const cbp_spec *spec, int *sources) {
    cbp_stage *stage = stages_of(net);
    cbp_run *runs = runs_of(net);
    stage[0] = (cbp_stage){.n_out = spec->n_in};
    for (int l = 1; l <= spec->n_layers; l++) {
        const cbp_dense *d = &spec->layers[l - 1];
        const int64_t n_in = fill_sources(stage, d, l, sources); /* one less than the rows of theta[l], an int */
        if (n_in >= INT_MAX || n_in * d->units > INT64_MAX / 64 - net->n_params - d->units) return CBP_TOO_LARGE;
        fill_runs(spec, l, runs);
        stage[l] = (cbp_stage){.n_in = (int)n_in,
                               .n_out = d->units,
                               .theta = net->n_params,
                               .units_before = net->units,
                               .n_runs = count_runs(spec, l),
                               .runs = runs,
                               .row_wise = any_row_wise(runs, count_runs(spec, l)),
                               .steepness = d->steepness > 0 ? d->steepness : 1,
                               .dropout = d->dropout,
                               .l1 = d->l1,
                               .l2 = d->l2,
                               .max_norm = d->max_norm,
                               .n_sources = d->n_skips + 1,
                               .sources = sources,
                               .joined_before = net->joined};
        runs += stage[l].n_runs;
        sources += stage[l].n_sources;
        if (d->n_skips > 0) net->joined += n_in;
        net->is_penalized |= d->l1 > 0 || d->l2 > 0;
        net->has_max_norm |= d->max_norm > 0;
        net->n_params += (n_in + 1) * d->units;
        net->units += d->units;
        if (d->units > net->widest) net->widest = d->units;
        if (n_in > net->widest) net->widest = (int)n_in;
    }
    return (uint64_t)net->n_params > SIZE_MAX / (4 * net->real) ? CBP_TOO_LARGE : CBP_OK;
}

/* Runs, and sources, of all layers */
static size_t all_runs(const cbp_spec *spec) {
    size_t n = 0;
    for (int l = 1; l <= spec->n_layers; l++) n += (size_t)count_runs(spec, l);
    return n;
}

static size_t all_sources(const cbp_spec *spec) {
    size_t n = 0;
    for (int l = 1; l <= spec->n_layers; l++) n += (size_t)spec->layers[l - 1].n_skips + 1;
    return n;
}

/* A plan and, behind it, its tables: layers, spans of the output, runs, sources */
static size_t plan_bytes(const cbp_spec *spec) {
    const size_t stages = ((size_t)spec->n_layers + 1) * sizeof(cbp_stage);
    const size_t tops = (size_t)cbp_n_spans(spec, spec->n_layers) * sizeof(cbp_top);
    return sizeof(cbp_net) + stages + tops + all_runs(spec) * sizeof(cbp_run) + all_sources(spec) * sizeof(int);
}

/* What the plan keeps as it is described */
static void copy_spec(cbp_net *net, const cbp_spec *spec) {
    net->dtype = spec->dtype;
    net->real = spec->dtype == CBP_FLOAT32 ? sizeof(float) : sizeof(double);
    net->n_in = net->widest = spec->n_in;
    net->n_out = spec->layers[spec->n_layers - 1].units;
    net->loss = spec->loss;
    net->loss_arg = spec->loss_arg;
    net->own_loss = spec->own_loss;
    net->own_ctx = spec->own_ctx;
    net->missing = spec->missing_targets;
    net->reduction = spec->reduction;
    net->input_noise = spec->input_noise;
    net->input_dropout = spec->input_dropout;
}

/* Makes the plan of a spec that was checked in zeroed memory that is aligned for it */
static cbp_status fill_plan(cbp_net *net, const cbp_spec *spec) {
    net->k = cbp_kern_for(spec->isa, spec->dtype);
    net->single_rows = 1;
    net->n_layers = spec->n_layers;
    net->n_heads = spec->n_heads;
    copy_spec(net, spec);
    cbp_fill_heads(net, spec, tops_of(net));
    net->stage = stages_of(net);
    const cbp_status status = fill_stages(net, spec, (int *)(runs_of(net) + all_runs(spec)));
    if (!status) net->online_bytes = is_plain(spec) ? cbp_online_bytes(net) : 0;
    return status;
}

static cbp_status check(const cbp_spec *spec) {
    if (!spec) return CBP_NULL_ARGUMENT;
    const cbp_status status = check_spec(spec);
    return status ? status : cbp_kern_for(spec->isa, spec->dtype) ? CBP_OK : CBP_BAD_ISA;
}

cbp_status cbp_net_new(cbp_net **out, const cbp_spec *spec) {
    if (!out) return CBP_NULL_ARGUMENT;
    *out = NULL;
    cbp_status status = check(spec);
    if (status) return status;
    cbp_net *const net = calloc(1, plan_bytes(spec));
    if (!net) return CBP_NO_MEMORY;
    status = fill_plan(net, spec);
    if (status)
        free(net);
    else
        *out = net;
    return status;
}

/* ---- the same in memory of the caller's ---- */

/* A plan's address is a multiple of that */
enum { PLAN_ALIGN = sizeof(void *) > sizeof(double) ? sizeof(void *) : sizeof(double) };
_Static_assert(PLAN_ALIGN % _Alignof(struct cbp_net) == 0, "PLAN_ALIGN is too small for a plan");

size_t cbp_net_bytes(const cbp_spec *spec) { return check(spec) ? 0 : plan_bytes(spec) + PLAN_ALIGN - 1; }

cbp_status cbp_net_in(cbp_net **out, void *memory, size_t bytes, const cbp_spec *spec) {
    if (!out) return CBP_NULL_ARGUMENT;
    *out = NULL;
    if (!memory) return CBP_NULL_ARGUMENT;
    cbp_status status = check(spec);
    if (status) return status;
    const size_t needed = plan_bytes(spec);
    if (bytes < needed + PLAN_ALIGN - 1) return CBP_NO_MEMORY;
    const uintptr_t at = ((uintptr_t)memory + PLAN_ALIGN - 1) / PLAN_ALIGN * PLAN_ALIGN;
    cbp_net *const net = (cbp_net *)at;
    memset(net, 0, needed);
    status = fill_plan(net, spec);
    if (!status) *out = net;
    return status;
}

void cbp_net_free(cbp_net *net) { free(net); }
cbp_dtype cbp_net_dtype(const cbp_net *net) { return net->dtype; }
const char *cbp_net_isa(const cbp_net *net) { return net->k->isa; }
int64_t cbp_n_params(const cbp_net *net) { return net->n_params; }
int cbp_n_targets(const cbp_net *net) { return net->n_targets; }

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

/* The same for the inputs of the layers with several sources: (m, n) behind the inputs of the layers before */
static size_t joined_offset(const cbp_net *net, int64_t m, int l) {
    const size_t before = (size_t)m * (size_t)net->stage[l].joined_before * net->real;
    return aligned(before) + (size_t)(l - 1) * CBP_ALIGN;
}

static size_t joined_bytes(const cbp_net *net, int64_t m) {
    return aligned((size_t)m * (size_t)net->joined * net->real) + (size_t)net->n_layers * CBP_ALIGN;
}

/* The next `bytes` of the workspace; with no workspace, counts only */
static void *take(cbp_frame *f, char *work, size_t bytes) {
    char *const here = work ? work + f->bytes : NULL;
    f->bytes += aligned(bytes);
    return here;
}

/* Whether products of m rows copy their operands (kern/gemm.inc) */
static int needs_room(const cbp_net *net, int64_t m) {
    return m >= CBP_MANY && (size_t)net->widest * net->real >= CBP_SCATTERED;
}

static size_t rooms_bytes(const cbp_net *net, int64_t m) {
    return needs_room(net, m) ? (size_t)CBP_MAX_PARTS * CBP_ROOM : 0;
}

static int has_noisy_inputs(const cbp_net *net) { return net->input_noise > 0 || net->input_dropout > 0; }

cbp_frame cbp_frame_at(const cbp_net *net, int64_t m, cbp_mode mode, void *work) {
    const size_t rows = (size_t)m, real = net->real;
    cbp_frame f = {.m = m};
    f.a = take(&f, work, layers_bytes(net, m));
    f.d = take(&f, work, layers_bytes(net, m));
    if (has_noisy_inputs(net)) f.noisy = take(&f, work, rows * (size_t)net->n_in * real);
    f.y = take(&f, work, rows * (size_t)net->n_targets * real);
    f.scratch = take(&f, work, rows * (size_t)net->widest * real);
    f.c = take(&f, work, rows * sizeof(double));
    const int curves = mode == CBP_CURVE || mode == CBP_MATRIX;
    if (mode == CBP_MATRIX && (size_t)net->n_params * net->real >= CBP_SCATTERED)
        f.rooms = take(&f, work, (size_t)CBP_MAX_PARTS * CBP_ROOM);
    else if (needs_room(net, m))
        f.rooms = take(&f, work, rooms_bytes(net, m));
    if (net->n_heads) {
        f.head = take(&f, work, 3 * rows * (size_t)net->widest_head * real);
        f.head_c = take(&f, work, rows * sizeof(double));
    }
    if (mode == CBP_EPOCH) {
        f.x = take(&f, work, rows * (size_t)net->n_in * real);
        f.s = take(&f, work, rows * real);
        f.labels = take(&f, work, rows * sizeof(int64_t));
    }
    if (net->joined || curves) f.e = take(&f, work, layers_bytes(net, m));
    if (net->joined) f.joined = take(&f, work, joined_bytes(net, m));
    return f;
}

cbp_frame cbp_frame_turned(const cbp_net *net, int64_t m, void *work) {
    cbp_frame f = {.m = m};
    f.a = take(&f, work, layers_bytes(net, m));
    f.d = take(&f, work, layers_bytes(net, m));
    f.e = take(&f, work, layers_bytes(net, m));
    f.c = take(&f, work, (size_t)m * sizeof(double));
    if (net->joined) f.joined = take(&f, work, joined_bytes(net, m));
    return f;
}

void *cbp_frame_a(const cbp_net *net, const cbp_frame *f, int l) { return f->a + layer_offset(net, f->m, l); }
void *cbp_frame_d(const cbp_net *net, const cbp_frame *f, int l) { return f->d + layer_offset(net, f->m, l); }
void *cbp_frame_e(const cbp_net *net, const cbp_frame *f, int l) { return f->e + layer_offset(net, f->m, l); }
void *cbp_frame_joined(const cbp_net *net, const cbp_frame *f, int l) {
    return f->joined + joined_offset(net, f->m, l);
}

/* A thread gets at least four blocks, so that none waits long for another's last */
int cbp_desks(int64_t n) {
    const int64_t desks = n / (4 * CBP_BLOCK_ROWS);
    return desks < 1 ? 1 : desks < CBP_MAX_PARTS ? (int)desks : CBP_MAX_PARTS;
}

static size_t predict_buffer(const cbp_net *net, int64_t n) {
    return aligned((size_t)cbp_block_rows(n) * (size_t)net->widest * net->real);
}

static size_t desk_bytes(const cbp_net *net, int64_t n) {
    const int64_t m = cbp_block_rows(n);
    return net->joined ? layers_bytes(net, m) + joined_bytes(net, m) : 2 * predict_buffer(net, n);
}

cbp_desk cbp_desk_at(const cbp_net *net, int64_t n, int desk, void *work) {
    const int64_t m = cbp_block_rows(n);
    const size_t bytes = desk_bytes(net, n);
    char *const rooms = (char *)work + bytes * (size_t)cbp_desks(n), *const mine = (char *)work + bytes * (size_t)desk;
    const size_t second = net->joined ? layers_bytes(net, m) : predict_buffer(net, n);
    return (cbp_desk){{mine, mine + second}, needs_room(net, m) ? cbp_room(rooms, desk) : NULL};
}

size_t cbp_work_bytes(const cbp_net *net, int64_t batch, cbp_mode mode) {
    if (!net || batch < 0) return 0;
    if (mode == CBP_CURVE || mode == CBP_MATRIX) return cbp_curve_bytes(net, batch, mode);
    const int64_t rows = mode == CBP_PREDICT || mode == CBP_EVALUATE ? cbp_block_rows(batch) : batch;
    const double per_row = 2.0 * (double)net->units + net->n_out + net->widest + 2.0 * net->n_in + 4.0 +
                           (net->joined ? (double)net->units + (double)net->joined : 0) +
                           (net->n_heads ? 3.0 * net->widest_head + 1.0 : 0);
    const double rooms = (double)rooms_bytes(net, rows) + 128.0 * net->n_layers + 1024.0;
    const int desks = mode == CBP_PREDICT ? cbp_desks(batch) : 1;
    const double bound = 8.0 * (double)rows * per_row * desks + rooms;
    if (bound > (double)(SIZE_MAX / 2)) return 0;
    if (mode == CBP_PREDICT) return desk_bytes(net, rows) * (size_t)desks + rooms_bytes(net, rows);
    return cbp_frame_at(net, rows, mode, NULL).bytes + (mode == CBP_EPOCH ? net->online_bytes : 0);
}

size_t cbp_offset(const cbp_net *net, int64_t batch, cbp_array array, int l) {
    if (l == 0) return 2 * layers_bytes(net, batch);
    return (array == CBP_D ? layers_bytes(net, batch) : 0) + layer_offset(net, batch, l);
}
