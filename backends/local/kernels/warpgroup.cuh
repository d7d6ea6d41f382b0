// What Hopper adds: barriers in shared memory that count bytes, tiles that the copy engine brings
// (TMA), and products of a warpgroup (wgmma), whose operands it reads from shared memory.
//
// Tiles are rows of 64 bf16, 128 bytes each, whose 16-byte pieces are permuted by the row as
// Tile<64> of matrix_tiles.cuh does; the copy engine calls that a swizzle of 128 bytes, and wants
// tiles to begin at multiples of 1,024.
#pragma once

#include "backends/local/kernels/matrix_tiles.cuh"

#include <cuda.h>

namespace spillway::kernels {

inline constexpr int kWarpgroup = 4 * kWarp;
inline constexpr int kTileDepth = 64;  // Columns of a tile.
inline constexpr int kTileRowBytes = kTileDepth * 2;
inline constexpr int kTileAlignment = 1024;

// ---- barriers

__device__ inline void barrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Other threads and the copy engine see what barrier_init did.
__device__ inline void publish_barriers() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// Arrives at the same barrier of another block of the cluster, or of this one.
__device__ inline void barrier_arrive_at(uint32_t barrier, int block) {
  asm volatile(
      "{\n"
      ".reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
      "}\n" ::"r"(barrier),
      "r"(block)
      : "memory");
}

// All threads of the cluster have come as far, and see what the others did.
__device__ inline void meet_cluster() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

// All threads of a warpgroup have come as far. `barrier` from 1 to 15.
__device__ inline void meet_warpgroup(int barrier) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "n"(kWarpgroup) : "memory");
}

// The same, by a barrier that is known beforehand: the kernel takes no others than those it names.
template <int Barrier>
__device__ void meet_warpgroup() {
  asm volatile("bar.sync %0, %1;" ::"n"(Barrier), "n"(kWarpgroup) : "memory");
}

// Arrives, and lets the phase end only when the copy engine has written that much.
__device__ inline void barrier_expect(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Arrives when all that this thread has asked copy_async for has come.
__device__ inline void barrier_arrive_after_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}

// Until the phase of that parity has ended.
__device__ inline void barrier_wait(uint32_t barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again%=:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again%=;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// ---- the copy engine

// A tile of weights, which are read once. `at` counts from the innermost dimension.
__device__ inline void copy_tile(uint32_t to, const CUtensorMap& map, uint32_t barrier,
                                 const int (&at)[5]) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
      "%4, %5, %6, %7}], [%2];" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
      : "memory");
}

// The same, to the same place of each block of the cluster that has its bit in `blocks`, where it
// counts at that block's own barrier.
__device__ inline void copy_tile_to_all(uint32_t to, const CUtensorMap& map, uint32_t barrier,
                                        const int (&at)[5], int blocks) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::"
      "cluster [%0], [%1, {%3, %4, %5, %6, %7}], [%2], %8;" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4]),
      "h"(static_cast<uint16_t>(blocks))
      : "memory");
}

// Columns `column` to column + 63 of rows, of a matrix.
__device__ inline void copy_rows(uint32_t to, const CUtensorMap& map, uint32_t barrier, int column,
                                 int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, "
      "%4}], [%2];" ::"r"(to),
      "l"(&map), "r"(barrier), "r"(column), "r"(row)
      : "memory");
}

// ---- registers

// A warpgroup gives up registers, or waits for more: each of its threads has so many then. Each
// role of warpgroups does so in its own branch of one `if`.
template <int Registers>
__device__ void take_fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ void take_more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}

// ---- products

// What threads wrote to shared memory, and a barrier says is there, may be read by wgmma.
__device__ inline void let_products_see_copies() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void close_products() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// All groups but the youngest `Open` are done.
template <int Open>
__device__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Open) : "memory");
}

// Where wgmma finds rows of a tile; 16 columns further on is kDepthStep more.
inline constexpr uint64_t kDepthStep = 16 * 2 / 16;
__device__ inline uint64_t operand_of(uint32_t tile) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kEightRows = uint64_t{8 * kTileRowBytes / 16} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;
  return kSwizzle128 | kEightRows | kUnused | ((tile & 0x3ffff) >> 4);
}

// The same, for rows that are what is summed over, as many bytes before the next 64 columns; 16
// rows further on is kRowsStep more.
inline constexpr uint64_t kRowsStep = 16 * kTileRowBytes / 16;
__device__ inline uint64_t columns_of(uint32_t tile, int next_columns) {
  constexpr uint64_t kNextColumns = uint64_t{0x3fff} << 16;
  return (operand_of(tile) & ~kNextColumns) | uint64_t(next_columns / 16) << 16;
}

// Sums that wgmma has made may be looked at only now that it is done.
template <int N>
__device__ void settle(float (&sums)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// d[64 × N] (+)= a[64 × 16] · b[N × 16]ᵀ by a warpgroup, N columns in blocks of 8; warp w has rows
// 16 w …, of a block as mma_16x8x16 has d. Without `add` d begins anew.
template <int N>
__device__ void warpgroup_multiply(float (&d)[N / 2], uint64_t a, uint64_t b, bool add);

// The same of E4M3, whose rows of a tile have 128 columns: d (+)= a[64 × 32] · b[N × 32]ᵀ.
template <int N>
__device__ void warpgroup_multiply_e4m3(float (&d)[N / 2], uint64_t a, uint64_t b, bool add);

#define SPILLWAY_SUMS4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SPILLWAY_SUMS8(d, i) SPILLWAY_SUMS4(d, i), SPILLWAY_SUMS4(d, i + 4)
#define SPILLWAY_SUMS16(d, i) SPILLWAY_SUMS8(d, i), SPILLWAY_SUMS8(d, i + 8)
#define SPILLWAY_SUMS32(d, i) SPILLWAY_SUMS16(d, i), SPILLWAY_SUMS16(d, i + 16)
#define SPILLWAY_NAMES8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define SPILLWAY_NAMES16 SPILLWAY_NAMES8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SPILLWAY_NAMES32 \
  SPILLWAY_NAMES16       \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SPILLWAY_NAMES48 \
  SPILLWAY_NAMES32       \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define SPILLWAY_NAMES56 SPILLWAY_NAMES48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define SPILLWAY_NAMES64 \
  SPILLWAY_NAMES48       \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SPILLWAY_NAMES72 SPILLWAY_NAMES64 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define SPILLWAY_MULTIPLY(n, names, a_name, b_name, add_name, a_transposed, b_transposed)      \
  "{\n.reg .pred add;\nsetp.ne.b32 add, " add_name ", 0;\nwgmma.mma_async.sync.aligned.m64n" n \
  "k16.f32.bf16.bf16 {" names "}, " a_name ", " b_name ", add, 1, 1, " a_transposed            \
  ", " b_transposed ";\n}\n"
#define SPILLWAY_MULTIPLY_E4M3(n, names, a_name, b_name, add_name)                             \
  "{\n.reg .pred add;\nsetp.ne.b32 add, " add_name ", 0;\nwgmma.mma_async.sync.aligned.m64n" n \
  "k32.f32.e4m3.e4m3 {" names "}, " a_name ", " b_name ", add, 1, 1;\n}\n"

// The two kinds for one N, whose operands' names follow those of the sums.
#define SPILLWAY_MULTIPLIES(n, names, a_name, b_name, add_name, ...)                           \
  template <>                                                                                  \
  __device__ inline void warpgroup_multiply<n>(float (&d)[n / 2], uint64_t a, uint64_t b,      \
                                               bool add) {                                     \
    asm volatile(SPILLWAY_MULTIPLY(#n, names, a_name, b_name, add_name, "0", "0")              \
                 : __VA_ARGS__                                                                 \
                 : "l"(a), "l"(b), "r"(int{add}));                                             \
  }                                                                                            \
  template <>                                                                                  \
  __device__ inline void warpgroup_multiply_e4m3<n>(float (&d)[n / 2], uint64_t a, uint64_t b, \
                                                    bool add) {                                \
    asm volatile(SPILLWAY_MULTIPLY_E4M3(#n, names, a_name, b_name, add_name)                   \
                 : __VA_ARGS__                                                                 \
                 : "l"(a), "l"(b), "r"(int{add}));                                             \
  }
SPILLWAY_MULTIPLIES(16, SPILLWAY_NAMES8, "%8", "%9", "%10", SPILLWAY_SUMS8(d, 0))
SPILLWAY_MULTIPLIES(32, SPILLWAY_NAMES16, "%16", "%17", "%18", SPILLWAY_SUMS16(d, 0))
SPILLWAY_MULTIPLIES(96, SPILLWAY_NAMES48, "%48", "%49", "%50", SPILLWAY_SUMS32(d, 0),
                    SPILLWAY_SUMS16(d, 32))
SPILLWAY_MULTIPLIES(112, SPILLWAY_NAMES56, "%56", "%57", "%58", SPILLWAY_SUMS32(d, 0),
                    SPILLWAY_SUMS16(d, 32), SPILLWAY_SUMS8(d, 48))
SPILLWAY_MULTIPLIES(128, SPILLWAY_NAMES64, "%64", "%65", "%66", SPILLWAY_SUMS32(d, 0),
                    SPILLWAY_SUMS32(d, 32))
SPILLWAY_MULTIPLIES(144, SPILLWAY_NAMES72, "%72", "%73", "%74", SPILLWAY_SUMS32(d, 0),
                    SPILLWAY_SUMS32(d, 32), SPILLWAY_SUMS8(d, 64))
#undef SPILLWAY_MULTIPLIES

// The same with a from registers, which stay as they are until the product is done.
template <int N>
__device__ void warpgroup_multiply_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                             bool add);

#define SPILLWAY_MULTIPLY_REGISTERS(n, names, a_names, b_name, add_name)                       \
  "{\n.reg .pred add;\nsetp.ne.b32 add, " add_name ", 0;\nwgmma.mma_async.sync.aligned.m64n" n \
  "k16.f32.bf16.bf16 {" names "}, {" a_names "}, " b_name ", add, 1, 1, 0;\n}\n"
#define SPILLWAY_FRAGMENTS(a) "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3])

template <>
__device__ inline void warpgroup_multiply_registers<32>(float (&d)[16], const uint32_t (&a)[4],
                                                        uint64_t b, bool add) {
  asm volatile(
      SPILLWAY_MULTIPLY_REGISTERS("32", SPILLWAY_NAMES16, "%16, %17, %18, %19", "%20", "%21")
      : SPILLWAY_SUMS16(d, 0)
      : SPILLWAY_FRAGMENTS(a), "l"(b), "r"(int{add}));
}

template <>
__device__ inline void warpgroup_multiply_registers<64>(float (&d)[32], const uint32_t (&a)[4],
                                                        uint64_t b, bool add) {
  asm volatile(
      SPILLWAY_MULTIPLY_REGISTERS("64", SPILLWAY_NAMES32, "%32, %33, %34, %35", "%36", "%37")
      : SPILLWAY_SUMS32(d, 0)
      : SPILLWAY_FRAGMENTS(a), "l"(b), "r"(int{add}));
}

template <>
__device__ inline void warpgroup_multiply_registers<128>(float (&d)[64], const uint32_t (&a)[4],
                                                         uint64_t b, bool add) {
  asm volatile(
      SPILLWAY_MULTIPLY_REGISTERS("128", SPILLWAY_NAMES64, "%64, %65, %66, %67", "%68", "%69")
      : SPILLWAY_SUMS32(d, 0), SPILLWAY_SUMS32(d, 32)
      : SPILLWAY_FRAGMENTS(a), "l"(b), "r"(int{add}));
}

#undef SPILLWAY_FRAGMENTS
#undef SPILLWAY_MULTIPLY_REGISTERS

// The same with b[16 × 128], of which a tile's row is 64 columns of one of the 16.
__device__ inline void warpgroup_multiply_columns(float (&d)[64], uint64_t a, uint64_t b) {
  asm volatile(SPILLWAY_MULTIPLY("128", SPILLWAY_NAMES64, "%64", "%65", "%66", "0", "1")
               : SPILLWAY_SUMS32(d, 0), SPILLWAY_SUMS32(d, 32)
               : "l"(a), "l"(b), "r"(1));
}

// d[64 × 16] += a[16 × 64]ᵀ · b[16 × 16]ᵀ, a tile's row of a being 64 columns of one of its 16.
__device__ inline void warpgroup_multiply_few(float (&d)[8], uint64_t a, uint64_t b) {
  asm volatile(SPILLWAY_MULTIPLY("16", SPILLWAY_NAMES8, "%8", "%9", "%10", "1", "0")
               : SPILLWAY_SUMS8(d, 0)
               : "l"(a), "l"(b), "r"(1));
}

#undef SPILLWAY_MULTIPLY
#undef SPILLWAY_MULTIPLY_E4M3
#undef SPILLWAY_NAMES72
#undef SPILLWAY_NAMES64
#undef SPILLWAY_NAMES56
#undef SPILLWAY_NAMES48
#undef SPILLWAY_NAMES32
#undef SPILLWAY_NAMES16
#undef SPILLWAY_NAMES8
#undef SPILLWAY_SUMS32
#undef SPILLWAY_SUMS16
#undef SPILLWAY_SUMS8
#undef SPILLWAY_SUMS4

}  // namespace spillway::kernels
