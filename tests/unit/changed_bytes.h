// A file of which any byte may be another.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace spillway {

// Up to three bytes of `good` are changed, 2,000 times; `reads` says whether it read what came of
// it. It reads some, and refuses a quarter at least.
template <class Reads>
void expect_read_or_refused(const std::string& good, const Reads& reads) {
  constexpr int kTimes = 2'000;
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < kTimes; ++i) {
    std::string bytes = good;
    for (int changes = 0; changes <= i % 3; ++changes)
      bytes[random() % bytes.size()] = static_cast<char>(random() % 128);
    refused += reads(bytes) ? 0 : 1;
  }
  EXPECT_GT(refused, kTimes / 4);
  EXPECT_LT(refused, kTimes);
}

}  // namespace spillway
