// The skinny linear against a double-precision product: every token count, epilogue and k-split it
// has.
#include "backends/local/kernels/kernels.h"
#include "tests/gpu/device_array.h"
#include "tests/gpu/gate_reference.h"

#include <gtest/gtest.h>

namespace spillway::gpu_test {
namespace {

using namespace kernels;

struct LinearCase {
  int tokens;
  int n;
  int k;
  int epilogue;
  bool norm;
};

std::ostream& operator<<(std::ostream& out, const LinearCase& c) {
  return out << "tokens " << c.tokens << ", n " << c.n << ", k " << c.k << ", epilogue "
             << c.epilogue << ", norm " << c.norm;
}

class Reference {
 public:
  Reference(const LinearCase& c)
      : c_(c),
        x(random_bf16(std::size_t(c.tokens) * c.k, 1.5f)),
        weight(random_bf16(std::size_t(rows()) * c.k, 1.0f / std::sqrt(float(c.k)))),
        norm(random_bf16(c.k, 0.2f, 1.0f)),
        before(random_bf16(std::size_t(c.tokens) * c.n)) {}

  bool has_gate() const { return c_.epilogue == kSiluMul || c_.epilogue == kGeluMul; }
  int rows() const { return has_gate() ? 2 * c_.n : c_.n; }

  std::vector<double> expected() const {
    std::vector<double> out(std::size_t(c_.tokens) * c_.n);
    for (int t = 0; t < c_.tokens; ++t) {
      const double scale = c_.norm ? inverse_rms(t) : 1.0;
      for (int i = 0; i < c_.n; ++i) {
        double value = scale * dot(t, i);
        if (c_.epilogue == kAddBf16) value += before[std::size_t(t) * c_.n + i];
        if (has_gate()) {
          value = gated(value, c_.epilogue == kGeluMul ? kGelu : kSilu) * scale * dot(t, c_.n + i);
        }
        out[std::size_t(t) * c_.n + i] = value;
      }
    }
    return out;
  }

 private:
  double inverse_rms(int t) const {
    double squares = 0.0;
    for (int i = 0; i < c_.k; ++i)
      squares += double(x[std::size_t(t) * c_.k + i]) * x[std::size_t(t) * c_.k + i];
    return 1.0 / std::sqrt(squares / c_.k + 1e-6);
  }

  double dot(int t, int row) const {
    double sum = 0.0;
    for (int i = 0; i < c_.k; ++i) {
      const double a = x[std::size_t(t) * c_.k + i];
      sum += (c_.norm ? a * norm[i] : a) * weight[std::size_t(row) * c_.k + i];
    }
    return sum;
  }

  const LinearCase c_;

 public:
  const std::vector<Bf16> x;
  const std::vector<Bf16> weight;
  const std::vector<Bf16> norm;
  const std::vector<Bf16> before;
};

void expect_linear(const LinearCase& c) {
  const Reference reference(c);
  DeviceArray<Bf16> d_x(reference.x), d_weight(reference.weight), d_norm(reference.norm),
      d_out(reference.before);
  DeviceArray<float> d_logits(std::size_t(c.tokens) * c.n);
  if (c.epilogue != kAddBf16) check(cudaMemset(d_out.get(), 0xff, d_out.bytes()), "poison");
  void* out = c.epilogue == kStoreFloat ? static_cast<void*>(d_logits.get()) : d_out.get();
  const SkinnyLinear args = {
      out, d_x.get(), d_weight.get(), c.norm ? d_norm.get() : nullptr, c.tokens, c.n,
      c.k, 1e-6f,     c.epilogue};
  ASSERT_EQ(spillway_skinny_linear(&args, nullptr), 0) << c;
  const auto expected = reference.expected();
  const double error = c.epilogue == kStoreFloat
                           ? worst_row_error(d_logits.download(), expected, c.n)
                           : worst_row_error(d_out.download(), expected, c.n);
  // One rounding of the result; one more of x where a norm is applied, and that in both factors of
  // gate · up.
  const double once = c.epilogue == kStoreFloat ? 1e-4 : 4e-3;
  EXPECT_LT(error, !c.norm ? once : reference.has_gate() ? 9e-3 : 6e-3) << c;
}

TEST(SkinnyLinear, EveryTokenCount) {
  for (int tokens = 1; tokens <= kSkinnyTokensMax; ++tokens) {
    expect_linear({tokens, 64, 256, kStoreBf16, false});
    expect_linear({tokens, 64, 256, kStoreBf16, true});
  }
}

TEST(SkinnyLinear, EveryEpilogueWithAndWithoutNorm) {
  for (const int epilogue : {kStoreBf16, kStoreFloat, kAddBf16, kSiluMul, kGeluMul}) {
    for (const bool norm : {false, true}) {
      for (const int tokens : {1, 3, 8}) expect_linear({tokens, 160, 608, epilogue, norm});
    }
  }
}

// Long sums, dealt to the warps in uneven slices.
TEST(SkinnyLinear, SlicesOfK) {
  for (const int k : {2048, 3584, 4128, 9472, 18944}) {
    for (const int tokens : {1, 2, 8}) {
      expect_linear({tokens, 48, k, kAddBf16, false});
      expect_linear({tokens, 32, k, kStoreBf16, true});
      expect_linear({tokens, 32, k, kSiluMul, true});
    }
  }
}

TEST(SkinnyLinear, ManyRows) {
  for (const int tokens : {1, 7}) {
    expect_linear({tokens, 16928, 64, kStoreFloat, true});
    expect_linear({tokens, 4608, 160, kStoreBf16, true});
  }
}

TEST(SkinnyLinear, SmallestK) {
  for (const int k : {32, 96}) expect_linear({2, 16, k, kStoreBf16, true});
}

TEST(SkinnyLinear, RefusesWhatItCannotDo) {
  for (const auto& [tokens, n, k] : {std::tuple{9, 16, 32}, {0, 16, 32}, {1, 8, 32}, {1, 16, 48}}) {
    const SkinnyLinear args = {nullptr, nullptr, nullptr, nullptr, tokens, n, k, 0.0f, kStoreBf16};
    EXPECT_NE(spillway_skinny_linear(&args, nullptr), 0);
  }
}

}  // namespace
}  // namespace spillway::gpu_test
