// What is told of an engine that has lost some of its replicas.
#include "gateway/live_state.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(LostReplicas, AreToldWhereOthersServeOn) {
  EngineStatus engine;
  engine.ready = true;
  EXPECT_EQ(lost_replicas(engine), "");
  engine.replicas.resize(3);
  for (EngineStatus& replica : engine.replicas) replica.ready = true;
  EXPECT_EQ(lost_replicas(engine), "");
  engine.replicas[1].ready = false;
  EXPECT_EQ(lost_replicas(engine), "1 of 3 replicas of the local engine failed");
}

}  // namespace
}  // namespace spillway
