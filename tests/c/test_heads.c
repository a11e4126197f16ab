/* Several heads at the output, losses of pairs, missing targets: equal on bytes to plain networks with the same
 * columns, on every instruction set and with any number of threads.
 */
#include "sample.h"

enum { ROWS = 7, HIDDEN = 9, N_IN = 5, MOST_HEADS = 6, MOST_OUT = 24 };

/* A head with the activation of its units: the first half, and the second */
typedef struct {
    int units;
    cbp_act act, second;
    cbp_loss loss;
    double weight;
} part;

static const part PARTS[] = {
    {3, CBP_ACT_softmax, CBP_ACT_softmax, CBP_LOSS_categorical_cross_entropy, 1},
    {2, CBP_ACT_softmax, CBP_ACT_softmax, CBP_LOSS_mean_squared_error, 0.3},
    {6, CBP_ACT_identity, CBP_ACT_softplus, CBP_LOSS_gaussian_nll, 0.7},
    {1, CBP_ACT_sigmoid, CBP_ACT_sigmoid, CBP_LOSS_binary_cross_entropy, 2},
    {4, CBP_ACT_log_softmax, CBP_ACT_log_softmax, CBP_LOSS_negative_log_likelihood, 1},
    {3, CBP_ACT_tanh, CBP_ACT_sigmoid, CBP_LOSS_huber, 1.1},
};

typedef struct {
    cbp_net *net;
    cbp_dtype dtype;
    int n_out, n_targets;
    int64_t n_params;
    cbp_mem mem;
    cbp_data data;
} task;

/* hidden tanh, then these parts as heads; or the only one without, if not `heads` */
static cbp_net *net_of(cbp_dtype dtype, const char *isa, const part *parts, int n, int heads, int missing) {
    cbp_act act[MOST_OUT];
    cbp_head head[MOST_HEADS];
    int units = 0;
    for (int i = 0; i < n; units += parts[i++].units) {
        head[i] = (cbp_head){units, parts[i].units, parts[i].loss, loss_arg(parts[i].loss), parts[i].weight};
        for (int j = 0; j < parts[i].units; j++)
            act[units + j] = j < parts[i].units / 2 ? parts[i].act : parts[i].second;
    }
    const cbp_dense layer[] = {{.units = HIDDEN, .act = CBP_ACT_tanh}, {.units = units, .unit_act = act}};
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = N_IN,
                           .n_layers = 2,
                           .layers = layer,
                           .loss = parts->loss,
                           .loss_arg = loss_arg(parts->loss),
                           .isa = isa,
                           .n_heads = heads ? n : 0,
                           .heads = head,
                           .missing_targets = missing};
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    return net;
}

static task task_of(cbp_net *net, int64_t m) {
    task t = {.net = net, .dtype = cbp_net_dtype(net), .n_params = cbp_n_params(net), .n_targets = cbp_n_targets(net)};
    t.n_out = cbp_layer(net, 2).cols;
    t.mem = (cbp_mem){.theta = random_reals(t.dtype, t.n_params, -1, 1),
                      .grad = zeros(t.dtype, t.n_params),
                      .work = block(cbp_work_bytes(net, m, CBP_EPOCH))};
    t.data = (cbp_data){
        .n = m, .x = random_reals(t.dtype, m * N_IN, -1, 1), .y = random_reals(t.dtype, m * t.n_targets, 0, 1)};
    return t;
}

static const void *layer_at(const task *t, cbp_array array, int l) {
    return (const char *)t->mem.work + cbp_offset(t->net, t->data.n, array, l);
}

static double gradient(const task *t) {
    double loss;
    CHECK(cbp_gradient(t->net, &t->mem, &t->data, &loss) == CBP_OK);
    return loss;
}

/* Columns first .. first + n of a matrix (m, cols) */
static void *columns(cbp_dtype dtype, int64_t m, int cols, const void *from, int first, int n) {
    void *x = reals(dtype, m * n);
    for (int64_t r = 0; r < m; r++)
        for (int j = 0; j < n; j++) put(dtype, x, r * n + j, get(dtype, from, r * cols + first + j));
    return x;
}

static task next_task(int i, const part *parts, int n, int heads, int missing, int64_t m) {
    cbp_dtype dtype = CBP_FLOAT32;
    release_blocks();
    const cbp_kern *k = kern_at(i, &dtype);
    return k ? task_of(net_of(dtype, k->isa, parts, n, heads, missing), m) : (task){0};
}

/* ---- heads ---- */

/* The same numbers in another plan */
static task twin_of(const task *t, cbp_net *net) {
    task twin = *t;
    twin.net = net;
    twin.mem.theta = copy_of(t->dtype, t->n_params, t->mem.theta);
    twin.mem.grad = zeros(t->dtype, t->n_params);
    twin.mem.work = block(cbp_work_bytes(net, t->data.n, CBP_EPOCH));
    return twin;
}

static void all_equal(const task *one, const task *other) {
    const double loss[] = {gradient(one), gradient(other)};
    double value[2];
    CHECK_BYTES(1, sizeof(double), loss, loss + 1);
    CHECK_BYTES(one->data.n * one->n_out, size_of(one->dtype), layer_at(one, CBP_D, 2), layer_at(other, CBP_D, 2));
    CHECK_BYTES(one->n_params, size_of(one->dtype), one->mem.grad, other->mem.grad);
    CHECK(cbp_evaluate(one->net, &one->mem, &one->data, value) == CBP_OK);
    CHECK(cbp_evaluate(other->net, &other->mem, &other->data, value + 1) == CBP_OK);
    CHECK_BYTES(1, sizeof(double), value, value + 1);
    for (int64_t batch = 1; batch <= ROWS; batch += 2) {
        static const int64_t order[ROWS] = {3, 6, 0, 5, 1, 2, 4};
        const double rate = 0.01;
        cbp_opt sgd[2] = {{.kind = CBP_OPT_sgd}, {.kind = CBP_OPT_sgd}};
        cbp_report report[2];
        CHECK(cbp_epoch(one->net, &one->mem, sgd, &one->data, order, batch, &rate, 1, report) == CBP_OK);
        CHECK(cbp_epoch(other->net, &other->mem, sgd + 1, &other->data, order, batch, &rate, 1, report + 1) == CBP_OK);
        CHECK_BYTES(one->n_params, size_of(one->dtype), one->mem.theta, other->mem.theta);
        CHECK_BYTES(1, sizeof(double), &report[0].loss, &report[1].loss);
    }
}

CASE(one_head_is_the_plain_network) {
    for (int p = 0; p < MOST_HEADS; p++) {
        part only = PARTS[p];
        only.weight = 1;
        task plain;
        for (int i = 0; (plain = next_task(i, &only, 1, 0, 0, ROWS)).net; i++) {
            task heads = twin_of(&plain, net_of(plain.dtype, cbp_net_isa(plain.net), &only, 1, 1, 0));
            all_equal(&plain, &heads);
            cbp_net_free(plain.net);
            cbp_net_free(heads.net);
        }
    }
}

/* The network that has only the units of part p */
static task only_part(const task *whole, int p, int first, int target) {
    task t = *whole;
    t.net = net_of(whole->dtype, cbp_net_isa(whole->net), PARTS + p, 1, 0, 0);
    t.n_params = cbp_n_params(t.net), t.n_out = PARTS[p].units, t.n_targets = cbp_n_targets(t.net);
    const int64_t top = cbp_layer(whole->net, 2).offset;
    const void *theta = (const char *)whole->mem.theta + (size_t)top * size_of(t.dtype);
    const void *columns_of = columns(t.dtype, HIDDEN + 1, whole->n_out, theta, first, t.n_out);
    t.mem.theta = reals(t.dtype, t.n_params);
    for (int64_t i = 0; i < t.n_params; i++)
        put(t.dtype, t.mem.theta, i, i < top ? get(t.dtype, whole->mem.theta, i) : get(t.dtype, columns_of, i - top));
    t.mem.grad = zeros(t.dtype, t.n_params);
    t.mem.work = block(cbp_work_bytes(t.net, t.data.n, CBP_TRAIN));
    t.data.y = columns(t.dtype, t.data.n, whole->n_targets, whole->data.y, target, t.n_targets);
    return t;
}

static void each_head_is_its_own_network(const task *t) {
    const double loss = gradient(t);
    double sum = 0;
    for (int p = 0, first = 0, target = 0; p < MOST_HEADS; p++) {
        const task own = only_part(t, p, first, target);
        const double own_loss = gradient(&own);
        void *delta = copy_of(t->dtype, t->data.n * own.n_out, layer_at(&own, CBP_D, 2));
        for (int64_t i = 0; i < t->data.n * own.n_out; i++)
            put(t->dtype, delta, i, mul_(t->dtype, to(t->dtype, PARTS[p].weight), get(t->dtype, delta, i)));
        NOTE("%s %s, head %d, %d rows", cbp_net_isa(t->net), DTYPE_NAME[t->dtype], p, (int)t->data.n);
        const void *a = columns(t->dtype, t->data.n, t->n_out, layer_at(t, CBP_A, 2), first, own.n_out);
        const void *d = columns(t->dtype, t->data.n, t->n_out, layer_at(t, CBP_D, 2), first, own.n_out);
        CHECK_BYTES(t->data.n * own.n_out, size_of(t->dtype), a, layer_at(&own, CBP_A, 2));
        CHECK_BYTES(t->data.n * own.n_out, size_of(t->dtype), d, delta);
        sum += PARTS[p].weight * own_loss;
        first += own.n_out, target += own.n_targets;
        cbp_net_free(own.net);
    }
    CHECKF(fabs(loss - sum) <= 1e-14 * (1 + fabs(sum)), "%.17g, not %.17g", loss, sum);
}

CASE(every_head_is_a_network_of_its_own) {
    task t;
    for (int64_t m = 1; m <= ROWS; m += 3)
        for (int i = 0; (t = next_task(i, PARTS, MOST_HEADS, 1, 0, m)).net; i++) {
            CHECK(t.n_out == 19 && t.n_targets == 16);
            each_head_is_its_own_network(&t);
            cbp_net_free(t.net);
        }
}

CASE(predictions_are_the_activations) {
    task t;
    for (int i = 0; (t = next_task(i, PARTS, MOST_HEADS, 1, 0, ROWS)).net; i++) {
        void *out = reals(t.dtype, ROWS * t.n_out);
        (void)gradient(&t);
        const void *want = copy_of(t.dtype, ROWS * t.n_out, layer_at(&t, CBP_A, 2));
        for (int64_t m = ROWS; m >= 1; m -= ROWS - 1) { /* all rows, and one */
            t.mem.work = block(cbp_work_bytes(t.net, m, CBP_PREDICT));
            CHECK(cbp_predict(t.net, &t.mem, m, t.data.x, out) == CBP_OK);
            CHECK_BYTES(m * t.n_out, size_of(t.dtype), out, want);
        }
        cbp_net_free(t.net);
    }
}

CASE(threads_change_no_bit) {
    enum { MANY = 900 };
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
        release_blocks();
        task alone = task_of(net_of((cbp_dtype)dtype, NULL, PARTS, MOST_HEADS, 1, 1), MANY);
        for (int64_t i = 0; i < MANY * alone.n_targets; i += 5) put(alone.dtype, (void *)alone.data.y, i, NAN);
        const double want = gradient(&alone);
        for (int threads = 2; threads <= 4; threads++) {
            task shared = twin_of(&alone, alone.net);
            CHECK(cbp_pool_new(&shared.mem.pool, threads) == CBP_OK);
            const double loss = gradient(&shared);
            cbp_pool_free(shared.mem.pool);
            CHECK_BYTES(1, sizeof(double), &loss, &want);
            CHECK_BYTES(alone.n_params, size_of(alone.dtype), shared.mem.grad, alone.mem.grad);
        }
        cbp_net_free(alone.net);
    }
}

/* ---- missing targets ---- */

CASE(nothing_missing_changes_nothing) {
    for (int p = 0; p < MOST_HEADS; p++) {
        task plain;
        for (int i = 0; (plain = next_task(i, PARTS + p, 1, 0, 0, ROWS)).net; i++) {
            task careful = twin_of(&plain, net_of(plain.dtype, cbp_net_isa(plain.net), PARTS + p, 1, 0, 1));
            all_equal(&plain, &careful);
            cbp_net_free(plain.net);
            cbp_net_free(careful.net);
        }
    }
}

/* One row of one loss at a time, with target j missing: the terms of the others, whose deltas stay */
static void is_left_out(const cbp_kern *k, cbp_dtype dtype, int loss, int n, int j) {
    const int pairs = cbp_table(CBP_LOSSES, NULL)[loss].pair[0] != 0, width = n * (1 + pairs);
    void *y = random_reals(dtype, n, 0, 1);
    const void *a = random_reals(dtype, width, 0.1, 0.9), *h = random_reals(dtype, width, -2, 0);
    void *all = copy_of(dtype, width, h), *rest = copy_of(dtype, width, h);
    double cost[3], sum = 0;
    k->loss[loss](1, n, 0.3, y, a, all, 1, cost);
    put(dtype, y, j, NAN);
    k->missing_loss[loss](1, n, 0.3, y, a, rest, 1, cost + 1);
    for (int i = 0; i < width; i++) CHECK(get(dtype, rest, i) == (i % n == j ? 0 : get(dtype, all, i)));
    for (int i = 0; i < n; i++) { /* alone with NaN around it: the one term */
        void *one = reals(dtype, n);
        for (int e = 0; e < n; e++) put(dtype, one, e, e == i ? get(dtype, y, e) : NAN);
        k->missing_loss[loss](1, n, 0.3, one, a, copy_of(dtype, width, h), 1, cost + 2);
        CHECK(i != j || cost[2] == 0);
        sum += cost[2];
    }
    CHECK_BYTES(1, sizeof(double), cost + 1, &sum);
}

CASE(a_missing_target_is_left_out) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int loss = 0; loss < CBP_N_LOSS; loss++)
            for (int n = 1; n < 20; n += 3, release_blocks()) {
                NOTE("%s %s, %s, n %d", k->isa, DTYPE_NAME[dtype], cbp_table(CBP_LOSSES, NULL)[loss].name, n);
                is_left_out(k, dtype, loss, n, n / 2);
            }
}

/* ---- refusals ---- */

static const cbp_act SIGMOIDS[] = {CBP_ACT_sigmoid, CBP_ACT_sigmoid, CBP_ACT_softmax, CBP_ACT_softmax, CBP_ACT_softmax};

static void no_loss(void *ctx, int64_t n, int n_out, const void *y, const void *a, double *cost, void *slope) {
    (void)ctx, (void)n, (void)n_out, (void)y, (void)a, (void)cost, (void)slope;
}

static void refused(const cbp_head *heads, int n, cbp_own_loss *own, cbp_status status) {
    const cbp_dense layer = {.units = 5, .unit_act = SIGMOIDS};
    const cbp_spec spec = {.n_in = 2, .n_layers = 1, .layers = &layer, .n_heads = n, .heads = heads, .own_loss = own};
    cbp_net *net;
    const cbp_status got = cbp_net_new(&net, &spec);
    CHECKF(got == status, "'%s' instead of '%s'", cbp_message(got), cbp_message(status));
    cbp_net_free(net);
}

#define SOFT CBP_LOSS_categorical_cross_entropy, 0
#define SQUARES CBP_LOSS_half_squared_error, 0

CASE(heads_that_do_not_fit) {
    const cbp_head good[] = {{0, 2, SQUARES, 1}, {2, 3, SOFT, 1}}, gap[] = {{0, 1, SQUARES, 1}, {2, 3, SOFT, 1}};
    const cbp_head shorter[] = {{0, 2, SQUARES, 1}}, longer[] = {{0, 2, SQUARES, 1}, {2, 4, SOFT, 1}};
    const cbp_head none[] = {{0, 0, SQUARES, 1}, {0, 5, SQUARES, 1}}, free_of[] = {{0, 2, SQUARES, 0}, {2, 3, SOFT, 1}};
    const cbp_head nan[] = {{0, 2, SQUARES, NAN}, {2, 3, SOFT, 1}}, mixed[] = {{0, 3, SQUARES, 1}, {3, 2, SOFT, 1}};
    const cbp_head wrong[] = {{0, 2, SOFT, 1}, {2, 3, SOFT, 1}}, odd[] = {{0, 2, SQUARES, 1}, {2, 3, SOFT, 1}};
    cbp_head unknown[] = {{0, 2, SQUARES, 1}, {2, 3, CBP_N_LOSS, 0, 1}}, narrow[] = {odd[0], odd[1]};
    narrow[1].loss = CBP_LOSS_gaussian_nll, narrow[1].loss_arg = 1;
    refused(good, 2, NULL, CBP_OK);
    refused(NULL, 0, NULL, CBP_ROW_HIDDEN);
    refused(good, -1, NULL, CBP_BAD_HEADS);
    refused(NULL, 2, NULL, CBP_BAD_HEADS);
    refused(good, 2, no_loss, CBP_BAD_HEADS);
    refused(gap, 2, NULL, CBP_BAD_HEADS);
    refused(shorter, 1, NULL, CBP_BAD_HEADS);
    refused(longer, 2, NULL, CBP_BAD_HEADS);
    refused(none, 2, NULL, CBP_BAD_HEADS);
    refused(free_of, 2, NULL, CBP_BAD_HEADS);
    refused(nan, 2, NULL, CBP_BAD_HEADS);
    refused(mixed, 2, NULL, CBP_ROW_HIDDEN);
    refused(wrong, 2, NULL, CBP_LOSS_NEEDS_OUTPUT);
    refused(unknown, 2, NULL, CBP_BAD_LOSS);
    refused(narrow, 2, NULL, CBP_ODD_OUTPUTS);
    narrow[1].loss_arg = 0;
    refused(narrow, 2, NULL, CBP_BAD_LOSS_ARG);
}
