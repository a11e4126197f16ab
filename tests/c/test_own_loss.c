/* A loss of the user's own as a C function: the built-in ones written as such functions give the same bytes, on every
 * path and instruction set, and what the function refuses to price stops the training.
 */
#include "sample.h"

enum { ROWS = 13 };

typedef struct {
    cbp_dtype dtype;
    int64_t rows; /* seen so far */
    int64_t fails_at;
} seen;

/* The squared error of loss.def, its roundings in the same order */
static void mean_squares(void *ctx, int64_t n, int n_out, const void *y, const void *a, double *cost, void *slope) {
    seen *const s = ctx;
    const cbp_dtype dtype = s->dtype;
    for (int64_t r = 0; r < n; r++, s->rows++) {
        cost[r] = s->rows == s->fails_at ? NAN : 0;
        for (int64_t i = r * n_out; i < (r + 1) * n_out; i++) {
            const double e = sub_(dtype, get(dtype, a, i), get(dtype, y, i));
            cost[r] += to(dtype, mul_(dtype, e, e) / n_out);
            put(dtype, slope, i, to(dtype, (e + e) / n_out));
        }
    }
}

/* Plan i of the same network with this loss, or with the row of loss.def for NULL; both with the sample's numbers */
static sample sample_with(int i, cbp_own_loss *own, seen *s, cbp_act output, const sample *like) {
    static const int width[] = {5, 9, 3, 0};
    cbp_dtype dtype = CBP_FLOAT32;
    const cbp_kern *k = kern_at(i, &dtype);
    const cbp_act acts[] = {CBP_ACT_tanh, output};
    sample made = shape(dtype, width, acts, CBP_LOSS_mean_squared_error);
    const cbp_dense layer[] = {{.units = 9, .act = CBP_ACT_tanh}, {.units = 3, .act = output, .act_arg = 0.1}};
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = 5,
                           .n_layers = 2,
                           .layers = layer,
                           .loss = own ? (cbp_loss)-1 : CBP_LOSS_mean_squared_error,
                           .isa = k->isa,
                           .own_loss = own,
                           .own_ctx = s};
    *s = (seen){dtype, 0, -1};
    fill(&made, k->isa, ROWS);
    cbp_net_free(made.net);
    CHECK(cbp_net_new(&made.net, &spec) == CBP_OK);
    if (like) made.data = like->data, made.mem.theta = copy_of(dtype, cbp_n_params(made.net), like->mem.theta);
    return made;
}

static void gradients_equal(sample *own, sample *built_in) {
    double loss[4];
    CHECK(cbp_gradient(own->net, &own->mem, &own->data, loss) == CBP_OK);
    CHECK(cbp_gradient(built_in->net, &built_in->mem, &built_in->data, loss + 1) == CBP_OK);
    CHECK(cbp_evaluate(own->net, &own->mem, &own->data, loss + 2) == CBP_OK);
    CHECK(cbp_evaluate(built_in->net, &built_in->mem, &built_in->data, loss + 3) == CBP_OK);
    CHECK_BYTES(1, sizeof(double), loss, loss + 1);
    CHECK_BYTES(1, sizeof(double), loss + 2, loss + 3);
    CHECK_BYTES(cbp_n_params(own->net), size_of(own->dtype), own->mem.grad, built_in->mem.grad);
}

static void epochs_equal(sample *own, sample *built_in, int64_t batch) {
    sample *const both[] = {own, built_in};
    cbp_report report[2];
    const double rate = 0.05;
    for (int i = 0; i < 2; i++) {
        cbp_opt sgd = {.kind = CBP_OPT_sgd};
        CHECK(cbp_epoch(both[i]->net, &both[i]->mem, &sgd, &both[i]->data, NULL, batch, &rate, 1, report + i) ==
              CBP_OK);
    }
    CHECK_BYTES(1, sizeof(double), &report[0].loss, &report[1].loss);
    CHECK_BYTES(cbp_n_params(own->net), size_of(own->dtype), own->mem.theta, built_in->mem.theta);
}

CASE(the_same_loss_as_a_function_gives_the_same_bytes) {
    cbp_dtype dtype;
    for (int i = 0; kern_at(i, &dtype); i++)
        for (int act = 0; act < CBP_N_ACT; act++) {
            seen s, none;
            sample built_in = sample_with(i, NULL, &none, (cbp_act)act, NULL);
            sample own = sample_with(i, mean_squares, &s, (cbp_act)act, &built_in);
            NOTE("%s %s, output %s", cbp_net_isa(own.net), DTYPE_NAME[dtype],
                 cbp_table(CBP_ACTIVATIONS, NULL)[act].name);
            gradients_equal(&own, &built_in);
            own.data.weight = built_in.data.weight = random_reals(dtype, ROWS, 0.5, 2);
            gradients_equal(&own, &built_in);
            epochs_equal(&own, &built_in, 1);
            epochs_equal(&own, &built_in, 4);
            CHECK(s.rows == 6 * ROWS);
            cbp_net_free(own.net);
            cbp_net_free(built_in.net);
            release_blocks();
        }
}

CASE(with_threads_it_is_still_called_in_turn) {
    seen s, none;
    cbp_pool *pool;
    sample built_in = sample_with(0, NULL, &none, CBP_ACT_identity, NULL);
    sample own = sample_with(0, mean_squares, &s, CBP_ACT_identity, &built_in);
    enum { many = 4000 };
    CHECK(cbp_pool_new(&pool, 4) == CBP_OK);
    for (sample *each = &own; each; each = each == &own ? &built_in : NULL) {
        each->data.n = many;
        each->mem.work = block(cbp_work_bytes(each->net, many, CBP_EPOCH));
        each->mem.pool = pool;
    }
    own.data.x = built_in.data.x = random_reals(own.dtype, many * 5, -1, 1);
    own.data.y = built_in.data.y = random_reals(own.dtype, many * 3, 0, 1);
    gradients_equal(&own, &built_in);
    CHECK(s.rows == 2 * many);
    cbp_pool_free(pool);
    cbp_net_free(own.net);
    cbp_net_free(built_in.net);
}

CASE(a_cost_that_is_no_number_stops_the_epoch_before_its_update) {
    seen s;
    sample own = sample_with(0, mean_squares, &s, CBP_ACT_identity, NULL);
    const int64_t n = cbp_n_params(own.net);
    const double rate = 0.05;
    cbp_opt sgd = {.kind = CBP_OPT_sgd};
    cbp_report report;
    s.fails_at = 0;
    const void *before = copy_of(own.dtype, n, own.mem.theta);
    CHECK(cbp_epoch(own.net, &own.mem, &sgd, &own.data, NULL, 4, &rate, 1, &report) == CBP_DIVERGED);
    CHECK(report.batch == 0);
    CHECK_BYTES(n, size_of(own.dtype), own.mem.theta, before);
    cbp_net_free(own.net);
}
