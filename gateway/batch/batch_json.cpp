#include "gateway/batch/batch_json.h"

#include "gateway/wire/fields.h"
#include "gateway/wire/json_object.h"
#include "gateway/wire/json_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace spillway::batch {
namespace {

using wire::append_json_number;
using wire::append_json_string;
using wire::Json;

void key(std::string& out, std::string_view name) { out.append(",\"").append(name).append("\":"); }

void add(std::string& out, std::string_view name, std::string_view text) {
  key(out, name);
  wire::append_json_string_or_null(out, text);
}

void add(std::string& out, std::string_view name, std::int64_t number) {
  key(out, name);
  append_json_number(out, number);
}

void add(std::string& out, std::string_view name, const std::optional<Seconds>& time) {
  if (time) return add(out, name, *time);
  key(out, name);
  out += "null";
}

void add_faults(std::string& out, const Batch& batch) {
  key(out, "errors");
  out += batch.faults.empty() ? "null"
                              : R"({"object":"list","data":)" + faults_text(batch.faults) + "}";
}

void add_counts(std::string& out, const Batch& batch) {
  out += R"(,"request_counts":{"total":)" + std::to_string(batch.lines);
  const int elsewhere = std::min(batch.lines_answered_elsewhere, batch.lines_left());
  add(out, "completed", batch.lines_completed + elsewhere);
  add(out, "failed", batch.lines_failed);
  out += "}";
}

void add_usage(std::string& out, const Tokens& tokens) {
  out += R"(,"usage":{"input_tokens":)" + std::to_string(tokens.input);
  out += R"(,"input_tokens_details":{"cached_tokens":)" + std::to_string(tokens.cached) + "}";
  add(out, "output_tokens", tokens.output);
  out += R"(,"output_tokens_details":{"reasoning_tokens":)" + std::to_string(tokens.reasoning);
  out += "}";
  add(out, "total_tokens", tokens.input + tokens.output);
  out += "}";
}

bool has_ended(const Batch& batch) {
  return batch.state == State::completed || batch.state == State::expired ||
         batch.state == State::cancelled;
}

}  // namespace

std::string batch_object(const Batch& batch) {
  std::string out = R"({"id":)";
  append_json_string(out, batch.id);
  add(out, "object", "batch");
  add(out, "endpoint", batch.endpoint);
  if (!batch.model.empty()) add(out, "model", batch.model);
  add_faults(out, batch);
  add(out, "input_file_id", batch.input_file);
  add(out, "completion_window", "24h");
  add(out, "status", name_of(batch.state));
  const bool ended = has_ended(batch);
  add(out, "output_file_id", ended && batch.output_bytes > 0 ? batch.output_file : "");
  add(out, "error_file_id", ended && batch.error_bytes > 0 ? batch.error_file : "");
  add(out, "created_at", batch.created);
  add(out, "in_progress_at", batch.in_progress);
  add(out, "expires_at", batch.expires);
  add(out, "finalizing_at", batch.finalizing);
  add(out, "completed_at", batch.completed);
  add(out, "failed_at", batch.failed);
  add(out, "expired_at", batch.expired);
  add(out, "cancelling_at", batch.cancelling);
  add(out, "cancelled_at", batch.cancelled);
  add_counts(out, batch);
  add_usage(out, batch.tokens);
  key(out, "metadata");
  out += batch.metadata.empty() ? "null" : batch.metadata;
  return out + "}";
}

std::string batch_page(const BatchPage& page) {
  std::string out = R"({"object":"list","data":[)";
  for (const Batch& batch : page.batches) {
    if (&batch != &page.batches.front()) out += ",";
    out += batch_object(batch);
  }
  out += "]";
  add(out, "first_id", page.batches.empty() ? "" : page.batches.front().id);
  add(out, "last_id", page.batches.empty() ? "" : page.batches.back().id);
  return out + R"(,"has_more":)" + (page.has_more ? "true}" : "false}");
}

Result<Batch> read_batch(std::string_view body, const std::vector<std::string>& endpoints) {
  auto json = wire::parse_object(body);
  if (!json) return json.error();
  std::optional<Error> error;
  wire::Fields request(*json, "", error);
  Batch batch;
  batch.input_file = request.required_string("input_file_id");
  batch.endpoint = request.required_string("endpoint");
  if (std::find(endpoints.begin(), endpoints.end(), batch.endpoint) == endpoints.end()) {
    std::string known;
    for (const std::string& each : endpoints) known += (known.empty() ? "" : ", ") + each;
    request.fail("endpoint", "must be one of " + known);
  }
  if (request.required_string("completion_window") != "24h")
    request.fail("completion_window", "must be 24h");
  batch.output_expires_after = request.lifetime("output_expires_after");
  if (const Json* metadata = request.metadata()) batch.metadata = metadata->dump();
  if (error) return *error;
  return batch;
}

std::string faults_text(const std::vector<Fault>& faults) {
  std::string out = "[";
  for (const Fault& fault : faults) {
    if (&fault != &faults.front()) out += ",";
    out += R"({"code":)";
    append_json_string(out, fault.code);
    add(out, "message", fault.message);
    add(out, "param", fault.param);
    add(out, "line", fault.line > 0 ? std::optional<Seconds>(fault.line) : std::nullopt);
    out += "}";
  }
  return out + "]";
}

std::vector<Fault> faults_in(std::string_view text) {
  std::vector<Fault> faults;
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_array()) return faults;
  for (const Json& one : json) {
    Fault fault{one.value("code", ""), one.value("message", ""), "", 0};
    if (one["param"].is_string()) fault.param = one["param"].get<std::string>();
    if (one["line"].is_number_integer()) fault.line = one["line"].get<int>();
    faults.push_back(std::move(fault));
  }
  return faults;
}

}  // namespace spillway::batch
