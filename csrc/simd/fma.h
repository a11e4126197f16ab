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
    defined(__s390x__) || defined(__powerpc64__) || (defined(__riscv_flen) && __riscv_flen >= 64) || \
    (defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF))
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

/* ---- fma where exponents are extreme: in whole numbers of 128 bits, the last of them for whatever is smaller ---- */

typedef struct {
    uint64_t high, low;
} cbp_wide;

static inline uint64_t cbp_bits_of(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline double cbp_double_of(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* x 2^-n, n >= 0; the last bit is set where anything was lost */
static inline cbp_wide cbp_moved_down(cbp_wide x, int n) {
    if (n >= 128) return (cbp_wide){0, (x.high | x.low) != 0};
    if (n >= 64) return cbp_moved_down((cbp_wide){0, x.high | (x.low != 0)}, n - 64);
    if (n == 0) return x;
    const uint64_t lost = x.low << (64 - n);
    return (cbp_wide){x.high >> n, x.high << (64 - n) | x.low >> n | (lost != 0)};
}

/* |a| = m 2^e, 2^52 <= m < 2^53; a is finite and not 0 */
static inline uint64_t cbp_taken_apart(double a, int *e) {
    const uint64_t u = cbp_bits_of(a) & (UINT64_MAX >> 1), one = UINT64_C(1) << 52;
    uint64_t m = u & (one - 1);
    *e = (int)(u >> 52) - 1075;
    if (u >= one) return m | one;
    for (*e = -1074; m < one; m <<= 1) --*e;
    return m;
}

/* x y, both less than 2^53, times 2^20 */
static inline cbp_wide cbp_exact_product(uint64_t x, uint64_t y) {
    const uint64_t x0 = x & UINT32_MAX, x1 = x >> 32, y0 = y & UINT32_MAX, y1 = y >> 32;
    const uint64_t low = x0 * y0, middle = x1 * y0 + (low >> 32), other = x0 * y1 + (middle & UINT32_MAX);
    const uint64_t high = x1 * y1 + (middle >> 32) + (other >> 32), rest = other << 32 | (low & UINT32_MAX);
    return (cbp_wide){high << 20 | rest >> 44, rest << 20};
}

/* x 2^e with this sign, x not 0, rounded to nearest, ties to even */
static inline double cbp_put_together(uint64_t sign, cbp_wide x, int e) {
    for (; x.high >> 63 == 0; e--) x = (cbp_wide){x.high << 1 | x.low >> 63, x.low << 1};
    int exponent = e + 127 + 1023;
    if (exponent >= 2047) return sign ? -INFINITY : INFINITY;
    if (exponent <= 0) {
        x = cbp_moved_down(x, 1 - exponent);
        exponent = 1;
    }
    const uint64_t kept = x.high >> 11, rest = (x.high & 0x7FF) << 1 | (x.low != 0);
    const uint64_t up = rest > 0x800 || (rest == 0x800 && (kept & 1));
    return cbp_double_of(sign | (((uint64_t)(exponent - 1) << 52) + kept + up)); /* the first bit kept adds one */
}

/* p - q, p > q */
static inline cbp_wide cbp_less(cbp_wide p, cbp_wide q) {
    return (cbp_wide){p.high - q.high - (p.low < q.low), p.low - q.low};
}

CBP_APART static double cbp_fma_extreme(double a, double b, double c) {
    const uint64_t one_sign = UINT64_C(1) << 63;
    const uint64_t p_sign = (cbp_bits_of(a) ^ cbp_bits_of(b)) & one_sign, c_sign = cbp_bits_of(c) & one_sign;
    int ea, eb, ec;
    if (a == 0 || b == 0 || !(fabs(a) <= DBL_MAX && fabs(b) <= DBL_MAX)) return a * b + c;
    if (!(fabs(c) <= DBL_MAX)) return c + c;
    if (c == 0) return a * b; /* the sign of what vanishes is the product's */
    const uint64_t ma = cbp_taken_apart(a, &ea), mb = cbp_taken_apart(b, &eb), mc = cbp_taken_apart(c, &ec);
    const int ep = ea + eb - 20, eq = ec - 72, e = ep > eq ? ep : eq;
    const cbp_wide p = cbp_moved_down(cbp_exact_product(ma, mb), e - ep);
    const cbp_wide q = cbp_moved_down((cbp_wide){mc << 8, 0}, e - eq);
    if (p_sign == c_sign) {
        const uint64_t low = p.low + q.low;
        return cbp_put_together(p_sign, (cbp_wide){p.high + q.high + (low < q.low), low}, e);
    }
    if (p.high == q.high && p.low == q.low) return 0;
    const int product_is_more = p.high > q.high || (p.high == q.high && p.low > q.low);
    return product_is_more ? cbp_put_together(p_sign, cbp_less(p, q), e) : cbp_put_together(c_sign, cbp_less(q, p), e);
}

/* fma. Far from overflow and underflow the product is a sum of two doubles, and the three terms are added so that only
 * the last rounding is neither exact nor to odd. */
CBP_APART static double cbp_fma_f64(double a, double b, double c) {
    const double product = a * b;
    if (!(fabs(a) + fabs(b) + fabs(c) < 0x1p480 && fabs(product) > 0x1p-900))
        return a == 0 || b == 0 ? product + c : cbp_fma_extreme(a, b, c);
    const double a1 = cbp_high_half(a), a2 = a - a1, b1 = cbp_high_half(b), b2 = b - b1;
    const double rest = ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2;
    double lower_error, error;
    const double lower = cbp_two_sum(c, rest, &lower_error), sum = cbp_two_sum(product, lower, &error);
    return sum + cbp_odd_sum(lower_error, error);
}

#endif
