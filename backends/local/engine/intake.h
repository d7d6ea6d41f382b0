// Makes sequences of what is asked, one an answer, ready to be handed in together: with numbers,
// outlets, and the form that the answer is held to, which is prepared on threads of its own
// (grammar/workshop.h).
//
// Any thread. Owns those threads; what they are at when it is destroyed is not handed in.
#pragma once

#include "backends/local/engine/in_process_engine.h"
#include "backends/local/engine/inbox.h"
#include "backends/local/engine/text_codec.h"
#include "backends/local/grammar/workshop.h"
#include "backends/process/child_process.h"

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace spillway::local {

class Intake {
 public:
  // For `door`, which must outlive it as `codec` must: what it has made ready enters by `entrance`.
  // `prefix_cache`: what one has read of a prompt, another finds. `form_server`: the program that
  // compiles forms (grammar/served_compiler.h); none: threads of this process do.
  Intake(const EngineDoor& door, std::shared_ptr<Entrance> entrance, const TextCodec& codec,
         bool prefix_cache, const std::optional<process::Program>& form_server);

  // See EngineDoor::submit.
  Result<void> submit(Ask ask, const MakeOutlet& make_outlet);
  Result<std::shared_ptr<Bridge>> submit(Ask ask, boost::asio::any_io_executor consumer,
                                         std::size_t bridge_capacity);

 private:
  std::vector<NewSequence> sequences_of(Ask ask, const MakeOutlet& make_outlet);
  void add_choices(const Ask& ask, std::size_t which, SequenceId first,
                   std::vector<NewSequence>& sequences) const;
  void hand_in(std::vector<NewSequence> sequences, const Form& form, std::string_view begun,
               Result<std::shared_ptr<const grammar::Grammar>> grammar);

  const EngineDoor& door_;
  const std::shared_ptr<Entrance> entrance_;
  const bool prefix_cache_;
  std::atomic<SequenceId> next_id_{1};
  std::unique_ptr<grammar::Workshop> workshop_;  // Null: no answer can be held to a form. Last: its
                                                 // threads use all of the above.
};

}  // namespace spillway::local
