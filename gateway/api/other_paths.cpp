#include "gateway/api/other_paths.h"

#include "gateway/request/refusal.h"
#include "gateway/wire/model_in_body.h"

#include <optional>
#include <utility>

namespace spillway {
namespace net = boost::asio;

namespace {

constexpr std::string_view kAzure = "/openai/";
constexpr std::string_view kNewer = "v1/";
constexpr std::string_view kDeployments = "deployments/";
// Behind a deployment, whose name may have slashes.
constexpr std::string_view kOfDeployments[] = {"/chat/completions", "/completions", "/embeddings"};
constexpr std::string_view kFiles = "/v1/files";

struct AzurePath {
  std::string path;        // Of OpenAI's.
  std::string deployment;  // Empty: the body names the model.
};

std::optional<AzurePath> azure_path(std::string_view path) {
  if (!path.starts_with(kAzure)) return std::nullopt;
  path.remove_prefix(kAzure.size());
  if (!path.starts_with(kDeployments)) {
    if (path.starts_with(kNewer)) path.remove_prefix(kNewer.size());
    return AzurePath{"/v1/" + std::string(path), ""};
  }
  path.remove_prefix(kDeployments.size());
  for (const std::string_view end : kOfDeployments) {
    if (!path.ends_with(end) || path.size() == end.size()) continue;
    return AzurePath{"/v1" + std::string(end),
                     std::string(path.substr(0, path.size() - end.size()))};
  }
  return std::nullopt;
}

bool is_anthropics_file(const http::Request& raw) {
  const bool at_files = raw.path == kFiles || raw.path.starts_with(std::string(kFiles) + "/");
  return at_files && speaks_anthropic(raw);
}

net::awaitable<void> refuse_anthropics_file(http::Request raw, http::ResponseWriter& out) {
  const Error error{Errc::not_found,
                    "Anthropic's files are not served: /v1/messages, /v1/messages/count_tokens and "
                    "/v1/models are. OpenAI's files are at this path, for who asks for them "
                    "without `anthropic-version`.",
                    "", std::nullopt};
  co_await refuse(error, raw, out);
}

}  // namespace

std::string path_of_azure(std::string_view path) {
  auto found = azure_path(path);
  return found ? std::move(found->path) : std::string();
}

http::Handler with_other_paths(http::Handler handler) {
  return [handler = std::move(handler)](http::Request raw, http::ResponseWriter& out) {
    if (is_anthropics_file(raw)) return refuse_anthropics_file(std::move(raw), out);
    if (auto azure = azure_path(raw.path)) {
      raw.path = std::move(azure->path);
      if (!azure->deployment.empty())
        raw.body = wire::with_model(std::move(raw.body), azure->deployment);
    }
    return handler(std::move(raw), out);
  };
}

}  // namespace spillway
