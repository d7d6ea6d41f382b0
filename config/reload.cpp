#include "config/reload.h"

#include "config/named.h"
#include "config/schema.h"

namespace spillway::config {
namespace {

template <class Owner>
void compare(const std::vector<Row<Owner>>& rows, const std::string& path, const Owner& before,
             const Owner& now, std::vector<std::string>& needed) {
  for (const Row<Owner>& row : rows) {
    if (row.text.reload == Reload::live || row.field.get == nullptr) continue;
    if (row.field.get(before) == row.field.get(now)) continue;
    needed.push_back(path + std::string(row.text.key));
  }
}

}  // namespace

std::vector<std::string> restart_needed(const Settings& before, const Settings& now) {
  std::vector<std::string> needed;
  compare(settings_rows(), "", before, now, needed);
  for (const LocalTarget& old : before.local) {
    const LocalTarget* same = named(now.local, old.name);
    if (same == nullptr) {
      needed.push_back("targets." + old.name);
    } else {
      compare(local_rows(), "targets." + old.name + ".", old, *same, needed);
    }
  }
  for (const LocalTarget& target : now.local) {
    if (named(before.local, target.name) == nullptr) needed.push_back("targets." + target.name);
  }
  for (const ProviderTarget& old : before.providers) {
    const ProviderTarget* same = named(now.providers, old.name);
    if (same == nullptr) continue;
    const auto& rows = old.is_here() ? encoder_rows() : provider_rows();
    compare(rows, "targets." + old.name + ".", old, *same, needed);
  }
  for (const std::string& encoder : encoders_to_load(before, now))
    needed.push_back("targets." + encoder);
  return needed;
}

std::vector<std::string> encoders_to_load(const Settings& before, const Settings& now) {
  std::vector<std::string> names;
  for (const ProviderTarget& target : now.providers) {
    const ProviderTarget* same = named(before.providers, target.name);
    if (target.is_here() && (same == nullptr || !same->is_here())) names.push_back(target.name);
  }
  return names;
}

}  // namespace spillway::config
