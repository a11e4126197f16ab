/* What holds an update back: each kernel against its one-line definition over every tail, and epochs against the steps
 * that they are made of, on every instruction set.
 */
#include "sample.h"

enum { LONGEST = 70, ROWS = 7 };

static const cbp_kern *k;
static cbp_dtype dtype;

/* every table and every length 0..LONGEST */
#define EACH_LENGTH(n) \
    for (int i_ = 0; (k = kern_at(i_, &dtype)) != NULL; i_++) \
        for (int64_t n = 0; n <= LONGEST; n++, release_blocks())

/* ---- kernels ---- */

/* Zeros of both signs among them */
static void *weights(int64_t n) {
    void *w = random_reals(dtype, n, -2, 2);
    for (int64_t i = 0; i < n; i += 5) put(dtype, w, i, i % 2 ? -0.0 : 0.0);
    return w;
}

/* Of n parameters about a third */
static void *mask_of(cbp_dtype of, int64_t n) {
    void *mask = reals(of, n);
    for (int64_t i = 0; i < n; i++) put(of, mask, i, random_bits() % 3 != 0);
    return mask;
}

static double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

CASE(penalize_rectangles) {
    EACH_LENGTH(n) {
        enum { rows = 3 };
        const double factor = 1.0 / 3, l1 = 0.1, l2 = 0.7;
        for (int gap = 0; gap < 2; gap++) {
            const int64_t ld = n + 3 * gap, ldg = n + gap;
            const void *w = weights(rows * ld);
            void *g = random_reals(dtype, rows * ldg, -2, 2), *want = copy_of(dtype, rows * ldg, g);
            for (int64_t i = 0; i < rows * n; i++) {
                const int64_t at = i / n * ldg + i % n;
                const double x = get(dtype, w, i / n * ld + i % n);
                double y = mul_(dtype, to(dtype, factor), get(dtype, g, at));
                y = fma_(dtype, to(dtype, l2), x, y);
                put(dtype, want, at, fma_(dtype, to(dtype, l1), sign_of(x), y));
            }
            k->penalize(rows, n, factor, l1, l2, w, ld, g, ldg);
            CHECK_BYTES(rows * ldg, size_of(dtype), g, want);
        }
    }
}

CASE(norms_are_32_chains_in_double) {
    EACH_LENGTH(n) {
        const void *x = weights(n);
        double a[32] = {0}, q[32] = {0}, want[2] = {0, 0}, got[2] = {1, 1};
        for (int64_t i = 0; i < n; i++) {
            const double v = get(dtype, x, i);
            a[i % 32] += fabs(v);
            q[i % 32] += v * v;
        }
        for (int c = 0; c < 32; c++) want[0] += a[c], want[1] += q[c];
        k->norms(n, x, got, got + 1);
        CHECK_BYTES(2, sizeof(double), got, want);
    }
}

CASE(clip_cuts_and_keeps_nan) {
    EACH_LENGTH(n) {
        void *x = weights(n), *want = reals(dtype, n);
        if (n > 2) put(dtype, x, n - 1, NAN), put(dtype, x, n - 2, -INFINITY);
        for (int64_t i = 0; i < n; i++) {
            const double v = get(dtype, x, i), most = to(dtype, 0.7);
            put(dtype, want, i, v > most ? most : v < -most ? -most : v);
        }
        k->clip(n, 0.7, x);
        CHECK_BYTES(n, size_of(dtype), x, want);
    }
}

CASE(hold_puts_back_what_is_fixed) {
    EACH_LENGTH(n) {
        const void *mask = mask_of(dtype, n), *old = weights(n);
        for (int with_old = 0; with_old < 2; with_old++) {
            void *x = weights(n), *want = reals(dtype, n);
            for (int64_t i = 0; i < n; i++) {
                const double before = with_old ? get(dtype, old, i) : 0;
                put(dtype, want, i, get(dtype, mask, i) == 0 ? before : get(dtype, x, i));
            }
            k->hold(n, mask, with_old ? old : NULL, x);
            CHECK_BYTES(n, size_of(dtype), x, want);
        }
    }
}

CASE(average_moves_by_its_share) {
    EACH_LENGTH(n) {
        const double least = dtype == CBP_FLOAT32 ? FLT_MIN : DBL_MIN, share = to(dtype, 1 - 0.9);
        void *w = weights(n), *a = weights(n), *want = reals(dtype, n);
        if (n > 3) put(dtype, w, 3, 0), put(dtype, a, 3, least);
        for (int64_t i = 0; i < n; i++) {
            const double x = get(dtype, w, i), old = get(dtype, a, i);
            const double moved = fma_(dtype, share, sub_(dtype, x, old), old);
            put(dtype, want, i, fabs(moved) < least ? 0 : moved);
        }
        k->average(n, 1 - 0.9, w, a);
        CHECK_BYTES(n, size_of(dtype), a, want);
    }
}

/* w (rows, cols): columns longer than `limit`, without those elements where mask is 0 */
static void naive_shorten(int64_t rows, int64_t cols, int64_t ld, double limit, void *w, const void *mask) {
    for (int64_t j = 0; j < cols; j++) {
        double sum = 0;
        for (int64_t i = 0; i < rows; i++) {
            const double x = get(dtype, w, i * ld + j);
            sum = fma_(dtype, x, x, sum);
        }
        const double length = sqrt_(dtype, sum), huge = dtype == CBP_FLOAT32 ? 1e30f : 1e300;
        const double factor = length > to(dtype, limit) && length < huge ? div_(dtype, to(dtype, limit), length) : 1;
        for (int64_t i = 0; i < rows; i++)
            if (!mask || get(dtype, mask, i * ld + j) != 0)
                put(dtype, w, i * ld + j, mul_(dtype, factor, get(dtype, w, i * ld + j)));
    }
}

CASE(shorten_columns) {
    static const int64_t cols[] = {1, 2, 7, 15, 16, 17, 33, 255, 256, 257, 600};
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++)
        for (int c = 0; c < 11; c++, release_blocks())
            for (int64_t rows = 0; rows < 12; rows += 1 + rows / 2) {
                const int64_t n = cols[c], ld = n + c % 3, size = rows * ld;
                for (int masked = 0; masked < 2; masked++) {
                    const void *mask = masked ? mask_of(dtype, size) : NULL;
                    void *w = random_reals(dtype, size, -1, 1), *want = copy_of(dtype, size, w);
                    if (rows > 3 && n > 2) put(dtype, w, ld + 1, NAN), put(dtype, want, ld + 1, NAN);
                    if (rows > 3 && n > 6) {
                        const double most = dtype == CBP_FLOAT32 ? FLT_MAX : DBL_MAX;
                        put(dtype, w, ld + 5, most), put(dtype, want, ld + 5, most);
                    }
                    k->shorten(rows, n, ld, 0.8, w, mask);
                    naive_shorten(rows, n, ld, 0.8, want, mask);
                    CHECK_BYTES(size, size_of(dtype), w, want);
                }
            }
}

/* ---- networks ---- */

static const int WIDTH[] = {5, 19, 3, 4, 0};
static const cbp_act ACT[] = {CBP_ACT_tanh, CBP_ACT_leaky_relu, CBP_ACT_sigmoid};
static const double L1[] = {0.05, 0, 0.02}, L2[] = {0, 0.3, 0.1}, MAX_NORM[] = {0.9, 0, 1.1};

/* A sample for every kernel table, its layers limited or not: i counts them, false after the last */
static int next_sample(int i, sample *s, int limited, cbp_reduction reduction) {
    release_blocks();
    k = kern_at(i, &dtype);
    if (!k) return 0;
    *s = shape(dtype, WIDTH, ACT, CBP_LOSS_half_squared_error);
    fill(s, k->isa, ROWS);
    s->reduction = reduction;
    cbp_net_free(s->net);
    cbp_dense layer[3];
    for (int l = 0; l < 3; l++) {
        layer[l] = (cbp_dense){.units = WIDTH[l + 1], .act = ACT[l], .act_arg = 0.2};
        if (limited) layer[l].l1 = L1[l], layer[l].l2 = L2[l], layer[l].max_norm = MAX_NORM[l];
    }
    const cbp_spec spec = {.dtype = dtype,
                           .n_in = WIDTH[0],
                           .n_layers = 3,
                           .layers = layer,
                           .loss = s->loss,
                           .reduction = reduction,
                           .isa = k->isa};
    CHECK(cbp_net_new(&s->net, &spec) == CBP_OK);
    return 1;
}

static double naive_penalty(const sample *s) {
    double penalty = 0, absolute, square;
    for (int l = 1; l <= 3; l++) {
        const cbp_block b = cbp_layer(s->net, l);
        cbp_kern_for("scalar", dtype)->norms((int64_t)(b.rows - 1) * b.cols, theta_of(s, l, 1), &absolute, &square);
        penalty += L1[l - 1] * absolute + L2[l - 1] / 2 * square;
    }
    return penalty;
}

/* The textbook's gradient and loss, with the penalties added */
static textbook naive_limited(const sample *s, const cbp_data *data) {
    textbook t = naive_gradient(s, data);
    const double times = s->reduction == CBP_SUM ? t.weight : 1, penalty = naive_penalty(s);
    for (int l = 1; l <= 3; l++) {
        const cbp_block b = cbp_layer(s->net, l);
        for (int64_t i = b.cols; i < (int64_t)b.rows * b.cols; i++) {
            const double w = get(dtype, s->mem.theta, b.offset + i);
            double g = fma_(dtype, to(dtype, L2[l - 1] * times), w, get(dtype, t.grad, b.offset + i));
            g = fma_(dtype, to(dtype, L1[l - 1] * times), sign_of(w), g);
            put(dtype, t.grad, b.offset + i, g);
        }
    }
    t.cost += t.weight * penalty;
    t.loss = s->reduction == CBP_SUM ? t.cost : t.cost / t.weight;
    return t;
}

CASE(the_gradient_and_the_loss_have_the_penalty) {
    sample s;
    for (int mode = 0; mode < 4; mode++)
        for (int i = 0; next_sample(i, &s, 1, (cbp_reduction)(mode & 1)); i++)
            for (int64_t m = 1; m <= ROWS; m += 3) {
                cbp_data data = s.data;
                data.n = m;
                data.weight = mode & 2 ? random_reals(dtype, ROWS, 0.1, 3) : NULL;
                const textbook want = naive_limited(&s, &data);
                double loss;
                CHECK(cbp_gradient(s.net, &s.mem, &data, &loss) == CBP_OK);
                CHECK_BYTES(cbp_n_params(s.net), size_of(dtype), s.mem.grad, want.grad);
                CHECK_BYTES(1, sizeof loss, &loss, &want.loss);
                CHECK(cbp_evaluate(s.net, &s.mem, &data, &loss) == CBP_OK);
                CHECK_BYTES(1, sizeof loss, &loss, &want.loss);
                if (m == ROWS) cbp_net_free(s.net);
            }
}

/* What an update may be held back by, and an optimiser that has momentum, decay and slots */
typedef struct {
    int limited, frozen, masked;
    double clip_value, clip_norm, average;
} holds;

static const unsigned char FROZEN[3][3] = {{0, 1, 0}, {1, 1, 0}, {1, 1, 1}};
static const holds HOLDS[] = {
    {.limited = 1},     {.frozen = 1},     {.frozen = 2, .masked = 1}, {.frozen = 3, .average = 0.5}, {.masked = 1},
    {.clip_value = .1}, {.clip_norm = .1}, {.average = 0.9},           {1, 1, 1, .1, .2, .9},
};
enum { N_HOLDS = sizeof HOLDS / sizeof *HOLDS };

static void hold_back(sample *s, const holds *h, cbp_opt *opt, const void *mask) {
    const int64_t n = cbp_n_params(s->net);
    const cbp_info *row = cbp_table(CBP_OPTIMIZERS, NULL) + opt->kind;
    for (int a = 0; row->arg[a].name; a++) opt->arg[a] = row->arg[a].value;
    opt->clip_value = h->clip_value;
    opt->clip_norm = h->clip_norm;
    opt->average = h->average;
    s->mem.slots = zeros(s->dtype, (row->n_slots + 1) * n);
    s->mem.frozen = h->frozen ? FROZEN[h->frozen - 1] : NULL;
    s->mem.mask = h->masked ? mask : NULL;
}

static void epoch_is_steps(sample *s, const holds *h, cbp_optimizer kind, int64_t batch) {
    const int64_t n = cbp_n_params(s->net), slots = cbp_table(CBP_OPTIMIZERS, NULL)[kind].n_slots + 1;
    const void *mask = mask_of(dtype, n), *before = copy_of(dtype, n, s->mem.theta);
    const double rate = 0.05;
    cbp_report report;
    sample steps = *s;
    steps.mem.theta = copy_of(dtype, n, s->mem.theta);
    cbp_opt opt = {.kind = kind}, step = {.kind = kind};
    hold_back(s, h, &opt, mask);
    hold_back(&steps, h, &step, mask);
    CHECK(cbp_epoch(s->net, &s->mem, &opt, &s->data, NULL, batch, &rate, 1, &report) == CBP_OK);
    for (int64_t start = 0; start < ROWS; start += batch) {
        cbp_data rows = s->data;
        rows.n = ROWS - start < batch ? ROWS - start : batch;
        rows.x = (const char *)rows.x + (size_t)(start * WIDTH[0]) * size_of(dtype);
        rows.y = (const char *)rows.y + (size_t)(start * WIDTH[3]) * size_of(dtype);
        CHECK(cbp_gradient(s->net, &steps.mem, &rows, &step.loss) == CBP_OK);
        CHECK(cbp_update(s->net, &steps.mem, &step, rate) == CBP_OK);
    }
    CHECK_BYTES(n, size_of(dtype), s->mem.theta, steps.mem.theta);
    CHECK_BYTES(slots * n, size_of(dtype), s->mem.slots, steps.mem.slots);
    for (int64_t i = 0; i < n; i++) {
        const int l = i < cbp_layer(s->net, 2).offset ? 1 : i < cbp_layer(s->net, 3).offset ? 2 : 3;
        const int fixed = (h->frozen && FROZEN[h->frozen - 1][l - 1]) || (h->masked && get(dtype, mask, i) == 0);
        if (fixed) CHECK(get(dtype, s->mem.theta, i) == get(dtype, before, i));
    }
}

CASE(an_epoch_is_its_steps_and_fixed_parameters_stay) {
    static const cbp_optimizer kind[] = {CBP_OPT_sgd, CBP_OPT_adamw, CBP_OPT_irprop_plus, CBP_OPT_quickprop};
    sample s;
    for (int h = 0; h < N_HOLDS; h++)
        for (int o = 0; o < 4; o++)
            for (int i = 0; next_sample(i, &s, HOLDS[h].limited, CBP_MEAN); i++) {
                const void *theta = copy_of(dtype, cbp_n_params(s.net), s.mem.theta);
                epoch_is_steps(&s, HOLDS + h, kind[o], 1);
                memcpy(s.mem.theta, theta, (size_t)cbp_n_params(s.net) * size_of(dtype));
                epoch_is_steps(&s, HOLDS + h, kind[o], 3);
                cbp_net_free(s.net);
            }
}

/* The same numbers to begin with: every instruction set ends where the best one does */
CASE(every_instruction_set_gives_the_same_bytes) {
    static double want[CBP_N_DTYPE][256];
    sample s;
    harness_state = 7;
    for (int i = 0; next_sample(i, &s, 1, CBP_MEAN); i++, harness_state = 7) {
        const int64_t n = cbp_n_params(s.net);
        const size_t bytes = (size_t)n * size_of(dtype);
        cbp_opt opt = {.kind = CBP_OPT_adam};
        const double rate = 0.05;
        cbp_report report;
        hold_back(&s, HOLDS + N_HOLDS - 1, &opt, mask_of(dtype, n));
        CHECK(cbp_epoch(s.net, &s.mem, &opt, &s.data, NULL, 2, &rate, 1, &report) == CBP_OK && bytes <= sizeof *want);
        if (i < CBP_N_DTYPE) memcpy(want[dtype], s.mem.theta, bytes);
        CHECK_BYTES(n, size_of(dtype), s.mem.theta, want[dtype]);
        cbp_net_free(s.net);
    }
}

CASE(limits_out_of_range_are_refused) {
    static const cbp_opt wrong[] = {{.clip_value = -1}, {.clip_norm = NAN}, {.average = 1}, {.average = -0.1}};
    static const cbp_status status[] = {CBP_BAD_CLIP, CBP_BAD_CLIP, CBP_BAD_AVERAGE, CBP_BAD_AVERAGE};
    sample s;
    CHECK(next_sample(0, &s, 0, CBP_MEAN));
    s.mem.slots = zeros(dtype, cbp_n_params(s.net));
    for (int i = 0; i < 4; i++) {
        cbp_opt opt = wrong[i];
        CHECK(cbp_update(s.net, &s.mem, &opt, 0.1) == status[i] && opt.t == 0);
    }
    cbp_opt average = {.kind = CBP_OPT_sgd, .average = 0.5};
    s.mem.slots = NULL;
    CHECK(cbp_update(s.net, &s.mem, &average, 0.1) == CBP_NULL_ARGUMENT);
    cbp_net_free(s.net);
}
