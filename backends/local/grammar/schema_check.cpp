#include "backends/local/grammar/schema_check.h"

#include "backends/contract/json_depth.h"
#include "backends/local/grammar/regex_check.h"
#include "backends/local/grammar/schema_words.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>
#include <vector>

namespace spillway::local::grammar {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kDepthMax = 32;
constexpr int kJsonDepthMax = 4 * kDepthMax;  // A level of a schema takes several of JSON.

Error fault(std::string what) { return {Errc::invalid_request, std::move(what), "", std::nullopt}; }

bool has_any(const Json& schema, const TypeWords& type) {
  return std::any_of(type.words.begin(), type.words.end(),
                     [&](std::string_view word) { return schema.contains(word); });
}

bool is_of_type(const Json& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  return type == "integer" && value.is_number_integer();
}

// `type`, a word or a list of them, allows the value.
bool allows(const Json& type, const Json& value) {
  if (type.is_string()) return is_of_type(value, type.get<std::string>());
  return type.is_array() && std::any_of(type.begin(), type.end(), [&](const Json& one) {
           return one.is_string() && is_of_type(value, one.get<std::string>());
         });
}

// Walks a schema and changes it to what xgrammar understands as we do; the first fault stays.
class Check {
 public:
  explicit Check(const Json& root) : root_(root) {}

  void schema(Json& schema, const std::string& where, int depth);
  const std::optional<Error>& error() const { return error_; }

 private:
  void fail(const std::string& where, const std::string& what) {
    if (!error_) error_ = fault(what + " at " + where);
  }
  void each(Json& schema, std::string_view word, const std::string& where, int depth);
  void listed(Json& schema, std::string_view word, const std::string& where, int depth);
  bool says_all(Json& schema, const std::string& where);
  void reference(const Json& schema, const std::string& where);
  void values(Json& schema, const std::string& where);
  void typed(Json& schema, const std::string& where);
  void object(Json& schema, const std::string& where);
  void required(Json& schema, const std::string& where);
  void array(Json& schema, const std::string& where);

  const Json& root_;
  std::optional<Error> error_;
};

void Check::schema(Json& schema, const std::string& where, int depth) {
  if (error_ || schema.is_boolean()) return;
  if (!schema.is_object()) return fail(where, "has no schema: an object, true or false is wanted");
  if (depth > kDepthMax) return fail(where, "nests deeper than 32 levels");
  for (const auto& [word, value] : schema.items()) {
    if (is_unheld(word))
      return fail(where, "has the keyword '" + word + "', which is not supported,");
  }
  if (depth > 0 && schema.contains("$id")) return fail(where, "has an '$id' inside,");
  if (!says_all(schema, where)) typed(schema, where);
  for (const auto word : {"$defs", "definitions", "properties", "patternProperties"})
    each(schema, word, where, depth);
  for (const auto word : {"anyOf", "oneOf", "allOf", "prefixItems"})
    listed(schema, word, where, depth);
  for (const auto word : {"items", "additionalProperties", "propertyNames"}) {
    if (schema.contains(word)) this->schema(schema[word], where + "/" + word, depth + 1);
  }
}

void Check::each(Json& schema, std::string_view word, const std::string& where, int depth) {
  if (error_ || !schema.contains(word)) return;
  Json& members = schema[std::string(word)];
  const std::string at = where + "/" + std::string(word);
  if (!members.is_object()) return fail(at, "is no object");
  for (auto& [name, member] : members.items()) this->schema(member, at + "/" + name, depth + 1);
}

void Check::listed(Json& schema, std::string_view word, const std::string& where, int depth) {
  if (error_ || !schema.contains(word)) return;
  Json& members = schema[std::string(word)];
  const std::string at = where + "/" + std::string(word);
  if (!members.is_array() || members.empty()) return fail(at, "has no list of schemas");
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i] == true) members[i] = Json::object();
    this->schema(members[i], at + "/" + std::to_string(i), depth + 1);
  }
}

// One keyword says all of the value: what stood beside it would be left out.
bool Check::says_all(Json& schema, const std::string& where) {
  std::string_view found;
  for (const std::string_view word : whole_words()) {
    if (!schema.contains(word)) continue;
    if (!found.empty())
      fail(where, "has '" + std::string(found) + "' beside '" + std::string(word) + "'");
    found = word;
  }
  if (found.empty()) return false;
  for (const TypeWords& type : type_words()) {
    if (has_any(schema, type))
      fail(where, "has '" + std::string(found) + "' beside keywords of the type " +
                      std::string(type.type) + " (put them inside)");
  }
  const bool lists_values = found == "const" || found == "enum";
  if (lists_values) values(schema, where);
  if (!lists_values && schema.contains("type"))
    fail(where, "has '" + std::string(found) + "' beside 'type' (put it inside)");
  if (found == "$ref") reference(schema, where);
  if (found == "allOf" && schema["allOf"].size() != 1)
    fail(where, "has 'allOf' of several schemas (merge them)");
  return true;
}

void Check::reference(const Json& schema, const std::string& where) {
  const Json& uri = schema["$ref"];
  if (uri == "#") return;
  const std::string text = uri.is_string() ? uri.get<std::string>() : "";
  for (const std::string_view home : {"$defs", "definitions"}) {
    const std::string before = "#/" + std::string(home) + "/";
    if (!text.starts_with(before) || !root_.contains(home)) continue;
    const std::string name = text.substr(before.size());
    if (name.find_first_of("/~%") == name.npos && root_[std::string(home)].contains(name)) return;
  }
  fail(where,
       "has a '$ref' to what is not there: '#', '#/$defs/NAME' and '#/definitions/NAME' are "
       "understood,");
}

// A value of another type than `type` says is none.
void Check::values(Json& schema, const std::string& where) {
  const bool one = schema.contains("const");
  Json list = one ? Json::array({schema["const"]}) : schema["enum"];
  if (!list.is_array()) return fail(where, "has an 'enum' that is no list");
  if (schema.contains("type")) {
    Json kept = Json::array();
    for (const Json& value : list) {
      if (allows(schema["type"], value)) kept.push_back(value);
    }
    list = std::move(kept);
    schema.erase("type");
  }
  if (list.empty()) return fail(where, "allows no value");
  if (!one) schema["enum"] = std::move(list);
}

void Check::typed(Json& schema, const std::string& where) {
  std::string inferred;
  for (const TypeWords& type : type_words()) {
    if (schema.contains("type") || !has_any(schema, type)) continue;
    if (!inferred.empty()) return fail(where, "has keywords of several types, but no 'type',");
    inferred = type.type;
  }
  if (!inferred.empty()) schema["type"] = inferred;
  if (!schema.contains("type")) return;
  const Json type = schema["type"];  // A copy, as what is added moves the rest.
  if (allows(type, Json::object())) object(schema, where);
  if (allows(type, Json::array())) array(schema, where);
  if (!allows(type, "") || !schema.contains("pattern")) return;
  const Json pattern = schema["pattern"];
  if (!pattern.is_string()) return fail(where, "has a 'pattern' that is no text");
  if (const auto fits = check_regex(pattern.get<std::string>()); !fits)
    fail(where, "has a 'pattern' that " + fits.error().message);
}

void Check::object(Json& schema, const std::string& where) {
  const auto has = [&](std::string_view word) {
    return schema.contains(word) && !schema[std::string(word)].empty();
  };
  if (schema.contains("unevaluatedProperties")) {
    const Json rest = schema["unevaluatedProperties"];
    schema.erase("unevaluatedProperties");
    if (!schema.contains("additionalProperties")) schema["additionalProperties"] = rest;
  }
  required(schema, where);
  const bool by_pattern = has("patternProperties");
  if (by_pattern && (has("properties") || schema["patternProperties"].size() > 1))
    return fail(where, "has 'patternProperties' of several patterns, or beside 'properties',");
  const bool by_name = schema.contains("propertyNames");
  if (by_name && (has("properties") || by_pattern || schema.contains("additionalProperties")))
    return fail(where, "has 'propertyNames' beside other keywords for properties");
  const Json patterns = schema.value("patternProperties", Json::object());
  for (const auto& [pattern, member] : patterns.items()) {
    if (const auto fits = check_regex(pattern); !fits)
      return fail(where, "has a pattern of properties that " + fits.error().message);
  }
  const bool is_free = schema.value("additionalProperties", Json(true)) != false;
  if (by_pattern) schema["additionalProperties"] = false;
  if (!has("properties") && !by_pattern && !by_name && is_free &&
      !schema.contains("additionalProperties"))
    schema["additionalProperties"] = true;
  const Json least = schema.value("minProperties", Json(0));
  if (least.is_number() && least > 1 && schema.value("additionalProperties", Json(false)) != false)
    fail(where, "has 'minProperties' of more than 1 beside properties of any name");
}

// What is required is a property, of the schema that those without a name have.
void Check::required(Json& schema, const std::string& where) {
  if (!schema.contains("required")) return;
  const Json names = schema["required"];
  if (!names.is_array()) return fail(where, "has a 'required' that is no list");
  for (const Json& name : names) {
    if (!name.is_string()) return fail(where, "has a 'required' with what is no name");
    const std::string key = name.get<std::string>();
    if (schema.contains("properties") && schema["properties"].contains(key)) continue;
    const Json any = schema.value("additionalProperties", Json(true));
    if (any == false || schema.contains("patternProperties"))
      return fail(where, "requires '" + key + "', which 'properties' does not have,");
    schema["properties"][key] = any == true ? Json::object() : any;
  }
}

void Check::array(Json& schema, const std::string& where) {
  if (schema.value("uniqueItems", Json(false)) != false)
    return fail(where, "has the keyword 'uniqueItems', which is not supported,");
  if (schema.contains("items") && schema["items"].is_array())
    return fail(where, "has a list of 'items' (write 'prefixItems')");
  if (schema.contains("unevaluatedItems")) {
    const Json rest = schema["unevaluatedItems"];
    schema.erase("unevaluatedItems");
    if (!schema.contains("items")) schema["items"] = rest;
  }
  if (!schema.contains("items") && !schema.contains("prefixItems")) schema["items"] = true;
}

}  // namespace

Result<std::string> checked_schema(std::string_view text) {
  if (nests_deeper_than(text, kJsonDepthMax)) return fault("nests too deep.");
  Json schema;
  try {
    schema = Json::parse(text);
  } catch (const std::exception&) {
    return fault("is no JSON.");
  }
  const Json root = schema;
  Check check(root);
  check.schema(schema, "#", 0);
  if (check.error()) return fault(check.error()->message + ".");
  return schema.dump();
}

}  // namespace spillway::local::grammar
