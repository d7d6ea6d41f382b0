#include "backends/cloud/meaning.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace spillway::cloud {
namespace {

struct Sign {
  std::string_view text;
  Meaning meaning;
};

constexpr std::array kCodes = {Sign{"insufficient_quota", Meaning::unpaid},
                               Sign{"billing_hard_limit_reached", Meaning::unpaid},
                               Sign{"billing_not_active", Meaning::unpaid},
                               Sign{"billing_error", Meaning::unpaid},
                               Sign{"BILLING_DISABLED", Meaning::unpaid},
                               Sign{"invalid_api_key", Meaning::unwelcome},
                               Sign{"account_deactivated", Meaning::unwelcome},
                               Sign{"CONSUMER_SUSPENDED", Meaning::unwelcome},
                               Sign{"SERVICE_DISABLED", Meaning::unwelcome},
                               Sign{"context_length_exceeded", Meaning::too_long},
                               Sign{"exceed_context_size_error", Meaning::too_long},
                               Sign{"unsupported_parameter", Meaning::unknown},
                               Sign{"unsupported_value", Meaning::unknown},
                               Sign{"unknown_parameter", Meaning::unknown},
                               Sign{"extra_forbidden", Meaning::unknown},
                               Sign{"overloaded_error", Meaning::busy},
                               Sign{"server_is_overloaded", Meaning::busy}};
constexpr std::string_view kOfGoogleKeys = "API_KEY_";

// What Anthropic, DeepSeek, vLLM and SGLang have no code for, nor Gemini always; in lower case. Of
// the operator's affairs the beginning: what a client said may be told again behind it.
constexpr std::array kBeginnings = {Sign{"your credit balance is too low", Meaning::unpaid},
                                    Sign{"api key not valid", Meaning::unwelcome},
                                    Sign{"user location is not supported", Meaning::unwelcome}};
constexpr std::array<std::string_view, 5> kTooLong = {
    "maximum context length", "the model's context length", "longer than the maximum model length",
    "prompt is too long", "exceed context limit"};
// OpenAI's of long ago, DeepSeek's, Groq's, Mistral's and vLLM's.
constexpr std::array<std::string_view, 8> kUnknown = {
    "unrecognized request argument",  "unknown variant", "unknown field", "is unavailable now",
    "extra inputs are not permitted", "is unsupported",  "not supported", "does not support"};
constexpr std::array<std::string_view, 2> kGeminisTooLong = {"input token count", "exceeds"};

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// Not a status again, nor its type.
bool has_own_code(const Complaint& complaint) {
  const std::string& code = complaint.code;
  const bool is_number =
      std::all_of(code.begin(), code.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  return !is_number && code != complaint.type && code != "invalid_request_error";
}

Meaning meaning_of_words(std::string message) {
  std::transform(message.begin(), message.end(), message.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Sign& sign : kBeginnings) {
    if (message.starts_with(sign.text)) return sign.meaning;
  }
  const auto is_said = [&](std::string_view part) { return has(message, part); };
  const bool too_long = std::any_of(kTooLong.begin(), kTooLong.end(), is_said) ||
                        std::all_of(kGeminisTooLong.begin(), kGeminisTooLong.end(), is_said);
  if (too_long) return Meaning::too_long;
  const bool unknown = std::any_of(kUnknown.begin(), kUnknown.end(), is_said);
  return unknown ? Meaning::unknown : Meaning::other;
}

}  // namespace

Meaning meaning_of(const Complaint& complaint) {
  for (const std::string* word : {&complaint.code, &complaint.type, &complaint.reason}) {
    if (word->starts_with(kOfGoogleKeys)) return Meaning::unwelcome;
    const auto* sign = std::find_if(kCodes.begin(), kCodes.end(),
                                    [&](const Sign& one) { return one.text == *word; });
    if (sign != kCodes.end()) return sign->meaning;
  }
  return has_own_code(complaint) ? Meaning::other : meaning_of_words(complaint.message);
}

}  // namespace spillway::cloud
