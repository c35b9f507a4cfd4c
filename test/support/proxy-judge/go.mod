module mtls-operator.io/test/proxy-judge

go 1.24
