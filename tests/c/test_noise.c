/* Noise: the kernels against the generator word by word, and noisy passes alike on every instruction set, with every
 * number of threads, by every path. What the numbers must be, tests/test_noise.py knows.
 */
#include "naive.h"
#include "net.h"

enum { MOST_THREADS = 4 };

/* ---- kernels ---- */

/* Word i of a stream, from a generator that makes one block at a time */
static uint32_t word_at(const cbp_stream *s, uint64_t i) {
    uint32_t counter[4], key[2], word[4];
    cbp_stream_block(s, i / 4, counter, key);
    cbp_philox(counter, key, word);
    return word[i % 4];
}

static void drop_equals(const cbp_kern *k, cbp_dtype dtype, int64_t n, uint64_t first, uint32_t limit, int with_d) {
    const cbp_stream s = {UINT64_C(0x123456789ABCDEF0), UINT64_C(0xFEDCBA9876543210), CBP_DROPOUT};
    uint32_t counter[4], key[2];
    void *const x = random_reals(dtype, n, -1, 1), *const d = random_reals(dtype, n, -1, 1);
    put(dtype, x, n / 2, NAN), put(dtype, d, n / 3, -INFINITY);
    void *const want_x = copy_of(dtype, n, x), *const want_d = copy_of(dtype, n, d);
    for (int64_t i = 0; i < n; i++) {
        const int kept = word_at(&s, first + (uint64_t)i) >= limit;
        put(dtype, want_x, i, kept ? mul_(dtype, get(dtype, x, i), to(dtype, 1.6)) : 0);
        if (with_d) put(dtype, want_d, i, kept ? mul_(dtype, get(dtype, d, i), to(dtype, 1.6)) : 0);
    }
    cbp_stream_block(&s, 0, counter, key);
    k->drop(n, counter, key, first, limit, 1.6, x, with_d ? d : NULL);
    for (int64_t i = 0; i < n; i++) {
        const double got = get(dtype, x, i), want = get(dtype, want_x, i);
        CHECKF(got == want || (got != got && want != want), "number %d is %g, expected %g", (int)i, got, want);
    }
    CHECK_BYTES(n, size_of(dtype), d, want_d);
    release_blocks();
}

CASE(dropout_goes_by_the_words_of_the_stream) {
    static const uint64_t firsts[] = {0, 1, 2, 3, 62, UINT64_C(0x3FFFFFFDE), UINT64_C(0xFFFFFFFFFFF1)};
    static const uint32_t limits[] = {0, 1u << 30, UINT32_MAX};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int64_t n = 1; n < 150; n += n < 20 ? 1 : 43)
            for (int j = 0; j < 7; j++) drop_equals(k, dtype, n, firsts[j], limits[(n + j) % 3], (int)(n + j) % 2);
}

CASE(what_is_added_is_rounded_once) {
    enum { n = 37 };
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        const double *const u = random_reals(CBP_FLOAT64, n, -3, 3);
        const void *const x = random_reals(dtype, n, -1, 1);
        void *const out = reals(dtype, n), *const want = reals(dtype, n);
        for (int64_t j = 0; j < n; j++) put(dtype, want, j, to(dtype, get(dtype, x, j) + 0.3 * u[j]));
        k->disturb(n, 0.3, u, x, out);
        CHECK_BYTES(n, size_of(dtype), out, want);
    }
}

/* ---- passes ---- */

/* Wide enough for threads to share rows and columns, and with an output that is narrow, and one that is not */
enum { ROWS = 300, SOME_ROWS = 20, WIDTHS = 5 };
static const int SHAPES[][WIDTHS] = {{60, 270, 130, 3}, {60, 130, 70, 3}, {9, 17, 33, 160}, {9, 260, 3}, {40, 1}};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

static const cbp_noise NOISE = {UINT64_C(0x8000000000000001), UINT64_C(3) << 32};

typedef struct {
    cbp_dtype dtype;
    cbp_net *net;
    void *theta;
    cbp_data data;
} task;

static task task_for(cbp_dtype dtype, const char *isa, const int *width, int64_t rows) {
    cbp_dense layer[WIDTHS] = {{0}};
    int n = 0;
    for (; n + 1 < WIDTHS && width[n + 1]; n++)
        layer[n] = (cbp_dense){.units = width[n + 1], .act = CBP_ACT_tanh, .dropout = n % 2 ? 0.25 : 0.5};
    layer[n - 1].dropout = 0;
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = width[0],
                           .n_layers = n,
                           .layers = layer,
                           .loss = CBP_LOSS_half_squared_error,
                           .isa = isa,
                           .input_noise = 0.5,
                           .input_dropout = 0.125};
    task t = {.dtype = dtype};
    CHECK(cbp_net_new(&t.net, &spec) == CBP_OK);
    harness_state = 20261122; /* the same numbers for every instruction set */
    t.theta = random_reals(dtype, cbp_n_params(t.net), -0.2, 0.2);
    t.data = (cbp_data){
        .n = rows, .x = random_reals(dtype, rows * width[0], -1, 1), .y = random_reals(dtype, rows * width[n], 0, 1)};
    return t;
}

/* What a noisy gradient, evaluation and epoch leave behind */
typedef struct {
    cbp_mem mem;
    double loss[3];
    void *grad;
} outcome;

static outcome passes(const task *t, cbp_pool *pool) {
    const int64_t n = cbp_n_params(t->net);
    outcome o = {.mem = {.theta = copy_of(t->dtype, n, t->theta),
                         .grad = reals(t->dtype, n),
                         .work = block(cbp_work_bytes(t->net, t->data.n, CBP_EPOCH)),
                         .pool = pool,
                         .noise = &NOISE}};
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    const double rate = 0.01;
    CHECK(cbp_gradient(t->net, &o.mem, &t->data, o.loss) == CBP_OK);
    o.grad = copy_of(t->dtype, n, o.mem.grad);
    CHECK(cbp_evaluate(t->net, &o.mem, &t->data, o.loss + 1) == CBP_OK);
    CHECK(cbp_epoch(t->net, &o.mem, &sgd, &t->data, NULL, 128, &rate, 1, &report) == CBP_OK);
    o.loss[2] = report.loss;
    return o;
}

static void same_outcome(const task *t, const outcome *one, const outcome *other) {
    const int64_t n = cbp_n_params(t->net);
    CHECK_BYTES(3, sizeof(double), one->loss, other->loss);
    CHECK_BYTES(n, size_of(t->dtype), one->grad, other->grad);
    CHECK_BYTES(n, size_of(t->dtype), one->mem.theta, other->mem.theta);
}

CASE(noise_is_the_same_with_1_to_4_threads_and_in_blocks) {
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++)
        for (int i = one_in(2) - 1 + dtype % one_in(2); i < N_SHAPES; i += one_in(2)) {
            const task t = task_for((cbp_dtype)dtype, NULL, SHAPES[i], ROWS);
            const outcome alone = passes(&t, NULL);
            CHECKF(alone.loss[0] == alone.loss[1], "%.17g in blocks, %.17g at once", alone.loss[1], alone.loss[0]);
            for (int threads = MOST_THREADS; threads > 1; threads -= one_in(MOST_THREADS)) {
                cbp_pool *pool;
                NOTE("%s, shape %d, %d threads", DTYPE_NAME[dtype], i, threads);
                CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
                const outcome shared = passes(&t, pool);
                same_outcome(&t, &shared, &alone);
                cbp_pool_free(pool);
            }
            cbp_net_free(t.net);
            release_blocks();
        }
}

CASE(noise_is_the_same_on_every_instruction_set) {
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
        const task plain = task_for((cbp_dtype)dtype, "scalar", SHAPES[1], SOME_ROWS);
        const outcome want = passes(&plain, NULL);
        for (int i = 0; cbp_isa_at(i); i++) {
            NOTE("%s %s", cbp_isa_at(i), DTYPE_NAME[dtype]);
            const task t = task_for((cbp_dtype)dtype, cbp_isa_at(i), SHAPES[1], SOME_ROWS);
            const outcome got = passes(&t, NULL);
            same_outcome(&t, &got, &want);
            cbp_net_free(t.net);
        }
        cbp_net_free(plain.net);
        release_blocks();
    }
}

/* A batch of one row by its own kernels and by the general path, and the first row of a larger batch */
CASE(noise_is_the_same_for_a_single_row) {
    cbp_dtype dtype;
    for (int i = 0; kern_at(i, &dtype); i++)
        for (int shape = 0; shape < N_SHAPES; shape++) {
            task t = task_for(dtype, cbp_isa_at(i / CBP_N_DTYPE), SHAPES[shape], 2);
            cbp_data row = t.data;
            row.n = 1;
            void *work[3];
            double loss;
            for (int way = 0; way < 3; way++) {
                const int64_t m = way < 2 ? 1 : 2;
                work[way] = block(cbp_work_bytes(t.net, m, CBP_TRAIN));
                cbp_mem mem = {
                    .theta = t.theta, .grad = reals(dtype, cbp_n_params(t.net)), .work = work[way], .noise = &NOISE};
                t.net->single_rows = way == 0;
                CHECK(cbp_gradient(t.net, &mem, way < 2 ? &row : &t.data, &loss) == CBP_OK);
            }
            for (int l = 0; l <= t.net->n_layers; l++)
                for (int way = 1; way < 3; way++)
                    CHECK_BYTES(t.net->stage[l].n_out, size_of(dtype),
                                (char *)work[way] + cbp_offset(t.net, way < 2 ? 1 : 2, CBP_A, l),
                                (char *)work[0] + cbp_offset(t.net, 1, CBP_A, l));
            cbp_net_free(t.net);
            release_blocks();
        }
}

CASE(forward_then_backward_is_gradient) {
    const int64_t rows = many_or(ROWS, SOME_ROWS);
    const task t = task_for(CBP_FLOAT32, NULL, SHAPES[0], rows);
    const outcome want = passes(&t, NULL);
    const cbp_mem mem = {.theta = t.theta,
                         .grad = reals(t.dtype, cbp_n_params(t.net)),
                         .work = block(cbp_work_bytes(t.net, rows, CBP_TRAIN)),
                         .noise = &NOISE};
    double loss;
    CHECK(cbp_forward(t.net, &mem, rows, t.data.x) == CBP_OK);
    CHECK(cbp_backward(t.net, &mem, &t.data, &loss) == CBP_OK);
    CHECK(loss == want.loss[0]);
    CHECK_BYTES(cbp_n_params(t.net), sizeof(float), mem.grad, want.grad);
    cbp_net_free(t.net);
}

CASE(a_prediction_is_never_noisy) {
    const int64_t rows = many_or(ROWS, SOME_ROWS);
    const task t = task_for(CBP_FLOAT32, NULL, SHAPES[0], rows);
    cbp_mem mem = {.theta = t.theta, .work = block(cbp_work_bytes(t.net, rows, CBP_PREDICT))};
    float *const out[2] = {reals(t.dtype, rows * 3), reals(t.dtype, rows * 3)};
    CHECK(cbp_predict(t.net, &mem, rows, t.data.x, out[0]) == CBP_OK);
    mem.noise = &NOISE;
    CHECK(cbp_predict(t.net, &mem, rows, t.data.x, out[1]) == CBP_OK);
    CHECK_BYTES(rows * 3, sizeof(float), out[0], out[1]);
    cbp_net_free(t.net);
}

CASE(inputs_of_their_own_lie_apart_from_the_layers) {
    const task t = task_for(CBP_FLOAT32, NULL, SHAPES[0], ROWS);
    for (int64_t m = 1; m < 9; m++) {
        const size_t start = cbp_offset(t.net, m, CBP_A, 0);
        CHECK(start >= cbp_offset(t.net, m, CBP_D, 3) + (size_t)m * 3 * sizeof(float) && start % CBP_ALIGN == 0);
        CHECK(start + (size_t)m * 60 * sizeof(float) <= cbp_work_bytes(t.net, m, CBP_TRAIN));
    }
    cbp_net_free(t.net);
}

/* ---- refusals ---- */

static cbp_status status_of(double hidden, double output, double noise, double dropout) {
    const cbp_dense layer[] = {{.units = 2, .dropout = hidden}, {.units = 1, .dropout = output}};
    const cbp_spec spec = {.n_in = 1, .n_layers = 2, .layers = layer, .input_noise = noise, .input_dropout = dropout};
    cbp_net *net;
    const cbp_status status = cbp_net_new(&net, &spec);
    cbp_net_free(net);
    return status;
}

CASE(noise_beyond_its_range) {
    static const double wrong[] = {-0.1, 1, NAN, INFINITY};
    CHECK(status_of(0.5, 0, 0.5, 0.5) == CBP_OK && status_of(0, 0, 7, 0) == CBP_OK);
    CHECK(status_of(0, 0.5, 0, 0) == CBP_BAD_DROPOUT);
    for (int i = 0; i < 4; i++) {
        CHECK(status_of(wrong[i], 0, 0, 0) == CBP_BAD_DROPOUT);
        CHECK(status_of(0, 0, 0, wrong[i]) == CBP_BAD_DROPOUT);
        CHECK(status_of(0, 0, wrong[i], 0) == (wrong[i] == 1 ? CBP_OK : CBP_BAD_INPUT_NOISE));
    }
}
