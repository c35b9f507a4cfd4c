// Reads PKCS#12 stores with go-pkcs12, which is strict. Arguments: KIND PATH PASSWORD for each; it prints a line of JSON
// for each.
package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"

	"software.sslmate.com/src/go-pkcs12"
)

type reading struct {
	Certificates []string `json:"certificates,omitempty"`
	PrivateKey   string   `json:"privateKey,omitempty"`
	Error        string   `json:"error,omitempty"`
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for args := os.Args[1:]; len(args) >= 3; args = args[3:] {
		found, err := read(args[0], args[1], args[2])
		if err != nil {
			found = reading{Error: err.Error()}
		}
		if err := out.Encode(found); err != nil {
			panic(err)
		}
	}
}

func read(kind, path, password string) (reading, error) {
	store, err := os.ReadFile(path)
	if err != nil {
		return reading{}, err
	}
	if kind == "truststore" {
		roots, err := pkcs12.DecodeTrustStore(store, password)
		return reading{Certificates: fingerprints(roots...)}, err
	}
	key, leaf, intermediates, err := pkcs12.DecodeChain(store, password)
	if err != nil {
		return reading{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return reading{}, err
	}
	chain := append([]*x509.Certificate{leaf}, intermediates...)
	return reading{
		Certificates: fingerprints(chain...),
		PrivateKey:   base64.StdEncoding.EncodeToString(pkcs8),
	}, nil
}

func fingerprints(certificates ...*x509.Certificate) []string {
	hexes := make([]string, len(certificates))
	for i, certificate := range certificates {
		digest := sha256.Sum256(certificate.Raw)
		hexes[i] = hex.EncodeToString(digest[:])
	}
	return hexes
}
