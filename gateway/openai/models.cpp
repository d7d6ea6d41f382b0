#include "gateway/openai/models.h"

#include "gateway/wire/json_text.h"

namespace spillway::openai {

std::string model_object(const ModelCard& model) {
  std::string out = R"({"id":)";
  wire::append_json_string(out, model.id);
  out += R"(,"object":"model","created":)";
  wire::append_json_number(out, model.created);
  out += R"(,"owned_by":)";
  wire::append_json_string(out, model.owned_by);
  out += "}";
  return out;
}

std::string model_list(const std::vector<ModelCard>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (const ModelCard& model : models) {
    if (&model != &models.front()) out += ",";
    out += model_object(model);
  }
  out += "]}";
  return out;
}

}  // namespace spillway::openai
