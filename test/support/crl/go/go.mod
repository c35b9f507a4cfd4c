module mtls-operator.io/test/crl

go 1.24
