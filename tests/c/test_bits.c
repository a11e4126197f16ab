/* The same seed and data give the same bits: the runs of bits.def, trained with every instruction set of this CPU and
 * any number of threads, against the stored hash. tests/bits.py makes the same runs through Python.
 *
 * The data are sixteenths, made by integers from the library's counter generator, so they are exact in any precision.
 */
#include "naive.h"

enum { SEED = 2026, DEPTH = 5, MOST_SLOTS = 4 };

typedef struct {
    int64_t rows;
    int width[DEPTH + 1]; /* n_0 .. n_L, 0 */
    const char *activation[DEPTH], *init, *loss, *reduction, *optimizer;
    double rate;
    int64_t batch;
    int epochs, weighted;
    double dropout, input_noise, input_dropout;
} training;

#define LIST(...) __VA_ARGS__
static const training trainings[] = {
#define RUN(rows, widths, activations, ...) {rows, {LIST widths}, {LIST activations}, __VA_ARGS__},
#define HASH(...)
#include "bits.def"
};
enum { N_TRAININGS = sizeof trainings / sizeof trainings[0] };

static const struct {
    const char *dtype;
    uint64_t value;
} stored[CBP_N_DTYPE] = {
#define RUN(...)
#define HASH(dtype, value) {dtype, UINT64_C(value)},
#include "bits.def"
};

/* ---- the data ---- */

/* Input i of row r: -16 .. 16 sixteenths */
static int sixteenths(int number, int64_t r, int i) {
    const uint32_t counter[4] = {(uint32_t)i / 16, (uint32_t)r, (uint32_t)number, 0}, key[2] = {SEED, 0};
    uint32_t random[4];
    cbp_philox(counter, key, random);
    return (int)((random[i / 4 % 4] >> 8 * (i % 4)) & 0xFF) % 33 - 16;
}

static int n_layers(const training *t) {
    int l = 0;
    while (t->width[l + 1]) l++;
    return l;
}

/* Label: which of the first n_L inputs is the largest, the first of equals. Target j: whether inputs j and j + 1 have a
 * positive sum. Weight: the row's number modulo 5, in quarters. */
static cbp_data data_of(const training *t, cbp_dtype dtype) {
    const int number = (int)(t - trainings), n_in = t->width[0], n_out = t->width[n_layers(t)];
    void *x = reals(dtype, t->rows * n_in), *y = reals(dtype, t->rows * n_out), *weight = reals(dtype, t->rows);
    int64_t *labels = block((size_t)t->rows * sizeof *labels);
    for (int64_t r = 0; r < t->rows; r++) {
        labels[r] = 0;
        for (int i = 0; i < n_in; i++) put(dtype, x, r * n_in + i, sixteenths(number, r, i) / 16.0);
        for (int j = 0; j < n_out; j++) {
            const double sum = get(dtype, x, r * n_in + j) + get(dtype, x, r * n_in + (j + 1) % n_in);
            put(dtype, y, r * n_out + j, sum > 0);
            if (get(dtype, x, r * n_in + j) > get(dtype, x, r * n_in + labels[r])) labels[r] = j;
        }
        put(dtype, weight, r, 0.25 * (double)(r % 5));
    }
    const int classes = strcmp(t->activation[n_layers(t) - 1], "softmax") == 0;
    return (cbp_data){t->rows, x, classes ? NULL : y, classes ? labels : NULL, t->weighted ? weight : NULL};
}

/* ---- the network ---- */

/* Number of the row of a table with this name */
static int row_of(cbp_kind kind, const char *name) {
    int n;
    const cbp_info *rows = cbp_table(kind, &n);
    for (int i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0) return i;
    CHECKF(0, "no row %s", name);
    return 0;
}

static cbp_dense layer_of(int units, const char *activation) {
    static const cbp_act turn[] = {CBP_ACT_sigmoid, CBP_ACT_leaky_relu, CBP_ACT_relu, CBP_ACT_identity, CBP_ACT_tanh};
    if (strcmp(activation, "mixed") != 0) {
        const cbp_act act = (cbp_act)row_of(CBP_ACTIVATIONS, activation);
        return (cbp_dense){.units = units, .act = act, .act_arg = cbp_table(CBP_ACTIVATIONS, NULL)[act].arg[0].value};
    }
    cbp_act *acts = block((size_t)units * sizeof *acts);
    double *args = block((size_t)units * sizeof *args);
    for (int j = 0; j < units; j++) acts[j] = turn[j % 5], args[j] = acts[j] == CBP_ACT_leaky_relu ? 0.125 : 0;
    return (cbp_dense){.units = units, .unit_act = acts, .unit_act_arg = args};
}

static cbp_net *net_of(const training *t, cbp_dtype dtype, const char *isa) {
    cbp_dense layer[DEPTH];
    for (int l = 0; l < n_layers(t); l++) {
        layer[l] = layer_of(t->width[l + 1], t->activation[l]);
        layer[l].dropout = l + 1 < n_layers(t) ? t->dropout : 0;
    }
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = t->width[0],
                           .n_layers = n_layers(t),
                           .layers = layer,
                           .loss = (cbp_loss)row_of(CBP_LOSSES, t->loss),
                           .reduction = strcmp(t->reduction, "sum") == 0 ? CBP_SUM : CBP_MEAN,
                           .isa = isa,
                           .input_noise = t->input_noise,
                           .input_dropout = t->input_dropout};
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    return net;
}

static cbp_opt optimizer_of(const training *t) {
    cbp_opt opt = {.kind = (cbp_optimizer)row_of(CBP_OPTIMIZERS, t->optimizer)};
    CHECK(cbp_table(CBP_OPTIMIZERS, NULL)[opt.kind].n_slots <= MOST_SLOTS);
    for (int i = 0; i < CBP_MAX_ARGS; i++) opt.arg[i] = cbp_table(CBP_OPTIMIZERS, NULL)[opt.kind].arg[i].value;
    return opt;
}

static cbp_mem memory_of(const cbp_net *net, const training *t, cbp_pool *pool) {
    const cbp_dtype dtype = cbp_net_dtype(net);
    const int64_t n = cbp_n_params(net);
    const size_t gradient = cbp_work_bytes(net, t->rows, CBP_TRAIN), epoch = cbp_work_bytes(net, t->rows, CBP_EPOCH);
    cbp_mem mem = {
        .theta = reals(dtype, n), .grad = reals(dtype, n), .slots = zeros(dtype, MOST_SLOTS * n), .pool = pool};
    mem.work = block(gradient > epoch ? gradient : epoch);
    cbp_initializer rule[DEPTH];
    for (int l = 0; l < DEPTH; l++) rule[l] = (cbp_initializer)row_of(CBP_INITIALIZERS, t->init);
    CHECK(cbp_init(net, rule, NULL, SEED, mem.theta) == CBP_OK);
    return mem;
}

/* ---- a run ---- */

/* Hash of each epoch's loss; *first and *last are those of the first and the last */
static uint64_t train(uint64_t hash, const training *t, const cbp_net *net, cbp_mem mem, const cbp_data *data,
                      double *first, double *last) {
    cbp_opt opt = optimizer_of(t);
    int64_t *order = block((size_t)t->rows * sizeof *order);
    for (int epoch = 0; epoch < t->epochs; epoch++) {
        cbp_report report;
        const cbp_noise noise = {SEED, (uint64_t)epoch << 32};
        mem.noise = &noise;
        CHECK(cbp_permutation(SEED, (uint64_t)epoch, t->rows, order) == CBP_OK);
        CHECK(cbp_epoch(net, &mem, &opt, data, order, t->batch, &t->rate, 1, &report) == CBP_OK);
        hash = hash_of(hash, CBP_FLOAT64, 1, &report.loss);
        *(epoch == 0 ? first : last) = report.loss;
    }
    return hash;
}

/* Hash of the losses, then of parameters, loss and gradient over all rows, and outputs */
static uint64_t run_one(uint64_t hash, const training *t, cbp_dtype dtype, const char *isa, cbp_pool *pool) {
    cbp_net *net = net_of(t, dtype, isa);
    const cbp_data data = data_of(t, dtype);
    const cbp_mem mem = memory_of(net, t, pool);
    const int n_out = t->width[n_layers(t)];
    double first = 0, last = 0, loss;
    hash = train(hash, t, net, mem, &data, &first, &last);
    CHECKF(last < first, "run %d learns nothing: loss %g, then %g", (int)(t - trainings), first, last);
    hash = hash_of(hash, dtype, cbp_n_params(net), mem.theta);
    CHECK(cbp_gradient(net, &mem, &data, &loss) == CBP_OK);
    hash = hash_of(hash, CBP_FLOAT64, 1, &loss);
    hash = hash_of(hash, dtype, cbp_n_params(net), mem.grad);
    void *out = reals(dtype, t->rows * n_out);
    CHECK(cbp_predict(net, &mem, t->rows, data.x, out) == CBP_OK);
    hash = hash_of(hash, dtype, t->rows * n_out, out);
    cbp_net_free(net);
    release_blocks();
    return hash;
}

/* All runs with every instruction set: prints the hashes, then fails if one is not the stored one */
static void hashes_are_the_stored_ones(cbp_pool *pool, int threads) {
    int differ = 0;
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        uint64_t hash = HASH_OF_NOTHING;
        for (int t = 0; t < N_TRAININGS; t++) hash = run_one(hash, trainings + t, dtype, k->isa, pool);
        const int same = hash == stored[dtype].value && strcmp(stored[dtype].dtype, DTYPE_NAME[dtype]) == 0;
        printf("bits %s %s %d 0x%016llx %s\n", k->isa, DTYPE_NAME[dtype], threads, (unsigned long long)hash,
               same ? "same" : "DIFFERS");
        differ += !same;
    }
    CHECKF(differ == 0, "%d hashes are not those of bits.def", differ);
}

CASE(one_thread) { hashes_are_the_stored_ones(NULL, 1); }

static void with_threads(int threads) {
    cbp_pool *pool;
    CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
    hashes_are_the_stored_ones(pool, threads);
    cbp_pool_free(pool);
}

CASE(two_threads) { with_threads(2); }
CASE(three_threads) { with_threads(3); }
CASE(four_threads) { with_threads(4); }
