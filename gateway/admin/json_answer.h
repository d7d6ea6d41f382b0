// How the admin listener's answers are written: JSON that people read, too. Pure.
#pragma once

#include "gateway/admin/admin.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace spillway::admin {

// What is no UTF-8 in it, such as a client's model name, is replaced: never thrown at the operator.
Answer in_json(int status, const nlohmann::ordered_json& value);

nlohmann::ordered_json text_or_null(const std::string& text);

}  // namespace spillway::admin
