#include "backends/cloud/dialects/openai_ways.h"

#include <algorithm>
#include <array>

namespace spillway::cloud::openai {

namespace {

using Fields = std::string_view;

// What only tells the provider who asks, or what it may do better: leaving it out changes no
// answer.
constexpr std::array kHints = {Fields("metadata"),
                               Fields("parallel_tool_calls"),
                               Fields("prediction"),
                               Fields("prompt_cache_key"),
                               Fields("prompt_cache_options"),
                               Fields("prompt_cache_retention"),
                               Fields("safety_identifier"),
                               Fields("store"),
                               Fields("user"),
                               Fields("verbosity")};
constexpr std::array kOpenAiAdds = {Fields("web_search_options")};
constexpr std::array kGeminiAdds = {Fields("extra_body")};
constexpr std::array kMistralAdds = {Fields("prompt_mode"), Fields("random_seed"),
                                     Fields("safe_prompt")};
constexpr std::array kOllamaAdds = {Fields("keep_alive"), Fields("options"), Fields("think")};
// Not what would run code or read files there: chat_template, logits_processors, lora_path.
constexpr std::array kServerAdds = {Fields("add_generation_prompt"),
                                    Fields("allowed_token_ids"),
                                    Fields("bad_words"),
                                    Fields("best_of"),
                                    Fields("chat_template_kwargs"),
                                    Fields("continue_final_message"),
                                    Fields("documents"),
                                    Fields("ebnf"),
                                    Fields("echo"),
                                    Fields("guided_choice"),
                                    Fields("guided_grammar"),
                                    Fields("guided_json"),
                                    Fields("guided_regex"),
                                    Fields("ignore_eos"),
                                    Fields("include_reasoning"),
                                    Fields("include_stop_str_in_output"),
                                    Fields("length_penalty"),
                                    Fields("min_p"),
                                    Fields("min_tokens"),
                                    Fields("mm_processor_kwargs"),
                                    Fields("no_stop_trim"),
                                    Fields("prompt_logprobs"),
                                    Fields("regex"),
                                    Fields("repetition_penalty"),
                                    Fields("return_hidden_states"),
                                    Fields("return_token_ids"),
                                    Fields("return_tokens_as_token_ids"),
                                    Fields("separate_reasoning"),
                                    Fields("skip_special_tokens"),
                                    Fields("spaces_between_special_tokens"),
                                    Fields("stop_token_ids"),
                                    Fields("structured_outputs"),
                                    Fields("thinking_token_budget"),
                                    Fields("top_k"),
                                    Fields("truncate_prompt_tokens"),
                                    Fields("use_beam_search")};

// It refuses every field that it does not know.
constexpr std::array kMistralLacks = {Fields("prompt_cache_key"),
                                      Fields("prompt_cache_options"),
                                      Fields("prompt_cache_retention"),
                                      Fields("safety_identifier"),
                                      Fields("store"),
                                      Fields("user"),
                                      Fields("verbosity")};

constexpr std::array kWays = {
    Ways{.name = "openai", .adds = kOpenAiAdds, .reasoning = true},
    Ways{.name = "azure", .key_header = "api-key: "},
    Ways{.name = "deepseek",
         .limit_field = "max_tokens",
         .lacks = kHints,
         .beta = "beta",
         .prefix = true,
         .developer = false,
         .reasoning = true},
    Ways{.name = "gemini", .adds = kGeminiAdds, .lacks = kHints, .signs_calls = true},
    Ways{.name = "mistral",
         .limit_field = "max_tokens",
         .adds = kMistralAdds,
         .lacks = kMistralLacks,
         .seed_field = "random_seed",
         .prefix = true,
         .developer = false,
         .tells_usage = true},
    Ways{.name = "ollama", .limit_field = "max_tokens", .adds = kOllamaAdds, .developer = false},
    Ways{.name = "sglang", .adds = kServerAdds, .reasoning = true},
    Ways{.name = "vllm", .adds = kServerAdds, .reasoning = true},
};

std::string with_slash(std::string_view base_url) {
  std::string url(base_url);
  if (!url.ends_with('/')) url.push_back('/');
  return url;
}

// "eu.api.openai.com" is at ".api.openai.com" as well.
bool is_at(std::string_view base_url, std::string_view domain) {
  std::string_view host = base_url.substr(std::min(base_url.find("//") + 2, base_url.size()));
  host = host.substr(0, host.find_first_of(":/"));
  return ("." + std::string(host)).ends_with(domain);
}

}  // namespace

std::span<const Ways> all_ways() { return kWays; }

std::string url_of(std::string_view base_url, std::string_view path, std::string_view model,
                   std::string_view api_version) {
  std::string url = with_slash(base_url);
  if (api_version.empty()) return url.append(path);
  url.append("openai/deployments/").append(model).append("/").append(path);
  return url.append("?api-version=").append(api_version);
}

std::string_view added_limit(const Ways& ways, std::string_view base_url) {
  const bool is_openai = ways.name == "openai" && is_at(base_url, ".api.openai.com");
  return is_openai || ways.name == "azure" ? "max_completion_tokens" : "max_tokens";
}

bool wants_reasoning(const Ways& ways, std::string_view base_url) {
  return ways.reasoning && !is_at(base_url, ".api.groq.com") &&
         !is_at(base_url, ".api.cerebras.ai");
}

bool wants_signatures(const Ways& ways, std::string_view base_url) {
  return ways.signs_calls || is_at(base_url, ".googleapis.com");
}

std::string beta_url_of(std::string_view base_url, std::string_view beta, std::string_view path) {
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  if (base_url.ends_with("/v1")) base_url.remove_suffix(3);
  std::string url(base_url);
  if (!url.ends_with(beta)) url.append("/").append(beta);
  return url.append("/").append(path);
}

}  // namespace spillway::cloud::openai
