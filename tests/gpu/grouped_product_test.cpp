// Products of groups against double precision.
#include "tests/gpu/grouped_products.h"

namespace spillway::gpu_test {
namespace {

TEST(GroupedLinear, RowsMeetTheWeightsOfTheirGroup) {
  for (const int tokens : {9, 60, 150, 270, 340, 430, 520, 700}) {
    of_experts(tokens, 8, 3, 128, 192, false, false).expect_as_defined(false);
    of_experts(tokens, 8, 3, 192, 64, true, true).expect_as_defined(false);
  }
}

TEST(GroupedLinear, RowsOfWeightsNeedNotFillTheirLastTile) {
  of_experts(90, 6, 3, 144, 128, false, false).expect_as_defined(false);
  of_experts(90, 6, 3, 80, 128, true, true).expect_as_defined(false);
}

TEST(GroupedLinear, WithoutListsEveryGroupHasAllRows) {
  for (const int rows : {1, 17, 65, 130}) of_heads(rows, 5, 256, 128).expect_as_defined(false);
}

// Blocks have several tiles, and go round their stages often.
TEST(GroupedLinear, ManyTilesOfManyStages) {
  of_experts(300, 66, 8, 512, 704, false, false).expect_as_defined(false);
}

// So many tokens a group that blocks share weights.
TEST(GroupedLinear, ManyTilesOfSharedWeights) {
  of_experts(1700, 20, 3, 1040, 320, false, false).expect_as_defined(false);
  of_experts(1100, 12, 3, 560, 448, true, true).expect_as_defined(false);
}

TEST(GroupedLinear, OneMayFollowAnotherOfTheSameLists) {
  for (const int tokens : {20, 200, 700}) {
    const int groups = tokens < 700 ? 24 : 8;
    const Product first = of_experts(tokens, groups, 4, 704, 512, true, true);
    Product second = of_experts(tokens, groups, 4, 512, 704, false, false);
    second.lists = first.lists;
    Product::OnDevice one(first), other(second);
    other.call.x = one.out.get();
    other.call.after_same_lists = 1;
    for (int i = 0; i < 10; ++i) {  // Also while the one before is still at work.
      check(spillway_grouped_linear(&one.call, nullptr), "first");
      check(spillway_grouped_linear(&other.call, nullptr), "second");
    }
    const auto between = one.out.download();
    second.take_x(between);
    first.expect_in(between);
    second.expect_in(other.out.download());
  }
}

TEST(GroupedLinear, ShapesThatDoNotFitAreRefused) {
  Product wide = of_heads(2, 2, 136, 64);
  EXPECT_NE(spillway_grouped_linear(&wide.args, nullptr), 0);
  Product deep = of_heads(2, 2, 128, 96);
  EXPECT_NE(spillway_grouped_linear(&deep.args, nullptr), 0);
}

TEST(GroupedSkinny, FewRowsMeetTheWeightsOfTheirGroup) {
  for (const int tokens : {1, 2, 5, 8}) {
    of_experts(tokens, 40, 3, 48, 1408, false, false).expect_as_defined(true);
    const auto norm = random_bf16(640, 0.2f, 1.0f);
    of_experts(tokens, 12, 4, 64, 640, true, true).expect_as_defined(true, &norm);
    of_heads(tokens, 5, 512, 128).expect_as_defined(true);
    of_heads(tokens, 3, 128, 512).expect_as_defined(true);
  }
}

}  // namespace
}  // namespace spillway::gpu_test
