#include "gateway/account/calendar.h"

#include <cstdio>

namespace spillway::account {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

sys_days day_of(std::int64_t milliseconds) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{
      std::chrono::milliseconds(milliseconds)};
  return std::chrono::floor<days>(time);
}

std::int64_t hours(sys_days day) { return std::int64_t{day.time_since_epoch().count()} * 24; }

sys_days first_of_month(std::int64_t milliseconds) {
  const year_month_day date{day_of(milliseconds)};
  return sys_days{date.year() / date.month() / 1};
}

}  // namespace

std::int64_t wall_milliseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

std::int64_t first_hour_of_day(std::int64_t milliseconds) { return hours(day_of(milliseconds)); }

std::int64_t first_hour_of_month(std::int64_t milliseconds) {
  return hours(first_of_month(milliseconds));
}

std::int64_t next_day(std::int64_t milliseconds) {
  return hours(day_of(milliseconds) + days(1)) * kMillisecondsPerHour;
}

std::int64_t next_month(std::int64_t milliseconds) {
  const year_month_day date{first_of_month(milliseconds)};
  return hours(sys_days{date + std::chrono::months(1)}) * kMillisecondsPerHour;
}

std::string date_of(std::int64_t milliseconds) {
  const year_month_day date{day_of(milliseconds)};
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

}  // namespace spillway::account
