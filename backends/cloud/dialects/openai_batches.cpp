#include "backends/cloud/dialects/openai_batches.h"

#include "backends/cloud/dialects/json_check.h"
#include "backends/cloud/dialects/members.h"

#include <algorithm>
#include <array>
#include <utility>

namespace spillway::cloud::openai {
namespace {

constexpr std::string_view kLabel = "spillway";
constexpr std::size_t kIdBytesMax = 256;

bool is_object(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && text[first] == '{' && is_json(text);
}

// An id stands in addresses: nothing of these is one.
bool is_id(std::string_view id) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !id.empty() && id.size() <= kIdBytesMax && id.front() != '.' &&
         std::all_of(id.begin(), id.end(), fits);
}

std::string id_in(std::string_view object, std::string_view name) {
  std::string id = text_in(object, name);
  return is_id(id) ? id : std::string();
}

bool has_ended(std::string_view status) {
  constexpr std::array<std::string_view, 4> kEnds = {"completed", "failed", "expired", "cancelled"};
  return std::find(kEnds.begin(), kEnds.end(), status) != kEnds.end();
}

std::string complaint_in(std::string_view batch) {
  ElementReader faults(member_of(member_of(batch, "errors"), "data"));
  const auto first = faults.next();
  return first ? text_in(*first, "message") : std::string();
}

// Requires: it is JSON.
std::optional<ProviderBatch> batch_in(std::string_view object) {
  ProviderBatch batch;
  batch.id = id_in(object, "id");
  batch.status = text_in(object, "status");
  if (batch.id.empty() || batch.status.empty()) return std::nullopt;
  batch.ended = has_ended(batch.status);
  const std::string_view counts = member_of(object, "request_counts");
  batch.completed = count_of(member_of(counts, "completed"));
  batch.failed = count_of(member_of(counts, "failed"));
  batch.output_file = id_in(object, "output_file_id");
  batch.error_file = id_in(object, "error_file_id");
  batch.complaint = complaint_in(object);
  return batch;
}

bool may_go_well_again(int status, std::string_view code) {
  const bool is_not_asked = status == 0 && code != "invalid_request";
  const bool is_the_accounts = status == 401 || status == 402;
  return is_not_asked || is_the_accounts || status == 408 || status == 409 || status == 429 ||
         status >= 500;
}

std::optional<BatchAnswer> answer_in(std::string_view line) {
  BatchAnswer answer;
  answer.id = text_in(line, "custom_id");
  if (answer.id.empty()) return std::nullopt;
  const std::string_view response = member_of(line, "response");
  const std::string_view error = member_of(line, "error");
  answer.status = count_of(member_of(response, "status_code"));
  answer.body = member_of(response, "body");
  const bool is_no_answer = answer.status == 200 && !member_of(answer.body, "error").empty() &&
                            member_of(answer.body, "error") != "null";
  answer.again = is_no_answer || may_go_well_again(answer.status, text_in(error, "code"));
  if (answer.status == 0 && !answer.again) {
    answer.status = 400;
    answer.body = R"({"error":)" + std::string(error) + "}";
  }
  return answer;
}

}  // namespace

std::string account_url(std::string_view base_url, std::string_view path) {
  std::string url(base_url);
  if (!url.ends_with('/')) url.push_back('/');
  return url.append(path);
}

std::string_view batch_path(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::chat: return "/v1/chat/completions";
    case Endpoint::completions: return "/v1/completions";
    case Endpoint::embeddings: return "/v1/embeddings";
    default: return "";
  }
}

std::string batch_line(std::string_view id, std::string_view path, std::string_view body) {
  std::string line = R"({"custom_id":)" + quoted(id) + R"(,"method":"POST","url":)" + quoted(path) +
                     R"(,"body":)" + std::string(body) + "}";
  // Between its values, where a client may have written its request on several lines.
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::replace(line.begin(), line.end(), '\r', ' ');
  return line;
}

// No line of JSON has the boundary at its beginning.
FileForm file_form(std::string_view lines, std::string_view name) {
  constexpr std::string_view kBoundary = "----spillway-batch";
  const std::string part = "--" + std::string(kBoundary) + "\r\ncontent-disposition: form-data; ";
  FileForm form;
  form.content_type = "multipart/form-data; boundary=" + std::string(kBoundary);
  form.body.reserve(lines.size() + 512);
  form.body.append(part).append("name=\"purpose\"\r\n\r\nbatch\r\n");
  form.body.append(part).append("name=\"file\"; filename=\"").append(name).append("\"\r\n");
  form.body.append("content-type: application/jsonl\r\n\r\n").append(lines).append("\r\n");
  form.body.append("--").append(kBoundary).append("--\r\n");
  return form;
}

std::string new_batch(std::string_view file, std::string_view path, std::string_view label) {
  return R"({"input_file_id":)" + quoted(file) + R"(,"endpoint":)" + quoted(path) +
         R"(,"completion_window":"24h","metadata":{)" + quoted(kLabel) + ":" + quoted(label) + "}}";
}

std::optional<std::string> file_id(std::string_view body) {
  if (!is_object(body)) return std::nullopt;
  std::string id = id_in(body, "id");
  return id.empty() ? std::nullopt : std::optional(std::move(id));
}

std::optional<ProviderBatch> provider_batch(std::string_view body) {
  return is_object(body) ? batch_in(body) : std::nullopt;
}

std::optional<BatchPage> batch_page(std::string_view body, std::string_view label) {
  if (!is_object(body)) return std::nullopt;
  const std::string_view data = member_of(body, "data");
  if (!data.starts_with('[')) return std::nullopt;
  BatchPage page;
  ElementReader batches(data);
  while (const auto one = batches.next()) {
    page.last = id_in(*one, "id");
    page.oldest = count_of(member_of(*one, "created_at"));
    if (text_in(member_of(*one, "metadata"), kLabel) != label) continue;
    page.found = batch_in(*one);
    if (!page.found) return std::nullopt;
    break;
  }
  if (member_of(body, "has_more") != "true") page.last.clear();
  return page;
}

std::vector<BatchAnswer> batch_answers(std::string_view text) {
  std::vector<BatchAnswer> answers;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!is_object(line)) continue;
    if (auto answer = answer_in(line)) answers.push_back(std::move(*answer));
  }
  return answers;
}

}  // namespace spillway::cloud::openai
