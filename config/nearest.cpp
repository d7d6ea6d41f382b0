#include "config/nearest.h"

#include <algorithm>

namespace spillway::config {
namespace {

constexpr std::size_t kWordMax = 64;
constexpr std::size_t kPartMin = 3;
constexpr std::size_t kListedMax = 24;

// Optimal string alignment distance over three rows of its table.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest(std::string_view written, const std::vector<std::string>& candidates) {
  if (written.empty() || written.size() > kWordMax) return "";
  std::string best;
  std::size_t best_edits = kWordMax;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edits(written, candidate);
    const std::size_t slip =
        std::min<std::size_t>(3, std::max<std::size_t>(1, candidate.size() / 3));
    if (distance > slip || distance >= best_edits) continue;
    best = candidate;
    best_edits = distance;
  }
  if (!best.empty()) return best;
  for (const std::string& candidate : candidates) {
    const bool longer = candidate.size() > written.size();
    const std::string_view part = longer ? written : std::string_view(candidate);
    const std::string_view whole = longer ? std::string_view(candidate) : written;
    if (part.size() >= kPartMin && whole.find(part) != std::string_view::npos) return candidate;
  }
  return "";
}

std::string suggestion(std::string_view written, const std::vector<std::string>& candidates) {
  const std::string near = nearest(written, candidates);
  if (!near.empty()) return ", did you mean `" + near + "`?";
  if (candidates.empty()) return "";
  std::vector<std::string> names;  // Several keys may have the same tenant.
  for (const std::string& one : candidates) {
    if (std::find(names.begin(), names.end(), one) == names.end()) names.push_back(one);
  }
  std::string listed = "; valid here: ";
  for (std::size_t i = 0; i < std::min(names.size(), kListedMax); ++i) {
    listed += (i == 0 ? "" : ", ") + names[i];
  }
  return listed + (names.size() > kListedMax ? ", …" : "");
}

}  // namespace spillway::config
