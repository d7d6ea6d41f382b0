// OpenAI's batches API in words: what is sent to it, and what it says.
//
// Pure functions, any thread: strings in, values out. Untrusted bytes in, so everything is checked.
#pragma once

#include "backends/contract/batch_desk.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::cloud::openai {

// Where its batches and files are: `path` ("batches/batch_1") behind `base_url`.
std::string account_url(std::string_view base_url, std::string_view path);

// The endpoint as its lines name it; empty: none of its batches has such requests.
std::string_view batch_path(Endpoint endpoint);

std::string batch_line(std::string_view id, std::string_view path, std::string_view body);

// A form with the file in it, for POST /files.
struct FileForm {
  std::string content_type;
  std::string body;
};
FileForm file_form(std::string_view lines, std::string_view name);

// POST /batches. `label` is among its metadata.
std::string new_batch(std::string_view file, std::string_view path, std::string_view label);

// What it says of a file; nothing where it does not say its id.
std::optional<std::string> file_id(std::string_view body);

std::optional<ProviderBatch> provider_batch(std::string_view body);

// A page of GET /batches: the batch of that label, if it is here, and where the next page begins;
// empty: there is none. Nothing where it is no page.
struct BatchPage {
  std::optional<ProviderBatch> found;
  std::string last;
  std::int64_t oldest = 0;  // When its last was made, Unix time; 0: it does not say.
};
std::optional<BatchPage> batch_page(std::string_view body, std::string_view label);

// The lines of a file of results or errors.
std::vector<BatchAnswer> batch_answers(std::string_view text);

}  // namespace spillway::cloud::openai
