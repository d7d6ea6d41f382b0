#include "backends/cloud/cloud_thread.h"

#include "backends/cloud/transfer_loop.h"

namespace spillway::cloud {

CloudThread::CloudThread() : loop_(std::make_unique<TransferLoop>()) {}

CloudThread::~CloudThread() = default;

void CloudThread::stop() { loop_->stop(); }

}  // namespace spillway::cloud
