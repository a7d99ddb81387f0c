// shim.h: the one thing Drover wants of oneDNN: a matrix product with bf16 (or fp32) operands and an fp32 result.
//
//   C[M,N] (+)= A[M,K] · B[K,N] + bias[N]        A: row-major.   B: in the layout the library likes best.   C: fp32.
//
// Written against the C interfaces of oneDNN 2.x (descriptors by value, an operation descriptor) and 3.x (descriptors
// behind pointers, no operation descriptor). B is packed into its layout slice by slice of columns; on AMX a packed B
// is worth a factor of two and more. A product or packer is shared by threads; what a run needs for itself is in a
// slot, of which each thread has one, and the calling thread is made the only OpenMP thread before a primitive is made
// or run: bits must not depend on a thread count.
#pragma once
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Of libgomp; absent where oneDNN was built on another thread pool.
extern void omp_set_num_threads(int) __attribute__((weak));

static inline void odn_one_thread(void) {
    if (omp_set_num_threads) omp_set_num_threads(1);
}

// Whether a product runs on the thread that calls it, alone: the library has no threads, or OpenMP's, whose number is
// ours to set.
static inline int odn_runs_alone(void) {
    unsigned runtime = dnnl_version()->cpu_runtime;
    return runtime == DNNL_RUNTIME_SEQ || (runtime == DNNL_RUNTIME_OMP && omp_set_num_threads != NULL);
}

// Whether a status means that the library does not offer what was asked for; all others that are not 0 are failures.
static inline int odn_is_refusal(int status) {
    return status == (int)dnnl_unimplemented || status == (int)dnnl_invalid_arguments;
}

// The library's version as major * 10000 + minor * 100 + patch.
static inline int odn_version(void) {
    const dnnl_version_t *version = dnnl_version();
    return version->major * 10000 + version->minor * 100 + version->patch;
}

// The instruction set the library will use, as its own bit mask (dnnl_cpu_isa_t); bits 0xe7 mean AVX-512 with bf16,
// bits 0x3e7 AMX.
static inline int odn_instructions(void) { return (int)dnnl_get_effective_cpu_isa(); }

// Shared by threads: what is computed.
struct odn_product {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    size_t packed_bytes;   // of packed B
    size_t scratch_bytes;  // of the scratchpad every run needs
};

// Shared by threads: how some columns of B get into a product's layout.
struct odn_packer {
    dnnl_engine_t engine;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t primitive;
    size_t offset;  // bytes from the beginning of packed B to its slice: added by every run
};

// The scratchpad's place in a slot; a product that needs none has none there.
#define ODN_SCRATCH 3

// Of one thread and one product or packer.
struct odn_slot {
    dnnl_stream_t stream;
    dnnl_memory_t memory[5];  // a, b, c, scratch, bias; of a packer: from, to
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

static inline dnnl_status_t odn_describe(struct odn_product *p, odn_description a, odn_description b,
                                         odn_description bias, odn_description c, int accumulate) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t after = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attributes);
    if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (!status) status = dnnl_post_ops_create(&after);
#if DNNL_VERSION_MAJOR >= 3
    if (!status && accumulate) status = dnnl_post_ops_append_sum(after, 1, 0, dnnl_data_type_undef);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, after);
    if (!status) status = dnnl_matmul_primitive_desc_create(&p->description, p->engine, a, b, bias, c, attributes);
#else
    dnnl_matmul_desc_t operation;
    if (!status && accumulate) status = dnnl_post_ops_append_sum(after, 1);
    if (!status) status = dnnl_primitive_attr_set_post_ops(attributes, after);
    if (!status) status = dnnl_matmul_desc_init(&operation, a, b, bias, c);
    if (!status) status = dnnl_primitive_desc_create(&p->description, &operation, attributes, p->engine, NULL);
#endif
    if (after) dnnl_post_ops_destroy(after);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    return status;
}

static inline void odn_product_destroy(struct odn_product *p) {
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->description) dnnl_primitive_desc_destroy(p->description);
    if (p->engine) dnnl_engine_destroy(p->engine);
    memset(p, 0, sizeof *p);
}

// Prepares a product of one shape; 0, or the library's status (dnnl_unimplemented where the machine has no bf16). B has
// the layout of `like`, which must have the same k and columns; NULL = the one that the library likes best.
static inline int odn_product_create(struct odn_product *p, long rows, long columns, long k, int accumulate, int biased,
                                     int bf16, const struct odn_product *like) {
    dnnl_data_type_t type = bf16 ? dnnl_bf16 : dnnl_f32;
    odn_owned a, b, c, bias;
    memset(p, 0, sizeof *p);
    odn_one_thread();
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    dnnl_status_t made_a = odn_matrix(&a, rows, k, 0, 0, type);
    dnnl_status_t made_b = odn_matrix(&b, k, columns, 0, 1, type);
    dnnl_status_t made_c = odn_matrix(&c, rows, columns, 0, 0, dnnl_f32);
    dnnl_status_t made_bias = odn_matrix(&bias, 1, columns, 0, 0, dnnl_f32);
    if (!status) status = made_a ? made_a : made_b ? made_b : made_c ? made_c : made_bias;
    odn_description layout =
        like ? dnnl_primitive_desc_query_md(like->description, dnnl_query_weights_md, 0) : ODN_BORROW(b);
    if (!status) {
        status = odn_describe(p, ODN_BORROW(a), layout, biased ? ODN_BORROW(bias) : NULL, ODN_BORROW(c), accumulate);
    }
    if (!status) status = dnnl_primitive_create(&p->primitive, p->description);
    if (!status) {
        p->packed_bytes =
            dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0));
        p->scratch_bytes =
            dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(p->description, dnnl_query_scratchpad_md, 0));
    }
    odn_release(&a);
    odn_release(&b);
    odn_release(&c);
    odn_release(&bias);
    if (status) odn_product_destroy(p);
    return (int)status;
}

// The name of what computes it, as the library calls it.
static inline const char *odn_implementation(const struct odn_product *p) {
    const char *name = NULL;
    dnnl_status_t status = dnnl_primitive_desc_query(p->description, dnnl_query_impl_info_str, 0, (void *)&name);
    return status || !name ? "unknown" : name;
}

// If packed B consists of blocks of 64 columns, each [padded k / 2][64][2] bf16: padded k. Else 0.
static inline long odn_pairs(const struct odn_product *p) {
    odn_description b = dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_data_type_t type = dnnl_data_type_undef;
    dnnl_format_kind_t kind = dnnl_format_kind_undef;
    int levels = 0;
    dnnl_dims_t sizes, places, padded, steps;
    int64_t offset = 0;
    dnnl_status_t status = dnnl_memory_desc_query(b, dnnl_query_data_type, &type);
    if (!status) status = dnnl_memory_desc_query(b, dnnl_query_format_kind, &kind);
    if (status || kind != dnnl_blocked) return 0;
    status = dnnl_memory_desc_query(b, dnnl_query_inner_nblks_s32, &levels);
    if (status || levels != 3) return 0;
    status = dnnl_memory_desc_query(b, dnnl_query_inner_blks, &sizes);
    if (!status) status = dnnl_memory_desc_query(b, dnnl_query_inner_idxs, &places);
    if (!status) status = dnnl_memory_desc_query(b, dnnl_query_padded_dims, &padded);
    if (!status) status = dnnl_memory_desc_query(b, dnnl_query_strides, &steps);
    if (!status) status = dnnl_memory_desc_query(b, dnnl_query_submemory_offset_s64, &offset);
    if (status) return 0;
#else
    dnnl_data_type_t type = b->data_type;
    if (b->format_kind != dnnl_blocked || b->format_desc.blocking.inner_nblks != 3) return 0;
    const int64_t *sizes = b->format_desc.blocking.inner_blks, *places = b->format_desc.blocking.inner_idxs;
    const int64_t *padded = b->padded_dims, *steps = b->format_desc.blocking.strides;
    int64_t offset = b->extra.flags == dnnl_memory_extra_flag_none ? b->offset0 : 1;
#endif
    int fits = type == dnnl_bf16 && sizes[0] == 16 && sizes[1] == 64 && sizes[2] == 2 && places[0] == 0 &&
               places[1] == 1 && places[2] == 0 && offset == 0 && steps[0] == 2048 && steps[1] == padded[0] * 64 &&
               padded[0] % 32 == 0 && (uint64_t)(padded[0] * padded[1] * 2) == p->packed_bytes;
    return fits ? (long)padded[0] : 0;
}

// Columns first ..< first+columns of p's packed B as a matrix of their own, and how many bytes behind the packed B's
// beginning it begins.
static inline dnnl_status_t odn_slice(const struct odn_product *p, long k, long first, long columns, odn_owned *slice,
                                      size_t *bytes) {
    odn_description whole = dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0);
    dnnl_dims_t size = {k, columns}, start = {0, first};
    int64_t elements = 0;
    size_t width = 4;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_data_type_t type = dnnl_data_type_undef;
    *slice = NULL;
    dnnl_status_t status = dnnl_memory_desc_create_submemory(slice, whole, size, start);
    if (!status) status = dnnl_memory_desc_query(*slice, dnnl_query_submemory_offset_s64, &elements);
    if (!status) status = dnnl_memory_desc_query(*slice, dnnl_query_data_type, &type);
    width = type == dnnl_bf16 ? 2 : 4;
#else
    dnnl_status_t status = dnnl_memory_desc_init_submemory(slice, whole, size, start);
    if (!status) {
        elements = slice->offset0;
        width = slice->data_type == dnnl_bf16 ? 2 : 4;
    }
#endif
    *bytes = (size_t)elements * width;
    return status;
}

static inline void odn_packer_destroy(struct odn_packer *p) {
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->description) dnnl_primitive_desc_destroy(p->description);
    if (p->engine) dnnl_engine_destroy(p->engine);
    memset(p, 0, sizeof *p);
}

// How many bytes behind the beginning of packed B its columns first ..< first+columns begin; -1 where the layout can't
// be cut there.
static inline long odn_slice_offset(const struct odn_product *p, long k, long first, long columns) {
    odn_owned slice;
    size_t bytes = 0;
    dnnl_status_t status = odn_slice(p, k, first, columns, &slice, &bytes);
    if (!status) odn_release(&slice);
    return status ? -1 : (long)bytes;
}

// Prepares the packing of columns first ..< first+columns of a product's B, of k rows, from a dense matrix [k, columns]
// stored row-major or transposed. It serves other slices of the same width too, if neither is the last. 0, or the
// library's status.
static inline int odn_packer_create(struct odn_packer *p, const struct odn_product *product, long k, long first,
                                    long columns, int transposed, int bf16) {
    odn_owned from, to;
    size_t bytes;
    memset(p, 0, sizeof *p);
    odn_one_thread();
    dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    dnnl_status_t made_from = odn_matrix(&from, k, columns, transposed, 0, bf16 ? dnnl_bf16 : dnnl_f32);
    dnnl_status_t made_to = odn_slice(product, k, first, columns, &to, &bytes);
    if (!status) status = made_from ? made_from : made_to;
    if (!status) p->offset = bytes;
    if (!status) {
        status = dnnl_reorder_primitive_desc_create(&p->description, ODN_BORROW(from), p->engine, ODN_BORROW(to),
                                                    p->engine, NULL);
    }
    if (!status) status = dnnl_primitive_create(&p->primitive, p->description);
    odn_release(&from);
    if (!made_to) odn_release(&to);
    if (status) odn_packer_destroy(p);
    return (int)status;
}

static inline void odn_slot_destroy(struct odn_slot *slot) {
    for (size_t i = 0; i < sizeof slot->memory / sizeof *slot->memory; i++) {
        if (slot->memory[i]) dnnl_memory_destroy(slot->memory[i]);
    }
    if (slot->stream) dnnl_stream_destroy(slot->stream);
    memset(slot, 0, sizeof *slot);
}

static inline int odn_slot_create(struct odn_slot *slot, dnnl_engine_t engine, const odn_description *list, int count) {
    memset(slot, 0, sizeof *slot);
    dnnl_status_t status = dnnl_stream_create(&slot->stream, engine, dnnl_stream_default_flags);
    for (int i = 0; i < count && !status; i++) {
        if (i == ODN_SCRATCH && dnnl_memory_desc_get_size(list[i]) == 0) continue;
        status = dnnl_memory_create(&slot->memory[i], list[i], engine, DNNL_MEMORY_NONE);
    }
    if (status) odn_slot_destroy(slot);
    return (int)status;
}

static inline int odn_product_slot(const struct odn_product *p, struct odn_slot *slot, int biased) {
    odn_description list[5] = {
        dnnl_primitive_desc_query_md(p->description, dnnl_query_src_md, 0),
        dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 0),
        dnnl_primitive_desc_query_md(p->description, dnnl_query_dst_md, 0),
        dnnl_primitive_desc_query_md(p->description, dnnl_query_scratchpad_md, 0),
        biased ? dnnl_primitive_desc_query_md(p->description, dnnl_query_weights_md, 1) : NULL,
    };
    return odn_slot_create(slot, p->engine, list, biased ? 5 : 4);
}

static inline int odn_packer_slot(const struct odn_packer *p, struct odn_slot *slot) {
    odn_description list[2] = {
        dnnl_primitive_desc_query_md(p->description, dnnl_query_src_md, 0),
        dnnl_primitive_desc_query_md(p->description, dnnl_query_dst_md, 0),
    };
    return odn_slot_create(slot, p->engine, list, 2);
}

static inline int odn_execute(dnnl_primitive_t primitive, const struct odn_slot *slot, const dnnl_exec_arg_t *arguments,
                              int count) {
    odn_one_thread();
    dnnl_status_t status = dnnl_primitive_execute(primitive, slot->stream, count, arguments);
    if (!status) status = dnnl_stream_wait(slot->stream);
    return (int)status;
}

// Packs a slice of B on the calling thread alone. `to` is where packed B begins, moved on by the distance from the
// slice that the packer was made for.
static inline int odn_packer_run(const struct odn_packer *p, const struct odn_slot *slot, const void *from, void *to) {
    dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, slot->memory[0]}, {DNNL_ARG_TO, slot->memory[1]}};
    dnnl_memory_set_data_handle(slot->memory[0], (void *)(uintptr_t)from);
    dnnl_memory_set_data_handle(slot->memory[1], to);
    return odn_execute(p->primitive, slot, arguments, 2);
}

// C (+)= A · B + bias on the calling thread alone; B is packed.
static inline int odn_product_run(const struct odn_product *p, const struct odn_slot *slot, const void *a,
                                  const void *b, const float *bias, float *c, void *scratch) {
    dnnl_exec_arg_t arguments[5] = {{DNNL_ARG_SRC, slot->memory[0]},
                                    {DNNL_ARG_WEIGHTS, slot->memory[1]},
                                    {DNNL_ARG_DST, slot->memory[2]}};
    int count = 3;
    dnnl_memory_set_data_handle(slot->memory[0], (void *)(uintptr_t)a);
    dnnl_memory_set_data_handle(slot->memory[1], (void *)(uintptr_t)b);
    dnnl_memory_set_data_handle(slot->memory[2], c);
    if (slot->memory[ODN_SCRATCH]) {
        dnnl_memory_set_data_handle(slot->memory[ODN_SCRATCH], scratch);
        arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, slot->memory[ODN_SCRATCH]};
    }
    if (slot->memory[4]) {
        dnnl_memory_set_data_handle(slot->memory[4], (void *)(uintptr_t)bias);
        arguments[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, slot->memory[4]};
    }
    return odn_execute(p->primitive, slot, arguments, count);
}

// Finite numbers in [-1, 1), from a linear congruential sequence (Knuth 1997, TAOCP 2, §3.3.4); not random, only
// varied.
static inline void odn_fill(void *memory, long count, int bf16, uint32_t state) {
    for (long i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float value = (float)((int32_t)state >> 8) * 0x1p-23f;
        uint32_t bits;
        memcpy(&bits, &value, 4);
        if (bf16) ((uint16_t *)memory)[i] = (uint16_t)(bits >> 16);
        else ((float *)memory)[i] = value;
    }
}
