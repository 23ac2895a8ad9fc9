#include "common/config/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace longspan {
namespace {

absl::Status AddressError(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrCat("address '", std::string(text),
                   "' is not host:port, such as 127.0.0.1:7070 or [::1]:7070"));
}

bool IsLoopback4(const in_addr& address) {
  return (ntohl(address.s_addr) >> 24) == 127;
}

bool IsLoopback6(const in6_addr& address) {
  if (IN6_IS_ADDR_LOOPBACK(&address)) return true;
  return IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127;
}

}  // namespace

std::string ListenAddress::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port)
            : absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return AddressError(text);
  ListenAddress address;
  address.host = std::string(text.substr(0, colon));
  if (address.host.size() > 2 && address.host.front() == '[' &&
      address.host.back() == ']') {
    address.host = address.host.substr(1, address.host.size() - 2);
  } else if (address.host.find_first_of(":[]") != std::string::npos) {
    return AddressError(text);
  }
  const std::string port(text.substr(colon + 1));
  const bool digits = port.find_first_not_of("0123456789") == port.npos;
  if (address.host.empty() || !digits ||
      !absl::SimpleAtoi(port, &address.port) || address.port > 65535) {
    return AddressError(text);
  }
  return address;
}

bool IsLoopback(std::string_view host) {
  const std::string text(host);
  in_addr v4;
  in6_addr v6;
  if (text == "localhost") return true;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return IsLoopback4(v4);
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) return IsLoopback6(v6);
  return false;
}

absl::Status CheckListenAddress(const ListenAddress& address,
                                const ListenSecurity& security,
                                std::string_view flag) {
  if (IsLoopback(address.host) || security.has_token || security.insecure) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      std::string(flag), " ", address.ToString(),
      " is reachable from other machines; give --token-file FILE, or "
      "--insecure to accept requests from anyone, or listen on 127.0.0.1"));
}

}  // namespace longspan
