module mtls-operator.io/test/peer

go 1.24
