module mtls-operator.io/test/judges/go

go 1.24
