/* Forward, backward, gradient, update and epoch: equal on bytes to the textbook's loops, on every instruction set. */
#include "sample.h"

enum { ROWS = 7 };

static const cbp_act DEEP[] = {CBP_ACT_tanh, CBP_ACT_leaky_relu, CBP_ACT_sigmoid};
static const int DEEP_WIDTH[] = {5, 19, 3, 4, 0};

/* A sample for every kernel table: i counts them, false after the last */
static int next_sample(int i, sample *s, const int *width, const cbp_act *act, cbp_loss loss) {
    cbp_dtype dtype;
    release_blocks();
    const cbp_kern *k = kern_at(i, &dtype);
    if (!k) return 0;
    *s = shape(dtype, width, act, loss);
    fill(s, k->isa, ROWS);
    return 1;
}

static void layer_equals(const sample *s, cbp_array array, int l, const void *want) {
    const char *got = (const char *)s->mem.work + cbp_offset(s->net, s->data.n, array, l);
    CHECK_BYTES(s->data.n * s->width[l], size_of(s->dtype), got, want);
}

/* gradient's A, D, dJ/dtheta and J are the textbook's */
static void gradient_equals(const sample *s) {
    const textbook want = naive_gradient(s, &s->data);
    double loss;
    CHECK(cbp_gradient(s->net, &s->mem, &s->data, &loss) == CBP_OK);
    for (int l = 1; l <= s->n_layers; l++) {
        layer_equals(s, CBP_A, l, want.a[l]);
        layer_equals(s, CBP_D, l, want.d[l]);
    }
    CHECK_BYTES(cbp_n_params(s->net), size_of(s->dtype), s->mem.grad, want.grad);
    CHECK_BYTES(1, sizeof loss, &loss, &want.loss);
}

CASE(gradient_of_a_deep_network) {
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        gradient_equals(&s);
        cbp_net_free(s.net);
    }
}

CASE(gradient_of_every_output_and_loss) {
    for (int loss = 0; loss < CBP_N_LOSS; loss++)
        for (int act = 0; act < CBP_N_ACT; act++) {
            const cbp_act acts[] = {CBP_ACT_sigmoid, (cbp_act)act};
            static const int width[] = {3, 9, 5, 0};
            sample s = shape(CBP_FLOAT32, width, acts, (cbp_loss)loss);
            if (plan(&s, NULL) != CBP_OK) continue;
            cbp_net_free(s.net);
            for (int i = 0; next_sample(i, &s, width, acts, (cbp_loss)loss); i++) {
                gradient_equals(&s);
                cbp_net_free(s.net);
            }
        }
}

CASE(gradient_with_an_activation_per_unit) {
    static const cbp_act unit[] = {CBP_ACT_sigmoid, CBP_ACT_tanh, CBP_ACT_tanh, CBP_ACT_relu, CBP_ACT_leaky_relu};
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        cbp_net_free(s.net);
        for (int l = 1; l <= s.n_layers; l++)
            for (int j = 0; j < s.width[l]; j++) s.act[l][j] = unit[(j + l) % 5], s.arg[l][j] = 0.1 * (j % 3);
        fill(&s, kern_at(i, &s.dtype)->isa, ROWS);
        gradient_equals(&s);
        cbp_net_free(s.net);
    }
}

CASE(gradient_with_sample_weights_and_sum) {
    sample s;
    for (int reduction = 0; reduction < 2; reduction++)
        for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
            cbp_net_free(s.net);
            s.reduction = (cbp_reduction)reduction;
            fill(&s, kern_at(i, &s.dtype)->isa, ROWS);
            s.data.weight = random_reals(s.dtype, ROWS, 0, 3);
            gradient_equals(&s);
            cbp_net_free(s.net);
        }
}

static const cbp_act CLASSIFIER[] = {CBP_ACT_relu, CBP_ACT_softmax};
static const int CLASSIFIER_WIDTH[] = {4, 10, 3, 0};

CASE(labels_are_rows_that_are_one_there) {
    sample s;
    for (int i = 0; next_sample(i, &s, CLASSIFIER_WIDTH, CLASSIFIER, CBP_LOSS_categorical_cross_entropy); i++) {
        int64_t *label = block(ROWS * sizeof *label);
        void *y = zeros(s.dtype, ROWS * 3);
        for (int r = 0; r < ROWS; r++) {
            label[r] = (int64_t)(random_bits() % 3);
            put(s.dtype, y, r * 3 + label[r], 1);
        }
        s.data.y = y;
        gradient_equals(&s);
        const void *by_rows = copy_of(s.dtype, cbp_n_params(s.net), s.mem.grad);
        s.data.y = NULL;
        s.data.labels = label;
        gradient_equals(&s);
        CHECK_BYTES(cbp_n_params(s.net), size_of(s.dtype), s.mem.grad, by_rows);
        cbp_net_free(s.net);
    }
}

CASE(forward_then_backward_is_gradient) {
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        const textbook want = naive_gradient(&s, &s.data);
        double loss;
        CHECK(cbp_forward(s.net, &s.mem, s.data.n, s.data.x) == CBP_OK);
        layer_equals(&s, CBP_A, s.n_layers, want.a[s.n_layers]);
        CHECK(cbp_backward(s.net, &s.mem, &s.data, &loss) == CBP_OK);
        layer_equals(&s, CBP_D, 1, want.d[1]);
        CHECK_BYTES(cbp_n_params(s.net), size_of(s.dtype), s.mem.grad, want.grad);
        CHECK_BYTES(1, sizeof loss, &loss, &want.loss);
        cbp_net_free(s.net);
    }
}

CASE(predict_and_evaluate_any_number_of_rows) {
    static const int64_t rows[] = {1, 2, 255, 256, 257, 600, 0};
    for (int i = 0; i < 2 * CBP_N_DTYPE; i++)
        for (int n = 0; rows[n]; n++, release_blocks()) {
            cbp_dtype dtype;
            const cbp_kern *k = kern_at(i, &dtype);
            if (!k) continue;
            sample s = shape(dtype, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error);
            fill(&s, k->isa, rows[n]);
            const textbook want = naive_gradient(&s, &s.data);
            void *out = reals(dtype, rows[n] * 4);
            double loss;
            s.mem.work = block(cbp_work_bytes(s.net, rows[n], CBP_PREDICT));
            CHECK(cbp_predict(s.net, &s.mem, rows[n], s.data.x, out) == CBP_OK);
            CHECK_BYTES(rows[n] * 4, size_of(dtype), out, want.a[s.n_layers]);
            s.mem.work = block(cbp_work_bytes(s.net, rows[n], CBP_EVALUATE));
            CHECK(cbp_evaluate(s.net, &s.mem, &s.data, &loss) == CBP_OK);
            CHECK_BYTES(1, sizeof loss, &loss, &want.loss);
            cbp_net_free(s.net);
        }
}

CASE(update_is_one_step_of_the_optimizer) {
    sample s;
    for (int opt = 0; opt < CBP_N_OPT; opt++)
        for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
            const cbp_info *row = cbp_table(CBP_OPTIMIZERS, NULL) + opt;
            const int64_t n = cbp_n_params(s.net);
            cbp_opt state = {.kind = (cbp_optimizer)opt};
            for (int a = 0; row->arg[a].name; a++) state.arg[a] = row->arg[a].value;
            s.mem.slots = zeros(s.dtype, row->n_slots * n);
            void *theta = copy_of(s.dtype, n, s.mem.theta), *slots = zeros(s.dtype, row->n_slots * n);
            const void *grad = copy_of(s.dtype, n, s.mem.grad);
            for (int t = 1; t <= 2; t++) {
                state.loss = t;
                CHECK(cbp_update(s.net, &s.mem, &state, 0.05) == CBP_OK && state.t == t);
                cbp_kern_for("scalar", s.dtype)->opt[opt](1, n, n, state.arg, 0.05, t, t, theta, 1, grad, n, slots, n);
            }
            CHECK_BYTES(n, size_of(s.dtype), s.mem.theta, theta);
            CHECK_BYTES(n, size_of(s.dtype), s.mem.grad, grad);
            CHECK_BYTES(row->n_slots * n, size_of(s.dtype), s.mem.slots, slots);
            cbp_net_free(s.net);
        }
}

/* Rows `order[start..start + m - 1]` of the sample's data, copied out */
static cbp_data rows_of(const sample *s, const int64_t *order, int64_t start, int64_t m) {
    const int n_in = s->width[0], n_out = s->width[s->n_layers];
    void *x = reals(s->dtype, m * n_in), *y = reals(s->dtype, m * n_out), *weight = reals(s->dtype, m);
    for (int64_t i = 0; i < m; i++) {
        const int64_t r = order ? order[start + i] : start + i;
        for (int j = 0; j < n_in; j++) put(s->dtype, x, i * n_in + j, get(s->dtype, s->data.x, r * n_in + j));
        for (int j = 0; j < n_out; j++) put(s->dtype, y, i * n_out + j, get(s->dtype, s->data.y, r * n_out + j));
        put(s->dtype, weight, i, s->data.weight ? get(s->dtype, s->data.weight, r) : 1);
    }
    return (cbp_data){.n = m, .x = x, .y = y, .weight = s->data.weight ? weight : NULL};
}

/* One epoch with plain gradient descent against the loops: batches of 3, 3 and 1 rows */
static void epoch_equals(sample *s, const int64_t *order, int one_rate) {
    enum { BATCH = 3 };
    const double rate[] = {0.5, 0.25, 0.125};
    const int64_t n = cbp_n_params(s->net);
    sample naive = *s;
    naive.mem.theta = copy_of(s->dtype, n, s->mem.theta);
    double cost = 0, weight = 0;
    for (int b = 0; b * BATCH < ROWS; b++) {
        const int64_t start = b * BATCH, m = ROWS - start < BATCH ? ROWS - start : BATCH;
        const cbp_data batch = rows_of(s, order, start, m);
        const textbook t = naive_gradient(&naive, &batch);
        cost += t.cost, weight += t.weight;
        for (int64_t i = 0; i < n; i++)
            put(s->dtype, naive.mem.theta, i,
                fma_(s->dtype, -rate[one_rate ? 0 : b], get(s->dtype, t.grad, i), get(s->dtype, naive.mem.theta, i)));
    }
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    CHECK(cbp_epoch(s->net, &s->mem, &sgd, &s->data, order, BATCH, rate, one_rate, &report) == CBP_OK);
    CHECK_BYTES(n, size_of(s->dtype), s->mem.theta, naive.mem.theta);
    cost = s->reduction == CBP_SUM ? cost : cost / weight;
    CHECKF(fabs(report.loss - cost) <= 1e-15 * cost && sgd.t == 3, "loss %.17g, expected %.17g", report.loss, cost);
}

CASE(epoch_is_gather_gradient_update) {
    static const int64_t shuffled[ROWS] = {3, 6, 0, 5, 1, 2, 4};
    sample s;
    for (int mode = 0; mode < 8; mode++)
        for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
            if (mode & 4) s.data.weight = random_reals(s.dtype, ROWS, 0, 3);
            epoch_equals(&s, mode & 1 ? shuffled : NULL, mode & 2);
            cbp_net_free(s.net);
        }
}

CASE(a_batch_without_weight_changes_nothing) {
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        const double rate = 0.5;
        const int64_t n = cbp_n_params(s.net);
        const void *before = copy_of(s.dtype, n, s.mem.theta);
        s.data.weight = zeros(s.dtype, ROWS);
        cbp_opt sgd = {.kind = CBP_OPT_sgd};
        cbp_report report;
        CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 3, &rate, 1, &report) == CBP_OK);
        CHECK_BYTES(n, size_of(s.dtype), s.mem.theta, before);
        cbp_net_free(s.net);
    }
}

CASE(divergence_names_batch_and_layer) {
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        const cbp_block second = cbp_layer(s.net, 2);
        const double rate = 0;
        void *x = copy_of(s.dtype, ROWS * 5, s.data.x);
        cbp_opt sgd = {.kind = CBP_OPT_sgd};
        cbp_report report;
        put(s.dtype, s.mem.theta, second.offset, NAN);
        CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 3, &rate, 1, &report) == CBP_DIVERGED);
        CHECK(report.batch == 0 && report.layer == 2 && sgd.t == 0);
        put(s.dtype, s.mem.theta, second.offset, 0);
        put(s.dtype, x, 4 * 5, NAN);
        s.data.x = x;
        CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, 3, &rate, 1, &report) == CBP_DIVERGED);
        CHECK(report.batch == 1 && report.layer == 1 && sgd.t == 1);
        cbp_net_free(s.net);
    }
}

CASE(divergence_of_the_last_update_is_seen) {
    sample s;
    for (int i = 0; next_sample(i, &s, DEEP_WIDTH, DEEP, CBP_LOSS_half_squared_error); i++) {
        const double rate = INFINITY;
        cbp_opt sgd = {.kind = CBP_OPT_sgd};
        cbp_report report;
        CHECK(cbp_epoch(s.net, &s.mem, &sgd, &s.data, NULL, ROWS, &rate, 1, &report) == CBP_DIVERGED);
        CHECK(report.batch == 1 && report.layer == 1);
        cbp_net_free(s.net);
    }
}

/* Paused after every update, and going on as if nothing had been */
static void in_pieces(sample *s, int64_t batch, const int64_t *order) {
    const int64_t n = cbp_n_params(s->net), batches = (s->data.n + batch - 1) / batch;
    void *const start = copy_of(s->dtype, n, s->mem.theta), *const theta = s->mem.theta;
    double rate[ROWS];
    for (int i = 0; i < ROWS; i++) rate[i] = 0.1 + 0.01 * i;
    cbp_opt whole = {.kind = CBP_OPT_sgd}, parts = whole;
    cbp_report want, got = {0};
    CHECK(cbp_epoch(s->net, &s->mem, &whole, &s->data, order, batch, rate, 0, &want) == CBP_OK);
    s->mem.theta = start;
    for (int64_t i = 1; i <= batches; i++) {
        const cbp_status status = cbp_epoch_for(s->net, &s->mem, &parts, &s->data, order, batch, rate, 0, 0, 0, &got);
        CHECK(status == (i < batches ? CBP_PAUSED : CBP_OK) && got.batch == i && parts.t == i);
    }
    CHECK_BYTES(n, size_of(s->dtype), start, theta);
    CHECK_BYTES(1, sizeof(double), &got.loss, &want.loss);
    CHECK(whole.t == parts.t && want.batch == got.batch);
}

CASE(an_epoch_in_pieces_is_the_epoch) {
    static const int64_t batches[] = {1, 2, 5, ROWS};
    const int width[] = {3, 4, 2, 0};
    const cbp_act act[] = {CBP_ACT_tanh, CBP_ACT_sigmoid};
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++)
        for (int i = 0; i < 8; i++) {
            sample s = shape((cbp_dtype)dtype, width, act, CBP_LOSS_half_squared_error);
            int64_t order[ROWS];
            fill(&s, NULL, ROWS);
            CHECK(cbp_permutation(3, 0, ROWS, order) == CBP_OK);
            NOTE("%s, batch %d, %s", DTYPE_NAME[dtype], (int)batches[i / 2], i % 2 ? "shuffled" : "in order");
            in_pieces(&s, batches[i / 2], i % 2 ? order : NULL);
            cbp_net_free(s.net);
        }
}

CASE(an_epoch_goes_on_at_one_of_its_batches_only) {
    const int width[] = {2, 1, 0};
    const cbp_act act[] = {CBP_ACT_identity};
    sample s = shape(CBP_FLOAT32, width, act, CBP_LOSS_half_squared_error);
    const double rate = 0.1;
    cbp_opt opt = {.kind = CBP_OPT_sgd};
    fill(&s, NULL, ROWS);
    for (int i = 0; i < 2; i++) {
        cbp_report report = {.batch = i ? ROWS + 1 : -1};
        CHECK(cbp_epoch_for(s.net, &s.mem, &opt, &s.data, NULL, 1, &rate, 1, 1, 0, &report) == CBP_BAD_COUNT);
    }
    CHECK(opt.t == 0);
    cbp_net_free(s.net);
}
