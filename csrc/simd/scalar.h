/* simd/scalar.h - the vocabulary on one element: plain C11, every processor.
 *
 * Included once per precision by kern/scalar.c after R, U, DOUBLE and N() are defined. The other headers of this folder
 * give the same names for wider vectors; CONVENTIONS.md lists what each name means.
 */
#include "fma.h"

#define VL 1
#define V R
#define M int

static inline U N(bits)(R x) {
    U u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline R N(real)(U u) {
    R x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#define LD(p) (*(p))
#define ST(p, v) (*(p) = (v))
#define LDN(p, n) ((void)(n), *(p))
#define STN(p, v, n) ((void)(n), (void)(*(p) = (v)))
#define SET(x) (x)
#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define DIV(a, b) ((a) / (b))
#define FMA(a, b, c) RFMA(a, b, c)
#define FNMA(a, b, c) RFMA(-(a), b, c)
#define PICK(v, i) ((void)(i), (v))
#define SPREAD(v) (v)
#define LT(a, b) ((a) < (b))
#define EQ(a, b) ((a) == (b))
#define SEL(m, a, b) ((m) ? (a) : (b))
#define AND(a, b) N(real)(N(bits)(a) & N(bits)(b))
#define OR(a, b) N(real)(N(bits)(a) | N(bits)(b))
#define XOR(a, b) N(real)(N(bits)(a) ^ N(bits)(b))
#define SHL(a, n) N(real)(N(bits)(a) << (n))
#define SHR(a, n) N(real)(N(bits)(a) >> (n))
#define BITS(u) N(real)(u)
#if DOUBLE
#define SQRT(a) sqrt(a)
#else
#define SQRT(a) sqrtf(a)
#endif
#if !CBP_FMA_IN_HARDWARE
#undef RFMA
#if DOUBLE
#define RFMA cbp_fma_f64
#else
#define RFMA cbp_fma_f32
#endif
#endif
#define ZIP_LO(a, b) (a)
#define ZIP_HI(a, b) (b)
#define REGISTERS 16
#define PREFETCH(p) ((void)(p))
