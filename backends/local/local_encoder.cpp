#include "backends/local/local_encoder.h"

#include "backends/local/encoder/encoder_backend.h"
#include "backends/local/model/torch_library.h"
#include "backends/local/open_torch.h"

#include <string>
#include <utility>

namespace spillway::local {
namespace {

struct Files {
  loader::EncoderFolder folder;
  EncoderText text;
};

Error wrong_target(const config::ProviderTarget& target, const std::string& what) {
  return {Errc::invalid_request, "encoder " + target.name + ": " + what, "", std::nullopt};
}

Result<Files> read_files(const config::ProviderTarget& target) {
  auto folder = loader::read_encoder_folder(target.encoder.model_path);
  if (!folder) return wrong_target(target, folder.error().message);
  auto text = EncoderText::from_folder(*folder);
  if (!text) return wrong_target(target, text.error().message);
  return Files{std::move(*folder), std::move(*text)};
}

}  // namespace

Result<void> check_local_encoder(const config::ProviderTarget& target) {
  const auto files = read_files(target);
  if (!files) return files.error();
  return {};
}

Result<std::unique_ptr<Backend>> load_local_encoder(const config::ProviderTarget& target) {
  const auto torch = open_torch();
  if (!torch) return wrong_target(target, torch.error().message);
  auto files = read_files(target);
  if (!files) return files.error();
  auto encoder = (*torch)->make_encoder(files->folder, target.encoder.threads);
  if (!encoder) return wrong_target(target, encoder.error().message);
  const loader::EncoderSpec& spec = files->folder.spec;
  const EncoderBackend::Vectors vectors{static_cast<std::size_t>(spec.width), spec.shortens};
  EncoderLimits limits;
  limits.jobs_max = target.encoder.waiting_max;
  return std::unique_ptr<Backend>(std::make_unique<EncoderBackend>(
      target.name, std::move(files->text), vectors, std::move(*encoder), limits));
}

}  // namespace spillway::local
