// The template engine against what Python's Jinja2 renders (tests/golden/template).
#include "backends/local/template/chat_template.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>

namespace spillway::templates {
namespace {

using nlohmann::ordered_json;

const std::string kGolden = SPILLWAY_SOURCE_DIR "/tests/golden/template/";

// The reference's clock stands at 2026-01-02 03:04:05 local time.
std::chrono::system_clock::time_point reference_now() {
  std::tm local{};
  local.tm_year = 126;
  local.tm_mday = 2;
  local.tm_hour = 3;
  local.tm_min = 4;
  local.tm_sec = 5;
  local.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&local));
}

Result<std::string> render(const ordered_json& item) {
  const auto compiled = ChatTemplate::compile(item["template"].get<std::string>(), {});
  if (!compiled) return compiled.error();
  const auto text = compiled->render_json(item["variables"].dump(), reference_now());
  if (!text) return text.error();
  return std::string(text->bytes());
}

struct Score {
  int valid = 0;  // The reference renders it.
  int identical = 0;
  int refused = 0;   // The reference refuses, and so do we.
  int accepted = 0;  // The reference refuses, we do not.
};

void judge(const ordered_json& item, Score& score) {
  const auto got = render(item);
  const std::string name = item["name"];
  if (item.contains("error")) {
    ++(got ? score.accepted : score.refused);
    if (got)
      ADD_FAILURE() << name << ": must fail with " << item["error"] << ", but gives " << *got;
    return;
  }
  ++score.valid;
  if (got && *got == item["expected"]) {
    ++score.identical;
    return;
  }
  const std::string want = item["expected"];
  if (!got) {
    ADD_FAILURE() << name << ": " << got.error().message;
    return;
  }
  const auto where =
      std::mismatch(got->begin(), got->end(), want.begin(), want.end()).first - got->begin();
  const std::size_t from = where > 30 ? static_cast<std::size_t>(where) - 30 : 0;
  ADD_FAILURE() << name << " at " << where << "\n  got  ..."
                << ordered_json(got->substr(from, 90))
                       .dump(-1, ' ', false, ordered_json::error_handler_t::replace)
                << "\n  want ..."
                << ordered_json(want.substr(std::min(from, want.size()), 90))
                       .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

void judge_file(const std::string& path, int cases_min) {
  std::ifstream lines(path);
  Score score;
  for (std::string line; std::getline(lines, line);) judge(ordered_json::parse(line), score);
  std::cout << score.identical << " of " << score.valid
            << " identical; refused as the reference does: " << score.refused << " of "
            << score.refused + score.accepted << "\n";
  EXPECT_GE(score.valid, cases_min);
}

TEST(TemplateGolden, Smollm2) { judge_file(kGolden + "smollm2_cases.jsonl", 12); }

TEST(TemplateGolden, Features) { judge_file(kGolden + "feature_cases.jsonl", 115); }

TEST(TemplateGolden, GivenCases) {
  const char* path = std::getenv("SPILLWAY_TEMPLATE_CASES");
  if (!path) GTEST_SKIP() << "SPILLWAY_TEMPLATE_CASES names no file";
  judge_file(path, 1);
}

}  // namespace
}  // namespace spillway::templates
