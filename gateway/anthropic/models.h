// What GET /v1/models and GET /v1/models/{id} tell Anthropic's clients. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::anthropic {

// `since` is the `created_at` of all, in Unix seconds.
std::string model_list(const std::vector<std::string>& models, std::int64_t since);
std::string model_object(const std::string& model, std::int64_t since);

}  // namespace spillway::anthropic
