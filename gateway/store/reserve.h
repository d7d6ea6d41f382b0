// Room on the disk that is kept aside, for who deletes where the disk is full: to delete takes room
// in a database's log first.
//
// On the disk's thread.
#pragma once

#include <string>
#include <utility>

namespace spillway::store {

class Reserve {
 public:
  explicit Reserve(std::string path) : path_(std::move(path)) {}

  // Keeps all of it aside, unless it is already or there is no room for it now.
  void keep() const;

  // False: there was none.
  bool give_up() const;

 private:
  std::string path_;
};

}  // namespace spillway::store
