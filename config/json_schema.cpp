// The JSON schema, written by hand: config/ does not see the JSON library, and needs only this.
#include "config/reference.h"
#include "config/schema.h"

#include <string_view>

namespace spillway::config {
namespace {

constexpr std::string_view kNamePattern = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$";

std::string text(std::string_view plain) {
  std::string json = "\"";
  for (const char c : plain) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

// An object or an array whose members stand on lines of their own, indented by `depth`.
class Block {
 public:
  explicit Block(int depth, char open = '{') : depth_(depth), open_(open) {}

  Block& add(std::string_view name, const std::string& json) {
    return item(text(name) + ": " + json);
  }
  Block& item(const std::string& json) {
    body_ += (body_.empty() ? "\n" : ",\n") + std::string(2 * (depth_ + 1), ' ') + json;
    return *this;
  }
  bool empty() const { return body_.empty(); }
  std::string close() const {
    return open_ + body_ + "\n" + std::string(2 * depth_, ' ') + (open_ == '{' ? '}' : ']');
  }

 private:
  int depth_;
  char open_;
  std::string body_;
};

std::string pattern(std::string_view expression) {
  return R"("type": "string", "pattern": )" + text(expression);
}

std::string bounds(const RowText& row) {
  const auto bound = [&row](double number) {
    if (row.kind == Kind::decimal) return format_value(row.kind, Value(number));
    return std::to_string(static_cast<std::int64_t>(number));
  };
  std::string json = R"(, "minimum": )" + bound(row.range.min);
  if (row.range.max < std::numeric_limits<double>::infinity()) {
    json += R"(, "maximum": )" + bound(row.range.max);
  }
  return json;
}

std::string list(const Names& words) {
  std::string json;
  for (const std::string& word : words) json += (json.empty() ? "" : ", ") + text(word);
  return "[" + json + "]";
}

std::string one_or_many_of(const Names& words) {
  const std::string word = R"({"enum": )" + list(words) + "}";
  return R"("anyOf": [)" + word + R"(, {"type": "array", "items": )" + word +
         R"(, "minItems": 1, "uniqueItems": true}])";
}

constexpr const char* kUrl = R"(^https?://[^?#@]+$)";

const std::string kOneOrMany =
    R"("anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, )"
    R"("minItems": 1, "uniqueItems": true}])";

// One, or a list of as many as the row's range says.
std::string one_or_list_of(const std::string& one, const RowText& row) {
  return R"("anyOf": [{)" + one + R"(}, {"type": "array", "items": {)" + one +
         R"(}, "minItems": )" + std::to_string(static_cast<int>(row.range.min)) +
         R"(, "maxItems": )" + std::to_string(static_cast<int>(row.range.max)) +
         R"(, "uniqueItems": true}])";
}

std::string type_of(const RowText& row) {
  switch (row.kind) {
    case Kind::flag: return R"("type": "boolean")";
    case Kind::count: return R"("type": "integer")" + bounds(row);
    case Kind::decimal: return R"("type": "number")" + bounds(row);
    case Kind::duration: return pattern(R"(^[0-9]+(\.[0-9]+)?(d|h|m|s|ms|us|ns)$)");
    case Kind::bytes: return pattern(R"(^[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB)$)");
    case Kind::money: return pattern(R"(^[0-9]+(\.[0-9]+)?usd$)");
    case Kind::word: return R"("enum": )" + list(row.words);
    case Kind::endpoint: return pattern(R"(^.+:[0-9]{1,5}$)");
    case Kind::url: return pattern(kUrl);
    case Kind::urls: return one_or_list_of(pattern(kUrl), row);
    case Kind::secret: return pattern(R"(^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$)");
    case Kind::names: return row.words.empty() ? kOneOrMany : one_or_many_of(row.words);
    case Kind::served:
      return kOneOrMany.substr(0, kOneOrMany.size() - 1) +
             R"(, {"type": "object", "additionalProperties": {"type": ["string", "null"]}}])";
    case Kind::text:
    case Kind::block: break;
  }
  return R"("type": "string")";
}

std::string leaf(const RowText& row) {
  std::string description(row.sentence);
  if (!row.fallback.empty()) description += " Default: " + row.fallback + ".";
  if (row.reload == Reload::restart) description += " Needs a restart.";
  return "{" + type_of(row) + R"(, "description": )" + text(description) + "}";
}

// The keys of a section as an object; `inner` gives the schema of a row of Kind::block.
template <class Inner>
std::string object_of(const std::vector<RowText>& rows, const std::string& prefix, int depth,
                      const Inner& inner) {
  Block properties(depth + 1);
  Names required;
  std::string done;  // The inner block that was written last; its rows stand together.
  for (const RowText& row : rows) {
    if (!row.key.starts_with(prefix)) continue;
    const std::string rest(row.key.substr(prefix.size()));
    const std::string key = rest.substr(0, rest.find('.'));
    if (row.required && (required.empty() || required.back() != key)) required.push_back(key);
    if (key == rest) {
      properties.add(key, row.kind == Kind::block ? inner(row, depth + 2) : leaf(row));
    } else if (key != done) {
      properties.add(key, object_of(rows, prefix + key + ".", depth + 2, inner));
      done = key;
    }
  }
  Block object(depth);
  object.add("type", R"("object")").add("additionalProperties", "false");
  if (!required.empty()) object.add("required", list(required));
  return object.add("properties", properties.close()).close();
}

std::string no_inner(const RowText&, int) { return "{}"; }

const Section& section(std::size_t index) { return sections().at(index); }

// In the order of sections().
enum {
  kFile,
  kKey,
  kTenant,
  kModelLimits,
  kLocal,
  kProvider,
  kEncoder,
  kClass,
  kMatch,
  kRule,
  kTest
};

std::string named_entries(const std::string& entry, std::string_view sentence, int depth) {
  return Block(depth)
      .add("description", text(sentence))
      .add("type", R"(["object", "null"])")
      .add("propertyNames", R"({"pattern": )" + text(kNamePattern) + "}")
      .add("additionalProperties", entry)
      .close();
}

std::string match_of(const RowText& row, int depth) {
  const std::string matcher = object_of(section(kMatch).rows, "", depth + 2, no_inner);
  const std::string choices =
      Block(depth + 1, '[')
          .item(R"({"const": "by_name"})")
          .item(matcher)
          .item(R"({"type": "array", "minItems": 1, "items": )" + matcher + "}")
          .close();
  return Block(depth).add("description", text(row.sentence)).add("anyOf", choices).close();
}

// A target is local, a provider or an encoder, told apart by its `kind`.
std::string target_of(int depth) {
  const auto branch = [depth](std::size_t index, std::string_view kind) {
    std::vector<RowText> rows = section(index).rows;
    rows.front().words = {std::string(kind)};
    const std::string is_kind = R"({"properties": {"kind": {"const": )" + text(kind) + "}}}";
    return Block(depth + 2)
        .add("if", is_kind)
        .add("then", object_of(rows, "", depth + 3, no_inner))
        .close();
  };
  const std::string kinds =
      R"({"kind": {"enum": ["local", "provider", "encoder"], "description": )" +
      text(section(kLocal).rows.front().sentence) + "}}";
  return Block(depth)
      .add("type", R"("object")")
      .add("required", R"(["kind"])")
      .add("properties", kinds)
      .add("allOf", Block(depth + 1, '[')
                        .item(branch(kLocal, "local"))
                        .item(branch(kProvider, "provider"))
                        .item(branch(kEncoder, "encoder"))
                        .close())
      .close();
}

std::string models_of(const RowText& row, int depth) {
  return Block(depth)
      .add("description", text(row.sentence))
      .add("type", R"(["object", "null"])")
      .add("additionalProperties",
           R"({"anyOf": [{"const": "policy"}, {"type": "object", "minProperties": 1, )"
           R"("additionalProperties": {"type": "string"}}]})")
      .close();
}

// Models' names hold more than other names do.
std::string model_limits_of(const RowText& row, int depth) {
  return Block(depth)
      .add("description", text(row.sentence))
      .add("type", R"(["object", "null"])")
      .add("additionalProperties", object_of(section(kModelLimits).rows, "", depth + 1, no_inner))
      .close();
}

std::string given_of(const RowText& row, int depth) {
  return Block(depth)
      .add("description", text(row.sentence))
      .add("type", R"(["object", "null"])")
      .add("additionalProperties", R"({"type": ["string", "number", "boolean"]})")
      .close();
}

std::string list_of(const RowText& row, std::size_t index, int depth) {
  return Block(depth)
      .add("description", text(row.sentence))
      .add("type", R"(["array", "null"])")
      .add("items", object_of(section(index).rows, "", depth + 1, given_of))
      .close();
}

std::string top_block(const RowText& row, int depth) {
  if (row.key == "models") return models_of(row, depth);
  if (row.key == "rules") return list_of(row, kRule, depth);
  if (row.key == "tests") return list_of(row, kTest, depth);
  if (row.key == "model_limits") return model_limits_of(row, depth);
  std::string entry;
  if (row.key == "tenants") entry = object_of(section(kTenant).rows, "", depth + 1, no_inner);
  if (row.key == "keys") entry = object_of(section(kKey).rows, "", depth + 1, no_inner);
  if (row.key == "targets") entry = target_of(depth + 1);
  if (row.key == "classes") entry = object_of(section(kClass).rows, "", depth + 1, match_of);
  return named_entries(entry, row.sentence, depth);
}

}  // namespace

std::string json_schema() {
  std::string schema = object_of(section(kFile).rows, "", 0, top_block);
  const std::string head =
      "{\n  \"$schema\": \"http://json-schema.org/draft-07/schema#\",\n"
      "  \"title\": \"Spillway configuration\",";
  return head + schema.substr(1) + "\n";
}

}  // namespace spillway::config
