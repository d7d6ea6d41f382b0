// What is said of a local target before its model is loaded.
#include "backends/local/local_backend.h"
#include "tests/unit/tiny_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <unistd.h>

namespace spillway::local {
namespace {

using testing::HasSubstr;

class LocalTarget : public testing::Test {
 protected:
  ~LocalTarget() override { std::filesystem::remove(path_); }

  config::LocalTarget on_gpus(int count) {
    config::LocalTarget target;
    target.name = "house";
    target.executor = "cuda";
    target.model_path = TinyModel("llama").write(path_);
    target.tensor_parallel = count;
    return target;
  }

  const std::string path_ = std::filesystem::temp_directory_path() /
                            ("local_target_test-" + std::to_string(::getpid()) + ".gguf");
};

TEST_F(LocalTarget, OneGpuTakesAnyModel) { EXPECT_TRUE(check_local_target(on_gpus(1))); }

// Two query heads and one key head.
TEST_F(LocalTarget, HeadsThatGpusCannotShareAreNamed) {
  const auto checked = check_local_target(on_gpus(2));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Errc::invalid_request);
  EXPECT_THAT(checked.error().message, HasSubstr("local target house: tensor_parallel: 2 GPUs"));
  EXPECT_THAT(checked.error().message, HasSubstr("this model takes 1"));
}

TEST_F(LocalTarget, AFileThatIsNoModelIsSaid) {
  config::LocalTarget target = on_gpus(2);
  target.model_path = "/dev/null";
  EXPECT_FALSE(check_local_target(target));
}

}  // namespace
}  // namespace spillway::local
