// Rows of bf16 on their way from memory to the tensor cores: tiles in shared memory, copied
// asynchronously and read as fragments of mma.
#pragma once

#include "backends/local/kernels/device.cuh"

namespace spillway::kernels {

__device__ inline uint32_t shared_address(const void* in_shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(in_shared));
}

// 16-byte pieces of a row are permuted by the row, so that 8 rows of one column lie in 8 different
// bank groups.
template <int Width, int Rows = 64>
struct Tile {
  static constexpr int kPieces = Width / 8;  // Of a row.

  Bf16x8 data[Rows * kPieces];

  __device__ static int at(int row, int piece) { return row * kPieces + (piece ^ (row % 8)); }
  __device__ Bf16x8& piece(int row, int piece) { return data[at(row, piece)]; }
};

template <int Width, int Rows>
__device__ uint32_t piece_address(const Tile<Width, Rows>& tile, int row, int piece) {
  return shared_address(tile.data + Tile<Width, Rows>::at(row, piece));
}

__device__ inline void copy_async(uint32_t to, const void* from, bool exists) {
  const int bytes = exists ? 16 : 0;  // The rest is filled with zeros.
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes)
               : "memory");
}

// What this thread copied since the last call is one group.
__device__ inline void close_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// All groups of this thread but the youngest `Open` have arrived.
template <int Open>
__device__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Open) : "memory");
}

__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// 8 × 8 matrices that lie in registers as mma has its results, each a column of 8 rows, two
// neighbours a register: what was a column comes to lie in a row. Lane 8m + i says where row i of
// matrix m goes.
__device__ inline void store_transposed(uint32_t address, uint32_t first, uint32_t second) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(address),
               "r"(first), "r"(second)
               : "memory");
}
__device__ inline void store_transposed(uint32_t address, uint32_t first, uint32_t second,
                                        uint32_t third, uint32_t fourth) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
      "r"(first), "r"(second), "r"(third), "r"(fourth)
      : "memory");
}

// d += a · b, with a fragment of 16 rows and half of one of 16 columns.
__device__ inline void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  mma_16x8x16(d, a[0], a[1], a[2], a[3], b0, b1);
}

}  // namespace spillway::kernels
