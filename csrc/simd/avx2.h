/* simd/avx2.h - the vocabulary on 256-bit vectors: x86-64 with AVX2 and FMA.
 *
 * Included once per precision by kern/avx2.c after R, U, DOUBLE and N() are defined.
 */
#if DOUBLE
#define VL 4
#define V __m256d
#define OP(name) _mm256_##name##_pd
#define INT(name) _mm256_##name##_epi64
#define AS_INT(v) _mm256_castpd_si256(v)
#define AS_REAL(i) _mm256_castsi256_pd(i)
#define BITS(u) AS_REAL(_mm256_set1_epi64x((long long)(u)))
#define LANE long long
#define PAIR(i) _mm256_set1_epi64x(2 * (long long)(i) | (2 * (long long)(i) + 1) << 32)
#define PICK(v, i) _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(v), PAIR(i))) /* by its halves */
#define SPREAD(v) _mm256_broadcastsd_pd(_mm256_castpd256_pd128(v))
#else
#define VL 8
#define V __m256
#define OP(name) _mm256_##name##_ps
#define INT(name) _mm256_##name##_epi32
#define AS_INT(v) _mm256_castps_si256(v)
#define AS_REAL(i) _mm256_castsi256_ps(i)
#define BITS(u) AS_REAL(_mm256_set1_epi32((int)(u)))
#define LANE int
#define PICK(v, i) _mm256_permutevar8x32_ps(v, _mm256_set1_epi32((int)(i)))
#define SPREAD(v) _mm256_broadcastss_ps(_mm256_castps256_ps128(v))
#endif
#define M V

/* The first n lanes, 0 < n < VL: a window on VL ones followed by VL zeros. */
static const LANE N(lanes)[2 * VL] = {-1, -1, -1, -1,
#if !DOUBLE
                                      -1, -1, -1, -1,
#endif
                                      0};
#define FIRST(n) _mm256_loadu_si256((const __m256i *)(N(lanes) + VL - (n)))

#define LD(p) OP(loadu)(p)
#define ST(p, v) OP(storeu)(p, v)
#define LDN(p, n) OP(maskload)((const R *)(p), FIRST(n))
#define STN(p, v, n) OP(maskstore)(p, FIRST(n), v)
#define SET(x) OP(set1)(x)
#define ADD(a, b) OP(add)(a, b)
#define SUB(a, b) OP(sub)(a, b)
#define MUL(a, b) OP(mul)(a, b)
#define DIV(a, b) OP(div)(a, b)
#define FMA(a, b, c) OP(fmadd)(a, b, c)
#define FNMA(a, b, c) OP(fnmadd)(a, b, c)
#define SQRT(a) OP(sqrt)(a)
#define LT(a, b) OP(cmp)(a, b, _CMP_LT_OQ)
#define EQ(a, b) OP(cmp)(a, b, _CMP_EQ_OQ)
#define SEL(m, a, b) OP(blendv)(b, a, m)
#define AND(a, b) OP (and)(a, b)
#define OR(a, b) OP(or)(a, b)
#define XOR(a, b) OP (xor)(a, b)
#define SHL(a, n) AS_REAL(INT(slli)(AS_INT(a), n))
#define SHR(a, n) AS_REAL(INT(srli)(AS_INT(a), n))

/* Lanes a0 b0 a1 b1 ..: the lower half of both, and the upper half */
#define HALVES(a, b, which) OP(permute2f128)(OP(unpacklo)(a, b), OP(unpackhi)(a, b), which)
#define ZIP_LO(a, b) HALVES(a, b, 0x20)
#define ZIP_HI(a, b) HALVES(a, b, 0x31)
#define REGISTERS 16
#define PREFETCH(p) _mm_prefetch((const char *)(p), _MM_HINT_T0)
