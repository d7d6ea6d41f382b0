#include "backends/local/grammar/call_form.h"

#include "backends/contract/form.h"
#include "backends/local/grammar/schema_check.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace spillway::local::grammar {
namespace {

using answer::CallSyntax;
using Json = nlohmann::ordered_json;  // A structural tag of xgrammar's.

constexpr int kBlanksMax = 24;  // In a row, as in other forms.
const std::string kAnyObject = R"({"type":"object","additionalProperties":true})";

Json schema_part(const std::string& schema) {
  return {{"type", "json_schema"},
          {"json_schema", Json::parse(schema, nullptr, false)},
          {"max_whitespace_cnt", kBlanksMax}};
}

Json text_part(std::string_view text) { return {{"type", "const_string"}, {"value", text}}; }

Json tag(std::string_view begin, Json content, std::string_view end) {
  return {{"type", "tag"}, {"begin", begin}, {"content", std::move(content)}, {"end", end}};
}

Json sequence(Json::array_t parts) {
  return {{"type", "sequence"}, {"elements", Json(std::move(parts))}};
}

Json any_of(Json::array_t parts) { return {{"type", "or"}, {"elements", Json(std::move(parts))}}; }

std::string joined(std::initializer_list<std::string_view> texts) {
  std::string all;
  for (const std::string_view text : texts) all += text;
  return all;
}

// Of a schema that does not say that it is an object's, as arguments are; empty: it is of none.
std::string as_objects(const std::string& text) {
  Json schema = Json::parse(text, nullptr, false);
  if (!schema.is_object()) return {};
  if (schema.contains("type")) return schema["type"] == "object" ? text : std::string();
  for (const char* other : {"$ref", "anyOf", "oneOf", "allOf"}) {
    if (schema.contains(other)) return text;
  }
  if (schema.contains("const") || schema.contains("enum")) return {};
  schema["type"] = "object";
  return schema.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> arguments_schema(const Function& function) {
  const std::string schema = as_objects(function.parameters);
  if (schema.empty()) return kAnyObject;
  auto checked = checked_schema(schema);
  if (checked) return checked;
  if (!function.strict) return kAnyObject;
  return Error{Errc::invalid_request,
               "'" + function.field + "' " + checked.error().message +
                   " (the function is strict, so its arguments must fit)",
               function.field, std::nullopt};
}

Result<Json> call_tags(const CallSyntax& syntax, const Tools& tools) {
  Json tags = Json::array();
  for (const Function& function : tools.functions) {
    const auto schema = arguments_schema(function);
    if (!schema) return schema.error();
    tags.push_back(tag(joined({syntax.begin, syntax.before_name, function.name, syntax.after_name}),
                       schema_part(*schema), joined({syntax.after_arguments, syntax.end})));
  }
  return {boost::system::in_place_value, std::move(tags)};
}

// All calls of an answer, less what opens and closes them.
Json calls_part(const CallSyntax& syntax, const Tools& tools, Json tags) {
  return {{"type", "tags_with_separator"},
          {"tags", std::move(tags)},
          {"separator", syntax.between},
          {"at_least_one", true},
          {"stop_after_first", tools.one_call}};
}

Json only_calls(const CallSyntax& syntax, const Tools& tools, Json tags) {
  return sequence({text_part(syntax.open), calls_part(syntax, tools, std::move(tags)),
                   text_part(syntax.close)});
}

// Text in which calls are calls once they begin.
Json text_with_calls(const CallSyntax& syntax, const Tools& tools, Json tags) {
  const bool has_mark = !syntax.open.empty() || !syntax.begin.empty();
  if (!syntax.open.empty())
    tags =
        Json::array({tag(syntax.open, calls_part(syntax, tools, std::move(tags)), syntax.close)});
  return {{"type", "triggered_tags"},
          {"triggers", Json::array({has_mark ? syntax.mark : syntax.before_name})},
          {"tags", std::move(tags)},
          {"stop_after_first", tools.one_call}};
}

// A thought that may, or must, come first.
Json after_thought(const answer::AnswerStyle& style, bool is_thinking, Json said) {
  if (!style.thinks) return said;
  const Json any = {{"type", "any_text"}};
  const std::string end = joined({answer::kThoughtEnds, "\n\n"});
  if (is_thinking) return sequence({tag("", any, end), std::move(said)});
  const Json thought = {{"type", "optional"}, {"content", tag(answer::kThoughtBegins, any, end)}};
  return sequence({thought, std::move(said)});
}

bool is_json(const Form& form) {
  return form.kind == Form::Kind::json || form.kind == Form::Kind::schema;
}

// The answer itself, where that is to be JSON.
Result<Json> content_part(const Form& form) {
  const auto checked =
      form.kind == Form::Kind::json ? Result<std::string>(kAnyObject) : checked_schema(form.text);
  if (checked) return {boost::system::in_place_value, schema_part(*checked)};
  return Error{Errc::invalid_request, "'" + form.field + "' " + checked.error().message, form.field,
               std::nullopt};
}

}  // namespace

Result<std::shared_ptr<const Form>> call_form(const ChatRequest& request,
                                              const answer::AnswerStyle& style, bool is_thinking) {
  const Tools& tools = *request.tools;
  const CallSyntax& syntax = *style.calls;
  const bool is_strict = std::any_of(tools.functions.begin(), tools.functions.end(),
                                     [](const Function& function) { return function.strict; });
  const bool is_free = !tools.must_call && !request.form;
  if (is_free && !is_strict && !tools.one_call) return std::shared_ptr<const Form>();
  // Text that is held to a form other than JSON could not be told from calls.
  if (!tools.must_call && request.form && !is_json(*request.form)) return request.form;

  auto tags = call_tags(syntax, tools);
  if (!tags) return tags.error();
  Json said = is_free ? text_with_calls(syntax, tools, std::move(*tags))
                      : only_calls(syntax, tools, std::move(*tags));
  if (!is_free && !tools.must_call) {
    auto content = content_part(*request.form);
    if (!content) return content.error();
    said = any_of({std::move(*content), std::move(said)});
  }
  const Json whole = {{"type", "structural_tag"},
                      {"format", after_thought(style, is_thinking, std::move(said))}};
  return std::make_shared<const Form>(Form{Form::Kind::tags, whole.dump(), {}, "tools"});
}

}  // namespace spillway::local::grammar
