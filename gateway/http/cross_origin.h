// Lets pages in a browser ask (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol).
#pragma once

#include "gateway/http/server.h"

#include <string>
#include <vector>

namespace spillway::http {

// `handler`, with the headers that let pages of these origins ("https://chat.example", or "*" for
// all) read its answers, and ask with any header and method that its paths take (the preflight).
// Credentials of the browser's own, cookies, are never asked for: keys come in a header. With no
// origins it is `handler` itself.
Handler allow_origins(std::vector<std::string> origins, Handler handler);

}  // namespace spillway::http
