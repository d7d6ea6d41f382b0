// Both forms of attention to latent rows beside double precision, and when which is taken.
#include "backends/local/model/latent_forms_internal.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>
#include <random>
#include <string>
#include <sys/resource.h>

namespace spillway::local {
namespace {

struct Shape {
  int heads, width, rope_width, key_width, value_width;
};

constexpr Shape kTiny = {1, 3, 2, 2, 1};
constexpr Shape kV2Lite = {16, 512, 64, 128, 128};

LatentForms forms_of(const Shape& shape) {
  LatentForms forms;
  forms.shape.width = shape.width;
  forms.shape.rope_width = shape.rope_width;
  forms.shape.key_width = shape.key_width;
  forms.shape.value_width = shape.value_width;
  forms.key_up = at::randn({shape.heads, shape.width, shape.key_width}) / shape.width;
  forms.value_up = at::randn({shape.heads, shape.value_width, shape.width}) / shape.width;
  return forms;
}

struct Asked {
  at::Tensor queries, lines;
};

Asked asked(const LatentForms& forms, std::int64_t rows, std::int64_t context) {
  const auto& shape = forms.shape;
  return {at::randn({rows, forms.key_up.size(0), shape.key_width + shape.rope_width}),
          at::randn({context, shape.line_width()})};
}

at::Tensor absorbed(const LatentForms& forms, const Asked& of) {
  return forms.values_of(forms.attend_absorbed(forms.absorbed(of.queries), of.lines));
}

// As the paper writes it: every head's keys and values of every line, all rows at once.
at::Tensor in_double(const LatentForms& forms, const Asked& of) {
  const auto& shape = forms.shape;
  const auto queries = of.queries.to(at::kDouble);
  const auto lines = of.lines.to(at::kDouble);
  const auto latent = lines.narrow(1, 0, shape.width);
  const auto keys = at::einsum("cw,hwk->chk", {latent, forms.key_up.to(at::kDouble)});
  const auto values = at::einsum("cw,hvw->chv", {latent, forms.value_up.to(at::kDouble)});
  const auto plain = queries.narrow(2, 0, shape.key_width);
  const auto turned = queries.narrow(2, shape.key_width, shape.rope_width);
  auto scores = at::einsum("rhk,chk->hrc", {plain, keys}) +
                at::einsum("rhp,cp->hrc", {turned, lines.narrow(1, shape.width, shape.rope_width)});
  const auto seen =
      at::ones({queries.size(0), lines.size(0)}).tril(lines.size(0) - queries.size(0));
  scores.masked_fill_(seen.eq(0), -INFINITY);
  return at::einsum("hrc,chv->rhv", {at::softmax(scores, -1), values}).flatten(1);
}

double error_of(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

void expect_both_exact(const Shape& shape, std::int64_t rows, std::int64_t context) {
  const auto forms = forms_of(shape);
  const auto of = asked(forms, rows, context);
  const auto want = in_double(forms, of);
  const auto trace = std::to_string(rows) + " rows over " + std::to_string(context) + " lines, " +
                     std::to_string(shape.heads) + " heads of " + std::to_string(shape.width);
  EXPECT_LT(error_of(absorbed(forms, of), want), 1e-5) << trace;
  EXPECT_LT(error_of(forms.attend_expanded(of.queries, of.lines), want), 1e-5) << trace;
}

TEST(LatentForms, BothAreWhatDoublePrecisionSays) {
  at::manual_seed(1);
  std::mt19937 random(1);
  const auto up_to = [&random](int most) { return 1 + static_cast<int>(random() % most); };
  for (int i = 0; i < 30; ++i) {
    const Shape shape = {up_to(9), up_to(80), 2 * up_to(12), up_to(40), up_to(40)};
    const int context = up_to(300);
    expect_both_exact(shape, up_to(context), context);
  }
}

TEST(LatentForms, BothAreExactForAModelsShapeAndATinyOne) {
  at::manual_seed(2);
  for (const Shape& shape : {kTiny, kV2Lite}) {
    for (const auto& [rows, context] : {std::pair(1, 1), {1, 150}, {8, 150}, {140, 200}}) {
      expect_both_exact(shape, rows, context);
    }
  }
}

TEST(LatentForms, APromptIsExpandedAndOneTokenIsAbsorbed) {
  const auto forms = forms_of(kV2Lite);
  for (const std::int64_t tokens : {2, 40, 512, 4096}) {
    EXPECT_TRUE(forms.expanding_costs_less(tokens, tokens)) << tokens;
    EXPECT_FALSE(forms.expanding_costs_less(1, tokens)) << tokens;
  }
  // A head's 131,072 multiplications for each row, or for each line; then 1,088 or 320 for each
  // pair.
  EXPECT_FALSE(forms.expanding_costs_less(163, 4096));
  EXPECT_TRUE(forms.expanding_costs_less(170, 4096));
}

// OMP_NUM_THREADS=1 --gtest_also_run_disabled_tests --gtest_filter='*Times' prints what
// PERFORMANCE.md quotes: the processor's time, as others may be at work.
TEST(LatentForms, DISABLED_Times) {
  const auto forms = forms_of(kV2Lite);
  const auto best = [](const auto& work) {
    std::clock_t least = std::numeric_limits<std::clock_t>::max();
    for (int i = 0; i < 3; ++i) {
      const auto start = std::clock();
      work();
      least = std::min(least, std::clock() - start);
    }
    return 1e3 * static_cast<double>(least) / CLOCKS_PER_SEC;
  };
  for (const auto& [rows, context] :
       {std::pair(1, 512), {64, 512}, {512, 512}, {128, 4096}, {512, 4096}, {512, 16384}}) {
    const auto of = asked(forms, rows, context);
    const double by_query = best([&] { absorbed(forms, of); });
    const double by_line = best([&] { forms.attend_expanded(of.queries, of.lines); });
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    std::printf("%4d rows over %5d lines: absorbed %7.1f ms, expanded %7.1f ms; %s; %ld MB\n", rows,
                context, by_query, by_line,
                forms.expanding_costs_less(rows, context) ? "expanded" : "absorbed",
                used.ru_maxrss / 1024);
  }
}

}  // namespace
}  // namespace spillway::local
