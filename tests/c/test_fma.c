/* a b + c rounded once without the instruction (simd/fma.h), against the instruction, on cases that are hard: sums
 * midway between two numbers, cancellation, subnormals, overflow, zeros with signs, infinities and NaN. */
#include "naive.h"

#include "simd/fma.h"

enum { CASES = 1500000 };

static double ours(cbp_dtype dtype, double a, double b, double c) {
    return dtype == CBP_FLOAT32 ? (double)cbp_fma_f32((float)a, (float)b, (float)c) : cbp_fma_f64(a, b, c);
}

/* The wrong way: rounded to double, or after the product, and then again */
static double twice_rounded(cbp_dtype dtype, double a, double b, double c) { return add_(dtype, a * b, c); }

/* Same bytes, or both NaN */
static void equals_instruction(cbp_dtype dtype, double a, double b, double c) {
    const double got = ours(dtype, a, b, c), want = fma_(dtype, a, b, c);
    CHECKF((isnan(got) && isnan(want)) || memcmp(&got, &want, sizeof got) == 0, "%s: %a * %a + %a is %a, expected %a",
           DTYPE_NAME[dtype], a, b, c, got, want);
}

static int digits(cbp_dtype dtype) { return dtype == CBP_FLOAT32 ? FLT_MANT_DIG : DBL_MANT_DIG; }

static int between(int low, int high) { return low + (int)(random_bits() % (unsigned)(high - low + 1)); }

/* A number of this exponent; often a few units above a power of two or below the next, or with last digits zero or one
 */
static double number(cbp_dtype dtype, int exponent) {
    const int n = digits(dtype) - 1;
    const uint64_t all = (UINT64_C(1) << n) - 1, low = (UINT64_C(1) << between(0, n)) - 1;
    const uint64_t m = random_bits() & all;
    const uint64_t kinds[] = {m, m, m & ~low, m | low, m & 3, all - (m & 3)};
    const double x = ldexp(1 + ldexp((double)kinds[between(0, 5)], -n), exponent);
    return to(dtype, between(0, 1) ? -x : x);
}

/* a, b with exponents from low to high; c at every distance from their product, or so large that the product is about
 * half of its last unit, or the product's opposite but for a unit or two */
static void hard_cases(cbp_dtype dtype, int low, int high) {
    const int step = one_in(dtype == CBP_FLOAT32 ? 5 : 15); /* of floats, few cases are so hard */
    int harder_than_two_roundings = 0;
    for (int i = 0; i < CASES; i += step) {
        const double a = number(dtype, between(low, high)), b = number(dtype, between(low, high));
        const int exponent = ilogb(a) + ilogb(b);
        double c = number(dtype, exponent + between(-2 * digits(dtype) - 2, 2 * digits(dtype) + 2));
        if (i % 4 == 1) c = number(dtype, exponent + digits(dtype) + between(-2, 1));
        if (i % 4 == 0) c = to(dtype, -(a * b) * (1 + ldexp(between(-2, 2), 1 - digits(dtype))));
        equals_instruction(dtype, a, b, c);
        harder_than_two_roundings += twice_rounded(dtype, a, b, c) != fma_(dtype, a, b, c);
    }
    CHECKF(harder_than_two_roundings > 100 / step, "only %d cases need one rounding", harder_than_two_roundings);
}

CASE(float32_of_ordinary_size) { hard_cases(CBP_FLOAT32, -30, 30); }
CASE(float32_near_the_smallest) { hard_cases(CBP_FLOAT32, -76, -58); }
CASE(float32_near_the_largest) { hard_cases(CBP_FLOAT32, 45, 63); }
CASE(float64_of_ordinary_size) { hard_cases(CBP_FLOAT64, -200, 200); }
CASE(float64_at_the_edge_of_the_quick_way) { hard_cases(CBP_FLOAT64, -485, -445); }
CASE(float64_near_the_smallest) { hard_cases(CBP_FLOAT64, -540, -500); }
CASE(float64_near_the_largest) { hard_cases(CBP_FLOAT64, 440, 512); }

CASE(special_numbers_in_every_place) {
    static const double special[CBP_N_DTYPE][10] = {
        {0, 1, 3, 1 + FLT_EPSILON, 0x1p-149, 0x1p-75, FLT_MIN, FLT_MAX, INFINITY, NAN},
        {0, 1, 3, 1 + DBL_EPSILON, 0x1p-1074, 0x1p-537, DBL_MIN, DBL_MAX, INFINITY, NAN}};
    for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++)
        for (int i = 0; i < 20 * 20 * 20; i++) {
            const int at[] = {i % 20, i / 20 % 20, i / 400};
            double x[3];
            for (int k = 0; k < 3; k++) x[k] = at[k] < 10 ? special[dtype][at[k]] : -special[dtype][at[k] - 10];
            equals_instruction((cbp_dtype)dtype, x[0], x[1], x[2]);
        }
}

/* 2^-24 is half a unit of 1 and goes to the even neighbour, 1, unless anything however small lies beyond it */
CASE(a_hair_beside_the_middle) {
    CHECK(cbp_fma_f32(0x1p-12f, 0x1p-12f, 1) == 1);
    CHECK(cbp_fma_f32(0x1p-12f, 0x1.000002p-12f, 1) == 1 + 0x1p-23f);
    CHECK(cbp_fma_f32(0x1.000002p-12f, 0x1.fffffep-13f, 1) == 1 + 0x1p-23f);
    CHECK(cbp_fma_f32(1 + 0x1p-12f, 0x1p-24f - 0x1p-36f, 1) == 1);
    CHECK(cbp_fma_f32(0x1.000002p-75f, 0x1.fffffcp-76f, 0x1.000004p-127f) == 0x1.000004p-127f); /* subnormal */
    CHECK(cbp_fma_f64(0x1p-27, 0x1p-26, 1) == 1);
    CHECK(cbp_fma_f64(0x1p-27, 0x1.0000000000001p-26, 1) == 1 + 0x1p-52);
    CHECK(cbp_fma_f64(1 + 0x1p-27, 0x1p-53 - 0x1p-80, 1) == 1);
}
