"""Arithmetic of an exported file: refusal of compilers that change bits, bits of numbers, fused multiply-add.

The texts, like those of _loops.py, are written for the prefix ``model``; `text` puts another in its place.
"""

from __future__ import annotations

MEMCPY = """\
#if !defined(__STDC_HOSTED__) || __STDC_HOSTED__
#include <string.h>
#elif defined(__cplusplus)
#include <stddef.h>
extern "C" void *memcpy(void *, const void *, size_t);
#else
#include <stddef.h>
void *memcpy(void *, const void *, size_t); /* compilers ask for one even where there is no library */
#endif
"""

GUARD = """\
/* The numbers below are right to the last bit, and the same on every machine, only where each operation is rounded as
 * it is written. So products and sums must not be fused, nor formulas rearranged. */
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(_M_FP_FAST) || \\
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0)
#error "compile this file without -ffast-math (/fp:fast): it changes the numbers"
#endif
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16@ALLOWED@
#error "this compiler computes with more digits than asked for: try -std=gnu99, or -msse2 -mfpmath=sse on x86"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#elif defined(_MSC_VER)
#pragma fp_contract(off)
#else
#pragma STDC FP_CONTRACT OFF
#endif
"""

BITS = """\
static @U@ model_bits_of(model_real x) {
    @U@ u;
    memcpy(&u, &x, sizeof u);
    return u;
}
"""

REAL = """\
static model_real model_real_of(@U@ u) {
    model_real x;
    memcpy(&x, &u, sizeof x);
    return x;
}
"""

ABS = """\
static model_real model_abs(model_real x) {
    return model_real_of(model_bits_of(x) & @MOST@);
}
"""

ROUNDED = """\
/* A product that is about to be a term of a sum: clang's -ffp-contract=fast fuses the two, in spite of the pragma,
 * unless it cannot see where the term comes from */
static model_real model_rounded(model_real x) {
#if defined(__clang__) && defined(__SSE2__)
    __asm__("" : "+x"(x));
#elif defined(__clang__) && defined(__aarch64__)
    __asm__("" : "+w"(x));
#elif defined(__clang__)
    volatile model_real y = x;
    x = y;
#endif
    return x;
}
"""

FMA = """\
/* a b + c, rounded once. Processors have an instruction for it; the others get it from exact parts. */
#if defined(MODEL_SOFT_FMA) || !defined(__GNUC__)
#define MODEL_FMA_HERE 0
#elif defined(@FAST@) || defined(__FMA__) || defined(__aarch64__) || defined(__s390x__) || \\
    defined(__powerpc64__) || (defined(__riscv_flen) && __riscv_flen >= @BITS@) || \\
    (defined(__ARM_FEATURE_FMA) && defined(__ARM_FP) && (__ARM_FP & @ARM@))
#define MODEL_FMA_HERE 1
#else
#define MODEL_FMA_HERE 0
#endif
#if MODEL_FMA_HERE && (!defined(__clang__) || defined(__linux__) || defined(__APPLE__) || \\
                       defined(__FreeBSD__) || defined(_WIN32))
static model_real model_fma(model_real a, model_real b, model_real c) {
    return @BUILTIN@(a, b, c);
}
#elif MODEL_FMA_HERE && (defined(__aarch64__) || defined(__arm__))
/* Without an operating system clang would call a function of the C library */
static model_real model_fma(model_real a, model_real b, model_real c) {
#if defined(__aarch64__)
    __asm__("fmadd @A64@" : "+w"(c) : "w"(a), "w"(b));
#else
    __asm__("vfma.@A32@" : "+@VFP@"(c) : "@VFP@"(a), "@VFP@"(b));
#endif
    return c;
}
#else
@SOFT@#endif
"""

# Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008
SOFT_FLOAT = """\
/* The product is exact in double. Rounding the sum twice, to double and to float, goes wrong where the first ends
 * midway between two floats, and among subnormal ones; there it is rounded to odd: the last bit tells that something
 * was lost. */
static model_real model_fma(model_real a, model_real b, model_real c) {
    const double product = (double)a * (double)b;
    double sum = product + (double)c;
    uint64_t u;
    memcpy(&u, &sum, sizeof u);
    if ((u & 0x1FFFFFFFu) == 0x10000000u || (-1.1754943508222875e-38 < sum && sum < 1.1754943508222875e-38)) {
        const double part = sum - product, error = (product - (sum - part)) + ((double)c - part);
        if (error < 0 || 0 < error) {
            if ((error < 0) == (sum > 0)) u--;
            u |= 1;
            memcpy(&sum, &u, sizeof sum);
        }
    }
    return (model_real)sum;
}
"""

SOFT_DOUBLE = """\
typedef struct {
    uint64_t high, low;
} model_wide;

/* x 2^-n; the last bit is set where something was lost */
static model_wide model_moved_down(model_wide x, int n) {
    uint64_t lost = 0;
    if (n >= 64) {
        lost = x.low;
        x.low = x.high;
        x.high = 0;
        n -= 64;
    }
    if (n >= 64) {
        lost |= x.low;
        x.low = 0;
    } else if (n > 0) {
        lost |= x.low << (64 - n);
        x.low = x.low >> n | x.high << (64 - n);
        x.high >>= n;
    }
    x.low |= lost != 0;
    return x;
}

/* |a| = m 2^e, 2^52 <= m < 2^53; a is finite and not 0 */
static uint64_t model_taken_apart(model_real a, int *e) {
    const uint64_t u = model_bits_of(a) & 0x7FFFFFFFFFFFFFFFull;
    uint64_t m = u & 0xFFFFFFFFFFFFFull;
    *e = (int)(u >> 52) - 1075;
    if (u >> 52) return m | 1ull << 52;
    for (*e = -1074; m >> 52 == 0; m <<= 1) --*e;
    return m;
}

/* x y, both less than 2^53, times 2^20 */
static model_wide model_exact_product(uint64_t x, uint64_t y) {
    const uint64_t x0 = x & 0xFFFFFFFFu, x1 = x >> 32, y0 = y & 0xFFFFFFFFu, y1 = y >> 32;
    const uint64_t low = x0 * y0, middle = x1 * y0 + (low >> 32), other = x0 * y1 + (middle & 0xFFFFFFFFu);
    model_wide p;
    p.high = x1 * y1 + (middle >> 32) + (other >> 32);
    p.low = other << 32 | (low & 0xFFFFFFFFu);
    p.high = p.high << 20 | p.low >> 44;
    p.low <<= 20;
    return p;
}

/* sign x 2^e, x not 0, rounded to nearest, ties to even */
static model_real model_put_together(uint64_t sign, model_wide x, int e) {
    uint64_t kept, rest;
    int exponent;
    for (; x.high >> 63 == 0; e--) {
        x.high = x.high << 1 | x.low >> 63;
        x.low <<= 1;
    }
    exponent = e + 127 + 1023;
    if (exponent >= 2047) return model_real_of(sign | 0x7FF0000000000000ull);
    if (exponent <= 0) {
        x = model_moved_down(x, exponent < -120 ? 121 : 1 - exponent);
        exponent = 0;
    } else {
        exponent--; /* the first of the kept bits adds one */
    }
    kept = x.high >> 11;
    rest = (x.high & 0x7FF) << 1 | (x.low != 0);
    if (rest > 0x800 || (rest == 0x800 && (kept & 1))) kept++;
    return model_real_of(sign | (((uint64_t)exponent << 52) + kept));
}

/* In whole numbers of 128 bits, with the last of them for whatever is smaller */
static model_real model_fma(model_real a, model_real b, model_real c) {
    const uint64_t infinite = 0x7FF0000000000000ull, one_sign = 0x8000000000000000ull;
    const uint64_t p_sign = (model_bits_of(a) ^ model_bits_of(b)) & one_sign, c_sign = model_bits_of(c) & one_sign;
    model_wide p, q;
    int ea, eb, ec, e;
    if (a == 0 || b == 0 || (model_bits_of(a) & infinite) == infinite || (model_bits_of(b) & infinite) == infinite)
        return a * b + c;
    if ((model_bits_of(c) & infinite) == infinite) return c + c;
    if (c == 0) return a * b;
    p = model_exact_product(model_taken_apart(a, &ea), model_taken_apart(b, &eb));
    q.high = model_taken_apart(c, &ec) << 8;
    q.low = 0;
    ea += eb - 20;
    ec -= 72;
    e = ea > ec ? ea : ec;
    p = model_moved_down(p, e - ea > 128 ? 128 : e - ea);
    q = model_moved_down(q, e - ec > 128 ? 128 : e - ec);
    if (p_sign == c_sign) {
        p.low += q.low;
        p.high += q.high + (p.low < q.low);
        return model_put_together(p_sign, p, e);
    }
    if (p.high == q.high && p.low == q.low) return 0;
    if (p.high > q.high || (p.high == q.high && p.low > q.low)) {
        q.high = p.high - q.high - (p.low < q.low);
        q.low = p.low - q.low;
        return model_put_together(p_sign, q, e);
    }
    q.high = q.high - p.high - (q.low < p.low);
    q.low -= p.low;
    return model_put_together(c_sign, q, e);
}
"""


def text(template: str, prefix: str) -> str:
    """Return a part for another prefix."""
    return template.replace("MODEL_", f"{prefix.upper()}_").replace("model_", f"{prefix}_")


def guard(double: bool) -> str:
    """Return what refuses compilers that would change bits; double may be computed as long double's 64 are not."""
    return GUARD.replace("@ALLOWED@", " && FLT_EVAL_METHOD != 1" if double else "")


def arithmetic(double: bool, user: str) -> str:
    """Return fused multiply-add, and what else `user`, written for the prefix ``model``, needs of the above."""
    soft = SOFT_DOUBLE if double else SOFT_FLOAT
    parts = [FMA]
    for name, part in (("rounded", ROUNDED), ("abs", ABS), ("real_of", REAL), ("bits_of", BITS)):
        if any(f"model_{name}(" in text for text in [user, *parts[:-1]]):
            parts.insert(0, part)
        elif f"model_{name}(" in soft:
            soft = f"{part}\n{soft}"
    changes = {
        "@SOFT@": soft,
        "@U@": "uint64_t" if double else "uint32_t",
        "@MOST@": "0x7FFFFFFFFFFFFFFFull" if double else "0x7FFFFFFFu",
        "@FAST@": "__FP_FAST_FMA" if double else "__FP_FAST_FMAF",
        "@BITS@": "64" if double else "32",
        "@ARM@": "8" if double else "4",
        "@BUILTIN@": "__builtin_fma" if double else "__builtin_fmaf",
        "@A64@": "%d0, %d1, %d2, %d0" if double else "%s0, %s1, %s2, %s0",
        "@A32@": "f64 %P0, %P1, %P2" if double else "f32 %0, %1, %2",
        "@VFP@": "w" if double else "t",
    }
    made = "\n".join(parts)
    for mark, word in changes.items():
        made = made.replace(mark, word)
    return made
