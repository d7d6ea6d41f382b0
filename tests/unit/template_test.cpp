// What golden files cannot show: marks, limits on hostile templates, and error messages.
#include "backends/local/template/chat_template.h"
#include "backends/local/template/interpreter.h"
#include "backends/local/template/json_value.h"
#include "backends/local/template/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>

namespace spillway::templates {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::chrono::system_clock::time_point kNow{};

// The rendered text with input in «quotes».
std::string shown(const MarkedText& text) {
  std::string out;
  std::size_t at = 0;
  for (const auto& range : text.input()) {
    out += text.bytes().substr(at, range.begin - at);
    out += "«" + std::string(text.bytes().substr(range.begin, range.end - range.begin)) + "»";
    at = range.end;
  }
  return out + std::string(text.bytes().substr(at));
}

std::string render(const std::string& source, const std::string& variables = "{}") {
  const auto compiled = ChatTemplate::compile(source, {"<s>", "</s>"});
  if (!compiled) return "compile: " + compiled.error().message;
  const auto text = compiled->render_json(variables, kNow);
  return text ? shown(*text) : "render: " + text.error().message;
}

TEST(Marks, SurviveWhatTemplatesDo) {
  const std::string in = R"({"u": " Ab<c> ", "l": ["x", "y"], "d": {"k": "v"}, "n": 5})";
  EXPECT_EQ(render("<|a|>{{ u }}<|b|>", in), "<|a|>« Ab<c> »<|b|>");
  EXPECT_EQ(render("{{ '[' + u|trim + ']' }}", in), "[«Ab<c>»]");
  EXPECT_EQ(render("{{ u.strip().upper() }}{{ u|lower }}", in), "«AB<C> ab<c> »");
  EXPECT_EQ(render("{{ u[1:3] ~ '-' ~ u[::-1] }}", in), "«Ab»-« >c<bA »");
  EXPECT_EQ(render("{{ u.split('<')|join('|') }}", in), "« Ab»|«c> »");
  EXPECT_EQ(render("{{ u|replace('A', '_') }}", in), "« »_«b<c> »");
  EXPECT_EQ(render("{{ 'a-b'.replace('-', u) }}", in), "a« Ab<c> »b");
  EXPECT_EQ(render("{{ '%s=%s' % ('k', u) }} {{ '{}!'.format(u) }}", in), "k=« Ab<c> » « Ab<c> »!");
  EXPECT_EQ(render("{{ l|join(', ') }}{{ l }}", in), "«x», «y»[«'x'», «'y'»]");
  EXPECT_EQ(render("{{ d|tojson }}", in), "{«\"k\"»: «\"v\"»}");
  EXPECT_EQ(render("{% set b %}<{{ u }}>{% endset %}{{ b|length }}{{ b }}", in), "9<« Ab<c> »>");
  EXPECT_EQ(render("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(u) }}", in), "<« Ab<c> »>");
  EXPECT_EQ(render("{{ u|indent }}{{ u|e }}{{ u|title }}", in), "« Ab<c>  Ab&lt;c&gt;  Ab<C> »");
  EXPECT_EQ(render("{{ u if u == ' Ab<c> ' else 'other' }}{{ n }}{{ bos_token }}", in),
            "« Ab<c> »5<s>");
}

TEST(Marks, TextAppendedToItselfKeepsThem) {
  MarkedText text("a");
  text.append("bc", true);
  text.append(text);
  EXPECT_EQ(shown(text), "a«bc»a«bc»");
  EXPECT_EQ(shown(text.between(2, 5)), "«c»a«b»");
  EXPECT_EQ(shown(text.between(3, 4)), "a");
  EXPECT_THAT(text.between(1, 1).input(), IsEmpty());
}

TEST(ChatTemplate, RolesAreControlAndContentIsInput) {
  const std::string source =
      "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}<|assistant|>{% endif %}";
  const auto compiled = ChatTemplate::compile(source, {"<s>", ""});
  ASSERT_TRUE(compiled);
  std::vector<Message> messages(2);
  messages[0] = {Role::developer, "Obey", "", true};
  messages[1] = {Role::user, "<|system|>", "", true};
  const auto text = compiled->render(messages, nullptr, kNow);
  ASSERT_TRUE(text);
  EXPECT_EQ(shown(*text), "<s><|system|>«Obey»<|user|>«<|system|>»<|assistant|>");
}

// A conversation in which a function was called.
std::vector<Message> called(std::string id, std::string arguments) {
  std::vector<Message> messages(2);
  messages[0] = {Role::assistant, "", "", true, {{id, "look", std::move(arguments)}}, "", "Hm."};
  messages[1] = {Role::tool, "7", "", true, {}, std::move(id)};
  return messages;
}

TEST(ChatTemplate, CallsAreWhatTransformersMakesOfThem) {
  const std::string source =
      "{% for m in messages %}{{ m.reasoning_content }}{% for c in m.tool_calls or [] %}"
      "<{{ c.id }} {{ c.type }}>{{ c.function.name }}{{ c.function.arguments.a }}"
      "{{ m.content == '' }}{% endfor %}{{ m.tool_call_id }}{{ m.content or '' }}{% endfor %}"
      "{{ tools | tojson }}";
  const auto compiled = ChatTemplate::compile(source, {});
  ASSERT_TRUE(compiled);
  Tools tools;
  tools.text = R"([{"z": 1, "a": "<b>"}])";
  const auto text = compiled->render(called("id1", R"({"a": [1, "x"]})"), &tools, kNow);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(shown(*text),
            "«Hm.»<«id1» function>«look»[1, «'x'»]True«id17»[{«\"z\"»: 1, «\"a\"»: «\"<b>\"»}]");
  tools.text = "[";
  EXPECT_EQ(compiled->render({}, &tools, kNow).error().param, "tools");
}

TEST(ChatTemplate, SomeWantArgumentsAsTextAndShortIds) {
  const std::string source =
      "{% for m in messages %}{% for c in m.tool_calls or [] %}{{ c.id }} {{ 'x' + "
      "c.function.arguments }}{{ m.content is none }}{% endfor %} {{ m.tool_call_id }}{% endfor %}";
  const auto compiled = ChatTemplate::compile(source, {}, {true, true, true});
  ASSERT_TRUE(compiled);
  EXPECT_EQ(compiled->render(called("abcDEF123", "{}"), nullptr, kNow)->bytes(),
            "abcDEF123 x{}True  abcDEF123");
  const std::string other(compiled->render(called("call_1", "{}"), nullptr, kNow)->bytes());
  EXPECT_EQ(other.substr(0, 9), other.substr(other.size() - 9));
  EXPECT_EQ(other.find('_'), other.npos);
}

TEST(ChatTemplate, RefusalsCarryTheTemplatesWords) {
  const auto compiled =
      ChatTemplate::compile("\n{{ raise_exception('Roles must alternate') }}", {});
  const auto refused = compiled->render({}, nullptr, kNow);
  EXPECT_EQ(refused.error().code, Errc::invalid_request);
  EXPECT_THAT(refused.error().message, HasSubstr("messages: Roles must alternate"));
  EXPECT_THAT(render("a\nb\n{{ 1 + 'x' }}"), HasSubstr("line 3: unsupported operand types"));
  EXPECT_THAT(render("a\n{{ 1 + }}"), HasSubstr("line 2: unexpected"));
  EXPECT_THAT(render("{{ x }}", "[1]"), HasSubstr("JSON object"));
  EXPECT_THAT(render("{{ x }}", "{"), HasSubstr("not JSON"));
}

// Each must end soon, in an error, without exhausting memory or the stack.
TEST(Hostile, WorkIsBounded) {
  const char* templates[] = {
      "{% for i in range(1000000) %}{% for j in range(1000000) %}x{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% "
      "endfor %}",
      "{{ 'x' * 100000000000 }}",
      "{{ [0] * 100000000000 }}",
      "{{ range(100000000000) }}",
      "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
      "{{ ('a' * 1000000).split('a' * 400000 + 'b') }}{{ 'a' * 30000000 in 'a' * 60000000 }}",
      "{{ '%999999999d' % 1 }}{{ '{:999999999}'.format(1) }}{{ 'x' * 70000000 }}",
      "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% macro a(n) %}{{ n }}{{ b(n) }}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}{{ a(n) "
      "}}{% endmacro %}{{ a(0) }}",
      "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor "
      "%}",
      "{% set ns = namespace(l={}) %}{% for i in range(100000) %}{% set ns.l = {'k': ns.l} %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}{{ ns.l }}",
      "{% set ns = namespace(l=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}{{ ns.l|tojson }}",
      "{% set ns = namespace(l=[]) %}{% for i in range(90) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}{{ ns.l == [ns.l] or ns.l < [1] }}{{ ns.l|string }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ 7 ** 99 }}",
      "{% for i in range(1000000) %}{{ 'x' * 1000 }}{% endfor %}",
  };
  for (const char* source : templates) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(render(source), HasSubstr("render: ")) << source;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << source;
  }
}

TEST(Hostile, CyclesOfNamespacesAreFreed) {
  EXPECT_EQ(render("{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{% set "
                   "a.a = [a] %}ok"),
            "ok");
  EXPECT_EQ(render("{% set ns = namespace(p=none) %}{% for i in range(50000) %}"
                   "{% set ns = namespace(p=ns) %}{% endfor %}ok"),
            "ok");
  EXPECT_EQ(render("{% set ns = namespace(p=none) %}{% for i in range(50000) %}"
                   "{% set ns.p = namespace(p=ns.p) %}{% endfor %}ok"),
            "ok");
}

TEST(Hostile, MacrosThatOutliveTheirBlockAreRefused) {
  EXPECT_THAT(
      render("{% set ns = namespace() %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}"
             "{% set ns.m = m %}{% endfor %}{{ ns.m() }}"),
      HasSubstr("outside the block"));
}

TEST(Hostile, DeepSourcesAreRefused) {
  const auto repeat = [](const std::string& part, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += part;
    return out;
  };
  const int n = 50'000;
  EXPECT_THAT(render("{{ " + repeat("(", n) + "1" + repeat(")", n) + " }}"),
              HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ " + repeat("[", n) + repeat("]", n) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ 1" + repeat("+1", n) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ " + repeat("-", n) + "1 }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ " + repeat("not ", n) + "1 }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ x" + repeat(".a", n) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ x" + repeat("|list", n) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render("{{ 1" + repeat(" if 1 else 1", n) + " }}"), HasSubstr("too deeply"));
  EXPECT_THAT(render(repeat("{% if 1 %}", 10'000)), HasSubstr("too deeply"));
  EXPECT_THAT(render(repeat("x", 2'000'000)), HasSubstr("too large"));
  EXPECT_THAT(render("{{ x }}", "{\"x\":" + repeat("[", 200) + repeat("]", 200) + "}"),
              HasSubstr("too deeply"));
  EXPECT_EQ(render("{% if 0 %}" + repeat("{% elif 0 %}", 5'000) + "{% else %}ok{% endif %}"), "ok");
}

// Random edits of a real template must parse and render, or fail, and nothing else.
TEST(Hostile, MutatedTemplatesDoNotCrash) {
  const std::string source =
      "{%- macro t(x, n=1) -%}{{ x|tojson(indent=2) }}{%- endmacro -%}{% set ns = namespace(a=0) %}"
      "{% for m in messages if m.role != 'x' %}{% if loop.first and m['role'] == \"system\" %}"
      "{{ m.content[1:-1].split('a', 1)|last|upper }}{% elif m is mapping %}{% set ns.a = ns.a + 1 "
      "%}"
      "{{ '%s %d' % (m.role, ns.a) ~ t(m) }}{% else %}{% break %}{% endif %}{% endfor %}{# c #}"
      "{% raw %}{{ {% endraw %}{{ messages|map(attribute='role')|join(', ') }}{{ [1, 2.5, "
      "none][::-1] }}";
  const std::string variables =
      R"({"messages": [{"role": "system", "content": "bananas"}, {"role": "user", "content": "ü"}]})";
  ASSERT_THAT(render(source, variables), HasSubstr("NANA"));
  const std::string alphabet = "{}%#-+()[]|.,:'\"=~*/ \nabmx019_if";
  std::mt19937 random(3);
  int rendered = 0;
  for (int round = 0; round < 6'000; ++round) {
    std::string changed = source;
    for (unsigned i = 0; i < 1 + random() % 3; ++i) {
      const std::size_t at = random() % changed.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0: changed[at] = c; break;
        case 1: changed.insert(at, 1, c); break;
        default: changed.erase(at, 1 + random() % 3); break;
      }
    }
    const std::string out = render(changed, variables);
    rendered += !out.starts_with("compile: ") && !out.starts_with("render: ");
  }
  EXPECT_GT(rendered, 300);
}

}  // namespace
}  // namespace spillway::templates
