#include "gateway/provider/batch_room.h"

#include "backends/simulated/echo.h"
#include "gateway/provider/asked.h"
#include "gateway/provider/wire.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace spillway::provider {
namespace {

using Json = nlohmann::json;

constexpr const char* kEndpoint = "/v1/chat/completions";

Error refuse(std::string message, std::string param = "") {
  return Error{Errc::invalid_request, std::move(message), std::move(param), std::nullopt};
}

Error not_there(const std::string& what) {
  return Error{Errc::not_found, "No such " + what, "", std::nullopt};
}

// The part of a form that is called so; nothing where there is none.
std::optional<std::string_view> part_of(std::string_view form, std::string_view boundary,
                                        std::string_view name) {
  const auto named = form.find("name=\"" + std::string(name) + "\"");
  if (named == form.npos) return std::nullopt;
  const auto begin = form.find("\r\n\r\n", named);
  const auto end = form.find("\r\n--" + std::string(boundary), begin);
  if (begin == form.npos || end == form.npos) return std::nullopt;
  return form.substr(begin + 4, end - begin - 4);
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string result(const Json& id, int status, const std::string& body) {
  return R"({"id":"batch_req_1","custom_id":)" + id.dump() + R"(,"response":{"status_code":)" +
         std::to_string(status) + R"(,"request_id":"req_1","body":)" + body + R"(},"error":null})" +
         "\n";
}

std::string not_asked(const Json& id) {
  return R"({"id":"batch_req_1","custom_id":)" + id.dump() +
         R"(,"response":null,"error":{"code":"batch_expired","message":"Not in time."}})" + "\n";
}

std::string failure(const Json& line, double place, const simulated::BatchScript& script) {
  if (place >= script.failing + script.refusing) return not_asked(line["custom_id"]);
  const bool is_refused = place >= script.failing;
  return is_refused ? result(line["custom_id"], 400,
                             error_body("It is refused", "invalid_request_error", "unknown"))
                    : result(line["custom_id"], 500, error_body("It broke", "server_error", ""));
}

}  // namespace

Result<std::string> BatchRoom::keep(std::string_view content_type, std::string_view form) {
  constexpr std::string_view kBoundary = "boundary=";
  const auto at = content_type.find(kBoundary);
  if (at == content_type.npos) return refuse("the file must come in a form");
  const auto boundary = content_type.substr(at + kBoundary.size());
  const auto purpose = part_of(form, boundary, "purpose");
  const auto file = part_of(form, boundary, "file");
  if (!purpose || *purpose != "batch" || !file) return refuse("a form with purpose and file");
  const std::lock_guard lock(mutex_);
  const std::string id = new_file(std::string(*file));
  return R"({"id":")" + id + R"(","object":"file","purpose":"batch","bytes":)" +
         std::to_string(file->size()) + "}";
}

std::string BatchRoom::new_file(std::string text) {
  const std::string id = "file-" + std::to_string(next_file_++);
  files_[id] = std::move(text);
  return id;
}

Result<std::string> BatchRoom::content(const std::string& file) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(file);
  if (found == files_.end()) return not_there("file");
  return found->second;
}

Result<std::string> BatchRoom::remove(const std::string& file) {
  const std::lock_guard lock(mutex_);
  if (files_.erase(file) == 0) return not_there("file");
  return R"({"id":")" + file + R"(","object":"file","deleted":true})";
}

Result<std::string> BatchRoom::create(std::string_view body, const simulated::BatchScript& script) {
  const Json asked = Json::parse(body, nullptr, false);
  if (!asked.is_object()) return refuse("the body must be a JSON object");
  Batch batch;
  batch.input_file = asked.value("input_file_id", "");
  batch.endpoint = asked.value("endpoint", "");
  if (batch.endpoint != kEndpoint) return refuse("there is no such endpoint", "endpoint");
  if (asked.value("completion_window", "") != "24h") return refuse("24h", "completion_window");
  batch.metadata = asked.value("metadata", Json::object()).dump();
  batch.created = SteadyClock::now();
  batch.script = script;
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(batch.input_file);
  if (file == files_.end()) return refuse("there is no such file", "input_file_id");
  batch.lines = static_cast<int>(lines_of(file->second).size());
  batch.id = "batch_" + std::to_string(batches_.size() + 1);
  ++counts_.created;
  batches_.push_back(std::move(batch));
  return object_of(batches_.back());
}

Result<BatchRoom::Batch*> BatchRoom::find(const std::string& id) {
  for (Batch& batch : batches_) {
    if (batch.id == id) return &batch;
  }
  return not_there("batch");
}

Result<std::string> BatchRoom::look(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto batch = find(id);
  if (!batch) return batch.error();
  return object_of(**batch);
}

Result<std::string> BatchRoom::cancel(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto batch = find(id);
  if (!batch) return batch.error();
  bring_up_to_date(**batch);
  if ((*batch)->status != "in_progress") return refuse("it has ended", "id");
  bring_up_to_date(**batch, true);
  return object_of(**batch);
}

std::string BatchRoom::list(std::string_view after, int limit) {
  const std::lock_guard lock(mutex_);
  std::string data;
  bool begun = after.empty(), more = false;
  int count = 0;
  for (auto batch = batches_.rbegin(); batch != batches_.rend(); ++batch) {
    more = begun && count == limit;
    if (more) break;
    if (begun) data += (count++ == 0 ? "" : ",") + object_of(*batch);
    begun = begun || batch->id == after;
  }
  return R"({"object":"list","data":[)" + data + R"(],"has_more":)" + (more ? "true}" : "false}");
}

BatchCounts BatchRoom::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

// `end_now`: it is cancelled, with what it has done by now.
void BatchRoom::bring_up_to_date(Batch& batch, bool end_now) {
  if (batch.status != "in_progress") return;
  const simulated::BatchScript& script = batch.script;
  const double passed = seconds_between(batch.created, SteadyClock::now());
  const double done = script.seconds > 0.0 ? std::min(1.0, passed / script.seconds) : 1.0;
  if (end_now) return answer_all(batch, std::min(done, script.answered), "cancelled");
  if (done >= 1.0) return answer_all(batch, script.answered, script.ends_as);
  batch.completed = static_cast<int>(done * script.answered * batch.lines);
}

void BatchRoom::answer_all(Batch& batch, double share, std::string status) {
  batch.status = std::move(status);
  batch.completed = batch.failed = 0;
  if (batch.status == "failed") return;
  std::string output, errors;
  int number = 0;
  for (const std::string_view line : lines_of(files_[batch.input_file])) {
    const Json json = Json::parse(line, nullptr, false);
    const double place = (number++ + 0.5) / batch.lines;
    const bool is_answered = place < share && place >= batch.script.failing + batch.script.refusing;
    if (is_answered) output += answer(json);
    if (!is_answered) errors += failure(json, place < share ? place : 1.0, batch.script);
    ++(is_answered ? batch.completed : batch.failed);
  }
  if (!output.empty()) batch.output_file = new_file(std::move(output));
  if (!errors.empty()) batch.error_file = new_file(std::move(errors));
}

std::string BatchRoom::answer(const Json& line) {
  const auto parsed = parse_asked(line["body"].dump());
  const Asked asked = parsed ? *parsed : Asked{};
  const simulated::Echo echo(asked.prompt);
  const auto tokens = static_cast<std::size_t>(asked.completion_tokens);
  ++counts_.lines;
  counts_.prompt_tokens += static_cast<std::uint64_t>(asked.prompt_tokens);
  counts_.completion_tokens += tokens;
  return result(line["custom_id"], 200, Wire("chatcmpl-1", asked).whole("", echo.text(tokens)));
}

std::string BatchRoom::object_of(Batch& batch) {
  bring_up_to_date(batch);
  const auto name = [](const std::string& id) { return id.empty() ? "null" : json_string(id); };
  const char* const errors =
      batch.status == "failed"
          ? R"({"object":"list","data":[{"code":"invalid","message":"The file is not right."}]})"
          : "null";
  return R"({"id":)" + json_string(batch.id) + R"(,"object":"batch","endpoint":)" +
         json_string(batch.endpoint) + R"(,"input_file_id":)" + json_string(batch.input_file) +
         R"(,"completion_window":"24h","status":)" + json_string(batch.status) +
         R"(,"output_file_id":)" + name(batch.output_file) + R"(,"error_file_id":)" +
         name(batch.error_file) + R"(,"errors":)" + errors + R"(,"request_counts":{"total":)" +
         std::to_string(batch.lines) + R"(,"completed":)" + std::to_string(batch.completed) +
         R"(,"failed":)" + std::to_string(batch.failed) + R"(},"metadata":)" + batch.metadata + "}";
}

}  // namespace spillway::provider
