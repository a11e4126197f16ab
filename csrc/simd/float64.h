/* simd/float64.h - R is double. Define ISA first; then include the instruction set's header and kern/all.inc. */
#define DOUBLE 1
#define R double
#define U uint64_t
#define RFMA fma
#define N(name) CBP_PASTE(name, ISA, f64)
