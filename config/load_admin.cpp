#include "config/load_admin.h"

#include "config/bounded_file.h"
#include "config/document.h"
#include "config/reader.h"
#include "config/schema.h"

#include <algorithm>
#include <variant>

namespace spillway::config {

std::optional<AdminListener> load_admin(const std::string& path) {
  const auto bytes = read_bounded(path, kFileBytesMax);
  const auto* text = std::get_if<std::string>(&bytes);
  if (text == nullptr) return std::nullopt;
  const Document document = parse_document(*text);
  if (document.root.shape != Node::Shape::mapping) return std::nullopt;
  Settings settings;
  Reader reader;
  reader.read_rows(document.root, "", settings_rows(), settings);
  const auto& problems = reader.problems();
  const bool wrong = std::any_of(problems.begin(), problems.end(), [](const Problem& problem) {
    return problem.path == "server" || problem.path.starts_with("server.admin");
  });
  // Who wrote `sever` meant no other gateway, at the usual address.
  const bool left_out = !reader.places().has("server.admin") && !problems.empty();
  if (wrong || left_out) return std::nullopt;
  return AdminListener{settings.server.admin, settings.server.admin_key_source};
}

}  // namespace spillway::config
