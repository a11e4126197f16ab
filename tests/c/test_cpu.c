/* Which instruction set a plan gets, and the floating-point mode of the thread around our code. */
#define _POSIX_C_SOURCE 200112L
#include "sample.h"

#include "prim.h"

static void set_isa(const char *name) {
#ifdef _WIN32
    _putenv_s("CBP_ISA", name);
#else
    setenv("CBP_ISA", name, 1);
#endif
}

CASE(scalar_is_always_there_and_last) {
    int n = 0;
    while (cbp_isa_at(n)) n++;
    CHECK(n >= 1 && strcmp(cbp_isa_at(n - 1), "scalar") == 0);
    CHECK(cbp_isa_at(n) == NULL && cbp_isa_at(-1) == NULL);
}

CASE(each_instruction_set_has_both_precisions) {
    for (int i = 0; cbp_isa_at(i); i++)
        for (int dtype = 0; dtype < CBP_N_DTYPE; dtype++) {
            const cbp_kern *k = cbp_kern_for(cbp_isa_at(i), (cbp_dtype)dtype);
            CHECK(k && strcmp(k->isa, cbp_isa_at(i)) == 0);
        }
    CHECK(cbp_kern_for("abacus", CBP_FLOAT32) == NULL);
}

CASE(the_best_is_the_default) {
    set_isa("");
    CHECK(strcmp(cbp_isa(), cbp_isa_at(0)) == 0);
    CHECK(cbp_kern_for(NULL, CBP_FLOAT64) == cbp_kern_for(cbp_isa_at(0), CBP_FLOAT64));
}

CASE(the_environment_chooses) {
    for (int i = 0; cbp_isa_at(i); i++) {
        set_isa(cbp_isa_at(i));
        CHECK(strcmp(cbp_isa(), cbp_isa_at(i)) == 0);
        CHECK(strcmp(cbp_kern_for(NULL, CBP_FLOAT32)->isa, cbp_isa_at(i)) == 0);
    }
    set_isa("abacus");
    CHECK(strcmp(cbp_isa(), cbp_isa_at(0)) == 0);
}

/* Somebody else's flush-to-zero: subnormal numbers survive our code, and the mode is theirs again afterwards */
CASE(flush_to_zero_is_cleared_and_restored) {
#if defined(CBP_X86_64)
    const cbp_fpmode flush = CBP_FP_DEFAULT | 0x8040u;
#elif defined(__aarch64__) || defined(_M_ARM64)
    const cbp_fpmode flush = UINT64_C(1) << 24;
#else
    const cbp_fpmode flush = CBP_FP_DEFAULT;
#endif
    static const int width[] = {1, 1, 0};
    static const cbp_act act[] = {CBP_ACT_identity};
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        sample s = shape(dtype, width, act, CBP_LOSS_half_squared_error);
        fill(&s, k->isa, 1);
        const double tiny = dtype == CBP_FLOAT32 ? 0x1p-140 : 0x1p-1060;
        void *x = reals(dtype, 1), *out = reals(dtype, 1);
        put(dtype, s.mem.theta, 0, 0), put(dtype, s.mem.theta, 1, 1), put(dtype, x, 0, tiny);
        const cbp_fpmode before = cbp_fp_get();
        cbp_fp_set(flush);
        const cbp_status status = cbp_predict(s.net, &s.mem, 1, x, out);
        const cbp_fpmode after = cbp_fp_get();
        cbp_fp_set(before);
        CHECK(status == CBP_OK && after == flush);
        CHECKF(get(dtype, out, 0) == tiny, "%a instead of %a", get(dtype, out, 0), tiny);
        cbp_net_free(s.net);
    }
}

CASE(first_nonfinite_of_both_precisions) {
    float f[] = {1, -INFINITY};
    double d[] = {1, 2, NAN};
    CHECK(cbp_first_nonfinite(CBP_FLOAT32, 2, f) == 1 && cbp_first_nonfinite(CBP_FLOAT32, 1, f) == -1);
    CHECK(cbp_first_nonfinite(CBP_FLOAT64, 3, d) == 2 && cbp_first_nonfinite(CBP_FLOAT64, 0, d) == -1);
}

CASE(first_nonfinite_by_a_plan) {
    cbp_dtype dtype;
    const cbp_kern *k;
    for (int i = 0; (k = kern_at(i, &dtype)) != NULL; i++) {
        const int width[] = {1, 1, 0};
        const cbp_act act[] = {CBP_ACT_identity};
        sample s = shape(dtype, width, act, CBP_LOSS_half_squared_error);
        CHECK(plan(&s, k->isa) == CBP_OK);
        void *x = zeros(dtype, 5);
        put(dtype, x, 3, NAN);
        CHECK(cbp_net_first_nonfinite(s.net, NULL, 5, x) == 3 && cbp_net_first_nonfinite(s.net, NULL, 3, x) == -1);
        cbp_net_free(s.net);
    }
}
