"""Asks Python's ssl about certificates, as strictly as create_default_context has it since Python 3.13: a question a
line, see program.ts. Each is a real handshake in memory."""

import ssl
import sys

SERVER_WITHOUT_NAME = "any.invalid"


def context(purpose, verifies, trust):
    made = ssl.create_default_context(purpose, cafile=trust)
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verifies:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif purpose == ssl.Purpose.CLIENT_AUTH:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(folder, trust, usage, host):
    """Shows the certificate as a server's or a client's to the other end. Raises what that end has against it."""
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
    # Each round takes both ends a flight further; TLS 1.3 needs three.
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
