// A form with one file in it: its fields are kept, the file's content passes through.
//
// Pure; belongs to one request.
#pragma once

#include "gateway/files/multipart.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::files {

class FormReader {
 public:
  // `file_field` is the name of the part that is the file.
  FormReader(const std::string& boundary, std::string file_field);

  // Takes a piece of the body; the file's content in it, perhaps nothing.
  Result<std::string> take(std::string_view bytes);

  // After the whole body: what is missing of it.
  Result<void> check_whole() const;

  // A field's value; empty if it was not sent.
  std::string_view field(std::string_view name) const;

  // The file's, "upload" if the client gave none.
  const std::string& filename() const { return filename_; }

 private:
  enum class Part { none, field, file };

  Result<void> begin(PartHead head);

  MultipartReader parts_;
  const std::string file_field_;
  std::map<std::string, std::string, std::less<>> fields_;
  std::string* value_ = nullptr;  // Of the field being read.
  std::string filename_ = "upload";
  Part part_ = Part::none;
  bool has_file_ = false;
  bool whole_ = false;
};

}  // namespace spillway::files
