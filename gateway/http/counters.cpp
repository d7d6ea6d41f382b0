#include "gateway/http/counters.h"

namespace spillway::http {

std::string_view name_of(Reject reason) {
  switch (reason) {
    case Reject::malformed_line: return "malformed_line";
    case Reject::control_character: return "control_character";
    case Reject::bad_host: return "bad_host";
    case Reject::bad_content_length: return "bad_content_length";
    case Reject::bad_transfer_encoding: return "bad_transfer_encoding";
    case Reject::bad_chunk: return "bad_chunk";
    case Reject::confusing_name: return "confusing_name";
    case Reject::bad_target: return "bad_target";
    case Reject::bad_expectation: return "bad_expectation";
    case Reject::headers_too_large: return "headers_too_large";
    case Reject::body_too_large: return "body_too_large";
    case Reject::timeout: return "timeout";
    case Reject::unwelcome: return "unwelcome";
    case Reject::kCount: break;
  }
  return "unknown";
}

}  // namespace spillway::http
