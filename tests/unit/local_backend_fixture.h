// The local backend over a model of letters, and what it answers.
#pragma once

#include "backends/local/local_backend.h"
#include "tests/unit/local_letter_model.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace spillway::local {

namespace net = boost::asio;

struct Answer {
  std::string text;
  int tokens = 0;
  std::optional<FinishReason> finish;
  std::optional<Usage> usage;
  std::optional<Error> error;
  std::string reasoning;
  std::vector<std::string> extras;
  std::vector<std::string> texts = {};  // Of each choice.
  std::vector<nlohmann::json> logprobs = {};
  int usages = 0;
  std::shared_ptr<const Beside> beside = {};
  std::string stopped_by = {};
};

// A worker thread's io_context with requests on it.
class LocalBackendTest : public ::testing::Test {
 protected:
  void start(config::LocalTarget target, int kv_blocks = 64,
             std::unique_ptr<LetterCodec> codec = std::make_unique<LetterCodec>()) {
    codec_ = codec.get();
    backend_ = std::make_unique<LocalBackend>(target, std::move(codec),
                                              std::make_unique<LetterExecutor>(gate_, kv_blocks));
  }

  static std::shared_ptr<ChatRequest> request(std::size_t prompt_tokens, int tokens_max) {
    auto request = std::make_shared<ChatRequest>();
    request->messages = {{Role::user, std::string(prompt_tokens, 'x'), ""}};
    request->sampling.temperature = 0;
    request->sampling.tokens_max = tokens_max;
    return request;
  }

  std::unique_ptr<TokenStream> open(std::shared_ptr<const ChatRequest> request,
                                    std::optional<Error>* error = nullptr) {
    std::unique_ptr<TokenStream> opened;
    net::co_spawn(io_, open_into(*backend_, std::move(request), opened, error), net::detached);
    io_.restart();
    io_.run();
    return opened;
  }

  Answer read(TokenStream& stream) {
    Answer answer;
    net::co_spawn(io_, read_into(stream, answer), net::detached);
    io_.restart();
    io_.run();
    return answer;
  }

  Answer ask(std::shared_ptr<const ChatRequest> request) {
    std::optional<Error> error;
    auto stream = open(std::move(request), &error);
    if (!stream) return {"", 0, {}, {}, error};
    return read(*stream);
  }

  static net::awaitable<void> open_into(Backend& backend,
                                        std::shared_ptr<const ChatRequest> request,
                                        std::unique_ptr<TokenStream>& opened,
                                        std::optional<Error>* error) {
    Terms terms{"letters", soon()};
    auto result = co_await backend.open(std::move(request), std::move(terms));
    if (result) {
      opened = std::move(*result);
    } else if (error != nullptr) {
      *error = result.error();
    }
  }

  static net::awaitable<void> read_into(TokenStream& stream, Answer& answer) {
    while (true) {
      auto delta = co_await stream.next(soon());
      if (!delta) {
        answer.error = delta.error();
        co_return;
      }
      if (!*delta) co_return;
      answer.text += (*delta)->text;
      const auto choice = static_cast<std::size_t>((*delta)->choice);
      answer.texts.resize(std::max(answer.texts.size(), choice + 1));
      answer.texts[choice] += (*delta)->text;
      if (!(*delta)->logprobs.empty())
        answer.logprobs.push_back(nlohmann::json::parse((*delta)->logprobs));
      if ((*delta)->beside) answer.beside = (*delta)->beside;
      answer.usages += (*delta)->usage ? 1 : 0;
      answer.tokens += (*delta)->tokens;
      answer.reasoning += (*delta)->reasoning;
      if (!(*delta)->extra.empty()) answer.extras.push_back((*delta)->extra);
      if ((*delta)->finish) answer.finish = (*delta)->finish;
      answer.stopped_by += (*delta)->stopped_by;
      if ((*delta)->usage) answer.usage = (*delta)->usage;
    }
  }

  bool idle() const {
    const EngineStatus status = backend_->status();
    return status.running.empty() && status.waiting.empty() &&
           status.kv_tokens_free == status.kv_tokens_total && status.step_elapsed == 0.0;
  }

  net::io_context io_{1};
  std::shared_ptr<LetterExecutor::Gate> gate_ = std::make_shared<LetterExecutor::Gate>();
  LetterCodec* codec_ = nullptr;
  std::unique_ptr<LocalBackend> backend_;
};

}  // namespace spillway::local
