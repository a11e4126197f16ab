/* The generator: Philox against its authors' vectors, permutations, initial weights. */
#include "sample.h"

static void philox_gives(const uint32_t counter[4], const uint32_t key[2], const uint32_t want[4]) {
    uint32_t got[4];
    cbp_philox(counter, key, got);
    for (int i = 0; i < 4; i++) CHECKF(got[i] == want[i], "word %d is %08x, expected %08x", i, got[i], want[i]);
}

/* Known answers for philox4x32-10 in the file kat_vectors of Random123 */
CASE(philox_of_zeros) {
    philox_gives((uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0},
                 (uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
}
CASE(philox_of_ones) {
    philox_gives((uint32_t[4]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, (uint32_t[2]){0xffffffff, 0xffffffff},
                 (uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}
CASE(philox_of_pi) {
    philox_gives((uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, (uint32_t[2]){0xa4093822, 0x299f31d0},
                 (uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

/* ---- permutations ---- */

static int64_t *permutation(uint64_t seed, uint64_t stream, int64_t n) {
    int64_t *order = block((size_t)n * sizeof *order);
    CHECK(cbp_permutation(seed, stream, n, order) == CBP_OK);
    return order;
}

CASE(permutations_hold_every_index_once) {
    for (int64_t n = 0; n < 300; n += n < 20 ? 1 : 37) {
        const int64_t *order = permutation(1, 2, n);
        char *seen = memset(block((size_t)n), 0, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            CHECK(order[i] >= 0 && order[i] < n && !seen[order[i]]);
            seen[order[i]] = 1;
        }
    }
}

CASE(permutations_depend_on_seed_and_stream_alone) {
    enum { n = 100 };
    const size_t bytes = n * sizeof(int64_t);
    const int64_t *order = permutation(1, 2, n);
    CHECK(memcmp(order, permutation(1, 2, n), bytes) == 0);
    CHECK(memcmp(order, permutation(2, 2, n), bytes) != 0);
    CHECK(memcmp(order, permutation(1, 3, n), bytes) != 0);
    CHECK(memcmp(order, permutation(1 + (UINT64_C(1) << 40), 2, n), bytes) != 0);
    CHECK(memcmp(order, permutation(1, 2 + (UINT64_C(1) << 63), n), bytes) != 0);
}

/* 24,000 permutations of four: chi-squared with 23 degrees of freedom stays below its 0.1 % point on a fair coin */
CASE(permutations_are_equally_likely) {
    enum { DRAWS = 24000, KINDS = 256 };
    int count[KINDS] = {0};
    int64_t order[4];
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        CHECK(cbp_permutation(7, draw, 4, order) == CBP_OK);
        count[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]]++;
    }
    double chi_squared = 0;
    int kinds = 0;
    for (int i = 0; i < KINDS; i++) {
        if (!count[i]) continue;
        chi_squared += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
        kinds++;
    }
    CHECKF(kinds == 24 && chi_squared < 49.7, "%d kinds, chi-squared %g", kinds, chi_squared);
}

CASE(permutations_of_less_than_nothing) {
    int64_t order[1];
    CHECK(cbp_permutation(0, 0, -1, order) == CBP_BAD_COUNT);
    CHECK(cbp_permutation(0, 0, 1, NULL) == CBP_NULL_ARGUMENT);
    CHECK(cbp_permutation(0, 0, 0, NULL) == CBP_OK);
}

/* ---- initial weights ---- */

static const int WIDTH[] = {20, 24, 16, 0};
static const cbp_act ACT[] = {CBP_ACT_tanh, CBP_ACT_identity};

static sample initialised(cbp_dtype dtype, const char *isa, cbp_initializer first, uint64_t seed) {
    sample s = shape(dtype, WIDTH, ACT, CBP_LOSS_half_squared_error);
    const cbp_initializer rule[] = {first, CBP_INIT_glorot_uniform};
    fill(&s, isa, 1);
    CHECK(cbp_init(s.net, rule, NULL, seed, s.mem.theta) == CBP_OK);
    return s;
}

CASE(initial_biases_are_zero) {
    sample s = initialised(CBP_FLOAT64, NULL, CBP_INIT_he_normal, 1);
    for (int l = 1; l <= 2; l++)
        for (int j = 0; j < WIDTH[l]; j++) CHECK(theta_at(&s, l, 0, j) == 0);
    cbp_net_free(s.net);
}

/* variance = over / (fan_in + with_out fan_out) */
static const struct {
    cbp_initializer rule;
    int over, with_out, is_uniform;
} INDEPENDENT[] = {
    {CBP_INIT_glorot_uniform, 2, 1, 1}, {CBP_INIT_glorot_normal, 2, 1, 0}, {CBP_INIT_he_uniform, 2, 0, 1},
    {CBP_INIT_he_normal, 2, 0, 0},      {CBP_INIT_lecun_uniform, 1, 0, 1}, {CBP_INIT_lecun_normal, 1, 0, 0},
};

/* Over 40 seeds of 480 weights: mean, variance, and for a uniform its ends */
CASE(initial_weights_have_the_variance_of_the_paper) {
    enum { SEEDS = 40 };
    const double n = (double)SEEDS * WIDTH[0] * WIDTH[1];
    for (size_t k = 0; k < sizeof INDEPENDENT / sizeof *INDEPENDENT; k++) {
        const cbp_initializer rule = INDEPENDENT[k].rule;
        const double variance = INDEPENDENT[k].over / (double)(WIDTH[0] + INDEPENDENT[k].with_out * WIDTH[1]);
        double sum = 0, squares = 0, largest = 0;
        for (int seed = 0; seed < SEEDS; seed++, release_blocks()) {
            sample s = initialised(CBP_FLOAT64, NULL, rule, (uint64_t)seed);
            for (int i = 1; i <= WIDTH[0]; i++)
                for (int j = 0; j < WIDTH[1]; j++) {
                    const double w = theta_at(&s, 1, i, j);
                    sum += w, squares += w * w;
                    if (fabs(w) > largest) largest = fabs(w);
                }
            cbp_net_free(s.net);
        }
        NOTE("%s", cbp_table(CBP_INITIALIZERS, NULL)[rule].name);
        CHECKF(fabs(sum / n) < 4 * sqrt(variance / n), "mean %g", sum / n);
        CHECKF(fabs(squares / n / variance - 1) < 0.05, "variance %g, expected %g", squares / n, variance);
        CHECKF((largest <= sqrt(3 * variance)) == INDEPENDENT[k].is_uniform, "largest %g", largest);
    }
}

/* Layer 1 is wide, (20, 24): its rows are orthonormal; layer 2 is tall, (24, 16): its columns */
CASE(orthogonal_weights_are_orthonormal_times_gain) {
    sample s = shape(CBP_FLOAT64, WIDTH, ACT, CBP_LOSS_half_squared_error);
    const cbp_initializer rule[] = {CBP_INIT_orthogonal, CBP_INIT_orthogonal};
    const double gain[] = {1, 3};
    fill(&s, NULL, 1);
    CHECK(cbp_init(s.net, rule, gain, 1, s.mem.theta) == CBP_OK);
    for (int i = 1; i <= 20; i++)
        for (int k = 1; k <= 20; k++) {
            double dot = 0;
            for (int j = 0; j < 24; j++) dot += theta_at(&s, 1, i, j) * theta_at(&s, 1, k, j);
            CHECKF(fabs(dot - (i == k)) < 1e-14, "rows %d and %d: %g", i, k, dot);
        }
    for (int j = 0; j < 16; j++)
        for (int k = 0; k < 16; k++) {
            double dot = 0;
            for (int i = 1; i <= 24; i++) dot += theta_at(&s, 2, i, j) * theta_at(&s, 2, i, k);
            CHECKF(fabs(dot - 9 * (j == k)) < 1e-13, "columns %d and %d: %g", j, k, dot);
        }
    cbp_net_free(s.net);
}

CASE(nguyen_and_widrows_weights_have_their_length) {
    sample s = initialised(CBP_FLOAT64, NULL, CBP_INIT_nguyen_widrow, 3);
    const double length = 0.7 * pow(WIDTH[1], 1.0 / WIDTH[0]);
    double lowest = 0, highest = 0;
    for (int j = 0; j < WIDTH[1]; j++) {
        double squares = 0;
        for (int i = 1; i <= WIDTH[0]; i++) squares += theta_at(&s, 1, i, j) * theta_at(&s, 1, i, j);
        CHECKF(fabs(sqrt(squares) - length) < 1e-14, "length %.17g, expected %.17g", sqrt(squares), length);
        const double bias = theta_at(&s, 1, 0, j);
        if (bias < lowest) lowest = bias;
        if (bias > highest) highest = bias;
    }
    CHECKF(-length <= lowest && lowest < -length / 2, "lowest bias %g", lowest);
    CHECKF(length / 2 < highest && highest <= length, "highest bias %g", highest);
    cbp_net_free(s.net);
}

CASE(constant_weights_are_constant) {
    sample s = shape(CBP_FLOAT32, WIDTH, ACT, CBP_LOSS_half_squared_error);
    const cbp_initializer rule[] = {CBP_INIT_constant, CBP_INIT_zeros};
    const double value[] = {0.1, 5};
    fill(&s, NULL, 1);
    CHECK(cbp_init(s.net, rule, value, 1, s.mem.theta) == CBP_OK);
    for (int i = 1; i <= WIDTH[0]; i++)
        for (int j = 0; j < WIDTH[1]; j++) CHECK(theta_at(&s, 1, i, j) == 0.1f);
    for (int i = 1; i <= WIDTH[1]; i++)
        for (int j = 0; j < WIDTH[2]; j++) CHECK(theta_at(&s, 2, i, j) == 0);
    cbp_net_free(s.net);
}

/* The normal's quantiles: shares of weights within 1 and 2 standard deviations */
CASE(normal_weights_are_normal) {
    int within_1 = 0, within_2 = 0, n = 0;
    for (int seed = 0; seed < 40; seed++, release_blocks()) {
        sample s = initialised(CBP_FLOAT64, NULL, CBP_INIT_glorot_normal, (uint64_t)seed);
        const double deviation = sqrt(2.0 / (WIDTH[0] + WIDTH[1]));
        for (int i = 1; i <= WIDTH[0]; i++)
            for (int j = 0; j < WIDTH[1]; j++, n++) {
                within_1 += fabs(theta_at(&s, 1, i, j)) < deviation;
                within_2 += fabs(theta_at(&s, 1, i, j)) < 2 * deviation;
            }
        cbp_net_free(s.net);
    }
    CHECKF(fabs((double)within_1 / n - 0.6827) < 0.014, "%g", (double)within_1 / n);
    CHECKF(fabs((double)within_2 / n - 0.9545) < 0.006, "%g", (double)within_2 / n);
}

CASE(single_precision_weights_are_the_double_ones_rounded) {
    for (int rule = 0; rule < CBP_N_INIT; rule++) {
        sample wide = initialised(CBP_FLOAT64, NULL, (cbp_initializer)rule, 5);
        sample narrow = initialised(CBP_FLOAT32, NULL, (cbp_initializer)rule, 5);
        for (int64_t i = 0; i < cbp_n_params(wide.net); i++)
            CHECK(((float *)narrow.mem.theta)[i] == (float)((double *)wide.mem.theta)[i]);
        cbp_net_free(wide.net);
        cbp_net_free(narrow.net);
    }
}

CASE(weights_are_the_same_on_every_instruction_set) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        sample here = initialised(dtype, k->isa, CBP_INIT_he_normal, 9);
        sample plain = initialised(dtype, "scalar", CBP_INIT_he_normal, 9);
        CHECK_BYTES(cbp_n_params(here.net), size_of(dtype), here.mem.theta, plain.mem.theta);
        cbp_net_free(here.net);
        cbp_net_free(plain.net);
    }
}

CASE(layers_and_seeds_draw_apart) {
    static const int width[] = {8, 8, 8, 0};
    sample s = shape(CBP_FLOAT64, width, ACT, CBP_LOSS_half_squared_error);
    const cbp_initializer rule[] = {CBP_INIT_he_uniform, CBP_INIT_he_uniform};
    fill(&s, NULL, 1);
    CHECK(cbp_init(s.net, rule, NULL, 1, s.mem.theta) == CBP_OK);
    CHECK(memcmp(theta_of(&s, 1, 1), theta_of(&s, 2, 1), 64 * sizeof(double)) != 0);
    const double first = theta_at(&s, 1, 1, 0);
    CHECK(cbp_init(s.net, rule, NULL, 2, s.mem.theta) == CBP_OK);
    CHECK(theta_at(&s, 1, 1, 0) != first);
    cbp_net_free(s.net);
}
