// The fused bias, head norm, rotation and KV append against double precision; what it must not
// touch is NaN.
#include "tests/gpu/rope_reference.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

void expect_rope(const RopeCase& c) {
  const std::vector<int> lengths = {random_int(1, kPositions), random_int(1, kPositions),
                                    random_int(1, kPositions)};
  PagedCache cache(c.shape, lengths);
  const RopeInputs in(c);
  const int width = c.shape.width;
  // Rows: the last keys of each sequence, in turn, and a row of padding.
  std::vector<std::int32_t> positions, sequences;
  for (int s = 0; s < 3; ++s) {
    for (int back = 0; back < std::min(4, lengths[s]); ++back) {
      positions.push_back(lengths[s] - 1 - back);
      sequences.push_back(s);
    }
  }
  positions.push_back(-1);
  sequences.push_back(0);
  const int rows = static_cast<int>(positions.size());
  const auto qkv = random_bf16(std::size_t(rows) * in.heads * width, 1.0f);

  DeviceArray<Bf16> d_qkv(qkv), d_bias(in.bias), d_q(in.q_norm), d_k(in.k_norm), d_keys(cache.keys),
      d_values(cache.values);
  DeviceArray<float> d_angles(in.angles);
  DeviceArray<std::int32_t> d_positions(positions), d_sequences(sequences), d_table(cache.table);
  const RopeAppend args = {d_qkv.get(),
                           c.bias ? d_bias.get() : nullptr,
                           c.norm ? d_q.get() : nullptr,
                           c.norm ? d_k.get() : nullptr,
                           d_angles.get(),
                           d_positions.get(),
                           d_sequences.get(),
                           d_table.get(),
                           d_keys.get(),
                           d_values.get(),
                           rows,
                           cache.page_stride,
                           c.shape.q_heads,
                           c.shape.kv_heads,
                           width,
                           c.rotary,
                           c.interleaved ? 1 : 0,
                           1e-6f};
  ASSERT_EQ(spillway_rope_append(&args, nullptr), 0);
  const auto out = d_qkv.download();
  const auto keys = d_keys.download();
  const auto values = d_values.download();
  std::size_t written = 0;
  for (int r = 0; r + 1 < rows; ++r) {
    for (int head = 0; head < in.heads; ++head) {
      const std::size_t from = (std::size_t(r) * in.heads + head) * width;
      const auto expected = expected_head(c, in, qkv.data() + from, head, positions[r]);
      const int kv_head = head - c.shape.q_heads;
      const Bf16* got = out.data() + from;
      if (kv_head >= c.shape.kv_heads) {
        got = values.data() + cache.at(sequences[r], positions[r], kv_head - c.shape.kv_heads);
      } else if (kv_head >= 0) {
        got = keys.data() + cache.at(sequences[r], positions[r], kv_head);
      }
      EXPECT_LT(relative_error<Bf16>({got, std::size_t(width)}, expected), 6e-3)
          << "row " << r << " head " << head;
      if (kv_head >= 0) written += width;
    }
  }
  const auto numbers = [](const std::vector<Bf16>& all) {
    return std::size_t(
        std::count_if(all.begin(), all.end(), [](Bf16 value) { return value.bits != 0xffff; }));
  };
  EXPECT_EQ(numbers(keys) + numbers(values), written);  // Nothing else was touched.
}

TEST(RopeAppend, AllConventions) {
  for (const AttentionShape& shape : {AttentionShape{7, 1, 128}, {16, 8, 128}, {9, 3, 64}}) {
    for (const bool interleaved : {false, true}) {
      for (const bool bias : {false, true}) {
        for (const bool norm : {false, true}) {
          expect_rope({shape, shape.width, interleaved, bias, norm});
          expect_rope({shape, shape.width / 2, interleaved, bias, norm});
        }
      }
    }
  }
}

}  // namespace
}  // namespace spillway::gpu_test
