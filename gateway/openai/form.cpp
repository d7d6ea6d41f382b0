#include "gateway/openai/form.h"

#include "backends/contract/form.h"
#include "gateway/wire/member_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::openai {
namespace {

using wire::Fields;
using wire::Json;
using Kind = Form::Kind;

struct Word {
  std::string_view name;
  Kind kind;
};

constexpr std::array<Word, 6> kFields = {{{"guided_json", Kind::schema},
                                          {"guided_regex", Kind::regex},
                                          {"guided_choice", Kind::choice},
                                          {"guided_grammar", Kind::grammar},
                                          {"regex", Kind::regex},
                                          {"ebnf", Kind::grammar}}};
constexpr std::array<Word, 5> kMembers = {{{"json", Kind::schema},
                                           {"regex", Kind::regex},
                                           {"choice", Kind::choice},
                                           {"grammar", Kind::grammar},
                                           {"json_object", Kind::json}}};

class Reader {
 public:
  Reader(Fields& request, std::string_view body) : request_(request), body_(body) {}

  void response_format();
  void fields();
  void structured_outputs();

  bool knows_all() const { return knows_all_; }
  const std::optional<Form>& form() const { return form_; }

 private:
  void take(const Json& value, Kind kind, std::string field,
            std::initializer_list<std::string_view> path);
  void put(Form form);

  Fields& request_;
  const std::string_view body_;
  std::optional<Form> form_;
  bool knows_all_ = true;
};

void Reader::response_format() {
  const Json* format = request_.object("response_format");
  if (format == nullptr) return;
  const Json type = format->value("type", Json());
  if (type == "json_object") put({Kind::json, "", {}, "response_format"});
  if (type != "json_schema") return;
  const auto named = format->find("json_schema");
  if (named == format->end() || !named->is_object()) return;
  const auto found = named->find("schema");
  if (found == named->end() || found->is_null())
    return put({Kind::json, "", {}, "response_format"});
  take(*found, Kind::schema, "response_format", {"response_format", "json_schema", "schema"});
}

void Reader::fields() {
  for (const Word& word : kFields) {
    const Json* value = request_.any(word.name);
    if (value != nullptr) take(*value, word.kind, std::string(word.name), {word.name});
  }
}

void Reader::structured_outputs() {
  const Json* outputs = request_.any("structured_outputs");
  if (outputs == nullptr) return;
  if (!outputs->is_object()) {
    request_.fail("structured_outputs", "must be an object");
    return;
  }
  for (const auto& [name, value] : outputs->items()) {
    const auto word = std::find_if(kMembers.begin(), kMembers.end(),
                                   [&](const Word& one) { return one.name == name; });
    if (value.is_null()) continue;
    if (word == kMembers.end()) {
      knows_all_ = false;
    } else {
      take(value, word->kind, "structured_outputs." + name, {"structured_outputs", word->name});
    }
  }
}

// `path` is where the body has the value.
void Reader::take(const Json& value, Kind kind, std::string field,
                  std::initializer_list<std::string_view> path) {
  Form form{kind, "", {}, std::move(field)};
  if (kind == Kind::json) {
    if (value == true) put(std::move(form));
    return;
  }
  if (kind == Kind::choice) {
    const auto is_text = [](const Json& choice) { return choice.is_string(); };
    if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), is_text))
      return request_.fail(form.field, "must be a list of strings, not empty");
    form.choices = value.get<std::vector<std::string>>();
  } else if (value.is_string()) {
    form.text = value.get<std::string>();
  } else if (kind == Kind::schema && (value.is_object() || value.is_boolean())) {
    form.text = wire::member_text(body_, path).value_or(value.dump());
  } else {
    return request_.fail(form.field,
                         kind == Kind::schema ? "must be a JSON schema" : "must be a string");
  }
  put(std::move(form));
}

void Reader::put(Form form) {
  if (form_) return request_.fail(form.field, "is given beside " + form_->field + ": give one");
  form_ = std::move(form);
}

}  // namespace

void read_form(Fields& request, std::string_view body, ChatRequest& chat) {
  Reader reader(request, body);
  reader.response_format();
  reader.fields();
  reader.structured_outputs();
  if (!reader.knows_all()) chat.needs |= Need::server;
  if (reader.form()) chat.form = std::make_shared<const Form>(*reader.form());
}

}  // namespace spillway::openai
