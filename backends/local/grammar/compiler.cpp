#include "backends/local/grammar/compiler_internal.h"
#include "backends/local/grammar/regex_check.h"
#include "backends/local/grammar/schema_check.h"
#include "backends/local/grammar/size_check.h"
#include "backends/local/grammar/trial.h"
#include "backends/local/grammar/warnings.h"

#include <exception>
#include <new>
#include <utility>
#include <variant>

namespace spillway::local::grammar {
namespace {

constexpr int kBlanksMax = 24;  // In a row, where JSON may have any number: models get lost there.

Error wrong(const Form& form, const std::string& what) {
  return {Errc::invalid_request, "'" + form.field + "' " + what, form.field, std::nullopt};
}

// What xgrammar says of a fault, less where in its own code it was found.
std::string cause_of(const std::exception& exception) {
  std::string what = exception.what();
  constexpr std::string_view kCheck = ") is false: ";
  if (const auto at = what.find(kCheck); at != what.npos) what.erase(0, at + kCheck.size());
  while (!what.empty() && (what.back() == '\n' || what.back() == '.')) what.pop_back();
  return what;
}

std::string quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string one_of(const std::vector<std::string>& choices) {
  std::string rule = "root ::= ";
  for (const std::string& choice : choices) {
    if (&choice != &choices.front()) rule += " | ";
    rule += quoted(choice);
  }
  return rule;
}

Result<xgrammar::Grammar> of_schema(const Form& form, const std::string& text) {
  const auto schema = checked_schema(text);
  if (!schema) return wrong(form, schema.error().message);
  return xgrammar::Grammar::FromJSONSchema(*schema, true, std::nullopt, std::nullopt, true,
                                           kBlanksMax);
}

// A grammar without what it has in quotes, where brackets and braces mean themselves.
std::string without_literals(std::string_view text) {
  std::string rest;
  bool in_literal = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      in_literal = !in_literal;
      rest += 'x';
    } else if (!in_literal) {
      rest += text[at];
    }
  }
  return rest;
}

Result<void> check_repeats(const Form& form) {
  const bool is_regex = form.kind == Form::Kind::regex;
  if (!is_regex && form.kind != Form::Kind::grammar) return {};
  const auto fits = check_regex(is_regex ? form.text : without_literals(form.text));
  if (fits) return {};
  return wrong(form, fits.error().message + ".");
}

Result<xgrammar::Grammar> of_tags(const Form& form) {
  auto grammar = xgrammar::Grammar::FromStructuralTag(form.text);
  if (auto* made = std::get_if<xgrammar::Grammar>(&grammar)) return *made;
  const auto what = [](const auto& error) { return cause_of(error); };
  return wrong(form, "is not understood: " +
                         std::visit(what, std::get<xgrammar::StructuralTagError>(grammar)) + ".");
}

Result<xgrammar::Grammar> grammar_of(const Form& form) {
  switch (form.kind) {
    case Form::Kind::json: return of_schema(form, R"({"type": "object"})");
    case Form::Kind::schema: return of_schema(form, form.text);
    case Form::Kind::regex: return xgrammar::Grammar::FromRegex(form.text);
    case Form::Kind::choice: return xgrammar::Grammar::FromEBNF(one_of(form.choices));
    case Form::Kind::tags: return of_tags(form);
    case Form::Kind::grammar: break;
  }
  return xgrammar::Grammar::FromEBNF(form.text);
}

}  // namespace

xgrammar::TokenizerInfo tokens_of(const Vocabulary& vocabulary) {
  return xgrammar::TokenizerInfo(vocabulary.bytes, xgrammar::VocabType::RAW, std::nullopt,
                                 vocabulary.end_ids);
}

std::shared_ptr<const Bits> no_json_of(const std::vector<std::string>& tokens) {
  const auto is_out = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r';
  };
  auto bits = std::make_shared<Bits>((tokens.size() + 31) / 32);
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    if (std::any_of(tokens[id].begin(), tokens[id].end(), is_out))
      (*bits)[id / 32] |= std::uint32_t{1} << (id % 32);
  }
  return bits;
}

Maker::Maker(const Vocabulary& vocabulary)
    : end_ids_(vocabulary.end_ids),
      no_json_(no_json_of(vocabulary.bytes)),
      compiler_(tokens_of(vocabulary), 1, false) {}

// xgrammar throws what it cannot read.
Result<Made> Maker::make(const Form& form) try {
  if (const auto fits = check_size(form); !fits) return fits.error();
  if (form.kind == Form::Kind::choice && form.choices.empty())
    return wrong(form, "has no choices: give one at least.");
  if (const auto fits = check_repeats(form); !fits) return fits.error();
  const Warnings warnings;
  const auto grammar = grammar_of(form);
  if (!grammar) return grammar.error();
  if (!warnings.first().empty())
    return wrong(
        form, "asks for what the local engine cannot hold an answer to: " + warnings.first() + ".");
  const bool is_json = form.kind == Form::Kind::json || form.kind == Form::Kind::schema;
  Made made{compiler_.CompileGrammar(*grammar), is_json};
  const auto tried = grammar_over(made.grammar, is_json ? no_json_ : nullptr);
  if (is_empty(tried->match()->allowed()))
    return wrong(form, "lets nothing be said: no answer fits it.");
  if (!is_quick(*tried, end_ids_))
    return wrong(form,
                 "can be read in too many ways: repeat nothing that is repeated itself, and let "
                 "no text be read by two rules.");
  return made;
} catch (const std::bad_alloc&) {
  return takes_too_much(form);
} catch (const std::exception& exception) {
  return wrong(form, "is not understood: " + cause_of(exception) + ".");
}

namespace {

class OwnCompiler final : public Compiler {
 public:
  explicit OwnCompiler(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  Result<std::shared_ptr<const Grammar>> compile(const Form& form) override {
    std::call_once(read_, [this] {
      maker_.emplace(vocabulary_);
      vocabulary_ = {};
    });
    auto made = maker_->make(form);
    if (!made) return made.error();
    return grammar_over(std::move(made->grammar), made->is_json ? maker_->no_json() : nullptr);
  }

 private:
  std::once_flag read_;
  Vocabulary vocabulary_;  // Until it has been read.
  std::optional<Maker> maker_;
};

}  // namespace

std::unique_ptr<Compiler> make_compiler(Vocabulary vocabulary) {
  return std::make_unique<OwnCompiler>(std::move(vocabulary));
}

bool is_built() { return true; }

}  // namespace spillway::local::grammar
