"""Checks certificates with Python's ssl, as strictly as create_default_context since Python 3.13, one question a line,
see program.ts. Each check is a real handshake in memory."""

import ssl
import sys

SERVER_WITHOUT_NAME = "any.invalid"


def context(purpose, verifies, trust):
    tls = ssl.create_default_context(purpose, cafile=trust)
    tls.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verifies:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    elif purpose == ssl.Purpose.CLIENT_AUTH:
        tls.verify_mode = ssl.CERT_REQUIRED
    return tls


def handshake(folder, trust, usage, host):
    """Presents the certificate as a server or a client. Raises if the other end refuses it."""
    client = context(ssl.Purpose.SERVER_AUTH, usage == "server", trust)
    server = context(ssl.Purpose.CLIENT_AUTH, usage == "client", trust)
    server.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    if usage == "client":
        client.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    client.check_hostname = usage == "server" and host is not None
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host or SERVER_WITHOUT_NAME),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    open_ends = list(ends)
    # Each round advances both ends by a flight; TLS 1.3 needs three.
    for _ in range(10):
        for end in list(open_ends):
            try:
                end.do_handshake()
                open_ends.remove(end)
            except ssl.SSLWantReadError:
                pass
        if not open_ends:
            return
    raise RuntimeError("the handshake does not end")


def answer(kind, folder, trust, usage, name):
    try:
        if kind == "key":
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
        else:
            handshake(folder, trust, usage, name.split(":", 1)[1] if name else None)
        return "yes", ""
    except ssl.SSLError as error:
        return "no", str(error)


for line in sys.stdin:
    id, kind, folder, trust, usage, name, _ = line.rstrip("\n").split("\t")
    print(id, *answer(kind, folder, trust, usage, name), sep="\t")
