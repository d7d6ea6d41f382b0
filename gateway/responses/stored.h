// What is made of a kept response: its events again, its end for other reasons than an answer.
// Pure; JSON goes in and out as text.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// The events of a stream that has told `body`, which has ended, from that number on; nothing if
// there was none before that number. `transcript`: of all but the last as they were told; empty if
// nobody can have followed them, and then they are made of the body.
std::optional<std::string> events_from(std::size_t from, const std::string& body,
                                       std::string_view transcript);

// The last event of a stream that came to `body`.
std::string last_event(const std::string& body, std::size_t number);

// The list of a response's own items.
std::string output_of(const std::string& body);

// `body` with another status.
std::string with_status(const std::string& body, std::string_view status);
std::string with_failure(const std::string& body, std::string_view code, std::string_view message);
bool is_background(const std::string& body);

// Whether a client's body, valid or not, asks for an answer in the background.
bool asks_for_background(const std::string& body);

// The response object that a stream's event tells, if it has ended, or nothing.
std::string ended_object_in(const std::string& event);

// The message of an error's object, as a client would read it.
std::string message_in(const std::string& error_body);

std::string deleted_text(std::string_view id);

}  // namespace spillway::responses
