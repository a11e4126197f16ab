/* simd/avx512.h - the vocabulary on 512-bit vectors: x86-64 with AVX-512 F and DQ.
 *
 * Included once per precision by kern/avx512.c after R, U, DOUBLE and N() are defined. Comparisons give mask registers.
 */
#if DOUBLE
#define VL 8
#define V __m512d
#define M __mmask8
#define OP(name) _mm512_##name##_pd
#define MASK(name) _mm512_##name##_pd_mask
#define INT(name) _mm512_##name##_epi64
#define AS_INT(v) _mm512_castpd_si512(v)
#define AS_REAL(i) _mm512_castsi512_pd(i)
#define BITS(u) AS_REAL(_mm512_set1_epi64((long long)(u)))
#define PICK(v, i) OP(permutexvar)(_mm512_set1_epi64((long long)(i)), v)
#define SPREAD(v) OP(broadcastsd)(_mm512_castpd512_pd128(v))
#else
#define VL 16
#define V __m512
#define M __mmask16
#define OP(name) _mm512_##name##_ps
#define MASK(name) _mm512_##name##_ps_mask
#define INT(name) _mm512_##name##_epi32
#define AS_INT(v) _mm512_castps_si512(v)
#define AS_REAL(i) _mm512_castsi512_ps(i)
#define BITS(u) AS_REAL(_mm512_set1_epi32((int)(u)))
#define PICK(v, i) OP(permutexvar)(_mm512_set1_epi32((int)(i)), v)
#define SPREAD(v) OP(broadcastss)(_mm512_castps512_ps128(v))
#endif

#define FIRST(n) ((M)((1u << (n)) - 1)) /* the first n lanes */

#define LD(p) OP(loadu)(p)
#define ST(p, v) OP(storeu)(p, v)
#define LDN(p, n) OP(maskz_loadu)(FIRST(n), p)
#define STN(p, v, n) OP(mask_storeu)(p, FIRST(n), v)
#define SET(x) OP(set1)(x)
#define ADD(a, b) OP(add)(a, b)
#define SUB(a, b) OP(sub)(a, b)
#define MUL(a, b) OP(mul)(a, b)
#define DIV(a, b) OP(div)(a, b)
#define FMA(a, b, c) OP(fmadd)(a, b, c)
#define FNMA(a, b, c) OP(fnmadd)(a, b, c)
#define SQRT(a) OP(sqrt)(a)
#define LT(a, b) MASK(cmp)(a, b, _CMP_LT_OQ)
#define EQ(a, b) MASK(cmp)(a, b, _CMP_EQ_OQ)
#define SEL(m, a, b) OP(mask_blend)(m, b, a)
#define AND(a, b) OP (and)(a, b)
#define OR(a, b) OP(or)(a, b)
#define XOR(a, b) OP (xor)(a, b)
#define SHL(a, n) AS_REAL(INT(slli)(AS_INT(a), n))
#define SHR(a, n) AS_REAL(INT(srli)(AS_INT(a), n))

/* Lanes a0 b0 a1 b1 ..: the lower half of both, and the upper half */
#if DOUBLE
#define ZIP_LO(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b)
#define ZIP_HI(a, b) _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b)
#else
#define ZIP_LO(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b)
#define ZIP_HI(a, b) \
    _mm512_permutex2var_ps(a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b)
#endif
#define REGISTERS 32
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
