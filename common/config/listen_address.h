// Where a daemon listens, and whether it may: loopback is free, any other
// address needs a token file or the word --insecure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace longspan {

struct ListenAddress {
  std::string host;  // "127.0.0.1", "::1", "localhost", "0.0.0.0"
  int port = 0;      // 0: the system chooses

  // "127.0.0.1:7070", "[::1]:7070".
  std::string ToString() const;
};

// "host:port" or "[v6]:port"; the host may not be left out.
absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

// True for 127.0.0.0/8, ::1, its v4-mapped forms, and "localhost". No name is
// looked up: any other name counts as not loopback.
bool IsLoopback(std::string_view host);

struct ListenSecurity {
  bool has_token = false;  // --token-file was given
  bool insecure = false;   // --insecure was given
};

// FailedPrecondition, with the two ways out, if the address is open to the
// network without protection. `flag` names the flag in the message.
absl::Status CheckListenAddress(const ListenAddress& address,
                                const ListenSecurity& security,
                                std::string_view flag);

}  // namespace longspan
