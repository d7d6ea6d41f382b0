// The options that name a running gateway's admin listener.
#pragma once

#include "gateway/remote/admin_client.h"
#include "gateway/verbs/given.h"
#include "gateway/verbs/options.h"

#include <string>

namespace spillway::verbs {

// Declares --admin, --admin-key and --config.
void add_admin_options(Options& options);

// Of these, or of `config` (empty: the usual).
Given<remote::AdminDoor> admin_door(const Options& options, const std::string& verb,
                                    const std::string& config = "");

// Prints an answer: what was asked for, or to stderr why not. The verb's exit status.
int print_answer(const remote::AdminDoor& door, const remote::AdminAnswer& answer,
                 const std::string& verb);

}  // namespace spillway::verbs
