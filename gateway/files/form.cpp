#include "gateway/files/form.h"

#include <utility>

namespace spillway::files {
namespace {

constexpr std::size_t kFieldsMax = 32;
constexpr std::size_t kFieldBytesMax = 16 << 10;
constexpr std::size_t kFilenameMax = 512;

Error invalid(std::string why, std::string param = "") {
  return Error{Errc::invalid_request, std::move(why), std::move(param), std::nullopt};
}

}  // namespace

FormReader::FormReader(const std::string& boundary, std::string file_field)
    : parts_(boundary), file_field_(std::move(file_field)) {}

Result<std::string> FormReader::take(std::string_view bytes) {
  std::string content;
  parts_.push(bytes);
  while (true) {
    auto next = parts_.next();
    if (!next) return next.error();
    if (!*next) return content;
    Piece& piece = **next;
    if (piece.kind == Piece::Kind::done) {
      whole_ = true;
      return content;
    }
    if (piece.kind == Piece::Kind::part) {
      auto begun = begin(std::move(piece.head));
      if (!begun) return begun.error();
    } else if (part_ == Part::file) {
      content += piece.bytes;
    } else if (part_ == Part::field) {
      *value_ += piece.bytes;
      if (value_->size() > kFieldBytesMax) return invalid("a field of the form is too large");
    }
  }
}

Result<void> FormReader::begin(PartHead head) {
  if (head.name == file_field_) {
    if (std::exchange(has_file_, true)) return invalid("send one file at a time", file_field_);
    part_ = Part::file;
    if (head.filename && !head.filename->empty()) filename_ = std::move(*head.filename);
    if (filename_.size() > kFilenameMax)
      return invalid("the file's name is longer than 512 bytes", file_field_);
    return {};
  }
  part_ = Part::field;
  value_ = &fields_[std::move(head.name)];
  value_->clear();
  if (fields_.size() > kFieldsMax) return invalid("the form has too many fields");
  return {};
}

Result<void> FormReader::check_whole() const {
  if (!whole_) return invalid("the form ends before its last boundary");
  if (!has_file_) return invalid("the form has no part '" + file_field_ + "'", file_field_);
  return {};
}

std::string_view FormReader::field(std::string_view name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace spillway::files
