"""Checks the form of certificates with pkilint, like its lint_pkix_cert, one question a line, see program.ts."""

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
            text = f"{result.node.path}: {description}".replace("\n", " ").replace(";", ",")
            yield description.finding.severity in bad, text


for line in sys.stdin:
    id, _, folder, *_ = line.rstrip("\n").split("\t")
    found = list(findings(f"{folder}/tls.crt"))
    is_bad = any(is_bad for is_bad, _ in found)
    print(id, "no" if is_bad else "yes", "; ".join(text for severe, text in found if severe == is_bad), sep="\t")
