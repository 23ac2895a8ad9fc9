"""Asks a gRPC server by reflection which services it has: HTTP/2 by hand, so
that nothing needs to be installed."""

import socket
import struct

PATH = b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
# ServerReflectionRequest{list_services: "*"} as a gRPC message.
REQUEST = b"\x00" + struct.pack(">I", 3) + b"\x3a\x01*"
DATA, HEADERS, SETTINGS, GOAWAY = 0, 1, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, payload):
    return (struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) +
            struct.pack(">I", stream) + payload)


def header(name, value):
    """HPACK: a literal that is not indexed, without Huffman."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def read_exactly(connection, count):
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("the server closed the connection")
        data += piece
    return data


def services(address):
    """The raw bytes of the answer; service names are in them as text."""
    host, port = address.rsplit(":", 1)
    headers = b"".join(header(name, value) for name, value in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", PATH),
        (b":authority", address.encode()), (b"te", b"trailers"),
        (b"content-type", b"application/grpc")))
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" +
            frame(SETTINGS, 0, 0, b"") +
            frame(HEADERS, END_HEADERS, 1, headers) +
            frame(DATA, END_STREAM, 1, REQUEST))
        answer = b""
        while True:
            head = read_exactly(connection, 9)
            length = int.from_bytes(head[:3], "big")
            kind, flags = head[3], head[4]
            payload = read_exactly(connection, length)
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0, b""))
            elif kind == DATA:
                answer += payload
            elif kind == GOAWAY:
                raise ConnectionError(payload.decode(errors="replace"))
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return answer
