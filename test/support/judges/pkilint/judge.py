"""Asks pkilint about the form of certificates, as its lint_pkix_cert does: a question a line, see program.ts."""

import sys

from pkilint import loader
from pkilint.pkix import certificate, extension, name
from pkilint.validation import ValidationFindingSeverity

validators = certificate.create_pkix_certificate_validator_container(
    certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
    [
        certificate.create_issuer_validator_container([]),
        certificate.create_validity_validator_container(),
        certificate.create_subject_validator_container([]),
        certificate.create_extensions_validator_container([]),
        certificate.create_spki_validator_container([]),
    ],
)
bad = {
    ValidationFindingSeverity.FATAL,
    ValidationFindingSeverity.ERROR,
    ValidationFindingSeverity.WARNING,
}


def findings(path):
    with open(path) as file:
        first = file.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    document = loader.RFC5280CertificateDocumentLoader().load_pem_document(first, path)
    for result in validators.validate(document.root):
        for description in result.finding_descriptions:
            yield description.finding.severity, f"{result.node.path}: {description}".replace("\n", " ")


for line in sys.stdin:
    id, _, folder, *_ = line.rstrip("\n").split("\t")
    found = list(findings(f"{folder}/tls.crt"))
    answer = "no" if any(severity in bad for severity, _ in found) else "yes"
    print(id, answer, "; ".join(text for _, text in found), sep="\t")
