#include "backends/local/grammar/matcher_internal.h"
#include "backends/local/grammar/work_limit.h"

#include <exception>
#include <utility>
#include <xgrammar/xgrammar.h>

namespace spillway::local::grammar {
namespace {

// Of the states of an answer that are kept, a hundred bytes each. Usual answers come to some dozens
// a token, to 371 at most.
constexpr std::uint64_t kStatesMax = 1 << 20;
constexpr std::uint64_t kStatesMoreAToken = 512;

class XgrammarMatcher final : public Matcher {
 public:
  XgrammarMatcher(const xgrammar::CompiledGrammar& grammar, std::shared_ptr<const Bits> banned)
      : matcher_(grammar),
        banned_(std::move(banned)),
        words_(static_cast<std::size_t>(
            xgrammar::GetBitmaskSize(grammar.GetTokenizerInfo().GetVocabSize()))) {}

  // What xgrammar throws says that it has lost its way: nothing can follow then.
  Mask allowed() override try {
    if (matcher_.IsTerminated()) return nothing();
    std::int64_t size = static_cast<std::int64_t>(words_.size());
    DLTensor mask{words_.data(), {kDLCPU, 0}, 1, xgrammar::GetBitmaskDLType(), &size, nullptr, 0};
    // False: any token will do.
    if (!matcher_.FillNextTokenBitmask(&mask)) words_.assign(words_.size(), ~std::uint32_t{0});
    for (std::size_t i = 0; banned_ && i < words_.size(); ++i) words_[i] &= ~(*banned_)[i];
    return words_;
  } catch (const std::exception&) {
    return nothing();
  }

  bool accept(std::int32_t token) override try {
    return !matcher_.IsTerminated() && kept([&] { return matcher_.AcceptToken(token); });
  } catch (const std::exception&) {
    return false;
  }

  bool accept(std::string_view text) override try {
    return text.empty() || kept([&] { return matcher_.AcceptString(std::string(text)); });
  } catch (const std::exception&) {
    return false;
  }

 private:
  bool kept(const auto& accept) {
    const std::uint64_t before = work_counted();
    const bool accepted = accept();
    states_ += work_counted() - before;
    states_max_ += kStatesMoreAToken;
    if (states_ > states_max_) throw TooMuchWork();
    return accepted;
  }

  Mask nothing() {
    words_.assign(words_.size(), 0);
    return words_;
  }

  xgrammar::GrammarMatcher matcher_;
  const std::shared_ptr<const Bits> banned_;
  std::vector<std::uint32_t> words_;
  std::uint64_t states_ = 0;  // That are kept, at most.
  std::uint64_t states_max_ = kStatesMax;
};

class XgrammarGrammar final : public Grammar {
 public:
  XgrammarGrammar(xgrammar::CompiledGrammar compiled, std::shared_ptr<const Bits> banned)
      : compiled_(std::move(compiled)), banned_(std::move(banned)) {}

  std::unique_ptr<Matcher> match() const override {
    return std::make_unique<XgrammarMatcher>(compiled_, banned_);
  }
  std::size_t bytes() const override { return compiled_.MemorySizeBytes(); }

 private:
  const xgrammar::CompiledGrammar compiled_;
  const std::shared_ptr<const Bits> banned_;
};

}  // namespace

std::shared_ptr<const Grammar> grammar_over(xgrammar::CompiledGrammar compiled,
                                            std::shared_ptr<const Bits> banned) {
  return std::make_shared<XgrammarGrammar>(std::move(compiled), std::move(banned));
}

}  // namespace spillway::local::grammar
