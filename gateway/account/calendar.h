// Days and months of UTC, from milliseconds since 1970. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace spillway::account {

constexpr std::int64_t kMillisecondsPerHour = 3'600'000;

// Milliseconds since 1970, by the clock on the wall.
std::int64_t wall_milliseconds();

// Hours since 1970.
std::int64_t first_hour_of_day(std::int64_t milliseconds);
std::int64_t first_hour_of_month(std::int64_t milliseconds);

// When the next one begins, in milliseconds since 1970.
std::int64_t next_day(std::int64_t milliseconds);
std::int64_t next_month(std::int64_t milliseconds);

// "2026-11-26"
std::string date_of(std::int64_t milliseconds);

}  // namespace spillway::account
