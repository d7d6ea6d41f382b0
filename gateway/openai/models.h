// The answers of GET /v1/models and GET /v1/models/{id}. Pure and thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::openai {

struct ModelCard {
  std::string id;
  std::int64_t created = 0;           // Unix seconds.
  std::string owned_by = "spillway";  // Who serves it: a target's name.
};

std::string model_list(const std::vector<ModelCard>& models);
std::string model_object(const ModelCard& model);

}  // namespace spillway::openai
