"""Mutual TLS from a mounted Secret, with Python's ssl.

    peer.py [-crl FOLDER] server FOLDER PORT
    peer.py [-crl FOLDER] client PORT SERVER-NAME CA-FOLDER [FOLDER]
    peer.py clients JSON

PORT is a port of 127.0.0.1, or HOST:PORT.
With -crl, the folder must have a CRL of the issuer of the other side's certificate, without its serial number.
The server responds with the client's certificate. The client prints the server's certificate, then the response.
The exit code is 1 if one side refused the other. With "clients", the argument is a Round of round.ts.
"""

import json
import os
import socket
import ssl
import sys
import threading
import time


def mounted(folder, use):
    """Calls use with one version of a mounted Secret. kubelet swaps all files atomically through the link ..data and then
    removes the old version. So follow the link once, not for each file, and retry if the version was removed meanwhile."""
    while True:
        version = os.readlink(f"{folder}/..data")
        try:
            return use(f"{folder}/{version}")
        except FileNotFoundError:
            if os.readlink(f"{folder}/..data") == version:
                raise


def context(purpose, ca_folder, folder):
    """Verifies as strictly as create_default_context since Python 3.13."""
    tls = ssl.create_default_context(purpose, cafile=f"{ca_folder}/ca.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if folder:
        tls.load_cert_chain(f"{folder}/tls.crt", f"{folder}/tls.key")
    return tls


def checking_crls(tls):
    if crl_folder:
        tls.load_verify_locations(f"{crl_folder}/ca.crl")
        tls.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return tls


def peer_certificate(connection):
    return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True))


def answer(raw, folder):
    try:
        # A new context for each connection, with the current content of the folder.
        now = mounted(folder, lambda version: checking_crls(context(ssl.Purpose.CLIENT_AUTH, version, version)))
        with now.wrap_socket(raw, server_side=True) as connection:
            request = connection.makefile("rb")
            while request.readline().strip():
                pass
            body = peer_certificate(connection)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall((head + body).encode())
            connection.unwrap()
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        raw.close()


def address(port):
    host, _, number = port.rpartition(":")
    return (host or "127.0.0.1", int(number))


def serve(folder, port):
    with socket.create_server(address(port)) as listener:
        print("listening on %s:%d" % listener.getsockname(), flush=True)
        while True:
            raw, _ = listener.accept()
            raw.settimeout(30)
            threading.Thread(target=answer, args=(raw, folder), daemon=True).start()


def exchange(port, server_name, tls):
    """Makes one connection. Returns the certificate that it verified, in PEM, and the response of the server."""
    raw = socket.create_connection(address(port), timeout=30)
    with tls.wrap_socket(raw, server_hostname=server_name) as connection:
        request = f"GET / HTTP/1.1\r\nHost: {server_name}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        return peer_certificate(connection), connection.makefile("rb").read()


def connect(port, server_name, ca_folder, folder=None):
    tls = checking_crls(context(ssl.Purpose.SERVER_AUTH, ca_folder, folder))
    try:
        server, answer = exchange(port, server_name, tls)
    except (ssl.SSLError, ConnectionError) as error:
        sys.exit(f"refused: {error}")
    print(server, flush=True)
    sys.stdout.buffer.write(answer)


def serial(pem):
    """The serial number of a certificate in hexadecimal: the first INTEGER after the version (RFC 5280, 4.1)."""
    der = ssl.PEM_cert_to_DER_cert(pem)
    start = der.index(b"\xa0\x03\x02\x01\x02\x02") + 6
    return der[start + 1 : start + 1 + der[start]].hex().removeprefix("00")


def meet(folder, server):
    """Connects with the current content of the folder. Returns the serial numbers of the two certificates, or the error."""
    try:
        tls = mounted(folder, lambda version: context(ssl.Purpose.SERVER_AUTH, version, version))
        certificate, answer = exchange(server["port"], server["serverName"], tls)
        head, _, body = answer.decode().partition("\r\n\r\n")
        if " 200 " not in head.partition("\r\n")[0]:
            return {"error": f"the server answers {head!r}"}
        return {"serverSerial": serial(certificate), "clientSerial": serial(body.strip())}
    except (OSError, ValueError) as error:
        return {"error": f"refused: {error}"}


def run_clients(argument):
    """Every client connects to all servers in turn, until the program is stopped. Prints a line for each connection."""
    everything = json.loads(argument)
    servers, every = everything["servers"], everything["everyMs"] / 1000

    def run(number, client):
        while True:
            server = servers[number % len(servers)]
            number += 1
            started = time.monotonic()
            met = meet(client["folder"], server)
            took = time.monotonic() - started
            line = {"client": client["name"], "server": server["name"], "at": int(time.time() * 1000), "tookMs": took * 1000}
            print(json.dumps(line | met), flush=True)
            # time.sleep fails with libfaketime, which gives this program another time.
            threading.Event().wait(max(0, every - took))

    for number, client in enumerate(everything["clients"]):
        threading.Thread(target=run, args=(number, client)).start()


arguments = sys.argv[1:]
crl_folder = None
if arguments[0] == "-crl":
    crl_folder, arguments = arguments[1], arguments[2:]
role, *arguments = arguments
{"server": serve, "client": connect, "clients": run_clients}[role](*arguments)
