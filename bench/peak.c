/* peak.c - what this CPU can do at most: fused multiply-adds in registers, and memory read and written.
 *
 * ceilings.py compiles it with the flags of the instruction set that cbp uses, and calls it from as many threads as are
 * asked for. It needs the vector types and the -ffp-contract=fast of gcc and clang.
 */
#if defined(SCALAR)
#define VECTOR(R) R
#elif defined(__AVX512F__)
#define VECTOR(R) R __attribute__((vector_size(64), aligned(sizeof(R))))
#elif defined(__AVX__)
#define VECTOR(R) R __attribute__((vector_size(32), aligned(sizeof(R))))
#else
#define VECTOR(R) R __attribute__((vector_size(16), aligned(sizeof(R))))
#endif
typedef VECTOR(float) v_float32;
typedef VECTOR(double) v_float64;

/* As many sums at once as latency times pipes asks for, and registers allow: 32 of them or 16 */
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#if defined(__AVX512F__) || defined(__aarch64__)
#define SUMS 16
#define EACH(X) TWELVE(X) X(12) X(13) X(14) X(15)
#else
#define SUMS 12
#define EACH(X) TWELVE(X)
#endif

#define DECLARE(i) V s##i = zero + (i) * 0.01f;
#define STEP(i) s##i = s##i * factor + term;
#define READ(i) s##i += p[i];
#define COLLECT(i) all += s##i;

/* fma_T: n rounds of SUMS independent multiply-adds; flops_T: how many operations a round has.
 * The result keeps the compiler from leaving them out. */
#define DEFINE_FMA(T, R) \
    double fma_##T(long n) { \
        typedef v_##T V; \
        const V zero = {0}, factor = zero + (R)0.75, term = zero + (R)0.5; \
        V all = zero; \
        EACH(DECLARE) \
        for (long k = 0; k < n; k++) { \
            EACH(STEP) \
        } \
        EACH(COLLECT) \
        return (double)*(const R *)&all; \
    } \
    long flops_##T(void) { return 2 * SUMS * (long)(sizeof(v_##T) / sizeof(R)); }

DEFINE_FMA(float32, float)
DEFINE_FMA(float64, double)

/* Sums m floats, n times over. 4 m bytes are read each time, up to a rest. */
double read_floats(const float *x, long m, long n) {
    typedef v_float32 V;
    const V zero = {0};
    V all = zero;
    EACH(DECLARE)
    for (long k = 0; k < n; k++) {
        const V *p = (const V *)x, *end = p + m / (long)(sizeof(V) / sizeof(float));
        for (; p + SUMS <= end; p += SUMS) {
            EACH(READ)
        }
    }
    EACH(COLLECT)
    return (double)*(const float *)&all;
}

/* a = b + 0.75 c, m floats each, n times over. 8 m bytes are read and 4 m written each time. */
double triad_floats(float *restrict a, const float *restrict b, const float *restrict c, long m, long n) {
    for (long k = 0; k < n; k++) {
        for (long i = 0; i < m; i++) a[i] = b[i] + 0.75f * c[i];
        __asm__ volatile("" ::"r"(a) : "memory"); /* the stores of every round count */
    }
    return (double)a[0];
}
