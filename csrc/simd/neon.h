/* simd/neon.h - the vocabulary on 128-bit vectors: every 64-bit Arm.
 *
 * Included once per precision by kern/neon.c after R, U, DOUBLE and N() are defined. There are no masked loads and
 * stores here: a part of a vector is put together from halves and lanes.
 */
#if DOUBLE
#define VL 2
#define V float64x2_t
#define M uint64x2_t
#define OP(name) name##_f64
#define INT(name) name##_u64
#define AS_INT(v) vreinterpretq_u64_f64(v)
#define AS_REAL(i) vreinterpretq_f64_u64(i)
#define OF_BYTES(b) vreinterpretq_f64_u8(b)
#define BYTES_OF(i) (UINT64_C(0x0706050403020100) + (uint64_t)(i) * UINT64_C(0x0808080808080808)) /* of element i */
#else
#define VL 4
#define V float32x4_t
#define M uint32x4_t
#define OP(name) name##_f32
#define INT(name) name##_u32
#define AS_INT(v) vreinterpretq_u32_f32(v)
#define AS_REAL(i) vreinterpretq_f32_u32(i)
#define OF_BYTES(b) vreinterpretq_f32_u8(b)
#define BYTES_OF(i) (UINT32_C(0x03020100) + (uint32_t)(i) * UINT32_C(0x04040404))
#endif

/* The first n lanes, 0 < n <= VL; the others are zero */
CBP_INLINE V N(load_part)(const R *p, int64_t n) {
    if (n >= VL) return OP(vld1q)(p);
#if DOUBLE
    return vld1q_lane_f64(p, vdupq_n_f64(0), 0);
#else
    if (n == 1) return vld1q_lane_f32(p, vdupq_n_f32(0), 0);
    const V two = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    return n == 2 ? two : vld1q_lane_f32(p + 2, two, 2);
#endif
}

CBP_INLINE void N(store_part)(R *p, V v, int64_t n) {
    if (n >= VL) {
        OP(vst1q)(p, v);
        return;
    }
#if DOUBLE
    vst1q_lane_f64(p, v, 0);
#else
    if (n == 1) {
        vst1q_lane_f32(p, v, 0);
        return;
    }
    vst1_f32(p, vget_low_f32(v));
    if (n == 3) vst1q_lane_f32(p + 2, v, 2);
#endif
}

#define LD(p) OP(vld1q)(p)
#define ST(p, v) OP(vst1q)(p, v)
#define LDN(p, n) N(load_part)(p, n)
#define STN(p, v, n) N(store_part)(p, v, n)
#define SET(x) OP(vdupq_n)(x)
#define ADD(a, b) OP(vaddq)(a, b)
#define SUB(a, b) OP(vsubq)(a, b)
#define MUL(a, b) OP(vmulq)(a, b)
#define DIV(a, b) OP(vdivq)(a, b)
#define FMA(a, b, c) OP(vfmaq)(c, a, b)
#define FNMA(a, b, c) OP(vfmsq)(c, a, b)
#define SQRT(a) OP(vsqrtq)(a)
#define LT(a, b) OP(vcltq)(a, b)
#define EQ(a, b) OP(vceqq)(a, b)
#define SEL(m, a, b) OP(vbslq)(m, a, b)
#define AND(a, b) AS_REAL(INT(vandq)(AS_INT(a), AS_INT(b)))
#define OR(a, b) AS_REAL(INT(vorrq)(AS_INT(a), AS_INT(b)))
#define XOR(a, b) AS_REAL(INT(veorq)(AS_INT(a), AS_INT(b)))
#define SHL(a, n) AS_REAL(INT(vshlq_n)(AS_INT(a), n))
#define SHR(a, n) AS_REAL(INT(vshrq_n)(AS_INT(a), n))
#define BITS(u) AS_REAL(INT(vdupq_n)(u))
#define PICK(v, i) OF_BYTES(vqtbl1q_u8(OP(vreinterpretq_u8)(v), INT(vreinterpretq_u8)(INT(vdupq_n)(BYTES_OF(i)))))
#define SPREAD(v) OP(vdupq_laneq)(v, 0)
#define ZIP_LO(a, b) OP(vzip1q)(a, b)
#define ZIP_HI(a, b) OP(vzip2q)(a, b)
#define REGISTERS 32
#if defined(_MSC_VER) && !defined(__clang__)
#define PREFETCH(p) __prefetch(p)
#else
#define PREFETCH(p) __builtin_prefetch(p)
#endif

/* Lane i in every lane; i may be a variable, so its bytes are looked up in v */
CBP_INLINE V N(pick)(V v, int i) {
#if DOUBLE
    const uint8x16_t first = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x0706050403020100)));
    const uint8x16_t at = vaddq_u8(first, vdupq_n_u8((uint8_t)(8 * i)));
    return vreinterpretq_f64_u8(vqtbl1q_u8(vreinterpretq_u8_f64(v), at));
#else
    const uint8x16_t first = vreinterpretq_u8_u32(vdupq_n_u32(UINT32_C(0x03020100)));
    const uint8x16_t at = vaddq_u8(first, vdupq_n_u8((uint8_t)(4 * i)));
    return vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(v), at));
#endif
}
#define PICK(v, i) N(pick)(v, (int)(i))
#define SPREAD(v) OP(vdupq_laneq)(v, 0)
