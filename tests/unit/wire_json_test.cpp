// Requests are read by a parser that is quick and says no more than "no"; what they mean, and where
// they are wrong, is what nlohmann's parser says.
#include "gateway/wire/json_object.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <random>
#include <string>
#include <vector>

namespace spillway::wire {
namespace {

using Json = nlohmann::json;

const std::vector<std::string> kSeeds{
    R"({"model":"m","messages":[{"role":"user","content":"héé \"\\\n\u00e9\ud83d\ude00"}],"stream":true})",
    R"({"seed":-9223372036854775808,"top":18446744073709551615,"t":0.25,"e":1e-7,"big":184467440737095516160})",
    R"( { "a" : [ ] , "b" : { } , "c" : [ null , false , { "d" : [ [ 1 ] ] } ] , "a" : -0.0 } )",
    R"({"tools":[{"function":{"parameters":{"type":"object","properties":{"x":{"enum":["a",1,1.5,null]}}}}}]})",
};

// As it stands, or with a few bytes changed, doubled or cut.
std::string mutant(std::mt19937& random) {
  static constexpr std::string_view kBytes = "{}[]\",:\\u0123456789eE+-.truefalsn \n\xc3\xff\x01";
  std::string text = kSeeds[random() % kSeeds.size()];
  for (auto changes = random() % 4; changes > 0; --changes) {
    const std::size_t at = random() % text.size();
    if (random() % 3 == 0) {
      text.insert(at, text.substr(random() % text.size(), random() % 12));
    } else if (random() % 2 == 0) {
      text[at] = kBytes[random() % kBytes.size()];
    } else {
      text.erase(at, 1 + random() % 3);
    }
  }
  return text;
}

// A number has one of three, which do not show in its text; "-0" is 0 here, not a signed number.
std::vector<Json::value_t> types_of(const Json& json) {
  std::vector<Json::value_t> types;
  for (const Json& leaf : json.flatten()) {
    const bool zero = leaf.is_number_integer() && leaf == 0;
    types.push_back(zero ? Json::value_t::number_unsigned : leaf.type());
  }
  return types;
}

TEST(WireJson, MeansWhatTheSlowParserSays) {
  std::mt19937 random(20251126);
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = mutant(random);
    Json wanted;
    try {
      wanted = Json::parse(text);
    } catch (const Json::exception&) {
      wanted = Json(Json::value_t::discarded);
    }
    const auto found = parse_object(text);
    ASSERT_EQ(found.has_value(), wanted.is_object()) << text;
    if (!found) continue;
    ++read;
    ASSERT_EQ(found->dump(), wanted.dump()) << text;
    ASSERT_EQ(types_of(*found), types_of(wanted)) << text;
  }
  EXPECT_GT(read, 5'000);
  EXPECT_LT(read, 15'000);
}

TEST(WireJson, SaysWhereItIsWrong) {
  EXPECT_EQ(parse_object(R"({"a": tru})").error().message,
            "the request body is not valid JSON at byte 10");
  EXPECT_EQ(parse_object("[1]").error().message, "the request body must be a JSON object");
  EXPECT_EQ(parse_object(R"({"a":1e400})").error().message,
            "the request body has a number that is too large");
  EXPECT_EQ(parse_object("").error().message, "the request body is not valid JSON at byte 1");
}

TEST(WireJson, NestsAsDeepAsItMay) {
  const auto nested = [](int levels, const std::string& inside) {
    std::string text;
    for (int i = 0; i < levels; ++i) text += R"({"a":)";
    return text + inside + std::string(levels, '}');
  };
  for (const std::string inside : {"1", R"("a")", "null"}) {
    EXPECT_TRUE(parse_object(nested(64, inside)).has_value());
    EXPECT_FALSE(parse_object(nested(65, inside)).has_value());
  }
  for (const std::string inside : {"[]", "{}"}) {
    EXPECT_TRUE(parse_object(nested(63, inside)).has_value());
    EXPECT_EQ(parse_object(nested(64, inside)).error().message,
              "the request body nests more than 64 levels deep");
  }
}

}  // namespace
}  // namespace spillway::wire
