#include "backends/local/template/chat_template.h"

#include "backends/local/template/interpreter.h"
#include "backends/local/template/json_value.h"
#include "backends/local/template/message_value.h"
#include "backends/local/template/parser.h"

#include <utility>

namespace spillway::templates {
namespace {

using Variables = std::vector<std::pair<std::string, Value>>;

// What a conversation has around its messages nests, too.
constexpr int kDepthMax = kValueDepthMax - 8;

}  // namespace

struct ChatTemplate::Parts {
  Body body;
  SpecialWords words;
  MessageManner manner;

  Result<MarkedText> render(Variables variables, std::chrono::system_clock::time_point now) const {
    const auto add = [&](std::string name, const std::string& text) {
      if (!text.empty()) variables.emplace_back(std::move(name), Value(text));
    };
    add("bos_token", words.bos_token);
    add("eos_token", words.eos_token);
    Interpreter interpreter(Limits{}, now);
    MarkedText text = interpreter.render(body, std::move(variables));
    if (interpreter.failed()) {
      return Error{
          Errc::invalid_request,
          "the model's chat template does not take these messages: " + interpreter.failure(),
          "messages"};
    }
    return text;
  }
};

Result<ChatTemplate> ChatTemplate::compile(std::string_view source, SpecialWords words,
                                           EarlierCalls calls) {
  auto body = parse(source);
  if (!body) return body.error();
  const bool knows_developer = source.find("developer") != std::string_view::npos;
  return ChatTemplate(std::make_unique<const Parts>(
      Parts{std::move(*body), std::move(words), {knows_developer, calls}}));
}

ChatTemplate::ChatTemplate(std::unique_ptr<const Parts> parts) : parts_(std::move(parts)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<MarkedText> ChatTemplate::render(const std::vector<Message>& messages, const Tools* tools,
                                        std::chrono::system_clock::time_point now) const {
  std::vector<Value> list;
  for (const Message& message : messages) {
    list.push_back(value_of(message, parts_->manner));
    if (list.back().depth() > kDepthMax)
      return Error{Errc::invalid_request, "the arguments of a call nest too deeply", "messages"};
  }
  Result<Value> offered = Value(None{});
  if (tools != nullptr) offered = value_from_json(tools->text);
  if (!offered) return Error{Errc::invalid_request, offered.error().message, "tools"};
  Variables variables;
  variables.emplace_back("messages", Value::list(std::move(list)));
  variables.emplace_back("tools", std::move(*offered));
  variables.emplace_back("documents", Value(None{}));
  variables.emplace_back("add_generation_prompt", Value(true));
  return parts_->render(std::move(variables), now);
}

Result<MarkedText> ChatTemplate::render_json(std::string_view variables,
                                             std::chrono::system_clock::time_point now) const {
  const auto value = value_from_json(variables);
  if (!value) return value.error();
  const Dict* object = value->dict();
  if (!object) return Error{Errc::invalid_request, "template variables are a JSON object"};
  Variables named;
  for (const auto& [name, item] : object->items) {
    named.emplace_back(std::string(name.text()->bytes()), item);
  }
  return parts_->render(std::move(named), now);
}

}  // namespace spillway::templates
