// What is made of a kept response: its events again, its end for other reasons than an answer.
// Pure; JSON goes in and out as text.
#pragma once

#include "backends/contract/error.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::responses {

// The events of a stream that would have told `body`, one each; their number is their place.
std::vector<std::string> events_of(const std::string& body);

// Those from that number on, as they are sent.
std::string events_after(const std::string& body, std::size_t from);

// The list of a response's own items.
std::string output_of(const std::string& body);

// `body` with another status.
std::string with_status(const std::string& body, std::string_view status);
std::string with_failure(const std::string& body, std::string_view code, std::string_view message);
bool is_background(const std::string& body);

// Whether a client's body, valid or not, asks for an answer in the background.
bool asks_for_background(const std::string& body);

// The response object that the last of a stream's events tells, or nothing.
std::string object_in(const std::string& event);

// The message of an error's object, as a client would read it.
std::string message_in(const std::string& error_body);

std::string deleted_text(std::string_view id);

}  // namespace spillway::responses
