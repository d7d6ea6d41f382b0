// The process that compiles forms, for local_served_forms_test.
#include "backends/local/grammar/form_server.h"

int main() { spillway::local::grammar::run_form_server(); }
