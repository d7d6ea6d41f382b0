// Sums over ranks, as many as the machine has GPUs and more, against double precision, bit for bit
// the same on all of them, through several passes.
#include "tests/gpu/e4m3_host.h"
#include "tests/gpu/peer_group.h"

#include <gtest/gtest.h>

#include <numeric>

namespace spillway::gpu_test {
namespace {

constexpr double kTolerance = 8e-3;      // bf16, once a sum and once for what is normed.
constexpr double kE4m3Tolerance = 4e-2;  // Three bits of mantissa.
constexpr float kEpsilon = 1e-6f;

struct Case {
  int ranks;
  int width;
  std::vector<int> rows;  // Of each exchange; up to 8 as few tokens.
};

std::ostream& operator<<(std::ostream& out, const Case& one) {
  return out << one.ranks << " ranks, width " << one.width << ", " << one.rows.size() << " sums";
}

class PeerSums : public testing::TestWithParam<Case> {
 protected:
  using Rows = std::vector<double>;

  // Every rank's hidden rows, and beside them what they are.
  void begin(int rows_max) {
    const auto& [ranks, width, rows] = GetParam();
    group_ = std::make_unique<PeerRanks>(ranks, width, rows_max, static_cast<int>(rows.size()),
                                         in_parts_);
    const auto start = random_bf16(std::size_t(rows_max) * width);
    hidden_.assign(start.begin(), start.end());
    weight_ = random_bf16(width, 0.3f, 1.0f);
    for (int rank = 0; rank < ranks; ++rank) {
      group_->choose(rank);
      device_hidden_.push_back(std::make_unique<DeviceArray<Bf16>>(start));
      device_weight_.push_back(std::make_unique<DeviceArray<Bf16>>(weight_));
      out_.push_back(std::make_unique<DeviceArray<Bf16>>(start.size()));
    }
  }

  // Every rank's product of few rows; what they are together.
  Rows give_few(int rows) {
    Rows sum(std::size_t(rows) * GetParam().width);
    on_ranks([&](int rank) {
      std::normal_distribution<float> normal;
      std::vector<float> x(sum.size());
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i] = normal(generator());
      check(cudaMemcpy(group_->exchange(rank).few_product(), x.data(), x.size() * sizeof(float),
                       cudaMemcpyHostToDevice),
            "few");
    });
    return sum;
  }

  Rows give_rows(int rows) {
    Rows sum(std::size_t(rows) * GetParam().width);
    on_ranks([&](int rank) {
      const auto x = random_bf16(sum.size());
      for (std::size_t i = 0; i < x.size(); ++i) sum[i] += x[i];
      check(cudaMemcpy(group_->exchange(rank).product(), x.data(), x.size() * sizeof(Bf16),
                       cudaMemcpyHostToDevice),
            "rows");
    });
    return sum;
  }

  void add_to_hidden(const Rows& rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) hidden_[i] += rows[i];
  }

  // Once all ranks have what they add, all add it.
  void add_few(int rows) {
    add_to_hidden(give_few(rows));
    on_ranks([&](int rank) {
      check(group_->exchange(rank).sum_few(device_hidden_[rank]->get(), rows), "sum of few");
    });
  }

  // The sum alone, in `out_`.
  Rows store_few(int rows) {
    const Rows sum = give_few(rows);
    on_ranks([&](int rank) {
      check(group_->exchange(rank).store_few(out_[rank]->get(), rows), "sum of few");
    });
    return sum;
  }

  void add_normed_rows(int rows) {
    add_to_hidden(normed(give_rows(rows), rows));
    on_ranks([&](int rank) {
      const kernels::AddNormed norm = {device_hidden_[rank]->get(),
                                       nullptr,
                                       device_weight_[rank]->get(),
                                       rows,
                                       GetParam().width,
                                       kEpsilon};
      check(group_->exchange(rank).add_normed_sum(norm), "sum of rows");
    });
  }

  void add_rows(int rows) {
    const int width = GetParam().width;
    add_to_hidden(give_rows(rows));
    on_ranks([&](int rank) {
      kernels::RmsNorm norm = {group_->normed(rank).get(),
                               nullptr,
                               device_hidden_[rank]->get(),
                               device_weight_[rank]->get(),
                               nullptr,
                               rows,
                               width,
                               kEpsilon};
      if (e4m3_) {
        norm.out = group_->quantized(rank).get();
        norm.scales = group_->row_scales(rank).get();
      }
      check(group_->exchange(rank).norm_sum(norm), "sum of rows");
    });
  }

  template <class Exchange>
  void run_passes(Exchange exchange);

  template <class Work>
  void on_ranks(Work work) {
    for (int rank = 0; rank < group_->size(); ++rank) {
      group_->choose(rank);
      work(rank);
    }
  }

  Rows normed(const Rows& of, int rows) const {
    const int width = GetParam().width;
    Rows out;
    for (int row = 0; row < rows; ++row) {
      const auto begin = of.begin() + long(row) * width;
      const double squares = std::inner_product(begin, begin + width, begin, 0.0);
      for (int i = 0; i < width; ++i) {
        out.push_back(begin[i] / std::sqrt(squares / width + kEpsilon) * weight_[i]);
      }
    }
    return out;
  }

  // The same bits on every rank, and nearly the reference.
  template <class ArrayOf>
  void expect(ArrayOf array_of, const Rows& expected, const std::string& what) {
    std::vector<Bf16> first;
    for (int rank = 0; rank < group_->size(); ++rank) {
      group_->choose(rank);
      auto values = array_of(rank).download();
      values.resize(expected.size());
      EXPECT_LT(worst_row_error(values, expected, GetParam().width), kTolerance)
          << what << " of rank " << rank;
      if (rank == 0) first = values;
      const auto same = [](Bf16 a, Bf16 b) { return a.bits == b.bits; };
      EXPECT_TRUE(std::equal(values.begin(), values.end(), first.begin(), same)) << what;
    }
  }

  // In parts, each row on the rank whose it is.
  void expect_hidden() {
    const auto array_of = [this](int rank) -> auto& { return *device_hidden_[rank]; };
    if (!in_parts_) return expect(array_of, hidden_, "hidden");
    std::vector<Bf16> rows(hidden_.size());
    on_ranks([&](int rank) {
      const auto own = array_of(rank).download();
      const std::size_t width = GetParam().width;
      for (std::size_t at = rank * width; at < rows.size(); at += group_->size() * width)
        std::copy_n(own.begin() + long(at), width, rows.begin() + long(at));
    });
    EXPECT_LT(worst_row_error(rows, hidden_, GetParam().width), kTolerance) << "hidden";
  }

  void expect_normed(int rows) {
    if (e4m3_) return expect_quantized(rows);
    const auto array_of = [this](int rank) -> auto& { return group_->normed(rank); };
    expect(array_of, normed(hidden_, rows), "normed");
  }

  void expect_quantized(int rows) {
    const std::size_t width = GetParam().width;
    const Rows expected = normed(hidden_, rows);
    std::vector<float> first;
    on_ranks([&](int rank) {
      const auto bytes = group_->quantized(rank).download();
      const auto scales = group_->row_scales(rank).download();
      std::vector<float> values;
      for (std::size_t i = 0; i < expected.size(); ++i)
        values.push_back(float(from_e4m3(bytes[i])) * scales[i / width]);
      EXPECT_LT(worst_row_error(values, expected, width), kE4m3Tolerance) << rank;
      if (rank == 0) first = values;
      EXPECT_EQ(values, first) << rank;
    });
  }

  // Passes of sums that are added to hidden and normed.
  void run_norms() {
    run_passes([&](int rows, bool few) {
      few ? add_few(rows) : add_rows(rows);
      expect_hidden();
      if (!few) expect_normed(rows);
    });
  }

  bool in_parts_ = false;
  bool e4m3_ = false;  // What is normed.
  std::unique_ptr<PeerRanks> group_;
  Rows hidden_;
  std::vector<Bf16> weight_;
  std::vector<std::unique_ptr<DeviceArray<Bf16>>> device_hidden_, device_weight_, out_;
};

// Passes of the case's sums, of each what `exchange` does.
template <class Exchange>
void PeerSums::run_passes(Exchange exchange) {
  constexpr int kPasses = 3;
  constexpr int kSharedRowsMax = 100;  // Of a GPU: all blocks of all its ranks must run at once.
  const auto& sums = GetParam().rows;
  const int rows_max = *std::max_element(sums.begin(), sums.end());
  begin(rows_max);
  if (group_->share_a_device() && rows_max > kSharedRowsMax) GTEST_SKIP() << "takes more GPUs";
  for (int pass = 0; pass < kPasses; ++pass) {
    for (int rank = 0; rank < group_->size(); ++rank) group_->exchange(rank).begin_pass(rows_max);
    for (const int rows : sums) exchange(rows, rows <= kernels::kSkinnyTokensMax);
    on_ranks([&](int rank) { check(group_->exchange(rank).meet(), "meeting"); });
  }
}

TEST_P(PeerSums, AreTheReferenceOnEveryRank) { run_norms(); }

TEST_P(PeerSums, AreTheReferenceInE4m3) {
  e4m3_ = true;
  run_norms();
}

TEST_P(PeerSums, InPartsAreTheReference) {
  if (GetParam().ranks < 3) GTEST_SKIP() << "two ranks sum whole rows";
  in_parts_ = true;
  run_norms();
}

TEST_P(PeerSums, InPartsAreTheReferenceInE4m3) {
  if (GetParam().ranks < 3) GTEST_SKIP() << "two ranks sum whole rows";
  in_parts_ = e4m3_ = true;
  run_norms();
}

// As Gemma has it.
TEST_P(PeerSums, AreAddedNormedOnEveryRank) {
  run_passes([&](int rows, bool few) {
    const auto sum_of = [this](int rank) -> auto& { return *out_[rank]; };
    if (few) return expect(sum_of, store_few(rows), "sum");
    add_normed_rows(rows);
    expect_hidden();
  });
}

// Ranks without a GPU of their own share one, and have few rows then.
std::vector<Case> cases() {
  std::vector<Case> all = {{2, 192, {1, 8}},          {2, 3584, {8, 3, 40, 17}},
                           {2, 8192, {9, 30}},        {2, 16384, {20, 5}},
                           {3, 1024, {2, 21, 64, 1}}, {3, 8192, {9, 30}},
                           {4, 3584, {1, 30, 30, 4}}, {kernels::kRanksMax, 1024, {3, 20, 20, 8}}};
  for (int ranks = 2; ranks <= std::clamp(device_count(), 2, kernels::kRanksMax); ++ranks)
    all.push_back({ranks, 3584, {1300, 640}});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, PeerSums, testing::ValuesIn(cases()));

TEST(PeerExchange, TokensOfTheFirstRankReachAll) {
  PeerRanks group(std::clamp(device_count(), 3, kernels::kRanksMax), 64, 16, 2, false);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::int32_t> tokens(PeerRanks::kTokens);
    for (auto& token : tokens) token = random_int(0, 1 << 20);
    group.choose(0);
    check(cudaMemcpy(group.last_token(0), tokens.data(), tokens.size() * 4, cudaMemcpyHostToDevice),
          "tokens");
    for (int rank = group.size() - 1; rank >= 0; --rank) {
      group.choose(rank);
      check(group.exchange(rank).meet(), "meeting");
      check(group.exchange(rank).hand_out_tokens(PeerRanks::kTokens), "handing out");
    }
    for (int rank = 0; rank < group.size(); ++rank) {
      group.choose(rank);
      EXPECT_EQ(group.last_tokens(rank), tokens) << rank;
    }
  }
}

}  // namespace
}  // namespace spillway::gpu_test
