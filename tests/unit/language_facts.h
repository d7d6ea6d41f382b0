// Facts for the tests of the conditions' language: any values, by name.
#pragma once

#include "config/language/program.h"

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace spillway::language {

inline const Targets& test_targets() {
  static const Targets targets{"local", {"ai-hub", "7b-host"}};
  return targets;
}

class TestFacts final : public FactSource {
 public:
  void set(Fact fact, double value, int target = -1) {
    numbers_[{static_cast<int>(fact), target}] = value;
  }
  void set(Fact fact, std::string value) { texts_[static_cast<int>(fact)] = std::move(value); }

  double number(const FactRef& fact) const override {
    const auto found = numbers_.find({static_cast<int>(fact.fact), fact.target});
    return found == numbers_.end() ? 0.0 : found->second;
  }
  std::string_view text(const FactRef& fact) const override {
    const auto found = texts_.find(static_cast<int>(fact.fact));
    return found == texts_.end() ? std::string_view() : found->second;
  }

 private:
  std::map<std::pair<int, int>, double> numbers_;
  std::map<int, std::string> texts_;
};

// Values that conditions are likely to be compared with.
inline TestFacts random_facts(std::mt19937& random) {
  const auto below = [&](int limit) {
    return std::uniform_int_distribution<int>(0, limit - 1)(random);
  };
  TestFacts facts;
  for (const FactRow& row : fact_rows()) {
    for (int target = -1; target < 3; ++target) {
      double value = below(8);
      if (row.type == Type::boolean) value = below(2);
      if (row.type == Type::money) value *= 1e9;
      if (row.type == Type::time_of_day) value *= 3'600.0;
      if (row.fact == Fact::kv_free || row.fact == Fact::budget_left || row.fact == Fact::quality)
        value /= 8.0;
      facts.set(row.fact, value, target);
    }
    if (row.type == Type::text)
      facts.set(row.fact, std::string(1, static_cast<char>('a' + below(4))));
  }
  return facts;
}

}  // namespace spillway::language
