#include "backends/local/answer/call_syntax.h"

#include <algorithm>
#include <array>

namespace spillway::local::answer {
namespace {

constexpr std::array<CallSyntax, 6> kSyntaxes = {
    {{.family = "deepseek_v3",
      .body = CallSyntax::Body::named,
      .open = "<｜tool▁calls▁begin｜>",
      .begin = "<｜tool▁call▁begin｜>",
      .before_name = "function<｜tool▁sep｜>",
      .after_name = "\n```json\n",
      .after_arguments = "\n```",
      .end = "<｜tool▁call▁end｜>",
      .between = "\n",
      .close = "<｜tool▁calls▁end｜>",
      .mark = "<｜tool▁calls▁begin｜>",
      .text_arguments = true,
      .no_content = true,
      .in_template = {"<｜tool▁calls▁begin｜>", "```json"}},
     {.family = "deepseek_v31",
      .body = CallSyntax::Body::named,
      .open = "<｜tool▁calls▁begin｜>",
      .begin = "<｜tool▁call▁begin｜>",
      .after_name = "<｜tool▁sep｜>",
      .end = "<｜tool▁call▁end｜>",
      .close = "<｜tool▁calls▁end｜>",
      .mark = "<｜tool▁calls▁begin｜>",
      .text_arguments = true,
      .no_content = true,
      .in_template = {"<｜tool▁calls▁begin｜>"}},
     {.family = "mistral_arguments",
      .body = CallSyntax::Body::named,
      .begin = "[TOOL_CALLS]",
      .after_name = "[ARGS]",
      .mark = "[TOOL_CALLS]",
      .short_ids = true,
      .in_template = {"[TOOL_CALLS]", "[ARGS]"}},
     {.family = "mistral",
      .open = "[TOOL_CALLS] [",
      .before_name = R"({"name": ")",
      .after_name = R"(", "arguments": )",
      .after_arguments = "}",
      .between = ", ",
      .close = "]",
      .mark = "[TOOL_CALLS]",
      .short_ids = true,
      .in_template = {"[TOOL_CALLS]"}},
     {.family = "hermes",
      .begin = "<tool_call>\n",
      .before_name = R"({"name": ")",
      .after_name = R"(", "arguments": )",
      .after_arguments = "}",
      .end = "\n</tool_call>",
      .between = "\n",
      .mark = "<tool_call>",
      .in_template = {"<tool_call>", "arguments"},
      .not_in_template = {"<function=", "<arg_key>"}},
     {.family = "llama3",
      .before_name = R"({"name": ")",
      .after_name = R"(", "parameters": )",
      .after_arguments = "}",
      .between = "; ",
      .mark = "<|python_tag|>",
      .unmarked = true,
      .in_template = {"ipython", R"("parameters": )"}}}};

}  // namespace

std::span<const CallSyntax> call_syntaxes() { return kSyntaxes; }

const CallSyntax* syntax_named(std::string_view family) {
  const auto found =
      std::find_if(kSyntaxes.begin(), kSyntaxes.end(),
                   [family](const CallSyntax& syntax) { return syntax.family == family; });
  return found == kSyntaxes.end() ? nullptr : &*found;
}

const CallSyntax* syntax_of(std::string_view chat_template) {
  const auto has = [chat_template](std::string_view text) {
    return chat_template.find(text) != chat_template.npos;
  };
  const auto is_there = [&](std::string_view text) { return text.empty() || has(text); };
  const auto is_missing = [&](std::string_view text) { return text.empty() || !has(text); };
  const auto found =
      std::find_if(kSyntaxes.begin(), kSyntaxes.end(), [&](const CallSyntax& syntax) {
        return std::ranges::all_of(syntax.in_template, is_there) &&
               std::ranges::all_of(syntax.not_in_template, is_missing);
      });
  return found == kSyntaxes.end() ? nullptr : &*found;
}

}  // namespace spillway::local::answer
