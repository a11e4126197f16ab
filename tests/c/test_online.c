/* Single rows: online training by the whole-network routine, and gradient and prediction of one row, equal on bytes to
 * the general path, which the plan takes when `single_rows` is 0. Every instruction set and precision.
 */
#include "net.h"
#include "sample.h"

enum { ROWS = 11, MOST_LAYERS = 6 };

/* What one comparison needs: two plans of the same network, one of them general */
typedef struct {
    cbp_dtype dtype;
    cbp_net *fast, *general;
    cbp_data data;
    const int64_t *order;
    const void *theta;
    double rate[ROWS];
    int one_rate;
} pair;

static pair pair_of(cbp_dtype dtype, const cbp_spec *spec) {
    pair p = {.dtype = dtype, .one_rate = 1};
    const size_t real = size_of(dtype);
    const int n_out = spec->layers[spec->n_layers - 1].units;
    CHECK(cbp_net_new(&p.fast, spec) == CBP_OK && cbp_net_new(&p.general, spec) == CBP_OK);
    CHECK(p.fast->online_bytes > 0);
    p.general->single_rows = 0;
    const double bound = 1 / sqrt((double)p.fast->widest); /* nothing diverges */
    p.theta = random_reals(dtype, cbp_n_params(p.fast), -bound, bound);
    p.data = (cbp_data){.n = ROWS,
                        .x = random_reals(dtype, ROWS * (int64_t)spec->n_in, -1, 1),
                        .y = random_reals(dtype, ROWS * (int64_t)n_out, 0, 1)};
    for (int64_t i = 0; i < ROWS * spec->n_in; i += 3) memset((char *)p.data.x + (size_t)i * real, 0, real);
    for (int i = 0; i < ROWS; i++) p.rate[i] = bound * bound / (2 + i);
    return p;
}

/* One network's arrays, theta a copy of the pair's */
static cbp_mem memory(const pair *p, const cbp_net *net) {
    const int64_t n = cbp_n_params(net);
    return (cbp_mem){.theta = copy_of(p->dtype, n, p->theta),
                     .grad = zeros(p->dtype, n),
                     .work = block(cbp_work_bytes(net, 1, CBP_EPOCH))};
}

/* Activations and deltas of one row in two workspaces */
static void layers_equal(const pair *p, const void *fast, const void *general) {
    for (int l = 1; l <= p->fast->n_layers; l++)
        for (int array = CBP_A; array <= CBP_D; array++) {
            const size_t at = cbp_offset(p->fast, 1, (cbp_array)array, l);
            CHECK_BYTES(cbp_layer(p->fast, l).cols, size_of(p->dtype), (const char *)fast + at,
                        (const char *)general + at);
        }
}

/* The first row's prediction, loss, gradient, activations and deltas on both paths */
static void row_equals(const pair *p) {
    const cbp_mem fast = memory(p, p->fast), general = memory(p, p->general);
    const int n_out = p->fast->n_out;
    void *out[2] = {reals(p->dtype, n_out), reals(p->dtype, n_out)};
    CHECK(cbp_predict(p->fast, &fast, 1, p->data.x, out[0]) == CBP_OK);
    CHECK(cbp_predict(p->general, &general, 1, p->data.x, out[1]) == CBP_OK);
    CHECK_BYTES(n_out, size_of(p->dtype), out[0], out[1]);
    cbp_data row = p->data;
    double loss[2];
    row.n = 1;
    const cbp_status status = cbp_gradient(p->fast, &fast, &row, loss);
    CHECK(status == cbp_gradient(p->general, &general, &row, loss + 1));
    CHECK_BYTES(1, sizeof(double), loss, loss + 1);
    CHECK_BYTES(cbp_n_params(p->fast), size_of(p->dtype), fast.grad, general.grad);
    layers_equal(p, fast.work, general.work);
}

/* One epoch on both paths: parameters, activations, deltas and report are the same bytes */
static cbp_status epochs_equal(const pair *p) {
    const cbp_mem fast = memory(p, p->fast), general = memory(p, p->general);
    cbp_opt sgd[2] = {{.kind = CBP_OPT_sgd}, {.kind = CBP_OPT_sgd}};
    cbp_report report[2];
    memset(report, 0, sizeof report);
    const cbp_status status = cbp_epoch(p->fast, &fast, sgd, &p->data, p->order, 1, p->rate, p->one_rate, report);
    CHECK(status == cbp_epoch(p->general, &general, sgd + 1, &p->data, p->order, 1, p->rate, p->one_rate, report + 1));
    const size_t real = size_of(p->dtype);
    CHECK_BYTES(cbp_n_params(p->fast), real, fast.theta, general.theta);
    layers_equal(p, fast.work, general.work);
    CHECK_BYTES(1, sizeof(double), &report[0].loss, &report[1].loss);
    CHECK(report[0].batch == report[1].batch && report[0].layer == report[1].layer && sgd[0].t == sgd[1].t);
    return status;
}

static const int64_t SHUFFLED[ROWS] = {3, 6, 0, 10, 5, 1, 9, 2, 4, 8, 7};

/* One row, and every way to run an epoch: ordered or not, one rate or many, weighted or not */
static void every_way_equals(const pair *given) {
    pair p = *given;
    void *weight = random_reals(p.dtype, ROWS, 0, 3);
    put(p.dtype, weight, 2, 0);
    put(p.dtype, weight, 5, 1);
    for (int mode = 0; mode < 8; mode += one_in(3)) {
        p.order = mode & 1 ? SHUFFLED : NULL;
        p.one_rate = !(mode & 2);
        p.data.weight = mode & 4 ? weight : NULL;
        row_equals(&p);
        CHECK(epochs_equal(&p) == CBP_OK);
    }
}

static void release(pair *p) {
    cbp_net_free(p->fast);
    cbp_net_free(p->general);
    release_blocks();
}

/* A network of random shape for kernel table i */
static pair random_pair(const cbp_kern *k, cbp_dtype dtype, int widest) {
    cbp_dense layer[MOST_LAYERS] = {{0}};
    const int n_layers = 1 + (int)(random_bits() % (widest > 100 ? 2 : MOST_LAYERS));
    for (int l = 0; l < n_layers; l++) {
        layer[l].units = 1 + (int)(random_bits() % (uint64_t)widest);
        do layer[l].act = (cbp_act)(random_bits() % CBP_N_ACT);
        while (cbp_table(CBP_ACTIVATIONS, NULL)[layer[l].act].row_wise);
        layer[l].act_arg = 0.1;
    }
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = 1 + (int)(random_bits() % (uint64_t)widest),
                           .n_layers = n_layers,
                           .layers = layer,
                           .reduction = (cbp_reduction)(random_bits() % 2),
                           .isa = k->isa};
    NOTE("%s %s, %d layers, %d inputs, %d units first", k->isa, DTYPE_NAME[dtype], n_layers, spec.n_in, layer->units);
    return pair_of(dtype, &spec);
}

static void random_shapes_equal(int count, int widest) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int shape = 0; shape < count; shape += one_in(5)) {
            pair p = random_pair(k, dtype, widest);
            every_way_equals(&p);
            release(&p);
        }
}

CASE(networks_within_a_vector) { random_shapes_equal(60, 4); }
CASE(networks_within_a_wide_vector) { random_shapes_equal(40, 16); }
CASE(networks_of_several_vectors) { random_shapes_equal(40, 70); }
CASE(networks_of_more_columns_than_registers) { random_shapes_equal(6, 160); }

static const int WIDTHS[][3] = {{2, 3, 1}, {3, 9, 5}, {17, 40, 16}};

/* The output is the loss's own */
static int is_partner(cbp_act output, cbp_loss loss) {
    return strcmp(cbp_table(CBP_LOSSES, NULL)[loss].partner, cbp_table(CBP_ACTIVATIONS, NULL)[output].name) == 0;
}

/* Every activation in the hidden layer with each loss and its own output, every output with one hidden layer */
CASE(every_activation_and_loss_that_go_together) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int which = i % one_in(5); which < CBP_N_ACT * CBP_N_ACT * CBP_N_LOSS; which += one_in(5)) {
            const cbp_act hidden = (cbp_act)(which % CBP_N_ACT);
            const cbp_act output = (cbp_act)(which / CBP_N_ACT % CBP_N_ACT);
            const cbp_loss loss = (cbp_loss)(which / CBP_N_ACT / CBP_N_ACT);
            const int *width = WIDTHS[((int)hidden + (int)output + (int)loss) % 3];
            if (!is_partner(output, loss) && hidden != CBP_ACT_tanh) continue;
            if (cbp_table(CBP_LOSSES, NULL)[loss].pair[0]) continue; /* the general path alone knows pairs */
            const cbp_dense layer[] = {{.units = width[1], .act = hidden, .act_arg = 0.2},
                                       {.units = width[2], .act = output, .act_arg = 0.1}};
            const cbp_spec spec = {.dtype = dtype,
                                   .n_in = width[0],
                                   .n_layers = 2,
                                   .layers = layer,
                                   .loss = loss,
                                   .loss_arg = loss_arg(loss),
                                   .isa = k->isa};
            cbp_net *net;
            if (cbp_net_new(&net, &spec) != CBP_OK) continue;
            cbp_net_free(net);
            NOTE("%s %s, %d > %s > %s", k->isa, DTYPE_NAME[dtype], width[0],
                 cbp_table(CBP_ACTIVATIONS, NULL)[hidden].name, cbp_table(CBP_ACTIVATIONS, NULL)[output].name);
            pair p = pair_of(dtype, &spec);
            for (int r = 0; r < ROWS; r++) p.rate[r] /= 16; /* exp diverges sooner than others */
            every_way_equals(&p);
            release(&p);
        }
}

CASE(an_activation_per_unit) {
    static const cbp_act act[] = {CBP_ACT_tanh, CBP_ACT_tanh, CBP_ACT_relu, CBP_ACT_sigmoid, CBP_ACT_leaky_relu};
    static const double arg[] = {0, 0, 0, 0, 0.3};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        const cbp_dense layer[] = {{.units = 5, .unit_act = act, .unit_act_arg = arg},
                                   {.units = 2, .unit_act = act + 3, .unit_act_arg = arg + 3}};
        const cbp_spec spec = {.dtype = dtype, .n_in = 3, .n_layers = 2, .layers = layer, .isa = k->isa};
        pair p = pair_of(dtype, &spec);
        every_way_equals(&p);
        release(&p);
    }
}

/* A classifier and its labels */
static pair classifier(const cbp_kern *k, cbp_dtype dtype) {
    const cbp_dense layer[] = {{.units = 7, .act = CBP_ACT_tanh}, {.units = 4, .act = CBP_ACT_softmax}};
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = 5,
                           .n_layers = 2,
                           .layers = layer,
                           .loss = CBP_LOSS_categorical_cross_entropy,
                           .isa = k->isa};
    pair p = pair_of(dtype, &spec);
    int64_t *label = block(ROWS * sizeof *label);
    for (int r = 0; r < ROWS; r++) label[r] = (int64_t)(random_bits() % 4);
    p.data.y = NULL;
    p.data.labels = label;
    return p;
}

CASE(labels) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        pair p = classifier(k, dtype);
        every_way_equals(&p);
        release(&p);
    }
}

/* 3 > width > 2 with inputs and parameters among the given values, signs of zero included */
static pair of_values(const cbp_kern *k, cbp_dtype dtype, int width, const double *value, int n_values) {
    const cbp_dense layer[] = {{.units = width, .act = CBP_ACT_leaky_relu, .act_arg = 0.5},
                               {.units = 2, .act = CBP_ACT_identity}};
    const cbp_spec spec = {.dtype = dtype, .n_in = 3, .n_layers = 2, .layers = layer, .isa = k->isa};
    pair p = pair_of(dtype, &spec);
    void *const array[] = {(void *)p.theta, (void *)p.data.x, (void *)p.data.y};
    const int64_t count[] = {cbp_n_params(p.fast), ROWS * 3, ROWS * 2};
    for (int a = 0; a < 3; a++)
        for (int64_t j = 0; j < count[a]; j++) put(dtype, array[a], j, value[random_bits() % (uint64_t)n_values]);
    return p;
}

CASE(signs_of_zero) {
    static const double value[] = {0.0, -0.0, 0.0, -0.0, 1, -1, 0.5};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int shape = 0; shape < 20; shape++) {
            pair p = of_values(k, dtype, shape % 2 ? 4 : 37, value, 7);
            every_way_equals(&p);
            release(&p);
        }
}

CASE(subnormal_products) {
    const double tiny = 1e-23, value[] = {tiny, -tiny, 0.0, -0.0, 1};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int shape = 0; shape < 10; shape++) {
            pair p = of_values(k, dtype, shape % 2 ? 4 : 37, value, 5);
            every_way_equals(&p);
            release(&p);
        }
}

/* Row r of the data gets a NaN, an infinity or a target that makes the cost overflow */
CASE(divergence) {
    static const double value[] = {1, -0.5};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int which = 0; which < 2 * 3 * ROWS; which++) {
            pair p = of_values(k, dtype, which % 2 ? 4 : 37, value, 2);
            const int kind = which / 2 % 3, r = which / 6;
            const double largest = dtype == CBP_FLOAT32 ? (double)FLT_MAX : DBL_MAX;
            if (kind == 2)
                put(dtype, (void *)p.data.y, 2 * r, largest);
            else
                put(dtype, (void *)p.data.x, 3 * r + 1, kind ? INFINITY : NAN);
            CHECK(epochs_equal(&p) == CBP_DIVERGED);
            p.order = SHUFFLED;
            CHECK(epochs_equal(&p) == CBP_DIVERGED);
            release(&p);
        }
}

CASE(parameters_that_leave_the_finite_range) {
    static const double value[] = {1, -0.5};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        pair p = of_values(k, dtype, 4, value, 2);
        for (int r = 0; r < ROWS; r++) p.rate[r] = INFINITY;
        CHECK(epochs_equal(&p) == CBP_DIVERGED);
        p.one_rate = 0;
        for (int r = 0; r + 1 < ROWS; r++) p.rate[r] = 0;
        CHECK(epochs_equal(&p) == CBP_DIVERGED);
        release(&p);
    }
}
