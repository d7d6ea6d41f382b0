#include "gateway/live/fitted_engine.h"

#include "backends/contract/status.h"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <sstream>

namespace spillway::live {

namespace {

std::optional<double> term_of(const std::string& metrics, const std::string& term) {
  const std::string label = "term=\"" + term + "\"";
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("spillway_engine_step_model_seconds{")) continue;
    if (line.find(label) == line.npos) continue;
    return std::strtod(line.c_str() + line.rfind(' ') + 1, nullptr);
  }
  return std::nullopt;
}

}  // namespace

simulate::ReferenceEngineParams fitted_engine(const std::string& metrics,
                                              const simulate::ReferenceEngineParams& like) {
  const auto base = term_of(metrics, "base"), sequence = term_of(metrics, "per_sequence"),
             context = term_of(metrics, "per_context_token"),
             prefill = term_of(metrics, "per_prefill_token");
  simulate::ReferenceEngineParams fitted = like;
  if (!base || !sequence || !context || !prefill || *prefill <= 0.0) return fitted;
  fitted.slowdown = 1.0;
  fitted.step_base = *base;
  fitted.step_per_sequence = *sequence;
  fitted.step_per_context_token = *context;
  fitted.prompt_tokens_per_second = 1.0 / *prefill;
  fitted.chunk_min = StepBudget{}.chunk_tokens_min;
  return fitted;
}

simulate::ReferenceEngineParams fitted_engine(const config::Endpoint& admin,
                                              const simulate::ReferenceEngineParams& like) {
  boost::asio::ip::tcp::iostream stream;
  stream.expires_after(std::chrono::seconds(10));
  stream.connect(admin.host, std::to_string(admin.port));
  stream << "GET /metrics HTTP/1.0\r\nhost: " << admin.host << "\r\n\r\n" << std::flush;
  std::ostringstream text;
  text << stream.rdbuf();
  return fitted_engine(text.str(), like);
}

}  // namespace spillway::live
