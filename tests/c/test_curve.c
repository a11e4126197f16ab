/* Jacobian, Gauss-Newton matrix and products with that and the Hessian: the same bytes for every instruction set and
 * any number of threads; against differences, and each other, in double.
 */
#include "naive.h"
#include "net.h"

enum { LAYERS = 4, MOST_HEADS = 3 };

typedef struct {
    const char *name;
    int n_layers, units[LAYERS + 1];
    unsigned from[LAYERS + 1]; /* layers that feed this one beside the one below */
    cbp_act act[LAYERS + 1];
    double steepness, l2;
    cbp_loss loss;
    int n_heads;
    cbp_head head[MOST_HEADS];
    int weighted, fixed, missing;
    cbp_reduction reduction;
} shape;

#define SQUARE CBP_LOSS_half_squared_error
static const shape SHAPES[] = {
    {.name = "plain", .n_layers = 2, .units = {5, 9, 3}, .act = {0, CBP_ACT_tanh}, .loss = SQUARE},
    {.name = "one output",
     .n_layers = 3,
     .units = {6, 7, 11, 1},
     .act = {0, CBP_ACT_tanh, CBP_ACT_silu},
     .loss = SQUARE,
     .weighted = 1,
     .fixed = 1},
    {.name = "one unit in the middle",
     .n_layers = 3,
     .units = {30, 5, 1, 2},
     .act = {0, CBP_ACT_tanh, CBP_ACT_tanh},
     .loss = SQUARE},
    {.name = "wide", .n_layers = 3, .units = {70, 41, 33, 2}, .act = {0, CBP_ACT_silu, CBP_ACT_gelu}, .weighted = 1},
    {.name = "sigmoid",
     .n_layers = 2,
     .units = {3, 7, 2},
     .act = {0, CBP_ACT_softplus, CBP_ACT_sigmoid},
     .loss = CBP_LOSS_binary_cross_entropy,
     .steepness = 1.5,
     .missing = 1},
    {.name = "softmax, skips, fixed",
     .n_layers = 4,
     .units = {4, 6, 17, 8, 5},
     .from = {0, 0, 1, 2, 3},
     .act = {0, CBP_ACT_tanh, CBP_ACT_sigmoid, CBP_ACT_mish, CBP_ACT_softmax},
     .loss = CBP_LOSS_categorical_cross_entropy,
     .weighted = 1,
     .fixed = 1,
     .l2 = 0.25},
    {.name = "softmax with squares",
     .n_layers = 2,
     .units = {4, 6, 5},
     .act = {0, CBP_ACT_sin, CBP_ACT_softmax},
     .loss = SQUARE,
     .steepness = 0.5,
     .reduction = CBP_SUM},
    {.name = "log_softmax",
     .n_layers = 2,
     .units = {4, 6, 5},
     .act = {0, CBP_ACT_gelu_tanh, CBP_ACT_log_softmax},
     .loss = CBP_LOSS_negative_log_likelihood,
     .l2 = 0.5,
     .reduction = CBP_SUM},
    {.name = "heads",
     .n_layers = 2,
     .units = {4, 6, 9},
     .act = {0, CBP_ACT_gaussian, CBP_ACT_softplus},
     .steepness = 2,
     .n_heads = 3,
     .head = {{0, 4, CBP_LOSS_log_cosh, 0, 0.5}, {4, 4, CBP_LOSS_gaussian_nll, 1e-6, 2}, {8, 1, SQUARE, 0, 1}},
     .weighted = 1},
};
enum { N_SHAPES = sizeof SHAPES / sizeof SHAPES[0] };

typedef struct {
    const shape *s;
    cbp_dtype dtype;
    cbp_net *net;
    int64_t p, n_out, rows;
    cbp_mem mem;
    cbp_data data;
    void *v;
} trial;

static cbp_net *net_of(const shape *s, cbp_dtype dtype, const char *isa) {
    cbp_dense layer[LAYERS] = {{0}};
    int skips[LAYERS + 1][LAYERS];
    for (int l = 1; l <= s->n_layers; l++) {
        cbp_dense *const d = &layer[l - 1];
        *d = (cbp_dense){.units = s->units[l], .act = s->act[l], .act_arg = 1, .steepness = s->steepness};
        d->l2 = s->l2;
        d->skips = skips[l];
        for (int k = 0; k < l - 1; k++)
            if (s->from[l] >> k & 1) skips[l][d->n_skips++] = k;
    }
    cbp_net *net;
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = s->units[0],
                           .n_layers = s->n_layers,
                           .layers = layer,
                           .loss = s->loss,
                           .n_heads = s->n_heads,
                           .heads = s->head,
                           .missing_targets = s->missing,
                           .reduction = s->reduction,
                           .isa = isa};
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    return net;
}

/* 1, or 0 for every fifth */
static void *mask_of(cbp_dtype dtype, int64_t n) {
    void *mask = reals(dtype, n);
    for (int64_t i = 0; i < n; i++) put(dtype, mask, i, i % 5 != 2);
    return mask;
}

static trial trial_of(const shape *s, cbp_dtype dtype, const char *isa, int64_t rows) {
    static const unsigned char frozen[LAYERS] = {0, 1, 0, 0};
    trial t = {.s = s, .dtype = dtype, .net = net_of(s, dtype, isa), .rows = rows};
    t.p = cbp_n_params(t.net);
    t.n_out = s->units[s->n_layers];
    t.mem = (cbp_mem){.theta = random_reals(dtype, t.p, -0.5, 0.5), .grad = reals(dtype, t.p)};
    if (s->fixed) t.mem.frozen = frozen, t.mem.mask = mask_of(dtype, t.p);
    t.v = random_reals(dtype, t.p, -1, 1);
    const int64_t n_y = rows * cbp_n_targets(t.net);
    void *y = random_reals(dtype, n_y, 0, 1);
    for (int64_t i = 0; s->missing && i < n_y; i += 3) put(dtype, y, i, NAN);
    t.data = (cbp_data){.n = rows,
                        .x = random_reals(dtype, rows * s->units[0], -1, 1),
                        .y = y,
                        .weight = s->weighted ? random_reals(dtype, rows, 0.5, 2) : NULL};
    return t;
}

typedef struct {
    void *gradient, *matrix, *hessian_v, *gauss_newton_v, *by_params, *by_inputs;
    double loss;
} results;

static results compute(const trial *t, const cbp_net *net, cbp_pool *pool) {
    const cbp_dtype dtype = t->dtype;
    results r = {.gradient = reals(dtype, t->p),
                 .matrix = reals(dtype, t->p * t->p),
                 .hessian_v = reals(dtype, t->p),
                 .gauss_newton_v = reals(dtype, t->p),
                 .by_params = reals(dtype, t->rows * t->n_out * t->p),
                 .by_inputs = reals(dtype, t->rows * t->n_out * t->s->units[0])};
    const cbp_curvature wanted = {r.gradient, r.matrix, t->v, r.hessian_v, r.gauss_newton_v};
    cbp_mem mem = t->mem;
    mem.pool = pool;
    mem.work = block(cbp_work_bytes(net, t->rows, CBP_MATRIX));
    CHECK(cbp_curve(net, &mem, &t->data, &wanted, &r.loss) == CBP_OK);
    mem.work = block(cbp_work_bytes(net, t->rows, CBP_CURVE));
    CHECK(cbp_jacobian(net, &mem, t->rows, t->data.x, CBP_BY_PARAMS, r.by_params) == CBP_OK);
    CHECK(cbp_jacobian(net, &mem, t->rows, t->data.x, CBP_BY_INPUTS, r.by_inputs) == CBP_OK);
    return r;
}

static void check_same(const trial *t, const results *got, const results *want) {
    const size_t size = size_of(t->dtype);
    CHECK(got->loss == want->loss);
    CHECK_BYTES(t->p, size, got->gradient, want->gradient);
    CHECK_BYTES(t->p * t->p, size, got->matrix, want->matrix);
    CHECK_BYTES(t->p, size, got->hessian_v, want->hessian_v);
    CHECK_BYTES(t->p, size, got->gauss_newton_v, want->gauss_newton_v);
    CHECK_BYTES(t->rows * t->n_out * t->p, size, got->by_params, want->by_params);
    CHECK_BYTES(t->rows * t->n_out * t->s->units[0], size, got->by_inputs, want->by_inputs);
}

/* "wide" has a matrix of some megabytes, so few rows */
static int64_t rows_for(const shape *s) { return s->units[0] > 50 ? 30 : 40; }

CASE(every_instruction_set_gives_the_same_bytes) {
    for (int s = 0; s < N_SHAPES; s++) {
        if (s % one_in(2)) continue;
        for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++, release_blocks()) {
            trial t = trial_of(&SHAPES[s], (cbp_dtype)dtype, "scalar", rows_for(&SHAPES[s]));
            const results want = compute(&t, t.net, NULL);
            for (int i = 0; cbp_isa_at(i + 1); i++) {
                cbp_net *net = net_of(t.s, t.dtype, cbp_isa_at(i));
                NOTE("%s, %s, %s", t.s->name, DTYPE_NAME[dtype], cbp_isa_at(i));
                const results got = compute(&t, net, NULL);
                check_same(&t, &got, &want);
                cbp_net_free(net);
            }
            cbp_net_free(t.net);
        }
    }
}

CASE(threads_change_no_byte) {
    for (int s = 0; s < N_SHAPES; s++) {
        if (s % one_in(5)) continue;
        const int64_t rows = SHAPES[s].units[0] > 50 ? 60 : many_or(700, 300); /* more than a block */
        trial t = trial_of(&SHAPES[s], s % 2 ? CBP_FLOAT32 : CBP_FLOAT64, NULL, rows);
        const results want = compute(&t, t.net, NULL);
        for (int threads = 4; threads > 1; threads -= one_in(4)) {
            cbp_pool *pool;
            NOTE("%s, %d threads", t.s->name, threads);
            CHECK(cbp_pool_new(&pool, threads) == CBP_OK);
            const results got = compute(&t, t.net, pool);
            check_same(&t, &got, &want);
            cbp_pool_free(pool);
        }
        cbp_net_free(t.net);
        release_blocks();
    }
}

/* ---- the stored bits: everything above, and three steps of Levenberg and Marquardt, whose damping is 1 ---- */

static const uint64_t STORED[CBP_N_DTYPE] = {UINT64_C(0x666c155ad3a9033f), UINT64_C(0x333baddc0737bd62)};

static uint64_t hash_results(uint64_t hash, const trial *t, const results *r) {
    const int64_t n = t->rows * t->n_out;
    hash = hash_of(hash, CBP_FLOAT64, 1, &r->loss);
    hash = hash_of(hash, t->dtype, t->p, r->gradient);
    hash = hash_of(hash, t->dtype, t->p * t->p, r->matrix);
    hash = hash_of(hash, t->dtype, t->p, r->hessian_v);
    hash = hash_of(hash, t->dtype, t->p, r->gauss_newton_v);
    hash = hash_of(hash, t->dtype, n * t->p, r->by_params);
    return hash_of(hash, t->dtype, n * t->s->units[0], r->by_inputs);
}

/* theta := theta - (G + 1)^-1 g */
static void step(const trial *t, const results *r) {
    double *a = block((size_t)(t->p * t->p) * sizeof *a), *b = block((size_t)t->p * sizeof *b);
    for (int64_t i = 0; i < t->p * t->p; i++) a[i] = get(t->dtype, r->matrix, i) + (i % (t->p + 1) == 0);
    for (int64_t i = 0; i < t->p; i++) b[i] = get(t->dtype, r->gradient, i);
    CHECK(cbp_cholesky(t->p, a, NULL) == CBP_OK);
    cbp_cholesky_solve(t->p, a, b);
    for (int64_t i = 0; i < t->p; i++) put(t->dtype, t->mem.theta, i, get(t->dtype, t->mem.theta, i) - b[i]);
}

CASE(the_bits_are_the_stored_ones) {
    int differ = 0;
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
        uint64_t hash = HASH_OF_NOTHING;
        for (int s = 0; s < N_SHAPES; s++, release_blocks()) {
            if (SHAPES[s].n_heads > 0 || SHAPES[s].units[0] > 50) continue; /* G may be indefinite; large */
            trial t = trial_of(&SHAPES[s], (cbp_dtype)dtype, NULL, 33);
            for (int i = 0; i < 3; i++) {
                const results r = compute(&t, t.net, NULL);
                hash = hash_results(hash, &t, &r);
                step(&t, &r);
            }
            hash = hash_of(hash, t.dtype, t.p, t.mem.theta);
            cbp_net_free(t.net);
        }
        printf("bits %s 0x%016llx\n", DTYPE_NAME[dtype], (unsigned long long)hash);
        differ += hash != STORED[dtype];
    }
    CHECKF(differ == 0, "%d hashes are not the stored ones", differ);
}

/* ---- against differences ---- */

/* theta := base + h v, v being 0 for what is fixed */
static void move_theta(const trial *t, const double *base, double h) {
    for (int64_t i = 0, l = 1; i < t->p; i++) {
        while (l < t->s->n_layers && i >= cbp_layer(t->net, (int)l + 1).offset) l++;
        const int fixed =
            (t->mem.frozen && t->mem.frozen[l - 1]) || (t->mem.mask && get(t->dtype, t->mem.mask, i) == 0);
        ((double *)t->mem.theta)[i] = base[i] + (fixed ? 0 : h * ((const double *)t->v)[i]);
    }
}

/* d := (45 (f1 - f-1) - 9 (f2 - f-2) + (f3 - f-3)) / 60 h of what `compute_at` writes, n numbers */
static double *difference(const trial *t, int64_t n, void (*compute_at)(const trial *, double *)) {
    static const double factor[] = {45, -9, 1};
    const double h = 1e-3, *base = copy_of(t->dtype, t->p, t->mem.theta);
    double *f = reals(CBP_FLOAT64, n), *d = zeros(CBP_FLOAT64, n);
    for (int k = -3; k <= 3; k++) {
        if (k == 0) continue;
        move_theta(t, base, k * h);
        compute_at(t, f);
        for (int64_t i = 0; i < n; i++) d[i] += (k < 0 ? -1 : 1) * factor[abs(k) - 1] * f[i] / (60 * h);
    }
    memcpy(t->mem.theta, base, (size_t)t->p * sizeof(double));
    return d;
}

static void gradient_at(const trial *t, double *out) {
    double loss;
    cbp_mem mem = t->mem;
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_TRAIN));
    mem.grad = out;
    CHECK(cbp_gradient(t->net, &mem, &t->data, &loss) == CBP_OK);
}

static void outputs_at(const trial *t, double *out) {
    cbp_mem mem = t->mem;
    mem.work = block(cbp_work_bytes(t->net, t->rows, CBP_PREDICT));
    CHECK(cbp_predict(t->net, &mem, t->rows, t->data.x, out) == CBP_OK);
}

static double largest(int64_t n, const double *x) {
    double most = 0;
    for (int64_t i = 0; i < n; i++) most = fabs(x[i]) > most ? fabs(x[i]) : most;
    return most;
}

static void check_near(int64_t n, const double *got, const double *want, double bound) {
    const double scale = largest(n, want);
    for (int64_t i = 0; i < n; i++)
        CHECKF(fabs(got[i] - want[i]) <= bound * scale, "element %d is %g, expected %g", (int)i, got[i], want[i]);
}

/* out (rows) := matrix (rows, cols) v */
static double *times_v(int64_t rows, int64_t cols, const double *matrix, const double *v) {
    double *out = zeros(CBP_FLOAT64, rows);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) out[i] += matrix[i * cols + j] * v[j];
    return out;
}

CASE(products_agree_with_differences_and_each_other) {
    for (int s = 0; s < N_SHAPES; s++, release_blocks()) {
        if (s % one_in(2)) continue;
        trial t = trial_of(&SHAPES[s], CBP_FLOAT64, NULL, 20);
        const results r = compute(&t, t.net, NULL);
        NOTE("%s", t.s->name);
        check_near(t.p, r.hessian_v, difference(&t, t.p, gradient_at), 1e-8);
        check_near(t.p, times_v(t.p, t.p, r.matrix, t.v), r.gauss_newton_v, 1e-12);
        const int64_t n = t.rows * t.n_out;
        check_near(n, times_v(n, t.p, r.by_params, t.v), difference(&t, n, outputs_at), 1e-8);
        cbp_net_free(t.net);
    }
}

CASE(the_gradient_of_one_block_is_that_of_training) {
    for (int s = 0; s < N_SHAPES; s++, release_blocks()) {
        trial t = trial_of(&SHAPES[s], CBP_FLOAT64, NULL, 50);
        double *want = reals(CBP_FLOAT64, t.p), *got = reals(CBP_FLOAT64, t.p), loss;
        const cbp_curvature wanted = {.gradient = got};
        NOTE("%s", t.s->name);
        gradient_at(&t, want);
        t.mem.work = block(cbp_work_bytes(t.net, t.rows, CBP_CURVE));
        CHECK(cbp_curve(t.net, &t.mem, &t.data, &wanted, &loss) == CBP_OK);
        for (int64_t i = 0; i < t.p; i++) CHECK(got[i] == want[i]); /* 0 == -0 */
        cbp_net_free(t.net);
    }
}

/* ---- what is refused ---- */

static void own_loss(void *ctx, int64_t n, int n_out, const void *y, const void *a, double *cost, void *slope) {
    (void)ctx;
    for (int64_t i = 0; i < n * n_out; i++) ((double *)slope)[i] = ((const double *)a)[i] - ((const double *)y)[i];
    for (int64_t r = 0; r < n; r++) cost[r] = 1;
}

CASE(a_loss_of_your_own_has_no_curvature) {
    const cbp_dense layer = {.units = 1};
    const cbp_spec spec = {.dtype = CBP_FLOAT64, .n_in = 1, .n_layers = 1, .layers = &layer, .own_loss = own_loss};
    double theta[2] = {1, 2}, x = 3, y = 4, v[2] = {1, 1}, gradient[2], out[2], loss;
    cbp_net *net;
    CHECK(cbp_net_new(&net, &spec) == CBP_OK);
    const cbp_mem mem = {.theta = theta, .work = block(cbp_work_bytes(net, 1, CBP_CURVE))};
    const cbp_data data = {.n = 1, .x = &x, .y = &y};
    const cbp_curvature product = {.v = v, .hessian_v = out}, slope = {.gradient = gradient},
                        without = {.hessian_v = out};
    CHECK(cbp_curve(net, &mem, &data, &product, &loss) == CBP_NO_CURVATURE);
    CHECK(cbp_curve(net, &mem, &data, &without, &loss) == CBP_NULL_ARGUMENT);
    CHECK(cbp_curve(net, &mem, &data, &slope, &loss) == CBP_OK && loss == 1);
    CHECK(gradient[0] == 3 && gradient[1] == 9); /* identity: a = 1 + 2 * 3 */
    CHECK(cbp_curve(net, &mem, &data, NULL, &loss) == CBP_NULL_ARGUMENT);
    CHECK(cbp_jacobian(net, &mem, -1, &x, CBP_BY_PARAMS, out) == CBP_BAD_COUNT);
    CHECK(cbp_jacobian(net, &mem, 1, NULL, CBP_BY_PARAMS, out) == CBP_NULL_ARGUMENT);
    CHECK(cbp_jacobian(net, &mem, 0, NULL, CBP_BY_INPUTS, NULL) == CBP_OK);
    cbp_net_free(net);
}
