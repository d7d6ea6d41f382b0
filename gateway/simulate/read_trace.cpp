#include "gateway/simulate/trace_formats_internal.h"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>

namespace spillway::simulate {

namespace {

// Sets no ids where the format has its own; else a row's id is its number.
void number_rows(std::vector<ParsedRow>& rows) {
  for (std::size_t k = 0; k < rows.size(); ++k) rows[k].row.id = k;
}

std::optional<Error> find_twice(const std::string& path, std::span<const ParsedRow> rows,
                                std::unordered_map<std::uint64_t, std::string>& seen) {
  for (const ParsedRow& parsed : rows) {
    const std::string place = path + ':' + std::to_string(parsed.line);
    const auto [first, fresh] = seen.emplace(parsed.row.id, place);
    if (fresh) continue;
    return trace_error(place + ": id " + std::to_string(parsed.row.id) + " stands at " +
                       first->second + " already: give each request an id of its own");
  }
  return std::nullopt;
}

RecordedTrace in_order(ParsedTrace all) {
  std::stable_sort(all.rows.begin(), all.rows.end(),
                   [](const ParsedRow& a, const ParsedRow& b) { return a.ticks < b.ticks; });
  if (all.format != TraceFormat::generic) number_rows(all.rows);
  const std::int64_t zero = all.format == TraceFormat::azure ? all.rows.front().ticks : 0;
  RecordedTrace trace;
  trace.prefix_ids = std::move(all.prefix_ids);
  trace.words = std::move(all.words);
  trace.rows.reserve(all.rows.size());
  for (const ParsedRow& parsed : all.rows) {
    trace.rows.push_back(parsed.row);
    trace.rows.back().at = static_cast<double>(parsed.ticks - zero) / kTicksPerSecond;
  }
  return trace;
}

void append(ParsedTrace& all, const ParsedTrace& more) {
  const auto offset = static_cast<std::uint32_t>(all.prefix_ids.size());
  all.prefix_ids.insert(all.prefix_ids.end(), more.prefix_ids.begin(), more.prefix_ids.end());
  std::vector<std::uint32_t> places;  // Of its words, in the words of all.
  for (std::uint32_t i = 0; i < more.words.size(); ++i)
    places.push_back(all.words.place_of(more.words.at(i)));
  for (ParsedRow parsed : more.rows) {
    parsed.row.prefix_first += offset;
    Told& told = parsed.row.told;
    for (std::uint32_t* word : {&told.request_class, &told.key, &told.tenant, &told.model,
                                &told.label, &told.service_tier})
      *word = places[*word];
    all.rows.push_back(parsed);
  }
}

}  // namespace

Result<RecordedTrace> read_trace(std::span<const std::string> paths) {
  if (paths.empty()) return trace_error("no trace: name at least one file");
  ParsedTrace all;
  std::unordered_map<std::uint64_t, std::string> ids;
  for (const std::string& path : paths) {
    const auto text = read_packed(path);
    if (!text) return text.error();
    const auto parsed = parse_trace(path, *text);
    if (!parsed) return parsed.error();
    if (all.rows.empty()) all.format = parsed->format;
    if (parsed->format != all.format) {
      return trace_error(path + ": has another format than " + paths.front() +
                         ": name only files of one format");
    }
    if (all.prefix_ids.size() + parsed->prefix_ids.size() >
        std::numeric_limits<std::uint32_t>::max()) {
      return trace_error(path + ": has more prefix ids than 2^32: name fewer files");
    }
    if (parsed->format == TraceFormat::generic) {
      if (auto twice = find_twice(path, parsed->rows, ids)) return *twice;
    }
    append(all, *parsed);
  }
  return in_order(std::move(all));
}

}  // namespace spillway::simulate
