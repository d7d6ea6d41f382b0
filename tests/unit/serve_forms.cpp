// The process that compiles forms, for local_served_forms_test.
#include "backends/local/grammar/form_server.h"

#include <cstdio>
#include <string_view>
#include <sys/resource.h>
#include <unistd.h>

namespace {

// For root there is no such limit.
void allow_no_process() {
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_NPROC, &none);
  if (::getuid() == 0 && ::setuid(65'534) != 0) std::perror("setuid");
}

}  // namespace

int main(int count, char** words) {
  const std::string_view how = count > 1 ? words[1] : "";
  if (how == "without-children") allow_no_process();
  if (how == "fail") {
    std::fputs("one thing\nno such vocabulary\n", stderr);
    return 3;
  }
  spillway::local::grammar::run_form_server();
}
