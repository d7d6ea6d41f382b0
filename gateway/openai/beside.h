// What a model reads of a conversation that is no text of its messages. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>

namespace spillway::openai {

// Bytes of tools and functions, of the calls in the messages and of the reasoning before them: of
// names and values, with a byte for each colon or comma between. To be asked before anything of the
// request is moved away.
std::size_t bytes_beside_texts(const nlohmann::json& request);

// The same of the form that the answer is to have.
std::size_t bytes_of_form(const nlohmann::json& request);

}  // namespace spillway::openai
