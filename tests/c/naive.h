/* naive.h - the textbook's arithmetic in either precision, one text: a number is a double that holds a value of the
 * precision, every operation rounds once to it. What the kernels must equal on bytes is written with these.
 */
#ifndef NAIVE_H
#define NAIVE_H

#include "harness.h"

#include "kern.h"
#include "prim.h"

#include <math.h>

static const char *const DTYPE_NAME[CBP_N_DTYPE] = {"float32", "float64"};

HELPER size_t size_of(cbp_dtype dtype) { return dtype == CBP_FLOAT32 ? sizeof(float) : sizeof(double); }
HELPER double to(cbp_dtype dtype, double x) { return dtype == CBP_FLOAT32 ? (double)(float)x : x; }
HELPER double get(cbp_dtype dtype, const void *x, int64_t i) {
    return dtype == CBP_FLOAT32 ? (double)((const float *)x)[i] : ((const double *)x)[i];
}
HELPER void put(cbp_dtype dtype, void *x, int64_t i, double value) {
    if (dtype == CBP_FLOAT32)
        ((float *)x)[i] = (float)value;
    else
        ((double *)x)[i] = value;
}

/* The instruction, where this CPU has one. The functions of some C libraries are wrong where a product is too small for
 * a number (musl: the sign of zero; mingw: the last bit too). */
#if defined(CBP_X86_64)
#if defined(__GNUC__) || defined(__clang__)
#define WITH_FMA __attribute__((target("fma")))
#else
#define WITH_FMA
#endif
HELPER WITH_FMA double fma_instruction(cbp_dtype dtype, double a, double b, double c) {
    if (dtype == CBP_FLOAT64) return _mm_cvtsd_f64(_mm_fmadd_sd(_mm_set_sd(a), _mm_set_sd(b), _mm_set_sd(c)));
    return _mm_cvtss_f32(_mm_fmadd_ss(_mm_set_ss((float)a), _mm_set_ss((float)b), _mm_set_ss((float)c)));
}
#endif
HELPER double fma_(cbp_dtype dtype, double a, double b, double c) {
#if defined(CBP_X86_64)
    static int usable = -1;
    if (usable < 0) usable = cbp_has_avx2();
    if (usable) return fma_instruction(dtype, a, b, c);
#endif
    return dtype == CBP_FLOAT32 ? (double)fmaf((float)a, (float)b, (float)c) : fma(a, b, c);
}

/* one operation on doubles that hold floats, rounded again to float, is the operation on floats (Figueroa, 1995) */
HELPER double mul_(cbp_dtype dtype, double a, double b) { return to(dtype, a * b); }
HELPER double add_(cbp_dtype dtype, double a, double b) { return to(dtype, a + b); }
HELPER double sub_(cbp_dtype dtype, double a, double b) { return to(dtype, a - b); }
HELPER double div_(cbp_dtype dtype, double a, double b) { return to(dtype, a / b); }
HELPER double sqrt_(cbp_dtype dtype, double a) { return to(dtype, sqrt(a)); }

HELPER void *reals(cbp_dtype dtype, int64_t n) { return block((size_t)n * size_of(dtype)); }
HELPER void *zeros(cbp_dtype dtype, int64_t n) { return memset(reals(dtype, n), 0, (size_t)n * size_of(dtype)); }
HELPER void *random_reals(cbp_dtype dtype, int64_t n, double low, double high) {
    void *x = reals(dtype, n);
    for (int64_t i = 0; i < n; i++) put(dtype, x, i, uniform(low, high));
    return x;
}
HELPER void *copy_of(cbp_dtype dtype, int64_t n, const void *x) {
    return memcpy(reals(dtype, n), x, (size_t)n * size_of(dtype));
}

/* C (m, n) := init + A B in the order of p; strides as in cbp_kern.product */
HELPER void naive_product(cbp_dtype dtype, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_row, int64_t a_col,
                          const void *b, int64_t ldb, const void *init, void *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = init ? get(dtype, init, j) : 0;
            for (int64_t p = 0; p < k; p++)
                sum = fma_(dtype, get(dtype, a, i * a_row + p * a_col), get(dtype, b, p * ldb + j), sum);
            put(dtype, c, i * ldc + j, sum);
        }
}

HELPER uint64_t bits_of(cbp_dtype dtype, const void *x, int64_t i) {
    uint32_t single;
    uint64_t bits;
    if (dtype == CBP_FLOAT64) return memcpy(&bits, (const double *)x + i, sizeof bits), bits;
    return memcpy(&single, (const float *)x + i, sizeof single), single;
}

/* FNV-1a over bytes, the lowest of a number first on every machine; it begins with HASH_OF_NOTHING */
#define HASH_OF_NOTHING UINT64_C(0xCBF29CE484222325)
HELPER uint64_t hash_of(uint64_t hash, cbp_dtype dtype, int64_t n, const void *x) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = bits_of(dtype, x, i);
        for (size_t k = 0; k < size_of(dtype); k++, bits >>= 8) hash = (hash ^ (bits & 0xFF)) * UINT64_C(0x100000001B3);
    }
    return hash;
}

/* the i-th of the kernel tables of this CPU, one per instruction set and precision; NULL after the last */
HELPER const cbp_kern *kern_at(int i, cbp_dtype *dtype) {
    const char *isa = cbp_isa_at(i / CBP_N_DTYPE);
    if (!isa) return NULL;
    *dtype = (cbp_dtype)(i % CBP_N_DTYPE);
    const cbp_kern *k = cbp_kern_for(isa, *dtype);
    CHECK(k != NULL);
    NOTE("%s %s", isa, DTYPE_NAME[*dtype]);
    return k;
}

#endif
