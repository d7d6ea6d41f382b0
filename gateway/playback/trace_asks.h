// What the requests of a trace ask of one policy: with whose key, of which class, and what each is
// promised.
//
// What the trace itself promises counts, for that is what its clients asked for: a row's
// ttft_slo_ms and deadline_ms, Mooncake's limit by the prompt's length, and the deadline that the
// rules of recorded traces give to work without a class. Where it gives none the class's SLA
// counts, and where that has none either a first token within a second. Values; one thread.
#pragma once

#include "config/settings.h"
#include "gateway/policy/facts.h"
#include "gateway/simulate/trace.h"

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway {

struct TracePromise {
  const config::RequestClass* request_class = nullptr;  // As the policy has it; never null.
  bool waits = false;  // It is promised a deadline, in place of a first token in time.
  double ttft = 0.0;   // Seconds, as the next.
  double per_token = std::numeric_limits<double>::infinity();
  double deadline = std::numeric_limits<double>::infinity();  // From the trace's start.
};

// What is asked for where the trace does not say.
struct TraceNames {
  std::string model = "auto";
  std::string batch_class = "batch";
};

class TraceAsks {
 public:
  // Keeps the settings alive; `replay` must outlive it.
  TraceAsks(std::shared_ptr<const config::Settings> settings, TraceNames names,
            const simulate::Replay& replay);

  const TracePromise& promise(std::size_t request) const { return promises_[request]; }

  // But for what the engine knows of its prompt, and when it arrived.
  policy::RequestFacts facts(std::size_t request) const;

  std::string_view tenant(std::size_t request) const;

  // The settings with the promises of classes as wide as the trace's own, so that who has one of
  // these asks for no less than its class promises.
  std::shared_ptr<const config::Settings> widened() const;

 private:
  TracePromise promise_of(std::size_t request) const;
  std::string_view class_asked(const simulate::TraceRequest& request) const;
  const config::Key* key_of(const simulate::Told& told) const;
  void know_key(const simulate::Told& told);
  const std::string& word(std::uint32_t place) const { return replay_.words.at(place); }

  const std::shared_ptr<const config::Settings> settings_;
  const TraceNames names_;
  const simulate::Replay& replay_;
  // By key and tenant, as the trace has them.
  std::map<std::pair<std::uint32_t, std::uint32_t>, config::Key> keys_;
  std::vector<TracePromise> promises_;
};

}  // namespace spillway
