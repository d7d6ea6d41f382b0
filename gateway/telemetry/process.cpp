#include "gateway/telemetry/process.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace spillway::telemetry {
namespace {

// Fields of /proc/self/stat behind the program's name, numbered as in proc(5) less the three
// before.
constexpr std::size_t kUserTicks = 14 - 3;
constexpr std::size_t kSystemTicks = 15 - 3;
constexpr std::size_t kThreads = 20 - 3;
constexpr std::size_t kStartTicks = 22 - 3;
constexpr std::size_t kVirtualBytes = 23 - 3;
constexpr std::size_t kResidentPages = 24 - 3;

using Stat = std::array<double, kResidentPages + 1>;

// False where /proc is not mounted.
bool read_stat(Stat& stat) {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');  // The name may itself hold spaces and brackets.
  if (name_end == std::string::npos) return false;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  fields >> state;
  return std::all_of(stat.begin() + 1, stat.end(),
                     [&](double& field) { return bool(fields >> field); });
}

double boot_time() {
  std::ifstream file("/proc/stat");
  std::string word;
  double seconds = 0.0;
  while (file >> word) {
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0.0;
}

double open_descriptors() {
  std::error_code ignored;
  const std::filesystem::directory_iterator first("/proc/self/fd", ignored);
  return static_cast<double>(std::distance(first, std::filesystem::directory_iterator()));
}

}  // namespace

std::vector<LiveSample> process_samples() {
  std::vector<LiveSample> samples;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    samples.push_back({Series::process_max_fds, {}, static_cast<double>(limit.rlim_cur), {}});
  }
  Stat stat{};
  if (!read_stat(stat)) return samples;

  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  samples.push_back({Series::process_cpu, {}, (stat[kUserTicks] + stat[kSystemTicks]) / ticks, {}});
  samples.push_back({Series::process_resident, {}, stat[kResidentPages] * page, {}});
  samples.push_back({Series::process_virtual, {}, stat[kVirtualBytes], {}});
  samples.push_back({Series::process_open_fds, {}, open_descriptors(), {}});
  samples.push_back({Series::process_threads, {}, stat[kThreads], {}});
  samples.push_back({Series::process_start, {}, boot_time() + stat[kStartTicks] / ticks, {}});
  return samples;
}

}  // namespace spillway::telemetry
