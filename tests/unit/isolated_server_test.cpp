// Several engines at one end of a line and the gateway's switchboard at the other, in one process:
// what fails there, what goes on, and what the gateway sees of it.
#include "backends/isolated/engine_server.h"
#include "backends/isolated/switchboard.h"
#include "backends/local/engine/synthetic_executor.h"
#include "backends/local/engine/text_codec.h"
#include "tests/unit/local_letter_model.h"
#include "tests/unit/prompts.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace spillway::isolated {
namespace {

using namespace std::chrono_literals;
using local::eventually;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr StepModel kPace{20e-6, 2e-6, 0.0, 0.2e-6};
constexpr const char* kSettings = R"(
server: {listen: "127.0.0.1:0", admin: "127.0.0.1:0"}
targets:
  local: {kind: local, executor: synthetic, serves: [m], replicas: 2, sequences_max: 2,
          kv_tokens_max: 4096}
)";

// Runs at a pace as the synthetic one does, until it is told to fail.
class Failing final : public local::Executor {
 public:
  explicit Failing(std::shared_ptr<std::atomic<bool>> fails) : fails_(std::move(fails)) {}
  local::ExecutorShape shape() const override { return inner_.shape(); }
  Result<local::StepResult> run(std::span<const local::Slice> slices) override {
    if (*fails_) return Error{Errc::internal, "device lost", "", std::nullopt};
    return inner_.run(slices);
  }

 private:
  const std::shared_ptr<std::atomic<bool>> fails_;
  local::SyntheticExecutor inner_{kPace, {local::kSyntheticVocabulary, 4'096, 256, true}};
};

class Server : public testing::Test {
 protected:
  Server() {
    board_->connect(*line_, kSettings);
    server_thread_ = std::thread([this] { exit_ = server_.run(); });
    EXPECT_TRUE(eventually([this] {
      listen();
      return board_->status().ready;
    }));
  }
  ~Server() override {
    board_->close(SteadyClock::now());
    EXPECT_TRUE(ended());
    server_thread_.join();
    board_->disconnect({Errc::backend_unavailable, "it ended", "", std::nullopt});
  }

  Result<local::LocalModel> load() {
    std::vector<std::unique_ptr<local::Executor>> executors;
    for (const auto& fails : fails_) executors.push_back(std::make_unique<Failing>(fails));
    return local::LocalModel(local::make_synthetic_codec(), std::move(executors));
  }
  Result<std::shared_ptr<Bridge>> ask(int tokens = 20) {
    local::Ask ask;
    ask.prompts = local::one_prompt(50, next_token_++);
    ask.sampling.temperature = 0;
    ask.sampling.ignore_eos = true;
    ask.tokens_max = tokens;
    ask.owner = "tenant";
    return board_->submit(std::move(ask), io_.get_executor());
  }
  void listen() {
    while (*words_.read(frame_)) {
      auto word = decode_word(frame_);
      ASSERT_TRUE(word);
      if (const auto* failed = std::get_if<ReplicaFailed>(&*word))
        failed_.push_back(std::to_string(failed->replica) + ": " + failed->why);
      if (const auto* farewell = std::get_if<Farewell>(&*word)) farewell_ = farewell->why;
      ASSERT_TRUE(board_->heed(std::move(*word)));
    }
  }
  bool ended() {
    return eventually([this] {
      listen();
      return exit_.load().has_value();
    });
  }
  bool idle() {
    return eventually([this] {
      listen();
      const EngineStatus status = board_->status();
      return status.running.empty() && status.waiting.empty();
    });
  }

  std::vector<std::shared_ptr<std::atomic<bool>>> fails_{
      std::make_shared<std::atomic<bool>>(false), std::make_shared<std::atomic<bool>>(false)};
  boost::asio::io_context io_;
  int next_token_ = 0;
  std::unique_ptr<Line> line_ = std::move(*Line::create());
  std::shared_ptr<Switchboard> board_ = std::make_shared<Switchboard>(4'096, 2);
  RingReader words_{line_->words_in()};
  std::string frame_;
  std::vector<std::string> failed_;
  std::string farewell_;
  EngineServer server_{*line_, [this](const config::LocalTarget&) { return load(); }};
  std::atomic<std::optional<Exit>> exit_;
  std::thread server_thread_;
};

TEST_F(Server, BothServeBehindOneQueue) {
  EXPECT_EQ(board_->status().engines(), 2);
  EXPECT_EQ(board_->status().sequences_max, 4);
  EXPECT_EQ(board_->status().kv_tokens_total, 2 * 4'096);
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 30; ++i) {
    auto bridge = ask();
    ASSERT_TRUE(bridge) << i;
    kept.push_back(std::move(*bridge));
  }
  EXPECT_TRUE(board_->has_work());
  ASSERT_TRUE(idle());
  EXPECT_FALSE(board_->has_work());
  EXPECT_EQ(board_->counters().finished, 30U);
  EXPECT_EQ(board_->counters().generated_tokens, 30U * 20);
  for (const auto& bridge : kept) EXPECT_TRUE(bridge->ready());
}

TEST_F(Server, OneThatFailsLeavesTheOtherServing) {
  *fails_[0] = true;
  std::vector<std::shared_ptr<Bridge>> kept;
  for (int i = 0; i < 20; ++i) {
    auto bridge = ask();
    ASSERT_TRUE(bridge) << i;
    kept.push_back(std::move(*bridge));
  }
  ASSERT_TRUE(idle());
  EXPECT_THAT(failed_, ElementsAre("0: the local engine failed: device lost"));
  const EngineCounters counters = board_->counters();
  EXPECT_EQ(counters.finished + counters.failed, 20U);
  EXPECT_GE(counters.failed, 1U);
  EXPECT_LE(counters.failed, 2U) << "those it had begun with";
  EXPECT_TRUE(board_->status().ready);
  EXPECT_EQ(board_->status().engines(), 1);
  EXPECT_FALSE(exit_.load());
  board_->send(Nudge{});
  ASSERT_TRUE(ask());
  ASSERT_TRUE(idle());
  EXPECT_EQ(board_->counters().finished, counters.finished + 1);
}

TEST_F(Server, TheProcessEndsWithTheLastOfThem) {
  *fails_[0] = true;
  *fails_[1] = true;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ask());
  ASSERT_TRUE(ended());
  EXPECT_EQ(exit_.load(), Exit::engine_failed);
  EXPECT_EQ(failed_.size(), 2U);
  EXPECT_THAT(farewell_, HasSubstr("device lost"));
}

TEST_F(Server, AStopLetsAllFinishThoughTheyWait) {
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(ask());
  board_->close(SteadyClock::now() + 10s);
  ASSERT_TRUE(ended());
  EXPECT_EQ(exit_.load(), Exit::stopped);
  EXPECT_EQ(board_->counters().finished, 12U);
  EXPECT_EQ(board_->counters().failed, 0U);
}

}  // namespace
}  // namespace spillway::isolated
