#include "gateway/responses/response_writer.h"

#include "gateway/responses/output.h"
#include "gateway/responses/transcript.h"
#include "gateway/wall_clock.h"

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace spillway::responses {
namespace {

using nlohmann::ordered_json;

constexpr const char* kLeftOut = "x_spillway_left_out";

class ResponseWriter final : public wire::AnswerWriter {
 public:
  ResponseWriter(const Understood& understood, std::string tenant, Archive& archive)
      : understood_(understood),
        tenant_(std::move(tenant)),
        archive_(archive),
        events_(understood.request.stream, 0, is_resumable(understood) ? &transcript_ : nullptr),
        output_(events_, understood.info.turn,
                {understood.request.summary, understood.request.portable}),
        object_(begun_response(understood.info, "in_progress")) {}

  std::string begin(const wire::Opening& opening) override {
    object_["service_tier"] = opening.service_tier.empty() ? "default" : opening.service_tier;
    note_left_out(opening.left_out);
    tell("response.created");
    tell("response.in_progress");
    return events_.take();
  }

  std::string piece(const Delta& delta) override {
    output_.add(delta);
    return events_.take();
  }

  // What was paid for is given, found again or not. A turn is in its conversation once it can be
  // found; what runs in the background is put again by who runs it, and is of no use outside of its
  // conversation.
  Async<bool> keep(const wire::Ending& ending) override {
    const FinishReason finish = ending.finishes.front();
    output_.end(!is_cut(finish));
    complete(object_, output_.items(), finish, ending.usage, unix_seconds());
    note_left_out(ending.left_out);
    Kept kept = kept_of(understood_, tenant_, text_of(object_), true);
    kept.transcript = transcript_.text();
    archive_.ended(kept);
    Result<void> put;
    if (understood_.request.store) {
      Kept written = kept;
      put = co_await archive_.put(std::move(written));
    }
    const bool background = understood_.request.background;
    if (!put && background) co_return false;
    if (!put) object_["store"] = false;
    const auto added = co_await add_to_conversation(kept);
    if (!added && background) co_return added.error();
    co_return put.has_value() && added.has_value();
  }

  std::string end(const wire::Ending& ending) override {
    tell(is_cut(ending.finishes.front()) ? "response.incomplete" : "response.completed");
    return understood_.request.stream ? events_.take() : text_of(object_);
  }

  std::string failed(const Error& error) override {
    fail(object_, failure_code(error), error.message);
    tell("response.failed");
    return events_.take();
  }

  void afresh() override { output_.clear(); }

 private:
  // Over a WebSocket and in the background nobody sees the headers of the answer.
  void note_left_out(const std::string& fields) {
    object_.erase(kLeftOut);
    if (!fields.empty()) object_[kLeftOut] = fields;
  }

  Async<void> add_to_conversation(const Kept& turn) {
    const std::string& conversation = understood_.request.conversation;
    if (conversation.empty()) co_return Result<void>();
    std::vector<std::string> lists{turn.input, text_of(output_.items())};
    co_return co_await archive_.add_turn(tenant_, conversation, std::move(lists),
                                         understood_.info.turn);
  }

  static bool is_resumable(const Understood& understood) {
    return understood.request.stream && understood.request.background;
  }

  static bool is_cut(FinishReason finish) {
    return finish == FinishReason::length || finish == FinishReason::content_filter;
  }

  void tell(std::string_view type) {
    if (understood_.request.stream) events_.add(type, R"("response":)" + text_of(object_));
  }

  const Understood understood_;
  const std::string tenant_;
  Archive& archive_;
  Transcript transcript_;  // Of what may be followed again: before `events_`, which write it.
  Events events_;
  Output output_;
  ordered_json object_;
};

}  // namespace

std::unique_ptr<wire::AnswerWriter> response_writer(const Understood& understood,
                                                    std::string tenant, Archive& archive) {
  return std::make_unique<ResponseWriter>(understood, std::move(tenant), archive);
}

}  // namespace spillway::responses
