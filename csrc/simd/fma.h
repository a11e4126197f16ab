/* simd/fma.h - a b + c rounded once, on processors that may have no such instruction.
 *
 * Included by simd/scalar.h and by tests. Rounding to a wider format first and to R afterwards is wrong in rare cases;
 * it is right if the first rounding is to odd: an inexact result gets 1 as its last bit. See Boldo and Melquiond,
 * "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE TC 57 (2008).
 */
#ifndef CBP_FMA_H
#define CBP_FMA_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* Every processor that this code may be compiled for has the instruction, and fma() becomes it */
#if defined(__FMA__) || (defined(_MSC_VER) && defined(__AVX2__)) || defined(__aarch64__) || defined(_M_ARM64) || \
    defined(__s390x__) || defined(__powerpc64__) || (defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF))
#define CBP_FMA_IN_HARDWARE 1
#else
#define CBP_FMA_IN_HARDWARE 0
#endif

/* Not copied into every place that rounds once: there are thousands */
#if defined(__GNUC__) || defined(__clang__)
#define CBP_APART __attribute__((noinline, unused))
#else
#define CBP_APART
#endif

/* a + b = sum + error, exactly (Knuth) */
static inline double cbp_two_sum(double a, double b, double *error) {
    const double sum = a + b, b_part = sum - a;
    *error = (a - (sum - b_part)) + (b - b_part);
    return sum;
}

/* a + b rounded to odd: cut off towards zero, and the last bit set where anything was lost. Needs a finite sum. */
static inline double cbp_odd_sum(double a, double b) {
    double error, sum = cbp_two_sum(a, b, &error);
    const int inexact = error != 0, away_from_zero = (error < 0) == (sum > 0);
    uint64_t u;
    memcpy(&u, &sum, sizeof u);
    u = (u - (uint64_t)(inexact & away_from_zero)) | (uint64_t)inexact;
    memcpy(&sum, &u, sizeof u);
    return sum;
}

/* fmaf. The product is exact in double; the sum's first rounding matters only where it ends midway between two floats,
 * which a look at its bits tells except among subnormal floats. */
CBP_APART static float cbp_fma_f32(float a, float b, float c) {
    const double product = (double)a * b;
    double sum = product + c;
    uint64_t u;
    memcpy(&u, &sum, sizeof u);
    if ((u & 0x1FFFFFFF) == 0x10000000 || fabs(sum) < FLT_MIN) sum = cbp_odd_sum(product, c);
    return (float)sum;
}

/* a = high + low, 26 bits each (Veltkamp) */
static inline double cbp_high_half(double a) {
    const double t = 0x1.0000002p27 * a;
    return t - (t - a);
}

/* fma. Far from overflow and underflow the product is a sum of two doubles, and the three terms are added so that only
 * the last rounding is neither exact nor to odd. The rest is left to libm. */
CBP_APART static double cbp_fma_f64(double a, double b, double c) {
    const double product = a * b;
    if (!(fabs(a) + fabs(b) + fabs(c) < 0x1p480 && fabs(product) > 0x1p-900))
        return a == 0 || b == 0 ? product + c : fma(a, b, c);
    const double a1 = cbp_high_half(a), a2 = a - a1, b1 = cbp_high_half(b), b2 = b - b1;
    const double rest = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
    double lower_error, error;
    const double lower = cbp_two_sum(c, rest, &lower_error), sum = cbp_two_sum(product, lower, &error);
    return sum + cbp_odd_sum(lower_error, error);
}

#endif
