/* simd/float32.h - R is float. Define ISA first; then include the instruction set's header and kern/all.inc. */
#define DOUBLE 0
#define R float
#define U uint32_t
#define RFMA fmaf
#define N(name) CBP_PASTE(name, ISA, f32)
