"""What a connection begins with, and what to answer who speaks another protocol. Pure."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
_TLS_HANDSHAKE = b"\x16\x03"
_HTTP_1 = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE ")
_PAGE = b"This is the gRPC API of racklet-hostd, over HTTP/2. Metrics are on a port of its own.\n"
_ANSWER = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_PAGE), _PAGE)
)


def is_preface_so_far(data: bytes) -> bool:
    """Tell whether this can be the beginning of HTTP/2."""
    return data[: len(PREFACE)] == PREFACE[: len(data)]


def what_it_speaks(data: bytes) -> str:
    """Say what begins so, when it is not HTTP/2."""
    if data.startswith(_TLS_HANDSHAKE):
        return "TLS, where plain text is spoken"
    if data.startswith(_HTTP_1):
        return "HTTP/1, where gRPC takes HTTP/2"
    return "something that is not HTTP/2"


def answer_to(data: bytes) -> bytes:
    """Return what its sender understands; b"" for nothing."""
    return _ANSWER if data.startswith(_HTTP_1) else b""
