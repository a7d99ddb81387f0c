// shim.h: the one thing Drover wants of oneDNN: a matrix product with bf16 (or fp32) operands and an fp32 result.
//
//   C[M,N] (+)= A[M,K] · B[K,N]        A, B: bf16 or fp32, each stored plain or transposed.   C: fp32, row-major.
//
// Written against the C interfaces of oneDNN 2.x (descriptors by value, an operation descriptor) and 3.x (descriptors
// behind pointers, no operation descriptor). B can be packed once into the layout that the library likes best; on AMX
// that is worth a factor of two and more. Every product brings its own scratchpad, so that threads share nothing, and
// the calling thread is made the only OpenMP thread before a primitive is made or run: bits must not depend on a thread
// count.
#pragma once
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <stddef.h>
#include <string.h>

// Of libgomp; absent where oneDNN was built on another thread pool.
extern void omp_set_num_threads(int) __attribute__((weak));

static inline void odn_one_thread(void) {
    if (omp_set_num_threads) omp_set_num_threads(1);
}

// The library's version as major * 10000 + minor * 100 + patch.
static inline int odn_version(void) {
    const dnnl_version_t *version = dnnl_version();
    return version->major * 10000 + version->minor * 100 + version->patch;
}

// The instruction set the library will use, as its own bit mask (dnnl_cpu_isa_t); bits 0xe7 mean AVX-512 with bf16,
// bits 0x3e7 AMX.
static inline int odn_instructions(void) { return (int)dnnl_get_effective_cpu_isa(); }

struct odn_product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    dnnl_primitive_t packing;  // B as stored -> B as the library likes it; NULL where nothing is packed
    dnnl_memory_t a, b_stored, b, c, scratch;
    size_t packed_bytes;   // of packed B; 0 = B is used as stored
    size_t scratch_bytes;  // of the scratchpad every run needs
};

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t odn_description;
typedef dnnl_memory_desc_t odn_owned;
#define ODN_BORROW(owned) (owned)
#else
typedef const dnnl_memory_desc_t *odn_description;
typedef dnnl_memory_desc_t odn_owned;
#define ODN_BORROW(owned) (&(owned))
#endif

// A [rows, columns] matrix, stored row-major or transposed; `any` leaves the layout to the library.
static inline dnnl_status_t odn_matrix(odn_owned *matrix, long rows, long columns, int transposed, int any,
                                       dnnl_data_type_t type) {
    dnnl_dims_t size = {rows, columns}, steps = {transposed ? 1 : columns, transposed ? rows : 1};
#if DNNL_VERSION_MAJOR >= 3
    *matrix = NULL;
    if (any) return dnnl_memory_desc_create_with_tag(matrix, 2, size, type, dnnl_format_tag_any);
    return dnnl_memory_desc_create_with_strides(matrix, 2, size, type, steps);
#else
    if (any) return dnnl_memory_desc_init_by_tag(matrix, 2, size, type, dnnl_format_tag_any);
    return dnnl_memory_desc_init_by_strides(matrix, 2, size, type, steps);
#endif
}

static inline void odn_release(odn_owned *matrix) {
#if DNNL_VERSION_MAJOR >= 3
    if (*matrix) dnnl_memory_desc_destroy(*matrix);
#else
    (void)matrix;
#endif
}

static inline dnnl_status_t odn_describe(struct odn_product *p, odn_owned *a, odn_owned *b, odn_owned *c,
                                         int accumulate) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&after);
#if DNNL_VERSION_MAJOR >= 3
    if (!status && accumulate) status = dnnl_post_ops_append_sum(after, 1, 0, dnnl_data_type_undef);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, after);
    if (!status) {
        status = dnnl_matmul_primitive_desc_create(&p->description, p->engine, *a, *b, NULL, *c, attributes);
    }
#else
    dnnl_matmul_desc_t operation;
    if (!status && accumulate) status = dnnl_post_ops_append_sum(after, 1);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, after);
    if (!status) status = dnnl_matmul_desc_init(&operation, a, b, NULL, c);
    if (!status) status = dnnl_primitive_desc_create(&p->description, &operation, attributes, p->engine, NULL);
#endif
    if (after) dnnl_post_ops_destroy(after);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

// The step from B as stored to B as the chosen implementation wants it.
static inline dnnl_status_t odn_describe_packing(struct odn_product *p, odn_owned *stored) {
    odn_description wanted = dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0);
    dnnl_primitive_desc_t description = NULL;
    p->packed_bytes = dnnl_memory_desc_get_size(wanted);
    dnnl_status_t status = dnnl_reorder_primitive_desc_create(&description, ODN_BORROW(*stored), p->engine, wanted,
                                                              p->engine, NULL);
    if (!status) status = dnnl_primitive_create(&p->packing, description);
    if (!status) status = dnnl_memory_create(&p->b_stored, ODN_BORROW(*stored), p->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&p->b, wanted, p->engine, DNNL_MEMORY_NONE);
    if (description) dnnl_primitive_desc_destroy(description);
    return status;
}

static inline void odn_product_destroy(struct odn_product *p) {
    dnnl_memory_t memories[] = {p->a, p->b_stored, p->b, p->c, p->scratch};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        if (memories[i]) dnnl_memory_destroy(memories[i]);
    }
    if (p->packing) dnnl_primitive_destroy(p->packing);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->description) dnnl_primitive_desc_destroy(p->description);
    if (p->stream) dnnl_stream_destroy(p->stream);
    if (p->engine) dnnl_engine_destroy(p->engine);
    memset(p, 0, sizeof *p);
}

// Prepares a product; 0, or the library's status (dnnl_unimplemented where the machine has no bf16). `pack` asks for
// packed B.
static inline int odn_product_create(struct odn_product *p, long rows, long columns, long k, int a_transposed,
                                     int b_transposed, int accumulate, int bf16, int pack) {
    dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    odn_owned a, b, b_stored, c;
    memset(p, 0, sizeof *p);
    odn_one_thread();
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (!status) status = dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags);
    dnnl_status_t made_a = odn_matrix(&a, rows, k, a_transposed, 0, type);
    dnnl_status_t made_b = odn_matrix(&b, k, columns, b_transposed, pack, type);
    dnnl_status_t made_stored = odn_matrix(&b_stored, k, columns, b_transposed, 0, type);
    dnnl_status_t made_c = odn_matrix(&c, rows, columns, 0, 0, dnnl_f32);
    if (!status) status = made_a ? made_a : made_b ? made_b : made_stored ? made_stored : made_c;
    if (!status) status = odn_describe(p, &a, &b, &c, accumulate);
    if (!status) status = dnnl_primitive_create(&p->primitive, p->description);
    if (!status && pack) status = odn_describe_packing(p, &b_stored);
    if (!status && !pack) status = dnnl_memory_create(&p->b, ODN_BORROW(b_stored), p->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&p->a, ODN_BORROW(a), p->engine, DNNL_MEMORY_NONE);
    if (!status) status = dnnl_memory_create(&p->c, ODN_BORROW(c), p->engine, DNNL_MEMORY_NONE);
    if (!status) {
        odn_description scratch = dnnl_primitive_desc_query_md(p->description, dnnl_query_scratchpad_md, 0);
        p->scratch_bytes = dnnl_memory_desc_get_size(scratch);
        status = dnnl_memory_create(&p->scratch, scratch, p->engine, DNNL_MEMORY_NONE);
    }
    odn_release(&a);
    odn_release(&b);
    odn_release(&b_stored);
    odn_release(&c);
    if (status) odn_product_destroy(p);
    return (int)status;
}

// Packs B as stored into `packed` (packed_bytes of it).
static inline int odn_product_pack(struct odn_product *p, const void *b, void *packed) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, p->b_stored}, {DNNL_ARG_TO, p->b}};
    odn_one_thread();
    dnnl_memory_set_data_handle(p->b_stored, (void *)b);
    dnnl_memory_set_data_handle(p->b, packed);
    dnnl_status_t status = dnnl_primitive_execute(p->packing, p->stream, 2, arguments);
    if (!status) status = dnnl_stream_wait(p->stream);
    return (int)status;
}

// C (+)= A · B on the calling thread alone; `b` as stored, or packed where packed_bytes > 0.
static inline int odn_product_run(struct odn_product *p, const void *a, const void *b, float *c, void *scratch) {
    dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_SRC, p->a}, {DNNL_ARG_WEIGHTS, p->b}, {DNNL_ARG_DST, p->c}, {DNNL_ARG_SCRATCHPAD, p->scratch}};
    odn_one_thread();
    dnnl_memory_set_data_handle(p->a, (void *)a);
    dnnl_memory_set_data_handle(p->b, (void *)b);
    dnnl_memory_set_data_handle(p->c, c);
    dnnl_memory_set_data_handle(p->scratch, scratch);
    dnnl_status_t status = dnnl_primitive_execute(p->primitive, p->stream, 4, arguments);
    if (!status) status = dnnl_stream_wait(p->stream);
    return (int)status;
}
