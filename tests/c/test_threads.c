/* Training and predicting with a pool: the same bytes with any number of threads. */
#include "naive.h"

enum { WIDTHS = 5, ROWS = 200, MOST_THREADS = 4 };

/* Large enough to be cut into parts, along the rows and along the columns, evenly and not */
static const int SHAPES[][WIDTHS] = {{300, 200, 10}, {65, 129, 127, 3}, {40, 256, 1}, {7, 33, 64, 31, 17}};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

/* Rows of a batch that is just worth more than one thread; the last shape is worth it with none */
static const int ENOUGH[N_SHAPES] = {26, 93, 150, 40};

/* A network with its data; the same for every number of threads */
typedef struct {
    cbp_net *net;
    cbp_dtype dtype;
    int n_in, n_out;
    int64_t n_params, rows;
    void *theta, *x, *y, *weight;
    int64_t order[ROWS];
} task;

/* What is left behind by an epoch of each kind, a gradient, an evaluation and a prediction */
typedef struct {
    void *theta, *grad, *slots, *out;
    double loss[3];
} outcome;

static task task_for(cbp_dtype dtype, const int *width, int64_t rows) {
    static const cbp_act act[] = {CBP_ACT_relu, CBP_ACT_tanh, CBP_ACT_sigmoid};
    cbp_dense layer[WIDTHS] = {{0}};
    int n = 0;
    for (; n + 1 < WIDTHS && width[n + 1]; n++) layer[n] = (cbp_dense){.units = width[n + 1], .act = act[n % 3]};
    const cbp_spec spec = {
        .dtype = dtype, .n_in = width[0], .n_layers = n, .layers = layer, .loss = CBP_LOSS_half_squared_error};
    task t = {.dtype = dtype, .n_in = width[0], .n_out = width[n], .rows = rows};
    CHECK(cbp_net_new(&t.net, &spec) == CBP_OK);
    t.n_params = cbp_n_params(t.net);
    t.theta = random_reals(dtype, t.n_params, -0.2, 0.2);
    t.x = random_reals(dtype, rows * t.n_in, -1, 1);
    t.y = random_reals(dtype, rows * t.n_out, 0, 1);
    t.weight = random_reals(dtype, rows, 0.5, 2);
    CHECK(cbp_permutation(5, 0, rows, t.order) == CBP_OK);
    return t;
}

static outcome train(const task *t, cbp_optimizer kind, int64_t batch, cbp_pool *pool) {
    const int n_slots = cbp_table(CBP_OPTIMIZERS, NULL)[kind].n_slots;
    outcome o = {.theta = copy_of(t->dtype, t->n_params, t->theta),
                 .grad = zeros(t->dtype, t->n_params),
                 .slots = zeros(t->dtype, t->n_params * n_slots),
                 .out = reals(t->dtype, t->rows * t->n_out)};
    const cbp_mem mem = {.theta = o.theta,
                         .grad = o.grad,
                         .slots = o.slots,
                         .work = block(cbp_work_bytes(t->net, t->rows, CBP_EPOCH)),
                         .pool = pool};
    const cbp_data data = {.n = t->rows, .x = t->x, .y = t->y}, weighted = {t->rows, t->x, t->y, NULL, t->weight};
    cbp_opt opt = {.kind = kind};
    cbp_report report;
    for (int i = 0; i < CBP_MAX_ARGS; i++) opt.arg[i] = cbp_table(CBP_OPTIMIZERS, NULL)[kind].arg[i].value;
    const double rate = 0.01;
    CHECK(cbp_epoch(t->net, &mem, &opt, &data, NULL, batch, &rate, 1, &report) == CBP_OK);
    CHECK(cbp_epoch(t->net, &mem, &opt, &weighted, t->order, batch, &rate, 1, &report) == CBP_OK);
    o.loss[0] = report.loss;
    CHECK(cbp_gradient(t->net, &mem, &weighted, &o.loss[1]) == CBP_OK);
    CHECK(cbp_update(t->net, &mem, &opt, rate) == CBP_OK);
    CHECK(cbp_evaluate(t->net, &mem, &data, &o.loss[2]) == CBP_OK);
    CHECK(cbp_predict(t->net, &mem, t->rows, t->x, o.out) == CBP_OK);
    return o;
}

static void same_with_all_threads(const task *t, cbp_optimizer kind, int64_t batch) {
    const size_t real = size_of(t->dtype);
    const outcome alone = train(t, kind, batch, NULL);
    for (int threads = MOST_THREADS; threads > 0; threads -= one_in(MOST_THREADS)) {
        cbp_pool *pool;
        NOTE("%s, %d-..-%d, optimiser %d, batch %d, %d threads", DTYPE_NAME[t->dtype], t->n_in, t->n_out, (int)kind,
             (int)batch, threads);
        CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
        const outcome o = train(t, kind, batch, pool);
        CHECK_BYTES(t->n_params, real, o.theta, alone.theta);
        CHECK_BYTES(t->n_params, real, o.grad, alone.grad);
        CHECK_BYTES(t->rows * t->n_out, real, o.out, alone.out);
        CHECK_BYTES(3, sizeof(double), o.loss, alone.loss);
        cbp_pool_free(pool);
    }
}

CASE(shapes_train_alike_with_1_to_4_threads) {
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++)
        for (int i = dtype % one_in(2); i < N_SHAPES; i += one_in(2)) {
            const task t = task_for((cbp_dtype)dtype, SHAPES[i], many_or(ROWS, ENOUGH[i]));
            if (dtype % one_in(2) == 0) same_with_all_threads(&t, CBP_OPT_sgd, many_or(64, ENOUGH[i]));
            if (dtype % one_in(2) == 1 % one_in(2)) same_with_all_threads(&t, CBP_OPT_adam, t.rows);
            cbp_net_free(t.net);
            release_blocks();
        }
}

CASE(optimizers_train_alike_with_1_to_4_threads) {
    const task t = task_for(CBP_FLOAT32, SHAPES[0], many_or(ROWS, ENOUGH[0]));
    for (int kind = one_in(CBP_N_OPT) - 1; kind < CBP_N_OPT; kind++)
        same_with_all_threads(&t, (cbp_optimizer)kind, many_or(64, ENOUGH[0]));
    cbp_net_free(t.net);
}

CASE(batches_of_every_size_train_alike_with_1_to_4_threads) {
    static const int64_t batch[] = {1, 2, 3, 31, 65, 128};
    for (int i = 0; i < 6; i += one_in(5)) {
        const task t = task_for(CBP_FLOAT32, SHAPES[1], many_or(ROWS, i ? ENOUGH[1] : 5));
        same_with_all_threads(&t, CBP_OPT_sgd, batch[i]);
        cbp_net_free(t.net);
    }
}

/* Some rows: the work on a block is shared; many: the blocks are. The second network is wide enough for rooms. */
CASE(predictions_of_every_number_of_rows_are_alike_with_1_to_4_threads) {
    static const int shapes[][WIDTHS] = {{40, 256, 1}, {16, 1030, 3}};
    static const int64_t rows[] = {300, 1023, 2048, 4999, 2500};
    enum { MOST_ROWS = 4999 };
    for (int i = 0; i < 2; i++) {
        const task t = task_for(CBP_FLOAT32, shapes[i], 1);
        void *const x = random_reals(t.dtype, (int64_t)MOST_ROWS * t.n_in, -1, 1);
        for (int n = 0; n < 5; n++) {
            if (one_in(2) > 1 && n != (i ? 0 : 2)) continue;
            const int64_t outputs = rows[n] * t.n_out;
            cbp_mem mem = {.theta = t.theta, .work = block(cbp_work_bytes(t.net, rows[n], CBP_PREDICT))};
            void *const alone = reals(t.dtype, outputs), *const out = reals(t.dtype, outputs);
            CHECK(cbp_predict(t.net, &mem, rows[n], x, alone) == CBP_OK);
            for (int threads = many_or(MOST_THREADS, i ? MOST_THREADS : 2); threads > 0; threads -= one_in(4)) {
                NOTE("%d-..-%d, %d rows, %d threads", t.n_in, t.n_out, (int)rows[n], threads);
                CHECK(cbp_pool_new(&mem.pool, threads) == CBP_OK);
                memset(out, 0x5A, (size_t)outputs * size_of(t.dtype));
                CHECK(cbp_predict(t.net, &mem, rows[n], x, out) == CBP_OK);
                CHECK_BYTES(outputs, size_of(t.dtype), out, alone);
                cbp_pool_free(mem.pool);
            }
        }
        cbp_net_free(t.net);
    }
}

CASE(the_first_number_that_is_not_finite_is_found_with_1_to_4_threads) {
    enum { MANY = 1 << 20 };
    const task t = task_for(CBP_FLOAT32, SHAPES[3], 1);
    float *const x = zeros(CBP_FLOAT32, MANY);
    for (int threads = MOST_THREADS; threads > 0; threads -= one_in(MOST_THREADS)) {
        cbp_pool *pool;
        CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
        CHECK(cbp_net_first_nonfinite(t.net, pool, MANY, x) == -1);
        for (int at = MANY - 1; at > 0; at /= 3) {
            x[at] = at % 2 ? NAN : INFINITY;
            NOTE("%d threads, number %d", threads, at);
            CHECK(cbp_net_first_nonfinite(t.net, pool, MANY, x) == at);
        }
        memset(x, 0, MANY * sizeof *x);
        cbp_pool_free(pool);
    }
    cbp_net_free(t.net);
}
