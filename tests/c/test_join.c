/* Skip connections and steepness: equal on bytes to loops written out here, for every instruction set and precision,
 * any number of rows, threads, and with or without the ways that single rows have.
 */
#include "naive.h"
#include "net.h"

#include <limits.h>

enum { LAYERS = 5 };

/* Layers 1 .. n of `units`, fed by the layers whose bits are set in `from` beside the one below */
typedef struct {
    int n, units[LAYERS + 1];
    unsigned from[LAYERS + 1];
    double steepness[LAYERS + 1];
    cbp_act output;
    cbp_loss loss;
} shape;

static const shape SHAPES[] = {
    {2, {3, 4, 2}, {0, 0, 1}, {0}, CBP_ACT_sigmoid, CBP_LOSS_binary_cross_entropy}, /* inputs to output */
    {2, {37, 70, 5}, {0, 0, 1}, {0, 0.5, 3}, CBP_ACT_softmax, CBP_LOSS_categorical_cross_entropy},
    {4, {5, 37, 9, 70, 3}, {0, 0, 1, 3, 7}, {0, 1, 0.7}, CBP_ACT_softmax, CBP_LOSS_categorical_cross_entropy}, /* all */
    {4, {6, 17, 8, 5, 40}, {0, 0, 0, 2, 2}, {0}, CBP_ACT_identity, CBP_LOSS_half_squared_error}, /* layer 1 feeds 3 */
    {4, {2, 3, 7, 1, 1}, {0, 0, 0, 2, 5}, {0, 2, 2, 0.25, 4}, CBP_ACT_softmax, CBP_LOSS_mean_squared_error},
    {5, {70, 3, 3, 9, 4, 6}, {0, 0, 1, 0, 2, 9}, {0, 0, 0, 0, 0, 0.3}, CBP_ACT_tanh, CBP_LOSS_half_squared_error},
    {2, {9, 20, 33}, {0}, {0, 1.7, 0.9}, CBP_ACT_sigmoid, CBP_LOSS_binary_cross_entropy}, /* steepness alone */
};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

typedef struct {
    const shape *s;
    cbp_dtype dtype;
    cbp_net *net;
    int64_t rows;
    cbp_mem mem;
    cbp_data data;
    void *a[LAYERS + 1], *d[LAYERS + 1], *grad; /* as the loops make them */
    double cost, weight;
} trial;

static cbp_act act_of(const shape *s, int l) { return l == s->n ? s->output : l % 2 ? CBP_ACT_tanh : CBP_ACT_sigmoid; }
static double steepness_of(const trial *t, int l) {
    return to(t->dtype, t->s->steepness[l] > 0 ? t->s->steepness[l] : 1);
}
static int feeds(const shape *s, int k, int l) { return k == l - 1 || (k < l && (s->from[l] >> k & 1)); }

static cbp_net *net_of(const shape *s, cbp_dtype dtype, const char *isa) {
    cbp_dense layer[LAYERS] = {{0}};
    int skips[LAYERS + 1][LAYERS];
    for (int l = 1; l <= s->n; l++) {
        cbp_dense *const d = &layer[l - 1];
        *d = (cbp_dense){.units = s->units[l], .act = act_of(s, l), .steepness = s->steepness[l], .skips = skips[l]};
        for (int k = 0; k < l - 1; k++)
            if (feeds(s, k, l)) skips[l][d->n_skips++] = k;
    }
    cbp_net *net;
    const cbp_spec spec = {
        .dtype = dtype, .n_in = s->units[0], .n_layers = s->n, .layers = layer, .loss = s->loss, .isa = isa};
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    return net;
}

static trial trial_of(const shape *s, cbp_dtype dtype, const char *isa, int64_t rows) {
    trial t = {.s = s, .dtype = dtype, .rows = rows, .net = net_of(s, dtype, isa)};
    const int64_t n = cbp_n_params(t.net);
    t.mem = (cbp_mem){.theta = random_reals(dtype, n, -0.4, 0.4),
                      .grad = random_reals(dtype, n, -1, 1),
                      .work = block(cbp_work_bytes(t.net, rows, CBP_EPOCH))};
    t.data = (cbp_data){.n = rows,
                        .x = random_reals(dtype, rows * s->units[0], -1, 1),
                        .y = random_reals(dtype, rows * s->units[s->n], 0, 1),
                        .weight = random_reals(dtype, rows, 0.5, 2)};
    return t;
}

/* ---- the loops ---- */

static double theta_at(const trial *t, int l, int row, int col) {
    const cbp_block b = cbp_layer(t->net, l);
    return get(t->dtype, t->mem.theta, b.offset + (int64_t)row * b.cols + col);
}

/* Row of theta[l], less 1, where layer k's outputs come in; k = l - 1 comes last */
static int place_of(const shape *s, int k, int l) {
    int at = 0;
    for (int i = 0; i < k; i++) at += feeds(s, i, l) ? s->units[i] : 0;
    return at;
}

/* z (n) of one row: z := s z; a := g(z); d := s g'(z), or what the loss starts from */
static void naive_activate(const trial *t, int l, void *a, void *d) {
    const int n = t->s->units[l], head = l == t->s->n && cbp_table(CBP_LOSSES, NULL)[t->s->loss].head;
    const int row_wise = cbp_table(CBP_ACTIVATIONS, NULL)[act_of(t->s, l)].row_wise;
    const double s = steepness_of(t, l);
    for (int j = 0; j < n; j++) put(t->dtype, a, j, mul_(t->dtype, s, get(t->dtype, a, j)));
    const void *z = copy_of(t->dtype, n, a);
    cbp_kern_for("scalar", t->dtype)->act[act_of(t->s, l)](1, n, n, 0, a, d);
    for (int j = 0; j < n && !row_wise; j++)
        put(t->dtype, d, j, head ? get(t->dtype, z, j) : mul_(t->dtype, s, get(t->dtype, d, j)));
}

static void *row_of(const trial *t, void *matrix, int l, int64_t r) {
    return (char *)matrix + (size_t)(r * t->s->units[l]) * size_of(t->dtype);
}

static void naive_up(trial *t, int l) {
    const shape *s = t->s;
    const int n = s->units[l];
    t->a[l] = reals(t->dtype, t->rows * n);
    t->d[l] = reals(t->dtype, t->rows * n);
    for (int64_t r = 0; r < t->rows; r++) {
        for (int j = 0; j < n; j++) {
            double z = theta_at(t, l, 0, j);
            for (int k = 0, row = 1; k < l; k++)
                for (int i = 0; feeds(s, k, l) && i < s->units[k]; i++, row++)
                    z = fma_(t->dtype, get(t->dtype, t->a[k], r * s->units[k] + i), theta_at(t, l, row, j), z);
            put(t->dtype, t->a[l], r * n + j, z);
        }
        naive_activate(t, l, row_of(t, t->a[l], l, r), row_of(t, t->d[l], l, r));
    }
}

static void naive_cost(trial *t) {
    const int L = t->s->n, n = t->s->units[L], head = cbp_table(CBP_LOSSES, NULL)[t->s->loss].head;
    const int row_wise = cbp_table(CBP_ACTIVATIONS, NULL)[t->s->output].row_wise;
    const cbp_kern *k = cbp_kern_for("scalar", t->dtype);
    for (int64_t r = 0; r < t->rows; r++) {
        void *const a = row_of(t, t->a[L], L, r), *const d = row_of(t, t->d[L], L, r), *e = copy_of(t->dtype, n, d);
        const void *y = (const char *)t->data.y + (size_t)(r * n) * size_of(t->dtype);
        double c;
        k->loss[t->s->loss](1, n, 0, y, a, e, 0, &c);
        if (row_wise && !head) k->act_back[t->s->output](1, n, a, e);
        for (int j = 0; j < n; j++) {
            const double factor = head || row_wise ? steepness_of(t, L) : get(t->dtype, d, j);
            put(t->dtype, d, j, mul_(t->dtype, get(t->dtype, e, j), factor));
        }
        t->cost += get(t->dtype, t->data.weight, r) * c;
        t->weight += get(t->dtype, t->data.weight, r);
    }
}

/* The error at a unit: what its layer's consumers send back, a chain over the units of each, from the last one down */
static void naive_down(trial *t, int k) {
    const shape *s = t->s;
    for (int64_t r = 0; r < t->rows; r++)
        for (int i = 0; i < s->units[k]; i++) {
            double error = 0;
            for (int l = s->n, first = 1; l > k; l--) {
                if (!feeds(s, k, l)) continue;
                double e = 0;
                for (int j = 0; j < s->units[l]; j++) {
                    const double w = theta_at(t, l, 1 + place_of(s, k, l) + i, j);
                    e = fma_(t->dtype, get(t->dtype, t->d[l], r * s->units[l] + j), w, e);
                }
                error = first ? e : add_(t->dtype, error, e);
                first = 0;
            }
            const int64_t at = r * s->units[k] + i;
            put(t->dtype, t->d[k], at, mul_(t->dtype, error, get(t->dtype, t->d[k], at)));
        }
}

static void naive_gradient(trial *t, int l, int k, int row, int i) {
    const cbp_block b = cbp_layer(t->net, l);
    for (int j = 0; j < b.cols; j++) {
        double g = 0;
        for (int64_t r = 0; r < t->rows; r++) {
            const double a = row == 0 ? 1 : get(t->dtype, t->a[k], r * t->s->units[k] + i);
            const double delta = get(t->dtype, t->d[l], r * b.cols + j);
            g = fma_(t->dtype, a, mul_(t->dtype, get(t->dtype, t->data.weight, r), delta), g);
        }
        put(t->dtype, t->grad, b.offset + (int64_t)row * b.cols + j, mul_(t->dtype, to(t->dtype, 1 / t->weight), g));
    }
}

static void naive_pass(trial *t) {
    const shape *s = t->s;
    t->grad = reals(t->dtype, cbp_n_params(t->net));
    t->a[0] = copy_of(t->dtype, t->rows * s->units[0], t->data.x);
    for (int l = 1; l <= s->n; l++) naive_up(t, l);
    naive_cost(t);
    for (int k = s->n - 1; k > 0; k--) naive_down(t, k);
    for (int l = 1; l <= s->n; l++) {
        naive_gradient(t, l, 0, 0, 0);
        for (int k = 0, row = 1; k < l; k++)
            for (int i = 0; feeds(s, k, l) && i < s->units[k]; i++) naive_gradient(t, l, k, row++, i);
    }
}

/* ---- comparisons ---- */

static void pass_is_the_loops(const trial *t) {
    const size_t real = size_of(t->dtype);
    const double want = t->cost / t->weight;
    double loss[2];
    void *out = reals(t->dtype, t->rows * t->s->units[t->s->n]);
    CHECK(cbp_gradient(t->net, &t->mem, &t->data, loss) == CBP_OK);
    for (int l = 1; l <= t->s->n; l++) {
        const char *const a = (const char *)t->mem.work + cbp_offset(t->net, t->rows, CBP_A, l);
        const char *const d = (const char *)t->mem.work + cbp_offset(t->net, t->rows, CBP_D, l);
        CHECK_BYTES(t->rows * t->s->units[l], real, a, t->a[l]);
        CHECK_BYTES(t->rows * t->s->units[l], real, d, t->d[l]);
    }
    CHECK_BYTES(cbp_n_params(t->net), real, t->mem.grad, t->grad);
    CHECK_BYTES(1, sizeof want, loss, &want);
    cbp_mem mem = t->mem;
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_PREDICT));
    CHECK(cbp_predict(t->net, &mem, t->rows, t->data.x, out) == CBP_OK);
    CHECK_BYTES(t->rows * t->s->units[t->s->n], real, out, t->a[t->s->n]);
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_EVALUATE));
    CHECK(cbp_evaluate(t->net, &mem, &t->data, loss) == CBP_OK);
    CHECK_BYTES(1, sizeof want, loss, &want);
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_TRAIN));
    CHECK(cbp_forward(t->net, &mem, t->rows, t->data.x) == CBP_OK);
    CHECK(cbp_backward(t->net, &mem, &t->data, loss) == CBP_OK);
    CHECK_BYTES(cbp_n_params(t->net), real, mem.grad, t->grad);
}

CASE(every_pass_is_the_loops) {
    static const int64_t rows[] = {1, 2, 13};
    cbp_dtype dtype;
    for (int i = 0; kern_at(i, &dtype); i++)
        for (int s = 0; s < N_SHAPES; s++)
            for (int n = 0; n < 3; n++, release_blocks()) {
                trial t = trial_of(&SHAPES[s], dtype, kern_at(i, &dtype)->isa, rows[n]);
                NOTE("%s %s, shape %d, %d rows", t.net->k->isa, DTYPE_NAME[dtype], s, (int)rows[n]);
                naive_pass(&t);
                pass_is_the_loops(&t);
                t.net->single_rows = 0;
                pass_is_the_loops(&t);
                cbp_net_free(t.net);
            }
}

/* Parameters after two epochs (one in a quick run), outputs for all rows */
static void train(const trial *t, int64_t batch, cbp_pool *pool, void *theta, void *out) {
    cbp_mem mem = t->mem;
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    const double rate = 0.05;
    memcpy(theta, t->mem.theta, (size_t)cbp_n_params(t->net) * size_of(t->dtype));
    mem.theta = theta;
    mem.pool = pool;
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_EPOCH));
    for (int epoch = 0; epoch < 2; epoch += one_in(2))
        CHECK(cbp_epoch(t->net, &mem, &sgd, &t->data, NULL, batch, &rate, 1, &report) == CBP_OK);
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_PREDICT));
    CHECK(cbp_predict(t->net, &mem, t->rows, t->data.x, out) == CBP_OK);
}

static void trained_alike(const trial *t, int64_t batch, int most_threads) {
    const int64_t n = cbp_n_params(t->net), n_out = t->rows * t->s->units[t->s->n];
    void *alone = reals(t->dtype, n), *theta = reals(t->dtype, n);
    void *alone_out = reals(t->dtype, n_out), *out = reals(t->dtype, n_out);
    train(t, batch, NULL, alone, alone_out);
    for (int threads = most_threads; threads > 0; threads -= one_in(4)) {
        cbp_pool *pool;
        NOTE("%s, batch %d, %d threads", DTYPE_NAME[t->dtype], (int)batch, threads);
        CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
        train(t, batch, pool, theta, out);
        CHECK_BYTES(n, size_of(t->dtype), theta, alone);
        CHECK_BYTES(n_out, size_of(t->dtype), out, alone_out);
        cbp_pool_free(pool);
    }
}

/* Wide enough to be cut; the second has an output that is cut by rows, together with its costs */
CASE(threads_change_no_byte) {
    static const shape wide[] = {
        {3, {70, 129, 127, 200}, {0, 0, 1, 3}, {0, 0.5}, CBP_ACT_tanh, CBP_LOSS_half_squared_error},
        {3, {70, 129, 127, 3}, {0, 0, 1, 3}, {0, 0, 2, 0.5}, CBP_ACT_softmax, CBP_LOSS_mean_squared_error}};
    for (int i = 0; i < 8; i++, release_blocks()) {
        const int dtype = i / 4, s = i / 2 % 2, small = i % 2;
        if ((dtype + s + 2 * small) % one_in(4)) continue;
        trial t = trial_of(&wide[s], (cbp_dtype)dtype, NULL, many_or(200, 100));
        trained_alike(&t, small ? 64 : 200, 4);
        cbp_net_free(t.net);
    }
}

/* Rows enough for a desk per thread. The second is narrow, but what it joins is worth threads with fewer rows. */
CASE(threads_that_share_rows_change_no_output) {
    static const shape joins = {3, {30, 64, 3, 2}, {0, 0, 1, 0}, {0}, CBP_ACT_identity, CBP_LOSS_half_squared_error};
    for (int i = one_in(2) - 1; i < 2; i++, release_blocks()) {
        trial t = trial_of(i ? &joins : &SHAPES[2], CBP_FLOAT32, NULL, many_or(5000, 2048));
        trained_alike(&t, t.rows, many_or(4, 2));
        cbp_net_free(t.net);
    }
}

CASE(single_rows_train_as_the_general_path_does) {
    for (int s = 0; s < N_SHAPES; s++, release_blocks()) {
        trial t = trial_of(&SHAPES[s], CBP_FLOAT32, NULL, 9);
        const int64_t n = cbp_n_params(t.net), n_out = t.rows * t.s->units[t.s->n];
        void *theta[2] = {reals(t.dtype, n), reals(t.dtype, n)},
             *out[2] = {reals(t.dtype, n_out), reals(t.dtype, n_out)};
        CHECK(t.net->online_bytes == 0);
        for (int single = 0; single < 2; single++) {
            t.net->single_rows = single;
            train(&t, 1, NULL, theta[single], out[single]);
        }
        CHECK_BYTES(n, size_of(t.dtype), theta[0], theta[1]);
        cbp_net_free(t.net);
    }
}

/* ---- what is refused ---- */

static cbp_status status_of(int n_skips, const int *skips, double steepness, cbp_dtype dtype) {
    const cbp_dense layer[] = {
        {.units = 2}, {.units = 3}, {.units = 2, .n_skips = n_skips, .skips = skips, .steepness = steepness}};
    const cbp_spec spec = {.dtype = dtype, .n_in = 4, .n_layers = 3, .layers = layer};
    cbp_net *net;
    const cbp_status status = cbp_net_new(&net, &spec);
    CHECK((net == NULL) == (status != CBP_OK));
    cbp_net_free(net);
    return status;
}

CASE(skips_rise_and_end_before_the_layer_below) {
    static const int good[] = {0, 1}, falling[] = {1, 0}, twice[] = {1, 1}, below[] = {0, 2}, negative[] = {-1, 1};
    CHECK(status_of(2, good, 0, CBP_FLOAT32) == CBP_OK);
    CHECK(status_of(2, falling, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(2, twice, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(2, below, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(2, negative, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(-1, good, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(3, good, 0, CBP_FLOAT32) == CBP_BAD_SKIP);
    CHECK(status_of(1, NULL, 0, CBP_FLOAT32) == CBP_NULL_ARGUMENT);
}

CASE(steepness_is_a_number_of_the_dtype) {
    CHECK(status_of(0, NULL, 1e39, CBP_FLOAT64) == CBP_OK);
    CHECK(status_of(0, NULL, 1e39, CBP_FLOAT32) == CBP_BAD_STEEPNESS);
    CHECK(status_of(0, NULL, 1e-39, CBP_FLOAT32) == CBP_BAD_STEEPNESS);
    CHECK(status_of(0, NULL, -1, CBP_FLOAT64) == CBP_BAD_STEEPNESS);
    CHECK(status_of(0, NULL, NAN, CBP_FLOAT64) == CBP_BAD_STEEPNESS);
    CHECK(status_of(0, NULL, INFINITY, CBP_FLOAT64) == CBP_BAD_STEEPNESS);
}

CASE(a_joined_layer_too_wide_is_refused) {
    static const int skips[] = {0};
    const cbp_dense layer[] = {{.units = 1 << 30}, {.units = 1, .n_skips = 1, .skips = skips}};
    const cbp_spec spec = {.n_in = 1 << 30, .n_layers = 2, .layers = layer};
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_TOO_LARGE && net == NULL);
    static const int all[] = {0, 1, 2, 3, 4}; /* so wide that the number of weights is none of int64_t */
    const int most = INT_MAX - 1;
    const cbp_dense wider[] = {{.units = 1},    {.units = most}, {.units = 1},
                               {.units = most}, {.units = 1},    {.units = most, .n_skips = 5, .skips = all}};
    const cbp_spec widest = {.n_in = most, .n_layers = 6, .layers = wider};
    CHECK(cbp_net_new(&net, &widest) == CBP_TOO_LARGE && net == NULL);
}
