// An encoder as the gateway sees it, over vectors that are made up.
#include "backends/local/encoder/encoder_backend.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <exception>

namespace spillway::local {
namespace {

namespace net = boost::asio;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// [its number of tokens, 3, 4]
class CountingEncoder final : public Encoder {
 public:
  Result<std::vector<Embedding>> embed(std::span<const TokenIds> inputs) override {
    std::vector<Embedding> embeddings;
    for (const TokenIds& ids : inputs)
      embeddings.push_back({static_cast<float>(ids.size()), 3.0F, 4.0F});
    return embeddings;
  }
};

EncoderText text() {
  loader::EncoderFolder folder;
  folder.spec.vocabulary = 4;
  folder.spec.tokens_max = 6;
  folder.tokenizer = R"({
    "model": {"type": "WordPiece", "unk_token": "[UNK]",
              "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "cat": 3}},
    "added_tokens": [], "normalizer": {"type": "BertNormalizer", "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]}})";
  auto made = EncoderText::from_folder(folder);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

struct Outcome {
  std::optional<Delta> delta;
  std::optional<Error> error;
};

net::awaitable<Outcome> first_piece(Backend& backend, std::shared_ptr<const ChatRequest> request) {
  Terms terms;
  terms.model = "minilm";
  Outcome outcome;
  auto stream = co_await backend.open(std::move(request), std::move(terms));
  if (!stream) {
    outcome.error = stream.error();
    co_return outcome;
  }
  auto piece = co_await (*stream)->next(SteadyClock::now() + std::chrono::seconds(10));
  if (!piece) outcome.error = piece.error();
  if (piece) outcome.delta = std::move(*piece);
  co_return outcome;
}

Outcome ask(const json& body, Endpoint endpoint = Endpoint::embeddings, bool shortens = true,
            int jobs_max = 4) {
  EncoderBackend backend("encoder", text(), {3, shortens}, std::make_unique<CountingEncoder>(),
                         {jobs_max, 64});
  auto request = std::make_shared<ChatRequest>();
  request->endpoint = endpoint;
  request->body = body.dump();
  net::io_context context;
  Outcome outcome;
  net::co_spawn(context, first_piece(backend, request),
                [&](std::exception_ptr thrown, Outcome came) {
                  EXPECT_FALSE(thrown);
                  outcome = std::move(came);
                });
  context.run();
  return outcome;
}

json vectors_of(const Outcome& outcome) {
  json vectors = json::array();
  if (!outcome.delta) return outcome.error ? json(outcome.error->message) : json();
  const json answer = json::parse(outcome.delta->object);
  for (const json& one : answer["data"]) vectors.push_back(one["embedding"]);
  return vectors;
}

TEST(EncoderBackend, AnswersWhatOpenAisClientsAsk) {
  const Outcome outcome = ask({{"input", {"cat", "cat cat"}}});
  ASSERT_TRUE(outcome.delta);
  EXPECT_EQ(json::parse(outcome.delta->object),
            json::parse(R"({"object": "list", "model": "minilm", "data": [
              {"object": "embedding", "index": 0, "embedding": [3.0, 3.0, 4.0]},
              {"object": "embedding", "index": 1, "embedding": [4.0, 3.0, 4.0]}],
              "usage": {"prompt_tokens": 7, "total_tokens": 7}})"));
  EXPECT_EQ(outcome.delta->usage->prompt_tokens, 7);
  EXPECT_EQ(outcome.delta->finish, FinishReason::stop);
}

TEST(EncoderBackend, TakesATextTokensAndListsOfThem) {
  EXPECT_EQ(vectors_of(ask({{"input", "cat"}})), json({{3.0, 3.0, 4.0}}));
  EXPECT_EQ(vectors_of(ask({{"input", {1, 3, 3, 2}}})), json({{4.0, 3.0, 4.0}}));
  EXPECT_EQ(vectors_of(ask({{"input", {{3}, {3, 3}}}})), json({{1.0, 3.0, 4.0}, {2.0, 3.0, 4.0}}));
}

TEST(EncoderBackend, ShortensWhereTheModelAllowsIt) {
  EXPECT_EQ(vectors_of(ask({{"input", {{3, 3, 3, 3}}}, {"dimensions", 2}})),
            json::parse("[[0.8, 0.6]]"));
  EXPECT_EQ(vectors_of(ask({{"input", "cat"}, {"dimensions", 3}}, Endpoint::embeddings, false)),
            json({{3.0, 3.0, 4.0}}));
  const Outcome fixed = ask({{"input", "cat"}, {"dimensions", 2}}, Endpoint::embeddings, false);
  EXPECT_EQ(fixed.error->code, Errc::unsupported);
  EXPECT_EQ(fixed.error->param, "dimensions");
  EXPECT_THAT(ask({{"input", "cat"}, {"dimensions", 4}}).error->message, HasSubstr("at most 3"));
  EXPECT_EQ(ask({{"input", "cat"}, {"dimensions", 0}}).error->code, Errc::invalid_request);
}

TEST(EncoderBackend, LeavesOutWhatSaysNothingToIt) {
  const EncoderBackend backend("encoder", text(), {3, true}, std::make_unique<CountingEncoder>(),
                               {4, 64});
  const auto left_out = [&](const char* more) {
    ChatRequest request;
    request.endpoint = Endpoint::embeddings;
    request.body = R"({"model":"m","input":["cat",{"task":[1]}],"user":"me","dimensions":2)";
    request.body.append(more).append("}");
    return backend.left_out(request);
  };
  EXPECT_THAT(left_out(R"(,"encoding_format":"float","service_tier":"flex")"), ElementsAre());
  EXPECT_THAT(left_out(R"(,"task":"query","normalize":null,"news":{"a":null})"),
              ElementsAre("news", "task"));
}

TEST(EncoderBackend, WhatIsToBeEmbeddedBesideTheInputIsRefused) {
  const Outcome outcome = ask({{"input", "cat"}, {"images", {"data:image/png;base64,AA=="}}});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.error->code, Errc::unsupported);
  EXPECT_EQ(outcome.error->param, "images");
}

TEST(EncoderBackend, WhatIsTooLongIsSaid) {
  EXPECT_TRUE(ask({{"input", "cat cat cat cat"}}).delta);
  const Outcome outcome = ask({{"input", {"cat", "cat cat cat cat cat"}}});
  EXPECT_EQ(outcome.error->code, Errc::context_too_long);
  EXPECT_EQ(outcome.error->param, "input[1]");
  EXPECT_THAT(outcome.error->message, HasSubstr("at most 6 tokens"));
  EXPECT_EQ(ask({{"input", {1, 3, 3, 3, 3, 3, 2}}}).error->code, Errc::context_too_long);
}

TEST(EncoderBackend, RefusesWhatIsNoInput) {
  const std::vector<std::pair<json, std::string>> refused = {
      {json::array(), "input"}, {json({json()}), "input[0]"}, {7, "input"},
      {json({4}), "input"},     {json({-1}), "input"},        {json({"cat", 3}), "input[1]"},
      {nullptr, "input"},       {{{3}, {3, 4}}, "input[1]"}};
  for (const auto& [input, param] : refused) {
    const Outcome outcome = ask({{"input", input}});
    ASSERT_TRUE(outcome.error) << input;
    EXPECT_EQ(outcome.error->code, Errc::invalid_request) << input;
    EXPECT_EQ(outcome.error->param, param) << input;
  }
}

TEST(EncoderBackend, RefusesOtherEndpointsAndMoreThanItMayHold) {
  EXPECT_EQ(ask({{"input", "cat"}}, Endpoint::chat).error->code, Errc::unsupported);
  EXPECT_EQ(ask({{"input", "cat"}}, Endpoint::embeddings, true, 0).error->code, Errc::overloaded);
}

}  // namespace
}  // namespace spillway::local
