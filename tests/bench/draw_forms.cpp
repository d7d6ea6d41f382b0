// Answers that are held to forms, of a model that knows nothing: its logits are noise, so that the
// form alone makes them right.
//
// usage: draw_forms VOCABULARY ANSWERS TOKENS [SPILLWAY] < FORMS > ANSWERS
// FORMS has a JSON object a line: {"kind": "schema", "text": …} or {"kind": "choice", "choices":
// […]}. A line comes back for each: {"compile_ms", "mask_ns", "slowest_ns", "states",
// "tokens", "cut", "given_up", "answers"} or {"compile_ms", "error"}. With SPILLWAY, the program,
// forms are compiled as in service, in processes of their own. What reaches TOKENS is not among the
// answers, and counted as cut; so is, as given up, what takes a processor for 100 ms to look up a
// token.
#include "backends/local/grammar/served_compiler.h"
#include "backends/local/grammar/work_limit.h"
#include "backends/local/loader/model_file.h"
#include "backends/local/sample/sampler.h"
#include "backends/local/text_model_codec.h"

#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <random>

namespace spillway::local {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

double nanoseconds_since(Clock::time_point began) {
  return std::chrono::duration<double, std::nano>(Clock::now() - began).count();
}

// A row of noise for each token, cut out of one long row at a place of chance. What closes
// something is a little likelier, or answers would hardly end.
class Noise {
 public:
  explicit Noise(const grammar::Vocabulary& vocabulary) : size_(vocabulary.bytes.size()) {
    std::normal_distribution<float> normal(0.0f, 3.0f);
    for (std::size_t i = 0; i < 4 * size_; ++i) noise_.push_back(normal(random_));
    row_.resize(size_);
    for (std::size_t id = 0; id < size_; ++id) {
      const std::string& text = vocabulary.bytes[id];
      if (text == "\"" || text == "}" || text == "]") likelier_.push_back(id);
    }
    for (const std::int32_t id : vocabulary.end_ids)
      likelier_.push_back(static_cast<std::size_t>(id));
  }

  std::span<const float> row() {
    const std::size_t at = random_() % (noise_.size() - size_);
    std::copy_n(noise_.begin() + static_cast<std::ptrdiff_t>(at), size_, row_.begin());
    for (const std::size_t id : likelier_) row_[id] += 12.0f;
    return row_;
  }

 private:
  const std::size_t size_;
  std::mt19937 random_{11};
  std::vector<float> noise_;
  std::vector<float> row_;
  std::vector<std::size_t> likelier_;
};

class Draw {
 public:
  Draw(const TextCodec& codec, std::unique_ptr<grammar::Compiler> compiler, int answers,
       int tokens_max)
      : codec_(codec),
        vocabulary_(codec.vocabulary()),
        compiler_(std::move(compiler)),
        noise_(vocabulary_),
        answers_(answers),
        tokens_max_(tokens_max) {}

  Json of(const Json& asked) {
    const Form form = form_of(asked);
    const auto began = Clock::now();
    const auto grammar = compiler_->compile(form);
    Json told{{"compile_ms", nanoseconds_since(began) / 1e6}};
    if (!grammar) {
      told["error"] = grammar.error().message;
      return told;
    }
    masks_ns_ = slowest_ns_ = 0;
    states_ = 0;
    tokens_ = 0;
    told["answers"] = Json::array();
    int cut = 0, given_up = 0;
    for (int i = 0; i < answers_; ++i) {
      try {
        const auto answer = one(**grammar, static_cast<std::uint64_t>(i));
        if (answer) told["answers"].push_back(*answer);
        cut += answer ? 0 : 1;
      } catch (const grammar::TooMuchWork&) {
        ++given_up;
      }
    }
    told["cut"] = cut;
    told["given_up"] = given_up;
    told["tokens"] = tokens_;
    told["mask_ns"] = masks_ns_ / std::max(1, tokens_);
    told["slowest_ns"] = slowest_ns_;
    told["states"] = static_cast<double>(states_) / std::max(1, tokens_);
    return told;
  }

 private:
  static Form form_of(const Json& asked) {
    constexpr std::array<std::string_view, 5> kKinds = {"json", "schema", "regex", "choice",
                                                        "grammar"};
    Form form;
    const auto kind = std::find(kKinds.begin(), kKinds.end(), asked.value("kind", "schema"));
    form.kind = static_cast<Form::Kind>(kind - kKinds.begin());
    form.text = asked.value("text", "");
    form.choices = asked.value("choices", std::vector<std::string>());
    form.field = "form";
    return form;
  }

  std::optional<std::string> one(const grammar::Grammar& grammar, std::uint64_t seed) {
    const auto matcher = grammar.match();
    const auto text = codec_.open_stream();
    SequenceSampler sampler(Sampling{}, {}, vocabulary_.end_ids, seed);
    std::string said;
    timed([&] { sampler.allow(matcher->allowed()); });
    for (int i = 0; i < tokens_max_; ++i) {
      ++tokens_;
      const std::int32_t token = sampler.choose(noise_.row(), scratch_);
      const auto& ends = codec_.end_ids();
      if (std::find(ends.begin(), ends.end(), token) != ends.end()) return said + text->finish();
      said += text->push(token);
      sampler.record(token);
      timed([&] {
        const std::uint64_t before = grammar::work_counted();
        if (!matcher->accept(token)) std::abort();
        states_ += grammar::work_counted() - before;
        sampler.allow(matcher->allowed());
      });
    }
    return std::nullopt;
  }

  // As the engine's follower does it.
  void timed(const auto& look_up) {
    const grammar::WorkLimit limit(std::chrono::milliseconds(100));
    const auto note = [&] {
      const auto taken = static_cast<double>(limit.taken().count());
      masks_ns_ += taken;
      slowest_ns_ = std::max(slowest_ns_, taken);
    };
    try {
      look_up();
    } catch (const grammar::TooMuchWork&) {
      note();
      throw;
    }
    note();
  }

  const TextCodec& codec_;
  const grammar::Vocabulary vocabulary_;
  const std::unique_ptr<grammar::Compiler> compiler_;
  Noise noise_;
  const int answers_;
  const int tokens_max_;
  SamplerScratch scratch_;
  double masks_ns_ = 0;
  double slowest_ns_ = 0;
  std::uint64_t states_ = 0;
  int tokens_ = 0;
};

std::unique_ptr<grammar::Compiler> compiler_of(const TextCodec& codec, const char* program) {
  if (program == nullptr) return grammar::make_compiler(codec.vocabulary());
  return grammar::make_served_compiler(codec.vocabulary(), {program, {"forms-child"}});
}

int run(const char* path, int answers, int tokens_max, const char* program) {
  auto file = loader::ModelFile::open(path);
  auto codec = file ? make_text_model_codec(*file) : file.error();
  if (!codec) {
    std::fprintf(stderr, "%s\n", codec.error().message.c_str());
    return 1;
  }
  Draw draw(**codec, compiler_of(**codec, program), answers, tokens_max);
  std::string line;
  while (std::getline(std::cin, line))
    std::cout << draw.of(Json::parse(line)).dump(-1, ' ', false, Json::error_handler_t::replace)
              << std::endl;
  return 0;
}

}  // namespace
}  // namespace spillway::local

int main(int count, char** words) {
  if (count != 4 && count != 5) {
    std::fputs("usage: draw_forms VOCABULARY ANSWERS TOKENS [SPILLWAY] < FORMS\n", stderr);
    return 2;
  }
  return spillway::local::run(words[1], std::atoi(words[2]), std::atoi(words[3]),
                              count == 5 ? words[4] : nullptr);
}
