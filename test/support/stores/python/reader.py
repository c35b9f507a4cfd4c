"""Reads PKCS#12 stores with pyca/cryptography. Arguments: KIND PATH PASSWORD for each; it prints a line of JSON for each."""

import base64
import json
import sys

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12


def read(path, password):
    with open(path, "rb") as file:
        try:
            store = load_pkcs12(file.read(), password.encode())
        except ValueError as error:
            return {"error": str(error)}
    entries = [store.cert] if store.cert else []
    entries += store.additional_certs
    found = {
        "certificates": [entry.certificate.fingerprint(SHA256()).hex() for entry in entries],
        "aliases": [entry.friendly_name.decode() for entry in entries if entry.friendly_name],
    }
    if store.key:
        pkcs8 = store.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        found["privateKey"] = base64.b64encode(pkcs8).decode()
    return found


arguments = iter(sys.argv[1:])
for _, path, password in zip(arguments, arguments, arguments):
    print(json.dumps(read(path, password)))
