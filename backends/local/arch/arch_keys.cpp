#include "backends/local/arch/arch_keys.h"

#include <utility>

namespace spillway::local {

namespace {

// A file that claims more is damaged or means harm: nothing is made of such sizes.
constexpr std::int64_t kSizeMax = 1 << 24;

}  // namespace

Error unsupported(const std::string& what) {
  return {Errc::invalid_request, "model file: " + what, "", std::nullopt};
}

ArchKeys::ArchKeys(const loader::Metadata& metadata, std::string prefix)
    : metadata_(metadata), prefix_(std::move(prefix)) {}

int ArchKeys::size(const std::string& key, std::optional<int> fallback) {
  if (fallback && !metadata_.contains(prefix_ + key)) return *fallback;
  const auto value = metadata_.integer(prefix_ + key);
  if (!value) {
    keep(value.error());
    return 1;
  }
  if (*value < 1 || *value > kSizeMax) {
    keep(unsupported(prefix_ + key + " is " + std::to_string(*value) +
                     ", which is no size: from 1 to " + std::to_string(kSizeMax) + " are read"));
    return 1;
  }
  return static_cast<int>(*value);
}

double ArchKeys::number(const std::string& key, std::optional<double> fallback) {
  const auto value = metadata_.number(prefix_ + key, fallback);
  if (!value) keep(value.error());
  return value ? *value : 0.0;
}

bool ArchKeys::flag(const std::string& key, bool fallback) {
  const auto value = metadata_.flag(prefix_ + key, fallback);
  if (!value) keep(value.error());
  return value ? *value : fallback;
}

void ArchKeys::keep(const Error& error) {
  if (!problem_) problem_ = error;
}

}  // namespace spillway::local
