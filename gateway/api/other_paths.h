// Paths as other clients than OpenAI's write them: Azure's, which name the same endpoints, and
// those of Anthropic's own objects, of which there are none here though OpenAI has the same paths.
//
// Any worker; no state.
#pragma once

#include "gateway/http/server.h"

#include <string>
#include <string_view>

namespace spillway {

// "/v1/files" of Azure's "/openai/v1/files" or "/openai/files"; empty: it is none of Azure's.
std::string path_of_azure(std::string_view path);

// Serves Azure's clients by `handler`, at the path of OpenAI's: a deployment in it is the model.
http::Handler with_other_paths(http::Handler handler);

}  // namespace spillway
