/* rng.c - random numbers from a counter: number i of a stream depends on (seed, purpose, stream, i) and nothing else.
 *
 * So neither the order of work nor the number of threads can change them. Philox4x32-10 by Salmon, Moraes, Dror and
 * Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Called by init.c, noise.c and the front ends; uses the
 * kernel table for log.
 */
#include "net.h"

#include <math.h>

void cbp_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < CBP_PHILOX_ROUNDS; round++) {
        cbp_philox_round(&c0, &c1, &c2, &c3, k0, k1);
        k0 += CBP_PHILOX_KEY_0;
        k1 += CBP_PHILOX_KEY_1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void cbp_stream_block(const cbp_stream *s, uint64_t block, uint32_t counter[4], uint32_t key[2]) {
    counter[0] = (uint32_t)block, counter[1] = (uint32_t)(block >> 32) | (uint32_t)s->purpose << 16;
    counter[2] = (uint32_t)s->stream, counter[3] = (uint32_t)(s->stream >> 32);
    key[0] = (uint32_t)s->seed, key[1] = (uint32_t)(s->seed >> 32);
}

/* 64 random bits: number i (below 2^48) of the stream */
static uint64_t bits(const cbp_stream *s, uint64_t i) {
    uint32_t counter[4], key[2], out[4];
    cbp_stream_block(s, i / 2, counter, key);
    cbp_philox(counter, key, out);
    const int half = i % 2 ? 2 : 0;
    return (uint64_t)out[half + 1] << 32 | out[half];
}

/* The middles of 2^52 equal parts of (0, 1): never 0, never 1, each exact in double */
double cbp_uniform(const cbp_stream *s, uint64_t i) { return ((double)(bits(s, i) >> 12) + 0.5) * 0x1p-52; }

static double polynomial(const double *coefficient, int degree, double x) {
    double sum = coefficient[degree];
    for (int i = degree - 1; i >= 0; i--) sum = sum * x + coefficient[i];
    return sum;
}

/* Wichura, algorithm AS 241, Applied Statistics 37 (1988): numerators and denominators, lowest power first; the
 * denominators' leading 1 is left out. Middle, tail, far tail. */
static const double middle_over[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3,
                                      1.3731693765509461125e+4, 4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                      3.3430575583588128105e+4, 2.5090809287301226727e+3};
static const double middle_under[7] = {4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3,
                                       2.1213794301586595867e+4, 3.9307895800092710610e+4, 2.8729085735721942674e+4,
                                       5.2264952788528545610e+3};
static const double tail_over[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                    3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                    2.27238449892691845833e-2, 7.74545014278341407640e-4};
static const double tail_under[7] = {2.05319162663775882187e0,  1.67638483018380384940e0,  6.89767334985100004550e-1,
                                     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4,
                                     1.05075007164441684324e-9};
static const double far_over[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                   2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                   2.71155556874348757815e-5, 2.01033439929228813265e-7};
static const double far_under[7] = {5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
                                    7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7,
                                    2.04426310338993978564e-15};

static double rational(const double over[8], const double under[7], double x) {
    return polynomial(over, 7, x) / (1 + x * polynomial(under, 6, x));
}

/* The normal quantile of a uniform number, relative error 1e-16 */
double cbp_normal(const cbp_stream *s, uint64_t i, const cbp_kern *k) {
    const double u = cbp_uniform(s, i), q = u - 0.5, r = 0.180625 - q * q;
    if (fabs(q) <= 0.425) return q * rational(middle_over, middle_under, r);
    const double tail = q < 0 ? u : 1 - u;
    double log_tail;
    k->math[CBP_LOG](1, &tail, &log_tail);
    const double root = sqrt(-log_tail);
    const double x = root <= 5 ? rational(tail_over, tail_under, root - 1.6) : rational(far_over, far_under, root - 5);
    return q < 0 ? -x : x;
}

/* ---- permutations ---- */

/* The upper 64 bits of a * b, which spread 64 random bits over 0..b-1 */
static uint64_t multiply_high(uint64_t a, uint64_t b) {
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), cross = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (cross >> 32);
}

/* Fisher and Yates, from the end */
cbp_status cbp_permutation(uint64_t seed, uint64_t stream, int64_t n, int64_t *order) {
    if (!order && n > 0) return CBP_NULL_ARGUMENT;
    if (n < 0) return CBP_BAD_COUNT;
    const cbp_stream s = {seed, stream, CBP_ORDER};
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)multiply_high(bits(&s, (uint64_t)i), (uint64_t)i + 1);
        const int64_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    return CBP_OK;
}
